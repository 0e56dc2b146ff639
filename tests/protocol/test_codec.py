"""The fast codec against construct, its declarative oracle, in both directions."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import construct
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoctl_protocol import codec
from cryoctl_protocol.codec import PAYLOAD_SIZE, CodecError, decode, encode, schema_text
from cryoctl_protocol.codes import ENUMERATIONS
from cryoctl_protocol.dtypes import message_dtype
from cryoctl_protocol.messages import MESSAGES, Message, MessageType, Telemetry, Vitals
from tests.support.protocol_builders import raw_values, telemetry, valid_values

rows = pytest.mark.parametrize("row", MESSAGES, ids=lambda row: row.name)
RANGED = [
    pytest.param(row, name, id=f"{row.name}.{name}")
    for row in MESSAGES
    for name, field in row.fields
    if field.low is not None
]


def oracle_build(row: MessageType, values: tuple[Any, ...]) -> bytes:
    built: bytes = row.struct.build(dict(zip(row.cls._fields, values, strict=True)))
    return built


def oracle_parse(row: MessageType, payload: bytes) -> Message | None:
    """What construct and the ranges of the table make of a payload; None refuses it."""
    whole = construct.Struct(*row.struct.subcons, construct.Terminated)
    try:
        parsed = whole.parse(payload)
    except construct.ConstructError:
        return None
    values = {name: parsed[name] for name, _ in row.fields}
    for name, field in row.fields:
        if field.low is not None and values[name] < field.low:
            return None
        if field.high is not None and values[name] > field.high:
            return None
    message: Message = row.cls(**values)
    return message


def fast_decode(row: MessageType, payload: bytes) -> Message | None:
    try:
        return decode(row.message_id, payload)
    except CodecError:
        return None


# -- one oracle ----------------------------------------------------------------------------------


@rows
@given(data=st.data())
def test_both_write_the_same_bytes(row: MessageType, data: st.DataObject) -> None:
    values = data.draw(raw_values(row))

    assert encode(row.cls(*values)) == oracle_build(row, values)


@rows
@given(data=st.data())
def test_both_read_what_the_table_allows(row: MessageType, data: st.DataObject) -> None:
    values = data.draw(valid_values(row))
    payload = oracle_build(row, values)

    assert fast_decode(row, payload) == oracle_parse(row, payload) == row.cls(*values)
    assert type(fast_decode(row, payload)) is row.cls


@rows
@given(data=st.data())
def test_both_decide_the_same_on_arbitrary_values(row: MessageType, data: st.DataObject) -> None:
    payload = oracle_build(row, data.draw(raw_values(row)))

    assert fast_decode(row, payload) == oracle_parse(row, payload)


@rows
@given(data=st.data())
def test_both_decide_the_same_on_a_mutated_payload(row: MessageType, data: st.DataObject) -> None:
    payload = bytearray(oracle_build(row, data.draw(valid_values(row))))
    for _ in range(data.draw(st.integers(1, 3))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.sampled_from([0, 0, 0, 1, 2, len(payload)]))
    mutated = bytes(payload[: len(payload) - cut]) + data.draw(st.binary(max_size=2))

    assert fast_decode(row, mutated) == oracle_parse(row, mutated)


@pytest.mark.parametrize(("row", "name"), RANGED)
def test_the_last_allowed_value_is_taken_and_the_next_refused(row: MessageType, name: str) -> None:
    index = row.cls._fields.index(name)
    field = row.fields[index][1]
    lowest = tuple(
        bytes(16) if codec.struct_code(each) == "16s" else each.low or 0 for _, each in row.fields
    )

    def taken(value: int) -> bool:
        values = (*lowest[:index], value, *lowest[index + 1 :])
        return fast_decode(row, codec.PACKERS[row.message_id].pack(*values)) is not None

    assert field.low is not None
    assert field.high is not None
    assert (taken(field.low), taken(field.high), taken(field.high + 1)) == (True, True, False)
    if field.low > 0:
        assert not taken(field.low - 1)


def test_ranges_are_the_literals_of_the_specification() -> None:
    def taken(**changes: int) -> bool:
        row = next(row for row in MESSAGES if row.cls is Telemetry)
        return fast_decode(row, encode(telemetry(0, **changes))) is not None

    assert (taken(state=10), taken(state=11)) == (True, False)
    assert (taken(trip=27), taken(trip=28)) == (True, False)
    assert (taken(valve_permille=1000), taken(valve_permille=1001)) == (True, False)
    assert (taken(button=1), taken(button=2)) == (True, False)
    assert (taken(stimulus_ua=10_000), taken(stimulus_ua=10_001)) == (True, False)
    assert (taken(stimulus_hz=100), taken(stimulus_hz=101)) == (True, False)
    assert (taken(stimulus_pulse_us=1_000), taken(stimulus_pulse_us=1_001)) == (True, False)
    assert (taken(stimulus_response=2), taken(stimulus_response=3)) == (True, False)


# -- errors --------------------------------------------------------------------------------------


def test_a_value_that_does_not_fit_its_field_cannot_be_sent() -> None:
    with pytest.raises(CodecError, match="Telemetry"):
        encode(telemetry(0, tip_mdegc=2**31))
    with pytest.raises(CodecError, match="Telemetry"):
        encode(telemetry(-1))


def test_a_sender_may_be_wrong_about_ranges_and_the_receiver_is_not() -> None:
    payload = encode(telemetry(0, valve_permille=60_000))

    with pytest.raises(CodecError, match="message 0x10: value out of range"):
        decode(0x10, payload)


@pytest.mark.parametrize("size", [0, 69, 71])
def test_another_size_is_refused(size: int) -> None:
    assert PAYLOAD_SIZE[0x10] == 70
    with pytest.raises(CodecError, match="message 0x10"):
        decode(0x10, bytes(size))


def test_an_unknown_id_is_refused() -> None:
    with pytest.raises(CodecError, match="unknown message id 0x7F"):
        decode(0x7F, b"")


def test_a_range_may_be_open_at_one_end() -> None:
    row = next(row for row in MESSAGES if row.cls is Vitals)
    fields = tuple(
        (name, replace(field, low=-5)) if name == "tip_mdegc" else (name, field)
        for name, field in row.fields
    )
    decoder = codec._decoder(replace(row, fields=fields))

    def taken(tip_mdegc: int) -> bool:
        return decoder(encode(Vitals(0, 0, tip_mdegc, 0, 0, 0, 0))) is not None

    assert (taken(-5), taken(-6), taken(2**31 - 1)) == (True, False, True)


# -- hash and dtypes -----------------------------------------------------------------------------


def changed_rows() -> list[Any]:
    """Every field of the table changed in every way that matters, one at a time."""
    cases = []
    for place, row in enumerate(MESSAGES):

        def case(what: str, new: MessageType, place: int = place, row: MessageType = row) -> Any:
            table = (*MESSAGES[:place], new, *MESSAGES[place + 1 :])
            return pytest.param(table, id=f"{row.name} {what}")

        cases.append(case("id", replace(row, message_id=row.message_id + 1)))
        cases.append(case("tagged", replace(row, tagged=not row.tagged)))
        cases.append(case("last field gone", replace(row, fields=row.fields[:-1])))
        cases.append(case("order", replace(row, fields=row.fields[::-1])))
        turned = MessageType.UP if row.direction is MessageType.DOWN else MessageType.DOWN
        cases.append(case("direction", replace(row, direction=turned)))
        for index, (name, field) in enumerate(row.fields):
            for what, new in (
                ("name", (name + "_", field)),
                ("unit", (name, replace(field, unit=field.unit + "x"))),
                ("low", (name, replace(field, low=-1))),
                ("high", (name, replace(field, high=77))),
                ("type", (name, replace(field, kind=construct.Int24ul))),
            ):
                fields = (*row.fields[:index], new, *row.fields[index + 1 :])
                cases.append(case(f"{name} {what}", replace(row, fields=fields)))
    return cases


@pytest.mark.requirement("SR-28")
@pytest.mark.parametrize("table", changed_rows())
def test_the_hash_covers_every_field(
    table: tuple[MessageType, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = schema_text()
    monkeypatch.setattr(codec, "MESSAGES", table)

    assert schema_text() != before


@pytest.mark.requirement("SR-28")
@pytest.mark.parametrize("choices", ENUMERATIONS, ids=lambda choices: choices.__name__)
def test_the_hash_covers_what_each_code_means(
    choices: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = schema_text()
    names = [choice.name for choice in choices]
    swapped = dict(zip([names[1], names[0], *names[2:]], choices, strict=True))
    values = {name: int(value) for name, value in swapped.items()}
    impostor = choices.__base__(choices.__name__, values)
    table = tuple(impostor if each is choices else each for each in ENUMERATIONS)
    monkeypatch.setattr(codec, "ENUMERATIONS", table)

    assert schema_text() != before


def test_the_hash_is_the_start_of_sha256_over_the_text() -> None:
    digest = hashlib.sha256(schema_text().encode()).digest()
    assert int.from_bytes(digest[:4], "little") == codec.SCHEMA_HASH


@rows
@given(data=st.data())
def test_a_dtype_reads_what_the_codec_wrote(row: MessageType, data: st.DataObject) -> None:
    values = data.draw(valid_values(row))

    record = np.frombuffer(encode(row.cls(*values)), message_dtype(row))[0]

    assert message_dtype(row).itemsize == PAYLOAD_SIZE[row.message_id]
    for name, value in zip(row.cls._fields, values, strict=True):
        expected = value.rstrip(b"\0") if isinstance(value, bytes) else value
        assert record[name] == expected
