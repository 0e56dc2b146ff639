"""Takes one set of readings into the firmware's memory: what is believable, and for how long.

Every division rounds towards minus infinity, as Python's does; C needs a helper for it.
"""

from __future__ import annotations

from typing import Final, Protocol

from cryoctl_protocol.codes import Sensor
from cryoctl_simulator.firmware_config import (
    EXHAUST_OPEN_AIR_MBAR,
    SATURATION_MARGIN_MDEGC,
    TICK_MS,
    DeviceLimits,
    saturation_mdegc,
)
from cryoctl_simulator.firmware_safety import SKIN_HOT_MDEGC, TIP_BAD_SAMPLES_MAX
from cryoctl_simulator.firmware_state import FirmwareState

TIP_COLDEST_MDEGC: Final = -92_000  # SR-11; stricter than the -110 C of the sensor's own range.
TIP_HOTTEST_MDEGC: Final = 80_000  # SR-11
TIP_STEP_MDEGC_MAX: Final = 2_500  # SR-11: 250 C/s over one tick of 10 ms.
HISTORY_MASK: Final = 0x1F

TIP_SCALE: Final = 256
_FAST_DIVISOR: Final = 8  # 80 ms at 100 Hz
_SLOW_DIVISOR: Final = 32  # 320 ms
_FILTERS_APART_MS: Final = (_SLOW_DIVISOR - _FAST_DIVISOR) * TICK_MS
_RATE_DIVISOR: Final = TIP_SCALE * _FILTERS_APART_MS

# Cooling that goes on is told from a thaw by temperature: melting ice holds the tip above -8 C.
_FALLING_BELOW_MDEGC: Final = -10_000
_FALLING_MDEGC_S: Final = -1_000  # SR-07
_WARM_MDEGC: Final = 5_000  # SR-14

_TIP: Final = int(Sensor.TIP)
_SUPPLY: Final = int(Sensor.SUPPLY_PRESSURE)
_EXHAUST: Final = int(Sensor.EXHAUST_PRESSURE)
_FLOW: Final = int(Sensor.EXHAUST_FLOW)
_BATTERY: Final = int(Sensor.BATTERY)
_SKIN: Final = int(Sensor.SKIN)


class Readings(Protocol):
    """What the sensors say at one tick, as the firmware's drivers deliver it."""

    tip_mdegc: int
    tip_2_mdegc: int
    skin_mdegc: int
    supply_mbar: int
    exhaust_mbar: int
    exhaust_flow_ug_s: int
    cartridge_mdegc: int
    battery_mv: int
    button: int
    stimulus_response: int
    open_circuit: int


def tip_is_plausible(
    limits: DeviceLimits, s: FirmwareState, tip_mdegc: int, open_circuit: int, exhaust_mbar: int
) -> bool:
    """Return True if this sample can be the temperature of a tip (SR-11)."""
    if open_circuit & _TIP:
        return False
    if tip_mdegc < TIP_COLDEST_MDEGC:
        return False
    if tip_mdegc > TIP_HOTTEST_MDEGC:
        return False
    if s.tip_seen:
        step_mdegc = tip_mdegc - s.tip_raw_mdegc
        if step_mdegc > TIP_STEP_MDEGC_MAX:
            return False
        if step_mdegc < -TIP_STEP_MDEGC_MAX:
            return False
    if tip_mdegc >= limits.always_plausible_mdegc:
        return True
    if open_circuit & _EXHAUST:
        exhaust_mbar = EXHAUST_OPEN_AIR_MBAR
    # A blocked exhaust has an interlock of its own and must not make the tip look false.
    exhaust_mbar = min(exhaust_mbar, limits.exhaust_trip_mbar)
    return tip_mdegc >= saturation_mdegc(limits.saturation, exhaust_mbar) - SATURATION_MARGIN_MDEGC


