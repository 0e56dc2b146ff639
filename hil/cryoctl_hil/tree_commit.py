"""Which commit of this project is being run, where it runs from a clone."""

from __future__ import annotations

import subprocess
from pathlib import Path


def tree_commit() -> str:
    """Return the commit of the tree that is run, with a + if it was changed; else nothing."""
    here = Path(__file__).parent
    try:
        told = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=9", "--exclude=*"],  # noqa: S607
            cwd=here, capture_output=True, text=True, check=False, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return told.stdout.strip()
