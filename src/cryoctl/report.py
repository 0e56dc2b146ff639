"""The report of a run: one HTML file that opens offline and prints well."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cryoctl.cycles import HOLD_FRACTION_MIN
from cryoctl.plots import cycle_svg, recorded_profile, vendor_svg
from cryoctl.recording import Recording
from cryoctl.svg import number
from cryoctl_protocol.profile import Limits

EVENTS_SHOWN_MAX: Final = 2000
"""A report stays below 1 MB; the recording has them all."""
DASH: Final = "\N{EN DASH}"

_VERDICTS: Final = {
    "PASS": ("\N{CHECK MARK}", "Every cycle reached its set-point and held it."),
    "NOT_EFFECTIVE": ("\N{WHITE UP-POINTING TRIANGLE}", "A cycle missed its set-point or hold."),
    "FAIL": ("\N{BALLOT X}", "The treatment could not be done."),
    "SAFETY_TRIP": ("\N{BALLOT X}", "A safety limit ended the treatment."),
    "ABORTED": ("\N{BALLOT X}", "The operator ended the treatment."),
}
_UNKNOWN_VERDICT: Final = ("?", "The recording holds no verdict; the run did not end properly.")
_TEXT_KEYS: Final = ("treatment",)
_FILE_KEY: Final = "file "


class Cell(NamedTuple):
    """A measured value and how it compares with its limit: True, False, or None for no limit."""

    text: str
    within: bool | None = None


def page_environment(package: str) -> Environment:
    """Return what makes pages of the templates in ``package``; whatever is shown is escaped.

    All of them extend our ``page.html``, which has what every page shares: its policy above all.
    """
    return Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("cryoctl")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render_report(recording: Recording, summary: dict[str, Any]) -> str:
    """Return the report as one HTML file.

    Args:
        recording: Its plots, events and configuration go into the report.
        summary: The summary object; what it lacks shows as a dash.
    """
    profile = recorded_profile(recording)
    limits = profile.limits if profile else None
    timeout_s = summary.get("thaw_timeout_s")
    thaw_s_max = float(timeout_s) if isinstance(timeout_s, int | float) else None
    cycles = [c for c in _list(summary, "cycles") if isinstance(c, dict)]
    placements = [p for p in _list(summary, "placements") if isinstance(p, dict)]
    in_session = len(placements) > 1
    verdict = _text(summary.get("verdict"))
    mark, meaning = _VERDICTS.get(verdict, _UNKNOWN_VERDICT)
    passed = sum(cycle.get("verdict") == "PASS" for cycle in cycles)
    template = page_environment("cryoctl").get_template("report.html")
    return template.render(
        verdict="NO VERDICT" if verdict == DASH else verdict,
        mark=mark,
        reason=summary.get("failure") or meaning,
        count=f"{passed} of {summary.get('cycles_planned', len(cycles))} cycles PASS",
        deviations=[
            _text(row.get("text")) for row in _list(summary, "deviations") if isinstance(row, dict)
        ],
        complete=recording.complete,
        dropped=recording.dropped,
        identity=list(_identity(recording, summary)),
        limits=_limit_cells(limits, thaw_s_max),
        placements=[_placement_row(row) for row in placements] if in_session else [],
        cartridge_changes=summary.get("cartridge_changes", 0),
        cycles=[_cycle_row(c, limits, thaw_s_max, in_session=in_session) for c in cycles],
        picture=Markup(cycle_svg(recording)),  # noqa: S704 - made here, every text in it escaped
        vendor_pictures=[
            Markup(vendor_svg(recording, name))  # noqa: S704
            for name in recording.vendor
        ],
        nerves=[rows for rows in map(_nerve_rows, placements) if rows],
        trips=[_trip_row(trip) for trip in _list(summary, "trips") if isinstance(trip, dict)],
        missing=[
            _missing_text(row) for row in _list(summary, "not_provided") if isinstance(row, dict)
        ],
        faults=[_fault_row(row) for row in _list(summary, "faults") if isinstance(row, dict)],
        alarms=[_text(alarm) for alarm in _list(summary, "alarms")],
        events=[_event_row(event) for event in recording.events[:EVENTS_SHOWN_MAX]],
        events_left=max(0, len(recording.events) - EVENTS_SHOWN_MAX),
        texts=list(_texts(recording)),
        events_sha256=_text(summary.get("events_sha256")),
        dash=DASH,
    )


def _missing_text(row: dict[str, Any]) -> str:
    """Return one thing that the device lacks, with the requirements that rest on it."""
    requirements = ", ".join(_list(row, "requirements"))
    return f"{_text(row.get('name'))} ({requirements})" if requirements else _text(row.get("name"))


def _identity(recording: Recording, summary: dict[str, Any]) -> Iterator[tuple[str, str]]:
    about = recording.metadata
    hello = next((e for e in recording.events if e.get("kind") == "hello"), {})
    yield "Device", _text(hello.get("device"))
    yield "Firmware", _text(hello.get("firmware"))
    yield "Address", _text(summary.get("device") or about.get("device"))
    yield "Profile", _text(summary.get("profile") or about.get("profile"))
    yield "Profile hash", _text(about.get("profile_hash"))
    yield "Gas", _text(summary.get("gas"))
    yield "Treatment", _text(summary.get("treatment"))
    yield "Treatment hash", _text(about.get("treatment_hash"))
    yield "Started (UTC)", _text(about.get("started_utc"))
    yield "Seed", _text(summary.get("seed", about.get("seed")))
    yield "Run time", _value(summary.get("virtual_s"), 1, "s")
    yield "Bench waiver", _text(about.get("bench_waiver") or "none")
    changed = [row for row in _list(summary, "limits_changed") if isinstance(row, dict)]
    for row in changed:
        limit = f"{_value(row.get('value'), 2, _text(row.get('unit')))}, {row.get('requirement')}"
        yield f"Limit {_text(row.get('limit'))}", limit
    for plug_in in _list(summary, "plug_ins"):
        yield "Plug-in", _text(plug_in)
    yield "cryoctl", _text(about.get("cryoctl"))
    yield "Python", _text(about.get("python"))
    yield "Protocol", f"{_text(about.get('protocol'))}, table {_text(about.get('schema_hash'))}"
    yield "Frames lost", _text(summary.get("frames_lost"))
    yield "Frames rejected", _text(summary.get("frames_rejected"))
    yield "Recording", _text(summary.get("recording") or recording.source)
    yield "Audit trail", _text(summary.get("audit"))
    yield "Its closing hash", _text(summary.get("audit_head"))


def _limit_cells(limits: Limits | None, thaw_s_max: float | None) -> dict[str, str]:
    """Return the limits as people read them; dashes where the profile is not known here."""
    at_most = "\N{LESS-THAN OR EQUAL TO}"
    of_treatment = {
        "band": f"\N{GREATER-THAN OR EQUAL TO} {HOLD_FRACTION_MIN:.0%}",
        "thaw": DASH if thaw_s_max is None else f"{at_most} {thaw_s_max:g} s",
    }
    if limits is None:
        return {**of_treatment, "reach": DASH, "tip": DASH}
    return {
        **of_treatment,
        "reach": f"{at_most} {limits.reach_s_max:g} s",
        "tip": f"> {number(limits.tip_floor_c)} °C",
    }


def _placement_row(row: dict[str, Any]) -> dict[str, str]:
    return {
        "index": _text(row.get("index")),
        "name": _text(row.get("name")),
        "treatment": _text(row.get("treatment")),
        "verdict": _text(row.get("verdict") or "not come to"),
        "gas": _value(row.get("gas_used_g"), 2, "g"),
    }


def _cycle_row(
    cycle: dict[str, Any], limits: Limits | None, thaw_s_max: float | None, *, in_session: bool
) -> dict[str, Any]:
    def cell(
        key: str, unit: str, limit: float | None, is_within: Callable[[float, float], bool]
    ) -> Cell:
        value = cycle.get(key)
        text = _value(value, 1, unit)
        if limit is None or not isinstance(value, int | float):
            return Cell(text)
        return Cell(text, is_within(float(value), limit))

    reach_s_max = None if limits is None else limits.reach_s_max
    floor_c = None if limits is None else limits.tip_floor_c
    number, index = _text(cycle.get("placement")), _text(cycle.get("index"))

    return {
        "index": f"{number}.{index}" if in_session else index,
        "verdict": _text(cycle.get("verdict")),
        "reason": str(cycle.get("reason") or ""),
        "setpoint": _value(cycle.get("setpoint_c"), 1, "°C"),
        "reach": cell("time_to_setpoint_s", "s", reach_s_max, operator.le),
        "tip": cell("tip_min_c", "°C", floor_c, operator.gt),
        "hold": _value(cycle.get("hold_s"), 1, "s"),
        "band": _band_cell(cycle.get("hold_in_band_fraction")),
        "thaw": cell("thaw_s", "s", thaw_s_max, operator.le),
        "gas": _value(cycle.get("gas_used_g"), 2, "g"),
        "truth": _ice(cycle.get("truth"), "no truth"),
        "estimate": _ice(cycle.get("estimate"), "no estimate"),
    }


def _band_cell(fraction: Any) -> Cell:
    if not isinstance(fraction, int | float):
        return Cell(DASH)
    return Cell(f"{fraction:.1%}", fraction >= HOLD_FRACTION_MIN)


def _ice(radii: Any, missing: str) -> dict[str, str]:
    if not isinstance(radii, dict):
        return {"missing": missing, "ice": "", "minus20": "", "sigma": ""}
    return {
        "missing": "",
        "ice": _value(radii.get("ice_radius_mm"), 2, "mm"),
        "minus20": _value(radii.get("radius_minus20_mm"), 2, "mm"),
        "sigma": _value(radii.get("sigma_mm"), 2, "mm"),
    }


def _nerve_rows(placement: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what became of the simulated nerve, as pairs; empty if nobody knows."""
    nerve = placement.get("nerve")
    if not isinstance(nerve, dict):
        return []
    days = (nerve.get("regrowth_days_low"), nerve.get("regrowth_days_high"))
    regrowth = DASH if None in days else f"{_value(days[0], 0, '')} to {_value(days[1], 0, 'days')}"
    return [
        ("Placement", _text(placement.get("index"))),
        ("Outcome", _text(nerve.get("outcome")).replace("_", " ")),
        ("Injury", _text(nerve.get("injury")).replace("_", " ")),
        ("Coldest", _value(nerve.get("min_temp_c"), 1, "°C")),
        ("At −20 °C or colder", _value(nerve.get("below_minus20_s"), 0, "s")),
        ("Stretch at −20 °C or colder", _value(nerve.get("touched_mm"), 1, "mm")),
        ("Stretch of axonotmesis", _value(nerve.get("covered_mm"), 1, "mm")),
        ("Regrowth to the end organ", regrowth),
        ("Source", _text(nerve.get("source"))),
    ]


