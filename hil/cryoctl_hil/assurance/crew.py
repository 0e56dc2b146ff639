"""Shares work out to processes, and takes results as they come: what every campaign needs."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def share_out(do: Callable[[T], R], tasks: Iterable[T], processes: int = 0) -> Iterator[R]:
    """Yield the result of every task, in order, worked at by as many processes as cores.

    Args:
        do: A function of a module, and of its argument alone.
        tasks: Their number need not be known; one task runs here, without another process.
        processes: 0 is one for each core.
    """
    listed = list(tasks)
    count = min(processes or os.cpu_count() or 1, len(listed))
    if count <= 1:
        yield from map(do, listed)
        return
    # Spawned, not forked: a forked process takes over whatever threads hold.
    with multiprocessing.get_context("spawn").Pool(count) as pool:
        yield from pool.imap(do, listed)
