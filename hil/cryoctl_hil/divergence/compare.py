"""Compares two traces of the same scenarios: signal by signal, event by event."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf, isnan
from typing import Any, Final

from cryoctl_hil.divergence.bands import EXACT_BANDS, REAL_BANDS, Band
from cryoctl_hil.evidence.trace import MARK, SIGNALS, Trace

CLOCK: Final = "device_ms"
"""Sets samples beside each other; how far it goes in a stretch is compared as its length."""
_COUNTED: Final = "event_count"
"""Counts from the probe's power-up: compared from the first mark on."""
_EVENT_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "device": ("event", "state", "trip"),
    "answer": ("op", "answer"),
    "done": ("op", "result"),
}
"""What of an event must be the same; values and limits are readings with their noise."""
_SLACK_MS: Final = 0.5
_SHORT_S: Final = 1.0
"""A stretch that is shorter is no measure of anything."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """What a trace holds from one mark to the next.

    Its times are those of the probe's own clock, so that a link that is slow for a moment, or a
    simulated probe whose machine is, moves nothing.

    Attributes:
        rows: Of its samples.
        began_ms: Device clock of the first of them.
        length_s: To the last of them.
        events: What the probe said, in order, and when; 0 for what has no time of its own.
    """

    name: str
    rows: range
    began_ms: float
    length_s: float
    events: list[tuple[tuple[str, ...], float]]


@dataclass(frozen=True, slots=True)
class Difference:
    """One number: how far something is from the first rig's.

    Attributes:
        name: A signal, or what else is compared.
        value: The largest distance anywhere; infinite where one has what the other lacks.
        where: Stretch and time after its mark.
    """

    name: str
    value: float
    band: Band
    where: str = ""

    @property
    def ok(self) -> bool:
        """True within the band."""
        return self.value <= self.band.value


@dataclass(slots=True)
class Comparison:
    """Of one rig with the first."""

    differences: list[Difference] = field(default_factory=list)
    not_compared: list[str] = field(default_factory=list)
    rows: int = 0

    @property
    def ok(self) -> bool:
        """True if everything is within its band."""
        return bool(self.rows) and all(each.ok for each in self.differences)


def stretches(trace: Trace) -> dict[str, Stretch]:
    """Return what lies between marks, by the name of the mark that begins it."""
    at = [number for number, event in enumerate(trace.events) if event["kind"] == MARK]
    clock = trace.columns[CLOCK]
    found = {}
    for number, following in pairwise(at):
        mark = trace.events[number]
        ended_s = trace.events[following]["at_s"]
        # A sample that came at the very time of a mark is what the mark was set for.
        rows = range(bisect_right(trace.now_s, mark["at_s"]), bisect_right(trace.now_s, ended_s))
        if rows:
            began_ms = clock[rows.start]
            length_s = (clock[rows.stop - 1] - began_ms) / 1000.0
            events = _said(trace.events[number:following], began_ms)
            found[mark["name"]] = Stretch(mark["name"], rows, began_ms, length_s, events)
    return found


def _said(events: Sequence[dict[str, Any]], began_ms: float) -> list[tuple[tuple[str, ...], float]]:
    found = []
    for event in events:
        fields = _EVENT_FIELDS.get(event["kind"])
        if fields is not None:
            what = (event["kind"], *(str(event[name]) for name in fields))
            has_time = "device_ms" in event
            found.append((what, (event["device_ms"] - began_ms) / 1000.0 if has_time else 0.0))
    return found


def compare(first: Trace, other: Trace, *, is_virtual: bool) -> Comparison:
    """Return how far ``other`` is from ``first``, in the stretches that both have."""
    mine, theirs = stretches(first), stretches(other)
    comparison = Comparison(not_compared=[name for name in mine if name not in theirs])
    pairs = [(mine[name], theirs[name]) for name in mine if name in theirs]
    comparison.rows = sum(len(one.rows) for one, _ in pairs)
    if not pairs:
        return comparison
    one, two = _Side(first, pairs[0][0].rows.start), _Side(other, pairs[0][1].rows.start)
    bands = EXACT_BANDS if is_virtual else REAL_BANDS
    for signal in (name for name in SIGNALS if name != CLOCK):
        value, where = _of_signal(signal, one, two, pairs, bands.time_s)
        comparison.differences.append(Difference(signal, value, bands.of(signal), where))
    comparison.differences += [
        *_of_events(pairs, bands.events_s),
        _of_missing(one, two, pairs, bands.time_s, bands.missing),
        _of_lengths(pairs, bands.time_s, bands.lengths),
    ]
    return comparison


# -- signals ---


_Pairs = Sequence[tuple[Stretch, Stretch]]


class _Side:
    """A trace with the times of all its samples, and of its columns what can be compared."""

    def __init__(self, trace: Trace, first_row: int) -> None:
        self.clock_ms = trace.columns[CLOCK]
        self._trace = trace
        self._first_row = first_row

    def column(self, signal: str) -> Sequence[float]:
        """Return a signal; what counts from the power-up, from the first mark on."""
        values = self._trace.columns[signal]
        if signal != _COUNTED:
            return values
        first = values[self._first_row]
        return [value - first for value in values]

    def near(self, at_ms: float, within_s: float) -> range:
        """Return the rows of about this device time."""
        slack_ms = 1000.0 * within_s + _SLACK_MS
        low = bisect_left(self.clock_ms, at_ms - slack_ms)
        return range(low, bisect_right(self.clock_ms, at_ms + slack_ms))


def _windows(
    mine: _Side, theirs: _Side, one: Stretch, two: Stretch, time_s: float
) -> Iterator[tuple[int, range]]:
    """Yield each row of a stretch with those of the other rig that are near it in time."""
    last_ms = 1000.0 * min(one.length_s, two.length_s)
    for row in one.rows:
        at_ms = mine.clock_ms[row] - one.began_ms
        if at_ms > last_ms:
            return
        yield row, theirs.near(two.began_ms + at_ms, time_s)


def _of_signal(
    signal: str, mine: _Side, theirs: _Side, pairs: _Pairs, time_s: float
) -> tuple[float, str]:
    """Return the largest distance anywhere, and where.

    Each sample is held against the nearest in value of those that the other rig has within
    ``time_s`` of it.
    """
    values, others = mine.column(signal), theirs.column(signal)
    worst, where = 0.0, ""
    for one, two in pairs:
        for row, near in _windows(mine, theirs, one, two, time_s):
            value = values[row]
            distance = min((_distance(value, others[each]) for each in near), default=0.0)
            if distance > worst:
                worst = distance
                where = f"{one.name} + {(mine.clock_ms[row] - one.began_ms) / 1000.0:.2f} s"
    return worst, where


def _distance(one: float, other: float) -> float:
    if isnan(one) or isnan(other):
        return 0.0 if isnan(one) and isnan(other) else inf
    return abs(one - other)


def _of_missing(mine: _Side, theirs: _Side, pairs: _Pairs, time_s: float, band: Band) -> Difference:
    """Return the share of samples that the other rig has nothing beside."""
    asked = missing = 0
    where = ""
    for one, two in pairs:
        for _, near in _windows(mine, theirs, one, two, time_s):
            asked += 1
            if not near:
                missing += 1
                where = where or one.name
    return Difference("samples missing, share", missing / asked if asked else inf, band, where)


# -- events and lengths ---


def _of_events(pairs: _Pairs, band: Band) -> Iterator[Difference]:
    """Yield how many events only one of them has, and how far apart in time the same ones are."""
    unequal, unequal_where = 0, ""
    apart_s, apart_where = 0.0, ""
    for one, two in pairs:
        same = 0
        for (what, at_s), (also, also_s) in zip(one.events, two.events, strict=False):
            if what != also:
                break
            same += 1
            if abs(at_s - also_s) > apart_s:
                apart_s, apart_where = abs(at_s - also_s), f"{one.name}: {' '.join(what)}"
        left = max(len(one.events), len(two.events)) - same
        if left > unequal:
            unequal, unequal_where = left, f"{one.name}, after {same} equal ones"
    same_band = Band(0.0, "the same answers, ends and events of the probe, in the same order")
    yield Difference("events unlike", float(unequal), same_band, unequal_where)
    yield Difference("events apart, s", apart_s, band, apart_where)


def _of_lengths(pairs: _Pairs, time_s: float, band: Band) -> Difference:
    """Return by how much of its length a stretch took longer or less long, at most."""
    worst, where = 0.0, ""
    for one, two in pairs:
        apart_s = max(0.0, abs(one.length_s - two.length_s) - time_s)
        share = apart_s / max(one.length_s, _SHORT_S)
        if share > worst:
            worst = share
            where = f"{one.name}: {one.length_s:.2f} s and {two.length_s:.2f} s"
    return Difference("lengths of stretches, share", worst, band, where)


def plain(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison ready for JSON; what one rig lacks has no number."""
    return {
        "ok": comparison.ok,
        "rows": comparison.rows,
        "not_compared": comparison.not_compared,
        "differences": [
            {
                "name": each.name,
                "value": None if each.value == inf else each.value,
                "band": each.band.value,
                "why": each.band.why,
                "where": each.where,
                "ok": each.ok,
            }
            for each in comparison.differences
        ],
    }
