"""Sinks of controllers that are run in great numbers: one keeps nothing, one keeps events."""

from __future__ import annotations

from cryoctl.records import Control, IceEstimate, LogEvent
from cryoctl.sample import Sample
from cryoctl.storage import FINE, Storage


class NoSink:
    """Keeps nothing."""

    storage: Storage = FINE

    def received(self, body: bytes, now_s: float) -> None:
        """Drop a frame."""

    def sent(self, body: bytes, now_s: float) -> None:
        """Drop a frame."""

    def sample(self, sample: Sample, now_s: float) -> None:
        """Drop a sample."""

    def control(self, control: Control, now_s: float) -> None:
        """Drop a tick."""

    def estimate(self, estimate: IceEstimate, now_s: float) -> None:
        """Drop an estimate."""

    def vendor(self, message_id: int, payload: bytes, now_s: float) -> None:
        """Drop a vendor message."""

    def event(self, event: LogEvent) -> None:
        """Drop an event."""


class EventSink(NoSink):
    """Keeps the events and forgets every other record."""

    def __init__(self) -> None:
        self.events: list[LogEvent] = []

    def event(self, event: LogEvent) -> None:
        """Keep it."""
        self.events.append(event)
