"""The traceability page and its JSON, made from what is in the tree."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any, Final

from cryoctl.requirement_registry import Registered
from cryoctl.safety_case import Hazard
from cryoctl_hil.assurance.scoreboard import NOT_RUN
from cryoctl_hil.traceability.matrix import Figure, Trace, orphans
from cryoctl_hil.traceability.places import Place
from cryoctl_protocol.quantities import number_text, with_unit

_WHO: Final = {"H": "host", "D": "device", "B": "both", None: ""}
_HEAD: Final = """\
# Traceability

Made by `make generated` from [`safety_case.toml`](../../src/cryoctl/safety_case.toml), the sources,
the markers of the tests and the [figures of the assurance programs](scoreboard.md). Do not edit it.
`cryoctl trace --json` has every line and every test; `cryoctl trace --check` says what hangs loose,
and so does the test suite. Why it is so: [safety](../explanation/safety.md).
cryoctl is not a medical device.
"""
_HAZARDS: Final = """
## Hazards

Severity: 3 irreversible, 2 reversible, 1 minor injury or loss of data. The bound counts from the
moment at which the fault can be seen. Faults in italics cannot be injected yet.

"""
_HAZARD_COLUMNS: Final = (
    *("id", "hazard", "S", "onset", "bound", "what stands against it", "why this number"),
    *("causes", "requirements"),
)
_REQUIREMENTS: Final = """
## Requirements

"Code" and "tests" are the files that name the requirement. "Last measured" is what a program found
when it last ran; "not run" means that no figure is kept for it, whatever its tests say.

"""
_REQUIREMENT_COLUMNS: Final = (
    "id",
    "requirement",
    "who",
    "bound",
    "code",
    "tests",
    "last measured",
)
_MISSING: Final = """
## What is missing

PLANNED requirements are not there. The others are, and lack what stands here.

"""
_MISSING_COLUMNS: Final = ("id", "status", "what")


def render_page(trace: Trace) -> str:
    """Return the page as Markdown."""
    to_come = {cause.id for cause in trace.causes if cause.is_planned}
    rows = trace.registry.requirements.values()
    return "".join(
        [
            _HEAD,
            _HAZARDS,
            _head(_HAZARD_COLUMNS),
            *(_hazard_row(trace, row, to_come) for row in trace.registry.hazards.values()),
            _REQUIREMENTS,
            _head(_REQUIREMENT_COLUMNS),
            *(_requirement_row(trace, row) for row in rows),
            _MISSING,
            _head(_MISSING_COLUMNS),
            *(_missing_row(row) for row in rows if row.requirement.missing),
        ]
    )


def trace_object(trace: Trace) -> dict[str, Any]:
    """Return everything as one object, ready for JSON."""
    return {
        "hazards": [
            {
                **hazard.model_dump(mode="json"),
                "causes": trace.causes_of(hazard.id),
                "requirements": trace.registry.requirements_of(hazard.id),
                "code": [place.text for place in trace.code_of(hazard.id)],
            }
            for hazard in trace.registry.hazards.values()
        ],
        "requirements": [
            {
                **row.requirement.model_dump(mode="json"),
                "source": row.source,
                "code": [place.text for place in trace.code_of(name)],
                "tests": [f"{place.text} {place.test}" for place in trace.tests_of(name)],
                "measured": [figure._asdict() for figure in trace.figures_of(name)],
            }
            for name, row in trace.registry.requirements.items()
        ],
        "orphans": orphans(trace),
    }


def _hazard_row(trace: Trace, hazard: Hazard, to_come: set[str]) -> str:
    bound = "gate" if hazard.bound is None else with_unit(number_text(hazard.bound), hazard.unit)
    causes = (
        f"*{name}*" if name in to_come else f"`{name}`" for name in trace.causes_of(hazard.id)
    )
    return _row(
        hazard.id,
        hazard.text,
        str(hazard.severity),
        hazard.onset or "",
        bound,
        hazard.control,
        hazard.why,
        ", ".join(causes),
        ", ".join(f"[{n}](#requirements)" for n in trace.registry.requirements_of(hazard.id)),
    )


def _requirement_row(trace: Trace, registered: Registered) -> str:
    row = registered.requirement
    return _row(
        row.id,
        row.text + (" **(PLANNED)**" if row.status == "PLANNED" else ""),
        _WHO[row.allocation],
        row.bound_text,
        _files(trace.code_of(row.id)),
        _files(trace.tests_of(row.id)),
        "<br>".join(map(_measured, trace.figures_of(row.id))) or NOT_RUN,
    )


def _missing_row(registered: Registered) -> str:
    row = registered.requirement
    return _row(row.id, row.status, row.missing)


def _files(places: Iterable[Place]) -> str:
    """Return the files of places as links, each once; lines would be others every day."""
    paths = sorted({place.path for place in places})
    return ", ".join(f"[{PurePosixPath(path).name}](../../{path})" for path in paths)


def _measured(figure: Figure) -> str:
    mark = "" if figure.ok else " **NO**"
    target = f" (target {figure.target})" if figure.target else ""
    return f"{figure.name}: {figure.result}{target}{mark}, {figure.date}"


def _head(columns: tuple[str, ...]) -> str:
    return f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|\n"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"
