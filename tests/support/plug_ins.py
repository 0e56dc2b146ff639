"""A package with entry points, installed for the time of a test."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from cryoctl_protocol import profile

VERSION: Final = "1.2"


@contextmanager
def installed(
    folder: Path, package: str, source: str, entry_points: Mapping[str, Mapping[str, str]]
) -> Iterator[None]:
    """Have a module ``package`` with ``source`` and its entry points by group and name."""
    (folder / f"{package}.py").write_text(source, encoding="utf-8")
    about = folder / f"{package}-{VERSION}.dist-info"
    about.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {package}\nVersion: {VERSION}\n"
    (about / "METADATA").write_text(metadata, encoding="utf-8")
    lines = [
        line
        for group, points in entry_points.items()
        for line in (f"[{group}]", *(f"{name} = {package}:{at}" for name, at in points.items()))
    ]
    (about / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        _forget_profiles()
        try:
            yield
        finally:
            sys.modules.pop(package, None)
            patch.undo()
            _forget_profiles()


def _forget_profiles() -> None:
    profile.brought_profiles.cache_clear()
    profile._built_in.cache_clear()
