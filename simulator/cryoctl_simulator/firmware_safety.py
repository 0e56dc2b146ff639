"""The probe's own interlocks: pure functions of limits and memory, the most dangerous cause first.

Each is written as early returns, one comparison each, so that branch coverage shows every
condition deciding by itself. Whether the tip can be believed is judged before anything else.
"""

from __future__ import annotations

from typing import Final

from cryoctl_protocol.codes import DeviceState, Trip
from cryoctl_protocol.wrapping import until_ms
from cryoctl_simulator.firmware_config import DeviceLimits
from cryoctl_simulator.firmware_state import FirmwareState

TIP_BAD_SAMPLES_MAX: Final = 2  # SR-11: the third of five trips.
PRESSURE_TICKS: Final = 3  # 30 ms of the 50 ms that SR-18 allows.
GUARDS_OPEN_TICKS: Final = 10  # 100 ms: longer than a contact that bounces.
VALVE_PROOF_MS: Final = 300  # SR-07: on top of the profile's coast.
FLOW_TICKS: Final = 3  # SR-07: one noisy sample is no flow.
FALLING_TICKS: Final = 5  # SR-07
LEAK_MS: Final = 1_000  # SR-08
BATTERY_MS: Final = 100  # SR-36 allows 500 ms; a solenoid's inrush is shorter.
REJECTS_MAX: Final = 5  # SR-23: more than this many in one second.
MISMATCHES_MAX: Final = 3
SKIN_HOT_MDEGC: Final = 43_000  # SR-42: what skin bears for as long as a treatment lasts.
SKIN_HOT_TICKS: Final = 10  # 100 ms: the slow converter reads the skin once in that time.
STIMULUS_MS_MAX: Final = 30_000
"""SR-41: enough to look for a response, and a forgotten one ends soon; assumed."""
# SR-41: warmer than chilled tissue, whose nerve answers late or not at all; gel on a bench of 22 C
# is allowed. Assumed.
STIMULUS_TIP_MIN_MDEGC: Final = 20_000

_FREEZE: Final = int(DeviceState.FREEZE)
_BATTERY: Final = int(Trip.BATTERY)

# Plain integers: find_trip runs a hundred times a second.
_NONE: Final = int(Trip.NONE)
_TIP_SENSOR: Final = int(Trip.TIP_SENSOR)
_TIP_FLOOR: Final = int(Trip.TIP_FLOOR)
_OVERPRESSURE: Final = int(Trip.OVERPRESSURE)
_VALVE_STUCK: Final = int(Trip.VALVE_STUCK)
_HEATER: Final = int(Trip.HEATER)
_SKIN_HOT: Final = int(Trip.SKIN_HOT)
_EXHAUST_BLOCKED: Final = int(Trip.EXHAUST_BLOCKED)
_LEASE: Final = int(Trip.LEASE)
_FREEZE_TIMER: Final = int(Trip.FREEZE_TIMER)
_LEAK: Final = int(Trip.LEAK)
_SENSOR_OPEN: Final = int(Trip.SENSOR_OPEN)
_INTEGRITY: Final = int(Trip.INTEGRITY)
_MODE_MISMATCH: Final = int(Trip.MODE_MISMATCH)


def find_trip(  # noqa: C901 (one flat list)
    limits: DeviceLimits, s: FirmwareState, seen: int = 0
) -> int:
    """Return the most dangerous cause present (a ``Trip``), or 0.

    Args:
        limits: Of the probe.
        s: The firmware's memory.
        seen: Causes to pass over, one bit each: one that lasts must not hide another.
    """
    if s.tip_bad_samples > TIP_BAD_SAMPLES_MAX:
        if not seen & 1 << _TIP_SENSOR:
            return _TIP_SENSOR
    if tip_at_floor(limits, s):
        if not seen & 1 << _TIP_FLOOR:
            return _TIP_FLOOR
    if s.overpressure_ticks >= PRESSURE_TICKS:
        if not seen & 1 << _OVERPRESSURE:
            return _OVERPRESSURE
    if valve_is_stuck(limits, s):
        if not seen & 1 << _VALVE_STUCK:
            return _VALVE_STUCK
    if heater_is_dangerous(limits, s):
        if not seen & 1 << _HEATER:
            return _HEATER
    if s.skin_hot_ticks >= SKIN_HOT_TICKS:
        if not seen & 1 << _SKIN_HOT:
            return _SKIN_HOT
    if s.exhaust_ticks >= PRESSURE_TICKS:
        if not seen & 1 << _EXHAUST_BLOCKED:
            return _EXHAUST_BLOCKED
    if s.driving:
        if s.lease_left_ms <= 0:
            if not seen & 1 << _LEASE:
                return _LEASE
        if s.frames_rejected > REJECTS_MAX:
            if not seen & 1 << _INTEGRITY:
                return _INTEGRITY
    if s.state == _FREEZE:
        if s.guards_open_ticks >= GUARDS_OPEN_TICKS:
            if not seen & 1 << _SENSOR_OPEN:
                return _SENSOR_OPEN
        if freeze_is_too_long(limits, s):
            if not seen & 1 << _FREEZE_TIMER:
                return _FREEZE_TIMER
    if s.leak_ms >= LEAK_MS:
        if not seen & 1 << _LEAK:
            return _LEAK
    if battery_is_too_low(s):
        if not seen & 1 << _BATTERY:
            return _BATTERY
    if s.mode_mismatches >= MISMATCHES_MAX:
        if not seen & 1 << _MODE_MISMATCH:
            return _MODE_MISMATCH
    return _NONE


