"""Where records of a run go: to its recording, and what a reviewer asks for to its audit trail."""

from __future__ import annotations

import getpass
import json
import os
import platform
import sys
from collections.abc import Mapping
from hashlib import sha256
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, Final

from cryoctl import __version__
from cryoctl.audit import (
    CLOCK_JUMP,
    CLOSED,
    OPENED,
    AuditTrail,
    ClockWatch,
    Entry,
    EventReader,
    Stamp,
)
from cryoctl.audit_file import AuditFile, QueuedAuditFile, stamp_now
from cryoctl.record_queue import QueuedRecorder
from cryoctl.recorder import PROFILE, Recorder
from cryoctl.records import Control, LogEvent
from cryoctl.replay import LATER, SETTINGS
from cryoctl.storage import FINE, Storage
from cryoctl_protocol.messages import PROTOCOL_MAJOR, PROTOCOL_MINOR

FILE_NAME: Final = "audit.jsonl"
"""In the folder of the run, beside the recording."""
ANCHOR_S: Final = 1.0
"""Between two hashes of the trail in the recording, and two looks at the time of day."""

_ALARM: Final = "CLOCK_JUMP"
_JUMP_SHOWN_S: Final = 30.0  # Long enough to be read; it is over when it happens.
_CONFIG_DIGITS: Final = 16
_ABOUT: Final = (
    "cryoctl", "python", "schema_hash", "profile", "profile_hash", "treatment_hash", "device",
    "device_description", "seed", "speed",
)  # fmt: skip
_OF_CONFIG: Final = ("treatment", PROFILE, SETTINGS, LATER)


class AuditedSink:
    """The sink of a controller: a recorder with an audit trail beside it.

    Args:
        recorder: Takes every record.
        audit: Takes the events.
        user: Who runs the program.
    """

    def __init__(
        self, recorder: Recorder | QueuedRecorder, audit: AuditFile | QueuedAuditFile, user: str
    ) -> None:
        self._recorder = recorder
        self._audit = audit
        self._user = user
        self._reader = EventReader(user)
        self._clock = ClockWatch()
        self._jump = FINE
        self._jump_until_s = 0.0
        self._anchor_due_s = 0.0
        self._anchored = 0
        # Passed on as they are, without a call in between: a treatment makes 200 a second.
        self.received = recorder.received
        self.sent = recorder.sent
        self.sample = recorder.sample
        self.estimate = recorder.estimate
        self.vendor = recorder.vendor

    @property
    def storage(self) -> Storage:
        """How recording and trail stand together; ARM waits for it (SR-33)."""
        troubles = [s for s in (self._recorder.storage, self._audit.storage) if s != FINE]
        troubles.sort(key=lambda storage: not storage.refuses_arming)
        if self._jump != FINE:
            troubles.append(self._jump)  # Last: a disk that fails is the worse news.
        if not troubles:
            return FINE
        refuses = any(storage.refuses_arming for storage in troubles)
        texts = dict.fromkeys(storage.text for storage in troubles)
        return Storage(troubles[0].alarm, refuses, "; ".join(texts))

    @property
    def failure(self) -> str:
        """Why records are no longer kept; empty while they are."""
        return "; ".join(text for text in (self._recorder.failure, self._audit.failure) if text)

    def control(self, control: Control, now_s: float) -> None:
        """Record a control tick; once a second look at the clock and anchor the trail."""
        self._recorder.control(control, now_s)
        if now_s >= self._anchor_due_s:
            self._anchor_due_s = now_s + ANCHOR_S
            if now_s >= self._jump_until_s:
                self._jump = FINE
            self._look_at_clock(stamp_now(), now_s)
            self._put_anchor(now_s)

    def event(self, event: LogEvent) -> None:
        """Record an event, in both."""
        self._recorder.event(event)
        stamp = stamp_now()
        self._look_at_clock(stamp, event.at_s)
        self._audit.add(self._reader.read(event, stamp))

    def drain(self, timeout_s: float, now_s: float) -> None:
        """Write what waits; nothing more is taken. ``failure`` then tells how that went."""
        self._audit.drain(timeout_s)
        self._put_anchor(now_s)
        if isinstance(self._recorder, QueuedRecorder):
            self._recorder.drain(timeout_s)

    def close_trail(self, totals: Mapping[str, Any]) -> str | None:
        """Write the closing record; return its hash, None if it is not kept."""
        kept = {"dropped": self._recorder.dropped, "recording": self._recorder.failure}
        new = {**totals, **kept, "lost": self._audit.lost}
        return self._audit.close(Entry(stamp_now(), self._user, CLOSED, new=new))

    def close(self, summary_json: str) -> None:
        """Close the recording."""
        self._recorder.close(summary_json)

    def _look_at_clock(self, stamp: Stamp, now_s: float) -> None:
        jump_s = self._clock.look(stamp)
        if jump_s is None:
            return
        text = f"the computer's clock was set by {jump_s:+.1f} s; phases go by another"
        self._jump = Storage(_ALARM, refuses_arming=False, text=text)
        self._jump_until_s = now_s + _JUMP_SHOWN_S
        self._anchor_due_s = now_s + ANCHOR_S
        entry = Entry(stamp, "controller", CLOCK_JUMP, "utc", new={"by_s": round(jump_s, 3)})
        self._audit.add(entry._replace(at_s=now_s))

    def _put_anchor(self, now_s: float) -> None:
        anchor = self._audit.anchor()
        if anchor is not None and anchor.seq > self._anchored:
            self._anchored = anchor.seq
            self._recorder.anchor(anchor.seq, anchor.head, now_s)


