"""The link: silence, loss, restarts, damage."""

from __future__ import annotations

from itertools import pairwise

import pytest

from cryoctl.cycle_table import Phase
from cryoctl.cycles import Verdict
from cryoctl.key_ring import StoredKeys
from cryoctl.operator_requests import Request
from cryoctl_protocol.codes import DeviceState, Op, Trip
from cryoctl_protocol.framing import build
from cryoctl_protocol.link_limits import LinkLimits
from cryoctl_protocol.messages import HelloHost, Vitals
from cryoctl_protocol.peer import Reach
from tests.support.bench import Bench, automatic_bench
from tests.support.builders import a_treatment


def held_bench() -> Bench:
    """Return a bench in the middle of a hold."""
    bench = Bench()
    bench.run_to(Phase.HOLD)
    bench.run_for(1.0)
    return bench


def hellos(bench: Bench) -> list[HelloHost]:
    """Return every greeting that left the controller."""
    return [m for _, m in bench.sink.sent_messages() if isinstance(m, HelloHost)]


# -- silence (SR-03) -------------------------------------------------------------------------------


@pytest.mark.requirement("SR-03")
@pytest.mark.parametrize(
    "phase", [Phase.IDLE, Phase.READY, Phase.COOLING, Phase.HOLD, Phase.THAWING, Phase.PAUSE]
)
def test_a_silent_link_trips_after_150_ms_and_within_one_tick_more(phase: Phase) -> None:
    bench = Bench()
    bench.run_to(phase)
    bench.run_for(0.5)
    silent_s = bench.sink.samples[-1][0]
    bench.device.silent = True

    bench.run_until(lambda: bench.phase is Phase.SAFE)

    (trip,) = bench.controller.trips
    assert trip.notice.trip is Trip.LINK
    assert 0.15 < trip.at_s - silent_s <= 0.2005
    assert bench.controller.verdict is Verdict.SAFETY_TRIP


@pytest.mark.requirement("SR-03")
def test_a_link_that_is_silent_for_less_than_its_limit_is_an_alarm_and_no_trip() -> None:
    bench = held_bench()
    bench.device.silent = True
    bench.run_for(0.12)
    bench.device.silent = False

    bench.run_to(Phase.COMPLETE)

    assert bench.controller.alarms == ["LINK_STALE"]
    assert bench.controller.verdict is Verdict.PASS


@pytest.mark.requirement("SR-03")
def test_stop_is_repeated_into_the_silence_until_the_probe_has_made_itself_safe() -> None:
    bench = held_bench()
    bench.device.silent = True
    bench.run_until(lambda: bench.phase is Phase.SAFE)
    trip_s = bench.now_s

    bench.run_to(Phase.FAULT)

    stops_s = [at_s for at_s, _ in bench.sink.sent_stops()]
    gaps_s = [round(b - a, 3) for a, b in pairwise(stops_s)]
    assert stops_s[0] - trip_s <= 0.01
    assert set(gaps_s) == {0.1}  # Without samples the controller runs at its tick of 50 ms.
    assert bench.device.stops[0].trip == Trip.LINK
    assert bench.now_s - trip_s == pytest.approx(4.85, abs=0.06)
    assert "SAFE_NOT_CONFIRMED" in bench.controller.alarms
    assert bench.controller.trips[0].time_to_safe_ms is None


@pytest.mark.requirement("SR-03")
def test_a_link_that_comes_back_confirms_the_safe_state_and_resumes_nothing() -> None:
    bench = held_bench()
    bench.device.silent = True
    bench.run_for(1.0)
    bench.device.silent = False

    bench.run_to(Phase.FAULT)
    bench.run_for(30.0)

    assert bench.phase is Phase.FAULT
    assert bench.controller.trips[0].time_to_safe_ms is not None
    assert [op for _, op in bench.device.commands].count(Op.FREEZE) == 1


@pytest.mark.requirement("SR-03")
@pytest.mark.parametrize(
    ("freezes_on_s", "trips"), [(0.9, ["LINK"]), (1.1, ["LINK", "COMMAND_FAILED"])]
)
def test_a_probe_heard_again_has_a_second_to_end_its_freeze(
    freezes_on_s: float, trips: list[str]
) -> None:
    bench = held_bench()
    bench.device.silent = True
    bench.run_for(2.0)
    bench.device.silent = False
    bench.device.telemetry = {"state": DeviceState.FREEZE}
    bench.run_for(freezes_on_s)
    bench.device.telemetry = {}

    bench.run_to(Phase.FAULT)

    assert bench.trip_ids() == trips


