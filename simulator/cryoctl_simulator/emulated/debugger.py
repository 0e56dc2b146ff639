"""A debugger's hands on the emulated processor: halt, step, breakpoints, watchpoints.

While the processor is halted its tick does not end, and with it stand plant, sensors and every
clock of the simulated probe. A breakpoint is a hook on one address, so that flash stays as it is
and code without one runs at full speed. A watchpoint compares memory after each instruction: hooks
on memory accesses damage the processor's state (unicorn 2.1.4).
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final, Protocol

from unicorn import UC_HOOK_CODE

from cryoctl_simulator.emulated.crash import Kind
from cryoctl_simulator.emulated.gdb_session import Register, Session
from cryoctl_simulator.emulated.registers import FLOAT, LR, PC, SP, XPSR

if TYPE_CHECKING:
    from cryoctl_simulator.emulated.processor import Processor

POINTS_MAX: Final = 64
"""Breakpoints and watchpoints at once."""
WATCHED_BYTES_MAX: Final = 1024
_CORE: Final = "org.gnu.gdb.arm.m-profile"
_MASKS: Final = "org.cryoctl.exception-masks"
_VFP: Final = "org.gnu.gdb.arm.vfp"
_KINDS: Final = {SP: "data_ptr", PC: "code_ptr"}
_REGISTERS: Final = tuple(
    Register(name, 32, _CORE, _KINDS.get(name, "int"))
    for name in (*(f"r{number}" for number in range(13)), SP, LR, PC, XPSR)
) + tuple(
    Register(name, 32, _MASKS, "int") for name in ("primask", "basepri", "faultmask", "control")
)
_FLOAT_REGISTERS: Final = (
    *(Register(name, 64, _VFP, "ieee_double") for name in FLOAT),
    Register("fpscr", 32, _VFP, "int"),
)
_WORD: Final = 0xFFFF_FFFF
_TRAP: Final = b"T05thread:1;"
_INTERRUPTED: Final = b"T02thread:1;"
_FAULT: Final = b"T0bthread:1;"


class Line(Protocol):
    """Where a debugger's client is."""

    def take(self, *, wait: bool) -> bytes | None:
        """Return what has come; empty if nothing, None if there is no client.

        Args:
            wait: Wait until there is something to return. None then: nobody is waited for.
        """
        ...

    def send(self, data: bytes) -> None:
        """Send; a client that has gone is told of by ``take``."""
        ...

    def hang_up(self) -> None:
        """Let the client go."""
        ...


class _Mode(Enum):
    HALTED = auto()
    STEPPING = auto()
    RUNNING = auto()


