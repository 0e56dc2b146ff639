"""Ten ways in which a broker keeps a command for later, with a real one: none is carried out late.

Each was reproduced with client libraries as they come (decision record 0020).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cryoctl.cli import invoke
from cryoctl.mqtt_link import MqttLink
from cryoctl_protocol.codec import encode
from cryoctl_protocol.codes import Answer, DeviceState, HostMode, Op, Trip
from cryoctl_protocol.framing import DELIMITER, build, message_in, wrap
from cryoctl_protocol.messages import ID_OF, Ack, Command, HelloHost, Lease, Telemetry, Vitals
from cryoctl_protocol.mqtt.connection import BrokerConnection, Received
from cryoctl_protocol.mqtt.topics import Leaf, Topics
from cryoctl_protocol.peer import LinkError
from cryoctl_simulator.device import SimulatedDevice
from cryoctl_simulator.served.mqtt_endpoint import MqttEndpoint
from tests.support.broker import DEVICE, SITE, Broker, password_broker, plain_broker, until
from tests.support.probe_at_broker import (
    CONNECTED_S,
    ProbeAtBroker,
    ShiftedLoop,
    TooBusyError,
    Treatment,
    mid_freeze,
    new_stack,
)

pytestmark = [
    pytest.mark.real_time(prompt=True),
    pytest.mark.timeout(120),
    pytest.mark.xdist_group("mqtt traps"),
]

TELLINGS = 4
TOPICS = Topics(SITE, DEVICE)
CMD = TOPICS.of(Leaf.CMD)
GREETING = build(
    ID_OF[HelloHost], encode(HelloHost(*[1] * len(HelloHost._fields))), seq=0, session=0, key=None
)
World = tuple[bytes, float, bytes]


@pytest.fixture(scope="module")
def world() -> World:
    """Have a treatment in mid-freeze, the moment, and the command that began the freeze."""
    return mid_freeze()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with plain_broker(tmp_path) as running:
        yield running


def drive(work: Callable[[], Awaitable[None]], *, began_s: float = 0.0) -> None:
    """Run ``work`` in a loop of its own; nothing may be left running in it."""

    async def main() -> None:
        async with asyncio.timeout(40.0):
            await work()
        await asyncio.sleep(0.05)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert [task.get_coro() for task in left] == []

    with asyncio.Runner(loop_factory=lambda: ShiftedLoop(began_s)) as runner:
        runner.run(main())


def treat(
    broker: Broker, world: World, story: Callable[[Treatment], Any], *, broken: Callable[[], None]
) -> Treatment:
    """Let a treatment go on until its story is told; again if the machine was too busy."""
    for _ in range(TELLINGS):
        treatment = Treatment(broker, world[0], world[1])
        with contextlib.suppress(TooBusyError):
            drive(lambda t=treatment: t.run(story(t)), began_s=world[1] - CONNECTED_S)  # type: ignore[misc]
            if treatment.stack.controller.trips[0].notice.trip is not Trip.TICK_LATE:
                return treatment
        broken()
    raise AssertionError(f"the machine was too busy {TELLINGS} times")


@contextlib.asynccontextmanager
async def served(probe: ProbeAtBroker) -> Any:
    """Have a probe at its broker; leaving is the loss of its network."""
    task = asyncio.get_running_loop().create_task(probe.side.run())
    try:
        await until(lambda: probe.side.connected, within_s=10.0)
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def frozen_probe(broker: Broker, world: World) -> ProbeAtBroker:
    """Return the probe of the world; nobody has it tick."""
    return Treatment(broker, world[0], world[1]).probe


async def connected_link(broker: Broker) -> MqttLink:
    """Return a link that stands, though nothing was sent and nobody answered."""
    link = MqttLink(broker.address())
    link._start()
    await until(lambda: link._connection and link._connection.connected, within_s=10.0)
    return link


async def error_of(link: MqttLink, *, greets: bool = False) -> tuple[str, float]:
    """Return what a link says when it gives up, and after how many seconds."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    try:
        async with asyncio.timeout(10.0):
            while True:
                if greets:
                    await link.send(GREETING)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.2):
                        await link.receive()
    except LinkError as error:
        return str(error), loop.time() - began_s
    finally:
        await link.close()


# -- what a broker keeps ------------------------------------------------------------------------


