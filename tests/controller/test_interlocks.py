"""Each interlock: the last value allowed, the first refused, how long, and what comes first.

Numbers are the requirements', written out: a test that took them from the code would share its
mistakes.
"""

from __future__ import annotations

from typing import Any

import pytest

from cryoctl.interlocks import Interlocks, Memory, TripNotice
from cryoctl.sample import Sample
from cryoctl_protocol.codes import DeviceState, Sensor, Trip
from cryoctl_protocol.profile import load_profile
from tests.support.builders import a_freezing_sample, a_sample

PERIOD_MS = 20


class Watch:
    """Shows samples to the interlocks, one every 20 ms of host and device time."""

    def __init__(self, profile: str = "n2o-20g") -> None:
        loaded = load_profile(profile)
        self.interlocks = Interlocks(loaded.limits, loaded.probe.gas)
        self.count = 0

    @property
    def now_s(self) -> float:
        """When the next sample will be shown."""
        return self.count * PERIOD_MS / 1000.0

    def see(self, sample: Sample, *, rejects: int = 0) -> TripNotice | None:
        """Show one sample."""
        now_s = self.now_s
        stamped = sample._replace(device_ms=self.count * PERIOD_MS)
        self.count += 1
        return self.interlocks.check(stamped, now_s, rejects=rejects)

    def first_trip(self, sample: Sample, *, within_s: float) -> tuple[float, Trip] | None:
        """Show the same sample again and again; return when it trips and why."""
        until_s = self.now_s + within_s
        while self.now_s <= until_s:
            now_s = self.now_s
            notice = self.see(sample)
            if notice is not None:
                return now_s, notice.trip
        return None

    def see_dithered(self, sample: Sample, *, for_s: float) -> TripNotice | None:
        """Show a sample whose tip has a live sensor's noise; return the first notice."""
        until_s = self.now_s + for_s
        while self.now_s < until_s:
            assert sample.tip_temp_c is not None
            tip_c = sample.tip_temp_c + 0.06 * (self.count % 2)
            notice = self.see(sample._replace(tip_temp_c=tip_c))
            if notice is not None:
                return notice
        return None


def verdict_on(sample: Sample, profile: str = "n2o-20g") -> Trip | None:
    """Return what the interlocks say to ``sample`` as the very first one."""
    notice = Watch(profile).see(sample)
    return None if notice is None else notice.trip


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


# -- SR-05: the floor ----------------------------------------------------------------------------


@pytest.mark.requirement("SR-05")
@pytest.mark.parametrize(
    ("profile", "tip_c", "expected"),
    [
        ("n2o-20g", -84.999, None),
        ("n2o-20g", -85.0, Trip.TIP_FLOOR),
        ("n2o-27gx3", -84.999, None),
        ("n2o-27gx3", -85.0, Trip.TIP_FLOOR),
        ("co2-20g", -81.999, None),
        ("co2-20g", -82.0, Trip.TIP_FLOOR),
    ],
)
def test_the_first_plausible_sample_at_the_floor_trips(
    profile: str, tip_c: float, expected: Trip | None
) -> None:
    assert verdict_on(a_freezing_sample(tip_temp_c=tip_c), profile) is expected


@pytest.mark.requirement("SR-05")
def test_the_notice_of_the_floor_tells_value_limit_and_unit() -> None:
    notice = Watch().see(a_freezing_sample(tip_temp_c=-86.5))

    assert notice == TripNotice(Trip.TIP_FLOOR, -86.5, -85.0, "°C")


@pytest.mark.requirement("SR-05")
@pytest.mark.requirement("SR-11")
def test_an_implausible_sample_below_the_floor_is_a_bad_sensor_and_no_cold_tip() -> None:
    watch = Watch()
    too_cold = a_freezing_sample(tip_temp_c=-92.001, exhaust_pressure_bar=None)

    seen = [watch.see(too_cold) for _ in range(3)]

    assert seen == [None, None, TripNotice(Trip.TIP_SENSOR, -92.001, -92.0, "°C")]


# -- SR-11: plausibility -------------------------------------------------------------------------


