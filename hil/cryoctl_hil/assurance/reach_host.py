"""The controller as a world to search: the production's own decisions, its inputs, its claims.

What is the production's own: ``Controller`` with its phases, permits, interlocks, safing, alarm
board, operator's requests and command desk.

What is replaced: the session below it. Frames, tags, counters and the number of tries have searches
and fuzzers of their own; here a message of the probe arrives, or does not, and commands, leases and
STOP are looked at before they are sealed. The observer of the ice is replaced too: what it would
make of the tip's heat is one more reading. The recording always goes well.

What is abstracted, and what that costs:

- The probe is no model: it answers, shows and does whatever the search picks, also what no probe
  would do. Its telemetry is one of some thirty pictures, on both sides of limits; values between
  are not tried. The tests of the single interlocks hold their boundaries to the last unit.
- Pictures are tried only in the phases where they can come (``_KINDS_OF_PHASE``), beside four that
  are tried in each; answers only to what was asked. The device's trips are two.
- A step is an input and 50 ms: a sample, unless there is silence, and a control tick. *wait* goes
  on under the same picture until the next timer has run out. What lies between is jumped over,
  which is exact for timers, since each is a time that something began; a tick that is late and a
  sample that is missing are inputs of their own.
- Two states count as one if the key is equal. In it stand phase, commands under way, what is
  shown, what the authorisation allows, and each timer by the limits that it has passed, but only
  where the phase asks for it. Not in it: which causes have tripped beside the first, which alarms
  stand (they decide nothing but the sound), gas used, and verdicts.
- One treatment, of two cycles, at one placement after the other.
"""

from __future__ import annotations

import io
import pickle
from collections import deque
from collections.abc import Hashable, Sequence
from enum import Enum
from functools import partial
from typing import Any, Final, NamedTuple

from cryoctl import answers
from cryoctl.core import Controller, Settings
from cryoctl.cycle_table import Phase
from cryoctl.operator_requests import Request
from cryoctl.records import LogEvent
from cryoctl.stimulation import STIMULUS_OFF, Stimulus
from cryoctl.treatment import Treatment, default_treatment
from cryoctl_hil.assurance.reach_host_claims import (
    Before,
    Call,
    Ledger,
    Sent,
    Step,
    broken_claims,
    followed,
)
from cryoctl_hil.assurance.reach_host_double import OpenObserver, OpenSession
from cryoctl_hil.assurance.reach_host_pictures import (
    INSTANT,
    PICTURES,
    REJECTED,
    RESIDUAL,
    STILL,
    STILL_FLOW,
    a_hello,
    telemetry_of,
)
from cryoctl_hil.sinks import NoSink
from cryoctl_protocol.codes import Answer, DeviceState, EventCode, Op, Result, Trip
from cryoctl_protocol.host_session import Phase as SessionPhase
from cryoctl_protocol.messages import Ack, Done, Event
from cryoctl_protocol.profile import load_profile

_TICK_S: Final = 0.05
_SAMPLE_S: Final = 0.03
"""A sample comes so long after a tick."""
_SILENCE: Final = "silence"
_WAIT: Final = "wait"
_STIMULUS: Final = Stimulus(2.0, 0.1, 1.0, 2.0)
_REQUESTS: Final[dict[str, tuple[Request, Stimulus]]] = {
    **{request.name: (request, STIMULUS_OFF) for request in Request},
    "STIMULATE": (Request.STIMULATE, _STIMULUS),
    "STIMULATE off": (Request.STIMULATE, STIMULUS_OFF),
}
_EVENTS: Final = {"probe trips, thaw": Trip.OVERPRESSURE, "probe trips, off": Trip.BATTERY}
_ANSWERS: Final = ("accepted", "refused", "nobody answers", "done", "failed")
_LINK: Final = ("greeted", "held by another", "restarted", "link gone", "link back", "late tick")


