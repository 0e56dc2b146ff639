"""Readings of an instrument beside the probe: read from CSV, moved onto the recording's clock."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from io import StringIO
from math import isfinite
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cryoctl_hil.evidence.measurement import AtMark, Interval, Measurement, Moment, Origin, Reading
from cryoctl_hil.evidence.record import Channel, TestRecord
from cryoctl_hil.evidence.trace import INDEPENDENT, Trace
from cryoctl_hil.rigs.rig import InstrumentTable, Rig

ROWS_MAX: Final = 2_000_000
GRID_S: Final = 0.02
"""Steps of the search for an offset: a period of telemetry."""
OVERLAP_MIN: Final = 0.5
"""Share of the shorter series that has to lie over the other one."""
_ROWS_MIN: Final = 10
_SUFFIX: Final = " (independent)"


class ChannelError(Exception):
    """Readings that cannot be used; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Readings:
    """Times in seconds, not falling, and as many values."""

    time_s: NDArray[np.float64]
    values: NDArray[np.float64]

    def moved(self, offset_s: float) -> Readings:
        """Return the readings that much later."""
        return Readings(self.time_s + offset_s, self.values)

    def as_lists(self) -> tuple[list[float], list[float]]:
        """Return times and values as plain numbers."""
        return self.time_s.tolist(), self.values.tolist()


