"""Reads the key that signs an audit trail; one that others could have read is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cryoctl_protocol.private_file import file_error, read_private

KEY_MIN: Final = 32
"""Bytes; what HMAC-SHA256 makes full use of (RFC 2104, section 3)."""
KEY_MAX: Final = 4096

_MAKE_ONE: Final = "make one with: (umask 077 && head -c 32 /dev/urandom > audit.key)"


def read_sign_key(path: Path) -> bytes:
    """Return the key in a file, its bytes as they are.

    Raises:
        FileError: It cannot be read, is open to others than its owner, or is no key.
    """
    key = read_private(path, KEY_MAX)
    if not KEY_MIN <= len(key) <= KEY_MAX:
        text = f"a key of {len(key)} bytes; expected {KEY_MIN} to {KEY_MAX}; {_MAKE_ONE}"
        if len(key) > KEY_MAX:
            text = f"no key: longer than {KEY_MAX} bytes; {_MAKE_ONE}"
        raise file_error(path, text)
    return key
