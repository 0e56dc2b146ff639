"""Ctrl-C, SIGTERM and SIGHUP ask for STOP; none of them cuts off what has to follow it."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any, Final, Protocol, Self

_SIGNALS: Final = tuple(
    int(getattr(signal, name)) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class Stoppable(Protocol):
    """Whatever drives a probe and can be told to stop."""

    def request_stop(self, *, leave: bool = False) -> None:
        """Have STOP requested as soon as possible; called from a signal handler.

        Args:
            leave: Nobody waits for the needle to come free.
        """
        ...


class StopSignals:
    """Holds the signals from start-up to the last line of the result.

    The first Ctrl-C stops, and the run goes on until the needle is free; a second one leaves as
    soon as the probe is safe. SIGTERM and SIGHUP mean that nobody is there to wait. One that comes
    before there is anything to stop is kept for it; one that comes late must not cost the report.
    """

    def __init__(self) -> None:
        self._wanted = 0
        self._leave = False
        self._target: Stoppable | None = None
        self._previous: dict[int, Any] = {}

    def attach(self, target: Stoppable) -> None:
        """Pass signals on to ``target``, and at once any that came before it."""
        self._target = target
        if self._wanted:
            target.request_stop(leave=self._leave)

    def __enter__(self) -> Self:
        """Take the signals over."""
        for number in _SIGNALS:
            self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the signals back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._wanted += 1
        self._leave = self._leave or self._wanted > 1 or number != signal.SIGINT
        if self._target is not None:
            self._target.request_stop(leave=self._leave)
