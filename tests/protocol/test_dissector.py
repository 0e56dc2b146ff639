"""What Wireshark shows of our frames, asked of tshark about captures made here."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cryoctl_protocol.auth import TagKey
from cryoctl_protocol.codec import encode, struct_code
from cryoctl_protocol.codes import Answer, Op
from cryoctl_protocol.framing import build, wrap
from cryoctl_protocol.generated_lua import lua_dissector
from cryoctl_protocol.messages import ID_OF, MESSAGES, Ack, Message, MessageType
from tests.support.captures import (
    Leaves,
    all_leaves,
    capture,
    info_lines,
    mqtt_connect,
    mqtt_publish,
    run_tshark,
)
from tests.support.protocol_builders import KEY, command, identity, plain, telemetry
from tests.support.tree import ROOT

PROTOCOL = ROOT / "protocol"
HOW_TO = ROOT / "docs" / "how-to" / "watch-the-wire.md"
SESSION = 0x8EDB8001
TCP = 7070
MQTT = 1883
# How the units of the wire are read by people: unit, divisor, ending on the wire, ending shown.
SHOWN = {
    "m°C": ("C", 1000, "_mdegc", "_c"),
    "mbar": ("bar", 1000, "_mbar", "_bar"),
    "µg/s": ("mg/s", 1000, "_ug_s", "_mg_s"),
    "mV": ("V", 1000, "_mv", "_v"),
    "‰": ("%", 10, "_permille", "_percent"),
    "µA": ("mA", 1000, "_ua", "_ma"),
    "mJ": ("J", 1000, "_mj", "_j"),
}
FREEZING = telemetry(123456, state=6, tip_mdegc=-41187, supply_mbar=50250, open_circuit=2)
FREEZE = command(Op.FREEZE, counter=7, deadline_ms=123706, setpoint_mdegc=-60000)
ACCEPTED = Ack(counter=7, op=int(Op.FREEZE), answer=int(Answer.ACCEPTED))


def tagged(message: Message, *, seq: int = 0) -> bytes:
    """A body with a tag, in a session."""
    payload = encode(message)
    return build(ID_OF[type(message)], payload, seq=seq, session=SESSION, key=TagKey(KEY))


def vectors(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((PROTOCOL / "vectors" / name).read_text("utf-8"))[
        "vectors"
    ]
    return found


def rejects(leaves: Leaves) -> list[str]:
    return [name for name in leaves if name.startswith("cryoctl.reject.")]


def expected_fields(row: MessageType, values: tuple[Any, ...]) -> dict[str, Any]:
    """Return name and value as Wireshark should show them; text up to its padding."""
    expected = {}
    for (name, field), value in zip(row.fields, values, strict=True):
        if isinstance(value, bytes):
            expected[name] = value.partition(b"\0")[0].decode("ascii")
        elif field.unit in SHOWN:
            _, divisor, ending, shown = SHOWN[field.unit]
            expected[name.removesuffix(ending) + shown] = value / divisor
        else:
            expected[name] = value
    return expected


def shown_fields(row: MessageType, leaves: Leaves) -> dict[str, Any]:
    """Return what is shown of a message; bits of sets stand beside their set and are left out."""
    prefix = f"cryoctl.{row.name.lower()}."
    texts = {name for name, field in row.fields if struct_code(field).endswith("s")}
    shown: dict[str, Any] = {}
    for name, (value, *others) in leaves.items():
        field = name.removeprefix(prefix)
        if name.startswith(prefix) and "." not in field:
            assert others == []
            shown[field] = value if field in texts else _number(value)
    return shown


def _number(text: str) -> float:
    try:
        return int(text, 0)
    except ValueError:
        return float(text)


def some_values(row: MessageType, random: Random) -> tuple[Any, ...]:
    """Return values anywhere in their fields' types, out of range, too."""
    values: list[Any] = []
    for _, field in row.fields:
        size = field.kind.sizeof()
        if struct_code(field).endswith("s"):
            values.append(bytes(random.choices(range(32, 127), k=random.randint(0, size))))
            values[-1] = values[-1].ljust(size, b"\0")
        else:
            number = random.getrandbits(8 * size)
            is_signed = struct_code(field).islower()
            values.append(number - 2 ** (8 * size) * (is_signed and number >> (8 * size - 1)))
    return tuple(values)


