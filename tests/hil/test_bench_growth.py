"""What the benchmark calls linear, and that what it measures does what it is measured for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cryoctl_hil.bench_campaign import CORNER_SHARE
from cryoctl_hil.bench_growth import (
    Cost,
    campaign_cost,
    fleet_cost,
    growth,
    measured,
    recording_cost,
)
from cryoctl_hil.bench_throughput import scaling

SIZES = (100, 200, 400, 800)


def test_what_costs_3_ms_each_is_linear_whatever_is_spent_once() -> None:
    found = growth(SIZES, [1.0 + 0.003 * size for size in SIZES], 0.0)

    assert found.each_ms == pytest.approx(3.0)
    assert found.exponent == pytest.approx(1.0)
    assert found.off_line == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("power", [1.2, 1.5, 2.0])
def test_what_grows_faster_than_its_size_is_not(power: float) -> None:
    assert growth(SIZES, [1e-3 * size**power for size in SIZES], 0.0).exponent > 1.1


def test_of_all_rounds_the_best_counts() -> None:
    # One that is not counted, then two rounds, each of them slow where the other is not.
    costs = iter([9.0, 1.0, 9.0, 4.0, 9.0, 2.0, 9.0])

    found = measured((1, 2, 4), lambda count: Cost(count, next(costs)), rounds=2)

    assert found.each_ms == pytest.approx(1000.0)
    assert found.off_line == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("once", "count", "size"), [(campaign_cost, 2, 2), (fleet_cost, 2, 2), (recording_cost, 1, 100)]
)
def test_a_cost_is_taken_of_something_that_was_done(
    once: Callable[[int], Cost], count: int, size: float
) -> None:
    cost = once(count)

    assert cost.size >= size
    assert cost.cpu_s > 0.0


def test_the_corner_of_the_planted_defect_is_1_4_percent_of_the_whole() -> None:
    # 4 of 6 K, 6 of 53 bar, 9.5 of 53 %.
    assert pytest.approx(0.013528, rel=1e-3) == CORNER_SHARE


@pytest.mark.timeout(300)
def test_one_process_and_two_have_the_same_result_and_take_time() -> None:
    found = scaling(2, 4)

    assert found.alone.result_sha256 == found.together.result_sha256 != ""
    assert found.rate_share > 0.0
    assert min(found.alone.virtual_s, found.together.virtual_s) > 50.0
