"""Switches in a probe's supply: a small class each, found by the name it is installed under."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Final, Protocol

from cryoctl_hil.rigs.faults import RemoteFaults
from cryoctl_hil.rigs.probe import Probe
from cryoctl_hil.rigs.rig import PowerTable
from cryoctl_protocol.peer import AddressError, FaultPort, LinkError

POWER_GROUP: Final = "cryoctl.power"
"""Entry points: each makes a ``PowerSwitch`` of a ``PowerTable``."""
OFF_S: Final = 1.0
"""How long a simulated probe is without power, and any other unless its rig says so."""
_POWER_CUT: Final = "power_cut"


class PowerSwitch(Protocol):
    """Something in the probe's supply. Made, it leaves everything as it is.

    Each method raises LinkError if the switch does not do as it is told.
    """

    def on(self) -> None:
        """Give the probe power."""
        ...

    def off(self) -> None:
        """Take the probe's power away."""
        ...

    def close(self) -> None:
        """Give the switch up; the probe keeps the power that it has, or has not."""
        ...


class FaultSwitch:
    """Power of a simulated probe: the fault ``power_cut`` is there while it is off.

    Args:
        faults: Of the probe.
    """

    def __init__(self, faults: FaultPort) -> None:
        self._faults = faults

    def on(self) -> None:
        """Give the probe power."""
        self._faults.clear(_POWER_CUT)

    def off(self) -> None:
        """Take the probe's power away."""
        self._faults.inject(f"{_POWER_CUT}@0s")

    def close(self) -> None:
        """Nothing to give up: the fault port belongs to somebody else."""


class FaultPortSwitch(FaultSwitch):
    """Power of a probe that ``cryoctl sim`` serves, through its fault port.

    Args:
        table: Its ``port`` is the ``HOST:PORT`` of the fault port.
    """

    def __init__(self, table: PowerTable) -> None:
        self._connection = RemoteFaults(table.port)
        super().__init__(self._connection)

    def close(self) -> None:
        """Give the connection up."""
        self._connection.close()


class Power:
    """The power of one test's probe: what a test calls ``power``.

    Args:
        switch: Takes it away and gives it back.
        probe: Says by its silence that it is gone.
        off_s: How long a power cycle is off.
    """

    def __init__(self, switch: PowerSwitch, probe: Probe, off_s: float = OFF_S) -> None:
        self._switch = switch
        self._probe = probe
        self._off_s = off_s
        self._is_off = False

    def off(self) -> None:
        """Take the probe's power away."""
        self._probe.mark("power off")
        self._is_off = True
        self._switch.off()

    def on(self) -> None:
        """Give the probe power; it boots, and a session opens anew by itself."""
        self._probe.mark("power on")
        self._switch.on()
        self._is_off = self._probe.leak_tested = False

    def cycle(self) -> None:
        """Take the power away, for as long as the rig says, and give it back.

        Raises:
            LinkError: The probe went on talking: it was not without power.
        """
        self.off()
        try:
            samples = self._probe.trace.now_s
            self._probe.let_pass(self._off_s / 2.0)  # What was on the way may still come.
            heard = len(samples)
            self._probe.let_pass(self._off_s / 2.0)
            if len(samples) != heard:
                raise LinkError(
                    "power: the switch has taken the probe's power away, and the probe goes on "
                    "talking: is it at this channel and contact, and has it another supply?"
                )
        finally:
            self.on()

    def give_back(self) -> None:
        """Give the probe power if a test has left it without."""
        if self._is_off:
            self.on()


def find_switch(table: PowerTable) -> PowerSwitch:
    """Return the switch that a rig's file names.

    Raises:
        AddressError: Nothing of this name is installed.
        LinkError: The switch is not there.
    """
    found = {point.name: point for point in entry_points(group=POWER_GROUP)}
    if table.switch not in found:
        known = ", ".join(sorted(found)) or "none installed"
        raise AddressError(f"power switch '{table.switch}' is not installed; known: {known}")
    switch: PowerSwitch = found[table.switch].load()(table)
    return switch
