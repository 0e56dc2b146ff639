"""The audit trail: who did what and when, as a chain of hashed lines; no clock, no file.

Each line is one JSON object. Its hash covers every other field, and the next line repeats it, so
that nothing inside can be changed, left out, moved or added unseen. ``audit_check`` is the judge.
"""

from __future__ import annotations

import hmac
import json
import math
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple

from cryoctl.records import LogEvent

FIELDS: Final = (
    "seq", "utc", "mono_ns", "at_s", "session", "actor", "action", "target", "old", "new",
    "reason", "sw", "cfg_hash", "prev", "signature", "hash",
)  # fmt: skip
"""Of a record, as people read them; ``signature`` is there only where a key signs."""
OPENED: Final = "trail_opened"
"""Action of the first record."""
CLOSED: Final = "trail_closed"
"""Action of the last one: the trail was closed."""
CLOCK_JUMP: Final = "clock_jump"
LOST: Final = "lost"
"""Action of a record that stands for records that the disk was too slow for."""
NO_HASH: Final = "0" * 64
"""What the first record has for the hash of the one before it."""
TEXT_MAX: Final = 200
"""Characters of a name or a reason; what is longer is cut."""
JUMP_S: Final = 1.0
"""So much more or less time of day than monotonic time has passed: somebody set the clock."""

_NS_PER_S: Final = 1e9
_OF_DEVICE: Final = frozenset({"hello", "answer", "done", "device", "firmware"})
_ACTION_KEYS: Final = {"operator": "request", "shell": "told"}
_ACTIONS: Final = {"hello": "identity", "phase": "state"}
_TARGET_KEYS: Final = ("id", "op", "event", "device")
_REASON_KEYS: Final = ("reason", "refused", "why", "detail", "trigger", "text")
_STANDING: Final = frozenset({"command", "storage", "hello", "alarm"})
"""What holds until the next of its kind, which then shows it as the old value."""


class Stamp(NamedTuple):
    """A moment, by both clocks of the computer.

    Attributes:
        utc: Time of day for people, ISO 8601.
        utc_s: The same, in seconds.
        mono_ns: By the clock that nobody can set; for intervals.
    """

    utc: str
    utc_s: float
    mono_ns: int


class Entry(NamedTuple):
    """What a record says, before it has its place in the chain.

    Attributes:
        at_s: Controller clock, as in the recording; None outside a session.
        actor: The user of the computer, ``device`` or ``controller``.
        old: What held before; None where nothing did.
        new: What holds now.
    """

    stamp: Stamp
    actor: str
    action: str
    target: str = ""
    old: Any = None
    new: Any = None
    reason: str = ""
    at_s: float | None = None


class ClockWatch:
    """Compares the time of day with monotonic time, look by look."""

    def __init__(self) -> None:
        self._last: Stamp | None = None

    def look(self, stamp: Stamp) -> float | None:
        """Return by how many seconds the time of day was set since the last look; None if not."""
        last, self._last = self._last, stamp
        if last is None:
            return None
        jump_s = (stamp.utc_s - last.utc_s) - (stamp.mono_ns - last.mono_ns) / _NS_PER_S
        return jump_s if abs(jump_s) > JUMP_S else None


class EventReader:
    """Turns events of the controller's journal into entries; a kind it does not know, too.

    Args:
        user: Who is behind the operator's requests.
    """

    def __init__(self, user: str) -> None:
        self._user = user
        self._standing: dict[tuple[str, str], Any] = {}

    def read(self, event: LogEvent, stamp: Stamp) -> Entry:
        """Return the entry of one event."""
        kind, data = event.kind, dict(event.data)
        action = str(data.pop(_ACTION_KEYS.get(kind, ""), _ACTIONS.get(kind, kind)))
        reason = _take(data, _REASON_KEYS)
        if kind == "phase":
            target, old = "phase", data.pop("source", None)
            new: Any = data.pop("target", None)
        else:
            target = _take(data, _TARGET_KEYS)
            new = data or None
            old = self._standing.get((kind, target))
            if kind in _STANDING:
                self._standing[kind, target] = new
        return Entry(stamp, self._actor(kind), action, target, old, new, reason, event.at_s)

    def _actor(self, kind: str) -> str:
        if kind == "operator":
            return self._user
        return "device" if kind in _OF_DEVICE else "controller"


class AuditTrail:
    """Gives entries their place in the chain.

    Args:
        session: Names the run.
        software: Name and version of the program.
        config_hash: Over everything that shaped the run.
        key: Signs every record; None for none.

    Attributes:
        seq: Number of the last record, from 1.
        head: Its hash.
    """

    def __init__(
        self, *, session: str, software: str, config_hash: str, key: bytes | None = None
    ) -> None:
        self.seq = 0
        self.head = NO_HASH
        self._fixed = {
            "session": capped(session),
            "sw": software,
            "cfg_hash": config_hash,
        }
        self._key = key

    def append(self, entry: Entry) -> bytes:
        """Return the line of the next record."""
        self.seq += 1
        fields = {
            **self._fixed,
            "seq": self.seq,
            "utc": entry.stamp.utc,
            "mono_ns": entry.stamp.mono_ns,
            "at_s": None if entry.at_s is None else round(entry.at_s, 6),
            "actor": capped(entry.actor),
            "action": capped(entry.action),
            "target": capped(entry.target),
            "old": _plain(entry.old),
            "new": _plain(entry.new),
            "reason": capped(entry.reason),
            "prev": self.head,
        }
        if self._key is not None:
            fields["signature"] = signature(self._key, fields)
        body = canonical(fields)
        self.head = sha256(body).hexdigest()
        return body[:-1] + f',"hash":"{self.head}"}}\n'.encode()


def canonical(fields: Mapping[str, Any]) -> bytes:
    """Return the JSON that is hashed: keys sorted, no blanks, ASCII."""
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def signature(key: bytes, fields: Mapping[str, Any]) -> str:
    """Return HMAC-SHA256 over the other fields of a record, as hexadecimal digits."""
    return hmac.new(key, canonical(fields), sha256).hexdigest()


def capped(text: str) -> str:
    """Return at most ``TEXT_MAX`` characters of a text."""
    return text if len(text) <= TEXT_MAX else f"{text[: TEXT_MAX - 1]}…"


def _take(data: dict[str, Any], keys: Sequence[str]) -> str:
    """Remove and return the first text that stands under one of ``keys``; empty for none."""
    for key in keys:
        if isinstance(data.get(key), str):
            found = str(data.pop(key))
            if found:
                return found
    return ""


def _plain(value: Any) -> Any:
    """Return what JSON can hold of any value; a trail must not end with an odd one."""
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case str():
            return capped(str(value))
        case Mapping():
            return {capped(str(key)): _plain(inner) for key, inner in value.items()}
        case Sequence():
            return [_plain(inner) for inner in value]
    return capped(str(value))
