"""Writes files that only their owner may read."""

from __future__ import annotations

import glob
import os
import secrets
from pathlib import Path
from typing import Final

_TOKEN_BYTES: Final = 4


def write_private(path: Path, text: str, *, replaces: bool = False) -> None:
    """Write a file that only its owner may read; whole or not at all.

    Raises:
        FileExistsError: It is there already, and ``replaces`` was not said.
        OSError: It cannot be written.
    """
    # Never for a moment open to others: the mode is there from the beginning.
    target = path
    if replaces:
        # What a killed program left half-written must neither stand in the way nor lie about.
        for left in path.parent.glob(f".{glob.escape(path.name)}.{'?' * 2 * _TOKEN_BYTES}.new"):
            left.unlink(missing_ok=True)
        target = path.with_name(f".{path.name}.{secrets.token_hex(_TOKEN_BYTES)}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    descriptor = os.open(target, flags, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        if replaces:
            target.replace(path)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
