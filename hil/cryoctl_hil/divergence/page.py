"""The page of a divergence report: one number per signal and rig."""

from __future__ import annotations

from math import inf
from typing import Final

from cryoctl_hil.divergence.compare import Difference
from cryoctl_hil.divergence.run import Compared
from cryoctl_hil.figures_page import Line, Table, figures_page
from cryoctl_hil.rigs.rig import Rig

_NOTICE: Final = (
    "A number is the largest distance from the first rig anywhere in the scenarios; that of a rig "
    "in virtual time has to be 0."
)
_COLUMNS: Final = ("signal", "largest distance", "allowed", "where", "why so much is allowed", "")


def verdict_of(compared: list[Compared]) -> str:
    """Return one line: how many numbers there are, and how many are outside their bands."""
    numbers = [each.ok for one in compared for each in one.comparison.differences]
    off = numbers.count(False)
    rows = sum(one.comparison.rows for one in compared)
    end = "all within their bands" if not off else f"{off} OUTSIDE their bands"
    return f"{len(numbers)} numbers from {rows} samples, {end}."


def render_page(first: Rig, compared: list[Compared]) -> str:
    """Return the page."""
    tables = [_table(first, each) for each in compared]
    return figures_page(
        f"Divergence from {first.table.name}",
        verdict_of(compared),
        tables,
        passed=all(each.comparison.ok for each in compared),
        notice=_NOTICE,
    )


def _table(first: Rig, compared: Compared) -> Table:
    comparison = compared.comparison
    text = f"{comparison.rows} samples of {first.device} beside those of {compared.rig.device}."
    if comparison.not_compared:
        text += f" Not compared, for this rig did not do it: {', '.join(comparison.not_compared)}."
    lines = [_line(each) for each in comparison.differences]
    return Table(compared.rig.table.name, _COLUMNS, lines, text)


def _line(difference: Difference) -> Line:
    value = "there and not there" if difference.value == inf else f"{difference.value:.4g}"
    band = difference.band
    mark = "ok" if difference.ok else "OUT"
    cells = (difference.name, value, f"{band.value:g}", difference.where, band.why, mark)
    return Line(cells, difference.ok)
