"""A probe behind every kind of link, a controller's session at the other end, and trouble between.

Time is the probe's own: a rig moves it by 10 ms and gives the link some real time to carry. A busy
machine makes that slower, not later; what a test claims it claims on the probe's clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from cryoctl.gateway import Gateway
from cryoctl.mqtt_link import MqttLink
from cryoctl.supervisor import PeerLink
from cryoctl.virtual_time import VirtualTimeLoop, sleep_until
from cryoctl_protocol.auth import DEMO_KEY
from cryoctl_protocol.codec import SCHEMA_HASH
from cryoctl_protocol.codes import Answer, DeviceState, HostMode, Op, Result, Trip
from cryoctl_protocol.framing import Deframer
from cryoctl_protocol.host_session import CommandFailed, HostSession, Phase, Received
from cryoctl_protocol.messages import Ack, Command, Done, Telemetry, Vitals
from cryoctl_protocol.mqtt.device_side import DeviceSide
from cryoctl_protocol.peer import DeviceUrl, FrameLink, LinkError, Reach, open_device
from cryoctl_protocol.wrapping import until_ms
from cryoctl_simulator.link_weather import FAIR, REORDER_MS, LinkWeather
from cryoctl_simulator.served.endpoints import Endpoint, TcpEndpoint
from cryoctl_simulator.served.mqtt_endpoint import MqttEndpoint
from cryoctl_simulator.served.pty_endpoint import PtyEndpoint
from tests.support.broker import Broker, plain_broker, tls_broker
from tests.support.protocol_builders import command
from tests.support.scripted_device import ScriptedDevice

DEVICE: Final = "SCRIPTED-1"
CONTROLLER: Final = "desk"
STEP_S: Final = 0.01
LATE_S: Final = 0.03
"""A pause of the machine after which a claim that fails is worth another telling."""
TELLINGS: Final = 4
LOOK_S: Final = 0.002
HOLD_LOOKS: Final = 50
"""In one step; a served probe that takes nothing for 0.2 s would know that it was stopped."""
PATIENCE: Final = 400
BEHIND_MS: Final = 100
LEASE_STEPS: Final = 10
VITALS_STEPS: Final = 20
HELLO_STEPS: Final = 50
FREEZE_MS: Final = 60_000
_DRIVING: Final = (DeviceState.FREEZE, DeviceState.STIMULATE)
_numbers: Final = itertools.count(1)


class Request(NamedTuple):
    """A command as it reached the firmware, with the time that was left to carry it out."""

    boot_id: int
    session: int
    counter: int
    op: Op
    left_ms: int


class Probe(ScriptedDevice):
    """A scripted probe at the end of a bad line, which records what came of it.

    Attributes:
        up: Weather of what it sends.
        down: Weather of what is sent to it.
        heard: Bodies that got to it.
        heard_ms: When, by ``now_ms``.
        said: Bodies that it sent, whatever became of them.
        requests: Commands that got as far as its firmware.
        off_ms: When its output went off last, by ``now_ms``; None while none has.
    """

    def __init__(self, *, seed: int, schema_hash: int = SCHEMA_HASH) -> None:
        self.up = self.down = FAIR
        self.heard: list[bytes] = []
        self.heard_ms: list[int] = []
        self.said: list[bytes] = []
        self.requests: list[Request] = []
        self.off_ms: int | None = None
        self._weather_down, self._weather_up = LinkWeather(seed, 1), LinkWeather(seed, 2)
        self._hears, self._says = Deframer(), Deframer()
        super().__init__(profile_hash=7, schema_hash=schema_hash, seed=f"probe {seed}".encode())

    @property
    def now_ms(self) -> int:
        """Time since it was made; its own clock starts again with each boot."""
        return self._steps * 10

    def advance_to(self, now_s: float, incoming: bytes) -> bytes:
        now_ms = round(now_s * 1000.0)
        arrived = self._weather_down.carry(incoming, now_ms, self.down)
        self.heard += self._hears.feed(arrived)
        self.heard_ms += [now_ms] * (len(self.heard) - len(self.heard_ms))
        sent = super().advance_to(now_s, arrived)
        self.said += self._says.feed(sent)
        return self._weather_up.carry(sent, now_ms, self.up)

    def _step(self, incoming: bytes) -> None:
        was_driving = self.state in _DRIVING
        super()._step(incoming)
        if was_driving and self.state not in _DRIVING:
            self.off_ms = self.now_ms
        if self._steps % HELLO_STEPS == 0 and not self.session.is_open:
            self.session.send_plain(self.session.identity)
        if self._steps % VITALS_STEPS == 0:
            self.session.send_plain(Vitals(self.device_ms, self.state, 33_000, 50_000, 0, 0, 0))

    def _on_command(self, command: Command) -> None:
        keys = self.session._keys
        assert keys is not None
        left_ms = until_ms(self.device_ms, command.deadline_ms)
        asked = Request(self.boot_id, keys.session, command.counter, Op(command.op), left_ms)
        self.requests.append(asked)
        super()._on_command(command)


class Host:
    """A controller's session over a link: it leases, repeats, and remembers what it was told.

    Attributes:
        mode: What its leases claim.
        leases: Whether it sends any.
        sent: Bodies that it sent.
        sent_ms: When, by the probe's ``now_ms``.
        received: What it took.
        failed: Commands that it gave up.
        lost: What the link said when it was gone; empty while it is there.
        sampled_ms: When it took the newest tagged sample, by the probe's ``now_ms``.
    """

    def __init__(self, rig: Rig, key: bytes) -> None:
        self.session = HostSession(key, nonce_seed=f"host {next(_numbers)}".encode())
        self.mode = HostMode.IDLE
        self.leases = True
        self.sent: list[bytes] = []
        self.sent_ms: list[int] = []
        self.received: list[Received] = []
        self.failed: list[CommandFailed] = []
        self.lost = ""
        self.sampled_ms = 0
        self._rig = rig
        self._link: FrameLink | None = None
        self._reading: asyncio.Task[None] | None = None
        self._ticks = 0

    @property
    def link(self) -> FrameLink:
        assert self._link is not None
        return self._link

    @property
    def is_linked(self) -> bool:
        return self._link is not None

    @property
    def is_open(self) -> bool:
        return self.session.phase is Phase.OPEN

    @property
    def behind_ms(self) -> int:
        """How much the probe has lived since the newest sample; 0 where none is to come."""
        is_told = self.is_open and self.is_linked and not self.lost
        return self._rig.probe.now_ms - self.sampled_ms if is_told else 0

    def open(self) -> None:
        """Begin a session over a new link."""
        self.lost = ""
        self.mode = HostMode.IDLE
        self.session.open(self._rig.now_s)
        self._link = self._rig.open_link()
        self._reading = asyncio.get_running_loop().create_task(self._read(self._link))

    async def connect(self) -> None:
        """The same, and see the session stand."""
        self.open()
        await self._rig.until(lambda: self.is_open or self.lost)
        assert not self.lost

    async def close(self) -> None:
        """Give the link up; another may be opened."""
        link, reading = self._link, self._reading
        self._link = None
        if link is None or reading is None:
            return
        await link.close()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)

    async def tick(self) -> None:
        """Say what is due."""
        if self._link is None or self.lost:
            return
        self._ticks += 1
        if self.leases and self._ticks % LEASE_STEPS == 0:
            self.session.lease(self.mode, self._rig.now_s)
        self.failed += self.session.poll(self._rig.now_s)
        for body in self.session.outgoing():
            self.sent.append(body)
            self.sent_ms.append(self._rig.probe.now_ms)
            await self.send(body)

    async def send(self, body: bytes) -> None:
        """Send one frame as it is."""
        try:
            await self.link.send(body)
        except LinkError as error:
            self.lost = str(error)

    def ask(self, op: Op, **values: int) -> int:
        """Send a command with the next tick; return its counter."""
        return self.session.command(command(op, **values), self._rig.now_s)

    async def obeyed(self, op: Op, **values: int) -> None:
        """Send a command and see it taken."""
        counter = self.ask(op, **values)
        await self._rig.until(lambda: not self.session.busy)
        if not self.answers(counter):
            self._rig.look_for_stall()
        assert self.answers(counter) == [Answer.ACCEPTED]

    async def freeze(self) -> None:
        """Have the probe freeze, which it does only as long as leases come."""
        for op in (Op.ARM, Op.START):
            await self.obeyed(op)
        self.mode = HostMode.FREEZE
        await self.obeyed(Op.FREEZE, duration_ms=FREEZE_MS, setpoint_mdegc=-60_000)

    def answers(self, counter: int) -> list[Answer]:
        """Return the first answers taken to a command."""
        return [
            Answer(it.answer)
            for it in self.received
            if isinstance(it, Ack) and it.op != Op.STOP and it.counter == counter
        ]

    def results(self, counter: int) -> list[Result]:
        """Return the second answers taken to a command."""
        found = self.of(Done)
        return [Result(it.result) for it in found if it.counter == counter]

    def of(self, kind: type[Any]) -> list[Any]:
        """Return what was taken of one kind."""
        return [it for it in self.received if isinstance(it, kind)]

    async def _read(self, link: FrameLink) -> None:
        try:
            while True:
                frame = await link.receive()
                taken = self.session.on_body(frame.data, self._rig.now_s)
                if taken is None:
                    continue
                self.received.append(taken)
                if isinstance(taken, Telemetry) and self.is_open:
                    self.sampled_ms = self._rig.probe.now_ms
        except LinkError as error:
            self.lost = str(error)


class Rig:
    """A probe in memory, in virtual time; the other kinds differ in how its bytes travel.

    Attributes:
        probe: At the far end.
        broker: Between the two, where there is one.
        stalled: Machine or link paused: a claim that fails is worth another telling.
        one_byte: What the probe sends is handed over byte by byte.
    """

    def __init__(self, broker: Broker | None) -> None:
        self.number = next(_numbers)
        self.probe = Probe(seed=self.number)
        self.stalled = False
        self.one_byte = False
        self._broker = broker
        self._steps = 0
        self._hosts: list[Host] = []

    @property
    def broker(self) -> Broker:
        assert self._broker is not None
        return self._broker

    @property
    def now_s(self) -> float:
        return self._steps * STEP_S

    def new_host(self, key: bytes = DEMO_KEY) -> Host:
        """Return a controller that has opened nothing yet; it holds the probe's key, or another."""
        host = Host(self, key)
        self._hosts.append(host)
        return host

    async def connected(self) -> Host:
        """Return a controller whose session stands."""
        host = self.new_host()
        await host.connect()
        return host

    async def freezing(self) -> Host:
        """Return a controller whose probe freezes."""
        host = await self.connected()
        await host.freeze()
        await self.go_on(0.05)
        self.check_freezes()
        return host

    async def until(self, is_so: Callable[[], object], *, within_s: float = 20.0) -> None:
        """Go on until ``is_so`` returns something true; the limit is the probe's time."""
        last = self._steps + round(within_s / STEP_S)
        while not is_so():
            assert self._steps < last, "it did not come to that"
            await self.step()

    async def go_on(self, duration_s: float) -> None:
        """Go on for a while of the probe's time."""
        for _ in range(round(duration_s / STEP_S)):
            await self.step()

    async def meanwhile(self, work: Awaitable[None]) -> None:
        """Go on until ``work`` is done."""
        task = asyncio.ensure_future(work)
        await self.until(task.done)
        task.result()

    def check_freezes(self) -> None:
        """Hold the probe to a freeze that nothing has ended."""
        if self.probe.state is not DeviceState.FREEZE:
            self.look_for_stall()
            raise AssertionError(f"{self.probe.state!r} after {self.probe.trip_cause!r}")

    def look_for_stall(self) -> None:
        """Note whether frames that nobody keeps back took too long to the probe, or never came."""

    def check_went_safe(self, since_ms: int) -> None:
        """Hold the probe to SR-01: no lease gets through any more, and its output is off."""
        probe = self.probe
        assert probe.off_ms is not None
        assert probe.off_ms - since_ms <= 350
        assert (probe.state, probe.trip_cause) == (DeviceState.FAULT, Trip.LEASE)

    def check(self) -> None:
        """Hold the probe to what no link may change: in order, once, and in time."""
        asked = self.probe.requests
        assert [it for it in asked if it.left_ms < 0] == []
        for _, group in itertools.groupby(asked, key=lambda it: (it.boot_id, it.session)):
            counters = [it.counter for it in group]
            assert counters == sorted(set(counters))
        sessions = [key for key, _ in itertools.groupby(asked, key=lambda it: it.session)]
        assert len(sessions) == len(set(sessions)), "an old session came back"

    # -- what differs ----------------------------------------------------------------------------

    async def start(self) -> None:
        """Have the probe at its link."""

    def open_link(self) -> FrameLink:
        """Open a controller's end."""
        return PeerLink(self.probe)

    async def step(self) -> None:
        """Move everything by 10 ms."""
        await self.tick_hosts()
        await sleep_until(self.now_s)
        if not any(host.is_linked for host in self._hosts):
            self.probe.advance_to(self.now_s, b"")  # Else the link in memory does.

    async def close(self) -> None:
        """Give everything up."""
        for host in self._hosts:
            await host.close()

    async def tick_hosts(self) -> None:
        """Have the controllers say what is due."""
        for host in self._hosts:
            await host.tick()
        self._steps += 1


