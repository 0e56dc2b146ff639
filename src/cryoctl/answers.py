"""What follows from the probe's messages other than telemetry: greetings, answers, events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryoctl import phases
from cryoctl.cycle_table import QUIET, Phase, Trigger
from cryoctl.interlocks import TripNotice, command_failed
from cryoctl.provision import not_provided
from cryoctl.records import event_data, hello_data
from cryoctl.safing import device_notice
from cryoctl_protocol.codes import Answer, EventCode, Op, Result, Trip
from cryoctl_protocol.host_session import Phase as SessionPhase
from cryoctl_protocol.messages import Ack, Done, Event, Hello, unpadded

if TYPE_CHECKING:
    from cryoctl.core import Controller

_BEFORE_GAS: Final = frozenset({Phase.SELF_TEST, Phase.LEAK_TEST, Phase.READY, Phase.ARMED})


def on_hello(c: Controller, hello: Hello, now_s: float) -> None:
    """Take note of who the probe says it is; a probe that has just started is a trip."""
    was_asked = hello is c.session.hello  # Else it was not said to us, and no key was chosen.
    key = c.session.key if was_asked else None
    c.journal.log(
        "hello",
        now_s,
        **hello_data(hello),
        key=None if key is None else {"id": key.key_id, "fingerprint": key.fingerprint},
        no_key=c.session.no_key if was_asked else "",
        not_provided=[missing.name for missing in not_provided(hello.capabilities, hello.sensors)],
    )
    if c.session.phase is SessionPhase.TELEMETRY_ONLY:
        c.fail(c.session.mismatch, now_s, link=True)
    c.device_id = c.device_id or hello.device_id
    if hello.device_id != c.device_id and not c.failure:
        # What happened to the first one nobody knows; this one must not answer for it.
        c.journal.alarm("SAFE_NOT_CONFIRMED", now_s)
        first, other = unpadded(c.device_id), unpadded(hello.device_id)
        c.fail(f"another probe is on the line: {other}, not {first}", now_s, link=True)
        return
    if hello.host_nonce == 0 and c.phase not in QUIET:
        # The probe says that it has just started: nothing it was told still holds.
        c.trip(TripNotice(Trip.DEVICE_RESTART, 0.0, 0.0, ""), now_s)
        if c.session.phase is SessionPhase.OPEN:
            c.begin_session(now_s)  # It obeys nothing of the old one, STOP included.


def on_ack(c: Controller, ack: Ack, now_s: float) -> None:
    """Go on, or end the run, as the probe took an operation or not."""
    op, answer = Op(ack.op), Answer(ack.answer)
    c.journal.log("answer", now_s, op=op.name, counter=ack.counter, answer=answer.name)
    if op is Op.STOP:
        return
    if op is Op.STIMULATE:
        # A refusal harms nothing; who asked is told.
        c.stimulation.take_answer(ack.counter, answer)
        return
    if answer is not Answer.ACCEPTED:
        if c.phase in _BEFORE_GAS:
            c.fail(f"the probe refused {op.name}: {answer.name}", now_s)
        elif op is not Op.CLEAR:
            c.trip(command_failed(f"{op.name} refused: {answer.name}"), now_s)
        return
    if op is Op.ARM and c.phase is Phase.READY:
        c.fire(Trigger.ARM, now_s)
    elif op is Op.START and c.phase is Phase.ARMED:
        phases.begin_prewarm(c, now_s)
    elif op is Op.CLEAR:
        _on_cleared(c, now_s)
    elif op is Op.END and c.phase is Phase.RELEASE:
        c.fire(Trigger.FINISH, now_s)


def _on_cleared(c: Controller, now_s: float) -> None:
    c.desk.sample = None  # It shows the trip that the probe has just cleared.
    # A cause may have come back since RESET was asked for (SR-27).
    if c.phase is Phase.FAULT and c.board.may_reset(now_s):
        c.reset(now_s)


def on_done(c: Controller, done: Done, now_s: float) -> None:
    """Go on as an operation ended."""
    op, result = Op(done.op), Result(done.result)
    c.journal.log(
        "done", now_s, op=op.name, counter=done.counter, result=result.name, detail=done.detail
    )
    testing = c.phase in (Phase.SELF_TEST, Phase.LEAK_TEST)  # Else a trip has ended it.
    if op in (Op.SELF_TEST, Op.LEAK_TEST) and testing and result is not Result.OK:
        detail = f" (pressure fell {done.detail} mbar)" if op is Op.LEAK_TEST else ""
        c.fail(f"{op.name} failed{detail}: do not use this probe", now_s)
    elif op is Op.SELF_TEST and c.phase is Phase.SELF_TEST:
        c.fire(Trigger.PASSED, now_s)
        c.plan_command(Op.LEAK_TEST, now_s)
    elif op is Op.LEAK_TEST and c.phase is Phase.LEAK_TEST:
        c.leak_tested_s = now_s
        c.fire(Trigger.PASSED, now_s)
    elif op is Op.STIMULATE and done.counter == c.stimulation.counter:
        c.stimulation.end(result)
    elif op is Op.PREWARM and c.phase is Phase.PREWARM:
        if result is Result.OK:
            phases.begin_freeze(c, Trigger.WARMED, now_s)
        else:
            c.trip(command_failed(f"{op.name} ended: {result.name}"), now_s)


def on_event(c: Controller, event: Event, now_s: float) -> None:
    """Log what the probe says of itself; follow a trip of its own."""
    code = EventCode(event.code)
    c.journal.log("device", now_s, **event_data(event))
    if code is EventCode.SESSION_DROPPED:
        _on_dropped(c, now_s)
    if code is EventCode.TRIP:
        trip = Trip(event.trip) if event.trip else Trip.INTERNAL
        c.trip(device_notice(trip, event.value, event.limit), now_s, layer="device")


def _on_dropped(c: Controller, now_s: float) -> None:
    """Somebody guesses at the probe's key: tell people, and come back as soon as it lets us."""
    c.journal.alarm("SESSION_DROPPED", now_s)
    if c.session.phase is SessionPhase.OPEN:
        c.begin_session(now_s)
