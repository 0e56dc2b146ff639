"""The event log and the alarms of one controller, with a running hash over what was said."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from cryoctl.records import LogEvent, RecordSink


class Journal:
    """Writes events to the sink in order.

    Attributes:
        alarms: Ids raised so far, first one first.
        sink: Belongs to whoever made the controller; no part of a saved state.
    """

    def __init__(self, sink: RecordSink) -> None:
        self.sink = sink
        self.alarms: list[str] = []
        self._digest = b""

    @property
    def sha256(self) -> str:
        """Hash over every event so far: same run, same hash."""
        return self._digest.hex()

    def log(self, kind: str, now_s: float, **data: Any) -> None:
        """Write one event."""
        event = LogEvent(now_s, kind, data)
        self._digest = sha256(self._digest + event.to_json().encode()).digest()
        self.sink.event(event)

    def alarm(self, alarm: str, now_s: float, **data: Any) -> None:
        """Raise an alarm, once."""
        if alarm not in self.alarms:
            self.alarms.append(alarm)
            self.log("alarm", now_s, id=alarm, **data)

    def __getstate__(self) -> dict[str, Any]:
        """Save everything but the sink."""
        return {name: value for name, value in vars(self).items() if name != "sink"}