class ServedRig(Rig):
    """A probe at an endpoint.

    Attributes:
        step_s: Real time that the link has to carry what 10 ms of the probe's make.
    """

    endpoint: Endpoint
    step_s = 0.004  # The kernel alone carries it.

    def __init__(self, broker: Broker | None) -> None:
        super().__init__(broker)
        self._due_s: float | None = None
        self._patience = PATIENCE

    async def start(self) -> None:
        self.endpoint = self.make_endpoint()

    def make_endpoint(self) -> Endpoint:
        """Return where the probe's bytes come out."""
        raise NotImplementedError

    def open_link(self) -> FrameLink:
        link = open_device(DeviceUrl.parse(self.endpoint.address)).link
        assert link is not None
        return link

    async def step(self) -> None:
        await self.tick_hosts()
        is_open = self.endpoint.poll()
        sent = self.probe.advance_to(self.now_s, self.endpoint.take())
        if is_open:
            await self._put(sent)
        loop = asyncio.get_running_loop()
        if self._due_s is None:
            self._due_s = loop.time()
        self._due_s += self.step_s
        await asyncio.sleep(max(0.0, self._due_s - loop.time()))
        if loop.time() - self._due_s > LATE_S:
            self.stalled = True
        await self._let_it_carry()
        self._due_s = max(self._due_s, loop.time() - self.step_s)

    def look_for_stall(self) -> None:
        if self.probe.down != FAIR:
            return
        probe = self.probe
        arrived_ms = dict(zip(probe.heard, probe.heard_ms, strict=True))
        for host in self._hosts:
            for body, sent_ms in zip(host.sent, host.sent_ms, strict=True):
                if arrived_ms.get(body, probe.now_ms) - sent_ms > BEHIND_MS:
                    self.stalled = True

    async def _let_it_carry(self) -> None:
        """Slow the probe's time down while a link without trouble is behind: a busy machine."""
        for _ in range(min(HOLD_LOOKS, self._patience)):
            if not self._is_behind():
                self._patience = PATIENCE
                return
            self._patience -= 1  # A link that stays behind is in trouble, after all.
            self.stalled = True
            await asyncio.sleep(LOOK_S)
        if not self._is_behind():
            self._patience = PATIENCE

    def _is_behind(self) -> bool:
        up = self.probe.up
        allowed_ms = BEHIND_MS + up.delay_ms + (REORDER_MS if up.reorder else 0)
        return any(host.behind_ms > allowed_ms for host in self._hosts)

    async def _put(self, data: bytes) -> None:
        if not self.one_byte:
            if data:
                self.endpoint.put(data)
            return
        for byte in data:
            self.endpoint.put(bytes([byte]))
            await asyncio.sleep(0)  # Whoever reads gets it before the next one comes.

    async def close(self) -> None:
        await super().close()
        self.endpoint.close()


