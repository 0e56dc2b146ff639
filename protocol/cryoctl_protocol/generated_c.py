"""The C header: what a firmware needs to speak the protocol, for C99 and later."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from cryoctl_protocol import auth, device_keys, device_session, framing
from cryoctl_protocol.codec import PAYLOAD_SIZE, SCHEMA_HASH, struct_code
from cryoctl_protocol.codes import ENUMERATIONS, TRIP_RULES
from cryoctl_protocol.generated_spec import offsets
from cryoctl_protocol.messages import (
    MESSAGES,
    PROTOCOL_MAJOR,
    PROTOCOL_MINOR,
    VENDOR_ID_FIRST,
    VENDOR_ID_LAST,
    MessageType,
)
from cryoctl_protocol.profile import Limits, Profile, load_profile, shipped_profile_names
from cryoctl_protocol.quantities import unit_of

_C_TYPES: Final = {
    "B": "uint8_t",
    "H": "uint16_t",
    "L": "uint32_t",
    "Q": "uint64_t",
    "l": "int32_t",
}
_WIRE_UNITS: Final = {
    "C": ("_c", "_mdegc"),
    "C/s": ("_c_per_s", "_mdegc_per_s"),
    "s": ("_s", "_ms"),
    "bar": ("_bar", "_mbar"),
    "mg/s": ("_mg_s", "_ug_s"),
    "g": ("_g", "_mg"),
    "W": ("_w", "_mw"),
    "J": ("_j", "_mj"),
    "mA": ("_ma", "_ua"),
    "": ("_fraction", "_permille"),
}
"""Units of a profile and the thousandth of each that the firmware counts in."""
_REFLECTED_POLYNOMIAL: Final = 0xEDB88320
_CRC_CHECK: Final = 0xCBF43926  # Of the nine ASCII digits "123456789", as catalogues give it.

_HEAD: Final = """\
/* Wire protocol of cryoctl, see SPEC.md.
 * Written by `python -m cryoctl_protocol.generate`; change the message table instead.
 *
 * Everything is little-endian. The structures are packed: on a little-endian machine a payload may
 * be copied into one; elsewhere read the fields at their offsets.
 */
#ifndef CRYO_PROTOCOL_H
#define CRYO_PROTOCOL_H

#include <stddef.h>
#include <stdint.h>

/* A line that does not compile where `condition` is false; C99 has no _Static_assert. */
#define CRYO_ASSERT(name, condition) typedef char cryo_assert_##name[(condition) ? 1 : -1]
"""


def c_header() -> str:
    """Return the text of cryo_protocol.h."""
    parts = [
        _HEAD,
        _lines("Versions", _versions()),
        _lines("Frame: COBS(header payload [tag] crc) 0x00", _frame()),
        _lines("Times, in milliseconds where the name says so", _times()),
        _sizes(),
        _lines("Key derivation: HKDF-SHA256, see SPEC.md", _keys()),
        *(_enumeration(choices) for choices in ENUMERATIONS),
        _lines("How a trip makes the probe safe", _trip_actions()),
        _rejects(),
        _message_ids(),
        *(_message(row) for row in MESSAGES),
        _message_list(),
        _bounds(),
        *(
            _profile(profile)
            for profile in map(load_profile, shipped_profile_names())
            if not profile.probe.research
        ),  # No firmware of a real probe is to know those.
        "#endif\n",
    ]
    return "\n".join(parts)


def snake(name: str) -> str:
    """Return ``DeviceState`` as ``device_state``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _lines(title: str, lines: Iterator[tuple[str, str]]) -> str:
    defines = [f"#define CRYO_{name} {value}" for name, value in lines]
    return "\n".join([f"/* {title}. */", *defines, ""])


def _versions() -> Iterator[tuple[str, str]]:
    yield "PROTOCOL_MAJOR", f"{PROTOCOL_MAJOR}u"
    yield "PROTOCOL_MINOR", f"{PROTOCOL_MINOR}u"
    yield "SCHEMA_HASH", f"0x{SCHEMA_HASH:08X}u"


