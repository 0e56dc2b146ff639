"""A checker for the part of JSON Schema that pydantic writes; knows nothing of pydantic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}
_KNOWN: Final = {
    "$defs",
    "$ref",
    "$schema",
    "additionalProperties",
    "anyOf",
    "const",
    "default",
    "description",
    "discriminator",
    "enum",
    "items",
    "maximum",
    "minimum",
    "oneOf",
    "properties",
    "required",
    "title",
    "type",
}


def problems(value: Any, schema: dict[str, Any]) -> list[str]:
    """Return everything in ``value`` that breaks ``schema``."""
    return list(_check(value, schema, schema, "$"))


def _check(value: Any, rule: dict[str, Any], root: dict[str, Any], path: str) -> Iterator[str]:
    unknown = set(rule) - _KNOWN
    assert not unknown, f"this checker does not know {unknown}"
    if "$ref" in rule:
        name = rule["$ref"].removeprefix("#/$defs/")
        yield from _check(value, root["$defs"][name], root, path)
    if "anyOf" in rule:
        tries = [list(_check(value, choice, root, path)) for choice in rule["anyOf"]]
        if all(tries):
            yield f"{path}: fits no choice: {tries}"
    if "oneOf" in rule:
        fits = [not list(_check(value, choice, root, path)) for choice in rule["oneOf"]]
        if sum(fits) != 1:
            yield f"{path}: fits {sum(fits)} choices, not one"
    yield from _check_value(value, rule, path)
    if isinstance(value, dict):
        yield from _check_object(value, rule, root, path)
    if isinstance(value, list) and "items" in rule:
        for index, item in enumerate(value):
            yield from _check(item, rule["items"], root, f"{path}[{index}]")


def _check_value(value: Any, rule: dict[str, Any], path: str) -> Iterator[str]:
    if "const" in rule and value != rule["const"]:
        yield f"{path}: {value!r} is not {rule['const']!r}"
    if "enum" in rule and value not in rule["enum"]:
        yield f"{path}: {value!r} is none of {rule['enum']}"
    if "type" in rule:
        fits = isinstance(value, _TYPES[rule["type"]])
        if not fits or (isinstance(value, bool) and rule["type"] != "boolean"):
            yield f"{path}: {value!r} is no {rule['type']}"
            return
    if "minimum" in rule and value < rule["minimum"]:
        yield f"{path}: {value} < {rule['minimum']}"
    if "maximum" in rule and value > rule["maximum"]:
        yield f"{path}: {value} > {rule['maximum']}"


def _check_object(
    value: dict[str, Any], rule: dict[str, Any], root: dict[str, Any], path: str
) -> Iterator[str]:
    known = rule.get("properties", {})
    for name in rule.get("required", []):
        if name not in value:
            yield f"{path}: {name} is missing"
    for name, item in value.items():
        if name in known:
            yield from _check(item, known[name], root, f"{path}.{name}")
        elif rule.get("additionalProperties") is False:
            yield f"{path}: {name} is not known"
