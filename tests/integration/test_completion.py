"""Tab in a shell: the lines of the install page work, and the completion answers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.programs import needed_program
from tests.support.tree import ROOT

PAGE = (ROOT / "docs" / "how-to" / "install.md").read_text("utf-8")


def in_shell(shell: str, script: str) -> list[str]:
    """Run a script where ``cryoctl`` is on the path; return what it prints."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        [needed_program(shell), "-c", script],
        env={**os.environ, "PATH": path}, capture_output=True, text=True, check=True, timeout=50,
    )  # fmt: skip
    return done.stdout.split()


def line_for(shell: str) -> str:
    """Return the line of the install page."""
    found = re.search(rf"^{shell} +~/\S+ +(.+)$", PAGE, re.MULTILINE)
    assert found is not None
    return found[1]


@pytest.mark.skipif(sys.platform == "win32", reason="its shells are others")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("cryoctl rep", {"replay", "report"}),
        ("cryoctl report --p", {"--picture", "--pdf"}),
        ("cryoctl assu", {"assure"}),
    ],
)
def test_bash_completes_after_the_line_of_the_page(words: str, expected: set[str]) -> None:
    script = f"""{line_for("bash")}
        COMP_WORDS=({words}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
        $(complete -p cryoctl | sed 's/.*-F \\([^ ]*\\).*/\\1/') cryoctl
        echo "${{COMPREPLY[@]}}"
    """

    assert set(in_shell("bash", script)) == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_line_of_the_page_asks_for_a_script_that_asks_us(shell: str) -> None:
    variable = re.search(r"(\w+)=(\w+)", line_for(shell))
    assert variable is not None
    done = subprocess.run(
        [sys.executable, "-c", "from cryoctl.cli import main; main()"],
        env={**os.environ, variable[1]: variable[2]},
        capture_output=True, text=True, check=False, timeout=50,
    )  # fmt: skip

    assert f"{variable[1]}={shell}_complete" in done.stdout
