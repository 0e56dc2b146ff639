"""The wheel as a user gets it: what is in it, and that it runs where there is no repository."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from importlib.metadata import PathDistribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support.tree import ROOT, SOURCE_ROOTS, project_files

# One worker builds and installs it once.
pytestmark = pytest.mark.xdist_group("wheel")

# Python imports it at its start, in the environment that the wheel is in.
TELL_OPENED_FILES = """\
import atexit, os, sys

opened = set()
sys.addaudithook(
    lambda event, arguments: opened.add(arguments[0])
    if event == "open" and isinstance(arguments[0], str)
    else None
)
keep, abspath = os.environ["OPENED_FILES"], os.path.abspath


@atexit.register
def tell():
    names = sorted(map(abspath, opened))
    with open(keep, "w", encoding="utf-8") as file:
        file.write("\\n".join(names))
"""


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Run a command that has to succeed; return what it printed."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        command,
        cwd=cwd,
        env=inherited | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (built,) = folder.iterdir()
    return built


@dataclass(frozen=True, slots=True)
class Installed:
    """The wheel in an environment of its own, and an empty folder to stand in."""

    programs: Path
    packages: Path
    here: Path

    def run(self, *command: str) -> tuple[str, list[Path]]:
        """Run a program of the environment; return what it printed, and the files it opened."""
        kept = self.here / "opened.txt"
        program = self.programs / command[0]
        printed = run(program, *command[1:], cwd=self.here, OPENED_FILES=str(kept))
        return printed, [Path(line) for line in kept.read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Install the wheel; what it requires comes out of the environment of the tests.

    Only what the wheel says it requires is there: a library that only the tests have is missed.
    """
    folder = tmp_path_factory.mktemp("elsewhere")
    uv = (sys.executable, "-m", "uv", "--no-cache", "--offline", "--quiet")
    run(*uv, "venv", "--python", sys.executable, "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    run(*uv, "pip", "install", "--python", python, "--no-deps", wheel, cwd=folder)
    (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (required,) = packages.glob("cryoctl-*.dist-info")
    link_what_is_required(PathDistribution(required).requires or [], packages)
    (packages / "sitecustomize.py").write_text(TELL_OPENED_FILES, encoding="utf-8")
    here = folder / "here"
    here.mkdir()
    return Installed(python.parent, packages, here)


def link_what_is_required(requirements: list[str], folder: Path) -> None:
    """Link distributions of this environment into ``folder``, and all that they require."""
    waiting, linked = [Requirement(text) for text in requirements], set()
    while waiting:
        requirement = waiting.pop()
        unwanted = requirement.marker and not requirement.marker.evaluate({"extra": ""})
        if unwanted or requirement.name in linked:
            continue
        linked.add(requirement.name)
        found = distribution(requirement.name)
        for top in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
            (folder / top).symlink_to(Path(str(found.locate_file(top))))
        waiting += [Requirement(text) for text in found.requires or ()]


def test_the_wheel_holds_the_packages_as_they_are_and_nothing_else(wheel: Path) -> None:
    expected = {
        file.relative_to(ROOT / root).as_posix()
        for file in project_files()
        for root in SOURCE_ROOTS
        if file.is_relative_to(ROOT / root)
        and file.relative_to(ROOT / root).parts[0].startswith("cryoctl")
    } | {
        f"{place}/{file.relative_to(ROOT / source).as_posix()}"
        for source, place in ELSEWHERE.items()
        for file in project_files()
        if file.is_relative_to(ROOT / source)
    }

    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}

    assert names == expected
    assert {name for name in names if name.endswith("py.typed")} == {
        "cryoctl/py.typed",
        "cryoctl_hil/py.typed",
        "cryoctl_protocol/py.typed",
        "cryoctl_simulator/py.typed",
    }


def test_the_wheel_carries_the_licence(wheel: Path) -> None:
    version = wheel.name.split("-")[1]

    text = zipfile.ZipFile(wheel).read(f"cryoctl-{version}.dist-info/licenses/LICENSE")

    assert text == (ROOT / "LICENSE").read_bytes()


ELSEWHERE = {
    "hil/suites": "cryoctl_hil/suites",
    "protocol/c": "cryoctl_protocol/c_sources",
    "simulator/firmware": "cryoctl_simulator/firmware_sources",
}
"""Where the wheel has the suite, and what the extra `firmware` compiles."""
OF_EXTRAS = {
    "coverage",
    "cryptography",
    "distributed",
    "elftools",
    "hypothesis",
    "packaging",
    "pandas",
    "playwright",
    "pyarrow",
    "scipy",
    "starlette",
    "unicorn",
    "uvicorn",
    "websockets",
}
"""Imported where they are used, after a look whether they are there; what pytest loads, by it.
Assurance programs that need a clone with its tests may import what comes with one."""


def test_the_wheel_requires_whatever_its_modules_import(installed: Installed) -> None:
    find = "import sys, importlib.util as i; print([n for n in sys.argv[1:] if not i.find_spec(n)])"

    imported = [name for name in imported_by(installed.packages) if name not in OF_EXTRAS]
    missing, _ = installed.run("python", "-c", find, *imported)

    assert missing == "[]\n"


def imported_by(packages: Path) -> list[str]:
    """Return the top names of all imports of our modules, those inside functions included."""
    found = set()
    for module in packages.glob("cryoctl*/**/*.py"):
        if module.parent.name == "scripts":
            continue  # Each runs in the environment of the peer that it imports.
        for node in ast.walk(ast.parse(module.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.module is not None
                found.add(node.module.partition(".")[0])
    return sorted(found)


def test_the_program_has_the_version_of_its_wheel(wheel: Path, installed: Installed) -> None:
    printed, _ = installed.run("cryoctl", "--version")

    assert printed == f"cryoctl, version {wheel.name.split('-')[1]}\n"


@pytest.mark.parametrize(
    ("command", "printed", "loaded"),
    [
        (
            ("cryoctl", "run", "--cycles", "1", "--scenario", "fat", "--out", "run"),
            "verdict",
            [
                "cryoctl/treatments/n2o-20g.toml",
                "cryoctl/templates/report.html",
                "cryoctl_protocol/profiles/n2o-20g.toml",
                "cryoctl_simulator/scenarios/fat.toml",
            ],
        ),
        (("cryoctl", "plan", "--profile", "co2-20g"), "gas", ["cryoctl/treatments/co2-20g.toml"]),
        (("cryoctl", "config", "show"), "cycles.count", ["cryoctl/treatments/n2o-20g.toml"]),
        (("cryoctl", "config", "schema", "scenario"), '"tissue"', []),
        (("cryoctl", "sim", "--help"), "--tcp", []),
        (("python", "-m", "cryoctl", "--help"), "Commands:", []),
    ],
    ids=["run", "plan", "config show", "config schema", "sim", "python -m"],
)
def test_an_installed_command_runs_on_what_the_wheel_brought(
    installed: Installed, command: tuple[str, ...], printed: str, loaded: list[str]
) -> None:
    said, opened = installed.run(*command)

    assert printed in said
    assert {installed.packages / name for name in loaded} - set(opened) == set()
    assert [
        file for file in opened if any(file.is_relative_to(ROOT / root) for root in SOURCE_ROOTS)
    ] == []
