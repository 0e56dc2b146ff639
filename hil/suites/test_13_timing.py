"""How soon the probe answers, how evenly it reports, and whether its clock keeps time."""

from __future__ import annotations

from itertools import pairwise

import pytest

from cryoctl_hil.evidence.measure import Measure
from cryoctl_hil.evidence.measurement import heard, when
from cryoctl_hil.rigs.probe import Probe
from cryoctl_hil.rigs.rig import Rig
from cryoctl_protocol.codes import DeviceState, Op

WATCHED_S = 25.0
FRESH_S = 0.1
"""SR-03 has telemetry be stale after 50 ms; the rest is for its way and the answer's."""


@pytest.mark.requirement("SR-29")
def test_commands_are_answered_at_once(probe: Probe, measure: Measure) -> None:
    """20 commands are answered within 100 ms each."""
    for number in range(1, 21):
        asked = probe.mark(f"command {number}")
        counter = probe.send(Op.CLEAR)
        probe.answer_to(counter)
        answer = heard("answer", after=asked, counter=counter)
        measure.time(f"answer {number}", asked, answer, at_most_s=0.1)
        probe.let_pass(0.013)


@pytest.mark.requirement("SR-03")
@pytest.mark.requirement("SR-44")
def test_telemetry_is_even_and_its_clock_is_right(probe: Probe, rig: Rig, measure: Measure) -> None:
    """Samples are 20 ms apart by the probe's clock; none is lost; its clock is 3 % off at most."""
    first = len(probe.trace.now_s)
    begin = probe.mark("begin")
    probe.let_pass(WATCHED_S)
    end = probe.mark("end")

    device_ms = probe.trace.columns["device_ms"][first:]
    received_s = probe.trace.now_s[first:]
    steps_ms = [later - earlier for earlier, later in pairwise(device_ms)]
    waits_s = [later - earlier for earlier, later in pairwise((*received_s, probe.now_s))]
    sr = "SR-03"
    measure.value("shortest step", min(steps_ms), at_least=20.0, unit="ms", requirement=sr)
    measure.value("longest step", max(steps_ms), at_most=20.0, unit="ms", requirement=sr)
    measure.value("longest wait", max(waits_s), at_most=0.15, unit="s", requirement=sr)
    ours_ms = 1000.0 * (received_s[-1] - received_s[0])
    off = 100.0 * ((device_ms[-1] - device_ms[0]) / ours_ms - 1.0)
    uncertainty = 100.0 * rig.table.timing_uncertainty_s / WATCHED_S
    measure.value(
        "clock", off, at_least=-3.0, at_most=3.0, unit="%", uncertainty=uncertainty,
        requirement="SR-44",
    )  # fmt: skip
    measure.reading(
        "lease left", "lease_left_s", "max", begin, end, at_most=0.3, unit="s", requirement=sr
    )


@pytest.mark.requirement("SR-03")
def test_telemetry_says_what_is_true_now(probe: Probe, measure: Measure) -> None:
    """The first sample after the answer to a command shows what the command has changed."""
    for number in range(1, 4):
        asked = probe.mark(f"self-test {number}")
        probe.command(Op.SELF_TEST)
        probe.wait_for_state(DeviceState.SELF_TEST, within_s=1.0)
        taken = heard("answer", after=asked, op="SELF_TEST")
        shown = when("state", "==", float(DeviceState.SELF_TEST), after=asked)
        measure.time(f"taken to shown {number}", taken, shown, at_most_s=FRESH_S)
        probe.end()
