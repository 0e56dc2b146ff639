"""Controller of a handheld cryoprobe: treatments, interlocks, recordings, reports.

Development and research software; not a medical device.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryoctl import aio
    from cryoctl.api import run
    from cryoctl.cycles import Verdict
    from cryoctl.live import Probe, connect
    from cryoctl.live_session import ProbeError
    from cryoctl.results import Result, load

__version__ = "0.1.0"
__all__ = [
    "Probe",
    "ProbeError",
    "Result",
    "Verdict",
    "__version__",
    "aio",
    "connect",
    "load",
    "run",
]

if not TYPE_CHECKING:
    # Where the names are that are imported when they are used: `cryoctl --help` stays quick.
    _PLACES = {
        "Probe": "cryoctl.live",
        "ProbeError": "cryoctl.live_session",
        "Result": "cryoctl.results",
        "Verdict": "cryoctl.cycles",
        "connect": "cryoctl.live",
        "load": "cryoctl.results",
        "run": "cryoctl.api",
    }

    def __getattr__(name: str) -> object:
        if name == "aio":
            return import_module("cryoctl.aio")
        if name in _PLACES:
            return getattr(import_module(_PLACES[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
