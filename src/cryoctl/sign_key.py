"""Reads the key that signs an audit trail; one that others could have read is refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from cryoctl_protocol.toml_text import FileError, Problem

KEY_MIN: Final = 32
"""Bytes; what HMAC-SHA256 makes full use of (RFC 2104, section 3)."""
KEY_MAX: Final = 4096

_FOR_OTHERS: Final = 0o077
_MAKE_ONE: Final = "make one with: (umask 077 && head -c 32 /dev/urandom > audit.key)"


def read_sign_key(path: Path) -> bytes:
    """Return the key in a file, its bytes as they are.

    Raises:
        FileError: It cannot be read, is open to others than its owner, or is no key.
    """
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            key = stream.read(KEY_MAX + 1)
    except OSError as error:
        reason = error.strerror or "cannot be read"
        raise FileError([Problem(str(path), None, "", reason)]) from error
    if os.name == "posix" and mode & _FOR_OTHERS:
        text = f"a key that others may read or change (mode {mode & 0o777:03o}); chmod 600 it"
        raise FileError([Problem(str(path), None, "", text)])
    if not KEY_MIN <= len(key) <= KEY_MAX:
        text = f"a key of {len(key)} bytes; expected {KEY_MIN} to {KEY_MAX}; {_MAKE_ONE}"
        if len(key) > KEY_MAX:
            text = f"no key: longer than {KEY_MAX} bytes; {_MAKE_ONE}"
        raise FileError([Problem(str(path), None, "", text)])
    return key
