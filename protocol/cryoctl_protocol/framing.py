"""Frames: header, payload, tag and CRC under COBS, and a deframer that nothing can upset (SR-04).

wire = COBS(header 8 | payload | [tag 8] | CRC-32 4) 0x00, little-endian. On links that carry whole
messages (MQTT) the same body goes without COBS and CRC.
"""

from __future__ import annotations

import struct
from binascii import crc32
from collections import Counter
from enum import StrEnum
from typing import Final, NamedTuple

from cobs import cobs

from cryoctl_protocol.auth import TAG_SIZE, TagKey
from cryoctl_protocol.codec import PAYLOAD_SIZE, CodecError, decode
from cryoctl_protocol.messages import VENDOR_ID_FIRST, VENDOR_ID_LAST, Message

HEADER: Final = struct.Struct("<BBHI")
"""Version and flags, message id, sequence number, session."""
HEADER_SIZE: Final = HEADER.size
FRAME_VERSION: Final = 1
"""Version of the frame alone. HELLO and VITALS stay in frames of version 1, whatever the protocol's
version in HELLO: how else could two versions tell each other that they differ?"""
FLAG_TAGGED: Final = 1
_PLAIN: Final = FRAME_VERSION << 4
_TAGGED: Final = _PLAIN | FLAG_TAGGED  # Any other flag means something that we cannot know.
CRC_SIZE: Final = 4
BODY_SIZE_MAX: Final = 216
"""Header, payload and tag; with CRC and COBS a frame stays within one COBS group."""
WIRE_SIZE_MAX: Final = BODY_SIZE_MAX + CRC_SIZE + 1
"""Bytes between two delimiters: COBS adds one to a group of at most 254."""
CRC_RESIDUE: Final = 0x2144DF1C
"""CRC-32 of any data that its own CRC follows, least significant byte first."""
_new_tuple: Final = tuple.__new__
DELIMITER: Final = b"\0"


class Reject(StrEnum):
    """Why bytes were not taken as a frame."""

    COBS = "cobs"
    CRC = "crc"
    OVERSIZE = "oversize"
    SHORT = "short"
    VERSION = "version"
    FLAGS = "flags"
    UNKNOWN_ID = "unknown_id"
    SIZE = "size"
    RANGE = "range"
    TAG = "tag"
    SESSION = "session"
    UNTAGGED = "untagged"
    REPLAY = "replay"
    DIRECTION = "direction"


class Parsed(NamedTuple):
    """A body taken apart; nothing is proved yet.

    Attributes:
        signed: Header and payload, the bytes a tag covers.
        tag: Authentication tag, or None.
    """

    message_id: int
    seq: int
    session: int
    payload: bytes
    signed: bytes
    tag: bytes | None


def build(message_id: int, payload: bytes, *, seq: int, session: int, key: TagKey | None) -> bytes:
    """Return a body: header and payload, with a tag if there is a key."""
    if key is None:
        return HEADER.pack(_PLAIN, message_id, seq, session) + payload
    signed = HEADER.pack(_TAGGED, message_id, seq, session) + payload
    return signed + key.tag(signed)


def parse(body: bytes) -> Parsed | Reject:
    """Take a body apart, or say why it is none."""
    try:
        version_flags, message_id, seq, session = HEADER.unpack_from(body)
    except struct.error:
        return Reject.SHORT
    if version_flags == _PLAIN:
        signed, tag = body, None
    elif version_flags == _TAGGED:
        signed, tag = body[:-TAG_SIZE], body[-TAG_SIZE:]
    else:
        return Reject.FLAGS if version_flags >> 4 == FRAME_VERSION else Reject.VERSION
    payload = signed[HEADER_SIZE:]
    if len(payload) != PAYLOAD_SIZE.get(message_id):
        reason = _check_vendor(message_id, body, signed)
        if reason is not None:
            return reason
    # One tuple made from another takes half the time of calling Parsed, once for every frame.
    return _new_tuple(Parsed, (message_id, seq, session, payload, signed, tag))


def _check_vendor(message_id: int, body: bytes, signed: bytes) -> Reject | None:
    """Return why a body that fits no row of the table is none of a vendor's either, or None."""
    if message_id in PAYLOAD_SIZE:
        return Reject.SIZE
    if not VENDOR_ID_FIRST <= message_id <= VENDOR_ID_LAST:
        return Reject.UNKNOWN_ID
    if len(signed) < HEADER_SIZE:
        return Reject.SHORT
    return Reject.OVERSIZE if len(body) > BODY_SIZE_MAX else None


def message_of(parsed: Parsed) -> Message | None:
    """Return the message of a body, whoever sent it: for who looks on; None if it makes no sense.

    What acts on a message takes it from a session, which proves first who sent it.
    """
    try:
        return decode(parsed.message_id, parsed.payload)
    except CodecError:
        return None


def message_in(body: bytes) -> Message | None:
    """Return what ``message_of`` says of a body that is not taken apart yet."""
    parsed = parse(body)
    return message_of(parsed) if isinstance(parsed, Parsed) else None


def wrap(body: bytes) -> bytes:
    """Return the bytes of a body on a stream link: CRC, COBS, delimiter."""
    coded: bytes = cobs.encode(body + crc32(body).to_bytes(CRC_SIZE, "little"))
    return coded + DELIMITER


def unwrap(chunk: bytes) -> bytes | Reject:
    """Return the body in the bytes between two delimiters, or say why there is none."""
    if len(chunk) > WIRE_SIZE_MAX:
        return Reject.OVERSIZE
    try:
        whole: bytes = cobs.decode(chunk)
    except cobs.DecodeError:
        return Reject.COBS
    if crc32(whole) != CRC_RESIDUE:
        return Reject.CRC
    return whole[:-CRC_SIZE]


class Deframer:
    """Finds bodies in a stream of bytes that may be late, broken or hostile; never raises."""

    def __init__(self) -> None:
        self.rejects: Counter[Reject] = Counter()
        self._partial = b""
        self._skipping = True  # The first bytes after opening may be the tail of a frame.

    def feed(self, data: bytes) -> list[bytes]:
        """Return the bodies that ``data`` completes."""
        chunks = (self._partial + data).split(DELIMITER)
        self._partial = chunks.pop()
        bodies = []
        for chunk in chunks:
            if self._skipping:
                self._skipping = False
            elif chunk:
                body = unwrap(chunk)
                if isinstance(body, bytes):
                    bodies.append(body)
                else:
                    self.rejects[body] += 1
        if len(self._partial) > WIRE_SIZE_MAX:
            if not self._skipping:
                self.rejects[Reject.OVERSIZE] += 1
            self._skipping = True
            self._partial = b""
        return bodies
