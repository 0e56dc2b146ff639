"""What `cryoctl validate` shows: a table for terminals, and one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import Final, NamedTuple

from markupsafe import Markup

from cryoctl import __version__
from cryoctl.report import page_environment
from cryoctl.svg import number
from cryoctl_hil.validation.cases import Case
from cryoctl_hil.validation.pictures import isotherms_svg, plot_svg, true_minus
from cryoctl_hil.validation.rows import Findings, Isotherms, Plot, Row

COLUMNS: Final = 100
QUANTITY_WIDTH: Final = 58
SMALLEST: Final = 0.001
_MARKS: Final = {True: "ok", False: "NO", None: "-"}


class Shown(NamedTuple):
    """A row as people read it."""

    quantity: str
    reference: str
    ours: str
    error: str
    tolerance: str
    mark: str
    source: str


class Section(NamedTuple):
    """A case on the page."""

    case: Case
    rows: list[Shown]
    pictures: list[tuple[Markup, str]]
    failed: int


def shown(row: Row) -> Shown:
    """Return the row's figures as text; errors in percent where the row says so."""
    return Shown(
        true_minus(row.quantity),
        figure(row.reference),
        "-" if row.ours is None else figure(row.ours),
        _error(row),
        _tolerance(row),
        _MARKS[row.ok],
        row.source,
    )


def figure(value: float, digits: int = 4) -> str:
    """Return ``value`` with some digits that count, and a true minus sign."""
    text = f"{value:.1e}" if 0.0 < abs(value) < SMALLEST else f"{value:.{digits}g}"
    return text.replace("-", "\N{MINUS SIGN}", 1) if text.startswith("-") else text


def _error(row: Row) -> str:
    if row.error is None:
        return "-"
    if row.in_percent:
        return _signed(number(100.0 * row.error / abs(row.reference), 1)) + " %"
    return _signed(figure(row.error, 3))


def _signed(text: str) -> str:
    return f"+{text}" if text[0].isdigit() and text.strip("0.") else text


def _tolerance(row: Row) -> str:
    if row.tolerance is None:
        return "-"
    if row.rule == "at least":
        return f"\N{GREATER-THAN OR EQUAL TO}{figure(-row.tolerance)}"
    sign = ">" if row.rule == "far" else ""
    if row.in_percent:
        return f"{sign}{100.0 * row.tolerance / abs(row.reference):.3g} %"
    return sign + figure(row.tolerance)


def verdict(found: Sequence[Findings]) -> str:
    """Return one line: how many rows were judged, and how many of them are off."""
    marks = [row.ok for findings in found for row in findings.rows]
    judged = len(marks) - marks.count(None)
    off = marks.count(False)
    end = "all within their tolerance" if off == 0 else f"{off} OUTSIDE their tolerance"
    return f"{judged} figures judged, {end}; {marks.count(None)} shown without judgement"


def text_table(cases: Sequence[Case], found: Sequence[Findings]) -> str:
    """Return all rows as text of at most 100 columns."""
    lines = [f"{'':<{QUANTITY_WIDTH}}{'reference':>11}{'ours':>9}{'error':>10}{'allowed':>8}"]
    for case, findings in zip(cases, found, strict=True):
        lines += ["", f"{case.name}: {case.title}", *_wrapped(f"source: {case.source}", 2)]
        for row in findings.rows:
            cells = shown(row)
            lines.append(
                f"  {cells.quantity:<{QUANTITY_WIDTH}}{cells.reference:>9}{cells.ours:>9}"
                f"{cells.error:>10}{cells.tolerance:>8}  {cells.mark}"
            )
            if row.source != case.source:
                lines += _wrapped(row.source, 6)
    lines += ["", verdict(found), "Not a medical device; estimates of a model, for research only."]
    return "\n".join(lines)


def _wrapped(text: str, indent: int) -> list[str]:
    margin = " " * indent
    return wrap(text, COLUMNS, initial_indent=margin, subsequent_indent=margin)


def html_page(cases: Sequence[Case], found: Sequence[Findings]) -> str:
    """Return the page: every row, and the plots with what there is to say about them."""
    sections = [
        Section(
            case,
            [shown(row) for row in findings.rows],
            [(_svg(plot), true_minus(plot.note)) for plot in findings.plots],
            sum(row.ok is False for row in findings.rows),
        )
        for case, findings in zip(cases, found, strict=True)
    ]
    template = page_environment("cryoctl_hil.validation").get_template("validation.html")
    return template.render(
        sections=sections,
        verdict=verdict(found),
        passed=not any(section.failed for section in sections),
        version=__version__,
    )


def _svg(plot: Plot | Isotherms) -> Markup:
    made = isotherms_svg(plot) if isinstance(plot, Isotherms) else plot_svg(plot)
    return Markup(made)  # noqa: S704 - made here, every text in it escaped
