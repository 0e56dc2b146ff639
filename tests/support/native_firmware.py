"""The C firmware for tests: compiled once, or a reason to skip."""

from __future__ import annotations

import pytest

from cryoctl_simulator.firmware import FirmwareError
from cryoctl_simulator.firmware_compiler import find_compiler


def need_compiler() -> list[str]:
    """Return how to call the C compiler; skip where there is none, and say what to install."""
    try:
        return find_compiler()
    except FirmwareError as error:
        pytest.skip(str(error))