class PtyRig(ServedRig):
    """A serial port."""

    def make_endpoint(self) -> Endpoint:
        return PtyEndpoint()


class TcpRig(ServedRig):
    """A TCP port of this machine."""

    def make_endpoint(self) -> Endpoint:
        return TcpEndpoint("127.0.0.1", 0)


class BrokerRig(ServedRig):
    """A probe that knows the broker's protocol itself."""

    step_s = 0.008  # Other processes take part.
    user_of_probe = ""
    user_of_host = ""

    @property
    def side(self) -> DeviceSide:
        """Return what posts for the probe."""
        assert isinstance(self.endpoint, MqttEndpoint)
        return self.endpoint._side

    def make_endpoint(self) -> Endpoint:
        address = self.broker.address(self.user_of_probe, device="")
        return MqttEndpoint(address, DEVICE, lambda _line: None)

    async def start(self) -> None:
        await super().start()
        await self.until(lambda: self.side.connected)

    def open_link(self) -> FrameLink:
        return MqttLink(self.broker.address(self.user_of_host, device=DEVICE))

    async def come_again(self) -> None:
        """Have the probe's side leave its broker and come back."""
        assert isinstance(self.endpoint, MqttEndpoint)
        openings = self.side.openings
        self.endpoint._loop.call_soon_threadsafe(self.side.renew)
        await self.until(lambda: self.side.openings > openings)


