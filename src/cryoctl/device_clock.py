"""Whether the probe's clock keeps time with the controller's own (SR-44).

The way of a frame takes time that changes; the quickest of two seconds does not change much. So two
spans of two seconds are compared by their quickest frames, and a way that has become longer or
shorter shows once, a clock that is fast or slow each time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryoctl_protocol.wrapping import until_ms

SPAN_S: Final = 2.0
DRIFT_MAX: Final = 0.03
"""SR-44: share of time. Crystals keep to 0.0001, and what a processor has within to 0.02."""


@dataclass(slots=True)
class DeviceClock:
    """Compares two clocks by the samples of one session.

    Attributes:
        drift: Share that the probe's clock was fast (positive) or slow over the last span.
        is_off: It was off by more than is allowed, the same way, in two spans in a row.
    """

    drift: float = 0.0
    is_off: bool = False
    _first_ms: int = 0
    _first_s: float | None = None
    _last_ms: int = 0
    _span_ends_s: float = 0.0
    _quickest_s: float = 0.0
    _before_s: float | None = None

    def forget(self) -> None:
        """Begin anew: another session, or a probe that has restarted."""
        self._first_s = None
        self._before_s = None
        self.drift = 0.0
        self.is_off = False

    def take(self, device_ms: int, now_s: float) -> None:
        """Take a sample's clock, and when it arrived."""
        if until_ms(self._last_ms, device_ms) < 0:
            self.forget()
        self._last_ms = device_ms
        if self._first_s is None:
            self._first_ms, self._first_s = device_ms, now_s
            self._begin_span(0.0, now_s)
            return
        late_s = now_s - self._first_s - until_ms(self._first_ms, device_ms) / 1000.0
        if now_s < self._span_ends_s:
            self._quickest_s = min(self._quickest_s, late_s)
            return
        if self._before_s is not None:
            self._judge((self._before_s - self._quickest_s) / SPAN_S)
        self._before_s = self._quickest_s
        self._begin_span(late_s, now_s)

    def _begin_span(self, late_s: float, now_s: float) -> None:
        self._quickest_s = late_s
        self._span_ends_s = now_s + SPAN_S

    def _judge(self, drift: float) -> None:
        was, self.drift = self.drift, drift
        self.is_off = min(was, drift) > DRIFT_MAX or max(was, drift) < -DRIFT_MAX
