"""Ctrl-C, SIGTERM and SIGHUP end a run once; none of them cuts off what makes the probe safe."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

_SIGNALS: Final = tuple(
    int(getattr(signal, name)) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class StopOnce:
    """Raises KeyboardInterrupt at the first signal; later ones change nothing.

    Attributes:
        asked: True since somebody asked for the end.
    """

    def __init__(self) -> None:
        self.asked = False
        self._held = False
        self._is_due = False
        self._previous: dict[int, Any] = {}

    def take_over(self) -> None:
        """Take the signals; outside the main thread nobody can."""
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._previous[number] = signal.signal(number, self._on_signal)

    def give_back(self) -> None:
        """Give the signals back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let a signal wait until what is done here is done."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._is_due:
            self._is_due = False
            raise KeyboardInterrupt

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked:
            return  # What follows has bounds of its own.
        self.asked = True
        if self._held:
            self._is_due = True
        else:
            raise KeyboardInterrupt
