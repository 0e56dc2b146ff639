"""Firmware as an ELF file on the virtual board, behind the seam that the Python model fills."""

from __future__ import annotations

import pickle
import struct
import weakref
from enum import IntEnum
from functools import cache
from typing import TYPE_CHECKING, Final, cast

from cryoctl_simulator.emulated.board import VirtualBoard
from cryoctl_simulator.emulated.build import SHIPPED
from cryoctl_simulator.emulated.crash import Crash, Kind
from cryoctl_simulator.emulated.elf_file import ElfFile
from cryoctl_simulator.emulated.peripherals import PAGE_SIZE
from cryoctl_simulator.emulated.processor import HARD_FAULT, Processor
from cryoctl_simulator.firmware import FirmwareError
from cryoctl_simulator.firmware_config import TICK_MS, FirmwareConfig
from cryoctl_simulator.firmware_layout import (
    PROFILE_HASH_OFFSET,
    SESSION_OFFSET,
    StateMemory,
)
from cryoctl_simulator.firmware_state import FirmwareState, Outputs
from cryoctl_simulator.firmware_telling import Telling
from cryoctl_simulator.instruments import Readings

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryoctl_simulator.emulated.debugger import Debugger
    from cryoctl_simulator.firmware_identity import Boot

MEMORY: Final = "firmware"
"""The variable that holds ``struct firmware`` in the project's own firmware."""
TRIAL_TICKS: Final = 30
"""Firmware is tried for 300 ms before it is taken: twice what the watchdog waits."""
_ROOM: Final = Readings(
    tip_mdegc=21_000,
    tip_2_mdegc=21_000,
    skin_mdegc=30_000,
    supply_mbar=50_000,
    exhaust_mbar=1_013,
    cartridge_mdegc=21_000,
    battery_mv=3_900,
)
"""What the sensors say of a probe that lies on a table."""
CRASHES_KEPT: Final = 100
_HASH: Final = struct.Struct("<I")
_MS_PER_S: Final = 1000


class ResetCause(IntEnum):
    """What the register RESET_CAUSE says."""

    POWER_UP = 1
    WATCHDOG = 2
    SOFTWARE = 3


class EmulatedProbe:
    """Powers up one ELF file again and again (``Build``); the first time it is tried out.

    Args:
        elf: The firmware.
        board: What it runs on.

    Raises:
        FirmwareError: The image does not fit the board.
    """

    def __init__(self, elf: ElfFile, board: Callable[[], VirtualBoard] = VirtualBoard) -> None:
        self.elf = elf
        self.crashes: list[Crash] = []
        """What went wrong, the latest ``CRASHES_KEPT``."""
        self.reset_cause = ResetCause.POWER_UP
        """What the next power-up will be told."""
        self.debugger: Debugger | None = None
        """Sees the firmware from its first instruction, so that it is not tried out before."""
        self._board = board
        self._idle = [self._new_processor()]
        self._is_tried = False
        self._tell: Callable[[str], None] | None = None

    def __call__(self, config: FirmwareConfig, boot: Boot) -> EmulatedFirmware:
        """Power up; raises ``FirmwareError`` if it crashes, hangs or is silent at once."""
        if not self._is_tried and self.debugger is None:
            self._try_out(config, boot)
            self._is_tried = True
        return self._power_up(config, boot)

    def _power_up(self, config: FirmwareConfig, boot: Boot) -> EmulatedFirmware:
        processor = self._idle.pop() if self._idle else self._new_processor()
        firmware = EmulatedFirmware(self, processor, config, boot)
        # A processor that has translated this code once is worth keeping.
        weakref.finalize(firmware, self._idle.append, processor).atexit = False
        if self.debugger is not None:
            self.debugger.attach(processor)
        return firmware

    def on_crash(self, tell: Callable[[str], None]) -> None:
        """Have ``tell`` called with one line for each crash from now on (``CrashTeller``)."""
        self._tell = tell

    def _try_out(self, config: FirmwareConfig, boot: Boot) -> None:
        self.crashes.clear()
        self.reset_cause = ResetCause.POWER_UP
        firmware = self._power_up(config, boot)
        sent = b""
        for tick in range(1, TRIAL_TICKS + 1):
            sent += firmware.tick(tick * TICK_MS, _ROOM, b"") or b""
            if self.crashes:
                first = self.crashes[0]
                raise FirmwareError(f"firmware {self.elf.name}: {first}")
        if not sent:
            raise FirmwareError(
                f"firmware {self.elf.name}: sends nothing in its first "
                f"{TRIAL_TICKS * TICK_MS} ms; a probe says HELLO at power-up"
            )

    def add(self, crash: Crash) -> None:
        """Remember a crash."""
        self.crashes.append(crash)
        del self.crashes[:-CRASHES_KEPT]
        if self._tell is not None and self._is_tried:  # A trial's are told by its error.
            self._tell(str(crash))

    def _new_processor(self) -> Processor:
        board = self._board()
        load(self.elf, board)
        return Processor(self.elf, board)


