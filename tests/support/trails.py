"""Audit trails and disks for tests: a short trail, disks that fill up, stick or break."""

from __future__ import annotations

import errno
from threading import Event
from typing import Final

from cryoctl.audit import CLOSED, OPENED, AuditTrail, Entry, EventReader, Stamp
from cryoctl.records import LogEvent

PATIENCE_S: Final = 30.0
"""Only a test that fails waits this long."""
KEY: Final = b"0123456789abcdef0123456789abcdef"
_FREEZE: Final = {"op": "FREEZE", "duration_s": 80.0}
_TRIP: Final = {"id": "TIP_FLOOR", "value": -85.4, "limit": -85.0, "unit": "C", "detail": ""}
EVENTS: Final = (
    LogEvent(0.0, "shell", {"told": "connect"}),
    LogEvent(0.02, "hello", {"device": "SIM-0007", "firmware": "model-1", "boot_id": 7}),
    LogEvent(0.06, "phase", {"source": "CONNECTING", "target": "IDLE", "trigger": "linked"}),
    LogEvent(0.1, "operator", {"request": "arm", "refused": "SR-19: no leak test"}),
    LogEvent(0.2, "command", {**_FREEZE, "counter": 1, "setpoint_c": -60.0}),
    LogEvent(0.3, "command", {**_FREEZE, "counter": 2, "setpoint_c": -50.0}),
    LogEvent(0.4, "alarm", {"id": "LINK_STALE", "age_s": 0.06}),
    LogEvent(0.5, "trip", _TRIP),
)


def stamp(second: float, *, utc_offset_s: float = 0.0) -> Stamp:
    """Return the moment ``second`` after the start of a test, by both clocks."""
    utc_s = 1_700_000_000.0 + second + utc_offset_s
    return Stamp(f"utc {utc_s:.3f}", utc_s, round(second * 1e9))


def a_trail(key: bytes | None = None) -> AuditTrail:
    return AuditTrail(session="run-1", software="cryoctl 0.1.0", config_hash="c0ffee", key=key)


def lines(*, closed: bool = True, key: bytes | None = None) -> list[bytes]:
    """Return a short trail, a line each."""
    trail, reader = a_trail(key), EventReader("kim")
    found = [
        trail.append(Entry(stamp(0.0), "kim", OPENED, "sim:", new={"signed": key is not None}))
    ]
    found += [trail.append(reader.read(event, stamp(event.at_s))) for event in EVENTS]
    if closed:
        found.append(trail.append(Entry(stamp(1.0), "kim", CLOSED, new={"records": 10})))
    return found


class Disk:
    """An unbuffered file in memory; takes ``room`` bytes, then is full, and what fits is torn."""

    def __init__(self, room: int = 1 << 30) -> None:
        self.data = b""
        self.room = room
        self.synced: list[int] = []
        self.is_closed = False

    def write(self, data: bytes, /) -> int:
        if self.room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = min(len(data), self.room)
        self.room -= taken
        self.data += data[:taken]
        return taken

    def fileno(self) -> int:
        return len(self.data)

    def sync(self, length: int) -> None:
        """Note how much was put on the disk itself."""
        self.synced.append(length)

    def close(self) -> None:
        self.is_closed = True


class StuckDisk(Disk):
    """A disk on which writes wait until ``release`` is set; ``reached`` tells that one does."""

    def __init__(self) -> None:
        super().__init__()
        self.release = Event()
        self.reached = Event()

    def write(self, data: bytes, /) -> int:
        if not self.release.is_set():
            self.reached.set()
            assert self.release.wait(PATIENCE_S)
        return super().write(data)


class BrokenDisk(Disk):
    """A disk whose driver fails in a way that nobody foresaw."""

    def __init__(self, error: type[BaseException]) -> None:
        super().__init__()
        self.error = error

    def write(self, data: bytes, /) -> int:
        raise self.error
