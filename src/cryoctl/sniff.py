"""What bytes from an unknown device look like: rows to read, and guesses of how it frames them.

Pure: whoever listens hands over bytes with their times. The guesses are guesses, and say so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Final, NamedTuple

from cobs import cobs

from cryoctl_protocol.framing import DELIMITER, Deframer, Parsed, parse
from cryoctl_protocol.messages import MESSAGE_BY_ID

ROW_BYTES: Final = 16
GAP_S: Final = 0.005
"""A pause that parts two bursts; at 9600 baud a byte takes 1 ms."""
TEXT_SHARE_MIN: Final = 0.95
COBS_SHARE_MIN: Final = 0.8
COBS_PIECES_MIN: Final = 3
LINES_MIN: Final = 2
BURSTS_MIN: Final = 5
SAME_SIZE_SHARE_MIN: Final = 0.8
LINE_SHOWN_MAX: Final = 60
CERTAIN: Final = 3.0
"""Score from which nothing else is looked for: a frame of ours has a CRC-32."""
_TEXT: Final = frozenset(range(32, 127)) | frozenset(b"\t\r\n\x1b")
_SHOWN: Final = frozenset(range(32, 127))
_ENDINGS: Final = ((b"\r\n", "CR LF"), (b"\n", "LF"), (b"\r", "CR"))


class Heard(NamedTuple):
    """Bytes that came at once; ``at_s`` counts from the beginning."""

    at_s: float
    data: bytes


@dataclass(frozen=True, slots=True)
class Guess:
    """What a device seems to speak.

    Attributes:
        score: To compare what was heard at several baud rates; 0 is nothing that makes sense.
        framing: One line for people.
        dialect: ``own`` if these are our frames, ``lines`` for text, else empty.
    """

    score: float
    framing: str
    dialect: str = ""


def rows(heard: Sequence[Heard]) -> Iterator[str]:
    """Yield what was heard as lines of at most 80 columns: time, hex, and text where it is some."""
    for at_s, data in heard:
        for begin in range(0, len(data), ROW_BYTES):
            part = data[begin : begin + ROW_BYTES]
            text = "".join(chr(byte) if byte in _SHOWN else "." for byte in part)
            when = f"{at_s:9.3f}" if begin == 0 else " " * 9
            yield f"{when}  {part.hex(' '):<47}  {text}"


def guess(heard: Sequence[Heard]) -> Guess:
    """Return the best guess of how a device frames what it says."""
    data = b"".join(row.data for row in heard)
    if not data:
        return Guess(0.0, "nothing was heard")
    for look in (_own_frames, _lines, _cobs_pieces):
        found = look(data)
        if found is not None:
            return found
    return _bursts(heard) or Guess(0.0, "none that is known here; another baud rate, perhaps")


def _own_frames(data: bytes) -> Guess | None:
    deframer = Deframer()
    names = Counter(_name(body) for body in deframer.feed(data))
    count, damaged = names.total(), deframer.rejects.total()
    if not count:
        return None
    told = ", ".join(f"{number} {name}" for name, number in names.most_common())
    score = CERTAIN + count / (count + damaged)
    return Guess(score, f"frames of cryoctl: {told}; {damaged} damaged", "own")


def _name(body: bytes) -> str:
    parsed = parse(body)
    row = MESSAGE_BY_ID.get(parsed.message_id) if isinstance(parsed, Parsed) else None
    return "unknown" if row is None else row.name


def _lines(data: bytes) -> Guess | None:
    share = sum(byte in _TEXT for byte in data) / len(data)
    if share < TEXT_SHARE_MIN:
        return None
    ending, name = next((row for row in _ENDINGS if row[0] in data), (b"", ""))
    lines = data.split(ending) if ending else [data]
    whole = [line for line in lines[1:-1] if line]  # The first may be a tail, the last a head.
    if len(whole) < LINES_MIN:
        return Guess(1.0, f"text, {share:.0%} printable, without lines so far", "lines")
    shown = whole[0].decode("ascii", "replace")[:LINE_SHOWN_MAX]
    return Guess(1.0 + share, f"{len(whole)} lines of text, ended by {name}: {shown}", "lines")


def _cobs_pieces(data: bytes) -> Guess | None:
    pieces = [piece for piece in data.split(DELIMITER)[1:-1] if piece]
    if len(pieces) < COBS_PIECES_MIN:
        return None
    good = sum(_is_cobs(piece) for piece in pieces)
    if good / len(pieces) < COBS_SHARE_MIN:
        return None
    sizes = Counter(len(piece) for piece in pieces)
    size, count = sizes.most_common(1)[0]
    return Guess(
        1.5,
        f"COBS between zeros, {good} of {len(pieces)} pieces, mostly {size} bytes ({count}), but "
        "no frame of cryoctl",
    )


def _is_cobs(piece: bytes) -> bool:
    try:
        cobs.decode(piece)
    except cobs.DecodeError:
        return False
    return True


def _bursts(heard: Sequence[Heard]) -> Guess | None:
    """Look for packets of one size at one pace, as of a device that sends by a timer."""
    bursts: list[Heard] = []
    end_s = float("-inf")
    for at_s, data in heard:
        if at_s - end_s < GAP_S:
            bursts[-1] = Heard(bursts[-1].at_s, bursts[-1].data + data)
        else:
            bursts.append(Heard(at_s, data))
        end_s = at_s
    inner = bursts[1:-1]
    if len(inner) < BURSTS_MIN:
        return None
    size, count = Counter(len(burst.data) for burst in inner).most_common(1)[0]
    if count / len(inner) < SAME_SIZE_SHARE_MIN:
        return None
    period_s = median(b.at_s - a.at_s for a, b in pairwise(inner))
    return Guess(0.5, f"packets of {size} bytes every {period_s * 1000.0:.0f} ms, no framing known")


def summary(heard: Sequence[Heard], duration_s: float) -> Iterator[str]:
    """Yield how much came, at what pace, and what it may be."""
    count = sum(len(row.data) for row in heard)
    yield f"{count} bytes in {duration_s:.1f} s ({count / duration_s:.0f} bytes/s)"
    if heard:
        data = b"".join(row.data for row in heard)
        share = sum(byte in _TEXT for byte in data) / len(data)
        yield f"printable: {share:.0%}, zeros: {data.count(0) / len(data):.0%}"
    yield f"framing: {guess(heard).framing}"
