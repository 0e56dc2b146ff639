"""Judges mutants in one prepared process: a fork, a changed function or constant, its tests.

``python -m cryoctl_hil.assurance.mutant_session`` answers jobs as ``mutant_worker`` does. Here all
tests of the safety core are collected once, and the moments of a treatment that claims begin in are
reached once; a fork then puts the mutant's code into the functions of the module that it is in, and
its constants where the old ones were imported, which takes milliseconds. What else was computed at
import stays as it was: so a mutant that lives here is asked about again by ``mutant_worker``.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from inspect import CO_OPTIMIZED
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import TextIO

import pytest

from cryoctl_hil.assurance.claims import MOMENTS, reach_moment
from cryoctl_hil.assurance.mutant_worker import ORACLES, Job, in_fork, set_alarm
from cryoctl_hil.assurance.mutation import apply
from cryoctl_hil.assurance.safety_core import core_tests


def put_into(module: ModuleType, mutated: CodeType) -> None:
    """Change functions, methods and constants of a module to those of ``mutated``."""
    codes = dict(_codes(mutated))
    for function in _functions(module):
        code = codes.get(function.__qualname__)
        if code is not None:
            function.__code__ = code
    changed = {"__name__": module.__name__}
    exec(mutated, changed)  # noqa: S102 (our own source, with one fault)
    for name, value in changed.items():
        old = vars(module).get(name)
        if _is_constant(value, module.__name__) and value != old:
            for holder in list(sys.modules.values()):
                if vars(holder).get(name) is old:
                    setattr(holder, name, value)


def _is_constant(value: object, module: str) -> bool:
    """Return True for a table or plain value, made of no class that the module itself makes."""
    if type(value).__module__ == module:
        return False
    if isinstance(value, dict):
        return all(_is_constant(each, module) for row in value.items() for each in row)
    if isinstance(value, tuple):
        return all(_is_constant(each, module) for each in value)
    return isinstance(value, (int, float, str))


def _codes(code: CodeType) -> Iterator[tuple[str, CodeType]]:
    for inner in code.co_consts:
        if not isinstance(inner, CodeType):
            continue
        if inner.co_flags & CO_OPTIMIZED:
            yield inner.co_qualname, inner
        else:  # A class body.
            yield from _codes(inner)


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    waiting = list(vars(module).values())
    for value in waiting:
        if getattr(value, "__module__", None) != module.__name__:
            continue
        if isinstance(value, FunctionType):
            yield value
        elif isinstance(value, type):
            members = vars(value).values()
            plain = [each.fget if isinstance(each, property) else each for each in members]
            yield from (each for each in plain if isinstance(each, FunctionType))


class _Judge:
    """Answers jobs instead of running what was collected."""

    def __init__(self, jobs: TextIO, answers: TextIO) -> None:
        self._jobs = jobs
        self._answers = answers
        self._items: dict[str, pytest.Item] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._items = {item.nodeid: item for item in session.items}
        for line in self._jobs:
            job = Job(**json.loads(line))
            verdict = in_fork(lambda job=job: self._lives(session, job))  # type: ignore[misc]
            self._answers.write(json.dumps({"number": job.number, "verdict": verdict}) + "\n")
            self._answers.flush()
        return True

    def _lives(self, session: pytest.Session, job: Job) -> bool:
        source = Path(job.path).read_text("utf-8")
        put_into(sys.modules[job.module], compile(apply(source, job.number), job.path, "exec"))
        if job.oracle != "claims":
            return ORACLES[job.oracle](job)
        chosen = [self._items[test] for test in job.tests]
        for item, following in zip(chosen, [*chosen[1:], None], strict=True):
            set_alarm()
            session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.testsfailed:
                return False
        return True


def _main() -> int:
    # Pytest and the tests may do what they like with the usual channels.
    jobs, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    for moment in MOMENTS:
        reach_moment(moment)
    options = ["-q", "--tb=no", "-p", "no:cacheprovider", "-p", "no:cov"]
    return int(pytest.main([*options, *map(str, core_tests())], [_Judge(jobs, answers)]))


if __name__ == "__main__":
    sys.exit(_main())
