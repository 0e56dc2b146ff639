"""Trips, and the way to the safe state: STOP repeated until telemetry shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from cryoctl.cycle_table import Phase
from cryoctl.interlocks import TripNotice
from cryoctl.sample import Sample
from cryoctl_protocol.codes import TRIP_RULES, DeviceState, Trip
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
    Trip.FREEZE_TIMER: (_MILLI, "s"),
    Trip.LEASE: (_MILLI, "s"),
    Trip.BATTERY: (_MILLI, "V"),
}
"""Scale and unit of what a device reports with a trip; others are reported as they come."""


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
    """All trips of a session, and how far the newest one is on its way to the safe state.

    Attributes:
        confirmed: True once telemetry has shown the safe state of the newest trip.
    """

    trips: list[TripRecord] = field(default_factory=list)
    confirmed: bool = False
    _stop_sent_s: float = float("-inf")

    def begin(self, notice: TripNotice, layer: str, phase: Phase, now_s: float) -> TripRecord:
        """Take note of a trip; ``repeat_stop`` then sends its first STOP."""
        record = TripRecord(notice, layer, phase, now_s, first_out=not self.trips)
        self.trips.append(record)
        self.confirmed = False
        self._stop_sent_s = float("-inf")
        return record

    def repeat_stop(self, session: HostSession, now_s: float) -> None:
        """Send STOP if the last one is long enough ago."""
        if now_s - self._stop_sent_s < STOP_RETRY_S:
            return
        self._stop_sent_s = now_s
        trip = self.trips[-1].notice.trip
        session.stop(TRIP_RULES[trip].action, trip)

    def confirm(self, now_s: float) -> float:
        """Take note that telemetry shows the safe state; return the time it took, in ms."""
        self.confirmed = True
        record = self.trips[-1]
        record.time_to_safe_ms = round((now_s - record.at_s) * 1000.0, 1)
        return record.time_to_safe_ms


def shows_safe_state(sample: Sample) -> bool:
    """Return True if valve and supply are shut and the device holds its safe state."""
    if sample.valve > 0.0:
        return False
    if sample.shutoff_open:
        return False
    return sample.state in SAFE_STATES


def device_notice(trip: Trip, value: int, limit: int) -> TripNotice:
    """Return a trip that the device reported, in engineering units where they are known."""
    scale, unit = _DEVICE_UNITS.get(trip, (1.0, "device units"))
    return TripNotice(trip, value * scale, limit * scale, unit)
