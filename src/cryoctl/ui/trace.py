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
MIDDLE_STEP_S: Final = 0.4
"""For two rows."""
WHOLE_STEP_S: Final = 0.4
"""At first; doubled whenever the whole run gets longer than ``WHOLE_ROWS``."""
WHOLE_ROWS: Final = 3000
_STEP_ROWS_MAX: Final = 64
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


_FIRST_AND_LAST: Final = frozenset({Row._fields.index("t"), Row._fields.index("phase")})


def fold(rows: Sequence[Row]) -> list[Row]:
    """Return two rows that hold the lowest and the highest value of every column of ``rows``.

    Whichever came first is in the first one; time and phase are those of the first and last row.
    What is drawn of the two reaches as far up and down as what was drawn of all.
    """
    if len(rows) <= 2:  # noqa: PLR2004  # Nothing to thin out.
        return list(rows)
    ends = [
        (values[0], values[-1]) if index in _FIRST_AND_LAST else _extremes(values)
        for index, values in enumerate(zip(*rows, strict=True))
    ]
    return [Row._make(first for first, _ in ends), Row._make(last for _, last in ends)]


def _extremes(values: Sequence[float | None]) -> tuple[float | None, float | None]:
    """Return the lowest and highest of what is there, in the order in which they came."""
    there = [value for value in values if value is not None]
    if not there:
        return None, None
    low, high = min(there), max(there)
    return (low, high) if there.index(low) <= there.index(high) else (high, low)


class _Thinned:
    """Two rows for each step of time, and what of the present step has come."""

    def __init__(self, step_s: float, keep: int) -> None:
        self.step_s = step_s
        self.rows: deque[Row] = deque(maxlen=keep)
        self._step: list[Row] = []

    def add(self, row: Row) -> None:
        """Take a row; the step before it is folded if it is over."""
        if self._step and row.t - self._step[0].t >= self.step_s:
            self.rows.extend(fold(self._step))
            self._step = []
        self._step.append(row)
        if len(self._step) > _STEP_ROWS_MAX:
            self._step = fold(self._step)

    def all(self) -> list[Row]:
        """Return every row, those of the present step among them."""
        return [*self.rows, *fold(self._step)]

    def halve(self) -> None:
        """Make each two steps one."""
        rows = list(self.rows)
        halved = [one for at in range(0, len(rows), 4) for one in fold(rows[at : at + 4])]
        self.rows = deque(halved, maxlen=self.rows.maxlen)
        self.step_s *= 2.0


class Trace:
    """Rows of one run, thinned out as they get old: by lowest and highest, so that no peak is lost.

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
        middle_rows = round(2.0 * MIDDLE_S / MIDDLE_STEP_S)
        self._middle = _Thinned(max(MIDDLE_STEP_S, self.step_s), middle_rows)
        self._whole = _Thinned(WHOLE_STEP_S, 2 * WHOLE_ROWS)

    def is_due(self, now_s: float) -> bool:
        """Return True if a row at ``now_s`` would be kept."""
        return not self._fine or now_s - self._fine[-1].t >= _ALMOST * self.step_s

    def add(self, row: Row) -> None:
        """Keep a row, if it is due; time only goes forward."""
        if not self.is_due(row.t):
            return
        self._fine.append(row)
        self.count += 1
        self._middle.add(row)
        self._whole.add(row)
        if len(self._whole.rows) > WHOLE_ROWS:
            self._whole.halve()

    def since(self, count: int) -> tuple[list[Row], int]:
        """Return the finest rows after the first ``count``, and how many of those are gone."""
        wanted = self.count - count
        kept = min(wanted, len(self._fine))
        return list(islice(self._fine, len(self._fine) - kept, None)), wanted - kept

    def history(self) -> list[Sequence[Row]]:
        """Return what is kept: finest, middle, whole run."""
        return [list(self._fine), self._middle.all(), self._whole.all()]
