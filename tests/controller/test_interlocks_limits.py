"""Each check of the host by itself: the last allowed value, the first refused one, what is told.

Numbers are the requirements', written out, of a probe with 35 mg/s of nominal flow and 2 s of
coast: a test that took them from the code would share its mistakes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from cryoctl import interlocks
from cryoctl.interlocks import (
    Check,
    Interlocks,
    Memory,
    TripNotice,
    command_failed,
    link_lost,
    tick_late,
    too_many_rejects,
)
from cryoctl_protocol.codes import DeviceState, Sensor, Trip
from tests.support.builders import a_freezing_sample, a_sample, n2o_limits


class Row(NamedTuple):
    """A check, a sample and a past at 100 s, and what is told of it."""

    check: Check
    sample: dict[str, Any]
    memory: dict[str, Any]
    notice: TripNotice | None
    freezing: bool = False


def told(row: Row) -> TripNotice | None:
    """Return the notice of a row's check."""
    build = a_freezing_sample if row.freezing else a_sample
    return row.check(build(**row.sample), Memory(**row.memory), n2o_limits(), 100.0)


OPEN_TIP = {"open_circuit": int(Sensor.TIP)}
GOOD = {"tip_good": True}
COLD = {"valve_shut_s": 90.0, "filtered_tip_c": -40.0}
STILL = {"tip_temp_c": -60.0, "valve": 0.7}
# fmt: off
AT_LIMITS = [
    Row(interlocks.tip_sensor, {"tip_temp_c": -93.0}, {"bad_history": 0b11}, None),
    Row(interlocks.tip_sensor, {"tip_temp_c": -93.0}, {"bad_history": 0b10101},
        TripNotice(Trip.TIP_SENSOR, -93.0, -92.0, "°C", "3 of 5 samples impossible")),
    Row(interlocks.tip_sensor, {"tip_temp_c": None}, {"bad_history": 0b111},
        TripNotice(Trip.TIP_SENSOR, 0.0, -92.0, "°C", "3 of 5 samples impossible")),
    Row(interlocks.tip_sensor, OPEN_TIP, {"bad_history": 0b111},
        TripNotice(Trip.TIP_SENSOR, 0.0, 0.0, "", "open circuit")),
    Row(interlocks.tip_floor, {"tip_temp_c": -84.999}, GOOD, None),
    Row(interlocks.tip_floor, {"tip_temp_c": -85.0}, {}, None),
    Row(interlocks.tip_floor, {"tip_temp_c": -85.0}, GOOD,
        TripNotice(Trip.TIP_FLOOR, -85.0, -85.0, "°C")),
    Row(interlocks.overpressure, {"supply_pressure_bar": 68.0}, {}, None),
    Row(interlocks.overpressure, {"supply_pressure_bar": 68.001}, {},
        TripNotice(Trip.OVERPRESSURE, 68.001, 68.0, "bar")),
    Row(interlocks.exhaust_blocked, {"exhaust_pressure_bar": 2.5}, {}, None),
    Row(interlocks.exhaust_blocked, {"exhaust_pressure_bar": 2.501}, {},
        TripNotice(Trip.EXHAUST_BLOCKED, 2.501, 2.5, "bar")),
    Row(interlocks.outputs_overlap, {"stimulus_ma": 0.001}, {}, None),
    Row(interlocks.outputs_overlap, {"valve": 0.001}, {}, None),
    Row(interlocks.outputs_overlap, {"tip_heater": 0.001}, {}, None),
    Row(interlocks.outputs_overlap, {"stimulus_ma": 0.001, "valve": 0.001}, {},
        TripNotice(Trip.OUTPUTS_OVERLAP, 0.001, 0.0, "mA")),
    Row(interlocks.outputs_overlap, {"stimulus_ma": 0.001, "tip_heater": 0.001}, {},
        TripNotice(Trip.OUTPUTS_OVERLAP, 0.001, 0.0, "mA")),
    Row(interlocks.outputs_overlap, {"valve": 0.001, "tip_heater": 0.001}, {},
        TripNotice(Trip.OUTPUTS_OVERLAP, 0.001, 0.0, "fraction")),
    Row(interlocks.heater, {"tip_temp_c": 43.0}, GOOD, None),
    Row(interlocks.heater, {"tip_temp_c": 43.001}, {}, None),
    Row(interlocks.heater, {"tip_temp_c": 43.001}, GOOD,
        TripNotice(Trip.HEATER, 43.001, 43.0, "°C")),
    Row(interlocks.heater, {"thaw_energy_j": 5.25}, {}, None),
    Row(interlocks.heater, {"thaw_energy_j": 5.251}, {},
        TripNotice(Trip.HEATER, 5.251, 5.25, "J")),
    Row(interlocks.heater, {}, {"heater_on_s": 80.0}, None),
    Row(interlocks.heater, {}, {"heater_on_s": 79.5}, TripNotice(Trip.HEATER, 20.5, 20.0, "s")),
    # Coast and 300 ms.
    Row(interlocks.valve_stuck, {"exhaust_flow_mg_s": 3.501}, {}, None),
    Row(interlocks.valve_stuck, {"exhaust_flow_mg_s": 3.501}, {"valve_shut_s": 97.705}, None),
    Row(interlocks.valve_stuck, {"exhaust_flow_mg_s": 3.501}, {"valve_shut_s": 97.695},
        TripNotice(Trip.VALVE_STUCK, 3.501, 3.5, "mg/s")),
    Row(interlocks.valve_stuck, {"exhaust_flow_mg_s": 3.5}, {"valve_shut_s": 90.0}, None),
    Row(interlocks.valve_stuck, {}, COLD | {"tip_rate_c_per_s": -1.0}, None),
    Row(interlocks.valve_stuck, {}, COLD | {"tip_rate_c_per_s": -1.01},
        TripNotice(Trip.VALVE_STUCK, -1.01, -1.0, "°C/s")),
    Row(interlocks.valve_stuck, {"exhaust_flow_mg_s": None},
        COLD | {"tip_rate_c_per_s": -1.01}, TripNotice(Trip.VALVE_STUCK, -1.01, -1.0, "°C/s")),
    Row(interlocks.valve_stuck, {}, COLD | {"filtered_tip_c": -10.0, "tip_rate_c_per_s": -9.0},
        None),
    Row(interlocks.valve_stuck, {}, COLD | {"filtered_tip_c": -10.01, "tip_rate_c_per_s": -9.0},
        TripNotice(Trip.VALVE_STUCK, -9.0, -1.0, "°C/s")),
    Row(interlocks.valve_stuck, {}, COLD | {"filtered_tip_c": None, "tip_rate_c_per_s": -9.0},
        None),
    Row(interlocks.leak, {"exhaust_flow_mg_s": 9.0}, {"leak_s": 90.0}, None),
    Row(interlocks.leak, {"exhaust_flow_mg_s": 9.0},
        {"valve_shut_s": 98.0, "leak_s": 90.0}, None),
    Row(interlocks.leak, {"exhaust_flow_mg_s": 9.0},
        {"valve_shut_s": 97.99, "leak_s": 99.0}, TripNotice(Trip.LEAK, 9.0, 1.75, "mg/s")),
    Row(interlocks.leak, {"exhaust_flow_mg_s": 9.0},
        {"valve_shut_s": 90.0, "leak_s": 99.01}, None),
    Row(interlocks.leak, {"exhaust_flow_mg_s": 1.75},
        {"valve_shut_s": 90.0, "leak_s": 90.0}, None),
    Row(interlocks.leak, {"exhaust_flow_mg_s": 1.751},
        {"valve_shut_s": 90.0, "leak_s": 90.0}, TripNotice(Trip.LEAK, 1.751, 1.75, "mg/s")),
    Row(interlocks.skin_cold, {"skin_temp_c": 5.0}, {"skin_cold_s": 90.0}, None, freezing=True),
    Row(interlocks.skin_cold, {"skin_temp_c": 4.99}, {"skin_cold_s": 99.505}, None, freezing=True),
    Row(interlocks.skin_cold, {"skin_temp_c": 4.99}, {"skin_cold_s": 99.5},
        TripNotice(Trip.SKIN_COLD, 4.99, 5.0, "°C"), freezing=True),
    Row(interlocks.skin_cold, {"skin_temp_c": 4.99}, {"skin_cold_s": 90.0}, None),
    Row(interlocks.skin_cold, {"skin_temp_c": None}, {"skin_cold_s": 90.0}, None, freezing=True),
    Row(interlocks.skin_cold, {"skin_temp_c": None, "open_circuit": int(Sensor.SKIN)},
        {"skin_cold_s": 99.5}, TripNotice(Trip.SKIN_COLD, 0.0, 0.0, "", "skin sensor open"),
        freezing=True),
    Row(interlocks.frozen_reading, STILL, {"still_tip_c": -60.03, "still_s": 99.0}, None),
    Row(interlocks.frozen_reading, STILL, {"still_tip_c": -60.0, "still_s": 98.99},
        TripNotice(Trip.TIP_FROZEN_READING, 0.0, 0.05, "°C")),
    Row(interlocks.frozen_reading, STILL, {"still_tip_c": -60.051, "still_s": 90.0}, None),
    Row(interlocks.frozen_reading, STILL, {"still_tip_c": None, "still_s": 90.0}, None),
    Row(interlocks.frozen_reading, {"tip_temp_c": None, "valve": 0.7},
        {"still_tip_c": -60.0, "still_s": 90.0}, None),
    Row(interlocks.frozen_reading, {"valve": 0.05}, {"still_tip_c": 33.0, "still_s": 90.0}, None),
    Row(interlocks.frozen_reading, {"valve": 0.0501}, {"still_tip_c": 33.0, "still_s": 90.0},
        TripNotice(Trip.TIP_FROZEN_READING, 0.0, 0.05, "°C")),
    Row(interlocks.unexplained_reading, {}, {"residual_c": 8.0, "residual_s": 90.0}, None),
    Row(interlocks.unexplained_reading, {}, {"residual_c": -8.0, "residual_s": 90.0}, None),
    Row(interlocks.unexplained_reading, {}, {"residual_c": 8.01, "residual_s": 99.01}, None),
    Row(interlocks.unexplained_reading, {}, {"residual_c": 8.01, "residual_s": 99.0},
        TripNotice(Trip.TIP_SENSOR, 8.01, 8.0, "°C", "warmer than the heat drawn explains")),
    Row(interlocks.unexplained_reading, {}, {"residual_c": -8.01, "residual_s": 99.0},
        TripNotice(Trip.TIP_SENSOR, -8.01, 8.0, "°C",
                   "colder than the heat drawn explains, or the needle has left the tissue")),
    Row(interlocks.no_cooling, {}, {"filtered_tip_c": 20.0, "open_s": 90.0, "open_tip_c": 20.0},
        None),
    Row(interlocks.no_cooling, {}, {"filtered_tip_c": 15.0, "open_s": 90.0, "open_tip_c": 20.0},
        None, freezing=True),
    Row(interlocks.no_cooling, {}, {"filtered_tip_c": 15.01, "open_s": 97.0, "open_tip_c": 20.0},
        TripNotice(Trip.NO_COOLING, 15.01, 15.0, "°C"), freezing=True),
    Row(interlocks.no_cooling, {}, {"filtered_tip_c": 15.01, "open_s": 97.01, "open_tip_c": 20.0},
        None, freezing=True),
    Row(interlocks.no_cooling, {}, {"filtered_tip_c": -10.0, "open_s": 90.0, "open_tip_c": -10.0},
        TripNotice(Trip.NO_COOLING, -10.0, -15.0, "°C"), freezing=True),
    Row(interlocks.no_cooling, {}, {"filtered_tip_c": -10.01, "open_s": 90.0,
                                    "open_tip_c": -10.01}, None, freezing=True),
    Row(interlocks.flow_high, {"exhaust_flow_mg_s": 45.5}, {"flow_high_s": 90.0}, None),
    Row(interlocks.flow_high, {"exhaust_flow_mg_s": 45.51}, {"flow_high_s": 99.705}, None),
    Row(interlocks.flow_high, {"exhaust_flow_mg_s": 45.51}, {"flow_high_s": 99.69},
        TripNotice(Trip.FLOW_HIGH, 45.51, 45.5, "mg/s")),
    Row(interlocks.sensor_open, {"open_circuit": int(Sensor.EXHAUST_FLOW)},
        {"guards_open_s": 99.901}, None, freezing=True),
    Row(interlocks.sensor_open, {"open_circuit": int(Sensor.EXHAUST_FLOW)},
        {"guards_open_s": 99.89},
        TripNotice(Trip.SENSOR_OPEN, 0.0, 0.0, "", "exhaust flow open"), freezing=True),
    Row(interlocks.sensor_open, {"open_circuit": int(Sensor.EXHAUST_FLOW)},
        {"guards_open_s": 90.0}, None),
    Row(interlocks.sensor_open, {"open_circuit": int(Sensor.TIP_2 | Sensor.SKIN)},
        {"guards_open_s": 90.0}, None, freezing=True),
]
# fmt: on


