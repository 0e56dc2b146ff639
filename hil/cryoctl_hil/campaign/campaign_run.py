"""Runs what is missing of a campaign, and says how it goes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cryoctl.clock import monotonic_s
from cryoctl_hil.campaign.executors import CHUNK, Executor, episodes_of
from cryoctl_hil.campaign.spec import Campaign
from cryoctl_hil.campaign.store import Store

_SHOWN_MAX: Final = 1000


@dataclass(slots=True)
class Tally:
    """How a campaign stands.

    Attributes:
        total: Episodes all told.
        before: Of them, done in an earlier run.
        done: Of them, done in this one.
        failed: Numbers of those that something was wrong with, the first ones.
        stopped: Why it was given up early; empty if it was not.
    """

    total: int
    before: int
    started_s: float
    done: int = 0
    failures: int = 0
    failed: list[dict[str, Any]] = field(default_factory=list)
    virtual_s: float = 0.0
    stopped: str = ""
    result_sha256: str = ""

    def rate_per_s(self, now_s: float) -> float:
        """Return episodes a second of the wall's clock."""
        spent_s = now_s - self.started_s
        return self.done / spent_s if spent_s > 0.0 else 0.0

    def left_s(self, now_s: float) -> float | None:
        """Return the seconds that are left at this rate; None if there is none yet."""
        rate = self.rate_per_s(now_s)
        return (self.total - self.before - self.done) / rate if rate else None


def run_campaign(
    campaign: Campaign, store: Store, execute: Executor, show: Callable[[Tally, float], None]
) -> Tally:
    """Run every episode that the store lacks; put the result in order when all are there."""
    done = store.done()
    total = episodes_of(campaign)
    tally = Tally(total, len(done), monotonic_s())
    for row in store.rows() if done else ():
        count_row(tally, row)
    chunks = list(_chunks([number for number in range(total) if number not in done]))
    for lines in execute(campaign.text, chunks):
        store.append(lines)
        for line in lines:
            row = json.loads(line)
            tally.done += 1
            tally.virtual_s += row["virtual_s"]
            count_row(tally, row)
        now_s = monotonic_s()
        show(tally, now_s)
        tally.stopped = why_stop(campaign, tally, now_s)
        if tally.stopped:
            return tally
    tally.result_sha256 = store.finish()
    return tally


def count_row(tally: Tally, row: dict[str, Any]) -> None:
    """Note whether something was wrong."""
    if row["wrong"]:
        tally.failures += 1
        if len(tally.failed) < _SHOWN_MAX:
            tally.failed.append({"episode": row["episode"], "wrong": row["wrong"]})


def why_stop(campaign: Campaign, tally: Tally, now_s: float) -> str:
    """Return why a campaign is to be given up now; empty to go on."""
    stop = campaign.table.stop
    if stop.failures is not None and tally.failures >= stop.failures:
        return f"{tally.failures} episodes failed (stop.failures = {stop.failures})"
    if stop.hours is not None and now_s - tally.started_s > stop.hours * 3600.0:
        return f"it took {stop.hours:g} h (stop.hours)"
    return ""


def _chunks(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    for first in range(0, len(numbers), CHUNK):
        yield numbers[first : first + CHUNK]
