"""The fault catalogue in words: lines for the terminal, objects for JSON."""

from __future__ import annotations

from typing import Any, Final

from cryoctl_hil.host_faults import ALL_FAULTS
from cryoctl_protocol.codes import DeviceState, Trip
from cryoctl_simulator.fault_row import Expected, FaultRow, Group, Outcome, Parameter

_ORDER: Final = list(DeviceState)


def as_object(row: FaultRow) -> dict[str, Any]:
    """Return a row ready for JSON."""
    return {
        "id": row.fault_id,
        "group": row.group.value,
        "text": row.text,
        "acts_on": row.acts_on,
        "hazards": list(row.hazards),
        "requirement": row.requirement,
        "observable": row.observable.value,
        "trip": "" if row.trip is Trip.NONE else row.trip.name,
        "planned": row.planned,
        "parameters": [
            {
                "name": each.name,
                "unit": each.unit,
                "default": each.default,
                "range": [each.low, each.high],
            }
            for each in row.parameters
        ],
        "expected": [
            {
                "states": state_names(each),
                "outcome": each.outcome.value,
                "by": each.by,
                "answers": list(each.answers),
                "within_ms": each.within_ms,
                "reason": each.reason,
            }
            for each in row.expected
        ],
    }


def table() -> str:
    """Return one line a fault, group by group."""
    width = max(len(fault_id) for fault_id in ALL_FAULTS)
    lines = []
    for group in Group:
        lines.append(f"{group.value}:")
        for row in ALL_FAULTS.values():
            if row.group is group:
                mark = "  (planned)" if row.planned else ""
                lines.append(f"  {row.fault_id:<{width}}  {row.text}{mark}")
    return "\n".join(lines)


def sheet(row: FaultRow) -> str:
    """Return everything that is known of one fault."""
    lines = [f"{row.fault_id}: {row.text}"]
    lines += [
        f"  {name:<13}{text}"
        for name, text in (
            ("group", row.group.value),
            ("acts on", row.acts_on),
            ("hazards", ", ".join(row.hazards)),
            ("requirement", row.requirement),
            ("changes", row.observable.value),
            ("planned", row.planned),
        )
        if text
    ]
    for each in row.parameters:
        lines.append(f"  {'may be given':<13}{each.name} = {with_unit(each.default, each)}"
                     f", from {each.low:g} to {with_unit(each.high, each)}")  # fmt: skip
    lines.append("  expected where it begins:")
    for expected in row.expected:
        lines.append(f"    {', '.join(state_names(expected))}: {in_words(expected)}")
    return "\n".join(lines)


def with_unit(value: float, parameter: Parameter) -> str:
    """Return a number with the parameter's unit."""
    return f"{value:g}" if parameter.unit == "1" else f"{value:g} {parameter.unit}"


def state_names(expected: Expected) -> list[str]:
    """Return the states of an expectation as the grammar has them, in their order."""
    return [state.name.lower() for state in _ORDER if state in expected.states]


def in_words(expected: Expected) -> str:
    """Return one expectation as a sentence's end."""
    if expected.outcome is not Outcome.DETECTED:
        return f"{expected.outcome.value}: {expected.reason}"
    when = f" within {expected.within_ms} ms" if expected.within_ms else ", when it matters next"
    only = f" ({expected.reason})" if expected.reason else ""
    return f"{' or '.join(expected.answers)}, by {_BY[expected.by]}{when}{only}"


_BY: Final = {
    "probe": "the probe",
    "controller": "the controller",
    "either": "whoever sees it first",
}
