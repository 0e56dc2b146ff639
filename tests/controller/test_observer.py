"""The observer: when it estimates, when it says nothing."""

from __future__ import annotations

import pytest

from cryoctl.observer import Observer
from cryoctl.sample import Sample
from cryoctl_protocol.profile import load_profile
from tests.support.builders import a_freezing_sample, a_sample

PERIOD_S = 0.02


class Bench:
    """Shows an observer samples at the telemetry period."""

    def __init__(self, *, with_cooling: bool = True) -> None:
        profile = load_profile("n2o-20g")
        if not with_cooling:
            profile = profile.model_copy(update={"cooling": None})
        self.observer = Observer(profile)
        self.count = 0

    @property
    def now_s(self) -> float:
        return self.count * PERIOD_S

    def show(self, sample: Sample, tip_c: float | None, for_s: float) -> int:
        """Show one sample for some time; return how many new estimates came of it."""
        until, made = self.now_s + for_s, 0
        while self.now_s < until - 1e-9:
            self.count += 1
            made += self.observer.take(sample, tip_c, self.now_s)
        return made

    def freeze(self, for_s: float) -> None:
        """Come from 36 C to -60 C at once, and stay there."""
        self.show(a_sample(), 36.0, 2.0)
        sample = a_freezing_sample(
            setpoint_c=-60.0,
            exhaust_flow_mg_s=26.0,
            exhaust_pressure_bar=1.25,
            cartridge_temp_c=20.0,
        )
        self.show(sample, 36.0, 0.02)
        self.show(sample, -60.0, for_s)


def test_nothing_is_estimated_before_the_first_freeze() -> None:
    bench = Bench()

    made = bench.show(a_sample(), 36.0, 10.0)

    assert (made, bench.observer.estimate) == (0, None)


def test_a_freeze_is_followed_twice_a_second() -> None:
    bench = Bench()
    bench.freeze(40.0)
    estimate = bench.observer.estimate

    made = bench.show(a_freezing_sample(setpoint_c=-60.0), -60.0, 10.0)

    assert 19 <= made <= 21
    assert estimate is not None
    assert 1.6 < estimate.radius_minus20_mm < 2.0
    assert 2.9 < estimate.ice_radius_mm < 3.5
    assert 0.02 < estimate.sigma_mm < 0.15
    assert estimate.heat_w == pytest.approx(3.8, abs=0.1)


def test_a_probe_whose_cooling_is_unknown_is_estimated_by_its_tip_alone() -> None:
    bench = Bench(with_cooling=False)

    bench.freeze(40.0)

    estimate = bench.observer.estimate
    assert estimate is not None
    assert (estimate.heat_w, estimate.residual_c) == (None, None)
    assert estimate.sigma_mm == pytest.approx(0.0306 * estimate.radius_minus20_mm, rel=0.01)


def test_a_tip_that_cannot_be_believed_is_waited_for() -> None:
    bench = Bench()
    bench.freeze(40.0)

    made = bench.show(a_freezing_sample(), None, 3.0)

    assert made == 0
    assert bench.observer.residual_c is None


def test_a_needle_that_begins_cold_does_not_tell_how_warm_its_tissue_is() -> None:
    bench = Bench()

    made = bench.show(a_freezing_sample(), 4.9, 10.0)

    assert (made, bench.observer.estimate) == (0, None)


def test_what_is_left_of_one_freeze_makes_the_next_one_larger() -> None:
    bench = Bench()
    bench.freeze(40.0)
    first = bench.observer.estimate
    bench.show(a_sample(), 5.0, 30.0)

    bench.freeze(40.0)

    second = bench.observer.estimate
    assert first is not None
    assert second is not None
    assert second.radius_minus20_mm > 1.01 * first.radius_minus20_mm


@pytest.mark.parametrize("way", ["another place", "five minutes"])
def test_another_place_and_five_minutes_begin_anew(way: str) -> None:
    bench = Bench()
    bench.freeze(10.0)

    if way == "another place":
        bench.observer.forget()
    else:
        bench.show(a_sample(), 30.0, 303.0)

    bench.show(a_sample(), 36.0, 2.0)
    assert bench.observer.estimate is None


def test_two_samples_at_one_instant_are_one_step() -> None:
    bench = Bench()
    bench.freeze(10.0)
    bench.show(a_sample(), -20.0, 2.0)
    now_s = bench.now_s + 1.0

    first = bench.observer.take(a_sample(), -15.0, now_s)
    second = bench.observer.take(a_freezing_sample(setpoint_c=-60.0), -15.0, now_s)

    assert (first, second) == (True, False)


def test_tissue_is_as_warm_as_the_tip_was_when_the_freeze_began() -> None:
    """The tip falls tens of degrees in the first second: that one must not be slept through."""
    warm, cool = Bench(), Bench()
    for bench, body_c in ((warm, 36.0), (cool, 22.0)):
        bench.show(a_sample(), body_c, 2.5)
        bench.show(a_freezing_sample(setpoint_c=-60.0), body_c, 0.02)
        for step in range(50):
            bench.show(a_freezing_sample(setpoint_c=-60.0), body_c - 1.2 * step, 0.02)
        bench.show(a_freezing_sample(setpoint_c=-60.0), -60.0, 30.0)

    assert warm.observer.estimate is not None
    assert cool.observer.estimate is not None
    # By the model: 14 C of tissue make 9 % of radius.
    ratio = cool.observer.estimate.ice_radius_mm / warm.observer.estimate.ice_radius_mm
    assert 1.05 < ratio < 1.25
