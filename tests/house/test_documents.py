"""What README, tutorial and how-to pages tell a reader to type works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.shell_blocks import (
    ShellBlock,
    make_targets,
    run_block,
    shell_blocks,
    without_make,
)
from tests.support.tree import ROOT, make_targets_defined

DOCUMENTS = [
    ROOT / "README.md",
    *sorted((ROOT / "docs" / "tutorial").glob("*.md")),
    *sorted((ROOT / "docs" / "how-to").glob("*.md")),
]
NEEDS_HARDWARE = re.compile(r"serial:|tcp:|mqtts?:|/dev/|--pty")


def document_ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", DOCUMENTS, ids=document_ids)
def test_every_shell_block_does_what_the_document_says(path: Path, tmp_path: Path) -> None:
    for block in shell_blocks(path.read_text("utf-8")):
        if block.not_run is None:
            done = run_block(block, tmp_path)

            assert done.returncode == block.exit_code, (
                f"{path.name}:{block.line}: exit code {done.returncode}, not {block.exit_code}\n"
                f"{block.text}{done.stdout}{done.stderr}"
            )


@pytest.mark.parametrize("path", DOCUMENTS, ids=document_ids)
def test_every_make_line_names_a_target_that_exists(path: Path) -> None:
    named = [
        target
        for block in shell_blocks(path.read_text("utf-8"))
        for target in make_targets(block.text)
    ]

    assert set(named) - make_targets_defined() == set()


@pytest.mark.parametrize("path", DOCUMENTS, ids=document_ids)
def test_only_make_lines_and_hardware_are_left_out(path: Path) -> None:
    left_out = [block for block in shell_blocks(path.read_text("utf-8")) if block.not_run]

    assert [block.line for block in left_out if not _may_be_left_out(block)] == []


def _may_be_left_out(block: ShellBlock) -> bool:
    return without_make(block.text).strip() == "" or NEEDS_HARDWARE.search(block.text) is not None


def test_a_comment_above_a_block_speaks_about_it() -> None:
    document = """text
```sh
one
two
```
```python
not_shell()
```
<!-- not run: needs a probe -->
```sh
three
```
<!-- fails: 4 -->
```sh
four
```
"""

    assert shell_blocks(document) == [
        ShellBlock(3, "one\ntwo\n"),
        ShellBlock(11, "three\n", not_run="needs a probe"),
        ShellBlock(15, "four\n", exit_code=4),
    ]


def test_make_lines_are_named_and_not_run() -> None:
    text = 'make run ARGS="--cycles 1"  # comment\nmake PYTHON=python3 test\necho make sure\n'

    assert make_targets(text) == ["run", "test"]
    assert without_make(text) == "echo make sure\n"


def test_a_block_ends_at_its_first_failure(tmp_path: Path) -> None:
    done = run_block(ShellBlock(1, "echo before\n(exit 3)\necho after\n"), tmp_path)

    assert (done.returncode, done.stdout) == (3, "before\n")
