"""``--ui`` of a run: a dashboard beside it, which its end does not take away."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import Final

from cryoctl.live_session import SharedOperator
from cryoctl.lockstep import Operator
from cryoctl.run_options import RunOptions
from cryoctl.run_thread import Outcome
from cryoctl.stop_signals import StopSwitch
from cryoctl.ui.gate import Address
from cryoctl.ui.run_station import RunStation
from cryoctl.ui.serving import WebServer
from cryoctl.watch import Watch
from cryoctl_protocol.peer import Opened

_TOKEN_BYTES: Final = 16
_LOOK_S: Final = 0.1


class RunPage:
    """What a run needs to be looked on at.

    Attributes:
        url: What to open.
        watch: Looks on at the run.
    """

    def __init__(self, station: RunStation, web: WebServer, token: str) -> None:
        self.url = f"{web.address.url}#token={token}"
        self.watch: Watch = station.watch
        self._station = station
        self._web = web

    def shared(self, make: Callable[[Opened], Operator]) -> Callable[[Opened], Operator]:
        """Return what makes the run's operator, and lets pages stop the run beside it."""

        def make_shared(opened: Opened) -> Operator:
            operator = make(opened)
            return SharedOperator(self._station.guests.on_opened(opened), operator)

        return make_shared

    def show_end(self, outcome: Outcome, switch: StopSwitch) -> None:
        """Show how the run ended until a signal comes, or has come already."""
        self._station.ended.set_result(outcome)
        closing = _Closing()
        switch.attach(closing)
        look = Event()
        while self._web.is_serving and not closing.asked:
            look.wait(_LOOK_S)


class _Closing:
    """Takes the signal that ends the page."""

    def __init__(self) -> None:
        self.asked = False

    def request_stop(self, *, leave: bool = False) -> None:
        """End it."""
        self.asked = True

    def hurry(self) -> None:
        """Nothing waits here."""


@contextmanager
def beside(options: RunOptions, switch: StopSwitch, port: int) -> Iterator[RunPage]:
    """Serve a dashboard for a run on 127.0.0.1; raises LinkError if the port is taken."""
    station, token = RunStation(options, switch), secrets.token_urlsafe(_TOKEN_BYTES)
    with WebServer(station, Address("127.0.0.1", port, token=token)) as web:
        yield RunPage(station, web, token)
