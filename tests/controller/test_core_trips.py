"""Trips: from every phase, whoever saw them, to the safe state and no further."""

from __future__ import annotations

import pytest

from cryoctl.core import Request
from cryoctl.cycle_table import Phase
from cryoctl.cycles import Verdict
from cryoctl.interlocks import TripNotice
from cryoctl_protocol.codes import Answer, HostMode, Op, Result, SafeAction, Trip
from cryoctl_protocol.messages import Command, Lease, Stop
from tests.support.bench import Bench, automatic_bench
from tests.support.builders import a_treatment, as_message

LIVE = [
    Phase.IDLE,
    Phase.SELF_TEST,
    Phase.LEAK_TEST,
    Phase.READY,
    Phase.PLACEMENT,
    Phase.ARMED,
    Phase.PREWARM,
    Phase.COOLING,
    Phase.HOLD,
    Phase.THAWING,
    Phase.RELEASE,
    Phase.PAUSE,
]


def bench_in(phase: Phase) -> Bench:
    """Return a bench that stands in ``phase``, a moment after entering it."""
    bench = Bench(a_treatment(prewarm_s=2.0))
    if phase is Phase.PLACEMENT:
        bench.run_to(Phase.READY)
        assert bench.ask(Request.PLACE) is None
    else:
        bench.run_to(phase)
    bench.run_for(0.1)
    assert bench.phase is phase
    return bench


# -- STOP by the operator (SR-29) ----------------------------------------------------------------


@pytest.mark.requirement("SR-29")
@pytest.mark.parametrize("phase", LIVE)
def test_an_operators_stop_leaves_at_once_before_everything_else(phase: Phase) -> None:
    bench = bench_in(phase)
    controller = bench.controller
    for _ in range(100):
        controller.session.lease(HostMode.IDLE, bench.now_s)

    assert bench.ask(Request.STOP) is None
    first, *rest = [as_message(body) for body in controller.outgoing(bench.now_s)]

    assert isinstance(first, Stop)
    assert (first.action, first.trip) == (SafeAction.THAW, Trip.OPERATOR_STOP)
    assert len(rest) == 100
    assert all(isinstance(message, Lease) for message in rest)
    assert bench.phase is Phase.SAFE


@pytest.mark.requirement("SR-29")
def test_a_command_that_waits_to_be_sent_does_not_follow_a_stop() -> None:
    bench = bench_in(Phase.PAUSE)
    bench.run_for(1.8)
    bench.shell._collect = lambda _now_s: None  # type: ignore[method-assign]
    bench.run_until(lambda: bench.phase is Phase.COOLING, within_s=0.2)
    assert bench.controller.session.busy  # FREEZE stands in the queue.

    bench.ask(Request.STOP)
    left = [as_message(body) for body in bench.controller.outgoing(bench.now_s)]

    assert isinstance(left[0], Stop)
    assert [message for message in left if isinstance(message, Command)] == []


@pytest.mark.requirement("SR-29")
def test_a_command_nobody_answered_is_not_repeated_after_a_stop() -> None:
    bench = Bench()
    bench.run_to(Phase.PREWARM)
    bench.device.deaf = True
    bench.run_until(lambda: bench.phase is Phase.COOLING)
    bench.run_for(0.02)
    bench.ask(Request.STOP)
    stop_s = bench.now_s

    bench.run_for(0.5)
    bench.device.deaf = False
    bench.run_to(Phase.FAULT)

    assert [message for at_s, message in bench.sink.sent_commands() if at_s > stop_s] == []
    assert Op.FREEZE not in [op for _, op in bench.device.commands]


@pytest.mark.requirement("SR-29")
def test_stop_where_nothing_runs_is_no_error_and_no_trip() -> None:
    bench = automatic_bench(a_treatment(count=1))
    bench.run_to_the_end()

    assert bench.ask(Request.STOP) is None

    assert bench.phase is Phase.COMPLETE
    assert bench.trip_ids() == []
    assert bench.controller.verdict is Verdict.PASS


@pytest.mark.requirement("SR-29")
def test_a_second_stop_changes_nothing() -> None:
    bench = bench_in(Phase.HOLD)
    bench.ask(Request.STOP)

    assert bench.ask(Request.STOP) is None

    assert bench.trip_ids() == ["OPERATOR_STOP"]


@pytest.mark.requirement("SR-29")
def test_stop_before_a_session_is_open_ends_the_run() -> None:
    bench = Bench()
    assert bench.phase is Phase.CONNECTING

    assert bench.ask(Request.STOP) is None
    bench.run_for(1.0)

    assert bench.controller.finished
    assert bench.controller.verdict is Verdict.ABORTED
    assert bench.device.commands == []
    assert bench.device.stops == []  # The probe may be in another's hands.


