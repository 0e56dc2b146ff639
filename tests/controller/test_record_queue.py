"""The recorder's queue: the controller never waits for a disk, and a gap is never silent."""

from __future__ import annotations

from io import BytesIO
from threading import Event, Semaphore
from typing import Any

import pytest

from cryoctl.record_queue import QueuedRecorder
from cryoctl.recorder import Recorder
from cryoctl.recording import read_recording
from cryoctl.records import LogEvent
from tests.support import recordings
from tests.support.recordings import METADATA, SAMPLE, KeptBytes

PATIENCE_S = 30.0
"""Only a test that fails waits this long."""


class StuckDisk(KeptBytes):
    """A disk on which, once ``stick`` is called, writes wait until ``release`` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.release = Event()
        self.release.set()
        self.reached = Event()
        self._flushed = Semaphore(0)
        self.flushes = 0

    def flush(self) -> None:
        self.flushes += 1
        self._flushed.release()

    def wait_for_records(self, count: int) -> None:
        """Wait for as many flushes; the recorder of these tests makes one for each record."""
        for _ in range(count):
            assert self._flushed.acquire(timeout=PATIENCE_S)

    def stick(self) -> None:
        assert self._flushed.acquire(blocking=False)  # That of the recorder's own start.
        self.release.clear()

    def write(self, data: Any, /) -> int:
        if not self.release.is_set():
            self.reached.set()
            assert self.release.wait(PATIENCE_S)
        return super().write(data)


def queued(stream: BytesIO, size: int) -> QueuedRecorder:
    return QueuedRecorder(Recorder(stream, metadata=METADATA, flush_period_s=0.0), size)


def event(index: int) -> LogEvent:
    return LogEvent(index * 0.01, "phase", {"index": index})


def indexes(stream: BytesIO) -> list[int]:
    events = read_recording(BytesIO(stream.getvalue()), "queued").events
    return [e["index"] for e in events]


def test_everything_that_waits_is_written_before_the_file_is_closed() -> None:
    stream = KeptBytes()
    queue = queued(stream, size=1000)

    for index in range(500):
        queue.event(event(index))
    queue.drain(PATIENCE_S)
    queue.close('{"verdict":"PASS"}')

    recording = read_recording(BytesIO(stream.getvalue()), "queued")
    assert queue.failure == ""
    assert [e["index"] for e in recording.events] == list(range(500))
    assert (recording.complete, recording.dropped) == (True, 0)
    assert recording.summary == {"verdict": "PASS"}


def test_every_kind_of_record_goes_through() -> None:
    stream = KeptBytes()
    queue = queued(stream, size=100)

    queue.received(b"a", 0.1)
    queue.sent(b"b", 0.1)
    queue.sample(SAMPLE, 0.1)
    queue.control(recordings.CONTROL, 0.1)
    queue.estimate(recordings.ESTIMATE, 0.1)
    queue.truth(recordings.TRUTH, 0.1)
    queue.vendor(0xC0, b"", 0.1)
    queue.event(event(1))
    queue.anchor(1, "c0ffee", 0.1)
    queue.drain(PATIENCE_S)
    queue.close("{}")

    counts = read_recording(BytesIO(stream.getvalue()), "queued").counts
    assert set(counts.values()) == {1}
    assert len(counts) == 8


@pytest.mark.requirement("SR-33")
def test_a_stuck_disk_costs_records_but_never_time_and_leaves_a_gap_that_shows() -> None:
    stream = StuckDisk()
    queue = queued(stream, size=10)
    stream.stick()
    queue.event(event(0))
    assert stream.reached.wait(PATIENCE_S)  # The thread holds record 0 and cannot get rid of it.

    for index in range(1, 31):
        queue.event(event(index))
    while_stuck = (queue.storage.refuses_arming, queue.dropped)
    stream.release.set()
    queue.drain(PATIENCE_S)
    queue.close("{}")

    assert while_stuck == (True, 20)
    assert queue.failure == ""
    assert indexes(stream) == list(range(11))
    assert queue.dropped == 20
    assert read_recording(BytesIO(stream.getvalue()), "queued").dropped == 20


def test_a_gap_in_the_middle_shows_in_a_file_without_an_ending() -> None:
    stream = StuckDisk()
    queue = queued(stream, size=1)
    stream.stick()
    queue.event(event(0))
    assert stream.reached.wait(PATIENCE_S)
    queue.event(event(1))
    queue.event(event(2))
    stream.release.set()
    stream.wait_for_records(2)

    queue.event(event(3))
    stream.wait_for_records(1)
    not_closed = read_recording(BytesIO(stream.getvalue()), "queued")
    queue.drain(PATIENCE_S)
    queue.close("{}")

    assert [e["index"] for e in not_closed.events] == [0, 1, 3]
    assert (not_closed.complete, not_closed.dropped) == (False, 1)


def test_a_disk_that_never_comes_back_does_not_hold_up_the_end() -> None:
    stream = StuckDisk()
    queue = queued(stream, size=1)
    stream.stick()
    queue.event(event(0))
    assert stream.reached.wait(PATIENCE_S)

    queue.drain(timeout_s=0.01)
    failure = queue.failure
    stream.release.set()

    assert failure == "recording failed: the disk took nothing for 0.01 s"


@pytest.mark.requirement("SR-33")
@pytest.mark.parametrize("error", [MemoryError, SystemExit])
def test_whatever_ends_the_thread_is_told_as_a_failure(
    monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    stream = KeptBytes()
    queue = queued(stream, size=10)

    def fail(*_arguments: object) -> None:
        raise error

    monkeypatch.setattr(queue._recorder, "sample", fail)
    queue.sample(SAMPLE, 0.1)
    queue.drain(PATIENCE_S)

    assert queue.storage.refuses_arming
    assert queue.failure == f"recording failed: {error.__name__}()"


def test_a_failure_of_the_recorder_shows_through_the_queue() -> None:
    stream = KeptBytes()
    queue = queued(stream, size=10)

    queue.sample(SAMPLE._replace(device_ms=-1), 0.1)
    queue.drain(PATIENCE_S)
    queue.close("{}")

    assert queue.storage.refuses_arming
    assert queue.failure.startswith("recording failed: ")
    assert queue.dropped == 1


@pytest.mark.requirement("SR-33")
def test_a_write_of_a_second_is_told_while_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [100.0]
    monkeypatch.setattr("cryoctl.clock.monotonic_s", lambda: now_s[0])
    stream = StuckDisk()
    queue = queued(stream, size=10)
    stream.stick()
    queue.event(event(0))
    assert stream.reached.wait(PATIENCE_S)

    before = queue.storage
    now_s[0] = 101.0
    while_stuck = queue.storage
    stream.release.set()
    queue.drain(PATIENCE_S)

    assert (before.alarm, while_stuck.alarm, while_stuck.refuses_arming) == ("", "DISK_SLOW", True)
    assert queue.failure == ""


@pytest.mark.requirement("SR-33")
def test_what_waits_behind_a_stuck_write_goes_to_the_disk_in_one_piece() -> None:
    stream = StuckDisk()
    queue = queued(stream, size=100)
    stream.stick()
    queue.event(event(0))
    assert stream.reached.wait(PATIENCE_S)
    for index in range(1, 61):
        queue.event(event(index))

    before = stream.flushes
    stream.release.set()
    queue.drain(PATIENCE_S)

    # One for the record that was stuck, then none until no more than some 20 wait.
    assert stream.flushes - before < 25
    queue.close("{}")
    assert indexes(stream) == list(range(61))
