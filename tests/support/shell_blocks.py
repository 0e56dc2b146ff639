"""The shell blocks of a document: found, and run in order as a reader would."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

BLOCK_TIMEOUT_S: Final = 120.0
_FENCE: Final = "```"
_OPENING: Final = re.compile(r"```(sh|bash|shell|console)\b")
_MARKER: Final = re.compile(r"<!-- (not run|fails): (\S.*?) -->")


@dataclass(frozen=True, slots=True)
class ShellBlock:
    """One block of commands in a document.

    Attributes:
        line: Of the first command in the document, counted from 1.
        text: The commands.
        exit_code: That the document says the last command ends with.
        not_run: Why nobody runs it, or None.
    """

    line: int
    text: str
    exit_code: int = 0
    not_run: str | None = None


def shell_blocks(document: str) -> list[ShellBlock]:
    """Return the shell blocks of a Markdown document, in order.

    A comment directly above a block speaks about it: ``<!-- not run: reason -->`` or
    ``<!-- fails: 2 -->`` with the exit code that the reader will see.
    """
    blocks = []
    lines = document.splitlines()
    opened_at: int | None = None
    for index, line in enumerate(lines):
        if opened_at is None and _OPENING.match(line):
            opened_at = index
        elif opened_at is not None and line.startswith(_FENCE):
            above = lines[opened_at - 1] if opened_at else ""
            blocks.append(_block(above, opened_at + 2, lines[opened_at + 1 : index]))
            opened_at = None
    assert opened_at is None, f"the shell block of line {opened_at} is never closed"
    return blocks


def _block(above: str, line: int, commands: list[str]) -> ShellBlock:
    text = "\n".join(commands) + "\n"
    marker = _MARKER.fullmatch(above)
    if marker is None:
        return ShellBlock(line, text)
    if marker[1] == "fails":
        return ShellBlock(line, text, exit_code=int(marker[2]))
    return ShellBlock(line, text, not_run=marker[2])


def make_targets(text: str) -> list[str]:
    """Return the targets that the ``make`` lines of a block name."""
    targets: list[str] = []
    for line in text.splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["make"]:
            targets += [word for word in words[1:] if "=" not in word]
    return targets


def without_make(text: str) -> str:
    """Return the commands of a block less its ``make`` lines."""
    kept = [line for line in text.splitlines() if not re.match(r"make\b", line)]
    return "\n".join(kept) + "\n"


def run_block(block: ShellBlock, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a block in ``folder``, with the programs of this environment first on the path."""
    environment = os.environ | {
        "HOME": str(folder),
        "NO_COLOR": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", without_make(block.text)],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BLOCK_TIMEOUT_S,
        check=False,
    )
