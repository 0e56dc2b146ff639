"""Numbers in files: one helper that gives a field its unit and range, and the words for them."""

from __future__ import annotations

import types
from enum import Enum
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, Field
from pydantic.fields import FieldInfo

UNIT_WORDS: Final = {
    "C": "degrees Celsius",
    "s": "seconds",
    "ms": "milliseconds",
    "mm": "millimetres",
    "bar": "bar",
    "g": "grams",
    "mg/s": "milligrams per second",
    "C/s": "degrees Celsius per second",
    "W": "watts",
    "J": "joules",
    "mV": "millivolts",
    "mA": "milliamperes",
    "mAh": "milliampere-hours",
}

# Endings people give a key; the longest that fits is taken for the unit.
UNIT_ENDINGS: Final = frozenset(
    [
        *("c", "f", "k", "celsius", "fahrenheit", "kelvin", "deg", "degc", "c_per_s", "k_per_s"),
        *("s", "sec", "secs", "second", "seconds", "ms", "min", "mins", "minute", "minutes"),
        *("h", "hours", "mm", "cm", "m", "um", "bar", "mbar", "kpa", "pa", "psi"),
        *(
            "g",
            "mg",
            "kg",
            "mg_s",
            "g_s",
            "g_min",
            "w",
            "mw",
            "kw",
            "watts",
            "j",
            "kj",
            "mv",
            "v",
            "ma",
            "mah",
        ),
    ]
)


def quantity(
    default: Any = ...,
    *,
    unit: str,
    doc: str,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
) -> Any:
    """Return a pydantic field for a number with a unit, a range and one line of documentation."""
    return Field(
        default, ge=ge, gt=gt, le=le, lt=lt, description=doc, json_schema_extra={"unit": unit}
    )


def number_text(value: float) -> str:
    """Return ``value`` as people write it: no trailing zeros, no rounding that matters."""
    return f"{value:.10g}"


def unit_of(field: FieldInfo) -> str:
    """Return the unit that ``quantity`` gave ``field``, or an empty text."""
    extra = field.json_schema_extra
    unit = extra.get("unit", "") if isinstance(extra, dict) else ""
    return str(unit)


def with_unit(text: str, unit: str) -> str:
    """Return ``text`` and its unit, if it has one."""
    return f"{text} {unit}" if unit else text


def for_people(value: float, unit: str) -> str:
    """Return a number as papers have it: with the unit ``C`` of files written as ``°C``."""
    return with_unit(number_text(value), "°C" if unit == "C" else unit)


def range_text(field: FieldInfo) -> str:
    """Return the allowed range with its unit, such as ``0 to 150 s``; empty if there is none."""
    unit = unit_of(field)
    low = high = ""
    is_open = False
    for rule in _rules(field):
        match rule:
            case Ge(ge):
                low = number_text(float(str(ge)))
            case Gt(gt):
                low, is_open = number_text(float(str(gt))), True
            case Le(le):
                high = number_text(float(str(le)))
            case Lt(lt):
                high = f"below {number_text(float(str(lt)))}"
            case _:
                pass
    if low and high and not is_open and not high.startswith("below"):
        return with_unit(f"{low} to {high}", unit)
    first = f"{'above' if is_open else 'at least'} {with_unit(low, unit)}" if low else ""
    second = high if high.startswith("below") else (f"at most {high}" if high else "")
    return ", ".join(part for part in (first, with_unit(second, unit) if second else "") if part)


def _rules(field: FieldInfo) -> list[Any]:
    """Return a field's bounds, those of ``Annotated[float, Field(...)] | None`` included."""
    rules = list(field.metadata)
    for choice in get_args(field.annotation):
        for inner in getattr(choice, "__metadata__", ()):
            rules += inner.metadata if isinstance(inner, FieldInfo) else [inner]
    return rules


def members(annotation: Any) -> tuple[Any, ...]:
    """Return the types ``annotation`` allows, without ``None`` and without annotations."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return members(get_args(annotation)[0])
    if origin is Union or origin is types.UnionType:
        return tuple(inner for part in get_args(annotation) for inner in members(part))
    return () if annotation is type(None) else (annotation,)


def models(annotation: Any) -> tuple[type[BaseModel], ...]:
    """Return the tables among the types that ``annotation`` allows."""
    return tuple(m for m in members(annotation) if isinstance(m, type) and issubclass(m, BaseModel))


def choices(annotation: Any) -> tuple[Any, ...]:
    """Return the fixed values a field may have; empty when it is not that kind."""
    found: list[Any] = []
    for member in members(annotation):
        if get_origin(member) is Literal:
            found.extend(get_args(member))
        elif isinstance(member, type) and issubclass(member, Enum):
            found.extend(choice.value for choice in member)
    return tuple(found)


def choices_text(values: tuple[Any, ...]) -> str:
    """Return ``values`` as TOML writes them."""
    texts = [f'"{value}"' if isinstance(value, str) else str(value) for value in values]
    return " or ".join(([", ".join(texts[:-1])] if texts[1:] else []) + texts[-1:])


def kind_text(field: FieldInfo) -> str:
    """Return what ``field`` takes, in words: ``a number of seconds``."""
    fixed = choices(field.annotation)
    if fixed:
        return choices_text(fixed)
    if models(field.annotation):
        return "a section"
    unit = UNIT_WORDS.get(unit_of(field), unit_of(field))
    words = [_kind_word(member, unit) for member in members(field.annotation)]
    return " or ".join(dict.fromkeys(words)) or "another kind of value"


def _kind_word(member: Any, unit: str) -> str:
    plain = get_origin(member) or member
    if plain is float:
        return f"a number of {unit}" if unit else "a number"
    if plain is int:
        return f"a whole number of {unit}" if unit else "a whole number"
    words: dict[Any, str] = {str: "text in quotes", bool: "true or false", dict: "a section"}
    return words.get(plain, "a list" if plain in (list, tuple, set, frozenset) else "a value")
