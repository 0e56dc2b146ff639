"""Light and beeper of the handpiece: what they tell without any screen."""

from __future__ import annotations

import pytest

from cryoctl_hil.evidence.measure import Measure
from cryoctl_hil.rigs.probe import Probe
from cryoctl_hil.rigs.states import bring_to
from cryoctl_protocol.codes import Capability, DeviceState

S = DeviceState
ON, OFF, PULSES = (1.0, 1.0), (0.0, 0.0), (0.4, 0.6)
"""Share of time."""
# fmt: off
SIGNALS = {
    # state:    (light, beeper)
    S.IDLE:      (OFF,    OFF),
    S.STARTED:   (OFF,    OFF),
    S.FREEZE:    (ON,     OFF),
    S.THAW:      (ON,     OFF),
    S.STIMULATE: (ON,     OFF),
    S.SAFE:      (PULSES, OFF),
    S.FAULT:     (PULSES, PULSES),
}
# fmt: on


@pytest.mark.requirement("SR-27")
@pytest.mark.time_limit(400)
@pytest.mark.parametrize("state", SIGNALS, ids=lambda state: state.name)
def test_light_and_beeper_tell_the_state(
    probe: Probe, measure: Measure, state: DeviceState
) -> None:
    """The light is on while something is done and pulses after a trip; the beeper in FAULT."""
    has = Capability(probe.hello.capabilities)
    bring_to(probe, state)
    probe.let_pass(0.1)
    begin = probe.mark(f"in {state.name}")
    probe.let_pass(2.0 if PULSES in SIGNALS[state] else 0.5)
    end = probe.mark("end")

    for name, capability, share in zip(
        ("led", "beeper"), (Capability.LED, Capability.BEEPER), SIGNALS[state], strict=True
    ):
        if has & capability:
            measure.reading(name, name, "mean", begin, end, at_least=share[0], at_most=share[1])