@pytest.mark.requirement("SR-03")
def test_commands_are_repeated_only_while_telemetry_is_fresh() -> None:
    bench = Bench(a_treatment(prewarm_s=2.0))
    bench.run_to(Phase.ARMED)
    bench.device.silent = True
    assert bench.ask(Request.START) is None
    bench.run_until(lambda: "LINK_STALE" in bench.controller.alarms)
    stale_s = bench.now_s

    bench.run_until(lambda: bench.phase is Phase.FAULT)

    assert [command for at_s, command in bench.sink.sent_commands() if at_s > stale_s] == []
    assert bench.sink.sent_stops() != []
    assert [lease for at_s, lease in bench.sink.sent_leases() if at_s > stale_s] != []


@pytest.mark.requirement("SR-03")
def test_no_new_command_goes_out_while_telemetry_is_stale() -> None:
    bench = Bench()
    bench.run_to(Phase.ARMED)
    bench.device.silent = True
    bench.run_until(lambda: "LINK_STALE" in bench.controller.alarms)

    refused = bench.ask(Request.START)

    assert refused is not None
    assert refused.reason == "telemetry is stale: only STOP may go out (SR-03)"
    assert [b.id for b in bench.controller.arm_blockers(bench.now_s)] == ["SR-03"]


@pytest.mark.requirement("SR-03")
def test_the_end_of_a_freeze_that_falls_into_a_short_silence_is_commanded_after_it() -> None:
    bench = Bench(a_treatment(count=1))
    bench.run_to(Phase.HOLD)
    bench.run_for(9.92)
    bench.device.silent = True
    bench.run_for(0.12)
    assert Op.THAW not in [op for _, op in bench.device.commands]
    bench.device.silent = False

    bench.run_to(Phase.COMPLETE)

    assert bench.controller.verdict is Verdict.PASS


def test_the_limits_of_a_slower_link_are_its_own() -> None:
    bench = Bench(link=LinkLimits(stale_s=0.15, lost_s=0.4))
    bench.run_to(Phase.HOLD)
    bench.device.silent = True
    bench.run_for(0.3)
    assert bench.controller.alarms == ["LINK_STALE"]
    assert bench.phase is Phase.HOLD

    bench.run_until(lambda: bench.phase is Phase.SAFE, within_s=0.2)

    assert bench.trip_ids() == ["LINK"]


# -- the link itself goes --------------------------------------------------------------------------


def test_a_link_that_goes_in_a_hold_is_a_trip_and_the_run_ends_by_itself() -> None:
    bench = held_bench()
    bench.device.silent = True

    for _ in range(3):  # A shell may say it again with every frame it cannot send.
        bench.controller.on_link_gone("unplugged", bench.now_s)
        bench.run_for(0.05)
    bench.run_to(Phase.FAULT)
    bench.controller.on_link_gone("unplugged", bench.now_s)

    assert bench.trip_ids() == ["LINK"]
    assert bench.controller.failure == ""


@pytest.mark.requirement("SR-26")
def test_a_link_that_comes_back_is_a_new_session_that_only_sees_the_probe_safe() -> None:
    bench = held_bench()
    greetings = len(hellos(bench))
    commands = len(bench.device.commands)
    bench.device.silent = bench.device.deaf = True
    bench.controller.on_link_gone("unplugged", bench.now_s)
    bench.run_for(2.0)
    bench.device.silent = bench.device.deaf = False
    bench.controller.on_link_back(bench.now_s)

    bench.run_to(Phase.FAULT)
    bench.run_for(5.0)

    assert bench.trip_ids()[0] == "LINK"  # The probe has one of its own to tell: LEASE.
    assert bench.controller.trips[0].time_to_safe_ms is not None
    assert "SAFE_NOT_CONFIRMED" not in bench.controller.alarms
    assert len(hellos(bench)) > greetings
    assert len({hello.host_nonce for hello in hellos(bench)}) == 2
    assert len(bench.device.commands) == commands


def test_a_command_on_its_way_when_the_link_goes_fails_and_is_never_sent_again() -> None:
    bench = Bench(a_treatment(count=1))
    bench.run_to(Phase.IDLE)
    bench.device.deaf = True
    assert bench.ask(Request.BEGIN) is None
    bench.run_for(0.02)
    sent = len(bench.sink.sent_commands())
    bench.controller.on_link_gone("unplugged", bench.now_s)
    bench.device.deaf = False
    bench.controller.on_link_back(bench.now_s)

    bench.run_to(Phase.FAULT)

    (event,) = bench.sink.of_kind("unanswered")
    assert event.data == {"op": "SELF_TEST", "reason": "given up unanswered"}
    assert len(bench.sink.sent_commands()) == sent == 1
    assert bench.device.commands == []


