"""What holds for every test: no task left running, repeatable examples."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.replays import check_recordings

# The same examples in every run; `--hypothesis-profile=explore` looks for new ones.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=2000)
settings.load_profile("repeatable")


if hasattr(signal, "SIGHUP"):
    # Under nohup the programs that tests start would inherit that it is ignored.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


PROMPT_NICE, REAL_TIME_NICE, NICE = -15, 8, 17
"""Of root's runs. Chromium has threads that make themselves -8 there."""
CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else frozenset[int]()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Start two workers for each processor: half of the time a test waits for real seconds."""
    return 2 * (os.cpu_count() or 1)


def may_choose_priority() -> bool:
    """Return True if this process may choose when it has the processor."""
    if not hasattr(os, "setpriority"):
        return False
    before = os.getpriority(os.PRIO_PROCESS, 0)
    try:
        os.setpriority(os.PRIO_PROCESS, 0, PROMPT_NICE)
        os.setpriority(os.PRIO_PROCESS, 0, before)
    except OSError:
        return False
    return True


CHOOSES_PRIORITY = may_choose_priority()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Have tests that only work stand back for those that must be in time, and their programs."""
    if CHOOSES_PRIORITY:
        marker = item.get_closest_marker("real_time")
        waits = PROMPT_NICE if marker and marker.kwargs.get("prompt") else REAL_TIME_NICE
        os.setpriority(os.PRIO_PROCESS, 0, waits if marker else NICE)
    if CORES:
        # Chromium draws with all cores, in sessions of its own that no priority reaches: left
        # alone it had probes in other processes stand still for 0.4 s.
        group = item.get_closest_marker("xdist_group")
        is_browser = group is not None and group.args == ("browser",)
        os.sched_setaffinity(0, {max(CORES)} if is_browser else CORES)


def pytest_collection_finish() -> None:
    """Take what collection made, which stays to the end, out of every search for garbage."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def every_recording_replays(request: pytest.FixtureRequest) -> Iterator[None]:
    """Replay each recording that a test has made: it must come out the same."""
    folder: Path | None = None
    if "tmp_path" in request.fixturenames:
        folder = request.getfixturevalue("tmp_path")
    elif "tmp_path_factory" in request.fixturenames:
        folder = request.getfixturevalue("tmp_path_factory").getbasetemp()
    yield
    if folder is not None:
        check_recordings(folder)


@pytest.fixture(autouse=True)
def no_leftover_tasks(request: pytest.FixtureRequest) -> None:
    """Fail an async test that leaves asyncio tasks running on its loop."""
    if isinstance(request.node, pytest.Function) and inspect.iscoroutinefunction(
        request.node.function
    ):
        request.getfixturevalue("leftover_task_check")


@pytest.fixture
async def leftover_task_check() -> AsyncIterator[None]:
    yield
    leftover = asyncio.all_tasks() - {asyncio.current_task()}
    names = sorted(task.get_name() for task in leftover)
    for task in leftover:
        task.cancel()
    await asyncio.gather(*leftover, return_exceptions=True)
    assert names == [], "tasks left running"
