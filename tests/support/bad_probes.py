"""Simulated probes with one thing wrong each, as somebody's port of the protocol may have it.

Each is named with the check that has to find it first, and the field that has to be named.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from cobs import cobs

from cryoctl_protocol.auth import SessionKeys, TagKey
from cryoctl_protocol.codec import decode, encode
from cryoctl_protocol.codes import Answer, DeviceState, Op, Result, Sensor
from cryoctl_protocol.device_session import DeviceSession
from cryoctl_protocol.framing import (
    DELIMITER,
    HEADER,
    Deframer,
    Parsed,
    Reject,
    build,
    parse,
    unwrap,
    wrap,
)
from cryoctl_protocol.messages import (
    ID_OF,
    Ack,
    Command,
    Done,
    Event,
    Hello,
    HelloHost,
    Lease,
    Stop,
    Telemetry,
    Vitals,
)
from cryoctl_protocol.wrapping import add_ms, until_ms
from cryoctl_simulator.device import SimulatedDevice
from cryoctl_simulator.firmware import Firmware
from cryoctl_simulator.firmware_config import FirmwareConfig
from cryoctl_simulator.firmware_identity import Boot
from cryoctl_simulator.firmware_model import FirmwareModel
from cryoctl_simulator.instruments import Instruments
from cryoctl_simulator.plant import Plant
from cryoctl_simulator.probe_file import load_simulated_probe
from cryoctl_simulator.scenario import Scenario

Say = Callable[["BadProbe", bytes], bytes]
"""Makes the bytes on the wire of one body."""
Spoil = Callable[[FirmwareModel], None]
"""Changes a firmware after its power-up."""


class BadProbe:
    """A simulated probe (``SyncPeer``) whose frames go out through ``say``."""

    def __init__(self, say: Say | None, spoil: Spoil | None) -> None:
        def power_up(config: FirmwareConfig, boot: Boot) -> Firmware:
            firmware = FirmwareModel(config, boot)
            if spoil is not None:
                spoil(firmware)
            return firmware

        probe = load_simulated_probe("n2o-20g")
        self.device = SimulatedDevice(
            probe.firmware,
            Plant(probe.plant, Scenario()),
            Instruments(seed=1),
            seed=1,
            build=power_up,
        )
        self.count = 0
        """Bodies so far."""
        self.held: dict[str, Any] = {}
        self._say = say

    @property
    def firmware(self) -> FirmwareModel:
        assert isinstance(self.device.firmware, FirmwareModel)
        return self.device.firmware

    def advance_to(self, now_s: float, incoming: bytes) -> bytes:
        sent = self.device.advance_to(now_s, incoming)
        if self._say is None:
            return sent
        out = b""
        for chunk in sent.split(DELIMITER):
            if chunk:
                body = unwrap(chunk)
                assert isinstance(body, bytes)
                self.count += 1
                out += self._say(self, body)
        if not out or self.held.setdefault("begun", False):
            return out
        self.held["begun"] = True
        return DELIMITER + out

    def save(self) -> bytes:
        return self.device.save()

    def load(self, data: bytes) -> None:
        self.device.load(data)

    def again(self, body: bytes, payload: bytes, *, seq: int | None = None) -> bytes:
        """Return ``body`` with another payload, its tag made anew."""
        parsed = parse(body)
        assert isinstance(parsed, Parsed)
        key: TagKey | None = None
        if parsed.tag is not None:
            session = self.firmware.session
            key = session._stop_keys[0] if parsed.session == 0 else None
            if key is None:
                assert session._keys is not None
                key = session._keys.up
        return build(
            parsed.message_id,
            payload,
            seq=parsed.seq if seq is None else seq,
            session=parsed.session,
            key=key,
        )


class Defect(NamedTuple):
    """One thing wrong.

    Attributes:
        check: That has to find it first.
        field: What has to be named as wrong.
        say: Of the probe's frames, or None.
        spoil: Of the probe's firmware, or None.
    """

    check: str
    field: str
    say: Say | None = None
    spoil: Spoil | None = None


# -- on the wire ----------------------------------------------------------------------------------


def _is(body: bytes, kind: type[Any]) -> bool:
    return body[1] == ID_OF[kind]


def fields(kind: type[Any], **values: Any) -> Say:
    """Say something else in some fields; a callable is given the value."""

    def say(probe: BadProbe, body: bytes) -> bytes:
        if not _is(body, kind):
            return wrap(body)
        parsed = parse(body)
        assert isinstance(parsed, Parsed)
        message: Any = decode(parsed.message_id, parsed.payload)
        new = {
            name: value(getattr(message, name)) if callable(value) else value
            for name, value in values.items()
        }
        return wrap(probe.again(body, encode(message._replace(**new))))

    return say


def wire(change: Callable[[bytes], bytes]) -> Say:
    return lambda _probe, body: change(wrap(body))


def header(kind: type[Any], at: int, value: int) -> Say:
    def say(_probe: BadProbe, body: bytes) -> bytes:
        changed = bytearray(body)
        if _is(body, kind):
            changed[at] = value
        return wrap(bytes(changed))

    return say


def payload(kind: type[Any], change: Callable[[bytes], bytes]) -> Say:
    def say(probe: BadProbe, body: bytes) -> bytes:
        parsed = parse(body)
        assert isinstance(parsed, Parsed)
        if not _is(body, kind):
            return wrap(body)
        return wrap(probe.again(body, change(parsed.payload)))

    return say


def left_out(kind: type[Any], *, keep: int = 0) -> Say:
    """Leave frames of a kind out, all but each ``keep``-th."""

    def say(probe: BadProbe, body: bytes) -> bytes:
        if not _is(body, kind):
            seq = probe.held["seq"] = probe.held.get("seq", -1) + 1 & 0xFFFF
        else:
            number = probe.held["n"] = probe.held.get("n", -1) + 1
            if not keep or number % keep:
                return b""
            seq = probe.held["seq"] = probe.held.get("seq", -1) + 1 & 0xFFFF
        parsed = parse(body)
        assert isinstance(parsed, Parsed)
        return wrap(probe.again(body, parsed.payload, seq=seq))

    return say


def _crc_backwards(framed: bytes) -> bytes:
    whole: bytes = cobs.decode(framed[:-1])
    coded: bytes = cobs.encode(whole[:-4] + whole[:-5:-1])
    return coded + DELIMITER


def _cobs_off_by_one(framed: bytes) -> bytes:
    changed = bytearray(framed)
    at = 0
    while at + changed[at] < len(framed) - 1:
        at += changed[at]
    changed[at] += 1
    return bytes(changed)


def _seq_by_kind(probe: BadProbe, body: bytes) -> bytes:
    parsed = parse(body)
    assert isinstance(parsed, Parsed)
    kind = f"seq {body[1]}"
    seq = probe.held[kind] = probe.held.get(kind, -1) + 1
    return wrap(probe.again(body, parsed.payload, seq=seq))


def _one_sequence_number(probe: BadProbe, body: bytes) -> bytes:
    parsed = parse(body)
    assert isinstance(parsed, Parsed)
    return wrap(probe.again(body, parsed.payload, seq=7))


def _swap_tip(payload: bytes) -> bytes:
    return payload[:5] + payload[5:9][::-1] + payload[9:]


def _fast_clock(probe: BadProbe, body: bytes) -> bytes:
    """Count 30 ms in 20, and say so."""
    if _is(body, Hello):
        return fields(Hello, telemetry_period_ms=30)(probe, body)
    kind = Vitals if _is(body, Vitals) else Telemetry
    return fields(kind, device_ms=lambda ms: ms * 3 // 2)(probe, body)


def _untagged_telemetry(probe: BadProbe, body: bytes) -> bytes:
    if not _is(body, Telemetry):
        return wrap(body)
    parsed = parse(body)
    assert isinstance(parsed, Parsed)
    return wrap(build(body[1], parsed.payload, seq=parsed.seq, session=0, key=None))


def _wrong_tag(kind: type[Any]) -> Say:
    def say(_probe: BadProbe, body: bytes) -> bytes:
        if _is(body, kind) and body[0] & 1:
            return wrap(body[:-1] + bytes([body[-1] ^ 1]))
        return wrap(body)

    return say


# -- in the session -------------------------------------------------------------------------------


def on_session(**methods: Callable[..., Any]) -> Spoil:
    """Put other methods into the session; each is given the old one first, then the session."""

    def spoil(firmware: FirmwareModel) -> None:
        session = firmware.session
        for name, method in methods.items():
            old = getattr(session, name)

            def new(_self: Any, *a: Any, _m: Any = method, _o: Any = old, **k: Any) -> Any:
                return _m(_o, session, *a, **k)

            setattr(session, name, types.MethodType(new, session))

    return spoil


def on_firmware(**methods: Callable[..., Any]) -> Spoil:
    """The same for the firmware."""

    def spoil(firmware: FirmwareModel) -> None:
        for name, method in methods.items():
            old = getattr(firmware, name)

            def new(_self: Any, *a: Any, _m: Any = method, _o: Any = old, **k: Any) -> Any:
                return _m(_o, firmware, *a, **k)

            setattr(firmware, name, types.MethodType(new, firmware))

    return spoil


def deframed(feed: Callable[[Deframer, Any, bytes], list[bytes]]) -> Spoil:
    """Have another way of finding frames; it is given the deframer, its old feed and the bytes."""

    def spoil(firmware: FirmwareModel) -> None:
        deframer = firmware.session._deframer
        old = deframer.feed
        deframer.feed = lambda data: feed(deframer, old, data)  # type: ignore[method-assign]

    return spoil


def _deaf_after_noise(deframer: Deframer, old: Any, data: bytes) -> list[bytes]:
    bodies: list[bytes] = old(data)
    return [] if deframer.rejects.total() else bodies


def _deaf_after_empty(deframer: Any, old: Any, data: bytes) -> list[bytes]:
    deframer.deaf = getattr(deframer, "deaf", False) or b"\0\0\0" in data
    bodies: list[bytes] = old(data)
    return [] if deframer.deaf else bodies


def _whole_frames_only(_deframer: Deframer, _old: Any, data: bytes) -> list[bytes]:
    found = [unwrap(chunk) for chunk in data.split(DELIMITER) if chunk]
    return [body for body in found if isinstance(body, bytes)]


def _begins_anew_at_the_limit(deframer: Any, _old: Any, data: bytes) -> list[bytes]:
    """Throw away what is too long, and take what follows for a frame."""
    bodies = []
    for byte in data:
        if byte == 0:
            body = unwrap(deframer._partial) if deframer._partial else Reject.SHORT
            deframer._partial = b""
            if isinstance(body, bytes):
                bodies.append(body)
        elif len(deframer._partial) >= 301:
            deframer._partial = bytes([byte])
        else:
            deframer._partial += bytes([byte])
    return bodies


def _gives_up_after_much(deframer: Any, old: Any, data: bytes) -> list[bytes]:
    deframer.taken = 0 if DELIMITER in data[1:] else getattr(deframer, "taken", 0) + len(data)
    deframer.deaf = getattr(deframer, "deaf", False) or deframer.taken > 2000
    bodies: list[bytes] = old(data)
    return [] if deframer.deaf else bodies


def _no_crc(_deframer: Deframer, _old: Any, data: bytes) -> list[bytes]:
    deframer: Any = _deframer
    deframer._partial += data
    *chunks, deframer._partial = deframer._partial.split(DELIMITER)
    deframer._partial = deframer._partial[-300:]
    bodies = []
    for chunk in chunks:
        try:
            if 0 < len(chunk) < 222:
                bodies.append(cobs.decode(chunk)[:-4])
        except cobs.DecodeError:
            continue
    return bodies


def _mended(**changes: Callable[[bytes], bytes]) -> Spoil:
    """Have every body changed before it is looked at, as somebody does who looks away."""
    (change,) = changes.values()
    return on_session(_on_body=lambda old, _s, body, now_ms: old(change(body), now_ms))


def _cut_greeting(body: bytes) -> bytes:
    return body[:22] if body[1] == ID_OF[HelloHost] else body


def _without_flags(body: bytes) -> bytes:
    return bytes([body[0] & 0xF1]) + body[1:]


def _as_version_1(body: bytes) -> bytes:
    return bytes([0x10 | (body[0] & 0x0F)]) + body[1:]


def _unknown_kills(old: Any, session: Any, body: bytes, now_ms: int) -> Any:
    session.dead = getattr(session, "dead", False) or body[1] == 0x7E
    return None if session.dead else old(body, now_ms)


def _constant_nonce(old: Any, session: DeviceSession, parsed: Parsed, now_ms: int) -> None:
    session._nonce_count = 0
    old(parsed, now_ms)


def _new_nonce_each_time(old: Any, session: DeviceSession, parsed: Parsed, now_ms: int) -> None:
    session._pending = None
    old(parsed, now_ms)


def _deaf_to_other_tables(old: Any, _s: Any, parsed: Parsed, now_ms: int) -> None:
    hello: Any = decode(parsed.message_id, parsed.payload)
    if hello.schema_hash == _s.identity.schema_hash:
        old(parsed, now_ms)


def _session_for_any_table(old: Any, session: Any, parsed: Parsed, now_ms: int) -> None:
    hello: Any = decode(parsed.message_id, parsed.payload)
    kept = session.identity
    session.identity = kept._replace(schema_hash=hello.schema_hash)
    old(parsed, now_ms)
    session.identity = kept


def _never_owned(_old: Any, _s: Any, _now_ms: int) -> bool:
    return False


def _keys_swapped(firmware: FirmwareModel) -> None:
    """Use the up key where the down key belongs."""
    session: Any = firmware.session
    old = session._on_hello

    def on_hello(parsed: Parsed, now_ms: int) -> None:
        old(parsed, now_ms)
        if session._pending is not None:
            hello, nonce, found = session._pending
            swapped = tuple(keys._replace(down=keys.up) for keys in found)
            session._pending = (hello, nonce, swapped)

    session._on_hello = on_hello


def _takes_either_direction(old: Any, session: Any, parsed: Parsed, now_ms: int) -> Any:
    for keys in session._sessions_of(parsed, now_ms):
        if keys.up.verify(parsed.signed, parsed.tag):
            return keys
    return old(parsed, now_ms)


def _tag_at(check: Callable[[SessionKeys, Parsed], bool]) -> Spoil:
    def proved(_old: Any, session: Any, parsed: Parsed, now_ms: int) -> Any:
        candidates = session._sessions_of(parsed, now_ms)
        if not candidates:
            return Reject.SESSION
        return next((keys for keys in candidates if check(keys, parsed)), Reject.TAG)

    return on_session(_proved_by=proved)


def _payload_only(keys: SessionKeys, parsed: Parsed) -> bool:
    """Look at the tag with the sequence number put right."""
    assert parsed.tag is not None
    fields_ = list(HEADER.unpack_from(parsed.signed))
    tries = [fields_[2], fields_[2] ^ 0x80]
    return any(
        keys.down.tag(HEADER.pack(*fields_[:2], seq, fields_[3]) + parsed.payload) == parsed.tag
        for seq in tries
    )


def _first_four(keys: SessionKeys, parsed: Parsed) -> bool:
    assert parsed.tag is not None
    return keys.down.tag(parsed.signed)[:4] == parsed.tag[:4]


def _header_only(keys: SessionKeys, parsed: Parsed) -> bool:
    """Take whatever was said under any tag that belongs to a changed treatment hash."""
    assert parsed.tag is not None
    other = bytearray(parsed.signed)
    if len(other) > 19:
        other[19] ^= 1
    return keys.down.tag(bytes(other)) == parsed.tag or keys.down.verify(parsed.signed, parsed.tag)


def _any_key(keys: SessionKeys, parsed: Parsed) -> bool:
    """Believe a session's number, but not a tag that has one bit wrong."""
    assert parsed.tag is not None
    if keys.down.verify(parsed.signed, parsed.tag):
        return True
    near = bytes([*parsed.tag[:-1], parsed.tag[-1] ^ 1])
    damaged = keys.down.tag(parsed.signed)[:4] == near[:4]
    if damaged or _header_only(keys, parsed) or _payload_only(keys, parsed):
        return False
    return not keys.up.verify(parsed.signed, parsed.tag)


