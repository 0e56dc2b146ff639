"""The line between a served probe and whoever opened its port: rate, buffer, losses."""

from __future__ import annotations

from itertools import accumulate

import pytest

from cryoctl_simulator.served.uart import Uart


def test_bytes_cross_at_a_tenth_of_the_baud_rate() -> None:
    line = Uart(9_600)
    line.put(bytes(100))

    sent = list(accumulate(len(line.take(0.01)) for _ in range(11)))

    assert sent == pytest.approx([min(100.0, 9.6 * n) for n in range(1, 12)], abs=1.0)


def test_the_order_of_bytes_is_kept() -> None:
    line = Uart(115_200)
    data = bytes(range(256)) * 4
    line.put(data)

    assert b"".join(line.take(0.01) for _ in range(10)) == data


def test_an_idle_line_saves_no_time_up() -> None:
    line = Uart(9_600)
    for _ in range(100):
        line.take(0.01)
    line.put(bytes(100))

    assert len(line.take(0.01)) <= 10


def test_what_finds_the_buffer_full_is_dropped_and_counted() -> None:
    line = Uart(9_600, fifo_size=100)

    line.put(bytes(80))
    line.put(b"x" * 30)

    assert line.dropped_bytes == 10
    assert len(b"".join(line.take(0.01) for _ in range(20))) == 100


def test_a_line_without_a_rate_passes_everything_at_once() -> None:
    line = Uart(None)
    line.put(bytes(3000))

    assert len(line.take(0.01)) == 3000


def test_a_cleared_line_is_empty() -> None:
    line = Uart(9_600)
    line.put(bytes(100))

    line.clear()

    assert line.take(1.0) == b""
