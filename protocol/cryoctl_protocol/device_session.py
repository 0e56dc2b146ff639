"""The device's end of a session: who may command, what is a repeat, what came too late.

The executable specification of what every firmware must do with what it hears, in integers.
Checks run in this order: size, tag, session, repeat, counter, deadline; then the firmware's own
state and range checks.
"""

from __future__ import annotations

from collections import Counter, deque
from hashlib import sha256
from typing import Final

from cryoctl_protocol.auth import SessionKeys, TagKey, session_keys, stop_key
from cryoctl_protocol.codec import CodecError, decode, encode
from cryoctl_protocol.codes import Answer, DeviceState, EventCode, HostMode, Op, Result
from cryoctl_protocol.framing import DELIMITER, Deframer, Parsed, Reject, build, parse, wrap
from cryoctl_protocol.messages import (
    ID_OF,
    MESSAGE_BY_ID,
    Ack,
    Command,
    Done,
    Event,
    Hello,
    HelloHost,
    Lease,
    Message,
    MessageType,
    Stop,
    Telemetry,
)
from cryoctl_protocol.wrapping import add_ms, until_ms

LEASE_LIFE_MS_MAX: Final = 300
OWNER_LIFE_MS: Final = 1000
"""Ownership lapses this long after the last accepted lease."""
RESULTS_KEPT: Final = 16
ANSWERS_KEPT: Final = 2
"""Answers to one command that a retry gets: ACK and DONE."""
EXECUTING_MAX: Final = 64
"""Commands without their DONE. Ours has one, and those of one tick; the bound is for a firmware
that never says how a command ended."""
RECEIVE_MAX: Final = 1024
"""Bytes that a firmware reads in one tick; what is more waits for the next one."""
SEND_MAX: Final = 4096
"""Bytes that may leave in one tick; a frame that does not fit is dropped whole."""
BAD_TAGS_MAX: Final = 3
BAD_TAG_WINDOW_MS: Final = 10_000
LOCK_OUT_MS: Final = 2000
"""No new session for this long after bad tags have ended one. Long enough to be seen and to slow
guesses down; short enough for the owner to come back and see the probe safe within its 5 s."""
REJECT_WINDOW_MS: Final = 1000


