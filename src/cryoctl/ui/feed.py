"""Takes what a run shows in the control thread, keeps it bounded, hands it to the web thread."""

from __future__ import annotations

import json
from collections import deque
from typing import Final, NamedTuple

from cryoctl.cycle_table import Phase
from cryoctl.records import IceEstimate, LogEvent
from cryoctl.sample import Sample
from cryoctl.ui.trace import Row
from cryoctl_protocol.codes import Sensor
from cryoctl_protocol.peer import FaultPort, Opened
from cryoctl_protocol.truth import TruthSample, TruthSource

WAITING_MAX: Final = 4000
"""Samples between two looks of the web thread; at 50 Hz more than a minute of them."""
EVENTS_MAX: Final = 2000
_PHASES: Final = {phase.value: index for index, phase in enumerate(Phase)}
_AIMING: Final = frozenset({_PHASES[Phase.COOLING], _PHASES[Phase.HOLD]})


class Told(NamedTuple):
    """One event as a page gets it: number, time, kind, the rest as text."""

    number: int
    at_s: float
    kind: str
    text: str


class _Waiting(NamedTuple):
    """A sample with what was known beside it when it came."""

    sample: Sample
    now_s: float
    phase: int
    truth: TruthSample | None


class Feed:
    """A watch of one run.

    Args:
        step_s: Samples closer to each other than this are passed over.

    Attributes:
        description: Of the device, once it is open.
        faults: Where faults can be injected.
        truth_source: Of a simulated device.
        truth: The newest plant truth; None on a real device.
        missed: Samples that came while too many waited.
    """

    def __init__(self, step_s: float) -> None:
        self.description = ""
        self.faults: FaultPort | None = None
        self.truth_source: TruthSource | None = None
        self.truth: TruthSample | None = None
        self.missed = 0
        self._step_s = step_s
        self._due_s = float("-inf")
        self._phase = _PHASES[Phase.DISCONNECTED]
        # One thread appends and another takes: each does one operation that nothing interrupts.
        self._samples: deque[_Waiting] = deque()
        self._events: deque[LogEvent] = deque(maxlen=EVENTS_MAX)
        self._told = 0

    # -- control thread --------------------------------------------------------------------------

    def opened(self, opened: Opened) -> None:
        """Take note of the device."""
        self.description = opened.description
        self.faults = opened.faults
        self.truth_source = opened.truth
        if opened.truth is not None:
            opened.truth.subscribe(self._take_truth)

    def _take_truth(self, truth: TruthSample, _now_s: float) -> None:
        self.truth = truth

    def sample(self, sample: Sample, now_s: float) -> None:
        """Keep a sample, if it is due."""
        if now_s < self._due_s:
            return
        self._due_s = now_s + 0.75 * self._step_s
        if len(self._samples) >= WAITING_MAX:
            self.missed += 1
            return
        self._samples.append(_Waiting(sample, now_s, self._phase, self.truth))

    def event(self, event: LogEvent) -> None:
        """Keep an event; the oldest goes if too many wait."""
        if event.kind == "phase":
            self._phase = _PHASES[event.data["target"]]
        self._events.append(event)

    # -- web thread ------------------------------------------------------------------------------

    def take_rows(self, setpoint_c: float, ice: IceEstimate | None) -> list[Row]:
        """Return what has come since the last call, with the newest set-point and estimate."""
        rows = []
        while self._samples:
            waiting = self._samples.popleft()
            rows.append(self._row(waiting, setpoint_c, ice))
        return rows

    def take_events(self) -> list[Told]:
        """Return the events since the last call."""
        told = []
        while self._events:
            event = self._events.popleft()
            self._told += 1
            told.append(Told(self._told, round(event.at_s, 3), event.kind, event_text(event)))
        return told

    def _row(self, waiting: _Waiting, setpoint_c: float, ice: IceEstimate | None) -> Row:
        sample, truth = waiting.sample, waiting.truth
        return Row(
            t=round(waiting.now_s, 3),
            tip_c=_round(tip_reading_c(sample)),
            setpoint_c=setpoint_c if waiting.phase in _AIMING else None,
            supply_bar=_round(sample.supply_pressure_bar),
            exhaust_bar=_round(sample.exhaust_pressure_bar),
            flow_mg_s=_round(sample.exhaust_flow_mg_s),
            valve=round(sample.valve, 3),
            heater=round(sample.tip_heater, 3),
            warmer=round(sample.skin_warmer, 3),
            skin_c=_round(sample.skin_temp_c),
            phase=waiting.phase,
            radius_mm=None if ice is None else _round(ice.radius_minus20_mm),
            ice_mm=None if ice is None else _round(ice.ice_radius_mm),
            true_tip_c=None if truth is None else _round(truth.tip_temp_c),
            true_radius_mm=None if truth is None else _round(truth.radius_minus20_mm),
            true_ice_mm=None if truth is None else _round(truth.ice_radius_mm),
        )


def tip_reading_c(sample: Sample) -> float | None:
    """Return the tip's reading; None while its sensor is open, whatever it reads then."""
    return None if sample.open_circuit & Sensor.TIP else sample.tip_temp_c


def event_text(event: LogEvent) -> str:
    """Return the data of an event as ``key value`` pairs on one line."""
    pairs = (
        f"{key} {_value(value)}" for key, value in event.data.items() if value not in ("", None)
    )
    return ", ".join(pairs)


def _value(value: object) -> str:
    if isinstance(value, str):
        return value
    return f"{value:g}" if isinstance(value, float) else json.dumps(value, default=str)


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
