"""Reads files that only their owner may read, as keys have to be; refuses others, repairs none."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Final

from cryoctl_protocol.toml_text import FileError, Problem

_FOR_OTHERS: Final = 0o077


def read_private(path: Path, size_max: int) -> bytes:
    """Return what is in a file, one byte more than ``size_max`` at most.

    Raises:
        FileError: It cannot be read, or is open to others than its owner.
    """
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            data = stream.read(size_max + 1)
    except OSError as error:
        raise file_error(path, error.strerror or "cannot be read") from error
    refuse_others(path, mode)
    return data


def refuse_others(path: Path, mode: int, wanted: str = "600") -> None:
    """Raise FileError, with the command that helps, if others than the owner may do anything.

    Windows has no such modes: there the rights of the user's own folder are what protects.
    """
    if os.name == "posix" and mode & _FOR_OTHERS:
        raise file_error(
            path,
            f"a key that others may read or change (mode {mode & 0o777:03o}); "
            f"chmod {wanted} {shlex.quote(str(path))}",
        )


def file_error(path: Path, text: str) -> FileError:
    """Return the error of one file."""
    return FileError([Problem(str(path), None, "", text)])
