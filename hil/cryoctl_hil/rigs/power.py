"""Switches in a probe's supply: a small class each, found by the name it is installed under."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Final, Protocol

from cryoctl_hil.rigs.rig import PowerTable
from cryoctl_protocol.peer import AddressError

POWER_GROUP: Final = "cryoctl.power"
"""Entry points: each makes a ``PowerSwitch`` of a ``PowerTable``."""


class PowerSwitch(Protocol):
    """Something that can take the probe's power away."""

    def cycle(self) -> None:
        """Take the power away and give it back; raises LinkError if the switch does not answer."""
        ...

    def close(self) -> None:
        """Give the switch up; the probe keeps the power that it has."""
        ...


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
