"""Both ends of a link over a real broker: what they let in, what they say, how they come back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from cryoctl.cli import invoke
from cryoctl.mqtt_link import MqttLink
from cryoctl_protocol.codec import PAYLOAD_SIZE
from cryoctl_protocol.codes import SafeAction, Trip
from cryoctl_protocol.framing import build
from cryoctl_protocol.messages import ID_OF, Hello, HelloHost, Stop, Vitals
from cryoctl_protocol.mqtt.connection import BrokerConnection, Received
from cryoctl_protocol.mqtt.device_side import DeviceSide
from cryoctl_protocol.peer import LinkError
from tests.support.broker import DEVICE, Broker, plain_broker, until
from tests.support.protocol_builders import identity, plain

pytestmark = pytest.mark.real_time

HERE = "cryo/1/bench/probe-1"
HELLO = plain(identity(device_id=DEVICE.encode().ljust(16, b"\0")))
SAMPLE = plain(Vitals(1, 0, 0, 0, 0, 0, 0))
STOP = plain(Stop(1, 1, SafeAction.OFF, Trip.HEATER))
GREETING = plain(HelloHost(**dict.fromkeys(HelloHost._fields, 0) | {"host_nonce": 9}))
ANSWER = plain(identity(device_id=DEVICE.encode().ljust(16, b"\0"), host_nonce=9))
BROKEN_HELLO = build(ID_OF[Hello], b"\xff" * PAYLOAD_SIZE[ID_OF[Hello]], seq=0, session=0, key=None)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with plain_broker(tmp_path) as running:
        yield running


class Ends:
    """A device, a controller and a stranger at one broker."""

    def __init__(self, broker: Broker) -> None:
        self.heard: list[bytes] = []
        self.overheard: list[Received] = []
        self.told: list[str] = []
        self.device = DeviceSide(
            broker.address(device=""), on_body=self.heard.append, tell=self.told.append
        )
        self.device.publish(HELLO)
        self.link = MqttLink(broker.address())
        self.stranger = BrokerConnection(
            broker.address(),
            identifier="stranger",
            subscribe=[("#", True)],
            on_message=self.overheard.append,
            on_connected=lambda: None,
        )

    async def run(self, story: Callable[[], Awaitable[None]]) -> None:
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(self.device.run()), loop.create_task(self.stranger.run())]
        connection = self.link._start()
        try:
            await until(
                lambda: connection.connected and self.device.connected and self.stranger.connected
            )
            await story()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.link.close()
            await asyncio.sleep(0.05)


async def test_what_a_stranger_says_on_a_probes_topics_ends_nothing(broker: Broker) -> None:
    ends = Ends(broker)
    answers = ends.link._answers

    async def story() -> None:
        for payload in (b"", b"\0" * 300, b"\xff" * 40, BROKEN_HELLO):
            for topic in (f"{HERE}/tele", f"{HERE}/event", answers, f"{HERE}/cmd"):
                ends.stranger.post(topic, payload)
                await asyncio.sleep(0.01)
        for payload in (b"", b"nonsense", b'{"online": true, "boot_id": Infinity}'):
            ends.stranger.post(f"{HERE}/conn", payload)
        ends.stranger.post(f"{HERE}/tele", SAMPLE)
        async with asyncio.timeout(5.0):
            while (await ends.link.receive()).data != SAMPLE:
                pass
        await ends.link.send(GREETING)
        await until(lambda: GREETING in ends.heard)

    await ends.run(story)


async def test_an_answer_goes_to_who_asked_and_never_where_a_stranger_wants_it(
    broker: Broker,
) -> None:
    ends = Ends(broker)

    async def story() -> None:
        ends.stranger.post(f"{HERE}/cmd", GREETING, response_topic="cryo/1/bench/probe-2/cmd")
        await until(lambda: ends.heard == [GREETING])
        ends.device.publish(ANSWER)
        await until(lambda: any(m.payload == ANSWER for m in ends.overheard))
        await ends.link.send(GREETING)
        await until(lambda: len(ends.heard) == 2)
        ends.device.publish(ANSWER)
        async with asyncio.timeout(5.0):
            while (await ends.link.receive()).data != ANSWER:
                pass
        await until(lambda: sum(m.payload == ANSWER for m in ends.overheard) == 2)

    await ends.run(story)

    topics = [m.topic for m in ends.overheard if m.payload == ANSWER]
    assert topics == [f"{HERE}/event", ends.link._answers]
    assert ends.link._answers.startswith(f"{HERE}/ack/anyone/cryoctl-")


async def test_another_probe_on_the_topics_ends_the_link(broker: Broker) -> None:
    ends = Ends(broker)

    async def listen() -> None:
        while True:
            await ends.link.receive()

    async def story() -> None:
        ends.stranger.post(f"{HERE}/tele", plain(identity(device_id=b"OTHER".ljust(16, b"\0"))))
        with pytest.raises(LinkError, match="there answers another probe, OTHER"):
            await asyncio.wait_for(listen(), 5.0)

    await ends.run(story)


async def test_what_is_retained_on_telemetry_is_no_sample(broker: Broker) -> None:
    broker.stranger("mosquitto_pub", "-t", f"{HERE}/tele", "-r", "-s", data=SAMPLE)
    ends = Ends(broker)

    async def story() -> None:
        await asyncio.sleep(0.2)
        assert SAMPLE not in [frame.data for frame in ends.link._frames]

    await ends.run(story)


async def test_a_stop_sent_just_before_the_farewell_arrives(broker: Broker) -> None:
    ends = Ends(broker)

    async def story() -> None:
        await ends.link.send(STOP)
        await ends.link.close()
        await until(lambda: ends.heard == [STOP])

    await ends.run(story)


async def test_a_probe_is_back_within_a_second_however_often_its_broker_goes(
    broker: Broker,
) -> None:
    ends = Ends(broker)

    async def story() -> None:
        loop = asyncio.get_running_loop()
        for openings in range(2, 7):
            broker.kill()
            await until(lambda: not ends.device.connected)
            await asyncio.to_thread(broker.restart)
            back_s = loop.time()
            await until(lambda n=openings: ends.device.openings == n)  # type: ignore[misc]
            assert loop.time() - back_s < 1.0

    await ends.run(story)


async def test_a_probe_that_leaves_is_said_to_be_offline(broker: Broker) -> None:
    ends = Ends(broker)

    async def story() -> None:
        await ends.device.leave()
        conn = f"{HERE}/conn"
        await until(lambda: any(m.topic == conn and b"false" in m.payload for m in ends.overheard))

    await ends.run(story)


async def test_a_broker_that_stands_still_holds_up_kilobytes_and_no_megabytes(
    broker: Broker,
) -> None:
    connected = asyncio.Event()
    sender = BrokerConnection(
        broker.address(),
        identifier="sender",
        subscribe=[("nothing", False)],
        on_message=lambda _: None,
        on_connected=connected.set,
    )
    task = asyncio.get_running_loop().create_task(sender.run())
    await asyncio.wait_for(connected.wait(), 10.0)

    broker.freeze()
    offered = 0
    while offered < 512 and sender.dropped == 0:
        sender.post("anything", bytes(1024))
        offered += 1
        await asyncio.sleep(0.001)  # Room for what can be sent to be sent.

    assert sender.connected
    # The receiver's own buffer has room for some 64.
    assert offered < 256
    broker.thaw()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_certificates_that_cannot_be_used_are_said_by_the_simulator(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ca").write_text("nothing of the kind")

    assert invoke(["sim", "--mqtt", f"mqtts://127.0.0.1/bench?ca={tmp_path / 'ca'}"]) == 2
    assert "ca, cert or key" in capsys.readouterr().err


@pytest.mark.parametrize("serial", ["", "a/b", "+", "-first", "seventeen-letters"])
def test_a_serial_number_that_no_topic_can_hold_is_refused(
    serial: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["sim", "--serial", serial, "--tcp", "127.0.0.1:0"]) == 2
    assert "letters, digits and . _ - only, at most 16" in capsys.readouterr().err
