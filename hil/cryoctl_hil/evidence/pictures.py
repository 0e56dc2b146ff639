"""Plots of the moments that a test is about: what was measured around each trip, with the marks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np

from cryoctl.panels import BOTTOM, LEFT, RIGHT, Line, Panel, draw_axes, draw_lines, draw_time_axis
from cryoctl.panels import stack as stack_boxes
from cryoctl.recording import Recording
from cryoctl.svg import INK, MUTED, Canvas, Scale, number
from cryoctl_hil.evidence.measurement import AtEvent, AtSignal, Interval, Moment, Reading
from cryoctl_hil.evidence.record import TestRecord
from cryoctl_hil.evidence.trace import INDEPENDENT, MARK, SIGNALS, Trace

WIDTH: Final = 460.0
_HEADING: Final = 22.0
_PANEL: Final = 84.0
_PANELS_MAX: Final = 4
_BEFORE_S: Final = 1.0
_AFTER_S: Final = 1.0
_REACH_S: Final = 4.0
"""A mark this much before a trip still belongs to it."""
_MARKS_MAX: Final = 9
_MARK_GAP: Final = 11.0
"""Pixels between two numbers of moments that can be told apart."""
_ALWAYS: Final = ("tip_temp_c", "valve")
_SHOWN: Final = frozenset(SIGNALS) - {"trip", "device_ms", "event_count"}
_RED: Final = "#b3161b"
_COLOURS: Final = ("#0b5cad", "#b8480b", "#3f6f1d", "#6b2fb3")
_UNITS: Final = {
    "_c": "°C",
    "_bar": "bar absolute",
    "_mg_s": "mg/s",
    "_v": "V",
    "_ma": "mA",
    "_s": "s",
    "_j": "J",
}


class Instant(NamedTuple):
    """A moment with a number in the plot."""

    number: int
    at_s: float
    text: str
    is_trip: bool


class Picture(NamedTuple):
    """A plot, and what its numbers stand for."""

    svg: str
    instants: list[Instant]


def picture_of(test: TestRecord, recording: Recording, channels: Trace) -> Picture | None:
    """Return the plot around the first trip of a test; None where there is nothing to show.

    A test that failed without a trip shows what is around its last mark.

    Args:
        test: Names the signals by what it measured.
        recording: Of the test.
        channels: Holds what instruments have measured.
    """
    events = recording.events
    if not recording.telemetry or not len(recording.telemetry["now_s"]):
        return None
    trips = [float(e["at_s"]) for e in events if _is_trip(e)]
    marks = [float(e["at_s"]) for e in events if e["kind"] == MARK]
    if trips:
        centre_s = trips[0]
    elif marks and test.verdict.value == "FAIL":
        centre_s = marks[-1]
    else:
        return None
    near = [at_s for at_s in marks if centre_s - _REACH_S <= at_s <= centre_s + _AFTER_S]
    now_s = recording.telemetry["now_s"]
    time = (
        max(min([centre_s, *near]) - _BEFORE_S, float(now_s[0])),
        max(centre_s, min(max([centre_s, *near]) + _AFTER_S, float(now_s[-1]))),
    )
    instants = _instants(events, *time)
    return Picture(_draw(test, recording, channels, time, instants), instants)


def _is_trip(event: dict[str, Any]) -> bool:
    return event["kind"] == "device" and event.get("event") == "TRIP"


def _instants(events: list[dict[str, Any]], low_s: float, high_s: float) -> list[Instant]:
    found: list[Instant] = []
    for event in events:
        at_s = float(event["at_s"])
        is_trip = _is_trip(event)
        if not low_s <= at_s <= high_s or not (is_trip or event["kind"] in (MARK, "guard")):
            continue
        text = (
            f"TRIP {event.get('trip')}" if is_trip else str(event.get("name", "the guard's STOP"))
        )
        if len(found) < _MARKS_MAX:
            found.append(Instant(len(found) + 1, at_s, text, is_trip))
    return found


def signals_of(test: TestRecord) -> list[str]:
    """Return the signals that a test's measurements speak of, the tip and the valve first."""
    named = [*_ALWAYS]
    for measurement in test.measurements:
        what = measurement.what
        if isinstance(what, Reading):
            named.append(what.signal)
        if isinstance(what, Reading | Interval):
            named += [*_of_moment(what.since), *_of_moment(what.until)]
    known = {name for name in named if name.removeprefix(INDEPENDENT) in _SHOWN}
    return [name for name in dict.fromkeys(named) if name in known][:_PANELS_MAX]


def _of_moment(moment: Moment) -> Iterator[str]:
    if isinstance(moment, AtSignal):
        yield moment.signal
    if isinstance(moment, AtSignal | AtEvent) and moment.after is not None:
        yield from _of_moment(moment.after)


def _draw(
    test: TestRecord,
    recording: Recording,
    channels: Trace,
    window: tuple[float, float],
    instants: list[Instant],
) -> str:
    table = recording.telemetry
    panels = []
    for index, name in enumerate(signals_of(test)):
        at_s, values = table["now_s"], table.get(name)
        if values is None:
            series = channels.channels.get(name.removeprefix(INDEPENDENT), ((), ()))
            at_s, values = np.asarray(series[0]), np.asarray(series[1])
        label = "independent" if name.startswith(INDEPENDENT) else ""
        line = Line(label, at_s, values.astype(float), _COLOURS[index % len(_COLOURS)])
        panels.append(Panel(_title(name), (line,)))
    height = _HEADING + len(panels) * (_PANEL + 10.0) + BOTTOM
    canvas = Canvas(WIDTH, height)
    time = Scale(window[0], window[1], LEFT, WIDTH - RIGHT / 4.0)
    boxes = stack_boxes(panels, _HEADING, height - BOTTOM)
    for panel, box in zip(panels, boxes, strict=True):
        draw_lines(canvas, panel, time, draw_axes(canvas, panel, time, box), [])
    _draw_instants(canvas, time, instants, boxes[-1].bottom)
    draw_time_axis(canvas, time, boxes[-1].bottom)
    told = "; ".join(f"{i.number} {i.text} at {i.at_s:.2f} s" for i in instants)
    return canvas.finish(title=f"{test.id}: around the trip", description=told or "no moments")


def _draw_instants(canvas: Canvas, time: Scale, instants: list[Instant], bottom: float) -> None:
    right = -_MARK_GAP
    for instant in instants:
        x = time(instant.at_s)
        colour = _RED if instant.is_trip else MUTED
        dashes = {} if instant.is_trip else {"stroke_dasharray": "3 3"}
        canvas.line(x, _HEADING - 6.0, x, bottom, stroke=colour, **dashes)
        right = max(x, right + _MARK_GAP)
        canvas.text(
            right, _HEADING - 9.0, str(instant.number), size=11.0, text_anchor="middle",
            font_weight="600", fill=colour if instant.is_trip else INK,
        )  # fmt: skip


def _title(signal: str) -> str:
    name = signal.removeprefix(INDEPENDENT)
    unit = next((unit for end, unit in _UNITS.items() if name.endswith(end)), "")
    text = f"{name}, {unit}" if unit else name
    return f"{text} (independent)" if signal.startswith(INDEPENDENT) else text


def seconds(value: float) -> str:
    """Return a time for people."""
    return f"{number(value, 2)} s"
