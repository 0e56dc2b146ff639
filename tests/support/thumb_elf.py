"""Tiny ELF files for a Cortex-M4, written without a compiler: each does one thing, mostly wrong."""

from __future__ import annotations

import struct
from typing import Final

FLASH: Final = 0x0800_0000
STACK_TOP: Final = 0x2000_2000
_VECTORS: Final = 16
_CODE: Final = FLASH + 4 * _VECTORS
_LITERALS: Final = 0x20

# Thumb code as halfwords.
ENDLESS_LOOP: Final = (0xE7FE,)  # b .
SLEEP: Final = (0xBF30, 0xE7FD)  # wfi; b back
NULL_CALL: Final = (0x2000, 0x4780)  # movs r0, #0; blx r0
WILD_JUMP: Final = (0x2003, 0x0700, 0x3001, 0x4780)  # r0 = 0x30000001; blx r0
STACK_OVERFLOW: Final = (0xB4FF, 0xE7FD)  # push {r0-r7}; b back
UNDEFINED: Final = (0xDE00,)  # udf #0
WRITE_FLASH: Final = (0x2001, 0x06C0, 0x6001)  # r0 = 0x08000000; str r1, [r0]
READ_NOWHERE: Final = (0x2009, 0x0700, 0x6801)  # r0 = 0x90000000; ldr r1, [r0]
SUPERVISOR_CALL: Final = (0xDF00, 0xE7FE)  # svc #0
BREAKPOINT: Final = (0xBE00, 0xE7FE)  # bkpt
# ldr r0, [pc, #4]; ldr r1, [pc, #8]; str r1, [r0]; b .; then AIRCR and its request for a reset.
ASK_FOR_RESET: Final = (0x4801, 0x4902, 0x6001, 0xE7FE, 0xED0C, 0xE000, 0x0004, 0x05FA)


def elf(
    reset: tuple[int, ...],
    hard_fault: tuple[int, ...] = ASK_FOR_RESET,
    *,
    stack: int = STACK_TOP,
    machine: int = 40,
    kind: int = 2,
    base: int = FLASH,
    vectors: dict[int, int] | None = None,
) -> bytes:
    """Return an ELF file whose reset handler and HardFault handler are ``main`` and ``on_fault``.

    Args:
        machine: 40 is ARM.
        kind: 2 is an executable.
        base: Load address.
        vectors: Entries of the vector table that are not what they should be.
    """
    assert len(reset) * 2 <= _LITERALS
    code = struct.pack(f"<{len(reset)}H", *reset).ljust(_LITERALS, b"\0")
    on_fault = _CODE + _LITERALS
    code += struct.pack(f"<{len(hard_fault)}H", *hard_fault)
    table = [stack, _CODE | 1, 0, on_fault | 1] + [0] * (_VECTORS - 4)
    for number, vector in (vectors or {}).items():
        table[number] = vector
    image = struct.pack(f"<{_VECTORS}I", *table) + code
    return _file(image, on_fault, machine, kind, base)


def _file(image: bytes, on_fault: int, machine: int, kind: int, base: int) -> bytes:
    names = b"\0main\0on_fault\0"
    sections = b"\0.symtab\0.strtab\0.shstrtab\0.text\0"
    function = 0x12  # Global, a function.
    symbols = bytes(16)
    symbols += struct.pack("<IIIBBH", 1, _CODE | 1, _LITERALS, function, 0, 4)
    symbols += struct.pack("<IIIBBH", 6, on_fault | 1, _LITERALS, function, 0, 4)
    at = 52 + 32
    symbols_at = at + len(image)
    names_at = symbols_at + len(symbols)
    sections_at = names_at + len(names)
    headers_at = sections_at + len(sections)
    header = struct.pack(
        "<16sHHIIIIIHHHHHH",
        b"\x7fELF\x01\x01\x01", kind, machine, 1, _CODE | 1, 52, headers_at, 0x0500_0000,
        52, 32, 1, 40, 5, 3,
    )  # fmt: skip
    segment = struct.pack("<8I", 1, at, base, base, len(image), len(image), 5, 4)
    rows = (
        (0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
        (1, 2, 0, 0, symbols_at, len(symbols), 2, 1, 4, 16),
        (9, 3, 0, 0, names_at, len(names), 0, 0, 1, 0),
        (17, 3, 0, 0, sections_at, len(sections), 0, 0, 1, 0),
        (27, 1, 6, base, at, len(image), 0, 0, 4, 0),
    )
    table = b"".join(struct.pack("<10I", *row) for row in rows)
    return header + segment + image + symbols + names + sections + table
