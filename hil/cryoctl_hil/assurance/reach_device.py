"""The probe's firmware as a world to search: the production tick, its inputs, its claims.

What is the production's own: ``FirmwareModel.tick`` with everything it calls - sensing,
interlocks, the judging of commands, the sequence, the regulators, the outputs.

What is replaced: the session. Frames, tags, counters and deadlines have searches and fuzzers of
their own; here a request arrives, or does not. A lease comes with every tick while it is held.

What is abstracted, and what that costs:

- Readings take some 20 values, on both sides of every limit. There is one fault at a time: from
  one to the next the way leads over good readings, for 60 ms. A fault of the tip beside one of the
  gas side is not tried. Values between are not tried; the tests of the single interlocks hold
  their boundaries to the last unit.
- Time: a request takes one tick of 10 ms, a change around the probe 6, *wait* goes on under the
  same until the next counter or clock has passed a limit. Up to 20 ticks are run; more are jumped
  over, which is exact for all counters, since each grows by the same amount in every tick, and
  takes the tip's filters as settled. It is not exact for the valve's duty, of which only on and
  off is looked at.
- Two states count as one if the key is equal: sequence, authorisations and outputs exactly, each
  counter by the limits that it has passed. A state stands for all with its key: what two of them
  would do differently before the next limit is not seen.
- Not in the key, because no decision and no claim asks for it: the command whose second answer is
  owed; whether a latched probe says SAFE or FAULT (that is the beeper); what a lease claims outside
  of a freeze; a reading in a state that does not look at it (``_GAS_MATTERS_IN``), for it can be
  chosen anew where it does; which of two ways a tip cannot be believed.
- Which of the causes a latched state has told, and which came first, is not part of the key: the
  sequence looks at neither but for a low battery, and the claims compare them before and after.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Final, NamedTuple

from cryoctl_hil.assurance.reach_device_claims import (
    Around,
    Before,
    Heard,
    Ledger,
    Step,
    broken_claims,
    followed,
)
from cryoctl_protocol.codes import (
    Answer,
    DeviceState,
    EventCode,
    HostMode,
    Op,
    Result,
    SafeAction,
    Sensor,
    ThawMode,
    Trip,
)
from cryoctl_protocol.device_session import DeviceSession
from cryoctl_protocol.messages import Command, Event, Hello, Message, Stop, Telemetry
from cryoctl_simulator.firmware_config import FirmwareConfig
from cryoctl_simulator.firmware_identity import Boot
from cryoctl_simulator.firmware_model import FirmwareModel
from cryoctl_simulator.firmware_safety import find_trip
from cryoctl_simulator.firmware_sensing import is_cooled
from cryoctl_simulator.firmware_state import FirmwareState, Outputs

_TICK_MS: Final = 10
_RUN_TICKS_MAX: Final = 20
_LAST_TICKS: Final = 2
"""Run one by one before and across a limit, whatever was jumped over."""
_SETTLED_TICKS: Final = 100
_HASH: Final = 0xC0FFEE
_SLOW_TICK: Final = 20
"""What the firmware does every 200 ms, such as to let a leak test expire, it does in every tick."""
_HELD_TICKS: Final = 6
"""A change around the probe lasts for longer than all debouncing but that of the battery, and
until the step between two readings of the tip is forgotten."""
_FOREVER_MS: Final = 3_600_000
_COAST_MS: Final = 2_000  # Profile n2o-20g.


@dataclass(slots=True)
class Sensors:
    """Readings of profile n2o-20g at rest in a hand."""

    tip_mdegc: int = 36_000
    tip_2_mdegc: int = 36_000
    skin_mdegc: int = 33_000
    supply_mbar: int = 50_000
    exhaust_mbar: int = 1_013
    exhaust_flow_ug_s: int = 0
    cartridge_mdegc: int = 22_000
    battery_mv: int = 4_000
    button: int = 0
    stimulus_response: int = 0
    open_circuit: int = 0


def _tip(mdegc: int, *, open_circuit: int = 0) -> dict[str, int]:
    return {"tip_mdegc": mdegc, "tip_2_mdegc": mdegc, "open_circuit": open_circuit}


_TIPS: Final[dict[str, dict[str, int]]] = {
    "tip at 36 C": _tip(36_000),
    "tip at 10 C": _tip(10_000),
    "tip at -5 C": _tip(-5_000),
    "tip at -60 C": _tip(-60_000),
    "tip at its floor": _tip(-85_000),
    "tip at 44 C": _tip(44_000),
    "tip at 90 C": _tip(90_000),
    "tip sensor open": _tip(-60_000, open_circuit=int(Sensor.TIP)),
}
_PLAIN_TIPS: Final = ("tip at 36 C", "tip at -60 C")
"""With these the gas side may be at fault, too."""
_GAS: Final[dict[str, dict[str, int]]] = {
    "gas well": {},
    "supply at 68.1 bar": {"supply_mbar": 68_100},
    "supply at 62.1 bar": {"supply_mbar": 62_100},
    "exhaust at 2.51 bar": {"exhaust_mbar": 2_510},
    "flow of 5 mg/s": {"exhaust_flow_ug_s": 5_000},
    "flow of 2.5 mg/s": {"exhaust_flow_ug_s": 2_500},
    "battery at 3.2 V": {"battery_mv": 3_200},
    "flow sensor open": {"open_circuit": int(Sensor.EXHAUST_FLOW)},
    "skin sensor open": {"open_circuit": int(Sensor.SKIN)},
    "6 frames rejected": {"rejects": 6},
}
_LEASES: Final = ("lease, idle", "lease, freezing", "lease lost", "owner gone")
_BLANK: Final = Command(*([0] * len(Command._fields)))


def _command(op: Op, **values: int) -> Command:
    return _BLANK._replace(op=op, **values)


def _stimulus(stimulus_ua: int) -> Command:
    return _command(
        Op.STIMULATE,
        stimulus_ua=stimulus_ua, stimulus_hz=2, stimulus_pulse_us=100, duration_ms=5_000,
    )  # fmt: skip


_REQUESTS: Final[dict[str, Command | Stop]] = {
    "SELF_TEST": _command(Op.SELF_TEST),
    "LEAK_TEST": _command(Op.LEAK_TEST),
    "ARM": _command(Op.ARM, treatment_hash=_HASH, cycles=2),
    "ARM of nothing": _command(Op.ARM, treatment_hash=_HASH, cycles=0),
    "START": _command(Op.START, treatment_hash=_HASH),
    "START of another": _command(Op.START, treatment_hash=_HASH + 1),
    "PREWARM": _command(Op.PREWARM, duration_ms=5_000),
    "FREEZE": _command(Op.FREEZE, setpoint_mdegc=-60_000, duration_ms=60_000),
    "FREEZE for 180 s": _command(Op.FREEZE, setpoint_mdegc=-60_000, duration_ms=180_000),
    "FREEZE too cold": _command(Op.FREEZE, setpoint_mdegc=-64_000, duration_ms=60_000),
    "FREEZE too long": _command(Op.FREEZE, setpoint_mdegc=-60_000, duration_ms=180_001),
    "SETPOINT": _command(Op.SETPOINT, setpoint_mdegc=-62_000),
    "SETPOINT too warm": _command(Op.SETPOINT, setpoint_mdegc=-19_000),
    "THAW": _command(Op.THAW, mode=ThawMode.PASSIVE),
    "THAW with heat": _command(Op.THAW, mode=ThawMode.ACTIVE, energy_mj=5_000),
    "THAW with too much": _command(Op.THAW, mode=ThawMode.ACTIVE, energy_mj=5_001),
    "END": _command(Op.END),
    "CLEAR": _command(Op.CLEAR),
    "STIMULATE": _stimulus(1_000),
    "STIMULATE too strongly": _stimulus(5_001),
    "STIMULATE off": _stimulus(0),
    "STOP": Stop(boot_id=1, counter=1, action=SafeAction.THAW, trip=Trip.OPERATOR_STOP),
    "STOP, all off": Stop(boot_id=1, counter=1, action=SafeAction.OFF, trip=Trip.LINK),
}
_WAIT: Final = "wait"


TREATMENT: Final = (
    "lease, idle", "SELF_TEST", _WAIT, _WAIT, "LEAK_TEST", *[_WAIT] * 7, "ARM", "START",
    "PREWARM", _WAIT, _WAIT, "FREEZE", "lease, freezing", "tip at -60 C", _WAIT, "THAW with heat",
    "tip at -5 C", _WAIT, "tip at 36 C", *[_WAIT] * 6, "FREEZE for 180 s", "tip at -60 C", "THAW",
    "tip at 36 C", _WAIT, "END", _WAIT, "STIMULATE", _WAIT, "STOP", _WAIT, "CLEAR",
)  # fmt: skip
"""Two cycles, a stimulus and a STOP, as inputs."""


class OpenSession(DeviceSession):
    """A session as the firmware sees it, without a line: requests in, answers and events out."""

    def __init__(self, identity: Hello) -> None:
        self.identity = identity
        self.requests: list[Command | Stop] = []
        self.answers: list[tuple[int, int]] = []
        self.events: list[Event] = []
        self.left_ms = 0
        self.rejected = 0
        self.state = int(DeviceState.IDLE)
        self.claimed_mode = int(HostMode.IDLE)
        self.lease_count = 0
        self.owner_until_ms = None
        self.event_count = 0

    @property
    def is_open(self) -> bool:
        """Greetings are no part of the search."""
        return True

    def lease_left_ms(self, now_ms: int) -> int:
        """Return what the input says."""
        return self.left_ms

    def rejects_within_window(self, now_ms: int) -> int:
        """Return what the input says."""
        return self.rejected

    def on_bytes(self, data: bytes, now_ms: int) -> list[Command | Stop]:
        """Return what the input says."""
        return self.requests

    def answer(self, counter: int, op: int, answer: Answer) -> None:
        """Keep an answer for the claims."""
        self.answers.append((op, answer))

    def done(self, counter: int, op: int, result: Result, detail: int = 0) -> None:
        """Nobody waits for the end of an operation."""

    def send_event(self, event: Event) -> None:
        """Keep an event for the claims."""
        self.events.append(event)

    def send_telemetry(self, telemetry: Telemetry) -> None:
        """Nobody reads it: the claims look at the state itself."""

    def send_plain(self, message: Message) -> None:
        """Nobody reads it."""

    def outgoing(self) -> bytes:
        """Return nothing: there is no line."""
        return b""


_STATE_NAMES: Final = tuple(each.name for each in fields(FirmwareState) if each.name != "outputs")
_STATE_AT: Final = _STATE_NAMES.index("state")
_TRIP_AT: Final = _STATE_NAMES.index("trip")
_OUTPUT_NAMES: Final = tuple(each.name for each in fields(Outputs))
_get_state: Final = attrgetter(*_STATE_NAMES)
_get_outputs: Final = attrgetter(*_OUTPUT_NAMES)


class Place(NamedTuple):
    """One state of the world: the firmware's memory, what is around it, what an observer knows."""

    memory: tuple[Any, ...]
    outputs: tuple[Any, ...]
    ledger: Ledger
    tip: str
    gas: str
    lease: str
    now_ms: int


