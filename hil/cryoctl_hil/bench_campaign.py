"""What campaigns cost: forks beside whole runs, a search beside chance."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any, Final, NamedTuple
from unittest.mock import patch

from cryoctl.clock import cpu_s
from cryoctl_hil.campaign.campaign_run import Tally
from cryoctl_hil.campaign.episode import Course, plan_of, run_plan
from cryoctl_hil.campaign.executors import Chunk, Lines, episodes_of, run_chunk
from cryoctl_hil.campaign.search import search_campaign
from cryoctl_hil.campaign.spec import read_campaign
from cryoctl_hil.campaign.store import Store
from cryoctl_hil.layers import host_interlocks_off
from cryoctl_protocol.codes import DeviceState
from cryoctl_simulator import firmware_sensing
from cryoctl_simulator.faults import CATALOGUE
from cryoctl_simulator.firmware_config import DeviceLimits

FORKS: Final = """
schema = 1
name = "forks"
episodes = 1
lasts_s = 60
[fork]
moments = {moments}
every_s = {every_s}
follow_s = 4
faults = {faults}
"""
FORK_EVERY_S: Final = 0.2
PLANTED: Final = """
schema = 1
name = "planted"
episodes = {episodes}
seed = {seed}
noise_seed = 1
lasts_s = 24

[choose]
faults = ['''
    cartridge_hot(temp_c={{temp_c}})@{{hot_s}}s
    pressure_offset(offset_bar={{offset_bar}})@18s
    adc_reference(gain_percent={{gain_percent}})@18s
''']

[vary.temp_c]
low = {low.temp_c}
high = {high.temp_c}
[vary.hot_s]
low = 18
high = 23
[vary.offset_bar]
low = {low.offset_bar}
high = {high.offset_bar}
[vary.gain_percent]
low = {low.gain_percent}
high = {high.gain_percent}
"""
"""Three things that add to the supply's reading and a moment from which on the gas that was used
takes away: all have to come together for a reading between the trip's value and one 2 % above."""
SEARCHED: Final = '[search]\nmargins = ["supply_pressure"]\n[stop]\nfailures = 1\n'
DEFECT: Final = 1.02
IN_FREEZE_S: Final = 17.97
"""Virtual time of the snapshot; the planted faults begin after it."""


class Ends(NamedTuple):
    """Where the ranges of the planted campaign begin, or end."""

    temp_c: float
    offset_bar: float
    gain_percent: float


WHOLE: Final = Ends(20.0, -45.0, -45.0)
CORNER: Final = Ends(22.0, 2.0, -1.5)
"""Below any of these the reading stays below the trip's value, whatever the others are."""
HIGH: Final = Ends(26.0, 8.0, 8.0)
CORNER_SHARE: Final = prod(
    (high - corner) / (high - whole)
    for whole, corner, high in zip(WHOLE, CORNER, HIGH, strict=True)
)
"""Of the whole, by volume: chance finds in the whole this share of what it finds in the corner."""


def planted(episodes: int, *, seed: int, low: Ends = WHOLE) -> str:
    """Return the campaign in which the defect is to be found."""
    return PLANTED.format(episodes=episodes, seed=seed, low=low, high=HIGH)


@contextmanager
def supply_trip_raised(factor: float = DEFECT) -> Iterator[None]:
    """Have the firmware model's supply trip stand too high, in this process alone."""
    observe = vars(firmware_sensing)["_observe_gas"]

    @lru_cache(maxsize=4)
    def raised(limits: DeviceLimits) -> DeviceLimits:
        return replace(limits, pressure_trip_mbar=round(limits.pressure_trip_mbar * factor))

    def observe_late(limits: DeviceLimits, *others: Any) -> None:
        observe(raised(limits), *others)

    # The host would shut the supply nearly as soon: one layer alone shows its own defect.
    late = patch.object(firmware_sensing, "_observe_gas", observe_late)
    with host_interlocks_off("overpressure"), late:
        yield


def quiet(_tally: Tally, _now_s: float) -> None:
    """Show nothing."""


