"""Which modules are the safety core, and which tests make claims about it."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[3]
"""Of the source tree: a wheel has no tests."""


class CoreModule(NamedTuple):
    """One module of the safety core.

    Attributes:
        name: As it is imported.
        path: In the source tree.
        side: Whose it is: ``host`` or ``device``.
    """

    name: str
    path: str
    side: str


def _host(name: str) -> CoreModule:
    return CoreModule(f"cryoctl.{name}", f"src/cryoctl/{name}.py", "host")


def _device(name: str) -> CoreModule:
    path = f"simulator/cryoctl_simulator/{name}.py"
    return CoreModule(f"cryoctl_simulator.{name}", path, "device")


SAFETY_CORE: Final = (
    _host("interlocks"),
    _host("permits"),
    _device("firmware_safety"),
    _host("safing"),
    _host("cycle_table"),
    _host("arming"),
    _device("firmware_commands"),
    _device("firmware_sensing"),
    _device("firmware_drive"),
)
"""What decides that a valve may open, or must shut; the most important first.

What carries decisions out (``core``, ``firmware_model``, ``firmware_control``) is not in it:
`reach`, `matrix`, `broken` and `simulate` judge that by what it does.
"""

_CONTROLLER: Final = (
    "test_arming.py",
    "test_core_arming.py",
    "test_core_stop.py",
    "test_cycle_table.py",
    "test_interlocks*.py",
    "test_permits*.py",
    "test_safing*.py",
    "test_stimulation.py",
    "test_tick_ages.py",
)
_SIMULATOR: Final = ("test_firmware_*.py",)


def core_tests() -> list[Path]:
    """Return the test files; raises FileNotFoundError where there are none."""
    controller, simulator = ROOT / "tests" / "controller", ROOT / "tests" / "simulator"
    found = [path for pattern in _CONTROLLER for path in sorted(controller.glob(pattern))]
    found += [path for pattern in _SIMULATOR for path in sorted(simulator.glob(pattern))]
    if not found:
        raise FileNotFoundError(
            f"no tests under {ROOT / 'tests'}: run this from a source tree with an installation "
            "in place (`make assure`)"
        )
    return found
