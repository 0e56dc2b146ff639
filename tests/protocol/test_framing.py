"""Frames on a bad line: what comes through is whole, and nothing that comes in upsets anything."""

from __future__ import annotations

from binascii import crc32
from collections import Counter
from itertools import combinations

import pytest
from cobs import cobs
from hypothesis import given
from hypothesis import strategies as st

from cryoctl_protocol.auth import TagKey
from cryoctl_protocol.codec import encode
from cryoctl_protocol.framing import (
    BODY_SIZE_MAX,
    CRC_RESIDUE,
    DELIMITER,
    WIRE_SIZE_MAX,
    Deframer,
    Parsed,
    Reject,
    build,
    parse,
    unwrap,
    wrap,
)
from cryoctl_protocol.messages import Ack, HelloHost, Lease, Vitals
from tests.support.protocol_builders import KEY, plain, telemetry

TAG_KEY = TagKey(KEY)
VITALS = plain(Vitals(1, 2, 3, 4, 5, 6, 1))
TELEMETRY = plain(telemetry(5, tip_mdegc=-60_000, supply_mbar=50_000))
LEASE = build(0x21, encode(Lease(1, 0, 300)), seq=9, session=0xA0B0C0D0, key=TAG_KEY)
HELLO_HOST = plain(HelloHost(1, 0, 0, 0), seq=0)  # Nearly all zeros: the hardest case for COBS.
ACK = build(0x30, encode(Ack(1, 3, 0)), seq=9, session=0xA0B0C0D0, key=TAG_KEY)
BODIES = [VITALS, TELEMETRY, LEASE, HELLO_HOST, ACK]
NAMES = ["vitals", "telemetry", "lease", "hello_host", "ack"]
each_body = pytest.mark.parametrize("body", BODIES, ids=NAMES)


def deframed(*pieces: bytes) -> tuple[list[bytes], Counter[Reject]]:
    """Bodies and rejects of a stream that begins with a delimiter."""
    deframer = Deframer()
    bodies = deframer.feed(DELIMITER)
    for piece in pieces:
        bodies += deframer.feed(piece)
    return bodies, deframer.rejects


# -- whole frames --------------------------------------------------------------------------------


def test_a_frame_is_what_the_specification_says_byte_by_byte() -> None:
    body = bytes([0x10, 0x03]) + b"\x02\x01" + bytes(4) + encode(Vitals(1, 2, 3, 4, 5, 6, 1))
    crc = crc32(body).to_bytes(4, "little")

    assert build(0x03, body[8:], seq=0x0102, session=0, key=None) == body
    assert wrap(body) == cobs.encode(body + crc) + b"\0"


def test_a_tag_stands_between_payload_and_crc_and_covers_the_header() -> None:
    signed = LEASE[:-8]

    assert LEASE[-8:] == TAG_KEY.tag(signed)
    assert signed[0] == 0x11
    assert parse(LEASE) == Parsed(0x21, 9, 0xA0B0C0D0, signed[8:], signed, LEASE[-8:])


@each_body
def test_a_frame_comes_back_as_it_went(body: bytes) -> None:
    assert deframed(wrap(body)) == ([body], Counter())


