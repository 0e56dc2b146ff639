"""Asks somebody at the bench to do what no rig can, and takes down that it was done."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

import pytest

from cryoctl_hil.evidence.test_run import OPERATOR_STEPS, TestRun
from cryoctl_hil.rigs.probe import Probe

REFUSALS: Final = ("n", "no", "skip")
BY_HAND: Final = "by_hand"
"""Kind of the event that says so; the controller has events of its operator, too."""


class Operator:
    """Somebody at the terminal.

    Args:
        run: The test that asks.
        probe: Keeps its lease meanwhile.
        at_terminal: Lets the test speak with the terminal.
    """

    def __init__(
        self, run: TestRun, probe: Probe, at_terminal: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._run = run
        self._probe = probe
        self._at_terminal = at_terminal

    def __call__(self, step: str) -> str:
        """Ask for a step that the test's marker names; return what was typed, once it is done.

        The time it takes is not the test's. Whoever types ``no`` has the test not run.
        """
        if step not in self._run.operator_steps:
            pytest.fail(f"name the step in @pytest.mark.{OPERATOR_STEPS}({step!r})")
        probe = self._probe
        probe.step = f"the operator: {step}"
        began_s = probe.now_s
        with self._at_terminal():
            sys.stderr.write(f"\n{self._run.id}\n  >> {step}  [Enter when done, 'no' if not] ")
            sys.stderr.flush()
            line = sys.stdin.readline()
        if not line:
            pytest.skip(f"nobody answered: {step}")
        answer = line.strip()
        if answer.lower() in REFUSALS:
            pytest.skip(f"the operator did not: {step}")
        if probe.time_limit_s is not None:
            probe.time_limit_s += probe.now_s - began_s
        probe.log(BY_HAND, step=step, answer=answer)
        probe.step = ""
        self._run.steps_done.append(step)
        return answer
