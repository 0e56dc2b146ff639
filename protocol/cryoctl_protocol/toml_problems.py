"""Turns what pydantic found wrong into findings a person can act on, in our own words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any, Final, NamedTuple, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from cryoctl_protocol.quantities import (
    UNIT_ENDINGS,
    UNIT_WORDS,
    choices,
    choices_text,
    kind_text,
    members,
    models,
    number_text,
    range_text,
    unit_of,
    with_unit,
)
from cryoctl_protocol.toml_keys import KeyPath

_RANGE_ERRORS: Final = ("greater_than", "greater_than_equal", "less_than", "less_than_equal")
_NUMBER_IN_TEXT: Final = re.compile(r"\s*([+-]?\d+(?:[.,]\d+)?)\s*([^\d\s].*?)?\s*")
_TEXT_SHOWN_MAX: Final = 60
_SIMILAR: Final = 0.6  # difflib's own default: "setpont" finds "setpoint", "foo" finds nothing


class Finding(NamedTuple):
    """One thing wrong with one key.

    Attributes:
        path: The key, from the top of the file.
        message: What is wrong.
        hint: Allowed range or what to write instead; goes into brackets.
        suggestion: The key that was probably meant.
    """

    path: KeyPath
    message: str
    hint: str | None = None
    suggestion: KeyPath | None = None


class FindingsError(ValueError):
    """Raise it in a model's validator to report against keys; paths start at that model."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("; ".join(_as_text(finding) for finding in self.findings))


def _as_text(finding: Finding) -> str:
    hint = f" ({finding.hint})" if finding.hint else ""
    return f"{key_text(finding.path)}: {finding.message}{hint}"


def key_text(path: KeyPath) -> str:
    """Return ``path`` as people write it: ``cycles.count``, ``faults[0].at_s``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if re.fullmatch(r"[\w-]+", part) else repr(part)
            text += f".{name}" if text else name
    return text


def value_text(value: Any) -> str:
    """Return ``value`` shortly, as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return number_text(value) if isinstance(value, float) else _shortened(str(value))
    if isinstance(value, dict):
        return "a section"
    if isinstance(value, list):
        return "a list"
    return _shortened(f'"{value}"' if isinstance(value, str) else str(value))


def _shortened(text: str) -> str:
    return text if len(text) <= _TEXT_SHOWN_MAX else text[:_TEXT_SHOWN_MAX] + "..."


def table_keys(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the keys of a table as the file writes them."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def translate(
    error: ValidationError, model: type[BaseModel], data: dict[str, Any]
) -> list[Finding]:
    """Return what ``error`` says about ``data``, one finding a key."""
    findings: dict[KeyPath, list[Finding]] = {}
    details = error.errors(include_url=False)
    for detail in details:
        if detail["type"] == "too_short" and _has_errors_inside(detail["loc"], details):
            continue  # pydantic does not count the elements it could not use.
        place = _locate(model, data, detail["loc"])
        for finding in _explain(detail, place, model):
            findings.setdefault(finding.path, []).append(finding)
    kept = [same[0] for same in findings.values()]
    # A misspelt key is one mistake, although its right name is then missing.
    meant = {finding.suggestion for finding in kept if finding.suggestion}
    return [f for f in kept if not (f.path in meant and f.message.startswith("missing"))]


def _has_errors_inside(loc: KeyPath, details: Iterable[Any]) -> bool:
    length = len(loc)
    return any(len(d["loc"]) > length and d["loc"][:length] == loc for d in details)


class _Place(NamedTuple):
    """Where in model and data an error is."""

    path: KeyPath
    owner: type[BaseModel] | None
    field: FieldInfo | None
    value: Any


def _locate(model: type[BaseModel], data: Any, loc: KeyPath) -> _Place:
    """Follow ``loc`` through model and data; pydantic adds union members to it, these go."""
    annotation: Any = model
    owner: type[BaseModel] | None = None
    field: FieldInfo | None = None
    path: KeyPath = ()
    for part in loc:
        tables = models(annotation)
        if len(tables) > 1 and isinstance(part, str):
            annotation = _member_called(part, tables) or annotation
        elif tables and isinstance(data, dict):
            owner = tables[0]
            field = table_keys(owner).get(str(part))
            annotation = field.annotation if field else Any
            path, data = (*path, part), data.get(str(part))
        elif isinstance(part, int) and isinstance(data, list):
            annotation = _element(annotation)
            field = FieldInfo.from_annotation(annotation)
            path, data = (*path, part), data[part] if part < len(data) else None
        elif isinstance(data, dict) and part in data:
            annotation = _element(annotation)
            path, data = (*path, part), data[str(part)]
    return _Place(path, owner, field, data)


def _member_called(name: str, tables: tuple[type[BaseModel], ...]) -> type[BaseModel] | None:
    for table in tables:
        fields = table.model_fields.values()
        if name == table.__name__ or any(name in choices(f.annotation) for f in fields):
            return table
    return None


def _element(annotation: Any) -> Any:
    """Return the type of the elements of a list, or of the values of a dictionary."""
    for member in members(annotation):
        arguments = [a for a in get_args(member) if a is not Ellipsis]
        if get_origin(member) is not None and arguments:
            return arguments[-1]
    return Any


