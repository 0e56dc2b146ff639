"""A sample as a probe in mid-freeze sends it, for the benchmarks."""

from __future__ import annotations

from typing import Final

from cryoctl_protocol.codes import DeviceState
from cryoctl_protocol.messages import Telemetry

SAMPLE: Final = Telemetry(
    device_ms=123_456,
    state=DeviceState.FREEZE,
    trip=0,
    open_circuit=0,
    tip_mdegc=-60_123,
    tip_2_mdegc=-41_877,
    skin_mdegc=31_250,
    supply_mbar=51_020,
    exhaust_mbar=1_310,
    exhaust_flow_ug_s=30_415,
    cartridge_mdegc=19_530,
    battery_mv=3_905,
    button=0,
    setpoint_mdegc=-60_000,
    valve_permille=713,
    shutoff_open=1,
    tip_heater_permille=0,
    skin_warmer_permille=412,
    led=1,
    beeper=0,
    stimulus_ua=0,
    stimulus_hz=0,
    stimulus_pulse_us=0,
    stimulus_response=0,
    freeze_ms=30_010,
    thaw_energy_mj=0,
    lease_left_ms=260,
    event_count=17,
)
