"""Nothing that the program asks of its system is missing on Windows, as far as Linux can tell.

Python's own modules and those of other people choose by the name of the system; on Windows they
take their other branch. So these modules are refused to ours alone. `make check` has mypy look for
functions that Windows lacks.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from cryoctl.cli import invoke

# The first argument is a JSON list of packages to import, the rest is a command line.
AS_ON_WINDOWS = """\
import builtins, importlib, json, pkgutil, sys

REFUSED = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
given = builtins.__import__


def refuse(name, globals=None, locals=None, fromlist=(), level=0):
    importer = (globals or {}).get("__name__", "")
    if name in REFUSED and importer.startswith("cryoctl"):
        raise ModuleNotFoundError(f"No module named {name!r}")
    return given(name, globals, locals, fromlist, level)


builtins.__import__ = refuse
failed = {}
for package in json.loads(sys.argv[1]):
    path = importlib.import_module(package).__path__
    for module in pkgutil.walk_packages(path, package + "."):
        try:
            # A peer's script runs by its path, in that peer's environment.
            if not module.name.endswith("__main__") and ".peers.scripts." not in module.name:
                importlib.import_module(module.name)
        except ImportError as error:
            failed[module.name] = str(error)
print(json.dumps(failed))
if sys.argv[2:]:
    from cryoctl.cli import invoke

    sys.exit(invoke(sys.argv[2:]))
"""
OURS = ["cryoctl", "cryoctl_protocol", "cryoctl_simulator", "cryoctl_hil"]


def as_on_windows(
    packages: list[str], *command: str, cwd: Path
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", AS_ON_WINDOWS, json.dumps(packages), *command],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def test_only_the_pseudo_terminal_needs_what_windows_lacks(tmp_path: Path) -> None:
    done = as_on_windows(OURS, cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "cryoctl_simulator.served.pty_endpoint": "No module named 'tty'"
    }


@pytest.mark.parametrize(
    "command",
    [
        ("--help",),
        ("run", "--help"),
        ("sim", "--help"),
        ("ports",),
        ("run", "--cycles", "1", "--out", "run"),
    ],
    ids=" ".join,
)
def test_commands_run_without_what_windows_lacks(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = as_on_windows([], *command, cwd=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr


def test_an_import_that_windows_lacks_is_found_and_named(tmp_path: Path) -> None:
    (tmp_path / "cryoctl_breach").mkdir()
    (tmp_path / "cryoctl_breach" / "__init__.py").write_text("")
    (tmp_path / "cryoctl_breach" / "module.py").write_text("import subprocess, termios\n")

    done = as_on_windows(["cryoctl_breach"], cwd=tmp_path)

    assert json.loads(done.stdout) == {"cryoctl_breach.module": "No module named 'termios'"}


def test_a_pseudo_terminal_is_refused_on_windows_with_what_to_do_instead(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cryoctl_simulator.served.commands.sys", SimpleNamespace(platform="win32"))

    assert invoke(["sim", "--pty"]) == 2
    assert "pseudo-terminals do not exist on Windows; use --tcp" in capsys.readouterr().err