class EmulatedFirmware:
    """One probe's firmware between power-up and power-down (``Firmware``)."""

    def __init__(
        self, probe: EmulatedProbe, processor: Processor, config: FirmwareConfig, boot: Boot
    ) -> None:
        self.config = config
        self.processor = processor
        self.probe = probe
        """What powered it up, and keeps the crashes."""
        self._board = board = processor.board
        board.provision(config, boot)
        board.reset(probe.reset_cause)
        probe.reset_cause = ResetCause.POWER_UP
        processor.power_up()
        self.is_reset = False
        """True after a tick in which the hardware has reset the processor."""
        self._now_ms = 0
        self._telling = Telling()
        self._memory = self._own_memory()

    def _own_memory(self) -> StateMemory | None:
        """Return our own firmware's memory, laid over RAM; None for firmware of somebody else."""
        variable = self.probe.elf.variables.get(MEMORY)
        if variable is None or variable.size != _memory_bytes():
            return None
        first = variable.address - self._board.RAM
        if not 0 <= first <= len(self._board.ram) - variable.size:
            return None
        return StateMemory.from_buffer(self._board.ram, first)

    # -- Firmware --------------------------------------------------------------------------------

    @property
    def state(self) -> FirmwareState:
        """Its memory by name; of firmware of somebody else only what it says in telemetry."""
        return self._telling.state if self._memory is None else cast("FirmwareState", self._memory)

    @property
    def outputs(self) -> Outputs:
        """What the board's drivers do."""
        return self._board.outputs()

    @property
    def profile_hash(self) -> int:
        """What HELLO says of the profile."""
        memory, first = self._hello()
        return int(_HASH.unpack_from(memory, first + PROFILE_HASH_OFFSET)[0])

    @profile_hash.setter
    def profile_hash(self, value: int) -> None:
        memory, first = self._hello()
        _HASH.pack_into(memory, first + PROFILE_HASH_OFFSET, value)

    def _hello(self) -> tuple[bytearray, int]:
        board = self._board
        if self._memory is None:
            return board.flash, board.hello_address - board.FLASH
        variable = self.probe.elf.variables[MEMORY]
        return board.ram, variable.address - board.RAM + SESSION_OFFSET

    def tick(self, now_ms: int, readings: Readings, incoming: bytes) -> bytes | None:
        """Run 10 ms; return what goes out on the link, or None if the tick did not complete."""
        self._now_ms = now_ms
        board = self._board
        processor = self.processor
        watchdog = board.watchdog
        kicks = watchdog.kicks
        board.take(readings)
        if incoming:
            board.receive(incoming)
        processor.run_tick(board.CLOCK_HZ * TICK_MS // _MS_PER_S, self._set_clock)
        for kind, address, detail in processor.reports:
            self._report(kind, address, detail)
        processor.reports.clear()
        if board.system.panic is not None:
            self._report(Kind.PANIC, processor.pc, f"the firmware reports {board.system.panic}")
            board.system.panic = None
        if processor.held == Kind.RESET:
            self._reset(ResetCause.SOFTWARE)
            return None
        is_kicked = watchdog.kicks != kicks
        if not is_kicked:
            watchdog.idle_ms += TICK_MS
            if watchdog.idle_ms >= watchdog.LIMIT_MS:
                self._report(Kind.WATCHDOG, processor.pc, f"not kicked for {watchdog.idle_ms} ms")
                self._reset(ResetCause.WATCHDOG)
                return None
        if processor.held or not (processor.asleep or is_kicked):
            return None
        sent = board.sent()
        if self._memory is None and sent:
            self._telling.listen(sent)
        return sent

    def save(self) -> bytes:
        """Return the whole state; valid for this version of the program and this ELF only."""
        return pickle.dumps(
            (self.config, self._now_ms, self.is_reset, self._telling, self.processor.save())
        )

    def load(self, data: bytes) -> None:
        """Take over a state that ``save`` returned."""
        self.config, self._now_ms, self.is_reset, self._telling, processor = pickle.loads(data)
        self.processor.load(processor)

    # -- inside ----------------------------------------------------------------------------------

    def _set_clock(self, cycles_left: int) -> None:
        board = self._board
        board.clock.set_ms(self._now_ms - cycles_left * _MS_PER_S // board.CLOCK_HZ)

    def _reset(self, cause: ResetCause) -> None:
        self.is_reset = True
        self.probe.reset_cause = cause
        self.processor.held = str(Kind.RESET)
        self._board.reset(cause)

    def _report(self, kind: Kind, address: int, detail: str) -> None:
        self.probe.add(Crash(kind, self._now_ms, address, self.probe.elf.where(address), detail))


@cache
def _memory_bytes() -> int:
    """Return the size of ``struct firmware``, as the shipped file has it."""
    return ElfFile.read(SHIPPED).variables[MEMORY].size


def load(elf: ElfFile, board: VirtualBoard) -> None:
    """Write the image into the board's flash; raises ``FirmwareError`` if it does not fit."""
    first, last = board.FLASH, board.FLASH + len(board.flash)
    for address, content in elf.segments:
        if not first <= address <= last - len(content):
            raise FirmwareError(
                f"firmware {elf.name}: {len(content)} bytes at 0x{address:08x} lie outside the "
                f"board's flash (0x{first:08x} to 0x{last - 1:08x}); link for its memory map"
            )
        page = board.PROVISIONING
        if address < page + PAGE_SIZE and page < address + len(content):
            raise FirmwareError(
                f"firmware {elf.name}: {len(content)} bytes at 0x{address:08x} overlap the "
                f"provisioning page (0x{page:08x} to 0x{page + PAGE_SIZE - 1:08x}); the board's "
                "maker writes it, leave it free"
            )
        board.flash[address - first : address - first + len(content)] = content
    _check_vectors(elf, board)


def _check_vectors(elf: ElfFile, board: VirtualBoard) -> None:
    stack = board.stack_pointer()
    if not board.RAM < stack <= board.RAM + len(board.ram) or stack % 4:
        raise FirmwareError(
            f"firmware {elf.name}: no vector table at 0x{board.VECTORS:08x}: the initial stack "
            f"pointer is 0x{stack:08x}, allowed: in RAM, 0x{board.RAM:08x} to "
            f"0x{board.RAM + len(board.ram):08x}"
        )
    for number, name in ((1, "reset"), (HARD_FAULT, "HardFault")):
        first = board.VECTORS - board.FLASH + 4 * number
        vector = int.from_bytes(board.flash[first : first + 4], "little")
        if not vector & 1 or not board.FLASH <= vector < board.FLASH + len(board.flash):
            raise FirmwareError(
                f"firmware {elf.name}: the vector of {name} is 0x{vector:08x}; allowed: an odd "
                "address (Thumb) in flash"
            )
