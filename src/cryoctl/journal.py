"""The event log and the alarms of one controller, with a running hash over what was said."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from cryoctl.alarm_board import AlarmBoard, AlarmChange
from cryoctl.records import LogEvent, RecordSink


class Journal:
    """Writes events to the sink in order.

    Args:
        sink: Takes the events.
        board: On which alarms stand.

    Attributes:
        alarms: Ids raised so far, first one first.
        sink: Belongs to whoever made the controller; no part of a saved state.
    """

    def __init__(self, sink: RecordSink, board: AlarmBoard) -> None:
        self.sink = sink
        self._board = board
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
        """Raise an alarm, once as long as its condition lasts."""
        if alarm not in self.alarms:
            self.alarms.append(alarm)
        for change in self._board.raise_(alarm, now_s):
            self.log("alarm", now_s, id=alarm, change=change.change.value, **data)

    def alarm_gone(self, alarm: str, now_s: float) -> None:
        """Take note that the condition of an alarm has gone, if it was there."""
        self.log_alarms(self._board.gone(alarm, now_s))

    def log_alarms(self, changes: Sequence[AlarmChange]) -> None:
        """Write what has happened on the board."""
        for change in changes:
            self.log("alarm", change.at_s, id=change.id, change=change.change.value)

    def __getstate__(self) -> dict[str, Any]:
        """Save everything but the sink."""
        return {name: value for name, value in vars(self).items() if name != "sink"}
