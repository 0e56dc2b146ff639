"""A firmware image: what is loaded where, and which function and line an address belongs to."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

from elftools.common.exceptions import DWARFError, ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from cryoctl_simulator.emulated.board import VirtualBoard
from cryoctl_simulator.firmware import FirmwareError

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE_MAX_BYTES: Final = 16 << 20
_BITS: Final = 32
_HARD_FLOAT: Final = 0x400  # EF_ARM_ABI_FLOAT_HARD: registers of the FPU pass arguments.


@dataclass(frozen=True, slots=True)
class Symbol:
    """A function or a variable.

    Attributes:
        address: Without the Thumb bit.
    """

    name: str
    address: int
    size: int


@dataclass(frozen=True)
class ElfFile:
    """An executable for a Cortex-M, checked to be one.

    Attributes:
        name: What messages call it.
        segments: Load address and content, never empty.
        functions: By rising address.
        variables: By name; of two static ones that share a name, the last.
        hard_float: True if it was built to use the registers of an FPU.
    """

    name: str
    data: bytes = field(repr=False)
    segments: tuple[tuple[int, bytes], ...] = field(repr=False)
    functions: tuple[Symbol, ...] = field(repr=False)
    variables: dict[str, Symbol] = field(repr=False)
    hard_float: bool

    @classmethod
    def read(cls, path: Path, *, flash_bytes: int = VirtualBoard.FLASH_BYTES) -> ElfFile:
        """Read a file; raises ``FirmwareError`` with one clear line if it is no such image.

        Args:
            path: The file.
            flash_bytes: Of the board it is for; an image that loads more is refused.
        """
        if path == Path():
            raise FirmwareError("firmware elf: without a path; give an ELF file, elf:PATH")
        try:
            with path.open("rb") as file:
                data = file.read(SIZE_MAX_BYTES + 1)
        except OSError as error:
            reason = error.strerror or "cannot be read"
            raise FirmwareError(f"firmware {path}: {reason}; give an ELF file") from error
        if len(data) > SIZE_MAX_BYTES:
            raise FirmwareError(f"firmware {path}: more than {SIZE_MAX_BYTES >> 20} MiB")
        return cls.parse(data, str(path), flash_bytes=flash_bytes)

    @classmethod
    def parse(
        cls, data: bytes, name: str, *, flash_bytes: int = VirtualBoard.FLASH_BYTES
    ) -> ElfFile:
        """Take an image from memory; raises ``FirmwareError`` as ``read`` does."""
        try:
            elf = ELFFile(BytesIO(data))
            _check(elf, name)
            _check_size(elf, name, flash_bytes)
            return cls(
                name=name,
                data=data,
                segments=tuple(_segments(elf)),
                functions=tuple(sorted(_symbols(elf, "STT_FUNC"), key=lambda each: each.address)),
                variables={each.name: each for each in _symbols(elf, "STT_OBJECT")},
                hard_float=bool(elf["e_flags"] & _HARD_FLOAT),
            )
        except FirmwareError:
            raise
        # What the library raises for a file that is cut or garbled has many names.
        except (ELFError, ArithmeticError, LookupError, TypeError, ValueError, OSError) as error:
            raise FirmwareError(
                f"firmware {name}: no readable ELF file ({error}); link one for a Cortex-M4"
            ) from error

    def function_at(self, address: int) -> Symbol | None:
        """Return the function that ``address`` lies in."""
        index = bisect_right(self.functions, address, key=lambda each: each.address) - 1
        if index < 0:
            return None
        found = self.functions[index]
        return found if address < found.address + max(found.size, 2) else None

    def function_named(self, name: str) -> Symbol | None:
        """Return the first function of this name."""
        return next((each for each in self.functions if each.name == name), None)

    def where(self, address: int) -> str:
        """Return ``0x08000124 in main (main.c:17)``, as much of it as the file tells."""
        text = f"0x{address:08x}"
        function = self.function_at(address)
        if function is not None:
            text += f" in {function.name}"
        line = self.line_at(address)
        return text if line is None else f"{text} ({line[0]}:{line[1]})"

    def line_at(self, address: int) -> tuple[str, int] | None:
        """Return source file and line; None without debug information."""
        starts = [row[0] for row in self.lines]
        index = bisect_right(starts, address) - 1
        if index < 0:
            return None
        _, file, line = self.lines[index]
        return (file, line) if line else None

    @cached_property
    def lines(self) -> tuple[tuple[int, str, int], ...]:
        """Address, file name and line by rising address; line 0 where a sequence of code ends."""
        elf = ELFFile(BytesIO(self.data))
        if not elf.has_dwarf_info():
            return ()
        try:
            return tuple(sorted(_lines(elf), key=lambda row: (row[0], row[2] != 0)))
        except (DWARFError, ELFError, LookupError, ValueError):
            return ()  # Lines are a help; without them the address still stands.

    @property
    def code_bytes(self) -> int:
        """Bytes in flash."""
        return sum(len(content) for _, content in self.segments)


def _check(elf: ELFFile, name: str) -> None:
    header = elf.header
    machine = header["e_machine"]
    if machine != "EM_ARM" or elf.elfclass != _BITS or not elf.little_endian:
        raise FirmwareError(
            f"firmware {name}: built for {str(machine).removeprefix('EM_')}, {elf.elfclass} bits; "
            "allowed: ARM Cortex-M4, 32 bits, little-endian"
        )
    if header["e_type"] != "ET_EXEC":
        raise FirmwareError(
            f"firmware {name}: not linked to fixed addresses; link an executable, not an object "
            "file or a library"
        )


def _check_size(elf: ELFFile, name: str, flash_bytes: int) -> None:
    """Look at what is loaded before any of it is copied: segments may share bytes of the file."""
    size = sum(segment["p_filesz"] for segment in elf.iter_segments("PT_LOAD"))
    if not size:
        raise FirmwareError(f"firmware {name}: nothing to load; is the linker script in force?")
    if size > flash_bytes:
        raise FirmwareError(
            f"firmware {name}: loads {size} bytes; allowed: {flash_bytes}, the board's flash"
        )


def _segments(elf: ELFFile) -> Iterator[tuple[int, bytes]]:
    for segment in elf.iter_segments("PT_LOAD"):
        if segment["p_filesz"]:
            content = segment.data()
            if len(content) != segment["p_filesz"]:
                raise ValueError("the file is cut short")
            yield segment["p_paddr"], content


def _symbols(elf: ELFFile, kind: str) -> Iterator[Symbol]:
    table = elf.get_section_by_name(".symtab")
    if table is None:
        return
    if not isinstance(table, SymbolTableSection):
        raise ELFError(".symtab is no table of symbols")
    for symbol in table.iter_symbols():
        if symbol["st_info"]["type"] == kind and symbol["st_shndx"] != "SHN_UNDEF":
            address = symbol["st_value"] & ~1 if kind == "STT_FUNC" else symbol["st_value"]
            yield Symbol(symbol.name, address, symbol["st_size"])


def _lines(elf: ELFFile) -> Iterator[tuple[int, str, int]]:
    dwarf = elf.get_dwarf_info()
    for unit in dwarf.iter_CUs():
        program = dwarf.line_program_for_CU(unit)
        if program is None:
            continue
        files = program["file_entry"]
        first = 0 if program["version"] >= 5 else 1  # noqa: PLR2004 (DWARF 5 counts from 0)
        for entry in program.get_entries():
            state = entry.state
            if state is None:
                continue
            index = state.file - first
            name = files[index].name.decode(errors="replace") if index < len(files) else "?"
            yield state.address, name, 0 if state.end_sequence else state.line
