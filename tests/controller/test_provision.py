"""What a device does not have is named, with the requirements that rest on it."""

from __future__ import annotations

from cryoctl.provision import Missing, not_provided
from cryoctl_protocol.codes import Capability, Sensor

EVERYTHING = (int(sum(Capability)), int(sum(Sensor)))


def test_a_device_that_has_everything_lacks_nothing() -> None:
    assert not_provided(*EVERYTHING) == []


def test_a_missing_lease_and_skin_sensor_name_their_requirements() -> None:
    capabilities, sensors = EVERYTHING

    missing = not_provided(capabilities & ~Capability.LEASE, sensors & ~Sensor.SKIN)

    assert missing == [Missing("LEASE", ("SR-01",)), Missing("sensor SKIN", ("SR-17",))]


def test_a_device_that_has_nothing_lacks_every_capability_and_sensor() -> None:
    assert len(not_provided(0, 0)) == len(Capability) + len(Sensor)
