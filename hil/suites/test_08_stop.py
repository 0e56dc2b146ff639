"""STOP, in every state and by every action."""

from __future__ import annotations

import pytest

from cryoctl_hil.evidence.measure import Measure
from cryoctl_hil.evidence.measurement import heard, when
from cryoctl_hil.rigs.probe import Probe
from cryoctl_hil.rigs.states import bring_to
from cryoctl_protocol.codes import DeviceState, SafeAction

pytestmark = [pytest.mark.requirement("SR-29"), pytest.mark.time_limit(400)]
OUTPUTS = ("valve", "shutoff_open", "skin_warmer", "stimulus_ma")


@pytest.mark.parametrize("state", list(DeviceState), ids=lambda state: state.name)
def test_stop_is_taken_in_every_state(probe: Probe, measure: Measure, state: DeviceState) -> None:
    """STOP is answered within 100 ms in every state, and everything is off by then."""
    bring_to(probe, state)
    probe.let_pass(0.1)
    before = probe.trip
    asked = probe.mark("STOP")
    probe.stop(SafeAction.OFF)
    probe.let_pass(0.2)

    end = probe.mark("end")
    answer = heard("answer", after=asked, op="STOP")
    measure.time("STOP to answer", asked, answer, at_most_s=0.1)
    for signal in (*OUTPUTS, "tip_heater"):
        off = when(signal, "==", 0.0, after=asked)
        measure.time(f"STOP to {signal} off", asked, off, at_most_s=0.1)
        measure.reading(f"{signal} stays off", signal, "max", off, end, at_most=0.0)
    # A probe that was safe already keeps its first cause, and a FAULT stays one.
    is_fault = state is DeviceState.FAULT
    target = DeviceState.FAULT if is_fault else DeviceState.SAFE
    cause = 20 if before == 0 else int(before)
    for name, wanted in (("state", int(target)), ("trip", cause)):
        measure.reading(name, name, "last", asked, end, at_least=wanted, at_most=wanted)


def test_stop_thaws_a_frozen_tip_and_off_does_not(probe: Probe, measure: Measure) -> None:
    """STOP with THAW heats a frozen tip within its budget; STOP with OFF afterwards ends that."""
    energy_j = probe.profile.limits.thaw_energy_j_max
    probe.freeze()
    probe.cool_to(-10.0)
    asked = probe.mark("STOP, thaw")
    probe.stop(SafeAction.THAW)
    probe.wait(lambda s: s.tip_heater > 0.0, within_s=6.0, step="the heater is on")
    probe.let_pass(0.1)
    off = probe.mark("STOP, off")
    probe.stop(SafeAction.OFF)
    probe.let_pass(0.5)

    end = probe.mark("end")
    measure.reading("heat", "thaw_energy_j", "max", asked, end, at_most=energy_j, unit="J")
    heater = when("tip_heater", "==", 0.0, after=off)
    measure.time("STOP to heater off", off, heater, at_most_s=0.1)
    measure.reading("heater stays off", "tip_heater", "max", heater, end, at_most=0.0)
    for signal in OUTPUTS:
        measure.reading(signal, signal, "last", asked, end, at_most=0.0)


def test_a_warm_tip_is_not_heated(probe: Probe, measure: Measure) -> None:
    """STOP with THAW on a warm tip heats nothing."""
    bring_to(probe, DeviceState.PREWARM)
    asked = probe.mark("STOP, thaw")
    probe.stop(SafeAction.THAW)
    probe.let_pass(1.0)
    end = probe.mark("end")
    measure.reading("heater", "tip_heater", "max", asked, end, at_most=0.0)
