"""Changes to an audit trail, each with the answer that is right for it by what was changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from numpy.random import Generator

from cryoctl.audit import CLOSED, OPENED, AuditTrail, Entry, Stamp
from cryoctl.audit_check import Anchor

RECORDS: Final = 40
ANCHORED: Final = (8, 21, 33)
"""Records whose hashes stand in the recording."""


class Mutated(NamedTuple):
    """A changed trail.

    Attributes:
        right: Verdict and seq that are right beside a recording that was closed.
        alone: The same without a recording.
    """

    name: str
    data: bytes
    right: tuple[str, int]
    alone: tuple[str, int]


def whole_trail() -> list[bytes]:
    """Return a trail, a line each; the same every time."""
    trail = AuditTrail(session="mutations", software="cryoctl", config_hash="0")
    actions = [OPENED, *("state",) * (RECORDS - 2), CLOSED]
    return [
        trail.append(Entry(Stamp(f"t{second}", second, second), "bench", action, new={"n": second}))
        for second, action in enumerate(actions)
    ]


def heads_of(lines: list[bytes]) -> list[str]:
    """Return the hash of each record."""
    return [json.loads(line)["hash"] for line in lines]


def anchors_of(lines: list[bytes]) -> list[Anchor]:
    """Return what the recording knows."""
    heads = heads_of(lines)
    return [Anchor(seq, heads[seq - 1]) for seq in ANCHORED]


def mutate(lines: list[bytes], random: Generator) -> Mutated:
    """Return the trail with one change, chosen and placed by ``random``."""
    names = sorted(_MUTATIONS)
    name = names[int(random.integers(len(names)))]
    return _MUTATIONS[name](name, lines, random)


def _altered(name: str, data: bytes, seq: int) -> Mutated:
    return Mutated(name, data, ("ALTERED", seq), ("ALTERED", seq))


def _flip(name: str, lines: list[bytes], random: Generator) -> Mutated:
    index = int(random.integers(RECORDS))
    place = int(random.integers(len(lines[index]) - 1))  # Not its end: that is a cut.
    line = bytearray(lines[index])
    line[place] ^= int(random.integers(1, 256))
    return _altered(name, b"".join([*lines[:index], bytes(line), *lines[index + 1 :]]), index + 1)


def _drop(name: str, lines: list[bytes], random: Generator) -> Mutated:
    index = int(random.integers(RECORDS - 1))  # Not the last: that is a cut.
    return _altered(name, b"".join(lines[:index] + lines[index + 1 :]), index + 1)


def _swap(name: str, lines: list[bytes], random: Generator) -> Mutated:
    first, second = sorted(random.choice(RECORDS, 2, replace=False).tolist())
    swapped = list(lines)
    swapped[first], swapped[second] = swapped[second], swapped[first]
    return _altered(name, b"".join(swapped), first + 1)


def _twice(name: str, lines: list[bytes], random: Generator) -> Mutated:
    index = int(random.integers(RECORDS))
    return _altered(name, b"".join([*lines[: index + 1], *lines[index:]]), index + 2)


def _cut(name: str, lines: list[bytes], random: Generator) -> Mutated:
    data = b"".join(lines)
    left = data[: int(random.integers(len(data)))]
    sound = left.count(b"\n")
    return Mutated(name, left, ("TRUNCATED", sound), ("NOT CLOSED", sound))


def _rewrite(name: str, lines: list[bytes], random: Generator) -> Mutated:
    """Change a record and make every hash from there on fit again, as a forger would."""
    index = int(random.integers(RECORDS))
    forged, head = lines[:index], heads_of(lines)[index - 1] if index else "0" * 64
    for place, line in enumerate(lines[index:], index):
        fields: dict[str, Any] = json.loads(line)
        del fields["hash"]
        fields["prev"] = head
        if place == index:
            fields["actor"] = "somebody else"
        body = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
        head = hashlib.sha256(body).hexdigest()
        forged.append(body[:-1] + f',"hash":"{head}"}}\n'.encode())
    contradicted = next((seq for seq in ANCHORED if seq > index), RECORDS)
    # Alone it is a trail like any other, which is why the recording holds hashes of it.
    return Mutated(name, b"".join(forged), ("ALTERED", contradicted), ("INTACT", RECORDS))


def _append(name: str, lines: list[bytes], random: Generator) -> Mutated:
    more = bytes(random.integers(0, 256, int(random.integers(1, 99)), dtype="uint8"))
    return _altered(name, b"".join(lines) + more, RECORDS + 1)


_MUTATIONS: Final[dict[str, Callable[[str, list[bytes], Generator], Mutated]]] = {
    "a byte is another": _flip,
    "a record is left out": _drop,
    "two records are swapped": _swap,
    "a record stands twice": _twice,
    "the end is cut off": _cut,
    "written anew from a record on": _rewrite,
    "something is appended": _append,
}
