"""The worked example of a dialect that asks: the ASCII lines of an invented probe, the FP-20.

The probe holds a set-point and does nothing else by itself: no lease, no freeze timer, no trips, no
authentication. The dialect says so in HELLO and makes up for none of it. What it does is
bookkeeping: it answers greetings, keeps ARMED and STARTED, which the probe does not know, and puts
tags on what it hands on. Those tags are between two parts of this program, under the public demo
key; on the wire there are none.

The lines are described in docs/how-to/use-a-probe-that-speaks-something-else.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import reduce
from operator import xor
from typing import Final, NamedTuple

from cryoctl_protocol.auth import DEMO_KEY, DEMO_KEY_ID
from cryoctl_protocol.codec import SCHEMA_HASH
from cryoctl_protocol.codes import (
    Answer,
    Capability,
    DeviceState,
    EventCode,
    Op,
    Result,
    Sensor,
    ThawMode,
    Trip,
)
from cryoctl_protocol.device_session import DeviceSession
from cryoctl_protocol.framing import DELIMITER, Deframer, wrap
from cryoctl_protocol.messages import (
    PROTOCOL_MAJOR,
    PROTOCOL_MINOR,
    Command,
    Event,
    Hello,
    Stop,
    Telemetry,
    Vitals,
)
from cryoctl_protocol.profile import load_probe_file
from cryoctl_protocol.wrapping import add_ms

PROFILE_OF_MODEL: Final = {"FP-20": "n2o-20g"}
"""Needle and gas of a model, by its maker's word: the probe itself knows no limits."""
# No INNER_LOOP, although it holds a set-point: what rests on one here is a floor that is guarded.
CAPABILITIES: Final = (
    Capability.SECOND_SHUTOFF | Capability.TIP_HEATER | Capability.SELF_TEST | Capability.LEAK_TEST
)
SENSORS: Final = Sensor.TIP | Sensor.SUPPLY_PRESSURE | Sensor.EXHAUST_PRESSURE | Sensor.EXHAUST_FLOW
READ_PERIOD_S: Final = 0.02
IDENTIFY_PERIOD_S: Final = 0.2
ANSWER_S: Final = 0.06
"""The probe answers within 20 ms; a line lost costs less than the 150 ms that lose the link."""
COMMAND_LIFE_S: Final = 0.25
"""As long as a controller repeats a command. What the probe has not taken by then is dropped."""
HELLO_PERIOD_S: Final = 1.0
VITALS_READINGS: Final = 10
LINE_SIZE_MAX: Final = 160
_NUMBER: Final = re.compile(r"-?\d{1,9}(\.\d{1,3})?")
_OPEN: Final = "?"
_WIDEST: Final = 2**31 - 1
_PERMILLE_MAX: Final = 1000

_S = DeviceState
_STATE_OF_MODE: Final = {
    "IDLE": None,  # Whatever the controller has told us.
    "CHECK": _S.SELF_TEST,
    "LEAK": _S.LEAK_TEST,
    "FREEZE": _S.FREEZE,
    "THAW": _S.THAW,
}
_STATES_OF_OP: Final = {
    Op.SELF_TEST: (_S.IDLE,),
    Op.LEAK_TEST: (_S.IDLE,),
    Op.ARM: (_S.IDLE,),
    Op.START: (_S.ARMED,),
    Op.FREEZE: (_S.STARTED, _S.THAW),
    Op.SETPOINT: (_S.FREEZE,),
    Op.THAW: (_S.FREEZE, _S.THAW),
    Op.END: (_S.ARMED, _S.STARTED, _S.FREEZE, _S.THAW),
    Op.CLEAR: (_S.SAFE,),
}
"""What is possible when; other operations the probe does not have."""
_LEADS_TO: Final = {
    Op.SELF_TEST: _S.SELF_TEST,
    Op.LEAK_TEST: _S.LEAK_TEST,
    Op.ARM: _S.ARMED,
    Op.START: _S.STARTED,
    Op.FREEZE: _S.FREEZE,
    Op.SETPOINT: _S.FREEZE,
    Op.THAW: _S.THAW,
    Op.END: _S.IDLE,
    Op.CLEAR: _S.IDLE,
}
_LASTING: Final = (Op.SELF_TEST, Op.LEAK_TEST, Op.FREEZE, Op.THAW)
_REFUSALS: Final = {
    "PRESSURE": Answer.PRESSURE,
    "SENSOR": Answer.SENSOR,
    "RANGE": Answer.OUT_OF_RANGE,
}