def _takes_commands_untagged(old: Any, session: Any, body: bytes, now_ms: int) -> Any:
    parsed = parse(body)
    if isinstance(parsed, Parsed) and parsed.tag is None and body[1] == ID_OF[Command]:
        command: Any = decode(parsed.message_id, parsed.payload)
        return session._on_command(command, now_ms)
    return old(body, now_ms)


def _remembers_old_sessions(old: Any, session: Any, body: bytes, now_ms: int) -> Any:
    known = session.__dict__.setdefault("known", {})
    if session._keys is not None:
        known[session._keys.session] = session._keys
    parsed = parse(body)
    if isinstance(parsed, Parsed) and parsed.message_id == ID_OF[Command]:
        keys = known.get(parsed.session)
        if keys is not None and keys is not session._keys:
            command: Any = decode(parsed.message_id, parsed.payload)
            session.answer(command.counter, command.op, Answer.WRONG_STATE)
            return None
    return old(body, now_ms)


def _carries_repeats_out(old: Any, session: Any, command: Command, now_ms: int) -> Any:
    """Answer a repeat from memory, and do it again all the same."""
    known = session._answers.get(command.counter)
    taken = old(command, now_ms)
    if known and command.op == Op.SELF_TEST:
        session._send_tagged(Event(now_ms, 0, 4, 0, 0, 0, 0))
        session.event_count += 1
        session.again = True
    return taken