@pytest.mark.requirement("SR-24")
def test_a_persistent_session_keeps_nothing_for_a_probe_that_was_away(
    broker: Broker, world: World
) -> None:
    probe = frozen_probe(broker, world)
    keeper = ["-t", CMD, "-q", "1", "-i", "keeper", "-c"]

    async def work() -> None:
        async with served(probe):
            pass
        broker.stranger("mosquitto_sub", *keeper, "-E")
        broker.stranger("mosquitto_pub", "-t", CMD, "-q", "1", "-s", data=world[2])
        async with served(probe):
            await asyncio.sleep(0.3)

    drive(work)

    kept = broker.stranger("mosquitto_sub", *keeper, "-C", "1", "-W", "5", "-N")
    assert kept == world[2], "the broker kept it for who asked it to"
    assert probe.side.openings == 2
    assert probe.heard == []


@pytest.mark.requirement("SR-24")
def test_a_retained_command_is_ignored_however_often_the_probe_comes_back(
    broker: Broker, world: World
) -> None:
    probe = frozen_probe(broker, world)
    broker.stranger("mosquitto_pub", "-t", CMD, "-r", "-s", data=world[2])

    async def work() -> None:
        for _ in range(2):
            async with served(probe):
                await asyncio.sleep(0.2)
        # While it listens, a stranger retains another: that comes with its mark, too.
        async with served(probe):
            await asyncio.to_thread(
                broker.stranger, "mosquitto_pub", "-t", CMD, "-r", "-s", data=world[2]
            )
            await until(lambda: probe.side.ignored == 1, within_s=5.0)

    drive(work)

    kept = broker.stranger("mosquitto_sub", "-t", CMD, "-C", "1", "-W", "5", "-N")
    assert kept == world[2], "the broker gives it to who asks"
    assert probe.heard == []


@pytest.mark.requirement("SR-24")
def test_a_command_to_an_absent_probe_is_gone_and_the_user_hears_that_it_is_offline(
    broker: Broker, world: World
) -> None:
    probe = frozen_probe(broker, world)
    said: list[tuple[str, float]] = []

    async def work() -> None:
        async with served(probe):
            await probe.side.leave()
        link = await connected_link(broker)
        await link.send(world[2])
        async with served(probe):
            await asyncio.sleep(0.3)
            await probe.side.leave()
        said.append(await error_of(link))

    drive(work)

    assert probe.heard == []
    assert "the probe is offline" in said[0][0]
    assert said[0][1] < 4.0


@pytest.mark.requirement("SR-24")
def test_a_client_that_lost_its_broker_sends_nothing_of_what_it_had_when_it_is_back(
    broker: Broker, world: World
) -> None:
    probe = frozen_probe(broker, world)
    said: list[tuple[str, float]] = []

    async def work() -> None:
        async with served(probe):
            link = await connected_link(broker)
            broker.freeze()
            for _ in range(20):
                await link.send(world[2])
            broker.kill()
            said.append(await error_of(link))
            broker.restart()
            await until(lambda: probe.side.openings == 2, within_s=10.0)
            again = await connected_link(broker)
            await asyncio.sleep(0.3)
            await again.close()

    drive(work)

    assert probe.heard == []
    assert f"broker 127.0.0.1:{broker.port}" in said[0][0]
    assert said[0][1] < 2.0


# -- a treatment in its freeze ------------------------------------------------------------------


@pytest.mark.requirement("SR-24")
def test_a_broker_that_stands_still_leaves_the_probe_safe_and_nothing_comes_late(
    broker: Broker, world: World
) -> None:
    frozen_s = thawed_s = 0.0

    async def story(treatment: Treatment) -> None:
        nonlocal frozen_s, thawed_s
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0.5)
        assert treatment.probe.state is DeviceState.FREEZE
        broker.freeze()
        frozen_s = loop.time()
        await asyncio.sleep(3.0)
        broker.thaw()
        thawed_s = loop.time()
        await asyncio.sleep(1.5)

    treatment = treat(broker, world, story, broken=broker.thaw)

    probe, controller = treatment.probe, treatment.stack.controller
    assert probe.safe_s is not None
    assert probe.safe_s - frozen_s <= 0.5
    assert any(now_s > thawed_s for now_s, _ in probe.heard), "what had waited did come"
    assert [op for now_s, op in probe.taken if now_s > frozen_s] == []
    assert probe.is_off
    assert probe.state in {DeviceState.SAFE, DeviceState.FAULT}
    assert controller.trips[0].notice.trip is Trip.LINK
    assert controller.trips[0].at_s - frozen_s <= 0.5


