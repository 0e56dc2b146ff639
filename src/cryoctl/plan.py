"""What a treatment will do, worked out before anything moves: timeline, gas, reasons against.

A plan is arithmetic on the treatment and the probe's profile, not a simulation. Its tip curve is
coarse on purpose and always labelled "planned, not simulated".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from cryoctl.arming import Blocker, gas_need_g, planned_gas_g, usable_gas_g
from cryoctl.treatment import Treatment
from cryoctl.vented_gas import VENTED_G_PER_H_MAX
from cryoctl_protocol.profile import TRIP_LATENCY_S, Limits
from cryoctl_protocol.quantities import number_text

RELEASE_DWELL_S: Final = 2.0  # SR-14: tip above +5 C for this long
BODY_TEMP_C: Final = 37.0  # where the tip starts in every cycle of the planned curve
RELEASE_TEMP_C: Final = 5.0  # SR-14, end of the planned curve of a thaw
# The simulated 20G needle in muscle is within 2 C of -60 C after 15 s; its profile allows 25 s.
REACH_EXPECTED_FRACTION: Final = 0.6
# Two-dimensional heat conduction around a 20G needle: the ice has gone 90 s after a freeze of 60 s
# and 131 s after one of 120 s; a straight line through both.
PASSIVE_THAW_S: Final = 49.0
PASSIVE_THAW_S_PER_FREEZE_S: Final = 0.68
CURVE_STEP_S: Final = 1.0
_WIDTH: Final = 80
_DRAWN_COLUMNS: Final = 68
_DRAWN_ROWS: Final = 8


@dataclass(frozen=True, slots=True)
class PlannedPhase:
    """One row of the timeline; ``starts_s`` counts from START with expected durations."""

    phase: str
    cycle: int
    starts_s: float
    expected_s: float
    maximum_s: float


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One point of the planned tip curve."""

    at_s: float
    tip_temp_c: float


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole plan; ``limits`` are those it was made with.

    Attributes:
        gas_cycle_g: Need of one cycle: longest way to the set-point, and hold, at full cold.
        gas_with_reserve_g: Need of all cycles and the reserve of SR-22.
        setpoint_margin_c: How far the set-point is above the coldest that SR-06 allows.
    """

    treatment: Treatment
    limits: Limits
    phases: tuple[PlannedPhase, ...]
    gas_cycle_g: float
    gas_all_g: float
    gas_with_reserve_g: float
    gas_usable_g: float
    setpoint_margin_c: float
    curve: tuple[CurvePoint, ...]
    blockers: tuple[Blocker, ...]

    @property
    def expected_s(self) -> float:
        """How long it takes if all goes as expected."""
        return math.fsum(phase.expected_s for phase in self.phases)

    @property
    def maximum_s(self) -> float:
        """How long it takes at most."""
        return math.fsum(phase.maximum_s for phase in self.phases)


def make_plan(treatment: Treatment, limits: Limits, cartridge_g: float | None = None) -> Plan:
    """Return the plan of ``treatment``.

    Args:
        treatment: Checked against ``limits`` when it was read.
        limits: Of the probe's profile.
        cartridge_g: What is in the cartridge; a full one if not given.
    """
    cycles = treatment.cycles
    usable_g = usable_gas_g(limits, cartridge_g)
    all_g, need_g = planned_gas_g(treatment, limits), gas_need_g(treatment, limits)
    phases = _timeline(treatment, limits)
    return Plan(
        treatment=treatment,
        limits=limits,
        phases=phases,
        gas_cycle_g=all_g / cycles.count,
        gas_all_g=all_g,
        gas_with_reserve_g=need_g,
        gas_usable_g=usable_g,
        setpoint_margin_c=round(cycles.setpoint_c - limits.setpoint_coldest_c, 3),
        curve=_curve(phases, treatment, limits),
        blockers=_gas_blockers(need_g, usable_g, cycles.count),
    )


def render_text(plan: Plan) -> str:
    """Return ``plan`` as plain lines of at most 80 columns."""
    treatment = plan.treatment
    rows = [
        f"{treatment.name or 'Treatment'} (profile {treatment.profile})"[:_WIDTH],
        "",
        f"{'phase':<10}{'cycle':>6}{'starts':>10}{'expected':>11}{'at most':>11}",
        *(_phase_row(phase) for phase in plan.phases),
        f"{'whole':<26}{_seconds(plan.expected_s):>11}{_seconds(plan.maximum_s):>11}",
        "",
        "Tip temperature, planned, not simulated",
        *_drawing(plan),
        "",
        *_limit_rows(plan),
        "",
    ]
    if not plan.blockers:
        return "\n".join([*rows, "Nothing in this plan speaks against ARM."]) + "\n"
    rows.append("Would not be armed:")
    for blocker in plan.blockers:
        rows.append(f"  {blocker.id}: {blocker.value}, needs {blocker.limit}")
        rows.append(f"    {blocker.text}")
    return "\n".join(rows) + "\n"


def _limit_rows(plan: Plan) -> list[str]:
    limits, cycles = plan.limits, plan.treatment.cycles
    margin_sum = (
        f"{number_text(limits.tip_floor_c)} + {number_text(limits.sensor_error_c)}"
        f" + {number_text(TRIP_LATENCY_S)} s x {number_text(limits.cooling_rate_c_per_s)} C/s"
        f" = {number_text(limits.setpoint_coldest_c)} C"
    )
    setpoint = (
        f"{number_text(cycles.setpoint_c)} C, band +-{number_text(limits.band_c)} C,"
        f" reached within {_seconds(limits.reach_s_max)} (SR-13)"
    )
    freeze = f"{_seconds(limits.reach_s_max + cycles.hold_s)} of {_seconds(limits.freeze_s_max)}"
    gas = f"{plan.gas_cycle_g:.1f} g a cycle, {plan.gas_all_g:.1f} g in all"
    vented = f"{min(plan.gas_all_g, plan.gas_all_g * 3600.0 / plan.expected_s):.1f} g"
    room = f"{vented} within an hour, scavenging on above {VENTED_G_PER_H_MAX:g} g (SR-21)"
    reserve = f"{plan.gas_with_reserve_g:.1f} g with reserve, {plan.gas_usable_g:.1f} g are usable"
    dose_mm = cycles.dose_radius_mm
    dose = (
        []
        if dose_mm is None
        else [f"dose         hold ends at an estimated -20 C radius of {number_text(dose_mm)} mm"]
    )
    return [
        f"set-point    {setpoint}",
        *dose,
        f"trip margin  {number_text(plan.setpoint_margin_c)} C above {margin_sum} (SR-06)",
        f"one freeze   {freeze} at most (SR-09)",
        f"gas          {gas}",
        f"             {reserve} (SR-22)",
        f"             {room}",
    ]


def _timeline(treatment: Treatment, limits: Limits) -> tuple[PlannedPhase, ...]:
    cycles, prewarm_s = treatment.cycles, treatment.prewarm.duration_s
    reach_s = limits.reach_s_max * REACH_EXPECTED_FRACTION
    thaw_s = _expected_thaw_s(treatment, limits, freeze_s=reach_s + cycles.hold_s)
    steps: list[tuple[str, int, float, float]] = []
    if prewarm_s > 0.0:
        steps.append(("PREWARM", 0, prewarm_s, prewarm_s))
    for cycle in range(1, cycles.count + 1):
        steps.append(("COOLING", cycle, reach_s, limits.reach_s_max))
        steps.append(("HOLD", cycle, cycles.hold_s, cycles.hold_s))
        steps.append(("THAWING", cycle, thaw_s, treatment.thaw.timeout_s))
        if cycle < cycles.count:
            steps.append(("PAUSE", cycle, cycles.pause_s, cycles.pause_s))
    rows: list[PlannedPhase] = []
    starts_s = 0.0
    for phase, cycle, expected_s, maximum_s in steps:
        rows.append(PlannedPhase(phase, cycle, starts_s, expected_s, maximum_s))
        starts_s += expected_s
    return tuple(rows)


def _expected_thaw_s(treatment: Treatment, limits: Limits, *, freeze_s: float) -> float:
    """Heater at full power until its energy is spent, or melting by body warmth; then SR-14."""
    if treatment.thaw.mode == "active":
        thaw_s = limits.thaw_energy_j_max / limits.tip_heater_w
    else:
        thaw_s = PASSIVE_THAW_S + PASSIVE_THAW_S_PER_FREEZE_S * freeze_s
    return min(thaw_s + RELEASE_DWELL_S, treatment.thaw.timeout_s)


def _curve(
    phases: tuple[PlannedPhase, ...], treatment: Treatment, limits: Limits
) -> tuple[CurvePoint, ...]:
    """Return the tip once a second.

    Cooling: ``T(t) = T_set + (T_body - T_set) exp(-t / tau)``, with ``tau`` such that the curve is
    at the edge of the band at the expected end of COOLING. Hold: the set-point. Thaw: a straight
    line to +5 C. Elsewhere: body temperature.
    """
    setpoint_c = treatment.cycles.setpoint_c
    fall_c = BODY_TEMP_C - setpoint_c
    points: list[CurvePoint] = []
    for phase in phases:
        for step in range(math.ceil(phase.expected_s / CURVE_STEP_S)):
            elapsed_s = step * CURVE_STEP_S
            match phase.phase:
                case "COOLING":
                    tau_s = phase.expected_s / math.log(fall_c / limits.band_c)
                    tip_c = setpoint_c + fall_c * math.exp(-elapsed_s / tau_s)
                case "HOLD":
                    tip_c = setpoint_c
                case "THAWING":
                    share = elapsed_s / phase.expected_s
                    tip_c = setpoint_c + share * (RELEASE_TEMP_C - setpoint_c)
                case _:
                    tip_c = BODY_TEMP_C
            points.append(CurvePoint(phase.starts_s + elapsed_s, tip_c))
    return tuple(points)


def _gas_blockers(need_g: float, usable_g: float, count: int) -> tuple[Blocker, ...]:
    """Judge as ARM does (SR-22), and say how many cycles the gas would do."""
    if usable_g >= need_g:
        return ()
    enough_for = math.floor(usable_g * count / need_g)
    remedy = f"enough for {enough_for} of {count} cycles" if enough_for else "not enough for one"
    text = f"{remedy}: fewer cycles, a shorter hold or a new cartridge"
    return (Blocker("SR-22", f"{usable_g:.1f} g usable", f"{need_g:.1f} g", text),)


def _phase_row(phase: PlannedPhase) -> str:
    cycle = str(phase.cycle) if phase.cycle else "-"
    times = f"{_seconds(phase.starts_s):>10}{_seconds(phase.expected_s):>11}"
    return f"{phase.phase:<10}{cycle:>6}{times}{_seconds(phase.maximum_s):>10}"


def _seconds(value_s: float) -> str:
    return f"{value_s:.1f} s"


def _drawing(plan: Plan) -> list[str]:
    """Return the curve drawn in characters; each column shows all that its span touches."""
    count = len(plan.curve)
    columns = min(_DRAWN_COLUMNS, count)
    setpoint_c = plan.treatment.cycles.setpoint_c
    step_c = (BODY_TEMP_C - setpoint_c) / (_DRAWN_ROWS - 1)
    levels: list[range] = []
    for column in range(columns):
        first = max(column * count // columns - 1, 0)
        span = plan.curve[first : (column + 1) * count // columns]
        rows_of_span = [round((BODY_TEMP_C - point.tip_temp_c) / step_c) for point in span]
        levels.append(range(min(rows_of_span), max(rows_of_span) + 1))
    rows = []
    for row in range(_DRAWN_ROWS):
        marks = "".join("*" if row in level else " " for level in levels)
        rows.append(f"{BODY_TEMP_C - row * step_c:+6.0f} C |{marks}".rstrip())
    end = f"{_seconds(plan.expected_s)}"
    return [*rows, f"{'':9}0 s{end:>{max(columns - 3, len(end) + 1)}}"]
