"""One run in a thread of its own, for callers that have an event loop of theirs running."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Final, NamedTuple

from cryoctl.lockstep import Operator
from cryoctl.results import Result, ResultsError, write_results
from cryoctl.run_options import RunOptions
from cryoctl.runner import automatic_operator, run_treatment
from cryoctl.stop_signals import StopSwitch
from cryoctl_protocol.peer import AddressError, Opened

_LOOK_S: Final = 0.1
"""On Windows nothing interrupts a wait; between two, Ctrl-C gets through everywhere."""


class Outcome(NamedTuple):
    """How a run ended.

    Attributes:
        problem: Why summary or report are missing; empty if they are not.
    """

    result: Result
    problem: str


def start_run(options: RunOptions, switch: StopSwitch, *, arm_and_start: bool) -> Future[Outcome]:
    """Begin a run; its recording and results are written when the future is done.

    The future has the errors of ``run_treatment``. Python does not end before the thread does.
    """

    def carry_out() -> Outcome:
        make_operator = automatic_operator if arm_and_start else _refuse_real_device
        result = Result.of(run_treatment(options, switch, make_operator=make_operator))
        try:
            write_results(result)
        except ResultsError as error:
            return Outcome(result, str(error))
        return Outcome(result, "")

    # A thread, because asyncio runs no loop where one is running already, as in a notebook.
    executor = ThreadPoolExecutor(1, thread_name_prefix="cryoctl-run")
    try:
        return executor.submit(carry_out)
    finally:
        executor.shutdown(wait=False)


def wait_for(future: Future[Outcome], switch: StopSwitch) -> Outcome:
    """Return the outcome of a run.

    Raises:
        KeyboardInterrupt: Or whatever else came while waiting, after the probe was stopped and the
            results were written. A second one leaves as soon as the probe is safe.
    """
    interrupt: BaseException | None = None
    while True:
        try:
            while wait([future], timeout=_LOOK_S).not_done:
                pass
            break
        except BaseException as error:  # noqa: BLE001  # Raised below, when the probe is safe.
            switch.stop(leave=not isinstance(error, KeyboardInterrupt))
            interrupt = interrupt or error
    if interrupt is not None:
        raise interrupt from future.exception()
    return future.result()


def _refuse_real_device(opened: Opened) -> Operator:
    if opened.link is not None:
        raise AddressError(
            f"device {opened.description}: a real device is armed and started by hand, through "
            "cryoctl.connect; or say arm_and_start=True"
        )
    return automatic_operator(opened)
