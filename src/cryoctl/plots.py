"""Pictures of a recording as SVG text: one of the cycles, one for each vendor message.

Colour is never the only mark: phases carry their names, lines their labels.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from cryoctl.panels import (
    BOTTOM,
    LABEL_SIZE,
    LEFT,
    RIGHT,
    Box,
    Label,
    Line,
    Panel,
    draw_axes,
    draw_lines,
    draw_time_axis,
    stack,
)
from cryoctl.recorder import PROFILE
from cryoctl.recording import Recording
from cryoctl.svg import INK, MUTED, Canvas, Scale, number, text_width
from cryoctl_protocol.profile import Limits, Profile, ProfileError, load_profile
from cryoctl_protocol.toml_text import FileError

_TRUTH_TITLE: Final = "Ice in the tissue, mm: truth (simulator), unknown to the controller"
_BOTH_TITLE: Final = f"{_TRUTH_TITLE}, and its estimate"
_ESTIMATE_TITLE: Final = "Ice in the tissue, mm: the controller's estimate, never measured"
_RADII: Final = ("ice_radius_mm", "radius_minus20_mm")
_HEADING_HEIGHT: Final = 52.0
_VENDOR_PANEL_HEIGHT: Final = 105.0
_SMALL: Final = 10.0
_TURNED_MIN: Final = 11.0
"""Pixels of width that a name written upwards needs."""
_FREEZING: Final = ("COOLING", "HOLD")
_FIRST_PHASE: Final = "SELF_TEST"
"""Of every placement; after a freeze or a trip it is another one's."""
_TRIPPED: Final = "SAFE"

_BLUE: Final = "#0b5cad"
_PALE_BLUE: Final = "#5f97cf"
_ORANGE: Final = "#b8480b"
_GREEN: Final = "#3f6f1d"
_TEAL: Final = "#0b6b66"
_VIOLET: Final = "#6b2fb3"
_RED: Final = "#b3161b"
_CALM: Final = "#eef1f5"
_RIBBON: Final = {
    "PREWARM": "#fdebd3",
    "COOLING": "#cfe3f6",
    "HOLD": "#a5cbee",
    "THAWING": "#fad5b0",
    "RELEASE": "#fdebd3",
    "COMPLETE": "#d9efd9",
    "SAFE": "#f8c9c6",
    "FAULT": "#f0a29d",
}
_SHADE: Final = {
    "COOLING": "#f3f8fd",
    "HOLD": "#e9f2fb",
    "THAWING": "#fef7ef",
    "SAFE": "#fdf0ef",
}


class Span(NamedTuple):
    """One phase from its start to its end; cycles are counted anew at each placement."""

    phase: str
    cycle: int
    start_s: float
    end_s: float
    placement: int


def cycle_svg(
    recording: Recording,
    *,
    title: str = "Freeze/thaw cycles",
    width: float = 960.0,
    height: float = 860.0,
    window_s: tuple[float, float] | None = None,
) -> str:
    """Return the picture of a treatment: tip, phases, outputs, gas, and truth if there is any.

    Args:
        recording: May be cut short, or lack sensors.
        title: Heading, and the picture's accessible name.
        width: Pixels.
        height: Pixels.
        window_s: First and last second to show; None for all.
    """
    canvas = Canvas(width, height)
    _draw_heading(canvas, title, _subtitle(recording))
    table = recording.telemetry
    if not table or not len(table["now_s"]):
        canvas.text(width / 2, height / 2, "no telemetry recorded", size=14, text_anchor="middle")
        return canvas.finish(title=title, description="The recording holds no telemetry.")
    start_s, end_s = window_s or (float(table["now_s"][0]), float(table["now_s"][-1]))
    time = Scale(start_s, max(end_s, start_s + 1.0), LEFT, width - RIGHT)
    spans = [s for s in phase_spans(recording) if s.end_s > time.low and s.start_s < time.high]
    panels = _panels(recording)
    top = _draw_ribbon(canvas, spans, time, in_session=_in_session(recording, spans))
    boxes = stack(panels, top, height - BOTTOM)
    for panel, box in zip(panels, boxes, strict=True):
        _draw_shades(canvas, spans, time, box)
        scale = draw_axes(canvas, panel, time, box)
        is_tip = panel is panels[0]
        labels = _draw_limits(canvas, recording, spans, time, scale) if is_tip else []
        draw_lines(canvas, panel, time, scale, labels)
    _draw_trips(canvas, recording, time, boxes)
    draw_time_axis(canvas, time, boxes[-1].bottom)
    _draw_unnamed(canvas, spans, time, boxes[-1].bottom)
    return canvas.finish(title=title, description=_description(recording, spans))


