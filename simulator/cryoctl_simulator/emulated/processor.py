"""An emulated Cortex-M4 with what unicorn leaves out: exceptions, SysTick, faults, lockup.

Code between two sleeps takes no virtual time, unless a tick takes more than ``SLICE`` instructions:
then the next SysTick finds it still running. Not emulated: cycle times, priorities among
exceptions (a handler is disturbed by faults alone), PendSV, a process stack, the MPU, traps of CCR.
"""

from __future__ import annotations

import ctypes
import pickle
import struct
from typing import TYPE_CHECKING, Any, Final

from unicorn import (
    UC_ARCH_ARM,
    UC_HOOK_INTR,
    UC_HOOK_MEM_INVALID,
    UC_MODE_THUMB,
    UC_PROT_EXEC,
    UC_PROT_READ,
    UC_PROT_WRITE,
    Uc,
    UcError,
)
from unicorn import unicorn_const as const
from unicorn.arm_const import UC_CPU_ARM_CORTEX_M4

from cryoctl_simulator.emulated.crash import Kind
from cryoctl_simulator.emulated.peripherals import PAGE_SIZE, RegisterPage
from cryoctl_simulator.emulated.registers import (
    EVERY,
    FLOAT,
    FLOAT_STACKED,
    PC,
    SP,
    STACKED,
    XPSR,
    RegisterGroup,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryoctl_simulator.emulated.board import VirtualBoard
    from cryoctl_simulator.emulated.debugger import Debugger
    from cryoctl_simulator.emulated.elf_file import ElfFile

SLICE: Final = 2_000_000
"""Instructions in 10 ms at the most: 200 MHz, as the fastest M4 have, and one each cycle."""
EXCEPTION: Final = 1_000
"""Instructions of a tick that an exception takes up, and a return and a sleep; so they end, too."""
SYSTICK: Final = 15
HARD_FAULT: Final = 3
SV_CALL: Final = 11
SYSTICK_CYCLES_MIN: Final = 20_000
"""100 us; a shorter period is lengthened to that, so that a tick ends in bounded time."""
PAINT: Final = 0xA5
"""What RAM holds at power-up: nobody may rely on zeros, and the stack shows how deep it went."""
_PPB: Final = 0xE000_E000  # SysTick and system control block.
_VTOR: Final = 0xD08
_AIRCR: Final = 0xD0C
_AIRCR_RESET: Final = 0x05FA_0004
_SYST_CSR: Final = 0x010
_SYST_RVR: Final = 0x014
_SYST_CVR: Final = 0x018
_SYST_CONTROL: Final = 7  # Clock source, interrupt, counting.
_SYST_INTERRUPTS: Final = 3
_CPUID: Final = 0xD00
_CPUID_M4: Final = 0x410F_C241
_EXC_RETURN: Final = 0xFFFF_FF00
_TO_THREAD: Final = 0xFFFF_FFF9
_TO_HANDLER: Final = 0xFFFF_FFF1
_THUMB: Final = 1 << 24
_ALIGNED: Final = 1 << 9  # In the stacked XPSR: 4 bytes were left out.
_FRAME: Final = struct.Struct("<8I")
_WORD: Final = struct.Struct("<I")
_UNTIL: Final = 0xFFFF_FFFF  # Odd, so never reached: a call of address 0 must not look like an end.
_WFI: Final = b"\x30\xbf"
_WFE: Final = b"\x20\xbf"
_BKPT: Final = b"\xbe"  # Its second byte; the first is a number.
_INTR_SVC: Final = 2
_INTR_BKPT: Final = 7
_PUSH_MAX: Final = 64  # Sixteen registers at once.
_FAULTS_MAX: Final = 8  # In one tick: a handler that returns to the fault hangs for ever.
_MASKED_STEPS: Final = 64  # After WFI under PRIMASK: CPSIE follows within a few instructions.
_ACCESS: Final = {
    const.UC_MEM_READ_UNMAPPED: "read of unmapped address",
    const.UC_MEM_WRITE_UNMAPPED: "write to unmapped address",
    const.UC_MEM_FETCH_UNMAPPED: "jump to unmapped address",
    const.UC_MEM_READ_PROT: "read of protected address",
    const.UC_MEM_WRITE_PROT: "write to read-only address",
    const.UC_MEM_FETCH_PROT: "jump to address that holds no code",
}
_FETCHES: Final = (const.UC_MEM_FETCH_UNMAPPED, const.UC_MEM_FETCH_PROT)


class Processor:
    """One processor on its board.

    Args:
        elf: The firmware.
        board: What it is soldered to, with ``elf`` in its flash.
    """

    def __init__(self, elf: ElfFile, board: VirtualBoard) -> None:
        self.elf = elf
        self.board = board
        self.uc = Uc(UC_ARCH_ARM, UC_MODE_THUMB)
        self.uc.ctl_set_cpu_model(UC_CPU_ARM_CORTEX_M4)
        self.reports: list[tuple[Kind, int, str]] = []
        """Kind, address and words of what went wrong; whoever runs it takes them."""
        self.debugger: Debugger | None = None
        self._keep: list[Any] = []
        self._map()
        self._every = RegisterGroup(self.uc, EVERY)
        self._float = RegisterGroup(self.uc, FLOAT)
        self._stacked = RegisterGroup(self.uc, (SP, *STACKED))
        self._float_stacked = RegisterGroup(self.uc, FLOAT_STACKED)
        self._masks = RegisterGroup(self.uc, ("primask", "faultmask", "control"))
        self._pc_register = RegisterGroup(self.uc, (PC,))
        self.uc.hook_add(UC_HOOK_INTR, self._on_interrupt)
        self.uc.hook_add(UC_HOOK_MEM_INVALID, self._on_bad_access)
        self._clear()

    def _clear(self) -> None:
        self.disturb: tuple[int, Callable[[], None]] | None = None
        """Done once, after so many instructions of the next slice."""
        self.reports.clear()
        self.ticks = 0
        """Run since power-up or ``load``."""
        self.pc = 0
        self.running = False
        """False until the reset vector was taken, and after a lockup or a reset."""
        self.asleep = False
        self.held = ""
        """Why it stands still for ever: lockup or a reset that it asked for."""
        self._active: list[int] = []
        self._float_frames: list[list[int]] = []
        self._pending = False
        self._vectors = self.board.VECTORS
        self._systick_control = 0
        self._systick_cycles = SYSTICK_CYCLES_MIN
        self._systick_left = 0
        self._interrupt = -1
        self._bad_access: tuple[int, int] | None = None
        self._faults = 0
        self._left = SLICE
        self._stops = 0

    # -- power -----------------------------------------------------------------------------------

    def power_up(self) -> None:
        """Put every register to 0 and paint RAM; the reset vector is taken at the first tick."""
        self._clear()
        self.board.ram[:] = bytes((PAINT,)) * len(self.board.ram)
        self._every.write([_THUMB if name == XPSR else 0 for name in EVERY])
        self._float.write([0] * len(FLOAT))

    def save(self) -> bytes:
        """Return registers, RAM and peripherals; any processor with the same ELF can load it."""
        return pickle.dumps(
            (
                self._every.read(),
                self._float.read() if self.elf.hard_float else None,
                bytes(self.board.ram),
                [each.save() for each in self.board.peripherals],
                self.pc,
                self.running,
                self.asleep,
                self.held,
                self._active,
                self._float_frames,
                self._pending,
                self._vectors,
                self._systick_control,
                self._systick_cycles,
                self._systick_left,
            )
        )

    def load(self, data: bytes) -> None:
        """Take over a state that ``save`` returned."""
        self._clear()
        (
            every,
            floats,
            ram,
            peripherals,
            self.pc,
            self.running,
            self.asleep,
            self.held,
            self._active,
            self._float_frames,
            self._pending,
            self._vectors,
            self._systick_control,
            self._systick_cycles,
            self._systick_left,
        ) = pickle.loads(data)
        self._every.write(every)
        if floats is not None:
            self._float.write(floats)
        self.board.ram[:] = ram
        for each, content in zip(self.board.peripherals, peripherals, strict=True):
            each.load(content)

    def read_register(self, name: str) -> int:
        """Return one register, as ``EVERY`` and ``FLOAT`` name them."""
        group = self._group_of(name)
        return self.pc if name == PC else group.read()[group.names.index(name)]

    def write_register(self, name: str, value: int) -> None:
        """Set one register."""
        if name == PC:
            self.pc = value & ~1
            return
        group = self._group_of(name)
        values = group.read()
        values[group.names.index(name)] = value
        group.write(values)

    def _group_of(self, name: str) -> RegisterGroup:
        return self._float if name in FLOAT else self._every

    def poke(self, address: int, data: bytes) -> None:
        """Write to flash or RAM from outside, code included; raises ValueError elsewhere."""
        memory, first = self._memory_at(address, len(data), self._memories())
        memory[first : first + len(data)] = data
        self.forget_translation(address, len(data))

    def peek(self, address: int, size: int) -> bytes:
        """Read what nothing follows from: flash, RAM, plain registers; else raises ValueError."""
        pages = [(page.base, page.memory) for page in self.register_pages()]
        memory, first = self._memory_at(address, size, [*self._memories(), *pages])
        return bytes(memory[first : first + size])

    def register_pages(self) -> list[RegisterPage]:
        """Return the peripherals whose registers are plain memory."""
        return [each for each in self.board.peripherals if isinstance(each, RegisterPage)]

    def forget_translation(self, address: int, size: int = 2) -> None:
        """Have code translated anew, because it or a hook on it has changed."""
        self.uc.ctl_remove_cache(address, address + size)

    def _memories(self) -> list[tuple[int, bytearray]]:
        board = self.board
        return [(board.FLASH, board.flash), (board.RAM, board.ram)]

    def _memory_at(
        self, address: int, size: int, memories: list[tuple[int, bytearray]]
    ) -> tuple[bytearray, int]:
        for base, memory in memories:
            if base <= address and address + size <= base + len(memory):
                return memory, address - base
        raise ValueError(f"no memory of {size} bytes at 0x{address:08x}")

    # -- time ------------------------------------------------------------------------------------

    def run_tick(self, cycles: int, set_clock: Callable[[int], None]) -> None:
        """Run for so many clock cycles of virtual time.

        Args:
            cycles: How long.
            set_clock: Called with the cycles that are left at each SysTick.
        """
        self.ticks += 1
        self._faults = 0
        self._left = SLICE
        self._stops = 0
        if not self.running:
            set_clock(cycles)
            self._boot()
        elif self.debugger is not None:
            self.debugger.poll()
        while self._is_systick_on() and self._systick_left <= cycles:
            cycles -= self._systick_left
            self._systick_left = self._systick_cycles
            set_clock(cycles)
            self._pending = True
            self._go()
            if not self.asleep:
                break  # Whatever comes now finds it still busy.
        else:
            if not self.asleep:
                set_clock(0)
                self._go()
        self._systick_left = max(0, self._systick_left - cycles)

    def end_tick(self) -> None:
        """Have nothing more executed in this tick: the next SysTick finds it busy."""
        self._left = 0

    def _boot(self) -> None:
        stack, reset = struct.unpack_from("<II", self.board.flash, self._vectors - self.board.FLASH)
        self.running = True
        self.pc = reset & ~1
        self._stacked.write([stack, 0, 0, 0, 0, 0, 0xFFFF_FFFF, self.pc, _THUMB])
        self._go()

    def _go(self) -> None:
        """Execute until it sleeps, is too busy, or stands still for ever."""
        was_woken = False
        while not self.held:
            if self._pending and not self._active:
                primask, faultmask, control = self._masks.read()
                if not primask and not faultmask:
                    self._pending = False
                    self._enter(SYSTICK, control)
                    continue
                if self.asleep and not was_woken:
                    # WFI ends all the same; the handler waits for CPSIE.
                    was_woken = True
                    self.asleep = False
                    self._step_until_unmasked()
                    continue
            if self.asleep or not self._run_slice():
                return

    def _step_until_unmasked(self) -> None:
        for _ in range(_MASKED_STEPS):
            if not self._execute(1) or not self._masks.read()[0]:
                return

    def _run_slice(self) -> bool:
        """Execute a part of what is left of the tick; return False if nothing is."""
        if self._left <= 0:
            return False
        if self.disturb is not None:
            count, action = self.disturb
            if self._execute(count):
                self.disturb = None
                action()
            return True
        # Nobody says how many instructions an exception cut short: the more exceptions a tick has
        # had, the smaller its steps, so that all of them together are few slices.
        self._execute(max(self._left // (1 + self._stops), EXCEPTION))
        return True

    def _execute(self, count: int) -> bool:
        """Execute ``count`` instructions; return False if something else came first."""
        if self.debugger is not None:
            count = self.debugger.allowed(count)
            if self.held:
                return False
        is_whole = self._emulate(count)
        if self.debugger is not None:
            self.debugger.look()
            if self.debugger.is_hit:
                return False  # It takes nothing of the tick: the firmware knows of no breakpoints.
        self._left -= count if is_whole else EXCEPTION
        self._stops += not is_whole
        return is_whole

    def _emulate(self, count: int) -> bool:
        self._interrupt = -1
        self._bad_access = None
        first = self.pc
        try:
            self.uc.emu_start(first | 1, _UNTIL, 0, count)
        except UcError as error:
            self.pc = self._pc_register.read()[0]
            self._on_error(error)
            return False
        self.pc = self._pc_register.read()[0]
        if self.held:
            return False
        if self._interrupt >= 0:
            self._on_stop(self._interrupt)
            return False
        if self.debugger is not None and self.debugger.is_hit:
            return False
        # A single one may have jumped over a WFI.
        if self._code(first if count == 1 else self.pc - len(_WFI)) == _WFI:
            self.asleep = True
            return False
        return True

    def _code(self, address: int) -> bytes:
        first = address - self.board.FLASH
        return bytes(self.board.flash[first : first + 2]) if first >= 0 else b""

    # -- exceptions ------------------------------------------------------------------------------

    def _on_interrupt(self, uc: Any, number: int, _user: object) -> None:
        self._interrupt = number
        uc.emu_stop()

    def _on_stop(self, number: int) -> None:
        if self.pc >= _EXC_RETURN:  # Its number differs from model to model.
            self._leave()
        elif number == _INTR_SVC:
            self._enter(SV_CALL, self._masks.read()[2])
        elif number == _INTR_BKPT:
            if self.debugger is None or not self.debugger.trap():
                self._fault("breakpoint instruction without a debugger")
        else:
            self._fault(f"processor exception {number}")

    def _enter(self, number: int, control: int) -> None:
        """Stack what a handler may overwrite and jump through the vector table."""
        if control & 2:
            self._hold(Kind.UNSUPPORTED, "a process stack (CONTROL.SPSEL); use the main stack")
            return
        sp, *values = self._stacked.read()
        values[-2] = self.pc
        padding = sp & 4
        values[-1] = values[-1] & ~_ALIGNED | (_ALIGNED if padding else 0)
        frame = sp - padding - _FRAME.size
        handler = self._vector(number)
        if not handler & 1:
            self._hold(Kind.LOCKUP, f"exception {number} has no handler (vector 0x{handler:08x})")
            return
        if not self._write_frame(frame, values):
            self._hold(Kind.LOCKUP, f"no room on the stack for an exception (SP 0x{sp:08x})")
            return
        self._stack_float()
        self._active.append(number)
        back = _TO_HANDLER if len(self._active) > 1 else _TO_THREAD
        self._stacked.write([frame, *values[:5], back, handler & ~1, _THUMB | number])
        self.pc = handler & ~1
        self.asleep = False

    def _leave(self) -> None:
        if not self._active:
            self._fault("return from an exception where none is active")
            return
        frame, *_ = self._stacked.read()
        values = self._read_frame(frame)
        if values is None:
            self._hold(Kind.LOCKUP, f"stack pointer 0x{frame:08x} outside RAM")
            return
        self._active.pop()
        if self._float_frames:
            self._float_stacked.write(self._float_frames.pop())
        padding = 4 if values[-1] & _ALIGNED else 0
        values[-1] &= ~_ALIGNED
        self._stacked.write([frame + _FRAME.size + padding, *values])
        self.pc = values[-2] & ~1

    def _stack_float(self) -> None:
        """Keep the FPU's registers beside the stack: a frame with them is not emulated."""
        if self.elf.hard_float:
            self._float_frames.append(self._float_stacked.read())

    def _vector(self, number: int) -> int:
        offset = self._vectors + 4 * number - self.board.FLASH
        if 0 <= offset <= len(self.board.flash) - _WORD.size:
            return int(_WORD.unpack_from(self.board.flash, offset)[0])
        return 0

    def _write_frame(self, address: int, values: list[int]) -> bool:
        first = address - self.board.RAM
        if first < 0 or first + _FRAME.size > len(self.board.ram):
            return False
        _FRAME.pack_into(self.board.ram, first, *values)
        return True

    def _read_frame(self, address: int) -> list[int] | None:
        first = address - self.board.RAM
        if first < 0 or first + _FRAME.size > len(self.board.ram):
            return None
        return list(_FRAME.unpack_from(self.board.ram, first))

    # -- faults ----------------------------------------------------------------------------------

    def _on_bad_access(
        self, _uc: Any, access: int, address: int, _size: int, _value: int, _user: object
    ) -> bool:
        self._bad_access = access, address
        return False

    def _on_error(self, error: UcError) -> None:
        if self._bad_access is not None:
            access, address = self._bad_access
            self._fault(f"{_ACCESS.get(access, str(error))} 0x{address:08x}", access)
        elif self._code(self.pc) == _WFE:
            self.pc += len(_WFE)
            self.asleep = True
        else:
            self._fault("undefined instruction, or a jump to an even address")

    def _fault(self, detail: str, access: int = 0) -> None:
        address = self.pc
        if access in _FETCHES:
            values = self._stacked.read()
            caller = values[1 + STACKED.index("lr")] & ~1
            detail += f"; the return address is {self.elf.where(caller)}"
        elif access == const.UC_MEM_WRITE_UNMAPPED and self._is_below_stack():
            detail = f"stack overflow: {detail}"
        self._faults += 1
        if self.debugger is not None:
            self.debugger.fault()
            if self.held:
                return
        if HARD_FAULT in self._active:
            self._hold(Kind.LOCKUP, f"a fault in the handler of a fault: {detail}")
        elif self._faults > _FAULTS_MAX:
            self._hold(Kind.LOCKUP, f"its handler returns to the same fault: {detail}")
        else:
            self.reports.append((Kind.FAULT, address, detail))
            self._enter(HARD_FAULT, self._masks.read()[2])

    def _is_below_stack(self) -> bool:
        """Return True if the bad access is one that a stack at the bottom of RAM makes."""
        assert self._bad_access is not None
        address = self._bad_access[1]
        sp = self._stacked.read()[0]
        return address < self.board.RAM and (sp < self.board.RAM or sp - address <= _PUSH_MAX)

    def _hold(self, kind: Kind, detail: str) -> None:
        """Stand still until a reset."""
        self.reports.append((kind, self.pc, detail))
        self.held = str(kind)
        if self.debugger is not None:
            self.debugger.lock_up()

    # -- what a debugger asks for ----------------------------------------------------------------

    def skip_breakpoint(self) -> None:
        """Go past a BKPT, which would stop it again for ever."""
        if self._code(self.pc)[1:] == _BKPT:
            self.pc += len(_WFI)

    def ask_for_reset(self, detail: str) -> None:
        """Stand still until the board resets it, at the end of this tick."""
        self.reports.append((Kind.RESET, self.pc, detail))
        self.held = str(Kind.RESET)

    # -- memory ----------------------------------------------------------------------------------

    def _map(self) -> None:
        board = self.board
        self._map_memory(board.FLASH, board.flash, UC_PROT_READ | UC_PROT_EXEC)
        self._map_memory(board.RAM, board.ram, UC_PROT_READ | UC_PROT_WRITE)
        for each in board.peripherals:
            if isinstance(each, RegisterPage):
                write = UC_PROT_WRITE if each.writable else 0
                self._map_memory(each.base, each.memory, UC_PROT_READ | write)
            else:
                self._map_registers(each.base, each.read, each.write)
        self._map_registers(_PPB, self._read_system, self._write_system)

    def _map_memory(self, base: int, memory: bytearray, protection: int) -> None:
        view = (ctypes.c_ubyte * len(memory)).from_buffer(memory)
        self._keep.append(view)
        self.uc.mem_map_ptr(base, len(memory), protection, ctypes.addressof(view))

    def _map_registers(
        self, base: int, read: Callable[[int, int], int], write: Callable[[int, int, int], None]
    ) -> None:
        def on_read(_uc: object, offset: int, size: int, _user: object) -> int:
            return read(offset, size)

        def on_write(_uc: object, offset: int, size: int, value: int, _user: object) -> None:
            write(offset, size, value)

        self.uc.mmio_map(base, PAGE_SIZE, on_read, None, on_write, None)

    def _is_systick_on(self) -> bool:
        """Return True if it counts and takes its exception; the source of its clock is one."""
        return self._systick_control & _SYST_INTERRUPTS == _SYST_INTERRUPTS

    def _read_system(self, offset: int, _size: int) -> int:
        values = {
            _SYST_CSR: self._systick_control,
            _SYST_RVR: self._systick_cycles - 1,
            _SYST_CVR: self._systick_left,
            _CPUID: _CPUID_M4,
            _VTOR: self._vectors,
        }
        return values.get(offset, 0)

    def _write_system(self, offset: int, _size: int, value: int) -> None:
        if offset == _SYST_CSR:
            self._systick_control = value & _SYST_CONTROL
            self._systick_left = self._systick_cycles
        elif offset == _SYST_RVR:
            self._systick_cycles = max((value & 0xFF_FFFF) + 1, SYSTICK_CYCLES_MIN)
            self._systick_left = self._systick_cycles
        elif offset == _VTOR:
            self._vectors = value
        elif offset == _AIRCR and value & 0xFFFF_0004 == _AIRCR_RESET:
            self.pc = self._pc_register.read()[0]
            self.ask_for_reset("the firmware asked for it")
            self.uc.emu_stop()
