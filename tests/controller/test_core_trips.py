"""Trips: from every phase, whoever saw them, to the safe state and no further."""

from __future__ import annotations

import pytest

from cryoctl.cycle_table import Phase
from cryoctl.cycles import Verdict
from cryoctl.interlocks import TripNotice
from cryoctl.operator_requests import Request
from cryoctl_protocol.codes import TRIP_RULES, Answer, Op, SafeAction, Sensor, Trip
from cryoctl_protocol.link_limits import LinkLimits
from cryoctl_protocol.messages import Stop
from tests.support.bench import Bench
from tests.support.builders import a_treatment, as_message
from tests.support.live_phases import LIVE, bench_in

# -- trips from every phase (SR-27) ----------------------------------------------------------------


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
def test_the_first_cause_stays_first_and_later_ones_join_it_once() -> None:
    bench = bench_in(Phase.HOLD)
    bench.device.ignores_stop = True
    bench.device.telemetry = {"supply_mbar": 68_001}
    bench.run_until(lambda: bench.phase is Phase.SAFE)

    bench.device.telemetry = {"exhaust_mbar": 2_600}
    bench.run_for(0.5)
    bench.device.trip(Trip.LEAK)
    bench.run_to(Phase.FAULT)

    expected = ["OVERPRESSURE", "EXHAUST_BLOCKED", "LEAK"]
    assert bench.trip_ids() == expected
    assert [event.data["id"] for event in bench.sink.of_kind("trip")] == expected
    assert bench.controller.alarms == expected
    assert [trip.first_out for trip in bench.controller.trips] == [True, False, False]
    assert bench.controller.cycles[-1].reason == TRIP_RULES[Trip.OVERPRESSURE].text


@pytest.mark.requirement("SR-07")
@pytest.mark.requirement("SR-27")
def test_a_valve_that_sticks_after_an_operators_stop_is_a_safety_trip() -> None:
    bench = bench_in(Phase.HOLD)
    bench.device.telemetry = {"exhaust_flow_ug_s": 20_000}
    bench.ask(Request.STOP)
    stop_s = bench.now_s

    bench.run_until(lambda: bench.controller.made_safe)

    assert bench.trip_ids() == ["OPERATOR_STOP", "VALVE_STUCK"]
    assert bench.controller.verdict is Verdict.SAFETY_TRIP
    assert bench.controller.cycles[-1].verdict is Verdict.ABORTED
    told_s = [at_s for at_s, stop in bench.sink.sent_stops() if stop.trip == Trip.VALVE_STUCK]
    assert 2.3 <= told_s[0] - stop_s <= 2.4


@pytest.mark.requirement("SR-11")
@pytest.mark.requirement("SR-27")
def test_a_later_cause_may_only_make_the_safe_state_more_careful() -> None:
    bench = bench_in(Phase.HOLD)
    bench.ask(Request.STOP)
    bench.run_for(0.05)
    bench.device.telemetry = {"open_circuit": Sensor.TIP}
    bench.run_for(0.1)
    bench.device.telemetry = {"supply_mbar": 68_001}
    bench.run_for(0.1)

    told = [(stop.trip, stop.action) for stop in bench.device.stops]

    assert told == [
        (Trip.OPERATOR_STOP, SafeAction.THAW),
        (Trip.TIP_SENSOR, SafeAction.OFF),
        (Trip.OVERPRESSURE, SafeAction.OFF),
    ]


@pytest.mark.requirement("SR-11")
@pytest.mark.requirement("SR-27")
def test_a_more_careful_cause_is_told_at_once_and_not_with_the_next_repeat() -> None:
    bench = bench_in(Phase.HOLD)
    bench.controller.trip(TripNotice(Trip.OVERPRESSURE, 69.0, 68.0, "bar"), bench.now_s)
    bench.controller.outgoing(bench.now_s)

    bench.controller.trip(TripNotice(Trip.TIP_SENSOR, 0.0, 0.0, ""), bench.now_s + 0.001)

    (body,) = bench.controller.outgoing(bench.now_s + 0.001)
    stop = as_message(body)
    assert isinstance(stop, Stop)
    assert (stop.trip, stop.action) == (Trip.TIP_SENSOR, SafeAction.OFF)


