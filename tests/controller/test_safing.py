"""What counts as the safe state, and trips as the device reports them."""

from __future__ import annotations

from typing import Any

import pytest

from cryoctl.safing import device_notice, shows_safe_state
from cryoctl_protocol.codes import DeviceState, Trip
from tests.support.builders import a_sample


@pytest.mark.requirement("SR-27")
@pytest.mark.parametrize("state", list(DeviceState))
def test_only_a_latched_state_is_safe(state: DeviceState) -> None:
    latched = state in (DeviceState.SAFE, DeviceState.FAULT)

    assert shows_safe_state(a_sample(state=state)) is latched


@pytest.mark.requirement("SR-27")
@pytest.mark.parametrize(
    ("changes", "safe"),
    [
        ({}, True),
        ({"tip_heater": 1.0}, True),  # A thaw that the probe runs.
        ({"valve": 0.001}, False),
        ({"shutoff_open": 1}, False),
    ],
)
def test_valve_and_supply_must_be_shut(changes: dict[str, Any], safe: bool) -> None:
    assert shows_safe_state(a_sample(state=DeviceState.SAFE, **changes)) is safe


@pytest.mark.parametrize(
    ("trip", "value", "limit", "notice"),
    [
        (Trip.TIP_FLOOR, -86_000, -85_000, (-86.0, -85.0, "°C")),
        (Trip.TIP_SENSOR, -99_500, -92_000, (-99.5, -92.0, "°C")),
        (Trip.HEATER, 43_500, 43_000, (43.5, 43.0, "°C")),
        (Trip.SKIN_HOT, 43_100, 43_000, (43.1, 43.0, "°C")),
        (Trip.OVERPRESSURE, 68_500, 68_000, (68.5, 68.0, "bar")),
        (Trip.EXHAUST_BLOCKED, 2_600, 2_500, (2.6, 2.5, "bar")),
        (Trip.VALVE_STUCK, 5_000, 3_500, (5.0, 3.5, "mg/s")),
        (Trip.LEAK, 2_000, 1_750, (2.0, 1.75, "mg/s")),
        (Trip.FREEZE_TIMER, 82_000, 82_000, (82.0, 82.0, "s")),
        (Trip.TIP_SENSOR, 0, 0, (0.0, 0.0, "")),
        (Trip.LEASE, 0, 300, (0.0, 0.3, "s")),
        (Trip.BATTERY, 3_100, 3_300, (3.1, 3.3, "V")),
        (Trip.INTEGRITY, 6, 5, (6.0, 5.0, "frames/s")),
    ],
)
def test_a_devices_figures_come_in_engineering_units(
    trip: Trip, value: int, limit: int, notice: tuple[float, float, str]
) -> None:
    found = device_notice(trip, value, limit)

    assert (found.trip, found.unit) == (trip, notice[2])
    assert (found.value, found.limit) == pytest.approx(notice[:2])
