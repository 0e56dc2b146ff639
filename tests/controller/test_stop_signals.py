"""Signals: one request to stop, kept until there is something to stop."""

from __future__ import annotations

import signal

import pytest

from cryoctl.stop_signals import StopSignals


class Target:
    """Counts the requests."""

    def __init__(self) -> None:
        self.requests = 0

    def request_stop(self) -> None:
        self.requests += 1


@pytest.mark.requirement("SR-29")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_asks_for_stop_and_interrupts_nothing(number: signal.Signals) -> None:
    target = Target()

    with StopSignals() as signals:
        signals.attach(target)
        signal.raise_signal(number)
        signal.raise_signal(number)

    assert target.requests == 2


@pytest.mark.requirement("SR-29")
def test_a_signal_before_there_is_anything_to_stop_is_kept_for_it() -> None:
    target = Target()

    with StopSignals() as signals:
        signal.raise_signal(signal.SIGINT)
        assert target.requests == 0
        signals.attach(target)

    assert target.requests == 1


def test_afterwards_signals_do_what_they_did_before() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    with StopSignals():
        pass

    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