@pytest.mark.requirement("SR-27")
def test_a_cause_that_was_reset_counts_anew_when_it_comes_again() -> None:
    bench = bench_in(Phase.HOLD)
    bench.device.telemetry = {"supply_mbar": 68_001}
    bench.run_to(Phase.FAULT)
    bench.device.telemetry = {}
    bench.run_for(1.1)
    assert bench.ask(Request.RESET) is None
    bench.run_until(lambda: bench.phase is Phase.IDLE)

    bench.device.telemetry = {"supply_mbar": 68_001}
    bench.run_until(lambda: bench.phase is Phase.SAFE)

    assert bench.trip_ids() == ["OVERPRESSURE", "OVERPRESSURE"]


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
        "detail": "",
    }


def test_an_event_of_a_trip_without_a_cause_is_a_trip_all_the_same() -> None:
    bench = bench_in(Phase.HOLD)
    bench.device.trip(Trip.NONE)

    bench.run_until(lambda: bench.phase is Phase.SAFE, within_s=0.05)

    assert bench.trip_ids() == ["INTERNAL"]


# -- late ticks (SR-35) ----------------------------------------------------------------------------


@pytest.mark.requirement("SR-35")
@pytest.mark.parametrize(("age_s", "trips"), [(0.1499, False), (0.1501, True)])
def test_a_tick_more_than_150_ms_after_the_last_trips(age_s: float, trips: bool) -> None:
    bench = Bench(link=LinkLimits(stale_s=1.0, lost_s=1.0))  # The tick alone is late.
    bench.run_to(Phase.HOLD)
    controller = bench.controller
    last_s = bench.sink.controls[-1][0]

    controller.tick(last_s + age_s)

    assert bench.trip_ids() == (["TICK_LATE"] if trips else [])
    if trips:
        assert bench.controller.trips[0].notice.value == pytest.approx(age_s)
        assert isinstance(as_message(controller.outgoing(last_s + age_s)[0]), Stop)


# -- resetting (SR-27) -----------------------------------------------------------------------------


@pytest.mark.requirement("SR-27")
@pytest.mark.parametrize("phase", LIVE)
def test_there_is_nothing_to_reset_while_a_treatment_runs(phase: Phase) -> None:
    bench = bench_in(phase)

    refused = bench.ask(Request.RESET)

    assert refused is not None
    assert refused.reason == f"nothing to reset in {phase}"


@pytest.mark.requirement("SR-26")
@pytest.mark.requirement("SR-27")
def test_a_trip_that_was_reset_leads_to_idle_and_from_there_through_every_step_again() -> None:
    bench = bench_in(Phase.HOLD)
    bench.ask(Request.STOP)
    bench.run_to(Phase.FAULT)
    refused = bench.ask(Request.START)

    assert bench.ask(Request.RESET) is None
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
    assert bench.ask(Request.RESET) is None
    bench.run_for(0.5)

    bench.ask(Request.STOP)
    bench.run_to(Phase.FAULT)

    assert [trip.first_out for trip in bench.controller.trips] == [True, False]
    times_ms = [trip.time_to_safe_ms for trip in bench.controller.trips]
    assert times_ms[0] == first_ms
    assert times_ms[1] is not None
    assert times_ms[1] < 100.0


@pytest.mark.requirement("SR-27")
def test_a_trip_cannot_be_reset_until_its_cause_has_been_gone_for_a_second() -> None:
    bench = bench_in(Phase.HOLD)
    bench.device.telemetry = {"supply_mbar": 68_001}
    bench.run_to(Phase.FAULT)
    present = bench.ask(Request.RESET)
    bench.device.telemetry = {}
    bench.run_for(0.95)
    too_soon = bench.ask(Request.RESET)
    bench.run_for(0.1)

    assert present is not None
    assert too_soon is not None
    assert too_soon.reason == "a limit is still broken, or was within 1 s (SR-27)"
    assert bench.ask(Request.RESET) is None


