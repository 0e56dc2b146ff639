"""Names of topics, and what a broker may hand us: nothing raises, nothing leads astray."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoctl_protocol.codec import encode
from cryoctl_protocol.codes import Answer, Op
from cryoctl_protocol.framing import Parsed, build, message_of, parse
from cryoctl_protocol.messages import (
    ID_OF,
    Ack,
    Command,
    Done,
    Event,
    Hello,
    HelloHost,
    Lease,
    Message,
    Stop,
    Telemetry,
    Vitals,
)
from cryoctl_protocol.mqtt.topics import (
    Conn,
    Topics,
    answer_of,
    leaf_of,
    question_of,
    topic_name,
)
from tests.support.protocol_builders import identity

TOPICS = Topics("bench", "probe-1")


def parsed(message: Message, session: int = 0) -> Parsed:
    body = build(ID_OF[type(message)], encode(message), seq=0, session=session, key=None)
    found = parse(body)
    assert isinstance(found, Parsed)
    return found


@pytest.mark.parametrize(
    ("message", "leaf"),
    [
        (HelloHost, "cmd"), (Command, "cmd"), (Stop, "cmd"), (Lease, "lease"), (Hello, "ack"),
        (Ack, "ack"), (Done, "event"), (Event, "event"), (Telemetry, "tele"), (Vitals, "tele"),
    ],
)  # fmt: skip
def test_every_message_has_its_topic(message: type[Message], leaf: str) -> None:
    assert leaf_of(ID_OF[message]) == leaf


def test_what_nobody_knows_is_telemetry() -> None:
    assert leaf_of(0xF7) == "tele"


def test_topics_are_those_of_the_documents() -> None:
    assert TOPICS.ack("desk", "cryoctl-1") == "cryo/1/bench/probe-1/ack/desk/cryoctl-1"
    assert TOPICS.is_ack("cryo/1/bench/probe-1/ack/desk/cryoctl-1")


@pytest.mark.parametrize(
    "topic",
    [
        "", "/", "//", "ack/desk/run",
        "cryo/1/bench/probe-1/ack/desk",
        "cryo/1/bench/probe-1/ack//run",
        "cryo/1/bench/probe-1/ack/desk/",
        "cryo/1/bench/probe-1/ack/desk/run/more",
        "cryo/1/bench/probe-1/ack/+/run",
        "cryo/1/bench/probe-1/ack/desk/#",
        "cryo/1/bench/probe-1/cmd/desk/run",
        "cryo/1/bench/probe-2/ack/desk/run",
        "cryo/1/bench/probe-1/cmd",
        "$SYS/broker/ack",
    ],
)  # fmt: skip
def test_no_answer_goes_anywhere_else(topic: str) -> None:
    assert not TOPICS.is_ack(topic)


@given(st.text(max_size=80))
def test_whatever_else_is_asked_for_stays_below_the_answers_of_the_device(topic: str) -> None:
    below = f"cryo/1/bench/probe-1/ack/{topic}"

    assert not TOPICS.is_ack(topic) or topic.startswith("cryo/1/bench/probe-1/ack/")
    if TOPICS.is_ack(below):
        assert below.count("/") == 6
        assert not set(below) & set("+#")


@pytest.mark.parametrize(
    ("serial", "name"),
    [
        (b"SIM-3c3ad904", "SIM-3c3ad904"),
        (b"a/b+c#d", "a-b-c-d"),
        (b"-first", "x-first"),
        (b"", "x"),
        (b"\xff\xfe", "x--"),
        (b"0123456789abcdef", "0123456789abcdef"),
    ],
)
def test_a_serial_number_becomes_one_level(serial: bytes, name: str) -> None:
    assert topic_name(identity(device_id=serial.ljust(16, b"\0"))) == name


def test_an_answer_names_what_it_answers() -> None:
    values = dict.fromkeys(Command._fields, 0) | {"counter": 7, "op": Op.ARM}
    command = parsed(Command(**values), session=5)
    ack = parsed(Ack(7, Op.ARM, Answer.ACCEPTED), session=5)
    greeting = HelloHost(**dict.fromkeys(HelloHost._fields, 0) | {"host_nonce": 9})

    assert question_of(command) == answer_of(ack) == (5, 7)
    assert question_of(parsed(greeting)) == answer_of(parsed(identity(host_nonce=9))) == (0, 9)
    assert answer_of(parsed(identity(host_nonce=0))) is None
    assert question_of(parsed(identity())) is None


@given(st.binary(max_size=230))
def test_no_payload_raises(payload: bytes) -> None:
    found = parse(payload)
    if isinstance(found, Parsed):
        message_of(found)
        question_of(found)
        answer_of(found)
        leaf_of(found.message_id)
    Conn.parse(payload)


@given(st.sampled_from(sorted(ID_OF.values())), st.data())
def test_no_payload_of_the_right_size_raises(message_id: int, data: st.DataObject) -> None:
    from cryoctl_protocol.codec import PAYLOAD_SIZE

    size = PAYLOAD_SIZE[message_id]
    payload = data.draw(st.binary(min_size=size, max_size=size))
    found = parse(build(message_id, payload, seq=0, session=0, key=None))
    assert isinstance(found, Parsed)

    message_of(found)
    question_of(found)
    answer_of(found)


def test_a_conn_says_what_it_said() -> None:
    conn = Conn(online=True, boot_id=7)

    assert conn.payload() == b'{"online": true, "boot_id": 7}'
    assert Conn.parse(conn.payload()) == conn


@pytest.mark.parametrize(
    "payload",
    [b"", b"{}", b"[]", b"null", b"\xff", b'{"online": true}', b'{"online": 1, "boot_id": "x"}',
     b'{"online": true, "boot_id": Infinity}', b'{"online": true, "boot_id": NaN}', b"[" * 9999],
    ids=range(10),
)  # fmt: skip
def test_a_conn_that_makes_no_sense_is_none(payload: bytes) -> None:
    assert Conn.parse(payload) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.fixed_dictionaries({"online": json_values, "boot_id": json_values}))
def test_whatever_stands_in_a_conn_is_no_error(found: dict[str, object]) -> None:
    Conn.parse(json.dumps(found).encode())
