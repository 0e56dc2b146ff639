"""The C firmware for tests: compiled once, or a reason to do without."""

from __future__ import annotations

from cryoctl_simulator.firmware import FirmwareError
from cryoctl_simulator.firmware_compiler import find_compiler
from tests.support.programs import do_without


def need_compiler() -> list[str]:
    """Return how to call the C compiler; skip where there is none, fail in CI."""
    try:
        return find_compiler()
    except FirmwareError as error:
        do_without(str(error))
