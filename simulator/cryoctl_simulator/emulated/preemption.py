"""The tick's interrupt in the middle of the work of the tick before, at any instruction.

A tick is cut short after some instructions. The next SysTick then finds the work unfinished, takes
its exception right there, and the work goes on behind it. A witness, another build of the firmware,
is given what each call of ``firmware_tick`` was given, one whole call after the other. Whatever the
exception changed under the work's feet would be a difference; so would a tick that is lost.
"""

from __future__ import annotations

import pickle
import struct
from dataclasses import fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from unicorn import UC_HOOK_CODE

from cryoctl_simulator.emulated.firmware import EmulatedFirmware, EmulatedProbe
from cryoctl_simulator.emulated.registers import SP
from cryoctl_simulator.firmware_state import FirmwareState, Outputs
from cryoctl_simulator.instruments import Readings

if TYPE_CHECKING:
    from cryoctl_simulator.emulated.elf_file import ElfFile
    from cryoctl_simulator.emulated.processor import Processor
    from cryoctl_simulator.firmware import Build, Firmware
    from cryoctl_simulator.firmware_config import FirmwareConfig
    from cryoctl_simulator.firmware_identity import Boot

ENTRY: Final = "firmware_tick"
_READINGS: Final = struct.Struct(f"<{len(fields(Readings))}i")
_WORD: Final = struct.Struct("<I")
_outputs_of: Final = attrgetter(*(each.name for each in fields(Outputs)))
_NAMES: Final = tuple(each.name for each in fields(FirmwareState) if each.name != "outputs")


class Call(NamedTuple):
    """What one call of ``firmware_tick`` was given."""

    now_ms: int
    readings: Readings
    incoming: bytes


class WitnessedProbe:
    """Powers up an ELF file beside a witness of it (``Build``).

    Args:
        elf: With a function ``firmware_tick`` as ours has it.
        witness: The build that says what is right.
    """

    def __init__(self, elf: ElfFile, witness: Build) -> None:
        entry = elf.function_named(ENTRY)
        assert entry is not None, f"{elf.name} has no function {ENTRY}"
        self._entry = entry.address
        self._probe = EmulatedProbe(elf)
        self._witness = witness
        self._calls: dict[Processor, list[Call]] = {}

    def __call__(self, config: FirmwareConfig, boot: Boot) -> WitnessedFirmware:
        """Power both up."""
        firmware = self._probe(config, boot)
        calls = self._calls_of(firmware.processor)
        calls.clear()
        return WitnessedFirmware(firmware, self._witness(config, boot), calls)

    def _calls_of(self, processor: Processor) -> list[Call]:
        """Return where the calls of a processor are noted; it is used again and again."""
        if processor not in self._calls:
            calls: list[Call] = []

            def note(_uc: Any, _address: int, _size: int, _user: object) -> None:
                calls.append(_call(processor))

            processor.uc.hook_add(UC_HOOK_CODE, note, begin=self._entry, end=self._entry)
            processor.forget_translation(self._entry)
            self._calls[processor] = calls
        return self._calls[processor]


def _call(processor: Processor) -> Call:
    """Return the arguments of the call that is being entered."""
    now_ms, readings, data, sp = (processor.read_register(r) for r in ("r1", "r2", "r3", SP))
    (size,) = _WORD.unpack(processor.peek(sp, _WORD.size))
    words = _READINGS.unpack(processor.peek(readings, _READINGS.size))
    return Call(now_ms, Readings(*words), processor.peek(data, size) if size else b"")


class WitnessedFirmware:
    """Emulated firmware, and a witness that does the same one call at a time (``Firmware``)."""

    def __init__(self, inner: EmulatedFirmware, witness: Firmware, calls: list[Call]) -> None:
        self.inner = inner
        self.cut_after: int | None = None
        """Cut the next tick after so many instructions; once."""
        self.cut_at: int | None = None
        """Where the last cut was; None if the tick had ended before."""
        self.problem = ""
        """The first difference."""
        self.mixed_readings = 0
        """Calls whose readings were of two ticks, some words of each."""
        self._witness = witness
        self._calls = calls
        self._expected = b""
        self._latest: Readings | None = None

    @property
    def config(self) -> FirmwareConfig:
        """What both were built with."""
        return self.inner.config

    @property
    def profile_hash(self) -> int:
        """What HELLO says of the profile."""
        return self.inner.profile_hash

    @profile_hash.setter
    def profile_hash(self, value: int) -> None:
        self.inner.profile_hash = value
        self._witness.profile_hash = value

    @property
    def outputs(self) -> Outputs:
        """What the board's drivers do."""
        return self.inner.outputs

    @property
    def state(self) -> FirmwareState:
        """Memory of the emulated firmware."""
        return self.inner.state

    @property
    def is_reset(self) -> bool:
        """True after a tick in which the hardware has reset the processor."""
        return self.inner.is_reset

    def tick(self, now_ms: int, readings: Readings, incoming: bytes) -> bytes | None:
        """Run 10 ms, or less if it is to be cut; compare when the work is done."""
        processor = self.inner.processor
        self._prepare(processor)
        sent = self.inner.tick(now_ms, readings, incoming)
        processor.disturb = None
        calls = len(self._calls)
        for call in self._calls:
            self.mixed_readings += call.readings not in (readings, self._latest)
            self._expected += self._witness.tick(*call) or b""
        self._calls.clear()
        self._latest = Readings(*_READINGS.unpack(_packed(readings)))
        if sent is not None:
            self._compare(now_ms, sent)
        if self.cut_at is None and (sent is None or not calls):
            # A tick that is cut before its work has begun is lost; the one after it is not.
            self._say(now_ms, f"the tick ended with {calls} calls of {ENTRY}")
        return sent

    def _prepare(self, processor: Processor) -> None:
        self.cut_at = None
        if self.cut_after is not None:
            processor.disturb = self.cut_after, self._cut
            self.cut_after = None

    def _cut(self) -> None:
        self.cut_at = self.inner.processor.pc
        self.inner.processor.end_tick()

    def _compare(self, now_ms: int, sent: bytes) -> None:
        expected, self._expected = self._expected, b""
        if sent != expected:
            self._say(now_ms, f"sent {sent.hex()}, the witness {expected.hex()}")
        if _outputs_of(self.inner.outputs) != _outputs_of(self._witness.outputs):
            self._say(now_ms, f"drives {self.inner.outputs}, the witness {self._witness.outputs}")
        mine, witness = self.inner.state, self._witness.state
        for name in _NAMES:
            if getattr(mine, name) != getattr(witness, name):
                self._say(
                    now_ms,
                    f"{name} is {getattr(mine, name)}, the witness has {getattr(witness, name)}",
                )

    def _say(self, now_ms: int, what: str) -> None:
        self.problem = self.problem or f"device clock {now_ms} ms: {what}"

    def save(self) -> bytes:
        """Return the state of both."""
        assert not self._calls, "a moment is one between two ticks"
        assert not self._expected, "a moment is one whose tick was not cut"
        return pickle.dumps((self.inner.save(), self._witness.save(), self._latest))

    def load(self, data: bytes) -> None:
        """Take over a state that ``save`` returned."""
        inner, witness, self._latest = pickle.loads(data)
        self.inner.load(inner)
        self._witness.load(witness)
        self._calls.clear()
        self._expected = b""


def _packed(readings: Readings) -> bytes:
    return _READINGS.pack(*(getattr(readings, each.name) for each in fields(Readings)))
