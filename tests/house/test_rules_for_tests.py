"""The rules of conftest.py refuse what they are there to refuse."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.tree import ROOT

LEAVES_A_TASK = """
import asyncio

KEPT = []


async def test_leaves_a_task_running():
    KEPT.append(asyncio.create_task(asyncio.sleep(3600), name="forgotten"))
"""

TIDY = """
import asyncio

import pytest


@pytest.mark.requirement("SR-05")
async def test_waits_for_its_task():
    await asyncio.create_task(asyncio.sleep(0))
"""

NAMES_NO_REQUIREMENT = """
import pytest


@pytest.mark.requirement("SR-5")
def test_says_which():
    pass
"""


@pytest.mark.parametrize(
    ("test", "exit_code", "said"),
    [
        (TIDY, pytest.ExitCode.OK, "1 passed"),
        (LEAVES_A_TASK, pytest.ExitCode.TESTS_FAILED, "forgotten"),
        (NAMES_NO_REQUIREMENT, pytest.ExitCode.USAGE_ERROR, "unknown requirement 'SR-5'"),
    ],
    ids=["tidy", "leaves a task", "names no requirement"],
)
def test_a_test_is_held_to_the_rules(
    tmp_path: Path, test: str, exit_code: pytest.ExitCode, said: str
) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path / "tests")
    shutil.copytree(ROOT / "tests" / "support", tmp_path / "tests" / "support")
    (tmp_path / "tests" / "test_one.py").write_text(test, encoding="utf-8")

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == exit_code, done.stdout + done.stderr
    assert said in done.stdout + done.stderr


# It does so by the end of a test's id; pytest 9.2 dropped that in silence.
@pytest.mark.xdist_group("together")
def test_pytest_xdist_sees_the_group_of_a_test(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("loadgroup", default=False):
        pytest.skip("tests are not shared out in groups: no --dist loadgroup")

    assert request.node.nodeid.endswith("@together")
