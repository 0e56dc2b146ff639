"""Our own tests: the same on the simulated probe and on the bench."""

import pytest

from cryoctl_hil.evidence.measure import Measure
from cryoctl_hil.evidence.measurement import when
from cryoctl_hil.rigs.injector import Injector
from cryoctl_hil.rigs.power import Power
from cryoctl_hil.rigs.probe import LATCHED, Probe
from cryoctl_protocol.codes import DeviceState


@pytest.mark.requirement("OURS-REQ-1")
def test_the_tip_gets_cold(probe: Probe, measure: Measure) -> None:
    """The tip is at -40 °C within a minute."""
    probe.start()
    ordered = probe.mark("freeze ordered")
    probe.freeze(-45.0, begun=True)
    probe.cool_to(-40.0, within_s=90.0)

    cold = when("tip_temp_c", "<=", -40.0, after=ordered)
    measure.time("order to -40 °C", ordered, cold, at_most_s=60.0)


@pytest.mark.requirement("OURS-REQ-2")
@pytest.mark.needs("faults")
def test_a_broken_thermocouple_shuts_the_valve(
    probe: Probe, inject: Injector, measure: Measure
) -> None:
    """With an open thermocouple the valve is shut within 0.1 s, and the probe says why."""
    probe.freeze()
    probe.cool_to(-30.0)
    broken = inject("tc_open")
    probe.wait_for_state(*LATCHED, within_s=2.0)

    seen = when("open_circuit", ">", 0, after=broken)
    measure.time("open to valve shut", seen, when("valve", "==", 0, after=seen), at_most_s=0.1)
    measure.said("the probe's cause", "device", "trip", "TIP_SENSOR", broken, event="TRIP")


@pytest.mark.requirement("OURS-REQ-3")
@pytest.mark.needs("power")
def test_a_power_failure_ends_everything(probe: Probe, power: Power, measure: Measure) -> None:
    """After a power failure in a freeze the probe is idle, and the valve stays shut."""
    probe.freeze()
    probe.cool_to(-30.0)
    boots = probe.host.boots
    power.cycle()
    back = probe.mark("power back")
    probe.wait(lambda _: probe.host.boots > boots, within_s=10.0, step="the probe boots")
    probe.wait_for_state(DeviceState.IDLE, within_s=5.0)
    probe.let_pass(1.0)

    measure.reading("valve", "valve", "max", back, probe.mark("end"), at_most=0.0)
