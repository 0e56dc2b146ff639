"""A simulated probe in mid-freeze that goes on at a real broker, and its controller with it.

The treatment begins in memory, where twenty seconds take three; then both ends go on in real time
with a broker between them, from the very tick.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from typing import Any

from cryoctl.cycle_table import Phase
from cryoctl.lockstep import LockStep
from cryoctl.mqtt_link import MqttLink
from cryoctl.operators import AutomaticOperator
from cryoctl.supervisor import Supervisor
from cryoctl.virtual_time import sleep_until
from cryoctl_protocol.codec import decode, encode
from cryoctl_protocol.codes import Answer, DeviceState, Op
from cryoctl_protocol.framing import DELIMITER, Deframer, Parsed, build, message_in, parse, wrap
from cryoctl_protocol.messages import ID_OF, Ack, Command
from cryoctl_protocol.mqtt.address import MqttAddress
from cryoctl_protocol.mqtt.device_side import DeviceSide
from cryoctl_simulator.device import SimulatedDevice
from cryoctl_simulator.firmware_model import FirmwareModel
from tests.support.broker import DEVICE, Broker
from tests.support.stack import Stack, build_stack, treatment

TICK_S = 0.01
CONNECTED_S = 1.0
"""Time to get to the broker before the treatment goes on."""
LATE_S = 0.1
"""A pause of the machine that makes whatever follows a story about the machine."""


class TooBusyError(Exception):
    """The machine stalled: what was seen says nothing."""


class ShiftedLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock begins at a moment of one's choice."""

    def __init__(self, began_s: float) -> None:
        super().__init__()
        self._shift_s = began_s - super().time()

    def time(self) -> float:
        return super().time() + self._shift_s


def new_stack() -> Stack:
    return build_stack(query=f"serial={DEVICE}", plan=treatment("n2o-20g", count=1))


def mid_freeze() -> tuple[bytes, float, bytes]:
    """Return a world one second into its freeze, that moment, and the freeze command sent."""
    stack = new_stack()
    world = stack.lockstep()
    while stack.controller.phase is not Phase.COOLING:
        world.run(until_s=world.now_s + 0.1)
    world.run(until_s=world.now_s + 1.0)
    return world.save(), world.now_s, freeze_of(stack)


def freeze_of(stack: Stack) -> bytes:
    """Return the last freeze command that a controller sent."""
    for _, body in reversed(stack.sink.sent_bodies):
        command = message_in(body)
        if isinstance(command, Command) and command.op == Op.FREEZE:
            return body
    raise AssertionError("no freeze was sent")


class ProbeAtBroker:
    """A simulated probe in the test's own loop.

    Attributes:
        taken: Operations it accepted, with the loop's time.
        heard: Bodies that its broker gave it.
        safe_s: When it was first seen with everything off; None while it is not.
        told: What it said of its connection.
    """

    def __init__(self, address: MqttAddress, device: SimulatedDevice, start_s: float) -> None:
        self.taken: list[tuple[float, Op]] = []
        self.heard: list[tuple[float, bytes]] = []
        self.told: list[str] = []
        self.safe_s: float | None = None
        self.device = device
        self.side = DeviceSide(address, on_body=self._hear, tell=self.told.append)
        self._waiting: deque[bytes] = deque(maxlen=16)
        self._deframer = Deframer()
        self._start_s = start_s
        self._done: set[tuple[int, int]] = set()
        assert isinstance(device.firmware, FirmwareModel)
        hello = device.firmware.session.identity
        self.side.publish(build(ID_OF[type(hello)], encode(hello), seq=0, session=0, key=None))

    @property
    def state(self) -> DeviceState:
        assert self.device.firmware is not None
        return DeviceState(self.device.firmware.state.state)

    @property
    def is_off(self) -> bool:
        outputs = self.device.actuators
        return outputs.valve == 0.0 and not outputs.shutoff_open

    async def tick(self, *, strict: bool = True) -> None:
        """Live by the loop's clock, which is the device's own; ``strict`` refuses a late tick."""
        loop = asyncio.get_running_loop()
        due_s = self._start_s
        while True:
            due_s += TICK_S
            await sleep_until(due_s)
            if strict and loop.time() - due_s > LATE_S:
                raise TooBusyError
            bodies = list(self._waiting)
            self._waiting.clear()
            wire = DELIMITER + b"".join(map(wrap, bodies)) if bodies else b""
            for body in self._deframer.feed(self.device.advance_to(due_s, wire)):
                self._note(body, loop.time())
                self.side.publish(body)
            if self.safe_s is None and self.is_off:
                self.safe_s = loop.time()

    def _hear(self, body: bytes) -> None:
        self.heard.append((asyncio.get_running_loop().time(), body))
        self._waiting.append(body)

    def _note(self, body: bytes, now_s: float) -> None:
        parsed = parse(body)
        if isinstance(parsed, Parsed) and parsed.message_id == ID_OF[Ack]:
            ack = decode(parsed.message_id, parsed.payload)
            assert isinstance(ack, Ack)
            exchange = (parsed.session, ack.counter)
            # A retry is answered again and not carried out again.
            if ack.answer == Answer.ACCEPTED and ack.op != Op.STOP and exchange not in self._done:
                self._done.add(exchange)
                self.taken.append((now_s, Op(ack.op)))


class Treatment:
    """Both ends of a treatment in mid-freeze, with a broker between them."""

    def __init__(self, broker: Broker, world: bytes, began_s: float) -> None:
        self.broker = broker
        self.stack = new_stack()
        LockStep(self.stack.controller, self.stack.peer, AutomaticOperator()).load(world)
        # The session stands already: what follows is its next tick.
        vars(self.stack.controller)["connect"] = lambda _now_s: None
        device = self.stack.peer
        assert isinstance(device, SimulatedDevice)
        self.probe = ProbeAtBroker(broker.address(), device, began_s)
        self.links: list[MqttLink] = []
        self._began_s = began_s

    def new_link(self) -> MqttLink:
        link = MqttLink(self.broker.address())
        self.links.append(link)
        return link

    async def run(self, story: Coroutine[Any, Any, None]) -> None:
        """Let both go on, and the story with them; end them with it."""
        loop = asyncio.get_running_loop()
        serving = loop.create_task(self.probe.side.run())
        link = self.new_link()
        link._start()
        connection = link._connection
        assert connection is not None
        while not (self.probe.side.connected and connection.connected):
            if loop.time() > self._began_s - 3 * TICK_S:
                story.close()
                raise TooBusyError
            await asyncio.sleep(TICK_S)
        shell = Supervisor(
            self.stack.controller, link, AutomaticOperator(), open_again=self.new_link
        )
        await sleep_until(self._began_s)
        ticking = loop.create_task(self.probe.tick())
        driving = loop.create_task(shell.run(until_s=self._began_s + 60.0))
        telling = loop.create_task(story)
        tasks = [serving, ticking, driving, telling]
        try:
            # The treatment may be over before its story is.
            await asyncio.wait([ticking, telling], return_when=asyncio.FIRST_COMPLETED)
            for task in (ticking, telling):
                if task.done():
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
