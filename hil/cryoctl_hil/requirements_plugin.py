"""A plug-in for pytest: tests that name requirements, and keep what they have measured.

``pytest -p cryoctl_hil.requirements_plugin``, or ``addopts`` in the settings of a project. A marker
that names no known requirement ends the collection (SR-38).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import pytest

from cryoctl.clock import utc_now
from cryoctl.requirement_registry import load_registry
from cryoctl_hil.assurance.program import Measure
from cryoctl_hil.requirement_markers import MARKER, REGISTRY
from cryoctl_protocol.quantities import number_text, with_unit
from cryoctl_protocol.toml_text import FileError

EVIDENCE_FILE: Final = "tests.json"
_PROPERTY: Final = "cryoctl.measured"

Measured = Callable[[str, float, str], None]
"""Takes requirement, value and unit."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the plug-in."""
    group = parser.getgroup("cryoctl requirements")
    group.addoption(
        "--requirements", metavar="FILE", type=Path, help="requirements file beside cryoctl's own"
    )
    group.addoption(
        "--evidence",
        metavar="FOLDER",
        type=Path,
        default=Path("runs/evidence"),
        help=f"where {EVIDENCE_FILE} keeps the last measured values (default: runs/evidence)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Read the registry; make the marker known."""
    config.addinivalue_line(
        "markers", f"{MARKER}(id): the requirement that the test is evidence for, such as SR-05"
    )
    try:
        config.stash[REGISTRY] = load_registry(config.getoption("--requirements"))
    except FileError as error:
        raise pytest.UsageError(str(error)) from error
    if not hasattr(config, "workerinput"):  # A worker of pytest-xdist reports to its master.
        config.pluginmanager.register(_Evidence(config.getoption("--evidence") / EVIDENCE_FILE))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse a marker that does not name one known requirement."""
    known = config.stash[REGISTRY].requirements
    for item in items:
        for marker in item.iter_markers(MARKER):
            if not _is_one_text(marker):
                raise pytest.UsageError(
                    f"{item.nodeid}: requirement{marker.args} should name one requirement, "
                    "such as requirement('SR-05')"
                )
            if marker.args[0] not in known:
                raise pytest.UsageError(
                    f"{item.nodeid}: unknown requirement {marker.args[0]!r}: 'cryoctl requirements'"
                    " lists ours; give --requirements FILE for yours"
                )


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Measured:
    """Return what keeps a measured value, and fails the test if it breaks its bound."""
    registry = request.config.stash[REGISTRY]

    def keep(requirement: str, value: float, unit: str) -> None:
        registered = registry.requirements.get(requirement)
        if registered is None:
            pytest.fail(f"measured: unknown requirement {requirement!r}")
        row = registered.requirement
        if unit != row.unit:
            pytest.fail(f"measured: {requirement} is in {row.unit or 'no unit'}, not in {unit!r}")
        measure = Measure(
            name=request.node.name,
            target=row.bound_text,
            result=with_unit(number_text(value), unit),
            ok=row.keeps(value),
            requirements=(requirement,),
            value=value,
            bound=row.bound,
            unit=unit,
        )
        # Properties of a report find their way back from the workers of pytest-xdist.
        request.node.user_properties.append((_PROPERTY, json.dumps(asdict(measure))))
        if not measure.ok:
            pytest.fail(f"{requirement}: {measure.result} is not {measure.target}")

    return keep


class _Evidence:
    """Collects what the tests of a session measured, and keeps it as a program keeps its measures.

    Args:
        path: Of the JSON file, in which the last value of each test and requirement stands.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: list[dict[str, Any]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what one test has measured."""
        if report.when == "call":
            kept = (value for name, value in report.user_properties if name == _PROPERTY)
            self._found += [json.loads(str(value)) for value in kept]

    def pytest_sessionfinish(self) -> None:
        """Write everything, over what was measured before."""
        if self._found:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps(self._kept(), indent=1, ensure_ascii=False)
            self._path.write_text(text + "\n", encoding="utf-8")

    def _kept(self) -> dict[str, Any]:
        path, today = self._path, utc_now().date().isoformat()
        older = json.loads(path.read_text("utf-8"))["measures"] if path.exists() else []
        rows = [*older, *({**row, "date": today} for row in self._found)]
        last = {(row["name"], *row["requirements"]): row for row in rows}
        return {
            "program": path.stem,
            "date": today,
            "commit": "",
            "ok": all(row["ok"] for row in last.values()),
            "measures": list(last.values()),
        }


def _is_one_text(marker: pytest.Mark) -> bool:
    if marker.kwargs or len(marker.args) != 1:
        return False
    return isinstance(marker.args[0], str)
