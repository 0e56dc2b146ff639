"""A simulated probe in real time: its ticks by the wall clock, its bytes at the line's rate."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import IO, Final, Protocol

from cryoctl_protocol.peer import AddressError
from cryoctl_simulator.device import TICKS_PER_S
from cryoctl_simulator.served.endpoints import Endpoint
from cryoctl_simulator.served.fault_port import FaultServer
from cryoctl_simulator.served.uart import Uart

TICK_S: Final = 1.0 / TICKS_PER_S
LATE_TICKS_MAX: Final = 5
"""Ticks made up for at most. A longer pause (a stopped process) is lost time for the probe, as it
would be for a processor without a clock: a burst of old telemetry would tell nobody anything."""


class ServedProbe(Protocol):
    """A probe in virtual time that can be served."""

    @property
    def research(self) -> bool:
        """True for a probe with a research profile, which no port may offer."""
        ...

    def advance_to(self, now_s: float, incoming: bytes) -> bytes:
        """Deliver ``incoming``, move the probe to ``now_s``, return what it sent meanwhile."""
        ...

    def power_cycle(self) -> None:
        """Take the power away and give it back."""
        ...


class ProbeServer:
    """One probe on one endpoint.

    Args:
        device: In virtual time; this object moves it.
        endpoint: Where its bytes come out.
        baud: Of the line; None has no rate.
        boots_on_open: Opening the port resets the probe, as with boards whose DTR line does.
        faults: The back door, if there is one.
        log: Takes a line for every tick that sent something: time of the probe and the machine's
            monotonic clock in s, bytes in hex.

    Raises:
        AddressError: A research probe. Behind a port nobody can tell a simulated probe from a real
            one, and a research profile is to run on no real one.

    Attributes:
        lost_ticks: Ticks that the machine was too busy for.
        overrun_bytes: Bytes for the probe that came during lost ticks, and went with them.
    """

    def __init__(
        self,
        device: ServedProbe,
        endpoint: Endpoint,
        *,
        baud: int | None,
        boots_on_open: bool = False,
        faults: FaultServer | None = None,
        log: IO[str] | None = None,
    ) -> None:
        if device.research:
            raise AddressError(
                "a research profile is served at no port: its limits are beyond what a probe may "
                "do; run it in process, as with cryoctl run --device sim:PROFILE"
            )
        self.lost_ticks = 0
        self.overrun_bytes = 0
        self._device = device
        self._endpoint = endpoint
        self._boots_on_open = boots_on_open
        self._faults = faults
        self._log = log
        self._up = Uart(baud)
        self._down = Uart(baud)
        self._openings = 0
        self._ticks = 0

    @property
    def now_s(self) -> float:
        """Time of the probe since it was started."""
        return self._ticks / TICKS_PER_S

    @property
    def dropped_bytes(self) -> int:
        """Bytes of the probe that did not get through."""
        return self._up.dropped_bytes + self._endpoint.dropped_bytes

    def run(self, until: Callable[[], bool]) -> None:
        """Serve until ``until`` returns True; it is asked with every tick."""
        due_s = time.monotonic()
        while not until():
            due_s += TICK_S
            time.sleep(max(0.0, due_s - time.monotonic()))
            # Looked at after the sleep, in which a stopped process is stopped.
            late_s = time.monotonic() - due_s
            if late_s > LATE_TICKS_MAX * TICK_S:
                self._lose(round(late_s / TICK_S))
                due_s += late_s
            self.tick()

    def tick(self) -> None:
        """Move probe and line by 10 ms."""
        endpoint = self._endpoint
        if self._faults is not None:
            self._faults.poll()
        is_open = endpoint.poll()
        if endpoint.openings != self._openings:
            self._openings = endpoint.openings
            self._up.clear()
            self._down.clear()
            if self._boots_on_open:
                self._device.power_cycle()
        self._down.put(endpoint.take())
        self._ticks += 1
        sent = self._device.advance_to(self.now_s, self._down.take(TICK_S))
        self._up.put(sent)
        data = self._up.take(TICK_S)
        if data:
            if is_open:
                endpoint.put(data)  # A line without a listener: the bytes are gone.
            if self._log is not None:
                self._log.write(f"{self.now_s:.2f} {time.monotonic():.4f} {data.hex()}\n")

    def _lose(self, ticks: int) -> None:
        """Lose ticks, and what came during them, as a receiver that nobody empties does.

        The probe's clock stood still meanwhile: a lease or command of that time would seem fresh.
        """
        self.lost_ticks += ticks
        self.overrun_bytes += self._down.clear()
        while waiting := self._endpoint.take():
            self.overrun_bytes += len(waiting)
