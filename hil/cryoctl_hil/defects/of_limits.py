"""Defective limits, debounces and interlocks of the device model."""

from __future__ import annotations

from typing import Any, Final

from cryoctl_hil.defects.defect import Defect, blind, constant, defect, instead, limit
from cryoctl_protocol.codes import DeviceState, Trip
from cryoctl_simulator import firmware_model, firmware_safety
from cryoctl_simulator.firmware_model import FirmwareModel
from cryoctl_simulator.firmware_state import FirmwareState

_TRIP_LATE_TICKS: Final = 20


def _only_in(*states: DeviceState) -> Any:
    return lambda s: s.state not in states


def _not_in(*states: DeviceState) -> Any:
    return lambda s: s.state in states


def _trip_late(on_cause: Any) -> Any:
    def late(self: FirmwareModel, *args: Any) -> None:
        waited = vars(self).get("waited", 0) + 1
        vars(self)["waited"] = waited % _TRIP_LATE_TICKS
        if waited == _TRIP_LATE_TICKS:
            on_cause(self, *args)

    return late


def _only_bad_in_a_row(observe: Any) -> Any:
    """Have one good sample forgive every bad one before it."""

    def changed(limits: Any, s: FirmwareState, r: Any) -> None:
        observe(limits, s, r)
        if s.tip_plausible:
            s.tip_history = s.tip_bad_samples = 0

    return changed


def _counts_by_leases(watch: Any) -> Any:
    """Have every lease begin the freeze anew: no end but the host's."""

    def changed(self: FirmwareModel) -> None:
        leases = self.state.leases_seen
        watch(self)
        if self.state.leases_seen != leases and self.state.state == DeviceState.FREEZE:
            self.state.freeze_ms = 0
            self.state.state_since_ms = self.state.now_ms

    return changed


def _by_flow_alone(stuck: Any) -> Any:
    def changed(limits: Any, s: FirmwareState) -> bool:
        s.falling_ticks = 0
        return bool(stuck(limits, s))

    return changed


def _by_cooling_alone(stuck: Any) -> Any:
    def changed(limits: Any, s: FirmwareState) -> bool:
        s.flow_stuck_ticks = 0
        return bool(stuck(limits, s))

    return changed


