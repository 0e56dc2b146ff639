"""Sensor noise by seed, stream and tick alone (SR-37): a fork never shifts other streams."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class NoiseStream:
    """Blocks of Gaussian noise, one column per channel.

    The generator is counter-based: a block is the same whether or not others were drawn before.
    """

    __slots__ = ("_deviations", "_seed", "_stream")

    def __init__(self, seed: int, stream: int, deviations: Sequence[float]) -> None:
        """Describe the stream.

        Args:
            seed: Of the run.
            stream: Which of its streams.
            deviations: Standard deviation of each channel.
        """
        self._seed = seed
        self._stream = stream
        self._deviations = np.array(deviations)

    def block(self, number: int, rows: int) -> list[list[float]]:
        """Return block ``number``: ``rows`` rows of one value per channel."""
        # The block is the most significant word of the 256-bit counter: blocks cannot overlap.
        philox = np.random.Philox(key=[self._seed, self._stream], counter=[0, 0, 0, number])
        normal = np.random.Generator(philox).standard_normal((rows, len(self._deviations)))
        scaled: list[list[float]] = (normal * self._deviations).tolist()
        return scaled


def chances(seed: int, stream: int, number: int, count: int) -> list[float]:
    """Return ``count`` numbers from 0 to 1 that depend on seed, stream and number alone."""
    philox = np.random.Philox(key=[seed, stream], counter=[0, 0, 0, number])
    drawn: list[float] = np.random.Generator(philox).random(count).tolist()
    return drawn
