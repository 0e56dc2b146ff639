"""Pictures of a campaign as SVG: intervals against a limit, and times against their bounds."""

from __future__ import annotations

from collections.abc import Sequence
from math import log10
from typing import Final, NamedTuple

from cryoctl.svg import FRAME, GRID, INK, MUTED, Canvas, Scale, number, tick_digits, ticks
from cryoctl_hil.campaign.analysis import Correlation, Rate, TimesToSafe

WIDTH: Final = 460.0
LEFT: Final = 170.0
RIGHT: Final = 28.0
TOP: Final = 40.0
ROW: Final = 26.0
FOOT: Final = 40.0
NAME_MAX: Final = 24
"""Letters of a name that fit beside the picture; the table below has all of it."""
DOTS_MAX: Final = 400
_BLUE: Final = "#0b5cad"
_RED: Final = "#b3161b"
_SMALL: Final = 11.0
_DROP: Final = 4.0


class _Bar(NamedTuple):
    name: str
    low: float
    middle: float
    high: float
    text: str
    colour: str = _BLUE


def rates_svg(title: str, rates: dict[str, Rate]) -> str:
    """Return pass rates with their intervals, one line a member."""
    bars = [
        _Bar(
            name or "none",
            100.0 * rate.low,
            100.0 * rate.share,
            100.0 * rate.high,
            f"{rate.passed} of {rate.total} passed",
        )
        for name, rate in rates.items()
    ]
    return _intervals_svg(title, bars, 0.0, 100.0, "passed, % (bar: 95 % interval)")


def correlations_svg(title: str, rows: Sequence[Correlation]) -> str:
    """Return rank correlations with their intervals, one line a parameter."""
    bars = [
        _Bar(row.parameter, row.low, row.rho, row.high, f"{number(row.rho, 2)}",
             _BLUE if row.is_there else MUTED)
        for row in rows
    ]  # fmt: skip
    return _intervals_svg(title, bars, -1.0, 1.0, "rank correlation (bar: 95 % interval)")


def _intervals_svg(title: str, bars: Sequence[_Bar], low: float, high: float, axis: str) -> str:
    canvas, scale = _begin(title, len(bars), Scale(low, high, LEFT, WIDTH - RIGHT))
    for value in ticks(low, high, 5):
        _draw_tick(canvas, scale(value), number(value, tick_digits(ticks(low, high, 5))))
    if low < 0.0 < high:
        canvas.line(scale(0.0), TOP, scale(0.0), canvas.height - FOOT, stroke=INK)
    for row, bar in enumerate(bars):
        y = TOP + ROW * (row + 0.5)
        _draw_name(canvas, bar.name, y)
        canvas.line(scale(bar.low), y, scale(bar.high), y, stroke=bar.colour, stroke_width=3)
        x = scale(bar.middle)
        canvas.rect(x - 4, y - 7, 8, 14, title=f"{bar.name}: {bar.text}", fill=bar.colour)
    return _finish(canvas, title, axis, "; ".join(f"{bar.name}: {bar.text}" for bar in bars))


def times_svg(times: Sequence[TimesToSafe]) -> str:
    """Return times to safe of every first cause as dots, with the bound as a line across."""
    title = "Time to safe by first cause"
    drawn = [row for row in times if row.count]
    values = [max(1.0, float(each)) for row in drawn for each in (row.sorted_ms[0], row.highest_ms)]
    values += [row.bound_ms for row in drawn if row.bound_ms]
    low, high = _decades(values)
    canvas, scale = _begin(title, len(drawn), Scale(low, high, LEFT, WIDTH - RIGHT))
    for power in range(int(low), int(high) + 1):
        _draw_tick(canvas, scale(power), f"{10**power:g}")
    for row_number, row in enumerate(drawn):
        y = TOP + ROW * (row_number + 0.5)
        _draw_name(canvas, row.cause, y)
        step = max(1, len(row.sorted_ms) // DOTS_MAX)
        for time_ms in {*map(float, row.sorted_ms[::step]), row.highest_ms}:
            is_over = row.bound_ms is not None and time_ms > row.bound_ms
            x = scale(log10(max(1.0, time_ms)))
            colour = _RED if is_over else _BLUE
            canvas.line(x, y - 4, x, y + 4, stroke=colour, stroke_width=1.5, stroke_opacity=0.6)
        if row.bound_ms:
            x = scale(log10(row.bound_ms))
            canvas.line(x, y - 11, x, y + 11, stroke=_RED, stroke_width=2, stroke_dasharray="3 2")
    words = [
        f"{row.cause}: median {row.p50_ms:g} ms, highest {row.highest_ms:g} ms" for row in drawn
    ]
    return _finish(canvas, title, "ms from the trip to safe (dashed: bound)", "; ".join(words))


def _decades(values: Sequence[float]) -> tuple[float, float]:
    low, high = int(log10(min(values))), int(log10(max(values))) + 1
    return float(low), float(high)


def _begin(title: str, rows: int, scale: Scale) -> tuple[Canvas, Scale]:
    canvas = Canvas(WIDTH, TOP + ROW * rows + FOOT)
    canvas.text(12, 22, title, size=14, font_weight="600")
    canvas.line(scale.start, canvas.height - FOOT, scale.end, canvas.height - FOOT, stroke=FRAME)
    return canvas, scale


def _draw_tick(canvas: Canvas, x: float, text: str) -> None:
    bottom = canvas.height - FOOT
    canvas.line(x, TOP, x, bottom, stroke=GRID)
    canvas.text(x, bottom + 15, text, size=_SMALL, text_anchor="middle", fill=MUTED)


def _draw_name(canvas: Canvas, name: str, y: float) -> None:
    short = name if len(name) <= NAME_MAX else f"{name[: NAME_MAX - 1]}\N{HORIZONTAL ELLIPSIS}"
    canvas.text(LEFT - 8, y + _DROP, short, size=_SMALL, text_anchor="end")


def _finish(canvas: Canvas, title: str, axis: str, description: str) -> str:
    middle = (LEFT + WIDTH - RIGHT) / 2
    canvas.text(middle, canvas.height - 8, axis, size=_SMALL, text_anchor="middle", fill=MUTED)
    return canvas.finish(title=title, description=description)
