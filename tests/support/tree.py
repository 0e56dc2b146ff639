"""The project's own files, for tests about them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
SOURCE_ROOTS: Final = ("src", "protocol", "simulator", "hil")


def project_files() -> list[Path]:
    """Return every file that git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    files = (ROOT / name for name in listed.stdout.split("\0") if name)
    return [file for file in files if file.is_file()]


def make_targets_defined() -> set[str]:
    """Return the targets that a reader may be told to make."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    phony = next(line for line in makefile.splitlines() if line.startswith(".PHONY:"))
    return set(phony.removeprefix(".PHONY:").split())
