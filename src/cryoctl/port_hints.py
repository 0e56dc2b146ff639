"""Why a serial port cannot be opened, and what to do about it. Opens none."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Final

_GRABBERS: Final = {
    "ModemManager": "it tries new ports for a modem: wait some seconds, or have udev set "
    "ID_MM_DEVICE_IGNORE=1 for this device",
    "brltty": "it takes some USB serial chips for a Braille display: remove it if there is none",
}
"""Programs known to open serial ports of others, and what to do about each."""


def why_not(path: str, error: Exception) -> str:
    """Return why a port cannot be opened, and what to do about it."""
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.ENOENT:
        return f"{path}: there is no such port; cryoctl ports lists those that are there"
    if number == errno.EACCES:
        return f"{path}: not allowed; {permission(path)}"
    if number in (errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK):
        grabbers = "".join(f"; {name} runs: {_GRABBERS[name]}" for name in running_grabbers())
        return f"{path}: another program has it open; close that one first{grabbers}"
    return f"{path}: {(error.strerror if isinstance(error, OSError) else None) or error}"


def problem_of(path: str) -> str:
    """Return what speaks against opening a port; empty if nothing does."""
    if os.name != "posix" or os.access(path, os.R_OK | os.W_OK):
        return ""
    return f"not allowed; {permission(path)}"


def permission(path: str) -> str:
    """Return who may open a port, and how to become one of them."""
    if sys.platform == "win32":
        return "ask for the right to use it"
    import grp

    try:
        status = os.stat(path)  # noqa: PTH116
        group = grp.getgrgid(status.st_gid)
    except (KeyError, OSError):
        return "ask for the right to use it"
    name = group.gr_name
    if status.st_gid == 0 or not status.st_mode & 0o060:
        return (
            f"it belongs to {name} and no group that one could join may use it: a udev rule has to "
            'give it one, such as GROUP="dialout", MODE="0660"'
        )
    if _user() in group.gr_mem:
        return (
            f"you are in its group {name}, but not yet in this session: log out and in again, or "
            f"newgrp {name}"
        )
    return f"it belongs to the group {name}: sudo usermod -aG {name} $USER, then log in again"


def running_grabbers(proc: Path = Path("/proc")) -> list[str]:
    """Return the programs that run here and are known to open ports of others; Linux only."""
    if sys.platform != "linux":
        return []
    found = set()
    for entry in proc.glob("[0-9]*/comm"):
        try:
            found.add(entry.read_text("utf-8", "replace").strip())
        except OSError:
            continue  # It has ended meanwhile, or is nobody's business.
    return [name for name in _GRABBERS if name in found]


def _user() -> str:
    """Return the name of the account that this process has; empty if it has none."""
    if sys.platform == "win32":
        return ""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return ""
