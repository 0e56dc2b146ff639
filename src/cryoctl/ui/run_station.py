"""A dashboard's station at a run that somebody else drives: it looks on, and can stop it."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any, Final

from cryoctl.core import Controller
from cryoctl.live_session import LiveSession
from cryoctl.operator_requests import Request
from cryoctl.plan import Plan
from cryoctl.run_options import RunOptions
from cryoctl.run_thread import Outcome
from cryoctl.stop_signals import StopSwitch
from cryoctl.ui.feed import Feed
from cryoctl.ui.station import RefusedError, Station
from cryoctl.ui.wishes import ConnectWish

ASKED_HERE: Final = frozenset({Request.STOP, Request.ACKNOWLEDGE, Request.PAUSE_AUDIO})
"""Every other step is the run's own operator's: two who command are one too many (SR-25)."""


class RunStation(Station):
    """The station of one run.

    Args:
        options: Of the run; it has a pace.
        switch: Stops it before its controller is there.

    Attributes:
        guests: Brings what pages ask for to the run's operator.
        watch: Looks on.
        ended: To be told how the run ended.
    """

    looks_on = True

    def __init__(self, options: RunOptions, switch: StopSwitch) -> None:
        super().__init__()
        self.runs = options.folder.parent
        self.guests = LiveSession(switch)
        self.watch: Feed = self._prepare(options)
        self.ended: Future[Outcome] = Future()
        self.ended.add_done_callback(lambda _: self.guests.end())
        self._session, self._switch, self._ended = self.guests, switch, self.ended

    async def connect(self, wish: ConnectWish) -> None:
        """Refuse: there is one run here, and no other after it."""
        raise RefusedError("this page looks on at a run: cryoctl ui connects with devices")

    def disconnect(self) -> None:
        """Refuse: who began the run ends it; STOP is for everybody."""
        raise RefusedError("this page looks on at a run, which ends by itself: STOP ends it now")

    async def ask(self, request: Request) -> None:
        """Stop, or quiet alarms; raises RefusedError for every other request."""
        if request not in ASKED_HERE:
            raise RefusedError(f"this page looks on: {request} is asked for by who began the run")
        await super().ask(request)

    def _sections(self, controller: Controller, now_s: float, plan: Plan) -> dict[str, Any]:
        sections = super()._sections(controller, now_s, plan)
        phase = sections["phase"]
        phase["asks"] = [ask for ask in phase["asks"] if Request(ask) in ASKED_HERE]
        return sections
