"""Frames that nobody should send, made from frames that somebody did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from cryoctl_hil.draws import Draws
from cryoctl_protocol.auth import TAG_SIZE, TagKey
from cryoctl_protocol.codec import PAYLOAD_SIZE
from cryoctl_protocol.framing import DELIMITER, HEADER_SIZE, unwrap, wrap
from cryoctl_protocol.messages import MESSAGES

_IDS: Final = (*(row.message_id for row in MESSAGES), 0x00, 0x7F, 0xC0, 0xEF, 0xFF)
_EDGES: Final = (0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF)
_LONGEST: Final = 300
_WRONG_KEY: Final = TagKey(b"somebody who does not hold the key")


@dataclass(frozen=True, slots=True)
class Herd:
    """Frames of one direction that mutants descend from; no delimiters.

    Attributes:
        valid: Of the session in force; already taken once.
        old: Of the session before.
        foreign: Under another key.
    """

    valid: Sequence[bytes]
    old: Sequence[bytes]
    foreign: Sequence[bytes]


# -- damage on the line: the CRC is not corrected -------------------------------------------------


def _flip_bits(draws: Draws, herd: Herd) -> bytes:
    data = bytearray(draws.choose(herd.valid))
    for _ in range(1 + draws.below(8)):
        data[draws.below(len(data))] ^= 1 << draws.below(8)
    return bytes(data)


def _set_bytes(draws: Draws, herd: Herd) -> bytes:
    data = bytearray(draws.choose(herd.valid))
    for _ in range(1 + draws.below(4)):
        data[draws.below(len(data))] = draws.choose(_EDGES)
    return bytes(data)


def _cut_short(draws: Draws, herd: Herd) -> bytes:
    frame = draws.choose(herd.valid)
    at = draws.below(len(frame))
    return frame[at:] if draws.chance(0.5) else frame[:at]


def _grow(draws: Draws, herd: Herd) -> bytes:
    return draws.choose(herd.valid) + draws.octets(1 + draws.below(_LONGEST))


def _splice(draws: Draws, herd: Herd) -> bytes:
    head, tail = draws.choose(herd.valid), draws.choose(herd.valid)
    return head[: draws.below(len(head) + 1)] + tail[draws.below(len(tail) + 1) :]


def _double_a_piece(draws: Draws, herd: Herd) -> bytes:
    frame = draws.choose(herd.valid)
    begin = draws.below(len(frame))
    end = begin + 1 + draws.below(len(frame) - begin)
    return frame[:end] + frame[begin:]


def _swap(draws: Draws, herd: Herd) -> bytes:
    data = bytearray(draws.choose(herd.valid))
    one, other = draws.below(len(data)), draws.below(len(data))
    data[one], data[other] = data[other], data[one]
    return bytes(data)


def _break_cobs(draws: Draws, herd: Herd) -> bytes:
    data = bytearray(draws.choose(herd.valid))
    at = 0  # Walk to a code byte: damage to these moves every byte that follows.
    for _ in range(draws.below(6)):
        if at + data[at] < len(data):
            at += data[at]
    data[at] = draws.choose((0, data[at] + 1 & 0xFF, data[at] - 1 & 0xFF, 0xFF, draws.below(256)))
    return bytes(data)


def _insert_zero(draws: Draws, herd: Herd) -> bytes:
    frame = draws.choose(herd.valid)
    at = draws.below(len(frame) + 1)
    return frame[:at] + DELIMITER + frame[at:]


def _noise(draws: Draws, _herd: Herd) -> bytes:
    return draws.octets(draws.below(_LONGEST))


# -- forged: the CRC fits, so that what lies behind it is reached ---------------------------------


def _body(draws: Draws, frames: Sequence[bytes]) -> bytearray:
    body = unwrap(draws.choose(frames))
    assert isinstance(body, bytes)
    return bytearray(body)


def _forged(body: bytes | bytearray) -> bytes:
    return wrap(bytes(body))[:-1]


def _edit_header(draws: Draws, herd: Herd) -> bytes:
    body = _body(draws, herd.valid)
    kind = draws.below(4)
    if kind == 0:
        body[0] = draws.choose((0x10, 0x11, 0x12, 0x13, 0x20, 0x21, draws.below(256)))
    elif kind == 1:
        body[1] = draws.choose(_IDS)
    elif kind == 2:  # noqa: PLR2004 (the third of four)
        body[2:4] = draws.octets(2)
    else:
        body[4:8] = draws.choose((bytes(4), draws.octets(4)))
    return _forged(body)


def _edit_payload(draws: Draws, herd: Herd) -> bytes:
    body = _body(draws, herd.valid)
    for _ in range(1 + draws.below(4)):
        at = HEADER_SIZE + draws.below(len(body) - HEADER_SIZE)
        body[at] = draws.choose((draws.below(256), draws.choose(_EDGES)))
    return _forged(body)


def _edit_tag(draws: Draws, herd: Herd) -> bytes:
    body = _body(draws, herd.valid)
    body[len(body) - 1 - draws.below(TAG_SIZE)] ^= 1 << draws.below(8)
    return _forged(body)


def _resize_body(draws: Draws, herd: Herd) -> bytes:
    body = _body(draws, herd.valid)
    if draws.chance(0.5):
        return _forged(body[: draws.below(len(body))])
    return _forged(body + draws.octets(1 + draws.below(40)))


def _sign_wrongly(draws: Draws, herd: Herd) -> bytes:
    """Everything right but the key: what someone can do who has read the specification."""
    body = _body(draws, herd.valid)
    message_id = draws.choose(tuple(PAYLOAD_SIZE))
    header = bytes((0x11, message_id)) + bytes(body[2:HEADER_SIZE])
    signed = header + draws.octets(PAYLOAD_SIZE[message_id])
    return _forged(signed + _WRONG_KEY.tag(signed))


def _move_to_this_session(draws: Draws, herd: Herd) -> bytes:
    """A frame of another session or key, with this one's number."""
    body = _body(draws, draws.choose((herd.old, herd.foreign)))
    body[4:8] = _body(draws, herd.valid)[4:8]
    return _forged(body)


