"""One run in a thread of its own, for callers that have an event loop of theirs running."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from functools import partial
from threading import Thread
from typing import Final, NamedTuple

from cryoctl.assertions import require_assertions
from cryoctl.lockstep import Operator
from cryoctl.operators import AutomaticOperator
from cryoctl.results import Result, ResultsError, write_results
from cryoctl.run_options import RunOptions
from cryoctl.runner import automatic_operator, run_treatment
from cryoctl.session_file import Placement
from cryoctl.session_operator import simulated_session
from cryoctl.stop_signals import StopSwitch
from cryoctl.watch import Watch
from cryoctl_protocol.peer import AddressError, Opened

LOOK_S: Final = 0.1
"""On Windows nothing interrupts a wait; between two, Ctrl-C gets through everywhere."""


class Outcome(NamedTuple):
    """How a run ended.

    Attributes:
        problem: Why summary or report are missing; empty if they are not.
    """

    result: Result
    problem: str

    def tell(self) -> Result:
        """Return the result; warns whoever called our caller if summary or report are missing."""
        if self.problem:
            warnings.warn(self.problem, RuntimeWarning, stacklevel=3)
        return self.result


def start_run(
    options: RunOptions,
    switch: StopSwitch,
    make_operator: Callable[[Opened], Operator],
    watch: Watch | None = None,
) -> Future[Outcome]:
    """Begin a run; its recording and results are written when the future is done.

    The future has the errors of ``run_treatment``. Python does not end before the thread does.

    Raises:
        AssertionsOffError: Python was told to leave assertions out.
    """
    require_assertions()
    ended: Future[Outcome] = Future()

    def carry_out() -> None:
        try:
            summary = run_treatment(options, switch, make_operator=make_operator, watch=watch)
            result = Result.of(summary)
            ended.set_result(Outcome(result, _write(result)))
        except BaseException as error:  # noqa: BLE001  # Raised where the future is looked at.
            ended.set_exception(error)

    # A thread, because asyncio runs no loop where one is running already, as in a notebook.
    Thread(target=carry_out, name="cryoctl-run").start()
    return ended


def _write(result: Result) -> str:
    """Write summary and report; return why they could not be, or nothing."""
    try:
        write_results(result)
    except ResultsError as error:
        return str(error)
    return ""


def wait_for(future: Future[Outcome], switch: StopSwitch) -> Outcome:
    """Return the outcome of a run.

    Raises:
        KeyboardInterrupt: Or whatever else came while waiting, after the probe was stopped and the
            results were written. A second one leaves as soon as the probe is safe.
    """
    interrupt: BaseException | None = None
    while True:
        try:
            while wait([future], timeout=LOOK_S).not_done:
                pass
            break
        except BaseException as error:  # noqa: BLE001  # Raised below, when the probe is safe.
            switch.stop(leave=not isinstance(error, KeyboardInterrupt))
            interrupt = interrupt or error
    if interrupt is not None:
        raise interrupt from future.exception()
    return future.result()


def operator_of_run(options: RunOptions, *, arm_and_start: bool) -> Callable[[Opened], Operator]:
    """Return what makes the operator of a whole run; a real device has to be allowed."""
    if not isinstance(arm_and_start, bool):
        raise ValueError(f"arm_and_start {arm_and_start!r}: expected True or False")  # noqa: TRY004
    if options.placements:
        return partial(_operator_of_session, options.placements)
    return automatic_operator if arm_and_start else _only_simulated


def _operator_of_session(placements: Sequence[Placement], opened: Opened) -> Operator:
    if opened.hands is None:
        raise AddressError(
            f"device {opened.description}: somebody has to put a real probe in place: run the "
            "session by cryoctl run --session in a terminal, or step by step with cryoctl.connect"
        )
    return simulated_session(opened.hands, placements, AutomaticOperator)


def _only_simulated(opened: Opened) -> Operator:
    if opened.link is not None:
        raise AddressError(
            f"device {opened.description}: a real device is armed and started by hand, through "
            "cryoctl.connect; or say arm_and_start=True"
        )
    return automatic_operator(opened)
