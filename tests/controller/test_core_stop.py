"""STOP: before everything else, until the safe state is seen."""

from __future__ import annotations

from itertools import pairwise

import pytest

from cryoctl.cycle_table import Phase
from cryoctl.cycles import Verdict
from cryoctl.operator_requests import Request
from cryoctl_protocol.codes import HostMode, Op, SafeAction, Trip
from cryoctl_protocol.messages import Command, Lease, Stop
from tests.support.bench import Bench, automatic_bench
from tests.support.builders import a_treatment, as_message
from tests.support.live_phases import LIVE, bench_in

# -- STOP by the operator (SR-29) ------------------------------------------------------------------


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
    assert not controller.made_safe
    assert len(rest) == 100
    assert all(isinstance(message, Lease) for message in rest)
    assert bench.phase is Phase.SAFE


@pytest.mark.requirement("SR-29")
def test_a_command_that_waits_to_be_sent_does_not_follow_a_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = bench_in(Phase.PAUSE)
    bench.run_for(1.8)
    monkeypatch.setattr(bench.shell, "_collect", lambda _now_s: None)
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
    bench.ask(Request.CLOSE)

    assert bench.ask(Request.STOP) is None

    assert bench.phase is Phase.DISCONNECTED
    assert bench.trip_ids() == []
    assert bench.controller.verdict is Verdict.PASS


def test_a_thaw_that_outlasts_its_limit_says_that_the_needle_may_be_frozen_in() -> None:
    bench = Bench(a_treatment(count=1, thaw={"timeout_s": 30.0}))
    bench.run_to(Phase.HOLD)
    bench.device.tip_follows = False  # It stays as cold as it is.
    bench.ask(Request.STOP)

    bench.run_to(Phase.FAULT)

    assert "NOT_RELEASED" in bench.controller.alarms


@pytest.mark.requirement("SR-29")
def test_stop_reaches_the_probe_after_a_treatment_too() -> None:
    bench = automatic_bench(a_treatment(count=1))
    bench.run_to_the_end()

    assert bench.ask(Request.STOP) is None
    bench.run_for(0.1)
    in_complete = len(bench.device.stops)
    bench.run_to(Phase.FAULT)
    assert bench.ask(Request.STOP) is None
    bench.run_for(0.1)

    assert in_complete >= 1
    assert len(bench.device.stops) > in_complete
    assert bench.trip_ids() == ["OPERATOR_STOP"]


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


# -- STOP until the safe state is seen -------------------------------------------------------------


def test_stop_is_repeated_every_60_to_80_ms_until_telemetry_shows_the_safe_state() -> None:
    bench = bench_in(Phase.HOLD)
    bench.device.ignores_stop = True
    bench.ask(Request.STOP)
    stop_s = bench.now_s
    bench.run_for(1.0)
    bench.device.ignores_stop = False
    bench.run_to(Phase.FAULT)

    stops_s = [at_s for at_s, _ in bench.sink.sent_stops()]
    # The first was made between two steps and left with the next one.
    gaps_s = [round(b - a, 3) for a, b in pairwise([stop_s, *stops_s[1:]])]
    assert round(stops_s[0] - stop_s, 9) <= 0.01
    assert all(0.06 <= gap_s <= 0.08 for gap_s in gaps_s)  # Samples come every 20 ms.
    assert 15 <= len(stops_s) <= 18  # In a second; fewer if it waited longer than 60 ms.
    trip, unasked = bench.controller.trips
    assert trip.time_to_safe_ms == pytest.approx(1040.0, abs=40.0)
    assert unasked.notice.detail == "the probe freezes unasked"


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
    bench.run_for(2.5)  # And until the valve has proved to be shut.

    assert bench.controller.made_safe


@pytest.mark.requirement("SR-27")
@pytest.mark.parametrize("lost", [{"valve_permille": 900}, {"shutoff_open": 1}, {"state": 6}])
def test_a_safe_state_that_is_lost_again_is_no_safe_state(lost: dict[str, int]) -> None:
    bench = bench_in(Phase.HOLD)
    bench.device.tip_follows = False
    bench.ask(Request.STOP)
    bench.run_until(lambda: bench.controller.safing.confirmed)
    stops = len(bench.device.stops)

    bench.device.telemetry = lost
    bench.run_for(1.0)
    assert not bench.controller.safing.confirmed
    assert bench.controller.trips[0].time_to_safe_ms is None
    assert len(bench.device.stops) - stops >= 12
    assert "unsafe" in [event.kind for event in bench.sink.events]
    bench.device.telemetry = {}
    bench.run_for(0.1)

    assert bench.controller.safing.confirmed


@pytest.mark.requirement("SR-07")
def test_a_warm_tip_does_not_end_a_run_before_the_valve_has_proved_to_be_shut() -> None:
    bench = bench_in(Phase.COOLING)
    bench.run_for(0.2)  # The tip is still warm.
    bench.ask(Request.STOP)
    stop_s = bench.now_s

    bench.run_to(Phase.FAULT)

    assert 2.3 <= bench.now_s - stop_s <= 2.4


@pytest.mark.requirement("SR-07")
def test_a_stopped_run_waits_until_the_valve_has_proved_to_be_shut() -> None:
    bench = bench_in(Phase.HOLD)
    bench.ask(Request.STOP)
    stop_s = bench.now_s
    bench.run_until(lambda: bench.controller.safing.confirmed)
    assert not bench.controller.made_safe

    bench.run_until(lambda: bench.controller.made_safe)

    assert 2.3 <= bench.now_s - stop_s <= 2.4  # The profile's coast of 2 s, and 300 ms.


def test_a_run_is_over_when_the_tip_has_been_warm_for_two_seconds() -> None:
    bench = bench_in(Phase.HOLD)
    bench.ask(Request.STOP)
    bench.run_until(lambda: bench.sink.samples[-1][1].tip_temp_c > 5.0)  # type: ignore[operator]
    warm_s = bench.now_s

    bench.run_to(Phase.FAULT)

    assert bench.now_s - warm_s == pytest.approx(2.0)


def test_a_run_whose_tip_stays_cold_is_over_when_its_thaw_should_have_been() -> None:
    bench = Bench(a_treatment(thaw={"timeout_s": 180.0}))
    bench.run_to(Phase.HOLD)
    bench.device.at(bench.now_s + 0.01, "tip_follows", value=False)
    bench.ask(Request.STOP)
    stop_s = bench.now_s

    bench.run_to(Phase.FAULT, within_s=700.0)

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