@pytest.mark.requirement("SR-11")
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"tip_temp_c": 80.0}, Trip.HEATER),  # Believed, and far too hot.
        ({"tip_temp_c": 80.001}, Trip.TIP_SENSOR),
        ({"tip_temp_c": -92.0, "exhaust_pressure_bar": None}, Trip.TIP_FLOOR),
        ({"tip_temp_c": -92.001, "exhaust_pressure_bar": None}, Trip.TIP_SENSOR),
        ({"tip_temp_c": -110.0, "exhaust_pressure_bar": None}, Trip.TIP_SENSOR),
        ({"open_circuit": int(Sensor.TIP)}, Trip.TIP_SENSOR),
        ({"open_circuit": int(Sensor.TIP_2 | Sensor.SKIN)}, None),
        # N2O boils at -78.2 C at 1.8 bar: 4 C below that nothing can be.
        ({"tip_temp_c": -81.2, "exhaust_pressure_bar": 1.8}, None),
        ({"tip_temp_c": -83.2, "exhaust_pressure_bar": 1.8}, Trip.TIP_SENSOR),
        ({"tip_temp_c": -83.2, "exhaust_pressure_bar": 1.013}, None),
        ({"tip_temp_c": -83.2, "exhaust_pressure_bar": None}, None),
    ],
)
def test_a_temperature_no_tip_can_have_is_a_sensor_fault(
    changes: dict[str, Any], expected: Trip | None
) -> None:
    watch = Watch()
    sample = a_sample(**changes)

    found = [watch.see(sample) for _ in range(3)][-1]

    assert (None if found is None else found.trip) is expected


@pytest.mark.requirement("SR-11")
def test_for_carbon_dioxide_the_line_is_its_own_sublimation_point() -> None:
    # -78.5 C at 1.013 bar; N2O could be at -84 C there.
    watch, other = Watch("co2-20g"), Watch("n2o-20g")
    sample = a_freezing_sample(tip_temp_c=-84.0, exhaust_pressure_bar=1.013)

    assert [watch.see(sample) for _ in range(3)][-1] is not None
    assert [other.see(sample) for _ in range(3)] == [None] * 3


@pytest.mark.requirement("SR-11")
@pytest.mark.parametrize(
    ("pattern", "trips_at"),
    [
        ("B....", None),
        ("B.B..", None),  # Two bad ones of five.
        ("BB...B....BB", None),
        ("BBB", 3),
        ("B.B.B", 5),
        ("BB..B", 5),
        ("B..BB", 5),
        ("B...BB", None),  # The first is the sixth from the end by then.
        (".B.BB", 5),
    ],
)
def test_three_bad_samples_in_five_trip_and_fewer_do_not(
    pattern: str, trips_at: int | None
) -> None:
    watch = Watch()

    seen = [
        watch.see(a_sample(open_circuit=int(Sensor.TIP) if mark == "B" else 0)) for mark in pattern
    ]

    trips = [index + 1 for index, notice in enumerate(seen) if notice is not None]
    assert trips == ([] if trips_at is None else [trips_at])


@pytest.mark.requirement("SR-11")
@pytest.mark.parametrize(("step_c", "trips"), [(5.0, False), (5.001, True)])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_steps_above_250_c_per_s_are_bad_samples(step_c: float, sign: float, trips: bool) -> None:
    watch = Watch()

    seen = [watch.see(a_sample(tip_temp_c=10.0 + sign * step_c * n)) for n in range(4)]

    assert [notice is not None for notice in seen] == [False, False, False, trips]


@pytest.mark.requirement("SR-11")
def test_one_isolated_wild_sample_is_tolerated_and_taken_for_no_cold_tip() -> None:
    watch = Watch()
    hold = a_freezing_sample()
    for _ in range(3):
        assert watch.see(hold) is None

    seen = [watch.see(a_freezing_sample(tip_temp_c=-90.0, exhaust_pressure_bar=None))]
    seen += [watch.see(hold) for _ in range(10)]

    assert seen == [None] * 11


