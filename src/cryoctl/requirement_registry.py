"""The registry: cryoctl's own hazards and requirements, and a user's, read by the same code.

Whoever adds requirements may tighten ours, or a limit of the probe's profile; anything looser needs
a deviation that somebody has put a name and a date to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final, NamedTuple

from cryoctl.files import read_text
from cryoctl.safety_case import CaseFile, Deviation, Hazard, Requirement, is_looser, read_case
from cryoctl_protocol.quantities import for_people, number_text, with_unit
from cryoctl_protocol.toml_keys import KeyPath
from cryoctl_protocol.toml_text import Document, FileError, FileKind, Finding

OWN_FILE: Final = "safety_case.toml"


class Registered(NamedTuple):
    """A requirement, and the file it is from."""

    requirement: Requirement
    source: str


class Loosened(NamedTuple):
    """A requirement looser than what it is measured against, by somebody's word.

    Attributes:
        what: What it loosens: a requirement of ours, or a limit of the profile.
        ours: The value it had.
    """

    deviation: Deviation
    what: str
    ours: float
    unit: str

    @property
    def text(self) -> str:
        """One line for people: what, how much, why, whose word, when."""
        by = self.deviation
        return (
            f"{by.requirement}: {for_people(by.value, self.unit)} is looser than the"
            f" {self.what}, {for_people(self.ours, self.unit)}:"
            f" {by.reason} ({by.who}, {by.date})"
        )


@dataclass(frozen=True, slots=True)
class Registry:
    """All hazards and requirements in force.

    Attributes:
        own: What ships with cryoctl.
        added: What a user has added, with its text and lines; None without a file of theirs.
    """

    own: CaseFile
    added: CaseFile | None = None
    document: Document | None = None

    @property
    def hazards(self) -> dict[str, Hazard]:
        """Hazards by id, ours first."""
        more = () if self.added is None else self.added.hazard
        return {row.id: row for row in (*self.own.hazard, *more)}

    @property
    def requirements(self) -> dict[str, Registered]:
        """Requirements by id, ours first, each with the bound in force."""
        rows = {row.id: Registered(row, OWN_FILE) for row in self.own.requirement}
        if self.added is None or self.document is None:
            return rows
        for row in self.added.requirement:
            ours = rows.get(row.id)
            if ours is not None:
                row = ours.requirement.model_copy(update={"bound": row.bound})  # noqa: PLW2901
            rows[row.id] = Registered(row, self.document.source)
        return rows

    def requirements_of(self, hazard: str) -> list[str]:
        """Return the ids of the requirements that stand against a hazard."""
        rows = self.requirements.values()
        return [row.requirement.id for row in rows if hazard in row.requirement.hazard]

    def loosened_bounds(self) -> list[Loosened]:
        """Return every bound of ours that is looser now, with whose word it is.

        Raises:
            FileError: One is looser, and nobody stands for it.
        """
        ours = {row.id: row for row in self.own.requirement}
        found = []
        for index, row in enumerate(() if self.added is None else self.added.requirement):
            mine = ours.get(row.id)
            if mine is None or mine.bound is None or row.bound is None:
                continue
            if is_looser(row.bound, mine.bound, mine.side):
                found.append(self.loosened(index, f"bound of {row.id}", mine.bound))
        return found

    def loosened(self, index: int, what: str, ours: float) -> Loosened:
        """Return who stands for the looser requirement ``index`` of the user's file.

        Raises:
            FileError: Nobody does.
        """
        assert self.added is not None
        row = self.added.requirement[index]
        for deviation in self.added.deviation:
            if deviation.requirement == row.id:
                return Loosened(deviation, what, ours, row.unit)
        assert row.bound is not None
        message = (
            f"{with_unit(number_text(row.bound), row.unit)} is looser than the {what},"
            f" {with_unit(number_text(ours), row.unit)}"
        )
        hint = (
            "tighten it, or add a [[deviation]] with requirement, value, reason, who and date:"
            " it will stand on the first page of every report"
        )
        raise self.mistake(index, "bound", message, hint)

    def mistake(self, index: int, key: str, message: str, hint: str | None = None) -> FileError:
        """Return the error about one key of requirement ``index`` of the user's file."""
        assert self.document is not None
        path: KeyPath = ("requirement", index, key)
        return FileError([self.document.problem(Finding(path, message, hint))])


@cache
def own_registry() -> Registry:
    """Return what ships with cryoctl."""
    text = (resources.files("cryoctl") / OWN_FILE).read_text("utf-8")
    return Registry(read_case(text, OWN_FILE)[1])


def read_requirements(text: str, source: str) -> Registry:
    """Return our registry with the user's file in ``text`` in it.

    Raises:
        FileError: With every mistake; a bound of ours that is looser and has no deviation.
    """
    document, added = read_case(text, source)
    own = own_registry().own
    findings = [*_own_findings(added), *_clashes(added, own)]
    if findings:
        raise FileError([document.problem(finding) for finding in findings])
    registry = Registry(own, added, document)
    registry.loosened_bounds()
    return registry


def load_registry(path: Path | None) -> Registry:
    """Return our registry, with a user's file in it if one is given; raises FileError."""
    return own_registry() if path is None else read_requirements(read_text(path), str(path))


def requirements_schema() -> dict[str, Any]:
    """Return the JSON Schema of a requirements file."""
    schema = CaseFile.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


FILE_KIND: Final = FileKind(read_requirements, requirements_schema)


def _own_findings(added: CaseFile) -> Iterator[Finding]:
    """Find what cryoctl's own file alone may say."""
    for index, row in enumerate(added.requirement):
        if row.limits:
            hint = "to tighten one, name it in limit"
            yield Finding(("requirement", index, "limits"), "is cryoctl's own to say", hint)


def _clashes(added: CaseFile, own: CaseFile) -> Iterator[Finding]:
    """Find what does not fit to ours: taken ids, unknown hazards, rows that change ours."""
    hazards = {row.id for row in own.hazard}
    for index, hazard in enumerate(added.hazard):
        if hazard.id in hazards:
            message = f"{hazard.id} is one of cryoctl's own"
            yield Finding(("hazard", index, "id"), message, "use an id of your own")
    known = hazards | {hazard.id for hazard in added.hazard}
    ours = {row.id: row for row in own.requirement}
    for index, row in enumerate(added.requirement):
        for name in row.hazard:
            if name not in known:
                hint = "ours: 'cryoctl requirements --hazards'; yours: a [[hazard]]"
                yield Finding(("requirement", index, "hazard"), f"no hazard {name!r}", hint)
        if row.id in ours:
            yield from _restated_findings(index, row, ours[row.id])
        elif row.id.startswith("SR-"):
            message = "ids that begin with SR- are cryoctl's own"
            yield Finding(("requirement", index, "id"), message, "use a prefix of your own")


def _restated_findings(index: int, row: Requirement, ours: Requirement) -> Iterator[Finding]:
    """Find what a row with an id of ours changes beside the bound."""
    if row.limit is not None:
        hint = "give the row an id of its own"
        yield Finding(("requirement", index, "limit"), f"{row.id} is cryoctl's own", hint)
    elif ours.bound is None or row.bound is None:
        message = f"a row of {row.id} is there to tighten its bound"
        has = f"ours: {ours.bound_text}" if ours.bound_text else "it has none"
        yield Finding(("requirement", index, "bound"), message, has)
    elif (row.unit, row.sense or ours.side) != (ours.unit, ours.side):
        message = f"{row.id} is kept {ours.side} a number of {ours.unit}"
        yield Finding(("requirement", index, "unit"), message, f'write unit = "{ours.unit}"')
