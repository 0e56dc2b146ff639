"""An asyncio event loop whose time is ours: it never waits, it moves the clock to the next timer.

Sockets and threads are refused, so that time can never race I/O; a loop in which every task waits
for ever is an error at once instead of a program that hangs.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

_SELF_PIPE_KEYS: Final = 1  # asyncio's own wake-up socket.


class VirtualTimeError(RuntimeError):
    """Something that has no place in virtual time: a socket, a thread, or nothing left to do."""


class _ClockSelector(selectors.BaseSelector):
    """Selects nothing; a wait of t seconds moves the loop's clock by t."""

    def __init__(self, on_wait: Callable[[float | None], None]) -> None:
        self._on_wait = on_wait
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        if len(self._keys) >= _SELF_PIPE_KEYS:
            raise VirtualTimeError(
                "no sockets, pipes or ports in virtual time: use an in-memory link"
            )
        # asyncio hands over bare descriptors.
        descriptor = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        key = selectors.SelectorKey(fileobj, descriptor, events, data)
        self._keys[fileobj] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._on_wait(timeout)
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Runs unchanged asyncio code on a clock that starts at 0 and jumps from timer to timer.

    Args:
        pace: Called with the virtual time about to be entered; may sleep to hold it back.
    """

    def __init__(self, pace: Callable[[float], None] | None = None) -> None:
        self._now_s = 0.0
        self._pace = pace
        super().__init__(_ClockSelector(self._wait))

    def time(self) -> float:
        """Return virtual seconds since the loop was made."""
        return self._now_s

    def run_in_executor(self, *args: Any, **kwargs: Any) -> NoReturn:  # type: ignore[override]
        """Refuse: a thread's work takes no virtual time."""
        raise VirtualTimeError("no threads in virtual time")

    def call_soon_threadsafe(  # type: ignore[override]
        self, *args: Any, **kwargs: Any
    ) -> NoReturn:
        """Refuse: nothing outside the loop may wake it."""
        raise VirtualTimeError("no other thread may wake a loop in virtual time")

    def _wait(self, timeout: float | None) -> None:
        if timeout is None:
            raise VirtualTimeError("every task waits for something that can never happen")
        if timeout <= 0.0:
            return
        # The timer itself, not now + timeout: repeated sums would drift off whole steps.
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        self._now_s = max(self._now_s, scheduled[0].when())
        if self._pace is not None:
            self._pace(self._now_s)


async def sleep_until(when_s: float) -> None:
    """Wait until the running loop's clock shows ``when_s``, exactly, without summing delays."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    timer = loop.call_at(when_s, done.set_result, None)
    try:
        await done
    except asyncio.CancelledError:
        timer.cancel()
        raise