def test_a_stopped_run_is_aborted_and_so_is_its_cycle() -> None:
    bench = bench_in(Phase.HOLD)
    bench.ask(Request.STOP)

    bench.run_to(Phase.FAULT)

    (cycle,) = bench.controller.cycles
    assert (cycle.verdict, cycle.reason) == (Verdict.ABORTED, "stopped by the operator")
    assert bench.controller.verdict is Verdict.ABORTED
    assert cycle.freeze_ended_s is not None


def test_a_stop_in_the_leak_test_is_no_failed_leak_test() -> None:
    bench = bench_in(Phase.LEAK_TEST)
    bench.ask(Request.STOP)

    bench.run_to(Phase.FAULT)

    assert bench.controller.failure == ""
    (trip,) = bench.controller.trips
    assert trip.time_to_safe_ms is not None


def test_a_start_that_crosses_a_stop_on_the_wire_is_no_failure_of_its_own() -> None:
    bench = bench_in(Phase.ARMED)
    assert bench.ask(Request.START) is None
    bench.shell.step()  # START is under way, its answer is not.
    bench.ask(Request.STOP)

    bench.run_to(Phase.FAULT)

    assert bench.controller.failure == ""
    assert bench.trip_ids() == ["OPERATOR_STOP"]
    assert bench.controller.made_safe


# -- trips from every phase (SR-27) --------------------------------------------------------------


def check_that_it_latches(bench: Bench, cause: Trip, layer: str, phase: Phase) -> None:
    """Go on for a minute: the run must stand in FAULT, its first cause kept, nothing resumed."""
    commands = len(bench.sink.sent_commands())
    bench.run_to(Phase.FAULT)
    bench.device.telemetry = {}
    bench.run_for(60.0)

    (trip,) = bench.controller.trips
    assert (trip.notice.trip, trip.layer, trip.phase) == (cause, layer, phase)
    assert trip.first_out
    assert bench.phase is Phase.FAULT
    assert bench.controller.verdict is Verdict.SAFETY_TRIP
    assert len(bench.sink.sent_commands()) == commands
    assert bench.controller.alarms == [cause.name]


@pytest.mark.requirement("SR-27")
@pytest.mark.parametrize("phase", LIVE)
def test_a_host_interlock_trips_from_every_live_phase_and_latches(phase: Phase) -> None:
    bench = bench_in(phase)
    bench.device.telemetry = {"supply_mbar": 68_001}
    bench.run_until(lambda: bench.phase is not phase, within_s=0.05)
    assert bench.phase is Phase.SAFE

    check_that_it_latches(bench, Trip.OVERPRESSURE, "host", phase)

    assert bench.device.stops[0].trip == Trip.OVERPRESSURE


@pytest.mark.requirement("SR-27")
@pytest.mark.parametrize("phase", LIVE)
def test_a_device_trip_is_followed_from_every_live_phase_and_latches(phase: Phase) -> None:
    bench = bench_in(phase)
    bench.device.trip(Trip.BATTERY)
    bench.run_until(lambda: bench.phase is not phase, within_s=0.05)
    assert bench.phase is Phase.SAFE

    check_that_it_latches(bench, Trip.BATTERY, "device", phase)


@pytest.mark.requirement("SR-27")
@pytest.mark.parametrize("phase", [phase for phase in LIVE if phase is not Phase.IDLE])
def test_a_device_trip_whose_event_got_lost_is_seen_in_the_next_sample(phase: Phase) -> None:
    bench = bench_in(phase)
    bench.device.trip_silently(Trip.LEAK)

    bench.run_until(lambda: bench.phase is Phase.SAFE, within_s=0.05)

    (trip,) = bench.controller.trips
    assert (trip.notice.trip, trip.layer) == (Trip.LEAK, "device")
    assert trip.time_to_safe_ms == 0.0


@pytest.mark.requirement("SR-29")
def test_a_stop_by_somebody_else_is_followed() -> None:
    bench = bench_in(Phase.HOLD)
    bench.device.session.state = 8
    bench.device.trip_silently(Trip.OPERATOR_STOP)

    bench.run_to(Phase.FAULT)

    assert bench.controller.verdict is Verdict.ABORTED


