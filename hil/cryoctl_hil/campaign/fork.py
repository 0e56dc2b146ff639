"""Branches off one world: snapshots in a state, and every fault tried from each of them.

What leads up to a moment is run once, not once for every fault. A snapshot is controller, link and
probe together, so that a branch is what a whole run with that fault would have been.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryoctl_hil.campaign.episode import Course, Plan, Row, plan_of
from cryoctl_hil.campaign.sampling import draws_of
from cryoctl_hil.campaign.spec import Campaign, Fork
from cryoctl_hil.world import STEP_S
from cryoctl_protocol.codes import DeviceState
from cryoctl_simulator.faults import CATALOGUE

ALL: Final = "*"


@dataclass(frozen=True, slots=True)
class Branch:
    """One branch.

    Attributes:
        base: Number of the episode that it branches off.
        moment: Number of the snapshot in it.
        faults: What is injected there, and after how long.
    """

    base: int
    moment: int
    faults: tuple[tuple[str, float], ...]


def branches_of(campaign: Campaign) -> int:
    """Return how many branches there are."""
    fork = campaign.table.fork
    assert fork is not None
    return draws_of(campaign) * fork.moments * len(_plans(fork))


def branch(campaign: Campaign, number: int) -> Branch:
    """Return what branch ``number`` is; those of one base come one after the other."""
    fork = campaign.table.fork
    assert fork is not None
    plans = _plans(fork)
    rest, plan = divmod(number, len(plans))
    base, moment = divmod(rest, fork.moments)
    return Branch(base, moment, plans[plan])


@lru_cache(maxsize=4)
def _plans(fork: Fork) -> list[tuple[tuple[str, float], ...]]:
    firsts = _named(fork.faults)
    seconds = _named(fork.then)
    if not seconds:
        return [((first, 0.0),) for first in firsts]
    return [
        ((first, 0.0), (second, fork.then_after_s))
        for first in firsts
        for second in seconds
        if second != first
    ]


def _named(faults: Sequence[str]) -> list[str]:
    return list(CATALOGUE) if ALL in faults else list(faults)


def run_branches(campaign: Campaign, numbers: Sequence[int]) -> Iterator[Row]:
    """Run some branches; whatever belongs to one base shares its snapshots."""
    for number in numbers:
        yield _run_branch(campaign, number)


def _run_branch(campaign: Campaign, number: int) -> Row:
    fork = campaign.table.fork
    assert fork is not None
    chosen = branch(campaign, number)
    plan = plan_of(campaign, chosen.base)
    course = Course(plan)
    row = course.row
    row.episode = number
    row.values["moment"] = float(chosen.moment)
    saved = _snapshots(campaign.text, chosen.base)
    if chosen.moment >= len(saved):
        row.wrong = [f"the probe was not in {fork.state} for so long"]
        return row
    course.load(saved[chosen.moment])
    began_s = course.now_s + STEP_S  # The next tick: this one is over.
    row.values["began_s"] = round(began_s, 3)
    row.faults = [f"{fault}@{began_s + after_s:g}s" for fault, after_s in chosen.faults]
    for fault in row.faults:
        course.device.inject(fault)
    return course.go_on(began_s + fork.follow_s, campaign.table.expect)


@lru_cache(maxsize=2)
def _snapshots(text: str, base: int) -> list[bytes]:
    """Return the saved worlds of one base, as many as came to be."""
    from cryoctl_hil.campaign.spec import read_campaign

    campaign = read_campaign(text, "campaign")
    fork = campaign.table.fork
    assert fork is not None
    return list(_take(plan_of(campaign, base), fork, campaign.table.lasts_s))


def _take(plan: Plan, fork: Fork, lasts_s: float) -> Iterator[bytes]:
    course = Course(plan)
    state = DeviceState[fork.state.upper()]
    due_s: float | None = None
    taken = 0
    while taken < fork.moments and course.now_s < lasts_s and not course.ended:
        course.step()
        if course.state != state:
            continue
        due_s = course.now_s if due_s is None else due_s
        if course.now_s >= due_s:
            yield course.save()
            taken += 1
            due_s += fork.every_s
