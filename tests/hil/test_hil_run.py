"""``cryoctl hil`` on a small suite: verdicts, exit codes, what is not run and why, going on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from cryoctl.recording import load_recording
from tests.support.hil_suites import cryoctl, evidence_in, verdicts, write_rig, write_suite

pytestmark = pytest.mark.timeout(300)
FAILING = """
def test_fails(probe, measure):
    since = probe.mark("rest")
    probe.let_pass(0.1)
    measure.reading("tip", "tip_temp_c", "max", since, probe.mark("end"), at_most=0.0, unit="C")


def test_passes(probe):
    assert probe.state.name == "IDLE"
"""
HANGS = """
from pathlib import Path

import pytest


@pytest.mark.time_limit(1e6)
def test_hangs(probe):
    probe.wait(lambda _: Path("waits").touch(), within_s=1e6, step="what never comes")


def test_after(probe):
    pass
"""

FREEZES = """
from pathlib import Path


def test_freezes(probe):
    probe.freeze()
    probe.cool_to(0.0)
    probe.wait(lambda _: Path("waits").touch(), within_s=60.0, step="the freeze goes on")
"""


def wait_for(path: Path, running: subprocess.Popen[str]) -> None:
    """Return when a test has made a file, or the program has ended without it."""
    while running.poll() is None and not path.exists():
        with suppress(subprocess.TimeoutExpired):
            running.wait(0.05)


def test_a_sound_probe_passes_and_what_the_rig_lacks_is_not_run(tmp_path: Path) -> None:
    tests = write_suite(tmp_path)

    done = cryoctl("hil", tests, "--out", "out", "--json", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert verdicts(tmp_path / "out") == {
        "test_rest": "PASS",
        "test_open_thermocouple": "PASS",
        "test_leak": "PASS",
        "test_by_hand": "NOT RUN",
    }
    told = json.loads(done.stdout)
    assert (told["verdict"], told["exit_code"]) == ("PASS", 0)
    by_hand = next(row for row in told["tests"] if row["id"] == "test_own::test_by_hand")
    assert by_hand["why"] == "this rig cannot ask somebody to do something by hand"
    assert "[1/4] PASS     test_own::test_rest" in done.stderr


def test_every_form_of_the_evidence_tells_the_same(tmp_path: Path) -> None:
    write_suite(tmp_path, FAILING)

    done = cryoctl("hil", "own", "--out", "out", cwd=tmp_path)

    assert done.returncode == 1
    (failed, passed) = evidence_in(tmp_path / "out").tests
    assert (failed.verdict, passed.verdict) == ("FAIL", "PASS")
    assert "is above 0" in failed.why
    assert "FAIL: 1 of 2 tests PASS, 1 FAIL, 0 not run" in done.stdout
    junit = ET.parse(tmp_path / "out" / "junit.xml").getroot()[0]
    assert (junit.get("tests"), junit.get("failures"), junit.get("skipped")) == ("2", "1", "0")
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "✗ FAIL" in page
    assert "is above 0" in page


def test_pytest_itself_does_the_same(tmp_path: Path) -> None:
    write_suite(tmp_path, FAILING)

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "cryoctl_hil.suite_plugin", "-p", "no:asyncio",
         "-W", "error", "own", "--rig", "sim", "--rig-out", "out"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip

    assert done.returncode == 1, done.stdout
    assert verdicts(tmp_path / "out") == {"test_fails": "FAIL", "test_passes": "PASS"}


def test_settings_of_the_folder_where_it_is_called_do_not_count(tmp_path: Path) -> None:
    write_suite(tmp_path, FAILING)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n", "utf-8")

    done = cryoctl("hil", "own", "-k", "passes", "--out", "out", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert evidence_in(tmp_path / "out").deselected == 1


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--rig", "nonsense"], 2, "expected sim, firmware:native"),
        (["--rig", "tcp:127.0.0.1:9"], 3, "tcp:127.0.0.1:9"),
        (["--requirement", "SR-99"], 2, "unknown requirement 'SR-99'"),
        (["-k", "no_such_test"], 2, "no test was chosen"),
        (["--retest"], 2, "give --resume FOLDER"),
        (["--rig", "tcp:127.0.0.1:9", "--jobs", "2"], 2, "need a probe each"),
        (["--gas-budget", "5", "--jobs", "2"], 2, "one probe's"),
    ],
    ids=["rig", "link", "requirement", "nothing", "retest", "jobs", "budget"],
)
def test_what_cannot_be_done_is_said_and_has_its_code(
    tmp_path: Path, arguments: list[str], code: int, text: str
) -> None:
    write_suite(tmp_path, FAILING)

    done = cryoctl("hil", "own", "--out", "out", *arguments, cwd=tmp_path)

    assert done.returncode == code, done.stdout + done.stderr
    assert text in done.stdout + done.stderr


def test_a_requirement_chooses_its_tests(tmp_path: Path) -> None:
    write_suite(tmp_path)

    done = cryoctl("hil", "own", "--requirement", "SR-19", "--out", "out", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert verdicts(tmp_path / "out") == {"test_leak": "PASS"}


def test_several_at_once_come_to_the_same(tmp_path: Path) -> None:
    write_suite(tmp_path)

    done = cryoctl("hil", "own", "--jobs", "2", "--out", "out", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert sorted(verdicts(tmp_path / "out").values()) == ["NOT RUN", "PASS", "PASS", "PASS"]
    assert cryoctl("evidence", "verify", "out", cwd=tmp_path).returncode == 0


# -- ended early, and gone on with ---


@pytest.mark.real_time
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for one process there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_run_that_somebody_ends_names_the_step_and_can_be_gone_on_with(
    tmp_path: Path, number: int
) -> None:
    write_suite(tmp_path, HANGS)
    command = [sys.executable, "-m", "cryoctl", "hil", "own", "--out", "out"]

    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as running:
        wait_for(tmp_path / "waits", running)
        running.send_signal(number)
        running.wait(60.0)

    assert running.returncode == 130
    evidence = evidence_in(tmp_path / "out")
    assert evidence.verdict == "FAIL"
    ended = "somebody ended it, in test_own::test_hangs, at: what never comes"
    assert evidence.broken_off == ended
    (hung, after) = evidence.tests
    assert (hung.verdict, hung.step) == ("NOT RUN", "what never comes")
    assert (after.verdict, after.why) == ("NOT RUN", f"the run was broken off: {ended}")
    assert "broken off" in (tmp_path / "out" / "report.html").read_text("utf-8")
    assert cryoctl("evidence", "verify", "out", cwd=tmp_path).returncode == 0

    gone_on = cryoctl("hil", "own", "--resume", "out", "-k", "after", cwd=tmp_path)

    assert gone_on.returncode == 0, gone_on.stdout + gone_on.stderr
    assert verdicts(tmp_path / "out") == {"test_hangs": "NOT RUN", "test_after": "PASS"}
    assert cryoctl("evidence", "verify", "out", cwd=tmp_path).returncode == 0


@pytest.mark.real_time
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for one process there")
def test_ctrl_c_in_a_freeze_leaves_the_probe_safe_and_the_report_written(tmp_path: Path) -> None:
    write_suite(tmp_path, FREEZES)
    serve = [sys.executable, "-m", "cryoctl", "sim", "--tcp", "127.0.0.1:0"]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as served:
        try:
            assert served.stdout is not None
            line = next(line for line in served.stdout if line.startswith("at "))
            address = line.split()[1]
            command = [sys.executable, "-m", "cryoctl", "hil", "own", "--rig", address]
            with subprocess.Popen([*command, "--out", "out"], cwd=tmp_path, text=True) as running:
                wait_for(tmp_path / "waits", running)
                running.send_signal(signal.SIGINT)
                running.wait(60.0)
        finally:
            served.terminate()

    assert running.returncode == 130
    (test,) = evidence_in(tmp_path / "out").tests
    assert test.step == "the freeze goes on"
    recording = load_recording(tmp_path / "out" / test.recording)
    assert recording.complete
    telemetry = recording.telemetry
    assert telemetry["valve"].max() > 0.0
    assert (telemetry["valve"][-1], telemetry["shutoff_open"][-1]) == (0.0, 0)
    assert (tmp_path / "out" / "report.html").exists()


def test_a_retest_keeps_what_was_before_and_says_so(tmp_path: Path) -> None:
    tests = write_suite(tmp_path, FAILING)
    cryoctl("hil", "own", "--out", "out", cwd=tmp_path)

    only_open = cryoctl("hil", "own", "--resume", "out", cwd=tmp_path)
    again = cryoctl("hil", "own", "--resume", "out", "--retest", cwd=tmp_path)

    assert only_open.returncode == 1
    assert again.returncode == 1
    (failed, passed) = evidence_in(tmp_path / "out").tests
    assert (failed.tries, passed.tries) == (2, 1)
    assert failed.earlier[0].recording != failed.recording
    assert "test_own::test_fails was run 2 times; before: FAIL" in again.stdout
    assert cryoctl("evidence", "verify", "out", cwd=tmp_path).returncode == 0

    (tests / "test_own.py").write_text(FAILING + "\n# changed\n", "utf-8")
    other = cryoctl("hil", "own", "--resume", "out", cwd=tmp_path)

    assert other.returncode == 2
    assert "suite_sha256 is not that of this run" in other.stderr


# -- the bench plan ---


def test_the_plan_is_measured_and_keeps_to_a_budget(tmp_path: Path) -> None:
    write_suite(tmp_path)

    unknown = cryoctl("hil", "own", "--gas-budget", "5", "--out", "none", cwd=tmp_path)
    assert set(verdicts(tmp_path / "none").values()) == {"NOT RUN"}
    assert unknown.returncode == 1

    assert cryoctl("hil", "plan", "own", cwd=tmp_path).returncode == 0
    listed = cryoctl("hil", "own", "--list", "--json", cwd=tmp_path)
    rows = {row["test"].partition("::")[2]: row for row in json.loads(listed.stdout)}
    assert rows["test_rest"]["gas_g"] == 0.0
    assert rows["test_open_thermocouple"]["freezes"] == 1
    assert rows["test_open_thermocouple"]["gas_g"] > 0.0
    assert rows["test_by_hand"]["operator_steps"] == ["warm the tip in water"]
    assert rows["test_by_hand"]["minutes"] is None
    assert not (tmp_path / "runs").exists()

    cryoctl("hil", "own", "--dry", "--out", "dry", cwd=tmp_path)
    assert verdicts(tmp_path / "dry") == {
        "test_rest": "PASS",
        "test_open_thermocouple": "NOT RUN",
        "test_leak": "NOT RUN",
        "test_by_hand": "NOT RUN",
    }

    cryoctl("hil", "own", "--gas-budget", "0", "--out", "budget", cwd=tmp_path)
    frozen = evidence_in(tmp_path / "budget").tests[1]
    assert frozen.why.startswith("gas budget: 0.0 g of 0 g are used, and it needs about")
    assert verdicts(tmp_path / "budget")["test_rest"] == "PASS"


# -- by hand ---


def test_an_operator_is_asked_and_an_unattended_run_asks_nobody(tmp_path: Path) -> None:
    write_suite(tmp_path)
    rig = write_rig(tmp_path, "operator = true")
    chosen = ("hil", "own", "--rig", rig, "-k", "by_hand", "--out")

    asked = cryoctl(*chosen, "asked", cwd=tmp_path, text="\n")
    refused = cryoctl(*chosen, "refused", cwd=tmp_path, text="no\n")
    alone = cryoctl(*chosen, "alone", "--unattended", cwd=tmp_path)

    assert asked.returncode == 0, asked.stderr
    assert ">> warm the tip in water" in asked.stderr
    assert evidence_in(tmp_path / "asked").tests[0].operator_steps == ("warm the tip in water",)
    assert refused.returncode == 1
    assert evidence_in(tmp_path / "refused").tests[0].why == (
        "the operator did not: warm the tip in water"
    )
    assert evidence_in(tmp_path / "alone").tests[0].why == (
        "needs somebody by: warm the tip in water"
    )
    assert alone.returncode == 1
    assert cryoctl("evidence", "verify", "asked", cwd=tmp_path).returncode == 0
