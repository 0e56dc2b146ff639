"""Random choices that repeat: a counter-based generator, drawn from in bulk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

import numpy as np
from numpy.random import Generator, Philox

BULK: Final = 1024
"""Numbers made at once: one at a time takes thirty times as long."""
_SPAN: Final = 2**32

T = TypeVar("T")


class Draws:
    """Choices that follow from two whole numbers and nothing else.

    Args:
        seed: Of a campaign.
        stream: Of one world or block in it.
    """

    def __init__(self, seed: int, stream: int = 0) -> None:
        self._generator = Generator(Philox(key=np.array([seed, stream], dtype=np.uint64)))
        self._drawn: list[int] = []

    def below(self, count: int) -> int:
        """Return a whole number from 0 to ``count`` - 1."""
        drawn = self._drawn
        if not drawn:
            drawn += self._generator.integers(0, _SPAN, BULK, dtype=np.uint64).tolist()
        return drawn.pop() % count

    def between(self, low: float, high: float) -> float:
        """Return a number from ``low`` up to ``high``."""
        return low + (high - low) * self.below(_SPAN) / _SPAN

    def chance(self, probability: float) -> bool:
        """Return True as often as ``probability`` says."""
        return self.below(_SPAN) < probability * _SPAN

    def choose(self, things: Sequence[T]) -> T:
        """Return one of ``things``."""
        return things[self.below(len(things))]

    def octets(self, count: int) -> bytes:
        """Return ``count`` random bytes."""
        return bytes([self.below(256) for _ in range(count)])
