"""How late the control ticks of a run came: a histogram, and what its tail is (SR-35)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import ceil
from typing import Final

LATE_LOGGED_MS: Final = 50.0  # SR-35
TAIL: Final = 0.999  # SR-35: p99.9
_STEPS_PER_MS: Final = 10


@dataclass(slots=True)
class TickAges:
    """Lateness of ticks, counted in tenths of a millisecond."""

    _counts: Counter[int] = field(default_factory=Counter)

    def take(self, late_s: float) -> float:
        """Count one tick that came ``late_s`` after it was due; return that in ms, at least 0."""
        steps = max(0, round(late_s * 1000.0 * _STEPS_PER_MS))
        self._counts[steps] += 1
        return steps / _STEPS_PER_MS

    @property
    def max_ms(self) -> float:
        """The latest tick; 0 without any."""
        return max(self._counts, default=0) / _STEPS_PER_MS

    @property
    def p999_ms(self) -> float:
        """What 99.9 % of all ticks were not later than; 0 without any."""
        wanted = ceil(TAIL * self._counts.total())
        seen = 0
        for steps in sorted(self._counts):
            seen += self._counts[steps]
            if seen >= wanted:
                return steps / _STEPS_PER_MS
        return 0.0