@pytest.mark.requirement("SR-11")
def test_samples_that_a_link_delivers_in_one_bunch_are_still_20_ms_apart() -> None:
    interlocks = Watch().interlocks
    cooling = [
        a_freezing_sample(device_ms=20 * n, tip_temp_c=-20.0 - 0.9 * n) for n in range(8)
    ]  # 45 C/s, the fastest loaded rate.

    seen = [interlocks.check(sample, 1.0, rejects=0) for sample in cooling]

    assert seen == [None] * 8


@pytest.mark.requirement("SR-11")
def test_the_device_clock_may_wrap_between_two_samples() -> None:
    interlocks = Watch().interlocks
    clock_ms = [2**32 - 40, 2**32 - 20, 0, 20, 40]

    seen = [
        interlocks.check(
            a_freezing_sample(device_ms=ms, tip_temp_c=-20.0 - 0.9 * n), 0.02 * n, rejects=0
        )
        for n, ms in enumerate(clock_ms)
    ]

    assert seen == [None] * 5


@pytest.mark.requirement("SR-11")
def test_a_sensor_that_opens_between_samples_trips_with_the_tip_missing_from_the_device() -> None:
    watch = Watch()
    watch.interlocks.memory.bad_history = 0b111

    assert watch.see(a_sample(tip_temp_c=None)) == TripNotice(Trip.TIP_SENSOR, 0.0, -92.0, "°C")


# -- SR-18: pressures ----------------------------------------------------------------------------


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
@pytest.mark.parametrize(
    ("pressure_bar", "expected"), [(2.5, None), (2.501, Trip.EXHAUST_BLOCKED)]
)
def test_a_blocked_exhaust_trips(pressure_bar: float, expected: Trip | None) -> None:
    assert verdict_on(a_sample(exhaust_pressure_bar=pressure_bar)) is expected


# -- SR-15, SR-16: the tip heater ----------------------------------------------------------------


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
    heating = a_sample(tip_heater=0.2, state=DeviceState.THAW)

    assert Watch().first_trip(heating, within_s=30.0) == (20.02, Trip.HEATER)


@pytest.mark.requirement("SR-16")
def test_a_heater_that_was_off_in_between_starts_its_20_s_anew() -> None:
    watch = Watch()
    heating = a_sample(tip_heater=0.2, state=DeviceState.THAW)
    assert watch.first_trip(heating, within_s=19.98) is None

    assert watch.see(a_sample(state=DeviceState.THAW)) is None

    assert watch.first_trip(heating, within_s=19.98) is None


# -- SR-07, SR-08: the valve does not shut, or leaks ---------------------------------------------


@pytest.mark.requirement("SR-07")
def test_flow_above_a_tenth_of_nominal_trips_after_coast_and_300_ms() -> None:
    # Nominal 35 mg/s, coast 2 s.
    flowing = a_sample(exhaust_flow_mg_s=3.501)

    assert Watch().first_trip(flowing, within_s=10.0) == (2.32, Trip.VALVE_STUCK)


@pytest.mark.requirement("SR-07")
def test_the_flow_of_the_emptying_line_trips_nothing() -> None:
    watch = Watch()

    assert watch.first_trip(a_sample(exhaust_flow_mg_s=35.0), within_s=2.0) is None
    assert watch.first_trip(a_sample(exhaust_flow_mg_s=0.0), within_s=2.0) is None


@pytest.mark.requirement("SR-07")
def test_flow_of_a_tenth_of_nominal_is_a_leak_and_no_stuck_valve() -> None:
    trip = Watch().first_trip(a_sample(exhaust_flow_mg_s=3.5), within_s=10.0)

    assert trip == (3.02, Trip.LEAK)


@pytest.mark.requirement("SR-07")
def test_the_count_starts_when_the_valve_shuts_and_anew_after_every_opening() -> None:
    watch = Watch()
    flowing = a_sample(exhaust_flow_mg_s=30.0, skin_temp_c=None)
    assert watch.first_trip(flowing, within_s=2.28) is None
    assert watch.see(flowing._replace(valve=0.5)) is None
    shut_s = watch.now_s

    trip = watch.first_trip(flowing, within_s=10.0)

    assert trip is not None
    assert 2.3 <= trip[0] - shut_s <= 2.321


