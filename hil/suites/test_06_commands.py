"""Every operation in every state, at and beyond its limits, and once more."""

from __future__ import annotations

from typing import Any, Final

import pytest

from cryoctl_hil.evidence.measure import Measure
from cryoctl_hil.evidence.measurement import heard, when
from cryoctl_hil.rigs.answer_check import AnswerCheck
from cryoctl_hil.rigs.injector import Injector
from cryoctl_hil.rigs.probe import TREATMENT_HASH, Probe
from cryoctl_hil.rigs.states import STIMULUS, bring_to
from cryoctl_protocol.codes import DeviceState, Op, Result, ThawMode

S: Final = DeviceState
FIELDS: Final[dict[Op, dict[str, int]]] = {
    Op.ARM: {"cycles": 3, "treatment_hash": TREATMENT_HASH},
    Op.START: {"treatment_hash": TREATMENT_HASH},
    Op.PREWARM: {"duration_ms": 5_000},
    Op.FREEZE: {"setpoint_mdegc": -40_000, "duration_ms": 20_000},
    Op.SETPOINT: {"setpoint_mdegc": -40_000},
    Op.THAW: {"mode": ThawMode.PASSIVE},
    Op.STIMULATE: STIMULUS,
}
"""Of each operation, such that nothing but the state can stand against it."""
OPS: Final = tuple(op for op in Op if op is not Op.STOP)
"""STOP has a message of its own."""
# fmt: off
TAKEN: Final[dict[DeviceState, dict[Op, DeviceState]]] = {
    S.IDLE:      {Op.SELF_TEST: S.SELF_TEST, Op.LEAK_TEST: S.LEAK_TEST, Op.ARM: S.ARMED,
                  Op.STIMULATE: S.STIMULATE},
    S.SELF_TEST: {Op.END: S.IDLE},
    S.LEAK_TEST: {Op.END: S.IDLE},
    S.ARMED:     {Op.START: S.STARTED, Op.END: S.IDLE},
    S.STARTED:   {Op.PREWARM: S.PREWARM, Op.FREEZE: S.FREEZE, Op.END: S.IDLE},
    S.PREWARM:   {Op.END: S.IDLE},
    S.FREEZE:    {Op.SETPOINT: S.FREEZE, Op.THAW: S.THAW, Op.END: S.IDLE},
    S.THAW:      {Op.FREEZE: S.FREEZE, Op.THAW: S.THAW, Op.END: S.IDLE},
    S.SAFE:      {Op.THAW: S.SAFE, Op.CLEAR: S.IDLE},
    S.FAULT:     {Op.THAW: S.FAULT, Op.CLEAR: S.IDLE},
    S.STIMULATE: {Op.STIMULATE: S.STIMULATE, Op.END: S.IDLE},
}
# fmt: on
"""What is taken in each state, and where it leads; everything else is refused."""


def refusal(state: DeviceState) -> str:
    """Return the answer to an operation that a state does not take."""
    return "FAULT_LATCHED" if state in (S.SAFE, S.FAULT) else "WRONG_STATE"


def fields_of(op: Op) -> dict[str, Any]:
    return dict(FIELDS.get(op, {}))


@pytest.mark.requirement("SR-26")
@pytest.mark.time_limit(400)
@pytest.mark.parametrize("state", list(DeviceState), ids=lambda state: state.name)
def test_what_a_state_does_not_take_is_refused(
    probe: Probe, answered: AnswerCheck, state: DeviceState
) -> None:
    """All operations but those of the table are refused, and change nothing."""
    bring_to(probe, state)
    for op in OPS:
        if op in TAKEN[state]:
            continue
        bring_to(probe, state)  # A test of half a second may have ended by itself.
        answered(refusal(state), op, fields_of(op), name=f"{op.name} in {state.name}")
        assert probe.state is state, f"{op.name} led from {state.name} to {probe.state.name}"


@pytest.mark.requirement("SR-26")
@pytest.mark.time_limit(400)
@pytest.mark.parametrize("state", list(DeviceState), ids=lambda state: state.name)
def test_what_a_state_takes_leads_where_it_should(
    probe: Probe, answered: AnswerCheck, state: DeviceState
) -> None:
    """Each operation of the table is taken and leads to its state."""
    for op, target in TAKEN[state].items():
        if op is Op.CLEAR:
            continue  # Its second of quiet has a test of its own.
        bring_to(probe, state)
        if op is Op.ARM:
            probe.make_ready()
        answered("ACCEPTED", op, fields_of(op), name=f"{op.name} in {state.name}")
        probe.wait_for_state(target, within_s=0.5)


