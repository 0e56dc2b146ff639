"""A file of hazards, requirements and deviations: cryoctl's own, or a user's."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from cryoctl_protocol.profile import Limits
from cryoctl_protocol.quantities import number_text, unit_of, with_unit
from cryoctl_protocol.toml_text import Document, Finding, FindingsError, parse_toml, validate

_FILE: Final = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
_ID: Final = re.compile(r"[A-Z][A-Z0-9]*(-[A-Z0-9]+)*-[0-9]+")
_TEXT: Final = r"^[^\x00-\x1f\x7f]+$"
_LINE: Final = r"^[^\x00-\x1f\x7f]*$"
_ID_MAX: Final = 40
_TEXT_MAX: Final = 400

Sense = Literal["at_most", "at_least"]


def _is_id(given: str) -> str:
    if len(given) > _ID_MAX or not _ID.fullmatch(given):
        hint = f"capitals, digits and hyphens, a number last, {_ID_MAX} at most: ACME-REQ-7"
        raise FindingsError([Finding((), f"{given!r} is no id", hint)])
    return given


def _is_date(given: object) -> object:
    try:
        return dt.date.fromisoformat(str(given))
    except ValueError as error:
        hint = "year-month-day: 2026-11-21"
        raise FindingsError([Finding((), f"{str(given)!r} is no date", hint)]) from error


Id = Annotated[str, AfterValidator(_is_id)]

# fmt: off
TIGHTER: Final[dict[str, Sense]] = {
    "tip_floor_c":       "at_least",
    "freeze_s_max":      "at_most",
    "heater_tip_max_c":  "at_most",
    "heater_on_s_max":   "at_most",
    "thaw_energy_j_max": "at_most",
    "skin_min_c":        "at_least",
    "pressure_warn_bar": "at_most",
    "pressure_trip_bar": "at_most",
    "exhaust_trip_bar":  "at_most",
    "battery_min_mv":    "at_least",
    "stimulus_ma_max":   "at_most",
}
# fmt: on
"""Limits of a profile that a requirement can tighten, and where the tight side of each is."""


class Hazard(BaseModel):
    """Something that can go wrong, and what stands against it."""

    model_config = _FILE

    id: Id = Field(description="Such as H-02.")
    text: str = Field(pattern=_TEXT, max_length=_TEXT_MAX, description="What happens to whom.")
    causes: tuple[str, ...] = Field((), description="Ids of faults that can lead to it.")
    control: str = Field(
        "", pattern=_LINE, max_length=_TEXT_MAX, description="What stands against it."
    )
    bound: float | None = Field(
        None, description="From the moment it can be seen until all is safe."
    )
    unit: str = Field("", max_length=16, pattern=_LINE, description="Of bound.")
    why: str = Field("", pattern=_LINE, max_length=_TEXT_MAX, description="Why this number.")
    severity: Literal[1, 2, 3] = Field(
        description="3 irreversible, 2 reversible, 1 minor injury or loss of data."
    )
    onset: Literal["immediate", "prompt", "delayed"] | None = Field(
        None, description="How soon somebody has to act; left out where nothing has to sound."
    )


class Requirement(BaseModel):
    """What is asked for, with its number."""

    model_config = _FILE

    id: Id = Field(description="Such as ACME-REQ-7; one of ours tightens ours.")
    text: str = Field(pattern=_TEXT, max_length=_TEXT_MAX, description="For people.")
    hazard: tuple[str, ...] = Field((), description="Ids of hazards it stands against.")
    bound: float | None = Field(None, description="The number; left out if it is yes or no.")
    unit: str = Field("", max_length=16, pattern=_LINE, description="Of bound.")
    sense: Sense | None = Field(
        None, description="On which side of bound it is kept; at_most, or as its limit is."
    )
    method: str = Field("", max_length=60, pattern=_LINE, description="How it is shown.")
    limit: str | None = Field(None, description="Limit of the profile that bound is to replace.")
    limits: tuple[str, ...] = Field((), description="Limits of a profile that carry it out.")
    allocation: Literal["H", "D", "B"] | None = Field(
        None, description="Host, device or both; left out where neither."
    )
    status: Literal["ACTIVE", "PLANNED"] = Field(
        "ACTIVE", description="PLANNED ones need no test yet, but a word in missing."
    )
    missing: str = Field(
        "", max_length=_TEXT_MAX, pattern=_LINE, description="What it still lacks."
    )

    @field_validator("hazard", mode="before")
    @classmethod
    def _one_is_a_list_of_one(cls, given: Any) -> Any:
        if isinstance(given, str):
            return (given,)
        return tuple(given) if isinstance(given, list) else given

    @field_validator("limit")
    @classmethod
    def _is_a_limit(cls, name: str | None) -> str | None:
        if name is not None and name not in TIGHTER:
            known = f"known: {', '.join(TIGHTER)}"
            raise FindingsError([Finding((), f"{name!r} is no limit to tighten", known)])
        return name

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        found = []
        if self.status == "PLANNED" and not self.missing:
            found.append(Finding(("missing",), "missing key", "say why it is not there yet"))
        if self.limit is not None:
            found += self._limit_findings(self.limit)
        if found:
            raise FindingsError(found)
        return self

    def _limit_findings(self, limit: str) -> Iterator[Finding]:
        unit, sense = unit_of(Limits.model_fields[limit]), TIGHTER[limit]
        if self.bound is None:
            yield Finding(("bound",), "missing key", f"the value for {limit}, in {unit}")
        if self.unit != unit:
            yield Finding(("unit",), f"{limit} is in {unit}", f'write "{unit}"')
        if self.sense not in (None, sense):
            yield Finding(("sense",), f"{limit} is kept {sense}", f'leave it out, or "{sense}"')

    @property
    def side(self) -> Sense:
        """On which side of the bound it is kept."""
        return (self.sense or "at_most") if self.limit is None else TIGHTER[self.limit]

    @property
    def bound_text(self) -> str:
        """The bound as people read it, such as ``<= 100 ms``; empty if there is none."""
        if self.bound is None:
            return ""
        mark = "<=" if self.side == "at_most" else ">="
        return f"{mark} {with_unit(number_text(self.bound), self.unit)}"

    def keeps(self, value: float) -> bool:
        """Return True if a measured ``value``, in the requirement's unit, is within its bound."""
        return self.bound is None or not is_looser(value, self.bound, self.side)


