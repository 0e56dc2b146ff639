"""A trip stays until its cause has gone for a second and somebody clears it."""

from __future__ import annotations

import pytest

from cryoctl_hil.evidence.measure import Measure
from cryoctl_hil.evidence.measurement import heard, when
from cryoctl_hil.rigs.answer_check import AnswerCheck
from cryoctl_hil.rigs.injector import Injector
from cryoctl_hil.rigs.probe import Probe
from cryoctl_hil.rigs.states import bring_to
from cryoctl_protocol.codes import DeviceState, Op, SafeAction, Trip

pytestmark = pytest.mark.requirement("SR-27")
OUTPUTS = ("valve", "shutoff_open", "skin_warmer", "stimulus_ma")
LATCHED_S = 10.0


def over_pressure(probe: Probe) -> str:
    """Return the fault that has the supply read 1 bar above its trip pressure."""
    supply_bar = probe.sample.supply_pressure_bar
    assert supply_bar is not None
    offset_bar = probe.profile.limits.pressure_trip_bar + 1.0 - supply_bar
    return f"pressure_offset(offset_bar={offset_bar:.2f})"


@pytest.mark.needs("faults")
def test_a_trip_clears_a_second_after_its_cause(
    probe: Probe, inject: Injector, measure: Measure, answered: AnswerCheck
) -> None:
    """CLEAR is refused while the cause is there and for 1 s more; it starts nothing."""
    bring_to(probe, DeviceState.STARTED)
    inject(over_pressure(probe))
    probe.wait_for_state(DeviceState.FAULT, within_s=1.0)
    probe.let_pass(1.5)
    answered("FAULT_LATCHED", Op.CLEAR, name="with the cause there")

    gone = inject.end("pressure_offset")
    probe.let_pass(0.5)
    answered("FAULT_LATCHED", Op.CLEAR, name="half a second later")
    probe.clear()
    cleared = heard("device", after=gone, event="CLEARED")
    measure.time("cause gone to cleared", gone, cleared, at_least_s=0.9)
    measure.time("and not much later", gone, cleared, at_most_s=1.6)
    probe.let_pass(0.3)
    end = probe.mark("end")
    for signal in OUTPUTS:
        measure.reading(signal, signal, "max", gone, end, at_most=0.0)
    answered("WRONG_STATE", Op.FREEZE, {"setpoint_mdegc": -40000, "duration_ms": 10000})


@pytest.mark.needs("faults")
def test_the_first_cause_is_kept(
    probe: Probe, inject: Injector, measure: Measure, answered: AnswerCheck
) -> None:
    """Later causes are told, each once, and change neither the first one nor when it clears."""
    begun = inject(over_pressure(probe))
    probe.wait_for_state(DeviceState.FAULT, within_s=1.0)
    probe.let_pass(0.2)
    inject("tc_open")
    probe.let_pass(0.3)
    probe.stop(SafeAction.THAW)
    probe.let_pass(0.3)

    end = probe.mark("end")
    faulted = when("state", "==", float(DeviceState.FAULT), after=begun)
    first = int(Trip.OVERPRESSURE)
    measure.reading("cause", "trip", "min", faulted, end, at_least=first, at_most=first)
    measure.reading("cause at the end", "trip", "max", faulted, end, at_least=first, at_most=first)
    measure.reading("state", "state", "last", faulted, end, at_least=9.0, at_most=9.0)
    for trip, count in (("OVERPRESSURE", 1.0), ("TIP_SENSOR", 1.0)):
        measure.count(
            f"{trip} told", "device", begun, event="TRIP", trip=trip, at_least=count, at_most=count
        )
    inject.end("pressure_offset")
    probe.let_pass(1.3)
    answered("FAULT_LATCHED", Op.CLEAR, name="with the second cause there")


@pytest.mark.parametrize(
    "state", [DeviceState.SAFE, DeviceState.FAULT], ids=lambda state: state.name
)
def test_a_latch_stays_until_somebody_clears_it(
    probe: Probe, measure: Measure, state: DeviceState
) -> None:
    """However long its cause has gone, a probe that has stopped waits for CLEAR."""
    bring_to(probe, state)
    cause = float(probe.trip)
    latched = probe.mark("latched")
    probe.let_pass(LATCHED_S)

    end = probe.mark("end")
    for name, wanted in (("state", float(state)), ("trip", cause)):
        measure.reading(f"lowest {name}", name, "min", latched, end, at_least=wanted)
        measure.reading(f"highest {name}", name, "max", latched, end, at_most=wanted)
    measure.value("a cause", cause, at_least=1.0)
    measure.count("cleared by itself", "device", latched, event="CLEARED", at_most=0.0)


def test_a_stop_clears_no_sooner(probe: Probe, measure: Measure, answered: AnswerCheck) -> None:
    """After STOP, too, CLEAR waits for a second of quiet, and a new STOP begins it anew."""
    stopped = probe.mark("STOP")
    probe.stop(SafeAction.OFF)
    probe.let_pass(0.5)
    answered("FAULT_LATCHED", Op.CLEAR, name="half a second after STOP")
    probe.clear()
    cleared = heard("device", after=stopped, event="CLEARED")
    measure.time("STOP to cleared", stopped, cleared, at_least_s=0.9, at_most_s=1.6)


@pytest.mark.requirement("SR-26")
def test_a_trip_takes_back_what_was_authorised(
    probe: Probe, measure: Measure, answered: AnswerCheck
) -> None:
    """After a trip and CLEAR, ARM and START have to be given anew."""
    bring_to(probe, DeviceState.STARTED)
    stopped = probe.mark("STOP")
    probe.stop(SafeAction.OFF)
    probe.clear()
    answered("WRONG_STATE", Op.START, {"treatment_hash": 1}, requirement="SR-26")
    answered(
        "WRONG_STATE",
        Op.FREEZE,
        {"setpoint_mdegc": -40000, "duration_ms": 10000},
        requirement="SR-26",
    )
    end = probe.mark("end")
    measure.reading("valve", "valve", "max", stopped, end, at_most=0.0, requirement="SR-26")
