"""Looking on at a run beside its recorder: the seam of displays that are no part of it."""

from __future__ import annotations

from typing import Protocol

from cryoctl.records import LogEvent, RecordSink
from cryoctl.sample import Sample
from cryoctl.storage import Storage
from cryoctl_protocol.peer import Opened


class RecordWatch(Protocol):
    """Takes what is recorded, in the run's thread and order; never blocks, never raises."""

    def sample(self, sample: Sample, now_s: float) -> None:
        """Take a valid sample."""
        ...

    def event(self, event: LogEvent) -> None:
        """Take a line of the event log."""
        ...


class Watch(RecordWatch, Protocol):
    """Takes all that happens in a run."""

    def opened(self, opened: Opened) -> None:
        """Take note of the device, before the run begins."""
        ...


class WatchedSink:
    """A sink that lets a watch see samples and events once they are recorded."""

    def __init__(self, sink: RecordSink, watch: RecordWatch) -> None:
        self._sink = sink
        self._watch = watch
        self.received = sink.received
        self.sent = sink.sent
        self.control = sink.control
        self.estimate = sink.estimate
        self.vendor = sink.vendor

    @property
    def storage(self) -> Storage:
        """How the recording stands."""
        return self._sink.storage

    def sample(self, sample: Sample, now_s: float) -> None:
        """Record a valid sample and show it."""
        self._sink.sample(sample, now_s)
        self._watch.sample(sample, now_s)

    def event(self, event: LogEvent) -> None:
        """Record an event and show it."""
        self._sink.event(event)
        self._watch.event(event)
