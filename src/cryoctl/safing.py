"""Trips, and the way to the safe state: STOP repeated until telemetry shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from cryoctl.cycle_table import Phase
from cryoctl.interlocks import TripNotice
from cryoctl.sample import Sample
from cryoctl_protocol.codes import TRIP_RULES, DeviceState, SafeAction, Trip
from cryoctl_protocol.host_session import HostSession

STOP_RETRY_S: Final = 0.06
SAFE_STATES: Final = (DeviceState.SAFE, DeviceState.FAULT)

_MILLI: Final = 0.001
_DEVICE_UNITS: Final[dict[Trip, tuple[float, str]]] = {
    Trip.TIP_FLOOR: (_MILLI, "°C"),
    Trip.TIP_SENSOR: (_MILLI, "°C"),
    Trip.OVERPRESSURE: (_MILLI, "bar"),
    Trip.EXHAUST_BLOCKED: (_MILLI, "bar"),
    Trip.LEAK: (_MILLI, "mg/s"),
    Trip.VALVE_STUCK: (_MILLI, "mg/s"),
    Trip.HEATER: (_MILLI, "°C"),
    Trip.SKIN_HOT: (_MILLI, "°C"),
    Trip.FREEZE_TIMER: (_MILLI, "s"),
    Trip.LEASE: (_MILLI, "s"),
    Trip.BATTERY: (_MILLI, "V"),
    Trip.INTEGRITY: (1.0, "frames/s"),
    Trip.MODE_MISMATCH: (1.0, "leases"),
}
"""Scale and unit of what a device reports with a trip; others report no figures."""
_AS_IT_CAME: Final = (1.0, "")


@dataclass(slots=True)
class TripRecord:
    """A trip as it happened.

    Attributes:
        layer: ``host`` or ``device``, whoever saw it first.
        phase: In which it struck.
        time_to_safe_ms: From detection to the first sample that shows the safe state.
    """

    notice: TripNotice
    layer: str
    phase: Phase
    at_s: float
    first_out: bool
    time_to_safe_ms: float | None = None


@dataclass(slots=True)
class Safing:
    """All trips of a session, and how far the present ones are on their way to the safe state.

    The first cause begins; whatever breaks on the way to the safe state joins it, so that a stuck
    valve after an operator's STOP is told, and answered, as what it is.
    """

    trips: list[TripRecord] = field(default_factory=list)
    _present: list[TripRecord] = field(default_factory=list)
    _unsafe: list[TripRecord] = field(default_factory=list)
    _action: SafeAction = SafeAction.THAW
    _stop_sent_s: float = float("-inf")

    @property
    def confirmed(self) -> bool:
        """True once telemetry has shown the safe state since the newest cause."""
        return bool(self._present) and not self._unsafe

    @property
    def unsafe_since_s(self) -> float | None:
        """When the oldest cause came whose safe state has not been seen; None without one."""
        return self._unsafe[0].at_s if self._unsafe else None

    @property
    def cause(self) -> Trip | None:
        """The first cause that is more than an operator's STOP; else STOP, or None."""
        if not self.trips:
            return None
        for record in self.trips:
            if record.notice.trip is not Trip.OPERATOR_STOP:
                return record.notice.trip
        return Trip.OPERATOR_STOP

    def begin(self, notice: TripNotice, layer: str, phase: Phase, now_s: float) -> None:
        """Take note of a first cause: what tripped before has been reset."""
        self._present.clear()
        self._unsafe.clear()
        self._action = SafeAction.THAW
        self.join(notice, layer, phase, now_s)

    def join(self, notice: TripNotice, layer: str, phase: Phase, now_s: float) -> bool:
        """Take note of one more cause, unless it is known; ``repeat_stop`` then tells the probe."""
        if any(record.notice.trip is notice.trip for record in self._present):
            return False
        record = TripRecord(notice, layer, phase, now_s, first_out=not self.trips)
        self.trips.append(record)
        self._present.append(record)
        self._unsafe.append(record)
        if TRIP_RULES[notice.trip].action is SafeAction.OFF:
            self._action = SafeAction.OFF  # A later cause may only make it more careful.
        self._stop_sent_s = float("-inf")
        return True

    def lose(self) -> None:
        """Take note that a safe state that was seen is no more: the way to it begins again."""
        record = self._present[-1]
        record.time_to_safe_ms = None
        self._unsafe.append(record)

    def repeat_stop(self, session: HostSession, now_s: float) -> None:
        """Send STOP if the last one is long enough ago."""
        if now_s - self._stop_sent_s < STOP_RETRY_S:
            return
        self._stop_sent_s = now_s
        session.stop(self._action, self._present[-1].notice.trip)

    def confirm(self, now_s: float) -> float:
        """Take note that telemetry shows the safe state; return the time it took, in ms."""
        for record in self._unsafe:
            record.time_to_safe_ms = round((now_s - record.at_s) * 1000.0, 1)
        longest_ms = self._unsafe[0].time_to_safe_ms
        assert longest_ms is not None
        self._unsafe.clear()
        return longest_ms


def shows_safe_state(sample: Sample) -> bool:
    """Return True if valve, supply and stimulator are off and the device holds its safe state."""
    if sample.valve > 0.0:
        return False
    if sample.stimulus_ma > 0.0:
        return False
    if sample.shutoff_open:
        return False
    return sample.state in SAFE_STATES


def device_notice(trip: Trip, value: int, limit: int) -> TripNotice:
    """Return a trip that the device reported, in engineering units where they are known.

    Value and limit both 0 stand for a cause that is no figure over a limit.
    """
    scale, unit = _DEVICE_UNITS.get(trip, _AS_IT_CAME) if value or limit else _AS_IT_CAME
    return TripNotice(trip, value * scale, limit * scale, unit)
