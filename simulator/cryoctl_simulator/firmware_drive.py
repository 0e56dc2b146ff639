"""What each state drives: valve, heaters, stimulator, light and beeper, set once a tick."""

from __future__ import annotations

from typing import Final

from cryoctl_protocol.codes import DeviceState
from cryoctl_protocol.wrapping import until_ms
from cryoctl_simulator.firmware_checks import FILL_MS
from cryoctl_simulator.firmware_config import DeviceLimits
from cryoctl_simulator.firmware_control import (
    heater_duty,
    skin_is_seen,
    valve_duty,
    warmer_duty,
)
from cryoctl_simulator.firmware_safety import LEAK_MS, VALVE_PROOF_MS
from cryoctl_simulator.firmware_sensing import Readings
from cryoctl_simulator.firmware_state import FirmwareState, Outputs

_ALARM_TICKS: Final = 100  # Light and beeper pulse at 1 Hz while latched.

_SELF_TEST: Final = int(DeviceState.SELF_TEST)
_LEAK_TEST: Final = int(DeviceState.LEAK_TEST)
_PREWARM: Final = int(DeviceState.PREWARM)
_FREEZE: Final = int(DeviceState.FREEZE)
_THAW: Final = int(DeviceState.THAW)
_SAFE: Final = int(DeviceState.SAFE)
_FAULT: Final = int(DeviceState.FAULT)
_STIMULATE: Final = int(DeviceState.STIMULATE)
_LIT: Final = (_SELF_TEST, _THAW, _STIMULATE)
_ALARMED: Final = (_SAFE, _FAULT)


def drive(limits: DeviceLimits, s: FirmwareState, r: Readings) -> None:
    """Set every output for this tick."""
    out = s.outputs
    state = s.state
    if state == _FREEZE:
        out.valve_permille = valve_duty(limits, s)
        out.shutoff_open = True
        out.tip_heater_permille = 0
        out.heater_supply_on = False
        out.skin_warmer_permille = warmer_duty(limits, r)
        out.warmer_supply_on = skin_is_seen(limits, r)
        out.led = True
        out.beeper = False
        out.stimulus_ua = 0
        s.driving = True
        return
    out.valve_permille = 0
    out.shutoff_open = _keeps_shutoff_open(limits, s)
    out.tip_heater_permille = heater_duty(limits, s) if s.heating else 0
    # It stays on to the end of a heated thaw: there a driver that is stuck shows itself.
    out.heater_supply_on = s.heating or (state == _THAW and s.heater_on_ms > 0)
    is_warming = state == _PREWARM
    out.skin_warmer_permille = warmer_duty(limits, r) if is_warming else 0
    out.warmer_supply_on = is_warming and skin_is_seen(limits, r)
    is_pulse = state in _ALARMED and s.tick_count % _ALARM_TICKS < _ALARM_TICKS // 2
    out.led = is_pulse or state in _LIT
    out.beeper = state == _SELF_TEST or (is_pulse and state == _FAULT)
    is_stimulating = state == _STIMULATE
    out.stimulus_ua = s.stimulus_ua if is_stimulating else 0
    if is_stimulating:
        out.stimulus_hz = s.stimulus_hz
        out.stimulus_pulse_us = s.stimulus_pulse_us
    s.driving = is_stimulating or is_warming or (state == _THAW and s.heating)


def all_off(out: Outputs) -> None:
    """Take the power from everything that cools, warms or stimulates."""
    out.valve_permille = 0
    out.shutoff_open = False
    out.tip_heater_permille = 0
    out.heater_supply_on = False
    out.skin_warmer_permille = 0
    out.warmer_supply_on = False
    out.stimulus_ua = 0


def _keeps_shutoff_open(limits: DeviceLimits, s: FirmwareState) -> bool:
    """After a freeze until the valve has proved that it shuts; to fill the line for a test."""
    if s.state == _THAW:
        return s.valve_shut_ms <= limits.coast_ms + VALVE_PROOF_MS + LEAK_MS
    if s.state == _LEAK_TEST:
        return until_ms(s.state_since_ms, s.now_ms) < FILL_MS
    return False