@pytest.mark.requirement("SR-27")
def test_only_the_first_cause_is_kept() -> None:
    bench = bench_in(Phase.HOLD)
    bench.device.ignores_stop = True
    bench.device.telemetry = {"supply_mbar": 68_001}
    bench.run_until(lambda: bench.phase is Phase.SAFE)

    bench.device.telemetry = {"exhaust_mbar": 2_600}
    bench.run_for(0.5)
    bench.device.trip(Trip.LEAK)
    bench.run_to(Phase.FAULT)

    assert bench.trip_ids() == ["OVERPRESSURE"]
    assert [event.data["id"] for event in bench.sink.of_kind("trip")] == ["OVERPRESSURE"]


def test_a_trip_tells_its_requirement_value_and_limit() -> None:
    bench = bench_in(Phase.HOLD)
    bench.device.telemetry = {"exhaust_mbar": 2_501}

    bench.run_to(Phase.FAULT)

    (event,) = bench.sink.of_kind("trip")
    assert event.data == {
        "id": "EXHAUST_BLOCKED",
        "requirement": "SR-18",
        "layer": "host",
        "value": 2.501,
        "limit": 2.5,
        "unit": "bar",
    }


def test_an_event_of_a_trip_without_a_cause_is_a_trip_all_the_same() -> None:
    bench = bench_in(Phase.HOLD)
    bench.device.trip(Trip.NONE)

    bench.run_until(lambda: bench.phase is Phase.SAFE, within_s=0.05)

    assert bench.trip_ids() == ["INTERNAL"]


# -- STOP until the safe state is seen -----------------------------------------------------------


def test_stop_is_repeated_every_60_to_80_ms_until_telemetry_shows_the_safe_state() -> None:
    bench = bench_in(Phase.HOLD)
    bench.device.ignores_stop = True
    bench.ask(Request.STOP)
    stop_s = bench.now_s
    bench.run_for(1.0)
    bench.device.ignores_stop = False
    bench.run_to(Phase.FAULT)

    stops_s = [at_s for at_s, _ in bench.sink.sent_stops()]
    gaps_s = [round(b - a, 3) for a, b in zip(stops_s, stops_s[1:], strict=False)]
    assert stops_s[0] - stop_s <= 0.01
    assert all(0.06 <= gap_s <= 0.08 for gap_s in gaps_s)  # Samples come every 20 ms.
    assert 13 <= len(stops_s) <= 18
    (trip,) = bench.controller.trips
    assert trip.time_to_safe_ms == pytest.approx(1040.0, abs=40.0)


@pytest.mark.requirement("SR-27")
@pytest.mark.parametrize(
    "unsafe", [{"valve_permille": 1}, {"shutoff_open": 1}, {"state": 0}, {"state": 7}]
)
def test_the_safe_state_is_valve_and_supply_shut_and_latched(unsafe: dict[str, int]) -> None:
    bench = bench_in(Phase.RELEASE)
    bench.device.telemetry = unsafe
    bench.ask(Request.STOP)

    bench.run_for(6.0)
    assert bench.phase is Phase.SAFE
    assert not bench.controller.made_safe
    assert "SAFE_NOT_CONFIRMED" in bench.controller.alarms
    bench.device.telemetry = {}
    bench.run_for(0.1)

    assert bench.controller.made_safe


def test_a_run_is_over_when_the_tip_has_been_warm_for_two_seconds() -> None:
    bench = bench_in(Phase.HOLD)
    bench.ask(Request.STOP)
    bench.run_until(lambda: bench.sink.samples[-1][1].tip_temp_c > 5.0)  # type: ignore[operator]
    warm_s = bench.now_s

    bench.run_to(Phase.FAULT)

    assert bench.now_s - warm_s == pytest.approx(2.0)


def test_a_run_whose_tip_stays_cold_is_over_after_the_longest_thaw() -> None:
    bench = bench_in(Phase.HOLD)
    bench.device.at(bench.now_s + 0.01, "tip_follows", False)  # noqa: FBT003
    bench.ask(Request.STOP)
    stop_s = bench.now_s

    bench.run_to(Phase.FAULT, within_s=200.0)

    assert bench.now_s - stop_s == pytest.approx(180.0, abs=0.1)


@pytest.mark.parametrize(
    ("cause", "action"),
    [
        ({"supply_mbar": 68_001}, SafeAction.THAW),
        ({"tip_mdegc": -95_000}, SafeAction.OFF),
        ({"tip_mdegc": -60_000}, SafeAction.OFF),  # Stands still: SR-12.
        ({"skin_mdegc": 4_999}, SafeAction.THAW),
        ({"tip_heater_permille": 1}, SafeAction.OFF),
    ],
)
def test_the_heater_is_left_off_where_it_or_the_tip_sensor_cannot_be_trusted(
    cause: dict[str, int], action: SafeAction
) -> None:
    bench = bench_in(Phase.HOLD)
    bench.device.telemetry = cause

    bench.run_until(lambda: bench.phase is Phase.SAFE, within_s=2.0)
    bench.run_for(0.05)

    assert {stop.action for stop in bench.device.stops} == {action}


