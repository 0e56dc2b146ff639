"""Reads the files that people name on the command line, and falls back to what ships with us."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Final

from cryoctl.treatment import (
    TreatmentFile,
    default_treatment_text,
    read_treatment,
    shipped_treatment_text,
    shipped_treatments,
)
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


def treatment_text(path: Path) -> tuple[str, str]:
    """Return text and source of a treatment that somebody named: one of ours, or a file."""
    name = str(path)
    if name in shipped_treatments():
        return shipped_treatment_text(name), f"treatments/{name}.toml"
    try:
        return read_text(path), name
    except FileError as error:
        if path.suffix or path.exists():
            raise
        close = get_close_matches(path.name, shipped_treatments(), n=1)
        meant = f"; did you mean '{close[0]}'?" if close else ""
        hint = f"give a TOML file or a name that 'cryoctl treatments' lists{meant}"
        raise FileError([error.problems[0]._replace(hint=hint)]) from error


def choose_treatment(
    path: Path | None, settings: tuple[str, ...], profile: str | None
) -> TreatmentFile:
    """Return the treatment in ``path`` or the built-in one of ``profile``, settings on top.

    Args:
        path: A file, or the name of a treatment that ships with us.
        settings: Such as ``cycles.count=2``.
        profile: Name or file; None is the default probe's.
    """
    if path is not None:
        text, source = treatment_text(path)
        return read_treatment(text, source, settings)
    return read_treatment(*default_treatment_text(profile or DEFAULT_PROFILE), settings)