def vendor_svg(recording: Recording, name: str, *, width: float = 960.0) -> str:
    """Return the picture of one vendor message: a panel for each of its fields."""
    table, units = recording.vendor[name], recording.vendor_units[name]
    columns = [column for column in table if column != "now_s"]
    time_s = table["now_s"]
    canvas = Canvas(width, _HEADING_HEIGHT + _VENDOR_PANEL_HEIGHT * len(columns) + BOTTOM)
    _draw_heading(canvas, name, "vendor message: recorded, never used by interlocks")
    if not len(time_s):
        canvas.text(width / 2, canvas.height / 2, "none received", size=14, text_anchor="middle")
        return canvas.finish(title=name, description="No such message was received.")
    start_s = float(time_s[0])
    time = Scale(start_s, max(float(time_s[-1]), start_s + 1.0), LEFT, width - RIGHT)
    panels = [
        Panel(f"{c}, {units[c]}" if c in units else c, (Line(c, time_s, table[c], _BLUE),))
        for c in columns
    ]
    boxes = stack(panels, _HEADING_HEIGHT, canvas.height - BOTTOM)
    for panel, box in zip(panels, boxes, strict=True):
        draw_lines(canvas, panel, time, draw_axes(canvas, panel, time, box), [])
    draw_time_axis(canvas, time, boxes[-1].bottom)
    return canvas.finish(title=name, description=f"Fields over time: {', '.join(columns)}.")


def phase_spans(recording: Recording) -> list[Span]:
    """Return the phases in order, as the control ticks saw them."""
    control = recording.control
    if not control or not len(control["now_s"]):
        return []
    phase, cycle, now_s = control["phase"], control["cycle"], control["now_s"]
    is_new = (phase[1:] != phase[:-1]) | (cycle[1:] != cycle[:-1])
    starts = [0, *(int(index) + 1 for index in np.flatnonzero(is_new))]
    ends = [*starts[1:], len(now_s) - 1]
    spans: list[Span] = []
    placement, has_begun = 1, False
    for start, end in zip(starts, ends, strict=True):
        name, number_of_cycle = recording.phase_name(int(phase[start])), int(cycle[start])
        if name != _FIRST_PHASE:
            has_begun |= number_of_cycle > 0 or name == _TRIPPED
        elif has_begun:
            placement, has_begun = placement + 1, False
        span = Span(name, number_of_cycle, float(now_s[start]), float(now_s[end]), placement)
        spans.append(span)
    return spans


def recorded_profile(recording: Recording) -> Profile | None:
    """Return the run's probe profile: as recorded, or what this program still knows of it."""
    metadata = recording.metadata
    try:
        if PROFILE in metadata:
            profile = Profile.from_json(metadata[PROFILE])
        else:
            profile = load_profile(metadata.get("profile", ""))
    except (ProfileError, FileError, ValueError, KeyError):
        return None
    same = f"{profile.hash32:08x}" == recording.metadata.get("profile_hash")
    return profile if same else None


def _panels(recording: Recording) -> list[Panel]:
    table = recording.telemetry
    profile = recorded_profile(recording)

    def line(label: str, column: str, colour: str, factor: float = 1.0, **style: Any) -> Line:
        return Line(label, table["now_s"], table[column] * factor, colour, **style)

    tip: tuple[Line, ...] = (line("tip", "tip_temp_c", _BLUE, width=1.7),)
    if np.isfinite(table["tip_2_temp_c"]).any():
        tip = (line("second sensor", "tip_2_temp_c", _PALE_BLUE, width=1.0), *tip)
    outputs = (
        line("valve", "valve", _BLUE, 100.0, filled=True, width=1.2),
        line("tip heater", "tip_heater", _ORANGE, 100.0, dashes="5 2"),
    )
    supply = (line("supply pressure", "supply_pressure_bar", _GREEN),)
    flow = (line("exhaust flow", "exhaust_flow_mg_s", _TEAL),)
    panels = [
        Panel(
            "Tip temperature, °C",
            tip,
            weight=3.4,
            low=profile.limits.tip_floor_c - 3.0 if profile else None,
        ),
        Panel("Outputs, % duty", outputs, low=0.0, high=100.0),
        Panel("Supply pressure, bar absolute", supply),
        Panel("Exhaust flow, mg/s", flow, low=0.0),
    ]
    return [*panels, *_ice_panels(recording)]