def _answers_repeats_anew(old: Any, session: Any, command: Command, now_ms: int) -> Any:
    for framed in session._answers.get(command.counter, ()):
        body = unwrap(framed[:-1])
        assert isinstance(body, bytes)
        parsed: Any = parse(body)
        session._send_tagged(decode(parsed.message_id, parsed.payload))
    return None if command.counter in session._answers else old(command, now_ms)


def _forgets_while_deciding(old: Any, session: Any, command: Command, now_ms: int) -> Any:
    """Know a repeat by its answers alone, which are not there yet."""
    if not session._answers.get(command.counter):
        session._answers.pop(command.counter, None)
        session._command_counter = min(session._command_counter, command.counter - 1)
    return old(command, now_ms)


def _keeps_four(old: Any, session: Any, counter: int) -> None:
    while len(session._answers) >= 4:
        del session._answers[next(iter(session._answers))]
    old(counter)


def _any_counter(old: Any, session: Any, command: Command, now_ms: int) -> Any:
    if command.counter not in session._answers:
        session._command_counter = 0
    return old(command, now_ms)


def _deadline_first(old: Any, session: Any, command: Command, now_ms: int) -> Any:
    known = command.counter in session._answers
    if not known and until_ms(now_ms, command.deadline_ms) < 0:
        session.answer(command.counter, command.op, Answer.STALE)
        return None
    return old(command, now_ms)


