"""The probe's firmware as an executable specification: integers only, one call a tick.

The C firmware does the same in the same order, so that both send the same bytes. A tick reads
what has arrived and the sensors, runs the interlocks, then carries out what was asked for, then
moves the sequence and the regulators, and last of all sends.
"""

from __future__ import annotations

import pickle
from typing import Final

from cryoctl_protocol.codes import (
    TRIP_RULES,
    Answer,
    Capability,
    DeviceState,
    EventCode,
    HostMode,
    Op,
    Result,
    SafeAction,
    ThawMode,
    Trip,
)
from cryoctl_protocol.device_session import DeviceSession
from cryoctl_protocol.messages import Command, Event, Stop
from cryoctl_protocol.wrapping import until_ms
from cryoctl_simulator import firmware_checks
from cryoctl_simulator.firmware_commands import MICRO_PER_MILLI, START_MS, judge
from cryoctl_simulator.firmware_config import TICK_MS, FirmwareConfig
from cryoctl_simulator.firmware_control import start_approach
from cryoctl_simulator.firmware_drive import all_off, drive
from cryoctl_simulator.firmware_identity import TELEMETRY_TICKS, Boot, identity
from cryoctl_simulator.firmware_reporting import broken_limit, telemetry, vitals
from cryoctl_simulator.firmware_safety import (
    TIP_BAD_SAMPLES_MAX,
    find_trip,
    outputs_overlap,
    prewarm_is_over,
    stimulus_is_over,
    stimulus_must_end,
)
from cryoctl_simulator.firmware_sensing import Readings, observe
from cryoctl_simulator.firmware_state import FirmwareState, Outputs

VITALS_TICKS: Final = 20  # 200 ms
HELLO_TICKS: Final = 100  # 1 s, while there is no session
LEAK_TEST_LIFE_MS: Final = 1_800_000  # SR-19: 30 min
FREE_MS: Final = 2_000  # SR-14: this long above +5 C

_IDLE: Final = int(DeviceState.IDLE)
_SELF_TEST: Final = int(DeviceState.SELF_TEST)
_LEAK_TEST: Final = int(DeviceState.LEAK_TEST)
_ARMED: Final = int(DeviceState.ARMED)
_STARTED: Final = int(DeviceState.STARTED)
_PREWARM: Final = int(DeviceState.PREWARM)
_FREEZE: Final = int(DeviceState.FREEZE)
_THAW: Final = int(DeviceState.THAW)
_SAFE: Final = int(DeviceState.SAFE)
_FAULT: Final = int(DeviceState.FAULT)
_STIMULATE: Final = int(DeviceState.STIMULATE)
_LATCHED: Final = (_SAFE, _FAULT)
_CLAIM_FREEZE: Final = int(HostMode.FREEZE)


