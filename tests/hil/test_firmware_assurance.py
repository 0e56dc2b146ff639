"""Small shares of the programs about the emulated firmware, and proofs that each can fail."""

from __future__ import annotations

import pytest

from tests.support.programs import needed_modules

needed_modules("unicorn")

from cryoctl_hil.assurance import machine_code, preemption, upsets
from cryoctl_hil.assurance.c_mutants import claims
from cryoctl_hil.assurance.walks import WALK_OF, state_of, steps
from cryoctl_protocol.codes import DeviceState
from cryoctl_simulator.emulated.coverage import Coverage, holds
from cryoctl_simulator.emulated.upsets import Outcome, Target, Trial

# What takes seconds to come to is kept: one process does all of it.
pytestmark = [pytest.mark.xdist_group("firmware"), pytest.mark.timeout(300)]

# -- the interrupt in the middle of the work -----------------------------------------------------


@pytest.mark.requirement("SR-15")
def test_an_interrupt_in_the_middle_of_a_tick_changes_nothing() -> None:
    world = WALK_OF["treated"].world(build=preemption.new_probe())
    for _ in steps(world):
        if state_of(world) is DeviceState.FREEZE:
            break
    saved = world.save()

    done = [preemption.cut(world, saved, count) for count in range(1, 1_000, 37)]

    assert [each.problem for each in done if each.problem] == []
    assert len({each.cut_at for each in done}) > 20


def test_a_planted_race_is_found() -> None:
    assert "step_ms is 10, the witness has 20" in preemption.shows("clock kept by the interrupt")


@pytest.mark.parametrize(
    ("cuts", "places", "problems", "unseen"),
    [(49_999, 1_500, [], []), (50_000, 1_499, [], []), (50_000, 1_500, ["x"], []),
     (50_000, 1_500, [], ["x"])],
)  # fmt: skip
def test_too_few_cuts_or_a_difference_or_an_unseen_race_is_a_failure(
    cuts: int, places: int, problems: list[str], unseen: list[str]
) -> None:
    assert preemption.judged(50_000, 1_500, [], [], scale=1.0).ok
    assert not preemption.judged(cuts, places, problems, unseen, scale=1.0).ok


# -- lines and branches of the machine code ------------------------------------------------------


def test_every_line_and_branch_of_the_safety_code_is_executed_as_machine_code() -> None:
    outcome = machine_code.run(1.0, print)

    assert outcome.failures == []
    assert [each.value for each in outcome.measures] == [100.0, 100.0]


def test_a_claim_that_is_left_out_shows_in_lines_and_branches() -> None:
    caller = machine_code.Caller(machine_code.debug_elf())
    coverage = Coverage(caller.processor, "safety.c")
    for claim in claims():
        if claim.requirement != "SR-15":
            assert caller.call(claim) == claim.expected

    outcome = machine_code.judged(coverage.lines(), coverage.branches(), [])

    assert not outcome.ok
    assert any("none of it was executed" in text for text in outcome.failures)
    assert any("is never taken" in text for text in outcome.failures)


@pytest.mark.parametrize(
    ("condition", "flags", "expected"),
    [
        (0, 0b0100, True), (0, 0, False), (1, 0, True),  # EQ, NE: Z
        (2, 0b0010, True), (3, 0b0010, False),  # CS, CC: C
        (4, 0b1000, True), (5, 0b1000, False),  # MI, PL: N
        (6, 0b0001, True), (7, 0b0001, False),  # VS, VC: V
        (8, 0b0010, True), (8, 0b0110, False), (9, 0b0110, True),  # HI, LS
        (10, 0b1001, True), (10, 0b1000, False), (11, 0b1000, True),  # GE, LT
        (12, 0b1001, True), (12, 0b1101, False), (13, 0b0100, True),  # GT, LE
        (14, 0, True),
    ],
)  # fmt: skip
def test_conditions_hold_as_the_architecture_says(
    condition: int, flags: int, expected: bool
) -> None:
    assert holds(condition, flags) is expected


# -- bits that turn over -------------------------------------------------------------------------


@pytest.mark.requirement("SR-01")
def test_some_bits_of_the_memory_keep_no_valve_open() -> None:
    done = upsets.run_bits(range(0, upsets.memory_bits(), 2_503))

    assert max(length_s for _, length_s in done) <= 0.5
    assert min(length_s for _, length_s in done) >= 0.0
    assert len(done) == 28


def test_a_bit_that_keeps_the_valve_open_is_a_failure_with_its_name() -> None:
    fine = upsets.judged({0: 0.5}, [Trial(Target.STACK, "there", Outcome.SILENT, 0.5)], 0.001)
    stuck = upsets.judged({33: 0.51}, [Trial(Target.STACK, "there", Outcome.OPEN, 0.6)], 0.001)

    assert fine.failures == []
    assert not stuck.ok
    assert stuck.failures[0] == "memory: outputs bit 33: valve open for 0.51 s"
    assert stuck.failures[1] == "stack there: open for 0.6 s"


def test_every_bit_has_to_be_turned_over_at_scale_1() -> None:
    assert upsets.judged({0: 0.1}, [], 1.0).measures[0].ok is False