def test_after_a_link_came_back_the_next_treatment_is_possible() -> None:
    bench = held_bench()
    bench.controller.on_link_gone("unplugged", bench.now_s)
    bench.controller.on_link_back(bench.now_s)
    bench.run_to(Phase.FAULT)
    bench.run_for(1.5)

    assert bench.ask(Request.RESET) is None
    bench.run_to(Phase.IDLE, within_s=1.0)
    bench.run_to(Phase.HOLD)

    assert bench.controller.trips == []


def test_a_probe_that_restarted_while_the_link_was_gone_has_nothing_to_clear() -> None:
    bench = held_bench()
    bench.device.silent = bench.device.deaf = True
    bench.controller.on_link_gone("unplugged", bench.now_s)
    bench.run_to(Phase.FAULT)
    bench.device.restart()
    bench.device.silent = bench.device.deaf = False
    bench.controller.on_link_back(bench.now_s)
    bench.run_for(1.5)

    refused = bench.ask(Request.RESET)

    assert refused is None
    assert bench.phase is Phase.IDLE
    assert Op.CLEAR not in [op for _, op in bench.device.commands]


@pytest.mark.requirement("SR-03")
def test_a_probe_found_freezing_after_the_end_is_stopped_and_seen_safe() -> None:
    bench = held_bench()
    bench.device.silent = True
    bench.controller.on_link_gone("unplugged", bench.now_s)
    bench.run_to(Phase.FAULT)
    unconfirmed = bench.controller.made_safe
    stops = len(bench.device.stops)
    bench.device.silent = False
    bench.device.telemetry = {"valve_permille": 700, "shutoff_open": 1}
    bench.controller.on_link_back(bench.now_s)
    bench.run_until(lambda: bench.phase is Phase.SAFE, within_s=1.0)
    bench.run_for(0.5)
    bench.device.telemetry = {}
    bench.run_to(Phase.FAULT)

    assert not unconfirmed
    assert len(bench.device.stops) > stops
    assert bench.controller.made_safe


@pytest.mark.requirement("SR-07")
def test_a_limit_broken_after_the_last_cycle_trips_too() -> None:
    bench = automatic_bench(a_treatment(count=1))
    bench.run_to_the_end()
    bench.device.telemetry = {"supply_mbar": 69_000}

    bench.run_until(lambda: bench.phase is Phase.SAFE, within_s=1.0)

    assert bench.trip_ids() == ["OVERPRESSURE"]
    assert bench.controller.verdict is Verdict.SAFETY_TRIP


def test_another_probe_on_the_line_does_not_answer_for_the_first() -> None:
    bench = held_bench()
    bench.device.silent = bench.device.deaf = True
    bench.controller.on_link_gone("unplugged", bench.now_s)
    bench.run_for(1.0)
    bench.device.device_id = b"SCRIPTED-2"
    bench.device.restart()
    bench.device.silent = bench.device.deaf = False
    bench.controller.on_link_back(bench.now_s)

    bench.run_to_the_end()

    assert bench.controller.failure == "another probe is on the line: SCRIPTED-2, not SCRIPTED-1"
    assert bench.controller.trips[0].time_to_safe_ms is None
    assert "SAFE_NOT_CONFIRMED" in bench.controller.alarms


def test_a_link_that_goes_while_connecting_ends_the_run() -> None:
    bench = Bench()

    bench.controller.on_link_gone("unplugged", bench.now_s)
    bench.controller.on_link_gone("still unplugged", bench.now_s)

    assert bench.controller.failure == "the link is gone: unplugged"
    (event,) = bench.sink.of_kind("failed")
    assert event.data == {"why": "the link is gone: unplugged"}
    assert bench.controller.link_failure
    assert bench.controller.finished


def test_a_link_that_goes_after_the_end_changes_nothing() -> None:
    bench = automatic_bench(a_treatment(count=1))
    bench.run_to_the_end()

    bench.controller.on_link_gone("unplugged", bench.now_s)

    assert bench.controller.verdict is Verdict.PASS
    assert bench.controller.failure == ""


def test_telemetry_before_a_session_is_recorded_and_judged_by_nobody() -> None:
    bench = Bench()
    bench.device.deaf = True
    bench.device.telemetry = {"supply_mbar": 69_000}

    bench.run_for(2.0)

    assert len(bench.sink.samples) == 100
    assert bench.phase is Phase.CONNECTING
    assert bench.trip_ids() == []


def test_vitals_change_nothing_in_a_session() -> None:
    bench = held_bench()
    events = len(bench.sink.events)
    bench.device.session.send_plain(Vitals(bench.device.device_ms, 9, -99_000, 99_000, 0, 0, 0))

    bench.run_for(0.5)

    assert bench.phase is Phase.HOLD
    assert len(bench.sink.events) == events


