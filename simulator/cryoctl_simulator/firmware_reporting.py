"""What the firmware says about itself: telemetry, and the figures of a trip."""

from __future__ import annotations

from typing import Final

from cryoctl_protocol.codes import Sensor, Trip
from cryoctl_protocol.device_session import LEASE_LIFE_MS_MAX
from cryoctl_protocol.messages import Telemetry, Vitals
from cryoctl_simulator.firmware_config import DeviceLimits
from cryoctl_simulator.firmware_safety import MISMATCHES_MAX, REJECTS_MAX, SKIN_HOT_MDEGC
from cryoctl_simulator.firmware_sensing import TIP_COLDEST_MDEGC, Readings
from cryoctl_simulator.firmware_state import FirmwareState

_MICRO_PER_MILLI: Final = 1000
RESPONSE_MS: Final = 200
"""What is seen sooner belongs to what was on before."""
_NO_STIMULUS: Final = (0, 0, 0, 0)
_new_tuple: Final = tuple.__new__


def vitals(s: FirmwareState, r: Readings) -> Vitals:
    """Return the least a monitor needs."""
    out = s.outputs
    return Vitals(
        s.now_ms,
        s.state,
        r.tip_mdegc,
        r.supply_mbar,
        out.valve_permille,
        out.tip_heater_permille,
        int(out.shutoff_open),
    )


def telemetry(s: FirmwareState, r: Readings, limits: DeviceLimits, event_count: int) -> Telemetry:
    """Return one sample of everything; sensors the probe lacks read 0."""
    out = s.outputs
    sample = (
        s.now_ms,
        s.state,
        s.trip,
        r.open_circuit,
        r.tip_mdegc,
        r.tip_2_mdegc,
        r.skin_mdegc,
        r.supply_mbar,
        r.exhaust_mbar,
        r.exhaust_flow_ug_s,
        r.cartridge_mdegc,
        r.battery_mv,
        r.button,
        s.setpoint_mdegc,
        out.valve_permille,
        out.shutoff_open,
        out.tip_heater_permille,
        out.skin_warmer_permille,
        out.led,
        out.beeper,
        *(_stimulus(s, r) if out.stimulus_ua else _NO_STIMULUS),
        s.freeze_ms,
        s.heater_energy_uj // _MICRO_PER_MILLI,
        s.lease_left_ms,
        event_count,
    )
    whole: Telemetry = _new_tuple(Telemetry, sample)  # Half the time of calling Telemetry.
    if limits.absent_sensors:
        return _without(whole, limits.absent_sensors)
    return whole


def _stimulus(s: FirmwareState, r: Readings) -> tuple[int, int, int, int]:
    out = s.outputs
    response = r.stimulus_response if s.stimulus_ms >= RESPONSE_MS else 0
    return out.stimulus_ua, out.stimulus_hz, out.stimulus_pulse_us, response


def _without(sample: Telemetry, absent: int) -> Telemetry:
    """Return ``sample`` as a probe without the sensors in ``absent`` sends it."""
    zeros = {name: 0 for sensor, name in _FIELD_OF.items() if absent & sensor}
    return sample._replace(open_circuit=sample.open_circuit & ~absent, **zeros)


_FIELD_OF: Final = {
    Sensor.TIP: "tip_mdegc",
    Sensor.TIP_2: "tip_2_mdegc",
    Sensor.SKIN: "skin_mdegc",
    Sensor.SUPPLY_PRESSURE: "supply_mbar",
    Sensor.EXHAUST_PRESSURE: "exhaust_mbar",
    Sensor.EXHAUST_FLOW: "exhaust_flow_ug_s",
    Sensor.CARTRIDGE_TEMP: "cartridge_mdegc",
    Sensor.BATTERY: "battery_mv",
    Sensor.BUTTON: "button",
    Sensor.RESPONSE: "stimulus_response",
}


def broken_limit(  # noqa: C901 (one case per cause)
    limits: DeviceLimits, s: FirmwareState, r: Readings, cause: Trip
) -> tuple[int, int]:
    """Return the measured value and the limit it broke, for the event of a trip."""
    match cause:
        case Trip.TIP_SENSOR:
            if r.open_circuit & Sensor.TIP:
                return 0, 0  # A broken wire has no temperature.
            return r.tip_mdegc, TIP_COLDEST_MDEGC
        case Trip.TIP_FLOOR:
            return s.tip_mdegc, limits.tip_floor_mdegc
        case Trip.OVERPRESSURE:
            return r.supply_mbar, limits.pressure_trip_mbar
        case Trip.VALVE_STUCK:
            return r.exhaust_flow_ug_s, limits.flow_stuck_ug_s
        case Trip.HEATER:
            return s.tip_mdegc, limits.heater_tip_max_mdegc
        case Trip.SKIN_HOT:
            return r.skin_mdegc, SKIN_HOT_MDEGC
        case Trip.EXHAUST_BLOCKED:
            return r.exhaust_mbar, limits.exhaust_trip_mbar
        case Trip.LEASE:
            return 0, LEASE_LIFE_MS_MAX
        case Trip.INTEGRITY:
            return s.frames_rejected, REJECTS_MAX
        case Trip.FREEZE_TIMER:
            return s.freeze_ms, min(s.phase_limit_ms, limits.freeze_ms_max)
        case Trip.LEAK:
            return r.exhaust_flow_ug_s, limits.flow_leak_ug_s
        case Trip.BATTERY:
            return r.battery_mv, limits.battery_min_mv
        case Trip.MODE_MISMATCH:
            return s.mode_mismatches, MISMATCHES_MAX
        case _:
            return 0, 0
