"""The tip: its floor, whether it can be believed, whether it moves.

Numbers are the requirements', written out: a test that took them from the code would share its
mistakes.
"""

from __future__ import annotations

from typing import Any

import pytest

from cryoctl.interlocks import TripNotice
from cryoctl.saturation import saturation_temp_c
from cryoctl_protocol.codes import DeviceState, Sensor, Trip
from tests.support.builders import a_freezing_sample, a_sample
from tests.support.watch import Watch, verdict_on

# -- SR-05: the floor ------------------------------------------------------------------------------


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

    assert seen == [
        None,
        None,
        TripNotice(Trip.TIP_SENSOR, -92.001, -92.0, "°C", "3 of 5 samples impossible"),
    ]


# -- SR-11: plausibility ---------------------------------------------------------------------------


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
@pytest.mark.parametrize(("below_c", "trips"), [(3.99, False), (4.01, True)])
@pytest.mark.parametrize("gas", ["N2O", "CO2"])
def test_four_degrees_below_saturation_nothing_can_be(
    gas: str, below_c: float, trips: bool
) -> None:
    watch = Watch("n2o-20g" if gas == "N2O" else "co2-20g")
    tip_c = saturation_temp_c(gas, 1.8) - below_c
    sample = a_sample(tip_temp_c=tip_c, exhaust_pressure_bar=1.8)

    assert ([watch.see(sample) for _ in range(3)][-1] is not None) is trips


@pytest.mark.requirement("SR-11")
@pytest.mark.requirement("SR-18")
def test_a_blocked_exhaust_does_not_make_the_tip_look_false() -> None:
    # N2O boils at -55 C at 5.4 bar; the tip was colder before the exhaust was shut.
    watch = Watch()
    sample = a_sample(tip_temp_c=-60.0, exhaust_pressure_bar=5.4)

    found = [watch.see(sample) for _ in range(3)]

    assert {notice.trip for notice in found if notice is not None} == {Trip.EXHAUST_BLOCKED}


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

    assert seen == [[]] * 8


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

    assert seen == [[]] * 5


@pytest.mark.requirement("SR-11")
def test_a_sensor_that_opens_between_samples_trips_with_the_tip_missing_from_the_device() -> None:
    watch = Watch()
    watch.interlocks.memory.bad_history = 0b111

    notice = watch.see(a_sample(tip_temp_c=None))
    assert notice is not None
    assert (notice.trip, notice.value) == (Trip.TIP_SENSOR, 0.0)


# -- SR-12: a reading that stands still, a valve without cold --------------------------------------


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
        watch.see_live(a_freezing_sample(tip_temp_c=0.0 if count % 2 else moves_c))
        for count in range(150)
    ]

    assert any(notice is not None for notice in seen) is trips


@pytest.mark.requirement("SR-12")
def test_every_movement_starts_the_second_anew() -> None:
    watch = Watch()
    for step in range(5):
        sample = a_freezing_sample(tip_temp_c=-60.0 + 0.06 * step)
        for _ in range(45):
            assert watch.see_live(sample) is None


@pytest.mark.requirement("SR-12")
def test_a_valve_that_is_all_but_shut_asks_for_no_movement() -> None:
    assert Watch().first_trip(a_freezing_sample(valve=0.05), within_s=10.0) is None
    assert Watch().first_trip(a_freezing_sample(valve=0.051), within_s=10.0) is not None


@pytest.mark.requirement("SR-12")
def test_the_notice_of_a_still_reading_tells_how_little_it_moved() -> None:
    watch = Watch()
    assert watch.see(a_freezing_sample(tip_temp_c=-60.0)) is None
    still = a_freezing_sample(tip_temp_c=-60.03)

    notices = [watch.see(still) for _ in range(51)]

    assert notices[:-1] == [None] * 50
    assert notices[-1] is not None
    assert notices[-1].value == pytest.approx(0.03)
    assert (notices[-1].limit, notices[-1].unit) == (0.05, "°C")


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
        assert watch.see_live(cooling._replace(tip_temp_c=tip_c)) is None

    after = watch.see_dithered(cooling._replace(tip_temp_c=33.0 - fallen_c), for_s=0.06)

    assert (None if after is None else after.trip) is expected


@pytest.mark.requirement("SR-12")
def test_a_freeze_without_cooling_trips_with_the_sample_of_the_third_second() -> None:
    watch = Watch()

    assert watch.see_dithered(a_freezing_sample(tip_temp_c=33.0), for_s=2.99) is None
    assert watch.now_s == 3.0
    assert watch.see(a_freezing_sample(tip_temp_c=33.0)) is not None


@pytest.mark.requirement("SR-12")
def test_a_freeze_that_has_cooled_once_or_began_cold_is_asked_for_no_more() -> None:
    watch = Watch()
    while watch.now_s < 3.1:
        tip_c = 33.0 - 20.0 * watch.now_s
        assert watch.see_live(a_freezing_sample(tip_temp_c=tip_c)) is None

    assert watch.see_dithered(a_freezing_sample(tip_temp_c=-29.0), for_s=10.0) is None
    assert Watch().see_dithered(a_freezing_sample(tip_temp_c=-11.0), for_s=10.0) is None


@pytest.mark.requirement("SR-12")
def test_every_freeze_must_prove_its_cooling_itself() -> None:
    watch = Watch()
    while watch.now_s < 3.1:
        assert watch.see_live(a_freezing_sample(tip_temp_c=33.0 - 20.0 * watch.now_s)) is None
    thaw_s = watch.now_s
    while watch.now_s < thaw_s + 5.0:
        tip_c = min(33.0, -29.0 + 20.0 * (watch.now_s - thaw_s))
        assert watch.see(a_sample(state=DeviceState.THAW, tip_temp_c=tip_c)) is None

    notice = watch.see_dithered(a_freezing_sample(tip_temp_c=33.0), for_s=4.0)

    assert notice is not None
    assert notice.trip is Trip.NO_COOLING