@pytest.mark.requirement("SR-24")
def test_a_broker_that_dies_leaves_the_probe_safe_and_both_come_back(
    broker: Broker, world: World
) -> None:
    killed_s = 0.0

    async def story(treatment: Treatment) -> None:
        nonlocal killed_s
        await asyncio.sleep(0.5)
        assert treatment.probe.state is DeviceState.FREEZE
        broker.kill()
        killed_s = asyncio.get_running_loop().time()
        await asyncio.sleep(1.0)
        await asyncio.to_thread(broker.restart)
        await until(lambda: treatment.probe.side.openings == 2, within_s=6.0)
        await until(lambda: treatment.links[-1]._heard and len(treatment.links) > 1, within_s=6.0)
        await asyncio.sleep(0.5)

    def broken() -> None:
        broker.kill()
        broker.restart()

    treatment = treat(broker, world, story, broken=broken)

    probe, controller = treatment.probe, treatment.stack.controller
    assert probe.safe_s is not None
    assert probe.safe_s - killed_s <= 0.5
    assert [op for now_s, op in probe.taken if now_s > killed_s] == []
    assert probe.is_off
    assert controller.trips[0].notice.trip is Trip.LINK
    assert controller.trips[0].at_s - killed_s <= 0.5


@pytest.mark.requirement("SR-24")
def test_a_probe_that_was_stopped_carries_out_nothing_of_what_came_meanwhile(
    broker: Broker, world: World, tmp_path: Path
) -> None:
    treatment = Treatment(broker, world[0], world[1])
    keys = treatment.stack.controller.session._keys
    assert keys is not None
    device_ms: list[int] = []
    taken: list[int] = []
    counters = itertools.count(1000)

    def on_message(message: Received) -> None:
        found = message_in(message.payload)
        if isinstance(found, Telemetry):
            device_ms.append(found.device_ms)
        elif isinstance(found, Ack) and found.answer == Answer.ACCEPTED:
            taken.append(found.op)

    def lease() -> bytes:
        message = Lease(next(counters), HostMode.FREEZE, device_ms[-1] + 300)
        return build(ID_OF[Lease], encode(message), seq=0, session=keys.session, key=keys.down)

    def command(op: Op) -> bytes:
        values = dict.fromkeys(Command._fields, 0)
        values |= {"counter": next(counters), "op": op, "deadline_ms": device_ms[-1] + 250}
        message = Command(**values)
        return build(ID_OF[Command], encode(message), seq=0, session=keys.session, key=keys.down)

    async def work() -> None:
        connected = asyncio.Event()
        controller = BrokerConnection(
            broker.address(),
            identifier="controller",
            subscribe=[
                (f"{TOPICS.of(leaf)}/#", False) for leaf in (Leaf.ACK, Leaf.TELE, Leaf.EVENT)
            ],
            on_message=on_message,
            on_connected=connected.set,
        )
        task = asyncio.get_running_loop().create_task(controller.run())
        await connected.wait()
        process.send_signal(signal.SIGUSR1)
        await until(lambda: device_ms, within_s=5.0)
        for _ in range(5):
            controller.post(TOPICS.of(Leaf.LEASE), lease())
            await asyncio.sleep(0.05)
        controller.post(CMD, command(Op.SETPOINT))
        await asyncio.sleep(0.1)
        process.send_signal(signal.SIGSTOP)
        # A stopped probe's clock stands still: by that, all of this is in time for ever.
        for _ in range(4):
            controller.post(TOPICS.of(Leaf.LEASE), lease())
            controller.post(CMD, command(Op.THAW))
            await asyncio.sleep(0.25)
        process.send_signal(signal.SIGCONT)
        await asyncio.sleep(1.0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    state = tmp_path / "device"
    state.write_bytes(pickle.loads(world[0])[2])
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.probe_process", broker.url(device=""), str(state)],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            drive(work)
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=20.0)[0]
        finally:
            process.kill()

    assert [op for op in taken if op == Op.THAW] == []
    assert "valve 0.0" in said, "its lease ran out"


# -- what a broker refuses without a word ---------------------------------------------------------

ACL = f"""\
user {DEVICE}
topic readwrite cryo/1/{SITE}/{DEVICE}/#

user no-cmd
topic read cryo/1/{SITE}/{DEVICE}/#

user no-answers
topic write cryo/1/{SITE}/{DEVICE}/cmd
topic read cryo/1/{SITE}/{DEVICE}/tele
topic read cryo/1/{SITE}/{DEVICE}/conn

user no-telemetry
topic write cryo/1/{SITE}/{DEVICE}/cmd
topic read cryo/1/{SITE}/{DEVICE}/conn

user nothing
"""