def tip_at_floor(limits: DeviceLimits, s: FirmwareState) -> bool:
    """SR-05: the first plausible sample at or below the floor."""
    if s.tip_mdegc > limits.tip_floor_mdegc:
        return False
    return s.tip_plausible


def valve_is_stuck(limits: DeviceLimits, s: FirmwareState) -> bool:
    """SR-07: gas flows or the tip goes on falling although the valve should be shut."""
    if s.valve_shut_ms <= limits.coast_ms + VALVE_PROOF_MS:
        return False
    if s.flow_stuck_ticks >= FLOW_TICKS:
        return True
    return s.falling_ticks >= FALLING_TICKS


def heater_is_dangerous(limits: DeviceLimits, s: FirmwareState) -> bool:
    """SR-16: too hot at any time; too long or too much energy while heating."""
    if s.tip_mdegc > limits.heater_tip_max_mdegc:
        return s.tip_plausible
    if not s.heating:
        return False
    if s.heater_on_ms > limits.heater_on_ms_max:
        return True
    return s.heater_energy_uj > limits.thaw_energy_uj_max


def freeze_is_too_long(limits: DeviceLimits, s: FirmwareState) -> bool:
    """SR-09: longer than commanded, or than any freeze may be, by the count of ticks."""
    if s.freeze_ms > limits.freeze_ms_max:
        return True
    return s.freeze_ms > s.phase_limit_ms


def battery_is_too_low(s: FirmwareState) -> bool:
    """SR-36: while an output is on; afterwards the cause lasts as long as the battery is low."""
    if s.battery_low_ms < BATTERY_MS:
        return False
    if s.driving:
        return True
    return s.trip == _BATTERY


def outputs_overlap(valve_permille: int, tip_heater_permille: int, stimulus_ua: int) -> bool:
    """SR-15, SR-41: two of valve, tip heater and stimulator on in the same tick."""
    if valve_permille > 0:
        if tip_heater_permille > 0:
            return True
        return stimulus_ua > 0
    if tip_heater_permille > 0:
        return stimulus_ua > 0
    return False


def valve_is_proved_shut(limits: DeviceLimits, s: FirmwareState) -> bool:
    """SR-41: shut for so long that SR-07 would have found it stuck, and the shut-off behind it."""
    if s.outputs.shutoff_open:
        return False
    return s.valve_shut_ms > limits.coast_ms + VALVE_PROOF_MS


def tip_is_too_cold_to_stimulate(s: FirmwareState) -> bool:
    """SR-41: by the last plausible sample."""
    return s.tip_mdegc <= STIMULUS_TIP_MIN_MDEGC


def prewarm_is_over(s: FirmwareState, elapsed_ms: int) -> bool:
    """SR-42: by the clock or by the count of ticks, whichever comes first."""
    if elapsed_ms >= s.phase_limit_ms:
        return True
    return s.prewarm_ms >= s.phase_limit_ms


def stimulus_is_over(s: FirmwareState) -> bool:
    """SR-41: by the clock or by the count of ticks, whichever comes first; 30 s at most."""
    limit_ms = min(s.phase_limit_ms, STIMULUS_MS_MAX)
    if until_ms(s.stimulus_since_ms, s.now_ms) >= limit_ms:
        return True
    return s.stimulus_ms >= limit_ms


def stimulus_must_end(limits: DeviceLimits, s: FirmwareState) -> bool:
    """SR-41: one of the conditions that it was begun under holds no longer."""
    if not valve_is_proved_shut(limits, s):
        return True
    if s.tip_bad_samples > TIP_BAD_SAMPLES_MAX:
        return True
    return tip_is_too_cold_to_stimulate(s)