def _explain(detail: Any, place: _Place, model: type[BaseModel]) -> list[Finding]:
    """Return the findings of one pydantic error."""
    path, field, kind = place.path, place.field, detail["type"]
    if kind == "value_error":
        return _from_validator(detail["ctx"]["error"], path)
    if kind == "extra_forbidden":
        return [_unknown(place, model)]
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        key = str(detail["ctx"]["discriminator"]).strip("'")
        allowed = detail["ctx"].get("expected_tags")
        got = "missing key" if allowed is None else f'"{detail["ctx"]["tag"]}" is not known'
        return [Finding((*path, key), got, f"allowed: {allowed}" if allowed else None)]
    if field is None:
        return [Finding(path, "not what belongs here")]
    if kind == "missing":
        return [_missing(path, field)]
    if kind in _RANGE_ERRORS:
        got = with_unit(value_text(place.value), unit_of(field))
        return [Finding(path, f"{got} is out of range", f"allowed: {range_text(field)}")]
    if kind == "finite_number":
        hint = f"expected {kind_text(field)}"
        return [Finding(path, f"{value_text(place.value)} is not a usable number", hint)]
    fixed = choices(field.annotation)
    if fixed:
        return [_wrong_choice(place, fixed)]
    if kind.endswith(("_type", "_parsing", "_from_float")):
        return [_wrong_type(place, field)]
    return [_wrong_shape(detail, place, field)]


def _from_validator(error: ValueError, path: KeyPath) -> list[Finding]:
    if isinstance(error, FindingsError):
        return [finding._replace(path=(*path, *finding.path)) for finding in error.findings]
    return [Finding(path, str(error))]


def _missing(path: KeyPath, field: FieldInfo) -> Finding:
    tables = models(field.annotation)
    if not tables:
        allowed = range_text(field)
        hint = f"expected {kind_text(field)}{f', {allowed}' if allowed else ''}"
        return Finding(path, "missing key", hint)
    needed = required_keys(tables[0])
    keys = f"with the keys {', '.join(needed)}" if needed else None
    return Finding(path, f"missing section [{key_text(path)}]", keys)


def required_keys(model: type[BaseModel]) -> list[str]:
    """Return the keys a table cannot do without; sections in square brackets."""
    return [
        f"[{key}]" if models(field.annotation) else key
        for key, field in table_keys(model).items()
        if field.is_required()
    ]


def _unknown(place: _Place, model: type[BaseModel]) -> Finding:
    *table, key = place.path
    word = "unknown section" if isinstance(place.value, dict) else "unknown key"
    known = table_keys(place.owner) if place.owner else {}
    for name, field in known.items():
        if name != key and _is_same_without_unit(str(key), name, unit_of(field)):
            unit = UNIT_WORDS.get(unit_of(field), unit_of(field))
            return Finding(place.path, word, f"use {name}, in {unit}", (*table, name))
    elsewhere = _path_of(str(key), model)
    if elsewhere:
        return Finding(place.path, word, None, elsewhere)
    close = difflib.get_close_matches(str(key), known, n=1, cutoff=_SIMILAR)
    if close:
        return Finding(place.path, word, None, (*table, close[0]))
    return Finding(place.path, word, f"known here: {', '.join(known)}" if known else None)


def _is_same_without_unit(key: str, known: str, unit: str) -> bool:
    return bool(unit) and _stem(key) == _stem(known)


def _stem(key: str) -> str:
    """Return ``key`` without the unit at its end."""
    parts = key.lower().split("_")
    for start in range(1, len(parts)):
        if "_".join(parts[start:]) in UNIT_ENDINGS:
            return "_".join(parts[:start])
    return key.lower()


def _path_of(key: str, model: type[BaseModel], above: KeyPath = ()) -> KeyPath | None:
    """Return where in ``model`` a key of this name belongs."""
    for name, field in table_keys(model).items():
        tables = models(field.annotation)
        if name == key:
            return (*above, name)
        for table in tables:
            found = _path_of(key, table, (*above, name))
            if found:
                return found
    return None


def _wrong_choice(place: _Place, fixed: tuple[Any, ...]) -> Finding:
    got = value_text(place.value)
    names = [choice for choice in fixed if isinstance(choice, str)]
    close = difflib.get_close_matches(str(place.value), names, n=1, cutoff=_SIMILAR)
    hint = f"allowed: {choices_text(fixed)}"
    if close:
        hint += f'; did you mean "{close[0]}"?'
    return Finding(place.path, f"{got} is not known", hint)


def _wrong_type(place: _Place, field: FieldInfo) -> Finding:
    expected = kind_text(field)
    got = value_text(place.value)
    if models(field.annotation):
        name = key_text(place.path)
        return Finding(place.path, f"expected a section, got {got}", f"write [{name}] on a line")
    is_number = float in members(field.annotation) or int in members(field.annotation)
    if is_number and isinstance(place.value, str):
        return _number_as_text(place, field, expected)
    allowed = range_text(field)
    return Finding(
        place.path, f"expected {expected}, got {got}", f"allowed: {allowed}" if allowed else None
    )


def _number_as_text(place: _Place, field: FieldInfo, expected: str) -> Finding:
    allowed = range_text(field)
    hint = f"allowed: {allowed}" if allowed else None
    found = _NUMBER_IN_TEXT.fullmatch(place.value)
    how = ""
    if found:
        number, unit = found.group(1).replace(",", "."), found.group(2) or ""
        how = ", without unit" if unit else ", without quotes"
        if unit.strip("°. ").lower() in ("", unit_of(field).lower()):
            hint = f"write {place.path[-1]} = {number}"
    return Finding(place.path, f"expected {expected}{how}, got {value_text(place.value)}", hint)


def _wrong_shape(detail: Any, place: _Place, field: FieldInfo) -> Finding:
    context = detail.get("ctx", {})
    got = value_text(place.value)
    low, high = context.get("min_length"), context.get("max_length")
    if high is not None:
        return Finding(place.path, f"{got} is too long", f"allowed: at most {high}")
    if low is not None:
        return Finding(place.path, f"{got} is too short", f"allowed: at least {low}")
    return Finding(place.path, f"{got} is not allowed", f"expected {kind_text(field)}")
