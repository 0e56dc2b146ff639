"""A test bench for the firmware alone: set readings, a controller's session, no plant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from cryoctl_protocol.auth import DEMO_KEY
from cryoctl_protocol.codes import Answer, DeviceState, HostMode, Op, SafeAction, ThawMode, Trip
from cryoctl_protocol.framing import Deframer, wrap
from cryoctl_protocol.host_session import HostSession, Phase
from cryoctl_protocol.messages import Ack, Command, Done, Event, Message, Telemetry
from cryoctl_simulator.firmware_config import FirmwareConfig
from cryoctl_simulator.firmware_identity import Boot
from cryoctl_simulator.firmware_model import FirmwareModel
from cryoctl_simulator.firmware_state import Outputs

TREATMENT = 0xC0FFEE
STIMULUS = {
    "stimulus_ua": 1_000,
    "stimulus_hz": 2,
    "stimulus_pulse_us": 100,
    "duration_ms": 5_000,
}


@dataclass(slots=True)
class FakeReadings:
    """A healthy N2O probe at rest in a hand."""

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


class Bench:
    """Firmware and controller's session, ticked together."""

    def __init__(self, profile: str = "n2o-20g", config: FirmwareConfig | None = None) -> None:
        self.firmware = FirmwareModel(
            config or FirmwareConfig.shipped(profile), Boot("BENCH", 77, b"bench")
        )
        self.readings = FakeReadings()
        self.host = HostSession(DEMO_KEY, nonce_seed=b"host")
        self.now_ms = 0
        self.clock_offset_ms = 0
        """Added to what the firmware sees as its clock, which wraps after 32 bits."""
        self.pressure_lives = True
        self.mode: HostMode | None = None
        """Claimed with each lease; None stops the leases."""
        self.received: list[Message] = []
        self.extra = b""
        """Bytes that somebody else puts on the line before the next tick."""
        self._deframer = Deframer()

    @property
    def now_s(self) -> float:
        return self.now_ms / 1000

    @property
    def device_ms(self) -> int:
        return (self.now_ms + self.clock_offset_ms) % 2**32

    @property
    def state(self) -> DeviceState:
        return DeviceState(self.firmware.state.state)

    @property
    def trip(self) -> Trip:
        return Trip(self.firmware.state.trip)

    @property
    def outputs(self) -> Outputs:
        return self.firmware.outputs

    def tick(self, ticks: int = 1) -> bytes:
        """Run 10 ms at a time; return the raw bytes sent."""
        sent = b""
        for _ in range(ticks):
            if self.mode is not None and self.now_ms % 100 == 0:
                self.host.lease(self.mode, self.now_s)
            self.host.poll(self.now_s)
            incoming = self.extra + b"".join(wrap(body) for body in self.host.outgoing())
            if incoming:
                incoming = b"\0" + incoming
            self.extra = b""
            self.now_ms += 10
            out = self.firmware.tick(self.device_ms, self._live_readings(), incoming)
            for body in self._deframer.feed(out):
                message = self.host.on_body(body, self.now_s)
                if message is not None:
                    self.received.append(message)  # type: ignore[arg-type]
            sent += out
        return sent

    def _live_readings(self) -> FakeReadings:
        """Return the readings; the last digit of the pressure moves where a test looks at that."""
        if not self.pressure_lives or self.state is not DeviceState.LEAK_TEST:
            return self.readings
        supply_mbar = self.readings.supply_mbar + self.now_ms // 10 % 2
        return replace(self.readings, supply_mbar=supply_mbar)

    def run_s(self, seconds: float) -> None:
        self.tick(round(seconds * 100))

    def connect(self, mode: HostMode | None = HostMode.IDLE) -> None:
        """Open the session and hold the probe."""
        self.tick()
        self.host.open(self.now_s)
        self.mode = HostMode.IDLE  # The first lease proves the key.
        for _ in range(30):
            self.tick()
            if self.host.phase is Phase.OPEN:
                break
        assert self.host.phase is Phase.OPEN
        self.mode = mode
        self.tick(12)

    def send(self, op: Op, **fields: int) -> int:
        """Queue a command; return its counter."""
        blank: dict[str, Any] = dict.fromkeys(Command._fields, 0)
        return self.host.command(Command(**{**blank, "op": op, **fields}), self.now_s)

    def command(self, op: Op, **fields: int) -> Answer:
        """Send a command, run until it is answered, return the answer."""
        counter = self.send(op, **fields)
        for _ in range(10):
            self.tick()
            for message in self.received:
                if isinstance(message, Ack) and (message.counter, message.op) == (counter, op):
                    self.last_counter = counter
                    return Answer(message.answer)
        raise AssertionError(f"{op!r} was not answered")

    def ask(self, op: Op, **fields: int) -> None:
        assert self.command(op, **fields) is Answer.ACCEPTED

    def stop(self, action: SafeAction = SafeAction.THAW, trip: Trip = Trip.OPERATOR_STOP) -> None:
        self.host.stop(action, trip)
        self.tick()

    def dones(self) -> list[Done]:
        return [message for message in self.received if isinstance(message, Done)]

    def events(self) -> list[Event]:
        return [message for message in self.received if isinstance(message, Event)]

    def telemetry(self) -> list[Telemetry]:
        return [message for message in self.received if isinstance(message, Telemetry)]

    # -- the way to each state -------------------------------------------------------------------

    def freeze(self, setpoint_mdegc: int = -60_000, duration_ms: int = 60_000) -> Answer:
        answer = self.command(Op.FREEZE, setpoint_mdegc=setpoint_mdegc, duration_ms=duration_ms)
        if answer is Answer.ACCEPTED:
            self.mode = HostMode.FREEZE
        return answer

    def thaw(self, mode: ThawMode = ThawMode.PASSIVE, energy_mj: int = 0) -> Answer:
        answer = self.command(Op.THAW, mode=mode, energy_mj=energy_mj)
        if answer is Answer.ACCEPTED:
            self.mode = HostMode.THAW
        return answer

    def stimulate(self) -> None:
        self.run_s(2.5)  # Until the valve has proved to be shut.
        self.ask(Op.STIMULATE, **STIMULUS)

    def pass_leak_test(self) -> None:
        self.ask(Op.LEAK_TEST)
        self.run_s(12)
        assert self.state is DeviceState.IDLE

    def go_to(self, state: DeviceState, cycles: int = 3) -> None:
        """From a connected IDLE to ``state`` the way a treatment goes."""
        at_once: dict[DeviceState, Callable[[], None]] = {
            DeviceState.IDLE: lambda: None,
            DeviceState.SELF_TEST: lambda: self.ask(Op.SELF_TEST),
            DeviceState.LEAK_TEST: lambda: self.ask(Op.LEAK_TEST),
            DeviceState.STIMULATE: self.stimulate,
            DeviceState.SAFE: self.stop,
        }
        if state in at_once:
            at_once[state]()
            return
        if state is DeviceState.FAULT:
            self.readings.supply_mbar = 69_000
            self.tick(3)
            self.readings.supply_mbar = 50_000
            self.tick()
            return
        self.pass_leak_test()
        self.ask(Op.ARM, treatment_hash=TREATMENT, cycles=cycles)
        if state is DeviceState.ARMED:
            return
        self.ask(Op.START, treatment_hash=TREATMENT)
        if state is DeviceState.STARTED:
            return
        if state is DeviceState.PREWARM:
            self.ask(Op.PREWARM, duration_ms=5_000)
            return
        assert self.freeze() is Answer.ACCEPTED
        if state is DeviceState.FREEZE:
            return
        assert self.thaw() is Answer.ACCEPTED


def connected(profile: str = "n2o-20g") -> Bench:
    bench = Bench(profile)
    bench.connect()
    return bench


def bench_in(state: DeviceState, cycles: int = 3) -> Bench:
    bench = connected()
    bench.go_to(state, cycles)
    assert bench.state is state
    return bench
