"""The firmware's stimulator: when it is taken, how long it is on, and what turns it off."""

from __future__ import annotations

from typing import Any

import pytest

from cryoctl_protocol.codes import (
    Answer,
    Capability,
    DeviceState,
    Op,
    Result,
    SafeAction,
    Sensor,
    Trip,
)
from cryoctl_protocol.messages import Command
from cryoctl_protocol.profile import control_table, load_profile
from cryoctl_simulator.firmware_commands import judge
from cryoctl_simulator.firmware_config import (
    ALL_CAPABILITIES,
    ALL_SENSORS,
    ControlTable,
    FirmwareConfig,
)
from cryoctl_simulator.firmware_safety import stimulus_must_end
from tests.simulator.bench import STIMULUS, Bench, bench_in, connected

S = DeviceState
A = Answer
OFF = {"stimulus_ua": 0}


def rested(**config: Any) -> Bench:
    """Return an idle probe whose valve has proved to be shut."""
    bench = Bench(
        config=FirmwareConfig.from_profile(
            load_profile("n2o-20g"), ControlTable.model_validate(control_table("n2o-20g")), **config
        )
    )
    bench.connect()
    bench.run_s(2.5)
    return bench


def stimulating() -> Bench:
    bench = bench_in(S.STIMULATE)
    assert bench.outputs.stimulus_ua == 1_000
    return bench


def outputs(bench: Bench) -> tuple[int, int, int]:
    out = bench.outputs
    return out.stimulus_ua, out.stimulus_hz, out.stimulus_pulse_us


# -- taken or refused ----------------------------------------------------------------------------


@pytest.mark.requirement("SR-41")
@pytest.mark.parametrize("state", [s for s in S if s not in (S.IDLE, S.STIMULATE)])
def test_the_nerve_is_stimulated_in_no_other_state(state: DeviceState) -> None:
    bench = bench_in(state)

    answer = bench.command(Op.STIMULATE, **STIMULUS)

    latched = state in (S.SAFE, S.FAULT)
    assert answer is (A.FAULT_LATCHED if latched else A.WRONG_STATE)
    assert (bench.state, bench.outputs.stimulus_ua) == (state, 0)


@pytest.mark.requirement("SR-41")
def test_what_was_asked_for_is_what_comes_out() -> None:
    bench = rested()

    bench.ask(Op.STIMULATE, **STIMULUS)

    assert (bench.state, outputs(bench)) == (S.STIMULATE, (1_000, 2, 100))
    assert (bench.outputs.valve_permille, bench.outputs.shutoff_open) == (0, False)


@pytest.mark.requirement("SR-41")
@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({"stimulus_ua": 1}, A.ACCEPTED),
        ({"stimulus_ua": 5_000}, A.ACCEPTED),
        ({"stimulus_ua": 5_001}, A.OUT_OF_RANGE),
        ({"stimulus_hz": 1}, A.ACCEPTED),
        ({"stimulus_hz": 0}, A.OUT_OF_RANGE),
        ({"stimulus_hz": 100}, A.ACCEPTED),
        ({"stimulus_pulse_us": 50}, A.ACCEPTED),
        ({"stimulus_pulse_us": 49}, A.OUT_OF_RANGE),
        ({"stimulus_pulse_us": 1_000}, A.ACCEPTED),
        ({"duration_ms": 1}, A.ACCEPTED),
        ({"duration_ms": 0}, A.OUT_OF_RANGE),
        ({"duration_ms": 30_000}, A.ACCEPTED),
        ({"duration_ms": 30_001}, A.OUT_OF_RANGE),
    ],
)
def test_a_stimulus_is_taken_within_its_ranges_alone(
    change: dict[str, int], answer: Answer
) -> None:
    assert rested().command(Op.STIMULATE, **{**STIMULUS, **change}) is answer


@pytest.mark.requirement("SR-41")
@pytest.mark.parametrize(
    ("tip_mdegc", "answer"), [(20_001, A.ACCEPTED), (20_000, A.TIP_COLD), (-10_000, A.TIP_COLD)]
)
def test_a_stimulus_needs_a_warm_tip(tip_mdegc: int, answer: Answer) -> None:
    bench = rested()
    while bench.readings.tip_mdegc != tip_mdegc:
        step_mdegc = max(-500, min(500, tip_mdegc - bench.readings.tip_mdegc))
        bench.readings.tip_mdegc += step_mdegc
        bench.tick()

    assert bench.command(Op.STIMULATE, **STIMULUS) is answer


