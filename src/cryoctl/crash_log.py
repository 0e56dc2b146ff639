"""What went wrong in a simulated probe's processor, for the recording and the end of a run."""

from __future__ import annotations

from typing import Final

from cryoctl.records import LogEvent, RecordSink

KIND: Final = "firmware"
"""Of the events; a replay, which has no processor, leaves them out."""
KEPT: Final = 100
"""Firmware that crashes at every boot does so for hours; the first ones tell why."""


class CrashLog:
    """Takes crashes as they happen.

    Args:
        sink: Records them.

    Attributes:
        kept: Time in s and text of the first ones.
        count: Of all.
    """

    def __init__(self, sink: RecordSink) -> None:
        self.kept: list[tuple[float, str]] = []
        self.count = 0
        self._sink = sink

    def add(self, text: str, now_s: float) -> None:
        """Take one crash, in one line."""
        self.count += 1
        if self.count <= KEPT:
            self.kept.append((now_s, text))
            self._sink.event(LogEvent(now_s, KIND, {"text": text}))
