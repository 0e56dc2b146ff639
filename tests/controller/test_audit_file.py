"""The audit trail on a disk: at once, put there for good, and no disk reaches the controller."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from threading import Event

import pytest

from cryoctl.audit import Entry
from cryoctl.audit_check import judge
from cryoctl.audit_file import AuditFile, QueuedAuditFile
from cryoctl.sign_key import read_sign_key
from cryoctl_protocol.toml_text import FileError
from tests.support.trails import KEY, PATIENCE_S, BrokenDisk, Disk, StuckDisk, a_trail, stamp


def entry(number: int, action: str = "note") -> Entry:
    return Entry(stamp(number), "kim", action, str(number))


def closing() -> Entry:
    return Entry(stamp(99.0), "kim", "trail_closed", new={"verdict": "PASS"})


def file_on(disk: Disk) -> AuditFile:
    return AuditFile(disk, a_trail(), sync=disk.sync)


def targets(disk: Disk) -> list[str]:
    return [json.loads(line)["target"] for line in disk.data.splitlines()]


@pytest.mark.requirement("SR-34")
def test_a_record_is_with_the_operating_system_when_the_call_returns() -> None:
    disk = Disk()
    file = file_on(disk)

    file.add(entry(1))

    assert targets(disk) == ["1"]


def test_a_closed_trail_is_on_the_disk_and_counts_its_records() -> None:
    disk = Disk()
    file = file_on(disk)
    file.add(entry(1))

    head = file.close(closing())

    found = judge(disk.data, closing_head=head)
    assert (found.verdict.value, found.records[-1]["new"]["records"]) == ("INTACT", 2)
    assert disk.synced == [len(disk.data)]
    assert disk.is_closed


def test_nothing_is_put_on_the_disk_twice() -> None:
    disk = Disk()
    file = file_on(disk)
    file.add(entry(1))

    anchors = [file.anchor(), file.anchor()]

    assert anchors[0] == anchors[1]
    assert disk.synced == [len(disk.data)]


@pytest.mark.requirement("SR-33")
@pytest.mark.parametrize("room", range(1, 1600, 37))
def test_a_disk_that_fills_up_anywhere_keeps_what_it_took_and_says_so(room: int) -> None:
    disk = Disk(room)
    file = file_on(disk)

    for number in range(10):
        file.add(entry(number))
    head = file.close(closing())

    found = judge(disk.data)
    assert file.storage.refuses_arming
    assert file.failure == "audit trail failed: No space left on device"
    assert (found.verdict.value, head) == ("NOT CLOSED", None)
    assert [r["target"] for r in found.records] == [str(n) for n in range(len(found.records))]
    assert len(found.records) + file.lost == 11


@pytest.mark.requirement("SR-33")
def test_a_disk_that_cannot_be_synced_is_a_failure_and_no_exception() -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    file = AuditFile(Disk(), a_trail(), sync=fail)
    file.add(entry(1))

    assert file.anchor() is None
    assert file.failure == "audit trail failed: Input/output error"


@pytest.mark.requirement("SR-33")
def test_a_stuck_disk_never_holds_up_the_caller_and_the_gap_is_a_record() -> None:
    disk = StuckDisk()
    queued = QueuedAuditFile(file_on(disk), size=5)
    queued.add(entry(0))
    assert disk.reached.wait(PATIENCE_S)

    for number in range(1, 10):
        queued.add(entry(number))  # Returns, though nothing is taken.
    while_stuck = (queued.lost, queued.storage.refuses_arming, queued.failure)
    disk.release.set()
    queued.drain(PATIENCE_S)
    head = queued.close(closing())

    assert while_stuck[:2] == (4, True)
    assert while_stuck[2] == "audit trail failed: records were lost, the disk did not keep up"
    assert targets(disk) == ["0", "1", "2", "3", "4", "5", "", ""]
    lost = json.loads(disk.data.splitlines()[-2])
    assert (lost["action"], lost["new"]) == ("lost", {"records": 4})
    assert judge(disk.data, closing_head=head).verdict.value == "INTACT"


@pytest.mark.requirement("SR-33")
def test_a_disk_that_never_comes_back_does_not_hold_up_the_end() -> None:
    disk = StuckDisk()
    queued = QueuedAuditFile(file_on(disk), size=1)
    queued.add(entry(0))
    assert disk.reached.wait(PATIENCE_S)

    queued.drain(0.01)
    head = queued.close(closing())
    failure = queued.failure
    disk.release.set()

    assert failure == "audit trail failed: the disk took nothing for 0.01 s"
    assert head is None


@pytest.mark.requirement("SR-33")
@pytest.mark.parametrize("error", [MemoryError, SystemExit])
def test_whatever_ends_the_thread_is_told_and_leaves_no_closed_trail(
    error: type[BaseException],
) -> None:
    queued = QueuedAuditFile(file_on(BrokenDisk(error)))
    queued.add(entry(0))

    queued.drain(PATIENCE_S)

    assert queued.storage.refuses_arming
    assert queued.failure == f"audit trail failed: {error.__name__}()"
    assert queued.close(closing()) is None


@pytest.mark.requirement("SR-34")
@pytest.mark.parametrize("action", ["state", "trip", "alarm"])
def test_a_change_of_state_is_put_on_the_disk_before_anything_else_comes(action: str) -> None:
    synced = Event()
    disk = Disk()

    def sync(_descriptor: int) -> None:
        synced.set()

    queued = QueuedAuditFile(AuditFile(disk, a_trail(), sync=sync))
    queued.add(entry(1, action))

    assert synced.wait(PATIENCE_S)
    queued.drain(PATIENCE_S)


@pytest.mark.requirement("SR-34")
def test_a_disk_that_takes_its_time_to_sync_holds_up_no_record() -> None:
    syncing, release, written = Event(), Event(), Event()

    def sync(_descriptor: int) -> None:
        syncing.set()
        assert release.wait(PATIENCE_S)

    class Told(Disk):
        def write(self, data: bytes, /) -> int:
            taken = super().write(data)
            if b'"late"' in data:
                written.set()
            return taken

    disk = Told()
    queued = QueuedAuditFile(AuditFile(disk, a_trail(), sync=sync))
    queued.add(entry(1, "state"))
    assert syncing.wait(PATIENCE_S)
    queued.add(entry(2, "late"))

    assert written.wait(PATIENCE_S)  # While the disk still syncs.
    assert queued.anchor() is None
    release.set()
    queued.drain(PATIENCE_S)
    anchor = queued.anchor()
    assert anchor is not None
    assert anchor.seq == 2


@pytest.mark.requirement("SR-33")
def test_a_slow_disk_is_told_and_forbids_arming_until_it_has_been_well_for_ten_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = [100.0]
    monkeypatch.setattr("cryoctl.clock.monotonic_s", lambda: now_s[0])
    disk = StuckDisk()
    queued = QueuedAuditFile(file_on(disk))
    queued.add(entry(0))
    assert disk.reached.wait(PATIENCE_S)

    seen = []
    for at_s in (100.7, 101.0, 110.9):
        now_s[0] = at_s
        seen.append((queued.storage.alarm, queued.storage.refuses_arming))
    disk.release.set()
    queued.drain(PATIENCE_S)
    for at_s in (120.8, 121.0):
        now_s[0] = at_s
        seen.append((queued.storage.alarm, queued.storage.refuses_arming))

    slow, fine = ("DISK_SLOW", True), ("", False)
    assert seen == [fine, slow, slow, slow, fine]


# -- the key -------------------------------------------------------------------------------------


def key_file(folder: Path, data: bytes, mode: int = 0o600) -> Path:
    path = folder / "audit.key"
    path.write_bytes(data)
    path.chmod(mode)
    return path


def test_a_key_is_the_bytes_of_its_file(tmp_path: Path) -> None:
    assert read_sign_key(key_file(tmp_path, KEY)) == KEY


@pytest.mark.parametrize(
    ("data", "mode", "said"),
    [
        (KEY[:31], 0o600, "a key of 31 bytes; expected 32 to 4096; make one with: "),
        (KEY * 129, 0o600, "no key: longer than 4096 bytes"),
        (KEY, 0o604, r"a key that others may read or change \(mode 604\); chmod 600 /"),
        (KEY, 0o640, r"\(mode 640\)"),
    ],
)
@pytest.mark.skipif(not hasattr(stat, "S_IRGRP"), reason="file modes are a matter of POSIX")
def test_a_key_that_is_short_or_open_to_others_is_refused(
    tmp_path: Path, data: bytes, mode: int, said: str
) -> None:
    with pytest.raises(FileError, match=said):
        read_sign_key(key_file(tmp_path, data, mode))


def test_a_key_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"nowhere\.key.*No such file"):
        read_sign_key(tmp_path / "nowhere.key")
