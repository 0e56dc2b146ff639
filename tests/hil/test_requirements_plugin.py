"""The plug-in for pytest in a user's own project: unknown ids, and values that were measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest_plugins = ["pytester"]

OPTIONS = ("-p", "cryoctl_hil.requirements_plugin", "-p", "no:cacheprovider", "-p", "no:asyncio")
REQUIREMENTS = """\
[[requirement]]
id = "ACME-REQ-7"
text = "The door shuts in time"
bound = 80.0
unit = "ms"
"""
MEASURES = """
import pytest


@pytest.mark.requirement("ACME-REQ-7")
def test_door(measured):
    measured("ACME-REQ-7", {value}, "{unit}")
"""


def write_project(folder: Path, test: str) -> None:
    (folder / "own.toml").write_text(REQUIREMENTS, encoding="utf-8")
    (folder / "test_own.py").write_text(test, encoding="utf-8")


def kept_in(folder: Path) -> list[dict[str, Any]]:
    """Return the measures that a session has kept; none if it kept no file."""
    path = folder / "runs" / "evidence" / "tests.json"
    rows: list[dict[str, Any]] = (
        json.loads(path.read_text("utf-8"))["measures"] if path.exists() else []
    )
    return rows


def run_here(
    pytester: pytest.Pytester, test: str, requirements: str = "own.toml"
) -> pytest.RunResult:
    """Run one test file in a project of its own, in this process."""
    write_project(pytester.path, test)
    return pytester.runpytest_inprocess(*OPTIONS, "--requirements", requirements)


def test_a_value_within_its_bound_is_kept(pytester: pytest.Pytester) -> None:
    done = run_here(pytester, MEASURES.format(value=61.5, unit="ms"))

    done.assert_outcomes(passed=1)
    (row,) = kept_in(pytester.path)
    assert (row["name"], row["requirements"]) == ("test_door", ["ACME-REQ-7"])
    assert (row["target"], row["result"], row["ok"]) == ("<= 80 ms", "61.5 ms", True)


def test_workers_of_xdist_keep_theirs_as_well_and_the_last_value_counts(
    pytester: pytest.Pytester,
) -> None:
    run_here(pytester, MEASURES.format(value=9.0, unit="ms"))
    # Of another length: else Python may take the compiled file of the first for this one's.
    write_project(pytester.path, MEASURES.format(value=61.5, unit="ms"))

    done = subprocess.run(
        [sys.executable, "-m", "pytest", *OPTIONS, "--requirements", "own.toml", "-n1"],
        cwd=pytester.path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    assert [row["value"] for row in kept_in(pytester.path)] == [61.5]


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (80.1, "ms", "ACME-REQ-7: 80.1 ms is not <= 80 ms"),
        (0.06, "s", "measured: ACME-REQ-7 is in ms, not in 's'"),
    ],
)
def test_a_value_beyond_its_bound_or_in_another_unit_fails(
    pytester: pytest.Pytester, value: float, unit: str, said: str
) -> None:
    done = run_here(pytester, MEASURES.format(value=value, unit=unit))

    done.assert_outcomes(failed=1)
    assert said in done.stdout.str()
    assert [row["ok"] for row in kept_in(pytester.path)] == ([False] if unit == "ms" else [])


@pytest.mark.requirement("SR-38")
@pytest.mark.parametrize(
    ("marker", "said"),
    [
        ('"ACME-REQ-8"', "unknown requirement 'ACME-REQ-8'"),
        ('"SR-05", "SR-06"', "should name one requirement"),
        ("5", "should name one requirement"),
    ],
)
def test_a_marker_that_names_no_known_requirement_ends_the_collection(
    pytester: pytest.Pytester, marker: str, said: str
) -> None:
    test = f"import pytest\n\n\n@pytest.mark.requirement({marker})\ndef test_it(): ...\n"

    done = run_here(pytester, test)

    assert done.ret == pytest.ExitCode.USAGE_ERROR
    assert said in done.stderr.str()


def test_a_mistake_in_the_file_is_told_with_its_line(pytester: pytest.Pytester) -> None:
    bad = '[[requirement]]\nid = "7"\ntext = "x"\n'
    (pytester.path / "bad.toml").write_text(bad, encoding="utf-8")

    done = run_here(pytester, MEASURES.format(value=1.0, unit="ms"), "bad.toml")

    assert done.ret == pytest.ExitCode.USAGE_ERROR
    assert "bad.toml:2: requirement[0].id: '7' is no id" in done.stderr.str()
