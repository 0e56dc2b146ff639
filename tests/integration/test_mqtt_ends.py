"""Both ends of a link over a real broker: what they let in, what they say, how they come back."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import pytest

from cryoctl.cli import invoke
from cryoctl.gateway import Gateway, ProbeRefusedError
from cryoctl.mqtt_link import MqttLink
from cryoctl_protocol.codec import PAYLOAD_SIZE
from cryoctl_protocol.codes import Capability, SafeAction, Trip
from cryoctl_protocol.framing import DELIMITER, build, wrap
from cryoctl_protocol.messages import ID_OF, Hello, HelloHost, Stop, Vitals
from cryoctl_protocol.mqtt.address import MqttAddress
from cryoctl_protocol.mqtt.connection import BrokerConnection, Received
from cryoctl_protocol.mqtt.device_side import DeviceSide
from cryoctl_protocol.peer import DeviceUrl, Frame, FrameLink, LinkError, Reach
from cryoctl_protocol.toml_text import FileError, Problem
from cryoctl_simulator.served.mqtt_endpoint import MqttEndpoint
from tests.support.broker import DEVICE, Broker, plain_broker, tls_broker, until
from tests.support.protocol_builders import identity, plain

pytestmark = pytest.mark.real_time(prompt=True)

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


# -- troubles of a probe at its broker -------------------------------------------------------------


OTHER_HELLO = plain(identity(device_id=b"OTHER-9".ljust(16, b"\0")))


async def test_a_second_probe_of_the_same_name_is_named_as_the_cause_and_both_calm_down(
    broker: Broker,
) -> None:
    told: list[str] = []
    sides = [
        DeviceSide(broker.address(device=""), on_body=lambda _: None, tell=told.append)
        for _ in range(2)
    ]
    for side in sides:
        side.publish(HELLO)
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(side.run()) for side in sides]
    try:
        await until(lambda: any("does a second simulator" in line for line in told), within_s=30.0)
        openings = sum(side.openings for side in sides)
        await asyncio.sleep(3.0)
        assert sum(side.openings for side in sides) - openings <= 2
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_broker_that_says_our_name_was_taken_is_believed_at_once() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(bytes.fromhex("2003 0000 00"))  # CONNACK
        await reader.read(1000)
        writer.write(bytes.fromhex("9005 0001 00 01 01"))  # SUBACK
        writer.write(bytes.fromhex("e002 8e 00"))  # DISCONNECT, 142: session taken over.
        await writer.drain()
        await reader.read(1000)
        writer.close()

    told: list[str] = []
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}/bench"
    address = MqttAddress.of(DeviceUrl.parse(url), site_only=True)
    side = DeviceSide(address, on_body=lambda _: None, tell=told.append)
    side.publish(HELLO)
    task = asyncio.get_running_loop().create_task(side.run())
    try:
        await until(lambda: any("another client has come under our name" in line for line in told))
        await asyncio.sleep(1.0)
        assert side.openings == 1
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        server.close()

    assert "cryo-bench-probe-1" in told[-1]


async def test_a_probe_whose_certificate_is_gone_for_a_moment_comes_back(tmp_path: Path) -> None:
    told: list[str] = []
    with tls_broker(tmp_path) as broker:
        address = broker.address(DEVICE, device="")
        side = DeviceSide(address, on_body=lambda _: None, tell=told.append)
        side.publish(HELLO)
        task = asyncio.get_running_loop().create_task(side.run())
        try:
            await until(lambda: side.connected)
            assert address.cert is not None
            certificate = Path(address.cert)
            text = await asyncio.to_thread(certificate.read_bytes)
            await asyncio.to_thread(certificate.unlink)
            side.renew()
            await until(lambda: any("ca, cert or key" in line for line in told))
            await asyncio.to_thread(certificate.write_bytes, text)
            await until(lambda: side.openings == 2)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def broken(_side: DeviceSide) -> None:
    raise RuntimeError("a bug")


async def test_a_gateway_whose_serving_breaks_ends_with_that_error(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DeviceSide, "_connect", broken)
    name = DEVICE.encode().ljust(16, b"\0")
    cable = Cable([plain(identity(device_id=name, capabilities=int(PROTECTED)))])
    gateway = Gateway(
        lambda: cable, broker.address(device=""), lambda _: None, reach=Reach.COMPUTER
    )

    with pytest.raises(RuntimeError, match="a bug"):
        await asyncio.wait_for(gateway.run(cable), 10.0)


def test_a_simulator_whose_serving_breaks_ends_with_that_error(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DeviceSide, "_connect", broken)
    endpoint = MqttEndpoint(broker.address(device=""), DEVICE, lambda _: None)
    endpoint.put(DELIMITER + wrap(HELLO))

    with pytest.raises(RuntimeError, match="a bug"):
        asyncio.run(until(lambda: not endpoint.poll()))
    endpoint.close()


async def test_another_probe_on_the_cable_takes_its_own_name_and_the_former_one_is_offline(
    broker: Broker,
) -> None:
    ends = Ends(broker)

    async def story() -> None:
        ends.device.publish(OTHER_HELLO)
        ends.device.publish(SAMPLE)
        await until(lambda: ends.device.openings == 2)
        ends.device.publish(SAMPLE)
        await until(lambda: any(m.topic.endswith("OTHER-9/tele") for m in ends.overheard))
        conn = f"{HERE}/conn"
        await until(lambda: any(m.topic == conn and b"false" in m.payload for m in ends.overheard))
        ends.stranger.post(f"{HERE}/cmd", GREETING)
        ends.stranger.post("cryo/1/bench/OTHER-9/cmd", STOP)
        await until(lambda: ends.heard)

    await ends.run(story)

    assert ends.heard == [STOP]
    assert [m for m in ends.overheard if m.topic == f"{HERE}/tele"] == []
    assert any("another probe is on the line: OTHER-9, not probe-1" in line for line in ends.told)


async def test_a_copy_of_a_question_takes_nobodys_answer_away(broker: Broker) -> None:
    ends = Ends(broker)

    async def story() -> None:
        await ends.link.send(GREETING)
        await until(lambda: len(ends.heard) == 1)
        for number in range(5):
            copy = f"{HERE}/ack/second-desk/{number}"
            ends.stranger.post(f"{HERE}/cmd", GREETING, response_topic=copy)
        await until(lambda: len(ends.heard) == 6)
        ends.device.publish(ANSWER)
        async with asyncio.timeout(5.0):
            while (await ends.link.receive()).data != ANSWER:
                pass
        await until(lambda: sum(m.payload == ANSWER for m in ends.overheard) == 4)

    await ends.run(story)


# -- what a gateway does not pass on ---------------------------------------------------------------


class Cable:
    """A cable with a probe that says these bodies, and then nothing."""

    line_errors = 0

    def __init__(self, bodies: Sequence[bytes]) -> None:
        self._bodies = deque(bodies)
        self.sent: list[bytes] = []

    async def send(self, data: bytes) -> None:
        self.sent.append(data)

    async def receive(self) -> Frame:
        if not self._bodies:
            await asyncio.get_running_loop().create_future()
        return Frame(self._bodies.popleft(), 0.0)

    async def close(self) -> None: ...

    def abort(self) -> None: ...


PROTECTED = Capability.LEASE | Capability.AUTHENTICATION


@pytest.mark.requirement("SR-24")
@pytest.mark.parametrize(
    ("capabilities", "key_id", "reach", "told"),
    [
        (Capability.AUTHENTICATION, 1, Reach.COMPUTER, "has no LEASE: at a broker"),
        (Capability.LEASE, 1, Reach.COMPUTER, "has no AUTHENTICATION: at a broker"),
        (0, 0, Reach.COMPUTER, "has no LEASE and no AUTHENTICATION"),
        (PROTECTED, 0, Reach.LINE, "has the public key alone.*cryoctl keys new probe-1"),
        (PROTECTED, 0, Reach.NETWORK, "has the public key alone"),
        (PROTECTED, 0, Reach.COMPUTER, ""),
        (PROTECTED, 1, Reach.LINE, ""),
    ],
)
async def test_a_gateway_passes_on_no_probe_that_a_stranger_could_command(
    broker: Broker, capabilities: int, key_id: int, reach: Reach, told: str
) -> None:
    name = DEVICE.encode().ljust(16, b"\0")
    hello = identity(device_id=name, key_id=key_id, capabilities=int(capabilities))
    cable = Cable([plain(hello), SAMPLE])
    gateway = Gateway(lambda: cable, broker.address(device=""), lambda _: None, reach=reach)
    running = asyncio.get_running_loop().create_task(gateway.run(cable))

    if told:
        with pytest.raises(ProbeRefusedError, match=told):
            await asyncio.wait_for(running, 10.0)
    else:
        await until(lambda: gateway._side.connected)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    seen = await asyncio.to_thread(
        broker.stranger, "mosquitto_sub", "-t", f"{HERE}/birth", "-C", "1", "-W", "1"
    )
    assert bool(seen) is not bool(told)


def test_a_gateway_refuses_another_dialect_before_it_opens_a_port(
    capsys: pytest.CaptureFixture[str],
) -> None:
    device = "serial:/dev/no-such-port?dialect=ascii"

    assert invoke(["gateway", "--device", device, "--mqtt", "mqtt://127.0.0.1/bench"]) == 2
    assert "other dialects have no tags" in capsys.readouterr().err


class PortOfMisfortune:
    """A port that is lost, and whose address cannot be opened for a while."""

    def __init__(self) -> None:
        self.cable = Cable([])
        self.errors: list[Exception] = [
            FileError([Problem("ports.toml", 3, "", "cannot be read")]),
            UnicodeError("label empty or too long"),
        ]

    async def receive(self) -> Frame:
        raise LinkError("unplugged")

    def open(self) -> FrameLink:
        if self.errors:
            raise self.errors.pop(0)
        return self.cable

    async def send(self, data: bytes) -> None: ...

    async def close(self) -> None: ...

    def abort(self) -> None: ...


async def test_a_gateway_goes_on_trying_whatever_keeps_the_port_shut_and_says_what(
    broker: Broker,
) -> None:
    told: list[str] = []
    port = PortOfMisfortune()
    gateway = Gateway(port.open, broker.address(device=""), told.append, reach=Reach.COMPUTER)
    running = asyncio.get_running_loop().create_task(gateway.run(port))  # type: ignore[arg-type]
    try:
        await until(lambda: gateway._link is port.cable)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert told[0] == "unplugged"
    assert "ports.toml" in told[1]
    assert "label empty" in told[2]


@pytest.mark.parametrize(
    ("is_tls", "hint"),
    [(True, "it may want a certificate: ?cert=FILE&key=FILE"), (False, "for TLS: mqtts://")],
)
async def test_a_broker_that_says_nothing_is_told_with_what_may_be_behind_it(
    tmp_path: Path, *, is_tls: bool, hint: str
) -> None:
    with tls_broker(tmp_path) as broker:
        address = broker.address(device="")
        if not is_tls:
            address = address._replace(tls=False, ca=None)
        connection = BrokerConnection(
            address,
            identifier="stranger",
            subscribe=[("#", True)],
            on_message=lambda _: None,
            on_connected=lambda: None,
        )
        with pytest.raises(LinkError, match=re.escape(hint)):
            await connection.run()
