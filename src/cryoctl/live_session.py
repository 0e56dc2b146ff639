"""A session with a probe that lives in a thread of its own and is asked from others.

The control loop never runs where its caller's code does: whatever that code waits for, leases go
out and interlocks watch. What is asked for is done at the next control tick; a STOP does not wait.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from functools import partial
from typing import Final, NamedTuple

from cryoctl.core import Controller
from cryoctl.cycle_table import Phase
from cryoctl.lockstep import Operator
from cryoctl.operator_requests import Request, held_trip
from cryoctl.stimulation import Stimulation, Stimulus
from cryoctl.stop_signals import StopSwitch
from cryoctl_protocol.codes import TRIP_RULES, Result
from cryoctl_protocol.peer import FaultPort, Hands, Opened

_AT_REST: Final = frozenset({Phase.CONNECTING, Phase.IDLE, Phase.READY})
"""Not finished, and nothing is on: the session can be closed as it is."""
_STARTED: Final = (Phase.PREWARM, Phase.COOLING, Phase.HOLD, Phase.THAWING)
BROKEN_OFF: Final = frozenset({Phase.SAFE, Phase.FAULT})
"""A trip has ended the treatment."""

Condition = Callable[[Controller], bool]
"""Looks at a controller after a tick; raises ProbeError if it can never hold any more."""


class ProbeError(Exception):
    """What was asked of a probe was refused, or came to another end; the text says why."""


class _Wish(NamedTuple):
    """Something to do at the next tick, and what to wait for after it."""

    do: Callable[[Controller, float], None]
    until: Condition
    done: Future[None]


class LiveSession:
    """The operator of a session: brings the wishes of other threads to the controller.

    Args:
        switch: Stops whatever drives the session.

    Attributes:
        controller: Only to look at; None before the first tick.
        ticked_s: Controller's time at the last tick.
    """

    def __init__(self, switch: StopSwitch) -> None:
        self.controller: Controller | None = None
        self.ticked_s = 0.0
        self._switch = switch
        self._faults: FaultPort | None = None
        self._hands: Hands | None = None
        self._wishes: deque[_Wish] = deque()
        self._waiting: list[_Wish] = []
        self._closing = False
        self._over = ""

    # -- for the thread of the session -----------------------------------------------------------

    def on_opened(self, opened: Opened) -> LiveSession:
        """Take note of the device; return this operator."""
        self._faults = opened.faults
        self._hands = opened.hands
        return self

    def act(self, controller: Controller, now_s: float) -> None:
        """Do what was wished for since the last tick, and answer those whose wait is over."""
        self.controller, self.ticked_s = controller, now_s
        if not threading.main_thread().is_alive():
            self.abandon()  # The program has come to its end without closing the session.
        while self._wishes:
            wish = self._wishes.popleft()
            if _begin(wish, controller, now_s):
                self._waiting.append(wish)
        self._waiting = [wish for wish in self._waiting if not _is_over(wish, controller)]

    def stays(self, controller: Controller) -> bool:
        """Return True until the session is closed: after a treatment there may be another."""
        return not self._closing and not controller.failure

    def end(self) -> None:
        """Tell all who still wait, and whoever comes later, that the session is over."""
        controller = self.controller
        why = "it never began" if controller is None else why_ended(controller)
        self._over = why = f"the session is over: {why}"
        for wish in self._waiting:
            _fail(wish, why)
        while self._wishes:
            _fail(self._wishes.popleft(), why)

    # -- for any thread --------------------------------------------------------------------------

    def begin(self) -> Future[None]:
        """Have the probe test itself and its line for leaks; done when it is ready."""
        return self._ask(Request.BEGIN, reached(Phase.READY))

    def place(self) -> Future[None]:
        """Begin to place the needle; done when the probe may be asked to stimulate."""
        return self._ask(Request.PLACE, reached(Phase.PLACEMENT))

    def stimulate(self, stimulus: Stimulus) -> Future[None]:
        """Stimulate the nerve; done when that has ended."""
        begun: list[Stimulation] = []

        def make(controller: Controller, now_s: float) -> None:
            refusal = controller.request(Request.STIMULATE, now_s, stimulus)
            if refusal is not None:
                raise ProbeError(f"{Request.STIMULATE} refused: {refusal.reason}")
            begun.append(controller.stimulation)

        return self._wish(make, lambda controller: _has_stimulated(controller, begun[0]))

    def placed(self) -> Future[None]:
        """Say that the needle is in place; done when the probe may be armed."""
        return self._ask(Request.PLACED, reached(Phase.READY))

    def arm(self) -> Future[None]:
        """Arm; done when the probe says that it is."""
        return self._ask(Request.ARM, reached(Phase.ARMED))

    def start(self) -> Future[None]:
        """Start the armed treatment; done when the probe has taken it."""
        return self._ask(Request.START, reached(*_STARTED))

    def stop(self) -> Future[None]:
        """Stop; done when the safe state has been seen and the valve has proved to be shut."""
        stopped = self._ask(Request.STOP, _made_safe)
        self._switch.hurry()
        return stopped

    def reset(self) -> Future[None]:
        """Leave the end of a treatment or a trip behind; done when another may begin."""
        return self._ask(Request.RESET, cleared)

    def acknowledge(self) -> Future[None]:
        """Quiet the alarms that stand."""
        return self._ask(Request.ACKNOWLEDGE, lambda _: True)

    def pause_audio(self) -> Future[None]:
        """Silence the alarms that sound for two minutes."""
        return self._ask(Request.PAUSE_AUDIO, lambda _: True)

    def _ask(self, request: Request, until: Condition) -> Future[None]:
        return self._wish(partial(_request, request=request), until)

    def tick(self) -> Future[None]:
        """Return a future that is done at the next control tick."""
        return self._wish(_do_nothing, lambda _: True)

    def connected(self) -> Future[None]:
        """Return a future that is done when a session with the probe is open."""
        return self._wish(_do_nothing, reached(Phase.IDLE))

    def inject(self, fault: str) -> Future[None]:
        """Have a simulated fault scheduled, such as ``tc_open@0s``."""

        def inject(_controller: Controller, _now_s: float) -> None:
            if self._faults is None:
                raise ProbeError("this device takes no faults from here; sim: does")
            if not isinstance(fault, str):
                raise ValueError(f"fault {fault!r}: expected a text such as 'tc_open@0s'")  # noqa: TRY004
            self._faults.inject(fault)

        return self._wish(inject, lambda _: True)

    def clear_fault(self, fault_id: str) -> Future[None]:
        """Have every simulated fault of this id ended, present or waiting."""

        def clear(_controller: Controller, _now_s: float) -> None:
            if self._faults is None:
                raise ProbeError("this device takes no faults from here; sim: does")
            if not self._faults.clear(fault_id):
                raise ProbeError(f"fault {fault_id!r}: neither present nor waiting")

        return self._wish(clear, lambda _: True)

    def change_cartridge(self) -> Future[None]:
        """Begin the ledger anew with a full cartridge; a simulated probe gets one."""

        def change(controller: Controller, now_s: float) -> None:
            _request(controller, now_s, Request.CARTRIDGE)
            if self._hands is not None:
                self._hands.change_cartridge()

        return self._wish(change, lambda _: True)

    def close(self) -> None:
        """Have the session ended as soon as the probe is safe and the needle free."""

        def close(controller: Controller, now_s: float) -> None:
            self._closing = True
            if controller.phase in _AT_REST:
                controller.request(Request.CLOSE, now_s)
            elif not controller.finished:
                self._switch.stop()

        self._wish(close, lambda _: True)

    def abandon(self) -> None:
        """Have the session ended as soon as the probe is safe: nobody waits for the needle."""
        self._closing = True
        self._switch.stop(leave=True)

    def _wish(self, do: Callable[[Controller, float], None], until: Condition) -> Future[None]:
        wish = _Wish(do, until, Future())
        self._wishes.append(wish)
        if self._over:
            _fail(wish, self._over)
        return wish.done


class SharedOperator:
    """Who asks for a run's steps, and others that look on: they stop it and quiet its alarms.

    Args:
        guests: Brings their wishes.
        operator: Asks for the steps, and says when the run is over.
    """

    def __init__(self, guests: LiveSession, operator: Operator) -> None:
        self._guests = guests
        self._operator = operator

    def act(self, controller: Controller, now_s: float) -> None:
        """Bring the wishes first: a STOP comes before the next step."""
        self._guests.act(controller, now_s)
        self._operator.act(controller, now_s)

    def stays(self, controller: Controller) -> bool:
        """Return what the run's own operator says."""
        return self._operator.stays(controller)


