from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cryoctl_simulator.emulated.gdb_packets import Mark, PacketReader, encode


def test_a_packet_has_a_checksum_and_escapes_what_would_end_it() -> None:
    assert encode(b"OK") == b"$OK#9a"
    assert encode(b"") == b"$#00"
    assert encode(b"a#}") == b"$a}\x03}]#bb"


@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(1, 50))
def test_whatever_was_packed_comes_out_however_the_stream_is_cut(
    payloads: list[bytes], piece: int
) -> None:
    stream = b"+".join(map(encode, payloads))
    reader = PacketReader()
    found = [
        each
        for first in range(0, len(stream), piece)
        for each in reader.feed(stream[first : first + piece])
    ]
    assert found == payloads


def test_what_stands_between_packets_is_told_apart() -> None:
    assert PacketReader().feed(b"+\x03-\xffnoise$OK#9a") == [Mark.INTERRUPT, Mark.REPEAT, b"OK"]


def test_a_byte_of_an_interrupt_in_a_packet_is_data() -> None:
    assert PacketReader().feed(b"$\x03#03") == [b"\x03"]


def test_damage_is_told_and_the_next_packet_is_heard() -> None:
    damaged = (b"$OK#9b", b"$OK#zz", b"$O", b"$" + b"x" * 5000)
    for each in damaged:
        found = PacketReader().feed(each + b"$?#3f")
        assert found[0] is Mark.DAMAGED
        assert found[-1] == b"?"


def test_a_packet_may_be_4096_bytes_long_and_no_longer() -> None:
    assert PacketReader().feed(encode(b"x" * 4096)) == [b"x" * 4096]
    assert PacketReader().feed(encode(b"x" * 4097))[0] is Mark.DAMAGED


def test_a_reader_that_never_gets_an_end_keeps_little() -> None:
    reader = PacketReader()
    for _ in range(100):
        reader.feed(b"x" * 1000 + b"$" + b"x" * 1000)
        assert len(reader._packet or b"") <= 4100