class Debugger:
    """Debugs whichever processor runs the probe's firmware (``Target``).

    It halts at the first instruction, and waits there for its first client.

    Args:
        line: Where the client is.
    """

    def __init__(self, line: Line) -> None:
        self.registers = _REGISTERS
        self.is_hit = False
        """True if the last slice of instructions was ended by a breakpoint."""
        self._line = line
        self._session: Session | None = None
        self._processor: Processor | None = None
        self._mode = _Mode.HALTED
        self._stop = _TRAP
        self._hooks: dict[int, int | None] = {}
        self._watched: dict[tuple[int, int], bytes] = {}

    def attach(self, processor: Processor) -> None:
        """Debug ``processor`` from now on; breakpoints go with it."""
        addresses = list(self._hooks)
        if self._processor is not None:
            for address in addresses:
                self._unhook(address)
            self._processor.debugger = None
        self._processor = processor
        self.registers = _REGISTERS + (_FLOAT_REGISTERS if processor.elf.hard_float else ())
        processor.debugger = self
        for address in addresses:
            self._hook(address)

    @property
    def processor(self) -> Processor:
        """What is debugged now."""
        assert self._processor is not None, "a debugger is attached before anything runs"
        return self._processor

    # -- called by the processor -----------------------------------------------------------------

    def poll(self) -> None:
        """Hear the client; called before a tick, wherever the processor then is."""
        self._hear(wait=False)
        if self._mode is _Mode.HALTED:
            self._stand()

    def allowed(self, count: int) -> int:
        """Return how many of ``count`` instructions may be run now; waits while it is halted."""
        if self._mode is _Mode.HALTED:
            self._stand()
        self.is_hit = False
        if self._mode is _Mode.STEPPING:
            self._halt(_TRAP)
            return 1
        return 1 if self._watched else count

    def look(self) -> None:
        """Halt if watched memory has changed."""
        for (address, size), before in self._watched.items():
            now = self.processor.peek(address, size)
            if now != before:
                self._watched[address, size] = now
                self._halt(b"T05watch:%08x;thread:1;" % address)

    def fault(self) -> None:
        """Stand still at an instruction that has faulted, before its handler is entered."""
        if self._session is not None:
            self._halt(_FAULT)
            self._stand()

    def trap(self) -> bool:
        """Stand still at a breakpoint instruction; return False if nobody is there to see it."""
        if self._session is None:
            return False
        self.is_hit = True
        self._halt(_TRAP)
        return True

    def lock_up(self) -> None:
        """Stand still before the next tick: the processor does so anyway."""
        if self._session is not None:
            self._halt(_FAULT)

    def _halt(self, stop: bytes) -> None:
        self._mode = _Mode.HALTED
        self._stop = stop

    def _stand(self) -> None:
        """Stand still until the client lets go, or there is none to wait for, or a reset."""
        if self._session is not None:
            self._line.send(self._session.stopped(self._stop))
        while self._mode is _Mode.HALTED and self.processor.held != Kind.RESET:
            self._hear(wait=True)

    def _hear(self, *, wait: bool) -> None:
        data = self._line.take(wait=wait)
        if data is None:
            if wait or self._session is not None:
                self._let_go()
            return
        if self._session is None:
            self._halt(_INTERRUPTED if self._mode is _Mode.RUNNING else self._stop)
            self._session = Session(self, self._stop)
        answers = self._session.receive(data)
        if answers:
            self._line.send(answers)
        if self._session.is_over:
            self._line.hang_up()
            self._let_go()

    def _let_go(self) -> None:
        self._session = None
        self._mode = _Mode.RUNNING
        self._watched.clear()
        for address in list(self._hooks):
            self._unhook(address)
            del self._hooks[address]

    # -- Target ----------------------------------------------------------------------------------

    def read_register(self, number: int) -> int:
        """Return a register."""
        register = self.registers[number]
        return self.processor.read_register(register.name)

    def write_register(self, number: int, value: int) -> None:
        """Set a register."""
        self.processor.write_register(self.registers[number].name, value)

    def read_memory(self, address: int, size: int) -> bytes:
        """Return memory, or a peripheral's registers where reading them does nothing."""
        return self.processor.peek(address, size)

    def write_memory(self, address: int, data: bytes) -> None:
        """Change RAM; flash is the ELF file's: a reset may come to another copy of it."""
        board = self.processor.board
        if not board.RAM <= address < board.RAM + len(board.ram):
            raise ValueError(f"0x{address:08x} is not in RAM")
        self.processor.poke(address, data)

    def memory_map(self) -> str:
        """Return GDB's XML of the memory."""
        board = self.processor.board
        areas = [("rom", board.FLASH, len(board.flash)), ("ram", board.RAM, len(board.ram))]
        areas += [("rom", page.base, len(page.memory)) for page in self.processor.register_pages()]
        rows = (
            f'<memory type="{kind}" start="0x{start:x}" length="0x{size:x}"/>'
            for kind, start, size in areas
        )
        return f'<?xml version="1.0"?><memory-map>{"".join(rows)}</memory-map>'

    def insert(self, address: int, watched_bytes: int) -> None:
        """Insert a breakpoint, or watch so many bytes for a change."""
        if len(self._hooks) + len(self._watched) >= POINTS_MAX or address > _WORD:
            raise ValueError(f"{POINTS_MAX} breakpoints and watchpoints at the most")
        if watched_bytes > WATCHED_BYTES_MAX:
            raise ValueError(f"{WATCHED_BYTES_MAX} bytes can be watched at once at the most")
        if watched_bytes:
            self._watched[address, watched_bytes] = self.processor.peek(address, watched_bytes)
        elif address not in self._hooks:
            self._hook(address & ~1)

    def remove(self, address: int, watched_bytes: int) -> None:
        """Remove what ``insert`` has inserted, if it is there."""
        if watched_bytes:
            self._watched.pop((address, watched_bytes), None)
        elif address & ~1 in self._hooks:
            self._unhook(address & ~1)
            del self._hooks[address & ~1]

    def resume(self, *, step: bool) -> None:
        """Let it run, one instruction or until something stops it."""
        self.processor.skip_breakpoint()
        self._mode = _Mode.STEPPING if step else _Mode.RUNNING

    def interrupt(self) -> None:
        """Halt before the next tick."""
        if self._mode is not _Mode.HALTED:
            self._halt(_INTERRUPTED)

    def reset(self) -> None:
        """Reset the processor, as if it had asked for it; it halts at its first instruction."""
        self._halt(_TRAP)
        self.processor.ask_for_reset("the debugger asked for it")

    def state(self) -> str:
        """Return lines about the processor, for people."""
        processor = self.processor
        board = processor.board
        doing = processor.held or ("asleep" if processor.asleep else "running")
        outputs = board.outputs()
        return (
            f"{doing} at {processor.elf.where(processor.pc)}\n"
            f"tick       {processor.ticks} since power-up\n"
            f"watchdog   {board.watchdog.idle_ms} of {board.watchdog.LIMIT_MS} ms\n"
            f"valve      {outputs.valve_permille} permille, "
            f"shut-off {'open' if outputs.shutoff_open else 'shut'}\n"
            f"tip heater {outputs.tip_heater_permille} permille"
        )

    # -- breakpoints -----------------------------------------------------------------------------

    def _hook(self, address: int) -> None:
        processor = self.processor
        self._hooks[address] = processor.uc.hook_add(
            UC_HOOK_CODE, self._on_hit, begin=address, end=address
        )
        processor.forget_translation(address)

    def _unhook(self, address: int) -> None:
        hook = self._hooks[address]
        if hook is not None:
            self.processor.uc.hook_del(hook)
            self.processor.forget_translation(address)
        self._hooks[address] = None

    def _on_hit(self, uc: Any, _address: int, _size: int, _user: object) -> None:
        self.is_hit = True
        self._halt(_TRAP)
        uc.emu_stop()