class TlsRig(BrokerRig):
    """The same, each side with a certificate."""

    user_of_probe = DEVICE
    user_of_host = CONTROLLER


class GatewayRig(BrokerRig):
    """A probe on a serial port that a gateway passes on to a broker."""

    def __init__(self, broker: Broker | None) -> None:
        super().__init__(broker)
        self.told: list[str] = []
        self._passing: asyncio.Task[None] | None = None

    @property
    def side(self) -> DeviceSide:
        return self.gateway._side

    def make_endpoint(self) -> Endpoint:
        return PtyEndpoint()

    async def start(self) -> None:
        self.endpoint = self.make_endpoint()
        self.pass_on()
        await self.until(lambda: self.side.connected)

    def pass_on(self) -> None:
        """Start a gateway."""
        self.gateway = Gateway(
            self._open_cable,
            self.broker.address(device=""),
            self.told.append,
            reach=Reach.COMPUTER,
        )
        running = self.gateway.run(self._open_cable())
        self._passing = asyncio.get_running_loop().create_task(running)

    def _open_cable(self) -> FrameLink:
        link = open_device(DeviceUrl.parse(self.endpoint.address)).link
        assert link is not None
        return link

    async def come_again(self) -> None:
        await self.stop_passing()
        self.pass_on()
        await self.until(lambda: self.side.connected)

    async def stop_passing(self) -> None:
        """End it."""
        assert self._passing is not None
        self._passing.cancel()
        await asyncio.gather(self._passing, return_exceptions=True)

    async def close(self) -> None:
        for host in self._hosts:
            await host.close()
        await self.stop_passing()
        self.endpoint.close()


