"""A plug-in for pytest: tests that drive a probe on a rig, measure, and leave it safe.

``pytest -p cryoctl_hil.suite_plugin --rig sim``, or ``addopts`` in the settings of a project.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from cryoctl.exit_codes import EXIT_LINK, EXIT_SAFETY
from cryoctl_hil.evidence.collector import TOLD, Collector
from cryoctl_hil.evidence.measure import Measure
from cryoctl_hil.evidence.measurement import Verdict
from cryoctl_hil.evidence.operator_steps import Operator
from cryoctl_hil.evidence.plan import Budget
from cryoctl_hil.evidence.stop import StopOnce
from cryoctl_hil.evidence.test_run import (
    BUDGET,
    OPERATOR_STEPS,
    RIG,
    TIME_LIMIT_S,
    TestRun,
    id_of,
    why_not_begun,
)
from cryoctl_hil.requirement_markers import requirements_of
from cryoctl_hil.rigs.bench import Bench
from cryoctl_hil.rigs.injector import Injector
from cryoctl_hil.rigs.power import Power
from cryoctl_hil.rigs.probe import Probe, UnsafeProbeError
from cryoctl_hil.rigs.rig import Rig, find_rig
from cryoctl_protocol.peer import FaultPort, LinkError
from cryoctl_protocol.toml_text import FileError

pytest_plugins: Final = ("cryoctl_hil.requirements_plugin",)
_COLLECTOR: Final = pytest.StashKey[Collector]()
_FOLDER: Final = pytest.StashKey[Path]()
_STOP: Final = pytest.StashKey[StopOnce]()
_TEST: Final = pytest.StashKey[TestRun]()
_TO_WORKER: Final = "cryoctl_folder"
_KIND: Final = re.compile(r"^([\w.]+\.)?(AssertionError|StalledError|Failed): ")
"""What a report of pytest has before the words that say what is wrong."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the plug-in."""
    group = parser.getgroup("cryoctl rig")
    add = group.addoption
    add("--rig", metavar="RIG", help="sim, firmware:BUILD, a device's address, or a rig file")
    add("--rig-seed", type=int, default=1, help="of simulated noise (default: 1)")
    add("--rig-out", type=Path, metavar="FOLDER", help="keep the evidence there")
    add("--rig-resume", type=Path, metavar="FOLDER", help="go on with the evidence there")
    add("--rig-retest", action="store_true", help="with --rig-resume: run failed tests again")
    add("--rig-dry", action="store_true", help="only tests that need no gas")
    add("--rig-gas-budget", type=float, metavar="GRAMS", help="use no more gas than this")
    add("--rig-quick", action="store_true", help="heated thaws, one leak test for the whole run")
    add("--rig-unattended", action="store_true", help="ask nobody to do anything by hand")
    add("--rig-keys", type=Path, metavar="FOLDER", help="keys of devices")
    add("--rig-operator", default="", metavar="NAME", help="who runs the suite")
    add("--rig-sign-key", type=Path, metavar="FILE", help="signs the audit trail of the evidence")
    add("--bench-waiver", default="", metavar="REASON", help="see cryoctl run")
    add("--requirement", action="append", default=[], metavar="ID", help="only tests of this one")


@pytest.hookimpl(trylast=True)  # After the registry of requirements is read.
def pytest_configure(config: pytest.Config) -> None:
    """Read the rig; make the markers known."""
    for marker in (
        "needs(means): what the rig must be able to do, such as 'faults'; else it is not run",
        f"time_limit(seconds): on the rig's clock; {TIME_LIMIT_S:g} without it",
        f"{OPERATOR_STEPS}(text): what somebody has to do by hand in the test",
    ):
        config.addinivalue_line("markers", marker)
    name = config.getoption("--rig")
    if name is None:
        return
    try:
        rig = find_rig(name)
        if config.getoption("--rig-quick"):
            rig = replace(rig, table=rig.table.model_copy(update={"quick": True}))
        config.stash[RIG] = rig
        config.stash[BUDGET] = Budget.of(config)
        _keep_evidence(config, rig)
    except (FileError, LinkError, OSError) as error:
        raise pytest.UsageError(str(error)) from error