@pytest.mark.requirement("SR-27")
def test_a_trip_cannot_be_reset_while_the_probe_is_silent() -> None:
    bench = bench_in(Phase.HOLD)
    bench.device.silent = True
    bench.run_to(Phase.FAULT)

    refused = bench.ask(Request.RESET)

    assert refused is not None
    assert refused.reason == "telemetry is stale: only STOP may go out (SR-03)"
    assert bench.phase is Phase.FAULT


@pytest.mark.requirement("SR-27")
def test_a_probe_that_does_not_clear_its_trip_yet_is_not_tripped_once_more() -> None:
    bench = bench_in(Phase.HOLD)
    bench.ask(Request.STOP)
    bench.run_to(Phase.FAULT)
    bench.device.refuse = {Op.CLEAR: Answer.FAULT_LATCHED}

    assert bench.ask(Request.RESET) is None
    bench.run_for(1.0)

    assert bench.phase is Phase.FAULT
    assert bench.trip_ids() == ["OPERATOR_STOP"]


def test_a_complete_treatment_is_reset_without_clearing_anything() -> None:
    bench = Bench(a_treatment(count=1))
    bench.run_to(Phase.COMPLETE)

    assert bench.ask(Request.RESET) is None
    bench.run_for(0.5)

    assert bench.phase is Phase.IDLE
    assert Op.CLEAR not in [op for _, op in bench.device.commands]


# -- after a trip ----------------------------------------------------------------------------------


@pytest.mark.requirement("SR-27")
def test_a_fault_that_was_reset_waits_for_the_probe_to_clear_and_a_new_treatment_starts_clean() -> (
    None
):
    bench = bench_in(Phase.HOLD)
    bench.ask(Request.STOP)
    bench.run_to(Phase.FAULT, within_s=200.0)

    bench.ask(Request.RESET)
    assert bench.phase is Phase.FAULT  # Not before the probe has answered CLEAR.
    bench.run_until(lambda: bench.phase is Phase.IDLE)
    bench.run_to(Phase.COMPLETE, within_s=600.0)

    assert bench.controller.trips == []
    assert bench.controller.verdict is Verdict.PASS


@pytest.mark.requirement("SR-01")
def test_a_probe_that_ignores_stop_gets_no_more_leases_until_its_watchdog_has_acted() -> None:
    bench = bench_in(Phase.HOLD)
    bench.device.ignores_stop = True
    bench.ask(Request.STOP)
    stop_s = bench.now_s

    bench.run_until(lambda: bench.controller.safing.confirmed)

    unheard = [at_s for at_s, _ in bench.sink.sent_leases() if at_s > stop_s + 1.1]
    assert unheard == []
    # One second without obedience, 300 ms of lease, and a tick or two.
    assert bench.now_s - stop_s <= 1.5


@pytest.mark.requirement("SR-27")
def test_a_cause_that_comes_back_before_the_probe_has_answered_clear_keeps_the_trip() -> None:
    bench = bench_in(Phase.HOLD)
    bench.device.telemetry = {"supply_mbar": 68_001}
    bench.run_to(Phase.FAULT)
    bench.device.telemetry = {}
    bench.run_for(2.0)
    bench.device.lose_acks = 1
    assert bench.ask(Request.RESET) is None

    bench.device.telemetry = {"supply_mbar": 68_001}
    bench.run_for(0.5)
    kept = bench.phase
    bench.device.telemetry = {}
    bench.run_for(1.1)

    assert bench.ask(Request.RESET) is None
    assert (kept, bench.phase) == (Phase.FAULT, Phase.IDLE)