@pytest.mark.requirement("SR-05")
@pytest.mark.requirement("SR-07")
@pytest.mark.requirement("SR-08")
@pytest.mark.requirement("SR-16")
@pytest.mark.parametrize("row", AT_LIMITS, ids=lambda row: row.check.__name__)
def test_each_check_trips_from_its_limit_on_and_tells_it(row: Row) -> None:
    found = told(row)

    if row.notice is None:
        assert found is None
    else:
        assert found is not None
        assert found._replace(value=0.0, limit=0.0) == row.notice._replace(value=0.0, limit=0.0)
        assert (found.value, found.limit) == pytest.approx(row.notice[1:3], rel=1e-9)


# What a check remembers of the moment at which its limit was first broken, or was not.
# fmt: off
REMEMBERED = [
    (Row(interlocks.leak, {"exhaust_flow_mg_s": 2.0}, {"valve_shut_s": 90.0}, None),
     {"leak_s": 100.0}),
    (Row(interlocks.leak, {"exhaust_flow_mg_s": 1.0}, {"valve_shut_s": 90.0, "leak_s": 99.5},
         None), {"leak_s": None}),
    (Row(interlocks.leak, {"exhaust_flow_mg_s": None}, {"valve_shut_s": 90.0, "leak_s": 99.5},
         None), {"leak_s": None}),
    (Row(interlocks.skin_cold, {"skin_temp_c": 4.0}, {}, None, freezing=True),
     {"skin_cold_s": 100.0}),
    (Row(interlocks.skin_cold, {"skin_temp_c": 6.0}, {"skin_cold_s": 99.7}, None, freezing=True),
     {"skin_cold_s": None}),
    (Row(interlocks.skin_cold, {"skin_temp_c": 4.0}, {"skin_cold_s": 99.7}, None),
     {"skin_cold_s": None}),
    (Row(interlocks.frozen_reading, STILL, {}, None), {"still_tip_c": -60.0, "still_s": 100.0}),
    (Row(interlocks.frozen_reading, STILL, {"still_tip_c": -59.9, "still_s": 99.7}, None),
     {"still_tip_c": -60.0, "still_s": 100.0}),
    (Row(interlocks.frozen_reading, {}, {"still_tip_c": -59.9}, None), {"still_tip_c": None}),
    (Row(interlocks.unexplained_reading, {}, {"residual_c": 9.0}, None), {"residual_s": 100.0}),
    (Row(interlocks.unexplained_reading, {}, {"residual_c": 7.0, "residual_s": 99.7}, None),
     {"residual_s": None}),
    (Row(interlocks.unexplained_reading, {}, {"residual_s": 99.7}, None), {"residual_s": None}),
    (Row(interlocks.no_cooling, {}, {"filtered_tip_c": 20.0}, None, freezing=True),
     {"open_s": 100.0, "open_tip_c": 20.0}),
    (Row(interlocks.no_cooling, {}, {"filtered_tip_c": 20.0, "open_s": 99.0}, None),
     {"open_s": None}),
    (Row(interlocks.flow_high, {"exhaust_flow_mg_s": 46.0}, {}, None), {"flow_high_s": 100.0}),
    (Row(interlocks.flow_high, {"exhaust_flow_mg_s": 45.0}, {"flow_high_s": 99.8}, None),
     {"flow_high_s": None}),
    (Row(interlocks.flow_high, {"exhaust_flow_mg_s": None}, {"flow_high_s": 99.8}, None),
     {"flow_high_s": None}),
    (Row(interlocks.sensor_open, {"open_circuit": int(Sensor.EXHAUST_FLOW)}, {}, None,
         freezing=True), {"guards_open_s": 100.0}),
    (Row(interlocks.sensor_open, {"open_circuit": int(Sensor.EXHAUST_FLOW)},
         {"guards_open_s": 99.95}, None), {"guards_open_s": None}),
    (Row(interlocks.sensor_open, {}, {"guards_open_s": 99.95}, None, freezing=True),
     {"guards_open_s": None}),
]
# fmt: on


