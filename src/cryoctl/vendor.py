"""The vendor table: a maker's own messages, declared by a small TOML on the host.

They are outside the protocol's hash, recorded and plotted, and no interlock ever sees them.
"""

from __future__ import annotations

import struct
from functools import cached_property
from typing import Any, Final, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cryoctl.record_layout import Layout
from cryoctl_protocol.auth import TAG_SIZE
from cryoctl_protocol.framing import BODY_SIZE_MAX, HEADER_SIZE
from cryoctl_protocol.messages import VENDOR_ID_FIRST, VENDOR_ID_LAST
from cryoctl_protocol.toml_text import FileKind, Finding, FindingsError, load_toml

PAYLOAD_SIZE_MAX: Final = BODY_SIZE_MAX - HEADER_SIZE - TAG_SIZE

# A name becomes a field of a ROS 2 message: small letters, no double or last underscore.
_NAME: Final = r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$"
_RESERVED: Final = "now_s"  # the time column of every topic
_CODES: Final = {"u8": "B", "i8": "b", "u16": "H", "i16": "h", "u32": "I", "i32": "i", "f32": "f"}
_FILE: Final = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class VendorField(BaseModel):
    """One number of a vendor message, little-endian on the wire."""

    model_config = _FILE

    name: str = Field(pattern=_NAME, max_length=40, description="Name, unit last.")
    type: Literal["u8", "i8", "u16", "i16", "u32", "i32", "f32"] = Field(
        description="How it stands on the wire."
    )
    unit: str = Field("", max_length=16, description="Unit of the value after scaling.")
    scale: float = Field(1.0, description="Value = scale x number on the wire.")


class VendorMessage(BaseModel):
    """One vendor message: an id and its fields in wire order, without gaps."""

    model_config = _FILE

    id: int = Field(
        ge=VENDOR_ID_FIRST, le=VENDOR_ID_LAST, description="Message id, 0xC0 (192) to 0xEF (239)."
    )
    name: str = Field(pattern=_NAME, max_length=40, description="Becomes the topic's name.")
    field: list[VendorField] = Field(min_length=1, max_length=64, description="In wire order.")

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        found = _repeats([field.name for field in self.field], "field", "name")
        found += [
            Finding(("field", index, "name"), f"{_RESERVED!r} is the time column of every topic")
            for index, field in enumerate(self.field)
            if field.name == _RESERVED
        ]
        if self.wire.size > PAYLOAD_SIZE_MAX:
            text = f"{self.wire.size} bytes do not fit into a frame"
            found.append(Finding(("field",), text, f"at most {PAYLOAD_SIZE_MAX}"))
        if found:
            raise FindingsError(found)
        return self

    @cached_property
    def wire(self) -> struct.Struct:
        """The payload on the wire."""
        return struct.Struct("<" + "".join(_CODES[field.type] for field in self.field))

    @cached_property
    def layout(self) -> Layout:
        """The values in a recording."""
        return Layout.of_floats({field.name: field.unit for field in self.field})


class VendorValues(NamedTuple):
    """A vendor message taken apart; a float that is not a number stays NaN."""

    message: VendorMessage
    values: tuple[float, ...]


class VendorTable(BaseModel):
    """All vendor messages of a device; empty for most."""

    model_config = _FILE

    message: list[VendorMessage] = Field(default_factory=list, description="In any order.")

    @model_validator(mode="after")
    def _has_no_repeats(self) -> Self:
        found = _repeats([message.id for message in self.message], "message", "id")
        found += _repeats([message.name for message in self.message], "message", "name")
        if found:
            raise FindingsError(found)
        return self

    @cached_property
    def by_id(self) -> dict[int, VendorMessage]:
        """Messages by their id."""
        return {message.id: message for message in self.message}

    def decode(self, message_id: int, payload: bytes) -> VendorValues | None:
        """Return the values of ``payload``, or None if its id or its size is not in the table."""
        message = self.by_id.get(message_id)
        if message is None or len(payload) != message.wire.size:
            return None
        numbers = message.wire.unpack(payload)
        return VendorValues(
            message,
            tuple(number * f.scale for number, f in zip(numbers, message.field, strict=True)),
        )


def load_vendor_table(text: str, source: str) -> VendorTable:
    """Return the table that ``text`` declares.

    Raises:
        FileError: With every mistake, its line and what is allowed.
    """
    return load_toml(text, source, VendorTable)


def vendor_schema() -> dict[str, Any]:
    """Return the JSON Schema of a vendor table."""
    return VendorTable.model_json_schema()


FILE_KIND: Final = FileKind(load_vendor_table, vendor_schema)


def _repeats(values: list[Any], table: str, key: str) -> list[Finding]:
    """Return a finding for every value that stood before."""
    found: list[Finding] = []
    for index, value in enumerate(values):
        first = values.index(value)
        if first != index:
            shown = f"0x{value:02X}" if isinstance(value, int) else repr(value)
            text = f"{shown} is taken by {table} {first + 1}"
            found.append(Finding((table, index, key), text))
    return found
