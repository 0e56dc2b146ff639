"""Who may import whom: kept in this tree, and a breach is found and named."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.tree import ROOT, SOURCE_ROOTS


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    source_roots = os.pathsep.join(str(tree / name) for name in SOURCE_ROOTS)
    return subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": source_roots, "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copied_tree(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name in SOURCE_ROOTS:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_the_tree_keeps_its_import_rules() -> None:
    done = lint_imports(ROOT)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "line", "breach"),
    [
        (
            "src/cryoctl/operators.py",
            "import cryoctl_simulator",
            "cryoctl.operators -> cryoctl_simulator",
        ),
        (
            "simulator/cryoctl_simulator/gas.py",
            "import cryoctl",
            "cryoctl_simulator.gas -> cryoctl",
        ),
        (
            "protocol/cryoctl_protocol/framing.py",
            "import cryoctl",
            "cryoctl_protocol.framing -> cryoctl",
        ),
        ("src/cryoctl/interlocks.py", "import time", "cryoctl.interlocks -> time"),
        (
            "src/cryoctl/phases.py",
            "from cryoctl_protocol.truth import TruthSample",
            "cryoctl.phases -> cryoctl_protocol.truth",
        ),
        ("simulator/cryoctl_simulator/gas.py", "import random", "cryoctl_simulator.gas -> random"),
    ],
)
def test_a_forbidden_import_is_found_and_named(
    copied_tree: Path, file: str, line: str, breach: str
) -> None:
    with (copied_tree / file).open("a", encoding="utf-8") as source:
        source.write(f"\n{line}\n")

    done = lint_imports(copied_tree)

    assert done.returncode == 1, done.stdout + done.stderr
    assert breach in done.stdout
