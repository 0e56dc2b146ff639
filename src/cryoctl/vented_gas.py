"""How much gas has gone into the room within the last hour, by the flow out of the exhaust (SR-21).

A leak that does not come out of the exhaust is not in it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

VENTED_G_PER_H_MAX: Final = 16.0
"""SR-21: about two treatments of 8 g, 87 ppm each in a room of 50 m3 that nobody airs."""
_BIN_S: Final = 60.0
_BINS: Final = 61
"""An hour, and the minute that has begun: never less than an hour."""


@dataclass(slots=True)
class VentedGas:
    """Gas of the last hour, by the minute.

    Attributes:
        g_per_h: What went out within the hour before the newest sample, or up to a minute more.
        max_g_per_h: The most that it has been.
    """

    g_per_h: float = 0.0
    max_g_per_h: float = 0.0
    _minutes: deque[list[float]] = field(default_factory=deque)

    def add(self, vented_g: float, now_s: float) -> None:
        """Count what went out since the last sample; times must not fall."""
        minute = now_s // _BIN_S
        if not self._minutes or self._minutes[-1][0] != minute:
            self._minutes.append([minute, 0.0])
        while self._minutes[0][0] <= minute - _BINS:
            self.g_per_h -= self._minutes.popleft()[1]
        self._minutes[-1][1] += vented_g
        self.g_per_h += vented_g
        self.max_g_per_h = max(self.max_g_per_h, self.g_per_h)
