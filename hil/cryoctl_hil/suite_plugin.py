"""A plug-in for pytest: tests that drive a probe on any rig, measure, and leave it safe.

``pytest -p cryoctl_hil.suite_plugin --rig sim``, or ``addopts`` in the settings of a project.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pytest

from cryoctl.clock import monotonic_s
from cryoctl.interlocks import TripNotice
from cryoctl_hil.evidence.collector import Collector
from cryoctl_hil.evidence.measurement import (
    Count,
    Given,
    Interval,
    Limit,
    Measurement,
    Moment,
    Origin,
    Plain,
    Reading,
    Reduction,
    Said,
    Verdict,
    What,
    signal_problem,
)
from cryoctl_hil.evidence.record import RECORDINGS, TestRecord
from cryoctl_hil.rigs.bench import Bench
from cryoctl_hil.rigs.power import PowerSwitch
from cryoctl_hil.rigs.probe import Probe, UnsafeProbeError
from cryoctl_hil.rigs.rig import MEANS_TEXT, Means, Rig, find_rig
from cryoctl_protocol.peer import FaultPort, LinkError
from cryoctl_protocol.toml_text import FileError

pytest_plugins: Final = ("cryoctl_hil.requirements_plugin",)
TIME_LIMIT_S: Final = 120.0
_RIG: Final = pytest.StashKey[Rig]()
_COLLECTOR: Final = pytest.StashKey[Collector]()
_TEST: Final = pytest.StashKey["TestRun"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the plug-in."""
    group = parser.getgroup("cryoctl rig")
    group.addoption(
        "--rig", metavar="RIG", help="sim, firmware:BUILD, a device's address, or a rig file"
    )
    group.addoption("--rig-seed", type=int, default=1, help="of simulated noise (default: 1)")
    group.addoption("--rig-out", type=Path, metavar="FOLDER", help="keep the evidence there")
    group.addoption("--rig-keys", type=Path, metavar="FOLDER", help="keys of devices")
    group.addoption("--rig-operator", default="", metavar="NAME", help="who runs the suite")
    group.addoption("--bench-waiver", default="", metavar="REASON", help="see cryoctl run")
    group.addoption(
        "--requirement", action="append", default=[], metavar="ID", help="only tests of this one"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Read the rig; make the markers known."""
    for marker in (
        "needs(means): what the rig must be able to do, such as 'faults'; else it is not run",
        f"time_limit(seconds): on the rig's clock; {TIME_LIMIT_S:g} without it",
    ):
        config.addinivalue_line("markers", marker)
    name = config.getoption("--rig")
    if name is None:
        return
    try:
        rig = find_rig(name)
    except (FileError, LinkError) as error:
        raise pytest.UsageError(str(error)) from error
    config.stash[_RIG] = rig
    collector = Collector(
        rig,
        seed=config.getoption("--rig-seed"),
        operator=config.getoption("--rig-operator"),
        folder=config.getoption("--rig-out"),
    )
    config.stash[_COLLECTOR] = collector
    config.pluginmanager.register(collector, "cryoctl-evidence")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of the requirements that were asked for."""
    wanted = set(config.getoption("--requirement"))
    if wanted:
        items[:] = [item for item in items if wanted & set(requirements_of(item))]


def requirements_of(item: pytest.Item) -> tuple[str, ...]:
    """Return the requirements that a test names."""
    return tuple(marker.args[0] for marker in item.iter_markers("requirement"))


# -- fixtures ---


@pytest.fixture(scope="session")
def rig(request: pytest.FixtureRequest) -> Rig:
    """Return the rig that the suite runs on."""
    found = request.config.stash.get(_RIG, None)
    if found is None:
        pytest.skip("no rig: give --rig sim, or --rig FILE.toml")
    return found


@pytest.fixture(scope="session")
def bench(request: pytest.FixtureRequest, rig: Rig) -> Iterator[Bench]:
    """Open the rig for a whole run."""
    option = request.config.getoption
    opened = Bench(
        rig,
        seed=option("--rig-seed"),
        keys=option("--rig-keys"),
        bench_waiver=option("--bench-waiver"),
    )
    yield opened
    opened.close()


@pytest.fixture
def probe(request: pytest.FixtureRequest, bench: Bench) -> Iterator[Probe]:
    """Open the probe for one test; leave it safe afterwards, whatever the test has done."""
    run = request.node.stash[_TEST]
    lacking = [means for means in run.needs if means not in bench.rig.means]
    if lacking:
        texts = "; ".join(MEANS_TEXT[means] for means in lacking)
        pytest.skip(f"this rig cannot {texts}")
    path = run.path()
    try:
        opened = bench.begin(path, test=run.id)
    except LinkError as error:
        pytest.exit(f"rig {bench.rig.table.name}: {error}", returncode=3)
    run.probe = opened
    opened.forget_marks()
    opened.time_limit_s = opened.now_s + run.time_limit_s
    run.began_s = opened.now_s
    try:
        yield opened
    finally:
        run.ended_s = opened.now_s
        run.hello = bench.hello
        run.guarded = list(opened.host.guarded)
        opened.host.guarded.clear()
        try:
            bench.finish({"test": run.id, "verdict": run.verdict})
        except UnsafeProbeError as error:
            run.unsafe = str(error)
            pytest.exit(f"rig {bench.rig.table.name}: {error}", returncode=4)


@pytest.fixture
def inject(probe: Probe, bench: Bench) -> Callable[[str], Any]:
    """Return what injects a fault now, such as ``inject("tc_open")``, and marks the moment."""

    def now(fault: str) -> Any:
        faults = _faults(bench)
        what, _, rest = fault.partition(":")
        # A moment that is over begins at once, whatever the clock of the probe's server says.
        faults.inject(f"{what}@0s" + (f":{rest}" if rest else ""))
        return probe.mark(fault)

    return now


def _faults(bench: Bench) -> FaultPort:
    assert bench.faults is not None, "mark the test with @pytest.mark.needs('faults')"
    return bench.faults


@pytest.fixture
def power(probe: Probe, bench: Bench) -> PowerSwitch:  # noqa: ARG001 (opens it)
    """Return the switch in the probe's supply."""
    assert bench.power is not None, "mark the test with @pytest.mark.needs('power')"
    return bench.power


@pytest.fixture
def measure(request: pytest.FixtureRequest, probe: Probe, rig: Rig) -> Measure:
    """Return what measures; a value beyond its limit fails the test at its end."""
    return Measure(request.node.stash[_TEST], probe, rig)


class Measure:
    """Takes measurements for one test."""

    def __init__(self, run: TestRun, probe: Probe, rig: Rig) -> None:
        self._run = run
        self._probe = probe
        self._rig = rig

    def time(
        self,
        name: str,
        since: Moment,
        until: Moment,
        *,
        at_most_s: float | None = None,
        at_least_s: float | None = None,
        requirement: str | None = None,
    ) -> Measurement:
        """Measure the seconds between two moments; the rig's uncertainty tightens the limits."""
        limit = Limit(
            at_most=at_most_s,
            at_least=at_least_s,
            unit="s",
            uncertainty=self._rig.table.timing_uncertainty_s,
        )
        return self._keep(name, Interval(since=since, until=until), limit, requirement)

    def reading(
        self,
        name: str,
        signal: str,
        take: Reduction,
        since: Moment,
        until: Moment,
        *,
        at_most: float | None = None,
        at_least: float | None = None,
        unit: str = "",
        requirement: str | None = None,
    ) -> Measurement:
        """Measure one number out of a signal's readings between two moments."""
        problem = signal_problem(signal)
        if problem:
            raise ValueError(problem)
        limit = Limit(
            at_most=at_most,
            at_least=at_least,
            unit=unit,
            uncertainty=self._rig.uncertainty_of(signal),
        )
        what = Reading(signal=signal, take=take, since=since, until=until)
        return self._keep(name, what, limit, requirement)

    def count(
        self,
        name: str,
        kind: str,
        since: Moment,
        *,
        at_most: float | None = None,
        at_least: float | None = None,
        requirement: str | None = None,
        **where: Plain,
    ) -> Measurement:
        """Count events of a kind after a moment."""
        what = Count(kind=kind, where=where, since=since)
        return self._keep(name, what, Limit(at_most=at_most, at_least=at_least), requirement)

    def said(
        self,
        name: str,
        kind: str,
        field: str,
        exactly: Plain,
        since: Moment,
        *,
        requirement: str | None = None,
        **where: Plain,
    ) -> Measurement:
        """Take the word that an event of the probe says, such as its answer to a command."""
        what = Said(kind=kind, field=field, where=where, since=since)
        return self._keep(name, what, Limit(exactly=exactly), requirement)

    def value(
        self,
        name: str,
        value: Plain,
        *,
        at_most: float | None = None,
        at_least: float | None = None,
        exactly: Plain | None = None,
        unit: str = "",
        uncertainty: float = 0.0,
        origin: Origin = Origin.DEVICE,
        requirement: str | None = None,
    ) -> Measurement:
        """Take a value that no recording of ours shows."""
        limit = Limit(
            at_most=at_most,
            at_least=at_least,
            exactly=exactly,
            unit=unit,
            uncertainty=uncertainty,
        )
        return self._keep(name, Given(value=value), limit, requirement, origin)

    def _keep(
        self,
        name: str,
        what: What,
        limit: Limit,
        requirement: str | None,
        origin: Origin = Origin.DEVICE,
    ) -> Measurement:
        named = self._run.requirements
        measurement = Measurement(
            name=name,
            requirement=requirement or (named[0] if len(named) == 1 else ""),
            what=what,
            limit=limit,
            origin=origin,
        )
        judged = self._probe.call(lambda _: measurement.judged(self._probe.trace))
        self._run.measurements.append(judged)
        return judged


# -- one test ---


class TestRun:
    """What is known of a test while it runs."""

    __test__ = False

    def __init__(self, item: pytest.Item, folder: Path) -> None:
        self.id = item.nodeid.partition("::")[0].rpartition("/")[2].removesuffix(".py")
        self.id += "::" + item.nodeid.partition("::")[2]
        self.title = (_docstring(item).strip().splitlines() or [""])[0]
        self.requirements = requirements_of(item)
        self.needs = [Means(each) for mark in item.iter_markers("needs") for each in mark.args]
        marker = item.get_closest_marker("time_limit")
        self.time_limit_s = TIME_LIMIT_S if marker is None else float(marker.args[0])
        self.measurements: list[Measurement] = []
        self.probe: Probe | None = None
        self.hello: Any = None
        self.guarded: list[TripNotice] = []
        self.began_s = self.ended_s = 0.0
        self.began_wall_s = monotonic_s()
        self.verdict = Verdict.NOT_RUN
        self.why = ""
        self.unsafe = ""
        self._folder = folder
        self._path: Path | None = None

    def path(self) -> Path:
        """Return where its recording goes."""
        name = re.sub(r"[^A-Za-z0-9_.-]+", "-", self.id).strip("-")
        self._path = self._folder / RECORDINGS / f"{name}.mcap"
        return self._path

    def fail_measurements(self) -> str:
        """Return what is wrong with the measurements and the guard; empty if nothing is."""
        lines = [f"{m.name}: {m.why}" for m in self.measurements if m.verdict is Verdict.FAIL]
        lines += [
            f"the bench's guard had to send STOP: {notice.trip.name} {notice.detail}".rstrip()
            for notice in (self.guarded or (self.probe.host.guarded if self.probe else ()))
        ]
        return "\n".join(lines)

    def record(self) -> TestRecord:
        """Return what it came to."""
        path = self._path if self._path is not None and self._path.exists() else None
        return TestRecord(
            id=self.id,
            title=self.title,
            requirements=self.requirements,
            verdict=self.verdict,
            why=self.why,
            step=self.probe.step if self.probe is not None else "",
            measurements=tuple(self.measurements),
            recording="" if path is None else f"{RECORDINGS}/{path.name}",
            recording_sha256="" if path is None else sha256(path.read_bytes()).hexdigest(),
            rig_s=round(self.ended_s - self.began_s, 3),
            wall_s=round(monotonic_s() - self.began_wall_s, 3),
        )


def _docstring(item: pytest.Item) -> str:
    return str(getattr(getattr(item, "function", None), "__doc__", None) or "")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin to keep what becomes of a test."""
    collector = item.config.stash.get(_COLLECTOR, None)
    if collector is not None:
        item.stash[_TEST] = TestRun(item, collector.folder)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Fail a test whose measurements break a limit, when all of them have been taken."""
    yield
    run = item.stash.get(_TEST, None)
    problems = "" if run is None else run.fail_measurements()
    if problems:
        pytest.fail(problems, pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Take the verdict of each part of a test."""
    report: pytest.TestReport = yield  # type: ignore[assignment]
    run = item.stash.get(_TEST, None)
    if run is not None:
        _judge(run, report)
        if report.when == "teardown":
            item.config.stash[_COLLECTOR].add(run.record(), run.hello, run.unsafe)
    return report  # type: ignore[return-value]


def _judge(run: TestRun, report: pytest.TestReport) -> None:
    if report.skipped and run.verdict is not Verdict.FAIL:
        run.verdict = Verdict.NOT_RUN
        run.why = _skip_reason(report)
    elif report.failed:
        run.verdict = Verdict.FAIL
        run.why = run.why or _crash_text(report)
    elif report.when == "call":
        run.verdict = Verdict.PASS


def _skip_reason(report: pytest.TestReport) -> str:
    told = report.longrepr
    reason = told[2] if isinstance(told, tuple) else str(told)
    return reason.removeprefix("Skipped: ")


def _crash_text(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(report.longrepr) if crash is None else str(crash.message)
    return text.removeprefix("AssertionError: ").strip()