@pytest.mark.parametrize("row", MESSAGES, ids=lambda row: row.name)
def test_every_field_of_every_message_is_shown_with_its_value(
    row: MessageType, tmp_path: Path
) -> None:
    random = Random(row.message_id)
    messages = [row.cls(*some_values(row, random)) for _ in range(40)]
    frames = [wrap(tagged(message, seq=seq)) for seq, message in enumerate(messages)]

    packets = all_leaves(capture(frames, TCP), tmp_path)

    assert [shown_fields(row, leaves) for leaves in packets] == [
        expected_fields(row, message) for message in messages
    ]
    assert [leaves["cryoctl.seq"] for leaves in packets] == [[str(seq)] for seq in range(40)]
    assert {tuple(leaves["cryoctl.session"]) for leaves in packets} == {("0x8edb8001",)}


def test_golden_frames_are_shown_as_the_vectors_say_on_tcp_and_on_mqtt(tmp_path: Path) -> None:
    golden = vectors("frames.json")
    row_of = {row.name: row for row in MESSAGES}
    tcp = capture([bytes.fromhex(vector["wire"]) for vector in golden], TCP)
    bodies = [bytes.fromhex(vector["body"]) for vector in golden]
    published = [mqtt_publish(5, "cryo/1/lab/probe-1/tele", body) for body in bodies]
    mqtt = capture([mqtt_connect(5), *published], MQTT)

    on_tcp, (_, *on_mqtt) = all_leaves(tcp, tmp_path), all_leaves(mqtt, tmp_path)

    assert len(on_tcp) == len(on_mqtt) == len(golden) == 31
    for vector, *both in zip(golden, on_tcp, on_mqtt, strict=True):
        row = row_of[vector["message"]]
        for leaves in both:
            shown = shown_fields(row, leaves)
            if vector["name"] != "HELLO, largest values":  # Its texts are no ASCII.
                values = row.struct.parse(bytes.fromhex(vector["payload"]))
                expected = expected_fields(row, tuple(values[name] for name, _ in row.fields))
                assert shown == expected
            assert [int(text, 0) for text in leaves["cryoctl.seq"]] == [vector["seq"]]
            assert [int(text, 0) for text in leaves["cryoctl.session"]] == [vector["session"]]
            assert ("cryoctl.tag" in leaves) == (vector["tag_key"] != "")
            assert rejects(leaves) == []
        assert both[0]["cryoctl.crc.status"] == ["1"]


def test_golden_rejects_are_refused_for_the_reason_of_the_vectors(tmp_path: Path) -> None:
    visible = [vector for vector in vectors("rejects.json") if vector["reject"] != "tag"]
    # A delimiter before each: one of them has none at its end.
    frames = [b"\0" + bytes.fromhex(vector["wire"]) for vector in visible]

    packets = all_leaves(capture(frames, TCP), tmp_path)

    found = {
        vector["name"]: [name.removeprefix("cryoctl.reject.") for name in rejects(leaves)]
        for vector, leaves in zip(visible, packets, strict=True)
    }
    assert found == {vector["name"]: [vector["reject"]] for vector in visible}
    assert len(found) == 63


def test_the_info_column_says_what_matters(tmp_path: Path) -> None:
    bodies = [
        tagged(FREEZING),
        tagged(FREEZE),
        tagged(ACCEPTED),
        plain(identity()),
        *(
            bytes.fromhex(vector["body"])
            for vector in vectors("frames.json")
            if vector["name"].endswith(", example")
            and vector["message"] in {"HELLO_HOST", "VITALS", "EVENT", "LEASE", "STOP", "DONE"}
        ),
        build(0xC0, b"\1\2\3\4\5", seq=0, session=0, key=None),
    ]

    assert info_lines(capture([wrap(body) for body in bodies], TCP), tmp_path) == [
        "TELEMETRY tip -41.2 C FREEZE",
        "COMMAND FREEZE ctr 7",
        "ACK 7 ACCEPTED",
        "HELLO BENCH 1.0",
        "HELLO_HOST 1.0",
        "VITALS tip -60.1 C FREEZE",
        "EVENT TRIP FAULT TIP_FLOOR",
        "LEASE FREEZE ctr 42",
        "STOP ctr 1 THAW OPERATOR_STOP",
        "DONE 7 LEAK_TEST OK",
        "VENDOR 0xC0 5 bytes",
    ]


