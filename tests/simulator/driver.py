"""Drives a whole simulated device through a treatment, as a plain controller would."""

from __future__ import annotations

from typing import Any

from cryoctl_protocol.auth import DEMO_KEY
from cryoctl_protocol.codes import Answer, DeviceState, EventCode, HostMode, Op, ThawMode, Trip
from cryoctl_protocol.framing import Deframer, wrap
from cryoctl_protocol.host_session import HostSession, Phase
from cryoctl_protocol.messages import Ack, Command, Done, Event, Message, Telemetry
from cryoctl_protocol.peer import DeviceUrl
from cryoctl_simulator.device import SimulatedDevice
from cryoctl_simulator.link import open_link

TICKS_PER_S = 20
TREATMENT = 0xC0FFEE


def open_device(url: str) -> SimulatedDevice:
    peer = open_link(DeviceUrl.parse(url)).peer
    assert isinstance(peer, SimulatedDevice)
    return peer


class Driver:
    """A controller's session at 20 Hz with a lease every 100 ms."""

    def __init__(self, url: str) -> None:
        self.device = open_device(url)
        self.host = HostSession(DEMO_KEY, nonce_seed=b"driver")
        self.deframer = Deframer()
        self.mode: HostMode | None = None
        self.messages: list[Message] = []
        self.raw = b""
        self.ticks = 0
        self._greeted = False

    @property
    def now_s(self) -> float:
        return self.ticks / TICKS_PER_S

    @property
    def state(self) -> DeviceState | None:
        firmware = self.device.firmware
        return None if firmware is None else DeviceState(firmware.state.state)

    @property
    def trip(self) -> Trip:
        assert self.device.firmware is not None
        return Trip(self.device.firmware.state.trip)

    def step(self) -> None:
        if self.mode is not None and self.ticks % 2 == 0:
            self.host.lease(self.mode, self.now_s)
        self.host.poll(self.now_s)
        outgoing = b"".join(wrap(body) for body in self.host.outgoing())
        if not self._greeted:
            self._greeted = True
            outgoing = b"\0" + outgoing
        self.ticks += 1
        sent = self.device.advance_to(self.now_s, outgoing)
        self.raw += sent
        for body in self.deframer.feed(sent):
            message = self.host.on_body(body, self.now_s)
            if message is not None:
                self.messages.append(message)  # type: ignore[arg-type]

    def run_s(self, seconds: float) -> None:
        for _ in range(round(seconds * TICKS_PER_S)):
            self.step()

    def connect(self) -> None:
        self.step()
        self.host.open(self.now_s)
        self.mode = HostMode.IDLE
        for _ in range(40):
            self.step()
            if self.host.phase is Phase.OPEN:
                break
        assert self.host.phase is Phase.OPEN
        self.run_s(0.2)

    def command(self, op: Op, **fields: int) -> Answer:
        blank: dict[str, Any] = dict.fromkeys(Command._fields, 0)
        counter = self.host.command(Command(**{**blank, "op": op, **fields}), self.now_s)
        for _ in range(8):
            self.step()
            for message in self.messages[-30:]:
                if isinstance(message, Ack) and (message.counter, message.op) == (counter, op):
                    return Answer(message.answer)
        raise AssertionError(f"{op!r} was not answered")

    def ask(self, op: Op, **fields: int) -> None:
        assert self.command(op, **fields) is Answer.ACCEPTED, op

    def start(self, cycles: int = 3) -> None:
        """Connect, pass the leak test, arm and start."""
        self.connect()
        self.ask(Op.LEAK_TEST)
        self.run_s(12)
        self.ask(Op.ARM, treatment_hash=TREATMENT, cycles=cycles)
        self.ask(Op.START, treatment_hash=TREATMENT)

    def freeze(self, setpoint_c: float = -60.0, seconds: float = 60.0) -> None:
        self.ask(
            Op.FREEZE,
            setpoint_mdegc=round(setpoint_c * 1000),
            duration_ms=round(seconds * 1000),
        )
        self.mode = HostMode.FREEZE

    def thaw(self, mode: ThawMode = ThawMode.ACTIVE) -> None:
        self.ask(Op.THAW, mode=mode, energy_mj=5_000 if mode is ThawMode.ACTIVE else 0)
        self.mode = HostMode.THAW

    def telemetry(self) -> list[Telemetry]:
        return [message for message in self.messages if isinstance(message, Telemetry)]

    def trips(self) -> list[Event]:
        return [m for m in self.messages if isinstance(m, Event) and m.code == EventCode.TRIP]

    def dones(self) -> list[Done]:
        return [message for message in self.messages if isinstance(message, Done)]

    def is_driven(self) -> bool:
        """Return True while valve, heater or warmer is on at the actuators.

        The shut-off alone may stay open behind a shut valve, until that is proved to be shut.
        """
        actuators = self.device.actuators
        return bool(actuators.valve or actuators.tip_heater or actuators.skin_warmer)
