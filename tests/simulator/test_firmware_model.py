"""The firmware's sequence: states, commands, answers, outputs, what it sends and when."""

from __future__ import annotations

import pickle

import pytest

from cryoctl_protocol.codes import (
    Answer,
    Capability,
    DeviceState,
    EventCode,
    HostMode,
    Op,
    Result,
    SafeAction,
    Sensor,
    ThawMode,
    Trip,
)
from cryoctl_protocol.framing import Deframer, parse, wrap
from cryoctl_protocol.messages import Done, Event, Hello, Vitals
from cryoctl_protocol.profile import control_table, load_profile
from cryoctl_simulator.firmware_config import (
    ALL_CAPABILITIES,
    ALL_SENSORS,
    ControlTable,
    FirmwareConfig,
)
from cryoctl_simulator.firmware_state import Outputs
from tests.simulator.bench import STIMULUS, TREATMENT, Bench, bench_in, connected

S = DeviceState
A = Answer
LATCHED = {S.SAFE, S.FAULT}

CONTROL = ControlTable.model_validate(control_table("n2o-20g"))

# Arguments with which an operation is in order, wherever its state allows it.
GOOD: dict[Op, dict[str, int]] = {
    Op.SELF_TEST: {},
    Op.LEAK_TEST: {},
    Op.ARM: {"treatment_hash": TREATMENT, "cycles": 1},
    Op.START: {"treatment_hash": TREATMENT},
    Op.PREWARM: {"duration_ms": 1_000},
    Op.FREEZE: {"setpoint_mdegc": -60_000, "duration_ms": 60_000},
    Op.SETPOINT: {"setpoint_mdegc": -50_000},
    Op.THAW: {"mode": ThawMode.PASSIVE},
    Op.END: {},
    Op.CLEAR: {},
    Op.STIMULATE: STIMULUS,
}
# Where each operation is taken, and the state it leads to.
TAKEN: dict[Op, dict[DeviceState, DeviceState]] = {
    Op.SELF_TEST: {S.IDLE: S.SELF_TEST},
    Op.LEAK_TEST: {S.IDLE: S.LEAK_TEST},
    Op.ARM: {},  # IDLE without a leak test is a refusal of its own.
    Op.START: {S.ARMED: S.STARTED},
    Op.PREWARM: {S.STARTED: S.PREWARM},
    Op.FREEZE: {S.STARTED: S.FREEZE, S.THAW: S.FREEZE},
    Op.SETPOINT: {S.FREEZE: S.FREEZE},
    Op.THAW: {S.FREEZE: S.THAW, S.THAW: S.THAW, S.SAFE: S.SAFE, S.FAULT: S.FAULT},
    Op.END: {
        S.SELF_TEST: S.IDLE,
        S.LEAK_TEST: S.IDLE,
        S.ARMED: S.IDLE,
        S.STARTED: S.IDLE,
        S.PREWARM: S.IDLE,
        S.FREEZE: S.IDLE,
        S.THAW: S.IDLE,
        S.STIMULATE: S.IDLE,
    },
    # In IDLE not before the valve has proved to be shut, which it has not since power-up.
    Op.STIMULATE: {S.STIMULATE: S.STIMULATE},
    Op.CLEAR: {},  # Fresh in SAFE or FAULT the cause has not been gone for 1 s.
}


@pytest.mark.parametrize("state", list(S))
@pytest.mark.parametrize("op", list(GOOD))
def test_every_operation_is_answered_as_specified_in_every_state(
    op: Op, state: DeviceState
) -> None:
    bench = bench_in(state)
    if state in TAKEN[op]:
        expected, after = A.ACCEPTED, TAKEN[op][state]
    elif state in LATCHED:
        expected, after = A.FAULT_LATCHED, state
    elif (op, state) == (Op.ARM, S.IDLE):
        expected, after = A.NOT_AUTHORISED, state
    else:
        expected, after = A.WRONG_STATE, state
    answer = bench.command(op, **GOOD[op])
    assert (answer, bench.state) == (expected, after)


@pytest.mark.parametrize("state", [state for state in S if state is not S.SAFE])
def test_stop_as_a_plain_command_is_not_provided(state: DeviceState) -> None:
    assert bench_in(state).command(Op.STOP) is A.NOT_PROVIDED