def _trip_row(trip: dict[str, Any]) -> dict[str, str]:
    unit = str(trip.get("unit") or "")
    return {
        "id": _text(trip.get("id")),
        "text": str(trip.get("text") or ""),
        "requirement": _text(trip.get("requirement")),
        "layer": _text(trip.get("layer")),
        "state": _text(trip.get("state")),
        "at": _value(trip.get("at_s"), 2, "s"),
        # Not every cause is a figure over a limit.
        "value": _value(trip.get("value"), 2, unit) if unit else DASH,
        "limit": _value(trip.get("limit"), 2, unit) if unit else DASH,
        "time_to_safe": _value(trip.get("time_to_safe_ms"), 0, "ms"),
        "first": "first cause" if trip.get("first_out") else "",
    }


def _fault_row(fault: dict[str, Any]) -> tuple[str, str, str]:
    began = fault.get("began_s")
    ended = _value(fault.get("ended_s"), 2, "s")
    return (
        _text(fault.get("fault")),
        "its moment never came" if began is None else _value(began, 2, "s"),
        DASH if began is None else ended if ended != DASH else "stayed",
    )


def _event_row(event: dict[str, Any]) -> tuple[str, str, str]:
    rest = (f"{k}={_text(v)}" for k, v in event.items() if k not in ("at_s", "kind"))
    return _value(event.get("at_s"), 3, ""), _text(event.get("kind")), "  ".join(rest)


def _texts(recording: Recording) -> Iterator[tuple[str, str]]:
    """Return name and text of every file that shaped the run, then everything else."""
    about = recording.metadata
    for key in _TEXT_KEYS:
        if about.get(key):
            yield key, about[key]
    for key, text in about.items():
        if key.startswith(_FILE_KEY):
            yield key.removeprefix(_FILE_KEY), text
    rest = [k for k in about if k not in _TEXT_KEYS and not k.startswith(_FILE_KEY)]
    yield "all other metadata", "\n".join(f"{key} = {about[key]}" for key in rest)


def _list(summary: dict[str, Any], key: str) -> list[Any]:
    value = summary.get(key)
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return DASH if value is None or value == "" else str(value)


def _value(value: Any, digits: int, unit: str) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _text(value)
    return f"{number(value, digits)} {unit}".rstrip()
