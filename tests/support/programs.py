"""What no plain installation brings: a test that needs it is skipped without it, in CI it fails."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from typing import NoReturn

import pytest


def needed_program(name: str, *, package: str | None = None) -> str:
    """Return the path of ``name``; ``package`` is what to install where it is called otherwise."""
    # Debian keeps servers where only root's search path looks.
    found = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin"]))
    if found is None:
        do_without(f"{name} is not installed: apt install {package or name}")
    return found


def needed_modules(*names: str, extra: str = "firmware") -> None:
    """See that the modules of an extra are there; for whole files of tests, too."""
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        do_without(f"{', '.join(missing)} not installed: pip install 'cryoctl[{extra}]'")


def do_without(message: str) -> NoReturn:
    """Skip a test, or a file of tests, for want of something; where CI says that it is, fail."""
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message, allow_module_level=True)
