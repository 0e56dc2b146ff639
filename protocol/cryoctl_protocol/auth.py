"""Who may command a probe: session keys from a shared key, and tags that prove a frame's sender."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final, NamedTuple

TAG_SIZE: Final = 8
"""Bytes of HMAC-SHA256 kept: online guessing only, and a session is dropped after 3 bad tags."""

_BLOCK_SIZE: Final = 64  # SHA-256 input block, RFC 2104.
_INNER_PAD: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD: Final = bytes(byte ^ 0x5C for byte in range(256))

INFO_DOWN: Final = b"cryoctl/1 h2d"
INFO_UP: Final = b"cryoctl/1 d2h"
INFO_STOP: Final = b"cryoctl/1 stop"
SESSION_PREFIX: Final = b"cryoctl/1 session"

DEMO_KEY_ID: Final = 0
DEMO_KEY: Final = hashlib.sha256(b"cryoctl public demo key: protects nothing").digest()
"""Key 0, known to everybody: for the built-in simulator, in process or on loopback and pty."""


class TagKey:
    """A key that tags and verifies; HMAC-SHA256 with the padded key hashed once."""

    __slots__ = ("_inner", "_key", "_outer")

    def __init__(self, key: bytes) -> None:
        self._key = key
        padded = (key if len(key) <= _BLOCK_SIZE else hashlib.sha256(key).digest()).ljust(
            _BLOCK_SIZE, b"\0"
        )
        self._inner = hashlib.sha256(padded.translate(_INNER_PAD))
        self._outer = hashlib.sha256(padded.translate(_OUTER_PAD))

    def tag(self, data: bytes) -> bytes:
        """Return the first 8 bytes of HMAC-SHA256(key, data)."""
        inner = self._inner.copy()
        inner.update(data)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()[:TAG_SIZE]

    def verify(self, data: bytes, tag: bytes) -> bool:
        """Return True if ``tag`` is this key's tag of ``data``; takes the same time either way."""
        return hmac.compare_digest(self.tag(data), tag)

    def __reduce__(self) -> tuple[type[TagKey], tuple[bytes]]:
        """Save as the key alone: hash objects cannot be pickled."""
        return TagKey, (self._key,)


class SessionKeys(NamedTuple):
    """What both sides derive from one HELLO exchange.

    Attributes:
        session: Session id, never 0.
        down: Tags what the controller sends.
        up: Tags what the device sends.
    """

    session: int
    down: TagKey
    up: TagKey


def hkdf_sha256(key: bytes, *, salt: bytes, info: bytes, size: int = 32) -> bytes:
    """Derive ``size`` bytes (at most 32) from ``key`` as RFC 5869 says."""
    assert size <= hashlib.sha256().digest_size
    pseudo_random = hmac.digest(salt, key, "sha256")
    return hmac.digest(pseudo_random, info + b"\x01", "sha256")[:size]


def session_keys(key: bytes, host_nonce: int, device_nonce: int) -> SessionKeys:
    """Derive the keys of the session that these two nonces open."""
    salt = host_nonce.to_bytes(8, "little") + device_nonce.to_bytes(8, "little")
    number = int.from_bytes(hashlib.sha256(SESSION_PREFIX + salt).digest()[:4], "little")
    return SessionKeys(
        session=number or 1,  # 0 means "no session".
        down=TagKey(hkdf_sha256(key, salt=salt, info=INFO_DOWN)),
        up=TagKey(hkdf_sha256(key, salt=salt, info=INFO_UP)),
    )


def stop_key(key: bytes, boot_id: int) -> TagKey:
    """Derive the key of STOP: good for one boot of the device, for every holder of its key."""
    return TagKey(hkdf_sha256(key, salt=boot_id.to_bytes(4, "little"), info=INFO_STOP))
