"""Qualification says what was run, and is passed only if every defect was caught."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cryoctl.cli import invoke
from cryoctl_hil.defects import qualification
from cryoctl_hil.defects.catalogue import DEFECTS
from cryoctl_hil.defects.defect import Kind
from cryoctl_hil.defects.qualification import qualify, render_page
from cryoctl_hil.defects.trial import Task, Trial
from cryoctl_simulator.firmware import FirmwareError


class Crew:
    """Tells what the trials came to without making them."""

    def __init__(self) -> None:
        self.missed: set[str] = set()
        self.failing_seeds: set[int] = set()
        self.asked: list[Task] = []

    def share_out(self, _do: Any, tasks: Iterable[Task]) -> Iterator[Trial]:
        self.asked = list(tasks)
        return map(self._trial, self.asked)

    def _trial(self, task: Task) -> Trial:
        trial = Trial(task.defect, task.rig, task.seed, passed=40, suite_sha256="abc")
        if task.defect and task.defect not in self.missed:
            return replace(trial, caught_by="test_it::test_a", measurement="time", why="0.3 s")
        if not task.defect and task.seed in self.failing_seeds:
            return replace(trial, caught_by="test_it::test_b", why="too slow")
        return trial


@pytest.fixture
def crew(monkeypatch: pytest.MonkeyPatch) -> Crew:
    made = Crew()
    monkeypatch.setattr(qualification, "share_out", made.share_out)
    return made


def test_every_defective_probe_and_some_healthy_ones_are_tried(crew: Crew) -> None:
    found = qualify((), lambda _: None)

    assert found.passed
    assert {task.defect for task in crew.asked} == {"", *DEFECTS}
    assert [task.rig for task in crew.asked if not task.defect] == ["sim"] * 3 + ["firmware:native"]
    assert found.verdict == (
        f"QUALIFIED: {len(DEFECTS)} of {len(DEFECTS)} defective probes caught, 4 of 4 healthy ones "
        "passed"
    )


def test_one_that_is_not_caught_or_a_healthy_one_that_fails_is_no_pass(crew: Crew) -> None:
    crew.missed = {"no-floor"}
    assert not qualify((), lambda _: None).passed

    crew.missed, crew.failing_seeds = set(), {2}
    assert not qualify((), lambda _: None).passed


def test_without_a_compiler_the_c_firmware_is_left_out_and_that_is_said(
    crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> list[str]:
        raise FirmwareError("install one that is called 'cc'")

    monkeypatch.setattr(qualification, "find_compiler", missing)

    found = qualify((), lambda _: None)

    assert {task.rig for task in crew.asked} == {str(Kind.MODEL)}
    assert "install one that is called &#39;cc&#39;" in render_page(found)


@pytest.mark.usefixtures("crew")
def test_the_page_names_machine_versions_suite_and_who_caught_what() -> None:
    page = render_page(qualify(("no-floor",), lambda _: None))

    for text in ("no interlock at the floor of the tip", "SR-05", "test_it::test_a", "time: 0.3 s"):
        assert text in page
    for text in ("sha256 abc", "numpy ", "cores", "not asked for"):
        assert text in page
    assert "http" not in page.replace("http-equiv", "")


def test_the_command_writes_page_and_json_and_exits_by_the_verdict(
    crew: Crew, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["qualify", "--out", str(tmp_path)]) == 0
    kept = json.loads((tmp_path / "qualification.json").read_text("utf-8"))
    assert (kept["passed"], len(kept["defective"])) == (True, len(DEFECTS))

    crew.missed = {"no-floor"}
    assert invoke(["qualify", "--out", str(tmp_path)]) == 1
    assert "NOT QUALIFIED" in capsys.readouterr().out
    assert "✗" in (tmp_path / "qualification.html").read_text("utf-8")


@pytest.mark.usefixtures("crew")
def test_an_unknown_probe_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["qualify", "--only", "no-such"]) == 2
    assert "no defective probe 'no-such'" in capsys.readouterr().err
