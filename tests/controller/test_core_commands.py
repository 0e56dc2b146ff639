"""A probe that does not do what it was told, or does what it was not."""

from __future__ import annotations

import pytest

from cryoctl.commands import NOTHING
from cryoctl.cycle_table import Phase
from cryoctl.cycles import Verdict
from cryoctl.interlocks import TripNotice
from cryoctl_protocol.codes import Answer, Op, Result, Trip
from cryoctl_protocol.link_limits import LinkLimits
from tests.support.bench import Bench, automatic_bench
from tests.support.builders import a_treatment
from tests.support.live_phases import bench_in


@pytest.mark.requirement("SR-26")
@pytest.mark.parametrize("op", [Op.PREWARM, Op.FREEZE, Op.THAW, Op.END])
def test_a_command_that_is_refused_trips(op: Op) -> None:
    bench = automatic_bench(a_treatment(count=1, prewarm_s=2.0))
    bench.device.refuse = {op: Answer.OUT_OF_RANGE}

    bench.run_to_the_end()

    assert bench.trip_ids() == ["COMMAND_FAILED"]
    assert bench.phase is Phase.FAULT


@pytest.mark.requirement("SR-26")
@pytest.mark.parametrize("op", [Op.SELF_TEST, Op.LEAK_TEST, Op.ARM, Op.START])
def test_a_command_refused_before_any_gas_ends_the_run_and_says_why(op: Op) -> None:
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


@pytest.mark.requirement("SR-03")
@pytest.mark.parametrize("op", [Op.SELF_TEST, Op.LEAK_TEST, Op.ARM, Op.START, Op.PREWARM, Op.END])
def test_an_end_that_got_lost_is_asked_for_again_and_nothing_is_done_twice(op: Op) -> None:
    bench = automatic_bench(a_treatment(count=1, prewarm_s=2.0))
    bench.device.lose_dones = {op}

    bench.run_to_the_end()

    assert bench.controller.verdict is Verdict.PASS
    assert bench.now_s < 20.0
    assert [done for _, done in bench.device.commands].count(op) == 1


def never_answers_again(bench: Bench) -> None:
    """Have the probe forget every answer at once, so that a repeat gets none."""

    class Forgetful(dict[int, list[bytes]]):
        def __getitem__(self, _counter: int) -> list[bytes]:
            return []

    bench.device.session._answers = Forgetful()


def test_a_prewarming_whose_end_is_never_reported_trips() -> None:
    bench = automatic_bench(a_treatment(prewarm_s=2.0))
    bench.device.lose_dones = {Op.PREWARM}
    never_answers_again(bench)
    bench.run_to(Phase.PREWARM)
    began_s = bench.now_s

    bench.run_until(lambda: bench.phase is not Phase.PREWARM)

    (trip,) = bench.controller.trips
    assert trip.notice.trip is Trip.COMMAND_FAILED
    assert trip.notice.detail == "the end of PREWARM was not reported"
    assert bench.now_s - began_s == pytest.approx(3.0, abs=0.05)


@pytest.mark.parametrize("result", [Result.FAILED, Result.ABORTED])
def test_a_prewarming_that_failed_leads_to_no_freeze(result: Result) -> None:
    bench = automatic_bench(a_treatment(prewarm_s=2.0))
    bench.device.results = {Op.PREWARM: (result, 0)}

    bench.run_to_the_end()

    assert bench.trip_ids() == ["COMMAND_FAILED"]
    assert Op.FREEZE not in [op for _, op in bench.device.commands]


@pytest.mark.requirement("SR-03")
def test_a_command_that_the_gate_keeps_back_for_a_second_trips() -> None:
    bench = Bench(link=LinkLimits(stale_s=0.05, lost_s=30.0))
    bench.run_to(Phase.HOLD)
    bench.run_for(9.9)
    bench.device.silent = True
    bench.run_for(0.1)
    bench.controller.desk.plan(NOTHING._replace(op=Op.THAW), bench.now_s)
    planned_s = bench.now_s

    bench.run_until(lambda: bench.phase is Phase.SAFE)

    assert bench.now_s - planned_s == pytest.approx(1.0, abs=0.06)
    assert bench.trip_ids() == ["COMMAND_FAILED"]
    (event,) = bench.sink.of_kind("refused")
    assert event.data == {
        "op": "THAW",
        "reason": "telemetry is stale: only STOP may go out (SR-03)",
    }


@pytest.mark.parametrize("op", [Op.SELF_TEST, Op.LEAK_TEST])
def test_a_test_whose_end_is_never_reported_trips_after_30_s(op: Op) -> None:
    bench = automatic_bench()
    bench.device.lose_dones = {op}
    never_answers_again(bench)

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
    assert trip.notice == TripNotice(Trip.COMMAND_FAILED, 0.0, 0.0, "", "the probe freezes unasked")
