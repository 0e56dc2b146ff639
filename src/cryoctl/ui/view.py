"""The state of a session as plain values, section by section; looks, changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from cryoctl.alarm_board import AlarmLine, AlarmView, Signal
from cryoctl.arming import Blocker
from cryoctl.core import Controller
from cryoctl.cycle_table import ENDED, QUIET, Phase, Trigger
from cryoctl.ice_model import FOCUS_FACTOR
from cryoctl.operator_requests import Request, held_trip, why_no_reset
from cryoctl.phases import START_WITHIN_S
from cryoctl.plan import PlannedPhase
from cryoctl.progress import planned_phase_s
from cryoctl.records import IceEstimate
from cryoctl.sample import Sample, sensor_names
from cryoctl.ui.feed import tip_reading_c
from cryoctl_protocol.codes import DeviceState, StimulusResponse
from cryoctl_protocol.messages import unpadded
from cryoctl_protocol.profile import Profile
from cryoctl_protocol.truth import NerveInjury, NerveOutcome, TruthSample

Section = dict[str, Any]

_TREND_C_PER_S: Final = 0.15
"""Below it the tip is said to be steady: a quiet hold moves by half of that."""
_SAY: Final = {
    Trigger.BEGIN: Request.BEGIN,
    Trigger.PLACE: Request.PLACE,
    Trigger.PLACED: Request.PLACED,
    Trigger.ARM: Request.ARM,
    Trigger.START: Request.START,
    Trigger.RESET: Request.RESET,
}


def phase_section(
    controller: Controller, now_s: float, planned: tuple[PlannedPhase, ...]
) -> Section:
    """Return where the treatment stands, and what may be asked for."""
    phase, cycle = controller.phase, controller.state.cycle
    elapsed_s = max(0.0, now_s - controller.state.since_s)
    arm_left_s = None
    if phase is Phase.ARMED:
        arm_left_s = max(0.0, START_WITHIN_S - (now_s - controller.arm_asked_s))
    return {
        "phase": phase.value,
        "cycle": cycle,
        "elapsed_s": round(elapsed_s, 1),
        "planned_s": planned_phase_s(controller),
        "left_s": _left_s(phase, cycle, elapsed_s, planned),
        "arm_left_s": None if arm_left_s is None else round(arm_left_s, 1),
        "verdict": controller.verdict.value if phase in ENDED else None,
        "failure": controller.failure,
        "asks": allowed(controller, now_s),
        "again": bool(controller.cycles or controller.trips or controller.placements),
        "cycles": [
            {
                "index": record.index,
                "verdict": None if record.verdict is None else record.verdict.value,
                "reason": record.reason,
                "reached_s": _rounded(record.time_to_setpoint_s, 1),
                "in_band_s": round(record.in_band_s, 1),
                "tip_min_c": _rounded(record.tip_min_c, 1),
                "gas_g": round(record.gas_used_g, 2),
                "radius_mm": None
                if record.estimate is None
                else round(record.estimate.radius_minus20_mm, 2),
            }
            for record in tuple(controller.cycles)
        ],
    }


def placement_section(controller: Controller, names: Sequence[str]) -> list[Section]:
    """Return a row for each placement of a session, in order; nothing while there is only one."""
    records = controller.begun_placements()
    ahead = len(controller.later_treatments)
    count = max(len(records), controller.placement) + ahead
    if count == 1:
        return []
    rows = []
    for index in range(count):
        record = records[index] if index < len(records) else None
        is_present = index + 1 == controller.placement
        runs = is_present and controller.phase not in ENDED
        rows.append(
            {
                "number": index + 1,
                "name": names[index] if index < len(names) else "",
                "present": is_present,
                "verdict": None if record is None or runs else record.verdict.value,
                "cycles": 0 if record is None else len(record.cycles),
                "gas_g": None if record is None else round(record.gas_used_g, 2),
            }
        )
    return rows


def recovery_section(controller: Controller, now_s: float) -> Section:
    """Return what speaks against a reset after a trip, and the trips whose cause is there still."""
    if controller.phase is not Phase.FAULT:
        return {}
    refusal = why_no_reset(controller, now_s)
    lines = controller.board.view(now_s).lines
    standing = [one for line in lines for one in (line, *line.consequences)]
    return {
        "why_not": "" if refusal is None else refusal.reason,
        "present": [one.alarm.id for one in standing if one.alarm.is_trip and one.present],
    }


def allowed(controller: Controller, now_s: float) -> list[str]:
    """Return what the table and the alarms let an operator ask for now; STOP always may be."""
    if controller.failure:
        return []
    asks = [request.value for trigger, request in _SAY.items() if controller.can(trigger)]
    if controller.phase is Phase.IDLE:
        asks.append(Request.CARTRIDGE.value)
        if held_trip(controller) is not None:
            asks.append(Request.RESET.value)
    alarms = controller.board.view(now_s)
    lines = [one for line in alarms.lines for one in (line, *line.consequences)]
    if any(line.signal is not Signal.ACKNOWLEDGED for line in lines):
        asks.append(Request.ACKNOWLEDGE.value)
    if alarms.burst is not None:
        asks.append(Request.PAUSE_AUDIO.value)
    return asks


def _left_s(
    phase: Phase, cycle: int, elapsed_s: float, planned: tuple[PlannedPhase, ...]
) -> float | None:
    """Return how long the rest of the treatment should take; None if none runs."""
    for index, row in enumerate(planned):
        if row.phase == phase and row.cycle in (cycle, 0):
            later_s = sum(one.expected_s for one in planned[index + 1 :])
            return round(max(0.0, row.expected_s - elapsed_s) + later_s, 0)
    return None


def now_section(controller: Controller, sample: Sample | None, trend_c_per_s: float) -> Section:
    """Return the newest figures."""
    if sample is None:
        return {}
    trend = 0 if abs(trend_c_per_s) < _TREND_C_PER_S else (1 if trend_c_per_s > 0.0 else -1)
    return {
        "tip_c": _rounded(tip_reading_c(sample), 1),
        "open": sensor_names(sample.open_circuit),
        "trend": trend,
        "setpoint_c": controller.treatment.cycles.setpoint_c,
        "supply_bar": _rounded(sample.supply_pressure_bar, 1),
        "exhaust_bar": _rounded(sample.exhaust_pressure_bar, 2),
        "flow_mg_s": _rounded(sample.exhaust_flow_mg_s, 1),
        "valve": round(sample.valve, 3),
        "shutoff_open": bool(sample.shutoff_open),
        "heater": round(sample.tip_heater, 3),
        "warmer": round(sample.skin_warmer, 3),
        "skin_c": _rounded(sample.skin_temp_c, 1),
        "cartridge_c": _rounded(sample.cartridge_temp_c, 1),
        "battery_v": _rounded(sample.battery_v, 2),
        "device_state": DeviceState(sample.state).name,
        "stimulus_ma": round(sample.stimulus_ma, 2),
        "response": None
        if sample.stimulus_response is None
        else StimulusResponse(sample.stimulus_response).name.lower(),
        "gas_used_g": round(controller.gas_used_g, 2),
        "gas_left_g": round(controller.gas_left_g, 1),
        "room_g": round(controller.measures.vented.g_per_h, 2),
    }


def link_section(controller: Controller, now_s: float) -> Section:
    """Return how the link to the probe stands."""
    sample_s = controller.measures.sample_s
    age_s = None if sample_s is None else max(0.0, now_s - sample_s)
    state = "opening"
    if controller.board.is_present("LINK") or controller.link_failure:
        state = "lost"
    elif controller.phase not in QUIET:
        state = "stale" if controller.desk.stale else "connected"
    hello = controller.session.hello
    return {
        "state": state,
        "age_ms": None if age_s is None else round(age_s * 1000.0),
        "frames_lost": controller.session.lost_frames,
        "frames_rejected": controller.session.rejects.total(),
        "device_id": "" if hello is None else unpadded(hello.device_id),
        "firmware": "" if hello is None else unpadded(hello.firmware_id),
    }


def alarm_section(view: AlarmView) -> Section:
    """Return the banner: what stands, most urgent first, and the sound that is due."""
    return {
        "lines": [_alarm(line) for line in view.lines],
        "pause_left_s": round(view.pause_left_s),
        "audio_off": view.audio_off,
        "burst": None
        if view.burst is None
        else {
            "priority": view.burst.priority.value,
            "pulses": view.burst.pulses,
            "at_s": view.burst.at_s,
        },
    }


def _alarm(line: AlarmLine) -> Section:
    alarm = line.alarm
    return {
        "id": alarm.id,
        "priority": alarm.priority.value,
        "mark": alarm.look.mark,
        "text": alarm.text,
        "action": alarm.action,
        "requirement": alarm.requirement,
        "present": line.present,
        "signal": line.signal.value,
        "held": line.held,
        "first_out": line.first_out,
        "since_s": round(line.since_s, 2),
        "consequences": [_alarm(one) for one in line.consequences],
    }


def blocker_section(blockers: list[Blocker]) -> list[Section]:
    """Return every reason against ARM."""
    return [blocker._asdict() for blocker in blockers]


def ice_section(estimate: IceEstimate | None) -> Section:
    """Return the estimated isotherms of one needle."""
    if estimate is None:
        return {}
    return {
        "edge_mm": round(estimate.ice_radius_mm, 2),
        "minus20_mm": round(estimate.radius_minus20_mm, 2),
        "sigma_mm": round(estimate.sigma_mm, 2),
        "heat_w": _rounded(estimate.heat_w, 2),
    }


def truth_section(truth: TruthSample | None) -> Section:
    """Return what is really so in the simulated tissue."""
    if truth is None:
        return {}
    return {
        "tip_c": round(truth.tip_temp_c, 1),
        "edge_mm": round(truth.ice_radius_mm, 2),
        "minus20_mm": round(truth.radius_minus20_mm, 2),
        "volume_mm3": round(truth.ice_volume_mm3),
        "liquid_g": round(truth.liquid_g, 2),
        "nerve_min_c": _rounded(truth.nerve_min_temp_c, 1),
        "nerve_below_s": round(truth.nerve_below_minus20_s),
        "nerve_touched_mm": round(truth.nerve_touched_mm, 1),
        "nerve_covered_mm": round(truth.nerve_covered_mm, 1),
        "nerve_injury": _words(NerveInjury(truth.nerve_injury).name),
        "nerve_outcome": _words(NerveOutcome(truth.nerve_outcome).name),
    }


def needle_section(profile: Profile) -> Section:
    """Return what a picture of the needle needs.

    An isotherm of radius r reaches sqrt(focus_mm**2 + r**2) along the needle from the middle of its
    active length: the observer's shells are spheroids about one pair of foci (``ice_model``).
    """
    probe = profile.probe
    return {
        "profile": probe.id,
        "title": probe.title,
        "needle_od_mm": probe.needle_od_mm,
        "active_length_mm": probe.active_length_mm,
        "focus_mm": round(0.5 * FOCUS_FACTOR * probe.active_length_mm, 3),
    }


def _words(name: str) -> str:
    return name.lower().replace("_", " ")


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