def test_units_names_and_bits_are_written_out(tmp_path: Path) -> None:
    text = run_tshark(capture([wrap(tagged(FREEZING))], TCP), tmp_path, "-O", "cryoctl")

    lines = [line.strip() for line in text.splitlines()]
    for line in (
        "tip_c: -41.187 C",
        "supply_bar: 50.25 bar",
        "state: FREEZE (6)",
        "open_circuit: 0x0002 (TIP_2)",
        ".... .... .... ..1. = TIP_2: yes",
        ".... .... .... ...0 = TIP: no",
        "button: no (0)",
        "[crc status: good (1)]",
    ):
        assert line in lines


@pytest.mark.parametrize(
    ("condition", "count"),
    [
        ("cryoctl.command.op == FREEZE && cryoctl.command.deadline_ms <= 123706", 1),
        ("cryoctl.command.op == SETPOINT || cryoctl.command.deadline_ms < 123706", 0),
        ("cryoctl.telemetry.tip_c < -41.1 && cryoctl.telemetry.tip_c == -41.187", 1),
        ("cryoctl.telemetry.open_circuit.tip_2 == 1 && cryoctl.seq == 4", 1),
        ("cryoctl.session == 0x8edb8001 && cryoctl.tag && !_ws.expert", 3),
    ],
)
def test_fields_can_be_filtered_by(condition: str, count: int, tmp_path: Path) -> None:
    frames = [wrap(tagged(m, seq=seq)) for seq, m in ((4, FREEZING), (5, FREEZE), (6, ACCEPTED))]

    assert len(info_lines(capture(frames, TCP), tmp_path, "-Y", condition)) == count


def test_frames_are_found_wherever_tcp_cuts_the_stream(tmp_path: Path) -> None:
    stream = b"\0" + b"".join(wrap(tagged(message)) for message in (FREEZING, FREEZE, ACCEPTED))
    expected = ["TELEMETRY tip -41.2 C FREEZE", "COMMAND FREEZE ctr 7", "ACK 7 ACCEPTED"]

    for size in (1, 60, 92):
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        lines = info_lines(capture(pieces, TCP), tmp_path)
        found = [part for line in lines for part in line.split(", ") if part in expected]
        assert found == expected, size
        assert not [line for line in lines if "REJECT" in line]


def test_what_follows_a_broken_frame_is_shown(tmp_path: Path) -> None:
    good = wrap(tagged(FREEZE))
    broken = good[:20] + bytes([good[20] ^ 1 or 2]) + good[21:]
    segments = [broken + good, b"\x05ab\0" + good, b"x" * 500, b"x" * 10 + b"\0" + good]

    assert info_lines(capture(segments, TCP), tmp_path) == [
        "REJECT crc, COMMAND FREEZE ctr 7",
        "REJECT cobs, COMMAND FREEZE ctr 7",
        "REJECT oversize",
        "REJECT cobs, COMMAND FREEZE ctr 7",
    ]


def test_a_wrong_crc_is_shown_beside_the_right_one(tmp_path: Path) -> None:
    body = b"\x10" + bytes(7) + b"AAAA"
    wire = wrap(body)
    assert wire[-5:-1] != b"abcd"

    text = run_tshark(capture([wire[:-5] + b"abcd\0"], TCP), tmp_path, "-O", "cryoctl")

    right = int.from_bytes(wire[-5:-1], "little")
    assert f"crc: 0x64636261, should be 0x{right:08x}" in text