@pytest.mark.requirement("SR-26")
def test_arm_and_start_are_ten_seconds_apart_at_most(
    probe: Probe, measure: Measure, answered: AnswerCheck
) -> None:
    """START is refused for another treatment; 10 s after ARM the probe is IDLE again."""
    probe.arm()
    armed = probe.mark("armed")
    other = TREATMENT_HASH ^ 1
    answered("NOT_AUTHORISED", Op.START, {"treatment_hash": other}, name="another treatment")
    probe.wait_for_state(DeviceState.IDLE, within_s=11.0)
    lapsed = when("state", "==", float(DeviceState.IDLE), after=armed)
    measure.time("ARM lasts", armed, lapsed, at_least_s=9.8, at_most_s=10.2)
    answered("WRONG_STATE", Op.START, {"treatment_hash": TREATMENT_HASH}, name="afterwards")


@pytest.mark.requirement("SR-26")
def test_arm_authorises_so_many_freezes_and_no_more(probe: Probe, answered: AnswerCheck) -> None:
    """ARM for one cycle authorises one freeze; the second is refused."""
    probe.freeze(duration_s=20.0)
    probe.end()
    probe.start(cycles=1)
    probe.freeze(duration_s=20.0, begun=True)
    probe.command(Op.THAW, mode=ThawMode.PASSIVE)
    probe.wait_for_state(DeviceState.THAW, within_s=1.0)
    answered("NOT_AUTHORISED", Op.FREEZE, FIELDS[Op.FREEZE], name="second freeze")


@pytest.mark.requirement("SR-26")
@pytest.mark.requirement("SR-06")
@pytest.mark.requirement("SR-09")
@pytest.mark.requirement("SR-16")
def test_values_out_of_range_are_refused(probe: Probe, answered: AnswerCheck) -> None:
    """The last allowed value of each field is taken, the first beyond it is refused."""
    limits = probe.profile.limits
    coldest = round(max(limits.setpoint_min_c, limits.setpoint_coldest_c) * 1000.0)
    warmest = round(limits.setpoint_max_c * 1000.0)
    longest = round(limits.freeze_s_max * 1000.0)
    most_mj = round(limits.thaw_energy_j_max * 1000.0)
    freeze = {"setpoint_mdegc": coldest, "duration_ms": longest}

    def expect(requirement: str, op: Op, answer: str, **fields: int) -> None:
        told = ", ".join(f"{name} {value}" for name, value in fields.items())
        answered(answer, op, fields, name=f"{op.name} {told}", requirement=requirement)

    probe.make_ready()
    expect("SR-26", Op.ARM, "OUT_OF_RANGE", cycles=0, treatment_hash=TREATMENT_HASH)
    probe.start()
    for requirement, wrong in (
        ("SR-06", {"setpoint_mdegc": coldest - 1}),
        ("SR-06", {"setpoint_mdegc": warmest + 1}),
        ("SR-09", {"duration_ms": 0}),
        ("SR-09", {"duration_ms": longest + 1}),
    ):
        expect(requirement, Op.FREEZE, "OUT_OF_RANGE", **freeze | wrong)
    expect("SR-09", Op.FREEZE, "ACCEPTED", **freeze)
    probe.wait_for_state(DeviceState.FREEZE, within_s=1.0)
    expect("SR-06", Op.SETPOINT, "OUT_OF_RANGE", setpoint_mdegc=coldest - 1)
    expect("SR-06", Op.SETPOINT, "OUT_OF_RANGE", setpoint_mdegc=warmest + 1)
    expect("SR-06", Op.SETPOINT, "ACCEPTED", setpoint_mdegc=warmest)
    for energy_mj, answer in ((0, "OUT_OF_RANGE"), (most_mj + 1, "OUT_OF_RANGE")):
        expect("SR-16", Op.THAW, answer, mode=ThawMode.ACTIVE, energy_mj=energy_mj)
    expect("SR-16", Op.THAW, "ACCEPTED", mode=ThawMode.ACTIVE, energy_mj=most_mj)


@pytest.mark.requirement("SR-41")
@pytest.mark.time_limit(400)
def test_stimuli_out_of_range_are_refused(probe: Probe, answered: AnswerCheck) -> None:
    """The last allowed current, rate and width are taken, those beyond them refused."""
    most_ua = round(probe.profile.limits.stimulus_ma_max * 1000.0)
    bring_to(probe, DeviceState.STIMULATE)

    for wrong, answer in (
        ({"stimulus_ua": most_ua + 1}, "OUT_OF_RANGE"),
        ({"stimulus_hz": 0}, "OUT_OF_RANGE"),
        ({"stimulus_pulse_us": 49}, "OUT_OF_RANGE"),
        ({"duration_ms": 0}, "OUT_OF_RANGE"),
        ({"stimulus_ua": most_ua, "stimulus_hz": 100, "stimulus_pulse_us": 1_000}, "ACCEPTED"),
        ({"stimulus_ua": 1, "stimulus_hz": 1, "stimulus_pulse_us": 50}, "ACCEPTED"),
    ):
        told = ", ".join(f"{name} {value}" for name, value in wrong.items())
        answered(answer, Op.STIMULATE, STIMULUS | wrong, name=told)


