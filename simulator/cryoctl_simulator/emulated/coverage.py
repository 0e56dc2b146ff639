"""Which source lines of a firmware's machine code were executed, and which ways its branches went.

A branch is an instruction that goes one of two ways: a conditional jump, a compare and jump, or an
IT, whose block is executed or passed over. What the compiler made without one (a comparison that
becomes a number by arithmetic) has no branch here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from unicorn import UC_HOOK_CODE

from cryoctl_simulator.emulated.registers import XPSR

if TYPE_CHECKING:
    from cryoctl_simulator.emulated.processor import Processor

_ALWAYS: Final = 14
_LONG: Final = 0b11101
_BITS: Final = 0b1111
_JUMPS: Final = ((0xF000_0000, 0xD000_0000, 24), (0xF800_D000, 0xF000_8000, 22))
"""Conditional jumps of 16 and of 32 bits: mask, value, and where the condition begins."""
_IT_MASK: Final = 0xFF00_0000
_IT: Final = 0xBF00_0000
"""With the last four bits of its halfword 0 it is a hint, such as NOP."""
_COMPARE_MASK: Final = 0xF500_0000
_COMPARE: Final = 0xB100_0000
"""CBZ and CBNZ."""
_FLAGS_AT: Final = 28
_HALFWORD: Final = 2


class Branch(NamedTuple):
    """A branch of the machine code.

    Attributes:
        line: Of the source.
        taken: It went the other way than on at least once.
        passed: It went on at least once.
    """

    address: int
    line: int
    taken: bool
    passed: bool


class Coverage:
    """Notes what a processor executes of one source file, from now until ``close``.

    Args:
        processor: Its ELF file has debug information.
        file: Name of the source file.
    """

    def __init__(self, processor: Processor, file: str) -> None:
        elf = processor.elf
        self._processor = processor
        self._file = file
        self._executed: set[int] = set()
        self._ways: set[tuple[int, bool]] = set()
        self._conditional: dict[int, tuple[int, int | None]] = {}
        functions = [each for each in elf.functions if self._is_of_file(each.address)]
        self._addresses = {
            address
            for each in functions
            for address in _instructions(processor, each.address, each.address + each.size)
        }
        for address in self._addresses:
            found = _conditional(processor.peek(address, _HALFWORD * 2))
            if found is not None:
                self._conditional[address] = found
        first = min(self._addresses)
        last = max(self._addresses)
        self._hook = processor.uc.hook_add(UC_HOOK_CODE, self._note, begin=first, end=last + 4)
        self._range = first, last - first + 4
        processor.forget_translation(*self._range)

    def close(self) -> None:
        """Take the hook out."""
        self._processor.uc.hook_del(self._hook)
        self._processor.forget_translation(*self._range)

    def lines(self) -> dict[int, bool]:
        """Return every line of the file that has code, and whether it was executed."""
        found: dict[int, bool] = {}
        for address in self._addresses:
            line = self._line(address)
            if line:
                found[line] = found.get(line, False) or address in self._executed
        return dict(sorted(found.items()))

    def branches(self) -> list[Branch]:
        """Return every branch of the file, by address."""
        return [
            Branch(
                address, self._line(address), (address, True) in self._ways,
                (address, False) in self._ways,
            )
            for address in sorted(self._conditional)
        ]  # fmt: skip

    def _is_of_file(self, address: int) -> bool:
        found = self._processor.elf.line_at(address)
        return found is not None and found[0] == self._file

    def _line(self, address: int) -> int:
        found = self._processor.elf.line_at(address)
        return found[1] if found is not None and found[0] == self._file else 0

    def _note(self, _uc: Any, address: int, _size: int, _user: object) -> None:
        self._executed.add(address)
        found = self._conditional.get(address)
        if found is None:
            return
        condition, register = found
        if register is None:
            flags = self._processor.read_register(XPSR) >> _FLAGS_AT
            self._ways.add((address, holds(condition, flags)))
        else:
            is_zero = self._processor.read_register(f"r{register}") == 0
            self._ways.add((address, is_zero == (condition == 0)))


def holds(condition: int, flags: int) -> bool:
    """Return whether a condition of the architecture holds with these flags (N, Z, C, V)."""
    n, z, c, v = (bool(flags >> bit & 1) for bit in (3, 2, 1, 0))
    base = (z, c, n, v, c and not z, n == v, n == v and not z, True)[condition >> 1]
    return base != bool(condition & 1)


def _instructions(processor: Processor, first: int, end: int) -> list[int]:
    """Return the addresses of the instructions of a function; a literal pool may look like some."""
    found = []
    while first < end:
        found.append(first)
        first += 4 if processor.peek(first + 1, 1)[0] >> 3 >= _LONG else 2
    return found


def _conditional(code: bytes) -> tuple[int, int | None] | None:
    """Return condition and register of a branch: 0 for CBZ, 1 for CBNZ; None if it is none."""
    word = int.from_bytes(code[:2], "little") << 16 | int.from_bytes(code[2:], "little")
    for mask, value, condition_at in _JUMPS:
        condition = word >> condition_at & _BITS
        if word & mask == value and condition < _ALWAYS:
            return condition, None
    if word & _IT_MASK == _IT and word >> 16 & _BITS:
        return word >> 20 & _BITS, None
    if word & _COMPARE_MASK == _COMPARE:
        return word >> 27 & 1, word >> 16 & 7
    return None