def test_nobody_there_is_said_after_five_seconds() -> None:
    bench = automatic_bench()
    bench.device.silent = True

    bench.run_to_the_end()

    assert bench.controller.failure == "no session with the device within 5 s: no answer"
    assert bench.controller.link_failure
    assert bench.now_s == pytest.approx(5.0, abs=0.051)


# -- restarts (SR-26) ------------------------------------------------------------------------------


@pytest.mark.requirement("SR-26")
@pytest.mark.parametrize("phase", [Phase.ARMED, Phase.HOLD, Phase.THAWING, Phase.PAUSE])
def test_a_probe_that_restarts_trips_and_nothing_resumes(phase: Phase) -> None:
    bench = automatic_bench()
    bench.run_to(phase)
    commands = len(bench.device.commands)
    bench.device.restart()

    bench.run_to_the_end()
    bench.run_for(30.0)

    first = bench.controller.trips[0]
    assert first.notice.trip is Trip.DEVICE_RESTART
    assert bench.trip_ids()[1:] in ([], ["LINK"])  # Until the new session is open it is not heard.
    assert first.time_to_safe_ms is not None  # It obeyed STOP in a session of its own.
    assert first.time_to_safe_ms < 500.0
    assert bench.phase is Phase.FAULT
    assert len(bench.device.commands) == commands


# -- damage (SR-23) --------------------------------------------------------------------------------


@pytest.mark.requirement("SR-23")
@pytest.mark.parametrize(("errors", "trips"), [(5, False), (6, True)])
def test_more_than_five_damaged_frames_in_a_second_trip_in_a_freeze(
    errors: int, trips: bool
) -> None:
    bench = held_bench()

    for _ in range(errors):
        bench.controller.on_line_errors(1, bench.now_s)
    bench.run_for(0.1)

    assert bench.trip_ids() == (["INTEGRITY"] if trips else [])


@pytest.mark.requirement("SR-23")
def test_damage_spread_over_more_than_a_second_or_without_outputs_is_counted_alone() -> None:
    bench = Bench()
    bench.run_to(Phase.READY)
    bench.controller.on_line_errors(50, bench.now_s)
    bench.run_for(1.2)
    bench.run_to(Phase.HOLD)
    for _ in range(6):
        bench.controller.on_line_errors(1, bench.now_s)
        bench.run_for(0.3)

    assert bench.trip_ids() == []
    assert bench.controller.session.rejects.total() == 56


def test_every_line_error_is_recorded_as_an_empty_frame() -> None:
    bench = held_bench()
    before = len(bench.sink.frames_in)

    bench.controller.on_line_errors(3, bench.now_s)

    assert bench.sink.frames_in[before:] == [(bench.now_s, b"")] * 3


def test_a_vendor_message_is_recorded_and_nothing_else() -> None:
    bench = held_bench()
    events = len(bench.sink.events)
    body = build(0xC7, b"\x01\x02\x03", seq=0, session=0, key=None)

    bench.controller.on_body(body, bench.now_s)

    assert bench.sink.vendor_frames == [(bench.now_s, 0xC7, b"\x01\x02\x03")]
    assert len(bench.sink.events) == events


# -- somebody who guesses ------------------------------------------------------------------------


@pytest.mark.requirement("SR-24")
@pytest.mark.requirement("SR-01")
def test_bad_tags_in_a_freeze_alarm_and_the_controller_sees_the_probe_safe_again() -> None:
    bench = automatic_bench()
    bench.run_to(Phase.HOLD)
    session = bench.device.session
    for _ in range(3):
        session._on_bad_tag(bench.device.device_ms)
    assert not session.is_open

    bench.run_to_the_end()

    assert "SESSION_DROPPED" in bench.controller.alarms
    assert "SAFE_NOT_CONFIRMED" not in bench.controller.alarms
    assert set(bench.trip_ids()) <= {"LINK", "LEASE"}
    assert not bench.controller.board.is_present("SESSION_DROPPED")  # A new session is open.
    dropped = [e for e in bench.sink.events if e.data.get("event") == "SESSION_DROPPED"]
    assert len(dropped) == 1


@pytest.mark.requirement("SR-24")
def test_a_probe_without_a_key_here_is_watched_and_sent_nothing_but_greetings() -> None:
    ring = StoredKeys({}, {}, Reach.NETWORK, "", "the folder")
    bench = automatic_bench(key=ring)

    bench.run_to_the_end()
    bench.run_for(2.0)

    assert "has no key of its own" in bench.controller.failure
    assert bench.device.commands == []
    assert not bench.device.session.is_open
