"""Runs a suite on one probe, and says which test caught its defect, and by what."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest

from cryoctl.clock import monotonic_s
from cryoctl_hil.defects.catalogue import DEFECTS
from cryoctl_hil.defects.defect import Kind
from cryoctl_hil.evidence.measurement import Verdict
from cryoctl_hil.evidence.record import Evidence, TestRecord
from cryoctl_hil.evidence.suite import run_suite

RIG: Final = "the rig"
"""Catches what is seen before a test can begin, or when a probe cannot be left safe."""
_IDENTITY: Final = "SR-28"
"""Nothing is commanded before the probe is found to be the one that belongs here: a run that ends
sooner has caught what violates this, and proves nothing of other defects."""
_OF_THE_SUITE: Final = ("StalledError", "UnsafeProbeError", "LinkError", "LinkGoneError")
_RAISED: Final = re.compile(r"(?:\w+\.)*(\w*(?:Error|Exception|Warning|Interrupt))\b")


@dataclass(frozen=True, slots=True)
class Trial:
    """What one run of a suite on one probe came to.

    Attributes:
        defect: Its id; empty for a healthy probe.
        seed: Of simulated noise.
        caught_by: The test that failed first, or ``RIG``; empty if none did.
        measurement: What of it failed; empty if a wait or a demand of the test did.
        why: In the words of the evidence.
        passed: How many tests passed, until then.
        broken: Why the trial proves nothing: the suite itself failed.
        seconds: It took.
        suite_sha256: Over the suite's files.
    """

    defect: str
    rig: str
    seed: int
    caught_by: str = ""
    measurement: str = ""
    why: str = ""
    passed: int = 0
    not_run: int = 0
    broken: str = ""
    seconds: float = 0.0
    suite_sha256: str = ""

    @property
    def is_clean(self) -> bool:
        """True if tests passed and none failed."""
        return bool(self.passed) and not self.caught_by and not self.broken


@dataclass(frozen=True, slots=True)
class Task:
    """One trial that is to be made: a defect on the rig that has it, or a healthy probe."""

    suite: Path
    defect: str = ""
    seed: int = 1
    healthy_rig: str = Kind.MODEL

    @property
    def rig(self) -> str:
        """Where it is made."""
        return str(DEFECTS[self.defect].kind if self.defect else self.healthy_rig)


def told(trial: Trial) -> str:
    """Return one line on a trial."""
    who = trial.defect or f"healthy {trial.rig}, seed {trial.seed}"
    if trial.broken:
        return f"{who}: proves nothing: {trial.broken}"
    if not trial.caught_by:
        return f"{who}: {trial.passed} tests passed, none failed ({trial.seconds:g} s)"
    by = f"{trial.caught_by}: {trial.measurement}".removesuffix(": ")
    return f"{who}: caught by {by}: {trial.why} ({trial.seconds:g} s)"


def run_task(task: Task) -> Trial:
    """Run the suite on the probe of ``task``; a defective one until the first test fails."""
    began_s = monotonic_s()
    defect = DEFECTS.get(task.defect)
    order = _Order(() if defect is None else defect.requirements)
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder, "out"))
        options = ["--rig", task.rig, "--rig-seed", str(task.seed), "--rig-out", out]
        if defect is None:
            ended = run_suite(task.suite, options, lines.append)
        else:
            with defect.present():
                ended = run_suite(task.suite, [*options, "-x"], lines.append, order)
    trial = _judge(task, ended.evidence, "; ".join(lines[-3:]))
    return replace(trial, seconds=round(monotonic_s() - began_s, 1))


class _Order:
    """Has the tests of some requirements run first, those of the first requirement before all."""

    def __init__(self, requirements: Sequence[str]) -> None:
        self._wanted = requirements

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Sort, and keep the order otherwise."""
        items.sort(key=self._place)

    def _place(self, item: pytest.Item) -> int:
        named = {mark.args[0] for mark in item.iter_markers("requirement")}
        places = (place for place, wanted in enumerate(self._wanted) if wanted in named)
        return next(places, len(self._wanted))


# -- what it came to ---


def _judge(task: Task, evidence: Evidence | None, said: str) -> Trial:
    if evidence is None:
        return Trial(task.defect, task.rig, task.seed, broken=f"the suite did not begin: {said}")
    counts = evidence.counts()
    trial = Trial(
        task.defect,
        task.rig,
        task.seed,
        passed=counts[Verdict.PASS],
        not_run=counts[Verdict.NOT_RUN],
        suite_sha256=evidence.suite_sha256,
    )
    failed = next((test for test in evidence.tests if test.verdict is Verdict.FAIL), None)
    if failed is not None:
        return replace(trial, **_catch(failed))
    if evidence.unsafe:
        return replace(trial, caught_by=RIG, why=evidence.unsafe)
    if evidence.broken_off:
        if task.defect and _IDENTITY in DEFECTS[task.defect].requirements:
            return replace(trial, caught_by=RIG, why=evidence.broken_off)
        return replace(trial, broken=evidence.broken_off)
    if not trial.passed:
        return replace(trial, broken=f"no test passed: {said}")
    return trial


def _catch(test: TestRecord) -> dict[str, Any]:
    """Return by what a test failed; an error of its own catches nothing."""
    for measurement in test.measurements:
        if measurement.verdict is Verdict.FAIL:
            return {
                "caught_by": test.id,
                "measurement": measurement.name,
                "why": measurement.why,
            }
    raised = _RAISED.match(test.why)
    if raised is not None and raised[1] not in _OF_THE_SUITE:
        return {"broken": f"{test.id}: {test.why}"}
    return {"caught_by": test.id, "why": test.why.splitlines()[0] if test.why else ""}
