"""Rows at three resolutions: what is kept, for how long, and what a late reader gets."""

from __future__ import annotations

from cryoctl.ui.trace import Row, Trace


def a_row(t: float) -> Row:
    """Return a row at a time, all else the same."""
    return Row(t, -60.0, -60.0, 50.0, 1.2, 25.0, 0.5, 0.0, 0.0, 30.0, 10, 1.5, 2.5, -60.0, 1.5, 2.5)


def a_trace(seconds: float, *, speed: float = 1.0) -> Trace:
    """Return a trace of samples 20 ms apart."""
    trace = Trace(speed)
    for number in range(round(seconds * 50)):
        trace.add(a_row(number / 50.0))
    return trace


def test_every_sample_of_the_last_half_minute_is_kept() -> None:
    fine, _, _ = a_trace(100.0).history()

    assert len(fine) == 1500
    assert (fine[0].t, fine[-1].t) == (70.0, 99.98)


def test_five_minutes_are_kept_in_fifths_of_a_second() -> None:
    _, middle, _ = a_trace(400.0).history()

    assert len(middle) == 1500
    assert round(middle[1].t - middle[0].t, 6) in (0.16, 0.2)
    assert middle[-1].t - middle[0].t > 230.0


def test_an_hour_is_no_longer_than_ten_minutes() -> None:
    _, _, whole = a_trace(3600.0).history()

    assert 1500 <= len(whole) <= 3000
    assert whole[0].t == 0.0
    assert whole[-1].t > 3590.0


def test_a_fast_simulation_brings_no_more_rows_in_a_second() -> None:
    assert a_trace(100.0, speed=20.0).count <= 100.0 / 0.3 + 1


def test_a_late_reader_gets_what_it_missed_and_is_told_what_is_gone() -> None:
    trace = a_trace(10.0)
    seen = trace.count
    trace.add(a_row(10.0))
    trace.add(a_row(10.02))

    rows, lost = trace.since(seen)
    assert ([row.t for row in rows], lost) == ([10.0, 10.02], 0)

    for number in range(2000):
        trace.add(a_row(11.0 + number / 50.0))
    rows, lost = trace.since(seen)
    assert (len(rows), lost) == (1500, 502)


def test_who_has_everything_gets_nothing() -> None:
    trace = a_trace(1.0)

    assert trace.since(trace.count) == ([], 0)