HOST_TREATMENT: Final = (
    "greeted", "idle", "BEGIN", "accepted", "done", "accepted", "done", "PLACE", "STIMULATE",
    "accepted", "stimulating", "done", "idle", "PLACED", "ARM", "accepted", "START", "accepted",
    "accepted", "done", "accepted", "freezing at -40 C", "freezing at -60 C", _WAIT, _WAIT,
    "accepted", "thawing at -5 C", "thawing at 10 C", _WAIT, _WAIT, _WAIT, "accepted",
    "freezing at -40 C", "freezing at -60 C", _WAIT, "STOP", "safe at -5 C",
    "safe at 10 C", _WAIT, _WAIT, "RESET", "accepted", "idle",
)  # fmt: skip
"""A stimulus, a cycle, half of another and a STOP, as inputs."""


class Place(NamedTuple):
    """One state of the world: the controller's memory, what is shown, what an observer knows."""

    memory: bytes
    pause_until_s: float
    ledger: Ledger
    picture: str
    link: bool
    now_s: float
    phase: Phase
    over: bool
    in_flight: int
    awaited: frozenset[int]
    opening: SessionPhase
    greeted: bool


class _Sink(NoSink):
    """Notes that an alarm was raised, for the claims, and nothing else."""

    def __init__(self) -> None:
        self.raised = False

    def event(self, event: LogEvent) -> None:
        """Note that an alarm was raised."""
        if event.kind == "alarm" and event.data["change"] == "raised":
            self.raised = True


def short_treatment() -> Treatment:
    """Return two cycles of 10 s, 2 s apart, after 5 s of warming."""
    values = default_treatment("n2o-20g").model_dump(mode="json", by_alias=True)
    values["cycles"] |= {"count": 2, "hold_s": 10.0, "pause_s": 2.0, "on_not_effective": "continue"}
    return Treatment.model_validate(values)


