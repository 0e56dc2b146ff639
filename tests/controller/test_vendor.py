"""The vendor table: clear messages for people, and no payload that can raise."""

from __future__ import annotations

from math import isnan

import pytest

from cryoctl.vendor import PAYLOAD_SIZE_MAX, VendorTable, load_vendor_table
from cryoctl_protocol.toml_text import FileError

HEAD = '[[message]]\nid = 0xC0\nname = "aux"\n'
FIELD = '[[message.field]]\nname = "level_mm"\ntype = "u8"\n'


def message(number: int, name: str, kind: str = "u8") -> str:
    field = f'[[message.field]]\nname = "a"\ntype = "{kind}"\n'
    return f'[[message]]\nid = {number}\nname = "{name}"\n{field}'


def test_every_type_is_read_little_endian_and_scaled() -> None:
    kinds = ("u8", "i8", "u16", "i16", "u32", "i32", "f32")
    fields = "".join(
        f'[[message.field]]\nname = "{kind}_field"\ntype = "{kind}"\nscale = 0.5\n'
        for kind in kinds
    )
    table = load_vendor_table(HEAD + fields, "v.toml")
    payload = bytes.fromhex("fefefefffefffefffffffeffffff0000003f")

    found = table.decode(0xC0, payload)

    assert found is not None
    assert found.message.name == "aux"
    assert found.values == (127.0, -1.0, 32767.0, -1.0, 2147483647.0, -1.0, 0.25)


def test_a_float_that_is_no_number_stays_none() -> None:
    table = load_vendor_table(message(0xC0, "aux", "f32"), "v.toml")

    found = table.decode(0xC0, b"\x00\x00\xc0\x7f")

    assert found is not None
    assert isnan(found.values[0])


@pytest.mark.parametrize("payload", [b"", b"\x00", b"\x00" * 3])
def test_a_payload_of_the_wrong_size_is_not_decoded(payload: bytes) -> None:
    table = load_vendor_table(message(0xC0, "aux", "u16"), "v.toml")

    assert table.decode(0xC0, payload) is None


def test_an_unknown_id_is_not_decoded() -> None:
    assert load_vendor_table(HEAD + FIELD, "v.toml").decode(0xC1, b"\x00") is None
    assert VendorTable().decode(0xC0, b"\x00") is None


@pytest.mark.parametrize("number", [0xC0, 0xEF])
def test_the_first_and_the_last_id_are_taken(number: int) -> None:
    assert load_vendor_table(message(number, "aux"), "v.toml").by_id[number].name == "aux"


IN_FIELD = "message[0].field[0]"
BROKEN = [
    (message(0xBF, "aux"), ("v.toml:2: message[0].id: ", "192 to 239")),
    (message(0xF0, "aux"), ("v.toml:2: message[0].id: ", "192 to 239")),
    (message(0xC0, "a") + message(0xC0, "b"), ("v.toml:8: ", "0xC0 is taken by message 1")),
    (message(0xC0, "a") + message(0xC1, "a"), ("v.toml:9: ", "'a' is taken by message 1")),
    (message(0xC0, "aux", "u64"), (f"v.toml:6: {IN_FIELD}.type: ", '"u8", "i8"')),
    (message(0xC0, "Aux"), ("v.toml:3: message[0].name: ", "Aux")),
    (message(0xC0, "a__b"), ("v.toml:3: message[0].name: ", "a__b")),
    (HEAD, ("v.toml:1: message[0]", "field")),
    (HEAD + FIELD + FIELD, ("v.toml:8: message[0].field[1].name: ", "taken by field 1")),
    (HEAD + FIELD.replace("level_mm", "now_s"), (f"v.toml:5: {IN_FIELD}.name: ", "time column")),
    (HEAD + FIELD + "scal = 2.0\n", (f"v.toml:7: {IN_FIELD}.scal", "did you mean 'scale'?")),
    (HEAD + FIELD + "scale = nan\n", (f"v.toml:7: {IN_FIELD}.scale: ",)),
]


@pytest.mark.parametrize(("text", "expected"), BROKEN)
def test_a_broken_table_is_refused_with_its_line(text: str, expected: tuple[str, ...]) -> None:
    with pytest.raises(FileError) as caught:
        load_vendor_table(text, "v.toml")

    assert len(caught.value.problems) == 1
    for part in expected:
        assert part in str(caught.value)


def test_the_longest_message_that_fits_a_frame_is_taken_and_the_next_refused() -> None:
    def wide(size: int) -> str:
        names = [f'[[message.field]]\nname = "w{n}"\ntype = "u32"\n' for n in range(size // 4)]
        names += [f'[[message.field]]\nname = "b{n}"\ntype = "u8"\n' for n in range(size % 4)]
        return HEAD + "".join(names)

    table = load_vendor_table(wide(PAYLOAD_SIZE_MAX), "v.toml")

    assert table.message[0].wire.size == 200
    with pytest.raises(FileError, match="201 bytes do not fit into a frame"):
        load_vendor_table(wide(PAYLOAD_SIZE_MAX + 1), "v.toml")
