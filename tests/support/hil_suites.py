"""A small suite of somebody's own, run by ``cryoctl hil`` in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from cryoctl_hil.evidence.record import Evidence, read_evidence

SUITE = '''\
"""Four tests of somebody's own."""

import pytest

from cryoctl_hil.evidence.measurement import Origin, when
from cryoctl_protocol.codes import DeviceState, Result


def test_rest(probe, measure):
    """At rest nothing is on."""
    since = probe.mark("rest")
    probe.let_pass(0.5)
    measure.reading("valve", "valve", "max", since, probe.mark("end"), at_most=0.0)
    measure.value("by the ruler", 3.0, at_most=5.0, unit="mm", origin=Origin.OPERATOR)


@pytest.mark.requirement("SR-11")
@pytest.mark.needs("faults")
def test_open_thermocouple(probe, inject, measure):
    """An open thermocouple shuts the valve."""
    probe.freeze()
    probe.cool_to(-30.0)
    fault = inject("tc_open")
    probe.wait_for_state(DeviceState.SAFE, DeviceState.FAULT, within_s=2.0)
    seen = when("open_circuit", ">", 0, after=fault)
    measure.time("open to shut", seen, when("valve", "==", 0, after=seen), at_most_s=0.1)
    measure.said("cause", "device", "trip", "TIP_SENSOR", fault, event="TRIP")


@pytest.mark.requirement("SR-19")
def test_leak(probe, measure):
    """The line is tight."""
    assert probe.self_test() is Result.OK
    since = probe.mark("begin")
    assert probe.leak_test() is Result.OK
    end = probe.mark("end")
    measure.reading("tip meanwhile", "tip_temp_c", "mean", since, end, at_least=20.0, unit="C")


@pytest.mark.operator_steps("warm the tip in water")
def test_by_hand(probe, operator):
    """Somebody warms the tip."""
    operator("warm the tip in water")
'''
RIG = """\
schema = 1
name = "own sim"
device = "sim:"
{extra}
"""
INSTRUMENT = """
[[instrument]]
name = "Fluke 52"
serial = "12345"
signal = "tip_temp_c"
uncertainty = 0.5
calibrated = 2026-01-10
due = {due}
"""


def write_suite(folder: Path, text: str = SUITE) -> Path:
    """Write the suite into a folder of its own; return that."""
    tests = folder / "own"
    tests.mkdir()
    (tests / "test_own.py").write_text(text, encoding="utf-8")
    return tests


def write_rig(folder: Path, extra: str = "") -> Path:
    """Write a rig file for the simulated probe; return its path."""
    path = folder / "rig.toml"
    path.write_text(RIG.format(extra=extra), encoding="utf-8")
    return path


def cryoctl(*arguments: str | Path, cwd: Path, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    return subprocess.run(
        [sys.executable, "-m", "cryoctl", *map(str, arguments)],
        cwd=cwd, capture_output=True, text=True, check=False, input=text, timeout=240,
    )  # fmt: skip


def evidence_in(folder: Path) -> Evidence:
    """Return the evidence in a folder."""
    return read_evidence((folder / "evidence.json").read_text("utf-8"), str(folder))


def verdicts(folder: Path) -> dict[str, str]:
    """Return the verdict of each test in a folder of evidence, without the file's name."""
    return {test.id.partition("::")[2]: test.verdict.value for test in evidence_in(folder).tests}
