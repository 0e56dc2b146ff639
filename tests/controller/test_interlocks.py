"""Pressures, heater, skin, flow and damaged frames; and what comes first of many.

Numbers are the requirements', written out: a test that took them from the code would share its
mistakes.
"""

from __future__ import annotations

from typing import Any

import pytest

from cryoctl.interlocks import Interlocks, Memory, TripNotice, frozen_guard, skin_hot
from cryoctl.sample import Sample
from cryoctl_protocol.codes import DeviceState, Sensor, Trip
from cryoctl_protocol.profile import load_profile
from tests.support.builders import a_freezing_sample, a_sample
from tests.support.watch import Watch, lively, verdict_on


def test_a_healthy_probe_trips_nothing_for_a_minute_at_rest_and_a_minute_in_a_hold() -> None:
    watch = Watch()

    assert watch.first_trip(a_sample(), within_s=60.0) is None
    assert Watch().see_dithered(a_freezing_sample(), for_s=60.0) is None


def test_a_probe_without_any_sensor_breaks_no_limit() -> None:
    blind = a_freezing_sample(
        tip_temp_c=None,
        tip_2_temp_c=None,
        skin_temp_c=None,
        supply_pressure_bar=None,
        exhaust_pressure_bar=None,
        exhaust_flow_mg_s=None,
        cartridge_temp_c=None,
        battery_v=None,
    )
    watch = Watch()

    assert watch.first_trip(blind, within_s=5.0) is None
    assert watch.first_trip(blind._replace(valve=0.0, state=7), within_s=5.0) is None


# -- SR-18: pressures ------------------------------------------------------------------------------


@pytest.mark.requirement("SR-18")
@pytest.mark.parametrize(
    ("profile", "pressure_bar", "expected"),
    [
        ("n2o-20g", 68.0, None),
        ("n2o-20g", 68.001, Trip.OVERPRESSURE),
        ("co2-20g", 76.0, None),
        ("co2-20g", 76.001, Trip.OVERPRESSURE),
    ],
)
def test_supply_pressure_above_the_trip_value_trips(
    profile: str, pressure_bar: float, expected: Trip | None
) -> None:
    assert verdict_on(a_sample(supply_pressure_bar=pressure_bar), profile) is expected


@pytest.mark.requirement("SR-18")
@pytest.mark.parametrize(("pressure_bar", "expected"), [(2.5, None), (2.501, Trip.EXHAUST_BLOCKED)])
def test_a_blocked_exhaust_trips(pressure_bar: float, expected: Trip | None) -> None:
    assert verdict_on(a_sample(exhaust_pressure_bar=pressure_bar)) is expected


# -- SR-15, SR-16: the tip heater ------------------------------------------------------------------


@pytest.mark.requirement("SR-15")
@pytest.mark.parametrize(
    ("valve", "tip_heater", "skin_warmer", "expected"),
    [
        (0.001, 0.001, 0.0, Trip.OUTPUTS_OVERLAP),
        (1.0, 0.0, 1.0, None),
        (0.0, 1.0, 1.0, None),
        (0.0, 0.0, 0.0, None),
    ],
)
def test_valve_and_tip_heater_on_together_trip_and_the_skin_warmer_is_another_thing(
    valve: float, tip_heater: float, skin_warmer: float, expected: Trip | None
) -> None:
    sample = a_sample(valve=valve, tip_heater=tip_heater, skin_warmer=skin_warmer)

    assert verdict_on(sample) is expected


@pytest.mark.requirement("SR-16")
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"tip_temp_c": 43.0}, None),
        ({"tip_temp_c": 43.001}, Trip.HEATER),
        ({"tip_temp_c": 43.001, "open_circuit": int(Sensor.TIP)}, None),  # Not believed.
        ({"thaw_energy_j": 5.0}, None),
        ({"thaw_energy_j": 5.25}, None),  # The probe's own 5 J trip first.
        ({"thaw_energy_j": 5.251}, Trip.HEATER),
        ({"thaw_energy_j": 5.251, "tip_temp_c": None}, Trip.HEATER),
    ],
)
def test_a_tip_too_hot_or_too_much_heat_trips(
    changes: dict[str, Any], expected: Trip | None
) -> None:
    assert verdict_on(a_sample(**changes)) is expected


