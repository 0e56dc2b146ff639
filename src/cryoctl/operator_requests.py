"""What an operator can ask for, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from cryoctl import phases
from cryoctl.alarm_board import CAUSE_GONE_S
from cryoctl.cycle_table import ENDED, Phase, Trigger
from cryoctl.interlocks import TripNotice
from cryoctl.permits import Refusal
from cryoctl.safing import SAFE_STATES
from cryoctl.stimulation import Stimulation, Stimulus, out_of_range
from cryoctl_protocol.codes import DeviceState, Op, Result, Trip
from cryoctl_protocol.host_session import Phase as SessionPhase
from cryoctl_protocol.messages import unpadded

if TYPE_CHECKING:
    from cryoctl.core import Controller


class Request(StrEnum):
    """What an operator can ask for."""

    BEGIN = "begin"
    PLACE = "place"
    PLACED = "placed"
    STIMULATE = "stimulate"
    CARTRIDGE = "cartridge"
    ARM = "arm"
    START = "start"
    STOP = "stop"
    RESET = "reset"
    ACKNOWLEDGE = "acknowledge"
    PAUSE_AUDIO = "pause_audio"
    CLOSE = "close"


def do(c: Controller, request: Request, now_s: float, stimulus: Stimulus) -> Refusal | None:
    """Do what an operator asks, or say why not."""
    if request is Request.STIMULATE:
        return _stimulate(c, stimulus, now_s)
    return _DO[request](c, now_s)


def _stop(c: Controller, now_s: float) -> Refusal | None:
    if c.phase is Phase.CONNECTING:
        c.aborted = True
        c.fail("stopped before a session with the device was open", now_s)
    if not c.can(Trigger.TRIP) or c.failure:
        return None  # Nothing runs; STOP is never an error.
    c.trip(TripNotice(Trip.OPERATOR_STOP, 0.0, 0.0, ""), now_s)
    if c.phase is Phase.FAULT:
        c.safing.repeat_stop(c.session, now_s)  # Nothing new, but nobody asks for it in vain.
    return None


def _close(c: Controller, now_s: float) -> Refusal | None:
    if c.phase is Phase.SAFE:
        return Refusal("the probe is on its way to the safe state: wait for its end")
    refusal = _move(c, Trigger.CLOSE, now_s)
    if refusal is None:
        c.aborted = not c.cycles and not c.trips and not c.placements
    return refusal


def _change_cartridge(c: Controller, _now_s: float) -> Refusal | None:
    if c.phase is not Phase.IDLE:
        return Refusal(
            f"a cartridge is not changed in {c.phase}: in IDLE, before the leak test (SR-19)"
        )
    c.take_new_cartridge()
    return None


def _move(c: Controller, trigger: Trigger, now_s: float) -> Refusal | None:
    if not c.can(trigger):
        return Refusal(f"{trigger} is not possible in {c.phase}")
    c.fire(trigger, now_s)
    return None


def _begin(c: Controller, now_s: float) -> Refusal | None:
    refusal = _other_profile(c) or held_trip(c) or c.desk.gate(Op.SELF_TEST, Phase.SELF_TEST)
    refusal = refusal or _move(c, Trigger.BEGIN, now_s)
    if refusal is None:
        c.begin_placement(now_s)
        c.plan_command(Op.SELF_TEST, now_s)
    return refusal


def _other_profile(c: Controller) -> Refusal | None:
    """Return what the gate would only refuse, in words that say which probe is wanted."""
    hello = c.session.hello
    if hello is None or hello.profile_hash == c.profile.hash32:
        return None
    return Refusal(
        f"the probe's profile is {unpadded(hello.profile_id)} ({hello.profile_hash:08x}), the "
        f"treatment's {c.profile.probe.id} ({c.profile.hash32:08x}): use the treatment "
        "of this probe, or the same version on both sides (SR-28)"
    )


def held_trip(c: Controller) -> Refusal | None:
    """Return that the probe holds a trip from before this controller came, or None."""
    sample = c.fresh_sample
    if sample is None or sample.state not in SAFE_STATES:
        return None
    cause = Trip(sample.trip).name if sample.trip else Trip.OPERATOR_STOP.name
    return Refusal(f"the probe holds a trip ({cause}): find out why, then reset it (SR-27)")


def _arm(c: Controller, now_s: float) -> Refusal | None:
    blockers = c.arm_blockers(now_s)
    if blockers:
        return Refusal("; ".join(f"{b.id}: {b.text}" for b in blockers))
    refusal = _ask(c, Phase.READY, Op.ARM, now_s)
    if refusal is None:
        c.arm_asked_s = now_s
    return refusal


def _start(c: Controller, now_s: float) -> Refusal | None:
    # From one act of the operator to the other, however long the probe took to answer.
    if c.phase is Phase.ARMED and now_s - c.arm_asked_s > phases.START_WITHIN_S:
        return Refusal(f"START must follow ARM within {phases.START_WITHIN_S:g} s (SR-26)")
    return _ask(c, Phase.ARMED, Op.START, now_s)


def _ask(c: Controller, phase: Phase, op: Op, now_s: float) -> Refusal | None:
    if c.phase is not phase:
        return Refusal(f"{op.name} is not possible in {c.phase}")
    refusal = _refusal_to_send(c, op)
    if refusal is None:
        c.plan_command(op, now_s)
    return refusal


def _refusal_to_send(c: Controller, op: Op, *, stimulus_ua: int = 0) -> Refusal | None:
    if not c.desk.idle:
        return Refusal("the probe has not answered the last command yet")
    return c.desk.gate(op, c.phase, stimulus_ua=stimulus_ua)


def _place(c: Controller, now_s: float) -> Refusal | None:
    return _move(c, Trigger.PLACE, now_s)


def _placed(c: Controller, now_s: float) -> Refusal | None:
    if not c.stimulation.is_over:
        return Refusal("the probe stimulates: wait for the end, or ask for 0 mA first")
    return _move(c, Trigger.PLACED, now_s)


def _stimulate(c: Controller, stimulus: Stimulus, now_s: float) -> Refusal | None:
    if c.phase is not Phase.PLACEMENT:
        how = ": ask to place the needle first" if c.phase is Phase.READY else ""
        return Refusal(f"the nerve is stimulated in PLACEMENT alone, not in {c.phase}{how}")
    refusal = out_of_range(stimulus, c.limits)
    if refusal is None:
        stimulus_ua = round(stimulus.amplitude_ma * 1000.0)
        refusal = _refusal_to_send(c, Op.STIMULATE, stimulus_ua=stimulus_ua)
    if refusal is None:
        c.stimulation.end(Result.OK)  # The new one takes its place.
        c.stimulation = Stimulation()
        duration_ms = round(stimulus.duration_s * 1000.0)
        c.plan_command(Op.STIMULATE, now_s, duration_ms=duration_ms, stimulus=stimulus)
    return refusal


def _reset(c: Controller, now_s: float) -> Refusal | None:
    if c.phase is Phase.IDLE and held_trip(c) is not None:
        return _ask(c, Phase.IDLE, Op.CLEAR, now_s)  # It knows when its cause has gone.
    if c.phase not in ENDED:
        return Refusal(f"nothing to reset in {c.phase}")
    refusal = why_no_reset(c, now_s)
    if refusal is not None:
        return refusal
    if c.phase is Phase.FAULT and not _probe_is_idle(c):
        return _ask(c, Phase.FAULT, Op.CLEAR, now_s)  # The probe's answer moves us on.
    c.reset(now_s)
    return None


def why_no_reset(c: Controller, now_s: float) -> Refusal | None:
    """Return what speaks against leaving a trip behind now; None in any phase but FAULT."""
    if c.phase is not Phase.FAULT:
        return None
    if not c.board.may_reset(now_s):
        present = Refusal(f"a limit is still broken, or was within {CAUSE_GONE_S:g} s (SR-27)")
        return c.desk.gate(Op.CLEAR, c.phase) or present
    return None if _probe_is_idle(c) else _refusal_to_send(c, Op.CLEAR)


def _acknowledge(c: Controller, now_s: float) -> Refusal | None:
    changes = c.board.acknowledge(now_s)
    c.journal.log_alarms(changes)
    return None if changes else Refusal("no alarm to acknowledge")


def _pause_audio(c: Controller, now_s: float) -> Refusal | None:
    return None if c.board.pause_audio(now_s) else Refusal("no alarm sounds")


def _probe_is_idle(c: Controller) -> bool:
    """Return True if the probe holds no trip to be cleared, as after a restart."""
    sample = c.fresh_sample
    if c.session.phase is not SessionPhase.OPEN or sample is None:
        return False
    return sample.state == DeviceState.IDLE


_DO: Final[dict[Request, Callable[[Controller, float], Refusal | None]]] = {
    Request.BEGIN: _begin,
    Request.CARTRIDGE: _change_cartridge,
    Request.PLACE: _place,
    Request.PLACED: _placed,
    Request.ARM: _arm,
    Request.START: _start,
    Request.STOP: _stop,
    Request.RESET: _reset,
    Request.ACKNOWLEDGE: _acknowledge,
    Request.PAUSE_AUDIO: _pause_audio,
    Request.CLOSE: _close,
}
