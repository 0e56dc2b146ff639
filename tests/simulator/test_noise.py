"""Noise that depends on seed, stream and block alone."""

from __future__ import annotations

from statistics import fmean, pstdev

import pytest

from cryoctl_simulator.noise import NoiseStream


def test_a_block_is_the_same_whether_or_not_others_were_drawn_before() -> None:
    first = NoiseStream(7, 1, [1.0, 2.0])
    second = NoiseStream(7, 1, [1.0, 2.0])
    for number in range(3):
        first.block(number, 50)

    assert first.block(3, 50) == second.block(3, 50)


@pytest.mark.parametrize("other", [NoiseStream(8, 1, [1.0]), NoiseStream(7, 2, [1.0])])
def test_another_seed_or_stream_gives_other_noise(other: NoiseStream) -> None:
    assert NoiseStream(7, 1, [1.0]).block(0, 50) != other.block(0, 50)


def test_blocks_differ_from_each_other() -> None:
    stream = NoiseStream(7, 1, [1.0])

    assert stream.block(0, 50) != stream.block(1, 50)


def test_every_channel_has_its_own_deviation_around_zero() -> None:
    rows = NoiseStream(7, 1, [0.5, 2.0]).block(0, 20_000)

    for column, deviation in ((0, 0.5), (1, 2.0)):
        values = [row[column] for row in rows]
        assert fmean(values) == pytest.approx(0.0, abs=0.03 * deviation)
        assert pstdev(values) == pytest.approx(deviation, rel=0.03)
