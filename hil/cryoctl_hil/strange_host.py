"""A controller's end that knows the key and means no good, and a probe whose sensors run wild.

For comparing builds of the firmware: it drives one into every state and then says, at any moment,
anything: commands of every kind with values at and beyond their limits, leases that claim what is
not so, STOPs, replays, damaged and spliced frames, noise, more than a tick can read.
"""

from __future__ import annotations

from typing import Final

from cryoctl_hil.draws import Draws
from cryoctl_protocol.auth import DEMO_KEY, SessionKeys, TagKey, session_keys, stop_key
from cryoctl_protocol.codec import SCHEMA_HASH, encode
from cryoctl_protocol.codes import Capability, DeviceState, HostMode, Op, SafeAction, Sensor, Trip
from cryoctl_protocol.device_session import RECEIVE_MAX
from cryoctl_protocol.framing import Deframer, build, message_in, wrap
from cryoctl_protocol.messages import (
    ID_OF,
    PROTOCOL_MAJOR,
    PROTOCOL_MINOR,
    Command,
    Hello,
    HelloHost,
    Lease,
    Message,
    Stop,
)
from cryoctl_protocol.profile import control_table, load_profile
from cryoctl_simulator.firmware_config import (
    ALL_CAPABILITIES,
    ALL_SENSORS,
    ControlTable,
    FirmwareConfig,
)
from cryoctl_simulator.firmware_identity import Boot
from cryoctl_simulator.firmware_state import FirmwareState
from cryoctl_simulator.instruments import Readings

SEED: Final = 20_26
WIRE_KEPT: Final = 200
"""Frames kept for replays."""
_PROFILES: Final = ("n2o-20g", "co2-20g", "n2o-27gx3")
_FORMER_KEY: Final = bytes(range(32))
_NEXT: Final = {
    DeviceState.IDLE: (Op.SELF_TEST, Op.LEAK_TEST, Op.ARM, Op.STIMULATE),
    DeviceState.SELF_TEST: (Op.END,),
    DeviceState.LEAK_TEST: (Op.END,),
    DeviceState.ARMED: (Op.START,),
    DeviceState.STARTED: (Op.PREWARM, Op.FREEZE),
    DeviceState.PREWARM: (Op.END,),
    DeviceState.FREEZE: (Op.SETPOINT, Op.THAW),
    DeviceState.THAW: (Op.FREEZE, Op.THAW),
    DeviceState.SAFE: (Op.THAW, Op.CLEAR),
    DeviceState.FAULT: (Op.THAW, Op.CLEAR),
    DeviceState.STIMULATE: (Op.STIMULATE, Op.END),
}
"""What a controller would ask for next."""
_EDGES: Final[dict[str, tuple[int, ...]]] = {
    "mode": (0, 1),
    "cycles": (0, 1, 2, 20),
    "treatment_hash": (0, 1, 0xFFFFFFFF),
    "setpoint_mdegc": (-60_000, -45_000, -20_000, -19_999, -63_001, 0, -(2**31), 2**31 - 1),
    "duration_ms": (0, 1, 500, 5_000, 30_000, 30_001, 120_001, 180_000, 180_001, 2**32 - 1),
    "energy_mj": (0, 1, 300, 5_000, 5_001, 2**32 - 1),
    "stimulus_ua": (0, 1, 1_000, 5_000, 5_001, 10_000),
    "stimulus_hz": (0, 1, 100),
    "stimulus_pulse_us": (0, 49, 50, 1_000),
}
_SENSIBLE: Final[dict[str, int]] = {
    "mode": 1,
    "cycles": 3,
    "treatment_hash": 0xC0FFEE,
    "setpoint_mdegc": -50_000,
    "duration_ms": 4_000,
    "energy_mj": 2_000,
    "stimulus_ua": 1_000,
    "stimulus_hz": 10,
    "stimulus_pulse_us": 100,
}
_STEADY: Final[dict[str, int]] = {
    "tip_mdegc": 36_000,
    "tip_2_mdegc": 36_000,
    "skin_mdegc": 33_000,
    "supply_mbar": 50_000,
    "exhaust_mbar": 1_013,
    "exhaust_flow_ug_s": 0,
    "cartridge_mdegc": 22_000,
    "battery_mv": 4_000,
}
_FED: Final[dict[str, int]] = _STEADY | {
    "tip_mdegc": -52_000,
    "tip_2_mdegc": -52_000,
    "exhaust_mbar": 1_300,
    "exhaust_flow_ug_s": 33_000,
}
"""While the valve is open."""
_NOISE: Final[dict[str, int]] = {
    "tip_mdegc": 150,
    "tip_2_mdegc": 150,
    "skin_mdegc": 100,
    "supply_mbar": 30,
    "exhaust_mbar": 3,
    "exhaust_flow_ug_s": 150,
    "cartridge_mdegc": 20,
    "battery_mv": 2,
}
_LAG_TICKS: Final = 50
_RANGE: Final[dict[str, tuple[int, int]]] = {
    "tip_mdegc": (-95_000, 85_000),
    "tip_2_mdegc": (-95_000, 85_000),
    "skin_mdegc": (-20_000, 50_000),
    "supply_mbar": (0, 90_000),
    "exhaust_mbar": (600, 5_000),
    "exhaust_flow_ug_s": (-100, 90_000),
    "cartridge_mdegc": (-40_000, 60_000),
    "battery_mv": (0, 5_000),
}
_WORD_MAX: Final = 2**31 - 1


