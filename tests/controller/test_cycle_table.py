"""The table of phases: every pair is known or refused, and only ARM and START lead to cold."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest

from cryoctl.cycle_table import (
    ALLOWED_OPS,
    MODES,
    ROWS,
    IllegalTriggerError,
    Phase,
    PhaseMachine,
    Row,
    Trigger,
    to_mermaid,
)
from cryoctl_protocol.codes import HostMode, Op

MACHINE = PhaseMachine()
COLD = {Phase.COOLING, Phase.HOLD}
LIVE = {
    Phase.CONNECTING,
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
}


def reachable(rows: Iterable[Row], start: Phase) -> set[Phase]:
    """Return every phase that ``rows`` lead to from ``start``, itself included."""
    rows = list(rows)
    found, fresh = {start}, [start]
    while fresh:
        here = fresh.pop()
        for row in rows:
            if row.source is here and row.target not in found:
                found.add(row.target)
                fresh.append(row.target)
    return found


@pytest.mark.parametrize(("phase", "trigger"), list(itertools.product(Phase, Trigger)))
def test_every_pair_is_in_the_table_or_refused(phase: Phase, trigger: Trigger) -> None:
    targets = [row.target for row in ROWS if (row.source, row.trigger) == (phase, trigger)]

    if targets:
        assert [MACHINE.fire(phase, trigger)] == targets
        assert MACHINE.knows(phase, trigger)
    else:
        with pytest.raises(IllegalTriggerError, match=f"{trigger} is not possible in {phase}"):
            MACHINE.fire(phase, trigger)
        assert not MACHINE.knows(phase, trigger)


def test_the_machine_keeps_nothing_between_calls() -> None:
    before = MACHINE.fire(Phase.HOLD, Trigger.HELD)
    with pytest.raises(IllegalTriggerError):
        MACHINE.fire(Phase.HOLD, Trigger.START)

    assert MACHINE.fire(Phase.HOLD, Trigger.HELD) is before is Phase.THAWING


@pytest.mark.requirement("SR-27")
def test_a_trip_leads_to_safe_from_every_live_phase_and_only_from_there() -> None:
    tripping = {row.source: row.target for row in ROWS if row.trigger is Trigger.TRIP}

    assert tripping == dict.fromkeys(LIVE | {Phase.COMPLETE, Phase.FAULT}, Phase.SAFE)


@pytest.mark.requirement("SR-27")
def test_after_a_trip_only_reset_leads_on_and_it_leads_to_idle() -> None:
    out_of_safe = {row for row in ROWS if row.source is Phase.SAFE}
    out_of_fault = {row for row in ROWS if row.source is Phase.FAULT}

    assert out_of_safe == {
        Row(Phase.SAFE, Trigger.MADE_SAFE, Phase.FAULT),
        Row(Phase.SAFE, Trigger.CLOSE, Phase.DISCONNECTED),
    }
    assert out_of_fault == {
        Row(Phase.FAULT, Trigger.RESET, Phase.IDLE),
        Row(Phase.FAULT, Trigger.TRIP, Phase.SAFE),
        Row(Phase.FAULT, Trigger.CLOSE, Phase.DISCONNECTED),
    }


@pytest.mark.requirement("SR-26")
@pytest.mark.parametrize("needed", [Trigger.ARM, Trigger.START])
@pytest.mark.parametrize("start", sorted(set(Phase) - LIVE | {Phase.CONNECTING, Phase.READY}))
def test_no_path_leads_to_cold_without(needed: Trigger, start: Phase) -> None:
    rest = [row for row in ROWS if row.trigger is not needed]

    assert not reachable(rest, start) & COLD
    assert reachable(ROWS, start) >= COLD


@pytest.mark.requirement("SR-26")
def test_only_start_leaves_armed_towards_cold_and_only_arm_leads_to_armed() -> None:
    into_armed = {row for row in ROWS if row.target is Phase.ARMED}
    into_prewarm = {row for row in ROWS if row.target is Phase.PREWARM}

    assert into_armed == {Row(Phase.READY, Trigger.ARM, Phase.ARMED)}
    assert into_prewarm == {Row(Phase.ARMED, Trigger.START, Phase.PREWARM)}


def test_every_phase_can_be_reached() -> None:
    assert reachable(ROWS, Phase.DISCONNECTED) == set(Phase)


@pytest.mark.requirement("SR-26")
def test_cold_may_be_asked_for_in_cooling_alone() -> None:
    allowed = {phase for phase in Phase if Op.FREEZE in ALLOWED_OPS[phase]}

    assert allowed == {Phase.COOLING}


def test_every_phase_says_what_it_allows_and_what_its_lease_claims() -> None:
    freezing = {phase for phase in Phase if MODES[phase] is HostMode.FREEZE}
    thawing = {phase for phase in Phase if MODES[phase] is HostMode.THAW}

    assert set(MODES) == set(ALLOWED_OPS) == set(Phase)
    assert freezing == COLD
    assert thawing == {Phase.THAWING, Phase.RELEASE}


def test_the_diagram_holds_every_row() -> None:
    lines = to_mermaid().splitlines()

    drawn = {line.strip() for line in lines}
    single = [row for row in ROWS if row.trigger is not Trigger.TRIP]
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> DISCONNECTED"]
    assert [
        row for row in single if f"{row.source} --> {row.target}: {row.trigger}" not in drawn
    ] == []
    assert any("SAFE" in line and "trip" in line for line in lines if "note" in line)


def test_many_threads_may_use_one_table_at_the_same_time() -> None:
    machine = PhaseMachine()
    rows = [row for row in ROWS if row.trigger is not Trigger.TRIP]

    def walk(number: int) -> list[Phase]:
        turned = rows[number:] + rows[:number]
        return [machine.fire(row.source, row.trigger) for _ in range(200) for row in turned]

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(walk, range(4)))
    finally:
        sys.setswitchinterval(before)

    for number, phases in enumerate(found):
        turned = rows[number:] + rows[:number]
        assert phases == [row.target for _ in range(200) for row in turned]


WAYS = """
DISCONNECTED connect CONNECTING
CONNECTING linked IDLE
IDLE begin SELF_TEST
SELF_TEST passed LEAK_TEST
LEAK_TEST passed READY
READY place PLACEMENT
PLACEMENT placed READY
READY arm ARMED
ARMED disarm READY
ARMED start PREWARM
PREWARM warmed COOLING
COOLING reached HOLD
COOLING missed THAWING
HOLD held THAWING
HOLD missed THAWING
THAWING freed RELEASE
RELEASE rest PAUSE
PAUSE again COOLING
RELEASE finish COMPLETE
COMPLETE reset IDLE
SAFE made_safe FAULT
FAULT reset IDLE
"""
TRIPPED = (
    "CONNECTING IDLE SELF_TEST LEAK_TEST READY PLACEMENT ARMED PREWARM COOLING HOLD THAWING "
    "RELEASE PAUSE COMPLETE FAULT"
)
CLOSED = "CONNECTING IDLE READY COMPLETE SAFE FAULT"


@pytest.mark.requirement("SR-26")
def test_the_table_knows_these_ways_and_no_other() -> None:
    expected = {tuple(line.split()) for line in WAYS.split("\n") if line}
    expected |= {(phase, "trip", "SAFE") for phase in TRIPPED.split()}
    expected |= {(phase, "close", "DISCONNECTED") for phase in CLOSED.split()}

    assert {(row.source.value, row.trigger.value, row.target.value) for row in ROWS} == expected
    for phase, trigger in itertools.product(Phase, Trigger):
        known = any((phase.value, trigger.value) == way[:2] for way in expected)
        assert MACHINE.knows(phase, trigger) is known


@pytest.mark.requirement("SR-03")
def test_each_phase_lets_these_operations_out_and_no_other() -> None:
    found = {phase.value: {op.name for op in ops} for phase, ops in ALLOWED_OPS.items() if ops}

    assert found == {
        "IDLE": {"CLEAR"},
        "SELF_TEST": {"SELF_TEST"},
        "LEAK_TEST": {"LEAK_TEST"},
        "READY": {"ARM", "END"},
        "PLACEMENT": {"STIMULATE"},
        "ARMED": {"START", "END"},
        "PREWARM": {"PREWARM"},
        "COOLING": {"FREEZE", "SETPOINT"},
        "HOLD": {"SETPOINT"},
        "THAWING": {"THAW"},
        "RELEASE": {"END"},
        "COMPLETE": {"END"},
        "SAFE": {"THAW"},
        "FAULT": {"CLEAR"},
    }
