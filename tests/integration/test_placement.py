"""Where the nerve is, found by stimulation, and what a freeze does to it: whole runs."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cryoctl
from cryoctl.cli import invoke
from cryoctl.core import Controller
from cryoctl.cycle_table import Phase
from cryoctl.lockstep import LockStep
from cryoctl.operator_requests import Request
from cryoctl.operators import AutomaticOperator
from cryoctl.stimulation import Stimulus
from cryoctl.supervisor import PeerLink, Supervisor
from cryoctl.virtual_time import VirtualTimeLoop
from cryoctl_protocol.codes import DeviceState, StimulusResponse, Trip
from cryoctl_simulator.device import SimulatedDevice
from tests.support.stack import Stack, build_stack, treatment

SPEED = 20.0
SHORT = {"cycles.count": 1, "cycles.setpoint_c": -40.0, "cycles.hold_s": 2.0}


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


# -- scenarios through the command line -----------------------------------------------------------


def nerve_of(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    """Return the nerve in the summary of a whole run of the built-in treatment."""
    assert invoke(["run", "--json", "--out", "here", *options]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary == json.loads(Path("here/summary.json").read_text())
    found: dict[str, Any] = summary["placements"][0]["nerve"]
    return found


def test_a_nerve_beside_the_needle_is_covered(capsys: pytest.CaptureFixture[str]) -> None:
    nerve = nerve_of(capsys, "--scenario", "muscle")

    assert (nerve["outcome"], nerve["injury"]) == ("covered", "axonotmesis")
    assert nerve["min_temp_c"] < -25.0
    assert nerve["below_minus20_s"] > 120.0
    assert nerve["covered_mm"] >= 4.0
    assert (nerve["regrowth_days_low"], nerve["regrowth_days_high"]) == (50.0, 100.0)
    assert "estimate" in nerve["source"]


def test_a_misplaced_needle_passes_and_misses_the_nerve(capsys: pytest.CaptureFixture[str]) -> None:
    nerve = nerve_of(capsys, "--scenario", "misplaced")

    assert (nerve["outcome"], nerve["covered_mm"]) == ("misplaced", 0.0)
    assert nerve["min_temp_c"] > -20.0
    assert (nerve["regrowth_days_low"], nerve["regrowth_days_high"]) == (None, None)


def test_an_oblique_nerve_is_touched_and_not_covered(capsys: pytest.CaptureFixture[str]) -> None:
    nerve = nerve_of(capsys, "--scenario", "oblique-nerve")

    assert nerve["outcome"] == "zone_too_small"
    assert 0.0 < nerve["touched_mm"] < 4.0
    assert nerve["covered_mm"] <= nerve["touched_mm"]


def test_people_are_told_as_well_and_what_it_is_worth(capsys: pytest.CaptureFixture[str]) -> None:
    invoke(["run", "--scenario", "misplaced", "--cycles", "1", "--out", "here"])

    out = capsys.readouterr().out
    assert "nerve (truth, estimate): MISPLACED: the -20 °C zone does not touch it" in out
    assert max(len(line) for line in out.splitlines()) <= 80
    report = Path("here/report.html").read_text()
    assert "Nerve at the end (truth, simulator only; an estimate)" in report
    assert "misplaced" in report


def test_a_run_in_air_says_nothing_of_a_nerve(capsys: pytest.CaptureFixture[str]) -> None:
    invoke(["run", "--json", "--scenario", "air-check", "--cycles", "1", "--out", "here"])

    assert json.loads(capsys.readouterr().out)["placements"][0]["nerve"] is None
    assert "Nerve at the end" not in Path("here/report.html").read_text()


# -- stimulation in both shells --------------------------------------------------------------------


class PlacingOperator:
    """Looks for the nerve with weaker and weaker pulses, then lets the treatment begin."""

    def __init__(self, *amplitudes_ma: float) -> None:
        self.responses: list[int | None] = []
        self.refusals: list[str] = []
        self._left = list(amplitudes_ma)
        self._rest = AutomaticOperator()
        self._placed = False

    def stays(self, controller: Controller) -> bool:
        return False

    def act(self, controller: Controller, now_s: float) -> None:
        stimulation = controller.stimulation
        if controller.phase is Phase.READY and not self._placed:
            self._placed = True
            self._note(controller.request(Request.PLACE, now_s))
        elif controller.phase is not Phase.PLACEMENT:
            self._rest.act(controller, now_s)
        elif stimulation.is_over:
            if stimulation.counter is not None:
                self.responses.append(stimulation.response)
            if self._left:
                stimulus = Stimulus(2.0, 0.1, self._left.pop(0), 0.5)
                self._note(controller.request(Request.STIMULATE, now_s, stimulus))
            else:
                self._note(controller.request(Request.PLACED, now_s))

    def _note(self, refusal: Any) -> None:
        if refusal is not None:
            self.refusals.append(refusal.reason)


def stack(scenario: str = "muscle") -> Stack:
    plan = treatment("n2o-20g", count=1, hold_s=5.0)
    return build_stack(query=f"scenario={scenario}", plan=plan)


def in_lock_step(subject: Stack, operator: PlacingOperator) -> None:
    LockStep(subject.controller, subject.peer, operator).run(until_s=3600.0)


def in_a_loop(subject: Stack, operator: PlacingOperator) -> None:
    shell = Supervisor(subject.controller, PeerLink(subject.peer), operator)
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(shell.run(until_s=3600.0))


Drive = Callable[[Stack, PlacingOperator], None]


@pytest.mark.requirement("SR-41")
@pytest.mark.parametrize("drive", [in_lock_step, in_a_loop])
def test_the_threshold_tells_the_distance_and_the_treatment_follows(drive: Drive) -> None:
    subject, operator = stack(), PlacingOperator(1.0, 0.5, 0.41, 0.39)

    drive(subject, operator)

    # 1 mm beside the tip: 0.2 mA + 0.2 mA/mm2.
    assert operator.responses == [2, 2, 2, 0]
    assert operator.refusals == []
    assert subject.controller.phase is Phase.COMPLETE
    assert subject.controller.trips == []


def test_both_shells_leave_the_same_log_of_a_placement() -> None:
    hashes = []
    for drive in (in_lock_step, in_a_loop):
        subject = stack()
        drive(subject, PlacingOperator(1.0, 0.3))
        hashes.append(subject.controller.events_sha256)

    assert hashes[0] == hashes[1]


def test_a_misplaced_needle_is_told_by_the_current_it_takes() -> None:
    subject, operator = stack("misplaced"), PlacingOperator(5.0, 1.0)

    in_lock_step(subject, operator)

    assert operator.responses == [0, 0]


@pytest.mark.requirement("SR-41")
def test_a_controller_that_falls_silent_leaves_no_current_on() -> None:
    subject = stack()
    shell = LockStep(subject.controller, subject.peer, PlacingOperator(1.0))
    shell.run(until_s=12.0)
    while subject.controller.stimulation.answer is None:
        shell.step()
    device = subject.peer
    assert isinstance(device, SimulatedDevice)
    firmware = device.firmware
    assert firmware is not None
    was_on = firmware.outputs.stimulus_ua
    device.advance_to(shell.now_s + 0.36, b"")

    assert (was_on, firmware.outputs.stimulus_ua) == (1_000, 0)
    assert (firmware.state.state, firmware.state.trip) == (DeviceState.FAULT, Trip.LEASE)


# -- from Python -----------------------------------------------------------------------------------


@pytest.mark.real_time
@pytest.mark.requirement("SR-41")
def test_a_live_probe_finds_its_nerve_and_its_recording_replays() -> None:
    with cryoctl.connect("sim:", speed=SPEED, set=SHORT, out="here") as probe:
        with pytest.raises(cryoctl.ProbeError, match="in PLACEMENT alone, not in IDLE"):
            probe.stimulate(frequency_hz=2, pulse_ms=0.1, amplitude_ma=1.0)
        probe.begin()
        with pytest.raises(cryoctl.ProbeError, match="READY: ask to place the needle first"):
            probe.stimulate(frequency_hz=2, pulse_ms=0.1, amplitude_ma=1.0)
        probe.place()
        strong = probe.stimulate(frequency_hz=2, pulse_ms=0.1, amplitude_ma=1.0)
        felt = probe.stimulate(frequency_hz=50, pulse_ms=0.1, amplitude_ma=1.0, duration_s=1.0)
        weak = probe.stimulate(frequency_hz=2, pulse_ms=0.1, amplitude_ma=0.3, duration_s=1.0)
        with pytest.raises(cryoctl.ProbeError, match="amplitude_ma 6 is out of range"):
            probe.stimulate(frequency_hz=2, pulse_ms=0.1, amplitude_ma=6.0)
        with pytest.raises(ValueError, match="pulse_ms 'wide': expected a number"):
            probe.stimulate(frequency_hz=2, pulse_ms="wide", amplitude_ma=1.0)  # type: ignore[arg-type]
        with pytest.raises(cryoctl.ProbeError, match="no treatment runs in PLACEMENT"):
            probe.wait()
        with pytest.raises(cryoctl.ProbeError, match="ARM is not possible in PLACEMENT"):
            probe.arm()
        probe.placed()
        probe.arm()
        probe.start()
        verdict = probe.wait()
    result = probe.close()

    assert (strong, felt, weak) == (
        StimulusResponse.MOTOR,
        StimulusResponse.SENSORY,
        StimulusResponse.NONE,
    )
    assert verdict is cryoctl.Verdict.PASS
    assert result.telemetry["stimulus_ma"].max() == 1.0
    assert set(result.telemetry["stimulus_response"]) == {0.0, 1.0, 2.0}
    assert result.truth["stimulus_ratio"].max() == pytest.approx(2.5)
    on = result.telemetry["stimulus_ma"] > 0.0
    assert result.telemetry["valve"][on].max() == 0.0
    assert result.replay().answer == "IDENTICAL"


@pytest.mark.real_time
async def test_the_same_can_be_awaited() -> None:
    async with await cryoctl.aio.connect("sim:", speed=SPEED, set=SHORT) as probe:
        await probe.begin()
        await probe.place()
        response = await probe.stimulate(
            frequency_hz=2, pulse_ms=0.1, amplitude_ma=1.0, duration_s=0.5
        )
        await probe.placed()
        phase = probe.phase

    assert (response, phase) == (StimulusResponse.MOTOR, Phase.READY)


@pytest.mark.real_time
@pytest.mark.requirement("SR-41")
@pytest.mark.requirement("SR-29")
def test_a_stop_ends_a_stimulus_and_whoever_waits_for_it_is_told() -> None:
    with cryoctl.connect("sim:", speed=SPEED, set=SHORT) as probe:
        probe.begin()
        probe.place()
        stopper = threading.Timer(0.1, probe.stop)
        stopper.start()
        with pytest.raises(cryoctl.ProbeError, match="broken off: OPERATOR_STOP"):
            probe.stimulate(frequency_hz=2, pulse_ms=0.1, amplitude_ma=1.0, duration_s=30.0)
        stopper.join()
        sample = probe.sample

    assert sample is not None
    assert sample.stimulus_ma == 0.0