@pytest.mark.requirement("SR-41")
def test_a_stimulus_needs_a_tip_that_can_be_believed() -> None:
    bench = rested()
    blank: dict[str, Any] = dict.fromkeys(Command._fields, 0)
    asked = Command(**{**blank, "op": Op.STIMULATE, **STIMULUS})

    def answer() -> Answer:
        return judge(bench.firmware.config.limits, bench.firmware.state, bench.readings, asked)

    whole = answer()
    bench.readings.open_circuit = int(Sensor.TIP)
    open_circuit = answer()
    bench.readings.open_circuit = 0
    bench.firmware.state.tip_bad_samples = 3

    assert (whole, open_circuit, answer()) == (A.ACCEPTED, A.SENSOR, A.SENSOR)


@pytest.mark.requirement("SR-41")
def test_a_stimulus_waits_until_the_valve_has_proved_to_be_shut() -> None:
    bench = connected()
    bench.run_s(2.0)
    too_soon = bench.command(Op.STIMULATE, **STIMULUS)
    bench.run_s(0.3)

    assert too_soon is A.WRONG_STATE
    assert bench.command(Op.STIMULATE, **STIMULUS) is A.ACCEPTED


@pytest.mark.requirement("SR-41")
def test_after_a_freeze_the_valve_has_to_prove_itself_anew() -> None:
    bench = bench_in(S.FREEZE)
    bench.ask(Op.END)
    soon = bench.command(Op.STIMULATE, **STIMULUS)
    bench.run_s(2.5)

    assert soon is A.WRONG_STATE
    assert bench.command(Op.STIMULATE, **STIMULUS) is A.ACCEPTED


@pytest.mark.requirement("SR-41")
@pytest.mark.requirement("SR-01")
def test_a_stimulus_needs_a_lease() -> None:
    bench = rested()
    bench.mode = None
    bench.run_s(0.5)

    assert bench.command(Op.STIMULATE, **STIMULUS) is A.NOT_AUTHORISED


def test_a_probe_without_a_stimulator_says_so() -> None:
    bench = rested(capabilities=ALL_CAPABILITIES & ~Capability.STIMULATOR)

    assert bench.command(Op.STIMULATE, **STIMULUS) is A.NOT_PROVIDED
    assert bench.command(Op.STIMULATE, **OFF) is A.ACCEPTED


# -- how long ------------------------------------------------------------------------------------


@pytest.mark.requirement("SR-41")
def test_a_stimulus_is_on_for_the_time_it_was_asked_for() -> None:
    bench = rested()
    bench.ask(Op.STIMULATE, **{**STIMULUS, "duration_ms": 1_000})
    began_ms = bench.now_ms
    while bench.outputs.stimulus_ua:
        bench.tick()

    assert bench.now_ms - began_ms == 1_000
    assert (bench.state, bench.trip) == (S.IDLE, Trip.NONE)
    assert (bench.dones()[-1].op, bench.dones()[-1].result) == (Op.STIMULATE, Result.OK)


def test_another_stimulus_takes_the_place_of_the_first_and_has_its_own_time() -> None:
    bench = stimulating()
    bench.run_s(4.0)
    bench.ask(Op.STIMULATE, **{**STIMULUS, "stimulus_ua": 500})
    bench.run_s(4.0)

    assert outputs(bench) == (500, 2, 100)
    assert [done.result for done in bench.dones()] == [Result.ABORTED]


@pytest.mark.parametrize("state", [S.IDLE, S.STIMULATE])
def test_amplitude_0_turns_it_off_wherever_it_may_be_on(state: DeviceState) -> None:
    bench = bench_in(state)

    answer = bench.command(Op.STIMULATE, **OFF)

    assert (answer, bench.state, bench.outputs.stimulus_ua) == (A.ACCEPTED, S.IDLE, 0)
    assert {done.result for done in bench.dones()} == {Result.OK}


# -- what turns it off ---------------------------------------------------------------------------


@pytest.mark.requirement("SR-41")
@pytest.mark.requirement("SR-01")
def test_a_lease_that_ends_turns_it_off_within_350_ms_and_trips() -> None:
    bench = stimulating()
    bench.mode = None
    bench.tick(35)

    assert (bench.state, bench.trip, bench.outputs.stimulus_ua) == (S.FAULT, Trip.LEASE, 0)


@pytest.mark.requirement("SR-41")
@pytest.mark.requirement("SR-24")
def test_stop_turns_it_off_within_one_tick() -> None:
    bench = stimulating()
    bench.stop(SafeAction.OFF)

    assert (bench.state, bench.outputs.stimulus_ua) == (S.SAFE, 0)


