"""The golden vectors, read by the codec, by an independent reader, and by a C compiler."""

from __future__ import annotations

import hmac
import json
import struct
import subprocess
import zlib
from pathlib import Path
from typing import Any

import pytest

from cryoctl_protocol.auth import TagKey, hkdf_sha256, session_keys
from cryoctl_protocol.codec import SCHEMA_HASH, CodecError, decode
from cryoctl_protocol.codes import Answer
from cryoctl_protocol.device_session import DeviceSession
from cryoctl_protocol.framing import DELIMITER, Deframer, Parsed, Reject, build, parse, wrap
from cryoctl_protocol.messages import MESSAGE_BY_ID, MESSAGES, Ack, Command, Hello
from tests.support.c_device import compiler
from tests.support.protocol_builders import identity

PROTOCOL = Path(__file__).parents[2] / "protocol"


def load(name: str) -> list[dict[str, Any]]:
    content = json.loads((PROTOCOL / "vectors" / name).read_text("utf-8"))
    assert content["schema_hash"] == f"0x{SCHEMA_HASH:08X}"
    vectors: list[dict[str, Any]] = content["vectors"]
    return vectors


def named(vectors: list[dict[str, Any]]) -> list[Any]:
    return [pytest.param(vector, id=vector["name"]) for vector in vectors]


FRAMES = load("frames.json")
REJECTS = load("rejects.json")


def plain_fields(message: Any) -> dict[str, Any]:
    return {
        name: value.hex() if isinstance(value, bytes) else value
        for name, value in message._asdict().items()
    }


# -- our own codec -------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", named(FRAMES))
def test_a_golden_frame_means_what_is_written(vector: dict[str, Any]) -> None:
    deframer = Deframer()

    (body,) = deframer.feed(DELIMITER + bytes.fromhex(vector["wire"]))
    parsed = parse(body)

    assert isinstance(parsed, Parsed)
    assert body.hex() == vector["body"]
    assert (parsed.seq, parsed.session) == (vector["seq"], vector["session"])
    assert parsed.payload.hex() == vector["payload"]
    assert MESSAGE_BY_ID[parsed.message_id].name == vector["message"]
    assert plain_fields(decode(parsed.message_id, parsed.payload)) == vector["fields"]
    assert (parsed.tag is not None) == bool(vector["tag_key"])
    if parsed.tag is not None:
        assert TagKey(bytes.fromhex(vector["tag_key"])).verify(parsed.signed, parsed.tag)


@pytest.mark.parametrize("vector", named(FRAMES))
def test_a_golden_frame_is_built_again_byte_for_byte(vector: dict[str, Any]) -> None:
    row = next(row for row in MESSAGES if row.name == vector["message"])
    key = TagKey(bytes.fromhex(vector["tag_key"])) if vector["tag_key"] else None

    body = build(
        row.message_id,
        bytes.fromhex(vector["payload"]),
        seq=vector["seq"],
        session=vector["session"],
        key=key,
    )

    assert wrap(body).hex() == vector["wire"]


def refusal(wire: bytes, tag_key: bytes) -> str:
    """Why a stream holds no good frame; empty if it holds one."""
    deframer = Deframer()
    bodies = deframer.feed(DELIMITER + wire)
    if deframer.rejects:
        (reason,) = deframer.rejects
        return str(reason)
    (body,) = bodies
    parsed = parse(body)
    if isinstance(parsed, Reject):
        return str(parsed)
    if tag_key and not (parsed.tag and TagKey(tag_key).verify(parsed.signed, parsed.tag)):
        return "tag"
    try:
        decode(parsed.message_id, parsed.payload)
    except CodecError:
        return "range"
    return ""


@pytest.mark.requirement("SR-04")
@pytest.mark.parametrize("vector", named(REJECTS))
def test_a_golden_reject_is_refused_for_the_reason_given(vector: dict[str, Any]) -> None:
    wire, tag_key = bytes.fromhex(vector["wire"]), bytes.fromhex(vector["tag_key"])

    assert refusal(wire, tag_key) == vector["reject"]


