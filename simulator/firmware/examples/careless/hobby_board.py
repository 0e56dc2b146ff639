"""Another board, described for the emulated processor: other addresses, another converter.

A board is a subclass of ``VirtualBoard``. What differs is named: addresses as constants, and where
the wires lead elsewhere, the peripherals of its own.
"""

# ruff: noqa: INP001 (a file to copy, in no package)

from __future__ import annotations

import struct
from typing import Final

from cryoctl_simulator.emulated.board import VirtualBoard
from cryoctl_simulator.emulated.peripherals import Peripheral, RegisterPage
from cryoctl_simulator.firmware_state import Outputs
from cryoctl_simulator.instruments import Readings


class Converter(RegisterPage):
    """Three words: the tip in tenths of a degree above -200 C, supply in mbar, battery in mV."""

    LAYOUT: Final = struct.Struct("<3I")

    def take(self, r: Readings) -> None:
        """Convert once; nothing is below 0 or above 4095."""
        words = ((r.tip_mdegc + 200_000) // 100, r.supply_mbar, r.battery_mv)
        self.LAYOUT.pack_into(self.memory, 0, *(max(0, word) for word in words))


class Driver(RegisterPage):
    """Three words: valve in permille, shut-off, light. There is no heater on this board."""

    LAYOUT: Final = struct.Struct("<3I")

    def outputs(self) -> Outputs:
        """Return what is driven."""
        valve, shutoff, led = self.LAYOUT.unpack_from(self.memory)
        return Outputs(valve_permille=min(valve, 1000), shutoff_open=shutoff != 0, led=led != 0)


class HobbyBoard(VirtualBoard):
    """128 KiB of flash at 0, 32 KiB of RAM, everything else from 0x50000000 on."""

    FLASH = 0
    FLASH_BYTES = 128 << 10
    VECTORS = 0
    PROVISIONING = 0x0001_F000
    RAM = 0x1000_0000
    RAM_BYTES = 32 << 10
    CLOCK_HZ = 48_000_000
    UART = 0x5000_0000
    SENSORS = 0x5000_1000
    ACTUATORS = 0x5000_2000
    CLOCK = 0x5000_3000
    WATCHDOG = 0x5000_4000
    SYSTEM = 0x5000_5000

    def wires(self) -> list[RegisterPage | Peripheral]:
        """Make a converter and a driver."""
        self.converter = Converter(self.SENSORS, writable=False)
        self.driver = Driver(self.ACTUATORS, writable=True)
        return [self.converter, self.driver]

    def take(self, readings: Readings) -> None:
        """Let the converter see the sensors."""
        self.converter.take(readings)

    def release(self) -> None:
        """Let every output spring back."""
        self.driver.clear()

    def outputs(self) -> Outputs:
        """Return what is driven."""
        return self.driver.outputs()
