"""SR-39: an exception anywhere in what drives a probe leaves it off within 100 ms, exit code 4."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cryoctl.core import Controller
from cryoctl.cycle_table import Phase
from cryoctl.recorder import Recorder
from cryoctl.run_options import RunOptions, make_options
from cryoctl.runner import run_treatment
from cryoctl.sample import Sample
from cryoctl.stop_signals import StopSwitch
from cryoctl_hil.assurance.awaits import (
    SCENARIOS,
    never_come_to,
    points,
    shoot_awaits,
    shoot_callbacks,
)
from tests.support.tree import ROOT

AWAITS = {
    "src/cryoctl/supervisor.py": "a gate at each of them, below",
    "src/cryoctl/virtual_time.py": "what it raises comes out at the shell's await",
    "src/cryoctl/port_link.py": "what it raises comes out at the shell's await",
    "src/cryoctl/aio.py": "in the caller's loop: the run has a thread of its own",
    "src/cryoctl/mqtt_link.py": "what it raises comes out at the shell's await",
    "protocol/cryoctl_protocol/mqtt/connection.py": "ends the link, whose reader is told",
    "protocol/cryoctl_protocol/mqtt/device_side.py": "the probe's own lease is what ends outputs",
    "simulator/cryoctl_simulator/served/mqtt_endpoint.py": "as the one before",
    "simulator/cryoctl_simulator/served/fleet.py": "as the one before",
    "src/cryoctl/gateway.py": "holds no key; its end is a link loss like any other",
    "src/cryoctl/command_gateway.py": "as the one before",
    "src/cryoctl/progress.py": "shows what is heard, and sends nothing",
    "src/cryoctl/command_monitor.py": "sends nothing",
    "src/cryoctl/command_fleet.py": "sends nothing",
    "src/cryoctl/conform.py": "it ends with STOP, and its leases with it",
    "src/cryoctl/ui/app.py": "in the web's thread: control has one of its own",
    "src/cryoctl/ui/gate.py": "as the one before",
    "src/cryoctl/ui/run_station.py": "as the one before",
    "src/cryoctl/ui/station.py": "as the one before",
    "src/cryoctl/ui/stream.py": "as the one before",
}
"""Where the program awaits, and why an error there is answered."""


@pytest.mark.requirement("SR-39")
def test_no_file_awaits_that_is_not_thought_of() -> None:
    awaiting = {
        path.relative_to(ROOT).as_posix()
        for package in ("src", "simulator", "protocol")
        for path in (ROOT / package).rglob("*.py")
        if any(isinstance(node, ast.Await) for node in ast.walk(ast.parse(path.read_text("utf-8"))))
    }

    assert awaiting == set(AWAITS)


@pytest.mark.requirement("SR-39")
def test_every_await_of_the_shell_is_come_to() -> None:
    assert len(points()) >= 17
    assert never_come_to() == []


@pytest.mark.requirement("SR-39")
def test_an_exception_at_any_await_of_a_treatment_leaves_the_probe_off_within_100_ms() -> None:
    shots = shoot_awaits(SCENARIOS[0], ["before"])

    assert len([shot for shot in shots if shot.where.endswith("in the hold")]) >= 6
    assert [shot.where for shot in shots if shot.seconds is None or shot.seconds > 0.1001] == []


@pytest.mark.requirement("SR-39")
def test_an_exception_while_a_lost_link_is_brought_back_is_no_link_that_cannot_be_opened() -> None:
    scenario = next(each for each in SCENARIOS if each.name == "a link that goes and comes back")

    shots = shoot_awaits(scenario, ["after"])

    assert [shot.where for shot in shots if "asyncio.wait([opening])" in shot.where] != []
    assert [shot.where for shot in shots if shot.seconds is None or shot.seconds > 0.1001] == []


@pytest.mark.requirement("SR-39")
def test_an_exception_in_anything_called_back_leaves_the_probe_off_within_100_ms() -> None:
    shots = shoot_callbacks()

    assert len(shots) == 16
    assert [shot.where for shot in shots if shot.seconds is None or shot.seconds > 0.1001] == []


@pytest.mark.requirement("SR-39")
def test_a_shell_that_says_nothing_after_an_error_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Controller, "crash", lambda *_: [])

    shots = shoot_callbacks()

    assert all(shot.seconds is not None and shot.seconds > 0.1 for shot in shots)


class BoomError(Exception):
    """What nobody expects."""


def options_of(folder: Path, *, speed: float | None) -> RunOptions:
    return make_options(
        None,
        device="sim:",
        seed=1,
        speed=speed,
        settings=("cycles.hold_s=30",),
        scenario=None,
        faults=(),
        vendor=None,
        cartridge_g=None,
        bench_waiver="",
        out=folder / "run",
    )


def in_hold(controller: Controller) -> bool:
    return controller.phase is Phase.HOLD


@pytest.mark.requirement("SR-39")
@pytest.mark.parametrize("speed", [None, 500.0])
def test_a_display_that_raises_ends_the_run_with_exit_code_4(
    tmp_path: Path, speed: float | None, capfd: pytest.CaptureFixture[str]
) -> None:
    def show(controller: Controller, now_s: float) -> None:
        if in_hold(controller):
            raise BoomError(f"at {now_s}")

    options = options_of(tmp_path, speed=speed)
    summary = run_treatment(options, StopSwitch(), show)

    assert (summary.exit_code, summary.trips[0].id) == (4, "INTERNAL")
    assert "BoomError" in capfd.readouterr().err


@pytest.mark.requirement("SR-39")
def test_a_recorder_that_raises_ends_the_run_with_exit_code_4(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    keep = Recorder.sample

    def keep_or_fail(recorder: Recorder, sample: Sample, now_s: float) -> None:
        if now_s > 40.0:
            raise BoomError
        keep(recorder, sample, now_s)

    monkeypatch.setattr(Recorder, "sample", keep_or_fail)
    options = options_of(tmp_path, speed=None)
    summary = run_treatment(options, StopSwitch())

    assert summary.exit_code == 4
    assert "BoomError" in capfd.readouterr().err


# -- SR-40 ---


def optimised(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
        env={**os.environ, "PYTHONOPTIMIZE": ""},
    )


@pytest.mark.requirement("SR-40")
def test_the_program_refuses_to_run_without_assertions() -> None:
    told = optimised("-O", "-m", "cryoctl", "--help")

    assert told.returncode == 2
    assert told.stdout == ""
    assert told.stderr == (
        "cryoctl: assertions are off, and a program that drives a probe relies on them: run it "
        "without python -O and without PYTHONOPTIMIZE (SR-40)\n"
    )


@pytest.mark.requirement("SR-40")
@pytest.mark.parametrize("call", ["run(out='none')", "connect('sim:', out='none')"])
def test_the_library_refuses_to_drive_without_assertions(call: str, tmp_path: Path) -> None:
    code = f"import os; os.chdir({str(tmp_path)!r}); import cryoctl; cryoctl.{call}"
    told = optimised("-O", "-c", code)

    assert told.returncode == 1
    assert "AssertionsOffError: assertions are off" in told.stderr
    assert list(tmp_path.iterdir()) == []