class DeviceSession:
    """One device's view of whoever talks to it.

    Args:
        identity: HELLO as the device would send it; nonces are filled in.
        key: The key that ``identity`` announces.
        nonce_seed: Random bytes; device nonces are derived from them.
        former_key: The key before that one, while it is still valid.
    """

    def __init__(
        self, identity: Hello, key: bytes, *, nonce_seed: bytes, former_key: bytes | None = None
    ) -> None:
        self.identity = identity
        self.rejects: Counter[Reject] = Counter()
        self.state: int = DeviceState.IDLE
        """The firmware's own state, kept here for the events that the session sends by itself."""
        self.claimed_mode: int = HostMode.IDLE
        self.lease_count = 0
        self.owner_until_ms: int | None = None
        """Until when a controller holds the probe; None once ``on_bytes`` has seen it lapse."""
        # Two at most, the announced one first.
        self._device_keys = (key,) if former_key is None else (key, former_key)
        self._nonce_seed = nonce_seed
        self._stop_keys = tuple(stop_key(each, identity.boot_id) for each in self._device_keys)
        self._deframer = Deframer()
        self._pending: tuple[HelloHost, int, tuple[SessionKeys, ...]] | None = None
        self._keys: SessionKeys | None = None
        self._nonce_count = 0
        self._seq = 0
        self._command_counter = 0
        self._lease_counter = 0
        self._lease_until_ms: int | None = None
        self._answers: dict[int, list[bytes]] = {}
        self._executing: dict[int, None] = {}  # A set that keeps its order.
        self._bad_tag_ms: deque[int] = deque(maxlen=BAD_TAGS_MAX)
        self._locked_until_ms: int | None = None
        self._reject_ms: deque[int] = deque(maxlen=64)
        self._deframer_rejects = 0
        self.event_count = 0
        """Events sent since boot, as telemetry reports it; wraps."""
        self._requests: list[Command | Stop] = []
        """Of the bytes that are just being taken."""
        self._out: list[bytes] = []
        self._out_size = 0

    # -- what the firmware asks ------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """True while a controller has proved that it holds the key."""
        return self._keys is not None

    def lease_left_ms(self, now_ms: int) -> int:
        """Return how long outputs may stay on without another lease."""
        lease_until_ms = self._lease_until_ms
        if lease_until_ms is None:
            return 0
        left_ms = until_ms(now_ms, lease_until_ms)
        # More than a lease may give is none: a bit of its end has turned over.
        if not 0 <= left_ms <= LEASE_LIFE_MS_MAX:
            return 0
        return left_ms

    def owned(self, now_ms: int) -> bool:
        """Return True while a controller holds the probe."""
        return self.owner_until_ms is not None and until_ms(now_ms, self.owner_until_ms) > 0

    @property
    def is_locked(self) -> bool:
        """True while no session may begin, because somebody guessed at tags."""
        return self._locked_until_ms is not None

    def rejects_within_window(self, now_ms: int) -> int:
        """Return how many frames were rejected in the last second (SR-23)."""
        if not self._reject_ms:
            return 0  # The rule; this is asked with every tick.
        _forget_before(self._reject_ms, now_ms, REJECT_WINDOW_MS)
        return len(self._reject_ms)

    # -- receiving -------------------------------------------------------------------------------

    def on_bytes(self, data: bytes, now_ms: int) -> list[Command | Stop]:
        """Take bytes off the link, none included; return what the firmware has to decide on.

        Called with every tick: what has lapsed is forgotten here, long before the clock wraps.
        """
        owner_until_ms = self.owner_until_ms
        if owner_until_ms is not None and until_ms(now_ms, owner_until_ms) <= 0:
            self._forget_owner(now_ms)
        locked_until_ms = self._locked_until_ms
        if locked_until_ms is not None and until_ms(now_ms, locked_until_ms) <= 0:
            self._locked_until_ms = None
        if not data:
            return []
        for body in self._deframer.feed(data):
            request = self._on_body(body, now_ms)
            if request is not None:
                self._requests.append(request)
        rejected = self._deframer.rejects.total()
        for _ in range(rejected - self._deframer_rejects):
            self._reject_ms.append(now_ms)
        self._deframer_rejects = rejected
        requests, self._requests = self._requests, []
        return requests

    def _forget_owner(self, now_ms: int) -> None:
        self.owner_until_ms = None
        self._lease_until_ms = None  # It was void long before: every lease renews both.
        self.send_event(Event(now_ms, 0, EventCode.OWNER_LAPSED, 0, 0, 0, 0))

    def _on_body(self, body: bytes, now_ms: int) -> Command | Stop | None:
        outcome = self._judge(body, now_ms)
        if not isinstance(outcome, Reject):
            return outcome
        self.rejects[outcome] += 1
        self._reject_ms.append(now_ms)
        if outcome is Reject.TAG:
            self._on_bad_tag(now_ms)
        return None

    def _judge(self, body: bytes, now_ms: int) -> Command | Stop | Reject | None:
        parsed = parse(body)
        if isinstance(parsed, Reject):
            return parsed
        row = MESSAGE_BY_ID.get(parsed.message_id)
        if row is None or row.direction is not MessageType.DOWN:
            return Reject.DIRECTION
        if row.cls is HelloHost:
            self._on_hello(parsed, now_ms)
            return None
        if parsed.tag is None:
            return Reject.UNTAGGED
        if row.cls is Stop:
            return self._on_stop(parsed)
        keys = self._proved_by(parsed, now_ms)
        if isinstance(keys, Reject):
            return keys
        self._promote(keys, now_ms)
        try:
            message = decode(parsed.message_id, parsed.payload)
        except CodecError:
            return Reject.RANGE
        if isinstance(message, Lease):
            return self._on_lease(message, now_ms)
        assert isinstance(message, Command)
        return self._on_command(message, now_ms)

    def _on_hello(self, parsed: Parsed, now_ms: int) -> None:
        hello = decode(parsed.message_id, parsed.payload)
        assert isinstance(hello, HelloHost)
        if self.owned(now_ms):
            self._send(self.identity._replace(host_nonce=hello.host_nonce, owned=1), None, 0)
            return
        is_understood = (
            hello.major == self.identity.major and hello.schema_hash == self.identity.schema_hash
        )
        if self.is_locked or not is_understood:
            # Without a device nonce it learns who we are, and opens no session.
            self._send(self.identity._replace(host_nonce=hello.host_nonce), None, 0)
            return
        if self._pending is None or self._pending[0] != hello:
            self._nonce_count = (self._nonce_count + 1) & 0xFFFFFFFF
            digest = sha256(
                self._nonce_seed
                + self.identity.boot_id.to_bytes(4, "little")
                + self._nonce_count.to_bytes(4, "little")
            ).digest()
            nonce = int.from_bytes(digest[:8], "little") or 1  # 0 means "no session".
            opened = tuple(session_keys(key, hello.host_nonce, nonce) for key in self._device_keys)
            self._pending = (hello, nonce, opened)
        nonce = self._pending[1]
        answer = self.identity._replace(host_nonce=hello.host_nonce, device_nonce=nonce)
        self._send(answer, None, 0)

    def _proved_by(self, parsed: Parsed, now_ms: int) -> SessionKeys | Reject:
        """Return the keys that a frame was tagged with: its sender holds them."""
        assert parsed.tag is not None
        candidates = self._sessions_of(parsed, now_ms)
        if not candidates:
            return Reject.SESSION
        for keys in candidates:
            if keys.down.verify(parsed.signed, parsed.tag):
                return keys
        return Reject.TAG

    def _sessions_of(self, parsed: Parsed, now_ms: int) -> tuple[SessionKeys, ...]:
        """Return whose tag may stand under a frame: before the first, that of either key."""
        if self._keys is not None and parsed.session == self._keys.session:
            return (self._keys,)
        if self._pending is None or self.owned(now_ms):
            return ()  # A lapsed owner may have come back since the newcomer's HELLO.
        prepared = self._pending[2]
        return prepared if parsed.session == prepared[0].session else ()

    def _promote(self, keys: SessionKeys, now_ms: int) -> None:
        """Make the session of a proved key the one in force; counters start anew."""
        if self._keys is keys:
            return
        self._keys = keys
        self._pending = None
        self._command_counter = 0
        self._lease_counter = 0
        self._answers.clear()
        self._forget_commands()
        self.send_event(Event(now_ms, 0, EventCode.SESSION_OPENED, 0, 0, 0, 0))

    def _forget_commands(self) -> None:
        """What a session began ends with it, and what it asked for in these same bytes, too.

        An answer to that would stand under a counter that means another command by then.
        """
        self._executing.clear()
        self._requests = [request for request in self._requests if isinstance(request, Stop)]

    def _on_lease(self, lease: Lease, now_ms: int) -> Reject | None:
        if lease.counter <= self._lease_counter:
            return Reject.REPLAY
        self._lease_counter = lease.counter
        left_ms = min(until_ms(now_ms, lease.valid_until_ms), LEASE_LIFE_MS_MAX)
        if left_ms <= 0:
            return None  # It waited in a queue until it was void; it prolongs nothing.
        self._lease_until_ms = add_ms(now_ms, left_ms)
        self.owner_until_ms = add_ms(now_ms, OWNER_LIFE_MS)
        self.claimed_mode = lease.mode
        self.lease_count += 1
        return None

    def _on_command(self, command: Command, now_ms: int) -> Command | None:
        known = self._answers.get(command.counter)
        if known is not None:
            for framed in known:  # A retry gets the same answers and is not executed again.
                self._put(framed)
            return None
        if command.counter <= self._command_counter:
            # Not kept: replays must not push out the answers that a retry may ask for.
            self._send_tagged(Ack(command.counter, command.op, Answer.OLD_COUNTER))
            return None
        self._command_counter = command.counter
        if until_ms(now_ms, command.deadline_ms) < 0:
            self.answer(command.counter, command.op, Answer.STALE)
            return None
        self._keep(command.counter)  # A copy that comes before the answer is a retry too.
        if len(self._executing) == EXECUTING_MAX:
            del self._executing[next(iter(self._executing))]
        self._executing[command.counter] = None
        return command

    def _on_stop(self, parsed: Parsed) -> Stop | Reject:
        assert parsed.tag is not None
        try:
            stop = decode(parsed.message_id, parsed.payload)
        except CodecError:
            stop = None
        for used in self._stop_keys:
            if used.verify(parsed.signed, parsed.tag):
                break
        else:
            if isinstance(stop, Stop) and stop.boot_id != self.identity.boot_id:
                return Reject.SESSION  # Its sender has not heard of the restart yet: no guess.
            return Reject.TAG
        if stop is None:
            return Reject.RANGE
        assert isinstance(stop, Stop)
        ack = Ack(stop.counter, Op.STOP, Answer.ACCEPTED)
        self._send(ack, used, 0)  # Who sent it may have no other key.
        return stop

    def _on_bad_tag(self, now_ms: int) -> None:
        if self.is_locked:
            return  # Nothing is left to guess at but STOP, which does no harm.
        _forget_before(self._bad_tag_ms, now_ms, BAD_TAG_WINDOW_MS)
        self._bad_tag_ms.append(now_ms)
        if len(self._bad_tag_ms) == BAD_TAGS_MAX:
            # Somebody is guessing: the session ends, and with it the lease.
            self._bad_tag_ms.clear()
            self._locked_until_ms = add_ms(now_ms, LOCK_OUT_MS)
            self.drop(now_ms)

    def drop(self, now_ms: int) -> None:
        """End the session; the lease dies with it."""
        self._keys = None
        self._pending = None
        self._forget_commands()
        self._lease_until_ms = None
        self.owner_until_ms = None
        self.send_event(Event(now_ms, 0, EventCode.SESSION_DROPPED, 0, 0, 0, 0))

    # -- sending ---------------------------------------------------------------------------------

    def answer(self, counter: int, op: int, answer: Answer) -> None:
        """Send the first answer to a command and keep it for retries."""
        if answer is not Answer.ACCEPTED:
            self._executing.pop(counter, None)
        self._answer(counter, Ack(counter, op, answer))

    def done(self, counter: int, op: int, result: Result, detail: int = 0) -> None:
        """Send the second answer to a command and keep it for retries.

        The end of something that an earlier session began is nobody's business any more: its
        counter may mean another command by now.
        """
        if counter in self._executing:
            del self._executing[counter]
            self._answer(counter, Done(counter, op, result, detail))

    def _answer(self, counter: int, message: Ack | Done) -> None:
        framed = self._send_tagged(message)
        if counter not in self._answers:
            self._keep(counter)
        kept = self._answers[counter]
        if len(kept) < ANSWERS_KEPT:
            kept.append(framed)

    def _keep(self, counter: int) -> None:
        """Make room for the answers to one more command; the oldest ones go."""
        if len(self._answers) == RESULTS_KEPT:
            del self._answers[next(iter(self._answers))]
        self._answers[counter] = []

    def send_delimiter(self) -> None:
        """Send the byte that ends whatever the link carried before; once, before all else."""
        self._put(DELIMITER)

    def send_event(self, event: Event) -> None:
        """Send ``event`` with the next index; outside a session it goes under the stop key."""
        self.event_count = (self.event_count + 1) & 0xFFFF
        self._send_tagged(event._replace(number=self.event_count, state=self.state))

    def send_telemetry(self, telemetry: Telemetry) -> None:
        """Send a sample: tagged within a session, plain outside one."""
        keys = self._keys
        if keys is None:
            self._send(telemetry, None, 0)
        else:
            self._send(telemetry, keys.up, keys.session)

    def send_plain(self, message: Message) -> None:
        """Send a message that is valid without a session (HELLO on boot, VITALS)."""
        self._send(message, None, 0)

    def outgoing(self) -> bytes:
        """Return everything to send and forget it."""
        if not self._out:
            return b""
        out = b"".join(self._out)
        self._out.clear()
        self._out_size = 0
        return out

    def _send_tagged(self, message: Message) -> bytes:
        """Send under the session's key, or under the stop key where no session is."""
        keys = self._keys
        if keys is None:
            return self._send(message, self._stop_keys[0], 0)
        return self._send(message, keys.up, keys.session)

    def _send(self, message: Message, key: TagKey | None, session: int) -> bytes:
        seq = self._seq
        self._seq = (seq + 1) & 0xFFFF
        body = build(ID_OF[type(message)], encode(message), seq=seq, session=session, key=key)
        framed = wrap(body)
        self._put(framed)
        return framed

    def _put(self, framed: bytes) -> None:
        """Send what still fits, or nothing of it: half a frame is worth less than none.

        Its sequence number is used up either way: the other side sees that something is missing.
        """
        if self._out_size + len(framed) <= SEND_MAX:
            self._out_size += len(framed)
            self._out.append(framed)


def _forget_before(times_ms: deque[int], now_ms: int, window_ms: int) -> None:
    """Drop the times that lie more than ``window_ms`` back."""
    while times_ms and not 0 <= until_ms(times_ms[0], now_ms) <= window_ms:
        times_ms.popleft()
