"""What any build of the probe's firmware is to the simulator: a seam, and why one cannot start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from cryoctl_simulator.firmware_config import FirmwareConfig
from cryoctl_simulator.firmware_identity import Boot
from cryoctl_simulator.firmware_state import FirmwareState, Outputs
from cryoctl_simulator.instruments import Readings


class FirmwareError(ValueError):
    """A build that cannot be made or started; the text says why and what to do."""


class UnknownFirmwareError(FirmwareError):
    """There is no build of this name."""


class Firmware(Protocol):
    """One probe's firmware between power-up and power-down."""

    @property
    def config(self) -> FirmwareConfig:
        """What it was built with."""
        ...

    @property
    def profile_hash(self) -> int:
        """Hash of the profile's limits, as HELLO says it; a fault can change it."""
        ...

    @profile_hash.setter
    def profile_hash(self, value: int) -> None: ...

    @property
    def outputs(self) -> Outputs:
        """What the hardware is to do until the next tick."""
        ...

    @property
    def state(self) -> FirmwareState:
        """Its memory by name, to read and to write.

        Of a firmware whose memory is not known: what it sends, and nothing to write.
        """
        ...

    @property
    def is_reset(self) -> bool:
        """True if the processor has asked for a reset, or its own watchdog has."""
        ...

    def tick(self, now_ms: int, readings: Readings, incoming: bytes) -> bytes | None:
        """Run 10 ms; return what goes out on the link, or None if the tick did not complete.

        Args:
            now_ms: Device clock, 32 bits, 0 at power-up.
            readings: Sensors as read at this tick.
            incoming: Bytes that arrived since the last one, at most ``RECEIVE_MAX``; taken even by
                a tick that does not complete.
        """
        ...

    def save(self) -> bytes:
        """Return the whole state; valid for this version of the program only."""
        ...

    def load(self, data: bytes) -> None:
        """Take over a state that ``save`` returned."""
        ...


Build = Callable[[FirmwareConfig, Boot], Firmware]
"""Powers a firmware up; raises FirmwareError if it cannot start."""


@runtime_checkable
class CrashTeller(Protocol):
    """A build (``Build``) that notices when its processor goes wrong."""

    def on_crash(self, tell: Callable[[str], None]) -> None:
        """Have ``tell`` called with one line for each crash from now on."""
        ...