def _request(controller: Controller, now_s: float, request: Request) -> None:
    refusal = controller.request(request, now_s)
    if refusal is not None:
        raise ProbeError(f"{request} refused: {refusal.reason}")


def _do_nothing(_controller: Controller, _now_s: float) -> None:
    """Begin a wait."""


def _fail(wish: _Wish, why: str) -> None:
    with suppress(InvalidStateError):  # Both threads may find at once that it is over.
        wish.done.set_exception(ProbeError(why))


def _begin(wish: _Wish, controller: Controller, now_s: float) -> bool:
    """Do what a wish begins with; return True if there is something to wait for."""
    if not wish.done.set_running_or_notify_cancel():
        return False
    try:
        wish.do(controller, now_s)
    except Exception as error:  # noqa: BLE001  # The caller's mistake, whatever it is.
        wish.done.set_exception(error)
        return False
    return True


def _is_over(wish: _Wish, controller: Controller) -> bool:
    """Answer a wish if its wait is over; return True if it was."""
    try:
        if not wish.until(controller):
            return False
    except Exception as error:  # noqa: BLE001  # The control loop goes on.
        wish.done.set_exception(error)
    else:
        wish.done.set_result(None)
    return True


def _made_safe(controller: Controller) -> bool:
    if controller.phase is Phase.FAULT and not controller.made_safe:
        raise ProbeError("STOP was sent, but no telemetry shows that the probe is safe")
    return controller.made_safe


