"""The simulated probe as one peer in virtual time: hardware, sensors, firmware, faults, link."""

from __future__ import annotations

import pickle
from dataclasses import replace
from hashlib import sha256
from typing import Final

from cryoctl_protocol.codes import DeviceState
from cryoctl_protocol.device_keys import DeviceKeys
from cryoctl_protocol.device_session import RECEIVE_MAX
from cryoctl_protocol.peer import CrashSink, FaultNote, KnownFault
from cryoctl_protocol.truth import NervePlace, TruthSink
from cryoctl_simulator.fault_schedule import FaultSchedule
from cryoctl_simulator.faults import known_faults
from cryoctl_simulator.firmware import Build, CrashTeller, Firmware
from cryoctl_simulator.firmware_config import TICK_MS, DeviceLimits, FirmwareConfig
from cryoctl_simulator.firmware_identity import Boot
from cryoctl_simulator.firmware_model import FirmwareModel
from cryoctl_simulator.firmware_state import Outputs
from cryoctl_simulator.instruments import Instruments, Readings
from cryoctl_simulator.plant import Actuators, Plant
from cryoctl_simulator.scenario import CartridgeTable, Scenario

TICKS_PER_S: Final = 1000 // TICK_MS
TRUTH_TICKS: Final = TICKS_PER_S // 10
WATCHDOG_MS: Final = 150
"""The processor's own watchdog, which no firmware can stop: so long without a tick, and it resets,
with all outputs off. Of the 500 ms from fault to safe it leaves the valve more than enough."""
RECEIVED_MAX: Final = 4096
"""A serial port's receive buffer: bytes that wait for a firmware that does not tick, or has read
``RECEIVE_MAX`` of them in this one already; what does not fit is lost."""
_CLOCK_MASK: Final = 0xFFFFFFFF