def _made_up(draws: Draws, _herd: Herd) -> bytes:
    return _forged(draws.octets(draws.below(60)))


# -- whole frames of another time or place --------------------------------------------------------


def _replay(draws: Draws, herd: Herd) -> bytes:
    return draws.choose(herd.valid)


def _old_session(draws: Draws, herd: Herd) -> bytes:
    return draws.choose(herd.old)


def _other_key(draws: Draws, herd: Herd) -> bytes:
    return draws.choose(herd.foreign)


def _out_of_order(draws: Draws, herd: Herd) -> bytes:
    return DELIMITER.join(draws.choose(herd.valid) for _ in range(2))


DAMAGED: Final[tuple[Callable[[Draws, Herd], bytes], ...]] = (
    _flip_bits, _set_bytes, _cut_short, _grow, _splice, _double_a_piece, _swap, _break_cobs,
    _insert_zero, _noise,
)  # fmt: skip
"""The line did it: only one in 2^32 of these may have a CRC that fits."""
FORGED: Final[tuple[Callable[[Draws, Herd], bytes], ...]] = (
    _edit_header, _edit_payload, _edit_tag, _resize_body, _sign_wrongly, _move_to_this_session,
    _made_up, _replay, _old_session, _other_key, _out_of_order,
)  # fmt: skip
"""Somebody did it: size, session, tag, counter and range are what holds."""


def mutate(draws: Draws, herd: Herd) -> tuple[bytes, bool]:
    """Return bytes for the line, delimiter included, and whether their CRC was made to fit."""
    forges = draws.chance(0.5)
    data = draws.choose(FORGED if forges else DAMAGED)(draws, herd)
    return data + DELIMITER, forges