@given(st.lists(st.sampled_from(BODIES), max_size=6), st.data())
def test_frames_survive_any_split_of_the_stream(bodies: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(wrap(body) for body in bodies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    assert deframed(*pieces) == (bodies, Counter())


def test_frames_survive_one_byte_at_a_time() -> None:
    stream = b"".join(wrap(body) for body in BODIES)

    assert deframed(*(bytes([byte]) for byte in stream)) == (BODIES, Counter())


def test_delimiters_in_a_row_are_no_error() -> None:
    assert deframed(b"\0\0" + wrap(VITALS) + b"\0\0\0" + wrap(ACK)) == ([VITALS, ACK], Counter())


def test_the_tail_of_a_frame_at_the_beginning_is_dropped_without_a_count() -> None:
    deframer = Deframer()

    assert deframer.feed(wrap(VITALS)[7:] + wrap(ACK)) == [ACK]
    assert deframer.rejects == Counter()


def test_the_longest_body_fits_and_one_byte_more_does_not() -> None:
    longest = bytes([0x10, 0xC0]) + bytes(BODY_SIZE_MAX - 2)

    assert BODY_SIZE_MAX == 216
    assert deframed(wrap(longest)) == ([longest], Counter())
    assert deframed(wrap(longest + b"\0")) == ([], Counter({Reject.OVERSIZE: 1}))


def test_the_residue_is_the_same_for_any_body() -> None:
    for body in (b"", b"\0", *BODIES):
        assert crc32(body + crc32(body).to_bytes(4, "little")) == CRC_RESIDUE


# -- parsing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", range(8))
def test_a_body_without_a_whole_header_is_short(size: int) -> None:
    assert parse(VITALS[:size]) is Reject.SHORT


@pytest.mark.parametrize("first", sorted(set(range(256)) - {0x10, 0x11}))
def test_every_other_first_byte_is_another_version_or_an_unknown_flag(first: int) -> None:
    expected = Reject.FLAGS if first >> 4 == 1 else Reject.VERSION

    assert parse(bytes([first]) + VITALS[1:]) is expected


def test_the_id_prescribes_the_size() -> None:
    assert isinstance(parse(VITALS), Parsed)
    assert parse(VITALS[:-1]) is Reject.SIZE
    assert parse(VITALS + b"\0") is Reject.SIZE
    assert parse(LEASE[:-1]) is Reject.SIZE
    assert parse(b"\x11" + VITALS[1:]) is Reject.SIZE


def test_ids_outside_table_and_vendor_range_are_unknown() -> None:
    known = {0x01, 0x02, 0x03, 0x10, 0x11, 0x20, 0x21, 0x22, 0x30, 0x31, *range(0xC0, 0xF0)}

    taken = {
        number
        for number in range(256)
        if parse(bytes([0x10, number]) + bytes(6)) is not Reject.UNKNOWN_ID
    }

    assert taken == known


def test_a_vendor_frame_has_any_payload_up_to_the_longest_body() -> None:
    head = bytes([0x10, 0xC0, 1, 0, 0, 0, 0, 0])
    longest = head + bytes(BODY_SIZE_MAX - 8)

    assert parse(head) == Parsed(0xC0, 1, 0, b"", head, None)
    assert parse(longest) == Parsed(0xC0, 1, 0, bytes(208), longest, None)
    assert parse(longest + b"\0") is Reject.OVERSIZE


def test_a_tagged_vendor_frame_has_room_for_its_tag() -> None:
    head = bytes([0x11, 0xEF, 1, 0, 0, 0, 0, 0])

    assert parse(head + bytes(7)) is Reject.SHORT
    assert parse(head + b"xy" + bytes(8)) == Parsed(0xEF, 1, 0, b"xy", head + b"xy", bytes(8))


# -- damage --------------------------------------------------------------------------------------


@pytest.mark.requirement("SR-04")
@each_body
def test_no_flipped_bit_is_accepted(body: bytes) -> None:
    """Every single bit on the wire, delimiter included."""
    wire = wrap(body)
    for place in range(8 * len(wire)):
        broken = bytearray(wire)
        broken[place // 8] ^= 1 << place % 8

        bodies, rejects = deframed(bytes(broken) + DELIMITER)

        assert bodies == []
        assert rejects.total() >= 1


@pytest.mark.requirement("SR-04")
@each_body
def test_no_two_flipped_bits_are_accepted(body: bytes) -> None:
    """Every pair of bits; a flip may make a delimiter, then each piece must be refused."""
    chunk = wrap(body)[:-1]
    flips = [(place // 8, 1 << place % 8) for place in range(8 * len(chunk))]
    accepted = []
    for (first, first_bit), (second, second_bit) in combinations(flips, 2):
        broken = bytearray(chunk)
        broken[first] ^= first_bit
        broken[second] ^= second_bit
        for piece in bytes(broken).split(b"\0"):
            found = unwrap(piece)
            if isinstance(found, bytes) and isinstance(parse(found), Parsed):
                accepted.append(piece)

    assert accepted == []


@pytest.mark.requirement("SR-04")
@each_body
def test_a_frame_cut_short_anywhere_is_refused_and_the_next_one_taken(body: bytes) -> None:
    wire = wrap(body)
    for size in range(1, len(wire) - 1):
        bodies, rejects = deframed(wire[:size] + DELIMITER + wrap(VITALS))

        assert bodies == [VITALS]
        assert rejects.total() == 1


@pytest.mark.parametrize("lost", [1, 5, 20])
def test_bytes_lost_across_two_frames_cost_no_third(lost: int) -> None:
    stream = wrap(VITALS) + wrap(TELEMETRY) + wrap(ACK)
    start = len(wrap(VITALS)) - lost // 2 - 1

    bodies, rejects = deframed(stream[:start] + stream[start + lost :])

    assert bodies[-1] == ACK
    assert rejects.total() == 1


@pytest.mark.requirement("SR-04")
def test_babble_is_counted_once_and_costs_no_memory() -> None:
    deframer = Deframer()
    deframer.feed(DELIMITER)
    for _ in range(1000):
        assert deframer.feed(b"\x55" * 100) == []
        assert len(deframer._partial) <= WIRE_SIZE_MAX

    assert deframer.feed(b"\x55" * 3 + DELIMITER + wrap(ACK)) == [ACK]
    assert deframer.rejects == Counter({Reject.OVERSIZE: 1})


def test_babble_before_the_first_delimiter_is_not_counted() -> None:
    deframer = Deframer()

    assert deframer.feed(b"\x55" * 10_000) == []
    assert deframer.feed(DELIMITER + wrap(ACK)) == [ACK]
    assert deframer.rejects == Counter()


def test_each_kind_of_damage_is_counted_as_what_it_is() -> None:
    wire = wrap(VITALS)
    broken_crc = wire[:-2] + bytes([wire[-2] ^ 1]) + DELIMITER
    broken_cobs = b"\xff" + wire[1:]

    _, rejects = deframed(broken_crc + broken_cobs + b"\x55" * 300 + DELIMITER)

    assert rejects == Counter({Reject.CRC: 1, Reject.COBS: 1, Reject.OVERSIZE: 1})


@pytest.mark.requirement("SR-04")
@given(st.lists(st.binary(max_size=400), max_size=8))
def test_arbitrary_bytes_never_raise(pieces: list[bytes]) -> None:
    bodies, _ = deframed(*pieces)

    assert all(isinstance(parse(body), Parsed | Reject) for body in bodies)


@pytest.mark.requirement("SR-04")
@given(st.binary(max_size=300))
def test_arbitrary_bodies_never_raise(body: bytes) -> None:
    assert isinstance(parse(body), Parsed | Reject)


@given(st.binary(max_size=BODY_SIZE_MAX))
def test_any_body_that_fits_comes_back(body: bytes) -> None:
    assert deframed(wrap(body)) == ([body], Counter())
