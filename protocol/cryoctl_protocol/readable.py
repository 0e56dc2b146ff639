"""Messages as people read them: degrees and bar instead of thousandths, names instead of numbers.

For who looks on (JSON, Wireshark, tables of many probes); nothing that drives a probe goes through
here.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntFlag
from functools import partial
from typing import Any, Final, NamedTuple

from cryoctl_protocol.messages import ID_OF, MESSAGES, Message, WireField, unpadded


class Shown(NamedTuple):
    """How people read a unit of the wire.

    Attributes:
        unit: As it is shown; ASCII, as people type it.
        divisor: Of the number on the wire; 1 leaves it a whole number.
        ending: Of the field's name on the wire.
        shown_ending: Of the field's name for people.
    """

    unit: str
    divisor: int = 1
    ending: str = ""
    shown_ending: str = ""


# fmt: off
SHOWN: Final = {
    "ms":   Shown("ms"),
    "Hz":   Shown("Hz"),
    "µs":   Shown("us"),
    "m°C":  Shown("C", 1000, "_mdegc", "_c"),
    "mbar": Shown("bar", 1000, "_mbar", "_bar"),
    "µg/s": Shown("mg/s", 1000, "_ug_s", "_mg_s"),
    "mV":   Shown("V", 1000, "_mv", "_v"),
    "‰":    Shown("%", 10, "_permille", "_percent"),
    "µA":   Shown("mA", 1000, "_ua", "_ma"),
    "mJ":   Shown("J", 1000, "_mj", "_j"),
}
# fmt: on
_NUMBER_SIZE_MAX: Final = 8
"""Bytes; what is longer is text."""

Read = Callable[[Any], object]


def shown_name(name: str, field: WireField) -> str:
    """Return the name of a field for people: that of the wire with the unit that is shown."""
    shown = SHOWN.get(field.unit)
    return name.removesuffix(shown.ending) + shown.shown_ending if shown else name


def divisor_of(field: WireField) -> int:
    """Return by what a number of the wire is divided to be shown."""
    return SHOWN[field.unit].divisor if field.unit else 1


def readable(message: Message) -> dict[str, object]:
    """Return the fields of ``message`` with names and units for people, ready for JSON.

    A code that this version does not know stays a number, an unknown bit is left out.
    """
    readers = _READERS[ID_OF[type(message)]]
    return {name: read(value) for (name, read), value in zip(readers, message, strict=True)}


def _reader(field: WireField) -> Read:
    choices = field.choices
    if divisor_of(field) != 1:
        return partial(_divided, divisor_of(field))
    if choices is bool:
        return bool
    if choices is not None and issubclass(choices, IntFlag):
        return lambda value: [bit.name for bit in choices if bit & value]
    if choices is not None:
        names = {int(choice): choice.name for choice in choices}
        return lambda value: names.get(value, value)
    return unpadded if field.kind.sizeof() > _NUMBER_SIZE_MAX else _as_it_is


def _divided(divisor: int, value: int) -> float:
    return value / divisor


def _as_it_is(value: Any) -> object:
    return value


_READERS: Final = {
    row.message_id: [(shown_name(name, field), _reader(field)) for name, field in row.fields]
    for row in MESSAGES
}