class HostWorld:
    """The controller of profile n2o-20g under every input that is listed above."""

    def __init__(self) -> None:
        self.inputs: Sequence[str] = (
            *PICTURES, _SILENCE, *_REQUESTS, *_ANSWERS, *_EVENTS, *_LINK, "crash", _WAIT,
        )  # fmt: skip
        self._sink = _Sink()
        profile = load_profile("n2o-20g")
        self._hello = a_hello(profile.hash32)
        settings = Settings(key=b"k" * 16, nonce_seed=b"reach", scavenging=True)
        self._controller = Controller(short_treatment(), profile, settings, self._sink)
        c = self._controller
        c.session = c.desk.session = self._session = OpenSession()
        c.observer = OpenObserver()
        # What never changes is not saved with every state, but called by its place.
        self._shared: list[object] = [c.treatment, profile, profile.limits, settings]
        self._places = {id(each): place for place, each in enumerate(self._shared)}
        self._ledger = Ledger()
        self._present: Place | None = None
        self._broken: list[str] = []
        self._now_s = 0.0
        self._picture = _SILENCE
        self._link = True
        c.connect(0.0)
        self._session.take_sent()
        self._first = self._taken()

    # -- what a search asks for ------------------------------------------------------------------

    def start(self) -> Place:
        """Return the state after the first greeting, unanswered."""
        return self._first

    def is_home(self, state: Place) -> bool:
        """Return True in IDLE with an open session, and where a run has ended."""
        return state.over or (state.phase is Phase.IDLE and state.opening is SessionPhase.OPEN)

    def step(self, state: Place, index: int) -> tuple[Place, list[str]]:
        """Run one input and 50 ms."""
        name = self.inputs[index]
        if not _is_tried(name, state):
            return state, []
        self._restore(state)
        self._broken = []
        if name == _WAIT:
            self._wait()
        else:
            self._input(name)
            self._beat(late_s=0.2 if name == "late tick" else 0.0)
        return self._taken(), self._broken

    def key(self, state: Place) -> Hashable:
        """Return what can still decide something: see the module for what is left out."""
        self._restore(state)
        c, session, ledger = self._controller, self._session, self._ledger
        if state.over:
            return (c.phase, bool(c.failure))
        live = c.phase not in (Phase.DISCONNECTED, Phase.CONNECTING)
        waiting = c.desk._next  # noqa: SLF001 (a search looks at everything)
        return (
            c.phase, session.phase, session.in_flight and session.in_flight.op,
            session.awaited, waiting and waiting.op, self._seen(), self._link,
            session.hello is None,
            c.desk.stale, c.stimulation.is_over, c.leak_tested_s is None,
            live and _cycle_key(c), c.phase is Phase.SAFE and c.safing.confirmed, _memory_key(c),
            ledger.freezes_left, ledger.reset_asked,
            tuple(_passed(self._now_s, since_s, limits) for since_s, limits in self._timers()),
        )  # fmt: skip

    # -- one step --------------------------------------------------------------------------------

    def _input(self, name: str) -> None:
        c, now_s = self._controller, self._now_s
        if name in PICTURES or name == _SILENCE:
            self._picture = name
        elif name in _REQUESTS:
            request, stimulus = _REQUESTS[name]
            self._call(Call(name), partial(self._ask, request, stimulus))
        elif name in _ANSWERS:
            self._answer(name)
        elif name in _EVENTS:
            event = Event(0, 0, EventCode.TRIP, DeviceState.FAULT, _EVENTS[name], 1, 1)
            self._call(Call(name), partial(answers.on_event, c, event, now_s))
        elif name == "crash":
            self._call(Call(name), partial(c.crash, now_s))
        elif name in _LINK:
            self._change_link(name)

    def _ask(self, request: Request, stimulus: Stimulus) -> bool:
        return self._controller.request(request, self._now_s, stimulus) is None

    def _answer(self, name: str) -> None:
        c, session, now_s = self._controller, self._session, self._now_s
        if name == "nobody answers":
            session.unanswered = True
        elif name in ("accepted", "refused"):
            assert session.in_flight is not None
            counter, op = session.in_flight.counter, Op(session.in_flight.op)
            session.in_flight = None
            answer = Answer.ACCEPTED if name == "accepted" else Answer.WRONG_STATE
            if answer is Answer.ACCEPTED and op not in INSTANT:
                session.awaited |= {op}
                session.counters[op] = counter
            ack = Ack(counter, op, answer)
            self._call(Call(name), partial(answers.on_ack, c, ack, now_s))
        else:
            op = Op(min(session.awaited))
            session.awaited -= {op}
            result = Result.OK if name == "done" else Result.FAILED
            done = Done(session.counters[op], op, result, 0)
            self._call(Call(name), partial(answers.on_done, c, done, now_s))

    def _change_link(self, name: str) -> None:
        c, session, now_s = self._controller, self._session, self._now_s
        if name == "link gone":
            self._link, self._picture = False, _SILENCE
            self._call(Call(name), partial(c.on_link_gone, "unplugged", now_s))
        elif name == "link back":
            self._link = True
            self._call(Call(name), partial(c.on_link_back, now_s))
        elif name == "restarted":
            self._call(
                Call(name),
                partial(answers.on_hello, c, self._hello._replace(host_nonce=0), now_s),
            )
        elif name in ("greeted", "held by another"):
            owned = name == "held by another"
            session.hello = hello = self._hello._replace(owned=owned)
            if not owned:
                session.phase = SessionPhase.PROVING
            self._call(Call(name), partial(answers.on_hello, c, hello, now_s))

    def _beat(self, *, late_s: float = 0.0) -> None:
        """Let 50 ms go by: a sample, and a control tick."""
        c = self._controller
        began_s = self._now_s + late_s
        if self._picture != _SILENCE:
            self._now_s = began_s + _SAMPLE_S
            telemetry = telemetry_of(self._picture, self._now_s)
            self._session.rejected = 6 if self._picture == REJECTED else 0
            c.observer.residual_c = 9.0 if self._picture == RESIDUAL else None
            if self._session.phase is SessionPhase.PROVING:
                self._session.phase = SessionPhase.OPEN
            self._session.message = telemetry
            is_open = self._session.phase is SessionPhase.OPEN
            call = Call("sample", telemetry=telemetry if is_open else None)
            self._call(call, partial(c.on_body, b"", self._now_s))
        self._now_s = began_s + _TICK_S
        c._ticks = 0  # noqa: SLF001 (A lease is due with every tick.)
        self._call(Call("tick"), partial(c.tick, self._now_s))

    def _wait(self) -> None:
        """Go on under the same picture until the next timer has run out."""
        self._beat()
        ends_s = [
            since_s + limit_s
            for since_s, limits in self._timers()
            if since_s is not None
            for limit_s in limits
            if since_s + limit_s >= self._now_s
        ]
        if ends_s:
            self._jump_to(min(ends_s) - 0.5 * _TICK_S)
        self._beat()
        self._beat()

    def _jump_to(self, now_s: float) -> None:
        """Let time go by in which the same came again and again, and nothing was decided."""
        c = self._controller
        jumped_s = now_s - self._now_s
        if jumped_s <= 0.0:
            return
        self._now_s = now_s
        c._tick_s = now_s  # noqa: SLF001 (Ticks came all the while.)
        if not self._is_heard():
            return
        self._ledger = self._ledger._replace(heard_s=self._ledger.heard_s + jumped_s)
        if c.measures.sample_s is not None:
            c.measures.sample_s += jumped_s
        memory = c.interlocks.memory
        if memory.last_s is not None:
            memory.last_s += jumped_s
        if self._picture != STILL:
            memory.still_s += jumped_s
        memory.guards_moved_s = tuple(
            since_s if number == _FLOW_AT and self._picture == STILL_FLOW else since_s + jumped_s
            for number, since_s in enumerate(memory.guards_moved_s)
        )
        if c.phase is Phase.HOLD and self._is_in_band():
            c.cycles[-1].in_band_s += jumped_s

    def _is_in_band(self) -> bool:
        return abs(PICTURES[self._picture].tip_mdegc + 60_000) <= 2_000

    def _call(self, call: Call, act: Any) -> None:
        """Make one call of the controller, and judge what it did."""
        c, session, now_s = self._controller, self._session, self._now_s
        before = _standing(c)
        self._sink.raised = False
        taken = act()
        if call.name in _REQUESTS:
            call = call._replace(taken=bool(taken))
        after = _standing(c)
        sent = Sent(*session.take_sent())
        if session.phase is SessionPhase.PROVING:
            sent = sent._replace(leases=0)  # These say who we are, and keep nothing on.
        was = self._ledger
        self._ledger = ledger = followed(was, call, before, after, sent, now_s)
        pause_s = c.board.view(now_s).pause_left_s
        self._broken += broken_claims(
            Step(call, before, after, sent, was, ledger, session.hello is not None,
                 pause_s, self._sink.raised, now_s)
        )  # fmt: skip

    def _seen(self) -> str:
        """Return what is shown: once all is stopped, all that freezes is one; see the module."""
        if not self._is_heard():
            return _SILENCE
        freezes = self._picture.startswith("freezing")
        if self._controller.phase not in _LATCHED or not freezes or "68.1" in self._picture:
            return self._picture
        return "freezing"

    def _is_heard(self) -> bool:
        """Return True if what is shown is looked at: not before the probe is greeted."""
        return self._picture != _SILENCE and self._session.phase is not SessionPhase.GREETING

    # -- timers ----------------------------------------------------------------------------------

    def _timers(self) -> list[tuple[float | None, tuple[float, ...]]]:
        """Return since when each timer runs, and the limits at which it decides something.

        By literals: a limit that moved would be searched too coarsely but not go unseen, for the
        claims have literals of their own.
        """
        c, ledger = self._controller, self._ledger
        phase, silent = c.phase, not self._is_heard()
        latched = phase in _LATCHED
        return [
            (c.state.since_s, _PHASE_LIMITS_S.get(phase, ())),
            (c.arm_asked_s if phase is Phase.ARMED else None, (10.0,)),
            (c.desk._planned_s if c.desk._next else None, (1.0,)),  # noqa: SLF001
            (ledger.cause_s if phase is Phase.FAULT else None, (1.0,)),
            (c.board._cause_seen_s if phase is Phase.FAULT else None, (1.0,)),  # noqa: SLF001
            (c.board._paused_until_s if phase in _HEARD else None, (0.0,)),  # noqa: SLF001
            (c.measures._warm_s if phase in _WARMING else None, (2.0,)),  # noqa: SLF001
            (c.interlocks.memory.valve_shut_s if self._valve_matters() else None, (2.0, 2.3)),
            (c.measures.sample_s if silent else None, _SILENT_LIMITS_S[phase is Phase.SAFE]),
            (c.safing.unsafe_since_s if phase is Phase.SAFE else None, (1.0,)),
            (c.leak_tested_s if phase is Phase.READY else None, (1800.0,)),
            *(() if latched else self._cause_timers()),
        ]

    def _valve_matters(self) -> bool:
        phase = self._controller.phase
        return phase in _LATCHED or "flow of" in self._picture

    def _cause_timers(self) -> list[tuple[float | None, tuple[float, ...]]]:
        """Return those of causes that are to come; after a trip one more changes nothing."""
        c = self._controller
        phase, memory = c.phase, c.interlocks.memory
        freezes = self._picture.startswith("freezing")
        unasked = phase not in _FREEZING and freezes
        unasked = unasked or (phase is not Phase.PLACEMENT and self._picture == "stimulating")
        lost_s = None
        if phase is Phase.HOLD and freezes and not self._is_in_band():
            lost_s = c.state.since_s + c.cycles[-1].in_band_s
        proved = memory.open_tip_c < _COLD_C
        return [
            (max(c.state.since_s, c._heard_since_s) if unasked else None, (1.0,)),  # noqa: SLF001
            (lost_s, (2.0,)),
            (c.measures._gas_low_s if phase in _FREEZING else None, (0.5,)),  # noqa: SLF001
            (memory.leak_s, (1.0,)),
            (memory.residual_s, (1.0,)),
            (memory.still_s if self._picture == STILL else None, (1.0,)),
            (memory.guards_moved_s[_FLOW_AT] if self._picture == STILL_FLOW else None, (2.0,)),
            (None if proved else memory.open_s, (3.0,)),
            (memory.skin_cold_s, (0.5,)),
            (memory.flow_high_s, (0.3,)),
            (memory.guards_open_s, (0.1,)),
            (memory.heater_on_s, (20.0,)),
        ]

    # -- save and load ---------------------------------------------------------------------------

    def _taken(self) -> Place:
        c, session = self._controller, self._session
        buffer = io.BytesIO()
        pickler = pickle.Pickler(buffer, protocol=5)
        pickler.persistent_id = self._persistent_id  # type: ignore[method-assign]
        c.board.log = deque(maxlen=1)  # The recording keeps all; the search does not.
        c.placements = c.placements[-1:]
        c.journal.alarms.clear()
        pickler.dump({name: value for name, value in vars(c).items() if name != "_sink"})
        self._present = Place(
            buffer.getvalue(),
            c.board._paused_until_s,  # noqa: SLF001 (A save forgets it, by SR-32.)
            self._ledger, self._picture, self._link, self._now_s,
            c.phase, bool(c.failure) or c.phase is Phase.DISCONNECTED,
            session.in_flight.op if session.in_flight else 0, session.awaited, session.phase,
            session.hello is not None,
        )  # fmt: skip
        return self._present

    def _restore(self, place: Place) -> None:
        if place is self._present:
            return  # The controller stands there still.
        unpickler = pickle.Unpickler(io.BytesIO(place.memory))
        unpickler.persistent_load = self._shared.__getitem__  # type: ignore[method-assign]
        c = self._controller
        vars(c).update(unpickler.load())
        c.journal.sink = self._sink
        c.board._paused_until_s = place.pause_until_s  # noqa: SLF001
        assert isinstance(c.session, OpenSession)
        self._session = c.session
        self._ledger, self._picture, self._link = place.ledger, place.picture, place.link
        self._now_s = place.now_s
        self._present = place

    def _persistent_id(self, each: object) -> int | None:
        place = self._places.get(id(each))
        if place is None and isinstance(each, Enum):
            place = self._places[id(each)] = len(self._shared)
            self._shared.append(each)
        return place


