"""One device under examination: what was heard of it, what is said to it, and in which order.

Without a clock and without I/O: bytes and ``now_s`` are handed in, bytes to send are taken out. It
is no controller: it says wrong things on purpose, and judges every frame by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from hashlib import sha256
from typing import Any, Final, NamedTuple

from cryoctl_protocol.auth import SessionKeys, TagKey, session_keys, stop_key
from cryoctl_protocol.codec import SCHEMA_HASH, encode
from cryoctl_protocol.codes import HostMode, Op, SafeAction, Trip
from cryoctl_protocol.conformance.flaws import Flaw, body_flaw, hexed, wire_flaw
from cryoctl_protocol.device_keys import KeyRing, NoKey
from cryoctl_protocol.framing import (
    DELIMITER,
    WIRE_SIZE_MAX,
    Parsed,
    build,
    message_of,
    parse,
    unwrap,
    wrap,
)
from cryoctl_protocol.link_limits import LinkLimits
from cryoctl_protocol.messages import (
    ID_OF,
    PROTOCOL_MAJOR,
    PROTOCOL_MINOR,
    Ack,
    Command,
    Done,
    Hello,
    HelloHost,
    Lease,
    Message,
    Stop,
    Telemetry,
    Vitals,
)
from cryoctl_protocol.wrapping import add_ms

LOOK_S: Final = 0.01
LEASE_PERIOD_S: Final = 0.1
LEASE_MS: Final = 300
COMMAND_MS: Final = 250
ANSWER_S: Final = 0.4
"""Wait for an answer, beside what the link may take: an own probe answers within 20 ms."""
SESSION_S: Final = 5.0
"""A session can be had after ownership (1 s) and lock-out (2 s) have ended."""
SAY_AGAIN_S: Final = 0.2
REJECTS_MAX: Final = 3
"""More than five rejected frames within 1 s trip the device (SR-23)."""
BAD_TAG_WINDOW_S: Final = 10.5
_SEQ_MASK: Final = 0xFFFF
_MS_PER_S: Final = 1000

Steps = Generator[float, None, None]
"""A check that is going on: yields how long to wait, in s."""


class DeviationError(Exception):
    """Something is not as SPEC.md has it.

    Args:
        field: What is wrong.
        expected: What SPEC.md asks for.
        observed: What was seen instead.
    """

    def __init__(self, field: str, expected: str, observed: str) -> None:
        super().__init__(f"{field}: expected {expected}, observed {observed}")
        self.field = field
        self.expected = expected
        self.observed = observed


class CheckFailedError(DeviationError):
    """The device does not do what a check asks for."""


class GasFlowsError(DeviationError):
    """A valve is open that nothing has asked for; no check may take this for its own."""


class NotRunError(Exception):
    """A check that says nothing about the device; the text is why."""


class Heard(NamedTuple):
    """One sound frame of the device.

    Attributes:
        at_s: When it was complete.
        body: Header, payload, tag.
        message: None for a vendor frame.
    """

    at_s: float
    body: bytes
    parsed: Parsed
    message: Message | None


class Bench:
    """One conversation with one device.

    Args:
        ring: Chooses the device's key when it says HELLO.
        nonce_seed: Random bytes; nonces follow from them.
        is_stream: The link carries bytes; else whole bodies.
        limits: How old telemetry may be on this link.

    Attributes:
        now_s: Time of the last step.
        heard: Sound frames, oldest first.
        flaws: What was wrong with the others, oldest first.
        gaps: Jumps of the sequence number.
        hello: The last HELLO; None before.
        no_key: Why the device cannot be commanded; empty if it can.
        keys: Of the session that is examined; None outside one.
        leasing: What the leases claim that are sent by themselves; None sends none.
        opened: Telemetry or vitals in which an output was on, since this was cleared.
    """

    def __init__(
        self, ring: KeyRing, *, nonce_seed: bytes, is_stream: bool, limits: LinkLimits
    ) -> None:
        self.now_s = 0.0
        self.heard: list[Heard] = []
        self.flaws: list[Flaw] = []
        self.gaps: list[Flaw] = []
        self.hello: Hello | None = None
        self.no_key = ""
        self.keys: SessionKeys | None = None
        self.leasing: HostMode | None = None
        self.opened: Telemetry | Vitals | None = None
        self.is_stream = is_stream
        self.limits = limits
        self.counter = 0
        self.lease_counter = 0
        self.leak_tested = False
        """The device has passed its leak test in this boot."""
        self._ring = ring
        self._nonce_seed = nonce_seed
        self._nonces = 0
        self._sessions: dict[int, SessionKeys] = {}
        self._anothers: set[int] = set()
        self._greeted: set[int] = set()
        self._secret: bytes | None = None
        self._stop_key: TagKey | None = None
        self._stop_counter = 0
        self._seq = 0
        self._device_seq: int | None = None
        self._partial = b""
        self._skipping = True
        self._out: list[bytes] = [DELIMITER] if is_stream else []
        self._leased_s = float("-inf")
        self._rejected_s: list[float] = []
        self._bad_tags_s: list[float] = []

    # -- hearing ---------------------------------------------------------------------------------

    def hear(self, data: bytes, now_s: float) -> None:
        """Take bytes off a stream."""
        self.now_s = now_s
        chunks = (self._partial + data).split(DELIMITER)
        self._partial = chunks.pop()
        for chunk in chunks:
            if self._skipping:
                self._skipping = False  # The tail of a frame that began before we listened.
            elif chunk:
                self._hear_chunk(chunk, now_s)
        if len(self._partial) > 2 * WIRE_SIZE_MAX:
            self.flaws.append(
                Flaw("frames", "delimiter", f"after {WIRE_SIZE_MAX} bytes at most",
                     f"none in {len(self._partial)} bytes: {hexed(self._partial)}")
            )  # fmt: skip
            self._partial = b""
            self._skipping = True

    def _hear_chunk(self, chunk: bytes, now_s: float) -> None:
        flaw = wire_flaw(chunk)
        if flaw is not None:
            self.flaws.append(flaw)
            return
        body = unwrap(chunk)
        assert isinstance(body, bytes)
        self.hear_body(body, now_s)

    def hear_body(self, body: bytes, now_s: float) -> None:
        """Take one body, off a link that carries whole ones."""
        self.now_s = now_s
        flaw = body_flaw(body)
        if flaw is not None:
            self.flaws.append(flaw)
            return
        parsed = parse(body)
        assert isinstance(parsed, Parsed)
        frame = Heard(now_s, body, parsed, message_of(parsed))
        message = frame.message
        if isinstance(message, Hello):
            self._on_hello(message)
        self._check_seq(frame)
        flaw = self._session_flaw(frame)
        if flaw is not None:
            self.flaws.append(flaw)
            return
        if isinstance(message, Telemetry | Vitals) and (
            message.valve_permille or message.shutoff_open
        ):
            self.opened = message
        self.heard.append(frame)

    def _on_hello(self, hello: Hello) -> None:
        if self.hello is None or self.hello.boot_id != hello.boot_id:
            self._device_seq = None
            self.leak_tested = False
        self.hello = hello
        chosen = self._ring.key_for(hello)
        if isinstance(chosen, NoKey):
            self.no_key, self._secret = chosen.reason, None
            return
        self.no_key, self._secret = "", chosen.secret
        self._stop_key = stop_key(chosen.secret, hello.boot_id)
        if hello.host_nonce in self._greeted and hello.device_nonce:
            keys = session_keys(chosen.secret, hello.host_nonce, hello.device_nonce)
            self._sessions[keys.session] = keys

    def _check_seq(self, frame: Heard) -> None:
        seq, last = frame.parsed.seq, self._device_seq
        if isinstance(frame.message, Ack | Done) and any(
            frame.body == other.body for other in self.heard
        ):
            return  # A repeated answer carries its old number.
        self._device_seq = seq
        if last is not None and seq != (last + 1) & _SEQ_MASK:
            self.gaps.append(
                Flaw("frames", "sequence number, bytes 2 and 3", str((last + 1) & _SEQ_MASK),
                     f"{seq} in {hexed(frame.body)}")
            )  # fmt: skip

    def _session_flaw(self, frame: Heard) -> Flaw | None:
        """Return what is wrong with session and tag of a frame whose key is known."""
        parsed = frame.parsed
        name = type(frame.message).__name__.upper()
        if parsed.tag is None:
            if parsed.session and frame.message is not None:
                return Flaw("opening-a-session", f"{name} session, bytes 4 to 7",
                            "0 in a frame without a tag", f"0x{parsed.session:08X}")  # fmt: skip
            return None
        if parsed.session == 0:
            key, what = self._stop_key, "stop key"
            if isinstance(frame.message, Telemetry | Done):
                return Flaw("keys", f"{name} session, bytes 4 to 7", "a session", "0")
        else:
            found = self._sessions.get(parsed.session)
            if found is None:
                if self.keys is None:  # Of the controller that was there before us.
                    self._anothers.add(parsed.session)
                if parsed.session in self._anothers:
                    return None
                return Flaw("keys", f"{name} session, bytes 4 to 7",
                            "an id that follows from the nonces",
                            f"0x{parsed.session:08X}")  # fmt: skip
            key, what = found.up, "up key"
        if key is None or key.verify(parsed.signed, parsed.tag):
            return None
        return Flaw("keys", f"{name} tag, last 8 bytes",
                    f"{key.tag(parsed.signed).hex(' ')}, by the {what}",
                    parsed.tag.hex(" "))  # fmt: skip

    def forget(self) -> None:
        """Forget everything heard so far: it says nothing about the device."""
        self.heard, self.flaws, self.gaps = [], [], []
        self._device_seq = None

    def take_flaw(self) -> Flaw | None:
        """Return the first thing that was wrong since the last call, and forget the others."""
        found = [*self.flaws, *(self.gaps if self.is_stream else ())]
        self.flaws, self.gaps = [], []
        return found[0] if found else None

    # -- what was heard --------------------------------------------------------------------------

    def since(self, at_s: float, kind: type[Any]) -> list[Any]:
        """Return the messages of one kind that came after ``at_s``."""
        found = []
        for frame in reversed(self.heard):
            if frame.at_s <= at_s:
                break
            if isinstance(frame.message, kind):
                found.append(frame.message)
        return found[::-1]

    def last(self, kind: type[Any]) -> Any:
        """Return the newest message of one kind, or None."""
        for frame in reversed(self.heard):
            if isinstance(frame.message, kind):
                return frame.message
        return None

    def answers(self, counter: int, at_s: float, session: int | None = None) -> list[Heard]:
        """Return what answered a command, oldest first, in the present session or another."""
        of = session if session is not None or self.keys is None else self.keys.session
        return [
            frame
            for frame in self.heard
            if frame.at_s > at_s
            and isinstance(frame.message, Ack | Done)
            and frame.message.counter == counter
            and frame.parsed.session == of
        ]

    def device_ms(self) -> int:
        """Return the device's clock, as last heard plus the time since."""
        for frame in reversed(self.heard):
            if isinstance(frame.message, Telemetry | Vitals):
                since_ms = int((self.now_s - frame.at_s) * _MS_PER_S)
                return add_ms(frame.message.device_ms, since_ms)
        return 0

    @property
    def answer_s(self) -> float:
        """How long an answer may take."""
        return ANSWER_S + self.limits.lost_s

    @property
    def is_in_session(self) -> bool:
        """True while the session examined is the one that the newest telemetry was tagged in."""
        for frame in reversed(self.heard):
            if isinstance(frame.message, Telemetry):
                fresh = self.now_s - frame.at_s < self.answer_s
                session = None if self.keys is None else self.keys.session
                return fresh and frame.parsed.session == session
        return False

    @property
    def is_driven(self) -> bool:
        """True if an output was on when the device was last heard."""
        sample = self.last(Telemetry)
        return sample is not None and bool(
            sample.valve_permille
            or sample.shutoff_open
            or sample.tip_heater_permille
            or sample.stimulus_ua
        )

    # -- saying ----------------------------------------------------------------------------------

    def outgoing(self) -> list[bytes]:
        """Return what to send, and forget it: bytes of a stream, else bodies."""
        self._lease_if_due()
        out, self._out = self._out, []
        return out

    def _lease_if_due(self) -> None:
        if self.leasing is not None and self.now_s - self._leased_s >= LEASE_PERIOD_S - LOOK_S / 2:
            self.say(self.lease(self.leasing))

    def say(self, body: bytes) -> None:
        """Send one body."""
        self._out.append(wrap(body) if self.is_stream else body)

    def say_bytes(self, data: bytes, *, rejects: int = 0) -> None:
        """Send bytes as they are; ``rejects`` frames of them are none."""
        self._out.append(data)
        self._rejected_s += [self.now_s] * rejects

    def body(
        self, message: Message, *, session: int = 0, key: TagKey | None = None, extra: bytes = b""
    ) -> bytes:
        """Return a body with the next sequence number, and ``extra`` behind its payload."""
        seq, self._seq = self._seq, (self._seq + 1) & _SEQ_MASK
        payload = encode(message) + extra
        return build(ID_OF[type(message)], payload, seq=seq, session=session, key=key)

    def tagged(self, message: Message, extra: bytes = b"") -> bytes:
        """Return the body of a message in the session examined."""
        assert self.keys is not None
        return self.body(message, session=self.keys.session, key=self.keys.down, extra=extra)

    def new_nonce(self) -> int:
        """Return a nonce that was not used before."""
        self._nonces += 1
        digest = sha256(self._nonce_seed + self._nonces.to_bytes(4, "little")).digest()
        return int.from_bytes(digest[:8], "little") or 1

    def greeting(self, nonce: int, schema_hash: int = SCHEMA_HASH) -> bytes:
        """Return the body of HELLO_HOST."""
        self._greeted.add(nonce)
        return self.body(HelloHost(PROTOCOL_MAJOR, PROTOCOL_MINOR, schema_hash, nonce))

    def lease(self, mode: HostMode, life_ms: int = LEASE_MS) -> bytes:
        """Return the body of the next lease."""
        self.lease_counter += 1
        self._leased_s = self.now_s
        return self.tagged(Lease(self.lease_counter, mode, add_ms(self.device_ms(), life_ms)))

    def command(self, op: int, *, life_ms: int = COMMAND_MS, **values: int) -> bytes:
        """Return the body of the next command; its counter is ``counter`` afterwards."""
        self.counter += 1
        return self.tagged(self.request(op, self.counter, life_ms=life_ms, **values))

    def request(
        self, op: int, counter: int, *, life_ms: int = COMMAND_MS, **values: int
    ) -> Command:
        """Return a command."""
        fields: dict[str, int] = dict.fromkeys(Command._fields, 0)
        fields |= {"op": op, "counter": counter, "deadline_ms": add_ms(self.device_ms(), life_ms)}
        return Command(**fields | values)

    def stop(self, action: SafeAction = SafeAction.OFF) -> tuple[int, bytes] | None:
        """Return counter and body of a STOP; None where no key is known."""
        if self.hello is None or self._secret is None:
            return None
        self._stop_counter += 1
        stop = Stop(self._stop_counter, self.hello.boot_id, action, Trip.OPERATOR_STOP)
        return self._stop_counter, self.body(stop, key=self._stop_key)

    def stop_for(self, boot_id: int) -> bytes:
        """Return a STOP under the stop key of another boot."""
        assert self._secret is not None
        stop = Stop(self._stop_counter + 1, boot_id, SafeAction.OFF, Trip.OPERATOR_STOP)
        return self.body(stop, key=stop_key(self._secret, boot_id))

    def wrong_key(self) -> TagKey:
        """Return a key that the device does not hold."""
        return TagKey(sha256(b"wrong" + self._nonce_seed).digest())

    # -- waiting ---------------------------------------------------------------------------------

    def until(self, is_so: Callable[[], object], within_s: float) -> Steps:
        """Wait until ``is_so`` returns something true, or the time is over."""
        end_s = self.now_s + within_s
        while not is_so() and self.now_s < end_s:
            yield LOOK_S

    def note_reject(self) -> None:
        """Count a frame that the device is to drop."""
        self._rejected_s.append(self.now_s)

    def calm(self) -> Steps:
        """Wait until some frames that are none may be sent without tripping the device."""
        while sum(self.now_s - at_s <= 1.0 + LOOK_S for at_s in self._rejected_s) >= REJECTS_MAX:
            yield LOOK_S

    def room_for_bad_tag(self, most: int = 1) -> Steps:
        """Wait until ``most`` bad tags at most lie within the device's window; count one more."""
        yield from self.calm()
        while sum(self.now_s - at < BAD_TAG_WINDOW_S for at in self._bad_tags_s) > most:
            yield LOOK_S
        self._bad_tags_s.append(self.now_s)
        self._rejected_s.append(self.now_s)

    def forget_bad_tags(self) -> None:
        """A lock-out has begun; what led to it counts no more."""
        self._bad_tags_s.clear()

    def greet(self, nonce: int, within_s: float | None = None) -> Generator[float, None, Hello]:
        """Say HELLO_HOST and return what answers it.

        Raises:
            CheckFailedError: Nothing does.
        """
        since_s = self.now_s
        self.say(self.greeting(nonce))
        yield from self.until(lambda: self.hello_for(nonce, since_s), within_s or self.answer_s)
        hello = self.hello_for(nonce, since_s)
        if hello is None:
            raise CheckFailedError("HELLO", f"within {self.answer_s:.2f} s of HELLO_HOST", "none")
        return hello

    def hello_for(self, nonce: int, since_s: float) -> Hello | None:
        """Return the HELLO that echoed ``nonce`` after ``since_s``."""
        hellos: list[Hello] = self.since(since_s, Hello)
        return next((hello for hello in hellos if hello.host_nonce == nonce), None)

    def open_session(self) -> Steps:
        """Begin a session, and hold it by leases from then on.

        Raises:
            CheckFailedError: The device opens none.
        """
        self.leasing = None
        end_s = self.now_s + SESSION_S
        hello = yield from self.greet(self.new_nonce())
        while (hello.owned or not hello.device_nonce) and self.now_s < end_s:
            yield SAY_AGAIN_S
            hello = yield from self.greet(self.new_nonce())
        if hello.owned or not hello.device_nonce:
            why = "owned" if hello.owned else "device_nonce"
            raise CheckFailedError(
                f"HELLO.{why}", f"a session within {SESSION_S:g} s", str(getattr(hello, why))
            )
        assert self._secret is not None
        self.keys = session_keys(self._secret, hello.host_nonce, hello.device_nonce)
        self.counter = self.lease_counter = 0
        self._leased_s = float("-inf")
        self.leasing = HostMode.IDLE
        yield from self.until(lambda: self.is_in_session, self.answer_s)
        if not self.is_in_session:
            plain = [f for f in self.heard[-50:] if isinstance(f.message, Telemetry)]
            raise CheckFailedError(
                "TELEMETRY session, bytes 4 to 7",
                f"0x{self.keys.session:08X} and a tag, after LEASE with a valid tag",
                hexed(plain[-1].body) if plain else "no TELEMETRY",
            )

    def hold_session(self) -> Steps:
        """Go on with the session there is, or begin one.

        Raises:
            NotRunError: There is none to be had.
        """
        if self.is_in_session and self.leasing is not None:
            self.leasing = HostMode.IDLE
            return
        try:
            yield from self.open_session()
        except CheckFailedError as error:
            raise NotRunError(f"no session: {error}") from error

    def ask(self, op: int, **values: int) -> Generator[float, None, Ack | None]:
        """Send one command, again while nobody answers, and return its ACK; None without one."""
        since_s = self.now_s
        body = self.command(op, **values)
        counter = self.counter
        for _ in range(3):
            self.say(body)
            yield from self.until(lambda: self.answers(counter, since_s), self.answer_s / 3)
            acks = [frame.message for frame in self.answers(counter, since_s)]
            if acks:
                return acks[0] if isinstance(acks[0], Ack) else None
        return None

    def done(
        self, counter: int, since_s: float, within_s: float
    ) -> Generator[float, None, Done | None]:
        """Wait for the DONE of a command and return it; None without one."""

        def found() -> Done | None:
            answers = self.answers(counter, since_s)
            return next((a.message for a in answers if isinstance(a.message, Done)), None)

        yield from self.until(found, within_s)
        return found()

    def alive(self) -> Steps:
        """See that the device still obeys, so that a silence before says something.

        Raises:
            CheckFailedError: It does not.
        """
        ack = yield from self.ask(Op.END)
        if ack is None:
            raise CheckFailedError("ACK", "an answer to the next sound command", "none")
