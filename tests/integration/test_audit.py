"""The audit trail of real runs: left by all of them, judged by `cryoctl audit`, kept by kill -9."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

import cryoctl
from cryoctl import clock
from cryoctl.audit import Entry
from cryoctl.audit_file import AuditFile, QueuedAuditFile, stamp_now
from cryoctl.audit_folder import check
from cryoctl.cli import invoke
from cryoctl.record_queue import QueuedRecorder
from cryoctl.recorder import Recorder
from cryoctl.recording import load_recording
from cryoctl.results import Result
from cryoctl.run_options import make_options
from cryoctl.runner import run_treatment
from cryoctl.stop_signals import StopSwitch
from tests.support.recordings import METADATA, SAMPLE
from tests.support.trails import KEY, PATIENCE_S, a_trail

SHORT = ["--set", "cycles.count=1", "--set", "cycles.hold_s=5"]
SHORT_SET = {"cycles.count": 1, "cycles.hold_s": 5.0}
NOBODY = 65534


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a signed run with a reason that is no friend of terminals and browsers."""
    folder = tmp_path_factory.mktemp("finished")
    key(folder)
    options = ["--bench-waiver", "<script>x</script>\x1b[2J", "--out", str(folder / "run")]
    assert invoke(["run", *SHORT, "--sign-key", str(folder / "audit.key"), *options]) == 0
    return folder / "run"


def key(folder: Path, data: bytes = KEY) -> Path:
    path = folder / "audit.key"
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def copy_of(run: Path, folder: Path) -> Path:
    for name in ("run.mcap", "audit.jsonl"):
        (folder / name).write_bytes((run / name).read_bytes())
    return folder / "audit.jsonl"


def records(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "audit.jsonl").read_text().splitlines()]


# -- what a run leaves ---------------------------------------------------------------------------


@pytest.mark.requirement("SR-34")
def test_every_run_leaves_an_intact_trail_whose_hash_is_in_summary_recording_and_report(
    finished: Path,
) -> None:
    found = check(finished, KEY)

    summary = json.loads((finished / "summary.json").read_text())
    assert found.judgement.verdict.value == "INTACT"
    assert found.judgement.anchors > 5
    assert summary["audit"] == str(finished / "audit.jsonl")
    assert summary["audit_head"] == found.judgement.head
    assert load_recording(finished / "run.mcap").summary == summary
    assert found.judgement.head in (finished / "report.html").read_text("utf-8")


def test_a_trail_tells_configuration_override_phases_and_totals(finished: Path) -> None:
    told = records(finished)
    first, last = told[0], told[-1]
    recorded = load_recording(finished / "run.mcap")

    assert (first["action"], first["new"]["signed"]) == ("trail_opened", True)
    assert first["new"]["treatment_hash"] == recorded.metadata["treatment_hash"]
    assert {r["target"] for r in told if r["action"] == "config"} >= {"treatment", "profile_json"}
    assert [r["reason"] for r in told if r["action"] == "override"] == ["<script>x</script>\x1b[2J"]
    phases = [e["target"] for e in recorded.events if e["kind"] == "phase"]
    assert [r["new"] for r in told if r["action"] == "state"] == phases
    assert (last["action"], last["new"]["verdict"]) == ("trail_closed", "PASS")
    assert last["new"]["records"] == len(told)


def test_every_event_of_the_recording_is_in_the_trail(finished: Path) -> None:
    events = load_recording(finished / "run.mcap").events

    times = [r["at_s"] for r in records(finished) if r["at_s"] is not None]
    assert times == [event["at_s"] for event in events]


def test_texts_are_harmless_in_page_and_terminal(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["audit", "show", str(finished)]) == 0

    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "override bench_waiver  (<script>x</script>\\u001b[2J)" in out
    assert "<script>x" not in (finished / "report.html").read_text("utf-8")


def test_a_live_session_leaves_a_trail_of_who_asked_for_what(tmp_path: Path) -> None:
    with cryoctl.connect("sim:", speed=100.0, set=SHORT_SET, out=tmp_path / "run") as probe:
        probe.begin()
        probe.arm()
        probe.start()
        probe.stop()
    told = records(tmp_path / "run")

    asked = [
        (r["actor"], r["action"]) for r in told if r["at_s"] and r["actor"] == told[0]["actor"]
    ]
    assert [action for _, action in asked][:4] == ["begin", "arm", "start", "stop"]
    assert check(tmp_path / "run").judgement.verdict.value == "INTACT"


def test_a_replay_does_not_mind_the_trail(finished: Path) -> None:
    assert invoke(["replay", "--verify", str(finished / "run.mcap")]) == 0


# -- the judge as people call it -----------------------------------------------------------------


