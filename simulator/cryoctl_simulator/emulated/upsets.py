"""Single-bit upsets in RAM and registers of a running probe: what becomes of each.

A trial begins from one saved moment, lets one bit turn over after some instructions of the next
tick, and runs on with nobody on the line; the same moment without an upset is the reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from cryoctl_simulator.device import TICKS_PER_S, SimulatedDevice
from cryoctl_simulator.emulated.crash import Crash, Kind
from cryoctl_simulator.emulated.firmware import EmulatedFirmware
from cryoctl_simulator.noise import chances

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryoctl_simulator.emulated.processor import Processor

BOUND_S: Final = 0.5
"""From the upset to a shut valve, whatever happens: the lease has long lapsed by then."""
TRIAL_S: Final = 1.0
INSTRUCTIONS_MAX: Final = 3_000
"""The upset comes after so many of the tick at the most; ticks without telemetry have as many."""
STACK_BYTES: Final = 2_048
"""Of the stack, from its top: deeper it has not been."""
_STREAM: Final = 31
_REGISTERS: Final = (*(f"r{number}" for number in range(13)), "sp", "lr", "pc")
_WORD_BITS: Final = 32


class Target(StrEnum):
    """Where a bit turns over."""

    VARIABLES = "variables"
    STACK = "stack"
    REGISTERS = "registers"


class Outcome(StrEnum):
    """What became of it, the worst that applies."""

    SILENT = "silent"
    CORRECTED = "corrected"
    WRONG_OUTPUT = "wrong output"
    WATCHDOG = "watchdog"
    FAULT = "HardFault"
    OPEN = "valve open"


@dataclass(frozen=True, slots=True)
class Trial:
    """One upset.

    Attributes:
        where: Address and bit, or register and bit.
        open_s: How long the valve was open after the upset, the last moment of it.
    """

    target: Target
    where: str
    outcome: Outcome
    open_s: float


class Campaign:
    """Trials from one moment of one device.

    Args:
        device: With emulated firmware, in the moment that every trial begins from.
        now_s: Of that moment.
        seed: Of the choices.
    """

    def __init__(self, device: SimulatedDevice, now_s: float, *, seed: int) -> None:
        self._device = device
        self._now_s = now_s
        self._seed = seed
        self._moment = device.save()
        self._reference = self._run(None)

    def trial(self, number: int) -> Trial:
        """Run one; the same number is the same trial."""
        what, where, bit, when = chances(self._seed, _STREAM, number, 4)
        target = list(Target)[int(what * len(Target))]
        self._device.load(self._moment)
        processor = self._firmware().processor
        place, turn_over = _choose(processor, target, where, int(bit * _WORD_BITS))
        processor.disturb = 1 + int(when * INSTRUCTIONS_MAX), turn_over
        sent, valve, crashes = self._run(processor)
        return Trial(target, place, self._outcome(sent, valve, crashes), _open_s(valve))

    def _firmware(self) -> EmulatedFirmware:
        firmware = self._device.firmware
        assert isinstance(firmware, EmulatedFirmware), "only an emulated processor has bits to turn"
        return firmware

    def _run(self, processor: Processor | None) -> tuple[bytes, list[float], list[Crash]]:
        """Run a trial; without a processor from the moment itself."""
        device = self._device
        if processor is None:
            device.load(self._moment)
        crashes = self._firmware().probe.crashes
        crashes.clear()
        sent = []
        valve = []
        for tick in range(1, round(TRIAL_S * TICKS_PER_S) + 1):
            sent.append(device.advance_to(self._now_s + tick / TICKS_PER_S, b""))
            valve.append(device.actuators.valve)
        return b"".join(sent), valve, list(crashes)

    def _outcome(self, sent: bytes, valve: list[float], crashes: list[Crash]) -> Outcome:
        reference_sent, reference_valve, _ = self._reference
        kinds = {crash.kind for crash in crashes}
        if _open_s(valve) > BOUND_S:
            return Outcome.OPEN
        if Kind.FAULT in kinds or Kind.LOCKUP in kinds:
            return Outcome.FAULT
        if kinds:
            return Outcome.WATCHDOG
        if valve != reference_valve:
            return Outcome.WRONG_OUTPUT
        return Outcome.SILENT if sent == reference_sent else Outcome.CORRECTED


def _open_s(valve: list[float]) -> float:
    """Return when the valve was open last."""
    ticks = [number for number, opening in enumerate(valve, start=1) if opening > 0.0]
    return ticks[-1] / TICKS_PER_S if ticks else 0.0


def _choose(
    processor: Processor, target: Target, where: float, bit: int
) -> tuple[str, Callable[[], None]]:
    """Return the name of a bit and what turns it over."""
    if target is Target.REGISTERS:
        name = _REGISTERS[int(where * len(_REGISTERS))]
        return f"{name} bit {bit}", lambda: processor.write_register(
            name, processor.read_register(name) ^ 1 << bit
        )
    board = processor.board
    top = board.stack_pointer()
    if target is Target.STACK:
        first, size = top - STACK_BYTES, STACK_BYTES
    else:
        last = max(each.address + each.size for each in processor.elf.variables.values())
        first, size = top, last - top
    address = first + int(where * size)
    at = address - board.RAM
    bit %= 8

    def turn_over() -> None:
        board.ram[at] ^= 1 << bit

    return f"0x{address:08x} bit {bit}", turn_over


def table(trials: list[Trial]) -> str:
    """Return how often each target had each outcome, as lines of text."""
    lines = ["| target | " + " | ".join(Outcome) + " |", "|---|" + "---|" * len(Outcome)]
    for target in Target:
        counts = [
            sum(1 for each in trials if each.target is target and each.outcome is outcome)
            for outcome in Outcome
        ]
        lines.append(f"| {target} | " + " | ".join(map(str, counts)) + " |")
    return "\n".join(lines)
