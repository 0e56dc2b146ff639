"""Mutation of the safety core: does anything notice a small fault in it?

Three oracles look and are told apart. *Claims* are the tests that run the changed lines; every
mutant meets them. *Invariants* are the search of reachable states and what each layer of interlocks
claims to do alone: never unsafe. The *golden trace* is one whole treatment: still treats. These two
take seconds a mutant; they see a fixed share of all mutants, and every one that the claims let
live.

Own code, since tables and constants hold half of a safety core, and since tests are chosen by what
they cover: most mutants die within milliseconds in a fork of a prepared process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from importlib.resources import files
from queue import Queue
from typing import Any, Final

from cryoctl_hil.assurance.covered_tests import CoveredTests, run_covered_tests
from cryoctl_hil.assurance.mutant_worker import SURVIVED, Job
from cryoctl_hil.assurance.mutation import Mutant, mutants
from cryoctl_hil.assurance.program import Measure, Outcome, Say
from cryoctl_hil.assurance.safety_core import ROOT, SAFETY_CORE, CoreModule

MUTANTS_MIN: Final = 600
ORACLE_SHARE: Final = 0.1
"""Of the mutants, which the oracles beside the claims see whatever becomes of them."""
_SAID_EVERY: Final = 100
_QUICK_TESTS: Final = 50


@dataclass(slots=True)
class Fate:
    """What became of one mutant.

    Attributes:
        verdicts: By oracle; those that were not asked are not there.
        reason: Why it may live, if somebody has argued it.
    """

    module: CoreModule
    mutant: Mutant
    verdicts: dict[str, str] = field(default_factory=dict)
    reason: str = ""

    @property
    def lives(self) -> bool:
        """True if no oracle has noticed it."""
        return all(verdict == SURVIVED for verdict in self.verdicts.values())


class _Process:
    """A process that answers one job at a time."""

    def __init__(self, module: str) -> None:
        self._process = subprocess.Popen(  # noqa: S603 (our own interpreter)
            [sys.executable, "-m", f"cryoctl_hil.assurance.{module}"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ask(self, job: Job) -> str:
        """Return the verdict."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(job)) + "\n")
        self._process.stdin.flush()
        verdict: str = json.loads(self._process.stdout.readline())["verdict"]
        return verdict

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


class _Worker:
    """A prepared process, and one that imports each mutant anew."""

    def __init__(self) -> None:
        self._prepared = _Process("mutant_session")
        self._anew = _Process("mutant_worker")

    def ask(self, job: Job) -> str:
        """Return the verdict; a mutant that lives in the prepared process is asked about again."""
        verdict = self._prepared.ask(job)
        if verdict != SURVIVED or job.oracle != "claims":
            return verdict
        return self._anew.ask(job)

    def close(self) -> None:
        """End both."""
        self._prepared.close()
        self._anew.close()


def run(scale: float, say: Say) -> Outcome:
    """Make a share ``scale`` of all mutants, and find out which live."""
    covered = run_covered_tests()
    chosen = [fate for fate in _all_fates() if _is_chosen(fate, scale)]
    say(f"{len(chosen)} mutants, {len(covered.tests)} tests")
    _judge_all(chosen, covered, say)
    argued = load_argued()
    for fate in chosen:
        fate.reason = argued.get((fate.module.name, fate.mutant.id), "")
    return _outcome(chosen, scale)


def load_argued() -> dict[tuple[str, str], str]:
    """Return the reasons for which mutants may live, by module and mutant."""
    text = files("cryoctl_hil.assurance").joinpath("mutants_argued.toml").read_text("utf-8")
    return {(row["module"], row["mutant"]): row["reason"] for row in tomllib.loads(text)["argued"]}


def _all_fates() -> Iterator[Fate]:
    for module in SAFETY_CORE:
        source = (ROOT / module.path).read_text("utf-8")
        for mutant in mutants(source):
            yield Fate(module, mutant)


def _is_chosen(fate: Fate, share: float, salt: str = "") -> bool:
    """Return True for a share of the mutants, the same ones in every run."""
    digest = sha256(f"{salt}{fate.module.name} {fate.mutant.number}".encode()).digest()
    return int.from_bytes(digest[:4], "big") < share * 2**32


