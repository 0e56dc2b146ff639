"""A wall clock for paced runs that no machine is too slow for."""

from __future__ import annotations

import time

import pytest

_YIELD_S = 1e-5


class PatientClock:
    """Shows the time slept so far; a sleep takes just long enough for other threads to catch up.

    Without that, a run in a hurry leaves its recorder's thread behind, and records are dropped.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.slept_s = 0.0
        self._sleep = time.sleep
        monkeypatch.setattr("cryoctl.clock.monotonic_s", lambda: self.slept_s)
        monkeypatch.setattr("cryoctl.clock.time.sleep", self.sleep)

    def sleep(self, ahead_s: float) -> None:
        """Move the clock."""
        self.slept_s += ahead_s
        self._sleep(_YIELD_S)
