"""Runs tests and oracles on mutants, each in a fork of its own.

``python -m cryoctl_hil.assurance.mutant_worker`` reads one job a line from its input and writes one
answer a line. The parent of the forks has the libraries loaded and nothing of the project, so each
mutant is there before anything imports its module: tables and constants that others copied at
import are mutants, too.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

TIMEOUT_S = 60
_GOLDEN_PROFILE = "template"  # One cycle: the quickest of the built-in treatments.
KILLED, SURVIVED, TIMED_OUT = "killed", "survived", "timed out"


@dataclass(frozen=True, slots=True)
class Job:
    """One question about one mutant.

    Attributes:
        module: As it is imported.
        path: Its file.
        number: Of the fault; -1 leaves it as it is.
        oracle: ``claims`` runs ``tests`` in ``files``, or all in them; ``invariants`` searches
            states and tries what a layer of interlocks claims to do alone; ``golden`` treats.
        side: Whose module it is.
    """

    module: str
    path: str
    number: int
    oracle: str
    side: str
    files: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()


class _MutantLoader(SourceFileLoader):
    def __init__(self, name: str, path: str, number: int) -> None:
        super().__init__(name, path)
        self._number = number

    def get_code(self, fullname: str) -> CodeType:
        from cryoctl_hil.assurance.mutation import apply

        source = Path(self.path).read_text("utf-8")
        return compile(apply(source, self._number), self.path, "exec")


class _MutantFinder(MetaPathFinder):
    def __init__(self, job: Job) -> None:
        self._job = job

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname != self._job.module:
            return None
        spec = PathFinder.find_spec(fullname, path)
        assert spec is not None
        spec.loader = _MutantLoader(fullname, self._job.path, self._job.number)
        return spec


class _Chosen:
    """Leaves the tests that run the mutated lines, the quickest first, each with its own time."""

    def __init__(self, tests: Sequence[str]) -> None:
        self._order = {test: place for place, test in enumerate(tests)}

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items[:] = sorted(
            (item for item in items if not self._order or item.nodeid in self._order),
            key=lambda item: self._order.get(item.nodeid, 0),
        )

    def pytest_runtest_setup(self) -> None:
        set_alarm()


def _claims(job: Job) -> bool:
    import pytest

    # No test found is no survivor either: pytest then answers with another number than 0.
    arguments = ["-q", "-x", "--tb=no", "-p", "no:cacheprovider", "-p", "no:cov", *job.files]
    return pytest.main(arguments, [_Chosen(job.tests)]) == 0


def _invariants(job: Job) -> bool:
    from cryoctl_hil.assurance.claims import claims_of, try_claim
    from cryoctl_hil.assurance.reach import is_safe

    if job.side == "device" and not is_safe(job.side):
        return False
    return all(try_claim(claim, job.side).holds for claim in claims_of(job.side))


def _golden(_job: Job) -> bool:
    from cryoctl_hil.assurance.golden import nominal_run

    return not nominal_run(_GOLDEN_PROFILE).does_not_treat(_GOLDEN_PROFILE)


ORACLES: dict[str, Callable[[Job], bool]] = {
    "claims": _claims,
    "invariants": _invariants,
    "golden": _golden,
}


def set_alarm() -> None:
    """Have this process ended should what follows hang."""
    if sys.platform != "win32":
        signal.alarm(TIMEOUT_S)


def in_fork(lives: Callable[[], bool]) -> str:
    """Return what became of a mutant in a process of its own; ``lives`` makes and judges it."""
    if sys.platform == "win32":
        raise NotImplementedError("mutants are judged in forks, which Windows has not")
    child = os.fork()
    if child == 0:
        os._exit(_child(lives))
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return TIMED_OUT
    return SURVIVED if os.WEXITSTATUS(status) == 0 else KILLED


def _child(lives: Callable[[], bool]) -> int:
    set_alarm()  # Its default action ends the process: no mutant can catch it.
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        try:
            return 0 if lives() else 1
        except BaseException:  # noqa: BLE001 (a mutant may raise anything: it has been noticed)
            return 1


def _lives(job: Job) -> bool:
    if job.number >= 0:
        sys.meta_path.insert(0, _MutantFinder(job))
    return ORACLES[job.oracle](job)


def _main() -> None:
    for name in ("numpy", "pydantic", "pytest", "_pytest.terminal", "transitions", "construct"):
        with suppress(ImportError):
            __import__(name)
    for line in sys.stdin:
        job = Job(**json.loads(line))
        verdict = in_fork(lambda job=job: _lives(job))  # type: ignore[misc]
        sys.stdout.write(json.dumps({"number": job.number, "verdict": verdict}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main()
