"""A small fake probe for controller tests: does what its script says, knows no physics.

It speaks through the protocol's own device session and shares nothing with the simulator. Sensor
values are set by the test; the tip alone follows the state, in straight lines.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any, Final

from cryoctl_protocol.auth import DEMO_KEY
from cryoctl_protocol.codec import SCHEMA_HASH
from cryoctl_protocol.codes import (
    Answer,
    Capability,
    DeviceState,
    EventCode,
    Op,
    Result,
    Sensor,
    Trip,
)
from cryoctl_protocol.device_session import DeviceSession
from cryoctl_protocol.framing import DELIMITER
from cryoctl_protocol.messages import (
    PROTOCOL_MAJOR,
    PROTOCOL_MINOR,
    Command,
    Event,
    Hello,
    Stop,
    Telemetry,
)

STEP_MS: Final = 10
TELEMETRY_STEPS: Final = 2
EVERY_CAPABILITY: Final = sum(Capability)
EVERY_SENSOR: Final = sum(Sensor)
COOLING_C_PER_S: Final = 40.0
WARMING_C_PER_S: Final = 40.0
BODY_C: Final = 33.0
DITHER_C: Final = 0.06  # A live sensor moves; SR-12 asks for 0.05.
TEST_MS: Final = {Op.SELF_TEST: 200, Op.LEAK_TEST: 300}

_S = DeviceState
_STATES_OF_OP: Final[dict[int, tuple[DeviceState, ...]]] = {
    Op.SELF_TEST: (_S.IDLE,),
    Op.LEAK_TEST: (_S.IDLE,),
    Op.ARM: (_S.IDLE,),
    Op.START: (_S.ARMED,),
    Op.PREWARM: (_S.STARTED,),
    Op.FREEZE: (_S.STARTED, _S.THAW),
    Op.THAW: (_S.FREEZE, _S.THAW),
    Op.END: (_S.ARMED, _S.STARTED, _S.FREEZE, _S.THAW),
    Op.CLEAR: (_S.SAFE, _S.FAULT),
    Op.STIMULATE: (_S.IDLE, _S.STIMULATE),
}
_NEXT_STATE: Final[dict[int, DeviceState]] = {
    Op.SELF_TEST: _S.SELF_TEST,
    Op.LEAK_TEST: _S.LEAK_TEST,
    Op.ARM: _S.ARMED,
    Op.START: _S.STARTED,
    Op.PREWARM: _S.PREWARM,
    Op.FREEZE: _S.FREEZE,
    Op.THAW: _S.THAW,
    Op.END: _S.IDLE,
    Op.CLEAR: _S.IDLE,
    Op.STIMULATE: _S.STIMULATE,
}
_AT_ONCE: Final = (Op.ARM, Op.START, Op.END, Op.CLEAR)
_SENSOR_FIELDS: Final = {
    Sensor.TIP: "tip_mdegc",
    Sensor.SKIN: "skin_mdegc",
    Sensor.SUPPLY_PRESSURE: "supply_mbar",
    Sensor.EXHAUST_FLOW: "exhaust_flow_ug_s",
}


class ScriptedDevice:
    """A ``SyncPeer`` that a test sets up and disturbs through its attributes.

    Attributes:
        deaf: Nothing that is sent reaches it.
        silent: Nothing that it sends arrives.
        refuse: Answers other than ACCEPTED, by operation.
        results: Results and details other than OK, by operation.
        ignore: Operations that it neither answers nor carries out.
        lose_acks: How many first answers get lost on the way back.
        lose_dones: Operations whose second answer gets lost on the way back.
        ignores_stop: It acknowledges STOP and goes on.
        noise: Bytes that get onto the line once.
        telemetry: Values that stand in every sample instead of its own.
        tip_follows: False freezes the tip where it is.
        threshold_ua: A stimulus from here on makes a muscle twitch.
        coldest_c: The tip gets no colder than this, whatever the set-point.
        script: What to do at a step count, in order.
        commands: Operations carried out or refused, in order, with its own time in s.
        stops: STOPs heard.
        stop_heard_s: When, by its own time.
    """

    def __init__(
        self,
        *,
        profile_hash: int,
        schema_hash: int = SCHEMA_HASH,
        capabilities: int = EVERY_CAPABILITY,
        sensors: int = EVERY_SENSOR,
        key: bytes = DEMO_KEY,
        seed: bytes = b"scripted",
    ) -> None:
        self.profile_hash = profile_hash
        self.schema_hash = schema_hash
        self.capabilities = capabilities
        self.sensors = sensors
        self.key = key
        self.seed = seed
        self.boot_id = 1
        self.device_id = b"SCRIPTED-1"
        self.deaf = False
        self.silent = False
        self.refuse: dict[int, Answer] = {}
        self.results: dict[int, tuple[Result, int]] = {}
        self.ignore: set[int] = set()
        self.lose_acks = 0
        self.lose_dones: set[int] = set()
        self.ignores_stop = False
        self.noise = b""
        self.telemetry: dict[str, Any] = {}
        self.tip_follows = True
        self.tip_c = BODY_C
        self.coldest_c = -90.0
        self.flow_ug_s = 30_000
        self.threshold_ua = 500
        self.script: list[tuple[int, str, Any]] = []
        self.commands: list[tuple[float, Op]] = []
        self.stops: list[Stop] = []
        self.stop_heard_s: list[float] = []
        self.state = _S.IDLE
        self.trip_cause = Trip.NONE
        self.setpoint_c = 0.0
        self.stimulus = (0, 0, 0)
        self._steps = 0
        self._boot()

    def _boot(self) -> None:
        self._booted_step = self._steps
        self.state = _S.IDLE
        self.trip_cause = Trip.NONE
        self._pending: tuple[int, int] | None = None
        self._ends_step: int | None = None
        identity = Hello(
            major=PROTOCOL_MAJOR,
            minor=PROTOCOL_MINOR,
            schema_hash=self.schema_hash,
            profile_hash=self.profile_hash,
            boot_id=self.boot_id,
            host_nonce=0,
            device_nonce=0,
            key_id=0,
            owned=0,
            capabilities=self.capabilities,
            sensors=self.sensors,
            telemetry_period_ms=20,
            device_id=self.device_id.ljust(16, b"\0"),
            firmware_id=b"script".ljust(16, b"\0"),
            profile_id=b"n2o-20g".ljust(16, b"\0"),
        )
        self.session = DeviceSession(identity, self.key, nonce_seed=self.seed)
        self._out = DELIMITER  # Ends whatever noise stood on the line before the first frame.
        self.session.send_plain(identity)

    # -- what a test does to it -------------------------------------------------------------------

    def restart(self) -> None:
        """Lose everything, as after a power failure."""
        self.boot_id += 1
        self._boot()

    def trip(self, cause: Trip) -> None:
        """Make itself safe and say so, as its own interlocks would."""
        self._latch(cause)
        self.state = _S.FAULT
        self._report(EventCode.TRIP, cause)

    def trip_silently(self, cause: Trip) -> None:
        """Make itself safe; the event gets lost."""
        self._latch(cause)
        self.state = _S.FAULT

    def at(self, now_s: float, action: str, value: Any = None) -> None:
        """Have attribute ``action`` set to ``value`` at ``now_s``, or method ``action`` called."""
        self.script.append((round(now_s * 1000.0) // STEP_MS, action, value))

    # -- SyncPeer ---------------------------------------------------------------------------------

    def advance_to(self, now_s: float, incoming: bytes) -> bytes:
        """Move to ``now_s`` in steps of 10 ms; what came in is heard at the first."""
        last_step = round(now_s * 1000.0) // STEP_MS
        while self._steps < last_step:
            self._steps += 1
            self._step(incoming)
            incoming = b""
        out = self.noise + self._out
        self.noise = self._out = b""
        return b"" if self.silent else out

    def save(self) -> bytes:
        """Return the whole state."""
        return pickle.dumps(vars(self))

    def load(self, data: bytes) -> None:
        """Take a saved state over."""
        vars(self).update(pickle.loads(data))

    # -- a step -----------------------------------------------------------------------------------

    @property
    def device_ms(self) -> int:
        """Time since power-up."""
        return (self._steps - self._booted_step) * STEP_MS

    def _step(self, incoming: bytes) -> None:
        while self.script and self.script[0][0] <= self._steps:
            _, action, value = self.script.pop(0)
            found = getattr(self, action)
            if isinstance(found, Callable):  # type: ignore[arg-type]
                found() if value is None else found(value)
            else:
                setattr(self, action, value)
        for request in self.session.on_bytes(b"" if self.deaf else incoming, self.device_ms):
            if isinstance(request, Stop):
                self._on_stop(request)
            else:
                self._on_command(request)
        self.session.state = self.state
        self._watch_lease()
        self._end_what_is_due()
        self._move_tip()
        if self._steps % TELEMETRY_STEPS == 0:
            self.session.send_telemetry(self._sample())
        self._out += self.session.outgoing()

    def _on_stop(self, stop: Stop) -> None:
        self.stops.append(stop)
        self.stop_heard_s.append(self._steps * STEP_MS / 1000.0)
        if self.ignores_stop:
            return
        self._finish(Result.ABORTED)
        self._latch(Trip(stop.trip))
        if self.state is not _S.FAULT:
            self.state = _S.SAFE
        self._report(EventCode.STOPPED, Trip(stop.trip))

    def _on_command(self, command: Command) -> None:
        op = Op(command.op)
        if op in self.ignore:
            return
        self.commands.append((self._steps * STEP_MS / 1000.0, op))
        answer = self.refuse.get(op)
        if answer is None:
            fits = self.state in _STATES_OF_OP[op]
            answer = Answer.ACCEPTED if fits else Answer.WRONG_STATE
        self._out += self.session.outgoing()
        self.session.answer(command.counter, op, answer)
        if self.lose_acks > 0:
            self.lose_acks -= 1
            self.session.outgoing()
        if answer is Answer.ACCEPTED:
            self._carry_out(op, command)

    def _carry_out(self, op: Op, command: Command) -> None:
        self._finish(Result.OK if op is Op.THAW else Result.ABORTED)
        self.state = _NEXT_STATE[op]
        self._pending = (command.counter, op)
        self._ends_step = None
        if op in _AT_ONCE:
            self._finish(Result.OK)
        elif op in TEST_MS:
            self._ends_step = self._steps + TEST_MS[op] // STEP_MS
        elif op is Op.STIMULATE and command.stimulus_ua == 0:
            self.state = _S.IDLE
            self._finish(Result.OK)
        elif op in (Op.PREWARM, Op.FREEZE, Op.STIMULATE):
            self._ends_step = self._steps + command.duration_ms // STEP_MS
        if op is Op.FREEZE:
            self.setpoint_c = command.setpoint_mdegc / 1000.0
        self.stimulus = command.stimulus_ua, command.stimulus_hz, command.stimulus_pulse_us
        if op is Op.CLEAR:
            self.trip_cause = Trip.NONE

    def _finish(self, result: Result) -> None:
        if self._pending is None:
            return
        counter, op = self._pending
        self._pending = None
        result, detail = self.results.get(op, (result, 0))
        self._out += self.session.outgoing()
        self.session.done(counter, op, result, detail)
        if op in self.lose_dones:
            self.session.outgoing()

    def _end_what_is_due(self) -> None:
        if self._ends_step is None or self._steps < self._ends_step:
            return
        self._ends_step = None
        self._finish(Result.OK)
        after = {_S.PREWARM: _S.STARTED, _S.FREEZE: _S.THAW}
        self.state = after.get(self.state, _S.IDLE)

    def _watch_lease(self) -> None:
        driving = self.state in (_S.PREWARM, _S.FREEZE, _S.STIMULATE)
        if driving and self.session.lease_left_ms(self.device_ms) <= 0:
            self.trip(Trip.LEASE)

    def _latch(self, cause: Trip) -> None:
        self._ends_step = None
        if self.trip_cause is Trip.NONE:
            self.trip_cause = cause

    def _report(self, code: EventCode, cause: Trip) -> None:
        self.session.state = self.state
        self.session.send_event(Event(self.device_ms, 0, code, 0, cause, -86_000, -85_000))

    # -- sensors ----------------------------------------------------------------------------------

    def _move_tip(self) -> None:
        if not self.tip_follows:
            return
        target_c, rate_c_per_s = (
            (max(self.setpoint_c, self.coldest_c), COOLING_C_PER_S)
            if self.state is _S.FREEZE
            else (BODY_C, WARMING_C_PER_S)
        )
        step_c = rate_c_per_s * STEP_MS / 1000.0
        self.tip_c += max(-step_c, min(step_c, target_c - self.tip_c))

    def _sample(self) -> Telemetry:
        freezing = self.state is _S.FREEZE
        ua, hz, pulse_us = self.stimulus if self.state is _S.STIMULATE else (0, 0, 0)
        tip_c = self.tip_c
        odd = self._steps // TELEMETRY_STEPS % 2
        if self.tip_follows:
            tip_c += DITHER_C * odd
        count = odd if freezing else 0  # SR-43 asks for one count where gas flows.
        sample = Telemetry(
            device_ms=self.device_ms,
            state=self.state,
            trip=self.trip_cause,
            open_circuit=0,
            tip_mdegc=round(tip_c * 1000.0),
            tip_2_mdegc=33_000,
            skin_mdegc=31_000 + count * 10,
            supply_mbar=50_000 + count,
            exhaust_mbar=1_200 + count,
            exhaust_flow_ug_s=self.flow_ug_s + 10 * count if freezing else 0,
            cartridge_mdegc=20_000,
            battery_mv=3_900,
            button=0,
            setpoint_mdegc=round(self.setpoint_c * 1000.0),
            valve_permille=700 if freezing else 0,
            shutoff_open=int(freezing),
            tip_heater_permille=0,
            skin_warmer_permille=0,
            led=0,
            beeper=0,
            stimulus_ua=ua,
            stimulus_hz=hz,
            stimulus_pulse_us=pulse_us,
            stimulus_response=2 if ua >= self.threshold_ua else 0,
            freeze_ms=0,
            thaw_energy_mj=0,
            lease_left_ms=self.session.lease_left_ms(self.device_ms),
            event_count=self.session.event_count,
        )
        absent = {name: 0 for bit, name in _SENSOR_FIELDS.items() if not self.sensors & bit}
        return sample._replace(**absent | self.telemetry)
