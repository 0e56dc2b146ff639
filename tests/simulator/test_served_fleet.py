"""A fleet of simulated probes: whole probes, quiet while nobody commands them."""

from __future__ import annotations

import asyncio

import pytest
from click import UsageError

from cryoctl_protocol.framing import DELIMITER, Deframer, parse
from cryoctl_protocol.messages import ID_OF, Hello
from cryoctl_protocol.mqtt.address import MqttAddress
from cryoctl_protocol.peer import AddressError, DeviceUrl, open_device
from cryoctl_simulator.device import SimulatedDevice
from cryoctl_simulator.served.commands import sim
from cryoctl_simulator.served.fleet import FleetProbe, FleetServer

NOWHERE = MqttAddress("127.0.0.1", 1, "bench", "")


def device(address: str = "sim:?serial=probe-0") -> SimulatedDevice:
    found = open_device(DeviceUrl.parse(address)).peer
    assert isinstance(found, SimulatedDevice)
    return found


def probe(address: str = "sim:?serial=probe-0") -> FleetProbe:
    return FleetProbe(device(address), NOWHERE, period_s=0.2, tell=lambda _: None)


def said(one: FleetProbe, first_s: float, last_s: float) -> int:
    ticks = range(round(first_s * 100) + 1, round(last_s * 100) + 1)
    return sum(one.tick(tick / 100) for tick in ticks)


async def test_a_probe_that_nobody_commands_says_telemetry_5_times_a_second() -> None:
    one = probe()
    said(one, 0.0, 1.0)

    assert said(one, 1.0, 11.0) == 50
    assert one.side.topics is not None
    assert one.side.topics.device == "probe-0"


async def test_one_that_hears_something_says_all_of_it_for_2_s() -> None:
    one = probe()
    said(one, 0.0, 1.0)

    one._take(a_question())

    assert said(one, 1.0, 2.0) == 50
    assert said(one, 4.0, 5.0) <= 6


async def test_what_came_while_its_clock_stood_still_is_lost() -> None:
    one = probe()
    said(one, 0.0, 1.0)

    one._take(a_question())
    one.forget(renew=False)

    assert said(one, 1.0, 2.0) <= 6


async def test_a_probe_behind_a_broker_does_what_one_alone_does() -> None:
    one, alone = probe(), device()
    said(one, 0.0, 3.0)

    alone.advance_to(3.0, b"")

    assert one.device.save() == alone.save()


def a_question() -> bytes:
    """Return a body that a probe reads: its own first one."""
    deframer = Deframer()
    deframer.feed(DELIMITER)
    (body, *_) = deframer.feed(device().advance_to(0.01, b""))
    assert parse(body).message_id == ID_OF[Hello]  # type: ignore[union-attr]
    return body


async def test_a_server_ends_when_asked_and_leaves_no_task_behind() -> None:
    server = FleetServer([probe(f"sim:?serial=probe-{number}") for number in range(3)], NOWHERE)

    await asyncio.wait_for(server.run(lambda: server.now_s >= 0.5), 20.0)

    assert server.now_s == pytest.approx(0.5)
    assert server.connected == 0
    assert len(asyncio.all_tasks()) == 1


async def test_a_research_probe_is_served_at_no_port() -> None:
    with pytest.raises(AddressError, match="research"):
        FleetServer([probe("sim:gel-bench-17g?serial=probe-0")], NOWHERE)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--fleet", "3", "--tcp", "127.0.0.1:0"], "--fleet is for --mqtt"),
        (["--fleet", "3", "--mqtt", "mqtt://h/s", "--log", "x"], "for one probe"),
        (["--fleet", "3", "--mqtt", "mqtt://h/s", "--firmware", "board:a,b"], "for one probe"),
    ],
)
def test_what_a_fleet_has_not_is_refused(arguments: list[str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        sim.main(arguments, standalone_mode=False)
