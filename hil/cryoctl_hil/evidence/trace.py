"""What a probe reported over time, from the live link or from a recording, in one shape."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from typing import Any, Final

from cryoctl.recording import Recording
from cryoctl.records import LogEvent
from cryoctl.sample import Sample

SIGNALS: Final[tuple[str, ...]] = Sample._fields
"""What a measurement can name: every field of a sample, in its unit."""
MARK: Final = "mark"
"""Kind of the event by which a test names a moment."""


@dataclass(slots=True)
class Trace:
    """Samples and events in the order of their times.

    Attributes:
        now_s: When each sample was received, on the host's clock.
        columns: Signals by name, each as long as ``now_s``; NaN where there was no reading.
        events: Each with ``at_s`` and ``kind``, as a recording keeps them.
    """

    now_s: Sequence[float] = field(default_factory=list)
    columns: Mapping[str, Sequence[float]] = field(
        default_factory=lambda: {name: [] for name in SIGNALS}
    )
    events: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, recording: Recording) -> Trace:
        """Return what a recording holds."""
        telemetry = recording.telemetry
        if not telemetry:
            return cls(events=recording.events)
        columns = {name: telemetry[name].tolist() for name in SIGNALS}
        return cls(telemetry["now_s"].tolist(), columns, recording.events)

    def first_when(
        self, signal: str, holds: Callable[[float], bool], after_s: float
    ) -> float | None:
        """Return when ``signal`` first was as asked, not before ``after_s``; None if never."""
        column = self.columns[signal]
        for at_s, value in zip(self.now_s, column, strict=True):
            if at_s >= after_s and holds(value):
                return at_s
        return None

    def between(self, signal: str, since_s: float, until_s: float) -> list[float]:
        """Return the readings of ``signal`` from one time to another, both included."""
        column = self.columns[signal]
        return [
            value
            for at_s, value in zip(self.now_s, column, strict=True)
            if since_s <= at_s <= until_s and value == value  # noqa: PLR0124 (not NaN)
        ]

    def find(self, kind: str, where: Mapping[str, Any], after_s: float) -> dict[str, Any] | None:
        """Return the first event like that, not before ``after_s``."""
        for event in self.events:
            if event["at_s"] >= after_s and is_like(event, kind, where):
                return event
        return None


def is_like(event: Mapping[str, Any], kind: str, where: Mapping[str, Any]) -> bool:
    """Return True for an event of a kind that says what is asked for."""
    return event["kind"] == kind and all(event.get(key) == value for key, value in where.items())


class LiveTrace(Trace):
    """A trace that grows while a test runs."""

    def add_sample(self, sample: Sample, now_s: float) -> None:
        """Append a sample."""
        self.now_s.append(now_s)  # type: ignore[attr-defined]
        for name, value in zip(SIGNALS, sample, strict=True):
            self.columns[name].append(nan if value is None else value)  # type: ignore[attr-defined]

    def add_event(self, event: LogEvent) -> None:
        """Append an event as it will stand in the recording."""
        self.events.append(json.loads(event.to_json()))
