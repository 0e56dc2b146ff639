"""Keys and tags against the published vectors of their standards."""

from __future__ import annotations

import hmac
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoctl_protocol.auth import (
    DEMO_KEY,
    SessionKeys,
    TagKey,
    hkdf_sha256,
    session_keys,
    stop_key,
)
from tests.support.protocol_builders import KEY, OTHER_KEY

# RFC 4231, test cases 1 to 7 (HMAC-SHA-256).
HMAC_CASES = [
    (
        b"\x0b" * 20,
        b"Hi There",
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
    ),
    (
        b"Jefe",
        b"what do ya want for nothing?",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ),
    (
        b"\xaa" * 20,
        b"\xdd" * 50,
        "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
    ),
    (
        bytes(range(1, 26)),
        b"\xcd" * 50,
        "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
    ),
    (b"\x0c" * 20, b"Test With Truncation", "a3b6167473100ee06e0c796c2955552b"),
    (
        b"\xaa" * 131,
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ),
    (
        b"\xaa" * 131,
        (
            b"This is a test using a larger than block-size key and a larger than block-size data. "
            b"The key needs to be hashed before being used by the HMAC algorithm."
        ),
        "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
    ),
]

# RFC 5869, A.1 to A.3 (SHA-256); the first 32 bytes of each, which is all that we derive.
HKDF_CASES = [
    (
        b"\x0b" * 22,
        bytes(range(13)),
        bytes(range(0xF0, 0xFA)),
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf",
    ),
    (
        bytes(range(0x50)),
        bytes(range(0x60, 0xB0)),
        bytes(range(0xB0, 0x100)),
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c",
    ),
    (
        b"\x0b" * 22,
        b"",
        b"",
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d",
    ),
]


@pytest.mark.parametrize(("key", "data", "expected"), HMAC_CASES)
def test_tags_are_the_first_eight_bytes_of_rfc_4231(key: bytes, data: bytes, expected: str) -> None:
    assert TagKey(key).tag(data) == bytes.fromhex(expected)[:8]


@given(st.binary(max_size=200), st.binary(max_size=300))
def test_tags_are_those_of_the_standard_library(key: bytes, data: bytes) -> None:
    assert TagKey(key).tag(data) == hmac.digest(key, data, "sha256")[:8]


@pytest.mark.parametrize(("key", "salt", "info", "expected"), HKDF_CASES)
def test_keys_are_derived_as_rfc_5869_says(
    key: bytes, salt: bytes, info: bytes, expected: str
) -> None:
    assert hkdf_sha256(key, salt=salt, info=info).hex() == expected


@pytest.mark.requirement("SR-24")
def test_no_single_bit_of_data_or_tag_may_change() -> None:
    key = TagKey(KEY)
    data = b"valve shut"
    tag = key.tag(data)
    assert key.verify(data, tag)

    for place in range(8 * len(tag)):
        forged = bytearray(tag)
        forged[place // 8] ^= 1 << place % 8
        assert not key.verify(data, bytes(forged))
    for place in range(8 * len(data)):
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        assert not key.verify(bytes(changed), tag)


@pytest.mark.parametrize("size", [0, 7, 9, 32])
def test_a_tag_of_another_length_is_refused(size: int) -> None:
    whole = hmac.digest(KEY, b"data", "sha256")

    assert not TagKey(KEY).verify(b"data", whole[:size])
    assert TagKey(KEY).verify(b"data", whole[:8])


@pytest.mark.requirement("SR-24")
def test_every_key_of_a_session_is_another_one() -> None:
    def marks(keys: SessionKeys) -> list[bytes]:
        return [keys.down.tag(b"x"), keys.up.tag(b"x")]

    tags = [
        *marks(session_keys(KEY, 1, 2)),
        *marks(session_keys(KEY, 2, 1)),
        *marks(session_keys(KEY, 1, 3)),
        *marks(session_keys(OTHER_KEY, 1, 2)),
        stop_key(KEY, 1).tag(b"x"),
        stop_key(KEY, 2).tag(b"x"),
        stop_key(OTHER_KEY, 1).tag(b"x"),
        TagKey(KEY).tag(b"x"),
    ]

    assert len(set(tags)) == len(tags)


def test_both_sides_derive_the_same_session() -> None:
    here, there = session_keys(KEY, 5, 6), session_keys(KEY, 5, 6)

    assert here.session == there.session != 0
    assert there.down.verify(b"x", here.down.tag(b"x"))
    assert there.up.verify(b"x", here.up.tag(b"x"))


def test_a_saved_key_tags_as_before() -> None:
    key = TagKey(KEY)

    assert pickle.loads(pickle.dumps(key)).tag(b"x") == key.tag(b"x")


def test_the_demo_key_is_public() -> None:
    assert DEMO_KEY.hex() == ("0fad2d2f71eedc9e994e0bbc6db33968007e252dc941918da569e1682f447da9")