class DeviceWorld:
    """The firmware of profile n2o-20g under every input that is listed above."""

    def __init__(self) -> None:
        self.inputs: Sequence[str] = (*_TIPS, *_GAS, *_LEASES, *_REQUESTS, _WAIT)
        self._model = FirmwareModel(FirmwareConfig.shipped("n2o-20g"), Boot("REACH", 1, b"reach"))
        self._session = OpenSession(self._model.session.identity)
        self._model.session = self._session
        self._present: Place | None = None
        self._readings = {
            (tip, gas): Sensors(**{**_TIPS[tip], **_without_rejects(_GAS[gas])})
            for tip in _TIPS
            for gas in _GAS
        }

    def start(self) -> Place:
        """Return the state after power-up, with nobody there."""
        return Place(
            _get_state(FirmwareState()), _get_outputs(Outputs()),
            Ledger(), "tip at 36 C", "gas well", "owner gone", 0,
        )  # fmt: skip

    def is_home(self, state: Place) -> bool:
        """Return True in IDLE without a trip."""
        return self.state_of(state) == DeviceState.IDLE and state.memory[_TRIP_AT] == Trip.NONE

    def state_of(self, state: Place) -> int:
        """Return what the probe is doing there."""
        return int(state.memory[_STATE_AT])

    def step(self, state: Place, index: int) -> tuple[Place, list[str]]:
        """Run one input: a change around the probe, a request, or time."""
        name = self.inputs[index]
        if not _is_tried(name, state):
            return state, []
        place = _changed(state, name)
        self._restore(place)
        request = _REQUESTS.get(name)
        broken: list[str] = []
        if name == _WAIT:
            place = self._wait(place, broken)
        else:
            for _ in range(1 if request is not None else _HELD_TICKS):
                place = self._tick(place, request, broken)
        s = self._model.state
        self._present = place._replace(memory=_get_state(s), outputs=_get_outputs(s.outputs))
        return self._present, broken

    def _restore(self, place: Place) -> None:
        if place is self._present:
            return  # The model stands there still.
        self._present = None
        s = self._model.state
        for name, value in zip(_STATE_NAMES, place.memory, strict=True):
            setattr(s, name, value)
        for name, value in zip(_OUTPUT_NAMES, place.outputs, strict=True):
            setattr(s.outputs, name, value)
        session = self._session
        session.state = s.state
        session.lease_count = s.leases_seen

    def _tick(self, place: Place, request: Command | Stop | None, broken: list[str]) -> Place:
        """Run the production's tick once, and judge what it did; its memory is taken later."""
        self._present = None
        model, session = self._model, self._session
        now_ms = place.now_ms + _TICK_MS
        held = place.lease in _LEASES[:2]
        session.left_ms = 300 if held else 0
        session.owner_until_ms = None if place.lease == "owner gone" else now_ms + _FOREVER_MS
        session.claimed_mode = int(
            HostMode.FREEZE if place.lease == "lease, freezing" else HostMode.IDLE
        )
        session.lease_count += held
        session.rejected = _GAS[place.gas].get("rejects", 0)
        session.requests = [] if request is None else [request]
        session.answers.clear()
        session.events.clear()
        before = Before.of(model.state)
        model.state.tick_count = _SLOW_TICK - 1
        readings = self._readings[place.tip, place.gas]
        # A live sensor's last digit moves.
        readings.supply_mbar = readings.supply_mbar & ~1 | now_ms // _TICK_MS & 1
        model.tick(now_ms, readings, b"")
        around = Around(place.tip, place.gas, place.lease, now_ms)
        heard = Heard(request, tuple(session.answers), _tripped(session.events))
        ledger = followed(place.ledger, model.state, heard, around)
        broken += broken_claims(Step(before, model.state, heard, around, place.ledger, ledger))
        return place._replace(ledger=ledger, now_ms=now_ms)

    def _wait(self, place: Place, broken: list[str]) -> Place:
        """Go on under the same readings until the next counter has passed a limit."""
        s = self._model.state
        stood: tuple[int, ...] = ()
        grown = _counts(s, place.now_ms)
        for _ in range(_RUN_TICKS_MAX):
            if _stands(s) == stood:
                break  # Before, the counters do not grow as they will.
            stood, grown = _stands(s), _counts(s, place.now_ms)
            place = self._tick(place, None, broken)
        counts = _counts(s, place.now_ms)
        steps = {name: counts[name] - grown[name] for name in counts}
        ticks = _ticks_to_limit(s, counts, steps)
        if ticks > _RUN_TICKS_MAX:
            place = self._jump(place, ticks - _LAST_TICKS, counts, steps)
            ticks = _LAST_TICKS
        for _ in range(ticks):
            place = self._tick(place, None, broken)
        return place

    def _jump(
        self, place: Place, ticks: int, counts: dict[str, int], steps: dict[str, int]
    ) -> Place:
        """Let ticks go by in which every counter grows as in the last one."""
        s = self._model.state
        for name in _COUNTERS:
            setattr(s, name, counts[name] + ticks * steps[name])
        if ticks > _SETTLED_TICKS:
            _settle(s)
        now_ms = s.now_ms = place.now_ms + ticks * _TICK_MS
        ledger = place.ledger
        if s.outputs.valve_permille > 0:
            ledger = ledger._replace(valve_off_ms=now_ms)
        return place._replace(now_ms=now_ms, ledger=ledger)

    def key(self, state: Place) -> Hashable:
        """Return what can still decide something: see the module for each cut."""
        self._restore(state)
        s = self._model.state
        out = s.outputs
        latched = s.state in _LATCHED
        counts = _counts(s, state.now_ms)
        return (
            _tip_class(state.tip), _relevant_gas(state.gas, s), _relevant_lease(state.lease, s),
            0 <= state.ledger.armed_ms >= state.now_ms - 10_000, state.ledger.cycles_left,
            state.ledger.freeze_until_ms >= 0,
            DeviceState.SAFE if latched else s.state,
            latched and (s.trip != 0, s.trip == Trip.BATTERY, s.action),
            latched and s.quiet_ms > state.now_ms - state.ledger.quiet_ms,  # It counts too much.
            find_trip(self._model.config.limits, s) != 0,
            s.cycles_left, s.cycles_armed, s.leak_test_passed, s.heating,
            s.state in _TESTING and (s.test_failed, s.test_samples > 0, s.test_start_mbar > 0),
            s.state == DeviceState.FREEZE and (s.mode_mismatches, s.phase_limit_ms),
            min(s.tip_bad_samples, 3), 0 if s.tip_bad_samples >= 3 else s.tip_mdegc, is_cooled(s),
            min(s.flow_stuck_ticks, 3), s.overpressure_ticks >= 3, s.exhaust_ticks >= 3,
            out.valve_permille > 0, out.shutoff_open, out.tip_heater_permille > 0,
            out.heater_supply_on, out.skin_warmer_permille > 0, out.stimulus_ua > 0,
            tuple(_between(limits, counts[name]) for name, limits in _limits(s).items()),
        )  # fmt: skip


