"""The probe's test of itself: sound ones pass, and a broken sensor is found."""

from __future__ import annotations

import pytest

from cryoctl_hil.evidence.measure import Measure
from cryoctl_hil.evidence.measurement import heard, when
from cryoctl_hil.rigs.injector import Injector
from cryoctl_hil.rigs.probe import LATCHED, Probe
from cryoctl_protocol.codes import DeviceState, Op, Result

pytestmark = pytest.mark.requirement("SR-28")


def test_a_sound_probe_passes(probe: Probe, measure: Measure) -> None:
    """A sound probe passes within a second, shows light and sound, and drives nothing."""
    asked = probe.mark("asked")
    assert probe.self_test() is Result.OK

    done = heard("done", after=asked, op="SELF_TEST")
    measure.time("self-test", asked, done, at_most_s=1.0)
    begun = when("state", "==", float(DeviceState.SELF_TEST), after=asked)
    for signal in ("led", "beeper"):
        measure.reading(signal, signal, "max", begun, done, at_least=1.0)
    for signal in ("valve", "shutoff_open", "tip_heater", "skin_warmer", "stimulus_ma"):
        measure.reading(signal, signal, "max", asked, done, at_most=0.0)


@pytest.mark.needs("faults")
@pytest.mark.parametrize(
    "fault",
    [
        "skin_open",
        "pressure_open",
        "flow_open",
        "tc_drift(rate_c_per_s=-50,max_c=8)",
        "vbat_low(sag_mv=1500)",
    ],
)
def test_a_broken_sensor_is_found(
    probe: Probe, inject: Injector, measure: Measure, fault: str
) -> None:
    """A sensor that is open or off, or a low battery, fails the self-test."""
    inject(fault)
    probe.let_pass(0.5)
    asked = probe.mark("asked")
    probe.result(probe.command(Op.SELF_TEST), within_s=2.0, step="the self-test ends")

    measure.said("result", "done", "result", "FAILED", asked, op="SELF_TEST")


@pytest.mark.needs("faults")
def test_an_open_tip_never_passes(probe: Probe, inject: Injector) -> None:
    """With an open thermocouple the self-test cannot even be begun: the probe has tripped."""
    inject("tc_open")
    probe.wait_for_state(*LATCHED, within_s=1.0)
