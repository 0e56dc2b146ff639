"""Flash and RAM that the C device library takes on two microcontrollers.

``python -m cryoctl_hil.firmware_size`` compiles it with the compiler in the wheel of zig; nothing
is linked, so that what a firmware does not call is counted, too. With ``--page FILE`` the table
goes between the marks of a page.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

LIBRARY: Final = Path(__file__).parents[2] / "protocol" / "c"
PROCESSORS: Final = ("cortex_m4", "cortex_m0plus")
SOURCES: Final = ("cryo_hash", "cryo_frame", "cryo_device", "cryo_port")
STRUCTURES: Final = ("cryo_device", "cryo_port")
SMALL: Final = ("-DCRYO_RECEIVE_MAX=64", "-DCRYO_SEND_MAX=512")
_PART: Final = re.compile(
    r"(?P<head><!-- generated: sizes -->\n).*?(?P<tail><!-- end -->)", re.DOTALL
)
_FLAGS: Final = (
    "-std=c99",
    "-Os",
    "-ffreestanding",
    "-ffunction-sections",
    "-fdata-sections",
    "-fno-unwind-tables",
    "-fno-asynchronous-unwind-tables",
    "-fno-sanitize=all",
)
_STRING_H: Final = """\
#include <stddef.h>
void *memcpy(void *, const void *, size_t);
void *memmove(void *, const void *, size_t);
void *memset(void *, int, size_t);
int memcmp(const void *, const void *, size_t);
"""
"""What a compiler without a C library does not bring; every firmware has the functions."""


class Sizes(NamedTuple):
    """Bytes on one processor.

    Attributes:
        flash: Of each source: code and constants.
        ram: Of each structure, as large as SPEC.md allows.
        ram_small: The same for 64 bytes read and 512 sent in a tick.
    """

    flash: dict[str, int]
    ram: dict[str, int]
    ram_small: dict[str, int]


def measure(processor: str, folder: Path) -> Sizes:
    """Compile the library for ``processor`` into ``folder`` and return what it takes."""
    (folder / "string.h").write_text(_STRING_H, "utf-8")
    flash = {name: _flash(_compile(LIBRARY / f"{name}.c", processor, folder)) for name in SOURCES}
    probe = folder / "structures.c"
    lines = ['#include "cryo_port.h"']
    lines += [f"char size_of_{name}[sizeof(struct {name})];" for name in STRUCTURES]
    probe.write_text("\n".join([*lines, ""]), "utf-8")
    ram, ram_small = (
        dict(_extents(_compile(probe, processor, folder, *flags))) for flags in ((), SMALL)
    )
    return Sizes(flash, ram, ram_small)


def _compile(source: Path, processor: str, folder: Path, *flags: str) -> Path:
    compiled = folder / f"{source.stem}.o"
    command = [sys.executable, "-m", "ziglang", "cc", "-target", "thumb-freestanding-eabi"]
    command += [f"-mcpu={processor}", *_FLAGS, *flags, f"-I{LIBRARY}", f"-I{folder}"]
    subprocess.run([*command, "-c", source, "-o", compiled], check=True)  # noqa: S603
    return compiled


def _flash(compiled: Path) -> int:
    from elftools.elf.constants import SH_FLAGS
    from elftools.elf.elffile import ELFFile

    with compiled.open("rb") as file:
        return sum(
            section["sh_size"]
            for section in ELFFile(file).iter_sections()
            if section["sh_flags"] & SH_FLAGS.SHF_ALLOC and section["sh_type"] == "SHT_PROGBITS"
        )


def _extents(compiled: Path) -> Iterator[tuple[str, int]]:
    from elftools.elf.elffile import ELFFile
    from elftools.elf.sections import SymbolTableSection

    with compiled.open("rb") as file:
        symbols = ELFFile(file).get_section_by_name(".symtab")
        assert isinstance(symbols, SymbolTableSection)
        for symbol in symbols.iter_symbols():
            if symbol.name.startswith("size_of_"):
                yield symbol.name.removeprefix("size_of_"), symbol["st_size"]


def table() -> str:
    """Return the figures as a table of Markdown."""
    with TemporaryDirectory() as folder:
        found = [measure(processor, Path(folder)) for processor in PROCESSORS]
    rows = [("Bytes", *PROCESSORS), ("---", *("---:" for _ in PROCESSORS))]
    rows += [(f"`{name}.c`, flash", *(str(each.flash[name]) for each in found)) for name in SOURCES]
    rows.append(("all, flash", *(str(sum(each.flash.values())) for each in found)))
    for name in STRUCTURES:
        rows.append((f"`struct {name}`, RAM", *(str(each.ram[name]) for each in found)))
        small = (str(each.ram_small[name]) for each in found)
        rows.append(("... with 64 bytes read, 512 sent in a tick", *small))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def fill(text: str) -> str:
    """Return a page with the table of today.

    Raises:
        ValueError: The page has no marks for it.
    """
    if not _PART.search(text):
        raise ValueError("no <!-- generated: sizes --> ... <!-- end -->")
    written = table()
    return _PART.sub(lambda match: f"{match['head']}\n{written}\n\n{match['tail']}", text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures or write them to a page; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m cryoctl_hil.firmware_size", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--page", type=Path, help="write the table into this file of Markdown")
    page: Path | None = parser.parse_args(arguments).page
    missing = [name for name in ("ziglang", "elftools") if find_spec(name) is None]
    if missing:
        sys.stderr.write("firmware_size: not installed; pip install 'cryoctl[firmware]'\n")
        return 3
    if page is None:
        sys.stdout.write(f"{table()}\n")
        return 0
    text = page.read_text("utf-8")
    try:
        filled = fill(text)
    except ValueError as error:
        sys.stderr.write(f"firmware_size: {page}: {error}\n")
        return 2
    page.write_text(filled, "utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
