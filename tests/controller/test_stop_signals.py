"""Signals: one request to stop, kept until there is something to stop."""

from __future__ import annotations

import signal

import pytest

from cryoctl.stop_signals import StopSignals, StopSwitch


class Target:
    """Keeps the requests: whether to leave, for each."""

    def __init__(self) -> None:
        self.requests: list[bool] = []

    def request_stop(self, *, leave: bool = False) -> None:
        self.requests.append(leave)

    def hurry(self) -> None:
        """Nothing here waits for a tick."""


@pytest.mark.requirement("SR-29")
@pytest.mark.parametrize(
    ("number", "leaves"),
    [
        (signal.SIGINT, [False, True]),  # The second Ctrl-C does not wait for the thaw.
        (signal.SIGTERM, [True, True]),
        (signal.SIGHUP, [True, True]),
    ],
)
def test_a_signal_asks_for_stop_and_interrupts_nothing(
    number: signal.Signals, leaves: list[bool]
) -> None:
    target = Target()

    with StopSignals() as signals:
        signals.attach(target)
        signal.raise_signal(number)
        signal.raise_signal(number)

    assert target.requests == leaves


@pytest.mark.requirement("SR-29")
def test_a_signal_before_there_is_anything_to_stop_is_kept_for_it() -> None:
    target = Target()

    with StopSignals() as signals:
        signal.raise_signal(signal.SIGINT)
        assert target.requests == []
        signals.attach(target)

    assert target.requests == [False]


@pytest.mark.requirement("SR-29")
def test_a_switch_stops_first_and_leaves_when_it_is_pressed_again_or_told_to() -> None:
    twice, told = Target(), Target()
    patient, hasty = StopSwitch(), StopSwitch()
    patient.attach(twice)
    hasty.attach(told)

    patient.stop()
    patient.stop()
    hasty.stop(leave=True)

    assert (twice.requests, told.requests) == ([False, True], [True])


def test_afterwards_signals_do_what_they_did_before() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    with StopSignals():
        pass

    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