@pytest.mark.parametrize(("row", "expected"), REMEMBERED)
def test_a_check_counts_from_the_first_sample_that_breaks_its_limit_and_forgets_with_the_last(
    row: Row, expected: dict[str, Any]
) -> None:
    memory = Memory(**row.memory)
    build = a_freezing_sample if row.freezing else a_sample

    assert row.check(build(**row.sample), memory, n2o_limits(), 100.0) is None

    assert {name: getattr(memory, name) for name in expected} == expected


@pytest.mark.requirement("SR-12")
def test_a_freeze_that_has_proved_its_cooling_is_asked_no_more() -> None:
    memory = Memory(filtered_tip_c=14.0, open_s=90.0, open_tip_c=20.0)
    limits = n2o_limits()
    assert interlocks.no_cooling(a_freezing_sample(), memory, limits, 100.0) is None

    memory.filtered_tip_c = 19.0

    assert interlocks.no_cooling(a_freezing_sample(), memory, limits, 101.0) is None


@pytest.mark.requirement("SR-07")
@pytest.mark.parametrize(
    ("valve_shut_s", "coasting"), [(None, True), (97.705, True), (97.695, False)]
)
def test_gas_may_flow_for_the_coast_and_300_ms(valve_shut_s: float | None, coasting: bool) -> None:
    memory = Memory(valve_shut_s=valve_shut_s)

    assert interlocks.is_coasting(memory, n2o_limits(), 100.0) is coasting