class SimulatedDevice:
    """A probe that lives in virtual time.

    It is a ``SyncPeer``, ``FaultPort``, ``TruthSource`` and ``CrashSource``.

    Args:
        config: The firmware's build.
        plant: The hardware.
        instruments: The sensors.
        seed: Boot ids and nonces follow from it.
        serial: Number, at most 16 characters; None has it follow from the seed, too.
        build: Powers its firmware up; raises ``FirmwareError`` if it cannot.
    """

    def __init__(
        self,
        config: FirmwareConfig,
        plant: Plant,
        instruments: Instruments,
        *,
        seed: int,
        serial: str | None = None,
        build: Build = FirmwareModel,
    ) -> None:
        self.plant = plant
        self.instruments = instruments
        self._config = config
        self.seed = seed
        """Serial number, boot ids and nonces follow from it."""
        self._serial = serial
        self._build = build
        self._keys: DeviceKeys | None = None
        self._entropy = b""
        self._ticks = 0
        self.boots = 0
        """How often it has been powered up or reset."""
        self._boot_ms = 0
        """When the device's clock was 0; a clock that is fast moves it back."""
        self._clock_rest_ms = 0.0
        self._missed_ticks = 0
        self.actuators = Actuators()
        self._faults = FaultSchedule(seed)
        self._waiting = b""
        self._received = b""
        self._sinks: list[TruthSink] = []
        self._crash_sinks: list[CrashSink] = []
        self.firmware: Firmware | None = None
        """None while there is no power."""
        self._hear_of_crashes()
        self._power_up()

    @property
    def research(self) -> bool:
        """True for a probe with a research profile, which no port may offer."""
        return self._config.research

    @property
    def device_id(self) -> str:
        """Serial number: as given with its keys, or by itself, else by the seed."""
        if self._keys is not None:
            return self._keys.device
        return self._serial or f"SIM-{self._digest('serial')[:4].hex()}"

    @property
    def limits(self) -> DeviceLimits:
        """What its firmware decides by, and what its hardware is built for."""
        return self._config.limits

    # -- SyncPeer --------------------------------------------------------------------------------

    def advance_to(self, now_s: float, incoming: bytes) -> bytes:
        """Deliver ``incoming`` at the next tick and run to ``now_s``; return what was sent."""
        if incoming:
            self._waiting += incoming
        ticks = range(self._ticks + 1, round(now_s * TICKS_PER_S) + 1)
        return b"".join([self._step(tick) for tick in ticks])

    def save(self) -> bytes:
        """Return the whole state; valid for this version of the program only."""
        return pickle.dumps(
            (
                self.seed,
                self._ticks,
                self.boots,
                self._boot_ms,
                self._clock_rest_ms,
                self._missed_ticks,
                self.actuators,
                self._faults,
                self._waiting,
                self._received,
                self.plant.save(),
                self.instruments.save(),
                None if self.firmware is None else self.firmware.save(),
            )
        )

    def load(self, data: bytes) -> None:
        """Take over a state that ``save`` returned; who watches the truth stays as it is."""
        (
            seed,
            self._ticks,
            self.boots,
            self._boot_ms,
            self._clock_rest_ms,
            self._missed_ticks,
            self.actuators,
            self._faults,
            self._waiting,
            self._received,
            plant,
            instruments,
            firmware,
        ) = pickle.loads(data)
        assert seed == self.seed, "a saved state belongs to a device with the same address"
        self.plant.load(plant)
        self.instruments.load(instruments)
        self.firmware = None
        if firmware is not None:
            self.firmware = self._new_firmware()
            self.firmware.load(firmware)

    # -- TruthSource, CrashSource and FaultPort ----------------------------------------------------

    def subscribe(self, sink: TruthSink) -> None:
        """Have ``sink(sample, now_s)`` called at 10 Hz of virtual time."""
        self._sinks.append(sink)

    def subscribe_to_crashes(self, sink: CrashSink) -> None:
        """Have ``sink(text, now_s)`` called for each crash of the processor."""
        self._crash_sinks.append(sink)

    def _hear_of_crashes(self) -> None:
        if isinstance(self._build, CrashTeller):
            self._build.on_crash(self._tell_crash)

    def _tell_crash(self, text: str) -> None:
        for sink in self._crash_sinks:
            sink(text, self._ticks / TICKS_PER_S)

    def nerve_place(self) -> NervePlace | None:
        """Return where the nerve is now; None without one."""
        return None if self.plant.nerve is None else self.plant.nerve.place

    def known(self) -> list[KnownFault]:
        """Return the catalogue's faults, in its order."""
        return known_faults()

    def inject(self, fault: str) -> None:
        """Schedule ``ID@WHEN[:DURATION]``; raises ValueError with a clear text."""
        self._faults.inject(fault, self._state())

    def clear(self, fault_id: str) -> int:
        """End every fault of this id, present or waiting; return how many those were."""
        return self._faults.clear(fault_id, self._ticks, self.plant)

    def history(self) -> list[FaultNote]:
        """Return every fault asked for, in that order, and what became of it."""
        return self._faults.history(TICKS_PER_S)

    # -- what people do by hand ------------------------------------------------------------------

    def place(self, scenario: Scenario) -> None:
        """Put the needle into fresh tissue; cartridge, battery and room stay as they are."""
        self.plant.place(scenario)
        self._faults.hold(self.plant)

    def change_cartridge(self) -> None:
        """Put in a full cartridge, as warm as the room."""
        plant = self.plant
        full = plant.scenario.model_copy(update={"cartridge": CartridgeTable()})
        fresh = Plant(plant.parameters, full)
        plant.cartridge = fresh.cartridge
        plant.cartridge.mass_g += fresh.line_g  # The feed was filled when the first was pierced.
        plant.vapour_draw = fresh.vapour_draw
        plant.moisture_ppm = fresh.moisture_ppm
        plant.cartridge_temp_c = fresh.cartridge_temp_c  # What follows from it follows anew.

    def provision(self, keys: DeviceKeys, *, entropy: bytes) -> None:
        """Give it a serial number and keys of its own, as a maker does; it starts anew.

        Args:
            keys: The same that the controller has.
            entropy: Random bytes: under a real key no boot id and no nonce may come twice.
        """
        self._keys = keys
        self._entropy = entropy
        self.power_cycle()

    def flash(self, build: Build) -> None:
        """Put another build of the firmware into it; it starts anew."""
        self._build = build
        self._hear_of_crashes()
        self.power_cycle()

    # -- power -----------------------------------------------------------------------------------

    def power_cycle(self) -> None:
        """Take the power away and give it back: a new boot, with nothing remembered."""
        self._power_down()
        self._power_up()

    def _power_up(self) -> None:
        self.boots += 1
        self._boot_ms = self._ticks * TICK_MS
        self._clock_rest_ms = 0.0
        self._missed_ticks = 0
        self.firmware = self._new_firmware()

    def _power_down(self) -> None:
        """Everything springs back: valve and shut-off are normally closed."""
        self.firmware = None
        self._waiting = b""
        self._received = b""
        actuators = self.actuators
        actuators.valve = 0.0
        actuators.shutoff_open = False
        actuators.tip_heater = 0.0
        actuators.skin_warmer = 0.0
        actuators.stimulus_ma = 0.0

    def _new_firmware(self) -> Firmware:
        boot = Boot(
            device_id=self.device_id,
            boot_id=int.from_bytes(self._digest(f"boot {self.boots}")[:4], "little"),
            nonce_seed=self._digest("nonce"),
        )
        keys = self._keys
        if keys is not None:
            former = keys.former
            boot = replace(
                boot,
                key=keys.newest.secret,
                key_id=keys.newest.key_id,
                former_key=None if former is None else former.secret,
            )
        return self._build(self._config, boot)

    def _digest(self, what: str) -> bytes:
        return sha256(f"cryoctl simulator {self.seed} {what}".encode() + self._entropy).digest()

    def _state(self) -> int:
        return DeviceState.IDLE if self.firmware is None else self.firmware.state.state

    # -- one tick --------------------------------------------------------------------------------

    def _step(self, tick: int) -> bytes:
        self._ticks = tick
        plant = self.plant
        plant.step(self.actuators)
        readings = self.instruments.read(plant)
        if self._faults.is_busy:
            out = self._step_with_faults(tick, readings)
        else:
            if self._waiting or self._received:
                self._receive(self._waiting)
                self._waiting = b""
            out = self._run_firmware(tick, readings)
        if tick % TRUTH_TICKS == 0 and self._sinks:
            truth = plant.truth()
            for sink in self._sinks:
                sink(truth, tick / TICKS_PER_S)
        return out

    def _receive(self, arrived: bytes) -> None:
        self._received = (self._received + arrived)[:RECEIVED_MAX]

    def _run_firmware(self, tick: int, readings: Readings) -> bytes:
        firmware = self.firmware
        if firmware is None:
            return b""
        incoming = self._received
        if incoming:
            self._received = incoming[RECEIVE_MAX:]
            incoming = incoming[:RECEIVE_MAX]
        device_ms = tick * TICK_MS - self._boot_ms & _CLOCK_MASK
        out = firmware.tick(device_ms, readings, incoming)
        if out is None:
            self._miss_tick(firmware)
            return b""
        self._missed_ticks = 0
        self._take_outputs(firmware.outputs)
        return out

    def _take_outputs(self, outputs: Outputs) -> None:
        actuators = self.actuators
        actuators.valve = outputs.valve_permille / 1000.0
        actuators.shutoff_open = outputs.shutoff_open
        actuators.tip_heater = outputs.tip_heater_permille / 1000.0
        actuators.skin_warmer = outputs.skin_warmer_permille / 1000.0
        if outputs.stimulus_ua or actuators.stimulus_ma:
            actuators.stimulus_ma = outputs.stimulus_ua / 1000.0
            actuators.stimulus_hz = outputs.stimulus_hz
            actuators.stimulus_pulse_ms = outputs.stimulus_pulse_us / 1000.0

    # -- one tick with faults --------------------------------------------------------------------

    def _step_with_faults(self, tick: int, readings: Readings) -> bytes:
        faults = self._faults
        faults.move(tick, self._state(), self.plant)
        faults.hold(self.plant)
        faults.falsify(readings)
        if not faults.has_power():
            if self.firmware is not None:
                self._power_down()
        elif self.firmware is None:
            self._power_up()
        self._receive(faults.to_probe(tick, self._waiting))
        self._waiting = b""
        out = b""
        if self.firmware is None:
            self._received = b""
        elif faults.runs(self.boots):
            faults.change(self.firmware)
            self._advance_clock(faults.clock_ms())
            out = self._run_firmware(tick, readings)
        else:
            self._miss_tick(self.firmware)
        if self.firmware is not None:
            faults.drive(self.actuators, self.firmware.outputs)
        return faults.to_controller(tick, out)

    def _advance_clock(self, gain_ms: float) -> None:
        """Let the device's clock gain; it counts whole ms, the rest waits."""
        gain_ms += self._clock_rest_ms
        whole_ms = int(gain_ms)
        self._boot_ms -= whole_ms
        self._clock_rest_ms = gain_ms - whole_ms

    def _miss_tick(self, firmware: Firmware) -> None:
        """Outputs stay as they are, what arrives waits, and the watchdog counts."""
        self._take_outputs(firmware.outputs)
        self._missed_ticks += 1
        if firmware.is_reset or self._missed_ticks * TICK_MS >= WATCHDOG_MS:
            self.power_cycle()
