"""The loop whose time is ours: exact times, no sockets, no threads, no endless waiting."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import pytest

from cryoctl.virtual_time import VirtualTimeError, VirtualTimeLoop, sleep_until

T = TypeVar("T")


def run(
    main: Callable[[], Coroutine[Any, Any, T]], pace: Callable[[float], None] | None = None
) -> T:
    """Run ``main`` on a virtual-time loop of its own."""
    loop = VirtualTimeLoop(pace)
    try:
        return loop.run_until_complete(main())
    finally:
        loop.close()


def test_time_starts_at_zero_and_stands_still_while_there_is_work() -> None:
    async def main() -> tuple[float, float]:
        before_s = asyncio.get_running_loop().time()
        for _ in range(100):
            await asyncio.sleep(0)
        return before_s, asyncio.get_running_loop().time()

    assert run(main) == (0.0, 0.0)


def test_ten_hours_pass_at_once_and_exactly() -> None:
    async def main() -> float:
        await asyncio.sleep(36_000.0)
        return asyncio.get_running_loop().time()

    assert run(main) == 36_000.0


def test_absolute_deadlines_do_not_drift() -> None:
    async def main() -> list[float]:
        seen_s = []
        for step in range(1, 10_001):
            await sleep_until(step * 0.01)
            seen_s.append(asyncio.get_running_loop().time())
        return seen_s

    assert run(main) == [step * 0.01 for step in range(1, 10_001)]


def test_a_deadline_in_the_past_is_met_now_and_time_does_not_go_back() -> None:
    async def main() -> float:
        await sleep_until(5.0)
        await sleep_until(1.0)
        return asyncio.get_running_loop().time()

    assert run(main) == 5.0


def test_two_tasks_wake_in_the_order_of_their_deadlines() -> None:
    async def main() -> list[tuple[str, float]]:
        seen: list[tuple[str, float]] = []

        async def wake(name: str, *deadlines_s: float) -> None:
            for deadline_s in deadlines_s:
                await sleep_until(deadline_s)
                seen.append((name, asyncio.get_running_loop().time()))

        async with asyncio.TaskGroup() as group:
            group.create_task(wake("slow", 0.3, 0.9))
            group.create_task(wake("fast", 0.1, 0.5, 0.7))
        return seen

    assert run(main) == [
        ("fast", 0.1),
        ("slow", 0.3),
        ("fast", 0.5),
        ("fast", 0.7),
        ("slow", 0.9),
    ]


def test_a_timeout_fires_at_its_virtual_instant() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.5):
                await asyncio.sleep(1000.0)
        return asyncio.get_running_loop().time()

    assert run(main) == 2.5


def test_a_cancelled_wait_leaves_no_timer_behind() -> None:
    complaints: list[dict[str, Any]] = []

    async def main() -> float:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: complaints.append(context))
        waiting = asyncio.create_task(sleep_until(100.0))
        await asyncio.sleep(1.0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.sleep(199.0)
        return loop.time()

    assert run(main) == 200.0
    assert complaints == []


def test_the_pace_is_asked_before_each_instant_is_entered() -> None:
    entered_s: list[float] = []
    seen_s: list[float] = []

    async def main() -> None:
        for when_s in (0.5, 1.25, 3.0):
            await sleep_until(when_s)
            seen_s.append(entered_s[-1])

    run(main, entered_s.append)

    assert entered_s == seen_s == [0.5, 1.25, 3.0]


async def wait_for_nothing() -> None:
    await asyncio.get_running_loop().create_future()


def test_waiting_for_what_can_never_happen_is_an_error() -> None:
    loop = VirtualTimeLoop()

    with pytest.raises(VirtualTimeError, match="every task waits"):
        loop.run_until_complete(asyncio.wait_for(wait_for_nothing(), None))

    for task in asyncio.all_tasks(loop):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)
    loop.close()


async def watch_a_socket() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        asyncio.get_running_loop().add_reader(ours, lambda: None)


async def receive_from_a_socket() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        await asyncio.get_running_loop().sock_recv(ours, 1)


async def look_a_name_up() -> None:
    await asyncio.get_running_loop().getaddrinfo("localhost", 80)


async def work_in_a_thread() -> None:
    await asyncio.to_thread(int)


async def wake_from_outside() -> None:
    asyncio.get_running_loop().call_soon_threadsafe(int)


@pytest.mark.parametrize(
    ("act", "why"),
    [
        (watch_a_socket, "no sockets"),
        (receive_from_a_socket, "no sockets"),
        (look_a_name_up, "no threads"),
        (work_in_a_thread, "no threads"),
        (wake_from_outside, "no other thread"),
    ],
)
def test_sockets_and_threads_are_refused(act: Callable[[], Awaitable[None]], why: str) -> None:
    async def main() -> None:
        await act()

    with pytest.raises(VirtualTimeError, match=why):
        run(main)
