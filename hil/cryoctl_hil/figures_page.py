"""One offline HTML page of tables, each line of which may be wrong, with a verdict on top."""

from __future__ import annotations

from typing import NamedTuple

from cryoctl import __version__
from cryoctl.report import page_environment


class Line(NamedTuple):
    """A row of a table; ``ok`` is None where nothing is judged."""

    cells: tuple[str, ...]
    ok: bool | None = None


class Table(NamedTuple):
    """A table with what there is to say about it."""

    title: str
    columns: tuple[str, ...]
    lines: list[Line]
    text: str = ""


def figures_page(
    title: str, verdict: str, tables: list[Table], *, passed: bool, notice: str
) -> str:
    """Return the page."""
    template = page_environment("cryoctl_hil").get_template("figures.html")
    return template.render(
        title=title,
        verdict=verdict,
        tables=tables,
        passed=passed,
        notice=notice,
        version=__version__,
    )
