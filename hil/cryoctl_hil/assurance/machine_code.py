"""Lines and branches of ``safety.c`` as an ARM compiler made them, under what is claimed of it.

The claims are those of ``c_mutants``, literals from the requirements, asked of the machine code
itself: each is a call on the emulated processor.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from cryoctl_hil.assurance.c_mutants import (
    LIMITS,
    REST,
    WITHOUT_LIMITS,
    WITHOUT_STATE,
    Claim,
    claims,
)
from cryoctl_hil.assurance.program import Measure, Outcome, Say
from cryoctl_simulator.emulated.board import VirtualBoard
from cryoctl_simulator.emulated.build import build_probe
from cryoctl_simulator.emulated.coverage import Branch, Coverage
from cryoctl_simulator.emulated.elf_file import ElfFile
from cryoctl_simulator.emulated.firmware import load
from cryoctl_simulator.emulated.processor import Processor
from cryoctl_simulator.firmware_layout import LimitsMemory, StateMemory

FILE: Final = "safety.c"
STEPS_MAX: Final = 10_000
_LIMITS_AT: Final = 0x2000_4000
_STATE_AT: Final = 0x2000_5000
_STACK_TOP: Final = 0x2000_2000
_BACK: Final = 0x0803_E000
"""Free flash: a return to it ends a call."""


def debug_elf() -> ElfFile:
    """Build our firmware with the lines of its source; the code is that of the shipped file."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "probe.elf")
        build_probe(path, debug=True)
        return ElfFile.read(path)


class Caller:
    """Calls functions of a firmware on a processor that runs nothing else."""

    def __init__(self, elf: ElfFile) -> None:
        board = VirtualBoard()
        load(elf, board)
        self.processor = Processor(elf, board)
        self.processor.power_up()

    def call(self, claim: Claim) -> int:
        """Return what the function of a claim returns."""
        processor = self.processor
        function = processor.elf.function_named(claim.function)
        assert function is not None, f"{claim.function} is nowhere but inlined"
        state = StateMemory()
        for name, value in (REST | claim.state).items():
            setattr(state.outputs if name == "shutoff_open" else state, name, value)
        processor.poke(_LIMITS_AT, bytes(LimitsMemory(**LIMITS)))
        processor.poke(_STATE_AT, bytes(state))
        given = [] if claim.function in WITHOUT_LIMITS else [_LIMITS_AT]
        given += [] if claim.function in WITHOUT_STATE else [_STATE_AT]
        for row, value in enumerate((*given, *claim.more)):
            processor.write_register(f"r{row}", value)
        processor.write_register("sp", _STACK_TOP)
        processor.write_register("lr", _BACK | 1)
        processor.uc.emu_start(function.address | 1, _BACK, 0, STEPS_MAX)
        return ctypes.c_int32(processor.read_register("r0")).value


def run(_scale: float, say: Say) -> Outcome:
    """Ask every claim once; a share of them would say nothing."""
    elf = debug_elf()
    caller = Caller(elf)
    coverage = Coverage(caller.processor, FILE)
    failures = []
    asked = list(claims())
    for claim in asked:
        told = caller.call(claim)
        if told != claim.expected:
            failures.append(f"the machine code breaks {claim}: {told}")
    say(f"{len(asked)} claims asked of the machine code")
    return judged(coverage.lines(), coverage.branches(), failures)


def judged(lines: dict[int, bool], branches: list[Branch], failures: list[str]) -> Outcome:
    """Return the measures, and every line and way that nothing took."""
    missed = [f"{FILE}:{line}: none of it was executed" for line, ran in lines.items() if not ran]
    missed += [
        f"{FILE}:{each.line}: the branch at 0x{each.address:08x} is never {way}"
        for each in branches
        for way, went in (("taken", each.taken), ("passed", each.passed))
        if not went
    ]
    ways = sum(each.taken + each.passed for each in branches)
    details: dict[str, Any] = {"lines": len(lines), "branches": len(branches)}
    ran = sum(lines.values())
    return Outcome(
        [
            _share("lines of safety.c executed in the machine code", ran, len(lines)),
            _share("ways of branches of safety.c in the machine code", ways, 2 * len(branches)),
        ],
        details,
        [*failures, *missed],
    )


def _share(name: str, found: int, there: int) -> Measure:
    percent = 100.0 * found / there if there else 0.0
    return Measure(
        name, "100 %", f"{percent:.1f} % ({found} of {there})", 0 < found == there, (), percent,
        100.0, "%",
    )  # fmt: skip
