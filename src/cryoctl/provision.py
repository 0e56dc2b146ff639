"""What a device does not have, and which requirements that leaves to somebody else."""

from __future__ import annotations

from typing import Final, NamedTuple

from cryoctl_protocol.codes import Capability, Sensor


class Missing(NamedTuple):
    """Something HELLO does not declare, and the requirements that rest on it."""

    name: str
    requirements: tuple[str, ...]


# fmt: off
_CAPABILITIES: Final[dict[Capability, tuple[str, ...]]] = {
    Capability.LEASE:          ("SR-01",),
    Capability.FREEZE_TIMER:   ("SR-09",),
    Capability.SECOND_SHUTOFF: ("SR-07", "SR-18"),
    Capability.AUTHENTICATION: ("SR-24", "SR-25"),
    Capability.TIP_HEATER:     ("SR-16",),
    Capability.SKIN_WARMER:    ("SR-17",),
    Capability.INNER_LOOP:     ("SR-05", "SR-13"),
    Capability.SELF_TEST:      ("SR-11",),
    Capability.LEAK_TEST:      ("SR-19",),
    Capability.BEEPER:         ("SR-31",),
    Capability.LED:            ("SR-31",),
    Capability.STIMULATOR:     (),
}
_SENSORS: Final[dict[Sensor, tuple[str, ...]]] = {
    Sensor.TIP:              ("SR-05", "SR-11", "SR-12", "SR-13", "SR-14", "SR-16"),
    Sensor.TIP_2:            ("SR-11",),
    Sensor.SKIN:             ("SR-17",),
    Sensor.SUPPLY_PRESSURE:  ("SR-18", "SR-19", "SR-22"),
    Sensor.EXHAUST_PRESSURE: ("SR-11", "SR-18"),
    Sensor.EXHAUST_FLOW:     ("SR-07", "SR-08", "SR-20", "SR-21"),
    Sensor.CARTRIDGE_TEMP:   ("SR-18",),
    Sensor.BATTERY:          ("SR-22", "SR-36"),
    Sensor.BUTTON:           (),
    Sensor.RESPONSE:         (),
}
# fmt: on


def not_provided(capabilities: int, sensors: int) -> list[Missing]:
    """Return everything that HELLO's bits do not declare, in the order of the wire's bits."""
    lacking = [
        Missing(bit.name or "", requirements)
        for bit, requirements in _CAPABILITIES.items()
        if not capabilities & bit
    ]
    return lacking + [
        Missing(f"sensor {bit.name}", requirements)
        for bit, requirements in _SENSORS.items()
        if not sensors & bit
    ]