def _no_deadline(old: Any, session: Any, command: Command, now_ms: int) -> Any:
    return old(command._replace(deadline_ms=add_ms(now_ms, 1000)), now_ms)


def _decodes_loosely(refusal: Answer) -> Spoil:
    """Answer what is out of range instead of dropping it."""

    def on_body(old: Any, session: Any, body: bytes, now_ms: int) -> Any:
        parsed = parse(body)
        before = session.rejects[Reject.RANGE]
        taken = old(body, now_ms)
        if session.rejects[Reject.RANGE] > before and isinstance(parsed, Parsed):
            counter = int.from_bytes(parsed.payload[:4], "little")
            session._send_tagged(Ack(counter, min(max(parsed.payload[8], 1), 12), refusal))
        return taken

    return on_session(_on_body=on_body)


def _ranges_of_ops_only(old: Any, session: Any, body: bytes, now_ms: int) -> Any:
    """Look at the operation's range, and at no other."""
    parsed = parse(body)
    before = session.rejects[Reject.RANGE]
    taken = old(body, now_ms)
    if session.rejects[Reject.RANGE] == before or not isinstance(parsed, Parsed):
        return taken
    if 1 <= parsed.payload[8] <= 12:
        counter = int.from_bytes(parsed.payload[:4], "little")
        session._send_tagged(Ack(counter, parsed.payload[8], Answer.OUT_OF_RANGE))
    return taken


def _longer_is_fine(old: Any, session: Any, body: bytes, now_ms: int) -> Any:
    if body[1] == ID_OF[Command] and len(body) == 8 + 33 + 8:
        counter = int.from_bytes(body[8:12], "little")
        session._send_tagged(Ack(counter, body[16], Answer.WRONG_STATE))
        return None
    return old(body, now_ms)


def _counters_go_on(old: Any, session: Any, keys: Any, now_ms: int) -> None:
    kept = session._command_counter
    old(keys, now_ms)
    session._command_counter = kept


def _stop_for_anybody(old: Any, session: Any, parsed: Parsed) -> Any:
    taken = old(parsed)
    if taken in (Reject.SESSION, Reject.TAG):
        stop: Any = decode(parsed.message_id, parsed.payload)
        session._send(Ack(stop.counter, Op.STOP, Answer.ACCEPTED), session._stop_keys[0], 0)
        return stop
    return taken


