"""The scoreboard: measure, target, result, date, commit, made from the programs' own JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from cryoctl_hil.assurance.program import PROGRAMS, Program, read_outcomes

NOT_RUN: Final = "not run"
_HEAD: Final = """\
# Scoreboard

Made by `make scoreboard` from the JSON files in [`docs/assurance`](../assurance/README.md), which
the programs of `cryoctl assure` write themselves. No figure in it was written by hand. Which
requirement a figure is for stands on the page of [traceability](traceability.md).

"not run" means that no file of that program is kept, or that its file lacks this measure: nobody
knows the figure, and no test stands in for it. Scale 1 is what is asked for; at a smaller one less
was tried. A commit that ends in + had changes that were not committed.
"""


def scoreboard_page(folder: Path) -> str:
    """Return the page of the reference: what the columns mean, and the table."""
    return f"{_HEAD}\n{scoreboard(folder)}"


def scoreboard(folder: Path, programs: Sequence[Program] = PROGRAMS) -> str:
    """Return a Markdown table of every measure; one that was never run says so."""
    outcomes = read_outcomes(folder)
    lines = [
        "| program | measure | target | result | | scale | date | commit |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for program in programs:
        lines += _rows(program.name, program.measures, outcomes.get(program.name))
    return "\n".join(lines) + "\n"


def _rows(name: str, expected: tuple[str, ...], kept: dict[str, Any] | None) -> list[str]:
    if kept is None:
        return [f"| `{name}` | {measure} | | {NOT_RUN} | | | | |" for measure in expected]
    end = f"{kept['scale']:g} | {kept['date']} | `{kept['commit']}` |"
    found = {row["name"]: row for row in kept["measures"]}
    rows = []
    for measure in dict.fromkeys([*expected, *found]):
        row = found.get(measure)
        if row is None:
            rows.append(f"| `{name}` | {measure} | | {NOT_RUN} | | {end}")
            continue
        mark = "ok" if row["ok"] else "**NO**"
        rows.append(f"| `{name}` | {measure} | {row['target']} | {row['result']} | {mark} | {end}")
    return rows
