"""Disks in memory that fill up, stall or break, and a treatment that is recorded to them."""

from __future__ import annotations

import errno
from collections.abc import Callable
from io import BytesIO
from threading import Event
from typing import Any, Final, NamedTuple

from cryoctl import clock
from cryoctl.audit import OPENED, AuditTrail, Entry
from cryoctl.audit_file import AuditFile, QueuedAuditFile, stamp_now
from cryoctl.audit_sink import AuditedSink
from cryoctl.core import TICK_S, Controller, Settings
from cryoctl.lockstep import LockStep
from cryoctl.operators import AutomaticOperator
from cryoctl.record_queue import QueuedRecorder
from cryoctl.recorder import Recorder
from cryoctl.records import Control, LogEvent
from cryoctl.treatment import Treatment, default_treatment
from cryoctl_protocol.auth import DEMO_KEY
from cryoctl_protocol.peer import DeviceUrl, open_device
from cryoctl_protocol.profile import load_profile

PROFILE: Final = "n2o-20g"
FLUSH_S: Final = 0.05
_UNTIL_S: Final = 600.0
_STOP_S: Final = 60.0
_QUEUE: Final = 1_000_000
"""Records: virtual time goes faster than a thread that writes, which is no failure here."""
_ROOMY: Final = 1 << 40


class Disk:
    """What several files share.

    Args:
        room: Bytes it still takes.
        before_write: Called with the number of writes so far; waits or raises as disks do.
    """

    def __init__(
        self, room: int = _ROOMY, before_write: Callable[[int], None] = lambda _count: None
    ) -> None:
        self.room = room
        self.writes = 0
        self.written = 0
        self._before = before_write

    def take(self, wanted: int) -> int:
        """Return how many of so many bytes go in."""
        self.writes += 1
        self._before(self.writes)
        if self.room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = min(wanted, self.room)
        self.room -= taken
        self.written += taken
        return taken


class RawFile(BytesIO):
    """A file without a buffer; what does not fit on its disk is torn."""

    def __init__(self, disk: Disk) -> None:
        super().__init__()
        self._disk = disk

    def write(self, data: Any, /) -> int:
        """Take what there is room for."""
        return super().write(bytes(data)[: self._disk.take(len(data))])

    def fileno(self) -> int:
        """Return a number that means nothing."""
        return -1

    def close(self) -> None:
        """Keep what is in it."""


class WholeFile(RawFile):
    """A file that takes all of a write or raises, as Python's buffered ones do."""

    def write(self, data: Any, /) -> int:
        """Take all of ``data``."""
        left = bytes(data)
        while left:
            left = left[super().write(left) :]
        return len(data)


class WatchedSink(AuditedSink):
    """A sink that keeps the events, and the longest time that one of its calls took."""

    def __init__(
        self, recorder: Recorder | QueuedRecorder, audit: AuditFile | QueuedAuditFile
    ) -> None:
        super().__init__(recorder, audit, "bench")
        self.events: list[LogEvent] = []
        self.longest_s = 0.0
        self.is_timed = False
        self.received = self._timed(self.received)
        self.sent = self._timed(self.sent)
        self.sample = self._timed(self.sample)
        self.estimate = self._timed(self.estimate)

    def event(self, event: LogEvent) -> None:
        """Keep an event and pass it on."""
        self.events.append(event)
        self._timed(super().event)(event)

    def control(self, control: Control, now_s: float) -> None:
        """Pass a tick on."""
        self._timed(super().control)(control, now_s)

    def _timed(self, call: Callable[..., None]) -> Callable[..., None]:
        def timed(*arguments: Any) -> None:
            began_s = clock.monotonic_s()
            call(*arguments)
            if self.is_timed:
                self.longest_s = max(self.longest_s, clock.monotonic_s() - began_s)

        return timed


class Ended(NamedTuple):
    """A treatment that has come to its end.

    Attributes:
        recording: The bytes of its recording.
        trail: The bytes of its audit trail.
        head: Hash of the closing record; None if the trail was not closed.
        failed_s: Controller's time at the first tick that found evidence not kept; None for none.
    """

    controller: Controller
    sink: WatchedSink
    recording: bytes
    trail: bytes
    head: str | None
    failed_s: float | None
    ended_s: float

    @property
    def is_safe(self) -> bool:
        """True if it ran to its end and the probe's own telemetry shows both valves shut."""
        sample = self.controller.sample
        assert sample is not None
        return self.controller.finished and not sample.valve and not sample.shutoff_open

    @property
    def phases(self) -> list[tuple[float, str]]:
        """Every change of phase, with its time."""
        return [(e.at_s, e.data["target"]) for e in self.sink.events if e.kind == "phase"]


def short_treatment() -> Treatment:
    """Return one freeze at -40 C that is held for 15 s."""
    told = default_treatment(PROFILE).model_dump(by_alias=True)
    told["cycles"] |= {"count": 1, "setpoint_c": -40.0, "hold_s": 15.0}
    return Treatment.model_validate(told)


def treat(
    *,
    recording_disk: Disk,
    trail_disk: Disk,
    in_threads: bool = False,
    on_tick: Callable[[WatchedSink, Controller, float], None] = lambda *_: None,
) -> Ended:
    """Carry out a short treatment in virtual time, recorded to these disks.

    Args:
        recording_disk: Takes the recording.
        trail_disk: Takes the audit trail; may be the same one.
        in_threads: Write from threads, as runs in real time do.
        on_tick: Called after each control tick with its time; may hold time up.
    """
    opened = open_device(DeviceUrl.parse(f"sim:{PROFILE}?seed=1"))
    assert opened.peer is not None
    recorded, trailed = WholeFile(recording_disk), RawFile(trail_disk)
    recorder = Recorder(recorded, metadata={}, flush_period_s=FLUSH_S)
    trail = AuditTrail(session="bench", software="cryoctl", config_hash="")
    file = AuditFile(trailed, trail, sync=lambda _: None)
    file.add(Entry(stamp_now(), "bench", OPENED, new={}))
    sink = WatchedSink(
        QueuedRecorder(recorder, _QUEUE) if in_threads else recorder,
        QueuedAuditFile(file) if in_threads else file,
    )
    controller = Controller(
        short_treatment(),
        load_profile(PROFILE),
        Settings(key=DEMO_KEY, nonce_seed=b"evidence"),
        sink,
    )
    failed: list[float] = []

    def look(now_s: float) -> None:
        if sink.failure and not failed:
            failed.append(now_s)
        on_tick(sink, controller, now_s)

    lockstep = LockStep(controller, opened.peer, AutomaticOperator(), look)
    lockstep.run(until_s=_UNTIL_S)
    sink.drain(_STOP_S, lockstep.now_s)
    head = sink.close_trail({})
    sink.close("{}")
    return Ended(
        controller,
        sink,
        recorded.getvalue(),
        trailed.getvalue(),
        head,
        failed[0] if failed else None,
        lockstep.now_s,
    )


def wait_a_tick() -> None:
    """Let as much real time pass as a control tick stands for."""
    Event().wait(TICK_S)
