"""The judge of an audit trail: whole, not closed, cut short or altered, and where."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final, NamedTuple

from cryoctl.audit import CLOSED, FIELDS, NO_HASH, signature

_TAIL: Final = re.compile(rb',"hash":"([0-9a-f]{64})"\}\Z')
_UNSIGNED: Final = frozenset(FIELDS) - {"hash", "signature"}


class TrailVerdict(StrEnum):
    """What became of a trail."""

    INTACT = "INTACT"
    NOT_CLOSED = "NOT CLOSED"
    TRUNCATED = "TRUNCATED"
    ALTERED = "ALTERED"


class Anchor(NamedTuple):
    """What a recording says the hash of a record is."""

    seq: int
    head: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was found in a trail.

    Attributes:
        seq: Last record that is sound, or the first that is not if the trail is ALTERED.
        text: The answer in one line.
        records: Those that are sound, each by its fields.
        head: Hash of the last of them.
        anchors: Hashes in the recording that it was compared with.
    """

    verdict: TrailVerdict
    seq: int
    text: str
    records: list[dict[str, Any]]
    head: str
    anchors: int


class _AlteredError(Exception):
    """A record is not what it was when it was written; the text says how that shows."""


def judge(
    data: bytes,
    *,
    anchors: Sequence[Anchor] = (),
    closing_head: str | None = None,
    key: bytes | None = None,
) -> Judgement:
    """Return what became of a trail.

    Args:
        data: The whole file.
        anchors: From the recording beside it.
        closing_head: Hash of the last record by the summary in that recording; None if unknown.
        key: It was signed with; None looks at no signature.
    """
    *lines, torn = data.split(b"\n")
    trail = _Trail([], [NO_HASH])
    verdict, seq, text = (
        _judge_lines(trail, lines, key)
        or _judge_anchors(trail, anchors, closing_head)
        or _judge_end(trail, torn)
    )
    return Judgement(verdict, seq, text, trail.records, trail.heads[-1], len(anchors))


class _Trail(NamedTuple):
    """The records that are sound; before their hashes stands the one that the first follows."""

    records: list[dict[str, Any]]
    heads: list[str]

    @property
    def closed(self) -> bool:
        return bool(self.records) and self.records[-1]["action"] == CLOSED


_Answer = tuple[TrailVerdict, int, str]


def _judge_lines(trail: _Trail, lines: Sequence[bytes], key: bytes | None) -> _Answer | None:
    """Take over the records that are sound; return what is wrong with the first that is not."""
    for seq, line in enumerate(lines, 1):
        if trail.closed:
            return _altered(seq, "there is more after its closing record")
        try:
            record = _read(line, seq, trail.heads[-1], key)
        except _AlteredError as error:
            return _altered(seq, str(error))
        trail.records.append(record)
        trail.heads.append(record["hash"])
    return None


def _judge_anchors(
    trail: _Trail, anchors: Sequence[Anchor], closing_head: str | None
) -> _Answer | None:
    """Return where the trail is not as its recording knows it."""
    count = len(trail.records)
    for anchor in anchors:
        if 0 < anchor.seq <= count and trail.heads[anchor.seq] != anchor.head:
            return _altered(anchor.seq, "the recording has another hash of this record")
    told = max((anchor.seq for anchor in anchors), default=0)
    if told > count:
        text = f"TRUNCATED after seq {count}: the recording tells of seq {told}"
        return TrailVerdict.TRUNCATED, count, text
    if closing_head is None:
        return None
    if not trail.closed:
        text = f"TRUNCATED after seq {count}: the recording says that the trail was closed"
        return TrailVerdict.TRUNCATED, count, text
    if trail.heads[-1] != closing_head:
        return _altered(count, "the recording's summary has another closing hash")
    return None


def _judge_end(trail: _Trail, torn: bytes) -> _Answer:
    count = len(trail.records)
    if trail.closed and torn:
        return _altered(count + 1, "there is more after its closing record")
    if trail.closed:
        return TrailVerdict.INTACT, count, f"INTACT: {count} records"
    half = "; half a record after it" if torn else ""
    text = f"NOT CLOSED: sound up to seq {count}, then nothing says that it ended{half}"
    return TrailVerdict.NOT_CLOSED, count, text


def _altered(seq: int, why: str) -> _Answer:
    return TrailVerdict.ALTERED, seq, f"ALTERED at seq {seq}: {why}"


def _read(line: bytes, seq: int, before: str, key: bytes | None) -> dict[str, Any]:
    """Return the record in a line; raises _AlteredError if it is not the one that stood there."""
    tail = _TAIL.search(line)
    if tail is None:
        raise _AlteredError("it is no record")
    body = line[: tail.start()] + b"}"
    head = tail[1].decode()
    if sha256(body).hexdigest() != head:
        raise _AlteredError("its hash is not that of its contents")
    try:
        record = json.loads(body)
    except ValueError as error:
        raise _AlteredError("it is no record") from error
    if not isinstance(record, dict) or set(record) - {"signature"} != _UNSIGNED:
        raise _AlteredError("its fields are not those of a record")
    if key is not None and not _is_signed(record, key):
        raise _AlteredError("it is not signed with this key")
    if record["seq"] != seq:
        raise _AlteredError(f"in its place stands seq {record['seq']}")
    if record["prev"] != before:
        raise _AlteredError("it does not follow the record before it")
    return {**record, "hash": head}


def _is_signed(record: dict[str, Any], key: bytes) -> bool:
    rest = {name: value for name, value in record.items() if name != "signature"}
    return hmac.compare_digest(str(record.get("signature")).encode(), signature(key, rest).encode())