_COLD_C: Final = -10.0
_FLOW_AT: Final = 2
"""In the memory of readings that stand still: supply, exhaust, flow, skin."""
_LATCHED: Final = (Phase.SAFE, Phase.FAULT)
_FREEZING: Final = (Phase.COOLING, Phase.HOLD)
_HEARD: Final = (Phase.IDLE, Phase.FAULT)
"""Where the sound's pause is followed; it decides nothing but the sound anywhere."""
_WARMING: Final = (Phase.THAWING, Phase.SAFE)
_PHASE_LIMITS_S: Final[dict[Phase, tuple[float, ...]]] = {
    Phase.CONNECTING: (5.0,),
    Phase.ARMED: (10.0,),
    Phase.PREWARM: (6.0,),
    Phase.COOLING: (1.0, 25.0),
    Phase.HOLD: (10.0,),
    Phase.THAWING: (400.0,),
    Phase.RELEASE: (1.0,),
    Phase.PAUSE: (2.0,),
    Phase.SAFE: (5.0, 400.0),
}
_SILENT_LIMITS_S: Final = ((0.05, 0.1, 0.15), (0.05, 0.1, 0.15, 5.0))


_ANYWHERE: Final = ("idle", "freezing at -60 C", "safe at 10 C", "fault of the battery")
_KINDS_OF_PHASE: Final[dict[Phase, tuple[str, ...]]] = {
    **dict.fromkeys(Phase, ("idle", "stimulating")),
    Phase.PREWARM: ("idle", "freezing at"),
    Phase.COOLING: ("freezing", "thawing at -5 C"),
    Phase.HOLD: ("freezing", "thawing at -5 C"),
    Phase.THAWING: ("thawing", "freezing at"),
    Phase.RELEASE: ("thawing", "freezing at"),
    Phase.PAUSE: ("thawing", "freezing at"),
    Phase.SAFE: ("safe", "thawing at", "stimulating"),
    Phase.FAULT: ("safe", "idle", "thawing at", "stimulating"),
}
"""Beginnings of the pictures that are tried in a phase, beside those that are tried anywhere."""