class Deviation(BaseModel):
    """Somebody's word that a requirement may be looser than ours."""

    model_config = _FILE

    requirement: str = Field(description="Id of the requirement of this file that is looser.")
    value: float = Field(description="Its bound, once more.")
    reason: str = Field(pattern=_TEXT, max_length=200, description="Why.")
    who: str = Field(pattern=_TEXT, max_length=80, description="Whose word it is.")
    date: Annotated[dt.date, BeforeValidator(_is_date)] = Field(description="Of the word.")


class CaseFile(BaseModel):
    """A whole file of hazards, requirements and deviations."""

    model_config = ConfigDict(**_FILE, title="cryoctl requirements")

    schema_version: Literal[1] = Field(1, alias="schema", description="Version of this format.")
    hazard: tuple[Hazard, ...] = Field((), description="Hazards that ours do not name.")
    requirement: tuple[Requirement, ...] = Field((), description="In any order.")
    deviation: tuple[Deviation, ...] = Field((), description="For bounds looser than ours.")

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        found = [
            *_repeats("hazard", [row.id for row in self.hazard]),
            *_repeats("requirement", [row.id for row in self.requirement]),
            *_repeats("deviation", [row.requirement for row in self.deviation]),
            *self._deviation_findings(),
        ]
        if found:
            raise FindingsError(found)
        return self

    def _deviation_findings(self) -> Iterator[Finding]:
        bounds = {row.id: row.bound for row in self.requirement}
        for index, row in enumerate(self.deviation):
            if row.requirement not in bounds:
                message = f"there is no requirement {row.requirement!r} in this file"
                yield Finding(("deviation", index, "requirement"), message)
            elif bounds[row.requirement] != row.value:
                message = f"{number_text(row.value)} is not the bound of {row.requirement}"
                yield Finding(("deviation", index, "value"), message, "give the same number")


def is_looser(value: float, than: float, side: Sense) -> bool:
    """Return True if ``value`` permits more than ``than`` does."""
    return value > than if side == "at_most" else value < than


def _repeats(table: str, ids: Sequence[str]) -> Iterator[Finding]:
    for index, name in enumerate(ids):
        first = ids.index(name)
        if first != index:
            key = "requirement" if table == "deviation" else "id"
            yield Finding((table, index, key), f"{name!r} is taken by {table} {first + 1}")


def read_case(text: str, source: str) -> tuple[Document, CaseFile]:
    """Return the file in ``text`` for itself, not compared with ours.

    Raises:
        FileError: With every mistake, its line and what is allowed.
    """
    document = parse_toml(text, source)
    return document, validate(document, CaseFile)
