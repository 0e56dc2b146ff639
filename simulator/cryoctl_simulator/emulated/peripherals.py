"""The virtual board's peripherals: what the processor reads and writes at which address.

Two kinds. A ``RegisterPage`` is plain memory that both sides see: the processor at full speed, the
board between two ticks. A ``Peripheral`` is called for every access, where reading or writing is
an act. Both answer to ``save`` and ``load``, so that a whole board can be kept and taken up again.
"""

from __future__ import annotations

import pickle
import struct
from typing import Final, Protocol

from cryoctl_simulator.firmware_layout import readings_bytes
from cryoctl_simulator.firmware_state import Outputs
from cryoctl_simulator.instruments import Readings

PAGE_SIZE: Final = 4096
"""What the processor's memory is mapped in: each peripheral has a page of its own."""
_WORD: Final = 0xFFFFFFFF


class Peripheral(Protocol):
    """Registers whose reading or writing does something.

    Attributes:
        base: Address of its page.
    """

    base: int

    def read(self, offset: int, size: int) -> int:
        """Return the register at ``offset``; ``size`` is 1, 2 or 4 bytes."""
        ...

    def write(self, offset: int, size: int, value: int) -> None:
        """Write the register at ``offset``."""
        ...

    def save(self) -> bytes:
        """Return the whole state."""
        ...

    def load(self, data: bytes) -> None:
        """Take over a state that ``save`` returned."""
        ...


class RegisterPage:
    """Registers that are plain memory.

    Args:
        base: Address of the page.
        writable: False where a write is an error that the processor faults on.
    """

    def __init__(self, base: int, *, writable: bool) -> None:
        self.base = base
        self.writable = writable
        self.memory = bytearray(PAGE_SIZE)

    def clear(self) -> None:
        """Set every register to 0, as a reset does."""
        self.memory[:] = bytes(PAGE_SIZE)

    def save(self) -> bytes:
        """Return the content."""
        return bytes(self.memory)

    def load(self, data: bytes) -> None:
        """Take over a content that ``save`` returned."""
        self.memory[:] = data


class Sensors(RegisterPage):
    """Front ends that deliver whole numbers in the wire's units, in the order of ``Readings``."""

    def __init__(self, base: int) -> None:
        super().__init__(base, writable=False)

    def take(self, r: Readings) -> None:
        """Convert once, for the tick to come."""
        words = readings_bytes(r)
        self.memory[: len(words)] = words


class Actuators(RegisterPage):
    """Drivers of everything a probe drives, in the order of ``Outputs``; 0 is off."""

    LAYOUT: Final = struct.Struct("<11I")
    PERMILLE_MAX: Final = 1000

    def __init__(self, base: int) -> None:
        super().__init__(base, writable=True)

    def outputs(self) -> Outputs:
        """Return what is driven: a duty above 1000 permille is fully on; no pulse, no current."""
        duty_max = self.PERMILLE_MAX
        valve, shutoff, heater, heater_supply, warmer, warmer_supply, led, beeper, ua, hz, us = (
            self.LAYOUT.unpack_from(self.memory)
        )
        return Outputs(
            valve_permille=min(valve, duty_max),
            shutoff_open=shutoff != 0,
            tip_heater_permille=min(heater, duty_max),
            heater_supply_on=heater_supply != 0,
            skin_warmer_permille=min(warmer, duty_max),
            warmer_supply_on=warmer_supply != 0,
            led=led != 0,
            beeper=beeper != 0,
            stimulus_ua=ua if hz > 0 and us > 0 else 0,
            stimulus_hz=hz,
            stimulus_pulse_us=us,
        )


class Clock(RegisterPage):
    """One register: milliseconds since power-up, 32 bits, wrapping."""

    LAYOUT: Final = struct.Struct("<I")

    def __init__(self, base: int) -> None:
        super().__init__(base, writable=False)

    def set_ms(self, now_ms: int) -> None:
        """Move the clock."""
        self.LAYOUT.pack_into(self.memory, 0, now_ms & _WORD)

    def now_ms(self) -> int:
        """Return what the register says."""
        now_ms: int = self.LAYOUT.unpack_from(self.memory)[0]
        return now_ms


