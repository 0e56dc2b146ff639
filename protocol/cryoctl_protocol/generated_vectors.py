"""Golden vectors: bytes with what they mean, or why they must be refused, for every implementation.

They live in version control, so that a change of any byte on the wire is seen in a review.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from cryoctl_protocol.auth import (
    DEMO_KEY,
    INFO_DOWN,
    INFO_STOP,
    INFO_UP,
    TagKey,
    hkdf_sha256,
    session_keys,
    stop_key,
)
from cryoctl_protocol.codec import PACKERS, SCHEMA_HASH, encode
from cryoctl_protocol.codes import (
    Answer,
    Capability,
    DeviceState,
    EventCode,
    HostMode,
    Op,
    Result,
    SafeAction,
    Sensor,
    ThawMode,
    Trip,
)
from cryoctl_protocol.framing import BODY_SIZE_MAX, DELIMITER, FLAG_TAGGED, Reject, build, wrap
from cryoctl_protocol.generated_spec import range_of
from cryoctl_protocol.messages import (
    ID_OF,
    MESSAGE_BY_ID,
    PROTOCOL_MAJOR,
    PROTOCOL_MINOR,
    VENDOR_ID_FIRST,
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

Vector = dict[str, Any]

KEY: Final = bytes(range(32))
FORMER_KEY: Final = bytes(range(32, 64))
BOOT_ID: Final = 0xB007_1D42
HOST_NONCE: Final = 0x0123_4567_89AB_CDEF
DEVICE_NONCE: Final = 0xFEDC_BA98_7654_3210
_KEYS: Final = session_keys(KEY, HOST_NONCE, DEVICE_NONCE)
_STOP_KEY: Final = stop_key(KEY, BOOT_ID)
_FORMER_KEYS: Final = session_keys(FORMER_KEY, HOST_NONCE, DEVICE_NONCE)
_FORMER_STOP_KEY: Final = stop_key(FORMER_KEY, BOOT_ID)
_DOWN, _UP = MessageType.DOWN, MessageType.UP

_SALT: Final = HOST_NONCE.to_bytes(8, "little") + DEVICE_NONCE.to_bytes(8, "little")

_HELLO_HOST: Final = HelloHost(PROTOCOL_MAJOR, PROTOCOL_MINOR, SCHEMA_HASH, HOST_NONCE)
_HELLO: Final = Hello(
    major=PROTOCOL_MAJOR,
    minor=PROTOCOL_MINOR,
    schema_hash=SCHEMA_HASH,
    profile_hash=0x1234_5678,
    boot_id=BOOT_ID,
    host_nonce=HOST_NONCE,
    device_nonce=DEVICE_NONCE,
    key_id=1,
    owned=0,
    capabilities=int(Capability.LEASE | Capability.FREEZE_TIMER | Capability.AUTHENTICATION),
    sensors=int(Sensor.TIP | Sensor.SUPPLY_PRESSURE),
    telemetry_period_ms=20,
    device_id=b"CRYO-0001".ljust(16, b"\0"),
    firmware_id=b"1.0.0+golden".ljust(16, b"\0"),
    profile_id=b"n2o-20g".ljust(16, b"\0"),
)
_VITALS: Final = Vitals(123_456, DeviceState.FREEZE, -60_123, 50_250, 700, 0, 1)
_TELEMETRY: Final = Telemetry(
    device_ms=123_456,
    state=DeviceState.FREEZE,
    trip=Trip.NONE,
    open_circuit=int(Sensor.TIP_2),
    tip_mdegc=-60_123,
    tip_2_mdegc=0,
    skin_mdegc=31_000,
    supply_mbar=50_250,
    exhaust_mbar=1_180,
    exhaust_flow_ug_s=34_500,
    cartridge_mdegc=19_250,
    battery_mv=3_950,
    button=1,
    setpoint_mdegc=-60_000,
    valve_permille=700,
    shutoff_open=1,
    tip_heater_permille=0,
    skin_warmer_permille=250,
    led=1,
    beeper=0,
    stimulus_ua=0,
    stimulus_hz=0,
    stimulus_pulse_us=0,
    stimulus_response=0,
    freeze_ms=12_340,
    thaw_energy_mj=0,
    lease_left_ms=270,
    event_count=9,
)
_EVENT: Final = Event(
    123_456, 9, EventCode.TRIP, DeviceState.FAULT, Trip.TIP_FLOOR, -85_004, -85_000
)
_COMMAND: Final = Command(
    counter=7,
    deadline_ms=123_706,
    op=Op.FREEZE,
    mode=ThawMode.PASSIVE,
    cycles=0,
    treatment_hash=0,
    setpoint_mdegc=-60_000,
    duration_ms=90_000,
    energy_mj=0,
    stimulus_ua=0,
    stimulus_hz=0,
    stimulus_pulse_us=0,
)
_LEASE: Final = Lease(42, HostMode.FREEZE, 123_756)
_STOP: Final = Stop(1, BOOT_ID, SafeAction.THAW, Trip.OPERATOR_STOP)
_ACK: Final = Ack(7, Op.FREEZE, Answer.ACCEPTED)
_DONE: Final = Done(7, Op.LEAK_TEST, Result.OK, 120)
EXAMPLES: Final[tuple[Message, ...]] = (
    _HELLO_HOST,
    _HELLO,
    _VITALS,
    _TELEMETRY,
    _EVENT,
    _COMMAND,
    _LEASE,
    _STOP,
    _ACK,
    _DONE,
)


def golden_vectors() -> dict[str, Any]:
    """Return the contents of every vector file, by file name."""
    hash_text = f"0x{SCHEMA_HASH:08X}"
    return {
        "keys.json": {"schema_hash": hash_text, "vectors": list(_key_vectors())},
        "frames.json": {"schema_hash": hash_text, "vectors": list(_frame_vectors())},
        "rejects.json": {"schema_hash": hash_text, "vectors": list(_reject_vectors())},
        "sessions.json": {"schema_hash": hash_text, "vectors": list(_session_vectors())},
    }


# -- keys and frames -----------------------------------------------------------------------------


def _key_vectors() -> Iterator[Vector]:
    for name, key in (("counting bytes", KEY), ("the public demo key", DEMO_KEY)):
        yield {
            "name": f"session, {name}",
            "key": key.hex(),
            "host_nonce": HOST_NONCE,
            "device_nonce": DEVICE_NONCE,
            "session": session_keys(key, HOST_NONCE, DEVICE_NONCE).session,
            "down_key": hkdf_sha256(key, salt=_SALT, info=INFO_DOWN).hex(),
            "up_key": hkdf_sha256(key, salt=_SALT, info=INFO_UP).hex(),
        }
        salt = BOOT_ID.to_bytes(4, "little")
        yield {
            "name": f"stop, {name}",
            "key": key.hex(),
            "boot_id": BOOT_ID,
            "stop_key": hkdf_sha256(key, salt=salt, info=INFO_STOP).hex(),
        }


def _frame_vectors() -> Iterator[Vector]:
    for seq, message in enumerate(EXAMPLES):
        row = MESSAGE_BY_ID[ID_OF[type(message)]]
        for name, values in (
            ("example", message),
            ("smallest values", _extreme(row, 0)),
            ("largest values", _extreme(row, 1)),
        ):
            tagged = row.tagged or (row.cls is Telemetry and name == "example")
            yield _frame(f"{row.name}, {name}", values, seq=seq, tagged=tagged)
    yield _frame("TELEMETRY, outside a session", _TELEMETRY, seq=0xFFFF, tagged=False)


def _extreme(row: MessageType, end: int) -> Message:
    values: list[int | bytes] = []
    for _, field in row.fields:
        limits = range_of(field)
        byte = b"\xff" if end else b"\0"
        values.append(byte * field.kind.sizeof() if limits is None else limits[end])
    message: Message = row.cls(*values)
    return message


def _key_of(row: MessageType, *, tagged: bool) -> tuple[int, TagKey | None, bytes]:
    """Return session, key and key bytes that go with a message of this row."""
    if not tagged:
        return 0, None, b""
    if row.cls is Stop:
        salt = BOOT_ID.to_bytes(4, "little")
        return 0, _STOP_KEY, hkdf_sha256(KEY, salt=salt, info=INFO_STOP)
    info, key = (INFO_DOWN, _KEYS.down) if row.direction is _DOWN else (INFO_UP, _KEYS.up)
    return _KEYS.session, key, hkdf_sha256(KEY, salt=_SALT, info=info)


def _frame(name: str, message: Message, *, seq: int, tagged: bool) -> Vector:
    row = MESSAGE_BY_ID[ID_OF[type(message)]]
    session, key, key_bytes = _key_of(row, tagged=tagged)
    payload = encode(message)
    body = build(row.message_id, payload, seq=seq, session=session, key=key)
    return {
        "name": name,
        "wire": wrap(body).hex(),
        "body": body.hex(),
        "tag_key": key_bytes.hex(),
        "message": row.name,
        "seq": seq,
        "session": session,
        "payload": payload.hex(),
        "fields": {
            field: value.hex() if isinstance(value, bytes) else int(value)
            for field, value in message._asdict().items()
        },
    }


# -- frames to refuse ----------------------------------------------------------------------------


def _reject_vectors() -> Iterator[Vector]:
    for name, reason, wire in (*_broken_streams(), *_broken_bodies()):
        yield {"name": name, "reject": reason.value, "wire": wire.hex(), "tag_key": ""}
    for name, body in _broken_tags():
        key = hkdf_sha256(KEY, salt=_SALT, info=INFO_DOWN).hex()
        yield {"name": name, "reject": "tag", "wire": wrap(body).hex(), "tag_key": key}
    yield from _out_of_range()


def _out_of_range() -> Iterator[Vector]:
    """Yield every range of the table overstepped by one, all else being right."""
    for message in EXAMPLES:
        row = MESSAGE_BY_ID[ID_OF[type(message)]]
        session, tag_key, key_bytes = _key_of(row, tagged=row.tagged)
        for index, (name, field) in enumerate(row.fields):
            outside = ((field.low, -1), (field.high, +1))
            for value in (limit + step for limit, step in outside if limit is not None):
                if value < 0:
                    continue  # No unsigned field can hold it.
                values = (*message[:index], value, *message[index + 1 :])
                payload = PACKERS[row.message_id].pack(*values)
                body = build(row.message_id, payload, seq=0, session=session, key=tag_key)
                yield {
                    "name": f"{row.name}.{name} = {value}",
                    "reject": Reject.RANGE.value,
                    "wire": wrap(body).hex(),
                    "tag_key": key_bytes.hex(),
                }


def _plain(message: Message) -> bytes:
    return build(ID_OF[type(message)], encode(message), seq=0, session=0, key=None)


def _broken_streams() -> Iterator[tuple[str, Reject, bytes]]:
    wire = wrap(_plain(_VITALS))
    middle = len(wire) // 2
    flipped = bytes([wire[middle] ^ 0x10])
    yield "one bit of the payload flipped", Reject.CRC, wire[:middle] + flipped + wire[middle + 1 :]
    yield "last byte of the CRC changed", Reject.CRC, wire[:-2] + bytes([wire[-2] ^ 1]) + DELIMITER
    yield "two bytes exchanged", Reject.CRC, wire[:9] + wire[10:8:-1] + wire[11:]
    yield "first code byte points past the end", Reject.COBS, b"\xff" + wire[1:]
    yield "end cut off", Reject.COBS, wire[:-3] + DELIMITER
    yield "one byte, a code byte that promises more", Reject.COBS, b"\x02\x00"
    yield "nothing but an empty group", Reject.CRC, b"\x01\x00"
    yield "babble without a delimiter", Reject.OVERSIZE, b"\x55" * 222 + DELIMITER
    yield "one byte longer than a frame may be", Reject.OVERSIZE, b"\xde" * 222 + DELIMITER
    yield "no body, a valid CRC", Reject.SHORT, wrap(b"")
    yield "header one byte short", Reject.SHORT, wrap(_plain(_VITALS)[:7])


def _broken_bodies() -> Iterator[tuple[str, Reject, bytes]]:
    body = _plain(_VITALS)
    first = body[0]
    vendor = bytes([first, VENDOR_ID_FIRST]) + body[2:8]
    yield "frame version 0", Reject.VERSION, wrap(bytes([0]) + body[1:])
    yield "frame version 2", Reject.VERSION, wrap(bytes([0x20]) + body[1:])
    yield "frame version 15 with every flag", Reject.VERSION, wrap(b"\xff" + body[1:])
    for flag in (2, 4, 8):
        yield f"unknown flag {flag}", Reject.FLAGS, wrap(bytes([first | flag]) + body[1:])
    yield "unknown flag beside the known", Reject.FLAGS, wrap(bytes([first | 3]) + body[1:])
    for message_id in (0x00, 0x04, 0xBF, 0xF0, 0xFF):
        other = bytes([first, message_id]) + body[2:]
        yield f"unknown id 0x{message_id:02X}", Reject.UNKNOWN_ID, wrap(other)
    yield "payload one byte short", Reject.SIZE, wrap(body[:-1])
    yield "payload one byte long", Reject.SIZE, wrap(body + b"\0")
    yield "no payload", Reject.SIZE, wrap(body[:8])
    tagged = bytes([first | FLAG_TAGGED]) + body[1:]
    yield "flagged as tagged, no tag", Reject.SIZE, wrap(tagged)
    short = bytes([first | FLAG_TAGGED]) + vendor[1:] + bytes(7)
    yield "vendor frame, tag one byte short", Reject.SHORT, wrap(short)
    long = vendor + bytes(BODY_SIZE_MAX + 1 - len(vendor))
    yield "vendor frame, body one byte long", Reject.OVERSIZE, wrap(long)


def _broken_tags() -> Iterator[tuple[str, bytes]]:
    command = encode(_COMMAND)
    command_id = ID_OF[Command]
    good = build(command_id, command, seq=0, session=_KEYS.session, key=_KEYS.down)
    yield "first bit of the tag flipped", good[:-8] + bytes([good[-8] ^ 0x80]) + good[-7:]
    yield "last bit of the tag flipped", good[:-1] + bytes([good[-1] ^ 1])
    yield "tag of zeros", good[:-8] + bytes(8)
    yield "sequence number changed", good[:2] + b"\x01" + good[3:]
    yield "session changed", good[:4] + bytes([good[4] ^ 1]) + good[5:]
    yield "set-point changed", good[:23] + bytes([good[23] ^ 1]) + good[24:]
    reflected = build(command_id, command, seq=0, session=_KEYS.session, key=_KEYS.up)
    yield "tagged with the key of the other direction", reflected
    stop_keyed = build(command_id, command, seq=0, session=_KEYS.session, key=_STOP_KEY)
    yield "tagged with the stop key", stop_keyed


# -- conversations -------------------------------------------------------------------------------


def _session_vectors() -> Iterator[Vector]:
    """Yield conversations of one device each; the clock of the first wraps on the way."""
    for name, former_key, steps in (
        ("one device, from HELLO to a dropped session", b"", _steps()),
        ("a device with two keys, a controller with the former", FORMER_KEY, _two_key_steps()),
    ):
        yield {
            "name": name,
            "key": KEY.hex(),
            "former_key": former_key.hex(),
            "boot_id": BOOT_ID,
            "host_nonce": HOST_NONCE,
            "device_nonce": DEVICE_NONCE,
            "outcomes": "hello, hello without device nonce, lease, request (then ACK ACCEPTED), "
            "ack ANSWER, nothing, reject REASON",
            "steps": [
                {"name": step, "now_ms": now_ms, "wire": wrap(body).hex(), "outcome": outcome}
                for step, now_ms, body, outcome in steps
            ],
        }


def _steps() -> Iterator[tuple[str, int, bytes, str]]:
    # The device clock wraps after 0xFFFF_FFFF.
    start = 0xFFFF_FF00
    yield "greeting", start, _plain(_HELLO_HOST), "hello"
    yield "greeting again", start + 10, _plain(_HELLO_HOST), "hello"
    queued = Lease(1, HostMode.IDLE, start - 1)
    yield "first lease proves the key but came too late", start + 20, _down(queued), "nothing"
    lease = _down(Lease(2, HostMode.IDLE, 44))
    yield "lease, valid across the wrap", start + 30, lease, "lease"
    yield "the same lease again", start + 40, lease, "reject replay"
    arm = _COMMAND._replace(counter=1, deadline_ms=start + 50)
    yield "command in its last millisecond", start + 50, _down(arm), "request"
    late = arm._replace(counter=2)
    yield "another, one millisecond late", start + 51, _down(late), "ack STALE"
    yield "the first bytes again are a retry", start + 90, _down(arm), "ack ACCEPTED"
    wrapped = arm._replace(counter=5, deadline_ms=10)
    yield "deadline beyond the wrap", start + 200, _down(wrapped), "request"
    yield "a counter passed over", start + 210, _down(arm._replace(counter=4)), "ack OLD_COUNTER"
    yield "no tag", start + 220, _plain(wrapped), "reject untagged"
    foreign = session_keys(KEY, HOST_NONCE, DEVICE_NONCE + 1)
    foreign_body = _down(wrapped, session=foreign.session, key=foreign.down)
    yield "foreign session", start + 230, foreign_body, "reject session"
    ack = build(ID_OF[Ack], encode(_ACK), seq=0, session=_KEYS.session, key=_KEYS.up)
    yield "its own answer, reflected", start + 240, ack, "reject direction"
    stop = _down(_STOP, session=0, key=_STOP_KEY)
    yield "stop", start + 250, stop, "request"
    yield "stop, replayed after the wrap", 500, stop, "request"
    previous_boot = _down(_STOP, session=0, key=stop_key(KEY, BOOT_ID - 1))
    yield "stop recorded before a restart", 510, previous_boot, "reject tag"
    named = _down(_STOP._replace(boot_id=BOOT_ID - 1), session=0, key=stop_key(KEY, BOOT_ID - 1))
    yield "stop that names the boot before: no guess", 515, named, "reject session"
    forged = _down(arm._replace(counter=6, deadline_ms=2000), key=_KEYS.up)
    yield "forged", 520, forged, "reject tag"
    yield "forged again: the session ends", 530, forged, "reject tag"
    yield "a good command, too late", 540, _down(arm._replace(counter=7)), "reject session"
    yield "stop needs no session", 550, stop, "request"
    other = _plain(_HELLO_HOST._replace(host_nonce=HOST_NONCE + 1))
    yield "greeting while it is locked", 2510, other, "hello without device nonce"
    yield "greeting afterwards", 2530, other, "hello"


def _two_key_steps() -> Iterator[tuple[str, int, bytes, str]]:
    yield "greeting", 1000, _plain(_HELLO_HOST), "hello"
    lease = Lease(1, HostMode.IDLE, 1300)
    foreign = session_keys(bytes(reversed(KEY)), HOST_NONCE, DEVICE_NONCE)
    yield "lease under neither key", 1010, _down(lease, key=foreign.down), "reject tag"
    yield "lease under the former key", 1020, _down(lease, key=_FORMER_KEYS.down), "lease"
    arm = _COMMAND._replace(counter=1, deadline_ms=1500)
    yield "the session has one key only", 1030, _down(arm), "reject tag"
    yield "command under it", 1040, _down(arm, key=_FORMER_KEYS.down), "request"
    yield "stop under the announced key", 1050, _down(_STOP, session=0, key=_STOP_KEY), "request"
    former = _down(_STOP, session=0, key=_FORMER_STOP_KEY)
    yield "stop under the former key", 1060, former, "request"


def _down(message: Message, *, session: int = _KEYS.session, key: TagKey = _KEYS.down) -> bytes:
    return build(ID_OF[type(message)], encode(message), seq=0, session=session, key=key)