def open_trail(
    folder: Path, metadata: Mapping[str, str], *, key: bytes | None, in_real_time: bool
) -> tuple[AuditFile | QueuedAuditFile, str]:
    """Begin the audit trail of a run, its first records on the disk; return it and its user.

    Args:
        folder: Of the run.
        metadata: Of the run, as in its recording.
        key: Signs every record; None for none.
        in_real_time: Write from a thread and put records on the disk; else at once, and leave that
            to the operating system.

    Raises:
        OSError: The file is there already, or cannot be made.
    """
    user = user_name()
    configured = {name: text for name, text in metadata.items() if _is_config(name)}
    config_hash = _hash(json.dumps(configured, sort_keys=True))[:_CONFIG_DIGITS]
    trail = AuditTrail(
        session=folder.name, software=f"cryoctl {__version__}", config_hash=config_hash, key=key
    )
    stream = (folder / FILE_NAME).open("xb", buffering=0)
    file = AuditFile(stream, trail) if in_real_time else AuditFile(stream, trail, sync=_no_sync)
    stamp = stamp_now()
    about = {name: metadata.get(name, "") for name in _ABOUT}
    own = {
        "protocol": f"{PROTOCOL_MAJOR}.{PROTOCOL_MINOR}",
        "host": platform.node(),
        "signed": key is not None,
    }
    file.add(Entry(stamp, user, OPENED, metadata.get("device", ""), new={**about, **own}))
    for name, text in configured.items():
        file.add(Entry(stamp, user, "config", name, new={"sha256": _hash(text)}))
    for name, version in _plug_ins():
        file.add(Entry(stamp, user, "plug_in", name, new={"from": version}))
    waiver = metadata.get("bench_waiver", "")
    if waiver:
        file.add(Entry(stamp, user, "override", "bench_waiver", reason=waiver))
    file.sync()
    return (QueuedAuditFile(file) if in_real_time else file), user


def user_name() -> str:
    """Return who runs the program, by the operating system and not by what a variable says."""
    try:
        if sys.platform == "win32":  # It has nothing but the variable.
            return getpass.getuser()
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError, OSError):  # A container whose user has no name.
        return "unknown"


def _is_config(name: str) -> bool:
    return name in _OF_CONFIG or name.startswith("file ")


def _plug_ins() -> list[tuple[str, str]]:
    """Return what other packages add to this program, and from where."""
    found = {
        (f"{point.group}:{point.name}", f"{dist.name} {dist.version}")
        for dist in distributions()
        for point in dist.entry_points
        if point.group.startswith("cryoctl.") and dist.name != "cryoctl"
    }
    return sorted(found)


def _hash(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _no_sync(_descriptor: int) -> None:
    """Leave it to the operating system: nothing in virtual time is worth a wait for the disk."""
