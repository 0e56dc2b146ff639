"""Mutation of the safety core: does anything notice a small fault in it?

Three oracles look at every mutant and are told apart. *Claims* are the tests that run the changed
lines. *Invariants* are those of the search of reachable states: never unsafe. The *golden trace* is
one whole treatment: still treats.

Why not mutmut or cosmic-ray: mutmut 3 leaves tables and constants of a module alone, which hold
half of a safety core, and wants the tests to import its copies; cosmic-ray starts pytest anew for
each mutant, without choosing tests by what they cover.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from importlib.resources import files
from queue import Queue
from typing import Any, Final

from cryoctl_hil.assurance.covered_tests import CoveredTests, run_covered_tests
from cryoctl_hil.assurance.mutant_worker import KILLED, SURVIVED, Job
from cryoctl_hil.assurance.mutation import Mutant, mutants
from cryoctl_hil.assurance.program import Measure, Outcome, Say
from cryoctl_hil.assurance.safety_core import ROOT, SAFETY_CORE, CoreModule

MUTANTS_MIN: Final = 600
_SAID_EVERY: Final = 100
_QUICK_TESTS: Final = 50


@dataclass(slots=True)
class Fate:
    """What became of one mutant.

    Attributes:
        verdicts: By oracle.
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


class _Worker:
    """A process that answers one job at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cryoctl_hil.assurance.mutant_worker"],
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


def _is_chosen(fate: Fate, scale: float) -> bool:
    """Return True for a share of the mutants, the same ones in every run."""
    digest = sha256(f"{fate.module.name} {fate.mutant.number}".encode()).digest()
    return int.from_bytes(digest[:4], "big") < scale * 2**32


def _judge_all(fates: list[Fate], covered: CoveredTests, say: Say) -> None:
    count = max(1, len(os.sched_getaffinity(0)))
    idle: Queue[_Worker] = Queue()
    workers = [_Worker() for _ in range(count)]
    for worker in workers:
        idle.put(worker)
    done = 0

    def judge(fate: Fate) -> None:
        nonlocal done
        worker = idle.get()
        try:
            for job in _jobs(fate, covered):
                if fate.verdicts.get(job.oracle, SURVIVED) == SURVIVED:
                    fate.verdicts[job.oracle] = worker.ask(job)
        finally:
            idle.put(worker)
        done += 1
        if done % _SAID_EVERY == 0:
            say(f"{done} of {len(fates)}")

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(judge, fates))
    for worker in workers:
        worker.close()


def _jobs(fate: Fate, covered: CoveredTests) -> Iterable[Job]:
    module, mutant = fate.module, fate.mutant
    tests = _tests_of(fate, covered)
    tests.sort(key=lambda test: covered.tests[test])
    path = str(ROOT / module.path)
    # Most mutants die at once, of tests that take a millisecond and are quick to collect.
    for some in (tests[:_QUICK_TESTS], tests[_QUICK_TESTS:]):
        if some:
            paths = sorted({test.partition("::")[0] for test in some})
            yield Job(
                module.name, path, mutant.number, "claims", module.side, tuple(paths), tuple(some)
            )
    for oracle in ("invariants", "golden"):
        yield Job(module.name, path, mutant.number, oracle, module.side)


def _tests_of(fate: Fate, covered: CoveredTests) -> list[str]:
    """Return the tests that run a mutant's lines, or those where its name is used."""
    module, mutant = fate.module, fate.mutant
    if mutant.where != "module":
        return covered.of_lines(module.path, set(range(mutant.line, mutant.end_line + 1)))
    # A constant or table is run at import, by no test of its own.
    name = mutant.statement.partition(":")[0].partition("=")[0].strip()
    lines = (ROOT / module.path).read_text("utf-8").splitlines()
    uses = {number for number, line in enumerate(lines, start=1) if name in line}
    return covered.of_lines(module.path, uses) or covered.of_lines(module.path, None)


def _outcome(fates: list[Fate], scale: float) -> Outcome:
    alive = [fate for fate in fates if fate.lives]
    unexplained = [fate for fate in alive if not fate.reason]
    by_oracle = {
        oracle: sum(fate.verdicts[oracle] != SURVIVED for fate in fates)
        for oracle in ("claims", "invariants", "golden")
    }
    told = [_told(fate) for fate in alive]
    enough = len(fates) >= MUTANTS_MIN * min(scale, 1.0)
    return Outcome(
        measures=[
            Measure(
                "mutants of the safety core",
                f">= {MUTANTS_MIN}",
                str(len(fates)),
                enough,
                value=len(fates),
                bound=MUTANTS_MIN,
            ),
            Measure(
                "mutants that live, not argued", "0", str(len(unexplained)), not unexplained,
                value=len(unexplained), bound=0,
            ),
            Measure("mutants that live, argued one by one", "", str(len(alive) - len(unexplained)),
                    ok=True),
            Measure("mutants killed by claims", "", _of(by_oracle["claims"], fates), ok=True),
            Measure("mutants killed by invariants (never unsafe)", "",
                    _of(by_oracle["invariants"], fates), ok=True),
            Measure("mutants killed by the golden trace (still treats)", "",
                    _of(by_oracle["golden"], fates), ok=True),
        ],
        details={
            "by_module": _by_module(fates),
            "alive": told,
        },
        failures=[f"{row['module']}:{row['line']}: {row['mutant']}" for row in told
                  if not row["reason"]],
    )  # fmt: skip


def _of(count: int, fates: list[Fate]) -> str:
    return f"{count} of {len(fates)}"


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
        for oracle, verdict in fate.verdicts.items():
            counts[oracle] += verdict == KILLED
    return {name: dict(counts) for name, counts in found.items()}
