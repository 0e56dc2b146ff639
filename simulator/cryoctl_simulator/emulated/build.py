"""Builds the probe's firmware for the virtual board.

``python -m cryoctl_simulator.emulated.build`` writes the ELF file that is shipped. The compiler is
zig's from PyPI (``pip install 'cryoctl[firmware]'``): its version, and with it every byte of the
code, is the same on every computer.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from cryoctl_simulator.firmware import FirmwareError
from cryoctl_simulator.firmware_compiler import source_folders

SHIPPED: Final = Path(__file__).parent / "probe.elf"
_PARTS: Final = (
    "checks", "commands", "control", "drive", "firmware", "reporting", "safety", "sensing",
)  # fmt: skip
_LIBRARY: Final = ("cryo_device", "cryo_frame", "cryo_hash")
_BOARD_PARTS: Final = ("hal_board", "main", "memory", "startup")
TARGET: Final = ("-target", "thumb-freestanding-eabi", "-mcpu=cortex_m4")
FLAGS: Final = (
    "-std=c11", "-Os", "-g", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror",
    "-ffunction-sections", "-fdata-sections",
    "-fno-unwind-tables", "-fno-asynchronous-unwind-tables", "-fno-sanitize=all",
    "-Wl,--gc-sections", "-Wl,-z,max-page-size=16", "-Wl,-e,Reset_Handler",
)  # fmt: skip
_NO_DEBUG: Final = "SECTIONS { /DISCARD/ : { *(.debug*) } }\n"
"""Without -g zig drops the names of functions as well."""


def board_folder() -> Path:
    """Return where the virtual board's sources lie; raises ``FirmwareError`` without them."""
    return source_folders()[0] / "board"


def probe_sources() -> list[Path]:
    """Return the sources of the project's own firmware and board."""
    firmware, library = source_folders()
    return [
        *(firmware / f"{name}.c" for name in _PARTS),
        *(library / f"{name}.c" for name in _LIBRARY),
        *(firmware / "board" / f"{name}.c" for name in _BOARD_PARTS),
    ]


def library_sources() -> list[Path]:
    """Return the C device library with its port, and what takes the place of a C library."""
    firmware, library = source_folders()
    names = (*_LIBRARY, "cryo_port")
    return [*(library / f"{name}.c" for name in names), firmware / "board" / "memory.c"]


def build(
    out: Path,
    sources: list[Path],
    *,
    linker_script: Path,
    include: tuple[Path, ...] = (),
    debug: bool = False,
    more: tuple[str, ...] = (),
) -> None:
    """Compile and link ``sources`` to the ELF file ``out``.

    Args:
        out: ELF file.
        sources: Files in C.
        linker_script: Says what lies where.
        include: Folders of headers besides those of firmware and protocol.
        debug: Keep the lines of the source, with its folder's name; without, names alone.
        more: Further flags of the compiler.

    Raises:
        FirmwareError: No compiler, or it refuses; the text says why.
    """
    if find_spec("ziglang") is None:
        raise FirmwareError("no compiler for firmware; install it: pip install 'cryoctl[firmware]'")
    firmware, library = source_folders()
    board = firmware / "board"
    command = [
        sys.executable, "-m", "ziglang", "cc", *TARGET, *FLAGS, *more,
        f"-ffile-prefix-map={firmware}=firmware", f"-ffile-prefix-map={library}=protocol",
        "-fdebug-compilation-dir=.",
        *(f"-I{folder}" for folder in (*include, board / "include", board, firmware, library)),
        "-Wl,-T,link.ld", "-o", str(out), *map(str, sources),
    ]  # fmt: skip
    with TemporaryDirectory() as folder:
        script = linker_script.read_text("utf-8")
        Path(folder, "link.ld").write_text(script if debug else script + _NO_DEBUG, "utf-8")
        done = subprocess.run(  # noqa: S603 (our own arguments)
            command, capture_output=True, text=True, check=False, cwd=folder
        )
    if done.returncode:
        raise FirmwareError(f"firmware {out}: does not build:\n{done.stderr.strip()}")


def build_probe(out: Path, *, debug: bool = False) -> None:
    """Build the project's own firmware; raises ``FirmwareError``."""
    build(out, probe_sources(), linker_script=board_folder() / "link.ld", debug=debug)


def main() -> int:
    """Build; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m cryoctl_simulator.emulated.build")
    parser.add_argument(
        "source", type=Path, nargs="*",
        help="files in C, built with the device library; our own firmware without any",
    )  # fmt: skip
    parser.add_argument("--script", type=Path, help="linker script; ours without it")
    parser.add_argument("--out", type=Path, help="ELF file to write; without sources the shipped")
    parser.add_argument("--debug", action="store_true", help="keep the lines of the source")
    args = parser.parse_args()
    if args.source and args.out is None:
        parser.error("sources of your own need --out: which ELF file to write")
    out = (args.out or SHIPPED).resolve()
    try:
        script = args.script or board_folder() / "link.ld"
        sources = [each.resolve() for each in args.source]
        everything = [*sources, *library_sources()] if sources else probe_sources()
        build(out, everything, linker_script=script, debug=args.debug)
    except (FirmwareError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
