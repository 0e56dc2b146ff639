"""The controller's end of a session: greeting, counters, retries and the lease, as data.

Synchronous and without a clock: the caller hands in bodies and ``now_s``, and takes what to send.
Commands are stop-and-wait: one in flight, its bytes repeated until answered or given up.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass
from enum import Enum, auto
from hashlib import sha256
from typing import Final, NamedTuple

from cryoctl_protocol.auth import SessionKeys, TagKey, session_keys, stop_key
from cryoctl_protocol.codec import SCHEMA_HASH, CodecError, decode, encode
from cryoctl_protocol.codes import Answer, DeviceState, HostMode, Op, SafeAction, Trip
from cryoctl_protocol.device_keys import DeviceKey, KeyRing, NoKey, OneKey
from cryoctl_protocol.framing import Parsed, Reject, build, parse
from cryoctl_protocol.messages import (
    ID_OF,
    MESSAGE_BY_ID,
    PROTOCOL_MAJOR,
    PROTOCOL_MINOR,
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
    Vitals,
)
from cryoctl_protocol.wrapping import add_ms, until_ms

HELLO_PERIOD_S: Final = 0.2
RETRY_PERIOD_S: Final = 0.06
"""Wait for an ACK before the same bytes go out again; 115,200 baud and 10 ms ticks need 25 ms."""
TRIES: Final = 4
COMMAND_LIFE_MS: Final = 250
"""A command is void this long after it was made: all its tries, and no more."""
LEASE_LIFE_MS: Final = 300
DONE_LIFE_S: Final = 30.0
"""Longest actuation answered by DONE; the leak test takes 10 s."""
ASK_AGAIN_S: Final = 0.1
"""A command that telemetry shows to be over this long, without its DONE: that got lost."""
_STATE_OF_OP: Final[dict[int, int]] = {
    Op.SELF_TEST: DeviceState.SELF_TEST,
    Op.LEAK_TEST: DeviceState.LEAK_TEST,
    Op.PREWARM: DeviceState.PREWARM,
    Op.STIMULATE: DeviceState.STIMULATE,
}
_UNASKED: Final = frozenset({Op.FREEZE, Op.THAW})
"""Their ends are known from the state: nobody waits for the message."""
_OPEN_ENDED: Final = frozenset({Op.PREWARM, Op.FREEZE, Op.THAW, Op.STIMULATE})
"""Operations that last as long as treatment and tissue want; state and interlocks watch these."""
REJECT_WINDOW_S: Final = 1.0
_SEQ_AHEAD_MAX: Final = 0x8000
_STOP_KEY_IDS: Final = frozenset({ID_OF[Event], ID_OF[Ack]})
"""What a device may send under the stop key, outside any session."""


class Phase(Enum):
    """How far the session is."""

    CLOSED = auto()
    GREETING = auto()
    PROVING = auto()
    OPEN = auto()
    TELEMETRY_ONLY = auto()


_OPENING: Final = (Phase.GREETING, Phase.PROVING)


class VendorFrame(NamedTuple):
    """A message of the vendor range; its meaning is outside this protocol."""

    message_id: int
    payload: bytes


class CommandFailed(NamedTuple):
    """A command nobody answered in time; it may or may not have been executed."""

    counter: int
    op: int
    reason: str


Received = Message | VendorFrame | CommandFailed


@dataclass(slots=True)
class _InFlight:
    counter: int
    op: int
    body: bytes
    sent_s: float
    tries: int


@dataclass(slots=True)
class _Accepted:
    """A command that was taken and whose end is awaited.

    Attributes:
        over_s: Since when telemetry shows that it is no longer carried out.
    """

    op: int
    until_s: float
    body: bytes
    over_s: float | None = None
    asked: int = 0


class HostSession:
    """One controller's conversation with one device over one link.

    Args:
        keys: Asked for the device's key when it says HELLO; bytes are one key for whoever answers.
        nonce_seed: Random bytes (from the shell; fixed in tests); nonces are derived from them.
    """

    def __init__(self, keys: bytes | KeyRing, *, nonce_seed: bytes) -> None:
        self.phase = Phase.CLOSED
        self.hello: Hello | None = None
        self.mismatch = ""
        """Why only telemetry is possible; empty if commands are."""
        self.key: DeviceKey | None = None
        """The one that the device is talked to with; None before its HELLO, or without one."""
        self.no_key = ""
        """Why there is none for it; empty if there is."""
        self.rejects: Counter[Reject] = Counter()
        self.lost_frames = 0
        self._ring = OneKey(keys) if isinstance(keys, bytes) else keys
        self._nonce_seed = nonce_seed
        self._opened = 0
        self._host_nonce = 0
        self._keys: SessionKeys | None = None
        self._stop_key: TagKey | None = None
        self._hello_sent_s = float("-inf")
        self._seq = 0
        self._device_seq: int | None = None
        self._command_counter = 0
        self._lease_counter = 0
        self._stop_counter = 0
        self._in_flight: _InFlight | None = None
        self._awaiting_done: dict[int, _Accepted] = {}
        self._device_clock: tuple[int, float] | None = None
        self._sampled_ms: int | None = None
        self._event_number: int | None = None
        self._same_table = False
        self._reject_times_s: deque[float] = deque(maxlen=64)
        self._urgent: list[bytes] = []
        self._queue: list[bytes] = []

    # -- opening ---------------------------------------------------------------------------------

    def open(self, now_s: float) -> None:
        """Begin a new session; whatever was outstanding is forgotten, never resent."""
        self._opened += 1
        digest = sha256(self._nonce_seed + self._opened.to_bytes(4, "little")).digest()
        self._host_nonce = int.from_bytes(digest[:8], "little") or 1
        self.phase = Phase.GREETING
        self._keys = None
        self._device_seq = None
        self._device_clock = None
        self._sampled_ms = None
        self._same_table = False
        self._in_flight = None
        self._awaiting_done.clear()
        self._queue.clear()
        self._urgent.clear()
        self._send_hello(now_s)

    def _send_hello(self, now_s: float) -> None:
        self._hello_sent_s = now_s
        hello = HelloHost(PROTOCOL_MAJOR, PROTOCOL_MINOR, SCHEMA_HASH, self._host_nonce)
        self._queue.append(self._body(hello, session=0, key=None))

    def _on_hello(self, hello: Hello, now_s: float) -> bool:
        same_table = hello.major == PROTOCOL_MAJOR and hello.schema_hash == SCHEMA_HASH
        if self._keys is None:
            self._same_table = same_table  # A monitor reads telemetry without a session.
        if hello.host_nonce != self._host_nonce or self.phase is not Phase.GREETING:
            return False
        if self.hello is None or self.hello.boot_id != hello.boot_id:
            self._event_number = None
        self.hello = hello
        chosen = self._ring.key_for(hello)
        self.key = None if isinstance(chosen, NoKey) else chosen
        self.no_key = chosen.reason if isinstance(chosen, NoKey) else ""
        self._stop_key = None if self.key is None else stop_key(self.key.secret, hello.boot_id)
        if not same_table:
            self.phase = Phase.TELEMETRY_ONLY
            self.mismatch = (
                f"device speaks protocol {hello.major}.{hello.minor} with message table "
                f"{hello.schema_hash:08x}, this program {PROTOCOL_MAJOR}.{PROTOCOL_MINOR} with "
                f"{SCHEMA_HASH:08x}: telemetry only; update the older side"
            )
            return True
        if isinstance(chosen, NoKey):
            self.phase = Phase.TELEMETRY_ONLY
            self.mismatch = self.no_key
            return True
        if hello.owned or hello.device_nonce == 0:
            return True  # Greet again: ownership lapses 1 s after the other falls silent.
        self.mismatch = ""
        self._keys = session_keys(chosen.secret, self._host_nonce, hello.device_nonce)
        self.phase = Phase.PROVING
        self._hello_sent_s = now_s
        return True

    # -- receiving -------------------------------------------------------------------------------

    def on_body(self, body: bytes, now_s: float) -> Received | None:
        """Return the message in ``body`` if it is valid here, else count why not."""
        received = self._judge(body, now_s)
        if isinstance(received, Reject):
            self.reject(received, now_s)
            return None
        return received

    def _judge(self, body: bytes, now_s: float) -> Received | Reject | None:
        parsed = parse(body)
        if isinstance(parsed, Reject):
            return parsed
        row = MESSAGE_BY_ID.get(parsed.message_id)
        if row is not None:
            if row.direction is MessageType.DOWN:
                return Reject.DIRECTION
            if not (self._same_table or row.frozen):
                return None  # Nobody knows yet whether it means what our table says.
        reason = self._check_tag(parsed, row)
        if reason is not None:
            # Frames of the session before this one still arrive; they are no sign of damage.
            if reason is Reject.SESSION and self.phase is not Phase.OPEN:
                return None
            return reason
        self._count_gap(parsed)
        if row is None:
            return VendorFrame(parsed.message_id, parsed.payload)
        try:
            message = decode(parsed.message_id, parsed.payload)
        except CodecError:
            return Reject.RANGE
        return self._take(message, tagged=parsed.tag is not None, now_s=now_s)

    def _check_tag(self, parsed: Parsed, row: MessageType | None) -> Reject | None:
        """Return why a frame's session or tag is not acceptable, or None if it is."""
        if parsed.tag is None:
            return Reject.UNTAGGED if row is not None and row.tagged else None
        if parsed.session == 0 and parsed.message_id in _STOP_KEY_IDS:
            key = self._stop_key
        elif self._keys is not None and parsed.session == self._keys.session:
            key = self._keys.up
        else:
            return Reject.SESSION
        if key is None:
            return Reject.SESSION  # An event of a device that has not said HELLO to us yet.
        return None if key.verify(parsed.signed, parsed.tag) else Reject.TAG

    def _take(self, message: Message, *, tagged: bool, now_s: float) -> Message | Reject | None:
        if isinstance(message, Telemetry):
            return self._on_telemetry(message, tagged=tagged, now_s=now_s)
        if isinstance(message, Event):
            return self._on_event(message)
        if isinstance(message, Ack):
            wanted = self._on_ack(message, now_s)
        elif isinstance(message, Done):
            wanted = self._on_done(message)
        elif isinstance(message, Hello):
            wanted = self._on_hello(message, now_s) or message.host_nonce == 0
        else:
            wanted = True
            if isinstance(message, Vitals) and self._device_clock is None:
                self._device_clock = (message.device_ms, now_s)
        return message if wanted else None

    def _on_telemetry(
        self, telemetry: Telemetry, *, tagged: bool, now_s: float
    ) -> Telemetry | Reject | None:
        device_ms = telemetry.device_ms
        if not tagged:
            # Plain telemetry proves nothing and feeds no interlock in a session.
            return None if self._keys is not None else telemetry
        if self._sampled_ms is not None and until_ms(self._sampled_ms, device_ms) <= 0:
            return Reject.REPLAY
        self._sampled_ms = device_ms
        self._device_clock = (device_ms, now_s)
        if self._event_number is None:
            self._event_number = telemetry.event_count  # What was sent before we came is old.
        if self.phase in _OPENING:
            self.phase = Phase.OPEN  # Our keys are younger than our HELLO: the device has both.
        if self._awaiting_done:
            self._ask_for_lost_ends(telemetry.state, now_s)
        return telemetry

    def _on_event(self, event: Event) -> Event | Reject:
        """Take an event once: its number grows within one boot, whatever session it is sent in."""
        last = self._event_number
        if last is not None and not 0 < (event.number - last) & 0xFFFF < _SEQ_AHEAD_MAX:
            return Reject.REPLAY
        self._event_number = event.number
        return event

    def _ask_for_lost_ends(self, state: int, now_s: float) -> None:
        """Send a command's bytes again whose end must have been lost: a repeat is only answered."""
        for accepted in self._awaiting_done.values():
            if accepted.op in _UNASKED or state == _STATE_OF_OP.get(accepted.op):
                accepted.over_s = None
            elif accepted.over_s is None:
                accepted.over_s = now_s
            elif now_s - accepted.over_s >= ASK_AGAIN_S and accepted.asked < TRIES:
                accepted.over_s = now_s
                accepted.asked += 1
                self._queue.append(accepted.body)

    def _on_ack(self, ack: Ack, now_s: float) -> bool:
        if ack.op == Op.STOP:
            return True
        flight = self._in_flight
        if flight is None or flight.counter != ack.counter:
            return False  # A late copy of an answer already taken.
        self._in_flight = None
        if ack.answer == Answer.ACCEPTED:
            life_s = math.inf if ack.op in _OPEN_ENDED else DONE_LIFE_S
            self._awaiting_done[ack.counter] = _Accepted(ack.op, now_s + life_s, flight.body)
        return True

    def _on_done(self, done: Done) -> bool:
        accepted = self._awaiting_done.get(done.counter)
        if accepted is None or accepted.op != done.op:
            return False
        del self._awaiting_done[done.counter]
        return True

    def _count_gap(self, parsed: Parsed) -> None:
        # Before the session is open not every frame gets here: that is no loss.
        if self.phase is Phase.OPEN and self._device_seq is not None:
            ahead = (parsed.seq - self._device_seq) & 0xFFFF
            if ahead > _SEQ_AHEAD_MAX:
                return  # A repeated answer carries its old number.
            self.lost_frames += ahead - 1 if ahead else 0
        self._device_seq = parsed.seq

    def reject(self, reason: Reject, now_s: float) -> None:
        """Count a frame that was not taken."""
        self.rejects[reason] += 1
        self._reject_times_s.append(now_s)

    def rejects_within_window(self, now_s: float) -> int:
        """Return how many frames were rejected in the last second (SR-23)."""
        if not self._reject_times_s:
            return 0  # The rule; this is asked with every sample.
        return sum(1 for at_s in self._reject_times_s if now_s - at_s <= REJECT_WINDOW_S)

    # -- sending ---------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """True while a command waits for its ACK; another must wait too."""
        return self._in_flight is not None

    def device_ms(self, now_s: float) -> int:
        """Return the device's clock as last heard plus the time since; wraps like the device's."""
        if self._device_clock is None:
            return 0
        heard_ms, heard_s = self._device_clock
        return add_ms(heard_ms, int((now_s - heard_s) * 1000.0))

    def command(self, command: Command, now_s: float) -> int:
        """Send ``command`` with the next counter and a deadline; return the counter.

        The caller asks ``busy`` first: one command is in flight at a time.
        """
        assert self.phase is Phase.OPEN
        assert self._in_flight is None
        assert self._keys is not None
        self._command_counter += 1
        body = self._body(
            command._replace(
                counter=self._command_counter,
                deadline_ms=add_ms(self.device_ms(now_s), COMMAND_LIFE_MS),
            ),
            session=self._keys.session,
            key=self._keys.down,
        )
        self._in_flight = _InFlight(self._command_counter, command.op, body, now_s, 1)
        self._queue.append(body)
        return self._command_counter

    def lease(self, mode: HostMode, now_s: float) -> None:
        """Send one lease; it lives 300 ms of device time."""
        if self._keys is None:
            return
        self._lease_counter += 1
        valid_until_ms = add_ms(self.device_ms(now_s), LEASE_LIFE_MS)
        lease = Lease(self._lease_counter, mode, valid_until_ms)
        self._queue.append(self._body(lease, session=self._keys.session, key=self._keys.down))

    def stop(self, action: SafeAction, trip: Trip) -> int | None:
        """Send STOP ahead of everything else; return its counter, or None before any HELLO."""
        if self.hello is None or self._stop_key is None:
            return None
        self._stop_counter += 1
        stop = Stop(self._stop_counter, self.hello.boot_id, action, trip)
        self._urgent.append(self._body(stop, session=0, key=self._stop_key))
        return self._stop_counter

    def abandon(self) -> list[CommandFailed]:
        """Forget all commands: none is sent again, nobody waits for an answer; return them."""
        given_up = [
            CommandFailed(counter, accepted.op, "given up before its end was reported")
            for counter, accepted in self._awaiting_done.items()
        ]
        self._awaiting_done.clear()
        flight = self._in_flight
        if flight is not None:
            # It may still be queued, behind the STOP that is the reason.
            self._queue = [body for body in self._queue if body != flight.body]
            self._in_flight = None
            given_up.append(CommandFailed(flight.counter, flight.op, "given up unanswered"))
        return given_up

    def poll(self, now_s: float) -> list[CommandFailed]:
        """Repeat what is due, greet again, and return commands that nobody answered."""
        if self.phase in _OPENING:
            if now_s - self._hello_sent_s >= HELLO_PERIOD_S:
                self.phase = Phase.GREETING
                self._send_hello(now_s)
            return []
        if not self._awaiting_done and self._in_flight is None:
            return []  # The rule; this is asked with every sample.
        failed = [
            CommandFailed(counter, accepted.op, "accepted, but its end was never reported")
            for counter, accepted in self._awaiting_done.items()
            if now_s > accepted.until_s
        ]
        for lost in failed:
            del self._awaiting_done[lost.counter]
        flight = self._in_flight
        if flight is not None and now_s - flight.sent_s >= RETRY_PERIOD_S:
            if flight.tries >= TRIES:
                self._in_flight = None
                failed.append(
                    CommandFailed(flight.counter, flight.op, f"no answer to {TRIES} tries")
                )
            else:
                flight.tries += 1
                flight.sent_s = now_s
                self._queue.append(flight.body)
        return failed

    def outgoing(self) -> list[bytes]:
        """Return the bodies to send, STOP first, and forget them."""
        if not self._urgent and not self._queue:
            return []
        bodies = self._urgent + self._queue
        self._urgent = []
        self._queue = []
        return bodies

    def _body(self, message: Message, *, session: int, key: TagKey | None) -> bytes:
        seq = self._seq
        self._seq = (seq + 1) & 0xFFFF
        return build(ID_OF[type(message)], encode(message), seq=seq, session=session, key=key)
