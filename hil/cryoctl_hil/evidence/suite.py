"""Runs a suite with pytest in this process, by settings of its own, and tells how it goes on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

import cryoctl_hil
from cryoctl.exit_codes import EXIT_USAGE
from cryoctl_hil.evidence.collector import TOLD, Collector
from cryoctl_hil.evidence.measurement import Verdict
from cryoctl_hil.evidence.plan import Planned
from cryoctl_hil.evidence.record import Evidence, Told
from cryoctl_hil.evidence.test_run import id_of, operator_steps_of, title_of, why_not_begun
from cryoctl_hil.requirement_markers import requirements_of

SETTINGS: Final = "pytest.ini"
_PACKAGE: Final = Path(cryoctl_hil.__file__).parent
# As installed, else as in the source tree.
_PLACES: Final = (_PACKAGE / "suites", _PACKAGE.parent / "suites")
_VARIABLES: Final = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_DISABLE_PLUGIN_AUTOLOAD")
_MARKS: Final = {Verdict.PASS: "PASS", Verdict.FAIL: "FAIL", Verdict.NOT_RUN: "not run"}

Say = Callable[[str], None]


class Ended(NamedTuple):
    """How a run of a suite has ended.

    Attributes:
        evidence: None if it never began.
        folder: Of the evidence; None if there is none.
    """

    code: int
    evidence: Evidence | None
    folder: Path | None


def shipped_suite() -> Path:
    """Return where the suite lies that comes with cryoctl."""
    return next(place for place in _PLACES if (place / SETTINGS).exists())


def run_suite(tests: Path, options: Sequence[str], say: Say, *plugins: object) -> Ended:
    """Run the tests in a file or folder.

    Args:
        tests: Where they are.
        options: Of pytest and of the plug-in.
        say: Takes each line of progress.
        plugins: Further plug-ins of pytest.
    """
    progress = _Progress(say)
    _pytest(tests, options, progress, *plugins)
    collector = progress.collector
    if collector is None or collector.exit_code is None:
        return Ended(EXIT_USAGE, None, None)
    kept = collector.folder if collector.is_kept else None
    return Ended(collector.exit_code, collector.evidence, kept)


def list_suite(tests: Path, options: Sequence[str], say: Say) -> tuple[int, list[Planned]]:
    """Return exit code and tests of a suite in their order, and run none."""
    listing = _Listing(say)
    code = _pytest(tests, [*options, "--collect-only"], listing)
    return (EXIT_USAGE if code else 0), listing.tests


def _pytest(tests: Path, options: Sequence[str], *plugins: object) -> int:
    settings = shipped_suite() / SETTINGS
    root = tests if tests.is_dir() else tests.parent
    arguments = [
        "-c", str(settings), "--rootdir", str(root), "-p", "no:terminal",
        "-W", "ignore::pytest.PytestAssertRewriteWarning",  # The plug-ins are imported already.
        *options, str(tests),
    ]  # fmt: skip
    with _own_environment():
        return int(pytest.main(arguments, plugins=list(plugins)))


@contextmanager
def _own_environment() -> Iterator[None]:
    """Keep plug-ins and options of other projects out."""
    before = {name: os.environ.pop(name, None) for name in _VARIABLES}
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


class _Progress:
    """Tells a person how a run goes on."""

    def __init__(self, say: Say) -> None:
        self.collector: Collector | None = None
        self._say = say
        self._count = 0
        self._of = 0

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self.collector = session.config.pluginmanager.getplugin("cryoctl-evidence")

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._of = len(session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        self._of = len(ids)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        _say_broken(report, self._say)

    def pytest_internalerror(self, excrepr: Any) -> None:
        self._say(str(excrepr))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, value in report.user_properties:
            if name == TOLD and report.when == "teardown":
                self._tell(Told.model_validate_json(str(value)))

    def _tell(self, told: Told) -> None:
        self._count += 1
        test = told.test
        width = len(str(self._of))
        line = f"[{self._count:>{width}}/{self._of}] {_MARKS[test.verdict]:<7}  {test.id}"
        if test.verdict is not Verdict.NOT_RUN:
            line += f"  {test.cost.rig_s:.1f} s"
        self._say(line)
        if test.verdict is not Verdict.PASS:
            for why in test.why.splitlines():
                self._say(f"    {why}")
        if test.step:
            self._say(f"    stopped at: {test.step}")


class _Listing:
    """Notes which tests there are."""

    def __init__(self, say: Say) -> None:
        self.tests: list[Planned] = []
        self._say = say

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        _say_broken(report, self._say)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            steps = operator_steps_of(item)
            why_not = why_not_begun(item)
            row = Planned(id_of(item), title_of(item), requirements_of(item), steps, why_not)
            self.tests.append(row)


def _say_broken(report: pytest.CollectReport, say: Say) -> None:
    if report.failed:
        say(f"{report.nodeid}: cannot be read as tests")
        say(str(report.longrepr))