@pytest.mark.requirement("SR-41")
@pytest.mark.parametrize(
    ("readings", "trip"),
    [
        ({"supply_mbar": 69_000}, Trip.OVERPRESSURE),
        ({"exhaust_mbar": 2_600}, Trip.EXHAUST_BLOCKED),
        ({"exhaust_flow_ug_s": 4_000}, Trip.VALVE_STUCK),
        ({"open_circuit": int(Sensor.TIP)}, Trip.TIP_SENSOR),
        ({"battery_mv": 3_000}, Trip.BATTERY),
    ],
)
def test_every_trip_turns_it_off(readings: dict[str, int], trip: Trip) -> None:
    bench = stimulating()
    for name, value in readings.items():
        setattr(bench.readings, name, value)
    bench.run_s(0.2)

    assert (bench.state, bench.trip, bench.outputs.stimulus_ua) == (S.FAULT, trip, 0)


@pytest.mark.requirement("SR-41")
def test_a_tip_that_gets_cold_turns_it_off() -> None:
    bench = stimulating()
    while bench.readings.tip_mdegc > 20_000:
        assert bench.outputs.stimulus_ua == 1_000
        bench.readings.tip_mdegc -= 500
        bench.tick()

    assert (bench.state, bench.trip, bench.outputs.stimulus_ua) == (S.IDLE, Trip.NONE, 0)
    assert bench.dones()[-1].result == Result.ABORTED


@pytest.mark.requirement("SR-41")
@pytest.mark.parametrize(
    ("change", "ends"),
    [
        ({}, False),
        ({"valve_shut_ms": 2_310}, False),
        ({"valve_shut_ms": 2_300}, True),
        ({"tip_bad_samples": 2}, False),
        ({"tip_bad_samples": 3}, True),
        ({"tip_mdegc": 20_001}, False),
        ({"tip_mdegc": 20_000}, True),
    ],
)
def test_each_condition_alone_ends_it(change: dict[str, int], *, ends: bool) -> None:
    bench = stimulating()
    for name, value in change.items():
        setattr(bench.firmware.state, name, value)

    assert stimulus_must_end(bench.firmware.config.limits, bench.firmware.state) is ends


@pytest.mark.requirement("SR-41")
def test_an_open_second_shut_off_ends_it() -> None:
    bench = stimulating()
    bench.firmware.state.outputs.shutoff_open = True

    assert stimulus_must_end(bench.firmware.config.limits, bench.firmware.state)


@pytest.mark.requirement("SR-41")
@pytest.mark.parametrize("op", [Op.SELF_TEST, Op.LEAK_TEST, Op.ARM, Op.FREEZE, Op.THAW])
def test_nothing_else_begins_while_it_is_on(op: Op) -> None:
    bench = stimulating()

    assert bench.command(op, cycles=1, setpoint_mdegc=-60_000, duration_ms=1_000) is A.WRONG_STATE
    assert bench.outputs.valve_permille == 0


@pytest.mark.requirement("SR-41")
def test_end_turns_it_off() -> None:
    bench = stimulating()
    bench.ask(Op.END)

    assert (bench.state, bench.outputs.stimulus_ua) == (S.IDLE, 0)


# -- what it tells -------------------------------------------------------------------------------


def test_telemetry_shows_output_and_response_while_it_is_on_and_zeros_after() -> None:
    bench = stimulating()
    bench.readings.stimulus_response = 2
    bench.run_s(0.25)
    during = bench.telemetry()[-1]
    bench.ask(Op.STIMULATE, **OFF)
    bench.tick(4)
    after = bench.telemetry()[-1]

    def told(sample: Any) -> tuple[int, ...]:
        return (
            sample.stimulus_ua,
            sample.stimulus_hz,
            sample.stimulus_pulse_us,
            sample.stimulus_response,
        )

    assert (told(during), told(after)) == ((1_000, 2, 100, 2), (0, 0, 0, 0))


def test_what_is_seen_in_the_first_200_ms_belongs_to_what_was_before() -> None:
    bench = stimulating()
    bench.readings.stimulus_response = 2
    bench.run_s(1.0)
    first = len(bench.telemetry())
    bench.ask(Op.STIMULATE, **{**STIMULUS, "stimulus_ua": 500})
    bench.run_s(1.0)

    weaker = [sample for sample in bench.telemetry()[first:] if sample.stimulus_ua == 500]
    silent = [sample.stimulus_response for sample in weaker].index(2)
    assert silent * 20 == pytest.approx(200, abs=20)


def test_a_probe_that_cannot_see_a_response_sends_none() -> None:
    bench = rested(sensors=ALL_SENSORS & ~Sensor.RESPONSE)
    bench.readings.stimulus_response = 2
    bench.ask(Op.STIMULATE, **STIMULUS)
    bench.run_s(0.5)

    sample = bench.telemetry()[-1]
    assert (sample.stimulus_ua, sample.stimulus_response) == (1_000, 0)
