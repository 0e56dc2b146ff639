"""Tells whether a thread that writes has been held up by its disk."""

from __future__ import annotations

from typing import Final

from cryoctl import clock
from cryoctl.storage import FINE, Storage

SLOW_S: Final = 0.8
"""For one write: a disk that stalls for 1 s each time is told within that second (H-21)."""
TOLD_S: Final = 10.0
"""After the last stall; a disk that stalls again and again is one condition, not many."""
SLOW: Final = Storage(
    "DISK_SLOW",
    refuses_arming=True,
    text=f"the disk took more than {SLOW_S:g} s for one write; records wait in memory",
)


class StallWatch:
    """Set around each write by one thread, looked at by another."""

    def __init__(self) -> None:
        self._since_s: float | None = None
        self._told_until_s = 0.0

    def begin(self) -> None:
        """A write begins."""
        self._since_s = clock.monotonic_s()

    def end(self) -> None:
        """It came back."""
        self._since_s = None

    @property
    def storage(self) -> Storage:
        """How the recording stands, as far as time is concerned."""
        now_s, since_s = clock.monotonic_s(), self._since_s
        if since_s is not None and now_s - since_s > SLOW_S:
            self._told_until_s = now_s + TOLD_S
        return SLOW if now_s < self._told_until_s else FINE