def test_a_command_without_a_tag_is_marked(tmp_path: Path) -> None:
    (leaves,) = all_leaves(capture([wrap(plain(FREEZE))], TCP), tmp_path)

    assert rejects(leaves) == ["cryoctl.reject.untagged"]


def test_vendor_payloads_are_bytes(tmp_path: Path) -> None:
    ids = (0xBF, 0xC0, 0xEF, 0xF0)
    bodies = [build(i, b"\1\2\xff", seq=0, session=0, key=TagKey(KEY)) for i in ids]

    below, first, last, above = all_leaves(capture([wrap(b) for b in bodies], TCP), tmp_path)

    for leaves in (first, last):
        assert leaves["cryoctl.vendor"] == ["01:02:ff"]
        assert rejects(leaves) == []
    for leaves in (below, above):
        assert leaves["cryoctl.payload"] == ["01:02:ff"]
        assert rejects(leaves) == ["cryoctl.reject.unknown_id"]


@pytest.mark.parametrize(
    ("port", "options", "is_ours"),
    [
        (7070, (), True),
        (7071, (), False),
        (7071, ("-o", "cryoctl.tcp_ports:7071-7079"), True),
        (7070, ("-o", "cryoctl.tcp_ports:7071-7079"), False),
        (7070, ("-o", "cryoctl.tcp_ports:"), False),
        (9999, ("-d", "tcp.port==9999,cryoctl"), True),
    ],
)
def test_ports_are_a_preference(
    port: int, options: tuple[str, ...], is_ours: bool, tmp_path: Path
) -> None:
    (line,) = info_lines(capture([wrap(tagged(FREEZE))], port), tmp_path, *options)

    assert (line == "COMMAND FREEZE ctr 7") == is_ours


def test_a_capture_that_keeps_only_heads_says_so(tmp_path: Path) -> None:
    frames = [wrap(tagged(FREEZE)) + wrap(tagged(FREEZING))]

    assert info_lines(capture(frames, TCP, cut_at=120), tmp_path) == [
        "COMMAND FREEZE ctr 7, REJECT cut"
    ]


@pytest.mark.parametrize("level", [4, 5], ids=["MQTT 3.1.1", "MQTT 5"])
def test_our_mqtt_topics_are_shown_and_no_others(level: int, tmp_path: Path) -> None:
    telemetry_body, command_body, ack_body = tagged(FREEZING), tagged(FREEZE), tagged(ACCEPTED)
    packets = [
        mqtt_connect(level),
        mqtt_publish(level, "cryo/1/lab/probe-1/tele", telemetry_body),
        mqtt_publish(level, "cryo/1/lab/probe-1/cmd", command_body)
        + mqtt_publish(level, "cryo/1/lab/probe-1/ack/desk-2", ack_body, packet_id=9),
        mqtt_publish(level, "cryo/1/lab/probe-1/event", b"\x10\x11"),
        mqtt_publish(level, "cryo/1/lab/probe-1/lease", b""),
        mqtt_publish(level, "cryo/1/lab/probe-1/conn", command_body),
        mqtt_publish(level, "cryo/1/lab/probe-1/extra/tele", command_body),
        mqtt_publish(level, "cryo/2/lab/probe-1/tele", telemetry_body),
        mqtt_publish(level, "weather/tele", telemetry_body),
    ]

    assert info_lines(capture(packets, MQTT), tmp_path) == [
        "Connect Command",
        "Publish Message [cryo/1/lab/probe-1/tele] TELEMETRY tip -41.2 C FREEZE",
        (
            "Publish Message [cryo/1/lab/probe-1/cmd] COMMAND FREEZE ctr 7, "
            "Publish Message (id=9) [cryo/1/lab/probe-1/ack/desk-2] ACK 7 ACCEPTED"
        ),
        "Publish Message [cryo/1/lab/probe-1/event] REJECT short",
        "Publish Message [cryo/1/lab/probe-1/lease] REJECT short",
        "Publish Message [cryo/1/lab/probe-1/conn]",
        "Publish Message [cryo/1/lab/probe-1/extra/tele]",
        "Publish Message [cryo/2/lab/probe-1/tele]",
        "Publish Message [weather/tele]",
    ]


