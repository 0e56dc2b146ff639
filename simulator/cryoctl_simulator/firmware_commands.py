"""Whether a command may be carried out now; pure, and the order of the checks is part of it."""

from __future__ import annotations

from typing import Final

from cryoctl_protocol.codes import Answer, Capability, DeviceState, Op, SafeAction, Sensor, ThawMode
from cryoctl_protocol.messages import Command
from cryoctl_protocol.wrapping import until_ms
from cryoctl_simulator.firmware_config import DeviceLimits
from cryoctl_simulator.firmware_safety import (
    STIMULUS_MS_MAX,
    TIP_BAD_SAMPLES_MAX,
    tip_is_too_cold_to_stimulate,
    valve_is_proved_shut,
)
from cryoctl_simulator.firmware_sensing import Readings
from cryoctl_simulator.firmware_state import FirmwareState

PREWARM_MS_MAX: Final = 120_000
"""Longest warming of the skin before a freeze; nothing depends on more."""
STIMULUS_HZ_MAX: Final = 100
STIMULUS_PULSE_US_MIN: Final = 50
STIMULUS_PULSE_US_MAX: Final = 1_000
QUIET_MS: Final = 1_000  # SR-27: the cause must have been absent this long.
START_MS: Final = 10_000  # SR-26: from ARM to START
MICRO_PER_MILLI: Final = 1000
_ANSWERED_SENSORS: Final = int(Sensor.TIP | Sensor.SUPPLY_PRESSURE)


def _states(*states: DeviceState) -> int:
    return sum(1 << state for state in states)


_S = DeviceState
_LATCHED: Final = _states(_S.SAFE, _S.FAULT)
_RUNNING: Final = _states(
    _S.SELF_TEST,
    _S.LEAK_TEST,
    _S.ARMED,
    _S.STARTED,
    _S.PREWARM,
    _S.FREEZE,
    _S.THAW,
    _S.STIMULATE,
)
STATES_OF_OP: Final[tuple[int, ...]] = (
    0,  # There is no operation 0.
    _states(_S.IDLE),  # SELF_TEST
    _states(_S.IDLE),  # LEAK_TEST
    _states(_S.IDLE),  # ARM
    _states(_S.ARMED),  # START
    _states(_S.STARTED),  # PREWARM
    _states(_S.STARTED, _S.THAW),  # FREEZE
    _states(_S.FREEZE),  # SETPOINT
    _states(_S.FREEZE, _S.THAW) | _LATCHED,  # THAW
    _RUNNING,  # END
    _LATCHED,  # CLEAR
    0,  # STOP has a message of its own.
    _states(_S.IDLE, _S.STIMULATE),  # STIMULATE
)
"""States, one bit each, in which an operation is possible at all; indexed by ``Op``."""


def judge(  # noqa: C901 (a table)
    limits: DeviceLimits, s: FirmwareState, r: Readings, command: Command
) -> Answer:
    """Return ACCEPTED, or why ``command`` is refused."""
    op = command.op
    if op == Op.STOP:
        return Answer.NOT_PROVIDED
    if not STATES_OF_OP[op] >> s.state & 1:
        return Answer.FAULT_LATCHED if _LATCHED >> s.state & 1 else Answer.WRONG_STATE
    if op == Op.SELF_TEST:
        return _provided(limits, Capability.SELF_TEST)
    if op == Op.LEAK_TEST:
        return _judge_leak_test(limits, r)
    if op == Op.ARM:
        return _judge_arm(limits, s, r, command)
    if op == Op.START:
        return _judge_start(s, command)
    if op == Op.PREWARM:
        return _judge_prewarm(limits, s, r, command)
    if op == Op.FREEZE:
        return _judge_freeze(limits, s, r, command)
    if op == Op.SETPOINT:
        return _judge_setpoint(limits, command)
    if op == Op.THAW:
        return _judge_thaw(limits, s, command)
    if op == Op.STIMULATE:
        return _judge_stimulate(limits, s, r, command)
    if op == Op.CLEAR:
        return Answer.ACCEPTED if s.quiet_ms >= QUIET_MS else Answer.FAULT_LATCHED
    return Answer.ACCEPTED  # END


def _provided(limits: DeviceLimits, capability: Capability) -> Answer:
    return Answer.ACCEPTED if limits.capabilities & capability else Answer.NOT_PROVIDED


def _judge_leak_test(limits: DeviceLimits, r: Readings) -> Answer:
    if (r.open_circuit | limits.absent_sensors) & Sensor.SUPPLY_PRESSURE:
        return Answer.SENSOR
    return _provided(limits, Capability.LEAK_TEST)


def _judge_arm(limits: DeviceLimits, s: FirmwareState, r: Readings, command: Command) -> Answer:
    if command.cycles < 1:
        return Answer.OUT_OF_RANGE
    if s.lease_left_ms <= 0:
        return Answer.NOT_AUTHORISED
    if not s.leak_test_passed:
        return Answer.NOT_AUTHORISED  # SR-19
    return _judge_hardware(limits, s, r)


