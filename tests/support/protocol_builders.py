"""Messages, keys and a controller with a probe on a bad line, for tests of the protocol."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from hypothesis import strategies as st

from cryoctl_protocol.codec import SCHEMA_HASH, encode, struct_code
from cryoctl_protocol.codes import Answer, HostMode, Op, Result
from cryoctl_protocol.device_session import DeviceSession
from cryoctl_protocol.framing import DELIMITER, Deframer, build, wrap
from cryoctl_protocol.host_session import CommandFailed, HostSession, Phase, Received
from cryoctl_protocol.messages import (
    ID_OF,
    PROTOCOL_MAJOR,
    PROTOCOL_MINOR,
    Command,
    Hello,
    Lease,
    Message,
    MessageType,
    Stop,
    Telemetry,
)

KEY = bytes(range(32))
OTHER_KEY = bytes(range(1, 33))
BOOT_ID = 0xB0071D42
STEP_MS = 10


def identity(**changes: Any) -> Hello:
    hello = Hello(
        major=PROTOCOL_MAJOR,
        minor=PROTOCOL_MINOR,
        schema_hash=SCHEMA_HASH,
        profile_hash=7,
        boot_id=BOOT_ID,
        host_nonce=0,
        device_nonce=0,
        key_id=1,
        owned=0,
        capabilities=0,
        sensors=0,
        telemetry_period_ms=20,
        device_id=b"BENCH".ljust(16, b"\0"),
        firmware_id=bytes(16),
        profile_id=bytes(16),
    )
    return hello._replace(**changes)


def telemetry(device_ms: int = 0, **changes: int) -> Telemetry:
    values: dict[str, int] = dict.fromkeys(Telemetry._fields, 0)
    return Telemetry(**{**values, "device_ms": device_ms, **changes})


def command(op: Op = Op.ARM, **changes: int) -> Command:
    values: dict[str, int] = dict.fromkeys(Command._fields, 0)
    return Command(**{**values, "op": int(op), **changes})


def plain(message: Message, *, seq: int = 0) -> bytes:
    """A body without tag or session."""
    return build(ID_OF[type(message)], encode(message), seq=seq, session=0, key=None)


def raw_values(row: MessageType) -> st.SearchStrategy[tuple[Any, ...]]:
    """Anything that fits the wire types of a message, inside its ranges or not."""
    return st.tuples(*(_raw_value(wire_field) for _, wire_field in row.fields))


def valid_values(row: MessageType) -> st.SearchStrategy[tuple[Any, ...]]:
    """What the table allows."""
    return st.tuples(
        *(
            _raw_value(wire_field)
            if wire_field.low is None
            else st.integers(wire_field.low, wire_field.high)
            for _, wire_field in row.fields
        )
    )


def _raw_value(wire_field: Any) -> st.SearchStrategy[Any]:
    size = wire_field.kind.sizeof()
    code = struct_code(wire_field)
    if code.endswith("s"):
        return st.binary(min_size=size, max_size=size)
    if code.isupper():
        return st.integers(0, 2 ** (8 * size) - 1)
    return st.integers(-(2 ** (8 * size - 1)), 2 ** (8 * size - 1) - 1)


@dataclass
class Line:
    """One direction of a link: frames may be lost, doubled, late and out of order."""

    random: Random
    loss: float = 0.0
    doubled: float = 0.0
    delay_steps: int = 0
    in_flight: list[tuple[int, bytes]] = field(default_factory=list)

    def send(self, frames: Iterable[bytes], step: int) -> None:
        for frame in frames:
            for _ in range(2 if self.random.random() < self.doubled else 1):
                if self.random.random() >= self.loss:
                    late = self.random.randint(0, self.delay_steps)
                    self.in_flight.append((step + late, frame))

    def arrived(self, step: int) -> bytes:
        due = [frame for at, frame in self.in_flight if at <= step]
        self.in_flight = [(at, frame) for at, frame in self.in_flight if at > step]
        if self.delay_steps:
            self.random.shuffle(due)
        return b"".join(due)


class Probe:
    """A device session with the least of a firmware: every command is taken and done at once."""

    def __init__(self, *, boot_id: int = BOOT_ID, key: bytes = KEY, **changes: Any) -> None:
        self.session = DeviceSession(identity(boot_id=boot_id, **changes), key, nonce_seed=b"probe")
        self.executed: list[Command | Stop] = []
        self.session.on_bytes(DELIMITER, 0)

    def hear(self, data: bytes, now_ms: int) -> list[Command | Stop]:
        requests = self.session.on_bytes(data, now_ms)
        for request in requests:
            self.executed.append(request)
            if isinstance(request, Command):
                self.session.answer(request.counter, request.op, Answer.ACCEPTED)
                self.session.done(request.counter, request.op, Result.OK)
        return requests


class Bench:
    """A controller and a probe, 10 ms at a time."""

    def __init__(
        self,
        *,
        seed: int = 0,
        loss: float = 0.0,
        doubled: float = 0.0,
        delay_steps: int = 0,
        byte_by_byte: bool = False,
        start_ms: int = 0,
        probe: Probe | None = None,
        key: bytes = KEY,
    ) -> None:
        self.host = HostSession(key, nonce_seed=b"host")
        self.probe = probe or Probe()
        self.received: list[Received] = []
        self.failed: list[CommandFailed] = []
        self.down_log: list[bytes] = []
        """Every frame the controller sent: what an eavesdropper could replay."""
        self.leases = True
        self.step_count = 0
        self._start_ms = start_ms
        self._random = Random(seed)
        quality = {"loss": loss, "doubled": doubled, "delay_steps": delay_steps}
        self.down = Line(self._random, **quality)  # type: ignore[arg-type]
        self.up = Line(self._random, **quality)  # type: ignore[arg-type]
        self._byte_by_byte = byte_by_byte
        self._deframer = Deframer()
        self._deframer.feed(DELIMITER)

    @property
    def now_s(self) -> float:
        return self.step_count * STEP_MS / 1000

    @property
    def now_ms(self) -> int:
        return (self._start_ms + self.step_count * STEP_MS) % 2**32

    def step(self, count: int = 1) -> None:
        for _ in range(count):
            self.step_count += 1
            if self.leases and self.step_count % 10 == 0:
                self.host.lease(HostMode.IDLE, self.now_s)
            self.failed += self.host.poll(self.now_s)
            frames = [wrap(body) for body in self.host.outgoing()]
            self.down_log += frames
            self.down.send(frames, self.step_count)
            for data in self._pieces(self.down.arrived(self.step_count)):
                self.probe.hear(data, self.now_ms)
            self.probe.session.on_bytes(b"", self.now_ms)
            if self.step_count % 2 == 0:
                self.probe.session.send_telemetry(telemetry(self.now_ms))
            sent = self.probe.session.outgoing().split(DELIMITER)[:-1]
            self.up.send([frame + DELIMITER for frame in sent], self.step_count)
            for data in self._pieces(self.up.arrived(self.step_count)):
                for body in self._deframer.feed(data):
                    message = self.host.on_body(body, self.now_s)
                    if message is not None:
                        self.received.append(message)

    def _pieces(self, data: bytes) -> list[bytes]:
        return [bytes([byte]) for byte in data] if self._byte_by_byte else [data]

    def connect(self, steps: int = 200) -> None:
        self.host.open(self.now_s)
        for _ in range(steps):
            self.step()
            if self.host.phase is Phase.OPEN:
                return
        raise AssertionError(f"still {self.host.phase}")

    def of(self, *kinds: type[Any]) -> list[Any]:
        return [message for message in self.received if isinstance(message, kinds)]


def lease(counter: int, valid_until_ms: int, mode: HostMode = HostMode.IDLE) -> Lease:
    return Lease(counter, mode, valid_until_ms)
