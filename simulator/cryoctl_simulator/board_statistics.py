"""How well a board keeps time, and what its channel loses."""

from __future__ import annotations

from collections import Counter, deque
from typing import Final

from cryoctl_simulator.board_channel import Actuated
from cryoctl_simulator.firmware_config import TICK_MS

_TICK_US: Final = TICK_MS * 1000
_BIN_US: Final = 10
_CLOCK_MASK: Final = 0xFFFFFFFF
_SEQ_MASK: Final = 0xFFFF
_DEADLINE_TICKS: Final = 2
"""A board's tick may come right before the readings, so that it sees them a whole tick later; its
answer is to be there at our next tick but one."""
_DEADLINE_US: Final = _TICK_US * 3 // 2
"""Ticks of ours that are made up for come at once, and no board can answer in no time."""


class Jitter:
    """By how much ticks came earlier or later than 10 ms after the last one."""

    def __init__(self) -> None:
        self.count = 0
        self._max_us = 0
        self._bins: Counter[int] = Counter()

    def add(self, interval_us: int) -> None:
        """Take the time between two ticks."""
        jitter_us = abs(interval_us - _TICK_US)
        self.count += 1
        self._max_us = max(self._max_us, jitter_us)
        self._bins[jitter_us // _BIN_US] += 1

    def percentile_us(self, percent: int) -> int:
        """Return the jitter that ``percent`` of all ticks keep below; 0 without any."""
        wanted = self.count * percent / 100
        seen = 0
        for row in sorted(self._bins):
            seen += self._bins[row]
            if seen >= wanted:
                return min((row + 1) * _BIN_US, self._max_us)
        return 0

    def __str__(self) -> str:
        figures = (self.percentile_us(50), self.percentile_us(99), self._max_us)
        p50, p99, largest = (f"{each / 1000.0:.2f} ms" for each in figures)
        return f"p50 {p50}, p99 {p99}, max {largest} over {self.count} ticks"


class BoardStatistics:
    """Times and losses since the simulator began.

    Attributes:
        board: Ticks of the board, by its own clock.
        here: Ticks of this program, which does not run on a real-time system.
        senses: Readings sent.
        missed: Readings that were not answered in time.
        lost_down: Readings that never reached the board, by its count.
        lost_up: Answers that never came.
        damaged_down: Pieces of the channel that were no frame to the board.
        begun: How often the board has announced itself.
    """

    def __init__(self) -> None:
        self.board = Jitter()
        self.here = Jitter()
        self.senses = 0
        self.missed = 0
        self.lost_down = 0
        self.lost_up = 0
        self.damaged_down = 0
        self.begun = 0
        self._waiting: deque[tuple[int, int]] = deque()
        self._last_sense_us: int | None = None
        self._last: Actuated | None = None

    def on_begin(self) -> None:
        """Note that the board has begun anew, or that its ticks are held up on purpose."""
        self._waiting.clear()
        self._last = None
        self._last_sense_us = None

    def on_sense(self, number: int, now_us: int) -> None:
        """Note that readings are sent; what has been heard until now is noted already."""
        waiting = self._waiting
        while (
            waiting
            and number - waiting[0][0] >= _DEADLINE_TICKS
            and now_us - waiting[0][1] >= _DEADLINE_US
        ):
            waiting.popleft()
            self.missed += 1
        waiting.append((number, now_us))
        self.senses += 1
        if self._last_sense_us is not None:
            self.here.add(now_us - self._last_sense_us)
        self._last_sense_us = now_us

    def on_actuate(self, actuated: Actuated) -> None:
        """Note an answer."""
        while self._waiting and self._waiting[0][0] <= actuated.number:
            self._waiting.popleft()
        last = self._last
        if last is not None:
            missing = actuated.seq - last.seq - 1 & _SEQ_MASK
            self.lost_up += missing
            if not missing:
                self.board.add(actuated.tick_us - last.tick_us & _CLOCK_MASK)
            self.lost_down += max(0, actuated.lost - last.lost)
            self.damaged_down += max(0, actuated.damaged - last.damaged)
        self._last = actuated

    def lines(self, damaged_up: int) -> list[str]:
        """Return the report; ``damaged_up`` are pieces that were no frame to us."""
        lost = f"{self.lost_down} to the board, {self.lost_up} from it"
        return [
            f"board      ticks: jitter {self.board}; began {self.begun} times",
            f"here       ticks: jitter {self.here}",
            f"deadlines  {self.missed} of {self.senses} missed",
            f"channel    frames lost: {lost}; damaged: {self.damaged_down} and {damaged_up}",
        ]