# -- the probe does not do what it was told ------------------------------------------------------


@pytest.mark.requirement("SR-26")
@pytest.mark.parametrize("op", [Op.SELF_TEST, Op.LEAK_TEST, Op.PREWARM, Op.FREEZE, Op.THAW, Op.END])
def test_a_command_that_is_refused_trips(op: Op) -> None:
    bench = automatic_bench(a_treatment(count=1, prewarm_s=2.0))
    bench.device.refuse = {op: Answer.OUT_OF_RANGE}

    bench.run_to_the_end()

    assert bench.trip_ids() == ["COMMAND_FAILED"]
    assert bench.phase is Phase.FAULT


@pytest.mark.requirement("SR-26")
@pytest.mark.parametrize("op", [Op.ARM, Op.START])
def test_a_refused_arm_or_start_ends_the_run_and_says_why(op: Op) -> None:
    bench = automatic_bench()
    bench.device.refuse = {op: Answer.NOT_AUTHORISED}

    bench.run_to_the_end()

    assert bench.controller.failure == f"the probe refused {op.name}: NOT_AUTHORISED"
    assert bench.controller.verdict is Verdict.FAIL
    assert Op.FREEZE not in [op for _, op in bench.device.commands]
    assert [message.trip for _, message in bench.sink.sent_stops()] == [Trip.OPERATOR_STOP]


@pytest.mark.requirement("SR-26")
@pytest.mark.parametrize("op", [Op.SELF_TEST, Op.ARM, Op.PREWARM, Op.FREEZE, Op.THAW, Op.END])
def test_a_command_nobody_answers_is_repeated_three_times_and_trips(op: Op) -> None:
    bench = automatic_bench(a_treatment(count=1, prewarm_s=2.0))
    bench.device.ignore = {op}

    bench.run_until(lambda: bool(bench.controller.trips))

    tries_s = [at_s for at_s, command in bench.sink.sent_commands() if command.op == op]
    assert len(tries_s) == 4
    assert bench.now_s - tries_s[0] <= 0.45
    assert bench.trip_ids() == ["COMMAND_FAILED"]
    (event,) = bench.sink.of_kind("unanswered")
    assert event.data == {"op": op.name, "reason": "no answer to 4 tries"}


def test_answers_that_get_lost_are_asked_for_again_and_do_no_harm() -> None:
    bench = automatic_bench(a_treatment(count=1, prewarm_s=2.0))
    bench.device.lose_acks = 3

    bench.run_to_the_end()

    assert bench.controller.verdict is Verdict.PASS
    ops = [op for _, op in bench.device.commands]
    assert ops == [
        Op.SELF_TEST,
        Op.LEAK_TEST,
        Op.ARM,
        Op.START,
        Op.PREWARM,
        Op.FREEZE,
        Op.THAW,
        Op.END,
    ]


def test_a_prewarming_whose_end_is_never_reported_trips() -> None:
    bench = automatic_bench(a_treatment(prewarm_s=2.0))
    bench.device.lose_dones = {Op.PREWARM}
    bench.run_to(Phase.PREWARM)
    began_s = bench.now_s

    bench.run_until(lambda: bench.phase is not Phase.PREWARM)

    assert bench.trip_ids() == ["COMMAND_FAILED"]
    assert bench.now_s - began_s == pytest.approx(3.0, abs=0.05)


@pytest.mark.parametrize("result", [Result.FAILED, Result.ABORTED])
def test_a_prewarming_that_failed_leads_to_no_freeze(result: Result) -> None:
    bench = automatic_bench(a_treatment(prewarm_s=2.0))
    bench.device.results = {Op.PREWARM: (result, 0)}

    bench.run_to_the_end()

    assert bench.trip_ids() == ["COMMAND_FAILED"]
    assert Op.FREEZE not in [op for _, op in bench.device.commands]


@pytest.mark.parametrize("op", [Op.SELF_TEST, Op.LEAK_TEST])
def test_a_test_whose_end_is_never_reported_trips_after_30_s(op: Op) -> None:
    bench = automatic_bench()
    bench.device.lose_dones = {op}

    bench.run_until(lambda: bool(bench.controller.trips))

    assert bench.now_s == pytest.approx(30.5, abs=0.4)
    assert bench.trip_ids() == ["COMMAND_FAILED"]