@pytest.mark.requirement("SR-17")
def test_a_skin_sensor_that_opens_ends_a_freeze() -> None:
    sample = a_freezing_sample()._replace(skin_temp_c=None, open_circuit=int(Sensor.SKIN))

    trip = Watch().first_trip(sample, within_s=2.0)

    assert trip == (0.5, Trip.SKIN_COLD)


@pytest.mark.requirement("SR-17")
def test_a_probe_without_a_skin_sensor_freezes_without_one() -> None:
    sample = a_freezing_sample(tip_temp_c=-60.0)._replace(skin_temp_c=None)

    assert Watch().see_dithered(sample, for_s=2.0) is None


@pytest.mark.requirement("SR-18")
@pytest.mark.parametrize(
    ("sensor", "detail"),
    [
        (Sensor.SUPPLY_PRESSURE, "supply pressure open"),
        (Sensor.EXHAUST_PRESSURE, "exhaust pressure open"),
        (Sensor.EXHAUST_FLOW, "exhaust flow open"),
    ],
)
def test_no_gas_is_let_through_for_longer_than_100_ms_while_pressure_or_flow_cannot_be_seen(
    sensor: Sensor, detail: str
) -> None:
    sample = a_freezing_sample()._replace(open_circuit=int(sensor))
    watch, resting = Watch(), Watch()

    assert watch.first_trip(sample, within_s=2.0) == (0.1, Trip.SENSOR_OPEN)
    notice = watch.see(sample)
    assert notice is not None
    assert notice.detail == detail
    at_rest = a_sample(open_circuit=int(sensor))
    assert resting.first_trip(at_rest, within_s=2.0) is None


@pytest.mark.requirement("SR-18")
def test_a_contact_that_bounces_is_no_open_sensor() -> None:
    watch = Watch()
    shut = a_freezing_sample(tip_temp_c=-60.0)
    opened = shut._replace(open_circuit=int(Sensor.EXHAUST_FLOW))

    for _ in range(20):
        assert watch.see_dithered(opened, for_s=0.09) is None
        assert watch.see_dithered(shut, for_s=0.02) is None


@pytest.mark.requirement("SR-07")
@pytest.mark.requirement("SR-11")
def test_a_spike_in_a_thaw_does_not_look_like_a_stuck_valve() -> None:
    watch = Watch()
    thawing = a_sample(state=DeviceState.THAW, tip_temp_c=-12.0)
    assert watch.see_dithered(thawing, for_s=3.0) is None

    for _ in range(5):
        assert watch.see(thawing._replace(tip_temp_c=-52.0)) is None
        assert watch.see_dithered(thawing, for_s=0.98) is None


@pytest.mark.requirement("SR-07")
@pytest.mark.requirement("SR-11")
def test_a_sensor_that_breaks_in_a_fast_fall_is_told_as_that_alone() -> None:
    watch = Watch()
    while watch.now_s < 2.0:
        assert watch.see(a_freezing_sample(tip_temp_c=33.0 - 20.0 * watch.now_s)) is None

    opened = a_sample(state=DeviceState.FAULT, tip_temp_c=0.0, open_circuit=int(Sensor.TIP))
    told = set()
    for _ in range(400):
        broken = watch.interlocks.check(
            opened._replace(device_ms=watch.count * 20), watch.now_s, rejects=0
        )
        watch.count += 1
        told |= {notice.trip for notice in broken}

    assert told == {Trip.TIP_SENSOR}


# -- SR-12: a reading that its heat does not explain -----------------------------------------------


def trip_at_residual(residual_c: float | None, for_s: float) -> TripNotice | None:
    """Return the first notice while a steady -60 C is shown and the residual stays as it is."""
    watch = Watch()
    watch.interlocks.memory.residual_c = residual_c
    return watch.see_dithered(a_freezing_sample(tip_temp_c=-60.0), for_s=for_s)


@pytest.mark.requirement("SR-12")
@pytest.mark.parametrize("residual_c", [None, 0.0, 8.0, -8.0])
def test_a_residual_of_8_c_is_still_explained(residual_c: float | None) -> None:
    assert trip_at_residual(residual_c, 5.0) is None


@pytest.mark.requirement("SR-12")
@pytest.mark.parametrize(
    ("residual_c", "detail"),
    [
        (8.01, "warmer than the heat drawn explains"),
        (-8.01, "colder than the heat drawn explains, or the needle has left the tissue"),
    ],
)
def test_a_residual_over_8_c_for_1_s_is_a_false_sensor(residual_c: float, detail: str) -> None:
    assert trip_at_residual(residual_c, 0.99) is None
    assert trip_at_residual(residual_c, 1.05) == TripNotice(
        Trip.TIP_SENSOR, residual_c, 8.0, "°C", detail
    )


@pytest.mark.requirement("SR-12")
@pytest.mark.parametrize("interruption_c", [None, 7.9])
def test_a_residual_that_goes_in_between_begins_anew(interruption_c: float | None) -> None:
    watch = Watch()
    tip = a_freezing_sample(tip_temp_c=-60.0)

    watch.interlocks.memory.residual_c = 9.0
    first = watch.see_dithered(tip, for_s=0.9)
    watch.interlocks.memory.residual_c = interruption_c
    between = watch.see_dithered(tip, for_s=0.04)
    watch.interlocks.memory.residual_c = 9.0
    second = watch.see_dithered(tip, for_s=0.9)

    assert (first, between, second) == (None, None, None)
