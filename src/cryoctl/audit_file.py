"""Writes an audit trail to its file: each record at once, and in real time from a thread.

Whatever happens to the disk, nothing is raised into the controller and nothing waits for it.
"""

from __future__ import annotations

import os
import queue
from collections.abc import Callable
from threading import Event, Thread
from typing import Final, Protocol

from cryoctl import clock
from cryoctl.audit import LOST, AuditTrail, Entry, Stamp
from cryoctl.audit_check import Anchor
from cryoctl.stall_watch import StallWatch
from cryoctl.storage import FINE, Storage, not_kept

QUEUE_SIZE: Final = 4096
"""Entries; a treatment makes a few hundred."""
SYNC_S: Final = 1.0
"""At most so long, a record is in the operating system's memory alone."""

_SYNCED_AT_ONCE: Final = frozenset({"state", "trip", "alarm"})
_sync_file: Final[Callable[[int], None]] = getattr(os, "fdatasync", os.fsync)


class RawFile(Protocol):
    """An unbuffered file; ``write`` returns how many bytes it took."""

    def write(self, data: bytes, /) -> int | None:
        """Take some of ``data``."""
        ...

    def fileno(self) -> int:
        """Return what the operating system calls it."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


def stamp_now() -> Stamp:
    """Return this moment, by both clocks."""
    utc = clock.utc_now()
    return Stamp(utc.isoformat(timespec="microseconds"), utc.timestamp(), clock.monotonic_ns())


class AuditFile:
    """Chains entries and hands each to the operating system at once.

    Args:
        stream: Unbuffered, at its start.
        trail: Makes the lines.
        sync: Puts what was written on the disk itself.

    Attributes:
        failure: Why records are no longer kept; empty while they are.
        lost: Records that are not in the file.
        kept: The last record that is on the disk.
    """

    def __init__(
        self, stream: RawFile, trail: AuditTrail, sync: Callable[[int], None] = _sync_file
    ) -> None:
        self.failure = ""
        self.lost = 0
        self.kept: Anchor | None = None
        self._written: Anchor | None = None
        self._stream = stream
        self._trail = trail
        self._sync = sync

    @property
    def storage(self) -> Storage:
        """How the trail stands; ARM waits for it (SR-33)."""
        return not_kept(self.failure) if self.failure else FINE

    def add(self, entry: Entry) -> None:
        """Write one record."""
        if self.failure:
            self.lost += 1
            return
        try:
            left = self._trail.append(entry)
            while left:
                taken = self._stream.write(left)
                if not taken:
                    raise OSError("the disk took nothing")  # noqa: TRY301
                left = left[taken:]
            self._written = Anchor(self._trail.seq, self._trail.head)
        except (OSError, ValueError) as error:
            self.lost += 1
            self._fail(error)

    def sync(self) -> None:
        """Put everything so far on the disk; then a computer without power loses none of it.

        May be called by another thread than ``add``.
        """
        written = self._written
        if self.failure or written == self.kept:
            return
        try:
            self._sync(self._stream.fileno())
            self.kept = written
        except (OSError, ValueError) as error:
            self._fail(error)

    def anchor(self) -> Anchor | None:
        """Return the last record, put on the disk; None if that never came to be."""
        self.sync()
        return self.kept

    def drain(self, timeout_s: float) -> None:
        """Put everything on the disk."""
        self.sync()

    def close(self, entry: Entry) -> str | None:
        """Write the closing record; return its hash, None if it is not kept."""
        self.add(entry._replace(new={"records": self._trail.seq + 1, **entry.new}))
        self.sync()
        try:
            self._stream.close()
        except OSError as error:
            self._fail(error)
        return None if self.failure else self._trail.head

    def _fail(self, error: Exception) -> None:
        """Give up the file: a chain cannot go on behind a hole."""
        reason = error.strerror if isinstance(error, OSError) else None
        self.failure = self.failure or f"audit trail failed: {reason or str(error)}"


class QueuedAuditFile:
    """Passes entries on to ``file`` in a thread of its own; never blocks, never raises.

    A thread beside the recorder's: what ends the one is still told by the other. Another one puts
    them on the disk, so that no entry waits in memory while that takes its time (SR-34).

    Args:
        file: Belongs to this object until ``drain`` has returned.
        size: Entries that may wait; what comes on top is lost, which a record tells.
    """

    def __init__(self, file: AuditFile, size: int = QUEUE_SIZE) -> None:
        self._file = file
        self._refused = 0
        self._told = 0
        self._ended = ""
        self._stalls = (StallWatch(), StallWatch())
        self._queue: queue.Queue[tuple[int, Entry] | None] = queue.Queue(size)
        self._sync_due = Event()
        self._is_drained = False
        # Daemons: a disk that never answers must not keep the program from ending.
        self._threads = (
            Thread(target=self._run, args=(self._write_all,), name="cryoctl-audit", daemon=True),
            Thread(target=self._run, args=(self._sync_all,), name="cryoctl-sync", daemon=True),
        )
        for thread in self._threads:
            thread.start()

    @property
    def storage(self) -> Storage:
        """How the trail stands; ARM waits for it (SR-33)."""
        if self.failure:
            return not_kept(self.failure)
        writing, syncing = self._stalls
        return writing.storage if writing.storage != FINE else syncing.storage

    @property
    def failure(self) -> str:
        """Why records are no longer kept; empty while they are."""
        if self._ended:
            return self._ended
        if self._refused:
            return "audit trail failed: records were lost, the disk did not keep up"
        return self._file.failure

    @property
    def lost(self) -> int:
        """Records that are not in the file."""
        return self._file.lost + self._refused

    def anchor(self) -> Anchor | None:
        """Return the last record that is on the disk; None if there is none."""
        return self._file.kept

    def add(self, entry: Entry) -> None:
        """Have one record written."""
        try:
            self._queue.put_nowait((self._refused, entry))
        except queue.Full:
            self._refused += 1

    def drain(self, timeout_s: float) -> None:
        """Write what waits; nothing more is taken. ``failure`` then tells how that went."""
        try:
            self._queue.put(None, timeout=timeout_s)
        except queue.Full:
            self._give_up(timeout_s)
            return
        for thread in self._threads:
            thread.join(timeout_s)
            if thread.is_alive():
                self._give_up(timeout_s)
                return

    def close(self, entry: Entry) -> str | None:
        """Close the trail, after ``drain``; a disk that took nothing then is left alone."""
        if self._ended:
            return None
        self._tell(self._refused, entry)
        return self._file.close(entry)

    def _give_up(self, timeout_s: float) -> None:
        self._ended = f"audit trail failed: the disk took nothing for {timeout_s:g} s"

    def _run(self, task: Callable[[], None]) -> None:
        try:
            task()
        except BaseException as error:  # noqa: BLE001  # Whatever it is, records are not kept.
            self._ended = f"audit trail failed: {error!r}"
        finally:
            self._is_drained = True
            self._sync_due.set()

    def _write_all(self) -> None:
        stalls, _ = self._stalls
        while (item := self._queue.get()) is not None:
            refused, entry = item
            stalls.begin()
            self._tell(refused, entry)
            self._file.add(entry)
            stalls.end()
            if entry.action in _SYNCED_AT_ONCE:
                self._sync_due.set()

    def _sync_all(self) -> None:
        _, stalls = self._stalls
        while not self._is_drained:
            self._sync_due.wait(SYNC_S)
            self._sync_due.clear()
            stalls.begin()
            self._file.sync()
            stalls.end()
        self._file.sync()  # What was written while the last one lasted.

    def _tell(self, refused: int, entry: Entry) -> None:
        """Write a record of those that were lost before ``entry``."""
        if refused > self._told:
            lost = {"records": refused - self._told}
            self._file.add(Entry(entry.stamp, "controller", LOST, new=lost))
            self._told = refused
