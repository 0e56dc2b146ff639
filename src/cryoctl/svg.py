"""Just enough SVG for plots on paper and screen: no script, no style sheet, no outside font."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from math import ceil, floor, isfinite, log10
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]

INK: Final = "#1f2933"
MUTED: Final = "#566373"
GRID: Final = "#e4e9ef"
FRAME: Final = "#c3ccd6"
PAPER: Final = "#ffffff"
FONT: Final = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', Helvetica, Arial, sans-serif"

_CHARACTER_WIDTH: Final = 0.56
"""Of the font size: the usual mean of sans-serif letters, to judge whether a text fits."""


def text_width(text: str, size: float) -> float:
    """Return about how wide ``text`` will be."""
    return len(text) * size * _CHARACTER_WIDTH


def number(value: float, digits: int = 0) -> str:
    """Return ``value`` for people: a true minus sign, no negative zero."""
    text = f"{value:.{digits}f}"
    is_zero = not text.strip("-0.")
    return text.lstrip("-") if is_zero else text.replace("-", "\N{MINUS SIGN}")


def ticks(low: float, high: float, count: int) -> list[float]:
    """Return about ``count`` round numbers from ``low`` to ``high``."""
    if not (isfinite(low) and isfinite(high)) or high <= low:
        return [low]
    rough = (high - low) / max(1, count)
    unit = 10.0 ** floor(log10(rough))
    step = next(unit * m for m in (1.0, 2.0, 2.5, 5.0, 10.0) if unit * m >= rough * 0.999)
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def tick_digits(values: list[float]) -> int:
    """Return the decimals that tell ``values`` apart."""
    for digits in range(4):
        if all(abs(round(v, digits) - v) < 1e-9 * max(1.0, abs(v)) for v in values):
            return digits
    return 4


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values to pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the pixel of ``value``, kept within the scale."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)

    def all(self, values: Floats) -> Floats:
        """Return the pixels of ``values``."""
        share = (values - self.low) / (self.high - self.low)
        return np.asarray(self.start + np.clip(share, 0.0, 1.0) * (self.end - self.start))


def decimate(x: Floats, y: Floats, buckets: int) -> tuple[Floats, Floats]:
    """Return at most two points a bucket of equal time, its lowest and its highest.

    No extreme gets lost, and no line looks calmer than it was.
    """
    if len(x) <= 2 * buckets:
        return x, y
    edges = np.searchsorted(x, np.linspace(x[0], x[-1], buckets + 1)[1:-1])
    kept: list[int] = []
    for start, end in zip([0, *edges], [*edges, len(x)], strict=True):
        if end > start:
            low = start + int(np.argmin(y[start:end]))
            high = start + int(np.argmax(y[start:end]))
            kept += sorted({low, high})
    return x[kept], y[kept]


def segments(x: Floats, y: Floats, gap: float) -> list[tuple[Floats, Floats]]:
    """Return the pieces of a line: it breaks where values are missing, or rows for over ``gap``."""
    good = np.isfinite(y)
    x, y = x[good], y[good]
    breaks = np.flatnonzero((np.diff(x) > gap) | (np.diff(np.flatnonzero(good)) > 1)) + 1
    return [
        (part_x, part_y)
        for part_x, part_y in zip(np.split(x, breaks), np.split(y, breaks), strict=True)
        if len(part_x)
    ]


@dataclass(slots=True)
class Canvas:
    """A picture being drawn."""

    width: float
    height: float
    parts: list[str] = field(default_factory=list)

    def rect(
        self, x: float, y: float, width: float, height: float, *, title: str = "", **style: object
    ) -> None:
        """Draw a box; ``title`` shows when pointed at."""
        box = f'x="{x:.1f}" y="{y:.1f}" width="{max(0.0, width):.1f}" height="{height:.1f}"'
        inside = f"<title>{escape(title)}</title>" if title else ""
        self.parts.append(f"<rect {box}{_attributes(style)}>{inside}</rect>")

    def line(self, x1: float, y1: float, x2: float, y2: float, **style: object) -> None:
        """Draw a straight line."""
        ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
        self.parts.append(f"<line {ends}{_attributes(style)}/>")

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = 11.0,
        turned: bool = False,
        **style: object,
    ) -> None:
        """Write ``text``; ``turned`` from bottom to top."""
        turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
        place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size:g}"{turn}'
        style = {"fill": INK, **style}
        self.parts.append(f"<text {place}{_attributes(style)}>{escape(text)}</text>")

    def path(
        self, pieces: list[tuple[Floats, Floats]], *, base: float | None = None, **style: object
    ) -> None:
        """Draw lines through pixels; with ``base`` the area down to it."""
        commands: list[str] = []
        for xs, ys in pieces:
            points = _without_runs([(f"{x:.1f}", f"{y:.1f}") for x, y in zip(xs, ys, strict=True)])
            if base is not None:
                points = [(points[0][0], f"{base:.1f}"), *points, (points[-1][0], f"{base:.1f}")]
            # A lone sample must show: a line of no length with a round cap is a dot.
            points = points if len(points) > 1 else points * 2
            commands.append("M" + "L".join(f"{x} {y}" for x, y in points) + ("Z" if base else ""))
        if commands:
            style = {"fill": "none", "stroke_linejoin": "round", "stroke_linecap": "round", **style}
            self.parts.append(f'<path d="{"".join(commands)}"{_attributes(style)}/>')

    def finish(self, *, title: str, description: str) -> str:
        """Return the SVG; ``description`` says in words what the picture shows."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:g} {self.height:g}" '
            f'width="{self.width:g}" height="{self.height:g}" role="img" '
            f'aria-label="{escape(title)}" font-family="{FONT}" style="color-scheme: light">'
            f"<title>{escape(title)}</title><desc>{escape(description)}</desc>"
            f'<rect width="100%" height="100%" fill="{PAPER}"/>{"".join(self.parts)}</svg>\n'
        )


def _without_runs(points: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return ``points`` without those in the middle of a level stretch."""
    kept = [
        point
        for before, point, after in zip(points, points[1:], points[2:], strict=False)
        if not before[1] == point[1] == after[1]
    ]
    return [points[0], *kept, points[-1]] if len(points) > 1 else points


def _attributes(style: dict[str, object]) -> str:
    return "".join(f' {key.replace("_", "-")}="{escape(str(v))}"' for key, v in style.items())
