"""What the firmware takes from one set of readings, and what each state drives, value by value."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cryoctl_protocol.codes import DeviceState, Sensor
from cryoctl_simulator.firmware_config import DeviceLimits, FirmwareConfig
from cryoctl_simulator.firmware_drive import all_off, drive
from cryoctl_simulator.firmware_safety import (
    battery_is_too_low,
    outputs_overlap,
    stimulus_must_end,
    tip_is_too_cold_to_stimulate,
    valve_is_proved_shut,
)
from cryoctl_simulator.firmware_sensing import is_cooled, observe
from cryoctl_simulator.firmware_state import FirmwareState, Outputs
from tests.simulator.bench import FakeReadings

S = DeviceState
N2O = FirmwareConfig.shipped("n2o-20g").limits
EXHAUST, FLOW = int(Sensor.EXHAUST_PRESSURE), int(Sensor.EXHAUST_FLOW)


def observed(
    state: dict[str, Any], readings: dict[str, Any], limits: DeviceLimits = N2O
) -> FirmwareState:
    """Return the memory after one more set of readings."""
    s = FirmwareState(**state)
    observe(limits, s, FakeReadings(**readings))
    return s


STEADY = {"tip_seen": True, "tip_raw_mdegc": 36_000, "tip_mdegc": 36_000}
SHUT = {**STEADY, "valve_shut_ms": 2_000}
COOLED = {**SHUT, "tip_raw_mdegc": -40_000, "tip_fast": -11_000_000, "tip_slow": -10_000_000,
          "tip_rated": True}  # fmt: skip
BAD = {"open_circuit": int(Sensor.TIP)}


@pytest.mark.requirement("SR-11")
@pytest.mark.requirement("SR-14")
@pytest.mark.requirement("SR-18")
@pytest.mark.parametrize(
    ("state", "readings", "expected"),
    [
        (STEADY, {"tip_mdegc": 34_000}, {"tip_mdegc": 34_000, "tip_raw_mdegc": 34_000}),
        (STEADY, {"tip_mdegc": 34_000, **BAD}, {"tip_mdegc": 36_000, "tip_raw_mdegc": 34_000}),
        ({}, {}, {"tip_seen": True, "tip_plausible": True, "tip_history": 0}),
        # The last five samples.
        ({"tip_history": 0b11010}, {}, {"tip_history": 0b10100, "tip_bad_samples": 2}),
        ({"tip_history": 0b11010}, BAD, {"tip_history": 0b10101, "tip_bad_samples": 3}),
        ({"tip_history": 0b11111}, BAD, {"tip_history": 0b11111, "tip_bad_samples": 5}),
        # Warm above 5 C.
        ({**STEADY, "warm_ms": 50, "tip_raw_mdegc": 5_000}, {"tip_mdegc": 5_000}, {"warm_ms": 0}),
        ({**STEADY, "warm_ms": 50, "tip_raw_mdegc": 5_000}, {"tip_mdegc": 5_001}, {"warm_ms": 60}),
        ({**STEADY, "warm_ms": 50}, BAD, {"warm_ms": 0}),
        # Two filters of 80 and 320 ms, and the rate by what lies between them.
        (
            {"tip_seen": True, "tip_raw_mdegc": -6_000, "tip_rated": True},
            {"tip_mdegc": -8_000},
            {"tip_fast": -256_000, "tip_slow": -64_000, "tip_rate_mdegc_s": -3_125},
        ),
        (
            {"tip_fast": 7, "tip_slow": 9, "tip_rate_mdegc_s": 5},
            {"tip_mdegc": -8_000},
            {"tip_fast": -2_048_000, "tip_slow": -2_048_000, "tip_rate_mdegc_s": 0,
             "tip_rated": True},
        ),
        (
            {**STEADY, "tip_history": 0b1, "tip_rated": True, "tip_rate_mdegc_s": -9},
            BAD,
            {"tip_rated": True, "tip_rate_mdegc_s": -9},
        ),
        (
            {**STEADY, "tip_history": 0b11, "tip_rated": True, "tip_rate_mdegc_s": -9},
            BAD,
            {"tip_rated": False, "tip_rate_mdegc_s": 0},
        ),
        # Pressures over their trip values are counted by ticks, if they can be seen.
        ({"overpressure_ticks": 2}, {"supply_mbar": 68_000}, {"overpressure_ticks": 0}),
        ({"overpressure_ticks": 2}, {"supply_mbar": 68_001}, {"overpressure_ticks": 3}),
        (
            {"overpressure_ticks": 2},
            {"supply_mbar": 68_001, "open_circuit": int(Sensor.SUPPLY_PRESSURE)},
            {"overpressure_ticks": 0},
        ),
        ({"exhaust_ticks": 2}, {"exhaust_mbar": 2_500}, {"exhaust_ticks": 0}),
        ({"exhaust_ticks": 2}, {"exhaust_mbar": 2_501}, {"exhaust_ticks": 3}),
        ({"exhaust_ticks": 2}, {"exhaust_mbar": 2_501, "open_circuit": EXHAUST},
         {"exhaust_ticks": 0}),
        ({"guards_open_ticks": 2}, {"open_circuit": FLOW}, {"guards_open_ticks": 3}),
        ({"guards_open_ticks": 2}, {"open_circuit": int(Sensor.SKIN)}, {"guards_open_ticks": 0}),
        ({"battery_low_ms": 50}, {"battery_mv": 3_300}, {"battery_low_ms": 0}),
        ({"battery_low_ms": 50}, {"battery_mv": 3_299}, {"battery_low_ms": 60}),
        # The valve: 2 s of coast, then 10 % and 5 % of 35 mg/s, and a fall of 1 C/s.
        ({**SHUT, "valve_shut_ms": 1_980}, {}, {"valve_shut_ms": 1_990}),
        (
            {**COOLED, "valve_shut_ms": 1_990, "flow_stuck_ticks": 2, "falling_ticks": 2,
             "leak_ms": 20},
            {"tip_mdegc": -40_000, "exhaust_flow_ug_s": 9_000},
            {"valve_shut_ms": 2_000, "flow_stuck_ticks": 0, "falling_ticks": 0, "leak_ms": 0},
        ),
        (
            {**COOLED, "flow_stuck_ticks": 2, "falling_ticks": 2, "leak_ms": 20},
            {"tip_mdegc": -40_000, "exhaust_flow_ug_s": 9_000},
            {"valve_shut_ms": 2_010, "flow_stuck_ticks": 3, "falling_ticks": 3, "leak_ms": 30},
        ),
        ({**SHUT, "falling_ticks": 2}, {}, {"falling_ticks": 0}),
        ({**SHUT, "flow_stuck_ticks": 2}, {"exhaust_flow_ug_s": 3_500}, {"flow_stuck_ticks": 0}),
        ({**SHUT, "flow_stuck_ticks": 2}, {"exhaust_flow_ug_s": 3_501}, {"flow_stuck_ticks": 3}),
        ({**SHUT, "leak_ms": 20}, {"exhaust_flow_ug_s": 1_750}, {"leak_ms": 0}),
        ({**SHUT, "leak_ms": 20}, {"exhaust_flow_ug_s": 1_751}, {"leak_ms": 30}),
        (
            {**SHUT, "leak_ms": 20, "flow_stuck_ticks": 2},
            {"exhaust_flow_ug_s": 9_000, "open_circuit": FLOW},
            {"leak_ms": 0, "flow_stuck_ticks": 0},
        ),
    ],
)  # fmt: skip
def test_one_set_of_readings_moves_each_count_by_its_limit(
    state: dict[str, Any], readings: dict[str, Any], expected: dict[str, Any]
) -> None:
    s = observed(state, readings)

    assert {name: getattr(s, name) for name in expected} == expected


@pytest.mark.requirement("SR-11")
@pytest.mark.parametrize(
    ("exhaust_mbar", "tip_mdegc", "plausible"),
    [
        # N2O boils at -75 C at 2.13 bar and at -70 C at 2.73 bar: -71.917 C between.
        (2_500, -75_917, True),
        (2_500, -75_918, False),
        (9_999, -75_917, True),
        (9_999, -75_918, False),
    ],
)
def test_the_bound_by_the_boiling_gas_stays_at_the_exhausts_trip_value(
    exhaust_mbar: int, tip_mdegc: int, plausible: bool
) -> None:
    s = observed(
        {"tip_seen": True, "tip_raw_mdegc": tip_mdegc},
        {"tip_mdegc": tip_mdegc, "exhaust_mbar": exhaust_mbar},
    )

    assert s.tip_plausible is plausible


@pytest.mark.requirement("SR-20")
@pytest.mark.parametrize(
    ("sensor", "readings", "count"),
    [
        (Sensor.SUPPLY_PRESSURE, {"supply_mbar": 99_000}, "overpressure_ticks"),
        (Sensor.EXHAUST_PRESSURE, {"exhaust_mbar": 9_900}, "exhaust_ticks"),
        (Sensor.EXHAUST_FLOW, {"exhaust_flow_ug_s": 99_000}, "leak_ms"),
        (Sensor.BATTERY, {"battery_mv": 0}, "battery_low_ms"),
    ],
)
def test_a_sensor_that_is_not_fitted_counts_nothing(
    sensor: Sensor, readings: dict[str, int], count: str
) -> None:
    without = replace(N2O, absent_sensors=int(sensor))

    assert getattr(observed(SHUT, readings, without), count) == 0
    assert getattr(observed(SHUT, readings), count) > 0


@pytest.mark.requirement("SR-07")
@pytest.mark.parametrize(
    ("rate_mdegc_s", "tip_mdegc", "cooled"),
    [(-1_001, -10_000, True), (-1_000, -10_000, False), (-1_001, -9_999, False)],
)
def test_a_fall_of_more_than_1_c_per_s_at_10_c_below_zero_is_the_gas(
    rate_mdegc_s: int, tip_mdegc: int, cooled: bool
) -> None:
    assert is_cooled(FirmwareState(tip_rate_mdegc_s=rate_mdegc_s, tip_mdegc=tip_mdegc)) is cooled


# -- decisions that no tick is needed for ----------------------------------------------------------


@pytest.mark.requirement("SR-41")
@pytest.mark.parametrize(
    ("shut_ms", "shutoff_open", "proved"),
    [(2_300, False, False), (2_301, False, True), (2_301, True, False)],
)
def test_a_valve_is_proved_shut_after_coast_and_300_ms(
    shut_ms: int, shutoff_open: bool, proved: bool
) -> None:
    s = FirmwareState(valve_shut_ms=shut_ms, outputs=Outputs(shutoff_open=shutoff_open))

    assert valve_is_proved_shut(N2O, s) is proved
    s.tip_mdegc = 36_000
    assert stimulus_must_end(N2O, s) is not proved


@pytest.mark.requirement("SR-41")
@pytest.mark.parametrize(
    ("tip_mdegc", "bad_samples", "ends"),
    [(20_000, 0, True), (20_001, 0, False), (20_001, 2, False), (20_001, 3, True)],
)
def test_a_stimulus_ends_with_a_cold_tip_or_one_that_cannot_be_believed(
    tip_mdegc: int, bad_samples: int, ends: bool
) -> None:
    s = FirmwareState(valve_shut_ms=2_301, tip_mdegc=tip_mdegc, tip_bad_samples=bad_samples)

    assert stimulus_must_end(N2O, s) is ends
    assert tip_is_too_cold_to_stimulate(s) is (tip_mdegc == 20_000)


@pytest.mark.requirement("SR-15")
@pytest.mark.parametrize("valve", [0, 1])
@pytest.mark.parametrize("heater", [0, 1])
@pytest.mark.parametrize("stimulus", [0, 1])
def test_two_outputs_overlap_from_the_first_step_on(valve: int, heater: int, stimulus: int) -> None:
    assert outputs_overlap(valve, heater, stimulus) is (valve + heater + stimulus > 1)


@pytest.mark.requirement("SR-36")
@pytest.mark.parametrize(
    ("low_ms", "driving", "trip", "too_low"),
    [(99, True, 15, False), (100, True, 0, True), (100, False, 0, False), (100, False, 15, True)],
)
def test_a_battery_is_too_low_while_driving_and_once_it_has_tripped(
    low_ms: int, driving: bool, trip: int, too_low: bool
) -> None:
    assert (
        battery_is_too_low(FirmwareState(battery_low_ms=low_ms, driving=driving, trip=trip))
        is too_low
    )


# -- what each state drives -----------------------------------------------------------------------


def everything_on() -> Outputs:
    """Return outputs as no state leaves them."""
    return Outputs(
        valve_permille=10, shutoff_open=True, tip_heater_permille=500, heater_supply_on=True,
        skin_warmer_permille=500, led=True, beeper=True, stimulus_ua=500, stimulus_hz=1,
        stimulus_pulse_us=60,
    )  # fmt: skip


def driven(**changes: Any) -> tuple[Outputs, bool]:
    """Return the outputs after one tick that began with everything on, and if they are driven."""
    begun: dict[str, Any] = {"outputs": everything_on(), "driving": True}
    s = FirmwareState(**begun | changes)
    drive(N2O, s, FakeReadings(skin_mdegc=35_000))
    return s.outputs, s.driving


REST = Outputs(stimulus_hz=1, stimulus_pulse_us=60)


@pytest.mark.requirement("SR-15")
@pytest.mark.requirement("SR-26")
@pytest.mark.parametrize(
    ("changes", "expected", "driving"),
    [
        ({"state": S.IDLE}, REST, False),
        ({"state": S.ARMED}, REST, False),
        ({"state": S.STARTED}, REST, False),
        ({"state": S.SELF_TEST}, replace(REST, led=True, beeper=True), False),
        ({"state": S.LEAK_TEST, "now_ms": 499}, replace(REST, shutoff_open=True), False),
        ({"state": S.LEAK_TEST, "now_ms": 500}, REST, False),
        (
            {"state": S.PREWARM},
            replace(REST, skin_warmer_permille=250, warmer_supply_on=True),
            True,
        ),
        (
            {"state": S.STIMULATE, "stimulus_ua": 1_000, "stimulus_hz": 2,
             "stimulus_pulse_us": 100},
            Outputs(led=True, stimulus_ua=1_000, stimulus_hz=2, stimulus_pulse_us=100),
            True,
        ),
        (
            {"state": S.THAW, "valve_shut_ms": 3_300},
            replace(REST, led=True, shutoff_open=True),
            False,
        ),
        ({"state": S.THAW, "valve_shut_ms": 3_301}, replace(REST, led=True), False),
        (
            {"state": S.THAW, "valve_shut_ms": 9_999, "heating": True,
             "heater_budget_uj": 5_000_000},
            replace(REST, led=True, tip_heater_permille=1_000, heater_supply_on=True),
            True,
        ),
        # A driver that is stuck on shows itself while its supply stays on.
        (
            {"state": S.THAW, "valve_shut_ms": 9_999, "heater_on_ms": 1},
            replace(REST, led=True, heater_supply_on=True),
            False,
        ),
        ({"state": S.IDLE, "heater_on_ms": 1}, REST, False),
        ({"state": S.SAFE, "tick_count": 49}, replace(REST, led=True), False),
        ({"state": S.SAFE, "tick_count": 50}, REST, False),
        ({"state": S.SAFE, "tick_count": 99}, REST, False),
        ({"state": S.SAFE, "tick_count": 100}, replace(REST, led=True), False),
        ({"state": S.FAULT, "tick_count": 49}, replace(REST, led=True, beeper=True), False),
        ({"state": S.FAULT, "tick_count": 50}, REST, False),
        (
            {"state": S.SAFE, "tick_count": 50, "heating": True, "heater_budget_uj": 5_000_000},
            replace(REST, tip_heater_permille=1_000, heater_supply_on=True),
            False,
        ),
    ],
)  # fmt: skip
def test_each_state_drives_its_outputs_and_no_other(
    changes: dict[str, Any], expected: Outputs, driving: bool
) -> None:
    assert driven(**changes) == (expected, driving)


@pytest.mark.requirement("SR-15")
def test_a_freeze_drives_valve_shutoff_warmer_and_light_alone() -> None:
    outputs, driving = driven(
        state=int(S.FREEZE), driving=False, approaching=True, tip_fast=36_000 * 256,
        setpoint_mdegc=-60_000,
        outputs=replace(everything_on(), shutoff_open=False, led=False, heater_supply_on=True),
    )  # fmt: skip

    assert outputs.valve_permille > 10
    assert replace(outputs, valve_permille=0) == replace(
        REST, shutoff_open=True, led=True, skin_warmer_permille=250, warmer_supply_on=True
    )
    assert driving


@pytest.mark.requirement("SR-26")
def test_all_off_leaves_nothing_that_cools_warms_or_stimulates() -> None:
    out = everything_on()

    all_off(out)

    assert out == replace(REST, led=True, beeper=True)
