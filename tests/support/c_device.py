"""The C device library, built with the compiler that is there and driven over two pipes."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from tests.support.programs import needed_program
from tests.support.tree import ROOT

C_LIBRARY = ROOT / "protocol" / "c"
SOURCES = sorted(C_LIBRARY.glob("*.c"))
WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wconversion",
    "-Wshadow",
    "-Werror",
    f"-I{C_LIBRARY}",
]
C99 = ["-std=c99", "-Wstrict-prototypes", *WARNINGS]
SANITIZERS = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


class Operation(NamedTuple):
    """One line for ``replay.c``: what it is to do, with which number and bytes."""

    letter: str
    argument: int = 0
    data: bytes = b""


def compiler(language: str = "cc") -> list[str]:
    """The machine's ``cc`` or ``c++``, else the one in the wheel of zig, else skip."""
    if shutil.which(language) is None and find_spec("ziglang") is not None:
        return [sys.executable, "-m", "ziglang", language]
    return [needed_program(language, package="gcc g++")]


def build(program: Path, *flags: str, sources: Iterable[Path]) -> Path:
    """Compile and link ``sources`` to ``program``; the compiler's complaint is in the failure."""
    command = [*compiler(), *C99, *flags, *map(str, sources), "-o", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return program


def run(program: Path, operations: Iterable[Operation]) -> list[str]:
    """Return what the program says after each operation."""
    script = b"".join(
        each.letter.encode() + struct.pack("<IH", each.argument, len(each.data)) + each.data
        for each in operations
    )
    done = subprocess.run([str(program)], input=script, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode().splitlines()
