"""The probe is safe within half a second of the controller's death, whenever that is."""

from __future__ import annotations

import pytest
from numpy.random import Generator, Philox

from cryoctl.lockstep import STEPS_PER_S
from cryoctl_protocol.codes import DeviceState
from cryoctl_simulator.device import SimulatedDevice
from tests.support.stack import build_stack, treatment

STEP_S = 1.0 / STEPS_PER_S
MOMENTS = 100
SAFE_STEPS = 50  # SR-01: 500 ms, in device ticks.


@pytest.mark.requirement("SR-01")
def test_a_probe_whose_controller_dies_is_safe_within_500_ms_at_100_moments() -> None:
    plan = treatment("n2o-20g", count=1, hold_s=20.0)
    whole = build_stack(plan=plan)
    shell = whole.lockstep()
    shell.run(until_s=3600.0)
    steps = round(shell.now_s / STEP_S)
    generator = Generator(Philox(key=20_261_121))
    moments = sorted(generator.choice(steps, size=MOMENTS, replace=False) + 1)

    stack = build_stack(plan=plan)
    alive = stack.lockstep()
    orphan = build_stack(plan=plan).peer
    assert isinstance(orphan, SimulatedDevice)
    alive.run(until_s=STEP_S / 2)
    states, late = set(), []
    for moment in moments:
        while round(alive.now_s / STEP_S) < moment:
            alive.step()
        orphan.load(stack.peer.save())
        assert orphan.firmware is not None
        states.add(DeviceState(orphan.firmware.state.state))
        for step in range(1, SAFE_STEPS + 1):
            orphan.advance_to((moment + step) * STEP_S, b"")
        outputs = orphan.firmware.outputs
        if outputs.valve_permille or outputs.tip_heater_permille or outputs.skin_warmer_permille:
            late.append(moment)

    assert late == []
    assert {DeviceState.FREEZE, DeviceState.THAW} <= states
