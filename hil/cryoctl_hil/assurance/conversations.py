"""Both ends of a session at a moment of its life, and every frame that has been on their line."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from typing import Final

from cryoctl_protocol.codec import SCHEMA_HASH
from cryoctl_protocol.codes import (
    Answer,
    DeviceState,
    EventCode,
    HostMode,
    Op,
    Result,
    SafeAction,
    Trip,
)
from cryoctl_protocol.device_session import DeviceSession
from cryoctl_protocol.framing import DELIMITER, Deframer, wrap
from cryoctl_protocol.host_session import HostSession, Phase
from cryoctl_protocol.messages import (
    PROTOCOL_MAJOR,
    PROTOCOL_MINOR,
    Command,
    Event,
    Hello,
    Message,
    Telemetry,
    Vitals,
)

KEY: Final = bytes(range(32))
OTHER_KEY: Final = bytes(range(1, 33))
_STEP_MS: Final = 10
_LAPSED_STEPS: Final = 130
"""Ownership lapses after 1 s."""
_COMMANDED: Final = tuple(op for op in Op if op is not Op.STOP)
_COMMAND: Final = Command(*[0] * len(Command._fields))
_TELEMETRY: Final = Telemetry(*[0] * len(Telemetry._fields))


def _identity(boot_id: int) -> Hello:
    return Hello(
        major=PROTOCOL_MAJOR,
        minor=PROTOCOL_MINOR,
        schema_hash=SCHEMA_HASH,
        profile_hash=7,
        boot_id=boot_id,
        host_nonce=0,
        device_nonce=0,
        key_id=1,
        owned=0,
        capabilities=0,
        sensors=0,
        telemetry_period_ms=20,
        device_id=b"SPECIMEN".ljust(16, b"\0"),
        firmware_id=bytes(16),
        profile_id=bytes(16),
    )


class Conversation:
    """A controller's and a probe's session on a good line, 10 ms at a time.

    Attributes:
        down: Frames that the controller sent, delimiters left off.
        up: Frames that the probe sent.
    """

    def __init__(self, key: bytes = KEY, *, boot_id: int = 0xB0071D42) -> None:
        self.host = HostSession(key, nonce_seed=b"host")
        self.device = DeviceSession(_identity(boot_id), key, nonce_seed=b"device")
        self.deframer = Deframer()
        self.down: list[bytes] = []
        self.up: list[bytes] = []
        self.now_ms = 0
        self.device.on_bytes(DELIMITER, 0)
        self.deframer.feed(DELIMITER)

    @property
    def now_s(self) -> float:
        """The controller's clock."""
        return self.now_ms / 1000.0

    def step(self, count: int = 1) -> None:
        """Let both talk."""
        for _ in range(count):
            self.now_ms += _STEP_MS
            self.host.poll(self.now_s)
            self.hear_at_device()
            self.device.on_bytes(b"", self.now_ms)
            self.hear_at_host()

    def hear_at_device(self) -> None:
        """Give the probe what the controller has sent; every command is taken and done at once."""
        frames = [wrap(body) for body in self.host.outgoing()]
        self.down += [frame[:-1] for frame in frames]
        for request in self.device.on_bytes(b"".join(frames), self.now_ms):
            if isinstance(request, Command):
                answer = Answer.WRONG_STATE if request.op == Op.CLEAR else Answer.ACCEPTED
                self.device.answer(request.counter, request.op, answer)
                self.device.done(request.counter, request.op, Result.OK)

    def hear_at_host(self) -> None:
        """Give the controller what the probe has sent."""
        data = self.device.outgoing()
        self.up += data.split(DELIMITER)[:-1]
        for body in self.deframer.feed(data):
            self.host.on_body(body, self.now_s)

    def open(self) -> None:
        """Open a session, the first or another."""
        self.host.open(self.now_s)
        while self.host.phase is not Phase.OPEN:
            self.step()
            self.host.lease(HostMode.IDLE, self.now_s)
            self.tell(_TELEMETRY._replace(device_ms=self.now_ms + _STEP_MS))

    def tell(self, message: Telemetry | Event | Vitals) -> None:
        """Have the probe send one message by itself."""
        if isinstance(message, Telemetry):
            self.device.send_telemetry(message)
        elif isinstance(message, Event):
            self.device.send_event(message)
        else:
            self.device.send_plain(message)
        self.hear_at_host()

    def say_everything(self) -> None:
        """Put every kind of frame on the line at least once."""
        for message in _plain_messages():
            self.device.send_plain(message)
        for op in _COMMANDED:
            self.host.command(_COMMAND._replace(op=op, mode=0, treatment_hash=99), self.now_s)
            self.host.lease(HostMode.FREEZE, self.now_s)
            self.step()
            self.tell(
                _TELEMETRY._replace(
                    device_ms=self.now_ms + 1, state=DeviceState.FREEZE, tip_mdegc=-60_000
                )
            )
        for code in EventCode:
            self.tell(Event(self.now_ms, 0, code, DeviceState.FREEZE, Trip.NONE, 1, 2))
        self.host.stop(SafeAction.THAW, Trip.OPERATOR_STOP)
        self.step()

    def leave_one_unanswered(self) -> None:
        """Have one command in flight and one lease alive, as in the midst of a treatment."""
        self.host.lease(HostMode.FREEZE, self.now_s)
        self.host.command(_COMMAND._replace(op=Op.SETPOINT, setpoint_mdegc=-60_000), self.now_s)
        self.hear_at_device()
        self.device.outgoing()  # Its answer got lost.


