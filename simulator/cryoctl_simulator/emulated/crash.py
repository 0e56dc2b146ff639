"""What went wrong in emulated firmware, in one line each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What the processor or its watchdog did."""

    FAULT = "HardFault"
    LOCKUP = "lockup"
    WATCHDOG = "watchdog reset"
    RESET = "software reset"
    PANIC = "panic"
    UNSUPPORTED = "not emulated"


@dataclass(frozen=True, slots=True)
class Crash:
    """One thing that went wrong.

    Attributes:
        at_ms: The device's clock.
        address: Of the instruction.
        where: That address with function and source line, as far as the ELF file tells.
        detail: Why, in words.
    """

    kind: Kind
    at_ms: int
    address: int
    where: str
    detail: str

    def __str__(self) -> str:
        return f"{self.kind} after {self.at_ms} ms at {self.where}: {self.detail}"
