"""How well the probe's inner loop brings the tip to its set-point and keeps it there."""

from __future__ import annotations

import pytest

from cryoctl_hil.evidence.measure import Measure
from cryoctl_hil.evidence.measurement import when
from cryoctl_hil.rigs.injector import Injector
from cryoctl_hil.rigs.probe import Probe
from cryoctl_protocol.codes import Op

SETPOINT_C = -40.0
OVERSHOOT_C = 3.0
HOLD_S = 8.0
SETTLE_S = 6.0

pytestmark = [pytest.mark.requirement("SR-13"), pytest.mark.time_limit(300)]


def settle(probe: Probe, setpoint_c: float) -> None:
    """Wait until the tip has come to the set-point, and for its transient to pass."""
    probe.cool_to(setpoint_c + probe.profile.limits.band_c)
    probe.let_pass(SETTLE_S)


def test_it_comes_to_a_set_point_and_keeps_it(probe: Probe, measure: Measure) -> None:
    """-40 °C is reached in time, by less than 3 °C too much, and held within the band."""
    limits = probe.profile.limits
    probe.start()
    asked = probe.mark("freeze")
    probe.freeze(SETPOINT_C, begun=True)
    settle(probe, SETPOINT_C)
    settled = probe.mark("settled")
    probe.let_pass(HOLD_S)
    end = probe.mark("end")

    band = when("tip_temp_c", "<=", SETPOINT_C + limits.band_c, after=asked)
    measure.time("to the band", asked, band, at_most_s=limits.reach_s_max)
    coldest_c = SETPOINT_C - OVERSHOOT_C
    measure.reading("coldest", "tip_temp_c", "min", asked, end, at_least=coldest_c, unit="°C")
    low_c, high_c = SETPOINT_C - limits.band_c, SETPOINT_C + limits.band_c
    measure.reading("held above", "tip_temp_c", "min", settled, end, at_least=low_c, unit="°C")
    measure.reading("held below", "tip_temp_c", "max", settled, end, at_most=high_c, unit="°C")
    warmest_c, coldest_c = SETPOINT_C + 1.5, SETPOINT_C - 1.5
    measure.reading(
        "mean", "tip_temp_c", "mean", settled, end, at_least=coldest_c, at_most=warmest_c, unit="°C"
    )
    told_c = SETPOINT_C
    measure.reading(
        "set-point told", "setpoint_c", "last", settled, end, at_least=told_c, at_most=told_c
    )
    measure.reading("heater", "tip_heater", "max", asked, end, at_most=0.0, requirement="SR-15")


def test_it_follows_a_new_set_point(probe: Probe, measure: Measure) -> None:
    """A set-point that is changed in the freeze, colder or warmer, is the one that is held."""
    band_c = probe.profile.limits.band_c
    probe.freeze(-30.0)
    settle(probe, -30.0)
    for setpoint_c, turn in ((-40.0, "colder"), (-32.0, "warmer")):
        probe.command(Op.SETPOINT, setpoint_mdegc=round(setpoint_c * 1000.0))
        probe.wait(
            lambda s, wanted_c=setpoint_c: (  # type: ignore[misc]
                s.tip_temp_c is not None and abs(s.tip_temp_c - wanted_c) <= band_c
            ),
            within_s=20.0,
            step=f"the tip is at {setpoint_c:g} °C",
        )
        probe.let_pass(SETTLE_S)
        settled = probe.mark(f"settled, {turn}")
        probe.let_pass(3.0)
        end = probe.mark(f"end, {turn}")
        low_c, high_c = setpoint_c - band_c, setpoint_c + band_c
        measure.reading(
            f"{turn}: held above", "tip_temp_c", "min", settled, end, at_least=low_c, unit="°C"
        )
        measure.reading(
            f"{turn}: held below", "tip_temp_c", "max", settled, end, at_most=high_c, unit="°C"
        )


@pytest.mark.needs("faults")
def test_it_makes_up_for_a_disturbance(probe: Probe, inject: Injector, measure: Measure) -> None:
    """Blood that begins to flow by moves the tip by less than 5 °C, and is made up for in 10 s."""
    band_c = probe.profile.limits.band_c
    probe.freeze(SETPOINT_C)
    settle(probe, SETPOINT_C)
    begun = inject("high_perfusion(kw_m3_k=200)")
    probe.let_pass(10.0)
    made_up = probe.mark("10 s later")
    probe.let_pass(2.0)
    end = probe.mark("end")
    measure.reading("furthest", "tip_temp_c", "max", begun, made_up, at_most=SETPOINT_C + 5.0)
    measure.reading("held", "tip_temp_c", "max", made_up, end, at_most=SETPOINT_C + band_c)
    measure.reading("held", "tip_temp_c", "min", made_up, end, at_least=SETPOINT_C - band_c)
