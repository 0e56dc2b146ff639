"""The whole suite on a simulated probe: every test passes, and every cause has been provoked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cryoctl_hil.evidence.record import FILE_NAME, Evidence, read_evidence
from cryoctl_hil.layers import DEVICE_TRIPS
from cryoctl_protocol.codes import Trip

SUITE = Path(__file__).parents[2] / "hil" / "suites"
INSIDE = {Trip.OUTPUTS_OVERLAP}
"""Only the probe's own program could do that: nothing from outside can provoke it."""


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    out = tmp_path_factory.mktemp("suite") / "out"
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-p", "no:xdist",
            "-c", str(SUITE / "pytest.ini"), str(SUITE), "--rig", "sim", "--rig-out", str(out),
        ],
        capture_output=True,
        text=True,
        cwd=out.parent,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    path = out / FILE_NAME
    return read_evidence(path.read_text("utf-8"), path.name)


pytestmark = pytest.mark.timeout(600)


def test_every_test_of_the_suite_passes_on_a_sound_probe(evidence: Evidence) -> None:
    assert {test.id: test.verdict for test in evidence.tests if test.verdict != "PASS"} == {}
    assert evidence.verdict == "PASS"


def test_every_test_names_its_requirement_and_says_what_it_shows(evidence: Evidence) -> None:
    assert [test.id for test in evidence.tests if not test.requirements] == []
    assert [test.id for test in evidence.tests if not test.title.endswith(".")] == []


def test_every_cause_that_a_probe_finds_is_provoked(evidence: Evidence) -> None:
    told = {m.name for test in evidence.tests for m in test.measurements}
    missing = [t.name for t in DEVICE_TRIPS if f"{t.name}: the cause it tells" not in told]
    assert missing == [trip.name for trip in INSIDE]


def test_every_measurement_has_a_limit_and_a_requirement(evidence: Evidence) -> None:
    loose = [
        f"{test.id}: {m.name}"
        for test in evidence.tests
        for m in test.measurements
        if not m.requirement
        or (m.limit.at_least is None and m.limit.at_most is None and m.limit.exactly is None)
    ]
    assert loose == []