class StrangeHost:
    """One conversation; everything follows from its number.

    Args:
        number: Of the run.

    Attributes:
        config: What the firmware is to be built with.
        boot: Of its power-up.
        readings: For the next tick, overwritten.
        now_ms: Device clock of the next tick.
    """

    def __init__(self, number: int) -> None:
        draws = self._draws = Draws(SEED, number)
        self.config = _config(draws)
        self._former = draws.chance(0.3)
        self.boot = Boot(
            "STRANGE",
            draws.below(2**32),
            draws.octets(32),
            former_key=_FORMER_KEY if self._former else None,
        )
        self.readings = Readings(**_STEADY)
        # Some begin shortly before the clock wraps.
        self.now_ms = 2**32 - 10_000 if draws.chance(0.3) else 0
        self._calm = draws.choose((0.9, 0.99, 0.999))
        """Share of the ticks in which nothing out of the way is said or read."""
        self._deframer = Deframer()
        self._keys: SessionKeys | None = None
        self._host_nonce = 1 + draws.below(2**32)
        self._counter = 0
        self._seq = 0
        self._said: list[bytes] = []
        self._rest = b""
        self._has_heard = False
        self._greet_in = 0
        self._astray: dict[str, int] = {}
        """Where readings drift to that no longer follow the probe."""

    # -- what the firmware sends -----------------------------------------------------------------

    def hear(self, sent: bytes) -> None:
        """Take what came from the probe: a greeting opens a session."""
        self._has_heard = True
        for body in self._deframer.feed(sent):
            message = message_in(body)
            if isinstance(message, Hello) and message.device_nonce:
                key = _FORMER_KEY if self._former and self._draws.chance(0.5) else DEMO_KEY
                self._keys = session_keys(key, message.host_nonce, message.device_nonce)
                self._counter = 0

    # -- what it is sent -------------------------------------------------------------------------

    def speak(self, state: FirmwareState) -> bytes:
        """Return what reaches the probe with its next tick, and move clock and readings."""
        draws = self._draws
        self._move_clock()
        self._move_readings(state)
        if draws.chance(0.002) and self._has_heard:  # A processor that starts clears its memory.
            state.leak_test_passed = True  # The test takes longer than most runs.
        said = [self._rest]
        said += self._polite(state)
        if not draws.chance(self._calm):
            said += self._rude()
        whole = b"".join(said)
        self._rest = whole[RECEIVE_MAX : 4 * RECEIVE_MAX]
        return whole[:RECEIVE_MAX]

    def _polite(self, state: FirmwareState) -> list[bytes]:
        """Greet until there is a session, hold a lease, ask for what comes next."""
        draws = self._draws
        self._greet_in -= 1
        if self._keys is None:
            if self._greet_in > 0:
                return []
            self._greet_in = 20
            return [self._frame(self._hello(), None, 0)]
        said = []
        if state.tick_count % 10 == 0:
            mode = HostMode.FREEZE if state.state == DeviceState.FREEZE else HostMode.IDLE
            said.append(self._tagged(self._lease(mode, 300)))
        if draws.chance(0.02):
            op = draws.choose(_NEXT[DeviceState(state.state)])
            said.append(self._tagged(self._command(op, _SENSIBLE)))
        return said

    def _rude(self) -> list[bytes]:
        acts = (
            self._noise, self._replay, self._damage, self._replay_many, self._say_stop,
            self._forget, self._odd_lease, self._oversize, self._commands, self._commands,
        )  # fmt: skip
        return self._draws.choose(acts)()

    def _noise(self) -> list[bytes]:
        return [self._draws.octets(self._draws.below(300))]

    def _replay(self) -> list[bytes]:
        return [self._draws.choose(self._said)] if self._said else []

    def _damage(self) -> list[bytes]:
        return [self._damaged(self._draws.choose(self._said))] if self._said else []

    def _replay_many(self) -> list[bytes]:
        return [self._draws.choose(self._said) for _ in range(self._draws.below(40)) if self._said]

    def _say_stop(self) -> list[bytes]:
        return [self._stop()]

    def _forget(self) -> list[bytes]:
        """Fall silent, and greet anew some time later."""
        self._keys, self._greet_in = None, self._draws.below(200)
        self._host_nonce += 1
        return []

    def _odd_lease(self) -> list[bytes]:
        mode = self._draws.choose(tuple(HostMode))
        life_ms = self._draws.choose((-1, 0, 1, 299, 301, 10_000))
        return [self._tagged(self._lease(mode, life_ms))]

    def _oversize(self) -> list[bytes]:
        return [b"\0" * self._draws.below(50) + b"\1" * self._draws.below(260)]

    def _commands(self) -> list[bytes]:
        draws = self._draws
        count = draws.choose((1, 1, 2, 25))
        return [self._tagged(self._command(draws.choose(tuple(Op)), None)) for _ in range(count)]

    def _hello(self) -> HelloHost:
        schema = SCHEMA_HASH if self._draws.chance(0.9) else 1
        return HelloHost(PROTOCOL_MAJOR, PROTOCOL_MINOR, schema, self._host_nonce)

    def _lease(self, mode: HostMode, life_ms: int) -> Lease:
        self._counter += 1
        return Lease(self._counter, mode, (self.now_ms + life_ms) % 2**32)

    def _command(self, op: Op, values: dict[str, int] | None) -> Command:
        draws = self._draws
        chosen = values or {name: draws.choose(edges) for name, edges in _EDGES.items()}
        self._counter += draws.choose((0, 1, 1, 1, 1, 5)) if values is None else 1
        life_ms = draws.choose((-1, 0, 500)) if values is None else 500
        return Command(
            counter=self._counter, deadline_ms=(self.now_ms + life_ms) % 2**32, op=op, **chosen
        )

    def _stop(self) -> bytes:
        draws = self._draws
        key = _FORMER_KEY if self._former and draws.chance(0.5) else DEMO_KEY
        boot_id = self.boot.boot_id if draws.chance(0.8) else 7
        stop = Stop(
            draws.below(2**32), boot_id, draws.choose(tuple(SafeAction)), draws.choose(tuple(Trip))
        )
        return self._frame(stop, stop_key(key, self.boot.boot_id), 0)

    def _tagged(self, message: Message) -> bytes:
        keys = self._keys
        if keys is None:
            return self._frame(message, TagKey(DEMO_KEY), 1)
        return self._frame(message, keys.down, keys.session)

    def _frame(self, message: Message, key: TagKey | None, session: int) -> bytes:
        self._seq = (self._seq + 1) % 2**16
        body = build(ID_OF[type(message)], encode(message), seq=self._seq, session=session, key=key)
        framed = wrap(body)
        self._said = [*self._said[-WIRE_KEPT:], framed]
        return framed

    def _damaged(self, framed: bytes) -> bytes:
        draws = self._draws
        at = draws.below(len(framed))
        match draws.below(4):
            case 0:
                return framed[:at]
            case 1:
                return framed[:at] + framed[at + 1 :]
            case 2:
                return framed[:at] + draws.octets(1) + framed[at:]
            case _:
                return framed[:at] + bytes([framed[at] ^ 1 << draws.below(8)]) + framed[at + 1 :]

    # -- clock and sensors -----------------------------------------------------------------------

    def _move_clock(self) -> None:
        draws = self._draws
        step_ms = 10 if draws.chance(self._calm) else draws.choose((0, 9, 11, 50, 140, 2_000))
        if draws.chance(0.0002):
            step_ms = draws.choose((-10, -5_000, 1_800_001, 2**31 - 1))
        self.now_ms = (self.now_ms + step_ms) % 2**32

    def _move_readings(self, state: FirmwareState) -> None:
        """Follow what the outputs do, more or less; at times a sensor wanders off or breaks."""
        draws, r = self._draws, self.readings
        is_fed = state.outputs.valve_permille > 0
        rest = _FED if is_fed else _STEADY
        for name, noise in _NOISE.items():
            aim = self._astray.get(name, rest[name])
            value = getattr(r, name)
            value += (aim - value) // _LAG_TICKS + draws.below(2 * noise + 1) - noise
            low, high = _RANGE[name]
            setattr(r, name, min(max(value, low), high))
        r.button = draws.below(2)
        r.stimulus_response = draws.below(3)
        if draws.chance(0.005):
            self._astray.clear()
            r.open_circuit = 0
        if not draws.chance(self._calm):
            self._break_sensor()

    def _break_sensor(self) -> None:
        draws, r = self._draws, self.readings
        name = draws.choose(tuple(_NOISE))
        low, high = _RANGE[name]
        if draws.chance(0.5):
            self._astray[name] = low + draws.below(high - low + 1)
        elif draws.chance(0.5):
            r.open_circuit ^= 1 << draws.below(10)
        elif draws.chance(0.5):
            setattr(r, name, low + draws.below(high - low + 1))
        elif name != "battery_mv":
            setattr(r, name, draws.choose((-_WORD_MAX - 1, _WORD_MAX)))


def _config(draws: Draws) -> FirmwareConfig:
    """Return a build for a profile, at times without some of what a probe can have."""
    name = draws.choose(_PROFILES)
    capabilities, sensors = ALL_CAPABILITIES, ALL_SENSORS
    if draws.chance(0.3):
        capabilities = Capability(int(ALL_CAPABILITIES) & draws.below(2**12))
        sensors = Sensor(int(ALL_SENSORS) & (draws.below(2**10) | int(Sensor.TIP)))
    control = ControlTable.model_validate(control_table(name))
    return FirmwareConfig.from_profile(
        load_profile(name), control, capabilities=capabilities, sensors=sensors
    )