def _is_tried(name: str, place: Place) -> bool:
    """Return False for what changes nothing, and for what cannot come."""
    if place.over or name == place.picture:
        return False
    if name in PICTURES:
        is_near = name in _ANYWHERE or name.startswith(_KINDS_OF_PHASE[place.phase])
        return place.link and is_near and place.opening is not SessionPhase.GREETING
    if name in ("accepted", "refused"):
        return place.in_flight != 0
    if name in ("done", "failed"):
        return bool(place.awaited)
    if name == "nobody answers":
        return place.in_flight != 0 or bool(place.awaited)
    if name in ("greeted", "held by another"):
        return place.link and place.opening is SessionPhase.GREETING
    if name in _EVENTS:
        return place.link and place.greeted  # Before, nobody has the key to believe it.
    if name == "link back":
        return not place.link
    if name in ("link gone", "restarted"):
        return place.link
    return True


def _standing(c: Controller) -> Before:
    trips = tuple(int(record.notice.trip) for record in c.trips[:1])
    return Before(c.phase, trips, bool(c.failure))


def _passed(now_s: float, since_s: float | None, limits: tuple[float, ...]) -> int:
    """Return how many limits a timer has passed; -1 if it does not run or has none."""
    if since_s is None or not limits:
        return -1
    return sum(now_s - since_s > limit_s for limit_s in limits)


def _cycle_key(c: Controller) -> Hashable:
    if not c.cycles:
        return 0
    record = c.cycles[-1]
    return (len(c.cycles), record.reached_s is None, record.freeze_ended_s is None,
            record.freed_s is None)  # fmt: skip


def _memory_key(c: Controller) -> Hashable:
    if c.phase in _LATCHED:
        return None
    memory = c.interlocks.memory
    filtered_c = memory.filtered_tip_c
    is_falling = memory.tip_rate_c_per_s < -1.0 and filtered_c is not None and filtered_c < _COLD_C
    return (
        min(memory.bad_history.bit_count(), 3), memory.tip_good,
        is_falling and memory.valve_shut_s is not None,
        memory.open_s is not None and memory.open_tip_c < _COLD_C,
    )  # fmt: skip