@pytest.mark.requirement("SR-26")
@pytest.mark.parametrize("state", [state for state in S if state is not S.FAULT])
def test_stop_leads_from_every_state_to_safe_within_one_tick(state: DeviceState) -> None:
    bench = bench_in(state)
    bench.stop(SafeAction.OFF, Trip.LINK)
    first = Trip.OPERATOR_STOP if state is S.SAFE else Trip.LINK
    assert (bench.state, bench.trip) == (S.SAFE, first)
    assert not any((bench.outputs.valve_permille, bench.outputs.tip_heater_permille))
    assert not bench.outputs.shutoff_open


def test_a_stop_keeps_a_fault_latched_with_its_first_cause() -> None:
    bench = bench_in(S.FAULT)
    bench.stop()
    assert (bench.state, bench.trip) == (S.FAULT, Trip.OVERPRESSURE)


# -- authorisation -------------------------------------------------------------------------------


@pytest.mark.requirement("SR-19")
def test_arm_is_taken_after_a_passed_leak_test_and_void_after_30_minutes() -> None:
    bench = connected()
    bench.pass_leak_test()
    done = bench.dones()[-1]
    assert (done.op, done.result, done.detail) == (Op.LEAK_TEST, Result.OK, 0)
    bench.mode = None
    started_ms = bench.firmware.state.leak_test_ms
    bench.firmware.state.leak_test_ms -= 1_790_000 - (bench.now_ms - started_ms)
    bench.mode = HostMode.IDLE
    bench.run_s(1)
    bench.ask(Op.ARM, **GOOD[Op.ARM])
    bench.ask(Op.END)
    bench.run_s(10)
    assert bench.command(Op.ARM, **GOOD[Op.ARM]) is A.NOT_AUTHORISED


@pytest.mark.requirement("SR-19")
@pytest.mark.parametrize(
    ("lost_mbar", "result"),
    [
        (999, Result.OK),
        (1_000, Result.FAILED),
        (-999, Result.OK),
        (-1_000, Result.FAILED),
        (-10_000, Result.FAILED),
    ],
)
def test_the_leak_test_allows_less_than_1_bar_in_10_s_either_way(
    lost_mbar: int, result: Result
) -> None:
    bench = bench_in(S.LEAK_TEST)
    bench.run_s(5)
    bench.readings.supply_mbar -= lost_mbar
    bench.run_s(7)
    assert bench.dones()[-1]._replace(counter=0) == Done(0, Op.LEAK_TEST, result, lost_mbar)


@pytest.mark.requirement("SR-19")
@pytest.mark.parametrize(("flow_ug_s", "result"), [(1_750, Result.OK), (1_751, Result.FAILED)])
def test_the_leak_test_allows_no_flow(flow_ug_s: int, result: Result) -> None:
    bench = bench_in(S.LEAK_TEST)
    bench.run_s(5)
    bench.readings.exhaust_flow_ug_s = flow_ug_s
    bench.run_s(0.5)
    bench.readings.exhaust_flow_ug_s = 0
    bench.run_s(7)
    assert bench.dones()[-1].result == result


@pytest.mark.requirement("SR-19")
@pytest.mark.parametrize(
    ("supply_mbar", "result"),
    [(10_000, Result.OK), (9_999, Result.FAILED), (0, Result.FAILED)],
)
def test_a_leak_test_without_pressure_proves_nothing(supply_mbar: int, result: Result) -> None:
    bench = connected()
    bench.readings.supply_mbar = supply_mbar
    bench.pass_leak_test()
    assert bench.dones()[-1].result == result


def test_the_leak_test_fills_the_line_for_half_a_second_with_the_valve_shut() -> None:
    bench = bench_in(S.LEAK_TEST)
    shutoff = [bench.outputs.shutoff_open]
    for _ in range(80):
        bench.tick()
        shutoff.append(bench.outputs.shutoff_open)
        assert bench.outputs.valve_permille == 0
    assert (shutoff.count(True), shutoff[0], shutoff[-1]) == (50, True, False)


@pytest.mark.requirement("SR-26")
@pytest.mark.parametrize(("wait_s", "answer"), [(9.9, A.ACCEPTED), (10.1, A.WRONG_STATE)])
def test_start_must_follow_arm_within_10_s(wait_s: float, answer: Answer) -> None:
    bench = bench_in(S.ARMED)
    bench.run_s(wait_s)
    assert bench.command(Op.START, treatment_hash=TREATMENT) is answer


@pytest.mark.requirement("SR-26")
def test_start_is_refused_for_another_treatment() -> None:
    bench = bench_in(S.ARMED)
    assert bench.command(Op.START, treatment_hash=TREATMENT + 1) is A.NOT_AUTHORISED
    assert bench.state is S.ARMED