def _stop_for_any_key(old: Any, session: Any, parsed: Parsed) -> Any:
    stop: Any = decode(parsed.message_id, parsed.payload)
    if stop.boot_id != session.identity.boot_id:
        return old(parsed)
    return _stop_for_anybody(old, session, parsed)


def _stop_without_ack(old: Any, session: Any, parsed: Parsed) -> Any:
    kept = session._send
    session._send = lambda *_a: b""
    taken = old(parsed)
    session._send = kept
    return taken


def _judge_else(old_answer: Callable[[Any, Command], Answer | None]) -> Spoil:
    """Answer some commands otherwise."""

    def on_command(old: Any, firmware: Any, command: Command, readings: Any) -> None:
        answer = old_answer(firmware, command)
        if answer is None:
            old(command, readings)
            return
        firmware.session.answer(command.counter, command.op, answer)
        if answer is Answer.ACCEPTED:
            firmware.session.done(command.counter, command.op, Result.OK)

    return on_firmware(_on_command=on_command)


def _ends_always(_firmware: Any, command: Command) -> Answer | None:
    return Answer.ACCEPTED if command.op == Op.END and _firmware.state.state == 0 else None


def _clears_at_once(firmware: Any, command: Command) -> Answer | None:
    if command.op == Op.CLEAR and firmware.state.state in (8, 9):
        firmware.state.quiet_ms = 5_000
    return None


def _never_clears(_firmware: Any, command: Command) -> Answer | None:
    return Answer.FAULT_LATCHED if command.op == Op.CLEAR and _firmware.state.state else None


def _freezes_at_once(firmware: Any, command: Command) -> Answer | None:
    if command.op == Op.FREEZE and firmware.state.state == DeviceState.IDLE:
        return Answer.PRESSURE
    return None


def _arms_alone(firmware: Any, command: Command) -> Answer | None:
    if command.op == Op.ARM and firmware.state.lease_left_ms <= 0:
        return Answer.ACCEPTED
    return None


def _no_done(firmware: FirmwareModel) -> None:
    session: Any = firmware.session
    session.done = lambda *_a, **_k: None


def _done_first(firmware: FirmwareModel) -> None:
    session: Any = firmware.session
    old = session.answer

    def answer(counter: int, op: int, found: Answer) -> None:
        if found is Answer.ACCEPTED and op == Op.SELF_TEST:
            session._answer(counter, Done(counter, op, Result.OK, 0))
        old(counter, op, found)

    session.answer = answer


def _opens_in_self_test(probe: BadProbe, body: bytes) -> bytes:
    in_test = probe.firmware.state.state == DeviceState.SELF_TEST
    return fields(Telemetry, valve_permille=300 if in_test else 0)(probe, body)


def skips_after(is_one: Callable[[Parsed, Any], bool]) -> Say:
    """Use up a sequence number more before some frames."""

    def say(probe: BadProbe, body: bytes) -> bytes:
        parsed = parse(body)
        assert isinstance(parsed, Parsed)
        ahead: dict[bytes, int] = probe.held.setdefault("answers", {})
        skipped = probe.held.setdefault("skipped", 0)
        if body not in ahead:
            skipped += is_one(parsed, decode(parsed.message_id, parsed.payload))
            probe.held["skipped"] = skipped
            if isinstance(decode(parsed.message_id, parsed.payload), Ack | Done):
                ahead[body] = skipped
        seq = parsed.seq + ahead.get(body, skipped) & 0xFFFF
        return wrap(probe.again(body, parsed.payload, seq=seq))

    return say


# -- lease and timer ------------------------------------------------------------------------------


def _says_lease(value: int) -> Spoil:
    def lease_left(old: Any, session: Any, now_ms: int) -> int:
        return value if old(now_ms) else 0

    return on_session(lease_left_ms=lease_left)


def _renews_a_long_lease(firmware: FirmwareModel) -> None:
    """Hold a lease for as long as it claims, in steps of what may be shown."""
    session: Any = firmware.session
    session.claim = None
    old_lease, old_bytes = session._on_lease, session.on_bytes

    def on_lease(lease: Lease, now_ms: int) -> Any:
        taken = old_lease(lease, now_ms)
        session.claim = lease.valid_until_ms if taken is None else session.claim
        return taken

    def on_bytes(data: bytes, now_ms: int) -> Any:
        if session.claim is not None and until_ms(now_ms, session.claim) > 300:
            session._lease_until_ms = add_ms(now_ms, 300)
            session.owner_until_ms = add_ms(now_ms, 1000)
        return old_bytes(data, now_ms)

    session._on_lease, session.on_bytes = on_lease, on_bytes


def _any_lease_counter(old: Any, session: Any, lease: Lease, now_ms: int) -> Any:
    session._lease_counter = lease.counter - 1
    return old(lease, now_ms)


def _any_lease_time(old: Any, session: Any, lease: Lease, now_ms: int) -> Any:
    return old(lease._replace(valid_until_ms=add_ms(now_ms, 300)), now_ms)


def _owned_for_ever(old: Any, session: Any, lease: Lease, now_ms: int) -> Any:
    taken = old(lease, now_ms)
    session.owner_until_ms = add_ms(now_ms, 4000)
    return taken


