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

    def hurry(self) -> None:
        """Have the operator act as soon as possible; called from any thread."""
        ...


class StopSwitch:
    """Passes a wish to stop on to whatever drives the probe, in any thread.

    The first one stops, and the run goes on until the needle is free; a second one leaves as soon
    as the probe is safe. One that comes before there is anything to stop is kept for it.
    """

    def __init__(self) -> None:
        self._stopped = False
        self._leave = False
        self._target: Stoppable | None = None

    def attach(self, target: Stoppable) -> None:
        """Pass wishes on to ``target``, and at once one that came before it."""
        self._target = target
        if self._stopped:
            target.request_stop(leave=self._leave)

    def stop(self, *, leave: bool = False) -> None:
        """Have the probe stopped; ``leave`` does not wait for the needle, as a second call."""
        self._leave = self._leave or leave or self._stopped
        self._stopped = True
        if self._target is not None:
            self._target.request_stop(leave=self._leave)

    def hurry(self) -> None:
        """Have the operator act without waiting for the next tick: it has a STOP to pass on."""
        if self._target is not None:
            self._target.hurry()


class StopSignals(StopSwitch):
    """Holds the signals from start-up to the last line of the result, and stops at each of them.

    SIGTERM and SIGHUP mean that nobody is there to wait. A signal that comes late must not cost
    the report.
    """

    def __init__(self) -> None:
        super().__init__()
        self._previous: dict[int, Any] = {}

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
        self.stop(leave=number != signal.SIGINT)
