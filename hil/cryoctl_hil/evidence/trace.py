"""What a probe reported over time, from the live link or from a recording, in one shape."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import isfinite, nan
from typing import Any, Final

from cryoctl.recording import Recording
from cryoctl.records import LogEvent
from cryoctl.sample import Sample
from cryoctl_protocol.codes import DeviceState

SIGNALS: Final[tuple[str, ...]] = Sample._fields
"""What a measurement can name: every field of a sample, in its unit."""
INDEPENDENT: Final = "independent."
"""Before the name of a signal that an instrument has measured."""
MARK: Final = "mark"
"""Kind of the event by which a test names a moment."""
_NS_PER_S: Final = 1e9
_G_PER_MG: Final = 1e-3
_GAP_MAX_S: Final = 1.0
"""Over a longer hole in the telemetry nobody knows what flowed."""

Series = tuple[Sequence[float], Sequence[float]]
"""Times, and as many values."""


@dataclass(slots=True)
class Trace:
    """Samples and events in the order of their times.

    Attributes:
        now_s: When each sample was received, on the host's clock.
        columns: Signals by name, at least as long as ``now_s``; NaN where there was no reading.
        events: Each with ``at_s`` and ``kind``, as a recording keeps them.
        channels: What instruments measured, by signal, on the host's clock.
    """

    now_s: Sequence[float] = field(default_factory=list)
    columns: Mapping[str, Sequence[float]] = field(
        default_factory=lambda: {name: [] for name in SIGNALS}
    )
    events: list[dict[str, Any]] = field(default_factory=list)
    channels: dict[str, Series] = field(default_factory=dict)

    @classmethod
    def of(cls, recording: Recording) -> Trace:
        """Return what a recording holds."""
        telemetry = recording.telemetry
        if not telemetry:
            return cls(events=recording.events)
        columns = {name: telemetry[name].tolist() for name in SIGNALS}
        return cls(telemetry["now_s"].tolist(), columns, recording.events)

    def series(self, signal: str) -> Iterator[tuple[float, float]]:
        """Return times and values of a signal; of an instrument's if its name says so."""
        if signal.startswith(INDEPENDENT):
            at_s, values = self.channels.get(signal.removeprefix(INDEPENDENT), ((), ()))
            return zip(at_s, values, strict=True)
        return zip(self.now_s, self.columns[signal], strict=False)

    def cut(self, samples: int, events: int) -> Trace:
        """Return what was there when it had so many samples and events."""
        return Trace(self.now_s[:samples], self.columns, self.events[:events], self.channels)

    def first_when(
        self, signal: str, holds: Callable[[float], bool], after_s: float
    ) -> float | None:
        """Return when ``signal`` first was as asked, not before ``after_s``; None if never."""
        for at_s, value in self.series(signal):
            if at_s >= after_s and holds(value):
                return at_s
        return None

    def between(self, signal: str, since_s: float, until_s: float) -> list[float]:
        """Return the readings of ``signal`` from one time to another, both included."""
        return [
            value
            for at_s, value in self.series(signal)
            if since_s <= at_s <= until_s and isfinite(value)
        ]

    def find(self, kind: str, where: Mapping[str, Any], after_s: float) -> dict[str, Any] | None:
        """Return the first event like that, not before ``after_s``."""
        for event in self.events:
            if event["at_s"] >= after_s and is_like(event, kind, where):
                return event
        return None

    # -- what a test took --------------------------------------------------------------------------

    def gas_g(self) -> float:
        """Return how much gas went out of the exhaust, by the probe's own flow sensor."""
        samples = pairwise(self.series("exhaust_flow_mg_s"))
        mg = sum(
            flow * min(until_s - since_s, _GAP_MAX_S)
            for (since_s, flow), (until_s, _) in samples
            if isfinite(flow)
        )
        return round(mg * _G_PER_MG, 3)

    def freezes(self) -> int:
        """Return how often the probe began to freeze."""
        states = [state for _, state in self.series("state")]
        return sum(now == DeviceState.FREEZE != before for before, now in pairwise([nan, *states]))

    def opens_gas(self) -> bool:
        """Return True if a gas valve was open at any time."""
        return any(
            value > 0.0 for signal in ("valve", "shutoff_open") for _, value in self.series(signal)
        )


def is_like(event: Mapping[str, Any], kind: str, where: Mapping[str, Any]) -> bool:
    """Return True for an event of a kind that says what is asked for."""
    return event["kind"] == kind and all(event.get(key) == value for key, value in where.items())


class LiveTrace(Trace):
    """A trace that grows while a test runs."""

    def sample(self, sample: Sample, now_s: float) -> None:
        """Append a sample, its time as exact as a recording keeps it."""
        self.now_s.append(round(now_s * _NS_PER_S) / _NS_PER_S)  # type: ignore[attr-defined]
        for name, value in zip(SIGNALS, sample, strict=True):
            self.columns[name].append(nan if value is None else value)  # type: ignore[attr-defined]

    def event(self, event: LogEvent) -> None:
        """Append an event as it will stand in the recording."""
        self.events.append(json.loads(event.to_json()))
