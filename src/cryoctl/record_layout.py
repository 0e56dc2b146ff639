"""How flat tuples of numbers stand in a recording: ROS 2 message text and its CDR bytes.

Foxglove, Lichtblick and PlotJuggler read such topics without knowing this program.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, get_type_hints

import numpy as np

ENCAPSULATION: Final = b"\x00\x01\x00\x00"
"""First bytes of every CDR message: plain CDR, little-endian (OMG DDSI-RTPS 2.3, 10.2)."""

# ROS 2 type: struct code, numpy type, size. CDR aligns each value to its own size, counted from
# the end of the encapsulation header.
_KINDS: Final = {
    "uint8": ("B", "<u1", 1),
    "uint32": ("I", "<u4", 4),
    "int32": ("i", "<i4", 4),
    "float32": ("f", "<f4", 4),
    "float64": ("d", "<f8", 8),
}


class LayoutError(ValueError):
    """A message text that is not a flat list of numbers."""


@dataclass(frozen=True)
class Layout:
    """The numbers of one topic, in order.

    Attributes:
        fields: Name and ROS 2 type of each.
        units: Of each, written as comments; empty where the names say them.
    """

    fields: tuple[tuple[str, str], ...]
    units: tuple[str, ...] = ()

    @classmethod
    def of(cls, tuple_class: type[Any]) -> Layout:
        """Return the layout of a NamedTuple: int is uint32, float is float64, None will be NaN."""
        hints = get_type_hints(tuple_class)
        return cls(
            tuple(
                (name, "uint32" if hints[name] is int else "float64")
                for name in tuple_class._fields
            )
        )

    @classmethod
    def of_floats(cls, units: Mapping[str, str]) -> Layout:
        """Return a layout of float64 alone, with the unit of each name; empty for none."""
        return cls(tuple((name, "float64") for name in units), tuple(units.values()))

    @classmethod
    def parse(cls, text: str) -> Layout:
        """Return the layout that ``text`` describes.

        Raises:
            LayoutError: It is more than a flat list of numbers.
        """
        fields: list[tuple[str, str]] = []
        units: list[str] = []
        for line in text.splitlines():
            plain, _, comment = (part.strip() for part in line.partition("#"))
            if not plain:
                continue
            kind, _, name = plain.partition(" ")
            if kind not in _KINDS or not name.strip().isidentifier():
                raise LayoutError(f"not a flat list of numbers: {plain!r}")
            fields.append((name.strip(), kind))
            units.append(comment)
        return cls(tuple(fields), tuple(units) if any(units) else ())

    @property
    def text(self) -> str:
        """The message definition, one field a line."""
        units = self.units or ("",) * len(self.fields)
        return "".join(
            f"{kind} {name}" + (f"  # {unit}\n" if unit else "\n")
            for (name, kind), unit in zip(self.fields, units, strict=True)
        )

    @cached_property
    def struct(self) -> struct.Struct:
        """Packs ``ENCAPSULATION`` and then all values."""
        code, end = "<4s", len(ENCAPSULATION)
        for offset, (_, kind) in zip(self._offsets, self.fields, strict=True):
            code += "x" * (offset - end) + _KINDS[kind][0]
            end = offset + _KINDS[kind][2]
        return struct.Struct(code)

    @cached_property
    def dtype(self) -> np.dtype[np.void]:
        """Reads the same bytes, a whole topic at a time."""
        return np.dtype(
            {
                "names": [name for name, _ in self.fields],
                "formats": [_KINDS[kind][1] for _, kind in self.fields],
                "offsets": list(self._offsets),
                "itemsize": self.struct.size,
            }
        )

    @property
    def _offsets(self) -> tuple[int, ...]:
        offsets: list[int] = []
        end = 0
        for _, kind in self.fields:
            size = _KINDS[kind][2]
            start = -(-end // size) * size
            offsets.append(len(ENCAPSULATION) + start)
            end = start + size
        return tuple(offsets)
