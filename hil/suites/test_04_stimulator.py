"""The nerve stimulator: where it may be on, for how long, and what ends it."""

from __future__ import annotations

import pytest

from cryoctl_hil.evidence.measure import Measure
from cryoctl_hil.evidence.measurement import heard, when
from cryoctl_hil.rigs.answer_check import AnswerCheck
from cryoctl_hil.rigs.injector import Injector
from cryoctl_hil.rigs.probe import Probe
from cryoctl_hil.rigs.states import STIMULUS, bring_to, warm_enough
from cryoctl_hil.rigs.trip_check import TripCheck
from cryoctl_protocol.codes import DeviceState, Op, SafeAction, Trip

pytestmark = [pytest.mark.requirement("SR-41"), pytest.mark.time_limit(400)]


def test_it_gives_what_was_asked_for_and_ends_in_time(probe: Probe, measure: Measure) -> None:
    """A stimulus of 1 s is over after 1.0 to 1.1 s, with current and pulses as asked."""
    warm_enough(probe)
    asked = probe.mark("asked")
    probe.command(Op.STIMULATE, **STIMULUS | {"duration_ms": 1_000})
    probe.wait_for_state(DeviceState.STIMULATE, within_s=1.0)
    probe.wait_for_state(DeviceState.IDLE, within_s=2.0)
    probe.let_pass(0.2)

    begun = when("stimulus_ma", ">", 0.0, after=asked)
    over = when("stimulus_ma", "==", 0.0, after=begun)
    measure.time("stimulus", begun, over, at_least_s=0.9, at_most_s=1.1)
    most = measure.reading("current", "stimulus_ma", "max", begun, over, at_most=1.0, unit="mA")
    measure.value("and no less", float(most.value or 0.0), at_least=1.0, unit="mA")
    for name, signal, wanted in (("rate", "stimulus_hz", 2.0), ("pulse", "stimulus_pulse_ms", 0.1)):
        measure.reading(name, signal, "first", begun, over, at_least=wanted, at_most=wanted)
    measure.said("how it ended", "done", "result", "OK", asked, op="STIMULATE")
    for signal in ("valve", "tip_heater"):
        measure.reading(f"{signal} beside it", signal, "max", begun, over, at_most=0.0)


def test_it_never_lasts_longer_than_30_s(probe: Probe, answered: AnswerCheck) -> None:
    """30 s are allowed and 30.001 s are not."""
    warm_enough(probe)
    for duration_ms, answer in ((30_001, "OUT_OF_RANGE"), (30_000, "ACCEPTED")):
        fields = STIMULUS | {"duration_ms": duration_ms}
        answered(answer, Op.STIMULATE, fields, name=f"{duration_ms} ms")
    probe.end()


def test_the_operator_ends_it(probe: Probe, measure: Measure) -> None:
    """A stimulus of 0 mA, and END, turn it off within 100 ms."""
    warm_enough(probe)
    for op, fields in ((Op.STIMULATE, {"stimulus_ua": 0}), (Op.END, {})):
        bring_to(probe, DeviceState.STIMULATE)
        probe.wait(lambda s: s.stimulus_ma > 0.0, within_s=1.0, step="the stimulus is on")
        asked = probe.mark(f"{op.name} asked")
        probe.command(op, **fields)
        probe.wait_for_state(DeviceState.IDLE, within_s=1.0)
        off = when("stimulus_ma", "==", 0.0, after=asked)
        measure.time(f"{op.name} to off", asked, off, at_most_s=0.1)


def test_no_lease_no_stimulus(probe: Probe, tripped: TripCheck) -> None:
    """A controller that falls silent ends it within 400 ms."""
    bring_to(probe, DeviceState.STIMULATE)
    silent = probe.mark("silent")
    host = probe.host
    probe.call(lambda _now_s: setattr(host, "leasing", False))

    tripped(Trip.LEASE, silent, requirement="SR-01", action=SafeAction.OFF, safe_within_s=0.4)
    probe.call(lambda _now_s: setattr(host, "leasing", True))


@pytest.mark.needs("faults")
def test_a_cold_tip_ends_it_and_begins_none(
    probe: Probe, inject: Injector, measure: Measure, answered: AnswerCheck
) -> None:
    """A tip that reads 18 °C ends a stimulus within 200 ms, and lets none begin."""
    bring_to(probe, DeviceState.STIMULATE)
    tip_c = probe.sample.tip_temp_c
    assert tip_c is not None

    cold = inject(f"tc_spike(size_c={18.0 - tip_c:.2f},period_s=0.01)")
    probe.wait_for_state(DeviceState.IDLE, within_s=2.0)
    off = when("stimulus_ma", "==", 0.0, after=cold)
    measure.time("cold to off", cold, off, at_most_s=0.2)
    measure.said("how it ended", "done", "result", "ABORTED", cold, op="STIMULATE")

    answered("TIP_COLD", Op.STIMULATE, STIMULUS, name="with a cold tip")


def test_none_until_the_valve_has_proved_to_be_shut(
    probe: Probe, measure: Measure, answered: AnswerCheck
) -> None:
    """Right after a freeze none may begin, however warm the tip still is."""
    coast_s = probe.profile.limits.coast_s
    warm_enough(probe)
    probe.freeze()
    probe.end()
    ended = probe.mark("freeze ended")

    answered("WRONG_STATE", Op.STIMULATE, STIMULUS, name="at once")
    probe.let_pass(coast_s - 0.5)
    answered("WRONG_STATE", Op.STIMULATE, STIMULUS, name="with the line still emptying")
    warm_enough(probe)
    answered("ACCEPTED", Op.STIMULATE, STIMULUS, name="valve proved shut")
    end = heard("answer", after=ended, op="STIMULATE", answer="ACCEPTED")
    measure.reading("never before", "stimulus_ma", "max", ended, end, at_most=0.0)
    probe.end()
