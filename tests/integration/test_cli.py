"""The command line as a user meets it: outputs, exit codes, files, signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from cryoctl.cli import invoke
from cryoctl.recorder import Recorder
from cryoctl.recording import load_recording
from cryoctl.summary import Summary
from tests.support.patient_clock import PatientClock

SHORT = ["--cycles", "1", "--set", "cycles.hold_s=5"]
GOOD = """\
schema = 1
name = "Mine"
profile = "n2o-20g"

[cycles]
count = 1
setpoint_c = -60.0
hold_s = 5.0
"""
# Ten ways to get a file wrong: text, line that is named, and what the message has to say.
BROKEN = {
    "wrong type": (GOOD.replace("5.0", '"five"'), 8, "expected a number"),
    "wrong unit": (GOOD.replace("hold_s = 5.0", "hold_min = 1"), 8, "use hold_s, in seconds"),
    "unknown key": (GOOD + "cuont = 2\n", 9, "did you mean 'count'?"),
    "out of range": (GOOD.replace("5.0", "999.0"), 8, "allowed: 1 to 150 s"),
    "set-point that breaks SR-06": (GOOD.replace("-60.0", "-84.0"), 7, "breaks SR-06"),
    "missing section": ("schema = 1\nprofile = 'n2o-20g'\n", 1, "missing section [cycles]"),
    "not TOML": (GOOD.replace('"n2o-20g"', "n2o-20g"), 3, "not valid TOML"),
    "empty": ("", 1, "the file is empty"),
    "huge": (GOOD + "#" * 300_000, 1, "too big"),
    "duplicate key": (GOOD + "count = 2\n", 9, "given twice, first on line 6"),
}


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_run_json_prints_exactly_one_object_of_the_published_shape(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = invoke(["run", *SHORT, "--json", "--out", "here"])

    out, err = capsys.readouterr()
    summary = Summary.model_validate_json(out)
    assert code == 0
    assert summary.exit_code == 0
    assert summary.verdict == "PASS"
    estimate = summary.cycles[0].estimate
    assert estimate is not None
    assert summary.cycles[0].truth is not None
    assert json.loads(Path("here/summary.json").read_text()) == json.loads(out)
    assert "HOLD" in err


def test_a_run_leaves_a_closed_recording_and_a_report(capsys: pytest.CaptureFixture[str]) -> None:
    invoke(["run", *SHORT, "--out", "here", "--scenario", "muscle"])

    recording = load_recording(Path("here/run.mcap"))
    assert recording.complete
    assert recording.summary is not None
    assert recording.summary["verdict"] == "PASS"
    assert len(recording.truth["now_s"]) > 100
    assert "file scenario" in recording.metadata
    assert Path("here/report.html").read_text().startswith("<!doctype html>")
    assert "report     here/report.html" in capsys.readouterr().out


def test_without_a_terminal_there_are_plain_lines_and_no_control_codes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    invoke(["run", *SHORT, "--out", "here"])

    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "COOLING" in out
    assert max(len(line) for line in out.splitlines()) <= 80


def test_the_next_commands_that_a_run_names_do_run(capsys: pytest.CaptureFixture[str]) -> None:
    invoke(["run", *SHORT, "--out", "here"])
    lines = capsys.readouterr().out.split("next:\n")[1].splitlines()
    commands = [line.split("cryoctl ", 1)[1].split() for line in lines if "cryoctl " in line]

    codes = [invoke(command) for command in commands]

    assert [command[0] for command in commands] == ["plan", "run", "report"]
    assert codes == [0, 4, 0]


def test_a_second_run_does_not_overwrite_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    invoke(["run", *SHORT, "--out", "here"])
    before = Path("here/run.mcap").read_bytes()

    code = invoke(["run", *SHORT, "--out", "here"])

    assert code == 2
    assert "here already holds a run" in capsys.readouterr().err
    assert Path("here/run.mcap").read_bytes() == before


def test_runs_that_start_in_the_same_second_get_a_folder_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
    monkeypatch.setattr("cryoctl.run_options.utc_now", lambda: now)

    codes = [invoke(["run", *SHORT]) for _ in range(3)]

    name = "20261121-120000-n2o-20g"
    assert codes == [0, 0, 0]
    assert {path.name for path in Path("runs").iterdir()} == {name, f"{name}-2", f"{name}-3"}
    assert all((path / "report.html").exists() for path in Path("runs").iterdir())


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_treatment_is_explained_and_nothing_is_started(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, line, message = BROKEN[kind]
    Path("mine.toml").write_text(text)

    code = invoke(["run", "mine.toml"])

    out, err = capsys.readouterr()
    assert code == 2
    assert out == ""
    assert err.startswith(f"mine.toml:{line}: ")
    assert message in err
    assert sum(row.startswith("mine.toml:") for row in err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run", "no-such.toml"], 2, "no-such.toml: No such file"),
        (["run", "--device", "nonsense"], 2, "expected SCHEME:PATH"),
        (["run", "--device", "serail:/dev/null"], 2, "unknown scheme 'serail'"),
        (["run", "--device", "sim:n2o-20"], 2, "did you mean 'n2o-20g'?"),
        (["run", "--device", "sim:?sede=1"], 2, "did you mean 'seed'?"),
        (["run", "--device", "sim:co2-20g", "--set", "profile=n2o-20g"], 2, "its profile is co2-"),
        (["run", "--device", "sim:co2-20g", "--profile", "n2o-20g"], 2, "its profile is co2-20g"),
        (["run", "--fault", "tc_opne@3s"], 2, "tc_open"),
        (["run", "--fault", "tc_open"], 2, "tc_open"),
        (["run", "--scenario", "muscl"], 2, "muscle"),
        (["run", "--device", "sim:?seed=abc"], 2, "seed 'abc' is no whole number"),
        (["run", "--device", "tcp://h:1", "--seed", "1"], 2, "for simulated devices (sim:)"),
        (["run", "--speed", "fast"], 2, "neither max nor a factor"),
        (["run", "--speed", "0.09"], 2, "neither max nor a factor from 0.1 to 1000"),
        (["run", "--cycles", "1", "--set", "cycles.count=2"], 2, "give one of them"),
        (["plan", "mine.toml", "--profile", "co2-20g"], 2, "a TREATMENT names its own"),
        (["config", "show", "m.toml", "--profile", "co2-20g"], 2, "a TREATMENT names its own"),
        (["report", "x.mcap", "--out", "a", "--picture", "b"], 2, "not both"),
        (["report", "x.mcap", "--pdf", "a", "--picture", "b"], 2, "not both"),
        (["run", "--set", "cycles.cuont=1"], 2, "did you mean 'cycles.count'?"),
        (["config", "check", "--kind", "scenari", "x.toml"], 2, "unknown kind of file"),
        (["report", "no-such.mcap"], 2, "no-such.mcap"),
        (["rnu"], 2, "rnu"),
    ],
)
def test_a_mistake_gets_one_clear_message(
    arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(arguments) == code
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "code", "verdict"),
    [
        (
            ["--scenario", "low-gas", "--cycles", "2", "--set", "cycles.hold_s=60"],
            1,
            "NOT_EFFECTIVE",
        ),
        (["--fault", "tc_open@freeze+3s"], 4, "SAFETY_TRIP"),
        (["--fault", "disconnect@freeze+3s"], 3, "SAFETY_TRIP"),
        (["--cartridge-g", "1"], 1, "FAIL"),
    ],
)
def test_the_exit_code_tells_how_a_run_ended(
    arguments: list[str], code: int, verdict: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["run", *SHORT, *arguments, "--json", "--out", "here"]) == code
    summary = Summary.model_validate_json(capsys.readouterr().out)
    assert (summary.exit_code, summary.verdict) == (code, verdict)


def run_signalled(number: signal.Signals, *, at: str) -> tuple[int, str]:
    """Run in a process of its own, signalled when it says ``at``; return its code and the rest."""
    with subprocess.Popen(
        [sys.executable, "-m", "cryoctl", "run", "--speed", "20", "--out", "here"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if at in line:
                process.send_signal(number)
                break
        rest = process.stdout.read()
    return process.returncode, rest


@pytest.mark.requirement("SR-29")
@pytest.mark.real_time
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_makes_the_probe_safe_first_and_exits_130(number: signal.Signals) -> None:
    code, rest = run_signalled(number, at="COOLING")

    assert code == 130
    recording = load_recording(Path("here/run.mcap"))
    assert recording.telemetry["valve"][-1] == 0.0
    assert recording.telemetry["shutoff_open"][-1] == 0
    assert "OPERATOR_STOP" in rest


def test_a_speed_is_kept_and_changes_nothing_of_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = PatientClock(monkeypatch)
    hashes: list[str] = []
    summary: dict[str, Any] = {}
    for number, speed in enumerate(["max", "50x"]):
        assert invoke(["run", *SHORT, "--json", "--speed", speed, "--out", f"run{number}"]) == 0
        summary = json.loads(capsys.readouterr().out)
        hashes.append(summary["events_sha256"])

    assert hashes[0] == hashes[1]
    assert clock.slept_s == pytest.approx(summary["virtual_s"] / 50.0, abs=0.01)


def test_a_speed_that_cannot_be_kept_is_refused_with_the_rate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # A clock on which every look takes a millisecond stands for a machine that is too slow.
    looks = iter(range(10_000_000))
    monkeypatch.setattr("cryoctl.clock.monotonic_s", lambda: next(looks) * 0.001)

    code = invoke(["run", *SHORT, "--speed", "1000", "--json", "--out", "here"])

    summary = Summary.model_validate_json(capsys.readouterr().out)
    assert (code, summary.exit_code, summary.verdict) == (3, 3, "FAIL")
    assert "--speed 1000 cannot be kept on this machine" in summary.failure
    assert summary.trips == []


def test_an_error_inside_a_run_leaves_a_closed_recording_and_a_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def explode(*_arguments: object) -> None:
        raise ZeroDivisionError("made up")

    monkeypatch.setattr("cryoctl.phases.end_freeze", explode)

    assert invoke(["run", *SHORT, "--out", "here"]) == 4

    summary = Summary.model_validate_json(Path("here/summary.json").read_text("utf-8"))
    assert summary.failure == "internal error: ZeroDivisionError('made up')"
    assert [trip.id for trip in summary.trips] == ["INTERNAL"]
    assert load_recording(Path("here/run.mcap")).complete
    assert Path("here/report.html").exists()
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_report_is_never_written_over_its_recording(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["run", *SHORT, "--out", "here"]) == 0
    before = Path("here/run.mcap").read_bytes()

    for option in ("--out", "--picture", "--pdf"):
        assert invoke(["report", "here/run.mcap", option, "here/../here/run.mcap"]) == 2

    assert "is the recording itself" in capsys.readouterr().err
    assert Path("here/run.mcap").read_bytes() == before


@pytest.mark.requirement("SR-34")
def test_a_killed_run_can_be_recovered_once_and_reported(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_signalled(signal.SIGKILL, at="HOLD")

    assert invoke(["recover", "here/run.mcap"]) == 0
    assert invoke(["report", "here/run-recovered.mcap"]) == 0
    assert invoke(["recover", "here/run.mcap"]) == 2

    told = capsys.readouterr()
    assert "here/run-recovered.mcap is there already" in told.err
    assert load_recording(Path("here/run-recovered.mcap")).complete
    # The phase was recorded before it was shown.
    events = load_recording(Path("here/run-recovered.mcap")).events
    assert [e["target"] for e in events if e["kind"] == "phase"][-1] in ("COOLING", "HOLD")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, as Linux has it")
def test_a_summary_that_cannot_be_printed_is_no_success() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "cryoctl", "run", *SHORT, "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert done.returncode == 1
    assert "output not written: No space left on device" in done.stderr


def test_a_fault_whose_moment_never_comes_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    faults = ["--fault", "tc_spike@freeze+2s:1s", "--fault", "tc_open@tip_c<-99"]

    assert invoke(["run", *SHORT, *faults, "--out", "here"]) == 0
    shown = capsys.readouterr().out
    summary = Summary.model_validate_json(Path("here/summary.json").read_text("utf-8"))

    spike, never = summary.faults
    assert spike.began_s is not None
    assert spike.ended_s == pytest.approx(spike.began_s + 1.0)
    assert (never.began_s, never.ended_s) == (None, None)
    assert "fault tc_open@tip_c<-99: its moment never came" in shown
    assert "its moment never came" in Path("here/report.html").read_text("utf-8")


def test_plan_moves_nothing_and_says_what_blocks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["plan"]) == 0
    assert "COOLING" in capsys.readouterr().out
    assert invoke(["plan", "--cartridge-g", "3", "--json"]) == 1
    plan = json.loads(capsys.readouterr().out)
    assert [blocker["id"] for blocker in plan["blockers"]] == ["SR-22"]
    assert list(tmp_path.iterdir()) == []


def test_config_checks_files_of_every_kind_and_prints_their_schemas(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("mine.toml").write_text(GOOD)
    Path("place.toml").write_text("ambient_temp_c = 99.0\n")

    assert invoke(["config", "check", "mine.toml"]) == 0
    assert invoke(["config", "check", "--kind", "scenario", "place.toml"]) == 2
    assert "place.toml:1: ambient_temp_c" in capsys.readouterr().err
    for kind in ("treatment", "scenario", "vendor", "summary"):
        assert invoke(["config", "schema", kind]) == 0
        assert "properties" in json.loads(capsys.readouterr().out)


def test_an_unexpected_error_ends_with_exit_4_and_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def explode(*_: object) -> None:
        raise RuntimeError("made up")

    monkeypatch.setattr("cryoctl.command_run.run_treatment", explode)

    assert invoke(["run"]) == 4
    assert "made up" in capsys.readouterr().err


@pytest.mark.real_time
def test_a_reader_that_goes_away_does_not_end_the_treatment() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "cryoctl", "run", *SHORT, "--out", "here"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(timeout=50) == 0

    assert load_recording(Path("here/run.mcap")).complete


@pytest.mark.requirement("SR-33")
def test_a_full_disk_lets_the_run_end_and_is_never_called_a_success(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written = 0

    class FullDisk(BytesIO):
        def write(self, data: Any) -> int:
            nonlocal written
            written += len(data)
            if written > 300_000:
                raise OSError(28, "No space left on device")
            return len(data)

    monkeypatch.setattr(
        "cryoctl.runner.Recorder", lambda _stream, **rest: Recorder(FullDisk(), **rest)
    )
    monkeypatch.setattr("cryoctl.results.load_recording", lambda _path: None)
    monkeypatch.setattr("cryoctl.results.render_report", lambda *_: "")

    code = invoke(["run", "--cycles", "1", "--json", "--out", "here"])

    summary = Summary.model_validate_json(capsys.readouterr().out)
    assert code == 1
    assert summary.verdict == "PASS"
    assert "RECORDING_FAILED" in summary.alarms
    assert "No space left on device" in summary.failure