@pytest.mark.requirement("SR-26")
def test_exactly_the_authorised_number_of_freezes_is_taken() -> None:
    bench = bench_in(S.STARTED, cycles=2)
    assert bench.freeze() is A.ACCEPTED
    assert bench.thaw() is A.ACCEPTED
    assert bench.freeze() is A.ACCEPTED
    assert bench.thaw() is A.ACCEPTED
    assert bench.freeze() is A.NOT_AUTHORISED


@pytest.mark.requirement("SR-26")
@pytest.mark.parametrize("state", [S.ARMED, S.STARTED])
def test_authorisation_ends_with_ownership(state: DeviceState) -> None:
    bench = bench_in(state)
    bench.mode = None
    bench.run_s(0.8)
    assert bench.state is state
    bench.run_s(0.4)
    assert bench.state is S.IDLE
    bench.mode = HostMode.IDLE
    bench.run_s(0.2)
    assert bench.freeze() is A.WRONG_STATE


@pytest.mark.requirement("SR-26")
def test_a_thaw_without_an_owner_ends_latched_so_that_the_next_controller_finds_it_safe() -> None:
    bench = bench_in(S.THAW)
    bench.mode = None
    bench.run_s(1.2)
    assert (bench.state, bench.trip) == (S.FAULT, Trip.LEASE)


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({"battery_mv": 3_300}, A.ACCEPTED),
        ({"battery_mv": 3_299}, A.BATTERY),
        ({"supply_mbar": 62_000}, A.ACCEPTED),
        ({"supply_mbar": 62_001}, A.PRESSURE),
        ({"open_circuit": int(Sensor.SUPPLY_PRESSURE)}, A.SENSOR),
        ({"open_circuit": int(Sensor.EXHAUST_PRESSURE)}, A.SENSOR),
        ({"open_circuit": int(Sensor.EXHAUST_FLOW)}, A.SENSOR),
        ({"open_circuit": int(Sensor.TIP)}, A.SENSOR),
    ],
)
@pytest.mark.requirement("SR-18")
@pytest.mark.requirement("SR-36")
def test_arm_needs_fit_sensors_pressure_and_battery(change: dict[str, int], answer: Answer) -> None:
    bench = connected()
    bench.pass_leak_test()
    for name, value in change.items():
        setattr(bench.readings, name, value)
    assert bench.command(Op.ARM, **GOOD[Op.ARM]) is answer


def test_arm_needs_a_cycle_to_authorise_and_a_lease() -> None:
    bench = connected()
    bench.pass_leak_test()
    assert bench.command(Op.ARM, treatment_hash=1, cycles=0) is A.OUT_OF_RANGE
    bench.mode = None
    bench.run_s(0.5)
    assert bench.command(Op.ARM, **GOOD[Op.ARM]) is A.NOT_AUTHORISED


@pytest.mark.requirement("SR-01")
@pytest.mark.parametrize(
    ("state", "op", "fields"),
    [
        (S.STARTED, Op.PREWARM, GOOD[Op.PREWARM]),
        (S.STARTED, Op.FREEZE, GOOD[Op.FREEZE]),
        (S.THAW, Op.THAW, {"mode": ThawMode.ACTIVE, "energy_mj": 1_000}),
    ],
)
def test_nothing_is_driven_for_a_controller_without_a_lease(
    state: DeviceState, op: Op, fields: dict[str, int]
) -> None:
    bench = bench_in(state)
    bench.mode = None
    bench.run_s(0.5)
    assert (bench.state, bench.firmware.state.lease_left_ms) == (state, 0)
    assert bench.command(op, **fields) is A.NOT_AUTHORISED


# -- freeze and thaw -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        ({"setpoint_mdegc": -63_000}, A.ACCEPTED),
        ({"setpoint_mdegc": -63_001}, A.OUT_OF_RANGE),
        ({"setpoint_mdegc": -20_000}, A.ACCEPTED),
        ({"setpoint_mdegc": -19_999}, A.OUT_OF_RANGE),
        ({"duration_ms": 180_000}, A.ACCEPTED),
        ({"duration_ms": 180_001}, A.OUT_OF_RANGE),
        ({"duration_ms": 1}, A.ACCEPTED),
        ({"duration_ms": 0}, A.OUT_OF_RANGE),
    ],
)
@pytest.mark.requirement("SR-09")
def test_a_freeze_is_taken_within_its_limits_only(fields: dict[str, int], answer: Answer) -> None:
    bench = bench_in(S.STARTED)
    assert bench.command(Op.FREEZE, **{**GOOD[Op.FREEZE], **fields}) is answer


