"""From the first sample that shows a fault to the STOP that the probe hears, in virtual time.

The link takes 10 ms each way and samples come every 20 ms, as on a serial line at its best.
"""

from __future__ import annotations

from typing import Any

import pytest

from cryoctl.cycle_table import Phase
from cryoctl_protocol.codes import Trip
from tests.support.bench import Bench
from tests.support.builders import a_treatment

# What the device does or says from one moment on, the cause, and the requirement's bound in s.
FAULTS = [
    pytest.param(
        {"setpoint_c": -90.0},
        Trip.TIP_FLOOR,
        0.1,
        marks=pytest.mark.requirement("SR-05"),
        id="falls to the floor",
    ),
    pytest.param(
        {"telemetry": {"tip_mdegc": -110_000}},
        Trip.TIP_SENSOR,
        0.2,
        marks=pytest.mark.requirement("SR-11"),
        id="believed by nobody",
    ),
    pytest.param(
        {"telemetry": {"open_circuit": 1}},
        Trip.TIP_SENSOR,
        0.2,
        marks=pytest.mark.requirement("SR-11"),
        id="open",
    ),
    pytest.param(
        {"tip_follows": False},
        Trip.TIP_FROZEN_READING,
        1.2,
        marks=pytest.mark.requirement("SR-12"),
        id="stands still",
    ),
    pytest.param(
        {"telemetry": {"tip_heater_permille": 1}},
        Trip.OUTPUTS_OVERLAP,
        0.1,
        marks=pytest.mark.requirement("SR-15"),
        id="heater on with the valve",
    ),
    pytest.param(
        {"telemetry": {"skin_mdegc": 4_999}},
        Trip.SKIN_COLD,
        0.7,
        marks=pytest.mark.requirement("SR-17"),
        id="cold skin",
    ),
    pytest.param(
        {"telemetry": {"supply_mbar": 68_001}},
        Trip.OVERPRESSURE,
        0.1,
        marks=pytest.mark.requirement("SR-18"),
        id="overpressure",
    ),
    pytest.param(
        {"telemetry": {"exhaust_flow_ug_s": 45_501}},
        Trip.FLOW_HIGH,
        0.4,
        marks=pytest.mark.requirement("SR-20"),
        id="too much flow",
    ),
]


@pytest.mark.parametrize(("changes", "cause", "bound_s"), FAULTS)
def test_a_fault_in_a_hold_is_stopped_within_its_bound(
    changes: dict[str, Any], cause: Trip, bound_s: float
) -> None:
    bench = Bench()
    bench.run_to(Phase.HOLD)
    bench.run_for(2.0)
    for name, value in changes.items():
        setattr(bench.device, name, value)
    if cause is Trip.TIP_FLOOR:
        bench.run_until(lambda: bench.device.tip_c <= -85.0)
    seen_s = bench.now_s

    bench.run_until(lambda: bench.device.stops != [])

    assert bench.trip_ids() == [cause.name]
    assert bench.device.stops[0].trip == cause
    assert bench.device.stop_heard_s[0] - seen_s <= bound_s + 0.0001


@pytest.mark.requirement("SR-07")
@pytest.mark.requirement("SR-08")
@pytest.mark.parametrize(
    ("flow_ug_s", "cause", "from_s", "bound_s"),
    [
        (5_000, Trip.VALVE_STUCK, 2.3, 2.5),  # Coast, 300 ms, and 200 ms to act.
        (2_000, Trip.LEAK, 3.0, 3.2),  # Coast and a second.
    ],
)
def test_a_valve_that_lets_gas_through_in_a_thaw_is_stopped_within_its_bound(
    flow_ug_s: int, cause: Trip, from_s: float, bound_s: float
) -> None:
    bench = Bench(a_treatment(count=1))
    bench.run_to(Phase.THAWING)
    thaw_s = bench.now_s
    bench.run_for(0.05)
    bench.device.telemetry = {"exhaust_flow_ug_s": flow_ug_s}

    bench.run_until(lambda: bench.device.stops != [])

    assert bench.trip_ids() == [cause.name]
    assert from_s < bench.device.stop_heard_s[0] - thaw_s <= bound_s


@pytest.mark.requirement("SR-03")
def test_a_silent_probe_is_sent_a_stop_within_its_bound() -> None:
    bench = Bench()
    bench.run_to(Phase.HOLD)
    bench.run_for(1.0)
    bench.device.silent = True
    silent_s = bench.sink.samples[-1][0]

    bench.run_until(lambda: bench.device.stops != [])

    assert bench.device.stop_heard_s[0] - silent_s <= 0.22  # 150 ms, a tick, the link.


@pytest.mark.requirement("SR-16")
@pytest.mark.parametrize(
    ("changes", "bound_s"),
    [({"tip_mdegc": 43_001}, 0.2), ({"thaw_energy_mj": 5_251}, 0.2)],
)
def test_a_heater_that_does_too_much_in_a_thaw_is_stopped_within_its_bound(
    changes: dict[str, int], bound_s: float
) -> None:
    bench = Bench(a_treatment(count=1))
    bench.run_to(Phase.THAWING)
    bench.run_for(3.0)
    bench.device.telemetry = changes
    seen_s = bench.now_s

    bench.run_until(lambda: bench.device.stops != [])

    assert bench.trip_ids() == ["HEATER"]
    assert bench.device.stop_heard_s[0] - seen_s <= bound_s