def _plain_messages() -> list[Message]:
    return [
        _identity(0xB0071D42),
        Vitals(0, DeviceState.FREEZE, -60_000, 50_000, 500, 0, 1),
        _TELEMETRY,
    ]


@dataclass(frozen=True, slots=True)
class Specimens:
    """What frames are mutated from, and ends of a session to send them to.

    Attributes:
        down: Frames towards the probe, of the session in force.
        up: Frames towards the controller.
        old_down: Frames of the session before.
        foreign_down: Frames of somebody with another key.
        devices: Saved sessions of a probe, each with its clock in ms, by what is special.
        host: Saved session of a controller, whose clock is that of ``held``.
    """

    down: tuple[bytes, ...]
    up: tuple[bytes, ...]
    old_down: tuple[bytes, ...]
    old_up: tuple[bytes, ...]
    foreign_down: tuple[bytes, ...]
    foreign_up: tuple[bytes, ...]
    devices: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    host: bytes = b""
    host_s: float = 0.0


def collect_specimens() -> Specimens:
    """Return the same specimens each time: two sessions with one key, one with another."""
    talk = Conversation()
    talk.open()
    talk.say_everything()
    old_down, old_up = tuple(talk.down), tuple(talk.up)
    talk.down.clear()
    talk.up.clear()
    talk.step(_LAPSED_STEPS)
    talk.open()
    talk.say_everything()
    talk.leave_one_unanswered()
    foreign = Conversation(OTHER_KEY)
    foreign.open()
    foreign.say_everything()
    held = (pickle.dumps(talk.device), talk.now_ms)
    host, host_s = pickle.dumps(talk.host), talk.now_s
    talk.now_ms += _LAPSED_STEPS * _STEP_MS
    talk.device.on_bytes(b"", talk.now_ms)
    talk.device.outgoing()
    restarted = Conversation(boot_id=0xB0071D43)
    return Specimens(
        tuple(talk.down), tuple(talk.up), old_down, old_up,
        tuple(foreign.down), tuple(foreign.up),
        {
            "held": held,
            "lapsed": (pickle.dumps(talk.device), talk.now_ms),
            "restarted": (pickle.dumps(restarted.device), 0),
        },
        host, host_s,
    )  # fmt: skip
