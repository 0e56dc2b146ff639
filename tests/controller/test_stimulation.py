"""Stimulating the nerve: asked for, kept back, carried out, ended; by whom, when, how strong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cryoctl.cycle_table import Phase
from cryoctl.operator_requests import Request
from cryoctl.permits import PermitContext, Refusal, check
from cryoctl.stimulation import Stimulation, Stimulus
from cryoctl_protocol.codes import Answer, Capability, DeviceState, Op, Result, Trip
from cryoctl_protocol.messages import Command
from tests.support.bench import Bench, a_device
from tests.support.builders import a_sample, a_treatment
from tests.support.live_phases import LIVE, bench_in
from tests.support.scripted_device import EVERY_SENSOR

TWITCH = Stimulus(frequency_hz=2.0, pulse_ms=0.1, amplitude_ma=1.0, duration_s=1.0)
OPEN = PermitContext(
    phase=Phase.PLACEMENT,
    session_open=True,
    stale=False,
    capabilities=int(Capability.LEASE | Capability.FREEZE_TIMER | Capability.STIMULATOR),
    profile_matches=True,
    bench_waiver="",
    sample=a_sample(),
    stimulus_ua=1_000,
)


def ask(bench: Bench, stimulus: Stimulus = TWITCH) -> Refusal | None:
    """Ask for a stimulus as an operator."""
    return bench.controller.request(Request.STIMULATE, bench.now_s, stimulus)


def placing(**device: Any) -> Bench:
    """Return a bench in PLACEMENT."""
    bench = Bench(a_treatment(), a_device(**device))
    bench.run_to(Phase.READY)
    assert bench.ask(Request.PLACE) is None
    return bench


def sent(bench: Bench) -> list[Command]:
    """Return the STIMULATE commands that went out."""
    return [command for _, command in bench.sink.sent_commands() if command.op == Op.STIMULATE]


# -- the gate ------------------------------------------------------------------------------------


@pytest.mark.requirement("SR-41")
@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"capabilities": 3}, "no stimulator"),
        ({"sample": None}, "no telemetry"),
        ({"sample": a_sample(valve=0.001)}, "valve is open"),
        ({"sample": a_sample(shutoff_open=1)}, "second shut-off is open"),
        ({"sample": a_sample(tip_heater=0.001)}, "tip heater is on"),
        ({"sample": a_sample(tip_temp_c=None)}, "not known"),
        ({"sample": a_sample(tip_temp_c=20.0)}, "the tip is at 20.0 °C: wait until"),
        ({"sample": a_sample(tip_temp_c=-8.0)}, "the tip is at -8.0 °C: wait until"),
    ],
)
def test_each_reason_alone_keeps_a_stimulus_back_but_not_its_end(
    change: dict[str, Any], why: str
) -> None:
    refusal = check(Op.STIMULATE, replace(OPEN, **change))

    assert refusal is not None
    assert why in refusal.reason
    assert check(Op.STIMULATE, replace(OPEN, **change, stimulus_ua=0)) is None


@pytest.mark.requirement("SR-41")
def test_a_warm_tip_and_shut_valves_let_it_out() -> None:
    assert check(Op.STIMULATE, OPEN) is None
    assert check(Op.STIMULATE, replace(OPEN, sample=a_sample(tip_temp_c=20.001))) is None


# -- asking --------------------------------------------------------------------------------------


@pytest.mark.requirement("SR-41")
@pytest.mark.parametrize("phase", [phase for phase in LIVE if phase is not Phase.PLACEMENT])
def test_the_nerve_is_stimulated_in_no_phase_but_placement(phase: Phase) -> None:
    bench = bench_in(phase)

    refusal = ask(bench)
    bench.run_for(0.1)

    assert refusal is not None
    how = ": ask to place the needle first" if phase is Phase.READY else ""
    assert refusal.reason == f"the nerve is stimulated in PLACEMENT alone, not in {phase}{how}"
    assert sent(bench) == []


@pytest.mark.requirement("SR-41")
@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"frequency_hz": 0.0}, "frequency_hz 0 is out of range (1 to 100 Hz)"),
        ({"frequency_hz": 101.0}, "frequency_hz 101 is out of range (1 to 100 Hz)"),
        ({"frequency_hz": 2.5}, "frequency_hz 2.5: a whole number of pulses a second"),
        ({"pulse_ms": 0.04}, "pulse_ms 0.04 is out of range (0.05 to 1 ms)"),
        ({"pulse_ms": 1.01}, "pulse_ms 1.01 is out of range (0.05 to 1 ms)"),
        ({"amplitude_ma": -1.0}, "amplitude_ma -1 is out of range (0.001 to 5 mA, or 0"),
        ({"amplitude_ma": 5.01}, "amplitude_ma 5.01 is out of range (0.001 to 5 mA, or 0"),
        ({"duration_s": 0.49}, "duration_s 0.49 is out of range (0.5 to 30 s)"),
        ({"duration_s": 30.1}, "duration_s 30.1 is out of range (0.5 to 30 s)"),
    ],
)
def test_a_stimulus_out_of_range_is_refused_by_name_with_what_is_allowed(
    change: dict[str, float], why: str
) -> None:
    bench = placing()

    refusal = ask(bench, TWITCH._replace(**change))

    assert refusal is not None
    assert refusal.reason.startswith(why)
    assert sent(bench) == []


def test_the_first_and_last_allowed_values_are_allowed() -> None:
    for stimulus in (Stimulus(1.0, 0.05, 0.001, 0.5), Stimulus(100.0, 1.0, 5.0, 30.0)):
        assert ask(placing(), stimulus) is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "2", None, True])
def test_what_is_no_number_is_no_stimulus(value: object) -> None:
    with pytest.raises(ValueError, match=r"amplitude_ma .*: expected a number"):
        Stimulus.of(frequency_hz=2, pulse_ms=0.1, amplitude_ma=value, duration_s=1.0)


@pytest.mark.requirement("SR-41")
def test_a_cold_tip_is_told_before_the_probe_is_asked() -> None:
    bench = placing()
    bench.device.tip_c = 12.0
    bench.device.tip_follows = False
    bench.run_for(0.04)

    refusal = ask(bench)

    assert refusal is not None
    assert refusal.reason.startswith("the tip is at 12.0 °C: wait until it is above 20 °C")
    assert sent(bench) == []


# -- carrying out --------------------------------------------------------------------------------


def test_a_stimulus_goes_out_as_asked_and_its_response_is_kept() -> None:
    bench = placing()

    assert ask(bench) is None
    bench.run_for(0.3)
    during = bench.device.state
    bench.run_for(1.0)

    (command,) = sent(bench)
    assert command[8:] == (0, 1_000, 2, 100)
    assert (command.duration_ms, during) == (1_000, DeviceState.STIMULATE)
    assert bench.controller.stimulation == Stimulation(
        counter=command.counter, answer=Answer.ACCEPTED, result=Result.OK, response=2
    )
    assert bench.phase is Phase.PLACEMENT


@pytest.mark.parametrize(("sensors", "response"), [(EVERY_SENSOR, 0), (EVERY_SENSOR & ~512, None)])
def test_too_weak_a_stimulus_gets_no_response_and_a_probe_without_the_sensor_cannot_tell(
    sensors: int, response: int | None
) -> None:
    bench = placing(sensors=sensors)

    ask(bench, TWITCH._replace(amplitude_ma=0.4))
    bench.run_for(1.3)

    assert bench.controller.stimulation.is_over
    assert bench.controller.stimulation.response == response


def test_a_second_stimulus_takes_the_place_of_the_first() -> None:
    bench = placing()
    ask(bench, TWITCH._replace(duration_s=10.0))
    bench.run_for(0.3)
    first = bench.controller.stimulation
    ask(bench, TWITCH._replace(amplitude_ma=0.2))
    bench.run_for(1.3)

    second = bench.controller.stimulation
    assert (first.result, first.response) == (Result.OK, 2)
    assert (second.result, second.is_over) == (Result.OK, True)


def test_a_command_is_not_asked_for_while_another_waits_for_its_answer() -> None:
    bench = placing()
    ask(bench)

    assert ask(bench) == Refusal("the probe has not answered the last command yet")


def test_a_refusal_of_the_probe_is_told_and_harms_nothing() -> None:
    bench = placing()
    bench.device.refuse = {Op.STIMULATE: Answer.TIP_COLD}
    ask(bench)
    bench.run_for(0.3)

    stimulation = bench.controller.stimulation
    assert (stimulation.answer, stimulation.is_over) == (Answer.TIP_COLD, True)
    assert stimulation.words == "the probe refused to stimulate: TIP_COLD"
    assert (bench.phase, bench.controller.failure, bench.trip_ids()) == (Phase.PLACEMENT, "", [])


@pytest.mark.parametrize(
    ("stimulation", "words"),
    [
        (
            Stimulation(1, Answer.TIP_COLD, Result.FAILED),
            "the probe refused to stimulate: TIP_COLD",
        ),
        (Stimulation(1, Answer.ACCEPTED, Result.ABORTED, 2), "the probe broke the stimulation off"),
        (
            Stimulation(1, Answer.ACCEPTED, Result.OK),
            "stimulated; the probe cannot tell a response",
        ),
        (Stimulation(1, Answer.ACCEPTED, Result.OK, 1), "response: SENSORY"),
    ],
)
def test_how_a_stimulus_ended_is_told_and_an_aborted_one_is_never_no_response(
    stimulation: Stimulation, words: str
) -> None:
    assert stimulation.words.startswith(words)


@pytest.mark.requirement("SR-41")
def test_a_stimulus_that_nobody_answers_trips() -> None:
    bench = placing()
    bench.device.ignore = {Op.STIMULATE}
    ask(bench)

    bench.run_until(lambda: bench.phase is Phase.SAFE, within_s=0.5)

    assert bench.trip_ids() == ["COMMAND_FAILED"]


def test_an_end_that_got_lost_is_asked_for_again() -> None:
    bench = placing()
    bench.device.lose_dones = {Op.STIMULATE}
    ask(bench)
    bench.run_for(1.5)

    assert bench.controller.stimulation.is_over
    assert [op for _, op in bench.device.commands].count(Op.STIMULATE) == 1
    assert bench.trip_ids() == []


def test_the_longest_stimulus_is_no_command_without_an_end() -> None:
    bench = placing()
    ask(bench, TWITCH._replace(duration_s=30.0))
    bench.run_for(31.0)

    assert (bench.controller.stimulation.result, bench.trip_ids()) == (Result.OK, [])


# -- ending --------------------------------------------------------------------------------------


@pytest.mark.requirement("SR-41")
def test_the_needle_is_not_in_place_while_it_stimulates() -> None:
    bench = placing()
    ask(bench, TWITCH._replace(duration_s=30.0))
    at_once = bench.ask(Request.PLACED)
    bench.run_for(0.5)
    later = bench.ask(Request.PLACED)
    assert ask(bench, Stimulus()) is None
    bench.run_for(0.1)

    busy = Refusal("the probe stimulates: wait for the end, or ask for 0 mA first")
    assert (at_once, later) == (busy, busy)
    assert bench.device.state is DeviceState.IDLE
    assert bench.ask(Request.PLACED) is None
    assert bench.phase is Phase.READY


@pytest.mark.requirement("SR-41")
@pytest.mark.requirement("SR-29")
def test_stop_ends_it_and_the_next_placement_begins_anew() -> None:
    bench = placing()
    ask(bench, TWITCH._replace(duration_s=30.0))
    bench.run_for(0.3)
    bench.ask(Request.STOP)
    bench.run_until(lambda: bench.phase is Phase.FAULT)
    result = bench.controller.stimulation.result
    bench.run_for(1.1)
    assert bench.ask(Request.RESET) is None
    bench.run_until(lambda: bench.phase is Phase.IDLE)
    bench.run_to(Phase.READY)
    bench.ask(Request.PLACE)

    assert (result, bench.device.stops[0].trip) == (Result.ABORTED, Trip.OPERATOR_STOP)
    assert bench.ask(Request.PLACED) is None


@pytest.mark.requirement("SR-41")
@pytest.mark.parametrize("phase", [Phase.IDLE, Phase.READY, Phase.THAWING])
def test_a_probe_that_stimulates_unasked_is_stopped(phase: Phase) -> None:
    bench = bench_in(phase)
    bench.device.telemetry = {"state": 10, "stimulus_ua": 500}

    bench.run_until(lambda: bench.phase is Phase.SAFE, within_s=1.1)

    assert bench.controller.trips[0].notice.detail == "the probe stimulates unasked"


@pytest.mark.requirement("SR-41")
@pytest.mark.parametrize("output", ["valve_permille", "tip_heater_permille"])
def test_a_stimulus_beside_another_output_is_an_overlap(output: str) -> None:
    bench = placing()
    bench.device.telemetry = {"state": 10, "stimulus_ua": 500, output: 1}

    bench.run_until(lambda: bench.phase is Phase.SAFE, within_s=0.1)

    assert bench.trip_ids()[0] == "OUTPUTS_OVERLAP"


@pytest.mark.requirement("SR-41")
def test_no_probe_counts_as_safe_while_it_stimulates() -> None:
    bench = placing()
    bench.device.ignores_stop = True
    bench.device.telemetry = {"state": int(DeviceState.SAFE), "stimulus_ua": 500}
    bench.ask(Request.STOP)
    bench.run_for(0.5)

    assert bench.controller.trips[0].time_to_safe_ms is None


@pytest.mark.requirement("SR-23")
def test_a_bad_line_trips_while_it_stimulates() -> None:
    bench = placing()
    ask(bench, TWITCH._replace(duration_s=10.0))
    bench.run_for(0.3)
    bench.controller.on_line_errors(6, bench.now_s)
    bench.run_for(0.1)

    assert bench.trip_ids()[0] == "INTEGRITY"


# -- what is left behind -------------------------------------------------------------------------


def test_the_log_says_what_was_asked_for_and_that_it_was_refused() -> None:
    bench = placing()
    ask(bench, TWITCH._replace(amplitude_ma=6.0))
    ask(bench)

    refused, taken = bench.sink.of_kind("operator")[-2:]
    assert refused.data["amplitude_ma"] == 6.0
    assert refused.data["refused"].startswith("amplitude_ma 6 is out of range")
    assert taken.data == {
        "request": "stimulate",
        "refused": "",
        "frequency_hz": 2.0,
        "pulse_ms": 0.1,
        "amplitude_ma": 1.0,
        "duration_s": 1.0,
    }


def test_a_saved_world_goes_on_with_its_stimulation() -> None:
    bench = placing()
    ask(bench)
    bench.run_for(0.3)
    world = bench.shell.save()
    bench.run_for(1.0)
    after = bench.controller.stimulation
    bench.shell.load(world)
    loaded = bench.controller.stimulation
    is_over = loaded.is_over
    bench.run_for(1.0)

    assert (is_over, loaded) == (False, after)
