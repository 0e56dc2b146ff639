"""Plots of what the cases found, as SVG text."""

from __future__ import annotations

import re
from math import log10
from typing import Any, Final

import numpy as np

from cryoctl.panels import LABEL_SIZE, Label, spread
from cryoctl.svg import (
    FRAME,
    GRID,
    INK,
    MUTED,
    Canvas,
    Floats,
    Scale,
    number,
    tick_digits,
    ticks,
)
from cryoctl_hil.validation.rows import Curve, Isotherms, Plot

WIDTH: Final = 760.0
HEIGHT: Final = 330.0
LEFT: Final = 58.0
RIGHT: Final = 210.0
TOP: Final = 34.0
BOTTOM: Final = 46.0
SMALL: Final = 10.0
TICKS_X: Final = 7
TICKS_Y: Final = 6
DOT: Final = 6.0
TEXT_DROP: Final = 3.5  # from the middle of small letters to their base line
MARGIN: Final = 0.05  # of the range, above and below
FIELD_RADIUS_MM: Final = 6.0
FIELD_HALF_LENGTH_MM: Final = 9.0
_ISOTHERM_COLOURS: Final = ("#6b2fb3", "#0b5cad", "#0b6b66", "#b8480b")


def true_minus(text: str) -> str:
    """Return ``text`` with true minus signs before its numbers; ranges such as 60-90 stay."""
    return re.sub(r"(?<![\w.-])-(?=\d)", "\N{MINUS SIGN}", text)


def plot_svg(plot: Plot) -> str:
    """Return curves over one axis, on logarithmic axes if the plot says so."""
    canvas = Canvas(WIDTH, HEIGHT)
    curves = [_on_axes(curve, plot) for curve in plot.curves]
    x_scale, y_scale = _scales(curves)
    _draw_frame(canvas, plot.title, plot.x_label, plot.y_label)
    _draw_ticks(canvas, x_scale, y_scale, logarithmic=plot.logarithmic)
    labels = []
    for curve in curves:
        xs, ys = x_scale.all(curve.x), y_scale.all(curve.y)
        if curve.dots:
            _draw_dots(canvas, curve, xs, ys, y_scale)
        else:
            dashes: dict[str, Any] = {"stroke_dasharray": curve.dashes} if curve.dashes else {}
            canvas.path([(xs, ys)], stroke=curve.colour, stroke_width=1.6, **dashes)
        if curve.label:
            labels.append(Label(true_minus(curve.label), float(ys[-1]), curve.colour))
    for label in spread(labels, low=y_scale.end, high=y_scale.start):
        y = label.y + TEXT_DROP
        canvas.text(WIDTH - RIGHT + 8, y, label.text, size=LABEL_SIZE, fill=label.colour)
    names = ", ".join(curve.label for curve in plot.curves if curve.label)
    return canvas.finish(title=plot.title, description=f"Curves: {names}. {plot.note}")


def _on_axes(curve: Curve, plot: Plot) -> Curve:
    """Return the curve as drawn: of logarithms on logarithmic axes."""
    if not plot.logarithmic:
        return curve
    x, y = np.log10(curve.x), np.log10(curve.y)
    return Curve(curve.label, x, y, curve.colour, curve.dashes, curve.dots)


def _scales(curves: list[Curve]) -> tuple[Scale, Scale]:
    x = np.concatenate([curve.x for curve in curves])
    y = np.concatenate([part for c in curves for part in (c.y - c.bar, c.y + c.bar)])
    low, high = float(y.min()), float(y.max())
    margin = MARGIN * (high - low)
    x_low, x_high = float(x.min()), float(x.max())
    x_margin = 0.02 * (x_high - x_low)
    return (
        Scale(x_low - x_margin, x_high + x_margin, LEFT, WIDTH - RIGHT),
        Scale(low - margin, high + margin, HEIGHT - BOTTOM, TOP),
    )


def _draw_frame(canvas: Canvas, title: str, x_label: str, y_label: str) -> None:
    canvas.text(LEFT, 14, true_minus(title), size=13.0, font_weight="600")
    canvas.text(LEFT, 28, y_label, size=LABEL_SIZE, fill=MUTED)
    end = canvas.width - RIGHT
    y = canvas.height - 12
    canvas.text(end, y, x_label, size=LABEL_SIZE, text_anchor="end", fill=MUTED)


def _draw_ticks(canvas: Canvas, x_scale: Scale, y_scale: Scale, *, logarithmic: bool) -> None:
    for value, text in _named_ticks(y_scale, TICKS_Y, logarithmic=logarithmic):
        y = y_scale(value)
        canvas.line(x_scale.start, y, x_scale.end, y, stroke=GRID)
        y += TEXT_DROP
        canvas.text(x_scale.start - 7, y, text, size=SMALL, text_anchor="end", fill=MUTED)
    for value, text in _named_ticks(x_scale, TICKS_X, logarithmic=logarithmic):
        x = x_scale(value)
        canvas.line(x, y_scale.end, x, y_scale.start, stroke=GRID)
        y = y_scale.start + 15
        canvas.text(x, y, text, size=SMALL, text_anchor="middle", fill=MUTED)
    canvas.line(x_scale.start, y_scale.start, x_scale.end, y_scale.start, stroke=FRAME)


