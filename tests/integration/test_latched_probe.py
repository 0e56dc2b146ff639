"""A probe that tripped while its controller was gone: the next one can clear it, if asked to."""

from __future__ import annotations

import pytest

from cryoctl.core import Controller
from cryoctl.cycle_table import Phase
from cryoctl.operator_requests import Request
from cryoctl.operators import AutomaticOperator
from cryoctl.treatment import default_treatment
from cryoctl_hil.assurance.hostile_world import HostileWorld
from cryoctl_protocol.codes import DeviceState, Trip


class Starter(AutomaticOperator):
    """Starts one treatment, and lets whatever comes after it be asked for by the test."""

    def __init__(self) -> None:
        super().__init__()
        self.is_there = True

    def act(self, controller: Controller, now_s: float) -> None:
        if self.is_there:
            super().act(controller, now_s)


def until(world: HostileWorld, phase: Phase, *, within_s: float) -> None:
    last_s = world.now_s + within_s
    while world.controller.phase is not phase:
        assert world.now_s < last_s, f"still {world.controller.phase}"
        world.step()


def wait(world: HostileWorld, seconds: float) -> None:
    for _ in range(round(seconds * 100)):
        world.step()


@pytest.mark.requirement("SR-27")
@pytest.mark.requirement("SR-26")
def test_a_trip_from_before_is_cleared_by_a_reset_and_by_nothing_else() -> None:
    starter = Starter()
    world = HostileWorld(default_treatment("n2o-20g"), starter, seed=1)
    until(world, Phase.COOLING, within_s=40.0)
    wait(world, 1.0)
    world.kill()
    wait(world, 8.0)
    starter.is_there = False
    world.start()
    until(world, Phase.IDLE, within_s=5.0)
    wait(world, 1.5)
    firmware = world.device.firmware
    assert firmware is not None
    assert (firmware.state.state, firmware.state.trip) == (DeviceState.FAULT, Trip.LEASE)

    begun = world.controller.request(Request.BEGIN, world.now_s)
    assert begun is not None
    expected = "the probe holds a trip (LEASE): find out why, then reset it (SR-27)"
    assert begun.reason == expected
    assert world.controller.request(Request.RESET, world.now_s) is None
    wait(world, 0.5)

    assert (world.controller.phase, world.controller.failure) == (Phase.IDLE, "")
    assert (firmware.state.state, firmware.state.trip) == (DeviceState.IDLE, Trip.NONE)
    assert firmware.outputs.valve_permille == 0
    again = world.controller.request(Request.RESET, world.now_s)
    assert again is not None
    assert again.reason == "nothing to reset in IDLE"
    assert world.controller.request(Request.BEGIN, world.now_s) is None
    until(world, Phase.READY, within_s=15.0)
    assert world.violations == []
