"""Campaigns at their full size: search beside chance, forks, growth, workers lost on a cluster."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from cryoctl_hil.bench_campaign import (
    FORKED,
    fork_cost,
    needed_by_chance,
    searched_until_found,
)
from cryoctl_hil.bench_growth import (
    Cost,
    campaign_cost,
    fleet_cost,
    measured,
    recording_cost,
)
from cryoctl_hil.bench_throughput import THIRTY, scaling
from cryoctl_hil.campaign.campaign_run import Tally, run_campaign
from cryoctl_hil.campaign.executors import dask, here
from cryoctl_hil.campaign.spec import read_campaign
from cryoctl_hil.campaign.store import Store
from tests.support.programs import needed_modules

pytestmark = [pytest.mark.assure, pytest.mark.timeout(3600)]
TRIALS = int(os.environ.get("TRIALS", "100"))
"""How large: 100 is the full size."""


def test_a_search_needs_at_most_a_tenth_of_what_chance_does_over_10_seeds() -> None:
    needed_modules("scipy", extra="campaign")
    by_chance = needed_by_chance(20 * TRIALS)
    found = [searched_until_found(seed) for seed in range(1, 11)]
    print(f"searched {found}, by chance 1 in {by_chance:.0f}")

    episodes = [count for count in found if count is not None]
    assert len(episodes) == 10
    assert sum(episodes) / 10 <= by_chance / 10


def test_every_fault_from_100_snapshots_costs_at_most_a_third_of_whole_runs() -> None:
    cost = fork_cost(TRIALS, FORKED, compared=60)
    print(cost)

    assert cost.same == cost.compared >= 60
    assert cost.share <= 1 / 3


@pytest.mark.parametrize(
    ("once", "counts"),
    [
        (campaign_cost, (5 * TRIALS, 10 * TRIALS, 20 * TRIALS, 40 * TRIALS)),
        (fleet_cost, (25, 50, 100, 200)),
        (recording_cost, (1, 2, 4, 6)),
    ],
)
def test_time_grows_as_what_is_asked_for_and_memory_hardly(
    once: Callable[[int], Cost], counts: tuple[int, ...]
) -> None:
    growth = measured(counts, once)
    print(once.__name__, growth)

    assert 0.9 <= growth.exponent <= 1.1
    assert growth.memory_growth_mib <= 40.0


def test_two_workers_run_at_least_three_quarters_of_twice_what_one_does() -> None:
    """By processor time, whatever else the machine does; waiting shows in the rates alone."""
    found = scaling(2, 6 * TRIALS)
    print(found)

    assert found.alone.result_sha256 == found.together.result_sha256 != ""
    assert found.cpu_share is not None
    assert found.cpu_share >= 0.75


def test_a_cluster_that_loses_one_of_three_workers_comes_to_the_same(tmp_path: Path) -> None:
    needed_modules("distributed", extra="dask")
    campaign = read_campaign(THIRTY.format(episodes=3 * TRIALS), "thirty")
    alone = run_campaign(campaign, Store(tmp_path / "alone", campaign), here, quiet)

    with cluster(tmp_path, 3) as (address, workers):

        def kill_one(tally: Tally, _now_s: float) -> None:
            if tally.done < tally.total:
                workers[0].send_signal(signal.SIGKILL)

        shared = Store(tmp_path / "shared", campaign)
        tally = run_campaign(campaign, shared, dask(address), kill_one)
        assert workers[0].wait() == -signal.SIGKILL

    assert tally.result_sha256 == alone.result_sha256 != ""


def quiet(_tally: Tally, _now_s: float) -> None: ...


@contextmanager
def cluster(folder: Path, count: int) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Run a scheduler and workers as programs; yield the address and the workers."""
    told = folder / "scheduler.json"
    with ExitStack() as stack:

        def start(*arguments: str) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", "distributed.cli." + arguments[0], *arguments[1:]]
            process = stack.enter_context(
                subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            )
            stack.callback(process.kill)
            return process

        start("dask_scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(told))
        one = ("dask_worker", "--scheduler-file", str(told), "--nthreads", "1", "--no-nanny")
        workers = [start(*one, "--no-dashboard") for _ in range(count)]
        while not told.exists():
            time.sleep(0.1)
        from distributed import Client

        with Client(scheduler_file=str(told)) as client:  # type: ignore[no-untyped-call]
            client.wait_for_workers(count, timeout=120)
            address = client.scheduler.address
        yield address, workers
