"""The picture of the dose study: the error of each patient's hold by time and hold by dose."""

from __future__ import annotations

from typing import Final

import numpy as np

from cryoctl.svg import FRAME, GRID, MUTED, Canvas, Floats, Scale, number, ticks
from cryoctl_hil.dose_study import FIXED_HOLD_S, TOLERANCE_MM, WANTED_MM, Result, rms_mm

_WIDTH: Final = 760.0
_HEIGHT: Final = 380.0
_BY_TIME: Final = "#c2571a"
_BY_DOSE: Final = "#1769aa"


def picture(result: Result) -> str:
    """Return the errors of all holds as SVG, patients in the order of their error by time."""
    pairs = sorted(result.reached, key=lambda pair: pair.by_time.error_mm)
    canvas = Canvas(_WIDTH, _HEIGHT)
    high_mm = 1.15 * TOLERANCE_MM
    y = Scale(-high_mm, high_mm, _HEIGHT - 44.0, 66.0)
    x = Scale(0.0, max(1.0, len(pairs) - 1.0), 74.0, _WIDTH - 18.0)
    title = f"{number(WANTED_MM, 1)} mm wanted: error of the \N{MINUS SIGN}20 °C radius at the end"
    canvas.text(18, 24, f"{title} of the hold", size=15.0, font_weight="600")
    for value_mm in ticks(-TOLERANCE_MM, TOLERANCE_MM, 6):
        canvas.line(x.start, y(value_mm), x.end, y(value_mm), stroke=GRID)
        canvas.text(x.start - 8, y(value_mm) + 4, number(value_mm, 1), text_anchor="end")
    canvas.line(x.start, y(0.0), x.end, y(0.0), stroke=FRAME)
    for edge_mm in (-TOLERANCE_MM, TOLERANCE_MM):
        canvas.line(x.start, y(edge_mm), x.end, y(edge_mm), stroke=MUTED, stroke_dasharray="5 4")
    canvas.text(24, y(0.0), "error, mm", turned=True, text_anchor="middle")
    middle = 0.5 * (x.start + x.end)
    label = f"{len(pairs)} virtual patients, in the order of their error by time"
    canvas.text(middle, _HEIGHT - 16, label, text_anchor="middle", fill=MUTED)
    series = (
        (f"hold of {FIXED_HOLD_S:g} s", _BY_TIME, [pair.by_time for pair in pairs]),
        ("hold by dose", _BY_DOSE, [pair.by_dose for pair in pairs]),
    )
    for index, (name, colour, holds) in enumerate(series):
        _draw_dots(canvas, x, y, [hold.error_mm for hold in holds], colour)
        left = x.start + 250.0 * index
        canvas.line(left, 46, left + 18, 46, stroke=colour, stroke_width=6, stroke_linecap="round")
        canvas.text(left + 28, 50, f"{name}: RMS {number(rms_mm(holds), 3)} mm")
    return canvas.finish(
        title="Hold by time and hold by dose",
        description=" ".join(result.lines()),
    )


def _draw_dots(canvas: Canvas, x: Scale, y: Scale, errors_mm: list[float], colour: str) -> None:
    across, down = x.all(np.arange(len(errors_mm))), y.all(np.array(errors_mm))
    dots: list[tuple[Floats, Floats]] = list(
        zip(np.split(across, len(across)), np.split(down, len(down)), strict=True)
    )
    canvas.path(dots, stroke=colour, stroke_width=4.5, stroke_opacity=0.75)