@pytest.mark.parametrize(
    ("supply_mbar", "answer"),
    [(40_000, A.ACCEPTED), (39_999, A.PRESSURE), (62_000, A.ACCEPTED), (62_001, A.PRESSURE)],
)
def test_a_freeze_needs_the_gas_of_a_full_cartridge(supply_mbar: int, answer: Answer) -> None:
    bench = bench_in(S.STARTED)
    bench.readings.supply_mbar = supply_mbar
    assert bench.freeze() is answer


def test_a_freeze_reports_its_end_when_its_time_is_over_and_thaws_passively() -> None:
    bench = bench_in(S.STARTED)
    assert bench.freeze(duration_ms=2_000) is A.ACCEPTED
    counter = bench.last_counter
    bench.tick(199)
    assert (bench.state, bench.outputs.valve_permille) == (S.FREEZE, 1000)
    bench.tick()
    assert (bench.state, bench.outputs.valve_permille) == (S.THAW, 0)
    assert bench.dones()[-1] == Done(counter, Op.FREEZE, Result.OK, 0)
    assert not bench.firmware.state.heating


@pytest.mark.parametrize(
    ("op", "after"), [(Op.THAW, S.THAW), (Op.END, S.IDLE)], ids=["thaw", "end"]
)
def test_a_freeze_ended_by_command_has_ended_well(op: Op, after: DeviceState) -> None:
    bench = bench_in(S.FREEZE)
    counter = bench.last_counter
    bench.ask(op)
    assert bench.state is after
    assert Done(counter, Op.FREEZE, Result.OK, 0) in bench.dones()
    assert bench.outputs.valve_permille == 0


def test_a_stopped_freeze_was_aborted_and_a_tripped_one_has_failed() -> None:
    stopped, tripped = bench_in(S.FREEZE), bench_in(S.FREEZE)
    stopped.stop()
    tripped.readings.battery_mv = 3_000
    tripped.run_s(0.2)
    assert stopped.dones()[-1].result == Result.ABORTED
    assert tripped.dones()[-1].result == Result.FAILED


@pytest.mark.parametrize("state", [S.SELF_TEST, S.LEAK_TEST, S.PREWARM, S.FREEZE])
def test_a_trip_is_told_before_the_end_of_the_command_that_it_broke_off(
    state: DeviceState,
) -> None:
    bench = bench_in(state)
    bench.received.clear()
    bench.readings.supply_mbar = 70_000
    bench.run_s(0.1)
    told = [type(message) for message in bench.received if isinstance(message, Event | Done)]
    assert told == [Event, Done]


def test_a_set_point_moves_the_loop_and_nothing_else() -> None:
    bench = bench_in(S.FREEZE)
    bench.ask(Op.SETPOINT, setpoint_mdegc=-40_000)
    assert (bench.state, bench.firmware.state.setpoint_mdegc) == (S.FREEZE, -40_000)
    assert bench.command(Op.SETPOINT, setpoint_mdegc=-70_001) is A.OUT_OF_RANGE
    assert bench.firmware.state.setpoint_mdegc == -40_000


@pytest.mark.requirement("SR-15")
def test_a_freeze_is_refused_while_the_tip_heater_is_on() -> None:
    bench = bench_in(S.FREEZE)
    bench.readings.tip_mdegc = 34_000
    settle(bench, -8_000)
    assert bench.thaw(ThawMode.ACTIVE, 5_000) is A.ACCEPTED
    bench.tick(5)
    assert bench.outputs.tip_heater_permille > 0
    assert bench.freeze() is A.WRONG_STATE


def test_thaw_is_done_when_the_tip_was_above_5_degrees_for_2_s() -> None:
    bench = bench_in(S.FREEZE)
    settle(bench, 5_000)
    assert bench.thaw() is A.ACCEPTED
    counter = bench.last_counter
    bench.run_s(3)
    assert bench.dones()[-1].op == Op.FREEZE
    bench.readings.tip_mdegc = 5_001
    bench.tick(199)
    assert bench.dones()[-1].op == Op.FREEZE
    bench.tick()
    assert bench.dones()[-1] == Done(counter, Op.THAW, Result.OK, 0)
    assert bench.state is S.THAW


@pytest.mark.parametrize(
    ("mode", "energy_mj", "answer"),
    [
        (ThawMode.ACTIVE, 5_000, A.ACCEPTED),
        (ThawMode.ACTIVE, 5_001, A.OUT_OF_RANGE),
        (ThawMode.ACTIVE, 1, A.ACCEPTED),
        (ThawMode.ACTIVE, 0, A.OUT_OF_RANGE),
        (ThawMode.PASSIVE, 0, A.ACCEPTED),
    ],
)
@pytest.mark.requirement("SR-16")
def test_a_thaw_may_spend_at_most_5_joules(mode: ThawMode, energy_mj: int, answer: Answer) -> None:
    assert bench_in(S.FREEZE).thaw(mode, energy_mj) is answer