class Kind(NamedTuple):
    """A kind of link.

    Attributes:
        rig: Makes one.
        broker: Context manager that yields its broker; None without one.
    """

    rig: type[Rig]
    broker: Callable[[Path], contextlib.AbstractContextManager[Broker]] | None = None


def _tls(folder: Path) -> contextlib.AbstractContextManager[Broker]:
    return tls_broker(folder, devices=[DEVICE], controllers=[CONTROLLER])


KINDS: Final = {
    "memory": Kind(Rig),
    "pty": Kind(PtyRig),
    "tcp": Kind(TcpRig),
    "mqtt": Kind(BrokerRig, plain_broker),
    "mqtts": Kind(TlsRig, _tls),
    "gateway": Kind(GatewayRig, plain_broker),
}


def tell(kind: str, story: Callable[[Any], Awaitable[None]], folder: Path) -> None:
    """Tell a story on a new rig; again, if it failed while the machine was too busy."""
    for telling in range(1, TELLINGS + 1):
        with _broker(kind, folder / str(telling)) as broker:
            rig = KINDS[kind].rig(broker)
            loop = VirtualTimeLoop if kind == "memory" else asyncio.SelectorEventLoop
            try:
                with asyncio.Runner(loop_factory=loop) as runner:
                    runner.run(_tell(rig, story))
            except AssertionError:
                if rig.stalled and telling < TELLINGS:
                    continue
                raise
        return


async def _tell(rig: Rig, story: Callable[[Any], Awaitable[None]]) -> None:
    await rig.start()
    try:
        await story(rig)
        rig.check()
    finally:
        await rig.close()
    await asyncio.sleep(0)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert [task.get_coro() for task in left] == []


@contextlib.contextmanager
def _broker(kind: str, folder: Path) -> Iterator[Broker | None]:
    make = KINDS[kind].broker
    if make is None:
        yield None
        return
    folder.mkdir()
    with make(folder) as broker:
        yield broker