def _ice_panels(recording: Recording) -> list[Panel]:
    """Return the panel of the ice, true and estimated; none where nothing is known of it."""
    lines: list[Line] = []
    truth, estimate = recording.truth, recording.estimate
    lethal, dashed = "\N{MINUS SIGN}20 °C radius", "2 3"
    has_truth = bool(truth) and len(truth["now_s"]) > 0
    has_estimate = bool(estimate) and len(estimate["now_s"]) > 0
    if has_truth:
        at_s, ice_mm, lethal_mm = (truth[key] for key in ("now_s", *_RADII))
        lines.append(Line("ice radius (truth)", at_s, ice_mm, _VIOLET))
        lines.append(Line(f"{lethal} (truth)", at_s, lethal_mm, _VIOLET, dashes=dashed))
    if has_estimate:
        at_s, ice_mm, lethal_mm = (estimate[key] for key in ("now_s", *_RADII))
        lines.append(Line("ice radius (estimate)", at_s, ice_mm, _TEAL, width=1.0))
        lines.append(Line(f"{lethal} (estimate)", at_s, lethal_mm, _TEAL, dashes=dashed))
    if not lines:
        return []
    title = _ESTIMATE_TITLE
    if has_truth:
        title = _BOTH_TITLE if has_estimate else _TRUTH_TITLE
    return [Panel(title, tuple(lines), weight=1.2, low=0.0)]


def _subtitle(recording: Recording) -> str:
    about = recording.metadata
    seed = f"seed {about['seed']}" if about.get("seed") else ""
    version = f"cryoctl {about['cryoctl']}" if about.get("cryoctl") else ""
    parts = (about.get("profile", ""), about.get("device", ""), seed, version)
    end = "" if recording.complete else "; the recording was not closed, its end may be missing"
    return "  \N{MIDDLE DOT}  ".join(part for part in parts if part) + end


def _draw_heading(canvas: Canvas, title: str, subtitle: str) -> None:
    canvas.text(LEFT, 24, title, size=16, font_weight="600")
    canvas.text(LEFT, 41, subtitle, size=LABEL_SIZE, fill=MUTED)


def _in_session(recording: Recording, spans: list[Span]) -> bool:
    """Return True if the recording is of several placements, even if it ended at the first."""
    planned = (recording.summary or {}).get("placements")
    count = len(planned) if isinstance(planned, list) else 1
    return max([count, *(span.placement for span in spans)]) > 1


def _draw_ribbon(canvas: Canvas, spans: list[Span], time: Scale, *, in_session: bool) -> float:
    """Draw the named phases and the cycles above them; return where the ribbon ends."""
    top = _HEADING_HEIGHT + 18.0
    turned = [_name(s) for s in spans if not _fits(s, time) and _width(s, time) >= _TURNED_MIN]
    height = max([20.0, *(text_width(name, _SMALL) + 14.0 for name in turned)])
    for span in spans:
        x, width = time(span.start_s), _width(span, time)
        title = f"{_name(span)}, {number(span.start_s, 1)} to {number(span.end_s, 1)} s"
        fill = _RIBBON.get(span.phase, _CALM)
        canvas.rect(x, top, width, height, title=title, fill=fill, stroke="#ffffff")
        middle = x + width / 2
        if _fits(span, time):
            y = top + height / 2 + 3.5
            canvas.text(middle, y, _name(span), size=_SMALL, text_anchor="middle")
        elif width >= _TURNED_MIN:
            y = top + height - 4.0
            canvas.text(middle + 3.5, y, _name(span), size=_SMALL, turned=True)
    for placement, cycle in sorted({(s.placement, s.cycle) for s in spans if s.cycle}):
        of_cycle = [s for s in spans if (s.placement, s.cycle) == (placement, cycle)]
        start, end = time(of_cycle[0].start_s) + 1, time(of_cycle[-1].end_s) - 1
        canvas.line(start, top - 4, end, top - 4, stroke=INK, stroke_width=1.2)
        middle = (start + end) / 2
        name = f"cycle {placement}.{cycle}" if in_session else f"cycle {cycle}"
        canvas.text(middle, top - 8, name, size=_SMALL, text_anchor="middle")
    return top + height