@pytest.mark.requirement("SR-16")
def test_a_heater_on_for_more_than_20_s_trips() -> None:
    heating = a_sample(tip_heater=0.001, state=DeviceState.THAW)

    assert Watch().first_trip(heating, within_s=30.0) == (20.02, Trip.HEATER)


@pytest.mark.requirement("SR-16")
def test_a_heater_that_was_off_in_between_starts_its_20_s_anew() -> None:
    watch = Watch()
    heating = a_sample(tip_heater=0.2, state=DeviceState.THAW)
    assert watch.first_trip(heating, within_s=19.98) is None

    assert watch.see(a_sample(state=DeviceState.THAW)) is None

    assert watch.first_trip(heating, within_s=19.98) is None


# -- SR-17: skin -----------------------------------------------------------------------------------


@pytest.mark.requirement("SR-17")
@pytest.mark.parametrize(
    ("skin_c", "expected"), [(5.0, None), (4.999, (0.5, Trip.SKIN_COLD)), (None, None)]
)
def test_cold_skin_for_half_a_second_ends_a_freeze(
    skin_c: float | None, expected: tuple[float, Trip] | None
) -> None:
    # The valve pauses, so that the tip that stands still is no matter here.
    sample = a_freezing_sample(skin_temp_c=skin_c, valve=0.0, exhaust_flow_mg_s=0.0)

    assert Watch().first_trip(sample, within_s=5.0) == expected


@pytest.mark.requirement("SR-17")
@pytest.mark.parametrize("warm", [{"skin_temp_c": 5.0}, {"state": DeviceState.THAW}])
def test_the_half_second_starts_anew_when_the_skin_warms_or_the_freeze_ends(
    warm: dict[str, Any],
) -> None:
    watch = Watch()
    cold = a_freezing_sample(skin_temp_c=4.0, valve=0.0, exhaust_flow_mg_s=0.0)
    assert watch.first_trip(cold, within_s=0.46) is None

    assert watch.see(cold._replace(**warm)) is None

    assert watch.first_trip(cold, within_s=0.46) is None


@pytest.mark.requirement("SR-17")
def test_cold_skin_outside_a_freeze_is_not_the_probes_doing() -> None:
    cold = a_sample(skin_temp_c=4.0, state=DeviceState.THAW)

    assert Watch().first_trip(cold, within_s=5.0) is None


# -- SR-20: too much flow --------------------------------------------------------------------------


@pytest.mark.requirement("SR-20")
@pytest.mark.parametrize(
    ("profile", "flow_mg_s", "expected"),
    [
        ("n2o-20g", 45.5, None),  # 130 % of 35 mg/s.
        ("n2o-20g", 45.501, (0.3, Trip.FLOW_HIGH)),
        ("n2o-27gx3", 97.5, None),  # 130 % of 75 mg/s.
        ("n2o-27gx3", 97.501, (0.3, Trip.FLOW_HIGH)),
    ],
)
def test_more_flow_than_the_needle_can_pass_trips_after_300_ms(
    profile: str, flow_mg_s: float, expected: tuple[float, Trip] | None
) -> None:
    sample = a_freezing_sample(exhaust_flow_mg_s=flow_mg_s)

    assert Watch(profile).first_trip(sample, within_s=0.9) == expected


@pytest.mark.requirement("SR-20")
def test_short_bursts_of_flow_are_no_leak() -> None:
    watch = Watch()
    for _ in range(3):
        assert watch.first_trip(a_freezing_sample(exhaust_flow_mg_s=60.0), within_s=0.26) is None
        assert watch.see(a_freezing_sample(exhaust_flow_mg_s=45.5)) is None


# -- SR-23: damaged frames -------------------------------------------------------------------------


