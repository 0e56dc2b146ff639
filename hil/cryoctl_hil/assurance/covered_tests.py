"""Runs the safety core's tests and keeps which test took which branch.

In a process of its own (``python -m cryoctl_hil.assurance.covered_tests OUT``): what is measured
must not have been imported before.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import coverage
import pytest

from cryoctl_hil.assurance.conditions import InstrumentingFinder, Pair, Recorder, as_json, pairs
from cryoctl_hil.assurance.safety_core import ROOT, SAFETY_CORE, core_tests

Arc = tuple[int, int]
"""Two lines of which the second was run right after the first; below 0 is the way out."""


@dataclass(frozen=True, slots=True)
class CoveredTests:
    """What the tests of the safety core run.

    Attributes:
        tests: Their ids, and how long each takes in s.
        arcs: By path of a module, and by arc, the tests that took it.
        branches: By path: branches taken and branches there are.
        missing: By path: branches that no test took.
        pairs: One for each condition of each decision, for MC/DC.
    """

    tests: dict[str, float]
    arcs: dict[str, dict[Arc, list[str]]]
    branches: dict[str, tuple[int, int]]
    missing: dict[str, list[Arc]]
    pairs: list[Pair]

    def of_lines(self, path: str, lines: set[int] | None) -> list[str]:
        """Return the tests that run one of ``lines`` of a module; None stands for any."""
        found = {
            test
            for arc, tests in self.arcs[path].items()
            if lines is None or not lines.isdisjoint(arc)
            for test in tests
        }
        return sorted(found)


def run_covered_tests() -> CoveredTests:
    """Run them; raises RuntimeError if one fails, for then nothing can be said."""
    with TemporaryDirectory() as folder:
        out = Path(folder) / "covered.json"
        done = subprocess.run(  # noqa: S603 (our own interpreter)
            [sys.executable, "-m", __name__, str(out)],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise RuntimeError(f"the tests of the safety core fail:\n{done.stdout[-2000:]}")
        return _load(json.loads(out.read_text("utf-8")))


def _load(kept: dict[str, Any]) -> CoveredTests:
    names = list(kept["tests"])
    return CoveredTests(
        tests=kept["tests"],
        arcs={
            path: {(one, two): [names[each] for each in tests] for one, two, tests in arcs}
            for path, arcs in kept["arcs"].items()
        },
        branches={path: (taken, there) for path, (taken, there) in kept["branches"].items()},
        missing={path: [(one, two) for one, two in arcs] for path, arcs in kept["missing"].items()},
        pairs=[Pair(**pair) for pair in kept["pairs"]],
    )


class _Contexts:
    """Tells coverage which test is running, and takes the time."""

    def __init__(self, measured: coverage.Coverage, recorder: Recorder) -> None:
        self.seconds: dict[str, float] = {}
        self._measured = measured
        self._recorder = recorder

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._measured.switch_context(item.nodeid)
        self._recorder.test = item.nodeid
        result = yield
        self._measured.switch_context("")
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        spent_s = self.seconds.get(report.nodeid, 0.0)
        self.seconds[report.nodeid] = round(spent_s + report.duration, 4)


def _main(out: Path) -> int:
    paths = [str(ROOT / module.path) for module in SAFETY_CORE]
    measured = coverage.Coverage(
        data_file=str(out.with_suffix(".db")), branch=True, include=paths, config_file=False
    )
    recorder = Recorder()
    contexts = _Contexts(measured, recorder)
    sys.meta_path.insert(0, InstrumentingFinder([each.name for each in SAFETY_CORE], recorder))
    measured.start()
    failed = pytest.main(
        ["-q", "-p", "no:cacheprovider", "-p", "no:cov", *map(str, core_tests())], [contexts]
    )
    measured.stop()
    measured.save()
    if failed:
        return int(failed)
    told = out.with_suffix(".report")
    measured.json_report(outfile=str(told))
    files = json.loads(told.read_text("utf-8"))["files"]
    by_path = {str(Path(name).resolve()): files[name] for name in files}
    kept: dict[str, Any] = {
        "tests": contexts.seconds,
        "arcs": _arcs(measured.get_data(), list(contexts.seconds), paths),
        "branches": {},
        "missing": {},
        "pairs": as_json(pairs(recorder)),
    }
    for module, path in zip(SAFETY_CORE, paths, strict=True):
        about = by_path[path]
        summary = about["summary"]
        kept["branches"][module.path] = (summary["covered_branches"], summary["num_branches"])
        kept["missing"][module.path] = about["missing_branches"]
    out.write_text(json.dumps(kept), encoding="utf-8")
    return 0


def _arcs(data: coverage.CoverageData, tests: list[str], paths: list[str]) -> dict[str, list[Any]]:
    found: dict[str, dict[Arc, list[int]]] = {path: {} for path in paths}
    for number, test in enumerate(tests):
        data.set_query_context(test)
        for path in paths:
            for arc in data.arcs(path) or ():
                found[path].setdefault(arc, []).append(number)
    return {
        str(Path(path).relative_to(ROOT).as_posix()): [[*arc, each] for arc, each in arcs.items()]
        for path, arcs in found.items()
    }


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1])))
