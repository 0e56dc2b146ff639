"""SR-38: what ties hazards, requirements, code, tests and figures together; what hangs loose."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from cryoctl.requirement_registry import OWN_FILE, Registered, Registry
from cryoctl_hil.host_faults import ALL_FAULTS
from cryoctl_hil.traceability.places import Place, code_places, is_program, marked_tests


class Cause(NamedTuple):
    """A fault of a catalogue, what it says it can lead to, and whether nothing injects it yet."""

    id: str
    hazards: tuple[str, ...]
    requirement: str
    is_planned: bool = False


class Figure(NamedTuple):
    """What an assurance program, or a test, has measured last.

    Attributes:
        source: Name of the program's file.
    """

    requirements: tuple[str, ...]
    source: str
    name: str
    target: str
    result: str
    ok: bool
    date: str
    commit: str


@dataclass(frozen=True, slots=True)
class Trace:
    """Everything that names a hazard or a requirement.

    Attributes:
        with_own: Whether code and tests are those of cryoctl itself, so that its own requirements
            can be judged by them.
    """

    registry: Registry
    causes: tuple[Cause, ...]
    code: tuple[Place, ...]
    tests: tuple[Place, ...]
    figures: tuple[Figure, ...]
    with_own: bool

    def judged(self) -> dict[str, Registered]:
        """Return the requirements by id that code and tests here can answer for."""
        own = {row.id for row in self.registry.own.requirement}
        return {
            name: row
            for name, row in self.registry.requirements.items()
            if self.with_own or name not in own
        }

    def code_of(self, name: str) -> list[Place]:
        """Return the lines of code that name a hazard or a requirement."""
        return [place for place in self.code if place.id == name and not is_program(place)]

    def tests_of(self, name: str) -> list[Place]:
        """Return the markers of a requirement."""
        return [place for place in self.tests if place.id == name]

    def figures_of(self, name: str) -> list[Figure]:
        """Return what was measured for a requirement; nothing if no program has run."""
        return [figure for figure in self.figures if name in figure.requirements]

    def causes_of(self, hazard: str) -> list[str]:
        """Return the faults that can lead to a hazard, by its row or by their own."""
        named = self.registry.hazards[hazard].causes
        return list(
            dict.fromkeys([*named, *(row.id for row in self.causes if hazard in row.hazards)])
        )


def catalogue_causes() -> tuple[Cause, ...]:
    """Return every fault of the catalogue, of the computer's too."""
    return tuple(
        Cause(row.fault_id, row.hazards, row.requirement, is_planned=bool(row.planned))
        for row in ALL_FAULTS.values()
    )


def make_trace(
    tree: Path, registry: Registry, tests: Sequence[Path], figures: Sequence[Path]
) -> Trace:
    """Return what is found in a tree.

    Args:
        tree: Top of the sources; only in cryoctl's own are its requirements judged.
        registry: Ours, and a user's.
        tests: Folders of tests.
        figures: Folders with the JSON files of programs; they may lack any of them.
    """
    with_own = (tree / "src" / "cryoctl" / OWN_FILE).is_file()
    return Trace(
        registry=registry,
        causes=catalogue_causes(),
        code=tuple(code_places(tree)) if with_own else (),
        tests=tuple(place for folder in tests for place in marked_tests(folder, tree)),
        figures=tuple(figure for folder in figures for figure in read_figures(folder)),
        with_own=with_own,
    )


def read_figures(folder: Path) -> list[Figure]:
    """Return the measures in a folder of JSON files, as assurance programs and tests keep them."""
    found = []
    for file in sorted(folder.glob("*.json")):
        kept = json.loads(file.read_text("utf-8"))
        found += [_figure(file.stem, kept, row) for row in kept["measures"]]
    return found


def _figure(source: str, kept: dict[str, Any], row: dict[str, Any]) -> Figure:
    return Figure(
        requirements=tuple(row["requirements"]),
        source=source,
        name=row["name"],
        target=row["target"],
        result=row["result"],
        ok=row["ok"],
        date=row.get("date", kept["date"]),
        commit=kept["commit"],
    )


def orphans(trace: Trace) -> list[str]:
    """Return everything that hangs loose, in either direction; nothing if all is tied."""
    return [
        *_loose_hazards(trace),
        *_loose_requirements(trace),
        *_loose_causes(trace),
        *_unknown_names(trace),
    ]


def _loose_hazards(trace: Trace) -> Iterator[str]:
    for name in trace.registry.hazards:
        if not trace.registry.requirements_of(name):
            yield f"{name}: no requirement stands against this hazard"


def _loose_requirements(trace: Trace) -> Iterator[str]:
    for name, (row, _) in trace.judged().items():
        is_own = name in {own.id for own in trace.registry.own.requirement}
        tests = trace.tests_of(name)
        if row.status == "PLANNED":
            if tests:
                yield f"{name}: PLANNED, but {tests[0].text} tests it: make it ACTIVE"
            continue
        if not tests:
            yield f"{name}: no test carries @pytest.mark.requirement({name!r})"
        if is_own and not trace.code_of(name):
            yield f"{name}: no code names it"


def _loose_causes(trace: Trace) -> Iterator[str]:
    registry = trace.registry
    known = {row.id for row in trace.causes}
    for hazard in registry.hazards.values():
        for fault in hazard.causes:
            if fault not in known:
                yield f"{hazard.id}: its cause {fault!r} is in no catalogue of faults"
    for cause in trace.causes:
        for name in cause.hazards:
            if name not in registry.hazards:
                yield f"fault {cause.id}: unknown hazard {name}"
        if cause.requirement and cause.requirement not in registry.requirements:
            yield f"fault {cause.id}: unknown requirement {cause.requirement}"


def _unknown_names(trace: Trace) -> Iterator[str]:
    requirements, hazards = trace.registry.requirements, trace.registry.hazards
    yield from _unknown(trace.code, {*requirements, *hazards})
    yield from _unknown(trace.tests, set(requirements))
    for figure in trace.figures:
        for name in figure.requirements:
            if name not in requirements:
                yield f"{figure.source}.json: {figure.name!r} names unknown {name}"


def _unknown(places: Iterable[Place], known: set[str]) -> Iterator[str]:
    for place in places:
        if not place.id:
            yield f"{place.text}: a marker names its requirement in plain text"
        elif place.id not in known:
            yield f"{place.text}: names unknown {place.id}"