@pytest.mark.requirement("SR-23")
@pytest.mark.parametrize(
    ("rejects", "changes", "expected"),
    [
        (5, {"valve": 0.7}, None),
        (6, {"valve": 0.001}, Trip.INTEGRITY),
        (6, {"tip_heater": 0.001}, Trip.INTEGRITY),
        (60, {"skin_warmer": 1.0}, None),
        (60, {}, None),
    ],
)
def test_more_than_five_rejected_frames_in_a_second_trip_while_an_output_is_on(
    rejects: int, changes: dict[str, Any], expected: Trip | None
) -> None:
    notice = Watch().see(a_sample(**changes), rejects=rejects)

    assert (None if notice is None else notice.trip) is expected


# -- order -----------------------------------------------------------------------------------------


NOW_S = 100.0


def everything_wrong(*, valve: float) -> tuple[Sample, Memory]:
    """Return a sample that breaks every limit it can, and a past long enough for all of them."""
    sample = a_sample(
        device_ms=100_000,
        state=DeviceState.FREEZE,
        open_circuit=int(Sensor.TIP),
        tip_temp_c=-85.0,
        supply_pressure_bar=70.0,
        exhaust_pressure_bar=2.6,
        valve=valve,
        tip_heater=0.5,
        thaw_energy_j=6.0,
        exhaust_flow_mg_s=50.0,
        skin_temp_c=4.0,
    )
    memory = Memory(
        bad_history=0b11,
        valve_shut_s=None if valve else 90.0,
        leak_s=90.0,
        still_tip_c=33.0,
        still_s=90.0,
        open_s=90.0,
        open_tip_c=33.0,
        skin_cold_s=90.0,
        flow_high_s=90.0,
        last_s=99.98,
    )
    return sample, memory


MENDED: dict[Trip, tuple[dict[str, Any], dict[str, Any]]] = {
    Trip.TIP_SENSOR: ({"open_circuit": 0, "exhaust_pressure_bar": 1.013}, {"bad_history": 0}),
    Trip.TIP_FLOOR: ({"tip_temp_c": 33.0}, {}),
    Trip.OVERPRESSURE: ({"supply_pressure_bar": 60.0}, {}),
    Trip.EXHAUST_BLOCKED: ({"exhaust_pressure_bar": 1.013}, {}),
    Trip.OUTPUTS_OVERLAP: ({"tip_heater": 0.0}, {}),
    Trip.HEATER: ({"thaw_energy_j": 0.0}, {}),
    Trip.VALVE_STUCK: ({}, {"valve_shut_s": 97.9}),
    Trip.LEAK: ({}, {"valve_shut_s": 99.0}),
    Trip.SKIN_COLD: ({"skin_temp_c": 33.0}, {}),
    Trip.TIP_FROZEN_READING: ({}, {"still_tip_c": 30.0}),
    Trip.NO_COOLING: ({}, {"open_s": 99.0}),
    Trip.FLOW_HIGH: ({"exhaust_flow_mg_s": 30.0}, {}),
}


@pytest.mark.parametrize(
    ("valve", "order"),
    [
        (
            0.0,
            [
                Trip.TIP_SENSOR,
                Trip.TIP_FLOOR,
                Trip.OVERPRESSURE,
                Trip.HEATER,
                Trip.VALVE_STUCK,
                Trip.LEAK,
                Trip.SKIN_COLD,
                Trip.NO_COOLING,
                Trip.FLOW_HIGH,
                Trip.INTEGRITY,
            ],
        ),
        (
            0.7,
            [
                Trip.TIP_SENSOR,
                Trip.TIP_FLOOR,
                Trip.OVERPRESSURE,
                Trip.OUTPUTS_OVERLAP,
                Trip.HEATER,
                Trip.SKIN_COLD,
                Trip.TIP_FROZEN_READING,
                Trip.NO_COOLING,
                Trip.FLOW_HIGH,
                Trip.INTEGRITY,
            ],
        ),
    ],
)
def test_of_many_broken_limits_the_most_dangerous_comes_first(
    valve: float, order: list[Trip]
) -> None:
    profile = load_profile("n2o-20g")
    mended: list[Trip] = []
    reported: list[Trip] = []
    while True:
        sample, memory = everything_wrong(valve=valve)
        for trip in mended:
            in_sample, in_memory = MENDED[trip]
            sample = sample._replace(**in_sample)
            for name, value in in_memory.items():
                setattr(memory, name, value)
        worst, *_ = Interlocks(profile.limits, "N2O", memory).check(sample, NOW_S, rejects=6)
        reported.append(worst.trip)
        if worst.trip is Trip.INTEGRITY:
            break
        mended.append(worst.trip)

    assert reported == order


