"""Whether the suite tells healthy probes from defective ones on this very machine."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from cryoctl import __version__
from cryoctl.clock import utc_now
from cryoctl_hil.assurance.crew import share_out
from cryoctl_hil.assurance.program import Say
from cryoctl_hil.defects.catalogue import DEFECTS
from cryoctl_hil.defects.defect import Kind
from cryoctl_hil.defects.page import IN
from cryoctl_hil.defects.trial import Task, Trial, run_task, told
from cryoctl_hil.evidence.suite import shipped_suite
from cryoctl_hil.figures_page import Line, Table, figures_page
from cryoctl_hil.tree_commit import tree_commit
from cryoctl_simulator.firmware import FirmwareError
from cryoctl_simulator.firmware_compiler import find_compiler

SEEDS: Final = 3
_PACKAGES: Final = ("numpy", "pydantic", "pytest", "mcap", "click")
_NOTICE: Final = (
    "This page says that the suite told sound from defective simulated probes on the machine named "
    "below. It says nothing about a probe on a bench."
)


@dataclass(frozen=True, slots=True)
class Qualification:
    """What a run on this machine came to.

    Attributes:
        about: Versions and machine, in words.
        left_out: What was not tried, and why.
    """

    about: dict[str, str]
    healthy: list[Trial]
    defective: list[Trial]
    left_out: list[str]

    @property
    def passed(self) -> bool:
        """True if every healthy probe passed and every defective one was caught."""
        fine = all(trial.is_clean for trial in self.healthy)
        caught = all(trial.caught_by and not trial.broken for trial in self.defective)
        return bool(self.healthy and self.defective) and fine and caught

    @property
    def verdict(self) -> str:
        """In one line."""
        caught = sum(bool(trial.caught_by) for trial in self.defective)
        passed = sum(trial.is_clean for trial in self.healthy)
        return (
            f"{'QUALIFIED' if self.passed else 'NOT QUALIFIED'}: {caught} of "
            f"{len(self.defective)} defective probes caught, {passed} of {len(self.healthy)} "
            "healthy ones passed"
        )


def qualify(only: Sequence[str], say: Say) -> Qualification:
    """Run the suite on healthy probes, then on the defective ones, or on those named."""
    suite = shipped_suite()
    left_out = [f"{len(DEFECTS) - len(only)} defective probes: not asked for"] if only else []
    chosen = list(only or DEFECTS)
    healthy = [Task(suite, seed=seed) for seed in range(1, SEEDS + 1)]
    try:
        find_compiler()
    except FirmwareError as error:
        compiled = [name for name in chosen if DEFECTS[name].kind is Kind.C]
        chosen = [name for name in chosen if name not in compiled]
        left_out.append(f"the C firmware, and {len(compiled)} defective probes of it: {error}")
    else:
        healthy.append(Task(suite, healthy_rig=Kind.C))
    trials = []
    for trial in share_out(run_task, [*healthy, *(Task(suite, name) for name in chosen)]):
        say(told(trial))
        trials.append(trial)
    about = {"suite": f"{suite.name}, sha256 {trials[0].suite_sha256 or 'unknown'}", **_about()}
    sound, defective = trials[: len(healthy)], trials[len(healthy) :]
    return Qualification(about, sound, defective, left_out)


def _about() -> dict[str, str]:
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return {
        "cryoctl": f"{__version__} {tree_commit()}".strip(),
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": packages,
        "machine": f"{platform.platform()}, {platform.machine()}, {os.cpu_count()} cores",
        "run on": utc_now().isoformat(timespec="seconds"),
    }


def as_json(found: Qualification) -> str:
    """Return the whole of it."""
    kept: dict[str, Any] = {
        "schema_version": 1,
        "passed": found.passed,
        "verdict": found.verdict,
        "about": found.about,
        "left_out": found.left_out,
        "healthy": [asdict(trial) for trial in found.healthy],
        "defective": [
            {
                **asdict(trial),
                "text": DEFECTS[trial.defect].text,
                "requirements": DEFECTS[trial.defect].requirements,
            }
            for trial in found.defective
        ],
    }
    return json.dumps(kept, indent=1, ensure_ascii=False) + "\n"


def render_page(found: Qualification) -> str:
    """Return the page for whoever signs it."""
    about = [Line((name, text)) for name, text in found.about.items()]
    about += [Line(("left out", text)) for text in found.left_out]
    tables = [
        Table("What was run, and where", ("", ""), about),
        Table(
            "Healthy probes: every test has to pass, or say why it was not run",
            ("rig", "seed", "passed", "not run", "failed", ""),
            [_healthy(trial) for trial in found.healthy],
        ),
        Table(
            "Defective probes: the suite has to fail",
            ("probe", "what is wrong with it", "in", "violates", "caught by", "what it saw", ""),
            [_defective(trial) for trial in found.defective],
        ),
    ]
    return figures_page(
        "Tool qualification", f"{found.verdict}.", tables, passed=found.passed, notice=_NOTICE
    )


def _healthy(trial: Trial) -> Line:
    failed = trial.broken or f"{trial.caught_by} {trial.why}".strip()
    counts = (str(trial.passed), str(trial.not_run))
    mark = "ok" if trial.is_clean else "NO"
    return Line((trial.rig, str(trial.seed), *counts, failed, mark), trial.is_clean)


def _defective(trial: Trial) -> Line:
    defect = DEFECTS[trial.defect]
    saw = trial.broken or f"{trial.measurement}: {trial.why}".removeprefix(": ")
    is_caught = bool(trial.caught_by) and not trial.broken
    cells = (defect.id, defect.text, IN[defect.kind], ", ".join(defect.requirements))
    by = trial.caught_by or "nothing"
    return Line((*cells, by, saw, "caught" if is_caught else "NOT"), is_caught)


def write(found: Qualification, folder: Path) -> tuple[Path, Path]:
    """Write page and JSON into ``folder``; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    page, data = folder / "qualification.html", folder / "qualification.json"
    page.write_text(render_page(found), encoding="utf-8")
    data.write_text(as_json(found), encoding="utf-8")
    return page, data
