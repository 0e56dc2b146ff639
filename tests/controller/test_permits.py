"""The gate: what may leave the controller in which phase, and what may leave it always."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from cryoctl.cycle_table import Phase
from cryoctl.permits import PermitContext, check
from cryoctl_protocol.codes import Capability, Op

OPEN = PermitContext(
    phase=Phase.IDLE,
    session_open=True,
    stale=False,
    capabilities=int(Capability.LEASE | Capability.FREEZE_TIMER),
    profile_matches=True,
    bench_waiver="",
)
ALLOWED = {
    (Op.CLEAR, Phase.IDLE),  # A probe that tripped while nobody was connected.
    (Op.SELF_TEST, Phase.SELF_TEST),
    (Op.LEAK_TEST, Phase.LEAK_TEST),
    (Op.ARM, Phase.READY),
    (Op.END, Phase.READY),
    (Op.START, Phase.ARMED),
    (Op.END, Phase.ARMED),
    (Op.PREWARM, Phase.PREWARM),
    (Op.FREEZE, Phase.COOLING),
    (Op.SETPOINT, Phase.COOLING),
    (Op.SETPOINT, Phase.HOLD),
    (Op.THAW, Phase.THAWING),
    (Op.END, Phase.RELEASE),
    (Op.END, Phase.COMPLETE),
    (Op.THAW, Phase.SAFE),
    (Op.CLEAR, Phase.FAULT),
    (Op.CLEAR, Phase.IDLE),  # A trip from under another controller (SR-27).
    (Op.STIMULATE, Phase.PLACEMENT),
}
COMMANDS = [op for op in Op if op is not Op.STOP]
BLOCKS = {
    "no session": {"session_open": False},
    "stale": {"stale": True},
    "lease and freeze timer": {"capabilities": 0},
    "profile": {"profile_matches": False},
}


@pytest.mark.parametrize(("op", "phase"), list(itertools.product(COMMANDS, Phase)))
def test_an_operation_goes_out_in_its_phases_alone(op: Op, phase: Phase) -> None:
    refusal = check(op, replace(OPEN, phase=phase))

    if (op, phase) in ALLOWED:
        assert refusal is None
    else:
        assert refusal is not None
        assert refusal.reason == f"{op.name} is not allowed in {phase}"


@pytest.mark.requirement("SR-03")
@pytest.mark.requirement("SR-29")
@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize(
    ("session_open", "stale", "capabilities", "profile_matches"),
    list(itertools.product([True, False], [True, False], [0, 3], [True, False])),
)
def test_stop_goes_out_always(
    phase: Phase, session_open: bool, stale: bool, capabilities: int, profile_matches: bool
) -> None:
    context = PermitContext(
        phase=phase,
        session_open=session_open,
        stale=stale,
        capabilities=capabilities,
        profile_matches=profile_matches,
        bench_waiver="",
    )

    assert check(Op.STOP, context) is None


@pytest.mark.requirement("SR-03")
@pytest.mark.requirement("SR-28")
@pytest.mark.parametrize("op", COMMANDS)
@pytest.mark.parametrize("reason", list(BLOCKS))
def test_each_reason_alone_keeps_every_command_back(op: Op, reason: str) -> None:
    allowed = [replace(OPEN, phase=phase) for phase in Phase if (op, phase) in ALLOWED]
    assert allowed

    for context in allowed:
        refusal = check(op, replace(context, **BLOCKS[reason]))  # type: ignore[arg-type]

        assert refusal is not None
        assert reason in refusal.reason


@pytest.mark.requirement("SR-01")
@pytest.mark.parametrize("capabilities", [0, 1, 2, 0x7FC])
def test_a_device_without_its_own_lease_and_timer_is_commanded_with_a_waiver_alone(
    capabilities: int,
) -> None:
    context = replace(OPEN, phase=Phase.READY, capabilities=capabilities)

    refusal = check(Op.ARM, context)

    assert refusal is not None
    assert "monitor only" in refusal.reason
    assert check(Op.ARM, replace(context, bench_waiver="bench 3, no gas")) is None


def test_a_waiver_waives_nothing_else() -> None:
    waived = replace(OPEN, phase=Phase.READY, capabilities=0, bench_waiver="bench 3, no gas")

    assert check(Op.ARM, replace(waived, session_open=False)) is not None
    assert check(Op.ARM, replace(waived, stale=True)) is not None
    assert check(Op.ARM, replace(waived, profile_matches=False)) is not None
    assert check(Op.FREEZE, waived) is not None


@pytest.mark.requirement("SR-41")
@pytest.mark.parametrize(("stimulus_ua", "goes_out"), [(0, True), (1, False)])
def test_the_weakest_stimulus_needs_a_stimulator_and_its_end_does_not(
    stimulus_ua: int, goes_out: bool
) -> None:
    context = replace(OPEN, phase=Phase.PLACEMENT, stimulus_ua=stimulus_ua)

    assert OPEN.stimulus_ua == 0
    assert (check(Op.STIMULATE, context) is None) is goes_out