class FirmwareModel:
    """One probe's firmware between power-up and power-down (``Firmware``)."""

    is_reset: Final = False

    def __init__(self, config: FirmwareConfig, boot: Boot) -> None:
        self.config = config
        self.state = FirmwareState()
        self.session = DeviceSession(
            identity(config, boot),
            boot.key,
            nonce_seed=boot.nonce_seed,
            former_key=boot.former_key,
        )
        self.session.send_delimiter()

    @property
    def profile_hash(self) -> int:
        """Hash of the profile's limits, as HELLO says it."""
        return self.session.identity.profile_hash

    @profile_hash.setter
    def profile_hash(self, value: int) -> None:
        self.session.identity = self.session.identity._replace(profile_hash=value)

    @property
    def outputs(self) -> Outputs:
        """What the hardware is to do until the next tick."""
        return self.state.outputs

    def save(self) -> bytes:
        """Return the whole state; valid for this version of the program only."""
        return pickle.dumps((self.config, self.state, self.session))

    def load(self, data: bytes) -> None:
        """Take over a state that ``save`` returned."""
        self.config, self.state, self.session = pickle.loads(data)

    def tick(self, now_ms: int, readings: Readings, incoming: bytes) -> bytes:
        """Run 10 ms; return what goes out on the link.

        Args:
            now_ms: Device clock, 32 bits, 0 at power-up.
            readings: Sensors as read at this tick.
            incoming: Bytes that arrived since the last one, at most ``RECEIVE_MAX``.
        """
        s = self.state
        limits = self.config.limits
        step_ms = until_ms(s.now_ms, now_ms)
        s.step_ms = step_ms if step_ms > TICK_MS else TICK_MS  # noqa: FURB136 (every tick)
        s.now_ms = now_ms
        s.tick_count = s.tick_count + 1 & 0xFFFFFFFF
        if s.state == _FREEZE:
            s.freeze_ms += TICK_MS
        requests = self.session.on_bytes(incoming, now_ms)
        was_latched = s.state in _LATCHED
        self._watch_controller()
        observe(limits, s, readings)
        # Nothing has been told before the first: a bit that turned over hides no cause.
        cause = find_trip(limits, s, s.trips_seen if s.trip else 0)
        if cause:
            self._on_cause(Trip(cause), readings)
        elif was_latched:  # The tick that lost the owner is not quiet yet.
            # What lasts is told once, but nothing is over before it has gone (SR-27).
            s.quiet_ms = 0 if find_trip(limits, s) else s.quiet_ms + TICK_MS
        for request in requests:
            if isinstance(request, Stop):
                self._on_stop(request)
            else:
                self._on_command(request, readings)
        if s.state != _IDLE:
            self._advance(readings)
        drive(limits, s, readings)
        out = s.outputs
        if outputs_overlap(out.valve_permille, out.tip_heater_permille, out.stimulus_ua):
            self._on_overlap()
        return self._send(readings)

    # -- who is in charge ------------------------------------------------------------------------

    def _watch_controller(self) -> None:
        s = self.state
        session = self.session
        now_ms = s.now_ms
        s.lease_left_ms = session.lease_left_ms(now_ms)
        s.frames_rejected = session.rejects_within_window(now_ms)
        if session.lease_count != s.leases_seen:
            s.leases_seen = session.lease_count
            if s.state != _FREEZE or session.claimed_mode == _CLAIM_FREEZE:
                s.mode_mismatches = 0
            else:
                s.mode_mismatches += 1
        owned = session.owner_until_ms is not None
        if s.owned and not owned:
            self._on_owner_lost()
        s.owned = owned

    def _on_owner_lost(self) -> None:
        """Whoever comes next must authorise anew (SR-26)."""
        s = self.state
        s.cycles_left = 0
        if s.state in (_ARMED, _STARTED):
            self._end_pending(Result.ABORTED)
            self._enter(_IDLE)
        elif s.state == _THAW:
            self._make_safe(_FAULT, EventCode.TRIP, Trip.LEASE, SafeAction.OFF)

    # -- becoming safe ---------------------------------------------------------------------------

    def _on_cause(self, cause: Trip, readings: Readings) -> None:
        rule = TRIP_RULES[cause]
        value, limit = broken_limit(self.config.limits, self.state, readings, cause)
        self._make_safe(_FAULT, EventCode.TRIP, cause, rule.action, value=value, limit=limit)

    def _on_stop(self, stop: Stop) -> None:
        s = self.state
        cause = Trip(stop.trip) if stop.trip != Trip.NONE else Trip.OPERATOR_STOP
        target = _FAULT if s.state == _FAULT else _SAFE
        self._make_safe(target, EventCode.STOPPED, cause, SafeAction(stop.action))

    def _make_safe(
        self,
        target: int,
        code: EventCode,
        cause: Trip,
        action: SafeAction,
        *,
        value: int = 0,
        limit: int = 0,
    ) -> None:
        """Latch the first cause; a later one can only make the action more careful.

        The cause is reported before the end of the command that it ends: a leak test that a trip
        broke off has not found a leak.
        """
        s = self.state
        is_first = s.trip == Trip.NONE
        was_heating = s.heating
        if is_first:
            s.trip = int(cause)
            s.action = int(action)
        elif action == SafeAction.OFF:
            s.action = int(SafeAction.OFF)
        s.trips_seen |= 1 << cause
        s.quiet_ms = 0
        if s.state != target:
            s.state = target
            s.state_since_ms = s.now_ms
            self.session.state = target
        self._report(code, cause, value, limit)
        self._end_pending(Result.ABORTED if target == _SAFE else Result.FAILED)
        self._revoke()
        s.heating = False
        if s.action == SafeAction.THAW and (is_first or was_heating):
            self._start_device_thaw()

    def _start_device_thaw(self) -> None:
        """Free a frozen tip without being told to, if the tip can be trusted."""
        s = self.state
        limits = self.config.limits
        if not limits.capabilities & Capability.TIP_HEATER:
            return
        if s.tip_mdegc < 0 and s.tip_bad_samples <= TIP_BAD_SAMPLES_MAX:
            s.heater_budget_uj = limits.thaw_energy_uj_max
            s.heating = True

    def _revoke(self) -> None:
        s = self.state
        s.treatment_hash = 0
        s.cycles_armed = 0
        s.cycles_left = 0

    # -- commands --------------------------------------------------------------------------------

    def _on_command(self, command: Command, readings: Readings) -> None:  # noqa: C901 (a table)
        s = self.state
        answer = judge(self.config.limits, s, readings, command)
        self.session.answer(command.counter, command.op, answer)
        if answer is not Answer.ACCEPTED:
            return
        match command.op:
            case Op.SELF_TEST:
                firmware_checks.start_self_test(s)
                self._begin(_SELF_TEST, command)
            case Op.LEAK_TEST:
                firmware_checks.start_leak_test(s)
                self._begin(_LEAK_TEST, command)
            case Op.ARM:
                s.treatment_hash = command.treatment_hash
                s.cycles_armed = command.cycles
                self._instant(_ARMED, command)
            case Op.START:
                s.cycles_left = s.cycles_armed
                self._instant(_STARTED, command)
            case Op.PREWARM:
                s.phase_limit_ms = command.duration_ms
                s.prewarm_ms = 0
                self._begin(_PREWARM, command)
            case Op.FREEZE:
                self._on_freeze(command)
            case Op.SETPOINT:
                self._on_setpoint(command)
            case Op.THAW:
                self._on_thaw(command)
            case Op.END:
                self._end_pending(Result.OK if s.state == _FREEZE else Result.ABORTED)
                s.heating = False
                self._revoke()
                self._instant(_IDLE, command)
            case Op.CLEAR:
                self._on_clear(command)
            case Op.STIMULATE:
                self._on_stimulate(command)

    def _on_freeze(self, command: Command) -> None:
        s = self.state
        s.cycles_left -= 1
        s.setpoint_mdegc = command.setpoint_mdegc
        s.phase_limit_ms = command.duration_ms
        s.freeze_ms = 0
        s.heater_energy_uj = 0
        s.heater_on_ms = 0
        s.mode_mismatches = 0
        start_approach(self.config.limits, s)
        self._begin(_FREEZE, command)

    def _on_setpoint(self, command: Command) -> None:
        s = self.state
        is_colder = command.setpoint_mdegc < s.setpoint_mdegc
        s.setpoint_mdegc = command.setpoint_mdegc
        if is_colder:
            start_approach(self.config.limits, s)
        self._instant(_FREEZE, command)

    def _on_thaw(self, command: Command) -> None:
        s = self.state
        is_latched = s.state in _LATCHED
        self._end_pending(Result.OK if s.state == _FREEZE else Result.ABORTED)
        s.heating = command.mode == ThawMode.ACTIVE
        # What this thaw has spent already counts: the limit is per thaw, not per command.
        s.heater_budget_uj = command.energy_mj * MICRO_PER_MILLI
        self._begin(s.state if is_latched else _THAW, command)

    def _on_stimulate(self, command: Command) -> None:
        s = self.state
        if command.stimulus_ua < 1:
            self._end_pending(Result.OK)
            self._instant(_IDLE, command)
            return
        s.stimulus_ua = command.stimulus_ua
        s.stimulus_hz = command.stimulus_hz
        s.stimulus_pulse_us = command.stimulus_pulse_us
        s.stimulus_ms = 0
        s.stimulus_since_ms = s.now_ms
        s.phase_limit_ms = command.duration_ms
        self._begin(_STIMULATE, command)

    def _on_clear(self, command: Command) -> None:
        s = self.state
        self._end_pending(Result.ABORTED)
        s.heating = False
        s.trip = int(Trip.NONE)
        s.trips_seen = 0
        s.action = int(SafeAction.OFF)
        s.state = _IDLE
        s.state_since_ms = s.now_ms
        self.session.state = _IDLE
        self._report(EventCode.CLEARED, Trip.NONE, 0, 0)
        self.session.done(command.counter, command.op, Result.OK)

    def _begin(self, state: int, command: Command) -> None:
        """Enter ``state`` for a command that is answered a second time when it has ended."""
        self._end_pending(Result.ABORTED)
        self.state.pending_op = command.op
        self.state.pending_counter = command.counter
        self._enter(state)

    def _instant(self, state: int, command: Command) -> None:
        """Enter ``state`` for a command that has ended with that."""
        self._enter(state)
        self.session.done(command.counter, command.op, Result.OK)

    def _end_pending(self, result: Result, detail: int = 0) -> None:
        s = self.state
        if s.pending_op:
            self.session.done(s.pending_counter, s.pending_op, result, detail)
            s.pending_op = 0

    def _enter(self, state: int) -> None:
        s = self.state
        if s.state == state:
            return
        s.state = state
        s.state_since_ms = s.now_ms
        self.session.state = state
        self._report(EventCode.STATE, Trip(s.trip), 0, 0)

    # -- what happens by itself ------------------------------------------------------------------

    def _advance(self, readings: Readings) -> None:
        s = self.state
        state = s.state
        elapsed_ms = until_ms(s.state_since_ms, s.now_ms)
        if state == _FREEZE:
            if elapsed_ms >= s.phase_limit_ms:
                self._end_pending(Result.OK)
                self._enter(_THAW)
        elif state == _PREWARM:
            self._advance_prewarm(elapsed_ms)
        elif state == _ARMED:
            if elapsed_ms > START_MS:
                self._revoke()
                self._enter(_IDLE)
        elif state == _SELF_TEST:
            self._advance_self_test(elapsed_ms, readings)
        elif state == _LEAK_TEST:
            self._advance_leak_test(elapsed_ms, readings)
        elif state == _STIMULATE:
            self._advance_stimulus()
        elif state != _STARTED:
            self._advance_thaw()

    def _advance_thaw(self) -> None:
        """THAW, and the thaw that SAFE and FAULT allow."""
        s = self.state
        if s.warm_ms >= FREE_MS:
            s.heating = False
            if s.pending_op == Op.THAW:
                self._end_pending(Result.OK)
        if s.state != _THAW and s.lease_left_ms <= 0:
            s.heating = False  # SR-01 holds here too: nobody is watching.

    def _advance_prewarm(self, elapsed_ms: int) -> None:
        s = self.state
        if s.outputs.warmer_supply_on:
            s.prewarm_ms += TICK_MS
        if prewarm_is_over(s, elapsed_ms):
            self._end_pending(Result.OK)
            self._enter(_STARTED)

    def _advance_self_test(self, elapsed_ms: int, readings: Readings) -> None:
        s = self.state
        firmware_checks.watch_self_test(self.config.limits, s, readings)
        if elapsed_ms >= firmware_checks.SELF_TEST_MS:
            self._end_pending(Result.FAILED if s.test_failed else Result.OK)
            self._enter(_IDLE)

    def _advance_leak_test(self, elapsed_ms: int, readings: Readings) -> None:
        s = self.state
        firmware_checks.watch_leak_test(self.config.limits, s, readings, elapsed_ms)
        if elapsed_ms < firmware_checks.LEAK_TEST_MS:
            return
        decay_mbar = firmware_checks.leak_decay_mbar(s)
        s.leak_test_passed = firmware_checks.leak_test_is_ok(s)
        s.leak_test_ms = s.now_ms
        self._end_pending(Result.OK if s.leak_test_passed else Result.FAILED, decay_mbar)
        self._enter(_IDLE)

    def _advance_stimulus(self) -> None:
        """Count the ticks that the output was on, and end it in time or at once (SR-41)."""
        s = self.state
        if s.outputs.stimulus_ua > 0:
            s.stimulus_ms += TICK_MS
        if stimulus_must_end(self.config.limits, s):
            self._end_pending(Result.ABORTED)
            self._enter(_IDLE)
        elif stimulus_is_over(s):
            self._end_pending(Result.OK)
            self._enter(_IDLE)

    def _on_overlap(self) -> None:
        all_off(self.state.outputs)
        self._make_safe(_FAULT, EventCode.TRIP, Trip.OUTPUTS_OVERLAP, SafeAction.OFF)

    # -- sending ---------------------------------------------------------------------------------

    def _report(self, code: EventCode, cause: Trip, value: int, limit: int) -> None:
        s = self.state
        self.session.send_event(Event(s.now_ms, 0, code, s.state, cause, value, limit))

    def _send(self, readings: Readings) -> bytes:
        s = self.state
        session = self.session
        ticks = s.tick_count
        if not s.greeted:
            s.greeted = True
            session.send_plain(session.identity)
            self._report(EventCode.BOOT, Trip.NONE, 0, 0)
            return session.outgoing()
        if ticks % TELEMETRY_TICKS == 0:
            limits = self.config.limits
            session.send_telemetry(telemetry(s, readings, limits, session.event_count))
            if ticks % VITALS_TICKS == 0:
                self._send_slow(readings)
        return session.outgoing()

    def _send_slow(self, readings: Readings) -> None:
        """VITALS, and what needs no more than a look every 200 ms."""
        s = self.state
        session = self.session
        session.send_plain(vitals(s, readings))
        if s.tick_count % HELLO_TICKS == 0 and not session.is_open:
            session.send_plain(session.identity)
        if s.leak_test_passed and until_ms(s.leak_test_ms, s.now_ms) > LEAK_TEST_LIFE_MS:
            s.leak_test_passed = False
