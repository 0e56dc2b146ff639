"""The firmware's regulators: valve duty from tip temperature, tip heater, skin warmer."""

from __future__ import annotations

from typing import Final

from cryoctl_protocol.codes import DeviceState, Sensor
from cryoctl_simulator.firmware_config import TICK_MS, DeviceLimits
from cryoctl_simulator.firmware_sensing import TIP_SCALE, Readings
from cryoctl_simulator.firmware_state import FirmwareState

FULL_PERMILLE: Final = 1000
THAW_TARGET_MDEGC: Final = 6_500
_THAW_PERMILLE_PER_C: Final = 1000
# A colder ball takes up the heater's whole energy; left alone it is at its melting range in 5 s.
_HEAT_FROM_MDEGC: Final = -8_500
_THAW_LEAD_MS: Final = 300  # A tip of 0.05 J/K at 1.5 W outruns its sensor by 7 C.
SKIN_TARGET_MDEGC: Final = 35_000
_SKIN_PERMILLE_PER_C: Final = 500
_SKIN_HOLD_PERMILLE: Final = 250  # About what the shaft takes away while freezing.
_MICRO: Final = 1_000_000
_INTEGRAL_MAX: Final = FULL_PERMILLE * _MICRO

_FREEZE: Final = int(DeviceState.FREEZE)
_PREWARM: Final = int(DeviceState.PREWARM)
_THAW: Final = int(DeviceState.THAW)
_SKIN: Final = int(Sensor.SKIN)


def start_approach(limits: DeviceLimits, s: FirmwareState) -> None:
    """Head for a set-point: fully open at first, then from the duty known to hold the tip."""
    s.approaching = True
    s.integral_upermille = limits.feed_forward_permille * _MICRO


def valve_duty(limits: DeviceLimits, s: FirmwareState) -> int:
    """Return the valve's duty for this tick, slew-limited; advances the integral."""
    ahead_mdegc = s.tip_rate_mdegc_s * limits.lead_ms // 1000
    # Above the set-point the error is positive.
    error_mdegc = s.tip_fast // TIP_SCALE + ahead_mdegc - s.setpoint_mdegc
    if error_mdegc <= limits.full_open_mdegc:
        s.approaching = False  # For good: a threshold crossed to and fro would be a relay.
    # While approaching the integral waits: it would only wind up.
    wanted = FULL_PERMILLE if s.approaching else _regulate(limits, s, error_mdegc)
    present = s.outputs.valve_permille
    slew = limits.slew_permille_per_tick
    if wanted > present + slew:
        return present + slew
    if wanted < present - slew:
        return present - slew
    return wanted


def _regulate(limits: DeviceLimits, s: FirmwareState, error_mdegc: int) -> int:
    """PI; the integral moves only where that does not push further into saturation."""
    step = limits.integral_permille_per_c_s * error_mdegc * TICK_MS
    integral = s.integral_upermille
    wanted = (integral + step) // _MICRO
    wanted += limits.proportional_permille_per_c * error_mdegc // 1000
    if wanted > FULL_PERMILLE:
        integral += min(step, 0)
        wanted = FULL_PERMILLE
    elif wanted < 0:
        integral += max(step, 0)
        wanted = 0
    else:
        integral += step
    if integral < 0:
        integral = 0
    elif integral > _INTEGRAL_MAX:
        integral = _INTEGRAL_MAX
    s.integral_upermille = integral
    return wanted


def heater_duty(limits: DeviceLimits, s: FirmwareState) -> int:
    """Return the tip heater's duty and book its energy; ends the heating when a limit is met."""
    if s.heater_on_ms >= limits.heater_on_ms_max:
        s.heating = False
        return 0
    left_uj = s.heater_budget_uj - s.heater_energy_uj
    # Full duty: mW x ms = uJ. A tick that comes late has heated for longer; so may the next.
    duty = left_uj * 1000 // (limits.heater_mw * s.step_ms)
    if duty <= 0:
        s.heating = False
        return 0
    if s.tip_history:
        return 0  # A bad sample among the last five: wait until the tip can be trusted.
    if s.tip_fast < _HEAT_FROM_MDEGC * TIP_SCALE:
        return 0
    ahead_mdegc = s.tip_rate_mdegc_s * _THAW_LEAD_MS // 1000
    short_mdegc = THAW_TARGET_MDEGC - s.tip_fast // TIP_SCALE - ahead_mdegc
    wanted = short_mdegc * _THAW_PERMILLE_PER_C // 1000
    if wanted <= 0:
        return 0
    duty = min(duty, wanted, FULL_PERMILLE)
    s.heater_energy_uj += duty * limits.heater_mw * s.step_ms // 1000
    s.heater_on_ms += s.step_ms
    return duty


def skin_is_seen(limits: DeviceLimits, r: Readings) -> bool:
    """SR-42: skin that nobody measures is not warmed, and its warmer has no supply."""
    return not (r.open_circuit | limits.absent_sensors) & _SKIN


def warmer_duty(limits: DeviceLimits, r: Readings) -> int:
    """Return the skin warmer's duty; off when the skin sensor is open."""
    if not skin_is_seen(limits, r):
        return 0
    wanted = (SKIN_TARGET_MDEGC - r.skin_mdegc) * _SKIN_PERMILLE_PER_C // 1000
    return min(max(wanted + _SKIN_HOLD_PERMILLE, 0), limits.warmer_permille_max)
