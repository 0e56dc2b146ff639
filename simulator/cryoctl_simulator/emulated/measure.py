"""What firmware takes of its board: flash, stack, instructions in a tick, blocks it executed.

``python -m cryoctl_simulator.emulated.measure [ELF]`` prints it for a probe that lies on a table.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from unicorn import UC_HOOK_BLOCK

from cryoctl_protocol.peer import DeviceUrl, LinkError
from cryoctl_simulator.device import SimulatedDevice
from cryoctl_simulator.emulated.build import SHIPPED
from cryoctl_simulator.emulated.firmware import EmulatedFirmware
from cryoctl_simulator.emulated.processor import PAINT

if TYPE_CHECKING:
    from cryoctl_simulator.emulated.processor import Processor

TABLE_S: Final = 5.0
_LONG: Final = 0b11101  # The first five bits of an instruction of 32 bits, from here on.


@dataclass(frozen=True, slots=True)
class Figures:
    """What firmware has taken so far.

    Attributes:
        flash_bytes: Code and constants.
        stack_bytes: Deepest use of the stack since power-up.
        stack_room_bytes: From the initial stack pointer to the end of RAM.
        tick_instructions_max: In the longest tick.
    """

    flash_bytes: int
    stack_bytes: int
    stack_room_bytes: int
    tick_instructions_max: int

    def __str__(self) -> str:
        return (
            f"flash  {self.flash_bytes} bytes\n"
            f"stack  {self.stack_bytes} of {self.stack_room_bytes} bytes at the deepest\n"
            f"tick   {self.tick_instructions_max} instructions at the most"
        )


class Meter:
    """Counts the instructions of a probe's firmware, tick by tick; five times slower than without.

    Args:
        firmware: The one to watch, from now on.
    """

    def __init__(self, firmware: EmulatedFirmware) -> None:
        self._processor: Processor = firmware.processor
        self._lengths: dict[tuple[int, int], int] = {}
        self.blocks: dict[int, int] = {}
        """Address and size of every block of code that was executed."""
        self._tick = 0
        self._instructions = 0
        self._instructions_max = 0
        uc = self._processor.uc
        self._hook = uc.hook_add(UC_HOOK_BLOCK, self._on_block)
        self._forget_translations()

    def close(self) -> None:
        """Take the hook out; the processor is fast again."""
        self._processor.uc.hook_del(self._hook)
        self._forget_translations()

    def figures(self) -> Figures:
        """Return what was seen since the meter was made, the stack since power-up."""
        self._end_tick()
        board = self._processor.board
        top = board.stack_pointer() - board.RAM
        below = bytes(board.ram[:top])
        untouched = len(below) - len(below.lstrip(bytes((PAINT,))))
        return Figures(
            flash_bytes=self._processor.elf.code_bytes,
            stack_bytes=top - untouched,
            stack_room_bytes=top,
            tick_instructions_max=self._instructions_max,
        )

    def _forget_translations(self) -> None:
        board = self._processor.board
        self._processor.uc.ctl_remove_cache(board.FLASH, board.FLASH + len(board.flash))

    def _on_block(self, _uc: Any, address: int, size: int, _user: object) -> None:
        key = address, size
        length = self._lengths.get(key)
        if length is None:
            length = self._lengths[key] = self._length(address, size)
            self.blocks[address] = max(size, self.blocks.get(address, 0))
        if self._tick != self._processor.ticks:
            self._end_tick()
        self._instructions += length

    def _end_tick(self) -> None:
        self._instructions_max = max(self._instructions_max, self._instructions)
        self._instructions = 0
        self._tick = self._processor.ticks

    def _length(self, address: int, size: int) -> int:
        """Return how many instructions a block has."""
        board = self._processor.board
        at, end = address - board.FLASH, address - board.FLASH + size
        count = 0
        while at < end:
            at += 4 if board.flash[at + 1] >> 3 >= _LONG else 2
            count += 1
        return count


def measure(device: SimulatedDevice, duration_s: float) -> Figures:
    """Run a probe with emulated firmware for so long, with nobody on the line."""
    firmware = device.firmware
    assert isinstance(firmware, EmulatedFirmware), "only an emulated processor has a stack to see"
    meter = Meter(firmware)
    device.advance_to(duration_s, b"")
    figures = meter.figures()
    meter.close()
    return figures


def main() -> int:
    """Print the figures; return the exit code."""
    from cryoctl_simulator.link import open_link

    parser = argparse.ArgumentParser(prog="python -m cryoctl_simulator.emulated.measure")
    parser.add_argument("elf", type=Path, nargs="?", default=SHIPPED, help="our own without")
    args = parser.parse_args()
    try:
        peer = open_link(DeviceUrl.parse(f"sim:?firmware=elf:{args.elf}")).peer
    except LinkError as error:
        sys.stderr.write(f"{error}\n")
        return 3
    assert isinstance(peer, SimulatedDevice)
    sys.stdout.write(f"{measure(peer, TABLE_S)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