def falling(tip_c: float, rate_c_per_s: float) -> tuple[float, Trip] | None:
    """Return when and why a tip trips that falls with the valve shut."""
    watch = Watch()
    while watch.now_s < 6.0:
        now_s = watch.now_s
        notice = watch.see(a_sample(tip_temp_c=tip_c + rate_c_per_s * now_s))
        if notice is not None:
            return now_s, notice.trip
    return None


@pytest.mark.requirement("SR-07")
@pytest.mark.parametrize(
    ("tip_c", "rate_c_per_s", "expected"),
    [
        (-20.0, -1.02, (2.32, Trip.VALVE_STUCK)),
        (-20.0, -0.99, None),
        (-20.0, +2.0, None),
        (20.0, -3.0, None),  # Warmer than -10 C a tip may cool by itself.
    ],
)
def test_a_cold_tip_that_falls_on_with_the_valve_shut_trips(
    tip_c: float, rate_c_per_s: float, expected: tuple[float, Trip] | None
) -> None:
    assert falling(tip_c, rate_c_per_s) == expected


@pytest.mark.requirement("SR-07")
def test_the_noise_of_a_thawing_tip_is_no_cooling() -> None:
    assert Watch().see_dithered(a_sample(tip_temp_c=-15.0), for_s=30.0) is None


@pytest.mark.requirement("SR-08")
@pytest.mark.parametrize(
    ("flow_mg_s", "expected"),
    [(1.75, None), (1.751, (3.02, Trip.LEAK)), (None, None)],  # 5 % of 35 mg/s.
)
def test_a_little_flow_for_a_second_after_the_coast_is_a_leak(
    flow_mg_s: float | None, expected: tuple[float, Trip] | None
) -> None:
    assert Watch().first_trip(a_sample(exhaust_flow_mg_s=flow_mg_s), within_s=10.0) == expected


@pytest.mark.requirement("SR-08")
def test_a_leak_must_last_a_whole_second_without_a_break() -> None:
    watch = Watch()
    leaking = a_sample(exhaust_flow_mg_s=2.0)
    assert watch.first_trip(leaking, within_s=3.0) is None
    assert watch.see(a_sample(exhaust_flow_mg_s=1.0)) is None
    again_s = watch.now_s

    trip = watch.first_trip(leaking, within_s=10.0)

    assert trip == (pytest.approx(again_s + 1.0), Trip.LEAK)


# -- SR-12: a reading that stands still, a valve without cold ------------------------------------


@pytest.mark.requirement("SR-12")
def test_a_reading_that_does_not_move_for_a_second_trips_while_the_valve_is_open() -> None:
    trip = Watch().first_trip(a_freezing_sample(), within_s=10.0)

    assert trip == (1.02, Trip.TIP_FROZEN_READING)
    assert trip[0] <= 1.2


@pytest.mark.requirement("SR-12")
@pytest.mark.parametrize(("moves_c", "trips"), [(0.049, True), (0.05, False)])
def test_a_reading_that_moves_by_a_twentieth_of_a_degree_is_alive(
    moves_c: float, trips: bool
) -> None:
    watch = Watch()

    seen = [
        watch.see(a_freezing_sample(tip_temp_c=0.0 if count % 2 else moves_c))
        for count in range(150)
    ]

    assert any(notice is not None for notice in seen) is trips


@pytest.mark.requirement("SR-12")
def test_a_valve_that_is_all_but_shut_asks_for_no_movement() -> None:
    assert Watch().first_trip(a_freezing_sample(valve=0.05), within_s=10.0) is None


@pytest.mark.requirement("SR-12")
def test_each_opening_of_the_valve_starts_the_second_anew() -> None:
    watch = Watch()
    for _ in range(5):
        assert watch.first_trip(a_freezing_sample(), within_s=0.98) is None
        assert watch.see(a_freezing_sample(valve=0.0)) is None


