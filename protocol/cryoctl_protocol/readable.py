"""Messages as people read them: degrees and bar instead of thousandths, names instead of numbers.

For who looks on (JSON, tables of many probes); nothing that drives a probe goes through here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import IntEnum, IntFlag
from functools import partial
from typing import Any, Final

from cryoctl_protocol import codes
from cryoctl_protocol.messages import ID_OF, MESSAGES, Message, WireField, unpadded

_SCALES: Final = {
    "mdegc": ("c", 1000),
    "mbar": ("bar", 1000),
    "permille": ("percent", 10),
    "ug_s": ("mg_s", 1000),
    "mv": ("v", 1000),
    "ua": ("ma", 1000),
    "us": ("ms", 1000),
    "mj": ("j", 1000),
}
"""Ending of a field's name: the ending people read, and what it is divided by."""
_CODE: Final = re.compile(r"`(\w+)`")

_NUMBER_SIZE_MAX: Final = 8
"""Bytes; what is longer is text."""

Read = Callable[[Any], object]


def readable(message: Message) -> dict[str, object]:
    """Return the fields of ``message`` with names and units for people, ready for JSON.

    A code that this version does not know stays a number, an unknown bit is left out.
    """
    readers = _READERS[ID_OF[type(message)]]
    return {name: read(value) for (name, read), value in zip(readers, message, strict=True)}


def _reader(name: str, field: WireField) -> tuple[str, Read]:
    for ending, (plain, factor) in _SCALES.items():
        if name.endswith(f"_{ending}"):
            return f"{name.removesuffix(ending)}{plain}", partial(_divided, factor)
    found = _CODE.search(field.doc)
    known = None if found is None else getattr(codes, found[1], None)
    if known is not None and issubclass(known, IntFlag):
        return name, lambda value: [bit.name for bit in known if bit & value]
    if known is not None and issubclass(known, IntEnum):
        names = {int(member): member.name for member in known}
        return name, lambda value: names.get(value, value)
    if field.kind.sizeof() > _NUMBER_SIZE_MAX:
        return name, unpadded
    return name, lambda value: value


def _divided(factor: int, value: int) -> float:
    return value / factor


_READERS: Final = {
    row.message_id: [_reader(name, field) for name, field in row.fields] for row in MESSAGES
}
