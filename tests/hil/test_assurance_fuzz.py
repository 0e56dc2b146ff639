"""Small shares of the programs that try what nobody foresaw, and proofs that each can fail."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from cryoctl import interlocks
from cryoctl_hil.assurance import falsetrips, frames, hostile_machine, simulate, stateful
from cryoctl_hil.assurance.oracles import SafetyWatch
from cryoctl_hil.assurance.program import Outcome
from cryoctl_hil.draws import Draws
from cryoctl_protocol.auth import TagKey
from cryoctl_protocol.codes import Trip
from cryoctl_protocol.device_session import DeviceSession
from cryoctl_protocol.framing import Reject
from cryoctl_simulator import firmware_model, firmware_safety

SEED_WITH_A_CUT_IN_A_FREEZE = 15


def measured(outcome: Outcome) -> dict[str, float | None]:
    return {measure.name: measure.value for measure in outcome.measures}


def silent(text: str) -> None: ...


def without_the_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """Break the interlock of SR-01, as nothing outside a test can."""
    find_trip = firmware_safety.find_trip

    def blind(*arguments: Any) -> int:
        found = find_trip(*arguments)
        return 0 if found == Trip.LEASE else found

    monkeypatch.setattr(firmware_model, "find_trip", blind)


# -- draws ---


def test_draws_follow_from_seed_and_stream_alone() -> None:
    first = [Draws(1, 2).below(1000) for _ in range(2)]
    other = [Draws(1, 3).below(1000), Draws(2, 2).below(1000)]

    assert first[0] == first[1]
    assert len({first[0], *other}) == 3
    assert Draws(5).octets(4) == Draws(5).octets(4)


# -- frames ---


@pytest.mark.requirement("SR-04")
def test_mutated_frames_are_refused_both_ways_and_change_nothing() -> None:
    outcome = frames.run(0.0016, silent)

    found = measured(outcome)
    assert outcome.failures == []
    assert found["mutated frames"] >= 16_000  # type: ignore[operator]
    assert found["mutated frames: exceptions"] == 0
    assert found["mutated frames: accepted but not byte-identical"] == 0
    assert found["mutated frames: changes of state"] == 0
    assert found["mutated frames: CRC fits by chance"] == 0
    assert found["codec against declaration: differences"] == 0
    assert outcome.details["identical"] > 100  # Replays of STOP and of what the probe reported.
    assert outcome.ok


@pytest.mark.requirement("SR-04")
def test_a_session_that_believes_every_tag_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TagKey, "verify", lambda *_: True)
    tally: Counter[str] = Counter()

    told = [wrong for block in range(8) for wrong in frames.run_block(block, tally)]

    assert tally["accepted"] > 0
    assert tally["changes"] > 0
    assert any("the probe took frame" in wrong for wrong in told)
    assert any("the controller took" in wrong for wrong in told)


@pytest.mark.requirement("SR-04")
def test_a_frame_that_raises_is_told_with_the_command_that_repeats_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def burst(*_: Any) -> Reject:
        raise ZeroDivisionError

    healthy = frames.run(256 / 10_000_000, silent)  # Its specimens are kept for what follows.
    monkeypatch.setattr(DeviceSession, "_judge", burst)

    outcome = frames.run(256 / 10_000_000, silent)

    assert healthy.ok

    assert measured(outcome)["mutated frames: exceptions"] == 1
    assert "ZeroDivisionError" in outcome.failures[0]
    assert outcome.failures[0].endswith("again: python -m cryoctl_hil.assurance.frames 0")
    assert frames.main(["0"]) == 1
    assert not outcome.ok


# -- simulate, seeds ---


@pytest.mark.requirement("SR-26")
@pytest.mark.requirement("SR-37")
def test_worlds_in_which_anything_happens_are_safe_and_repeat() -> None:
    told = [simulate.play(seed) for seed in (15, 22, 15)]

    assert [one.wrong for one in told] == [[], [], []]
    assert told[0] == told[2]
    assert told[0].events_sha256 != told[1].events_sha256
    assert told[0].counts["phase COOLING"] > 0


@pytest.mark.requirement("SR-01")
def test_a_probe_without_its_lease_is_found_out_with_the_command_that_repeats_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without_the_lease(monkeypatch)
    monkeypatch.setattr(simulate, "FIRST_SEED", SEED_WITH_A_CUT_IN_A_FREEZE)

    outcome = simulate.run(1e-9, silent)

    assert not outcome.ok
    (failure,) = outcome.failures
    assert failure.startswith("seed 15: SR-01 at ")
    assert failure.endswith("again: python -m cryoctl_hil.assurance.simulate 15")
    assert simulate.main(["15"]) == 1


def test_every_recipe_of_a_hundred_can_be_made_and_half_of_the_happenings_are_there() -> None:
    recipes = [simulate.make_recipe(seed) for seed in range(1, 101)]

    kinds = Counter(happening.kind for recipe in recipes for happening in recipe.happenings)
    assert set(kinds) == set(simulate.Kind)
    assert len({recipe.treatment.profile for recipe in recipes}) == 7
    assert sum(1 for recipe in recipes if recipe.faults) > 30


@pytest.mark.requirement("SR-37")
def test_event_logs_that_differ_between_two_processes_are_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(simulate, "_hashes_twice", lambda *_: ({"1": "aa"}, {"1": "ab"}))

    outcome = simulate.run_seeds(0.01, silent)

    assert measured(outcome)["the same seeds twice: different event logs"] == 1
    assert outcome.failures == [
        "seed 1 gave aa and ab; again: python -m cryoctl_hil.assurance.simulate --hashes 1 1"
    ]


# -- false trips ---


@pytest.mark.requirement("SR-12")
def test_a_healthy_treatment_does_not_trip() -> None:
    told = falsetrips.play(25)

    assert told.trips == ()
    assert told.verdict == "PASS"
    assert told.virtual_s > 60.0


@pytest.mark.requirement("SR-12")
def test_a_trip_of_a_healthy_treatment_is_told_with_the_command_that_repeats_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(interlocks, "TICK_AGE_MAX_S", 0.04)

    outcome = falsetrips.run(1e-9, silent)

    assert measured(outcome)["false trips"] == 1
    assert "TICK_LATE" in outcome.failures[0]
    assert outcome.failures[0].endswith("again: python -m cryoctl_hil.assurance.falsetrips 1")


@pytest.mark.requirement("SR-12")
def test_a_treatment_that_does_not_come_to_its_end_proves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(falsetrips, "LONGEST_S", 20.0)

    assert falsetrips.play(25).trips == ("ended in COOLING",)


def test_what_is_no_healthy_treatment_is_left_out_by_name() -> None:
    left_out = {scenario for _, scenario in falsetrips.cells()} & {"air-check", "low-gas"}

    assert left_out == set()
    assert set(falsetrips.NOT_NOMINAL) == {"air-check", "low-gas"}
    assert set(falsetrips.TOO_SLOW) == {("n2o-console-2mm", "gel-bench")}
    assert len(falsetrips.cells()) == 7 * 8 - 1


# -- stateful ---


@pytest.mark.requirement("SR-25")
@pytest.mark.requirement("SR-26")
def test_any_acts_in_any_order_are_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stateful, "STEPS", 15)

    outcome = stateful.run(0.01, silent)

    assert outcome.failures == []
    assert measured(outcome)["stateful examples"] >= 4  # type: ignore[operator]
    assert outcome.details["counts"]["rules"] > 20


def test_a_violation_is_told_with_the_acts_that_lead_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def is_never_content(watch: SafetyWatch, *_: Any) -> None:
        watch.violations.append("SR-00 at 0.00 s: sabotage")

    monkeypatch.setattr(hostile_machine, "_STEPS_MAX", 1)
    monkeypatch.setattr(SafetyWatch, "look", is_never_content)

    outcome = stateful.run(0.005, silent)

    assert not outcome.ok
    assert "SR-00" in outcome.failures[0]
    assert "HostileMachine()" in outcome.failures[0]


def test_without_hypothesis_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    with pytest.raises(RuntimeError, match="pip install hypothesis, or make assure"):
        stateful.run(0.01, silent)
