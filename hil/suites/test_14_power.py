"""A probe that lost its power, or whose program hung, comes back at rest and remembers nothing."""

from __future__ import annotations

import pytest

from cryoctl_hil.evidence.measure import Measure
from cryoctl_hil.evidence.measurement import AtMark, heard
from cryoctl_hil.rigs.answer_check import AnswerCheck
from cryoctl_hil.rigs.injector import Injector
from cryoctl_hil.rigs.power import Power
from cryoctl_hil.rigs.probe import Probe
from cryoctl_hil.rigs.rig import Rig
from cryoctl_protocol.codes import DeviceState, Op

pytestmark = pytest.mark.requirement("SR-26")
OUTPUTS = ("valve", "shutoff_open", "tip_heater", "skin_warmer", "stimulus_ma")


def comes_back_at_rest(
    probe: Probe, measure: Measure, answered: AnswerCheck, since: AtMark
) -> None:
    """Wait for the next boot and measure that nothing of the last one goes on."""
    host = probe.host
    probe.wait(lambda _: host.is_open, within_s=5.0, step="a session opens")
    back = probe.mark("back")
    probe.let_pass(0.5)
    end = probe.mark("end")
    sr = "SR-26"
    for signal in OUTPUTS:
        measure.reading(signal, signal, "max", back, end, at_most=0.0, requirement=sr)
    for signal in ("state", "trip"):
        measure.reading(signal, signal, "last", back, end, at_most=0.0, requirement=sr)
    measure.count("boots told", "hello", since, at_least=1.0, requirement=sr)
    freeze = {"setpoint_mdegc": -40_000, "duration_ms": 10_000}
    answered("WRONG_STATE", Op.FREEZE, freeze, requirement=sr)
    answered("NOT_AUTHORISED", Op.ARM, {"cycles": 1, "treatment_hash": 1}, requirement=sr)


@pytest.mark.needs("power")
def test_a_power_cycle_in_a_freeze(
    probe: Probe, power: Power, measure: Measure, answered: AnswerCheck
) -> None:
    """Power away in a freeze: IDLE afterwards, all off, no resume, leak test asked for again."""
    probe.freeze()
    probe.let_pass(0.5)
    boot_id = probe.hello.boot_id
    cut = probe.mark("power away")
    power.cycle()
    comes_back_at_rest(probe, measure, answered, cut)
    measure.value("another boot", int(probe.hello.boot_id != boot_id), exactly=1)


@pytest.mark.needs("faults")
@pytest.mark.requirement("SR-36")
def test_a_brownout_in_a_freeze(
    probe: Probe, inject: Injector, measure: Measure, answered: AnswerCheck
) -> None:
    """50 ms without power in a freeze are a new boot, too."""
    probe.freeze()
    probe.let_pass(0.5)
    boots = probe.host.boots
    cut = inject("brownout")
    probe.wait(lambda _: probe.host.boots > boots, within_s=3.0, step="the probe boots")
    comes_back_at_rest(probe, measure, answered, cut)


@pytest.mark.needs("faults")
@pytest.mark.requirement("SR-01")
def test_a_program_that_hangs_in_a_freeze(
    probe: Probe, inject: Injector, measure: Measure, answered: AnswerCheck
) -> None:
    """A firmware that stands still is reset by its watchdog within 500 ms."""
    probe.freeze()
    probe.let_pass(0.5)
    boots = probe.host.boots
    hung = inject("hang")
    probe.wait(lambda _: probe.host.boots > boots, within_s=3.0, step="the probe boots")
    booted = heard("hello", after=hung)
    measure.time("hang to boot", hung, booted, at_most_s=0.5, requirement="SR-01")
    comes_back_at_rest(probe, measure, answered, hung)


@pytest.mark.needs("faults")
def test_a_probe_with_another_profile_says_so(
    probe: Probe, rig: Rig, inject: Injector, measure: Measure
) -> None:
    """A probe that was changed for another one has another hash of its limits."""
    if not rig.is_virtual:
        pytest.skip("the probe would stay another one: on probes in virtual time alone")
    told = probe.hello.profile_hash
    inject("wrong_probe")
    probe.let_pass(0.1)
    probe.connect()
    measure.value("another hash", int(probe.hello.profile_hash != told), exactly=1)
    assert probe.state is DeviceState.IDLE
