"""Who looks on at a run sees what is recorded, and changes nothing of it."""

from __future__ import annotations

from cryoctl.records import LogEvent
from cryoctl.sample import Sample
from cryoctl.storage import FINE
from cryoctl.watch import WatchedSink
from cryoctl_protocol.peer import Opened
from tests.support.builders import KeepingSink, a_sample


class Seen:
    """A watch that keeps what it is shown, with what was recorded by then."""

    def __init__(self, sink: KeepingSink) -> None:
        self.sink = sink
        self.samples: list[tuple[Sample, float]] = []
        self.events: list[LogEvent] = []
        self.recorded_first = True

    def opened(self, opened: Opened) -> None:
        raise AssertionError("the run opens devices, no sink does")

    def sample(self, sample: Sample, now_s: float) -> None:
        self.recorded_first &= self.sink.samples[-1:] == [(now_s, sample)]
        self.samples.append((sample, now_s))

    def event(self, event: LogEvent) -> None:
        self.recorded_first &= self.sink.events[-1:] == [event]
        self.events.append(event)


def test_samples_and_events_are_recorded_and_then_shown() -> None:
    kept = KeepingSink()
    seen = Seen(kept)
    sink = WatchedSink(kept, seen)
    event = LogEvent(1.0, "phase", {"target": "IDLE"})
    sink.sample(a_sample(), 1.0)
    sink.event(event)

    assert seen.samples == [(a_sample(), 1.0)]
    assert seen.events == [event]
    assert seen.recorded_first
    assert sink.storage == FINE
