"""The Wireshark dissector: tables from the message table, put into ``dissector.lua``.

The file is ASCII, so that it can be written anywhere: units are spelt as people type them.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntFlag
from importlib import resources
from typing import Any, Final

from cryoctl_protocol import auth, framing
from cryoctl_protocol.codec import PAYLOAD_SIZE, struct_code
from cryoctl_protocol.codes import ENUMERATIONS
from cryoctl_protocol.framing import Reject
from cryoctl_protocol.generated_spec import REJECT_TEXT, offsets
from cryoctl_protocol.messages import (
    MESSAGES,
    VENDOR_ID_FIRST,
    VENDOR_ID_LAST,
    Ack,
    Command,
    Done,
    Event,
    Hello,
    HelloHost,
    Lease,
    MessageType,
    Stop,
    Telemetry,
    Vitals,
    WireField,
)
from cryoctl_protocol.readable import SHOWN, divisor_of, shown_name

TCP_PORT: Final = 7070
"""The port of our examples; a preference of the dissector."""
LEAVES: Final = ("birth", "state", "tele", "event", "cmd", "lease")
"""Ends of the MQTT topics that carry bodies; ``ack/`` is followed by a controller."""
_MARKER: Final = "-- generated: tables\n"


# fmt: off
SUMMARIES: Final[dict[type[Any], str]] = {
    HelloHost: "{major}.{minor}",
    Hello:     "{device_id} {major}.{minor}",
    Vitals:    "tip {tip_c} C {state}",
    Telemetry: "tip {tip_c} C {state}",
    Event:     "{code} {state} {trip}",
    Command:   "{op} ctr {counter}",
    Lease:     "{mode} ctr {counter}",
    Stop:      "ctr {counter} {action} {trip}",
    Ack:       "{counter} {answer}",
    Done:      "{counter} {op} {result}",
}
"""What the Info column says after the name of a message."""
# fmt: on
_SHOWN_REJECTS: Final = (
    Reject.OVERSIZE,
    Reject.COBS,
    Reject.CRC,
    Reject.SHORT,
    Reject.VERSION,
    Reject.FLAGS,
    Reject.UNKNOWN_ID,
    Reject.SIZE,
    Reject.UNTAGGED,
    Reject.RANGE,
)
"""What can be seen in one frame, without keys and without what came before."""


def lua_dissector() -> str:
    """Return the text of cryoctl.lua."""
    template = (resources.files("cryoctl_protocol") / "dissector.lua").read_text("utf-8")
    head, marker, tail = template.partition(_MARKER)
    assert marker, "dissector.lua has lost its marker"
    return head + "\n".join(_tables()) + "\n" + tail


def _tables() -> Iterator[str]:
    for name in ("FRAME_VERSION", "FLAG_TAGGED", "HEADER_SIZE", "CRC_SIZE"):
        yield f"local {name} = {getattr(framing, name)}"
    yield f"local TAG_SIZE = {auth.TAG_SIZE}"
    yield f"local BODY_SIZE_MAX = {framing.BODY_SIZE_MAX}"
    yield f"local WIRE_SIZE_MAX = {framing.WIRE_SIZE_MAX}"
    yield f"local VENDOR_ID_FIRST = 0x{VENDOR_ID_FIRST:02X}"
    yield f"local VENDOR_ID_LAST = 0x{VENDOR_ID_LAST:02X}"
    yield f'local TCP_PORTS = "{TCP_PORT}"'
    yield f"local LEAVES = {{ {', '.join(f'{leaf} = true' for leaf in LEAVES)} }}"
    yield from _table("REJECTS", (_reject(reason) for reason in _SHOWN_REJECTS))
    yield from _table("CHOICES", _choices())
    yield from _table("BITS", _bits())
    yield from _table("MESSAGES", (line for row in MESSAGES for line in _message(row)))


def _table(name: str, lines: Iterator[str]) -> Iterator[str]:
    yield f"local {name} = {{"
    yield from (f"    {line}" for line in lines)
    yield "}"


def _reject(reason: Reject) -> str:
    return f'{reason} = "{REJECT_TEXT[reason][1].replace("`", "")}",'


def _choices() -> Iterator[str]:
    yield 'bool = { [0] = "no", [1] = "yes" },'
    for choices in ENUMERATIONS:
        if not _is_bits(choices):
            pairs = ", ".join(f'[{int(choice)}] = "{choice.name}"' for choice in choices)
            yield f"{choices.__name__} = {{ {pairs} }},"


def _bits() -> Iterator[str]:
    for choices in filter(_is_bits, ENUMERATIONS):
        yield f"{choices.__name__} = {{"
        yield from (
            f'    {{ value = {int(choice)}, name = "{choice.name}" }},' for choice in choices
        )
        yield "},"


def _is_bits(choices: type[Any] | None) -> bool:
    return choices is not None and issubclass(choices, IntFlag)


def _message(row: MessageType) -> Iterator[str]:
    yield f"[0x{row.message_id:02X}] = {{"
    yield f'    name = "{row.name}", abbreviation = "cryoctl.{row.name.lower()}",'
    yield f"    size = {PAYLOAD_SIZE[row.message_id]}, tagged = {str(row.tagged).lower()},"
    yield f'    summary = "{SUMMARIES[row.cls]}",'
    yield "    fields = {"
    for offset, name, field in offsets(row):
        parts = ", ".join(f"{key} = {value}" for key, value in _field(offset, name, field))
        yield f"        {{ {parts} }},"
    yield "    },"
    yield "},"


def _field(offset: int, name: str, field: WireField) -> Iterator[tuple[str, Any]]:
    kind = _kind(name, field)
    yield "name", f'"{shown_name(name, field)}"'
    yield "offset", offset
    yield "size", field.kind.sizeof()
    yield "kind", f'"{kind}"'
    if field.choices is not None:
        yield "choices", f'"{field.choices.__name__}"'
    if field.unit:
        yield "unit", f'"{SHOWN[field.unit].unit}"'
    if divisor_of(field) != 1:
        yield "divisor", divisor_of(field)
    if field.low is not None:
        yield "low", field.low
    if field.high is not None:
        yield "high", field.high
    yield "doc", f'"{field.doc}"'


def _kind(name: str, field: WireField) -> str:
    code = struct_code(field)
    if code.endswith("s"):
        return "text"
    if _is_bits(field.choices):
        return "bits"
    if name.endswith(("_hash", "_nonce", "boot_id")):
        return "hex"  # Numbers that nobody counts with.
    return "uint" if code.isupper() else "int"
