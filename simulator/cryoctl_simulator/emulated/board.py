"""The virtual board that firmware is built for, and the seam for describing another one."""

from __future__ import annotations

import struct
from typing import Final

from cryoctl_simulator.emulated.peripherals import (
    Actuators,
    Clock,
    Peripheral,
    RegisterPage,
    Sensors,
    SystemPort,
    Uart,
    Watchdog,
)
from cryoctl_simulator.firmware_config import FirmwareConfig
from cryoctl_simulator.firmware_identity import Boot
from cryoctl_simulator.firmware_layout import ConfigMemory, config_bytes
from cryoctl_simulator.firmware_state import Outputs
from cryoctl_simulator.instruments import Readings

_CLEAR_FLASH: Final = b"\xff"


class VirtualBoard:
    """Memory and peripherals around one processor; see docs/reference/virtual-board.md.

    Another board is a subclass. It sets other addresses; where it has other peripherals, it makes
    them in ``wires`` and says in ``take``, ``outputs`` and ``release`` what they are connected to.
    """

    FLASH: int = 0x0800_0000
    FLASH_BYTES: int = 256 << 10
    VECTORS: int = 0x0800_0000
    """Address of the vector table after a reset."""
    PROVISIONING: int = 0x0803_F000
    """Address of ``struct firmware_config``, which the maker writes: limits, identity, keys."""
    RAM: int = 0x2000_0000
    RAM_BYTES: int = 64 << 10
    CLOCK_HZ: int = 200_000_000
    """What SysTick counts."""
    UART: int = 0x4000_0000
    SENSORS: int = 0x4000_1000
    ACTUATORS: int = 0x4000_2000
    CLOCK: int = 0x4000_3000
    WATCHDOG: int = 0x4000_4000
    SYSTEM: int = 0x4000_5000

    def __init__(self) -> None:
        self.flash = bytearray(_CLEAR_FLASH * self.FLASH_BYTES)
        self.ram = bytearray(self.RAM_BYTES)
        self.uart = Uart(self.UART, self.RAM, memoryview(self.ram))
        self.clock = Clock(self.CLOCK)
        self.watchdog = Watchdog(self.WATCHDOG)
        self.system = SystemPort(self.SYSTEM)
        self.peripherals: list[RegisterPage | Peripheral] = [
            self.uart,
            self.clock,
            self.watchdog,
            self.system,
            *self.wires(),
        ]

    def wires(self) -> list[RegisterPage | Peripheral]:
        """Make the peripherals that lead to sensors and actuators."""
        self.sensors = Sensors(self.SENSORS)
        self.actuators = Actuators(self.ACTUATORS)
        return [self.sensors, self.actuators]

    def provision(self, config: FirmwareConfig, boot: Boot) -> None:
        """Write the provisioning page, as a maker's programmer does."""
        first = self.PROVISIONING - self.FLASH
        content = config_bytes(config, boot)
        self.flash[first : first + len(content)] = content

    @property
    def hello_address(self) -> int:
        """Where HELLO begins in the provisioning page."""
        return self.PROVISIONING + ConfigMemory.device.offset

    def reset(self, cause: int) -> None:
        """Put every peripheral into its state after a reset: all outputs off."""
        self.uart.clear()
        self.clock.clear()
        self.watchdog.clear()
        self.system.clear()
        self.system.reset_cause = cause
        self.release()

    def release(self) -> None:
        """Let every output spring back."""
        self.actuators.clear()

    def take(self, readings: Readings) -> None:
        """Show the sensors of the tick to come."""
        self.sensors.take(readings)

    def receive(self, incoming: bytes) -> None:
        """Let bytes arrive."""
        self.uart.feed(incoming)

    def sent(self) -> bytes:
        """Return what the firmware sent since the last call."""
        return self.uart.drain()

    def outputs(self) -> Outputs:
        """Return what the hardware is to do."""
        return self.actuators.outputs()

    def stack_pointer(self) -> int:
        """Return the initial stack pointer, the first word of the vector table."""
        first = self.VECTORS - self.FLASH
        return int(struct.unpack_from("<I", self.flash, first)[0])