def test_the_heater_waits_until_the_tissue_has_warmed_the_ball() -> None:
    bench = bench_in(S.FREEZE)
    settle(bench, -8_600)
    assert bench.thaw(ThawMode.ACTIVE, 5_000) is A.ACCEPTED
    bench.run_s(5)
    assert (bench.outputs.tip_heater_permille, bench.firmware.state.heater_energy_uj) == (0, 0)
    settle(bench, -8_400)
    assert bench.outputs.tip_heater_permille == 1000


@pytest.mark.requirement("SR-16")
def test_the_heater_spends_its_energy_and_no_more_even_if_asked_again() -> None:
    bench = bench_in(S.FREEZE)
    settle(bench, -8_000)
    assert bench.thaw(ThawMode.ACTIVE, 2_000) is A.ACCEPTED
    bench.run_s(3)
    assert 1_999_985 < bench.firmware.state.heater_energy_uj <= 2_000_000
    assert bench.outputs.tip_heater_permille == 0
    assert bench.thaw(ThawMode.ACTIVE, 5_000) is A.ACCEPTED
    bench.run_s(5)
    assert 4_999_985 < bench.firmware.state.heater_energy_uj <= 5_000_000
    assert (bench.state, bench.outputs.tip_heater_permille) == (S.THAW, 0)


def test_skin_is_warmed_towards_35_degrees_while_prewarming_and_freezing_only() -> None:
    bench = bench_in(S.PREWARM)
    assert bench.outputs.skin_warmer_permille == 1000
    bench.readings.skin_mdegc = 36_000
    bench.tick()
    assert bench.outputs.skin_warmer_permille == 0
    bench.readings.skin_mdegc = 33_000
    bench.run_s(5)
    assert (bench.state, bench.outputs.skin_warmer_permille) == (S.STARTED, 0)
    assert bench.dones()[-1].result == Result.OK
    assert bench.freeze() is A.ACCEPTED
    assert bench.outputs.skin_warmer_permille == 1000


# -- safe and fault ------------------------------------------------------------------------------


@pytest.mark.requirement("SR-27")
def test_a_fault_clears_only_when_its_cause_has_been_absent_for_1_s() -> None:
    bench = connected()
    bench.readings.supply_mbar = 68_001
    bench.tick(10)
    assert (bench.state, bench.trip) == (S.FAULT, Trip.OVERPRESSURE)
    bench.run_s(2)
    assert bench.command(Op.CLEAR) is A.FAULT_LATCHED
    bench.readings.supply_mbar = 60_000
    bench.run_s(0.9)
    assert bench.command(Op.CLEAR) is A.FAULT_LATCHED
    bench.run_s(0.2)
    bench.ask(Op.CLEAR)
    assert (bench.state, bench.trip) == (S.IDLE, Trip.NONE)
    assert [e.code for e in bench.events()][-2:] == [EventCode.TRIP, EventCode.CLEARED]


