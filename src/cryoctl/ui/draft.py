"""A treatment while somebody types it: what is wrong and where, or what it would do."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from cryoctl.plan import Plan, make_plan
from cryoctl.treatment import TreatmentFile, read_treatment
from cryoctl_protocol.profile import is_profile_file
from cryoctl_protocol.toml_text import FileError, Problem, parse_toml

SOURCE: Final = "treatment"
TEXT_LENGTH_MAX: Final = 20_000
"""Characters; ten times a long one."""
_CURVE_POINTS: Final = 300


def read_draft(text: str) -> TreatmentFile:
    """Return the treatment that somebody typed; it may name no file of this computer.

    Raises:
        FileError: With every mistake.
    """
    if len(text) > TEXT_LENGTH_MAX:
        hint = f"at most {TEXT_LENGTH_MAX} characters"
        raise FileError([Problem(SOURCE, None, "", "too long for a treatment", hint)])
    # Looked at before anything is read: a mistake in that file would be told with its lines.
    name = parse_toml(text, SOURCE).data.get("profile")
    if isinstance(name, str) and is_profile_file(name):
        message = "a profile file cannot be named here"
        hint = "give a built-in profile, or run the file with cryoctl run"
        raise FileError([Problem(SOURCE, None, "profile", message, hint)])
    return read_treatment(text, SOURCE)


def check_draft(text: str) -> dict[str, Any]:
    """Return the mistakes of a draft, each with its line, or its plan."""
    try:
        treatment = read_draft(text).treatment
    except FileError as error:
        return {"problems": [_problem(problem) for problem in error.problems], "plan": None}
    plan = make_plan(treatment, treatment.probe_profile.limits)
    return {"problems": [], "plan": plan_data(plan)}


def plan_data(plan: Plan) -> dict[str, Any]:
    """Return a plan as plain values, its curve thinned out."""
    treatment, limits = plan.treatment, plan.limits
    step = len(plan.curve) // _CURVE_POINTS + 1
    return {
        "name": treatment.name or "Treatment",
        "profile": treatment.probe_profile.probe.id,
        "cycles": treatment.cycles.count,
        "setpoint_c": treatment.cycles.setpoint_c,
        "hold_s": treatment.cycles.hold_s,
        "band_c": limits.band_c,
        "floor_c": limits.tip_floor_c,
        "expected_s": plan.expected_s,
        "maximum_s": plan.maximum_s,
        "setpoint_margin_c": plan.setpoint_margin_c,
        "gas_all_g": plan.gas_all_g,
        "gas_with_reserve_g": plan.gas_with_reserve_g,
        "gas_usable_g": plan.gas_usable_g,
        "phases": [asdict(phase) for phase in plan.phases],
        "curve": [[p.at_s, round(p.tip_temp_c, 2)] for p in plan.curve[::step]],
        "blockers": [blocker._asdict() for blocker in plan.blockers],
    }


def _problem(problem: Problem) -> dict[str, Any]:
    return {
        "line": problem.line,
        "key": problem.key,
        "message": problem.message,
        "hint": problem.hint or "",
    }