def _named_ticks(scale: Scale, count: int, *, logarithmic: bool) -> list[tuple[float, str]]:
    if not logarithmic:
        values = ticks(scale.low, scale.high, count)
        digits = tick_digits(values)
        return [(value, number(value, digits)) for value in values]
    marks = [
        factor * 10.0**power
        for power in range(int(np.floor(scale.low)), int(np.ceil(scale.high)) + 1)
        for factor in (1.0, 2.0, 5.0)
    ]
    return [(log10(m), f"{m:g}") for m in marks if scale.low <= log10(m) <= scale.high]


def _draw_dots(canvas: Canvas, curve: Curve, xs: Floats, ys: Floats, y_scale: Scale) -> None:
    """Draw points: lines of no length with a round cap."""
    pieces = [(xs[i : i + 1], ys[i : i + 1]) for i in range(len(xs))]
    canvas.path(pieces, stroke=curve.colour, stroke_width=DOT)
    if curve.bar > 0.0:
        for x, value in zip(xs, curve.y, strict=True):
            low, high = y_scale(float(value) - curve.bar), y_scale(float(value) + curve.bar)
            canvas.line(x, low, x, high, stroke=curve.colour, stroke_width=1.4)


def isotherms_svg(picture: Isotherms) -> str:
    """Return the field around a needle: both sides of its axis, which lies level."""
    per_mm = (WIDTH - LEFT - RIGHT) / (2.0 * FIELD_HALF_LENGTH_MM)
    height = TOP + BOTTOM + 2.0 * FIELD_RADIUS_MM * per_mm
    canvas = Canvas(WIDTH, height)
    x_scale = Scale(-FIELD_HALF_LENGTH_MM, FIELD_HALF_LENGTH_MM, LEFT, WIDTH - RIGHT)
    y_scale = Scale(-FIELD_RADIUS_MM, FIELD_RADIUS_MM, height - BOTTOM, TOP)
    _draw_frame(canvas, picture.title, "along the needle, mm", "from its axis, mm")
    _draw_ticks(canvas, x_scale, y_scale, logarithmic=False)
    _draw_needle(canvas, picture, x_scale, y_scale)
    labels = []
    for level_c, colour in zip(picture.levels_c, _ISOTHERM_COLOURS, strict=True):
        pieces = contour(picture.axial_mm, picture.radial_mm, picture.temps_c, level_c)
        pieces = [p for p in pieces if _is_inside(p)]
        drawn = [(x_scale.all(x), y_scale.all(side * y)) for x, y in pieces for side in (1.0, -1.0)]
        canvas.path(drawn, stroke=colour, stroke_width=1.6)
        top_mm = max(float(y.max()) for _, y in pieces)
        labels.append(Label(f"{number(level_c)} °C", y_scale(top_mm), colour))
    for label in spread(labels, low=y_scale.end, high=y_scale.start):
        y = label.y + TEXT_DROP
        canvas.text(WIDTH - RIGHT + 8, y, label.text, size=LABEL_SIZE, fill=label.colour)
    return canvas.finish(title=picture.title, description=picture.note)


def _is_inside(piece: tuple[Floats, Floats]) -> bool:
    x, y = piece
    return bool((np.abs(x) < FIELD_HALF_LENGTH_MM).all() and (y < FIELD_RADIUS_MM).all())


def _draw_needle(canvas: Canvas, picture: Isotherms, x_scale: Scale, y_scale: Scale) -> None:
    radius_mm, half_mm = 0.5 * picture.needle_od_mm, 0.5 * picture.active_length_mm
    top, bottom = y_scale(radius_mm), y_scale(-radius_mm)
    start, middle, end = x_scale(-FIELD_HALF_LENGTH_MM), x_scale(-half_mm), x_scale(half_mm)
    canvas.rect(start, top, middle - start, bottom - top, title="shaft", fill=FRAME)
    canvas.rect(middle, top, end - middle, bottom - top, title="active length", fill=INK)


def contour(x: Floats, y: Floats, values: Floats, level: float) -> list[tuple[Floats, Floats]]:
    """Return the pieces of the line where ``values`` (``[y, x]``) pass ``level``.

    Each square of four neighbours is cut into two triangles; a triangle is passed at most once.
    Where a value is NaN there is no line.
    """
    pieces = []
    for row in range(len(y) - 1):
        for column in range(len(x) - 1):
            corners = [
                (float(x[j]), float(y[i]), float(values[i, j]) - level)
                for i, j in (
                    (row, column),
                    (row, column + 1),
                    (row + 1, column + 1),
                    (row + 1, column),
                )
            ]
            for triangle in (corners[:3], [corners[0], *corners[2:]]):
                crossed = _crossings(triangle)
                if crossed:
                    pieces.append(crossed)
    return pieces


def _crossings(triangle: list[tuple[float, float, float]]) -> tuple[Floats, Floats] | None:
    """Return the two points where the sides of a triangle pass 0, or None."""
    points = []
    for (x1, y1, v1), (x2, y2, v2) in zip(triangle, triangle[1:] + triangle[:1], strict=True):
        if (v1 < 0.0) != (v2 < 0.0) and not np.isnan(v1 + v2):
            share = v1 / (v1 - v2)
            points.append((x1 + share * (x2 - x1), y1 + share * (y2 - y1)))
    if len(points) != 2:  # noqa: PLR2004 - a piece of a line has two ends
        return None
    xs, ys = np.array(points).T
    return xs, ys