# fmt: off
LIMITS: Final[tuple[Defect, ...]] = (
    # Thresholds that are off.
    defect("floor-2c-low", "the floor of the tip is 2 °C too cold", "SR-05",
        limit(tip_floor_mdegc=-87_000)),
    defect("floor-unit", "the floor is read in hundredths of a degree", "SR-05 SR-13",
        limit(tip_floor_mdegc=-8_500)),
    defect("overpressure-high", "overpressure trips 4 bar too high", "SR-18",
        limit(pressure_trip_mbar=72_000)),
    defect("overpressure-unit", "overpressure is compared in tenths of a millibar", "SR-18",
        limit(pressure_trip_mbar=680_000)),
    defect("warning-is-trip", "ARM is allowed up to the trip pressure", "SR-18",
        limit(pressure_warn_mbar=68_000)),
    defect("exhaust-high", "a blocked exhaust trips at twice the pressure", "SR-18",
        limit(exhaust_trip_mbar=5_000)),
    defect("heater-60c", "the tip heater trips at 60 °C", "SR-16",
        limit(heater_tip_max_mdegc=60_000)),
    defect("thaw-energy-15j", "a thaw of 15 J is accepted", "SR-16",
        limit(thaw_energy_uj_max=15_000_000)),
    defect("heater-60s", "the tip heater is on for 60 s", "SR-16",
        limit(heater_on_ms_max=60_000)),
    defect("skin-hot-50c", "the skin warmer trips at 50 °C", "SR-42",
        constant("SKIN_HOT_MDEGC", 50_000)),
    defect("battery-low-1v", "the battery's limit is 1 V too low", "SR-36",
        limit(battery_min_mv=2_300)),
    defect("leak-flow-30", "a leak is flow over 30 %", "SR-08",
        limit(flow_leak_ug_s=10_500)),
    defect("stuck-flow-100", "a stuck valve is flow over 100 %, or cooling", "SR-07",
        limit(flow_stuck_ug_s=35_000)),
    defect("freeze-cap-300s", "a freeze of 300 s is accepted", "SR-09",
        limit(freeze_ms_max=300_000)),
    defect("setpoint-below-range", "a set-point 10 °C below the range is accepted", "SR-06",
        limit(setpoint_min_mdegc=-73_000)),
    defect("decay-4bar", "the leak test passes with 4 bar lost in 10 s", "SR-19",
        constant("DECAY_MBAR_MAX", 4_000)),
    defect("stimulus-cold-0c", "the nerve is stimulated down to 0 °C", "SR-41",
        constant("STIMULUS_TIP_MIN_MDEGC", 0)),
    defect("stimulus-120s", "a stimulus of 120 s is accepted", "SR-41",
        constant("STIMULUS_MS_MAX", 120_000)),
    defect("prewarm-600s", "a prewarming of 600 s is accepted", "SR-42",
        constant("PREWARM_MS_MAX", 600_000)),
    defect("low-pressure-freeze", "FREEZE is accepted with an empty cartridge", "SR-22",
        limit(pressure_low_mbar=0)),
    # Debounces that are missing or too long.
    defect("tip-one-sample", "one bad sample of the tip trips", "SR-11",
        constant("TIP_BAD_SAMPLES_MAX", 0)),
    defect("tip-in-a-row", "bad samples of the tip must come in a row", "SR-11",
        instead(firmware_model, "observe", _only_bad_in_a_row)),
    defect("overpressure-slow", "overpressure must last 300 ms", "SR-18",
        constant("PRESSURE_TICKS", 30)),
    defect("stuck-slow", "a stuck valve is looked for 2 s later", "SR-07",
        constant("VALVE_PROOF_MS", 2_300)),
    defect("leak-slow", "a leak must last 4 s", "SR-08",
        constant("LEAK_MS", 4_000)),
    defect("battery-slow", "a low battery must last 2 s", "SR-36",
        constant("BATTERY_MS", 2_000)),
    defect("skin-hot-slow", "hot skin must last 1 s", "SR-42",
        constant("SKIN_HOT_TICKS", 100)),
    defect("guards-slow", "an open pressure sensor must last 3 s", "SR-18",
        constant("GUARDS_OPEN_TICKS", 300)),
    defect("rejects-100", "frames are rejected a hundred times before it trips", "SR-23",
        constant("REJECTS_MAX", 100)),
    # Interlocks that are missing.
    defect("no-floor", "no interlock at the floor of the tip", "SR-05", blind(Trip.TIP_FLOOR)),
    defect("no-tip-sensor", "no interlock of the tip's sensor", "SR-11", blind(Trip.TIP_SENSOR)),
    defect("no-overpressure", "no interlock of overpressure", "SR-18", blind(Trip.OVERPRESSURE)),
    defect("no-exhaust", "no interlock of the exhaust", "SR-18", blind(Trip.EXHAUST_BLOCKED)),
    defect("no-stuck", "no interlock of a stuck valve", "SR-07", blind(Trip.VALVE_STUCK)),
    defect("no-heater", "no interlock of the tip heater", "SR-16", blind(Trip.HEATER)),
    defect("no-skin-hot", "no interlock of hot skin", "SR-42", blind(Trip.SKIN_HOT)),
    defect("no-lease", "the lease is ignored", "SR-01", blind(Trip.LEASE)),
    defect("no-integrity", "rejected frames are not counted", "SR-23", blind(Trip.INTEGRITY)),
    defect("no-guards", "open sensors of pressure and flow are ignored", "SR-18",
        blind(Trip.SENSOR_OPEN)),
    defect("no-leak", "no interlock of leaks", "SR-08", blind(Trip.LEAK)),
    defect("no-battery", "no interlock of the battery", "SR-36", blind(Trip.BATTERY)),
    defect("no-mismatch", "what the host claims to do is ignored", "SR-01",
        blind(Trip.MODE_MISMATCH)),
    # Interlocks in one state only.
    defect("overpressure-in-freeze", "overpressure is looked at in a freeze alone", "SR-18",
        blind(Trip.OVERPRESSURE, where=_only_in(DeviceState.FREEZE))),
    defect("tip-sensor-in-freeze", "the tip's sensor is looked at in a freeze alone", "SR-11 SR-16",
        blind(Trip.TIP_SENSOR, where=_only_in(DeviceState.FREEZE))),
    defect("lease-not-in-prewarm", "prewarming needs no lease", "SR-01",
        blind(Trip.LEASE, where=_not_in(DeviceState.PREWARM))),
    defect("lease-not-in-stimulate", "stimulating needs no lease", "SR-01",
        blind(Trip.LEASE, where=_not_in(DeviceState.STIMULATE))),
    defect("battery-in-freeze", "the battery is looked at in a freeze alone", "SR-36",
        blind(Trip.BATTERY, where=_only_in(DeviceState.FREEZE))),
    # Half of an interlock.
    defect("stuck-by-flow", "a stuck valve is looked for by flow alone", "SR-07",
        instead(firmware_safety, "valve_is_stuck", _by_flow_alone)),
    defect("stuck-by-cooling", "a stuck valve is looked for by cooling alone", "SR-07",
        instead(firmware_safety, "valve_is_stuck", _by_cooling_alone)),
    # Time.
    defect("trips-late", "every trip comes 200 ms late", "SR-05 SR-11 SR-18",
        instead(FirmwareModel, "_on_cause", _trip_late)),
    defect("freeze-timer-by-host", "every lease begins the freeze's timer anew", "SR-09",
        instead(FirmwareModel, "_watch_controller", _counts_by_leases)),
)
# fmt: on
