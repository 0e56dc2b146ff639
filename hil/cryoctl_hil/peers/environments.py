"""An environment for each peer: none is a dependency, and one that fails hinders no other."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

SCRIPTS: Final = Path(__file__).parent / "scripts"
INSTALL_S_MAX: Final = 300.0
RUN_S_MAX: Final = 180.0
SAID_MAX: Final = 300
"""Of what a program that failed said last, in characters."""
_VERSION: Final = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"


class PeerError(Exception):
    """A peer that cannot be installed or does not run; says why in one line."""


class Peer(NamedTuple):
    """A peer in an environment of its own, of the same Python as ours."""

    name: str
    python: str
    version: str

    def run(self, script: str, *arguments: str) -> object:
        """Run a script until its end; return what it printed last.

        Raises:
            PeerError: It failed, or said nothing that is JSON.
        """
        done = _run([self.python, "-I", str(SCRIPTS / script), *arguments], RUN_S_MAX)
        return json.loads(done.splitlines()[-1])


def bare() -> Peer:
    """Return this Python with nothing but its standard library, for what needs no more."""
    return Peer("asyncio", sys.executable, platform.python_version())


def install(requirement: str, folder: Path) -> Peer:
    """Install ``NAME==VERSION`` into ``folder/NAME``, unless it is there.

    Raises:
        PeerError: It cannot be had for this Python or this machine.
    """
    name, _, _ = requirement.partition("==")
    home = folder / name
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        _run([sys.executable, "-m", "venv", "--without-pip", str(home)], INSTALL_S_MAX)
    _run(
        [sys.executable, "-m", "uv", "pip", "install", "-q", "--python", str(python), requirement],
        INSTALL_S_MAX,
    )
    return Peer(name, str(python), _run([str(python), "-c", _VERSION, name], RUN_S_MAX).strip())


def _run(arguments: list[str], seconds_max: float) -> str:
    try:
        return subprocess.run(  # noqa: S603 (a Python that we have made, or our own)
            arguments, check=True, capture_output=True, text=True, timeout=seconds_max
        ).stdout
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.split())[-SAID_MAX:]
        raise PeerError(f"exit code {error.returncode}: {said}") from error
    except subprocess.TimeoutExpired as error:
        raise PeerError(f"not done after {seconds_max:g} s") from error