class Reading(NamedTuple):
    """One answer to READ?, in the units of our telemetry.

    Attributes:
        mode: Of the probe: IDLE, CHECK, LEAK, FREEZE, THAW.
        open_circuit: ``Sensor`` bits of those that it says are open.
        check: How the last CHECK or LEAK ended: PASS, FAIL, or ``-``.
    """

    uptime_ms: int
    mode: str
    tip_mdegc: int
    supply_mbar: int
    exhaust_mbar: int
    flow_ug_s: int
    valve_permille: int
    shutoff_open: int
    heater_permille: int
    thaw_mj: int
    freeze_ms: int
    setpoint_mdegc: int
    open_circuit: int
    check: str


class _Asked(NamedTuple):
    """A command on its way to the probe."""

    text: str
    command: Command
    until_s: float


def frame_line(text: str) -> bytes:
    """Return a line as it stands on the wire: checksum as in NMEA 0183, CR, LF."""
    return f"{text}*{_checksum(text):02X}\r\n".encode("ascii")


def unframe_line(line: bytes) -> str | None:
    """Return the text of a line without its ending, or None if it is damaged."""
    text, _, digits = line.decode("ascii", "replace").rstrip("\r").rpartition("*")
    return text if text and digits == f"{_checksum(text):02X}" else None


def _checksum(text: str) -> int:
    return reduce(xor, text.encode("ascii", "replace"), 0)


def parse_reading(words: list[str]) -> Reading | None:
    """Return what the words after READ say, or None if they make no sense."""
    try:
        (uptime, mode, tip, supply, exhaust, flow, valve, shutoff, heat, joules, frozen, setpoint,
         check) = words  # fmt: skip
        sensors = {
            Sensor.TIP: tip,
            Sensor.SUPPLY_PRESSURE: supply,
            Sensor.EXHAUST_PRESSURE: exhaust,
            Sensor.EXHAUST_FLOW: flow,
        }
        open_circuit = sum(bit for bit, text in sensors.items() if text == _OPEN)
        tip_mdegc, supply_mbar, exhaust_mbar, flow_ug_s = (
            0 if text == _OPEN else _milli(text) for text in sensors.values()
        )
        reading = Reading(
            int(uptime),
            mode,
            tip_mdegc,
            supply_mbar,
            exhaust_mbar,
            flow_ug_s,
            _milli(valve) // 100,  # Percent on the wire.
            int(shutoff),
            _milli(heat) // 100,
            _milli(joules),
            int(frozen),
            _milli(setpoint),
            open_circuit,
            check,
        )
    except ValueError:
        return None
    return reading if _makes_sense(reading) else None


def _makes_sense(reading: Reading) -> bool:
    counts = (reading.uptime_ms, reading.thaw_mj, reading.freeze_ms)
    duties = (reading.valve_permille, reading.heater_permille)
    return (
        reading.mode in _STATE_OF_MODE
        and reading.shutoff_open in (0, 1)
        and all(0 <= count <= _WIDEST for count in counts)
        and all(0 <= duty <= _PERMILLE_MAX for duty in duties)
    )


def _milli(text: str) -> int:
    """Return a number of at most three decimals as thousandths; raises ValueError."""
    if _NUMBER.fullmatch(text) is None:
        raise ValueError(text)
    value = round(float(text) * 1000.0)
    if abs(value) > _WIDEST:
        raise ValueError(text)
    return value