def _without_rejects(values: dict[str, int]) -> dict[str, int]:
    return {name: value for name, value in values.items() if name != "rejects"}


def _tripped(events: list[Event]) -> bool:
    return any(event.code == EventCode.TRIP for event in events)


def _is_tried(name: str, place: Place) -> bool:
    """Return False for what changes nothing, and for a second fault beside the first."""
    if name in (place.tip, place.gas, place.lease):
        return False
    state = place.memory[_STATE_AT]
    if name in _TIPS:
        return name in _PLAIN_TIPS or place.gas == "gas well"
    if name in _GAS:
        is_plain = place.tip in _PLAIN_TIPS and place.gas == "gas well"
        return name == "gas well" or (is_plain and state in _GAS_MATTERS_IN.get(name, (state,)))
    if name in _LEASES[:2]:
        return state == DeviceState.FREEZE or place.lease not in _LEASES[:2]
    return True


def _changed(place: Place, name: str) -> Place:
    """Return the place with what ``name`` changes around the probe."""
    ledger = place.ledger
    if name in _TIPS:
        ledger = ledger._replace(tip_ms=place.now_ms)
        return place._replace(tip=name, ledger=ledger)
    if name in _GAS:
        ledger = ledger._replace(gas_ms=place.now_ms)
        return place._replace(gas=name, ledger=ledger)
    if name in _LEASES:
        return place._replace(lease=name)
    return place