class Uart:
    """A serial port with deep FIFOs, byte by byte or a block at a time.

    Registers: 0x00 DATA, 0x04 STATUS (bit 0: something received, bit 1: room to send),
    0x08 RECEIVED (bytes waiting), 0x0C ROOM (bytes that may be sent), 0x10 BLOCK_ADDRESS,
    0x14 BLOCK_RECEIVE and 0x18 BLOCK_SEND (write a number of bytes: moved at once),
    0x1C BLOCK_MOVED (bytes that the last block moved; 0 for an address outside RAM).

    Args:
        ram: What block transfers reach.
    """

    FIFO_BYTES: Final = 4096
    """What is received beyond that is lost; so is what is sent."""

    def __init__(self, base: int, ram_base: int, ram: memoryview) -> None:
        self.base = base
        self._ram_base = ram_base
        self._ram = ram
        self._received = bytearray()
        self._sent = bytearray()
        self._block_address = 0
        self._block_moved = 0

    def clear(self) -> None:
        """Empty it, as a reset does."""
        self._received.clear()
        self._sent.clear()
        self._block_address = 0
        self._block_moved = 0

    def feed(self, data: bytes) -> None:
        """Let ``data`` arrive on the line."""
        self._received += data[: self.FIFO_BYTES - len(self._received)]

    def drain(self) -> bytes:
        """Return what was sent and forget it."""
        sent = bytes(self._sent)
        self._sent.clear()
        return sent

    def read(self, offset: int, size: int) -> int:
        """Return a register; reading DATA takes a byte out of the FIFO."""
        match offset:
            case 0x00:
                return self._received.pop(0) if self._received else 0
            case 0x04:
                return (len(self._received) > 0) | (self._room() > 0) << 1
            case 0x08:
                return len(self._received)
            case 0x0C:
                return self._room()
            case 0x10:
                return self._block_address
            case 0x1C:
                return self._block_moved
            case _:
                return 0

    def write(self, offset: int, size: int, value: int) -> None:
        """Write a register; writing DATA sends a byte."""
        match offset:
            case 0x00:
                self._send(bytes((value & 0xFF,)))
            case 0x10:
                self._block_address = value
            case 0x14:
                self._block_moved = self._receive_block(value)
            case 0x18:
                self._block_moved = self._send_block(value)
            case _:
                pass

    def save(self) -> bytes:
        """Return both FIFOs and the registers."""
        return pickle.dumps(
            (bytes(self._received), bytes(self._sent), self._block_address, self._block_moved)
        )

    def load(self, data: bytes) -> None:
        """Take over a state that ``save`` returned."""
        received, sent, self._block_address, self._block_moved = pickle.loads(data)
        self._received[:] = received
        self._sent[:] = sent

    def _room(self) -> int:
        return self.FIFO_BYTES - len(self._sent)

    def _send(self, data: bytes) -> int:
        taken = data[: self._room()]
        self._sent += taken
        return len(taken)

    def _block(self, size: int) -> memoryview | None:
        first = self._block_address - self._ram_base
        if first < 0 or first + size > len(self._ram):
            return None
        return self._ram[first : first + size]

    def _receive_block(self, size: int) -> int:
        block = self._block(min(size, len(self._received)))
        if block is None:
            return 0
        block[:] = self._received[: len(block)]
        del self._received[: len(block)]
        return len(block)

    def _send_block(self, size: int) -> int:
        block = self._block(size)
        return 0 if block is None else self._send(bytes(block))


class Watchdog:
    """Resets a processor that does not write its key often enough; it cannot be switched off.

    Register 0x00 KICK takes ``KEY`` and nothing else.
    """

    LIMIT_OFFSET: Final = 0x04
    KEY: Final = 0x5AFE
    LIMIT_MS: Final = 150

    def __init__(self, base: int) -> None:
        self.base = base
        self.idle_ms = 0
        """Since the last kick or the reset."""
        self.kicks = 0

    def clear(self) -> None:
        """Begin anew, as a reset does."""
        self.idle_ms = 0
        self.kicks = 0

    def read(self, offset: int, size: int) -> int:
        """Return how long it waits, at ``LIMIT_OFFSET``."""
        return self.LIMIT_MS if offset == self.LIMIT_OFFSET else 0

    def write(self, offset: int, size: int, value: int) -> None:
        """Kick it, with the right key."""
        if offset == 0 and value == self.KEY:
            self.idle_ms = 0
            self.kicks += 1

    def save(self) -> bytes:
        """Return both counts."""
        return struct.pack("<II", self.idle_ms, self.kicks & _WORD)

    def load(self, data: bytes) -> None:
        """Take over a state that ``save`` returned."""
        self.idle_ms, self.kicks = struct.unpack("<II", data)


class SystemPort:
    """Why the processor was reset, and where firmware reports a panic.

    Registers: 0x00 RESET_CAUSE (read only), 0x04 PANIC (write: the number goes into a report).
    """

    PANIC_OFFSET: Final = 0x04

    def __init__(self, base: int) -> None:
        self.base = base
        self.reset_cause = 0
        self.panic: int | None = None
        """What firmware reported since the last reset, if it did."""

    def clear(self) -> None:
        """Forget a panic; the cause of the reset is set by whoever resets."""
        self.panic = None

    def read(self, offset: int, size: int) -> int:
        """Return a register."""
        return self.reset_cause if offset == 0 else 0

    def write(self, offset: int, size: int, value: int) -> None:
        """Take the report of a panic."""
        if offset == self.PANIC_OFFSET:
            self.panic = value

    def save(self) -> bytes:
        """Return both registers."""
        return pickle.dumps((self.reset_cause, self.panic))

    def load(self, data: bytes) -> None:
        """Take over a state that ``save`` returned."""
        self.reset_cause, self.panic = pickle.loads(data)