def read_channel(data: bytes, source: str) -> Readings:
    """Return the readings in a CSV file: a line of names, then seconds and value in two columns.

    More columns are left alone. A logic analyser's list of edges is as good as samples.

    Raises:
        ChannelError: With the line that is wrong.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ChannelError(f"{source}: not UTF-8 text") from error
    rows = list(csv.reader(StringIO(text)))[: ROWS_MAX + 2]
    if len(rows) > ROWS_MAX + 1:
        raise ChannelError(f"{source}: more than {ROWS_MAX} rows; cut out what belongs to the test")
    times: list[float] = []
    values: list[float] = []
    for line, row in enumerate(rows[1:], 2):
        if not any(cell.strip() for cell in row):
            continue
        time_s, value = _pair(row, f"{source}:{line}")
        if times and time_s < times[-1]:
            raise ChannelError(f"{source}:{line}: time goes back, from {times[-1]:g} s")
        times.append(time_s)
        values.append(value)
    if not times:
        raise ChannelError(f"{source}: no readings; expected a line of names, then seconds,value")
    return Readings(np.array(times), np.array(values))


def _pair(row: list[str], where: str) -> tuple[float, float]:
    try:
        time_s, value = float(row[0]), float(row[1])
    except (ValueError, IndexError) as error:
        raise ChannelError(f"{where}: expected seconds,value and not {','.join(row)!r}") from error
    if not isfinite(time_s):
        raise ChannelError(f"{where}: {row[0]!r} is no time")
    return time_s, value


# -- onto the recording's clock ---


def offset_of_mark(trace: Trace, mark: str, at_s: float) -> float:
    """Return what to add to an instrument's times, of which ``at_s`` is the moment of a mark.

    Raises:
        ChannelError: The test has no such mark.
    """
    found = AtMark(name=mark).find(trace)
    if found is None:
        raise ChannelError(f"the test has no mark {mark!r}")
    return round(found - at_s, 6)


def best_offset(trace: Trace, signal: str, readings: Readings) -> float:
    """Return what to add to an instrument's times so that it runs along the probe's own signal.

    The cross-correlation of both rates of change is greatest there; a constant difference between
    the two sensors does not count.

    Raises:
        ChannelError: One of them has too little, or nothing in it changes.
    """
    own = np.array([pair for pair in trace.series(signal) if isfinite(pair[1])])
    if len(own) < _ROWS_MIN or len(readings.time_s) < _ROWS_MIN:
        raise ChannelError(f"{signal}: too few readings to align by; give --offset or --mark")
    rates = _rates(own[:, 0], own[:, 1])
    others = _rates(readings.time_s, readings.values)
    if not rates.any() or not others.any():
        raise ChannelError(f"{signal}: nothing in it changes; give --offset or --mark")
    both = np.correlate(rates, others, mode="full")
    lags = np.arange(-len(others) + 1, len(rates))
    overlap = np.minimum(len(rates), lags + len(others)) - np.maximum(0, lags)
    both[overlap < OVERLAP_MIN * min(len(rates), len(others))] = -np.inf
    lag = int(lags[int(np.argmax(both))])
    return round(float(own[0, 0] - readings.time_s[0]) + lag * GRID_S, 6)


def _rates(time_s: NDArray[Any], values: NDArray[Any]) -> NDArray[np.float64]:
    good = np.isfinite(values)
    grid = np.arange(time_s[0], time_s[-1], GRID_S)
    return np.diff(np.interp(grid, time_s[good], values[good]))


# -- what it says of the test ---


def with_channel(
    test: TestRecord, trace: Trace, channel: Channel, instrument: InstrumentTable, rig: Rig
) -> TestRecord:
    """Return a test with an instrument's channel, and what that says of each measurement.

    Every number that the test took from the probe's own signal is taken once more from the
    instrument's, by the same words and under the same limit, made tighter by its uncertainty.

    Raises:
        ChannelError: The test measured nothing of this signal.
    """
    kept = tuple(m for m in test.measurements if not _is_of(m, channel.signal))
    added = tuple(
        independent(m, channel.signal, instrument, rig).judged_again(trace)
        for m in kept
        if m.origin is Origin.DEVICE and _speaks_of(m, channel.signal)
    )
    if not added:
        raise ChannelError(f"{test.id}: measured nothing of {channel.signal}")
    channels = (*(c for c in test.channels if c.signal != channel.signal), channel)
    return test.model_copy(update={"channels": channels, "measurements": (*kept, *added)})


def independent(
    measurement: Measurement, signal: str, instrument: InstrumentTable, rig: Rig
) -> Measurement:
    """Return a measurement that takes ``signal`` from the instrument, with its uncertainty."""
    what = measurement.what
    assert isinstance(what, Reading | Interval)
    renamed = what.model_copy(
        update={"since": _renamed(what.since, signal), "until": _renamed(what.until, signal)}
    )
    uncertainty = rig.table.timing_uncertainty_s
    if isinstance(renamed, Reading) and renamed.signal == signal:
        renamed = renamed.model_copy(update={"signal": INDEPENDENT + signal})
        uncertainty = instrument.uncertainty
    limit = measurement.limit.model_copy(update={"uncertainty": uncertainty})
    return measurement.model_copy(
        update={
            "name": measurement.name + _SUFFIX,
            "what": renamed,
            "limit": limit,
            "origin": Origin.INDEPENDENT,
        }
    )


def _renamed(moment: Moment, signal: str) -> Moment:
    if isinstance(moment, AtMark):
        return moment
    update: dict[str, Any] = {}
    if moment.after is not None:
        update["after"] = _renamed(moment.after, signal)
    if getattr(moment, "signal", None) == signal:
        update["signal"] = INDEPENDENT + signal
    return moment.model_copy(update=update)


def _speaks_of(measurement: Measurement, signal: str) -> bool:
    what = measurement.what
    if not isinstance(what, Reading | Interval):
        return False
    return (
        independent_signals(what.since, signal)
        or independent_signals(what.until, signal)
        or (isinstance(what, Reading) and what.signal == signal)
    )


def independent_signals(moment: Moment, signal: str) -> bool:
    """Return True if a moment is found by ``signal``."""
    return _renamed(moment, signal) != moment


def _is_of(measurement: Measurement, signal: str) -> bool:
    """Return True for what an earlier import of the same signal has added."""
    if measurement.origin is not Origin.INDEPENDENT or isinstance(measurement.what, str):
        return False
    return f'"{INDEPENDENT}{signal}"' in measurement.what.model_dump_json()