def _judge_all(fates: list[Fate], covered: CoveredTests, say: Say) -> None:
    count = os.cpu_count() or 1
    idle: Queue[_Worker] = Queue()
    workers = [_Worker() for _ in range(count)]
    for worker in workers:
        idle.put(worker)
    done = 0

    def judge(fate: Fate) -> None:
        nonlocal done
        worker = idle.get()
        try:
            _judge(fate, covered, worker)
        finally:
            idle.put(worker)
        done += 1
        if done % _SAID_EVERY == 0:
            say(f"{done} of {len(fates)}")

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(judge, fates))
    for worker in workers:
        worker.close()


def _judge(fate: Fate, covered: CoveredTests, worker: _Worker) -> None:
    module, mutant = fate.module, fate.mutant
    path = str(ROOT / module.path)
    fate.verdicts["claims"] = SURVIVED
    tests = _tests_of(fate, covered)
    # Most mutants die at once, of tests that take a millisecond and are quick to collect.
    for some in (tests[:_QUICK_TESTS], tests[_QUICK_TESTS:]):
        if some and fate.lives:
            files = sorted({test.partition("::")[0] for test in some})
            job = Job(
                module.name, path, mutant.number, "claims", module.side, tuple(files), tuple(some)
            )
            fate.verdicts["claims"] = worker.ask(job)
    if not fate.lives and not _is_chosen(fate, ORACLE_SHARE, "oracles"):
        return
    for oracle in ("invariants", "golden"):
        job = Job(module.name, path, mutant.number, oracle, module.side)
        fate.verdicts[oracle] = worker.ask(job)


def _tests_of(fate: Fate, covered: CoveredTests) -> list[str]:
    """Return the tests that may notice a mutant, the likeliest first and of these the quickest."""
    module, mutant = fate.module, fate.mutant
    if mutant.where != "module":
        lines = set(range(mutant.line, mutant.end_line + 1))
    else:
        name = mutant.statement.partition(":")[0].partition("=")[0].strip()
        text = (ROOT / module.path).read_text("utf-8").splitlines()
        lines = {number for number, line in enumerate(text, start=1) if name in line}
    nearest = covered.of_lines(module.path, lines)
    chosen = sorted(nearest, key=lambda test: covered.tests[test])
    if mutant.where == "module" or not nearest:
        # Made at import, by no test of its own: a test that reads a table runs no line of it.
        others = set(covered.tests) - set(nearest)
        chosen += sorted(others, key=lambda test: covered.tests[test])
    return chosen


def _outcome(fates: list[Fate], scale: float) -> Outcome:
    alive = [fate for fate in fates if fate.lives]
    unexplained = [fate for fate in alive if not fate.reason]
    told = [_told(fate) for fate in alive]
    asked = MUTANTS_MIN * min(scale, 1.0)
    return Outcome(
        measures=[
            Measure(
                "mutants of the safety core",
                f">= {asked:g}",
                str(len(fates)),
                len(fates) >= asked,
                value=len(fates),
                bound=asked,
            ),
            Measure(
                "mutants that live, not argued", "0", str(len(unexplained)), not unexplained,
                value=len(unexplained), bound=0,
            ),
            Measure("mutants that live, argued one by one", "", str(len(alive) - len(unexplained)),
                    ok=True),
            Measure("mutants killed by claims", "", _killed("claims", fates), ok=True),
            Measure("mutants killed by invariants (never unsafe)", "",
                    _killed("invariants", fates), ok=True),
            Measure("mutants killed by the golden trace (still treats)", "",
                    _killed("golden", fates), ok=True),
        ],
        details={
            "by_module": _by_module(fates),
            "alive": told,
        },
        failures=[f"{row['module']}:{row['line']}: {row['mutant']}" for row in told
                  if not row["reason"]],
    )  # fmt: skip


def _killed(oracle: str, fates: list[Fate]) -> str:
    verdicts = [fate.verdicts[oracle] for fate in fates if oracle in fate.verdicts]
    return f"{sum(verdict != SURVIVED for verdict in verdicts)} of {len(verdicts)} that it saw"


def _told(fate: Fate) -> dict[str, Any]:
    return {
        "module": fate.module.name,
        "line": fate.mutant.line,
        "mutant": fate.mutant.id,
        "reason": fate.reason,
    }


def _by_module(fates: list[Fate]) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = {}
    for fate in fates:
        counts = found.setdefault(fate.module.name, Counter())
        counts["mutants"] += 1
        counts["alive"] += fate.lives
        counts["argued"] += bool(fate.lives and fate.reason)
        for oracle, verdict in fate.verdicts.items():
            counts[oracle] += verdict != SURVIVED
    return {name: dict(counts) for name, counts in found.items()}
