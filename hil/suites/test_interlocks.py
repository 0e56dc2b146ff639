"""Each of the probe's own interlocks, provoked by a fault: it acts in time and says why."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cryoctl_hil.evidence.measurement import AtMark, when
from cryoctl_hil.rigs.probe import Probe
from cryoctl_hil.suite_plugin import Measure
from cryoctl_protocol.codes import DeviceState

Inject = Callable[[str], AtMark]
pytestmark = pytest.mark.needs("faults")
LATCHED = (DeviceState.SAFE, DeviceState.FAULT)


@pytest.mark.requirement("SR-05")
def test_a_tip_at_the_floor_shuts_the_valve(probe: Probe, inject: Inject, measure: Measure) -> None:
    """A tip that reads the floor shuts the valve within 100 ms."""
    probe.freeze()
    probe.cool_to(-45.0)

    fault = inject("tc_drift(rate_c_per_s=-200,max_c=60)")
    probe.wait_for_state(*LATCHED, within_s=5.0)

    floor = when("tip_temp_c", "<=", -85.0, after=fault)
    measure.time("floor to valve shut", floor, when("valve", "==", 0, after=floor), at_most_s=0.1)
    measure.said("the probe's cause", "device", "trip", "TIP_FLOOR", fault, event="TRIP")


@pytest.mark.requirement("SR-11")
def test_an_open_thermocouple_makes_safe(probe: Probe, inject: Inject, measure: Measure) -> None:
    """An open thermocouple leads to SAFE within 100 ms."""
    probe.freeze()
    probe.cool_to(-30.0)

    fault = inject("tc_open")
    probe.wait_for_state(*LATCHED, within_s=2.0)

    seen = when("open_circuit", ">", 0, after=fault)
    measure.time("open to valve shut", seen, when("valve", "==", 0, after=seen), at_most_s=0.1)
    measure.said("the probe's cause", "device", "trip", "TIP_SENSOR", fault, event="TRIP")
    probe.let_pass(0.1)
    measure.reading("heater stays off", "tip_heater", "max", seen, probe.mark("end"), at_most=0.0)