def _judge_start(s: FirmwareState, command: Command) -> Answer:
    # Commands are judged before the sequence moves: ARM may be too old already in this tick.
    if until_ms(s.state_since_ms, s.now_ms) > START_MS:
        return Answer.NOT_AUTHORISED
    if command.treatment_hash != s.treatment_hash:
        return Answer.NOT_AUTHORISED
    return Answer.ACCEPTED


def _judge_prewarm(limits: DeviceLimits, s: FirmwareState, r: Readings, command: Command) -> Answer:
    if not limits.capabilities & Capability.SKIN_WARMER:
        return Answer.NOT_PROVIDED
    if not 1 <= command.duration_ms <= PREWARM_MS_MAX:
        return Answer.OUT_OF_RANGE
    if s.lease_left_ms <= 0:
        return Answer.NOT_AUTHORISED
    if (r.open_circuit | limits.absent_sensors) & Sensor.SKIN:
        return Answer.SENSOR
    return Answer.ACCEPTED


def _judge_freeze(limits: DeviceLimits, s: FirmwareState, r: Readings, command: Command) -> Answer:
    if s.outputs.tip_heater_permille > 0 or s.heating:
        return Answer.WRONG_STATE  # SR-15
    if s.cycles_left < 1:
        return Answer.NOT_AUTHORISED
    if s.lease_left_ms <= 0:
        return Answer.NOT_AUTHORISED
    if not 1 <= command.duration_ms <= limits.freeze_ms_max:
        return Answer.OUT_OF_RANGE
    in_range = _judge_setpoint(limits, command)
    if in_range is not Answer.ACCEPTED:
        return in_range
    if r.supply_mbar < limits.pressure_low_mbar:
        return Answer.PRESSURE
    return _judge_hardware(limits, s, r)


def _judge_setpoint(limits: DeviceLimits, command: Command) -> Answer:
    if limits.setpoint_min_mdegc <= command.setpoint_mdegc <= limits.setpoint_max_mdegc:
        return Answer.ACCEPTED
    return Answer.OUT_OF_RANGE


def _judge_thaw(limits: DeviceLimits, s: FirmwareState, command: Command) -> Answer:
    if command.energy_mj * MICRO_PER_MILLI > limits.thaw_energy_uj_max:
        return Answer.OUT_OF_RANGE
    if command.mode == ThawMode.PASSIVE:
        return Answer.ACCEPTED
    if not limits.capabilities & Capability.TIP_HEATER:
        return Answer.NOT_PROVIDED
    if command.energy_mj < 1:
        return Answer.OUT_OF_RANGE
    if _LATCHED >> s.state & 1 and s.action == SafeAction.OFF:
        return Answer.FAULT_LATCHED
    if s.lease_left_ms <= 0:
        return Answer.NOT_AUTHORISED
    if s.tip_bad_samples > TIP_BAD_SAMPLES_MAX:
        return Answer.SENSOR
    return Answer.ACCEPTED


def _judge_stimulate(
    limits: DeviceLimits, s: FirmwareState, r: Readings, command: Command
) -> Answer:
    """SR-41; turning the stimulator off needs nothing."""
    if command.stimulus_ua < 1:
        return Answer.ACCEPTED
    if not limits.capabilities & Capability.STIMULATOR:
        return Answer.NOT_PROVIDED
    if not _stimulus_is_in_range(limits, command):
        return Answer.OUT_OF_RANGE
    if s.lease_left_ms <= 0:
        return Answer.NOT_AUTHORISED
    if not valve_is_proved_shut(limits, s):
        return Answer.WRONG_STATE
    if (r.open_circuit | limits.absent_sensors) & Sensor.TIP:
        return Answer.SENSOR
    if s.tip_bad_samples > TIP_BAD_SAMPLES_MAX:
        return Answer.SENSOR
    return Answer.TIP_COLD if tip_is_too_cold_to_stimulate(s) else Answer.ACCEPTED


def _stimulus_is_in_range(limits: DeviceLimits, command: Command) -> bool:
    if command.stimulus_ua > limits.stimulus_ua_max:
        return False
    if not 1 <= command.stimulus_hz <= STIMULUS_HZ_MAX:
        return False
    if not STIMULUS_PULSE_US_MIN <= command.stimulus_pulse_us <= STIMULUS_PULSE_US_MAX:
        return False
    return 1 <= command.duration_ms <= STIMULUS_MS_MAX


def _judge_hardware(limits: DeviceLimits, s: FirmwareState, r: Readings) -> Answer:
    """Whether sensors, pressure and battery are fit for gas."""
    if (r.open_circuit | limits.absent_sensors) & _ANSWERED_SENSORS:
        return Answer.SENSOR
    if r.open_circuit & limits.guard_sensors:
        return Answer.SENSOR
    if s.tip_bad_samples > TIP_BAD_SAMPLES_MAX:  # SR-11: fewer are no fault.
        return Answer.SENSOR
    if r.supply_mbar > limits.pressure_warn_mbar:
        return Answer.PRESSURE
    if r.battery_mv < limits.battery_min_mv:
        return Answer.BATTERY
    return Answer.ACCEPTED
