"""The one session that a dashboard has, and what people ask of it; lives in the web thread."""

from __future__ import annotations

import asyncio
import tempfile
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from cryoctl.clock import monotonic_s
from cryoctl.core import Controller
from cryoctl.live import start_session
from cryoctl.live_session import LiveSession, ProbeError
from cryoctl.operator_requests import Request
from cryoctl.plan import Plan, make_plan
from cryoctl.run_options import RunOptions, make_options
from cryoctl.run_thread import Outcome
from cryoctl.stop_signals import StopSwitch
from cryoctl.ui import recordings
from cryoctl.ui.draft import plan_data, read_draft
from cryoctl.ui.feed import Feed, Told
from cryoctl.ui.trace import SAMPLE_S, Trace
from cryoctl.ui.view import (
    Section,
    alarm_section,
    blocker_section,
    ice_section,
    link_section,
    needle_section,
    now_section,
    phase_section,
    placement_section,
    recovery_section,
    truth_section,
)
from cryoctl.ui.wishes import ConnectWish, StimulusWish
from cryoctl_protocol.peer import LinkError

EVENTS_KEPT: Final = 500
ANSWER_S: Final = 0.6
"""A refusal comes with the next tick, half a second away at most; later it is under way."""
_TREND_S: Final = 2.0
_BLOCKERS_S: Final = 0.25


class RefusedError(Exception):
    """What was asked for is not possible now; the text says why."""