def _frame() -> Iterator[tuple[str, str]]:
    yield "FRAME_VERSION", f"{framing.FRAME_VERSION}u"
    yield "FLAG_TAGGED", f"{framing.FLAG_TAGGED}u"
    yield "OFFSET_VERSION_FLAGS", "0u"
    yield "OFFSET_MESSAGE_ID", "1u"
    yield "OFFSET_SEQ", "2u"
    yield "OFFSET_SESSION", "4u"
    yield "HEADER_SIZE", f"{framing.HEADER_SIZE}u"
    yield "TAG_SIZE", f"{auth.TAG_SIZE}u"
    yield "CRC_SIZE", f"{framing.CRC_SIZE}u"
    yield "BODY_SIZE_MAX", f"{framing.BODY_SIZE_MAX}u"
    yield "WIRE_SIZE_MAX", f"{framing.WIRE_SIZE_MAX}u"
    yield "DELIMITER", f"0x{framing.DELIMITER.hex()}u"
    yield "CRC_POLYNOMIAL_REFLECTED", f"0x{_REFLECTED_POLYNOMIAL:08X}u"
    yield "CRC_INIT", "0xFFFFFFFFu"
    yield "CRC_XOR_OUT", "0xFFFFFFFFu"
    yield "CRC_CHECK", f"0x{_CRC_CHECK:08X}u"
    yield "CRC_RESIDUE", f"0x{framing.CRC_RESIDUE:08X}u"
    yield "VENDOR_ID_FIRST", f"0x{VENDOR_ID_FIRST:02X}u"
    yield "VENDOR_ID_LAST", f"0x{VENDOR_ID_LAST:02X}u"


def _times() -> Iterator[tuple[str, str]]:
    for name in (
        "LEASE_LIFE_MS_MAX",
        "OWNER_LIFE_MS",
        "RESULTS_KEPT",
        "EXECUTING_MAX",
        "BAD_TAGS_MAX",
        "BAD_TAG_WINDOW_MS",
        "LOCK_OUT_MS",
        "REJECT_WINDOW_MS",
    ):
        yield name, f"{getattr(device_session, name)}u"


def _sizes() -> str:
    """Return what a small machine may lower: it hears and says less in a tick."""
    lines = [
        "/* Bytes that a device reads and sends in one tick, at most; a smaller one may define"
    ]
    lines.append(" * less: one frame to read, 256 bytes to send. */")
    for name in ("RECEIVE_MAX", "SEND_MAX"):
        value = getattr(device_session, name)
        lines += [f"#ifndef CRYO_{name}", f"#define CRYO_{name} {value}u", "#endif"]
    return "\n".join([*lines, ""])


def _keys() -> Iterator[tuple[str, str]]:
    yield "DEMO_KEY_ID", f"{auth.DEMO_KEY_ID}u"
    yield "DEMO_KEY", "{" + ", ".join(f"0x{byte:02X}" for byte in auth.DEMO_KEY) + "}"
    yield "KEY_SIZE", f"{device_keys.KEY_SIZE}u"
    yield "KEYS_MAX", f"{device_keys.KEYS_MAX}u"
    yield "INFO_DOWN", f'"{auth.INFO_DOWN.decode()}"'
    yield "INFO_UP", f'"{auth.INFO_UP.decode()}"'
    yield "INFO_STOP", f'"{auth.INFO_STOP.decode()}"'
    yield "SESSION_PREFIX", f'"{auth.SESSION_PREFIX.decode()}"'


def _enumeration(choices: Any) -> str:
    name = snake(choices.__name__)
    doc = (choices.__doc__ or "").splitlines()[0]
    lines = [f"    CRYO_{name.upper()}_{choice.name} = {int(choice)}," for choice in choices]
    return "\n".join([f"/* {doc} */", f"enum cryo_{name} {{", *lines, "};", ""])


def _trip_actions() -> Iterator[tuple[str, str]]:
    for trip, rule in TRIP_RULES.items():
        yield f"TRIP_ACTION_{trip.name}", f"CRYO_SAFE_ACTION_{rule.action.name}"


def _rejects() -> str:
    lines = ["    CRYO_REJECT_NONE = 0,"]
    lines += [f"    CRYO_REJECT_{reject.name} = {n}," for n, reject in enumerate(framing.Reject, 1)]
    doc = "/* Why bytes were not taken as a frame; never on the wire. */"
    count = f"#define CRYO_REJECTS {len(framing.Reject) + 1}u"
    return "\n".join([doc, "enum cryo_reject {", *lines, "};", count, ""])


