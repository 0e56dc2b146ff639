"""Rows at three resolutions: what is kept, for how long, and what a late reader gets."""

from __future__ import annotations

from typing import Final

from cryoctl.ui.trace import Row, Trace, fold


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


def test_five_minutes_are_kept_by_two_rows_for_each_two_fifths_of_a_second() -> None:
    _, middle, _ = a_trace(400.0).history()

    assert 1490 <= len(middle) <= 1502
    assert round(middle[2].t - middle[0].t, 6) == 0.4
    assert middle[-1].t - middle[0].t > 295.0


PEAKS: Final = {20: 55.0, 1667: -89.0, 89_999: 56.0}
"""By the number of the one sample that has it."""


def test_a_peak_of_one_sample_is_in_every_view_of_an_hour() -> None:
    trace, seen_late = Trace(), []
    for number in range(3600 * 50):
        row = a_row(number / 50.0)
        trace.add(row._replace(tip_c=PEAKS[number]) if number in PEAKS else row)
        if number - 500 in PEAKS:  # After ten seconds.
            peak_c = PEAKS[number - 500]
            seen_late += [row.tip_c for row in trace.history()[1] if row.tip_c == peak_c]

    peaks = [row for row in trace.history()[2] if row.tip_c != -60.0]
    assert seen_late == list(PEAKS.values())
    assert [row.tip_c for row in peaks] == list(PEAKS.values())
    assert all(abs(row.t - at / 50.0) <= 6.4 for row, at in zip(peaks, PEAKS, strict=True))


def test_two_rows_hold_what_many_held() -> None:
    rows = [a_row(number / 10.0)._replace(valve=number / 10.0, phase=8) for number in range(5)]
    rows[1] = rows[1]._replace(tip_c=-80.0, skin_c=None)
    rows[3] = rows[3]._replace(tip_c=20.0, phase=9, skin_c=50.0)
    rows[4] = rows[4]._replace(phase=9)
    first, last = fold([row._replace(flow_mg_s=None) for row in rows])

    assert (first.t, last.t) == (0.0, 0.4)
    assert (first.tip_c, last.tip_c) == (-80.0, 20.0)
    assert (first.skin_c, last.skin_c) == (30.0, 50.0)
    assert (first.valve, last.valve) == (0.0, 0.4)
    assert (first.phase, last.phase) == (8, 9)
    assert (first.flow_mg_s, last.flow_mg_s) == (None, None)


def test_of_a_peak_that_comes_first_the_fall_is_drawn() -> None:
    rows = [a_row(0.0)._replace(tip_c=30.0), a_row(0.1), a_row(0.2)._replace(tip_c=-10.0)]

    assert [row.tip_c for row in fold(rows)] == [30.0, -60.0]


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