@pytest.mark.requirement("SR-12")
@pytest.mark.parametrize(
    ("fallen_c", "expected"), [(5.5, None), (4.5, Trip.NO_COOLING), (0.0, Trip.NO_COOLING)]
)
def test_a_freeze_that_does_not_cool_trips_after_three_seconds(
    fallen_c: float, expected: Trip | None
) -> None:
    watch = Watch()
    cooling = a_freezing_sample(tip_temp_c=33.0)
    while watch.now_s < 2.98:
        tip_c = 33.0 - fallen_c * min(1.0, watch.now_s / 1.0) + 0.06 * (watch.count % 2)
        assert watch.see(cooling._replace(tip_temp_c=tip_c)) is None

    after = watch.see_dithered(cooling._replace(tip_temp_c=33.0 - fallen_c), for_s=0.06)

    assert (None if after is None else after.trip) is expected


@pytest.mark.requirement("SR-12")
def test_a_freeze_that_has_cooled_once_or_began_cold_is_asked_for_no_more() -> None:
    watch = Watch()
    while watch.now_s < 3.1:
        tip_c = 33.0 - 20.0 * watch.now_s
        assert watch.see(a_freezing_sample(tip_temp_c=tip_c)) is None

    assert watch.see_dithered(a_freezing_sample(tip_temp_c=-29.0), for_s=10.0) is None
    assert Watch().see_dithered(a_freezing_sample(tip_temp_c=-11.0), for_s=10.0) is None


@pytest.mark.requirement("SR-12")
def test_every_freeze_must_prove_its_cooling_itself() -> None:
    watch = Watch()
    while watch.now_s < 3.1:
        assert watch.see(a_freezing_sample(tip_temp_c=33.0 - 20.0 * watch.now_s)) is None
    thaw_s = watch.now_s
    while watch.now_s < thaw_s + 5.0:
        tip_c = min(33.0, -29.0 + 20.0 * (watch.now_s - thaw_s))
        assert watch.see(a_sample(state=DeviceState.THAW, tip_temp_c=tip_c)) is None

    notice = watch.see_dithered(a_freezing_sample(tip_temp_c=33.0), for_s=4.0)

    assert notice is not None
    assert notice.trip is Trip.NO_COOLING


# -- SR-17: skin ---------------------------------------------------------------------------------


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


# -- SR-20: too much flow ------------------------------------------------------------------------


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


# -- SR-23: damaged frames -----------------------------------------------------------------------


@pytest.mark.requirement("SR-23")
@pytest.mark.parametrize(
    ("rejects", "changes", "expected"),
    [
        (5, {"valve": 0.7}, None),
        (6, {"valve": 0.7}, Trip.INTEGRITY),
        (6, {"tip_heater": 0.1}, Trip.INTEGRITY),
        (60, {"skin_warmer": 1.0}, None),
        (60, {}, None),
    ],
)
def test_more_than_five_rejected_frames_in_a_second_trip_while_an_output_is_on(
    rejects: int, changes: dict[str, Any], expected: Trip | None
) -> None:
    notice = Watch().see(a_sample(**changes), rejects=rejects)

    assert (None if notice is None else notice.trip) is expected


# -- order ---------------------------------------------------------------------------------------

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
        notice = Interlocks(profile.limits, "N2O", memory).check(sample, NOW_S, rejects=6)
        assert notice is not None
        reported.append(notice.trip)
        if notice.trip is Trip.INTEGRITY:
            break
        mended.append(notice.trip)

    assert reported == order


def test_overpressure_comes_before_a_blocked_exhaust_and_both_after_the_floor() -> None:
    both = a_sample(supply_pressure_bar=70.0, exhaust_pressure_bar=2.6)
    blocked = a_sample(exhaust_pressure_bar=2.6, thaw_energy_j=6.0)

    assert verdict_on(both) is Trip.OVERPRESSURE
    assert verdict_on(blocked) is Trip.EXHAUST_BLOCKED
    assert verdict_on(a_sample(tip_temp_c=-85.0, supply_pressure_bar=70.0)) is Trip.TIP_FLOOR