_COUNTERS: Final = (
    "valve_shut_ms", "warm_ms", "quiet_ms", "leak_ms", "heater_on_ms", "heater_energy_uj",
    "prewarm_ms", "freeze_ms", "stimulus_ms", "battery_low_ms", "guards_open_ticks",
    "falling_ticks", "mode_mismatches",
)  # fmt: skip
_get_counts: Final = attrgetter(*_COUNTERS)


def _counts(s: FirmwareState, now_ms: int) -> dict[str, int]:
    counts = dict(zip(_COUNTERS, _get_counts(s), strict=True))
    counts["in_state_ms"] = now_ms - s.state_since_ms
    counts["leak_test_age_ms"] = now_ms - s.leak_test_ms if s.leak_test_passed else 0
    return counts


def _stands(s: FirmwareState) -> tuple[int, ...]:
    """Return what the growth of the counters depends on, beside the readings."""
    out = s.outputs
    return (
        s.state, s.trip, s.heating, s.driving, s.pending_op,
        out.valve_permille > 0, out.shutoff_open, out.tip_heater_permille > 0, out.stimulus_ua > 0,
    )  # fmt: skip


def _limits(s: FirmwareState) -> dict[str, tuple[int, ...]]:
    """Return where each counter makes a difference; those that make none in this state have none.

    What the firmware compares with, by literals: a limit that moved would be searched too coarsely
    but not go unseen, for the claims have literals of their own.
    """
    freezing = s.state == DeviceState.FREEZE
    return {
        "valve_shut_ms": (_COAST_MS, _COAST_MS + 290, _COAST_MS + 1_300),
        "warm_ms": (1_990,) if s.state in _THAWING else (),
        "quiet_ms": (980,) if s.state in _LATCHED else (),
        "leak_ms": (990,),
        "heater_on_ms": (19_990,) if s.heating else (),
        "heater_energy_uj": (4_970_000,) if s.heating else (),
        "freeze_ms": (s.phase_limit_ms, 180_000) if freezing else (),
        "prewarm_ms": (s.phase_limit_ms - _TICK_MS,) if s.state == DeviceState.PREWARM else (),
        "stimulus_ms": (s.phase_limit_ms - _TICK_MS,) if s.state == DeviceState.STIMULATE else (),
        "battery_low_ms": (90,) if s.driving or s.trip == Trip.BATTERY else (),
        "guards_open_ticks": (9,) if freezing else (),
        "mode_mismatches": (2,) if freezing else (),
        "falling_ticks": (4,),
        "in_state_ms": _STATE_LIMITS_MS.get(
            s.state, (s.phase_limit_ms - _TICK_MS,) if freezing else ()
        ),
        "leak_test_age_ms": (1_800_000,),
    }