def _draw_unnamed(canvas: Canvas, spans: list[Span], time: Scale, y: float) -> None:
    """Name the phases whose boxes were all too narrow, so that none is known by colour alone."""
    named = {s.phase for s in spans if _fits(s, time) or _width(s, time) >= _TURNED_MIN}
    unnamed = dict.fromkeys(_name(span) for span in spans if span.phase not in named)
    if unnamed:
        text = f"phases too short to name above: {', '.join(unnamed)}"
        canvas.text(time.start, y + 34, text, size=_SMALL, fill=MUTED)


def _draw_shades(canvas: Canvas, spans: list[Span], time: Scale, box: Box) -> None:
    for span in spans:
        if span.phase in _SHADE:
            x, height = time(span.start_s), box.bottom - box.top
            canvas.rect(x, box.top, _width(span, time), height, fill=_SHADE[span.phase])


def _draw_limits(
    canvas: Canvas, recording: Recording, spans: list[Span], time: Scale, scale: Scale
) -> list[Label]:
    """Draw set-point, band and floor behind the tip; return their labels."""
    profile = recorded_profile(recording)
    limits: Limits | None = profile.limits if profile else None
    labels: list[Label] = []
    frozen = [span for span in spans if span.phase in _FREEZING]
    if frozen:
        at = int(np.searchsorted(recording.control["now_s"], frozen[0].start_s))
        setpoint_c = float(recording.control["setpoint_c"][at])
        text = f"set-point {number(setpoint_c)} °C"
        if limits:
            text += f" ±{limits.band_c:g}"
            band_top = scale(setpoint_c + limits.band_c)
            band_height = scale(setpoint_c - limits.band_c) - band_top
            for span in frozen:
                x, width = time(span.start_s), _width(span, time)
                canvas.rect(x, band_top, width, band_height, fill=_BLUE, fill_opacity=0.16)
        y = scale(setpoint_c)
        canvas.line(time.start, y, time.end, y, stroke=MUTED, stroke_dasharray="4 3")
        labels.append(Label(text, y, MUTED))
    if limits:
        y = scale(limits.tip_floor_c)
        canvas.line(time.start, y, time.end, y, stroke=_RED, stroke_dasharray="1 3")
        labels.append(Label(f"floor {number(limits.tip_floor_c)} °C (SR-05)", y, _RED))
    return labels


def _draw_trips(canvas: Canvas, recording: Recording, time: Scale, boxes: list[Box]) -> None:
    """Draw where it tripped; the first one is named, the others stand in the event log."""
    trips = [e for e in recording.events if e.get("kind") == "trip"]
    trips = [e for e in trips if time.low <= float(e["at_s"]) <= time.high]
    for index, event in enumerate(trips):
        x = time(float(event["at_s"]))
        canvas.line(x, boxes[0].top, x, boxes[-1].bottom, stroke=_RED, stroke_width=1.2)
        if index == 0:
            requirement = event.get("requirement", "")
            text = f"trip {event.get('id', '')} ({requirement}), {number(event['at_s'], 1)} s"
            is_late = x + text_width(text, LABEL_SIZE) > time.end
            anchor, x_text = ("end", x - 5) if is_late else ("start", x + 5)
            style: dict[str, Any] = {"fill": _RED, "font_weight": "600", "text_anchor": anchor}
            canvas.text(x_text, boxes[0].top + 13, text, size=LABEL_SIZE, **style)


def _description(recording: Recording, spans: list[Span]) -> str:
    tip_c = recording.telemetry["tip_temp_c"]
    finite = tip_c[np.isfinite(tip_c)]
    coldest = f"coldest tip {number(float(finite.min()), 1)} °C; " if len(finite) else ""
    phases = ", ".join(f"{_name(s)} from {number(s.start_s, 1)} s" for s in spans)
    return f"Temperatures, outputs, pressure and flow over time; {coldest}phases: {phases}."


def _name(span: Span) -> str:
    return span.phase.lower().replace("_", " ")


def _width(span: Span, time: Scale) -> float:
    return time(span.end_s) - time(span.start_s)


def _fits(span: Span, time: Scale) -> bool:
    return text_width(_name(span), _SMALL) + 6.0 <= _width(span, time)
