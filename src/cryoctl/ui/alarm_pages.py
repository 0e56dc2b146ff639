"""What each alarm means and what to do, as a page shows it: from the tables, offline."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from cryoctl.alarms import ALARMS, Alarm, Latching
from cryoctl.requirement_registry import own_registry

_GOING_ON: Final = {
    Latching.SIGNAL: "It stands until it is acknowledged, even when its cause has gone.",
    Latching.TEXT: "When its cause has gone it stays as a line without sound until acknowledged.",
    Latching.NONE: "It goes by itself when its cause has gone.",
}
_AFTER_A_TRIP: Final = (
    "It has made the probe safe. To go on: wait until the needle is free, mend the cause, "
    "acknowledge, then Reset. A reset starts nothing; a new treatment begins with its tests."
)


@cache
def alarm_pages() -> list[dict[str, Any]]:
    """Return every alarm with its meaning, its requirement, and what may be behind it."""
    return [_page(alarm) for alarm in ALARMS.values()]


def _page(alarm: Alarm) -> dict[str, Any]:
    registry = own_registry()
    requirement = registry.requirements[alarm.requirement].requirement
    hazards = [registry.hazards[name] for name in alarm.hazards]
    return {
        "id": alarm.id,
        "mark": alarm.look.mark,
        "priority": alarm.priority.value,
        "text": alarm.text,
        "action": alarm.action,
        "severity": alarm.severity.value,
        "onset": alarm.onset.value,
        "going_on": _AFTER_A_TRIP if alarm.is_trip else _GOING_ON[alarm.latching],
        "requirement": {"id": requirement.id, "text": requirement.text},
        "hazards": [{"id": hazard.id, "text": hazard.text} for hazard in hazards],
        "faults": sorted({cause for hazard in hazards for cause in hazard.causes}),
        "follows": list(alarm.follows),
    }
