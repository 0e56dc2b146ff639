"""What a plot shows, at three resolutions, each of bounded length however long a run lasts."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Final, NamedTuple

SAMPLE_S: Final = 0.02
"""Between two samples of a probe's telemetry."""
FINE_S: Final = 30.0
MIDDLE_S: Final = 300.0
MIDDLE_STEP_S: Final = 0.2
WHOLE_STEP_S: Final = 0.2
"""At first; doubled whenever the whole run gets longer than ``WHOLE_ROWS``."""
WHOLE_ROWS: Final = 3000
_ALMOST: Final = 0.75
"""Rows come a little early and late: one that has waited for most of a step is due."""


class Row(NamedTuple):
    """One instant of the plots; None where there is nothing to draw.

    Attributes:
        t: Controller's time, s.
        setpoint_c: While it is aimed at.
        valve: Fraction, as are heater and warmer.
        phase: Index into ``tuple(Phase)``.
        radius_mm: Of the -20 C isotherm, as estimated.
        ice_mm: Of the edge of the ice, as estimated.
        true_tip_c: By a simulator's truth, as the two after it.
    """

    t: float
    tip_c: float | None
    setpoint_c: float | None
    supply_bar: float | None
    exhaust_bar: float | None
    flow_mg_s: float | None
    valve: float
    heater: float
    warmer: float
    skin_c: float | None
    phase: int
    radius_mm: float | None
    ice_mm: float | None
    true_tip_c: float | None
    true_radius_mm: float | None
    true_ice_mm: float | None


class Trace:
    """Rows of one run, thinned out as they get old.

    Args:
        speed: Times real time; a simulation that runs faster gives rows further apart, so that a
            second of the wall's time never brings more of them.

    Attributes:
        count: Rows that the finest resolution was ever given.
    """

    def __init__(self, speed: float = 1.0) -> None:
        self.step_s = SAMPLE_S * max(1.0, speed)
        self.count = 0
        self._fine: deque[Row] = deque(maxlen=round(FINE_S / SAMPLE_S))
        self._middle_step_s = max(MIDDLE_STEP_S, self.step_s)
        self._middle: deque[Row] = deque(maxlen=round(MIDDLE_S / MIDDLE_STEP_S))
        self._whole: list[Row] = []
        self._whole_step_s = WHOLE_STEP_S

    def is_due(self, now_s: float) -> bool:
        """Return True if a row at ``now_s`` would be kept."""
        return not self._fine or now_s - self._fine[-1].t >= _ALMOST * self.step_s

    def add(self, row: Row) -> None:
        """Keep a row, if it is due; time only goes forward."""
        if not self.is_due(row.t):
            return
        self._fine.append(row)
        self.count += 1
        if not self._middle or row.t - self._middle[-1].t >= _ALMOST * self._middle_step_s:
            self._middle.append(row)
        if not self._whole or row.t - self._whole[-1].t >= _ALMOST * self._whole_step_s:
            self._whole.append(row)
            if len(self._whole) > WHOLE_ROWS:
                self._whole = self._whole[::2]
                self._whole_step_s *= 2.0

    def since(self, count: int) -> tuple[list[Row], int]:
        """Return the finest rows after the first ``count``, and how many of those are gone."""
        wanted = self.count - count
        kept = min(wanted, len(self._fine))
        return list(islice(self._fine, len(self._fine) - kept, None)), wanted - kept

    def history(self) -> list[Sequence[Row]]:
        """Return what is kept: finest, middle, whole run."""
        return [list(self._fine), list(self._middle), list(self._whole)]
