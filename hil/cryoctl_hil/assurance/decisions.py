"""Branch and MC/DC coverage of the safety core, and of the C one's machine code."""

from __future__ import annotations

from cryoctl_hil.assurance.conditions import as_json
from cryoctl_hil.assurance.covered_tests import CoveredTests, run_covered_tests
from cryoctl_hil.assurance.machine_code import run as run_machine_code
from cryoctl_hil.assurance.program import Measure, Outcome, Say


def run(scale: float, say: Say) -> Outcome:
    """Run the tests of the safety core once; a share of them would say nothing."""
    ours = judged(run_covered_tests(), say)
    machine = run_machine_code(scale, say)
    return Outcome(
        [*ours.measures, *machine.measures],
        ours.details | {"machine code": machine.details},
        [*ours.failures, *machine.failures],
    )


def judged(covered: CoveredTests, say: Say) -> Outcome:
    """Return the figures, and every branch and condition that no test shows."""
    taken = sum(taken for taken, _ in covered.branches.values())
    there = sum(there for _, there in covered.branches.values())
    shown = [pair for pair in covered.pairs if pair.found]
    for pair in shown:
        say(
            f"{pair.module}:{pair.line} {pair.condition}: true in {pair.when_true}, "
            f"false in {pair.when_false}"
        )
    failures = [
        f"{path}:{one}: no test goes on to line {two}"
        for path, arcs in covered.missing.items()
        for one, two in arcs
    ]
    failures += [
        f"{pair.module}:{pair.line}: no two tests show {pair.condition!r} deciding by itself"
        for pair in covered.pairs
        if not pair.found
    ]
    return Outcome(
        measures=[
            _measure("branches of the safety core taken", taken, there),
            _measure("conditions with an MC/DC pair", len(shown), len(covered.pairs)),
        ],
        details={
            "branches": {path: list(counts) for path, counts in covered.branches.items()},
            "pairs": as_json(covered.pairs),
            "tests": len(covered.tests),
        },
        failures=failures,
    )


def _measure(name: str, found: int, there: int) -> Measure:
    percent = 100.0 * found / there if there else 0.0
    return Measure(
        name,
        "100 %",
        f"{percent:.1f} % ({found} of {there})",
        ok=0 < found == there,
        value=percent,
        bound=100.0,
        unit="%",
    )
