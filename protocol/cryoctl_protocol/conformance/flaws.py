"""What is wrong with a frame that a device has sent: the first byte or field, and what SPEC says.

A receiver only needs to know that a frame is none; who writes a sender has to know why.
"""

from __future__ import annotations

import struct
from binascii import crc32
from typing import Final, NamedTuple

from cobs import cobs

from cryoctl_protocol.auth import TAG_SIZE
from cryoctl_protocol.codec import struct_code
from cryoctl_protocol.framing import (
    CRC_SIZE,
    FLAG_TAGGED,
    FRAME_VERSION,
    HEADER,
    HEADER_SIZE,
    WIRE_SIZE_MAX,
)
from cryoctl_protocol.messages import (
    MESSAGE_BY_ID,
    VENDOR_ID_FIRST,
    VENDOR_ID_LAST,
    MessageType,
    WireField,
)

_HEADER_FIELDS: Final = "header"
_FLAGS: Final = 0x0F
_PRINTABLE: Final = range(0x20, 0x7F)
_SHOWN: Final = 48
"""Bytes of a frame that a report shows; the whole is in a log of the line."""


class Flaw(NamedTuple):
    """One thing that is not as SPEC.md has it.

    Attributes:
        section: Anchor in SPEC.md.
        field: What is wrong, as a name of SPEC.md, with its offset where it has one.
        expected: What SPEC.md asks for.
        observed: What was there.
    """

    section: str
    field: str
    expected: str
    observed: str


def hexed(data: bytes) -> str:
    """Return bytes for people."""
    rest = f" ... {len(data)} bytes" if len(data) > _SHOWN else ""
    return data[:_SHOWN].hex(" ") + rest


def wire_flaw(chunk: bytes) -> Flaw | None:
    """Return what is wrong with the bytes between two delimiters, as far as framing goes."""
    if len(chunk) > WIRE_SIZE_MAX:
        return Flaw(
            "frames",
            f"byte {WIRE_SIZE_MAX}",
            f"a delimiter after {WIRE_SIZE_MAX} bytes at most",
            f"{len(chunk)} bytes: {hexed(chunk)}",
        )
    at = _bad_cobs_at(chunk)
    if at is not None:
        return Flaw(
            "frames",
            f"COBS code, byte {at}",
            f"1 to {len(chunk) - at}, the bytes that are left",
            f"{chunk[at]} in {hexed(chunk)}",
        )
    whole: bytes = cobs.decode(chunk)
    if len(whole) < CRC_SIZE:
        return Flaw("frames", "CRC", f"{CRC_SIZE} bytes", f"{len(whole)} bytes: {hexed(whole)}")
    body, found = whole[:-CRC_SIZE], whole[-CRC_SIZE:]
    right = crc32(body).to_bytes(CRC_SIZE, "little")
    if found != right:
        return Flaw(
            "frames",
            f"CRC, byte {len(body)}",
            right.hex(" "),
            f"{found.hex(' ')} after {hexed(body)}",
        )
    return None


def _bad_cobs_at(chunk: bytes) -> int | None:
    """Return where a code points behind the end, or None in a good group."""
    at = 0
    while at < len(chunk):
        if at + chunk[at] > len(chunk):
            return at
        at += chunk[at]
    return None


def body_flaw(body: bytes) -> Flaw | None:
    """Return what is wrong with header, payload or a field of a body; tags are not looked at."""
    if len(body) < HEADER_SIZE:
        return Flaw("frames", _HEADER_FIELDS, f"{HEADER_SIZE} bytes", hexed(body))
    version_flags, message_id, _, _ = HEADER.unpack_from(body)
    if version_flags >> 4 != FRAME_VERSION:
        return Flaw("frames", "version, byte 0", str(FRAME_VERSION), f"{version_flags >> 4}")
    flags = version_flags & _FLAGS
    if flags & ~FLAG_TAGGED:
        return Flaw("frames", "flags, byte 0", f"0 or {FLAG_TAGGED}", f"{flags}")
    row = MESSAGE_BY_ID.get(message_id)
    if row is None:
        if VENDOR_ID_FIRST <= message_id <= VENDOR_ID_LAST:
            return None
        return Flaw(
            "messages",
            "message id, byte 1",
            f"one of the table, or 0x{VENDOR_ID_FIRST:02X} to 0x{VENDOR_ID_LAST:02X}",
            f"0x{message_id:02X}",
        )
    if row.direction is MessageType.DOWN:
        return Flaw("messages", "message id, byte 1", "one that a device sends", row.name)
    payload = body[HEADER_SIZE : len(body) - TAG_SIZE if flags else len(body)]
    return _tagged_flaw(row, flags) or _payload_flaw(row, payload)


def _tagged_flaw(row: MessageType, flags: int) -> Flaw | None:
    if row.tagged and not flags:
        return Flaw("messages", f"{row.name} flags, byte 0", "a tag, always", "no tag")
    if row.frozen and flags:
        return Flaw("messages", f"{row.name} flags, byte 0", "plain, always", "a tag")
    return None


def _payload_flaw(row: MessageType, payload: bytes) -> Flaw | None:
    anchor = row.name.lower()
    size = sum(struct.calcsize("<" + struct_code(field)) for _, field in row.fields)
    if len(payload) != size:
        return Flaw(
            anchor,
            f"{row.name} payload",
            f"{size} bytes",
            f"{len(payload)} bytes: {hexed(payload)}",
        )
    offset = 0
    for name, field in row.fields:
        code = "<" + struct_code(field)
        (value,) = struct.unpack_from(code, payload, offset)
        wrong = _value_flaw(field, value)
        if wrong is not None:
            return Flaw(anchor, f"{row.name}.{name}, payload byte {offset}", *wrong)
        offset += struct.calcsize(code)
    return None


def _value_flaw(field: WireField, value: int | bytes) -> tuple[str, str] | None:
    """Return what a field may be and what it is, where these differ."""
    if isinstance(value, bytes):
        text = value.rstrip(b"\0")
        if text and all(byte in _PRINTABLE for byte in text):
            return None
        return "printable ASCII, padded with zeros, not empty", repr(value)
    low, high = field.low, field.high
    if (low is not None and value < low) or (high is not None and value > high):
        return f"{low} to {high}", str(value)
    return None