def test_a_limit_that_stays_broken_hides_no_other() -> None:
    limits = load_profile("n2o-20g").limits
    sample, memory = everything_wrong(valve=0.0)

    broken = Interlocks(limits, "N2O", memory).check(sample, NOW_S, rejects=6)

    assert [notice.trip for notice in broken] == [
        Trip.TIP_SENSOR,
        Trip.OVERPRESSURE,
        Trip.EXHAUST_BLOCKED,
        Trip.HEATER,
        Trip.VALVE_STUCK,
        Trip.LEAK,
        Trip.SKIN_COLD,
        Trip.FLOW_HIGH,
        Trip.INTEGRITY,
    ]


def test_overpressure_comes_before_a_blocked_exhaust_and_both_after_the_floor() -> None:
    both = a_sample(supply_pressure_bar=70.0, exhaust_pressure_bar=2.6)
    blocked = a_sample(exhaust_pressure_bar=2.6, thaw_energy_j=6.0)

    assert verdict_on(both) is Trip.OVERPRESSURE
    assert verdict_on(blocked) is Trip.EXHAUST_BLOCKED
    assert verdict_on(a_sample(tip_temp_c=-85.0, supply_pressure_bar=70.0)) is Trip.TIP_FLOOR


# -- SR-42, SR-43: hot skin, and readings that stand still -----------------------------------------


@pytest.mark.requirement("SR-42")
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"skin_temp_c": 43.0}, None),
        ({"skin_temp_c": 43.001}, (0.1, Trip.SKIN_HOT)),
        ({"skin_temp_c": None, "skin_warmer": 0.0}, None),
        ({"skin_temp_c": None, "skin_warmer": 0.001}, (0.1, Trip.SKIN_HOT)),
        ({"skin_temp_c": 40.0, "skin_warmer": 1.0}, None),
    ],
)
def test_hot_skin_or_warming_unseen_trips_after_100_ms(
    changes: dict[str, Any], expected: tuple[float, Trip] | None
) -> None:
    assert Watch().first_trip(a_sample(**changes), within_s=5.0) == expected


@pytest.mark.requirement("SR-42")
def test_hot_skin_for_less_than_100_ms_counts_anew() -> None:
    watch = Watch()
    for _ in range(5):
        assert watch.first_trip(a_sample(skin_temp_c=50.0), within_s=0.08) is None
        assert watch.see(a_sample()) is None


@pytest.mark.requirement("SR-42")
def test_a_warmer_that_goes_off_when_its_sensor_opens_is_well() -> None:
    watch = Watch()
    for _ in range(5):
        warmed = a_sample(skin_temp_c=None, skin_warmer=1.0)
        assert watch.first_trip(warmed, within_s=0.08) is None
        assert watch.see(warmed._replace(skin_warmer=0.0)) is None