class Station:
    """At most one session, its watch, and the last one's end.

    Args:
        keys: Folder with the keys of devices; None is the user's own.

    Attributes:
        trace: Rows of the present or last session.
        events: Its last events.
        notice: Number and text of what was refused or went wrong last.
        runs: Folder with the runs that are kept.
        looks_on: At a run whose steps somebody else asks for.
    """

    looks_on = False

    def __init__(self, keys: Path | None = None) -> None:
        self.trace = Trace()
        self.events: deque[Told] = deque(maxlen=EVENTS_KEPT)
        self.notice = (0, "")
        self.runs = recordings.RUNS
        self._keys = keys
        self._opening = False
        self._session: LiveSession | None = None
        self._switch: StopSwitch | None = None
        self._ended: Future[Outcome] | None = None
        self._feed = Feed(SAMPLE_S)
        self._plans: tuple[Plan, ...] = ()
        self._names: tuple[str, ...] = ()
        self._job: Section = {}
        self._tips: deque[tuple[float, float]] = deque(maxlen=round(_TREND_S / SAMPLE_S))
        self._ticked_s = -1.0
        self._ticked_wall_s = 0.0
        self._blockers: list[Section] = []
        self._blockers_due_s = 0.0
        self._shown_plan: tuple[Plan, Section] | None = None

    # -- asking ----------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """True while a session is open, or on its way to the safe state."""
        return self._opening or (self._ended is not None and not self._ended.done())

    async def connect(self, wish: ConnectWish) -> None:
        """Open a session.

        Raises:
            RefusedError: There is one.
            FileError: Mistakes in the treatment.
            LinkError: An address that cannot be.
            ValueError: A number out of its range.
        """
        if self.is_open:
            raise RefusedError("a session is open: disconnect first")
        self._opening = True
        try:
            self._begin(await asyncio.to_thread(self._options, wish))
        finally:
            self._opening = False

    def open(self, wish: ConnectWish) -> None:
        """Open the first session, before there is a server; return when it is IDLE.

        Raises as ``connect`` does, and whatever the device has against it.
        """
        session, ended = self._begin(self._options(wish))
        with suppress(ProbeError):
            session.connected().result()
        if ended.done():
            failure = ended.result().result.failure
            raise LinkError(failure or "the session ended as soon as it was open")

    def _options(self, wish: ConnectWish) -> RunOptions:
        read_draft(wish.treatment)
        with tempfile.TemporaryDirectory(prefix="cryoctl-") as folder:
            path = Path(folder) / "treatment.toml"
            path.write_text(wish.treatment, encoding="utf-8")
            return make_options(
                path,
                device=wish.device,
                seed=None,
                speed=wish.speed,
                settings=(),
                scenario=None,
                faults=(),
                vendor=None,
                cartridge_g=None,
                bench_waiver="",
                out=None,
                keys=self._keys,
            )

    def _begin(self, options: RunOptions) -> tuple[LiveSession, Future[Outcome]]:
        feed = self._prepare(options)
        self._session, self._ended, self._switch = start_session(options, feed)
        return self._session, self._ended

    def _prepare(self, options: RunOptions) -> Feed:
        """Begin to show another run; return what looks on at it."""
        assert options.speed is not None  # Nobody can look on at what has no pace.
        profile = options.treatment.probe_profile
        limits = profile.limits if options.limits is None else options.limits.limits
        treatments = [placement.treatment for placement in options.placements]
        self._plans = tuple(make_plan(each, limits) for each in treatments or [options.treatment])
        self._names = tuple(placement.name for placement in options.placements)
        self.trace = Trace(options.speed)
        self._feed = Feed(self.trace.step_s)
        self.events.clear()
        self._tips.clear()
        self._job = {
            "device": str(options.device),
            "speed": options.speed,
            **needle_section(profile),
            "pressure_warn_bar": limits.pressure_warn_bar,
            "pressure_low_bar": limits.pressure_low_bar,
        }
        return self._feed

    def disconnect(self) -> None:
        """End the session; whatever runs is stopped and seen safe first.

        Raises:
            RefusedError: It is not this dashboard's to end.
        """
        if self._session is not None:
            self._session.close()

    def abandon(self) -> None:
        """End the session as soon as the probe is safe: nobody waits for the needle."""
        if self._session is not None:
            self._session.abandon()

    def stop(self) -> None:
        """STOP: straight to the controller, whoever asks."""
        if self._session is None or self._switch is None or not self.is_open:
            return
        if self._session.controller is None:
            self._switch.stop()  # The device is being opened; it is kept for what comes then.
        else:
            self._follow(self._session.stop())

    async def ask(self, request: Request) -> None:
        """Ask the controller for something; raises RefusedError if that is refused at once."""
        if request is Request.STOP:
            self.stop()
            return
        session = self._open_session()
        asked: dict[Request, Callable[[], Future[None]]] = {
            Request.BEGIN: session.begin,
            Request.PLACE: session.place,
            Request.PLACED: session.placed,
            Request.CARTRIDGE: session.change_cartridge,
            Request.ARM: session.arm,
            Request.START: session.start,
            Request.RESET: session.reset,
            Request.ACKNOWLEDGE: session.acknowledge,
            Request.PAUSE_AUDIO: session.pause_audio,
        }
        if request not in asked:
            raise RefusedError(f"{request} is not asked for here")
        await self._answer(asked[request]())

    async def stimulate(self, wish: StimulusWish) -> None:
        """Stimulate the nerve."""
        await self._answer(self._open_session().stimulate(wish.stimulus()))

    async def inject(self, fault: str) -> None:
        """Have a fault simulated."""
        await self._answer(self._open_session().inject(fault))

    async def clear_fault(self, fault_id: str) -> None:
        """End a simulated fault."""
        await self._answer(self._open_session().clear_fault(fault_id))

    def _open_session(self) -> LiveSession:
        if self._session is None or self._ended is None or self._ended.done():
            raise RefusedError("no session is open: connect first")
        return self._session

    async def _answer(self, asked: Future[None]) -> None:
        """Return once it is done, or has not been refused for a while."""
        waiting = asyncio.wrap_future(asked)
        done, _ = await asyncio.wait([waiting], timeout=ANSWER_S)
        if not done:
            self._follow(asked)
            waiting.add_done_callback(lambda future: future.exception())
            return
        try:
            waiting.result()
        except (ProbeError, ValueError) as error:
            raise RefusedError(str(error)) from error

    def _follow(self, asked: Future[None]) -> None:
        """Have a later refusal told in the stream."""

        def tell(done: Future[None]) -> None:
            error = None if done.cancelled() else done.exception()
            if error is not None:
                self.notice = (self.notice[0] + 1, str(error))

        asked.add_done_callback(tell)

    # -- looking ---------------------------------------------------------------------------------

    def look(self) -> dict[str, Any]:
        """Take what the feed has; return every section of the state."""
        session = self._session
        if session is None:
            return {"job": {}, "link": {"state": "none"}, "notice": self._notice()}
        controller, plan = session.controller, self._present_plan()
        ice = None if controller is None else controller.observer.estimate
        for row in self._feed.take_rows(plan.treatment.cycles.setpoint_c, ice):
            self.trace.add(row)
            if row.tip_c is not None:
                self._tips.append((row.t, row.tip_c))
        self.events.extend(self._feed.take_events())
        sections: dict[str, Any] = {
            "job": self._job_section(plan),
            "notice": self._notice(),
            "faults": self._fault_section(),
            "outcome": self._outcome(),
        }
        if controller is None:
            return sections | {"link": self._link_without_controller()}
        return sections | self._sections(controller, session.ticked_s, plan)

    def _present_plan(self) -> Plan:
        """Return the plan of the present placement."""
        controller = None if self._session is None else self._session.controller
        treatment = None if controller is None else controller.treatment
        plans = [plan for plan in self._plans if plan.treatment is treatment]
        return plans[0] if plans else self._plans[0]

    def _sections(self, controller: Controller, now_s: float, plan: Plan) -> dict[str, Any]:
        wall_s = monotonic_s()
        if now_s != self._ticked_s:
            self._ticked_s, self._ticked_wall_s = now_s, wall_s
        if wall_s >= self._blockers_due_s:
            self._blockers_due_s = wall_s + _BLOCKERS_S
            self._blockers = blocker_section(controller.arm_blockers(now_s))
        link = link_section(controller, now_s)
        link["control_age_ms"] = round((wall_s - self._ticked_wall_s) * 1000.0, -2)
        if not self.is_open:
            link["state"] = "ended"
        return {
            "now_s": round(now_s, 2),
            "link": link,
            "phase": phase_section(controller, now_s, plan.phases),
            "placements": placement_section(controller, self._names),
            "recovery": recovery_section(controller, now_s),
            "now": now_section(controller, controller.sample, self._trend_c_per_s()),
            "alarms": alarm_section(controller.board.view(now_s)),
            "blockers": self._blockers,
            "ice": ice_section(controller.observer.estimate),
            "truth": truth_section(self._feed.truth),
        }

    def _trend_c_per_s(self) -> float:
        if not self._tips:
            return 0.0
        (then_s, then_c), (now_s, now_c) = self._tips[0], self._tips[-1]
        return 0.0 if now_s <= then_s else (now_c - then_c) / (now_s - then_s)

    def _job_section(self, plan: Plan) -> Section:
        source = self._feed.truth_source
        nerve = None if source is None else source.nerve_place()
        return self._job | {
            "description": self._feed.description,
            "simulated": self._feed.faults is not None,
            "nerve": None if nerve is None else nerve._asdict(),
            "plan": self._plan_section(plan),
            "looks_on": self.looks_on,
        }

    def _plan_section(self, plan: Plan) -> Section:
        """Return a plan as plain values; made once, for it is asked for twenty times a second."""
        if self._shown_plan is None or self._shown_plan[0] is not plan:
            self._shown_plan = (plan, plan_data(plan))
        return self._shown_plan[1]

    def known_faults(self) -> list[Section]:
        """Return what can be broken in the simulated device; nothing on a real one."""
        faults = self._feed.faults
        return [] if faults is None else [known._asdict() for known in faults.known()]

    def _fault_section(self) -> list[Section]:
        faults = self._feed.faults
        return [] if faults is None else [note._asdict() for note in faults.history()]

    def _link_without_controller(self) -> Section:
        return {"state": "opening" if self.is_open else "ended", "age_ms": None}

    def _notice(self) -> Section:
        return {"number": self.notice[0], "text": self.notice[1]}

    def _outcome(self) -> Section:
        """Return how the session ended; nothing while it has not."""
        if self._ended is None or not self._ended.done():
            return {}
        error = self._ended.exception()
        if error is not None:
            return {"verdict": None, "failure": str(error), "folder": None, "report": False}
        result = self._ended.result().result
        return {
            "verdict": None if result.verdict is None else result.verdict.value,
            "failure": result.failure,
            "folder": result.folder.name,
            "report": (result.folder / "report.html").is_file(),
        }