REFUSED = {
    "no-cmd": "the probe is heard, but did not answer in 3 s; this user may not write to its cmd",
    "no-answers": "or not read its ack/no-answers/# (user no-answers): see the broker's ACL",
    "no-telemetry": "or this user may not read its telemetry",
    "nothing": "no such probe: it was never here, its name is another, or this user may not",
}


def test_what_an_acl_refuses_is_told_within_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, tuple[str, float]] = {}
    with password_broker(tmp_path, ACL, [DEVICE, *REFUSED]) as broker:
        monkeypatch.setenv("CRYOCTL_MQTT_PASSWORD", DEVICE)
        device = new_stack().peer
        assert isinstance(device, SimulatedDevice)
        probe = ProbeAtBroker(broker.address(DEVICE, device=""), device, 0.0)

        async def ask(user: str) -> None:
            monkeypatch.setenv("CRYOCTL_MQTT_PASSWORD", user)
            link = MqttLink(broker.address(user))
            link._start()
            told[user] = await error_of(link, greets=True)

        async def work() -> None:
            async with served(probe):
                ticking = asyncio.get_running_loop().create_task(probe.tick(strict=False))
                await asyncio.gather(*map(ask, REFUSED))
                ticking.cancel()
                await asyncio.gather(ticking, return_exceptions=True)

        drive(work)

    for user, said in REFUSED.items():
        assert said in told[user][0], user
        assert told[user][1] < 6.0
    assert probe.taken == []


def test_a_wrong_password_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CRYOCTL_MQTT_PASSWORD", "not this one")
    began_s = time.monotonic()
    with password_broker(tmp_path, ACL, [DEVICE]) as broker:
        assert invoke(["monitor", "--device", broker.url(DEVICE)]) == 3

    assert time.monotonic() - began_s < 5.0
    assert "check user, password and certificate" in capsys.readouterr().err


# -- what the client library does ---------------------------------------------------------------


def numbered(number: int) -> bytes:
    vitals = Vitals(number, 0, 0, 0, 0, 0, 0)
    return build(ID_OF[Vitals], encode(vitals), seq=number & 0xFFFF, session=0, key=None)


def test_who_takes_nothing_keeps_the_newest_samples_and_little_memory(broker: Broker) -> None:
    count = 2000
    device = new_stack().peer
    device.advance_to(0.01, b"")
    endpoint = MqttEndpoint(broker.address(device=""), DEVICE, lambda _line: None)
    hello = new_stack().peer.firmware.session.identity  # type: ignore[attr-defined]
    endpoint.put(
        DELIMITER + wrap(build(ID_OF[type(hello)], encode(hello), seq=0, session=0, key=None))
    )

    async def work() -> None:
        await until(lambda: endpoint.openings == 1, within_s=10.0)
        link = await connected_link(broker)
        for number in range(count):
            endpoint.put(wrap(numbered(number)))
            if number % 4 == 0:
                await asyncio.sleep(0.002)
        newest = numbered(count)

        def has_come() -> bool:
            endpoint.put(wrap(newest))  # Any one of them may be the broker's share.
            return bool(link._frames) and link._frames[-1].data == newest

        await until(has_come, within_s=10.0)
        assert link._connection is not None
        assert len(link._connection._client.messages) == 0
        assert len(link._frames) == 64
        assert link.dropped_frames > 500  # And the broker takes its share.
        first = await link.receive()
        assert first.data != numbered(0)
        await link.close()

    drive(work)
    endpoint.close()


@pytest.mark.parametrize("wait_s", [0.0, 0.3], ids=["before TCP", "before CONNACK"])
def test_a_connect_that_is_given_up_leaves_nothing_and_the_next_one_works(
    broker: Broker, world: World, wait_s: float
) -> None:
    probe = frozen_probe(broker, world)

    async def work() -> None:
        broker.freeze()
        link = MqttLink(broker.address())
        await link.send(world[2])
        await asyncio.sleep(wait_s)
        began_s = asyncio.get_running_loop().time()
        await link.close()
        assert asyncio.get_running_loop().time() - began_s < 1.0
        broker.thaw()
        async with served(probe):
            again = await connected_link(broker)
            await asyncio.sleep(0.3)
            await again.close()

    drive(work)

    assert probe.heard == []
