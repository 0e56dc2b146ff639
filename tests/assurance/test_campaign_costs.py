"""Campaigns at their full size: what a search saves beside chance, and a fork beside whole runs."""

from __future__ import annotations

import pytest

from cryoctl_hil.bench_campaign import (
    CORNER_SHARE,
    FORKED,
    fork_cost,
    found_by_chance,
    growth_with_episodes,
    searched_until_found,
)
from tests.support.programs import needed_modules

pytestmark = [pytest.mark.assure, pytest.mark.timeout(3600)]


def test_a_search_needs_at_most_a_tenth_of_what_chance_does_over_10_seeds() -> None:
    needed_modules("scipy", extra="campaign")
    found = [searched_until_found(seed) for seed in range(1, 11)]
    hits = found_by_chance(2000)

    by_chance = 2000 / (CORNER_SHARE * hits)
    print(f"searched {found}, by chance 1 in {by_chance:.0f}")

    episodes = [count for count in found if count is not None]
    assert len(episodes) == 10
    assert sum(episodes) / 10 <= by_chance / 10


def test_every_fault_from_100_snapshots_costs_at_most_a_third_of_whole_runs() -> None:
    cost = fork_cost(100, FORKED, compared=60)
    print(cost)

    assert cost.same == cost.compared >= 60
    assert cost.share <= 1 / 3


def test_time_grows_as_the_number_of_episodes_does_and_memory_hardly() -> None:
    growth = growth_with_episodes((500, 1000, 2000, 4000))
    print(growth)

    assert growth.off_line <= 0.10
    assert growth.memory_growth_mib <= 10.0
