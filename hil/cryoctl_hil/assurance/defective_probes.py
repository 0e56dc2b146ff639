"""Whether the suite catches every defective probe, and passes the healthy one.

A trial is one run of the whole suite on one probe in virtual time, in a process of its own, until
the first test fails. Which test that was, and by which measurement, is kept and makes a page.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Final

from cryoctl_hil.assurance.crew import share_out
from cryoctl_hil.assurance.program import Measure, Outcome, Say
from cryoctl_hil.defects.catalogue import DEFECTS
from cryoctl_hil.defects.defect import Kind
from cryoctl_hil.defects.trial import Task, Trial, run_task, told
from cryoctl_hil.evidence.suite import shipped_suite

DEFECTS_MIN: Final = 60
SEEDS: Final = 20


def tasks(suite: Path, scale: float) -> list[Task]:
    """Return what is to be tried; a scale under 1 takes evenly spread defects and fewer seeds."""
    chosen = list(DEFECTS)[:: max(1, round(1.0 / scale))]
    seeds = range(1, max(1, round(SEEDS * min(1.0, scale))) + 1)
    return [
        *(Task(suite, defect) for defect in chosen),
        *(Task(suite, seed=seed) for seed in seeds),
        Task(suite, healthy_rig=Kind.C),
    ]


def run(scale: float, say: Say) -> Outcome:
    """Try the defective probes, then the healthy ones."""
    defective: list[Trial] = []
    healthy: list[Trial] = []
    for trial in share_out(run_task, tasks(shipped_suite(), scale)):
        (defective if trial.defect else healthy).append(trial)
        say(told(trial))
    return outcome(defective, healthy, scale)


def outcome(defective: list[Trial], healthy: list[Trial], scale: float) -> Outcome:
    """Return what all trials come to: a defect that no test caught is a failure."""
    caught = [trial for trial in defective if trial.caught_by]
    passed = [trial for trial in healthy if trial.is_clean]
    asked = round(DEFECTS_MIN * min(1.0, scale))
    failures = [told(trial) for trial in defective if not trial.caught_by]
    failures += [told(trial) for trial in healthy if not trial.is_clean]
    return Outcome(
        [
            Measure(
                "defective probes that the suite catches", f"all, >= {asked}",
                f"{len(caught)} of {len(defective)}",
                len(caught) == len(defective) >= asked, (), float(len(caught)), float(asked),
            ),
            Measure(
                "healthy probes that the suite passes", f"{len(healthy)} of {len(healthy)}",
                f"{len(passed)} of {len(healthy)}", len(passed) == len(healthy), (),
                float(len(passed)), float(len(healthy)),
            ),
        ],
        {
            "defective": [asdict(trial) for trial in defective],
            "healthy": [asdict(trial) for trial in healthy],
        },
        failures,
    )  # fmt: skip
