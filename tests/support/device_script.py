"""Long hostile conversations with a device: what it hears, what its firmware does, what it says.

The Python session carries them out while they are made up; another build of the device must give
the same lines for the same operations.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Final

from cryoctl_protocol.auth import SessionKeys, TagKey, stop_key
from cryoctl_protocol.codec import PACKERS, SCHEMA_HASH, encode
from cryoctl_protocol.codes import Answer, EventCode, Op, Result
from cryoctl_protocol.device_session import DeviceSession
from cryoctl_protocol.framing import Reject, build, wrap
from cryoctl_protocol.messages import (
    ID_OF,
    MESSAGES,
    Ack,
    Command,
    Done,
    Event,
    HelloHost,
    Lease,
    Message,
    Stop,
    Vitals,
)
from tests.support.c_device import Operation
from tests.support.protocol_builders import BOOT_ID, command, identity, telemetry

KEYS: Final = (bytes(range(32)), bytes(range(32, 64)))
FOREIGN_KEY: Final = TagKey(bytes(range(64, 96)))
SEED: Final = bytes(range(96, 128))
STEPS_MS: Final = (0, 0, 0, 0, 10, 10, 10, 10, 50, 99, 300, 301, 999, 1000, 1001, 2000, 10_001)
EDGES: Final = (0, 1, 20, 21, 255, 256, 10_000, 65_535)


def config_bytes(session: DeviceSession, former_key: bytes | None) -> bytes:
    """``struct cryo_device_config`` of a session with our keys and our seed."""
    former = bytes(32) if former_key is None else former_key
    return encode(session.identity) + KEYS[0] + bytes([former_key is not None]) + former + SEED


class DeviceScript:
    """One device and everything that happens to it, from a seed.

    Args:
        seed: Decides everything.
        spoilt: Share of frames that do not arrive as they were meant.
        former_key: The key before the announced one, or None.
    """

    def __init__(
        self, seed: int, *, spoilt: float = 0.1, former_key: bytes | None = KEYS[1]
    ) -> None:
        self.random = Random(seed)
        self.spoilt = spoilt
        self.receive_max = 1024
        self.taken = self.random.choice((1.0, 0.3, 0.03))
        self.operations: list[Operation] = []
        self.lines: list[str] = []
        self.met: Counter[str] = Counter()
        self.session = DeviceSession(
            identity(capabilities=0x12345), KEYS[0], nonce_seed=SEED, former_key=former_key
        )
        self.stop_keys = [stop_key(key, BOOT_ID) for key in KEYS]
        self.now_ms = 0xFFFF_FFFF - self.random.randrange(100_000)
        self.on_the_line = b"\0"
        self.sent: list[bytes] = [wrap(b"12345678")]
        self.waiting: list[Command] = []
        self.accepted: list[Command] = []
        self.hello = HelloHost(1, 0, SCHEMA_HASH, 1)
        self.counters = [0, 0]
        self.rejects: Counter[Reject] = Counter()
        self._note(Operation("I", 0, config_bytes(self.session, former_key)), "")
        if self.random.random() < 0.9:
            self.session.send_delimiter()
            self._note(Operation("L", self.now_ms), "")

    def _note(self, operation: Operation, said: str) -> None:
        session, now_ms = self.session, operation.argument
        state = (
            int(session.is_open),
            session.lease_left_ms(now_ms),
            int(session.owner_until_ms is not None),
            session.claimed_mode,
            session.event_count,
            session.lease_count,
        )
        self.operations.append(operation)
        self.lines.append(f"{operation.letter} {said}{' '.join(map(str, state))}")

    # -- one step ----------------------------------------------------------------------------

    def step(self) -> None:
        """Say something to the device, bring some of it there, let its firmware do something."""
        random = self.random
        self.now_ms = (self.now_ms + random.choice(STEPS_MS)) % 2**32
        ends = (self.session.owner_until_ms, self.session._locked_until_ms)
        end_ms = random.choice(ends)
        if end_ms is not None and random.random() < 0.2:
            # To the millisecond: what lapses there is the difference between < and <=.
            self.now_ms = (end_ms + random.choice((-1, 0, 0, 1))) % 2**32
        for _ in range(random.choice((0, 1, 1, 1, 2, 2, 5, 30))):
            self._speak()
        if random.random() < 0.1:
            self._crowd()
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            self._bring()
        for _ in range(random.choice((0, 1, 2, 4))):
            self._act()
        if random.random() < self.taken:
            self._take()

    def pile_up(self, count: int) -> None:
        """Have ``count`` commands taken in one session and none ended; then end them all."""
        self.on_the_line = b"\0" + wrap(self._greeting())
        self._bring_all()
        assert self.session._pending is not None
        keys = self.session._pending[2][0]
        for counter in range(1, count + 1):
            asked = command(counter=counter, deadline_ms=self.now_ms)
            body = build(ID_OF[Command], encode(asked), seq=0, session=keys.session, key=keys.down)
            self.on_the_line += wrap(body)
            self._bring_all()
            self.waiting.clear()
            self.session.answer(counter, asked.op, Answer.ACCEPTED)
            ack = Ack(counter, asked.op, Answer.ACCEPTED)
            self._note(Operation("A", self.now_ms, encode(ack)), "")
            self._take()
        for counter in range(1, count + 1):
            self.session.done(counter, Op.ARM, Result.OK)
            done = Done(counter, Op.ARM, Result.OK, 0)
            self._note(Operation("D", self.now_ms, encode(done)), "")
            self._take()

    def _bring_all(self) -> None:
        while self.on_the_line:
            self._bring()

    def _take(self) -> None:
        out = self.session.outgoing()
        self.met["nearly full"] += len(out) > 4000
        self._note(Operation("O", 4096), f"{out.hex()} ")
        rejects = self.session.rejects + self.session._deframer.rejects
        counts = " ".join(str(rejects[reason]) for reason in Reject)
        within = self.session.rejects_within_window(self.now_ms)
        self._note(Operation("W", self.now_ms), f"{within} {counts} ")
        self.rejects = rejects

    def _bring(self) -> None:
        random = self.random
        sizes = (*(1024,) * 12, 300, 33, 1, 0)
        size = min(self.receive_max, random.choice(sizes), len(self.on_the_line))
        data, self.on_the_line = self.on_the_line[:size], self.on_the_line[size:]
        before = self.session._keys
        requests = self.session.on_bytes(data, self.now_ms)
        said = "".join(f"{encode(request).hex()} " for request in requests)
        self._note(Operation("R", self.now_ms, data), said)
        self.waiting += [request for request in requests if isinstance(request, Command)]
        self.met["command"] += sum(isinstance(request, Command) for request in requests)
        self.met["stop"] += sum(isinstance(request, Stop) for request in requests)
        self.met["many requests"] += len(requests) > 16
        self.met["locked"] += self.session.is_locked
        self.met["answers full"] += len(self.session._answers) == 16
        keys = self.session._keys
        if keys is not None and keys is not before:
            self.met["opened"] += 1
            self.counters = [0, 0]

    # -- what the link brings ----------------------------------------------------------------

    def _speak(self) -> None:
        random = self.random
        if random.random() < 0.2:
            wire = random.choice(self.sent[-6:])
        else:
            kinds = (self._greeting, *(self._lease,) * 3, *(self._command,) * 8, self._stop)
            body = self._anything() if random.random() < self.spoilt else random.choice(kinds)()
            wire = wrap(body)
            self.sent = [*self.sent[-30:], wire]
        if random.random() < self.spoilt:
            wire = self._spoilt(wire)
        self.on_the_line = (self.on_the_line + wire)[-20_000:]

    def _crowd(self) -> None:
        """Fill the line with nothing but requests: as many as may come at once, and more."""
        kind = self.random.choice((self._stop, self._command, self._greeting))
        crowd = b"".join(wrap(kind()) for _ in range(self.random.choice((20, 40, 80))))
        self.on_the_line = b"\0" + crowd * self.random.choice((1, 1, 4))

    def _spoilt(self, wire: bytes) -> bytes:
        random = self.random
        kind = random.randrange(6)
        at = random.randrange(len(wire))
        if kind == 0:
            return wire[:at] + bytes([wire[at] ^ 1 << random.randrange(8)]) + wire[at + 1 :]
        if kind == 1:
            return wire[:at] + wire[at + 1 :]
        if kind == 2:
            return random.randbytes(random.choice((1, 5, 30, 221, 222, 300)))
        if kind == 3:
            return bytes(
                random.randrange(1, 256) for _ in range(random.choice((220, 221, 222, 700)))
            )
        if kind == 4:
            return bytes(random.randrange(9)) + b"\1\0" * random.randrange(90)
        return wire[:at] + b"\0" + wire[at:]

    def _greeting(self) -> bytes:
        random = self.random
        if random.random() < 0.5:
            self.hello = self.hello._replace(host_nonce=random.randrange(2**64))
        hello = self.hello
        if random.random() < 0.1:
            hello = hello._replace(major=random.randrange(3), minor=random.randrange(3))
        if random.random() < 0.05:
            hello = hello._replace(schema_hash=random.randrange(2**32))
        return build(ID_OF[HelloHost], encode(hello), seq=0, session=0, key=None)

    def _keys(self) -> SessionKeys | None:
        """Those of a session that has been prepared, or of the one in force."""
        pending = self.session._pending
        if pending is not None and self.random.random() < 0.5:
            return self.random.choice(pending[2])
        return self.session._keys

    def _tagged(self, message: Message) -> bytes:
        random = self.random
        keys = self._keys()
        session, key = (7, FOREIGN_KEY) if keys is None else (keys.session, keys.down)
        payload = self._payload(message)
        chance = random.random() / self.spoilt
        if chance < 0.2:
            key = FOREIGN_KEY
        elif chance < 0.3:
            session = random.randrange(2**32)
        elif chance < 0.4:
            return build(ID_OF[type(message)], payload, seq=1, session=session, key=None)
        seq = random.randrange(2**16)
        return build(ID_OF[type(message)], payload, seq=seq, session=session, key=key)

    def _payload(self, message: Message) -> bytes:
        """Mostly as it is; else with one byte of it anything, ranges and all."""
        payload = bytearray(encode(message))
        if self.random.random() < self.spoilt:
            payload[self.random.randrange(len(payload))] = self.random.choice((0, 1, 12, 13, 255))
        return bytes(payload)

    def _lease(self) -> bytes:
        random = self.random
        self.counters[0] += random.choice((1, 1, 1, 1, 5, 0))
        left_ms = random.choice((-1, 0, 1, 250, 300, 301, 5000, 2**31 - 1, 2**31))
        return self._tagged(
            Lease(self.counters[0], random.randrange(3), (self.now_ms + left_ms) % 2**32)
        )

    def _command(self) -> bytes:
        random = self.random
        self.counters[1] += random.choice((1, 1, 1, 1, 1, 3, 0, -1))
        self.counters[1] = max(self.counters[1], 0)
        left_ms = random.choice((-1, 0, 250, 250, 250, 250, 5000))
        return self._tagged(
            command(
                Op(random.randint(1, 12)),
                counter=self.counters[1],
                deadline_ms=(self.now_ms + left_ms) % 2**32,
                setpoint_mdegc=-random.randrange(90_000),
            )
        )

    def _stop(self) -> bytes:
        random = self.random
        boot_id = BOOT_ID + (random.random() < self.spoilt)
        stop = Stop(random.randrange(2**32), boot_id, random.randrange(2), random.randrange(28))
        key = FOREIGN_KEY if random.random() < self.spoilt else random.choice(self.stop_keys)
        return build(ID_OF[Stop], self._payload(stop), seq=0, session=0, key=key)

    def _anything(self) -> bytes:
        """A body with a header that may mean something, tagged or not, of any size."""
        random = self.random
        row = random.choice(MESSAGES)
        message_id = random.choice((row.message_id, row.message_id, random.randrange(256), 0xC3))
        size = random.choice((PACKERS[row.message_id].size, random.randrange(60)))
        payload = random.randbytes(size)
        first = random.choice((0x10, 0x11, 0x11, 0x12, 0x20, 0x01, 0x30))
        body = bytes([first, message_id]) + random.randbytes(6) + payload
        return body[: random.choice((len(body), len(body), 7, 8, 15, 16))]

    # -- what the firmware does --------------------------------------------------------------

    def _act(self) -> None:
        random = self.random
        session, now_ms = self.session, self.now_ms
        kind = random.randrange(9)
        if kind < 3:
            self._answer()
        elif kind == 3:
            self._end()
        elif kind == 4:
            sample = telemetry(now_ms, state=3, valve_permille=random.choice(EDGES))
            session.send_telemetry(sample)
            self._note(Operation("T", now_ms, encode(sample)), "")
        elif kind == 5:
            event = Event(now_ms, 9, random.choice(list(EventCode)), 9, 2, -5, random.choice(EDGES))
            session.send_event(event)
            self._note(Operation("E", now_ms, encode(event)), "")
        elif kind == 6:
            vitals = Vitals(now_ms, 3, -random.choice(EDGES), 50_000, 0, 0, 1)
            session.send_plain(vitals)
            self._note(Operation("V", now_ms, encode(vitals)), "")
        elif kind == 7:
            session.state = random.randrange(11)
            self._note(Operation("S", now_ms, bytes([session.state])), "")
        elif random.random() < 0.05:
            session.drop(now_ms)
            self._note(Operation("X", now_ms), "")
        else:
            session.send_plain(session.identity)
            self._note(Operation("H", now_ms), "")

    def _answer(self) -> None:
        """Answer everything that waits, as firmware does; or, wrongly, some of it later."""
        random = self.random
        while self.waiting:
            asked = self.waiting.pop(0)
            answer = random.choice((Answer.ACCEPTED, Answer.ACCEPTED, Answer.WRONG_STATE))
            ack = Ack(asked.counter, asked.op, answer)
            self.session.answer(*ack[:2], answer)
            self._note(Operation("A", self.now_ms, encode(ack)), "")
            if answer is Answer.ACCEPTED:
                self.accepted = [*self.accepted[-90:], asked]
            if random.random() < 0.1:
                return

    def _end(self) -> None:
        random = self.random
        for _ in range(min(len(self.accepted), random.choice((0, 1, 1, 2)))):
            ended = self.accepted.pop(random.randrange(len(self.accepted)))
            result, detail = random.choice(list(Result)), random.choice((0, -7, 120))
            done = Done(ended.counter, ended.op, result, detail)
            self.session.done(ended.counter, ended.op, result, detail)
            self.met["done"] += 1
            self._note(Operation("D", self.now_ms, encode(done)), "")
