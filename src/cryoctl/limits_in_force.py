"""The limits that the controller goes by: the profile's, with what a user's requirements tighten.

The probe keeps those of its profile, which its hash stands for: the two layers stay independent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import ValidationError

from cryoctl.files import read_text
from cryoctl.requirement_registry import Loosened, Registry, read_requirements
from cryoctl.safety_case import TIGHTER, Requirement, is_looser
from cryoctl.summary import ChangedLimit, DeviationSummary
from cryoctl.treatment import Treatment, limit_findings
from cryoctl_protocol.profile import Limits
from cryoctl_protocol.quantities import range_text
from cryoctl_protocol.toml_problems import key_text
from cryoctl_protocol.toml_text import FileError, Problem

_WHOLE: Final = "battery_min_mv"


class Change(NamedTuple):
    """A limit that is not the profile's, and the requirement that has it so."""

    name: str
    value: float
    profile: float
    unit: str
    id: str


class LimitsInForce(NamedTuple):
    """What the controller goes by.

    Attributes:
        changed: Limits that are not the profile's.
        loosened: What is looser than ours or the profile's, by whose word.
    """

    limits: Limits
    changed: tuple[Change, ...]
    loosened: tuple[Loosened, ...]


def read_limits(
    path: Path | None, treatments: Sequence[Treatment]
) -> tuple[tuple[tuple[str, str], ...], LimitsInForce | None]:
    """Return name and text of a requirements file, and what it asks for; nothing without one.

    Raises:
        FileError: Mistakes in it, or a treatment that does not keep the limits it asks for.
    """
    if path is None:
        return (), None
    text = read_text(path)
    in_force = limits_in_force(
        read_requirements(text, str(path)), treatments[0].probe_profile.limits
    )
    for treatment in treatments:
        check_treatment(treatment, in_force, str(path))
    return ((str(path), text),), in_force


def limits_in_force(registry: Registry, limits: Limits) -> LimitsInForce:
    """Return the profile's ``limits`` as a user's requirements have them.

    Raises:
        FileError: A bound is looser and nobody stands for it, or no profile could have it.
    """
    loosened = registry.loosened_bounds()
    changed = []
    for index, row in _tightest(registry).values():
        assert row.limit is not None
        assert row.bound is not None
        profile = float(getattr(limits, row.limit))
        if is_looser(row.bound, profile, row.side):
            loosened.append(registry.loosened(index, f"profile's {row.limit}", profile))
        if row.bound != profile:
            _check_range(registry, index, row, limits)
            changed.append(Change(row.limit, row.bound, profile, row.unit, row.id))
    values = {change.name: change.value for change in changed}
    if _WHOLE in values:
        values[_WHOLE] = int(values[_WHOLE])
    return LimitsInForce(limits.model_copy(update=values), tuple(changed), tuple(loosened))


def check_treatment(treatment: Treatment, in_force: LimitsInForce, source: str) -> None:
    """Raise FileError for a treatment that keeps its profile's limits and not those in force."""
    findings = limit_findings(treatment.model_dump(by_alias=True), in_force.limits)
    if findings:
        why = ", ".join(f"{change.id} ({change.name})" for change in in_force.changed)
        raise FileError(
            [
                Problem(
                    source, None, key_text(found.path), f"{found.message}, by {why}", found.hint
                )
                for found in findings
            ]
        )


def changed_limits(in_force: LimitsInForce) -> list[ChangedLimit]:
    """Return a row for each limit that is not the profile's."""
    return [
        ChangedLimit(
            limit=row.name, value=row.value, profile=row.profile, unit=row.unit, requirement=row.id
        )
        for row in in_force.changed
    ]


def deviations(in_force: LimitsInForce) -> list[DeviationSummary]:
    """Return a row for each thing that is looser by somebody's word."""
    return [
        DeviationSummary(
            requirement=row.deviation.requirement,
            what=row.what,
            value=row.deviation.value,
            ours=row.ours,
            unit=row.unit,
            reason=row.deviation.reason,
            who=row.deviation.who,
            date=row.deviation.date.isoformat(),
            text=row.text,
        )
        for row in in_force.loosened
    ]


def _tightest(registry: Registry) -> dict[str, tuple[int, Requirement]]:
    """Return for each limit the one requirement that asks for most, with its place in the file."""
    found: dict[str, tuple[int, Requirement]] = {}
    for index, row in _limiting(registry):
        assert row.limit is not None
        assert row.bound is not None
        other = found.get(row.limit, (0, row))[1].bound
        assert other is not None
        if not is_looser(row.bound, other, TIGHTER[row.limit]):
            found[row.limit] = (index, row)
    return found


def _limiting(registry: Registry) -> Iterator[tuple[int, Requirement]]:
    for index, row in enumerate(() if registry.added is None else registry.added.requirement):
        if row.limit is not None:
            yield index, row


def _check_range(registry: Registry, index: int, row: Requirement, limits: Limits) -> None:
    """Keep every limit within what the file of a profile may say; no deviation lifts that."""
    assert row.limit is not None
    assert row.bound is not None
    is_whole = row.bound == round(row.bound)
    value = int(row.bound) if row.limit == _WHOLE and is_whole else row.bound
    try:
        type(limits).model_validate({**limits.model_dump(), row.limit: value})
    except ValidationError as error:
        allowed = range_text(type(limits).model_fields[row.limit])
        message = f"{row.limit} cannot be {row.bound:g} {row.unit} in any profile"
        raise registry.mistake(index, "bound", message, f"allowed: {allowed}") from error