def _keep_evidence(config: pytest.Config, rig: Rig) -> None:
    worker: dict[str, Any] | None = getattr(config, "workerinput", None)
    if worker is not None:
        config.stash[_FOLDER] = Path(worker[_TO_WORKER])
        return
    if getattr(config.option, "numprocesses", None) and not rig.is_virtual:
        raise pytest.UsageError(
            f"rig {rig.table.name}: several tests at once need a probe each; sim and "
            "firmware:BUILD can do that, a real probe cannot"
        )
    collector = Collector.of(config, rig)
    config.stash[_COLLECTOR] = collector
    config.stash[_FOLDER] = collector.folder
    config.pluginmanager.register(collector, "cryoctl-evidence")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist where recordings go."""
    if _FOLDER in node.config.stash:
        node.workerinput[_TO_WORKER] = str(node.config.stash[_FOLDER])


def pytest_sessionstart(session: pytest.Session) -> None:
    """Have signals end the run in good order."""
    if RIG in session.config.stash:
        stop = session.config.stash[_STOP] = StopOnce()
        stop.take_over()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Give the signals back."""
    if _STOP in config.stash:
        config.stash[_STOP].give_back()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests that were asked for and have not been run; no other clock ends them."""
    if RIG in config.stash and config.pluginmanager.hasplugin("timeout"):
        for item in items:
            item.add_marker(pytest.mark.timeout(0))
    wanted = set(config.getoption("--requirement"))
    collector = config.stash.get(_COLLECTOR, None)
    done = set() if collector is None else collector.done
    kept = [
        item
        for item in items
        if (not wanted or wanted & set(requirements_of(item))) and id_of(item) not in done
    ]
    left_out = [item for item in items if item not in kept]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept


# -- fixtures ---


@pytest.fixture(scope="session")
def rig(request: pytest.FixtureRequest) -> Rig:
    """Return the rig that the suite runs on."""
    found = request.config.stash.get(RIG, None)
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
    stop = request.config.stash[_STOP]
    opened.is_leaving = lambda: stop.asked
    yield opened
    opened.close()


@pytest.fixture
def probe(request: pytest.FixtureRequest, bench: Bench) -> Iterator[Probe]:
    """Open the probe for one test; leave it safe afterwards, whatever the test has done."""
    run = request.node.stash[_TEST]
    stop = request.config.stash[_STOP]
    try:
        with stop.held():
            opened = run.probe = bench.begin(run.path(), test=run.id)
    except LinkError as error:
        pytest.exit(f"rig {bench.rig.table.name}: {error}", returncode=EXIT_LINK)
    opened.forget_marks()
    opened.time_limit_s = opened.now_s + run.time_limit_s
    run.began_s = opened.now_s
    try:
        yield opened
    finally:
        run.step = run.step or opened.step
        ended_s = opened.now_s
        run.hello = bench.hello
        run.guarded = list(opened.host.guarded)
        opened.host.guarded.clear()
        try:
            with stop.held():
                bench.finish({"test": run.id, "verdict": run.verdict})
        except UnsafeProbeError as error:
            run.unsafe = str(error)
            pytest.exit(f"rig {bench.rig.table.name}: {error}", returncode=EXIT_SAFETY)
        finally:
            run.end(ended_s)


@pytest.fixture
def operator(request: pytest.FixtureRequest, probe: Probe) -> Operator:
    """Return what asks somebody at the terminal: ``operator("warm the tip in water")``."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    @contextmanager
    def at_terminal() -> Iterator[None]:
        if capture is not None:
            capture.suspend_global_capture(in_=True)
        try:
            yield
        finally:
            if capture is not None:
                capture.resume_global_capture()

    return Operator(request.node.stash[_TEST], probe, at_terminal)


@pytest.fixture
def inject(probe: Probe, bench: Bench) -> Iterator[Injector]:
    """Return what injects a fault now, such as ``inject("tc_open")``, and marks the moment."""
    injector = Injector(_faults(bench), probe)
    yield injector
    injector.end_all()


def _faults(bench: Bench) -> FaultPort:
    assert bench.faults is not None, "mark the test with @pytest.mark.needs('faults')"
    return bench.faults


@pytest.fixture
def power(probe: Probe, bench: Bench) -> Power:  # noqa: ARG001 (opens it)
    """Return the switch in the probe's supply."""
    assert bench.power is not None, "mark the test with @pytest.mark.needs('power')"
    return bench.power


@pytest.fixture
def measure(request: pytest.FixtureRequest, probe: Probe, rig: Rig) -> Measure:
    """Return what measures; a value beyond its limit fails the test at its end."""
    return Measure(request.node.stash[_TEST], probe, rig)


# -- one test ---


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin to keep what becomes of a test; do not begin one that this run is not to do."""
    config = item.config
    if RIG not in config.stash:
        return
    run = item.stash[_TEST] = TestRun(item, config.stash[_FOLDER])
    if _COLLECTOR in config.stash:
        config.stash[_COLLECTOR].present = run
    reason = why_not_begun(item)
    if reason:
        pytest.skip(reason)


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
            told = run.told()
            item.config.stash[BUDGET].used(told.test.cost)
            # Properties of a report find their way back from the workers of pytest-xdist.
            report.user_properties.append((TOLD, told.model_dump_json()))
    return report  # type: ignore[return-value]


def _judge(run: TestRun, report: pytest.TestReport) -> None:
    if report.skipped and run.verdict is not Verdict.FAIL:
        run.verdict = Verdict.NOT_RUN
        run.why = _skip_reason(report)
    elif report.failed:
        run.verdict = Verdict.FAIL
        run.why = run.why or _crash_text(report)
        run.step = run.step or (run.probe.step if run.probe is not None else "")
    elif report.when == "call":
        run.verdict = Verdict.PASS


def _skip_reason(report: pytest.TestReport) -> str:
    told = report.longrepr
    reason = told[2] if isinstance(told, tuple) else str(told)
    return reason.removeprefix("Skipped: ")


def _crash_text(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(report.longrepr) if crash is None else str(crash.message)
    return _KIND.sub("", text).strip()
