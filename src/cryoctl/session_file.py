"""A session file: several placements of one probe, one after the other, each with a treatment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from cryoctl.files import read_text, treatment_text
from cryoctl.treatment import Treatment, read_treatment, shipped_treatments
from cryoctl_protocol.toml_text import (
    Document,
    FileError,
    FileKind,
    Finding,
    Problem,
    parse_toml,
    validate,
)

PLACEMENTS_MAX: Final = 20
_FILE: Final = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
_UNUSABLE: Final = "what it names cannot be used"
_TEXT: Final = r"^[^\x00-\x1f\x7f]*$"


class PlacementTable(BaseModel):
    """Table ``[[placement]]``."""

    model_config = _FILE

    name: str = Field(
        min_length=1, max_length=60, pattern=_TEXT, description="Where the probe is to be put."
    )
    treatment: str | None = Field(
        None, description="Of this placement alone: a file or a shipped name."
    )
    scenario: str | None = Field(
        None, description="What to simulate there: a file or a shipped name; simulator only."
    )


class SessionTable(BaseModel):
    """A whole session file."""

    model_config = ConfigDict(**_FILE, title="cryoctl session")

    schema_version: Literal[1] = Field(alias="schema", description="Version of this file format.")
    name: str = Field("", max_length=80, pattern=_TEXT, description="Name for people, in print.")
    treatment: str | None = Field(
        None, description="Of every placement that names none: a file or a shipped name."
    )
    placement: tuple[PlacementTable, ...] = Field(
        min_length=1, max_length=PLACEMENTS_MAX, description="In order, each armed by itself."
    )


@dataclass(frozen=True, slots=True)
class Placement:
    """One placement, with what is to be done there.

    Attributes:
        treatment_text: The treatment as its file has it, for the recording.
        scenario: To simulate; None is the one of the device's address.
        scenario_named: That it cannot be used, with the line that names it; None without one.
    """

    name: str
    treatment: Treatment
    treatment_text: str
    scenario: str | None
    scenario_named: Problem | None

    def scenario_text(self) -> str:
        """Return the text of the scenario's file; raises FileError, which tells who named it."""
        assert self.scenario is not None
        assert self.scenario_named is not None
        try:
            return read_text(Path(self.scenario))
        except FileError as error:
            raise FileError([self.scenario_named, *error.problems]) from error


@dataclass(frozen=True, slots=True)
class Session:
    """What a session file says.

    Attributes:
        text: Of the file, for the recording.
    """

    name: str
    text: str
    placements: tuple[Placement, ...]


def load_session(path: Path, settings: Sequence[str] = ()) -> Session:
    """Return the session in a file, with ``settings`` on top of each treatment.

    Raises:
        FileError: Mistakes in the file or in one of its treatments, each with its place.
    """
    return read_session(read_text(path), str(path), settings)


def read_session(text: str, source: str, settings: Sequence[str] = ()) -> Session:
    """Return the session in ``text``; its files are looked for from where ``source`` is."""
    document = parse_toml(text, source)
    table = validate(document, SessionTable)
    placements = tuple(
        _placement(document, table, index, settings) for index in range(len(table.placement))
    )
    first = placements[0].treatment.probe_profile
    for index, placement in enumerate(placements):
        profile = placement.treatment.probe_profile
        if profile.hash32 != first.hash32:
            raise _mistake(
                document,
                index,
                "treatment",
                f"it is for profile {profile.probe.id}, the first placement's for {first.probe.id}",
                "one session has one probe",
            )
    return Session(table.name, document.text, placements)


def session_schema() -> dict[str, Any]:
    """Return the JSON Schema of a session file."""
    schema = SessionTable.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


FILE_KIND: Final = FileKind(read_session, session_schema)


def _placement(
    document: Document, table: SessionTable, index: int, settings: Sequence[str]
) -> Placement:
    row = table.placement[index]
    name = row.treatment or table.treatment
    if name is None:
        raise _mistake(
            document, index, "treatment", "missing key", "or give one for all at the top"
        )
    folder = Path(document.source).parent
    path = Path(name) if name in shipped_treatments() else folder / name
    try:
        text, source = treatment_text(path)
        treatment = read_treatment(text, source, settings).treatment
    except FileError as error:
        key = ("placement", index, "treatment") if row.treatment else ("treatment",)
        named = document.problem(Finding(key, _UNUSABLE))
        raise FileError([named, *error.problems]) from error
    scenario, scenario_named = row.scenario, None
    if scenario is not None:
        scenario_named = document.problem(Finding(("placement", index, "scenario"), _UNUSABLE))
        if scenario.endswith(".toml"):
            scenario = str(folder / scenario)
    return Placement(row.name, treatment, text, scenario, scenario_named)


def _mistake(document: Document, index: int, key: str, message: str, hint: str) -> FileError:
    return FileError([document.problem(Finding(("placement", index, key), message, hint))])