@pytest.mark.requirement("SR-27")
@pytest.mark.parametrize(("since_lost_ms", "answer"), [(990, A.FAULT_LATCHED), (1_000, A.ACCEPTED)])
def test_the_tick_that_lost_the_owner_is_not_quiet_yet(since_lost_ms: int, answer: Answer) -> None:
    bench = bench_in(S.THAW)
    bench.mode = None
    while bench.state is S.THAW:
        bench.tick()
    lost_ms = bench.now_ms
    bench.mode = HostMode.IDLE
    bench.tick(since_lost_ms // 10 - 1)
    assert bench.command(Op.CLEAR) is answer
    assert bench.now_ms - lost_ms == since_lost_ms


@pytest.mark.requirement("SR-27")
def test_a_cleared_fault_restarts_nothing() -> None:
    bench = bench_in(S.FREEZE)
    bench.stop()
    bench.run_s(2)
    bench.ask(Op.CLEAR)
    assert bench.state is S.IDLE
    assert bench.freeze() is A.WRONG_STATE
    assert bench.command(Op.START, treatment_hash=TREATMENT) is A.WRONG_STATE


@pytest.mark.requirement("SR-27")
def test_the_first_cause_is_kept_and_every_cause_is_reported_once() -> None:
    bench = bench_in(S.FREEZE)
    bench.readings.supply_mbar = 70_000
    bench.run_s(0.1)
    bench.readings.exhaust_mbar = 3_000
    bench.readings.supply_mbar = 50_000
    bench.run_s(1)
    trips = [Trip(e.trip) for e in bench.events() if e.code == EventCode.TRIP]
    assert bench.trip is Trip.OVERPRESSURE
    assert trips == [Trip.OVERPRESSURE, Trip.EXHAUST_BLOCKED]


@pytest.mark.requirement("SR-27")
def test_a_cause_that_lasts_hides_no_other_and_is_not_over_while_it_lasts() -> None:
    bench = bench_in(S.FREEZE)
    bench.readings.supply_mbar = 70_000
    bench.run_s(0.1)
    bench.readings.tip_mdegc = 44_000
    bench.run_s(3)
    trips = [Trip(e.trip) for e in bench.events() if e.code == EventCode.TRIP]
    assert trips == [Trip.OVERPRESSURE, Trip.HEATER]
    assert bench.outputs.tip_heater_permille == 0
    assert bench.command(Op.CLEAR) is A.FAULT_LATCHED
    bench.readings.tip_mdegc = 36_000
    bench.run_s(2)
    assert bench.command(Op.CLEAR) is A.FAULT_LATCHED  # The pressure is still too high.
    bench.readings.supply_mbar = 50_000
    bench.run_s(1.1)
    bench.ask(Op.CLEAR)


@pytest.mark.requirement("SR-07")
@pytest.mark.requirement("SR-11")
def test_a_sensor_that_breaks_in_a_fast_fall_is_told_as_that_alone() -> None:
    bench = bench_in(S.FREEZE)
    for _ in range(100):
        bench.readings.tip_mdegc -= 500
        bench.tick()
    bench.readings.open_circuit = int(Sensor.TIP)
    bench.run_s(5)
    bench.readings.open_circuit = 0
    bench.readings.tip_mdegc -= 20_000
    bench.run_s(5)
    trips = [Trip(e.trip) for e in bench.events() if e.code == EventCode.TRIP]
    assert trips == [Trip.TIP_SENSOR]


def test_a_trip_whose_action_is_thaw_heats_a_frozen_tip_by_itself() -> None:
    bench = bench_in(S.FREEZE)
    settle(bench, -8_000)
    bench.readings.supply_mbar = 70_000
    bench.run_s(0.2)
    assert (bench.state, bench.outputs.tip_heater_permille) == (S.FAULT, 1000)
    bench.run_s(10)
    assert bench.outputs.tip_heater_permille == 0
    assert 4_999_985 < bench.firmware.state.heater_energy_uj <= 5_000_000


def test_a_later_cause_can_take_the_heater_away_but_never_give_it_back() -> None:
    bench = bench_in(S.FREEZE)
    settle(bench, -8_000)
    bench.stop(SafeAction.THAW)
    bench.run_s(0.2)
    assert bench.outputs.tip_heater_permille == 1000
    bench.stop(SafeAction.OFF, Trip.HEATER)
    bench.tick()
    assert bench.outputs.tip_heater_permille == 0
    bench.stop(SafeAction.THAW, Trip.OVERPRESSURE)
    bench.run_s(1)
    assert bench.outputs.tip_heater_permille == 0
    assert bench.command(Op.THAW, mode=ThawMode.ACTIVE, energy_mj=1_000) is A.FAULT_LATCHED


@pytest.mark.requirement("SR-26")
@pytest.mark.parametrize("state", [S.ARMED, S.STARTED, S.FREEZE, S.THAW])
def test_whatever_makes_the_probe_safe_takes_the_authorisation_with_it(state: DeviceState) -> None:
    bench = bench_in(state)
    bench.stop()
    s = bench.firmware.state
    assert (s.treatment_hash, s.cycles_armed, s.cycles_left) == (0, 0, 0)


@pytest.mark.requirement("SR-07")
def test_the_shut_off_stays_open_after_a_freeze_until_valve_and_line_are_proved() -> None:
    bench = bench_in(S.FREEZE)
    assert bench.thaw() is A.ACCEPTED
    open_ticks = 0
    while bench.outputs.shutoff_open:
        bench.tick()
        open_ticks += 1
    # The profile's coast of 2 s, 300 ms for the valve, 1 s for a leak; the answer took a tick.
    assert 328 <= open_ticks <= 331
    bench.run_s(1)
    assert not bench.outputs.shutoff_open


def test_a_trip_whose_action_is_off_refuses_the_heater_and_allows_a_passive_thaw() -> None:
    bench = bench_in(S.FREEZE)
    bench.readings.battery_mv = 3_000
    bench.run_s(0.2)
    assert (bench.state, bench.outputs.tip_heater_permille) == (S.FAULT, 0)
    bench.readings.battery_mv = 4_000
    assert bench.command(Op.THAW, mode=ThawMode.ACTIVE, energy_mj=1_000) is A.FAULT_LATCHED
    bench.ask(Op.THAW, mode=ThawMode.PASSIVE)
    assert bench.state is S.FAULT


def test_a_stop_with_off_leaves_the_heater_off() -> None:
    bench = bench_in(S.FREEZE)
    settle(bench, -30_000)
    bench.stop(SafeAction.OFF)
    bench.run_s(1)
    assert (bench.state, bench.firmware.state.heater_energy_uj) == (S.SAFE, 0)


@pytest.mark.requirement("SR-01")
def test_even_a_thaw_that_the_probe_runs_by_itself_ends_with_the_lease() -> None:
    bench = bench_in(S.FREEZE)
    settle(bench, -8_000)
    bench.stop(SafeAction.THAW)
    bench.run_s(0.2)
    assert bench.outputs.tip_heater_permille == 1000
    bench.mode = None
    bench.run_s(0.35)
    assert (bench.state, bench.outputs.tip_heater_permille) == (S.SAFE, 0)


# -- the link ------------------------------------------------------------------------------------


def test_the_first_byte_after_power_up_is_a_delimiter_then_hello_and_the_boot_event() -> None:
    bench = Bench()
    first = bench.tick()
    assert first[:1] == b"\0"
    hello = next(m for m in bench.received if isinstance(m, Hello))
    assert (hello.host_nonce, hello.device_nonce, hello.boot_id) == (0, 0, 77)
    assert hello.profile_hash == load_profile("n2o-20g").hash32
    assert hello.profile_id == b"n2o-20g".ljust(16, b"\0")


def test_telemetry_comes_every_20_ms_vitals_every_200_ms_and_hello_every_second() -> None:
    bench = Bench()
    bench.run_s(10)
    kinds = [type(message).__name__ for message in bench.received]
    counts = {name: kinds.count(name) for name in ("Telemetry", "Vitals", "Hello")}
    assert counts == {"Telemetry": 500, "Vitals": 50, "Hello": 11}


def test_hello_is_not_repeated_within_a_session() -> None:
    bench = connected()
    bench.received.clear()
    bench.run_s(5)
    assert not [m for m in bench.received if isinstance(m, Hello)]
    assert len([m for m in bench.received if isinstance(m, Vitals)]) == 25


def test_a_retry_is_executed_once_and_answered_alike() -> None:
    bench = bench_in(S.STARTED)
    counter = bench.send(Op.FREEZE, **GOOD[Op.FREEZE])
    body = bench.host.outgoing()[-1]
    bench.mode = HostMode.FREEZE
    answers = []
    for _ in range(3):
        bench.extra = b"\0" + wrap(body)
        deframer = Deframer()
        deframer.feed(b"\0")
        sent = [parse(b) for b in deframer.feed(bench.tick())]
        answers.append([p.signed for p in sent if not isinstance(p, str) and p.message_id == 0x30])
    assert len(answers[0]) == 1
    assert answers[1] == answers[2] == answers[0]
    assert bench.firmware.state.cycles_left == 2
    assert counter == bench.host._command_counter


def test_an_old_counter_and_a_late_command_are_refused() -> None:
    bench = connected()
    bench.host._command_counter = 50
    bench.ask(Op.SELF_TEST)
    bench.run_s(1)
    bench.host._command_counter = 10
    assert bench.command(Op.SELF_TEST) is A.OLD_COUNTER
    bench.host._command_counter = 60
    bench.host._device_clock = (bench.now_ms - 1_000, bench.now_s)
    bench.send(Op.SELF_TEST)
    body = bench.host.outgoing()
    bench.extra = b"".join(wrap(b) for b in body)
    bench.tick()
    assert bench.state is S.IDLE


def test_events_of_the_session_carry_the_probes_own_state() -> None:
    bench = bench_in(S.THAW)
    bench.mode = None
    bench.run_s(1.5)
    lapsed = [e for e in bench.events() if e.code == EventCode.OWNER_LAPSED]
    assert [DeviceState(e.state) for e in lapsed] == [S.THAW]


@pytest.mark.requirement("SR-10")
def test_a_device_clock_that_wraps_in_a_freeze_changes_nothing() -> None:
    bench = Bench()
    bench.clock_offset_ms = 2**32 - 14_000
    bench.connect()
    bench.go_to(S.STARTED)
    assert bench.freeze(duration_ms=5_000) is A.ACCEPTED
    assert bench.device_ms > 2**31
    bench.tick(499)
    assert (bench.state, bench.device_ms < 10_000) == (S.FREEZE, True)
    bench.tick()
    assert (bench.state, bench.trip) == (S.THAW, Trip.NONE)


def test_a_probe_without_heater_and_warmer_drives_neither() -> None:
    profile = load_profile("n2o-20g")
    bare = ALL_CAPABILITIES & ~(Capability.TIP_HEATER | Capability.SKIN_WARMER)
    bench = Bench(config=FirmwareConfig.from_profile(profile, CONTROL, capabilities=bare))
    bench.connect()
    bench.go_to(S.STARTED)
    assert bench.command(Op.PREWARM, duration_ms=1_000) is A.NOT_PROVIDED
    assert bench.freeze() is A.ACCEPTED
    assert bench.outputs.skin_warmer_permille == 0
    settle(bench, -30_000)
    assert bench.thaw(ThawMode.ACTIVE, 1_000) is A.NOT_PROVIDED
    bench.stop(SafeAction.THAW)
    bench.run_s(0.2)
    assert (bench.state, bench.outputs.tip_heater_permille) == (S.SAFE, 0)


def test_a_probe_without_a_skin_sensor_sends_zero_and_refuses_to_prewarm() -> None:
    profile = load_profile("n2o-20g")
    config = FirmwareConfig.from_profile(profile, CONTROL, sensors=ALL_SENSORS & ~Sensor.SKIN)
    bench = Bench(config=config)
    bench.connect()
    bench.go_to(S.STARTED)
    assert bench.host.hello is not None
    assert not bench.host.hello.sensors & Sensor.SKIN
    assert {t.skin_mdegc for t in bench.telemetry()} == {0}
    assert bench.command(Op.PREWARM, duration_ms=1_000) is A.SENSOR


def test_a_saved_and_loaded_firmware_continues_identically() -> None:
    bench = bench_in(S.FREEZE)
    fork = pickle.loads(pickle.dumps(bench.readings))
    saved = bench.firmware.save()
    twin = Bench().firmware
    twin.load(saved)
    for step in range(500):
        now_ms = bench.now_ms + 10 + 10 * step
        assert twin.tick(now_ms, fork, b"") == bench.firmware.tick(now_ms, bench.readings, b"")
    assert twin.state == bench.firmware.state


@pytest.mark.parametrize(
    ("change", "result"),
    [
        ({}, Result.OK),
        ({"open_circuit": int(Sensor.SKIN)}, Result.FAILED),
        ({"tip_2_mdegc": 41_000}, Result.OK),
        ({"tip_2_mdegc": 41_001}, Result.FAILED),
        ({"tip_2_mdegc": 30_999}, Result.FAILED),
        ({"battery_mv": 3_300}, Result.OK),
        ({"battery_mv": 3_299}, Result.FAILED),
        ({"exhaust_flow_ug_s": 1_750}, Result.OK),
        ({"exhaust_flow_ug_s": 1_751}, Result.FAILED),
    ],
)
def test_the_self_test_looks_at_sensors_battery_and_flow_and_drives_nothing_but_lamps(
    change: dict[str, int], result: Result
) -> None:
    bench = connected()
    for name, value in change.items():
        setattr(bench.readings, name, value)
    bench.ask(Op.SELF_TEST)
    assert bench.outputs == Outputs(led=True, beeper=True)
    bench.run_s(0.5)
    assert (bench.state, bench.dones()[-1].result) == (S.IDLE, result)


def test_a_new_leak_test_voids_the_result_of_the_last() -> None:
    bench = connected()
    bench.pass_leak_test()
    bench.ask(Op.LEAK_TEST)
    bench.run_s(5)
    bench.ask(Op.END)
    assert bench.dones()[-2].result == Result.ABORTED
    assert bench.command(Op.ARM, **GOOD[Op.ARM]) is A.NOT_AUTHORISED


def settle(bench: Bench, tip_mdegc: int) -> None:
    """Bring the tip reading somewhere at a believable rate, and let the filters settle."""
    while bench.readings.tip_mdegc != tip_mdegc:
        error = tip_mdegc - bench.readings.tip_mdegc
        bench.readings.tip_mdegc += max(-500, min(500, error))
        bench.tick()
    bench.run_s(0.3)
