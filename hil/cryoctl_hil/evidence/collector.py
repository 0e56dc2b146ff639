"""Collects what the tests of a run come to, and writes the evidence whenever one has ended."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Final

import pytest

from cryoctl import __version__
from cryoctl.clock import utc_now
from cryoctl_hil.evidence.record import FILE_NAME, Evidence, ProbeRecord, TestRecord
from cryoctl_hil.rigs.rig import Rig
from cryoctl_protocol.messages import Hello, unpadded

_RUNS: Final = Path("runs")


class Collector:
    """The evidence of one run, on disk after every test: a run that is killed leaves what it had.

    Args:
        rig: It runs on.
        seed: Of simulated noise.
        operator: Who runs it.
        folder: Where the evidence goes; None takes a new one in ``runs``.
    """

    def __init__(self, rig: Rig, *, seed: int, operator: str, folder: Path | None) -> None:
        started = utc_now()
        self.folder = folder or _RUNS / f"hil-{started:%Y%m%d-%H%M%S}-{os.getpid()}"
        self.evidence = Evidence(
            cryoctl=__version__,
            python=platform.python_version(),
            platform=platform.platform(),
            started_utc=started.isoformat(timespec="seconds"),
            rig=rig.table.name,
            rig_text=rig.text,
            device=str(rig.device),
            seed=seed,
            operator=operator,
        )
        self._tests: list[TestRecord] = []

    def add(self, test: TestRecord, hello: Hello | None, unsafe: str) -> None:
        """Take what a test came to."""
        self._tests.append(test)
        update: dict[str, object] = {"tests": tuple(self._tests), "unsafe": unsafe}
        if hello is not None:
            update["probe"] = ProbeRecord(
                device=unpadded(hello.device_id),
                firmware=unpadded(hello.firmware_id),
                profile=unpadded(hello.profile_id),
                profile_hash=f"{hello.profile_hash:08x}",
                capabilities=hello.capabilities,
                sensors=hello.sensors,
            )
        self.evidence = self.evidence.model_copy(update=update)
        self._write()

    @pytest.hookimpl
    def pytest_keyboard_interrupt(self) -> None:
        """Note that the run was broken off."""
        self.evidence = self.evidence.model_copy(update={"broken_off": "interrupted"})

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Write the evidence with its verdict."""
        ended = utc_now().isoformat(timespec="seconds")
        self.evidence = self.evidence.with_end(ended_utc=ended)
        self._write()

    def _write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / FILE_NAME
        partial = path.with_suffix(".tmp")
        partial.write_text(self.evidence.model_dump_json(indent=1) + "\n", encoding="utf-8")
        partial.replace(path)
