"""How many episodes a campaign runs a second: one process beside several, in the same run."""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

from cryoctl.clock import cpu_s, monotonic_s
from cryoctl_hil.bench_load import usage
from cryoctl_hil.campaign.campaign_run import Tally, run_campaign
from cryoctl_hil.campaign.executors import CHUNK, Executor, here, pool
from cryoctl_hil.campaign.spec import read_campaign
from cryoctl_hil.campaign.store import Store

WORKERS: Final = 2
EPISODES: Final = 64
THIRTY: Final = """
schema = 1
name = "thirty"
episodes = {episodes}
lasts_s = 30
[choose]
faults = ["", "tc_open@freeze+{{delay_s}}s", "exhaust_blocked@freeze+{{delay_s}}s"]
[vary.delay_s]
low = 0
high = 9
"""


class Throughput(NamedTuple):
    """Of one campaign.

    Attributes:
        virtual_s: Of all episodes.
        wall_s: From its start to its result on disk; starting the workers is left out.
        cpu_s: Of this process and its workers; None where nobody tells.
        result_sha256: Of its result.
    """

    virtual_s: float
    wall_s: float
    cpu_s: float | None
    result_sha256: str

    @property
    def virtual_s_per_s(self) -> float:
        """Rate by the wall's clock."""
        return self.virtual_s / self.wall_s


class Scaling(NamedTuple):
    """One process and several, on the same campaign.

    Attributes:
        rate_share: Rate of all together, as a share of so many times the rate of one alone.
        cpu_share: Processor time that an episode takes alone, as a share of what it takes of a
            worker, what hands out and collects included. Others on the machine do not change it;
            workers that wait are not seen in it.
    """

    alone: Throughput
    together: Throughput
    rate_share: float
    cpu_share: float | None


def throughput(execute: Executor, episodes: int) -> Throughput:
    """Run a campaign with a fault in most episodes."""
    campaign = read_campaign(THIRTY.format(episodes=episodes), "thirty")
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "out", campaign)
        before_s, began_s = _cpu_s(), monotonic_s()
        tally = run_campaign(campaign, store, execute, _quiet)
        wall_s, after_s = monotonic_s() - began_s, _cpu_s()
    spent_s = None if before_s is None or after_s is None else after_s - before_s
    return Throughput(tally.virtual_s, wall_s, spent_s, tally.result_sha256)


def scaling(workers: int = WORKERS, episodes: int = EPISODES) -> Scaling:
    """Run the campaign in this process, then in so many others."""
    throughput(here, 2)  # What is imported and compiled once belongs to neither.
    alone = throughput(here, episodes)
    shared = pool(workers)
    throughput(shared, CHUNK * (workers - 1) + 1)  # A chunk each: every worker has begun.
    together = throughput(shared, episodes)
    cpu_share = None
    if alone.cpu_s is not None and together.cpu_s is not None:
        cpu_share = alone.cpu_s / together.cpu_s
    rate_share = together.virtual_s_per_s / (workers * alone.virtual_s_per_s)
    return Scaling(alone, together, rate_share, cpu_share)


def _cpu_s() -> float | None:
    """Return what this process and its workers have used."""
    if not sys.platform.startswith("linux"):
        return None
    workers = (child.pid for child in multiprocessing.active_children())
    return cpu_s() + sum(usage(pid).cpu_s for pid in workers if pid is not None)


def _quiet(_tally: Tally, _now_s: float) -> None:
    """Show nothing."""


def print_throughput() -> None:
    """Print the rates and what is left of them beside a process alone."""
    found = scaling()
    cpu = "" if found.cpu_share is None else f", {found.cpu_share:.0%} by processor time"
    print(
        f"campaign of {EPISODES} episodes of 30 s: {found.alone.virtual_s_per_s:,.0f} virtual s/s "
        f"in one process, {found.together.virtual_s_per_s:,.0f} in {WORKERS}: "
        f"{found.rate_share:.0%} of {WORKERS} times as many{cpu}   (target 75 %)"
    )
