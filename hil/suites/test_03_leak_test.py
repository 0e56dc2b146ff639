"""The leak test before use: tight lines pass, and whatever cannot show a leak does not."""

from __future__ import annotations

import pytest

from cryoctl_hil.evidence.measure import Measure
from cryoctl_hil.evidence.measurement import heard, when
from cryoctl_hil.rigs.answer_check import AnswerCheck
from cryoctl_hil.rigs.injector import Injector
from cryoctl_hil.rigs.probe import Probe
from cryoctl_hil.rigs.rig import Rig
from cryoctl_protocol.codes import DeviceState, Op

pytestmark = pytest.mark.requirement("SR-19")


def test_a_tight_probe_passes(probe: Probe, measure: Measure) -> None:
    """A tight probe loses less than 1 bar in 10 s, valve shut throughout."""
    asked = probe.mark("asked")
    probe.leak_test()

    done = heard("done", after=asked, op="LEAK_TEST")
    measure.time("leak test", asked, done, at_least_s=10.0, at_most_s=15.0)
    measure.said("result", "done", "result", "OK", asked, op="LEAK_TEST")
    lost_mbar = probe.host.details[max(probe.host.details)]
    measure.value("pressure lost", lost_mbar / 1000.0, at_most=1.0, unit="bar")
    measure.reading("valve", "valve", "max", asked, done, at_most=0.0)
    filled = when("shutoff_open", ">", 0.0, after=asked)
    shut = when("shutoff_open", "==", 0.0, after=filled)
    measure.time("gas is let in for", filled, shut, at_most_s=1.0)


@pytest.mark.needs("faults")
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param("leak_supply(leak_mg_s=5)", id="leak"),
        pytest.param("leak_supply(leak_mg_s=0.15)", id="small_leak"),
        pytest.param("pressure_frozen", id="dead_reading"),
        pytest.param("pressure_offset(offset_bar=-48)", id="no_pressure"),
    ],
)
def test_what_shows_no_tight_line_fails(
    probe: Probe, inject: Injector, measure: Measure, answered: AnswerCheck, fault: str
) -> None:
    """A leak, a reading that stands still, or no pressure to lose fails; ARM is refused."""
    inject(fault)
    begun = probe.mark("leak test")
    probe.leak_test()

    measure.said("result", "done", "result", "FAILED", begun, op="LEAK_TEST")
    answered("NOT_AUTHORISED", Op.ARM, {"cycles": 1, "treatment_hash": 1})


@pytest.mark.needs("faults")
def test_a_loss_of_less_than_a_bar_passes(probe: Probe, inject: Injector, measure: Measure) -> None:
    """A probe that loses half of what is allowed is tight enough."""
    inject("leak_supply(leak_mg_s=0.04)")
    begun = probe.mark("leak test")
    probe.leak_test()

    measure.said("result", "done", "result", "OK", begun, op="LEAK_TEST")


@pytest.mark.needs("faults")
def test_no_leak_test_without_its_sensor(
    probe: Probe, inject: Injector, answered: AnswerCheck
) -> None:
    """Without a pressure sensor no leak test begins."""
    inject("pressure_open")
    probe.let_pass(0.1)
    answered("SENSOR", Op.LEAK_TEST)


def test_a_leak_test_that_was_broken_off_is_none(probe: Probe, answered: AnswerCheck) -> None:
    """A leak test that was ended early, or stopped, authorises nothing."""
    probe.command(Op.LEAK_TEST)
    probe.wait_for_state(DeviceState.LEAK_TEST, within_s=1.0)
    probe.let_pass(2.0)
    probe.end()

    answered("NOT_AUTHORISED", Op.ARM, {"cycles": 1, "treatment_hash": 1})


@pytest.mark.time_limit(2000)
def test_a_leak_test_is_void_after_30_minutes(
    probe: Probe, rig: Rig, answered: AnswerCheck
) -> None:
    """29 minutes after the leak test the probe arms, after 31 minutes it does not."""
    if not rig.is_virtual:
        pytest.skip("takes half an hour: on probes in virtual time alone")
    probe.make_ready()
    probe.let_pass(29 * 60.0)
    answered("ACCEPTED", Op.ARM, {"cycles": 1, "treatment_hash": 1}, name="ARM after 29 min")
    probe.end()
    probe.let_pass(2 * 60.0)
    answered("NOT_AUTHORISED", Op.ARM, {"cycles": 1, "treatment_hash": 1}, name="ARM after 31 min")