def _message_ids() -> str:
    lines = [f"    CRYO_ID_{row.name} = 0x{row.message_id:02X}," for row in MESSAGES]
    return "\n".join(["/* Message ids. */", "enum cryo_message_id {", *lines, "};", ""])


def _message(row: MessageType) -> str:
    prefix = f"CRYO_{row.name}"
    struct = f"struct cryo_{row.name.lower()}"
    defines = [f"#define {prefix}_SIZE {PAYLOAD_SIZE[row.message_id]}u"]
    members = []
    checks = [f"CRYO_ASSERT({row.name.lower()}_size, sizeof({struct}) == {prefix}_SIZE);"]
    for offset, name, field in offsets(row):
        upper = f"{prefix}_{name.upper()}"
        defines.append(f"#define {upper}_OFFSET {offset}u")
        if field.low is not None:
            defines.append(f"#define {upper}_MIN {field.low}")
        if field.high is not None:
            defines.append(f"#define {upper}_MAX {field.high}")
        code = struct_code(field)
        c_type = _C_TYPES.get(code, "uint8_t")
        extent = f"[{field.kind.sizeof()}]" if code.endswith("s") else ""
        comment = f"{field.doc}, {field.unit}" if field.unit else field.doc
        members.append(f"    {c_type} {name}{extent}; /* {comment} */")
        checks.append(
            f"CRYO_ASSERT({row.name.lower()}_{name}, offsetof({struct}, {name}) == {upper}_OFFSET);"
        )
    doc = (row.cls.__doc__ or "").splitlines()[0]
    body = ["#pragma pack(push, 1)", f"{struct} {{", *members, "};", "#pragma pack(pop)"]
    return "\n".join([f"/* {doc} */", *defines, *body, *checks, ""])


def _message_list() -> str:
    lines = ["/* Every message: X(message id, payload size, 1 if the controller sends it). */"]
    lines.append("#define CRYO_MESSAGES(X) \\")
    for row in MESSAGES:
        is_down = int(row.direction is MessageType.DOWN)
        lines.append(f"    X(CRYO_ID_{row.name}, CRYO_{row.name}_SIZE, {is_down}u) \\")
    lines[-1] = lines[-1].removesuffix(" \\")
    return "\n".join([*lines, ""])


def _bounds() -> str:
    """Return every bound of the table as one list, so that a receiver can forget none."""
    lines = [
        "/* Every field with a range: X(message id, offset, size in bytes, smallest, largest)."
    ]
    lines += [" * All of them are unsigned. */", "#define CRYO_BOUNDS(X) \\"]
    for row in MESSAGES:
        for _, name, field in offsets(row):
            if field.low is None and field.high is None:
                continue
            upper = f"CRYO_{row.name}_{name.upper()}"
            # The C library compares sixteen unsigned bits; a wider bound needs another one there.
            assert struct_code(field) in "BH", (row.name, name)
            size = field.kind.sizeof()
            lines.append(
                f"    X(CRYO_ID_{row.name}, {upper}_OFFSET, {size}u, {upper}_MIN, {upper}_MAX) \\"
            )
    lines[-1] = lines[-1].removesuffix(" \\")
    return "\n".join([*lines, ""])


def _profile(profile: Profile) -> str:
    prefix = "PROFILE_" + re.sub(r"\W", "_", profile.probe.id).upper()

    def limits() -> Iterator[tuple[str, str]]:
        yield f"{prefix}_HASH", f"0x{profile.hash32:08X}u"
        for key, field in Limits.model_fields.items():
            value, unit = getattr(profile.limits, key), unit_of(field)
            if unit in _WIRE_UNITS:
                old, new = _WIRE_UNITS[unit]
                key = re.sub(rf"{old}(?=_|$)", new, key)  # noqa: PLW2901  A name for C.
                value = round(1000 * value)
            yield f"{prefix}_{key.upper()}", f"({value})" if value < 0 else str(value)

    return _lines(f"Limits of {profile.probe.title}; compare the hash before ARM", limits())