_LATCHED: Final = (DeviceState.SAFE, DeviceState.FAULT)
_THAWING: Final = (DeviceState.THAW, *_LATCHED)
_STATE_LIMITS_MS: Final[dict[int, tuple[int, ...]]] = {
    DeviceState.ARMED: (9_990,),
    DeviceState.SELF_TEST: (490,),
    DeviceState.LEAK_TEST: (490, 1_500, 1_600, 11_500, 11_590),
    DeviceState.PREWARM: (4_990,),
}


def _ticks_to_limit(s: FirmwareState, counts: dict[str, int], steps: dict[str, int]) -> int:
    """Return in how many ticks the next counter has passed its next limit; 0 if none grows."""
    ticks = []
    for name, limits in _limits(s).items():
        where = bisect_left(limits, counts[name])
        if steps[name] > 0 and where < len(limits):
            ticks.append((limits[where] - counts[name]) // steps[name] + 1)
    return min(ticks, default=0)


def _between(limits: tuple[int, ...], count: int) -> int:
    """Return how many of its limits ``count`` has passed."""
    return bisect_left(limits, count)


_TESTING: Final = (DeviceState.SELF_TEST, DeviceState.LEAK_TEST)
_BAD_TIPS: Final = ("tip at 90 C", "tip sensor open")
_CAN_FREEZE: Final = (DeviceState.STARTED, DeviceState.THAW)
_DRIVING: Final = (DeviceState.PREWARM, DeviceState.FREEZE, DeviceState.STIMULATE)
_GAS_MATTERS_IN: Final[dict[str, tuple[int, ...]]] = {
    "supply at 62.1 bar": (DeviceState.IDLE, *_CAN_FREEZE),
    "battery at 3.2 V": (
        DeviceState.IDLE, DeviceState.SELF_TEST, *_CAN_FREEZE, *_DRIVING, *_LATCHED,
    ),
    "flow sensor open": (DeviceState.IDLE, *_TESTING, *_CAN_FREEZE, DeviceState.FREEZE),
    "skin sensor open": (DeviceState.SELF_TEST, DeviceState.STARTED),
    "6 frames rejected": (DeviceState.THAW, *_DRIVING),
}  # fmt: skip
"""States in which a reading can decide something; it can be chosen anew in each of them."""


def _tip_class(tip: str) -> str:
    """Return the tip's reading; to the firmware all that cannot be believed are one."""
    return "tip not to be believed" if tip in _BAD_TIPS else tip


def _relevant_gas(gas: str, s: FirmwareState) -> str:
    if s.state not in _GAS_MATTERS_IN.get(gas, (s.state,)):
        return "gas well"
    if gas == "battery at 3.2 V" and s.state in _LATCHED and s.trip != Trip.BATTERY:
        return "gas well"  # Found while an output was on; else it is no cause.
    return gas


def _relevant_lease(lease: str, s: FirmwareState) -> str:
    """Return the lease; what it claims is compared in a freeze alone."""
    if lease in _LEASES[:2] and s.state != DeviceState.FREEZE:
        return "lease"
    return lease


def _settle(s: FirmwareState) -> None:
    """Take the tip's filters as at rest, as after seconds of one reading."""
    if s.tip_rated:
        s.tip_fast = s.tip_slow = s.tip_mdegc * 256
        s.tip_rate_mdegc_s = 0