class AsciiDialect:
    """Translates between the FP-20's lines and our frames."""

    def __init__(self) -> None:
        self.errors = 0
        self.poll_s = 0.01
        self._partial = b""
        self._session: DeviceSession | None = None
        self._identity: Hello | None = None
        self._boots = 0
        self._deframer = Deframer()
        self._deframer.feed(DELIMITER)
        self._reading: Reading | None = None
        self._read_s = float("-inf")
        self._readings = 0
        self._asked = False
        """A line was sent that has not been answered."""
        self._asked_s = float("-inf")
        self._command: _Asked | None = None
        self._hello_s = 0.0
        self._state = DeviceState.IDLE
        self._trip = Trip.NONE
        self._pending: Command | None = None
        """What was taken and is to be answered a second time when it ends."""

    # -- Dialect ---------------------------------------------------------------------------------

    def opening(self) -> bytes:
        """Return an end of line: it ends whatever stood on the line."""
        return b"\r\n"

    def poll(self, now_s: float) -> bytes:
        """Return the next line to ask: who it is, a command, or a reading when one is due."""
        if self._asked:
            if now_s - self._asked_s < ANSWER_S:
                return b""
            self._asked = False
            self.errors += 1
        if self._session is None:
            if now_s - self._asked_s < IDENTIFY_PERIOD_S:
                return b""
            return self._ask(frame_line("ID?"), now_s)
        self._session.on_bytes(b"", self._device_ms(now_s))
        if self._command is not None and now_s > self._command.until_s:
            self._command = None  # Nobody waits for it any more, and late is worse than never.
        if self._command is not None:
            return self._ask(frame_line(self._command.text), now_s)
        if now_s - self._read_s < READ_PERIOD_S:
            return b""
        return self._ask(frame_line("READ?"), now_s)

    def decode(self, data: bytes, now_s: float) -> list[bytes]:
        """Return what the lines in ``data`` mean, and the answers that are the dialect's own."""
        if data:
            *lines, self._partial = (self._partial + data).split(b"\n")
            if len(self._partial) > LINE_SIZE_MAX:
                self._partial = b""
                self.errors += 1
            for line in lines:
                if line.strip():
                    self._on_line(line, now_s)
        if self._session is None:
            return []
        return self._deframer.feed(self._session.outgoing())

    def encode(self, body: bytes, now_s: float) -> bytes:
        """Take a body from the controller; return a line at once only for STOP."""
        session = self._session
        if session is None:
            return b""
        line = b""
        for request in session.on_bytes(wrap(body), self._device_ms(now_s)):
            if isinstance(request, Stop):
                line = self._on_stop(session, request, now_s)
            else:
                self._on_command(session, request, now_s)
        return line

    # -- from the controller ---------------------------------------------------------------------

    def _on_stop(self, session: DeviceSession, stop: Stop, now_s: float) -> bytes:
        """Shut everything. The probe runs no thaw by itself: the tip warms by the tissue alone."""
        self._command = None
        self._end_pending(session, Result.ABORTED)
        cause = Trip(stop.trip) if stop.trip else Trip.OPERATOR_STOP
        self._trip = self._trip or cause
        self._enter(session, DeviceState.SAFE)
        session.send_event(Event(self._device_ms(now_s), 0, EventCode.STOPPED, 0, cause, 0, 0))
        return self._ask(frame_line("OFF"), now_s)

    def _on_command(self, session: DeviceSession, command: Command, now_s: float) -> None:
        op = Op(command.op)
        states = _STATES_OF_OP.get(op)
        if states is None:
            session.answer(command.counter, op, Answer.NOT_PROVIDED)
        elif self._state not in states:
            latched = self._state is DeviceState.SAFE
            answer = Answer.FAULT_LATCHED if latched else Answer.WRONG_STATE
            session.answer(command.counter, op, answer)
        elif op in (Op.ARM, Op.START, Op.CLEAR):
            # The probe knows nothing like it: this authorises nobody but us.
            self._take(session, command)
        else:
            self._command = _Asked(_line_of(command), command, now_s + COMMAND_LIFE_S)

    def _take(self, session: DeviceSession, command: Command) -> None:
        """Take note that the probe does what it was told, or that there was nothing to tell it."""
        op = Op(command.op)
        self._end_pending(session, Result.OK)
        session.answer(command.counter, op, Answer.ACCEPTED)
        if op is Op.CLEAR:
            self._trip = Trip.NONE
        self._enter(session, _LEADS_TO[op])
        if op in _LASTING:
            self._pending = command
        else:
            session.done(command.counter, op, Result.OK)

    def _end_pending(self, session: DeviceSession, result: Result) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            session.done(pending.counter, pending.op, result)

    def _enter(self, session: DeviceSession, state: DeviceState) -> None:
        self._state = state
        session.state = state

    # -- from the probe --------------------------------------------------------------------------

    def _on_line(self, line: bytes, now_s: float) -> None:
        text = unframe_line(line)
        word, *rest = ("",) if text is None else text.split(" ")
        handlers: dict[str, Callable[[list[str], float], bool]] = {
            "ID": self._on_id,
            "READ": self._on_read,
            "OK": self._on_ok,
            "NO": self._on_no,
        }
        handler = handlers.get(word)
        if handler is None or not handler(rest, now_s):
            self.errors += 1

    def _on_id(self, words: list[str], now_s: float) -> bool:
        """Make the session of a probe that says who it is."""
        if len(words) != 3 or words[0] not in PROFILE_OF_MODEL:  # noqa: PLR2004 (model, number, version)
            return False
        self._asked = False
        if self._session is not None:
            return True
        model, number, version = words
        profile = load_probe_file(PROFILE_OF_MODEL[model]).profile
        self._identity = Hello(
            PROTOCOL_MAJOR,
            PROTOCOL_MINOR,
            SCHEMA_HASH,
            profile.hash32,
            boot_id=1,
            host_nonce=0,
            device_nonce=0,
            key_id=DEMO_KEY_ID,
            owned=0,
            capabilities=CAPABILITIES,
            sensors=SENSORS,
            telemetry_period_ms=round(READ_PERIOD_S * 1000.0),
            device_id=_padded(f"{model}-{number}"),
            firmware_id=_padded(version),
            profile_id=_padded(profile.probe.id),
        )
        self._boot(now_s)
        return True

    def _boot(self, now_s: float) -> None:
        """Begin a session that knows of nothing before it."""
        assert self._identity is not None
        self._boots += 1
        identity = self._identity._replace(boot_id=self._boots)
        session = DeviceSession(identity, DEMO_KEY, nonce_seed=identity.device_id)
        session.on_bytes(DELIMITER, 0)
        self._session = session
        self._command = self._pending = None
        self._trip = Trip.NONE
        self._enter(session, DeviceState.IDLE)
        self._hello_s = now_s

    def _on_read(self, words: list[str], now_s: float) -> bool:
        reading = parse_reading(words)
        if reading is None:
            return False
        last = self._reading
        self._asked = False
        if self._session is None or (last is not None and reading.uptime_ms == last.uptime_ms):
            return True
        self._reading, self._read_s = reading, now_s
        if last is not None and reading.uptime_ms < last.uptime_ms:
            self._boot(now_s)
            self._session.send_plain(self._session.identity)
        self._follow(self._session, reading)
        self._report(self._session, reading, now_s)
        return True

    def _follow(self, session: DeviceSession, reading: Reading) -> None:
        """See what has ended."""
        if _STATE_OF_MODE[reading.mode] is self._state:
            return
        if self._state in (DeviceState.SELF_TEST, DeviceState.LEAK_TEST):
            passed = reading.check == "PASS"
            self._end_pending(session, Result.OK if passed else Result.FAILED)
            self._enter(session, DeviceState.IDLE)
        elif self._state is DeviceState.FREEZE:
            self._end_pending(session, Result.ABORTED)
            self._enter(session, DeviceState.THAW)
        elif self._state is DeviceState.THAW:
            self._end_pending(session, Result.OK)

    def _report(self, session: DeviceSession, reading: Reading, now_s: float) -> None:
        state = self._shown_state(reading)
        session.state = state
        session.send_telemetry(_telemetry(reading, state, self._trip, session.event_count))
        if self._readings % VITALS_READINGS == 0:
            session.send_plain(
                Vitals(
                    reading.uptime_ms,
                    state,
                    reading.tip_mdegc,
                    reading.supply_mbar,
                    reading.valve_permille,
                    reading.heater_permille,
                    reading.shutoff_open,
                )
            )
        self._readings += 1
        if not session.is_open and now_s - self._hello_s >= HELLO_PERIOD_S:
            self._hello_s = now_s
            session.send_plain(session.identity)

    def _shown_state(self, reading: Reading) -> DeviceState:
        """Return what the probe does, by what it says of itself; ours is only what it cannot say.

        SAFE is never said of a probe that still does something.
        """
        return _STATE_OF_MODE[reading.mode] or self._state

    def _on_ok(self, words: list[str], _now_s: float) -> bool:
        return len(words) == 1 and self._on_answer(words[0], None)

    def _on_no(self, words: list[str], _now_s: float) -> bool:
        if len(words) != 2:  # noqa: PLR2004 (what was asked, and why not)
            return False
        return self._on_answer(words[0], _REFUSALS.get(words[1], Answer.WRONG_STATE))

    def _on_answer(self, word: str, refusal: Answer | None) -> bool:
        """Hand the probe's answer to a command on; one that nobody waits for any more ends here."""
        self._asked = False
        asked = self._command
        if asked is None or self._session is None or asked.text.split(" ")[0] != word:
            return True
        self._command = None
        if refusal is None:
            self._take(self._session, asked.command)
        else:
            self._session.answer(asked.command.counter, asked.command.op, refusal)
        return True

    # -- small things ----------------------------------------------------------------------------

    def _ask(self, line: bytes, now_s: float) -> bytes:
        self._asked, self._asked_s = True, now_s
        return line

    def _device_ms(self, now_s: float) -> int:
        """Return the probe's clock: its last reading's, and the time since."""
        if self._reading is None:
            return 0
        return add_ms(self._reading.uptime_ms, int((now_s - self._read_s) * 1000.0))


