"""Defective probes: each is one, is taken back, and the suite catches it. All of them:
`cryoctl assure defects`.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cryoctl.requirement_registry import own_registry
from cryoctl_hil.assurance.crew import share_out
from cryoctl_hil.assurance.defective_probes import outcome, tasks
from cryoctl_hil.assurance.program import PROGRAMS
from cryoctl_hil.defects.catalogue import DEFECTS
from cryoctl_hil.defects.defect import Defect, Kind, constant
from cryoctl_hil.defects.of_c import Sources
from cryoctl_hil.defects.page import KEPT, PAGE, ROOT, kept_outcome, page
from cryoctl_hil.defects.trial import Task, Trial, _judge, run_task, told
from cryoctl_hil.evidence.measurement import Given, Limit, Measurement, Verdict
from cryoctl_hil.evidence.record import Evidence, TestRecord
from cryoctl_hil.evidence.suite import shipped_suite
from cryoctl_protocol import device_session
from cryoctl_protocol.peer import DeviceUrl, open_device
from cryoctl_simulator import (
    device,
    firmware_checks,
    firmware_commands,
    firmware_control,
    firmware_drive,
    firmware_model,
    firmware_safety,
)
from cryoctl_simulator.firmware_compiler import source_folders

SHARE = (
    "floor-2c-low", "no-stop", "clear-at-once", "clears-itself", "arm-untested", "thaw-ends-cold",
    "counter-unchecked", "no-lease", "battery-in-cv", "heater-60s", "freeze-time-untold",
    "profile-hash", "c-no-floor",
)  # fmt: skip
OF_MODEL = [each for each in DEFECTS.values() if each.kind is Kind.MODEL]
OF_C = [each for each in DEFECTS.values() if each.kind is Kind.C]
CHANGED: tuple[ModuleType, ...] = (
    device, device_session, firmware_checks, firmware_commands, firmware_control, firmware_drive,
    firmware_model, firmware_safety,
)  # fmt: skip


def of_device() -> dict[str, Any]:
    """Return every function and constant that a defect may replace."""
    found: dict[str, Any] = {}
    for module in CHANGED:
        for name, value in vars(module).items():
            found[f"{module.__name__}.{name}"] = value
            if inspect.isclass(value) and value.__module__ == module.__name__:
                found |= {f"{name}.{own}": each for own, each in vars(value).items()}
    return found


def test_there_are_more_than_sixty_of_them_and_fifteen_in_c() -> None:
    assert len(OF_MODEL) >= 50
    assert len(OF_C) >= 15
    assert len(DEFECTS) >= 65


@pytest.mark.parametrize("each", DEFECTS.values(), ids=lambda each: each.id)
def test_each_violates_a_requirement_that_there_is(each: Defect) -> None:
    assert each.requirements
    assert set(each.requirements) <= set(own_registry().requirements)


@pytest.mark.parametrize("each", OF_MODEL, ids=lambda each: each.id)
def test_each_changes_the_device_and_takes_it_back(each: Defect) -> None:
    before = of_device()

    with each.present():
        during = of_device()

    after = of_device()
    assert [name for name in before if before[name] is not during[name]]
    assert [name for name in before if before[name] is not after[name]] == []


@pytest.mark.parametrize("each", OF_C, ids=lambda each: each.id)
def test_each_c_defect_changes_one_place_of_a_source(each: Defect) -> None:
    [change] = each.changes

    assert isinstance(change, Sources)
    for name, old, new in change.texts:
        texts = [
            path.read_text("utf-8")
            for path in (f / name for f in source_folders())
            if path.exists()
        ]
        assert [text.count(old) for text in texts] == [1]
        assert old != new


def test_a_constant_that_the_device_does_not_have_is_told() -> None:
    with pytest.raises(AssertionError, match="the device has no constant NO_SUCH_MS"):
        constant("NO_SUCH_MS", 1)().__enter__()


@pytest.mark.parametrize("name", ["defect=no-floor", "firmware=no-floor"])
def test_no_address_opens_a_defective_probe(name: str) -> None:
    with pytest.raises(Exception, match="unknown"):
        open_device(DeviceUrl.parse(f"sim:?{name}"))


@pytest.mark.timeout(600)
def test_the_suite_catches_a_share_of_them() -> None:
    suite = shipped_suite()

    trials = list(share_out(run_task, [Task(suite, name) for name in SHARE], 2))

    assert [told(trial) for trial in trials if not trial.caught_by] == []


# -- what counts as caught ---


def evidence(*tests: TestRecord, broken_off: str = "", unsafe: str = "") -> Evidence:
    return Evidence(
        cryoctl="0", python="3", platform="here", started_utc="now", rig="sim", rig_text="",
        device="sim:", seed=1, tests=tests, broken_off=broken_off, unsafe=unsafe,
    )  # fmt: skip


def record(verdict: Verdict, why: str = "", *measurements: Measurement) -> TestRecord:
    return TestRecord(
        id="test_it::test_a", title="", requirements=(), verdict=verdict, why=why,
        measurements=measurements,
    )  # fmt: skip


def judged(given: Evidence | None, name: str = "no-floor") -> Trial:
    return _judge(Task(Path("suite"), name), given, "last words")


def test_a_measurement_beyond_its_limit_is_what_caught_it() -> None:
    late = Measurement(
        name="seen to shut", what=Given(value=0.3), limit=Limit(at_most=0.1), value=0.3,
        verdict=Verdict.FAIL, why="0.3 s is above 0.1",
    )  # fmt: skip

    trial = judged(evidence(record(Verdict.FAIL, "seen to shut: 0.3 s", late)))

    assert (trial.caught_by, trial.measurement) == ("test_it::test_a", "seen to shut")
    assert trial.why == "0.3 s is above 0.1"


def test_a_wait_in_vain_and_a_demand_catch_it_too() -> None:
    stalled = "cryoctl_hil.rigs.probe.StalledError: not within 5 s: state FAULT"

    for why in (stalled, "assert 1 == 2", "FREEZE refused: PRESSURE"):
        trial = judged(evidence(record(Verdict.FAIL, why)))
        assert (trial.caught_by, trial.broken) == ("test_it::test_a", "")


@pytest.mark.parametrize("why", ["KeyError: 'tip'", "cryoctl.recording.RecordingError: torn"])
def test_an_error_of_a_test_itself_catches_nothing(why: str) -> None:
    trial = judged(evidence(record(Verdict.FAIL, why)))

    assert (trial.caught_by, trial.broken) == ("", f"test_it::test_a: {why}")


def test_a_rig_that_refuses_the_probe_has_caught_another_identity_and_nothing_else() -> None:
    refused = evidence(broken_off="the probe's profile is another")

    assert judged(refused, "profile-hash").caught_by == "the rig"
    assert judged(refused).caught_by == ""
    assert judged(refused).broken == "the probe's profile is another"


def test_a_probe_that_cannot_be_seen_safe_is_caught() -> None:
    assert judged(evidence(unsafe="three STOPs")).caught_by == "the rig"


def test_a_suite_that_did_not_run_proves_nothing() -> None:
    assert "last words" in judged(None).broken
    assert "no test passed" in judged(evidence(record(Verdict.NOT_RUN))).broken


# -- the program and its page ---


def test_a_defect_that_nothing_catches_fails_the_program() -> None:
    caught = [Trial(name, "sim", 1, caught_by="test") for name in DEFECTS][1:]
    missed = Trial("floor-2c-low", "sim", 1, passed=9)
    sound = Trial("", "sim", 1, passed=9)

    assert outcome([*caught, Trial("floor-2c-low", "sim", 1, "test")], [sound], 1.0).ok
    bad = outcome([*caught, missed], [sound], 1.0)
    assert not bad.ok
    assert bad.failures == ["floor-2c-low: 9 tests passed, none failed (0 s)"]


def test_a_healthy_probe_that_fails_fails_the_program() -> None:
    caught = [Trial(name, "sim", 1, caught_by="test") for name in DEFECTS]
    failed = Trial("", "sim", 3, caught_by="test", passed=9)

    assert not outcome(caught, [failed], 1.0).ok


def test_at_scale_one_every_defect_and_twenty_seeds_are_tried() -> None:
    tried = tasks(Path("suite"), 1.0)

    assert {task.defect for task in tried} - {""} == set(DEFECTS)
    assert [task.seed for task in tried if not task.defect and task.rig == "sim"] == list(
        range(1, 21)
    )


def test_measures_are_those_that_the_program_promises() -> None:
    [program] = [program for program in PROGRAMS if program.name == "defects"]

    assert tuple(measure.name for measure in outcome([], [], 1.0).measures) == program.measures


def test_the_page_is_the_one_that_make_generated_writes() -> None:
    written = (ROOT / PAGE).read_text("utf-8")

    assert written == page(kept_outcome(ROOT)), f"{PAGE} is old: make generated"


def test_the_page_says_what_was_not_run_and_what_nothing_caught() -> None:
    trial = {"defect": "no-floor", "caught_by": "", "measurement": "", "passed": 3}
    details = {"defective": [trial], "healthy": []}
    text = page({"details": details, "date": "today", "commit": "abc", "scale": 0.1})

    assert "| SR-05 | **nothing** |" in text
    assert "| not run |" in text
    assert "0 of 1 caught" in text
    assert "has not been run" in page(None)
    assert str(KEPT) == "docs/assurance/defects.json"
