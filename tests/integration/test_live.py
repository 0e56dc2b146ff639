"""A live session from Python: step by step, refused, broken off, left in every way."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cryoctl
from cryoctl.alarm_board import AlarmBoard
from cryoctl.cycle_table import Phase
from cryoctl.replay import replay
from cryoctl.results import Result
from cryoctl_protocol.peer import AddressError, LinkError

pytestmark = [pytest.mark.real_time, pytest.mark.timeout(60)]

SPEED = 20.0
SHORT = {"cycles.count": 1, "cycles.setpoint_c": -40.0, "cycles.hold_s": 2.0}
TRIED_S = 5.0


@pytest.fixture(autouse=True)
def no_session_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    until_s = time.monotonic() + TRIED_S
    while any(t.name == "cryoctl-run" for t in threading.enumerate()):
        assert time.monotonic() < until_s, "a session goes on"
        time.sleep(0.01)


def connect(**changes: Any) -> cryoctl.Probe:
    """Open a session with a simulated probe that lives twenty times as fast."""
    arguments: dict[str, Any] = {"speed": SPEED, "set": SHORT} | changes
    return cryoctl.connect("sim:", **arguments)


def freezing(probe: cryoctl.Probe) -> cryoctl.Probe:
    """Take a probe through all steps to COOLING."""
    probe.begin()
    probe.arm()
    probe.start()
    probe.wait(lambda probe: probe.phase is Phase.COOLING)
    return probe


def tip_c(probe: cryoctl.Probe) -> float:
    """Return the newest tip temperature, °C."""
    assert probe.sample is not None
    assert probe.sample.tip_temp_c is not None
    return probe.sample.tip_temp_c


def test_a_treatment_step_by_step_and_then_another() -> None:
    with connect() as probe:
        phases = [probe.phase]
        probe.begin()
        phases.append(probe.phase)
        blockers = probe.blockers
        probe.arm()
        phases.append(probe.phase)
        probe.start()
        cold = probe.wait(lambda probe: tip_c(probe) < -30.0)
        seen_c = tip_c(probe)
        first = probe.wait()
        probe.reset()
        freezing(probe)
        second = probe.wait(timeout_s=300.0)
    result = probe.close()

    assert phases == [Phase.IDLE, Phase.READY, Phase.ARMED]
    assert blockers == []
    assert cold is None
    assert -45.0 < seen_c < -30.0
    assert (first, second) == (cryoctl.Verdict.PASS, cryoctl.Verdict.PASS)
    assert result.verdict is cryoctl.Verdict.PASS
    assert result.telemetry["tip_temp_c"].min() < -38.0
    assert (result.folder / "report.html").exists()


def test_a_refused_step_says_why_and_changes_nothing() -> None:
    with connect() as probe:
        with pytest.raises(cryoctl.ProbeError, match="arm refused: SR-19: no passed leak test"):
            probe.arm()
        with pytest.raises(cryoctl.ProbeError, match="no treatment runs in IDLE"):
            probe.wait()
        with pytest.raises(TimeoutError, match="still IDLE after 1 s"):
            probe.wait(lambda _: False, timeout_s=1.0)
        phase = probe.phase
        probe.begin()

    assert phase is Phase.IDLE


def test_a_session_closed_before_any_treatment_is_aborted_and_leaves_its_recording() -> None:
    with connect() as probe:
        probe.begin()
    result = probe.close()

    assert (result.verdict, result.exit_code) == (cryoctl.Verdict.ABORTED, 130)
    assert result.trips == []
    assert result.telemetry["valve"].max() == 0.0


def test_a_fault_breaks_the_treatment_off_and_its_cause_is_told() -> None:
    with freezing(connect()) as probe:
        probe.inject("flow_open@0s")
        with pytest.raises(ValueError, match="no_such_fault"):
            probe.inject("no_such_fault@0s")
        with pytest.raises(ValueError, match="fault 5: expected a text"):
            probe.inject(5)  # type: ignore[arg-type]
        verdict = probe.wait()
        why = probe.why_ended

    assert verdict is cryoctl.Verdict.SAFETY_TRIP
    assert why.startswith("SENSOR_OPEN: ")


@pytest.mark.requirement("SR-27")
@pytest.mark.requirement("SR-32")
def test_alarms_are_quieted_and_a_trip_is_reset_apart_and_a_replay_has_the_same_board() -> None:
    with freezing(connect()) as probe:
        probe.inject("flow_open@0s")
        probe.wait()
        (raised, *_) = probe.alarms.lines
        probe.pause_audio()
        paused_s = probe.alarms.pause_left_s
        with pytest.raises(cryoctl.ProbeError, match="pause_audio refused: no alarm sounds"):
            probe.pause_audio()
        probe.acknowledge()
        acknowledged = probe.alarms.lines[0]
        phase = probe.phase
        with pytest.raises(cryoctl.ProbeError, match="no alarm to acknowledge"):
            probe.acknowledge()
        result = probe.close()
        board = probe._controller.board

    boards: list[AlarmBoard] = []
    replay(result.recording, on_tick=lambda controller, _: boards.append(controller.board))

    assert (raised.alarm.id, raised.signal, raised.first_out) == ("SENSOR_OPEN", "on", True)
    assert 110.0 < paused_s <= 120.0
    assert (acknowledged.signal, acknowledged.held, phase) == ("acknowledged", True, Phase.FAULT)
    assert boards[-1].log == board.log


def left_with(error: BaseException) -> Result:
    """Leave a session in mid-freeze with an error; return what it came to."""
    probe = freezing(connect())
    with pytest.raises(type(error)), probe:
        raise error
    return probe.close()


@pytest.mark.requirement("SR-29")
@pytest.mark.parametrize("error", [RuntimeError("a bug"), KeyboardInterrupt(), SystemExit(3)])
def test_whatever_leaves_the_block_the_probe_is_stopped_and_the_needle_freed(
    error: BaseException,
) -> None:
    result = left_with(error)

    assert result.verdict is cryoctl.Verdict.ABORTED
    assert [trip.id for trip in result.trips] == ["OPERATOR_STOP"]
    assert result.trips[0].time_to_safe_ms is not None
    assert result.telemetry["valve"][-1] == 0.0
    assert result.telemetry["tip_temp_c"][-1] > 5.0


def test_stop_returns_when_the_probe_is_safe() -> None:
    with freezing(connect()) as probe:
        probe.stop()
        phase, sample = probe.phase, probe.sample

    assert phase in (Phase.SAFE, Phase.FAULT)
    assert sample is not None
    assert (sample.valve, sample.shutoff_open) == (0.0, 0)


def test_a_session_that_is_forgotten_stops_its_probe(tmp_path: Path) -> None:
    probe: cryoctl.Probe | None = freezing(connect(out=tmp_path / "forgotten"))
    assert probe is not None
    del probe
    gc.collect()
    until_s = time.monotonic() + TRIED_S
    summary = tmp_path / "forgotten" / "summary.json"
    while not summary.exists() and time.monotonic() < until_s:
        time.sleep(0.01)

    assert '"OPERATOR_STOP"' in summary.read_text()


def test_a_program_that_ends_without_closing_ends_and_leaves_a_safe_probe(tmp_path: Path) -> None:
    program = (
        "import cryoctl\n"
        f"probe = cryoctl.connect('sim:', speed={SPEED}, set={SHORT}, out='left')\n"
        "probe.begin(); probe.arm(); probe.start()\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, timeout=30.0, check=False, text=True,
        capture_output=True,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    assert cryoctl.load(tmp_path / "left" / "run.mcap").telemetry["valve"][-1] == 0.0


def test_a_session_works_where_an_event_loop_is_running() -> None:
    async def cell() -> cryoctl.Verdict | None:
        with connect() as probe:
            probe.begin()
        return probe.close().verdict

    assert asyncio.run(cell()) is cryoctl.Verdict.ABORTED


async def test_the_same_steps_can_be_awaited_and_the_loop_stays_free() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.01)

    counting = asyncio.create_task(count())
    async with await cryoctl.aio.connect("sim:", speed=SPEED, set=SHORT) as probe:
        await probe.begin()
        await probe.arm()
        await probe.start()
        await probe.wait(lambda probe: probe.phase is Phase.HOLD)
        await probe.inject("gas_low@0s")
        await probe.stop()
    result = await probe.close()
    counting.cancel()
    await asyncio.gather(counting, return_exceptions=True)

    assert turns > 20
    assert [trip.id for trip in result.trips] == ["OPERATOR_STOP"]


async def test_a_cancelled_task_leaves_its_probe_safe() -> None:
    probe = await cryoctl.aio.connect("sim:", speed=SPEED, set=SHORT)

    async def treat() -> None:
        async with probe:
            await probe.begin()
            await probe.arm()
            await probe.start()
            await probe.wait()

    task = asyncio.create_task(treat())
    await probe.wait(lambda probe: probe.phase is Phase.COOLING)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    result = await probe.close()
    assert task.cancelled()
    assert result.verdict is cryoctl.Verdict.ABORTED
    assert result.telemetry["valve"][-1] == 0.0


def test_what_cannot_be_opened_is_told_as_the_command_line_does() -> None:
    with pytest.raises(LinkError, match="no such port"):
        cryoctl.connect("serial:/dev/no-such-port")
    with pytest.raises(AddressError, match="unknown scheme 'carrier_pigeon'"):
        cryoctl.connect("carrier_pigeon:")


def test_a_session_that_is_over_answers_every_step_with_what_ended_it() -> None:
    with connect() as probe:
        pass

    with pytest.raises(cryoctl.ProbeError, match="the session is over"):
        probe.begin()
    assert probe.close().verdict is cryoctl.Verdict.ABORTED


def test_the_summary_of_a_session_has_all_its_treatments_and_the_worst_verdict() -> None:
    with connect() as probe:
        freezing(probe).stop()
        probe.wait()
        probe.reset()
        freezing(probe).wait()
        result = probe.close()

    assert result.summary is not None
    verdicts = [placement.verdict for placement in result.summary.placements]
    assert verdicts == [cryoctl.Verdict.ABORTED, cryoctl.Verdict.PASS]
    assert [cycle.placement for cycle in result.cycles] == [1, 2]
    assert (result.verdict, result.exit_code) == (cryoctl.Verdict.ABORTED, 130)
    assert result.replay().answer == "IDENTICAL"


def test_a_new_cartridge_lets_a_session_go_on() -> None:
    with connect(cartridge_g=0.1) as probe:
        probe.change_cartridge()
        probe.begin()

        with pytest.raises(cryoctl.ProbeError, match="not changed in READY"):
            probe.change_cartridge()

        assert probe.blockers == []
        result = probe.close()

    assert result.summary is not None
    assert result.summary.cartridge_changes == 1