@pytest.mark.requirement("SR-43")
@pytest.mark.parametrize(
    ("name", "told", "within_s"),
    [
        ("supply_pressure_bar", "supply pressure", 2.02),
        ("exhaust_pressure_bar", "exhaust pressure", 2.02),
        ("exhaust_flow_mg_s", "exhaust flow", 2.02),
        ("skin_temp_c", "skin", 5.02),
    ],
)
def test_a_reading_that_stands_still_while_gas_flows_trips(
    name: str, told: str, within_s: float
) -> None:
    watch = Watch()
    healthy = a_freezing_sample()
    still = getattr(healthy, name)

    notice, now_s, began_s = (
        None,
        0.0,
        0.98,
    )  # The last healthy sample has the value that then stays.
    while notice is None and watch.now_s < 10.0:
        live = lively(healthy, watch.count % 2, 0.06)
        shown = live if watch.now_s < 1.0 else live._replace(**{name: still})
        now_s = watch.now_s
        notice = watch.see(shown)

    assert notice is not None
    assert (notice.trip, notice.detail) == (Trip.READING_FROZEN, told)
    assert now_s - began_s == pytest.approx(within_s, abs=0.021)


@pytest.mark.requirement("SR-43")
def test_one_count_every_two_seconds_is_a_live_reading() -> None:
    watch = Watch()
    for supply_bar in (50.001, 50.0) * 3:
        for _ in range(100):
            live = lively(a_freezing_sample(), watch.count % 2, 0.06)
            assert watch.see(live._replace(supply_pressure_bar=supply_bar)) is None


@pytest.mark.requirement("SR-43")
@pytest.mark.parametrize("changes", [{"valve": 0.05}, {"valve": 0.0, "exhaust_flow_mg_s": 0.0}])
def test_without_gas_nothing_has_to_move(changes: dict[str, Any]) -> None:
    still = a_freezing_sample(**changes)

    assert Watch().first_trip(still, within_s=10.0) is None


@pytest.mark.requirement("SR-43")
def test_each_opening_of_the_valve_starts_the_two_seconds_anew() -> None:
    watch = Watch()
    still = a_freezing_sample()
    for _ in range(3):
        for _ in range(90):
            moved = still._replace(tip_temp_c=-60.0 + 0.06 * (watch.count % 2))
            assert watch.see(moved) is None
        assert watch.see(still._replace(valve=0.0)) is None


@pytest.mark.requirement("SR-43")
def test_sensors_that_a_probe_lacks_need_not_move() -> None:
    watch = Watch()
    blind = a_freezing_sample(
        supply_pressure_bar=None,
        exhaust_pressure_bar=None,
        exhaust_flow_mg_s=None,
        skin_temp_c=None,
    )

    assert watch.see_dithered(blind, for_s=10.0) is None


@pytest.mark.requirement("SR-42")
@pytest.mark.parametrize(
    ("now_s", "notice"),
    [(1.099, None), (1.101, TripNotice(Trip.SKIN_HOT, 43.5, 43.0, "°C"))],
)
def test_hot_skin_trips_100_ms_after_it_was_seen_first(
    now_s: float, notice: TripNotice | None
) -> None:
    memory, limits = Memory(), load_profile("n2o-20g").limits
    hot = a_sample(skin_temp_c=43.5)
    assert skin_hot(hot, memory, limits, 1.0) is None

    assert skin_hot(hot, memory, limits, now_s) == notice


@pytest.mark.requirement("SR-42")
def test_warming_unseen_is_told_without_a_figure() -> None:
    memory, limits = Memory(), load_profile("n2o-20g").limits
    unseen = a_sample(skin_temp_c=None, skin_warmer=1.0)
    assert skin_hot(unseen, memory, limits, 1.0) is None

    notice = skin_hot(unseen, memory, limits, 1.2)

    detail = "skin warmed while its sensor is open"
    assert notice == TripNotice(Trip.SKIN_HOT, 0.0, 0.0, "", detail)


@pytest.mark.requirement("SR-43")
@pytest.mark.parametrize(("now_s", "trips"), [(3.0, False), (3.001, True)])
def test_a_reading_may_stand_still_for_two_seconds_and_no_longer(now_s: float, trips: bool) -> None:
    memory, limits = Memory(), load_profile("n2o-20g").limits
    still = a_freezing_sample()
    assert frozen_guard(still, memory, limits, 1.0) is None

    assert (frozen_guard(still, memory, limits, now_s) is not None) is trips