def _has_stimulated(controller: Controller, stimulation: Stimulation) -> bool:
    if controller.phase in BROKEN_OFF:
        raise ProbeError(f"broken off: {why_ended(controller)}")
    if stimulation.result not in (None, Result.OK):
        # Without a word the missing response would be taken for a nerve that is far away.
        raise ProbeError(stimulation.words)
    return stimulation.is_over


def cleared(controller: Controller) -> bool:
    """Return True once a reset has led to IDLE; raises ProbeError if the probe holds its trip."""
    if not controller.desk.idle:
        return False
    if controller.phase is Phase.FAULT or held_trip(controller) is not None:
        raise ProbeError("the probe did not clear its trip")
    return controller.phase is Phase.IDLE


def reached(*phases: Phase) -> Condition:
    """Return the condition that one of ``phases`` has come; a trip breaks the wait off."""

    def condition(controller: Controller) -> bool:
        if controller.phase in phases:
            return True
        if controller.phase in BROKEN_OFF:
            raise ProbeError(f"broken off: {why_ended(controller)}")
        return False

    return condition


def why_ended(controller: Controller) -> str:
    """Return what ended a session or its last treatment."""
    if controller.trips and not controller.failure:
        notice = controller.trips[0].notice
        text = TRIP_RULES[notice.trip].text
        return f"{notice.trip.name}: {text}" + (f": {notice.detail}" if notice.detail else "")
    return controller.failure or "it was closed"
