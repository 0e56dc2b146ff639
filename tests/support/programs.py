"""Programs that no wheel brings: a test that needs one is skipped without it, in CI it fails."""

from __future__ import annotations

import os
import shutil

import pytest


def needed_program(name: str, *, package: str | None = None) -> str:
    """Return the path of ``name``; ``package`` is what to install where it is called otherwise."""
    # Debian keeps servers where only root's search path looks.
    found = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin"]))
    if found is not None:
        return found
    message = f"{name} is not installed: apt install {package or name}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