def observe(limits: DeviceLimits, s: FirmwareState, r: Readings) -> None:
    """Take one set of readings."""
    open_circuit = r.open_circuit | limits.absent_sensors
    _observe_tip(limits, s, r.tip_mdegc, open_circuit, r.exhaust_mbar)
    _observe_gas(limits, s, r, open_circuit)
    if r.skin_mdegc > SKIN_HOT_MDEGC:
        s.skin_hot_ticks = 0 if open_circuit & _SKIN else s.skin_hot_ticks + 1
    else:
        s.skin_hot_ticks = 0
    if r.battery_mv < limits.battery_min_mv:
        s.battery_low_ms = 0 if open_circuit & _BATTERY else s.battery_low_ms + TICK_MS
    else:
        s.battery_low_ms = 0


def _observe_tip(
    limits: DeviceLimits, s: FirmwareState, tip_mdegc: int, open_circuit: int, exhaust_mbar: int
) -> None:
    plausible = tip_is_plausible(limits, s, tip_mdegc, open_circuit, exhaust_mbar)
    s.tip_plausible = plausible
    s.tip_raw_mdegc = tip_mdegc
    history = (s.tip_history << 1) & HISTORY_MASK
    if not plausible:
        history += 1
        s.warm_ms = 0
    s.tip_history = history
    s.tip_bad_samples = history.bit_count()
    if plausible:
        s.tip_mdegc = tip_mdegc
        scaled = tip_mdegc * TIP_SCALE
        if s.tip_rated:
            fast = s.tip_fast
            slow = s.tip_slow
            fast += (scaled - fast) // _FAST_DIVISOR
            slow += (scaled - slow) // _SLOW_DIVISOR
        else:
            fast = slow = scaled
        s.tip_rated = True
        s.tip_fast = fast
        s.tip_slow = slow
        s.tip_rate_mdegc_s = (fast - slow) * 1000 // _RATE_DIVISOR
        if tip_mdegc > _WARM_MDEGC:
            s.warm_ms += TICK_MS
        else:
            s.warm_ms = 0
    elif s.tip_bad_samples > TIP_BAD_SAMPLES_MAX:
        s.tip_rated = False  # A rate of before the sensor broke is no rate of now.
        s.tip_rate_mdegc_s = 0
    s.tip_seen = True


def _observe_gas(limits: DeviceLimits, s: FirmwareState, r: Readings, open_circuit: int) -> None:
    if r.supply_mbar > limits.pressure_trip_mbar:
        s.overpressure_ticks = 0 if open_circuit & _SUPPLY else s.overpressure_ticks + 1
    else:
        s.overpressure_ticks = 0
    if r.exhaust_mbar > limits.exhaust_trip_mbar:
        s.exhaust_ticks = 0 if open_circuit & _EXHAUST else s.exhaust_ticks + 1
    else:
        s.exhaust_ticks = 0
    s.guards_open_ticks = s.guards_open_ticks + 1 if r.open_circuit & limits.guard_sensors else 0
    shut_ms = 0 if s.outputs.valve_permille > 0 else s.valve_shut_ms + TICK_MS
    s.valve_shut_ms = shut_ms
    if shut_ms <= limits.coast_ms:
        s.flow_stuck_ticks = 0
        s.falling_ticks = 0
        s.leak_ms = 0
        return
    flow_ug_s = 0 if open_circuit & _FLOW else r.exhaust_flow_ug_s
    s.flow_stuck_ticks = s.flow_stuck_ticks + 1 if flow_ug_s > limits.flow_stuck_ug_s else 0
    s.leak_ms = s.leak_ms + TICK_MS if flow_ug_s > limits.flow_leak_ug_s else 0
    s.falling_ticks = s.falling_ticks + 1 if is_cooled(s) else 0


def is_cooled(s: FirmwareState) -> bool:
    """Return True if only gas can make the tip fall like this (SR-07)."""
    if s.tip_rate_mdegc_s >= _FALLING_MDEGC_S:
        return False
    return s.tip_mdegc <= _FALLING_BELOW_MDEGC
