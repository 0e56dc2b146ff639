"""Takes interlocks away for the time of a test, to show what the other layer does alone.

There is no such switch in the programs that drive a probe: here the lists of checks are replaced
from outside, in this process alone, and put back whatever happens.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final
from unittest.mock import patch

from cryoctl import core, interlocks
from cryoctl_protocol.codes import Trip
from cryoctl_simulator import firmware_model
from cryoctl_simulator.firmware_config import DeviceLimits
from cryoctl_simulator.firmware_model import FirmwareModel
from cryoctl_simulator.firmware_state import FirmwareState

_LONE: Final = (
    (interlocks, interlocks.too_many_rejects.__name__),
    (core, interlocks.link_lost.__name__),
    (core, interlocks.tick_late.__name__),
)
"""Host checks that are called by their name instead of from the list, and where from."""
HOST_CHECKS: Final[tuple[str, ...]] = (
    *(check.__name__ for check in interlocks._CHECKS),  # noqa: SLF001
    *(name for _, name in _LONE),
)
"""Every interlock of the host."""
DEVICE_TRIPS: Final[tuple[Trip, ...]] = (
    Trip.TIP_SENSOR,
    Trip.TIP_FLOOR,
    Trip.OVERPRESSURE,
    Trip.VALVE_STUCK,
    Trip.HEATER,
    Trip.SKIN_HOT,
    Trip.EXHAUST_BLOCKED,
    Trip.LEASE,
    Trip.INTEGRITY,
    Trip.SENSOR_OPEN,
    Trip.FREEZE_TIMER,
    Trip.LEAK,
    Trip.BATTERY,
    Trip.MODE_MISMATCH,
    Trip.OUTPUTS_OVERLAP,
)
"""Every cause that the probe finds by itself."""


@contextmanager
def host_interlocks_off(*names: str) -> Iterator[None]:
    """Have the host look at nothing that is named, of ``HOST_CHECKS``; at nothing if none is."""
    off = set(names or HOST_CHECKS)
    unknown = off.difference(HOST_CHECKS)
    if unknown:
        raise ValueError(f"no host interlock {sorted(unknown)}; there are {', '.join(HOST_CHECKS)}")
    left = tuple(check for check in interlocks._CHECKS if check.__name__ not in off)  # noqa: SLF001
    with ExitStack() as stack:
        stack.enter_context(patch.object(interlocks, "_CHECKS", left))
        for module, name in _LONE:
            if name in off:
                stack.enter_context(patch.object(module, name, _finds_nothing))
        yield


@contextmanager
def device_interlocks_off(*trips: Trip) -> Iterator[None]:
    """Have the probe's firmware find none of ``trips``; nothing at all if none is named."""
    off = set(trips or DEVICE_TRIPS)
    unknown = off.difference(DEVICE_TRIPS)
    if unknown:
        names = sorted(trip.name for trip in unknown)
        known = ", ".join(trip.name for trip in DEVICE_TRIPS)
        raise ValueError(f"no device interlock {names}; there are {known}")
    mask = sum(1 << trip for trip in off)
    find_trip = vars(firmware_model)["find_trip"]

    def find_left(limits: DeviceLimits, s: FirmwareState, seen: int = 0) -> int:
        found: int = find_trip(limits, s, seen | mask)
        return found

    with ExitStack() as stack:
        stack.enter_context(patch.object(firmware_model, "find_trip", find_left))
        if Trip.OUTPUTS_OVERLAP in off:
            stack.enter_context(patch.object(firmware_model, "outputs_overlap", _never))
        if Trip.LEASE in off:  # It also watches who owns the probe.
            stack.enter_context(patch.object(FirmwareModel, "_on_owner_lost", _finds_nothing))
        yield


def _finds_nothing(*_args: Any, **_named: Any) -> None:
    return None


def _never(*_args: Any) -> bool:
    return False
