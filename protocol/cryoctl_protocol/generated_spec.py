"""The tables of SPEC.md, one for each of its markers; the prose around them is written by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from cryoctl_protocol import device_session as device
from cryoctl_protocol import framing
from cryoctl_protocol import host_session as host
from cryoctl_protocol.auth import TAG_SIZE
from cryoctl_protocol.codec import PAYLOAD_SIZE, SCHEMA_HASH, struct_code
from cryoctl_protocol.codes import ENUMERATIONS, TRIP_RULES
from cryoctl_protocol.framing import Reject
from cryoctl_protocol.link_limits import MQTT_LIMITS, STREAM_LIMITS
from cryoctl_protocol.messages import (
    MESSAGES,
    PROTOCOL_MAJOR,
    PROTOCOL_MINOR,
    VENDOR_ID_FIRST,
    VENDOR_ID_LAST,
    MessageType,
    WireField,
)
from cryoctl_protocol.profile import Limits, load_profile, shipped_profile_names
from cryoctl_protocol.quantities import number_text, unit_of

Rows = list[tuple[str, ...]]

TYPE_NAMES: Final = {"B": "u8", "H": "u16", "L": "u32", "Q": "u64", "l": "i32"}

# fmt: off
FRAME_CONSTANTS: Final[Rows] = [
    ("FRAME_VERSION", str(framing.FRAME_VERSION), "upper four bits of a frame's first byte"),
    ("FLAG_TAGGED", str(framing.FLAG_TAGGED), "lower four bits: a tag follows the payload"),
    ("HEADER_SIZE", f"{framing.HEADER_SIZE} bytes", "header"),
    ("TAG_SIZE", f"{TAG_SIZE} bytes", "authentication tag"),
    ("CRC_SIZE", f"{framing.CRC_SIZE} bytes", "checksum, stream links only"),
    ("BODY_SIZE_MAX", f"{framing.BODY_SIZE_MAX} bytes", "header, payload and tag"),
    ("WIRE_SIZE_MAX", f"{framing.WIRE_SIZE_MAX} bytes", "between two delimiters"),
    ("CRC_RESIDUE", f"0x{framing.CRC_RESIDUE:08X}", "CRC-32 of a body that its own CRC follows"),
    ("VENDOR_ID_FIRST", f"0x{VENDOR_ID_FIRST:02X}", "first message id free for a maker"),
    ("VENDOR_ID_LAST", f"0x{VENDOR_ID_LAST:02X}", "last message id free for a maker"),
]
HOST_CONSTANTS: Final[Rows] = [
    ("HELLO_PERIOD_S", f"{host.HELLO_PERIOD_S:g} s", "HELLO_HOST again after"),
    ("RETRY_PERIOD_S", f"{host.RETRY_PERIOD_S:g} s", "the same command again after"),
    ("TRIES", str(host.TRIES), "copies of a command, at most"),
    ("COMMAND_LIFE_MS", f"{host.COMMAND_LIFE_MS} ms", "deadline ahead of the device clock"),
    ("ASK_AGAIN_S", f"{host.ASK_AGAIN_S:g} s", "without a DONE, before the same bytes go again"),
    ("DONE_LIFE_S", f"{host.DONE_LIFE_S:g} s", "wait for DONE, at most"),
    ("LEASE_LIFE_MS", f"{host.LEASE_LIFE_MS} ms", "`valid_until_ms` ahead of the device clock"),
    ("REJECT_WINDOW_S", f"{host.REJECT_WINDOW_S:g} s", "rejected frames are counted over"),
    ("STALE_STREAM_S", f"{STREAM_LIMITS.stale_s:g} s", "telemetry is stale, serial and TCP"),
    ("LOST_STREAM_S", f"{STREAM_LIMITS.lost_s:g} s", "telemetry is lost, serial and TCP"),
    ("STALE_MQTT_S", f"{MQTT_LIMITS.stale_s:g} s", "telemetry is stale, MQTT"),
    ("LOST_MQTT_S", f"{MQTT_LIMITS.lost_s:g} s", "telemetry is lost, MQTT"),
]
DEVICE_CONSTANTS: Final[Rows] = [
    ("LEASE_LIFE_MS_MAX", f"{device.LEASE_LIFE_MS_MAX} ms", "life of a lease from its arrival"),
    ("OWNER_LIFE_MS", f"{device.OWNER_LIFE_MS} ms", "ownership after the last accepted lease"),
    ("RESULTS_KEPT", str(device.RESULTS_KEPT), "commands whose answers are remembered"),
    ("EXECUTING_MAX", str(device.EXECUTING_MAX), "commands without their DONE, at most"),
    ("RECEIVE_MAX", f"{device.RECEIVE_MAX} bytes", "read in one tick of 10 ms"),
    ("SEND_MAX", f"{device.SEND_MAX} bytes", "sent in one tick of 10 ms"),
    ("BAD_TAGS_MAX", str(device.BAD_TAGS_MAX), "bad tags that end a session"),
    ("BAD_TAG_WINDOW_MS", f"{device.BAD_TAG_WINDOW_MS} ms", "... within this time"),
    ("LOCK_OUT_MS", f"{device.LOCK_OUT_MS} ms", "no new session after that"),
    ("REJECT_WINDOW_MS", f"{device.REJECT_WINDOW_MS} ms", "rejected frames are counted over"),
]
REJECT_TEXT: Final[dict[Reject, tuple[str, str]]] = {
    Reject.OVERSIZE:   ("deframer", "longer than `WIRE_SIZE_MAX`, or a body than `BODY_SIZE_MAX`"),
    Reject.COBS:       ("deframer", "not a COBS group"),
    Reject.CRC:        ("deframer", "checksum differs"),
    Reject.SHORT:      ("parser", "no room for header, or for the tag that the flags promise"),
    Reject.VERSION:    ("parser", "another `FRAME_VERSION`"),
    Reject.FLAGS:      ("parser", "a flag that this version does not know"),
    Reject.UNKNOWN_ID: ("parser", "neither a message of the table nor of the vendor range"),
    Reject.SIZE:       ("parser", "not the one payload size of its message id"),
    Reject.DIRECTION:  ("session", "a message that only the receiver itself may send"),
    Reject.UNTAGGED:   ("session", "no tag where the table asks for one"),
    Reject.SESSION:    ("session", "tagged for a session, or a boot, that is not in force"),
    Reject.TAG:        ("session", "the tag is wrong"),
    Reject.RANGE:      ("session", "a value outside its field's range"),
    Reject.REPLAY:     ("session", "a lease counter, event number or clock that does not grow"),
}
# fmt: on


def spec_tables() -> dict[str, str]:
    """Return the Markdown of every generated part, by the name in its marker."""
    return {
        "versions": _versions(),
        "frame-constants": _table(("Name", "Value", "Meaning"), _named(FRAME_CONSTANTS)),
        "controller-constants": _table(("Name", "Value", "Meaning"), _named(HOST_CONSTANTS)),
        "device-constants": _table(("Name", "Value", "Meaning"), _named(DEVICE_CONSTANTS)),
        "message-list": _table(("Id", "Name", "Direction", "Tag", "Bytes", "Layout"), _messages()),
        "messages": "\n\n".join(_message(row) for row in MESSAGES),
        "enumerations": "\n\n".join(_enumeration(choices) for choices in ENUMERATIONS),
        "trips": _table(("Number", "Trip", "Requirement", "Made safe by", "Cause"), _trips()),
        "rejects": _table(("Reason", "Found by", "Meaning"), _rejects()),
        "profiles": _profiles(),
    }


def range_of(field: WireField) -> tuple[int, int] | None:
    """Return the smallest and largest valid value of a number; None for text."""
    code = struct_code(field)
    if code.endswith("s"):
        return None
    bits = 8 * field.kind.sizeof()
    low, high = (0, 2**bits - 1) if code.isupper() else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return (
        low if field.low is None else field.low,
        high if field.high is None else field.high,
    )


def offsets(row: MessageType) -> Iterator[tuple[int, str, WireField]]:
    """Yield offset in the payload, name and wire field, in wire order."""
    offset = 0
    for name, field in row.fields:
        yield offset, name, field
        offset += field.kind.sizeof()


def _table(head: tuple[str, ...], rows: Rows) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _named(constants: Rows) -> Rows:
    return [(f"`{name}`", value, meaning) for name, value, meaning in constants]


def _versions() -> str:
    return (
        f"Protocol version **{PROTOCOL_MAJOR}.{PROTOCOL_MINOR}**, "
        f"schema hash **0x{SCHEMA_HASH:08X}**."
    )


def _messages() -> Rows:
    return [
        (
            f"0x{row.message_id:02X}",
            f"[{row.name}](#{row.name.lower()})",
            row.direction,
            "always" if row.tagged else "see below",
            str(PAYLOAD_SIZE[row.message_id]),
            "frozen for ever" if row.frozen else "by schema hash",
        )
        for row in MESSAGES
    ]


def _message(row: MessageType) -> str:
    rows: Rows = [
        (
            str(offset),
            f"`{name}`",
            TYPE_NAMES.get(struct_code(field), f"bytes {field.kind.sizeof()}"),
            field.unit,
            "" if field.low is None and field.high is None else _range_text(field),
            field.doc,
        )
        for offset, name, field in offsets(row)
    ]
    head = ("Offset", "Field", "Type", "Unit", "Range", "Meaning")
    doc = " ".join(line.strip() for line in (row.cls.__doc__ or "").splitlines()).strip()
    title = f"#### {row.name}\n\n0x{row.message_id:02X}, {row.direction}. {doc}"
    return f"{title}\n\n{_table(head, rows)}"


def _range_text(field: WireField) -> str:
    limits = range_of(field)
    assert limits is not None
    return f"{limits[0]} to {limits[1]}"


def _enumeration(choices: Any) -> str:
    doc = (choices.__doc__ or "").splitlines()[0]
    rows: Rows = [(str(int(choice)), f"`{choice.name}`") for choice in choices]
    return f"#### {choices.__name__}\n\n{doc}\n\n{_table(('Value', 'Name'), rows)}"


def _trips() -> Rows:
    return [
        (str(int(trip)), f"`{trip.name}`", rule.requirement, rule.action.name, rule.text)
        for trip, rule in TRIP_RULES.items()
    ]


def _rejects() -> Rows:
    return [(f"`{reason}`", stage, text) for reason, (stage, text) in REJECT_TEXT.items()]


def _profiles() -> str:
    profiles = [load_profile(name) for name in shipped_profile_names()]
    rows: Rows = [("profile hash", "", *(f"0x{profile.hash32:08X}" for profile in profiles), "")]
    rows.append(("research", "", *("yes" if p.probe.research else "" for p in profiles), ""))
    for name, field in Limits.model_fields.items():
        values = (number_text(getattr(profile.limits, name)) for profile in profiles)
        rows.append((f"`{name}`", unit_of(field), *values, field.description or ""))
    head = ("Limit", "Unit", *(f"`{profile.probe.id}`" for profile in profiles), "Meaning")
    return _table(head, rows)
