"""The sink of a run: one stream of records, two files, and one word on how both stand."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import pytest

from cryoctl import audit_sink
from cryoctl.audit_check import judge
from cryoctl.audit_file import AuditFile
from cryoctl.audit_sink import AuditedSink
from cryoctl.recorder import AUDIT, Recorder
from cryoctl.recording import read_messages
from cryoctl.records import LogEvent
from tests.support.recordings import CONTROL, METADATA, SAMPLE, KeptBytes
from tests.support.trails import Disk, a_trail

YEAR = timedelta(days=365)


class World:
    """A sink on two disks in memory, and a time of day that can be set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, trail_room: int = 1 << 20) -> None:
        self.utc = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
        self.mono_s = 500.0
        monkeypatch.setattr("cryoctl.clock.utc_now", lambda: self.utc)
        monkeypatch.setattr("cryoctl.clock.monotonic_ns", lambda: round(self.mono_s * 1e9))
        self.stream = KeptBytes()
        self.disk = Disk(trail_room)
        self.free_bytes = 10**12
        self.recorder = Recorder(
            self.stream, metadata=METADATA, flush_period_s=0.0, free_bytes=lambda: self.free_bytes
        )
        self.sink = AuditedSink(
            self.recorder, AuditFile(self.disk, a_trail(), self.disk.sync), "kim"
        )

    def pass_time(self, seconds: float) -> None:
        self.mono_s += seconds
        self.utc += timedelta(seconds=seconds)

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.disk.data.splitlines()]

    def anchors(self) -> list[dict[str, Any]]:
        messages = read_messages(BytesIO(self.stream.getvalue()), "world").messages
        return [json.loads(m.payload) for m in messages if m.topic == AUDIT]


def test_an_event_stands_in_both_files_and_a_sample_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)

    world.sink.event(LogEvent(1.0, "operator", {"request": "stop", "refused": ""}))
    world.sink.sample(SAMPLE, 1.0)

    topics = [m.topic for m in read_messages(BytesIO(world.stream.getvalue()), "world").messages]
    assert topics == ["/events", "/telemetry"]
    [record] = world.records()
    assert (record["actor"], record["action"], record["at_s"]) == ("kim", "stop", 1.0)
    assert record["utc"] == "2026-11-21T12:00:00.000000+00:00"


@pytest.mark.requirement("SR-34")
def test_the_hash_of_the_last_record_is_in_the_recording_once_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(monkeypatch)
    for tick in range(60):  # 3 s; an event in the first and in the third second.
        if tick in (1, 50):
            world.sink.event(LogEvent(tick * 0.05, "phase", {"source": "IDLE", "target": "READY"}))
        world.sink.control(CONTROL, tick * 0.05)
    world.sink.drain(1.0, 3.0)

    hashes = [record["hash"] for record in world.records()]
    assert world.anchors() == [{"seq": 1, "head": hashes[0]}, {"seq": 2, "head": hashes[1]}]


@pytest.mark.requirement("SR-10")
@pytest.mark.parametrize("by", [YEAR, -YEAR])
def test_a_clock_that_is_set_is_a_record_and_an_alarm_of_a_moment(
    monkeypatch: pytest.MonkeyPatch, by: timedelta
) -> None:
    world = World(monkeypatch)
    world.sink.control(CONTROL, 0.0)
    world.utc += by
    seen = []
    for second in (1.0, 2.0, 30.9, 32.0):
        world.pass_time(1.0)
        world.sink.control(CONTROL, second)
        seen.append((world.sink.storage.alarm, world.sink.storage.refuses_arming))

    assert seen == [*[("CLOCK_JUMP", False)] * 3, ("", False)]
    [record] = world.records()
    assert (record["action"], record["new"]) == ("clock_jump", {"by_s": by.total_seconds()})


def test_time_that_passes_on_both_clocks_is_no_jump(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    for second in range(10):
        world.pass_time(3600.0)
        world.sink.control(CONTROL, float(second))

    assert world.records() == []
    assert world.sink.storage.alarm == ""


@pytest.mark.requirement("SR-33")
def test_a_trail_that_cannot_be_kept_forbids_arming_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(monkeypatch, trail_room=100)

    world.sink.event(LogEvent(1.0, "phase", {"source": "IDLE", "target": "READY"}))

    assert tuple(world.sink.storage) == (
        "RECORDING_FAILED", True, "audit trail failed: No space left on device"
    )  # fmt: skip
    assert world.sink.failure == "audit trail failed: No space left on device"
    assert world.sink.close_trail({}) is None


@pytest.mark.requirement("SR-33")
def test_of_two_troubles_the_one_that_forbids_arming_comes_first_and_both_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(monkeypatch, trail_room=100)
    world.free_bytes = 300_000_000
    world.sink.event(LogEvent(1.0, "phase", {"source": "IDLE", "target": "READY"}))

    assert world.sink.storage.alarm == "RECORDING_FAILED"
    assert world.sink.storage.text == (
        "audit trail failed: No space left on device; 300 MB free where the recording is; "
        "arming needs 100 MB: make room, or give another --out"
    )


def test_the_closing_record_has_the_totals(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    world.sink.event(LogEvent(1.0, "phase", {"source": "IDLE", "target": "READY"}))

    head = world.sink.close_trail({"verdict": "PASS"})

    found = judge(world.disk.data, closing_head=head)
    assert found.verdict.value == "INTACT"
    assert found.records[-1]["new"] == {
        "records": 2, "verdict": "PASS", "dropped": 0, "recording": "", "lost": 0
    }  # fmt: skip


def test_a_user_without_a_name_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless(*_: int) -> str:
        raise KeyError

    monkeypatch.setattr("getpass.getuser" if sys.platform == "win32" else "pwd.getpwuid", nameless)

    assert audit_sink.user_name() == "unknown"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has nothing but the variable")
@pytest.mark.requirement("SR-34")
def test_a_variable_does_not_make_somebody_else_of_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody-else")

    assert audit_sink.user_name() != "somebody-else"