def _line_of(command: Command) -> str:
    """Return what a command is called at the probe."""
    if command.op in (Op.FREEZE, Op.SETPOINT):
        return f"FREEZE {command.setpoint_mdegc / 1000.0:.3f}"
    if command.op == Op.THAW and command.mode == ThawMode.ACTIVE:
        return f"THAW {command.energy_mj / 1000.0:.3f}"
    return {Op.SELF_TEST: "CHECK", Op.LEAK_TEST: "LEAK"}.get(Op(command.op), "OFF")


def _padded(text: str) -> bytes:
    return text.encode("ascii", "replace")[:16].ljust(16, b"\0")


def _telemetry(reading: Reading, state: int, trip: int, event_count: int) -> Telemetry:
    """Return a reading as a sample; what the probe lacks reads 0, a lease's life too."""
    absent = dict.fromkeys(Telemetry._fields, 0)
    return Telemetry(**absent)._replace(
        device_ms=reading.uptime_ms,
        state=state,
        trip=trip,
        open_circuit=reading.open_circuit,
        tip_mdegc=reading.tip_mdegc,
        supply_mbar=reading.supply_mbar,
        exhaust_mbar=reading.exhaust_mbar,
        exhaust_flow_ug_s=reading.flow_ug_s,
        setpoint_mdegc=reading.setpoint_mdegc,
        valve_permille=reading.valve_permille,
        shutoff_open=reading.shutoff_open,
        tip_heater_permille=reading.heater_permille,
        freeze_ms=reading.freeze_ms,
        thaw_energy_mj=reading.thaw_mj,
        event_count=event_count,
    )