def test_the_vectors_cover_every_message_and_every_kind_of_reject() -> None:
    assert {vector["message"] for vector in FRAMES} == {row.name for row in MESSAGES}
    assert len(REJECTS) >= 25
    steps = load("sessions.json")[0]["steps"]
    of_a_session = {step["outcome"].removeprefix("reject ") for step in steps}
    reasons = {vector["reject"] for vector in REJECTS} | of_a_session
    assert {reason.value for reason in Reject} <= reasons


# -- a second reader that shares no code with the first ------------------------------------------

FORMATS = {
    "HELLO_HOST": "<BBIQ",
    "HELLO": "<BBIIIQQBBIIH16s16s16s",
    "VITALS": "<IBiiHHB",
    "TELEMETRY": "<IBBHiiiiiiiHBiHBHHBBHBHBIIHH",
    "EVENT": "<IHBBBii",
    "COMMAND": "<IIBBBIiIIHBH",
    "LEASE": "<IBI",
    "STOP": "<IIBB",
    "ACK": "<IBB",
    "DONE": "<IBBi",
}
IDS = {
    "HELLO_HOST": 0x01,
    "HELLO": 0x02,
    "VITALS": 0x03,
    "TELEMETRY": 0x10,
    "EVENT": 0x11,
    "COMMAND": 0x20,
    "LEASE": 0x21,
    "STOP": 0x22,
    "ACK": 0x30,
    "DONE": 0x31,
}


def uncobs(chunk: bytes) -> bytes:
    out = bytearray()
    at = 0
    while at < len(chunk):
        run = chunk[at]
        out += chunk[at + 1 : at + run]
        at += run
        if run < 255 and at < len(chunk):
            out.append(0)
    return bytes(out)


@pytest.mark.parametrize("vector", named(FRAMES))
def test_an_independent_reader_finds_the_same(vector: dict[str, Any]) -> None:
    wire = bytes.fromhex(vector["wire"])
    whole = uncobs(wire[:-1])
    body, crc = whole[:-4], whole[-4:]
    first, message_id, seq, session = struct.unpack("<BBHI", body[:8])
    tag_key = bytes.fromhex(vector["tag_key"])
    signed = body[:-8] if tag_key else body

    assert wire[-1] == 0
    assert wire.count(0) == 1
    assert zlib.crc32(body) == int.from_bytes(crc, "little")
    assert first == (0x11 if tag_key else 0x10)
    assert (message_id, seq, session) == (IDS[vector["message"]], vector["seq"], vector["session"])
    if tag_key:
        assert hmac.digest(tag_key, signed, "sha256")[:8] == body[-8:]
    values = struct.unpack(FORMATS[vector["message"]], signed[8:])
    plain = [value.hex() if isinstance(value, bytes) else value for value in values]
    assert dict(zip(vector["fields"], plain, strict=True)) == vector["fields"]


# -- keys and conversations ----------------------------------------------------------------------


def hkdf_by_hand(key: bytes, salt: bytes, info: bytes) -> bytes:
    return hmac.digest(hmac.digest(salt, key, "sha256"), info + b"\x01", "sha256")


@pytest.mark.parametrize("vector", named(load("keys.json")))
def test_golden_keys_are_derived(vector: dict[str, Any]) -> None:
    key = bytes.fromhex(vector["key"])
    if "boot_id" in vector:
        salt = struct.pack("<I", vector["boot_id"])
        assert hkdf_by_hand(key, salt, b"cryoctl/1 stop").hex() == vector["stop_key"]
        assert hkdf_sha256(key, salt=salt, info=b"cryoctl/1 stop").hex() == vector["stop_key"]
        return
    nonces = (vector["host_nonce"], vector["device_nonce"])
    salt = struct.pack("<QQ", *nonces)
    keys = session_keys(key, *nonces)
    assert keys.session == vector["session"]
    for name, info, found in (
        ("down_key", b"cryoctl/1 h2d", keys.down),
        ("up_key", b"cryoctl/1 d2h", keys.up),
    ):
        golden = bytes.fromhex(vector[name])
        assert hkdf_by_hand(key, salt, info) == golden
        assert found.tag(b"x") == hmac.digest(golden, b"x", "sha256")[:8]


