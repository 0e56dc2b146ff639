"""What the samples add up to: gas, time in the band, time warm, time without pressure."""

from __future__ import annotations

from typing import Any

import pytest

from cryoctl.cycle_table import Phase
from cryoctl.cycles import CycleRecord
from cryoctl.measures import Measures
from tests.support.builders import a_freezing_sample, a_sample, n2o_limits


class Taker:
    """Hands samples to the measures, one every 20 ms."""

    def __init__(self, phase: Phase = Phase.HOLD) -> None:
        self.measures = Measures(n2o_limits())
        self.cycle = CycleRecord(1, -60.0, 60.0, 0.0)
        self.phase = phase
        self.count = 0

    @property
    def now_s(self) -> float:
        """When the last sample came."""
        return self.count * 0.02

    def take(self, times: int, *, tip_good: bool = True, **changes: Any) -> None:
        """Hand over so many samples of a hold with ``changes``."""
        for _ in range(times):
            self.count += 1
            self.measures.take(
                a_freezing_sample(**changes),
                self.now_s,
                tip_good=tip_good,
                phase=self.phase,
                cycle=self.cycle,
            )


def test_gas_is_flow_times_the_time_since_the_sample_before() -> None:
    taker = Taker()

    taker.take(501, exhaust_flow_mg_s=30.0)  # The first has nothing before it.

    assert taker.measures.gas_used_g == pytest.approx(0.300)
    assert taker.cycle.gas_used_g == pytest.approx(0.300)


@pytest.mark.parametrize("flow_mg_s", [None, -5.0, 0.0])
def test_no_flow_and_a_sensor_that_reads_below_zero_use_no_gas(flow_mg_s: float | None) -> None:
    taker = Taker()

    taker.take(100, exhaust_flow_mg_s=flow_mg_s)

    assert taker.measures.gas_used_g == 0.0


@pytest.mark.parametrize(
    ("phase", "counts"),
    [
        (Phase.COOLING, True),
        (Phase.HOLD, True),
        (Phase.THAWING, True),
        (Phase.RELEASE, False),
        (Phase.PAUSE, False),
        (Phase.SAFE, False),
    ],
)
def test_gas_of_freeze_and_thaw_is_the_cycles_and_the_rest_is_not(
    phase: Phase, counts: bool
) -> None:
    taker = Taker(phase)

    taker.take(101, exhaust_flow_mg_s=30.0)

    assert taker.measures.gas_used_g == pytest.approx(0.060)
    assert taker.cycle.gas_used_g == pytest.approx(0.060 if counts else 0.0)
    assert (taker.cycle.tip_min_c is not None) is counts


def test_gas_is_counted_without_a_cycle_too() -> None:
    measures = Measures(n2o_limits())

    for step in range(101):
        sample = a_sample(exhaust_flow_mg_s=10.0)
        measures.take(sample, 0.02 * step, tip_good=True, phase=Phase.IDLE, cycle=None)

    assert measures.gas_used_g == pytest.approx(0.020)


@pytest.mark.requirement("SR-13")
@pytest.mark.parametrize(
    ("tip_c", "in_band"), [(-62.001, False), (-62.0, True), (-58.0, True), (-57.999, False)]
)
def test_the_band_is_two_degrees_either_way(tip_c: float, in_band: bool) -> None:
    taker = Taker()

    taker.take(51, tip_temp_c=tip_c)

    assert taker.cycle.in_band_s == pytest.approx(1.0 if in_band else 0.0)


@pytest.mark.requirement("SR-13")
def test_only_a_hold_counts_as_held_and_only_a_believed_tip() -> None:
    cooling, unsure = Taker(Phase.COOLING), Taker()

    cooling.take(51)
    unsure.take(51, tip_good=False)

    assert (cooling.cycle.in_band_s, unsure.cycle.in_band_s) == (0.0, 0.0)
    assert unsure.cycle.tip_min_c is None


def test_the_coldest_believed_tip_is_kept() -> None:
    taker = Taker()
    taker.take(1, tip_temp_c=-60.0)
    taker.take(1, tip_temp_c=-61.5)
    taker.take(1, tip_temp_c=-90.0, tip_good=False)

    taker.take(1, tip_temp_c=-60.0)

    assert taker.cycle.tip_min_c == -61.5


@pytest.mark.requirement("SR-14")
@pytest.mark.parametrize(
    ("tip_c", "times", "free"),
    [(5.001, 101, True), (5.001, 100, False), (5.0, 500, False), (None, 500, False)],
)
def test_a_needle_is_free_after_two_seconds_above_5_c(
    tip_c: float | None, times: int, free: bool
) -> None:
    taker = Taker(Phase.THAWING)

    taker.take(times, tip_temp_c=tip_c)

    assert taker.measures.is_free is free


@pytest.mark.requirement("SR-14")
def test_one_cold_sample_starts_the_two_seconds_anew() -> None:
    taker = Taker(Phase.THAWING)
    taker.take(100, tip_temp_c=20.0)
    taker.take(1, tip_temp_c=5.0)

    taker.take(100, tip_temp_c=20.0)
    assert not taker.measures.is_free
    taker.take(1, tip_temp_c=20.0)
    assert taker.measures.is_free


@pytest.mark.requirement("SR-11")
def test_one_unbelieved_sample_neither_ends_nor_begins_the_two_seconds() -> None:
    taker = Taker(Phase.THAWING)
    taker.take(1, tip_temp_c=20.0, tip_good=False)
    taker.take(50, tip_temp_c=20.0)
    taker.take(1, tip_temp_c=-200.0, tip_good=False)

    taker.take(49, tip_temp_c=20.0)
    assert not taker.measures.is_free
    taker.take(1, tip_temp_c=20.0)
    assert taker.measures.is_free


@pytest.mark.requirement("SR-14")
def test_a_sample_nobody_believes_is_no_proof_that_the_two_seconds_are_over() -> None:
    taker = Taker(Phase.THAWING)
    taker.take(100, tip_temp_c=20.0)

    taker.take(2, tip_temp_c=20.0, tip_good=False)
    assert not taker.measures.is_free
    taker.take(1, tip_temp_c=20.0)
    assert taker.measures.is_free


@pytest.mark.requirement("SR-14")
def test_each_thaw_has_to_show_its_warmth_itself() -> None:
    taker = Taker(Phase.THAWING)
    taker.take(200, tip_temp_c=20.0)

    taker.measures.begin_thaw()

    assert not taker.measures.is_free
    taker.take(100, tip_temp_c=20.0)
    assert not taker.measures.is_free
    assert Measures(n2o_limits()).is_free is False


@pytest.mark.requirement("SR-22")
@pytest.mark.parametrize(
    ("pressure_bar", "after_s", "low"),
    [(39.999, 0.5, True), (39.999, 0.48, False), (40.0, 60.0, False), (None, 60.0, False)],
)
def test_gas_is_low_after_half_a_second_below_40_bar(
    pressure_bar: float | None, after_s: float, low: bool
) -> None:
    taker = Taker()
    taker.take(1, supply_pressure_bar=pressure_bar)

    assert taker.measures.gas_is_low(taker.now_s + after_s) is low


@pytest.mark.requirement("SR-22")
def test_a_single_sample_of_enough_pressure_starts_the_half_second_anew() -> None:
    taker = Taker()
    taker.take(25, supply_pressure_bar=39.0)

    taker.take(1, supply_pressure_bar=40.0)
    taker.take(25, supply_pressure_bar=39.0)

    assert not taker.measures.gas_is_low(taker.now_s)