def from_freeze(text: str, chunks: Sequence[Chunk]) -> Iterator[Lines]:
    """Run points from one snapshot in the freeze; an executor for plans that begin after it.

    They share their noise and all that was before, so that each is what a whole run would be.
    """
    campaign = read_campaign(text, "planted")
    table = campaign.table
    for chunk in chunks:
        lines = []
        for point in chunk:
            plan = plan_of(campaign, point)
            course = Course(plan)
            course.load(_in_freeze(text))
            for fault in plan.faults:
                course.device.inject(fault)
            lines.append(course.go_on(table.lasts_s, table.expect).to_json())
        yield lines


@lru_cache(maxsize=1)
def _in_freeze(text: str) -> bytes:
    course = Course(plan_of(read_campaign(text, "planted"), 0))
    while course.now_s < IN_FREEZE_S:
        course.step()
    assert course.state == DeviceState.FREEZE
    return course.save()


def searched_until_found(seed: int, episodes_max: int = 2_000) -> int | None:
    """Return after how many episodes a search finds the planted defect; None if it does not."""
    text = planted(episodes_max, seed=seed) + SEARCHED
    campaign = read_campaign(text, "planted")
    with supply_trip_raised(), tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "found", campaign)
        search_campaign(campaign, store, from_freeze, quiet)
        failed = [row["episode"] for row in store.rows() if row["wrong"]]
    return min(failed) + 1 if failed else None


def needed_by_chance(episodes: int, seed: int = 1) -> float:
    """Return how many random episodes it takes to find the planted defect once, in the mean.

    Args:
        episodes: So many are run, all in the corner, where finds are many; elsewhere are none.
        seed: Of the draw.
    """
    text = planted(episodes, seed=seed, low=CORNER)
    with supply_trip_raised():
        hits = sum(
            bool(json.loads(line)["wrong"])
            for lines in from_freeze(text, [range(episodes)])
            for line in lines
        )
    return episodes / (CORNER_SHARE * hits) if hits else float("inf")


FORKED: Final = tuple(sorted(name for name, row in CATALOGUE.items() if row.intruder is None))
"""An intruder listens from when it is asked for: in a branch it knows less than in a whole run."""


class ForkCost(NamedTuple):
    """What branches cost beside whole runs of the same.

    Attributes:
        share: Processor time of all branches, as a share of what all whole runs would take.
        branches: How many there were.
        compared: So many of them were run whole as well.
        same: Of these, so many came to the same event log.
    """

    share: float
    branches: int
    compared: int
    same: int


def fork_cost(moments: int, faults: Sequence[str], compared: int = 12) -> ForkCost:
    """Run every fault from so many snapshots of a freeze, and a spread of them from the start."""
    text = FORKS.format(moments=moments, every_s=FORK_EVERY_S, faults=json.dumps(list(faults)))
    campaign = read_campaign(text, "forks")
    count = episodes_of(campaign)
    started_s = cpu_s()
    rows = [json.loads(line) for line in run_chunk(text, range(count))]
    forked_s = cpu_s() - started_s
    chosen = rows[:: max(1, count // compared)]
    started_s = cpu_s()
    same = 0
    for row in chosen:
        base = plan_of(campaign, 0)
        plan = replace(base, faults=row["faults"])
        whole = run_plan(plan, row["virtual_s"], campaign.table.expect)
        same += whole.events_sha256 == row["events_sha256"]
    whole_s = (cpu_s() - started_s) / len(chosen) * count
    return ForkCost(forked_s / whole_s, count, len(chosen), same)


def print_campaigns(*, moments: int = 20, seeds: int = 2, chances: int = 200) -> None:
    """Print what forks and search come to."""
    cost = fork_cost(moments, FORKED)
    print(
        f"every fault from {moments} snapshots of a freeze: {cost.branches} branches for "
        f"{cost.share:.2f} of the whole runs   (target 0.33); {cost.same} of {cost.compared} "
        "compared have the same event log"
    )
    found = [searched_until_found(seed) for seed in range(1, seeds + 1)]
    print(
        f"planted defect of 2 %: searched {', '.join(map(str, found))} episodes, by chance about "
        f"1 in {needed_by_chance(chances):,.0f}   (target: a tenth)"
    )
