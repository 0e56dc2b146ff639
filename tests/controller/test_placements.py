"""Several placements on one probe: what each came to, the gas they share, the worst of all."""

from __future__ import annotations

import pytest

from cryoctl.console_operator import ConsoleHelper, ConsoleOperator
from cryoctl.core import Controller
from cryoctl.cycle_table import Phase
from cryoctl.cycles import Verdict
from cryoctl.operator_requests import Request
from cryoctl.operators import AutomaticOperator
from cryoctl.placements import worst
from cryoctl.session_operator import SessionOperator
from cryoctl.summary import exit_code, placement_summaries
from cryoctl_protocol.codes import Op
from tests.support.bench import Bench
from tests.support.builders import a_treatment


class Script:
    """Lines that the test types."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def take(self) -> str:
        return self.lines.pop(0) if self.lines else ""


class SteadyHelper:
    """Puts the probe in place at once, and counts."""

    def __init__(self) -> None:
        self.placed: list[int] = []
        self.cartridges = 0

    def place(self, controller: Controller, now_s: float) -> None:
        self.placed.append(controller.placement)
        controller.request(Request.PLACED, now_s)

    def has_new_cartridge(self) -> bool:
        self.cartridges += 1
        return True


def session_bench(
    count: int = 3, *, cartridge_g: float | None = None
) -> tuple[Bench, SteadyHelper]:
    """Return a bench with ``count`` placements of one cycle each: 10 s, 20 s, ... in the band."""
    helper = SteadyHelper()
    bench = Bench(
        a_treatment(count=1),
        operator=SessionOperator(AutomaticOperator, helper),
        later=[a_treatment(count=1, hold_s=10.0 * n) for n in range(2, count + 1)],
        cartridge_g=cartridge_g,
    )
    return bench, helper


def run_session(bench: Bench) -> Controller:
    bench.shell.run(until_s=2_000.0)
    return bench.controller


@pytest.mark.requirement("SR-26")
def test_each_placement_is_armed_and_started_by_itself() -> None:
    bench, helper = session_bench()

    controller = run_session(bench)

    ops = [op for _, op in bench.device.commands]
    assert [ops.count(op) for op in (Op.LEAK_TEST, Op.ARM, Op.START, Op.FREEZE)] == [3, 3, 3, 3]
    assert bench.sink.phases().count("PLACEMENT") == 3
    assert helper.placed == [1, 2, 3]
    assert [p.treatment.cycles.hold_s for p in controller.begun_placements()] == [10.0, 20.0, 30.0]
    assert controller.session_verdict is Verdict.PASS
    assert exit_code(controller) == 0


def test_the_arm_of_each_placement_is_for_its_own_treatment() -> None:
    bench, _ = session_bench(2)

    run_session(bench)

    hashes = [c.treatment_hash for _, c in bench.sink.sent_commands() if c.op == Op.ARM]
    assert hashes == [
        a_treatment(count=1).hash32,
        a_treatment(count=1, hold_s=20.0).hash32,
    ]


def test_a_stop_at_the_second_placement_ends_the_session() -> None:
    bench, helper = session_bench()
    bench.run_until(lambda: bench.controller.placement == 2 and bench.phase is Phase.HOLD)

    bench.shell.request_stop()
    controller = run_session(bench)

    assert helper.placed == [1, 2]
    rows = placement_summaries(controller, ["a", "b", "c"], lambda _: None, 0.0)
    assert [(row.name, row.verdict) for row in rows] == [
        ("a", Verdict.PASS),
        ("b", Verdict.ABORTED),
        ("c", None),
    ]
    assert controller.session_verdict is Verdict.ABORTED
    assert exit_code(controller) == 130


@pytest.mark.requirement("SR-22")
def test_the_gas_of_one_placement_is_missing_at_the_next() -> None:
    bench, _ = session_bench(2)
    bench.run_until(lambda: bench.controller.placement == 2 and bench.phase is Phase.READY)

    first, left_g = bench.controller.placements[0], bench.controller.gas_left_g

    assert first.gas_used_g > 0.1
    assert left_g == pytest.approx(12.8 - first.gas_used_g, abs=0.001)


@pytest.mark.requirement("SR-22")
def test_a_cartridge_is_asked_for_when_the_gas_is_not_enough_for_the_next_placement() -> None:
    # 1.2 x (20 s to the band + 20 s) x 36 mg/s = 1.73 g; of 2.5 g in it, 2.0 g can cool.
    bench, helper = session_bench(2, cartridge_g=2.5)

    controller = run_session(bench)

    assert helper.cartridges == controller.cartridge_changes == 1
    assert controller.session_verdict is Verdict.PASS
    assert controller.gas_left_g == pytest.approx(
        12.8 - controller.begun_placements()[1].gas_used_g, abs=0.001
    )


@pytest.mark.requirement("SR-22")
def test_without_a_new_cartridge_arm_is_refused() -> None:
    bench = Bench(a_treatment(count=1), cartridge_g=1.0)
    bench.run_to(Phase.READY)

    refused = bench.ask(Request.ARM)

    assert refused is not None
    assert "SR-22: not enough gas" in refused.reason


@pytest.mark.requirement("SR-22")
def test_no_cartridge_is_asked_for_where_a_full_one_would_not_do() -> None:
    bench = Bench(a_treatment(count=10, hold_s=60.0), cartridge_g=1.0)
    bench.run_to(Phase.IDLE)

    assert not bench.controller.wants_cartridge


@pytest.mark.requirement("SR-19")
def test_a_cartridge_is_changed_in_idle_alone_so_that_a_leak_test_follows() -> None:
    bench = Bench(a_treatment(count=1), cartridge_g=1.0)
    bench.run_to(Phase.IDLE)
    in_idle = bench.ask(Request.CARTRIDGE)
    bench.run_to(Phase.READY)

    in_ready = bench.ask(Request.CARTRIDGE)

    assert in_idle is None
    assert in_ready is not None
    assert in_ready.reason == (
        "a cartridge is not changed in READY: in IDLE, before the leak test (SR-19)"
    )
    assert bench.controller.cartridge_changes == 1
    assert bench.ask(Request.ARM) is None


def test_a_session_that_was_reset_and_closed_keeps_what_was_done() -> None:
    bench = Bench(a_treatment(count=1))
    bench.run_to(Phase.COMPLETE)
    assert bench.ask(Request.RESET) is None
    assert bench.ask(Request.BEGIN) is None
    bench.run_until(lambda: bench.phase is Phase.READY)

    bench.ask(Request.CLOSE)

    assert bench.controller.session_verdict is Verdict.PASS
    assert exit_code(bench.controller) == 0


def test_the_worst_verdict_counts() -> None:
    assert worst([Verdict.PASS, Verdict.PASS]) is Verdict.PASS
    assert worst([Verdict.NOT_EFFECTIVE, Verdict.PASS]) is Verdict.NOT_EFFECTIVE
    assert worst([Verdict.ABORTED, Verdict.FAIL]) is Verdict.ABORTED
    assert worst([Verdict.ABORTED, Verdict.SAFETY_TRIP]) is Verdict.SAFETY_TRIP


PLACING = "Type stimulate HZ MS MA, such as stimulate 2 0.1 1, and placed at the end"


def console_bench(said: list[str], script: Script) -> Bench:
    """Return a bench with two placements and a person at it."""
    operator = SessionOperator(
        lambda: ConsoleOperator(said.append, script),
        ConsoleHelper(said.append, script, ["medial", "lateral"]),
    )
    return Bench(a_treatment(count=1), operator=operator, later=[a_treatment(count=1)])


def test_a_person_is_told_where_the_probe_goes_and_says_when_it_is_there() -> None:
    said: list[str] = []
    script = Script()
    bench = console_bench(said, script)
    bench.run_until(lambda: bench.phase is Phase.READY)
    script.lines = ["placed"]  # Typed before anybody asked.

    bench.run_until(lambda: bench.phase is Phase.PLACEMENT)
    bench.run_for(0.5)
    early = bench.phase
    script.lines = ["what"]
    bench.run_for(0.2)
    answered = bench.phase
    script.lines = ["placed"]
    bench.run_for(0.2)

    assert (early, answered, bench.phase) == (Phase.PLACEMENT, Phase.PLACEMENT, Phase.READY)
    assert said[:2] == [
        f"placement 1 of 2, medial: put the probe in place. {PLACING}",
        f"'what' is not possible while placing. {PLACING}",
    ]


@pytest.mark.requirement("SR-41")
def test_the_nerve_is_looked_for_at_a_placement_of_a_session_and_again_before_arm() -> None:
    said: list[str] = []
    script = Script()
    bench = console_bench(said, script)
    bench.run_until(lambda: bench.phase is Phase.PLACEMENT)
    bench.run_for(0.2)

    for word in ("stimulate 2 0.1 1", "placed", "place", "stimulate 2 0.1 0.4", "placed", "arm"):
        script.lines = [word]
        bench.run_for(2.5)

    prompt = f"placement 1 of 2, medial: put the probe in place. {PLACING}"
    ready = "ready. Type arm and Enter when the probe is in place, or place to look for the nerve"
    assert said == [
        prompt,
        "response: MOTOR",
        ready,
        prompt,
        "response: NONE",
        ready,
        "armed. Type start and Enter within 10 s; Ctrl-C stops",
    ]
    assert [op for _, op in bench.device.commands].count(Op.STIMULATE) == 2


def test_a_stimulus_that_is_still_going_on_forbids_placed_and_that_is_told() -> None:
    said: list[str] = []
    script = Script()
    bench = console_bench(said, script)
    bench.run_until(lambda: bench.phase is Phase.PLACEMENT)
    bench.run_for(0.2)

    script.lines = ["stimulate 2 0.1 1", "placed"]
    bench.run_for(0.3)

    assert bench.phase is Phase.PLACEMENT
    assert said[-1].startswith("placed refused: the probe stimulates")


def test_a_person_is_asked_for_a_cartridge_each_time() -> None:
    said: list[str] = []
    script = Script()
    helper = ConsoleHelper(said.append, script, ["medial"])

    for _ in range(2):
        assert not helper.has_new_cartridge()
        script.lines = ["changed"]
        assert helper.has_new_cartridge()

    assert len(said) == 2
    assert "(SR-22)" in said[0]


@pytest.mark.requirement("SR-26")
def test_a_person_arms_and_starts_anew_at_each_placement() -> None:
    said: list[str] = []
    script = Script()
    bench = console_bench(said, script)

    for placement in (1, 2):
        bench.run_until(lambda: bench.phase is Phase.PLACEMENT)
        assert bench.controller.placement == placement
        for word in ("placed", "arm", "start"):
            bench.run_for(0.2)
            script.lines = [word]
            bench.run_for(0.3)
        bench.run_until(lambda: bench.phase is Phase.COOLING)

    bench.run_until(lambda: bench.phase is Phase.COMPLETE)
    assert bench.controller.session_verdict is Verdict.PASS
    assert [text.split(".")[0] for text in said] == [
        "placement 1 of 2, medial: put the probe in place",
        "ready",
        "armed",
        "placement 2 of 2, lateral: put the probe in place",
        "ready",
        "armed",
    ]
