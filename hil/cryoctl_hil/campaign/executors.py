"""Who runs the episodes: this process, a pool of processes, or a Dask cluster.

All take the same chunks of numbers and give the same lines, in whatever order they come. An episode
depends on nothing but the campaign's file and its own number, so one that is lost with its worker
is simply run again.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache, partial
from typing import Any, Final

from cryoctl.runner import no_collector
from cryoctl_hil.campaign.episode import run_episode
from cryoctl_hil.campaign.fork import branches_of, run_branches
from cryoctl_hil.campaign.sampling import Point, draws_of
from cryoctl_hil.campaign.spec import Campaign, read_campaign
from cryoctl_hil.campaign.store import versions

CHUNK: Final = 16
"""Episodes at once: what a chunk costs to send is then nothing beside them."""
BREAKS_MAX: Final = 5
"""So often a pool may lose a worker without a result in between."""
RETRIES: Final = 5
"""So often a Dask cluster may lose the worker of one chunk."""

Lines = list[str]
Chunk = Sequence[int] | Sequence[Point]
Executor = Callable[[str, Sequence[Chunk]], Iterator[Lines]]
"""Takes the campaign's text and chunks of numbers, or of points; yields the rows of each chunk."""


class ExecutorError(Exception):
    """Nobody can run the episodes; the text says what to do."""


def episodes_of(campaign: Campaign) -> int:
    """Return how many episodes a campaign has; each branch of a fork is one."""
    return draws_of(campaign) if campaign.table.fork is None else branches_of(campaign)


def run_chunk(text: str, numbers: Chunk) -> Lines:
    """Run some episodes of the campaign in ``text``; return their rows."""
    campaign = _campaign(text)
    with no_collector():
        if campaign.table.fork is not None:
            chosen = [number for number in numbers if isinstance(number, int)]
            return [row.to_json() for row in run_branches(campaign, chosen)]
        return [run_episode(campaign, number).to_json() for number in numbers]


@lru_cache(maxsize=2)
def _campaign(text: str) -> Campaign:
    return read_campaign(text, "campaign")


def here(text: str, chunks: Sequence[Chunk]) -> Iterator[Lines]:
    """Run everything in this process."""
    for chunk in chunks:
        yield run_chunk(text, chunk)


def pool(workers: int) -> Executor:
    """Return an executor with so many processes; one that dies is replaced, its episodes rerun.

    The processes stay for the next call, as in a search, and end with the executor.
    """
    opened: list[ProcessPoolExecutor] = []

    def processes() -> ProcessPoolExecutor:
        if not opened:
            context = multiprocessing.get_context("spawn")  # A fork takes over what threads hold.
            opened.append(ProcessPoolExecutor(workers, mp_context=context))
        return opened[0]

    def execute(text: str, chunks: Sequence[Chunk]) -> Iterator[Lines]:
        left = dict(enumerate(chunks))
        breaks = 0
        while left:
            try:
                for number, lines in _pooled(text, left, workers, processes()):
                    del left[number]
                    breaks = 0
                    yield lines
            except BrokenProcessPool as error:
                opened.pop().shutdown()
                breaks += 1
                if breaks > BREAKS_MAX:
                    raise ExecutorError(
                        f"workers died {breaks} times in a row: is there enough memory for "
                        f"{workers}? try --workers {max(1, workers // 2)}"
                    ) from error

    return execute


def _pooled(
    text: str, left: dict[int, Chunk], workers: int, executor: ProcessPoolExecutor
) -> Iterator[tuple[int, Lines]]:
    waiting = list(left.items())
    running: dict[Future[Lines], int] = {}
    try:
        while waiting or running:
            while waiting and len(running) < 2 * workers:
                number, chunk = waiting.pop(0)
                running[executor.submit(run_chunk, text, chunk)] = number
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield running.pop(future), future.result()
    finally:
        for future in running:
            future.cancel()


def dask(address: str) -> Executor:
    """Return an executor on a Dask cluster; ``local`` or ``local:N`` starts one on this machine.

    Raises:
        ExecutorError: Dask is not installed, the cluster is not there, or runs another version.
    """
    try:
        from distributed import Client, LocalCluster
    except ModuleNotFoundError as error:
        raise ExecutorError(
            "--dask needs Dask; install it: pip install 'cryoctl[dask]', on every worker as well"
        ) from error

    def execute(text: str, chunks: Sequence[Chunk]) -> Iterator[Lines]:
        from distributed import as_completed

        with _client(address, Client, LocalCluster) as client:
            _check_versions(client)
            run = partial(run_chunk, text)
            futures = client.map(run, chunks, retries=RETRIES, pure=False)
            for future in as_completed(futures):  # type: ignore[no-untyped-call]
                yield future.result()
                future.release()

    return execute


def _client(address: str, make_client: Any, make_cluster: Any) -> Any:
    name, _, count = address.partition(":")
    if name == "local":
        workers = int(count) if count else os.cpu_count()
        cluster = make_cluster(
            n_workers=workers, threads_per_worker=1, dashboard_address=None, processes=True
        )
        return make_client(cluster)
    try:
        return make_client(address, timeout="10s")
    except (OSError, ValueError) as error:
        raise ExecutorError(f"--dask {address}: no scheduler answers there: {error}") from error


def _check_versions(client: Any) -> None:
    """Refuse workers whose rows would not be the same."""
    ours = versions()
    for worker, theirs in client.run(versions).items():
        if theirs != ours:
            raise ExecutorError(
                f"worker {worker} has cryoctl {theirs['cryoctl']} (messages "
                f"{theirs['schema_hash']}), this program {ours['cryoctl']} "
                f"({ours['schema_hash']}): install the same version everywhere"
            )