def test_a_body_behind_a_topic_alias_is_known_by_its_size(tmp_path: Path) -> None:
    alias = b"\x23\0\1"
    packets = [
        mqtt_connect(5),
        mqtt_publish(5, "cryo/1/lab/probe-1/tele", tagged(FREEZING), properties=alias),
        mqtt_publish(5, "", tagged(FREEZING), properties=alias),
        mqtt_publish(5, "", tagged(FREEZING)[:-1], properties=alias),
    ]

    _, named, known, unknown = info_lines(capture(packets, MQTT), tmp_path)

    assert named.endswith("TELEMETRY tip -41.2 C FREEZE")
    assert known.endswith("TELEMETRY tip -41.2 C FREEZE")
    assert "TELEMETRY" not in unknown


def test_a_capture_without_the_connect_needs_the_version_of_mqtt(tmp_path: Path) -> None:
    message = mqtt_publish(5, "cryo/1/lab/probe-1/cmd", tagged(FREEZE))
    pcap = capture([message], MQTT)

    (unsaid,) = info_lines(pcap, tmp_path)
    (said,) = info_lines(pcap, tmp_path, "-o", "mqtt.default_version:MQTT v5.0")

    assert unsaid.endswith("REJECT version")
    assert said.endswith("COMMAND FREEZE ctr 7")


def hostile(random: Random) -> bytes:
    """Return a body of noise, or one whose head or size alone is right."""
    if random.random() < 0.3:
        return random.randbytes(random.randint(0, 230))
    first = random.choice([0x10, 0x11, 0x11, 0x1F, 0x20])
    row = random.choice(MESSAGES)
    message_id = random.choice([row.message_id, row.message_id, 0xC1, 0xF1])
    size = 6 + row.struct.sizeof() + random.choice([0, 8])
    body = bytes([first, message_id]) + random.randbytes(size)
    return body[: random.randint(0, len(body))] if random.random() < 0.3 else body


def test_nothing_on_the_wire_makes_the_dissector_fail(tmp_path: Path) -> None:
    random = Random(20)
    stream = []
    for _ in range(1500):
        frame = wrap(hostile(random))
        if random.random() < 0.3:
            at = random.randrange(len(frame))
            frame = frame[:at] + random.randbytes(random.randint(0, 3)) + frame[at + 1 :]
        stream.append(frame)
    stream += [random.randbytes(random.randint(1, 600)) for _ in range(300)]
    leaves = ("tele", "event", "cmd", "lease", "ack/me", "", "/", "ack/")
    published = [
        mqtt_publish(5, f"cryo/1/lab/probe-1/{random.choice(leaves)}", hostile(random))
        for _ in range(1500)
    ]
    published += [mqtt_publish(5, "", hostile(random)) for _ in range(300)]

    # With every line of every packet; `run_tshark` looks for errors of Lua.
    tcp = run_tshark(capture(stream, TCP), tmp_path, "-V")
    mqtt = run_tshark(capture([mqtt_connect(5), *published], MQTT), tmp_path, "-V")

    for text in (tcp, mqtt):
        assert "Malformed" not in text
        for reason in ("short", "version", "unknown_id", "size", "range", "untagged"):
            assert f"({reason}: " in text or f"[{reason}: " in text
        assert "cryoctl VENDOR 0xC1" in text


def test_the_dissector_is_ascii_so_that_any_shell_can_write_it() -> None:
    assert lua_dissector().isascii()


def test_the_how_to_page_shows_what_tshark_says(tmp_path: Path) -> None:
    golden = {vector["name"]: bytes.fromhex(vector["wire"]) for vector in vectors("frames.json")}
    names = ("TELEMETRY, example", "COMMAND, example", "ACK, example")
    pcap = capture([golden[name] for name in names], TCP)

    columns = "\n".join(info_lines(pcap, tmp_path))
    details = run_tshark(pcap, tmp_path, "-O", "cryoctl", "-Y", "cryoctl.message_id == COMMAND")

    page = HOW_TO.read_text("utf-8")
    assert columns in page
    assert details[details.index("cryoctl COMMAND") :].strip() in page
