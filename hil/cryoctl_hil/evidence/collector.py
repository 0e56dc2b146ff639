"""Collects what the tests of a run come to, and writes the evidence whenever one has ended."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pytest

from cryoctl import __version__
from cryoctl.clock import utc_now
from cryoctl.exit_codes import (
    EXIT_FAIL,
    EXIT_INTERRUPTED,
    EXIT_PASS,
    EXIT_SAFETY,
    EXIT_USAGE,
)
from cryoctl.requirement_registry import Registry
from cryoctl.sign_key import read_sign_key
from cryoctl_hil.evidence.measurement import Verdict
from cryoctl_hil.evidence.record import (
    FILE_NAME,
    Evidence,
    RequirementRecord,
    TestRecord,
    Told,
    evidence_text,
    read_evidence,
)
from cryoctl_hil.evidence.seal import Seal
from cryoctl_hil.evidence.test_run import TestRun, id_of, title_of
from cryoctl_hil.evidence.written import write_pages
from cryoctl_hil.requirement_markers import REGISTRY, requirements_of
from cryoctl_hil.rigs.rig import Rig
from cryoctl_hil.tree_commit import tree_commit
from cryoctl_protocol.toml_text import FileError, Problem

TOLD: Final = "cryoctl.told"
"""Property of a test's report: its record as JSON."""
_RUNS: Final = Path("runs")


