"""Reads the files that people name on the command line, and falls back to what ships with us."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cryoctl.treatment import TreatmentFile, default_treatment_text, read_treatment
from cryoctl_protocol.toml_text import FILE_SIZE_MAX_BYTES, FileError, Problem, decode_utf8

DEFAULT_PROFILE: Final = "n2o-20g"


def read_text(path: Path) -> str:
    """Return a file's text; raises FileError if it cannot be read or is too long for TOML."""
    try:
        with path.open("rb") as stream:
            data = stream.read(FILE_SIZE_MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or "cannot be read"
        raise FileError([Problem(str(path), None, "", reason)]) from error
    return decode_utf8(data, str(path))


def choose_treatment(
    path: Path | None, settings: tuple[str, ...], profile: str | None
) -> TreatmentFile:
    """Return the treatment in ``path`` or the built-in one of ``profile``, settings on top."""
    if path is not None:
        return read_treatment(read_text(path), str(path), settings)
    return read_treatment(*default_treatment_text(profile or DEFAULT_PROFILE), settings)