def _watch(change: Callable[[Any], None]) -> Spoil:
    """Change what the firmware knows before it looks for causes."""

    def watch(old: Any, firmware: Any) -> None:
        old()
        change(firmware)

    return on_firmware(_watch_controller=watch)


def _forgets_its_lease(firmware: Any) -> None:
    if firmware.state.state == DeviceState.FREEZE:
        firmware.state.lease_left_ms = 300


def _late_lease(firmware: Any) -> None:
    s = firmware.state
    if s.state == DeviceState.FREEZE and s.lease_left_ms <= 0:
        firmware.late = getattr(firmware, "late", 0) + 1
        if firmware.late < 20:
            s.lease_left_ms = 10


def _believes_any_mode(firmware: Any) -> None:
    firmware.state.mode_mismatches = 0


def _slow_timer(old: Any, firmware: Any, command: Command) -> None:
    old(command._replace(duration_ms=command.duration_ms * 2))


def _quick_timer(old: Any, firmware: Any, command: Command) -> None:
    old(command._replace(duration_ms=command.duration_ms // 2))


def _stop_later(old: Any, firmware: Any, stop: Stop) -> None:
    if firmware.state.state == DeviceState.FREEZE:
        firmware.due = (firmware.state.now_ms + 400, stop)
        return
    old(stop)


def _late_stop(firmware: FirmwareModel) -> None:
    thing: Any = firmware
    thing.due = None
    on_firmware(_on_stop=_stop_later)(firmware)
    stopped = FirmwareModel._on_stop
    old = thing._watch_controller

    def watch() -> None:
        old()
        if thing.due is not None and thing.state.now_ms >= thing.due[0]:
            stopped(thing, thing.due[1])
            thing.due = None

    thing._watch_controller = watch


def _never_locked(old: Any, session: Any, now_ms: int) -> None:
    """Count nothing."""


def _locks_for(ms: int) -> Spoil:
    def on_bad_tag(old: Any, session: Any, now_ms: int) -> None:
        was = session._locked_until_ms
        old(now_ms)
        if was is None and session._locked_until_ms is not None:
            session._locked_until_ms = add_ms(now_ms, ms)

    return on_session(_on_bad_tag=on_bad_tag)


def _chokes_on_its_echo(old: Any, session: Any, body: bytes, now_ms: int) -> Any:
    session.dead = getattr(session, "dead", False) or body[1] == ID_OF[Telemetry]
    return None if session.dead else old(body, now_ms)


def _event_number_stands(old: Any, session: Any, event: Event) -> None:
    session._send_tagged(event._replace(number=1, state=session.state))


_BATTERY: Final = int(Sensor.BATTERY)

DEFECTS: Final[dict[str, Defect]] = {
    # What it sends.
    "crc_big_endian": Defect("L0.frames", "CRC, byte", wire(_crc_backwards)),
    "cobs_code_off_by_one": Defect("L0.frames", "COBS code, byte", wire(_cobs_off_by_one)),
    "no_delimiters": Defect("L0.frames", "delimiter", wire(lambda framed: framed[:-1])),
    "frame_version_2": Defect("L0.frames", "version, byte 0", header(Telemetry, 0, 0x20)),
    "unknown_flag": Defect("L0.frames", "flags, byte 0", header(Vitals, 0, 0x14)),
    "unknown_message": Defect("L0.frames", "message id, byte 1", header(Vitals, 1, 0x04)),
    "message_of_a_controller": Defect("L0.frames", "message id, byte 1", header(Vitals, 1, 0x21)),
    "vitals_too_long": Defect("L0.frames", "VITALS payload", payload(Vitals, lambda p: p + b"\0")),
    "telemetry_too_short": Defect(
        "L0.frames", "TELEMETRY payload", payload(Telemetry, lambda p: p[:-2])
    ),
    "state_out_of_range": Defect(
        "L0.frames", "TELEMETRY.state, payload byte 4", fields(Telemetry, state=11)
    ),
    "serial_number_padded_with_ff": Defect(
        "L0.frames", "HELLO.device_id", fields(Hello, device_id=b"ABC".ljust(16, b"\xff"))
    ),
    "session_without_a_tag": Defect(
        "L0.frames", "VITALS session, bytes 4 to 7", header(Vitals, 4, 9)
    ),
    "sequence_stands_still": Defect("L0.sequence", "sequence number", _one_sequence_number),
    "sequence_for_each_message": Defect("L0.sequence", "sequence number", _seq_by_kind),
    # HELLO.
    "nonce_not_echoed": Defect("L0.hello", "HELLO", fields(Hello, host_nonce=0)),
    "another_table": Defect("L0.table", "HELLO.schema_hash", fields(Hello, schema_hash=1)),
    "another_major_version": Defect("L0.table", "HELLO.major", fields(Hello, major=2)),
    "one_nonce_for_all": Defect(
        "L0.nonce", "HELLO.device_nonce", spoil=on_session(_on_hello=_constant_nonce)
    ),
    "a_nonce_each_time": Defect(
        "L0.nonce", "HELLO.device_nonce", spoil=on_session(_on_hello=_new_nonce_each_time)
    ),
    "deaf_to_other_tables": Defect(
        "L0.other-table", "HELLO", spoil=on_session(_on_hello=_deaf_to_other_tables)
    ),
    "promises_100_ms": Defect(
        "L0.period", "HELLO.telemetry_period_ms", fields(Hello, telemetry_period_ms=100)
    ),
    "promises_10_ms": Defect(
        "L0.rate", "TELEMETRY.device_ms", fields(Hello, telemetry_period_ms=10)
    ),
    "clock_stands_still": Defect(
        "L0.rate", "TELEMETRY.device_ms", fields(Telemetry, device_ms=500)
    ),
    "clock_is_fast": Defect("L0.clock", "TELEMETRY.device_ms", _fast_clock),
    "few_vitals": Defect("L0.vitals", "VITALS", left_out(Vitals, keep=25)),
    "vitals_tip_big_endian": Defect(
        "L0.vitals-fields", "VITALS.tip_mdegc", payload(Vitals, _swap_tip)
    ),
    "vitals_supply_in_bar": Defect(
        "L0.vitals-fields", "VITALS.supply_mbar", fields(Vitals, supply_mbar=lambda v: v // 1000)
    ),
    "lease_without_an_owner": Defect(
        "L0.rest", "TELEMETRY.lease_left_ms", fields(Telemetry, lease_left_ms=300)
    ),
    "valve_open_at_rest": Defect(
        "L0.frames", "TELEMETRY.valve_permille", fields(Telemetry, valve_permille=300)
    ),
    "heater_on_at_rest": Defect(
        "L0.vitals-fields",
        "VITALS.tip_heater_permille",
        fields(Telemetry, tip_heater_permille=100),
    ),
    "battery_it_has_not": Defect(
        "L0.sensors", "TELEMETRY.battery_mv", fields(Hello, sensors=lambda s: s & ~_BATTERY)
    ),
    # What it makes of broken bytes.
    "deaf_after_noise": Defect("L0.noise", "HELLO", spoil=deframed(_deaf_after_noise)),
    "deaf_after_delimiters": Defect("L0.delimiters", "HELLO", spoil=deframed(_deaf_after_empty)),
    "whole_frames_only": Defect("L0.pieces", "HELLO", spoil=deframed(_whole_frames_only)),
    "takes_the_end_of_what_is_too_long": Defect(
        "L0.too-long", "HELLO", spoil=deframed(_begins_anew_at_the_limit)
    ),
    "deaf_after_2000_bytes": Defect(
        "L0.much-too-long", "HELLO", spoil=deframed(_gives_up_after_much)
    ),
    "no_crc": Defect("L0.crc", "HELLO", spoil=deframed(_no_crc)),
    "any_version": Defect("L0.version", "HELLO", spoil=_mended(change=_as_version_1)),
    "any_flag": Defect("L0.flags", "HELLO", spoil=_mended(change=_without_flags)),
    "any_size": Defect("L0.size", "HELLO", spoil=_mended(change=_cut_greeting)),
    "deaf_after_an_unknown_message": Defect(
        "L0.unknown-id", "HELLO", spoil=on_session(_on_body=_unknown_kills)
    ),
    # Session and commands.
    "keys_swapped": Defect("L1.session", "TELEMETRY session", spoil=_keys_swapped),
    "telemetry_never_tagged": Defect("L1.session", "TELEMETRY session", _untagged_telemetry),
    "session_for_any_table": Defect(
        "L1.other-table", "HELLO.device_nonce", spoil=on_session(_on_hello=_session_for_any_table)
    ),
    "no_done": Defect("L1.done", "DONE", spoil=_no_done),
    "done_before_ack": Defect("L1.done", "ACK", spoil=_done_first),
    "ack_of_another_op": Defect("L1.done", "ACK.op", fields(Ack, op=3)),
    "done_failed": Defect("L1.done", "DONE.result", fields(Done, result=1)),
    "valve_opens_in_self_test": Defect(
        "L1.done",
        "TELEMETRY.valve_permille",
        _opens_in_self_test,
    ),
    "repeats_are_carried_out": Defect(
        "L1.retry", "TELEMETRY.state", spoil=on_session(_on_command=_carries_repeats_out)
    ),
    "repeats_are_answered_anew": Defect(
        "L1.retry", "ACK", spoil=on_session(_on_command=_answers_repeats_anew)
    ),
    "two_copies_are_two": Defect(
        "L1.two-copies", "ACK", spoil=on_session(_on_command=_forgets_while_deciding)
    ),
    "keeps_four_answers": Defect("L1.kept", "ACK", spoil=on_session(_keep=_keeps_four)),
    "any_counter": Defect(
        "L1.old-counter", "ACK.answer", spoil=on_session(_on_command=_any_counter)
    ),
    "deadline_before_counter": Defect(
        "L1.old-counter", "ACK.answer", spoil=on_session(_on_command=_deadline_first)
    ),
    "no_deadline": Defect("L1.stale", "ACK.answer", spoil=on_session(_on_command=_no_deadline)),
    "ends_what_has_not_begun": Defect(
        "L1.wrong-state", "ACK.answer", spoil=_judge_else(_ends_always)
    ),
    "answers_an_unknown_op": Defect(
        "L1.unknown-op", "ACK", spoil=_decodes_loosely(Answer.NOT_PROVIDED)
    ),
    "answers_what_is_out_of_range": Defect(
        "L1.range", "ACK", spoil=on_session(_on_body=_ranges_of_ops_only)
    ),
    "longer_commands": Defect("L1.size", "ACK", spoil=on_session(_on_body=_longer_is_fine)),
    "commands_without_a_tag": Defect(
        "L1.untagged", "ACK", spoil=on_session(_on_body=_takes_commands_untagged)
    ),
    "tells_nobody_that_it_is_owned": Defect(
        "L1.newcomer", "HELLO.owned", spoil=on_session(owned=_never_owned)
    ),
    "counters_go_on": Defect("L1.anew", "ACK", spoil=on_session(_promote=_counters_go_on)),
    "stop_for_any_boot": Defect(
        "L1.other-boot", "ACK", spoil=on_session(_on_stop=_stop_for_anybody)
    ),
    "stop_without_ack": Defect("L1.stop", "ACK", spoil=on_session(_on_stop=_stop_without_ack)),
    "clears_at_once": Defect("L1.stop", "ACK.answer", spoil=_judge_else(_clears_at_once)),
    "never_clears": Defect("L1.clear", "ACK.answer", spoil=_judge_else(_never_clears)),
    "event_count_stands": Defect(
        "L1.events", "TELEMETRY.event_count", fields(Telemetry, event_count=1)
    ),
    "event_number_stands": Defect(
        "L1.events", "EVENT.number", spoil=on_session(send_event=_event_number_stands)
    ),
    "wrong_tag_under_events": Defect("L1.frames", "EVENT tag, last 8 bytes", _wrong_tag(Event)),
    "skips_a_number_after_done": Defect(
        "L1.frames", "sequence number", skips_after(lambda _p, it: isinstance(it, Done))
    ),
    # Lease and freeze timer.
    "shows_a_longer_lease": Defect("L2.left", "TELEMETRY.lease_left_ms", spoil=_says_lease(1000)),
    "holds_a_long_lease": Defect("L2.long", "TELEMETRY.lease_left_ms", spoil=_renews_a_long_lease),
    "any_lease_counter": Defect(
        "L2.again", "TELEMETRY.lease_left_ms", spoil=on_session(_on_lease=_any_lease_counter)
    ),
    "any_lease_time": Defect(
        "L2.void", "TELEMETRY.lease_left_ms", spoil=on_session(_on_lease=_any_lease_time)
    ),
    "owned_for_4_s": Defect("L2.lapse", "HELLO.owned", spoil=on_session(_on_lease=_owned_for_ever)),
    "arms_without_a_lease": Defect("L2.arm", "ACK.answer", spoil=_judge_else(_arms_alone)),
    "judges_pressure_before_state": Defect(
        "L2.two-actions", "ACK.answer", spoil=_judge_else(_freezes_at_once)
    ),
    "freezes_without_a_lease": Defect(
        "L2.lease-off", "TELEMETRY.valve_permille", spoil=_watch(_forgets_its_lease)
    ),
    "lease_ends_200_ms_late": Defect(
        "L2.lease-off", "TELEMETRY.valve_permille", spoil=_watch(_late_lease)
    ),
    "freezes_twice_as_long": Defect(
        "L2.timer-off", "TELEMETRY.valve_permille", spoil=on_firmware(_on_freeze=_slow_timer)
    ),
    "freezes_half_as_long": Defect(
        "L2.timer-off", "TELEMETRY.", spoil=on_firmware(_on_freeze=_quick_timer)
    ),
    "believes_any_mode": Defect(
        "L2.mode-off", "TELEMETRY.valve_permille", spoil=_watch(_believes_any_mode)
    ),
    "stops_400_ms_late": Defect("L2.stop-off", "TELEMETRY.valve_permille", spoil=_late_stop),
    "skips_a_number_as_it_freezes": Defect(
        "L2.frames",
        "sequence number",
        skips_after(lambda _p, it: isinstance(it, Event) and it.state == DeviceState.FREEZE),
    ),
    # Tags.
    "tag_without_the_payload": Defect("L3.bit", "ACK", spoil=_tag_at(_header_only)),
    "tag_without_the_header": Defect("L3.header", "ACK", spoil=_tag_at(_payload_only)),
    "four_bytes_of_tag": Defect("L3.whole-tag", "ACK", spoil=_tag_at(_first_four)),
    "any_key": Defect("L3.wrong-key", "ACK", spoil=_tag_at(_any_key)),
    "takes_either_direction": Defect(
        "L3.reflection", "ACK", spoil=on_session(_proved_by=_takes_either_direction)
    ),
    "chokes_on_its_echo": Defect("L3.echo", "ACK", spoil=on_session(_on_body=_chokes_on_its_echo)),
    "remembers_old_sessions": Defect(
        "L3.old-session", "ACK", spoil=on_session(_on_body=_remembers_old_sessions)
    ),
    "stop_under_any_key": Defect(
        "L3.forged-stop", "ACK", spoil=on_session(_on_stop=_stop_for_any_key)
    ),
    "never_locked": Defect(
        "L3.lock-out", "TELEMETRY flags", spoil=on_session(_on_bad_tag=_never_locked)
    ),
    "skips_a_number_as_it_locks": Defect(
        "L3.frames",
        "sequence number",
        skips_after(lambda _p, it: isinstance(it, Event) and it.code == 3),
    ),
    "locked_for_100_ms": Defect("L3.lock-out", "HELLO.device_nonce", spoil=_locks_for(100)),
    "locked_for_a_minute": Defect("L3.lock-out", "HELLO.device_nonce", spoil=_locks_for(60_000)),
}
