"""A STOP that somebody recorded and plays again: carried out, since it harms nobody, and told."""

from __future__ import annotations

import pytest

from cryoctl.cycle_table import Phase
from cryoctl_hil.assurance.claims import plan_of
from cryoctl_hil.world import World
from cryoctl_protocol.auth import DEMO_KEY, stop_key
from cryoctl_protocol.codec import encode
from cryoctl_protocol.codes import DeviceState, EventCode, Op, SafeAction, Trip
from cryoctl_protocol.framing import build, wrap
from cryoctl_protocol.messages import ID_OF, Stop
from cryoctl_simulator.firmware_model import FirmwareModel
from tests.simulator.bench import connected


def recorded_stop(boot_id: int) -> bytes:
    """Return a STOP of this boot as it stood on the line, with its delimiters."""
    stop = Stop(7, boot_id, SafeAction.THAW, Trip.OPERATOR_STOP)
    key = stop_key(DEMO_KEY, boot_id)
    return b"\0" + wrap(build(ID_OF[Stop], encode(stop), seq=0, session=0, key=key))


@pytest.mark.requirement("SR-24")
def test_a_stop_of_this_boot_is_obeyed_and_told_each_time_it_is_played() -> None:
    bench = connected()
    tape = recorded_stop(boot_id=77)

    states = []
    for _ in range(2):
        bench.extra = tape
        bench.tick()
        states.append(bench.state)
        bench.run_s(1.5)
        bench.ask(Op.CLEAR)

    told = [event.trip for event in bench.events() if event.code == EventCode.STOPPED]
    assert states == [DeviceState.SAFE, DeviceState.SAFE]
    assert told == [Trip.OPERATOR_STOP, Trip.OPERATOR_STOP]


@pytest.mark.requirement("SR-24")
def test_a_stop_of_another_boot_is_noise() -> None:
    bench = connected()
    bench.extra = recorded_stop(boot_id=76)
    bench.tick()

    assert bench.state is DeviceState.IDLE
    assert bench.firmware.session.rejects.total() == 1


@pytest.mark.requirement("SR-24")
def test_the_log_shows_a_stop_that_the_controller_did_not_send() -> None:
    world = World(plan=plan_of(8.0, thaw="passive"))
    assert world.run(within_s=300.0, until=lambda w: w.controller.phase is Phase.HOLD) is not None
    assert isinstance(world.device.firmware, FirmwareModel)
    boot_id = world.device.firmware.session.identity.boot_id
    world.line.noise_to_device = recorded_stop(boot_id)
    world.step()
    shut = world.device.firmware.outputs.valve_permille
    world.run(within_s=0.2, until=lambda w: bool(w.controller.trips))

    (trip,) = world.controller.trips
    told = [event.data for event in world.sink.events if event.kind == "device"]
    assert shut == 0
    assert (trip.notice.trip, trip.layer) == (Trip.OPERATOR_STOP, "device")
    assert [data["event"] for data in told][-1] == "STOPPED"
    assert not [event for event in world.sink.events if event.kind == "operator"
                and event.data["request"] == "stop"]  # fmt: skip
