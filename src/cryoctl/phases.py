"""What each phase of a treatment waits for, and what it does then.

One function a phase, run after every sample and every tick. The table in ``cycle_table`` says where
each trigger leads; nothing here names a next phase.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from cryoctl.commands import SEND_WITHIN_S
from cryoctl.cycle_table import Phase, Trigger
from cryoctl.cycles import HOLD_FRACTION_MIN, CycleRecord, Verdict
from cryoctl.interlocks import TripNotice, command_failed
from cryoctl.safing import shows_safe_state
from cryoctl.treatment import HOLD_S_MIN
from cryoctl_protocol.codes import DeviceState, Op, ThawMode, Trip
from cryoctl_protocol.host_session import Phase as SessionPhase

if TYPE_CHECKING:
    from cryoctl.core import Controller

CONNECT_S: Final = 5.0
START_WITHIN_S: Final = 10.0  # SR-26: ARM and START at most this far apart.
RELEASE_SHOWN_S: Final = 1.0  # Time for people to see that the needle is free.
DOSE_SIGMA_MAX_MM: Final = 0.15  # Two of them are the 0.3 mm that a dose may be off.
HOLD_LOST_S: Final = 1.0  # Beyond the tolerance of SR-13, before a lost hold is given up.
SILENT_SAFE_S: Final = 5.0  # A lost probe has made itself safe long before (SR-01).
_FREEZE: Final = int(DeviceState.FREEZE)  # Plain: it is compared with at every sample.
TIMER_MARGIN_S: Final = 2.0  # The probe's own freeze timer stands this far behind ours.


def step(controller: Controller, now_s: float) -> None:
    """Do what the present phase waits for, if it has come."""
    state = controller.state
    handler = _HANDLERS.get(state.phase)
    if handler is not None:
        handler(controller, now_s, now_s - state.since_s)


def _connecting(c: Controller, now_s: float, elapsed_s: float) -> None:
    if c.session.phase is SessionPhase.OPEN:
        c.fire(Trigger.LINKED, now_s)
    elif elapsed_s > CONNECT_S:
        why = _why_no_session(c)
        c.fail(f"no session with the device within {CONNECT_S:g} s: {why}", now_s, link=True)


def _why_no_session(c: Controller) -> str:
    hello, key = c.session.hello, c.session.key
    if hello is None:
        return "no answer"
    if hello.owned:
        return "another controller holds it"
    if hello.device_nonce == 0:
        return "it opens none for 2 s after frames with wrong tags; see who else is on the line"
    if key is not None and key.key_id != hello.key_id:
        return (
            f"it is commanded with key {hello.key_id}, and does not take key {key.key_id} any more"
        )
    return "no answer"


def _armed(c: Controller, now_s: float, elapsed_s: float) -> None:
    if elapsed_s > START_WITHIN_S:
        c.desk.drop()
        c.fire(Trigger.DISARM, now_s)


def _prewarm(c: Controller, now_s: float, elapsed_s: float) -> None:
    duration_s = c.treatment.prewarm.duration_s
    if duration_s == 0.0:
        begin_freeze(c, Trigger.WARMED, now_s)
    elif elapsed_s > duration_s + SEND_WITHIN_S:
        c.trip(command_failed("the end of PREWARM was not reported"), now_s)


def _cooling(c: Controller, now_s: float, elapsed_s: float) -> None:
    record = c.cycles[-1]
    tip_c = _freezing_tip_c(c, now_s, elapsed_s)
    if tip_c is None:
        return
    if elapsed_s > c.limits.reach_s_max:
        end_freeze(c, Trigger.MISSED, now_s)
    elif c.measures.in_band(tip_c, record.setpoint_c) and c.interlocks.memory.tip_good:
        record.reached_s = now_s
        c.fire(Trigger.REACHED, now_s)
    elif _gas_is_low(c, now_s):
        end_freeze(c, Trigger.MISSED, now_s)


def _hold(c: Controller, now_s: float, elapsed_s: float) -> None:
    record = c.cycles[-1]
    if _freezing_tip_c(c, now_s, elapsed_s) is None:
        return
    tolerance_s = (1.0 - HOLD_FRACTION_MIN) * record.hold_planned_s + HOLD_LOST_S
    if elapsed_s >= record.hold_planned_s:
        end_freeze(c, Trigger.HELD, now_s)
    elif _dose_is_met(c, record, elapsed_s):
        record.by_dose = True
        end_freeze(c, Trigger.HELD, now_s)
    elif _gas_is_low(c, now_s):
        end_freeze(c, Trigger.MISSED, now_s)
    elif elapsed_s - record.in_band_s > tolerance_s:
        # The verdict is settled: cooling on would use gas and freeze without effect.
        end_freeze(c, Trigger.MISSED, now_s)


def _dose_is_met(c: Controller, record: CycleRecord, elapsed_s: float) -> bool:
    """Return True if the estimate has come to the dose, and may be relied on for it."""
    estimate = c.observer.estimate
    if record.dose_mm is None or estimate is None or elapsed_s < HOLD_S_MIN:
        return False
    is_sure = estimate.sigma_mm <= DOSE_SIGMA_MAX_MM
    return is_sure and estimate.radius_minus20_mm >= record.dose_mm


def _freezing_tip_c(c: Controller, now_s: float, elapsed_s: float) -> float | None:
    """Return the tip while the probe freezes as told; trips if it stopped by itself."""
    sample = c.fresh_sample
    if sample is None:
        return None
    if sample.state == _FREEZE:
        return sample.tip_temp_c
    if c.phase is Phase.HOLD or elapsed_s > SEND_WITHIN_S:
        c.trip(command_failed(f"FREEZE: the probe is in {DeviceState(sample.state).name}"), now_s)
    return None


def _gas_is_low(c: Controller, now_s: float) -> bool:
    if not c.measures.gas_is_low(now_s):
        return False
    c.journal.alarm("GAS_LOW", now_s)
    c.cycles[-1].reason = "supply pressure too low to go on freezing"
    return True


def _thawing(c: Controller, now_s: float, elapsed_s: float) -> None:
    timeout_s = c.treatment.thaw.timeout_s
    if c.measures.is_free:
        record = c.cycles[-1]
        record.freed_s = now_s
        c.journal.log("cycle", now_s, **record.as_event())
        c.fire(Trigger.FREED, now_s)
    elif elapsed_s > timeout_s:
        c.trip(TripNotice(Trip.THAW_TIMEOUT, elapsed_s, timeout_s, "s"), now_s)


def _release(c: Controller, now_s: float, elapsed_s: float) -> None:
    if elapsed_s < RELEASE_SHOWN_S:
        return
    plan = c.treatment.cycles
    effective = c.cycles[-1].verdict is Verdict.PASS
    goes_on = effective or plan.on_not_effective == "continue"
    if len(c.cycles) < plan.count and goes_on:
        c.fire(Trigger.REST, now_s)
    elif c.desk.idle:
        c.plan_command(Op.END, now_s)


def _pause(c: Controller, now_s: float, elapsed_s: float) -> None:
    if elapsed_s >= c.treatment.cycles.pause_s:
        begin_freeze(c, Trigger.AGAIN, now_s)


def _safe(c: Controller, now_s: float, elapsed_s: float) -> None:
    sample, sample_s = c.fresh_sample, c.measures.sample_s
    if sample is None or sample_s is None:
        silent_s = elapsed_s if sample_s is None else now_s - sample_s
        if silent_s > SILENT_SAFE_S:
            c.journal.alarm("SAFE_NOT_CONFIRMED", now_s)
            c.fire(Trigger.MADE_SAFE, now_s)
        else:
            c.safing.repeat_stop(c.session, now_s)
        return
    if not shows_safe_state(sample):
        if c.safing.confirmed:
            c.journal.log("unsafe", now_s, state=DeviceState(sample.state).name)
            c.safing.lose()
        c.safing.repeat_stop(c.session, now_s)
        if elapsed_s > SILENT_SAFE_S:
            c.journal.alarm("SAFE_NOT_CONFIRMED", now_s)
        return
    if not c.safing.confirmed:
        c.journal.log("safe", now_s, time_to_safe_ms=c.safing.confirm(now_s))
    if not c.interlocks.valve_is_proved:
        return  # An active thaw may be over before a stuck valve can show.
    if c.measures.is_free:
        c.fire(Trigger.MADE_SAFE, now_s)
    elif elapsed_s > c.treatment.thaw.timeout_s:
        c.journal.alarm("NOT_RELEASED", now_s)  # A probe that tripped may not heat any more.
        c.fire(Trigger.MADE_SAFE, now_s)


_HANDLERS: Final[dict[Phase, Callable[[Controller, float, float], None]]] = {
    Phase.CONNECTING: _connecting,
    Phase.ARMED: _armed,
    Phase.PREWARM: _prewarm,
    Phase.COOLING: _cooling,
    Phase.HOLD: _hold,
    Phase.THAWING: _thawing,
    Phase.RELEASE: _release,
    Phase.PAUSE: _pause,
    Phase.SAFE: _safe,
}


# -- what a change of phase brings with it ---


def begin_prewarm(c: Controller, now_s: float) -> None:
    """START was taken: warm the skin first, if the treatment says so."""
    c.fire(Trigger.START, now_s)
    duration_s = c.treatment.prewarm.duration_s
    if duration_s > 0.0:
        c.plan_command(Op.PREWARM, now_s, duration_ms=round(duration_s * 1000.0))


def begin_freeze(c: Controller, trigger: Trigger, now_s: float) -> None:
    """Open a new cycle and have the probe freeze."""
    plan, limits = c.treatment.cycles, c.limits
    c.begin_cycle(
        CycleRecord(
            len(c.cycles) + 1, plan.setpoint_c, plan.hold_s, now_s, dose_mm=plan.dose_radius_mm
        )
    )
    c.fire(trigger, now_s)
    longest_s = limits.reach_s_max + plan.hold_s + TIMER_MARGIN_S
    c.plan_command(
        Op.FREEZE,
        now_s,
        setpoint_mdegc=round(plan.setpoint_c * 1000.0),
        duration_ms=round(min(longest_s, limits.freeze_s_max) * 1000.0),
    )


def end_freeze(c: Controller, trigger: Trigger, now_s: float) -> None:
    """Judge the freeze and have the probe thaw."""
    record = c.cycles[-1]
    record.freeze_ended_s = now_s
    record.estimate = c.observer.estimate
    if record.dose_mm is not None and trigger is Trigger.HELD:
        c.journal.log("hold", now_s, **record.hold_as_event())
    record.judge_freeze(valve=0.0 if c.sample is None else c.sample.valve)
    if record.verdict is Verdict.NOT_EFFECTIVE:
        c.journal.alarm("NOT_EFFECTIVE", now_s, cycle=record.index, reason=record.reason)
    c.measures.begin_thaw()
    c.fire(trigger, now_s)
    active = c.treatment.thaw.mode == "active"
    c.plan_command(
        Op.THAW,
        now_s,
        mode=ThawMode.ACTIVE if active else ThawMode.PASSIVE,
        energy_mj=round(c.limits.thaw_energy_j_max * 1000.0) if active else 0,
    )
