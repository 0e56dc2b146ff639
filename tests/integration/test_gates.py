"""Hazards that a gate answers, not an interlock: early release, a stuck button, the wrong probe."""

from __future__ import annotations

from itertools import pairwise

import pytest

from cryoctl.cycle_table import Phase
from cryoctl.lockstep import LockStep
from cryoctl.operator_requests import Request
from cryoctl.operators import AutomaticOperator
from cryoctl_hil.assurance.claims import plan_of
from cryoctl_hil.world import World, new_parts
from cryoctl_protocol.codes import DeviceState
from tests.support.stack import build_stack, treatment

NOT_IN_A_THAW = [
    Request.BEGIN,
    Request.PLACE,
    Request.PLACED,
    Request.CARTRIDGE,
    Request.ARM,
    Request.START,
    Request.ACKNOWLEDGE,
    Request.CLOSE,
]


@pytest.fixture(scope="module")
def thawing() -> World:
    """Return a world whose tip is frozen in, the valve shut."""
    world = World(plan=plan_of(8.0, thaw="passive"))
    world.run(within_s=200.0, until=lambda world: world.controller.phase is Phase.THAWING)
    return world


@pytest.mark.requirement("SR-14")
@pytest.mark.parametrize("request_", NOT_IN_A_THAW, ids=lambda request: request.value)
def test_nobody_gets_past_a_thaw_but_by_a_stop(thawing: World, request_: Request) -> None:
    refusal = thawing.controller.request(request_, thawing.now_s)

    assert refusal is not None
    assert thawing.controller.phase is Phase.THAWING


@pytest.mark.requirement("SR-14")
def test_release_comes_when_the_tip_was_above_5_c_for_2_s() -> None:
    stack = build_stack(plan=treatment("n2o-20g", count=1, hold_s=8.0))
    stack.run()

    (released_s,) = [
        event.at_s
        for event in stack.sink.events
        if event.kind == "phase" and event.data["target"] == "RELEASE"
    ]
    last = [s.tip_temp_c for at_s, s in stack.sink.samples if -2.0 <= at_s - released_s <= 0.0]
    earlier = [s.tip_temp_c for at_s, s in stack.sink.samples if -2.3 <= at_s - released_s < -2.05]
    assert all(tip_c is not None and tip_c > 5.0 for tip_c in last)
    assert any(tip_c is not None and tip_c <= 5.0 for tip_c in earlier)


@pytest.mark.requirement("SR-26")
def test_a_button_that_sticks_starts_nothing_and_changes_nothing() -> None:
    free, stuck = World(plan=plan_of(8.0, thaw="passive")), World(plan=plan_of(8.0, thaw="passive"))
    stuck.device.instruments.button = 1
    free.run(within_s=300.0)
    stuck.run(within_s=300.0)

    assert stuck.controller.phase is Phase.COMPLETE
    assert stuck.controller.events_sha256 == free.controller.events_sha256


@pytest.mark.requirement("SR-26")
def test_a_button_that_sticks_does_not_arm_or_start_for_the_operator() -> None:
    idle = World()
    idle.device.instruments.button = 1
    idle.controller.give_up("the operator has gone", idle.now_s)

    states = set()
    for _ in range(2_000):
        idle.step()
        assert idle.device.firmware is not None
        states.add(idle.device.firmware.state.state)

    assert states == {int(DeviceState.IDLE)}


@pytest.mark.requirement("SR-28")
def test_a_probe_of_another_kind_hears_no_command() -> None:
    controller, _, sink = new_parts("co2-20g")
    _, device, _ = new_parts("n2o-20g")
    LockStep(controller, device, AutomaticOperator()).run(until_s=20.0)

    assert "the probe's profile is n2o-20g" in controller.failure
    assert "SR-28" in controller.failure
    assert [event for event in sink.events if event.kind == "command"] == []


@pytest.mark.requirement("SR-02")
def test_leases_arrive_every_100_ms_within_20_ms_throughout_a_treatment() -> None:
    world = World(plan=plan_of(8.0, thaw="active"))
    heard_s: list[float] = []
    count = 0
    while not world.controller.finished:
        world.step()
        firmware = world.device.firmware
        assert firmware is not None
        if firmware.state.leases_seen != count:
            count = firmware.state.leases_seen
            heard_s.append(world.now_s)

    spans_s = [later - earlier for earlier, later in pairwise(heard_s)]
    assert len(spans_s) > 300
    assert min(spans_s) >= 0.0799
    assert max(spans_s) <= 0.1201


@pytest.mark.requirement("SR-21")
def test_the_gas_into_the_room_is_estimated_to_20_percent() -> None:
    world = World(plan=plan_of(30.0, thaw="passive"))
    world.run(within_s=300.0)

    told_g, true_g = world.controller.measures.vented.g_per_h, world.device.plant.truth().vented_g
    assert true_g > 1.0
    assert 0.8 * true_g <= told_g <= 1.2 * true_g
