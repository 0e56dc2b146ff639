"""Waiting for a run in another thread: an interrupt stops the probe first."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from pathlib import Path
from threading import Semaphore
from typing import Any

import pytest

from cryoctl.results import Result
from cryoctl.run_thread import Outcome, wait_for
from cryoctl.stop_signals import StopSwitch
from cryoctl_protocol.peer import LinkError

ENDED = Outcome(Result(Path("run.mcap"), None), "")
HEARD_S = 10.0


class Probe:
    """Keeps the wishes to stop, and holds up its run until some have come."""

    def __init__(self) -> None:
        self.wishes: list[bool] = []
        self._heard = Semaphore(0)

    def request_stop(self, *, leave: bool = False) -> None:
        self.wishes.append(leave)
        self._heard.release()

    def hurry(self) -> None:
        """Nothing here waits for a tick."""

    def hear(self, count: int) -> None:
        for _ in range(count):
            assert self._heard.acquire(timeout=HEARD_S)


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what has the next waits interrupted by exceptions, as signals would do it."""

    def script(*errors: BaseException) -> None:
        left = list(errors)

        def wait(*arguments: Any, **options: Any) -> Any:
            if left:
                raise left.pop(0)
            return concurrent.futures.wait(*arguments, **options)

        monkeypatch.setattr("cryoctl.run_thread.wait", wait)

    return script


def waited_for(probe: Probe, work: Callable[[], Outcome]) -> Outcome:
    """Do ``work`` in another thread, and wait for it as ``cryoctl.run`` does."""
    switch = StopSwitch()
    switch.attach(probe)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return wait_for(pool.submit(work), switch)


def test_without_an_interrupt_the_outcome_comes_back_and_nothing_is_stopped() -> None:
    probe = Probe()

    assert waited_for(probe, lambda: ENDED) is ENDED
    assert probe.wishes == []


def test_an_error_of_the_run_is_raised_where_it_was_called() -> None:
    def fail() -> Outcome:
        raise LinkError("no probe")

    with pytest.raises(LinkError, match="no probe"):
        waited_for(Probe(), fail)


@pytest.mark.requirement("SR-29")
@pytest.mark.parametrize(
    ("errors", "wishes"),
    [
        ([KeyboardInterrupt()], [False]),
        ([KeyboardInterrupt(), KeyboardInterrupt()], [False, True]),
        ([SystemExit(1)], [True]),  # Nobody is there to wait for the needle.
    ],
    ids=["Ctrl-C", "Ctrl-C twice", "end of the program"],
)
def test_an_interrupt_stops_the_probe_and_is_raised_when_the_results_are_written(
    interrupt: Callable[..., None], errors: list[BaseException], wishes: list[bool]
) -> None:
    probe, written = Probe(), []

    def run() -> Outcome:
        probe.hear(len(wishes))
        written.append("results")
        return ENDED

    interrupt(*errors)
    with pytest.raises(type(errors[0])) as raised:
        waited_for(probe, run)

    assert raised.value is errors[0]
    assert probe.wishes == wishes
    assert written == ["results"]


def test_a_run_that_fails_while_it_is_stopped_is_the_cause_of_the_interrupt(
    interrupt: Callable[..., None],
) -> None:
    probe = Probe()

    def run() -> Outcome:
        probe.hear(1)
        raise LinkError("gone")

    interrupt(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt) as raised:
        waited_for(probe, run)

    assert isinstance(raised.value.__cause__, LinkError)