@pytest.mark.requirement("SR-26")
@pytest.mark.parametrize(("state", "phase"), [(7, Phase.HOLD), (0, Phase.HOLD), (7, Phase.COOLING)])
def test_a_freeze_that_the_probe_ends_by_itself_is_no_success(state: int, phase: Phase) -> None:
    bench = bench_in(phase)
    bench.run_for(1.2)
    assert bench.phase is phase
    bench.device.telemetry = {"state": state, "valve_permille": 0, "exhaust_flow_ug_s": 0}

    bench.run_until(lambda: bench.phase is not phase, within_s=0.05)

    assert bench.phase is Phase.SAFE
    assert bench.trip_ids() == ["COMMAND_FAILED"]


def test_a_freeze_that_does_not_begin_within_a_second_trips() -> None:
    bench = bench_in(Phase.PREWARM)
    bench.run_until(lambda: bench.phase is Phase.COOLING)
    bench.device.telemetry = {"state": 4, "valve_permille": 0, "exhaust_flow_ug_s": 0}
    began_s = bench.now_s

    bench.run_until(lambda: bench.phase is not Phase.COOLING)

    assert bench.trip_ids() == ["COMMAND_FAILED"]
    assert bench.now_s - began_s == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("phase", [Phase.READY, Phase.THAWING, Phase.PAUSE])
def test_a_probe_that_freezes_unasked_trips_within_a_second_of_the_phase(phase: Phase) -> None:
    bench = bench_in(phase)
    bench.device.telemetry = {"state": 6}

    bench.run_until(lambda: bench.phase is Phase.SAFE, within_s=1.1)

    (trip,) = bench.controller.trips
    assert trip.notice == TripNotice(Trip.COMMAND_FAILED, 6, 0.0, "state")


# -- late ticks (SR-35) --------------------------------------------------------------------------


@pytest.mark.requirement("SR-35")
@pytest.mark.parametrize(("age_s", "trips"), [(0.1499, False), (0.1501, True)])
def test_a_tick_more_than_150_ms_after_the_last_trips(age_s: float, trips: bool) -> None:
    bench = bench_in(Phase.HOLD)
    controller = bench.controller
    last_s = bench.sink.controls[-1][0]
    # Telemetry goes on, so that the tick alone is late.
    body = bench.sink.frames_in[-1][1]
    assert body
    controller._sample_s = last_s + age_s

    controller.tick(last_s + age_s)

    assert bench.trip_ids() == (["TICK_LATE"] if trips else [])
    if trips:
        assert isinstance(as_message(controller.outgoing(last_s + age_s)[0]), Stop)


# -- acknowledging (SR-27) -----------------------------------------------------------------------


@pytest.mark.requirement("SR-27")
@pytest.mark.parametrize("phase", LIVE)
def test_there_is_nothing_to_acknowledge_while_a_treatment_runs(phase: Phase) -> None:
    bench = bench_in(phase)

    refused = bench.ask(Request.ACKNOWLEDGE)

    assert refused is not None
    assert refused.reason == f"nothing to acknowledge in {phase}"


@pytest.mark.requirement("SR-26")
@pytest.mark.requirement("SR-27")
def test_an_acknowledged_trip_leads_to_idle_and_from_there_through_every_step_again() -> None:
    bench = bench_in(Phase.HOLD)
    bench.ask(Request.STOP)
    bench.run_to(Phase.FAULT)
    refused = bench.ask(Request.START)

    assert bench.ask(Request.ACKNOWLEDGE) is None
    bench.run_for(0.5)
    entered = len(bench.sink.phases())
    bench.run_to(Phase.COOLING)

    assert refused is not None
    assert bench.sink.phases()[entered:] == [
        "SELF_TEST",
        "LEAK_TEST",
        "READY",
        "ARMED",
        "PREWARM",
        "COOLING",
    ]
    assert Op.CLEAR in [op for _, op in bench.device.commands]


@pytest.mark.requirement("SR-27")
def test_the_time_to_safe_of_an_earlier_trip_stays_what_it_was() -> None:
    bench = bench_in(Phase.HOLD)
    bench.ask(Request.STOP)
    bench.run_to(Phase.FAULT)
    first_ms = bench.controller.trips[0].time_to_safe_ms
    assert bench.ask(Request.ACKNOWLEDGE) is None
    bench.run_for(0.5)

    bench.ask(Request.STOP)
    bench.run_to(Phase.FAULT)

    times_ms = [trip.time_to_safe_ms for trip in bench.controller.trips]
    assert times_ms[0] == first_ms
    assert times_ms[1] is not None
    assert times_ms[1] < 100.0