@pytest.mark.requirement("SR-23")
@pytest.mark.parametrize("output", ["valve", "tip_heater", "stimulus_ma"])
def test_six_rejected_frames_are_told_with_their_limit(output: str) -> None:
    sample = a_sample(**{output: 0.001})

    assert too_many_rejects(sample, 5) is None
    assert too_many_rejects(sample, 6) == TripNotice(Trip.INTEGRITY, 6, 5, "frames/s")
    assert too_many_rejects(a_sample(state=DeviceState.FREEZE), 60) is None


@pytest.mark.requirement("SR-35")
def test_a_late_tick_is_told_with_its_limit() -> None:
    assert tick_late(0.15) is None
    assert tick_late(0.151) == TripNotice(Trip.TICK_LATE, 0.151, 0.15, "s")


@pytest.mark.requirement("SR-03")
def test_a_silent_probe_is_told_with_the_age_of_its_last_word() -> None:
    assert link_lost(0.15, 0.15) is None
    assert link_lost(0.151, 0.15) == TripNotice(Trip.LINK, 0.151, 0.15, "s")


@pytest.mark.requirement("SR-26")
def test_a_command_that_failed_has_no_figures() -> None:
    assert command_failed("START: refused") == TripNotice(
        Trip.COMMAND_FAILED, 0.0, 0.0, "", "START: refused"
    )


@pytest.mark.requirement("SR-41")
def test_without_any_sample_no_valve_is_proved_shut() -> None:
    assert not Interlocks(n2o_limits(), "N2O", Memory(valve_shut_s=0.0)).valve_is_proved