@pytest.mark.requirement("SR-19")
@pytest.mark.requirement("SR-18")
@pytest.mark.requirement("SR-36")
@pytest.mark.needs("faults")
@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        pytest.param("pressure_open", "SENSOR", id="pressure_open"),
        pytest.param("flow_open", "SENSOR", id="flow_open"),
        pytest.param("vbat_low(sag_mv=1500)", "BATTERY", id="low_battery"),
        pytest.param("warning", "PRESSURE", id="pressure_above_warning"),
    ],
)
def test_no_arm_while_something_stands_against_it(
    probe: Probe, inject: Injector, answered: AnswerCheck, fault: str, answer: str
) -> None:
    """ARM is refused with a sensor open, a low battery, or a pressure above its warning."""
    requirement = {"BATTERY": "SR-36"}.get(answer, "SR-18")
    probe.make_ready()
    supply_bar = probe.sample.supply_pressure_bar
    assert supply_bar is not None
    warn_bar = probe.profile.limits.pressure_warn_bar
    above = f"pressure_offset(offset_bar={warn_bar + 1.0 - supply_bar:.2f})"
    inject(above if fault == "warning" else fault)
    probe.let_pass(0.2)

    answered(answer, Op.ARM, FIELDS[Op.ARM], requirement=requirement)
    assert probe.state is DeviceState.IDLE


@pytest.mark.requirement("SR-22")
@pytest.mark.needs("faults")
def test_no_freeze_without_pressure(probe: Probe, inject: Injector, answered: AnswerCheck) -> None:
    """FREEZE is refused 1 bar below the lowest pressure that cools."""
    probe.start()
    supply_bar = probe.sample.supply_pressure_bar
    assert supply_bar is not None
    low_bar = probe.profile.limits.pressure_low_bar
    inject(f"pressure_offset(offset_bar={low_bar - 1.0 - supply_bar:.2f})")
    probe.let_pass(0.1)

    answered("PRESSURE", Op.FREEZE, FIELDS[Op.FREEZE])


@pytest.mark.requirement("SR-15")
def test_no_freeze_while_the_tip_is_heated(
    probe: Probe, measure: Measure, answered: AnswerCheck
) -> None:
    """FREEZE is refused while the tip is heated, and no sample has valve and heater on."""
    asked = probe.mark("freeze")
    probe.freeze()
    probe.wait(lambda s: s.valve > 0.5, within_s=1.0, step="the valve opens")
    opened = probe.mark("valve open")
    for signal in ("tip_heater", "stimulus_ma"):
        name = f"{signal} beside the valve"
        measure.reading(name, signal, "max", asked, opened, at_most=0.0)
    probe.cool_to(-15.0)
    begun = probe.mark("thaw")
    probe.command(Op.THAW, mode=ThawMode.ACTIVE, energy_mj=2_000)
    probe.wait(lambda s: s.tip_heater > 0.0, within_s=10.0, step="the heater is on")

    answered("WRONG_STATE", Op.FREEZE, FIELDS[Op.FREEZE])
    probe.wait_until_free()
    probe.let_pass(2.2)
    end = probe.mark("end")
    both = [
        valve > 0.0 and heater > 0.0
        for valve, heater in zip(
            probe.trace.columns["valve"], probe.trace.columns["tip_heater"], strict=True
        )
    ]
    measure.value("samples with both on", sum(both), at_most=0)
    shut = when("valve", "==", 0.0, after=begun)
    measure.time("thaw to valve shut", begun, shut, at_most_s=0.1)
    measure.reading("valve in the thaw", "valve", "max", shut, end, at_most=0.0)


@pytest.mark.requirement("SR-26")
def test_end_leaves_nothing_authorised(
    probe: Probe, measure: Measure, answered: AnswerCheck
) -> None:
    """After END, ARM and START have to be asked for anew."""
    probe.start()
    ended = probe.mark("END")
    result = probe.result(probe.command(Op.END), within_s=1.0, step="END is done")
    assert result is Result.OK
    answered("WRONG_STATE", Op.FREEZE, FIELDS[Op.FREEZE])
    measure.time("END to answer", ended, heard("answer", after=ended, op="END"), at_most_s=0.2)
