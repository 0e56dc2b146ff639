"""The skin warmer: it warms, knows when to stop, and is blind for no moment."""

from __future__ import annotations

import pytest

from cryoctl_hil.evidence.measure import Measure
from cryoctl_hil.evidence.measurement import when
from cryoctl_hil.rigs.answer_check import AnswerCheck
from cryoctl_hil.rigs.injector import Injector
from cryoctl_hil.rigs.probe import Probe
from cryoctl_hil.rigs.states import bring_to
from cryoctl_hil.rigs.trip_check import TripCheck
from cryoctl_protocol.codes import DeviceState, Op, SafeAction, Trip

pytestmark = pytest.mark.requirement("SR-42")
LONG_S = 45.0
"""Long enough for a warmer that knows no end to have the skin above 43 °C."""


def test_it_warms_the_skin_and_ends_in_time(probe: Probe, measure: Measure) -> None:
    """5 s of prewarming are over after 5.0 to 5.1 s; the skin stays below 43 °C."""
    probe.start()
    asked = probe.mark("asked")
    probe.command(Op.PREWARM, duration_ms=5_000)
    probe.wait_for_state(DeviceState.PREWARM, within_s=1.0)
    probe.wait_for_state(DeviceState.STARTED, within_s=6.0)
    probe.let_pass(0.1)

    begun = when("state", "==", float(DeviceState.PREWARM), after=asked)
    over = when("state", "==", float(DeviceState.STARTED), after=begun)
    measure.time("prewarming", begun, over, at_least_s=4.9, at_most_s=5.1)
    measure.reading("warmer", "skin_warmer", "max", begun, over, at_least=0.05)
    measure.reading("skin", "skin_temp_c", "max", begun, over, at_most=43.0, unit="°C")
    end = probe.mark("end")
    measure.reading("warmer afterwards", "skin_warmer", "max", over, end, at_most=0.0)
    for signal in ("valve", "tip_heater"):
        measure.reading(f"{signal} beside it", signal, "max", asked, end, at_most=0.0)


def test_it_never_warms_longer_than_120_s(
    probe: Probe, measure: Measure, answered: AnswerCheck
) -> None:
    """120 s of prewarming are allowed, and neither 0 nor 120.001 s; no skin gets hot of it."""
    probe.start()
    for duration_ms, answer in (
        (0, "OUT_OF_RANGE"),
        (120_001, "OUT_OF_RANGE"),
        (120_000, "ACCEPTED"),
    ):
        answered(answer, Op.PREWARM, {"duration_ms": duration_ms}, name=f"{duration_ms} ms")

    begun = probe.mark("warming")
    probe.let_pass(LONG_S)
    end = probe.mark("end")
    measure.reading("skin", "skin_temp_c", "max", begun, end, at_most=43.0, unit="°C")
    warming = float(DeviceState.PREWARM)
    measure.reading("state", "state", "last", begun, end, at_least=warming, at_most=warming)


@pytest.mark.needs("faults")
def test_skin_that_nobody_sees_is_not_warmed(
    probe: Probe, inject: Injector, measure: Measure, answered: AnswerCheck
) -> None:
    """An open skin sensor turns the warmer off within 200 ms, and lets none begin."""
    bring_to(probe, DeviceState.PREWARM)
    probe.wait(lambda s: s.skin_warmer > 0.0, within_s=2.0, step="the warmer is on")

    fault = inject("skin_open")
    probe.let_pass(0.5)
    seen = when("open_circuit", ">", 0.0, after=fault)
    off = when("skin_warmer", "==", 0.0, after=seen)
    measure.time("open to off", seen, off, at_most_s=0.2)
    end = probe.mark("end")
    measure.reading("and stays off", "skin_warmer", "max", off, end, at_most=0.0)

    probe.end()
    probe.start()
    answered("SENSOR", Op.PREWARM, {"duration_ms": 5000})


@pytest.mark.needs("faults")
def test_hot_skin_ends_the_warming(probe: Probe, inject: Injector, tripped: TripCheck) -> None:
    """Skin that reads over 43 °C for 100 ms has the warmer off within 200 ms more."""
    bring_to(probe, DeviceState.PREWARM)
    skin_c = probe.sample.skin_temp_c
    assert skin_c is not None

    hot = inject(f"skin_drift(rate_c_per_s=50,max_c={44.0 - skin_c:.2f})")
    tripped(
        Trip.SKIN_HOT,
        hot,
        requirement="SR-42",
        action=SafeAction.OFF,
        seen=when("skin_temp_c", ">", 43.0, after=hot),
        safe_within_s=0.3,
    )


@pytest.mark.needs("faults")
@pytest.mark.parametrize("state", [DeviceState.IDLE, DeviceState.STARTED])
def test_hot_skin_is_told_at_rest_too(
    probe: Probe, inject: Injector, tripped: TripCheck, state: DeviceState
) -> None:
    """Skin over 43 °C is told with nothing on, too: nothing may be begun."""
    bring_to(probe, state)
    skin_c = probe.sample.skin_temp_c
    assert skin_c is not None

    hot = inject(f"skin_drift(rate_c_per_s=50,max_c={44.0 - skin_c:.2f})")
    tripped(Trip.SKIN_HOT, hot, requirement="SR-42", action=SafeAction.OFF, safe_within_s=0.5)
