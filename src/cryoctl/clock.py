"""The only reader of the machine's clocks; everything else is given the time."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final

SPEED_SHORTFALL_MAX: Final = 0.05
_JUDGE_AFTER_S: Final = 1.0


def monotonic_s() -> float:
    """Return seconds of a clock that never jumps, whatever the wall's does (SR-10)."""
    return time.monotonic()


def monotonic_ns() -> int:
    """Return the same in whole nanoseconds, for stamps."""
    return time.monotonic_ns()


def cpu_s() -> float:
    """Return seconds of processor time this process has used."""
    return time.process_time()


def utc_now() -> datetime:
    """Return the time of day, for people."""
    return datetime.now(tz=UTC)


class SpeedMissedError(Exception):
    """The machine cannot keep the speed asked for; carries the rate it did reach."""

    def __init__(self, asked: float, achieved: float) -> None:
        super().__init__(
            f"--speed {asked:g} cannot be kept on this machine: {achieved:.1f} x achieved; "
            f"ask for less, or for --speed max"
        )
        self.achieved = achieved


class Pacer:
    """Holds virtual time back to ``speed`` times the wall's, and says when it falls behind.

    Args:
        speed: Times real time.
        may_slip: Time that was lost stays lost, instead of being an error.
    """

    def __init__(self, speed: float, *, may_slip: bool = False) -> None:
        self._speed = speed
        self._may_slip = may_slip
        self._start_s = monotonic_s()

    def wait_until(self, now_s: float) -> None:
        """Sleep until the wall has got to virtual ``now_s``.

        Raises:
            SpeedMissedError: Virtual time is more than 5 % behind, judged after one second.
        """
        elapsed_s = monotonic_s() - self._start_s
        ahead_s = now_s / self._speed - elapsed_s
        if ahead_s > 0.0:
            time.sleep(ahead_s)
        elif self._may_slip:
            self._start_s -= ahead_s
        elif elapsed_s > _JUDGE_AFTER_S:
            self.judge(now_s)

    def judge(self, now_s: float) -> None:
        """Raise SpeedMissedError if virtual ``now_s`` came more than 5 % later than asked for."""
        if self._may_slip:
            return
        elapsed_s = monotonic_s() - self._start_s  # 0 for a while where a clock is coarse.
        if now_s < self._speed * (1.0 - SPEED_SHORTFALL_MAX) * elapsed_s:
            raise SpeedMissedError(self._speed, now_s / elapsed_s)
