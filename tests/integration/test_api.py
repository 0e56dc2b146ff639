"""The library does what the command line does, in a script, a notebook and a coroutine."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cryoctl
from cryoctl.cli import invoke
from cryoctl.recording import RecordingError, load_recording
from cryoctl.replay import Answer
from cryoctl.run_thread import Outcome
from cryoctl.stop_signals import StopSwitch
from cryoctl_protocol.peer import AddressError, LinkError, Opened
from cryoctl_protocol.toml_text import FileError
from tests.support.patient_clock import PatientClock

SHORT = {"cycles.count": 1, "cycles.hold_s": 5, "cycles.setpoint_c": -40.0}
TIMES = {"cpu_s", "wall_s", "recording", "audit", "audit_head"}
UNTIL_S = 30.0
SCRIPT = """\
import signal

import cryoctl

signal.signal(signal.SIGINT, signal.default_int_handler)  # Whatever this process inherited.
print("running", flush=True)
try:
    cryoctl.run(speed=20, out="here")
except KeyboardInterrupt:
    print("stopped", cryoctl.load("here/run.mcap").verdict)
"""


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def wait_until(phase: str, recording: Path) -> None:
    """Return when a recording that is being written has got to ``phase``."""
    deadline_s = time.monotonic() + UNTIL_S
    while phase not in phases(recording):
        assert time.monotonic() < deadline_s, f"no {phase}"
        time.sleep(0.05)


def phases(recording: Path) -> list[str]:
    """Return the phases that a recording has so far; none if it is not there yet."""
    try:
        events = load_recording(recording).events
    except RecordingError:
        return []
    return [event["target"] for event in events if event["kind"] == "phase"]


def test_a_run_is_that_of_the_command_line() -> None:
    options = ["--seed", "7", "--scenario", "fat", "--fault", "tc_spike@freeze+2s:1s"]
    settings = [word for key, value in SHORT.items() for word in ("--set", f"{key}={value}")]
    code = invoke(["run", *options, *settings, "--json", "--out", "there"])

    result = cryoctl.run(
        seed=7, scenario="fat", faults=["tc_spike@freeze+2s:1s"], set=SHORT, out="here"
    )

    assert result.summary is not None
    told = json.loads(Path("there/summary.json").read_text("utf-8"))
    assert json.loads(Path("here/summary.json").read_text("utf-8")) == result.summary.model_dump(
        mode="json"
    )
    assert without_times(result.summary.model_dump(mode="json")) == without_times(told)
    assert without_times(result.metadata) == without_times(cryoctl.load("there/run.mcap").metadata)
    assert result.exit_code == code
    assert Path("here/report.html").exists()


def without_times(told: dict[str, Any]) -> dict[str, Any]:
    return {key: told[key] for key in told.keys() - TIMES - {"started_utc"}}


def test_a_result_holds_the_run_and_can_be_loaded_again() -> None:
    result = cryoctl.run(set=SHORT)

    again = cryoctl.load(result.recording)
    assert result.verdict is cryoctl.Verdict.PASS
    assert result.verdict == "PASS"
    assert (result.exit_code, result.failure, result.trips, result.faults) == (0, "", [], [])
    assert result.telemetry["tip_temp_c"].min() == pytest.approx(-40.0, abs=3.0)
    assert result.truth["ice_radius_mm"].max() > 1.0
    assert result.replay().answer is Answer.IDENTICAL
    assert result.folder.parent == Path("runs")
    assert again.summary == result.summary
    assert np.array_equal(again.telemetry["tip_temp_c"], result.telemetry["tip_temp_c"])


def test_a_fault_is_a_result_and_no_exception() -> None:
    result = cryoctl.run(set=SHORT, faults=["tc_open@freeze+1s"])

    assert result.verdict is cryoctl.Verdict.SAFETY_TRIP
    assert result.exit_code == 4
    assert [trip.id for trip in result.trips][:1] == ["TIP_SENSOR"]
    assert [fault.fault for fault in result.faults] == ["tc_open@freeze+1s"]


@pytest.mark.parametrize("speed", [None, 50])
async def test_a_run_works_where_an_event_loop_is_running(
    speed: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    PatientClock(monkeypatch)

    result = cryoctl.run(set=SHORT, speed=speed)

    assert result.verdict is cryoctl.Verdict.PASS
    assert result.metadata["speed"] == ("50" if speed else "max")


async def test_coroutines_run_side_by_side_and_as_the_functions_do() -> None:
    first, second = await asyncio.gather(
        cryoctl.aio.run(set=SHORT, seed=7), cryoctl.aio.run(set=SHORT, seed=7)
    )

    assert first.folder != second.folder
    assert first.summary is not None
    assert second.summary is not None
    assert first.summary.events_sha256 == second.summary.events_sha256
    assert first.summary.verdict == "PASS"


async def test_an_error_of_a_coroutine_is_that_of_the_function() -> None:
    with pytest.raises(AddressError, match="did you mean 'tc_open'"):
        await cryoctl.aio.run(faults=["tc_opne@3s"])


def test_the_coroutine_takes_what_the_function_takes() -> None:
    assert inspect.signature(cryoctl.aio.run) == inspect.signature(cryoctl.run)


@pytest.mark.requirement("SR-29")
@pytest.mark.real_time
async def test_a_cancelled_coroutine_stops_the_probe_and_waits_until_it_is_safe() -> None:
    recording = Path("here/run.mcap")
    task = asyncio.create_task(cryoctl.aio.run(speed=20, out="here"))
    await asyncio.to_thread(wait_until, "HOLD", recording)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    result = cryoctl.load(recording)
    assert (result.verdict, result.exit_code) == (cryoctl.Verdict.ABORTED, 130)
    assert "NOT_RELEASED" in result.alarms  # It did not wait for the thaw.
    assert (result.telemetry["valve"][-1], result.telemetry["shutoff_open"][-1]) == (0.0, 0)
    assert (result.folder / "report.html").exists()


@pytest.mark.requirement("SR-29")
@pytest.mark.real_time
def test_ctrl_c_in_a_script_raises_when_the_needle_is_free_and_the_results_are_written() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        wait_until("HOLD", Path("here/run.mcap"))
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()

    assert (process.returncode, rest) == (0, "stopped ABORTED\n")
    assert "NOT_RELEASED" not in cryoctl.load("here/run.mcap").alarms
    assert Path("here/report.html").exists()


@pytest.mark.requirement("SR-29")
def test_a_run_that_nobody_waits_for_any_more_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[Future[Outcome]] = []

    def interrupted_at_once(future: Future[Outcome], _switch: StopSwitch) -> Outcome:
        left.append(future)
        raise KeyboardInterrupt

    monkeypatch.setattr("cryoctl.api.wait_for", interrupted_at_once)

    with pytest.raises(KeyboardInterrupt):
        cryoctl.run()

    assert left[0].result(UNTIL_S).result.verdict is cryoctl.Verdict.ABORTED


def test_results_that_cannot_be_written_are_a_warning_and_the_verdict_stays() -> None:
    Path("here/report.html").mkdir(parents=True)

    with pytest.warns(RuntimeWarning, match="here: results not written: Is a directory"):
        result = cryoctl.run(set=SHORT, out="here")

    assert result.verdict is cryoctl.Verdict.PASS


@pytest.mark.parametrize(
    ("asked", "kind", "message"),
    [
        ({"treatment": "no-such.toml"}, FileError, r"no-such\.toml: No such file"),
        ({"set": {"cycles.cuont": 1}}, FileError, r"did you mean 'cycles\.count'\?"),
        ({"set": {"cycles.hold_s": 999}}, FileError, "allowed: 1 to 150 s"),
        ({"vendor": "none.toml"}, FileError, r"none\.toml: No such file"),
        ({"device": "nonsense"}, AddressError, "expected SCHEME:PATH"),
        ({"scenario": "muscl"}, AddressError, "muscle"),
        ({"faults": ["tc_opne@3s"]}, AddressError, "did you mean 'tc_open'"),
        ({"seed": -1}, AddressError, "seed '-1' is no whole number"),
        ({"device": "tcp://127.0.0.1:1"}, LinkError, "Connection refused"),
        ({"out": "taken"}, FileExistsError, "taken already holds a run"),
        ({"speed": 0}, ValueError, "speed 0: expected a number"),
    ],
)
def test_a_mistake_gets_one_clear_message_and_starts_nothing(
    asked: dict[str, Any], kind: type[Exception], message: str, tmp_path: Path
) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "run.mcap").write_bytes(b"")

    with pytest.raises(kind, match=message):
        cryoctl.run(**asked)

    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


class SilentLink:
    """A link to a probe that never says anything; counts how often it is given up."""

    line_errors = 0

    def __init__(self) -> None:
        self.aborted = 0

    def abort(self) -> None:
        self.aborted += 1


def test_a_real_device_is_not_armed_unless_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    link: Any = SilentLink()
    opened = Opened(description="TCP there:1", link=link)
    monkeypatch.setattr("cryoctl.runner.open_device", lambda _url: opened)

    with pytest.raises(AddressError, match=r"by hand, through cryoctl\.connect; .*arm_and_start"):
        cryoctl.run(device="tcp://there:1")

    assert link.aborted == 1
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def served() -> Iterator[str]:
    """Serve a simulated probe in a process of its own; yield its address."""
    with subprocess.Popen(
        [sys.executable, "-m", "cryoctl", "sim", "--tcp", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        yield next(line.split()[1] for line in process.stdout if line.startswith("at "))
        process.terminate()
        process.communicate()


@pytest.mark.requirement("SR-29")
@pytest.mark.real_time
async def test_a_real_device_is_driven_and_stopped_where_an_event_loop_is_running(
    served: str,
) -> None:
    recording = Path("here/run.mcap")
    task = asyncio.create_task(cryoctl.aio.run(device=served, arm_and_start=True, out="here"))
    await asyncio.to_thread(wait_until, "SELF_TEST", recording)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    result = cryoctl.load(recording)
    assert (result.verdict, result.exit_code) == (cryoctl.Verdict.ABORTED, 130)
    assert result.metadata["device"] == served
    assert len(result.truth.get("now_s", [])) == 0


def test_importing_the_package_imports_nothing_heavy_until_a_name_is_used() -> None:
    heavy = "{'numpy', 'pydantic', 'mcap', 'cryoctl.runner'}"
    script = f"import sys, cryoctl; print({heavy} & set(sys.modules)); cryoctl.run; dir(cryoctl)"

    done = subprocess.run(
        [sys.executable, "-c", f"{script}; print(sorted({heavy} & set(sys.modules)))"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "set()\n['cryoctl.runner', 'mcap', 'numpy', 'pydantic']\n"


def test_every_name_of_the_package_can_be_had_and_no_other() -> None:
    assert all(getattr(cryoctl, name) is not None for name in cryoctl.__all__)
    assert set(cryoctl.__all__) <= set(dir(cryoctl))
    assert callable(cryoctl.run)
    with pytest.raises(AttributeError, match="module 'cryoctl' has no attribute 'rnu'"):
        cryoctl.rnu  # type: ignore[attr-defined]  # noqa: B018