def outcome(session: DeviceSession, wire: bytes, now_ms: int) -> str:
    leases, rejects = session.lease_count, session.rejects.copy()
    requests = session.on_bytes(wire, now_ms)
    refused = session.rejects - rejects
    if refused:
        session.outgoing()
        (reason,) = refused
        return f"reject {reason}"
    for request in requests:
        if isinstance(request, Command):
            session.answer(request.counter, request.op, Answer.ACCEPTED)
    deframer = Deframer()
    bodies = deframer.feed(DELIMITER + session.outgoing())
    said = [decode(p.message_id, p.payload) for p in map(parse, bodies) if isinstance(p, Parsed)]
    if requests:
        return "request"
    if session.lease_count > leases:
        return "lease"
    for message in said:
        if isinstance(message, Ack):
            return f"ack {Answer(message.answer).name}"
        if isinstance(message, Hello):
            return "hello" if message.device_nonce else "hello without device nonce"
    return "nothing"


@pytest.mark.requirement("SR-24")
@pytest.mark.parametrize("vector", named(load("sessions.json")))
def test_a_golden_conversation_goes_as_written(vector: dict[str, Any]) -> None:
    keys = [bytes.fromhex(vector[name]) for name in ("key", "former_key") if vector[name]]
    session = DeviceSession(
        identity(boot_id=vector["boot_id"]),
        keys[0],
        nonce_seed=b"",
        former_key=keys[1] if len(keys) == 2 else None,
    )
    session.on_bytes(DELIMITER, vector["steps"][0]["now_ms"])
    found = []
    for step in vector["steps"]:
        found.append(outcome(session, bytes.fromhex(step["wire"]), step["now_ms"]))
        if found == ["hello"]:
            # A real device draws its nonce at random; this one must have drawn the golden one.
            assert session._pending is not None
            hello, _, _ = session._pending
            nonces = vector["host_nonce"], vector["device_nonce"]
            prepared = tuple(session_keys(key, *nonces) for key in keys)
            session._pending = (hello, vector["device_nonce"], prepared)

    assert found == [step["outcome"] for step in vector["steps"]]


# -- the C header --------------------------------------------------------------------------------

C_FLAGS = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{PROTOCOL / 'c'}"]


def test_the_header_compiles_without_a_warning_and_its_structures_have_the_sizes() -> None:
    header = PROTOCOL / "c" / "cryo_protocol.h"

    subprocess.run([*compiler(), *C_FLAGS, "-fsyntax-only", "-x", "c", str(header)], check=True)


def test_the_structures_of_the_header_read_the_golden_frames(tmp_path: Path) -> None:
    """A C program copies each payload into its structure and prints every field."""
    lines = ["#include <inttypes.h>", "#include <stdio.h>", "#include <string.h>"]
    lines += ['#include "cryo_protocol.h"', "int main(void) {"]
    expected = []
    for vector in FRAMES:
        data = ",".join(str(byte) for byte in bytes.fromhex(vector["payload"]))
        name = vector["message"]
        lines.append(f"{{ static const uint8_t data[CRYO_{name}_SIZE] = {{{data}}};")
        lines.append(f"struct cryo_{name.lower()} m; memcpy(&m, data, sizeof m);")
        for field, value in vector["fields"].items():
            if isinstance(value, str):
                lines.append(f'for (int i = 0; i < 16; i++) printf("%02x", m.{field}[i]);')
                lines.append(r'printf("\n");')
            elif value < 0:
                lines.append(f'printf("%" PRId64 "\\n", (int64_t)m.{field});')
            else:
                lines.append(f'printf("%" PRIu64 "\\n", (uint64_t)m.{field});')
            expected.append(str(value))
        lines.append("}")
    lines.append("return 0; }")
    source, program = tmp_path / "read.c", tmp_path / "read"
    source.write_text("\n".join(lines))

    subprocess.run([*compiler(), *C_FLAGS, str(source), "-o", str(program)], check=True)
    printed = subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout

    assert printed.split() == expected
