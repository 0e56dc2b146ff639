"""A valve that does not shut, or leaks.

Numbers are the requirements', written out: a test that took them from the code would share its
mistakes.
"""

from __future__ import annotations

import pytest

from cryoctl_protocol.codes import Trip
from tests.support.builders import a_sample
from tests.support.watch import Watch


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


@pytest.mark.requirement("SR-07")
def test_a_valve_open_by_a_thousandth_is_open() -> None:
    assert Watch().first_trip(a_sample(exhaust_flow_mg_s=30.0, valve=0.001), within_s=10.0) is None


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
    assert Watch().see_dithered(a_sample(tip_temp_c=-15.0), for_s=30.0, noise_c=0.6) is None


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

    assert trip is not None
    assert trip[1] is Trip.LEAK
    assert trip[0] == pytest.approx(again_s + 1.0)