class Collector:
    """The evidence of one run, on disk after every test: a run that is killed leaves what it had.

    Args:
        evidence: As it stands before the first test.
        folder: Where it is kept.
        seal: Its audit trail.
        retest: Run again what has failed.

    Attributes:
        done: Tests that need not be run again.
        present: The test that is being run.
        exit_code: How the program ends; None until it does.
    """

    def __init__(self, evidence: Evidence, folder: Path, seal: Seal, *, retest: bool) -> None:
        self.evidence = evidence
        self.folder = folder
        self.present: TestRun | None = None
        self.exit_code: int | None = None
        self._seal = seal
        kept = {Verdict.PASS} if retest else {Verdict.PASS, Verdict.FAIL}
        self._before = {test.id: test for test in evidence.tests}
        self.done = {test.id for test in evidence.tests if test.verdict in kept}
        self._is_resumed = bool(evidence.resumed_utc)
        self._planned: list[TestRecord] = []
        self._told: set[str] = set()

    @classmethod
    def of(cls, config: pytest.Config, rig: Rig) -> Collector:
        """Return what the options of a run ask for.

        Raises:
            FileError: The evidence to go on with is none, or another run's.
            OSError: It cannot be read.
        """
        option = config.getoption
        resumed: Path | None = option("--rig-resume")
        key_file: Path | None = option("--rig-sign-key")
        key = None if key_file is None else read_sign_key(key_file)
        started = utc_now()
        evidence = _begun(config, rig, started.isoformat(timespec="seconds"))
        if resumed is not None:
            folder = resumed
            evidence = _gone_on(resumed, evidence)
        else:
            folder = option("--rig-out") or _RUNS / f"hil-{started:%Y%m%d-%H%M%S}"
            if (folder / FILE_NAME).exists():
                hint = "give another folder, or --resume to go on"
                raise FileError([Problem(str(folder), None, "", "holds evidence already", hint)])
        return cls(evidence, folder, Seal(folder, key), retest=option("--rig-retest"))

    # -- what pytest tells -------------------------------------------------------------------------

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note which tests there are to run, and begin."""
        if session.config.option.collectonly:
            return
        self._planned = [_planned(item) for item in session.items]
        if self._planned:
            self._begin()

    @pytest.hookimpl(trylast=True)
    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Count tests that were not asked for."""
        count = sum(id_of(item) not in self._before for item in items)
        self._change(deselected=self.evidence.deselected + count)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what a test came to, in this process or in a worker's."""
        for name, value in report.user_properties:
            if name == TOLD and report.when == "teardown":
                self._add(Told.model_validate_json(str(value)))

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Note why the run was broken off."""
        error = excinfo.value
        if isinstance(error, pytest.exit.Exception):
            self.exit_code = error.returncode
            self._change(broken_off=str(error.msg))
        elif isinstance(error, pytest.Session.Interrupted):
            self.exit_code = EXIT_USAGE
            self._change(broken_off=str(error))
        else:
            self.exit_code = EXIT_INTERRUPTED
            self._change(broken_off="somebody ended it")

    def pytest_internalerror(self) -> None:
        """Note that the program itself went wrong."""
        self.exit_code = EXIT_SAFETY
        self._change(broken_off="an error of the program itself")

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Iterator[None]:
        """Write everything, when the last probe has been left safe."""
        try:
            return (yield)
        except pytest.exit.Exception as error:
            self.exit_code = error.returncode
            self._change(broken_off=self.evidence.broken_off or str(error.msg))
            raise
        finally:
            if not session.config.option.collectonly:
                self._end()
                session.exitstatus = self._code(session)

    # -- parts -------------------------------------------------------------------------------------

    @property
    def is_kept(self) -> bool:
        """True if there is evidence on the disk."""
        return bool(self._seal.file_name)

    def _begin(self) -> None:
        if not self.is_kept:
            self._seal.open(self.evidence, "resumed" if self._is_resumed else "run")
            self._write()

    def _add(self, told: Told) -> None:
        self.present = None
        test = told.test
        if test.id in self._before:
            test = test.again(self._before[test.id])
        self._told.add(test.id)
        self.evidence = self.evidence.with_test(test)
        update: dict[str, Any] = {"unsafe": told.unsafe or self.evidence.unsafe}
        if told.probe is not None:
            update["probe"] = told.probe
        self._change(**update)
        self._begin()
        self._seal.test(test)
        self._write()

    def _end(self) -> None:
        self._add_broken_off()
        for test in self._planned:
            if test.id not in self._told and test.id not in self._before:
                why = f"the run was broken off: {self.evidence.broken_off or 'unknown'}"
                self._add(Told(test=test.model_copy(update={"why": why})))
        if not self.is_kept:
            return  # Nothing was to be run.
        self.evidence = self.evidence.with_end(ended_utc=utc_now().isoformat(timespec="seconds"))
        self._write()
        write_pages(self.folder, self.evidence, seal=self._seal)
        self._seal.close(self.evidence)

    def _add_broken_off(self) -> None:
        """Keep what is known of a test that never came to its end."""
        run = self.present
        if run is None:
            return
        run.step = run.step or (run.probe.step if run.probe is not None else "")
        at = f"{run.id}, at: {run.step}" if run.step else run.id
        self._change(broken_off=f"{self.evidence.broken_off or 'it ended'}, in {at}")
        if run.unsafe:
            run.verdict, run.why = Verdict.FAIL, run.why or run.unsafe
        elif run.verdict is not Verdict.FAIL:
            run.verdict, run.why = Verdict.NOT_RUN, self.evidence.broken_off
        self._add(run.told())

    def _code(self, session: pytest.Session) -> int:
        if self.evidence.unsafe:
            return EXIT_SAFETY
        if self.exit_code is None:
            if session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and not self.done:
                self._change(broken_off="no test was chosen")
                self.exit_code = EXIT_USAGE
            elif session.exitstatus == pytest.ExitCode.USAGE_ERROR:
                self.exit_code = EXIT_USAGE
            else:
                passed = self.evidence.verdict is Verdict.PASS
                self.exit_code = EXIT_PASS if passed else EXIT_FAIL
        return self.exit_code

    def _change(self, **update: Any) -> None:
        self.evidence = self.evidence.model_copy(update=update)

    def _write(self) -> None:
        path = self.folder / FILE_NAME
        partial = path.with_suffix(".tmp")
        partial.write_text(evidence_text(self.evidence), encoding="utf-8")
        partial.replace(path)


def _begun(config: pytest.Config, rig: Rig, started_utc: str) -> Evidence:
    option = config.getoption
    registry: Registry = config.stash[REGISTRY]
    deviations = [row.text for row in registry.loosened_bounds()]
    if option("--bench-waiver"):
        deviations.append(f"bench waiver: {option('--bench-waiver')}")
    return Evidence(
        cryoctl=__version__,
        python=platform.python_version(),
        platform=platform.platform(),
        commit=tree_commit(),
        started_utc=started_utc,
        rig=rig.table.name,
        rig_text=rig.text,
        device=str(rig.device),
        seed=option("--rig-seed"),
        operator=option("--rig-operator"),
        suite=", ".join(Path(arg).name for arg in config.args),
        suite_sha256=_suite_hash(config.args),
        options=tuple(_options(config)),
        deviations=tuple(deviations),
        requirements=tuple(
            RequirementRecord(
                id=row.requirement.id,
                text=row.requirement.text,
                bound=row.requirement.bound_text,
                allocation=row.requirement.allocation or "",
            )
            for row in registry.requirements.values()
            if row.requirement.status == "ACTIVE"
        ),
    )


def _options(config: pytest.Config) -> Iterator[str]:
    option = config.getoption
    for name in ("dry", "quick", "unattended", "retest"):
        if option(f"--rig-{name}"):
            yield name
    if option("--rig-gas-budget") is not None:
        yield f"gas budget {option('--rig-gas-budget'):g} g"
    if option("keyword"):
        yield f"-k {option('keyword')}"
    for requirement in option("--requirement"):
        yield f"requirement {requirement}"


def _suite_hash(args: Sequence[str]) -> str:
    """Return a hash over the tests' files, the same wherever they lie."""
    whole = sha256()
    for arg in args:
        path = Path(arg.partition("::")[0])
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        for file in files:
            inner = file.relative_to(path).as_posix() if path.is_dir() else file.name
            whole.update(f"{inner}\0".encode())
            whole.update(file.read_bytes().replace(b"\r\n", b"\n"))
    return whole.hexdigest()


def _gone_on(folder: Path, now: Evidence) -> Evidence:
    """Return the evidence in a folder, to be gone on with by the run that begins now."""
    path = folder / FILE_NAME
    try:
        before = read_evidence(path.read_text("utf-8"), str(path))
    except OSError as error:
        reason = error.strerror or "cannot be read"
        raise FileError([Problem(str(path), None, "", reason)]) from error
    for what in ("rig_text", "seed", "suite_sha256", "cryoctl"):
        if getattr(before, what) != getattr(now, what):
            message = f"{what} is not that of this run"
            hint = "evidence of one run is of one rig, one suite, one version: begin a new one"
            raise FileError([Problem(str(path), None, what, message, hint)])
    options = tuple(dict.fromkeys((*before.options, *now.options)))
    return before.model_copy(
        update={
            "resumed_utc": (*before.resumed_utc, now.started_utc),
            "ended_utc": "",
            "verdict": Verdict.NOT_RUN,
            "broken_off": "",
            "unsafe": "",
            "options": options,
            "deselected": 0,
            "operator": now.operator or before.operator,
        }
    )


def _planned(item: pytest.Item) -> TestRecord:
    return TestRecord(
        id=id_of(item),
        title=title_of(item),
        requirements=requirements_of(item),
        verdict=Verdict.NOT_RUN,
    )