def test_verify_says_intact_with_code_0(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = invoke(["audit", "verify", str(finished), "--json"])

    told = json.loads(capsys.readouterr().out)
    assert (code, told["verdict"], told["signatures"]) == (0, "INTACT", "not checked: give --key")
    assert told["records"] == len(records(finished))
    assert told["compared"] == f"with {finished / 'run.mcap'}"


def test_verify_with_the_key_checks_signatures(finished: Path, tmp_path: Path) -> None:
    right, wrong = finished.parent / "audit.key", key(tmp_path, KEY[::-1])

    assert invoke(["audit", "verify", str(finished), "--key", str(right)]) == 0
    assert invoke(["audit", "verify", str(finished), "--key", str(wrong)]) == 7


@pytest.mark.requirement("SR-34")
def test_a_cut_end_is_truncated_beside_its_recording_and_not_closed_alone(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trail = copy_of(finished, tmp_path)
    whole = trail.read_bytes().splitlines(keepends=True)
    trail.write_bytes(b"".join(whole[:-1]))

    beside = invoke(["audit", "verify", str(tmp_path)])
    (tmp_path / "run.mcap").unlink()
    alone = invoke(["audit", "verify", str(trail)])

    out = capsys.readouterr().out
    assert (beside, alone) == (6, 5)
    assert f"TRUNCATED after seq {len(whole) - 1}: the recording says that the trail" in out
    assert "NOT CLOSED: sound up to seq" in out
    assert "no run.mcap beside it, so a cut end would not show" in out


@pytest.mark.requirement("SR-34")
def test_an_altered_record_is_found_and_shown_no_further(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trail = copy_of(finished, tmp_path)
    trail.write_bytes(trail.read_bytes().replace(b'"arm"', b'"ARM"', 1))

    assert invoke(["audit", "verify", str(tmp_path)]) == 7
    assert invoke(["audit", "show", str(tmp_path)]) == 7
    assert capsys.readouterr().out.count(": its hash is not that of its contents") == 2


def test_a_trail_that_was_removed_is_truncated_and_one_that_never_was_is_no_trail(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy_of(finished, tmp_path).unlink()
    assert invoke(["audit", "verify", str(tmp_path)]) == 6

    (tmp_path / "run.mcap").unlink()
    assert invoke(["audit", "verify", str(tmp_path)]) == 2
    assert "there is no audit trail" in capsys.readouterr().err


def test_a_trail_is_found_by_the_recording_beside_it(finished: Path) -> None:
    found = check(finished / "run.mcap")

    assert (found.judgement.verdict.value, found.path) == ("INTACT", finished / "audit.jsonl")


def test_a_recording_that_is_none_is_told_and_the_trail_judged_alone(
    finished: Path, tmp_path: Path
) -> None:
    copy_of(finished, tmp_path)
    (tmp_path / "run.mcap").write_bytes(b"nothing of ours")

    found = check(tmp_path)

    assert found.judgement.verdict.value == "INTACT"
    assert found.compared.startswith("with nothing, so a cut end would not show: ")


def test_a_key_that_others_may_read_stops_a_run_before_it_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = key(tmp_path)
    path.chmod(0o644)

    code = invoke(["run", "--sign-key", str(path), "--out", str(tmp_path / "run")])

    assert (code, (tmp_path / "run").exists()) == (2, False)
    said = capsys.readouterr().err
    assert "a key that others may read or change (mode 644); chmod 600" in said


def test_a_folder_with_a_trail_is_no_place_for_another_run(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").touch()

    assert invoke(["run", *SHORT, "--out", str(tmp_path)]) == 2
    assert not (tmp_path / "run.mcap").exists()


# -- clocks, disks and kills ---------------------------------------------------------------------


@pytest.mark.requirement("SR-10")
@pytest.mark.parametrize("by", [timedelta(days=365), timedelta(days=-365)])
def test_a_clock_set_by_a_year_in_a_paced_run_moves_no_phase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: timedelta
) -> None:
    def run(name: str) -> Result:
        options = make_options(
            None, device="sim:", seed=1, speed=100.0, settings=tuple(SHORT[1::2]), scenario=None,
            faults=(), vendor=None, cartridge_g=None, bench_waiver="", out=tmp_path / name,
        )  # fmt: skip
        return Result.of(run_treatment(replace(options, may_slip=True), StopSwitch()))

    def phases(result: Result) -> list[tuple[float, str]]:
        return [(e["at_s"], e["target"]) for e in result.events if e["kind"] == "phase"]

    undisturbed = run("undisturbed")
    real, looks = clock.utc_now, [0]

    def set_after_some_looks() -> datetime:
        looks[0] += 1
        return real() + (by if looks[0] > 60 else timedelta())

    monkeypatch.setattr("cryoctl.clock.utc_now", set_after_some_looks)
    disturbed = run("disturbed")

    assert phases(disturbed) == phases(undisturbed)
    assert (disturbed.verdict, disturbed.alarms) == ("PASS", ["CLOCK_JUMP"])
    jumps = [
        r["new"]["by_s"] for r in records(tmp_path / "disturbed") if r["action"] == "clock_jump"
    ]
    assert jumps == [pytest.approx(by.total_seconds(), abs=1.0)]


def run_limited(folder: Path, file_size_max: int) -> subprocess.CompletedProcess[str]:
    """Run a treatment that may write no file longer than so many bytes."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size_max, file_size_max))

    return subprocess.run(
        [sys.executable, "-m", "cryoctl", "run", *SHORT, "--out", "run"],
        cwd=folder, preexec_fn=limit, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.requirement("SR-33")
def test_a_recording_that_may_not_grow_costs_the_exit_code_and_not_the_treatment(
    tmp_path: Path,
) -> None:
    done = run_limited(tmp_path, 300_000)

    assert done.returncode == 1
    assert "PASS " in done.stdout
    assert "recording failed: File too large" in done.stdout
    found = check(tmp_path / "run").judgement
    assert found.verdict.value == "INTACT"
    assert "RECORDING_FAILED" in [r["target"] for r in found.records if r["action"] == "alarm"]
    assert found.records[-1]["new"]["recording"] == "recording failed: File too large"
    kept = load_recording(tmp_path / "run" / "run.mcap")
    assert (kept.complete, kept.telemetry["now_s"].size > 100) == (False, True)


@pytest.mark.requirement("SR-33")
def test_nothing_is_armed_on_a_disk_that_takes_no_trail(tmp_path: Path) -> None:
    done = run_limited(tmp_path, 1_000)

    assert done.returncode == 1
    assert "arm refused: SR-33" in done.stdout
    assert check(tmp_path / "run").judgement.verdict.value == "NOT CLOSED"


@pytest.mark.requirement("SR-33")
def test_a_device_that_is_always_full_is_a_failure_and_no_exception() -> None:
    with Path("/dev/full").open("wb") as full, FileIO("/dev/full", "w") as raw:
        recorder = Recorder(full, metadata=METADATA, flush_period_s=0.0)
        audit = AuditFile(raw, a_trail())
        audit.add(Entry(stamp_now(), "kim", "note"))

        assert recorder.failure == "recording failed: No space left on device"
        assert audit.failure == "audit trail failed: No space left on device"
        recorder.close("{}")
        raw.close()


@contextmanager
def unread_fifo(folder: Path) -> Iterator[FileIO]:
    """Give a pipe that nobody reads; whoever writes too much to it waits until the end."""
    path = folder / "fifo"
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDWR)
    with FileIO(descriptor, "r+") as pipe:
        yield pipe
        while os.read(descriptor, 1 << 20) == b"":
            pass


@pytest.mark.requirement("SR-33")
def test_a_file_that_takes_no_more_holds_up_neither_the_run_nor_its_end(tmp_path: Path) -> None:
    with unread_fifo(tmp_path) as pipe:
        audit = QueuedAuditFile(AuditFile(pipe, a_trail(), sync=lambda _: None))
        for number in range(1000):  # A pipe holds 64 KiB, which is some 150 records.
            audit.add(Entry(stamp_now(), "kim", "note", str(number)))
        audit.drain(0.05)

        assert audit.failure == "audit trail failed: the disk took nothing for 0.05 s"


@pytest.mark.requirement("SR-33")
def test_a_recorder_that_is_blocked_holds_up_neither_the_run_nor_its_end(tmp_path: Path) -> None:
    with unread_fifo(tmp_path) as pipe:
        recorder = QueuedRecorder(Recorder(pipe, metadata=METADATA, flush_period_s=0.0))
        for number in range(4000):
            recorder.received(os.urandom(200), number * 0.01)
            recorder.sample(SAMPLE, number * 0.01)
        recorder.drain(0.05)

        assert recorder.failure == "recording failed: the disk took nothing for 0.05 s"


@pytest.mark.requirement("SR-33")
def test_a_folder_that_takes_no_files_is_refused_before_anything_is_greeted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o555)
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)  # Whom the mode of a folder stops.
    try:
        code = invoke(["run", *SHORT, "--out", str(folder / "run")])
    finally:
        os.seteuid(before)

    assert code == 2
    assert "Permission denied" in capsys.readouterr().err
    assert list(folder.iterdir()) == []


@pytest.mark.real_time
@pytest.mark.requirement("SR-34")
def test_a_killed_run_leaves_a_trail_that_is_not_closed_and_lacks_nothing(tmp_path: Path) -> None:
    run = subprocess.Popen(
        [sys.executable, "-m", "cryoctl", "run", *SHORT, "--speed", "10", "--out", "run"],
        cwd=tmp_path, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert run.stdout is not None
    for line in run.stdout:
        if "HOLD" in line:
            break
    run.send_signal(signal.SIGKILL)
    run.communicate(timeout=PATIENCE_S)

    found = check(tmp_path / "run").judgement
    recorded = load_recording(tmp_path / "run" / "run.mcap").events
    times = [r["at_s"] for r in found.records if r["at_s"] is not None]
    assert found.verdict.value == "NOT CLOSED"
    assert [event["at_s"] for event in recorded] == times[: len(recorded)]
    assert "COOLING" in [r["new"] for r in found.records]  # Over a second ago.
