"""Stacked plots over one time axis: axes, lines, and labels that keep out of each other's way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from cryoctl.svg import (
    FRAME,
    GRID,
    INK,
    MUTED,
    Canvas,
    Floats,
    Scale,
    decimate,
    number,
    segments,
    tick_digits,
    ticks,
)

DECIMATE_BUCKETS: Final = 1000
LEFT: Final = 58.0
RIGHT: Final = 158.0
BOTTOM: Final = 44.0
LABEL_SIZE: Final = 11.0
GAP_MIN_S: Final = 0.5
"""Rows further apart than this, and than three periods, leave a hole in the line."""

_GAP: Final = 30.0
_SMALL: Final = 10.0
_LABEL_STEP: Final = 13.0
_TICK_STEP: Final = 26.0
_TICKS_MIN: Final = 3
_RANGE_MIN: Final = 1e-9  # a line of one value gets a scale all the same
_TIME_TICK_STEP: Final = 80.0
_TEXT_DROP: Final = 3.5  # from the middle of small letters to their base line


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a panel.

    Attributes:
        label: Written at its right end.
        filled: Down to the bottom of the panel.
    """

    label: str
    time_s: Floats
    values: Floats
    colour: str
    width: float = 1.5
    dashes: str = ""
    filled: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot of the stack; ``low`` and ``high`` are values that must be in sight."""

    title: str
    lines: tuple[Line, ...]
    weight: float = 1.0
    low: float | None = None
    high: float | None = None


class Label(NamedTuple):
    """A text beside the panel, as near to ``y`` as the others let it."""

    text: str
    y: float
    colour: str


class Box(NamedTuple):
    """Top and bottom of a panel's plotting area."""

    top: float
    bottom: float


def stack(panels: list[Panel], top: float, bottom: float) -> list[Box]:
    """Share the height among ``panels`` by their weights, with room for their titles."""
    room = bottom - top - _GAP * len(panels)
    total = sum(panel.weight for panel in panels)
    boxes: list[Box] = []
    for panel in panels:
        start = top + _GAP
        top = start + room * panel.weight / total
        boxes.append(Box(start, top))
    return boxes


def period_s(time_s: Floats) -> float:
    """Return the usual time between rows."""
    return float(np.median(np.diff(time_s))) if len(time_s) > 1 else 1.0


def draw_axes(canvas: Canvas, panel: Panel, time: Scale, box: Box) -> Scale:
    """Draw title, grid and value axis of ``panel``; return its scale."""
    scale = _value_scale(panel, time, box)
    canvas.text(time.start, box.top - 8, panel.title, size=LABEL_SIZE, font_weight="600")
    count = max(_TICKS_MIN, int((box.bottom - box.top) / _TICK_STEP))
    values = ticks(scale.low, scale.high, count)
    digits = tick_digits(values)
    for value in values:
        y = scale(value)
        canvas.line(time.start, y, time.end, y, stroke=GRID)
        text = number(value, digits)
        y_text = y + _TEXT_DROP
        canvas.text(time.start - 7, y_text, text, size=_SMALL, text_anchor="end", fill=MUTED)
    for value in _time_ticks(time):
        canvas.line(time(value), box.top, time(value), box.bottom, stroke=GRID)
    canvas.line(time.start, box.bottom, time.end, box.bottom, stroke=FRAME)
    return scale


def draw_lines(
    canvas: Canvas, panel: Panel, time: Scale, scale: Scale, labels: list[Label]
) -> None:
    """Draw the lines of ``panel`` and write their labels, with ``labels`` of other things."""
    labels = list(labels)
    for line in panel.lines:
        pieces = _pieces(line, time)
        if not pieces:
            labels.append(Label(f"{line.label}: not provided", scale.start - 6, MUTED))
            continue
        pixels = [(time.all(x), scale.all(y)) for x, y in pieces]
        if line.filled:
            canvas.path(
                pixels, base=scale.start, fill=line.colour, fill_opacity=0.12, stroke="none"
            )
        dashes: dict[str, Any] = {"stroke_dasharray": line.dashes} if line.dashes else {}
        canvas.path(pixels, stroke=line.colour, stroke_width=line.width, **dashes)
        labels.append(Label(line.label, float(pixels[-1][1][-1]), line.colour))
    for label in spread(labels, low=scale.end, high=scale.start):
        y = label.y + _TEXT_DROP
        canvas.text(time.end + 8, y, label.text, size=LABEL_SIZE, fill=label.colour)


def spread(labels: list[Label], *, low: float, high: float) -> list[Label]:
    """Return ``labels`` from top to bottom, moved so that none covers another."""
    placed: list[Label] = []
    for label in sorted(labels, key=lambda label: label.y):
        y = max(label.y, low)
        if placed:
            y = max(y, placed[-1].y + _LABEL_STEP)
        placed.append(label._replace(y=y))
    limit = high
    for index in range(len(placed) - 1, -1, -1):
        placed[index] = placed[index]._replace(y=min(placed[index].y, limit))
        limit = placed[index].y - _LABEL_STEP
    return placed


def draw_time_axis(canvas: Canvas, time: Scale, y: float) -> None:
    """Write the seconds below the last panel."""
    values = _time_ticks(time)
    digits = tick_digits(values)
    for value in values:
        x = time(value)
        canvas.line(x, y, x, y + 4, stroke=FRAME)
        canvas.text(x, y + 16, number(value, digits), size=_SMALL, text_anchor="middle", fill=MUTED)
    canvas.text(
        time.end, y + 34, "time since the start, s", size=LABEL_SIZE, text_anchor="end", fill=INK
    )


def _time_ticks(time: Scale) -> list[float]:
    return ticks(time.low, time.high, int((time.end - time.start) / _TIME_TICK_STEP))


def _value_scale(panel: Panel, time: Scale, box: Box) -> Scale:
    seen = [y for line in panel.lines for _, y in _pieces(line, time)]
    edges = [float(bound) for bound in (panel.low, panel.high) if bound is not None]
    edges += [float(edge(y)) for y in seen for edge in (np.min, np.max)]
    low, high = (min(edges), max(edges)) if edges else (0.0, 1.0)
    if high - low < _RANGE_MIN:
        low, high = low - 0.5, high + 0.5
    margin = 0.04 * (high - low)
    return Scale(
        low if low == panel.low else low - margin,
        high if high == panel.high else high + margin,
        box.bottom,
        box.top,
    )


def _pieces(line: Line, time: Scale) -> list[tuple[Floats, Floats]]:
    inside = (line.time_s >= time.low) & (line.time_s <= time.high)
    x, y = line.time_s[inside], line.values[inside]
    pieces = segments(x, y, max(GAP_MIN_S, 3.0 * period_s(line.time_s)))
    total = sum(len(x) for x, _ in pieces)
    return [decimate(x, y, max(1, DECIMATE_BUCKETS * len(x) // total)) for x, y in pieces]
