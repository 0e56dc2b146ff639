"""A simulated probe of another maker: the invented FP-20, which speaks ASCII lines.

The hardware is ours, the same plant and sensors; what runs on it is not. It does what it is told
and holds a set-point. It has no lease, no freeze timer, no trips and no authentication: told to
freeze, it freezes until it is told otherwise or the power goes. The lines are described in
docs/how-to/use-a-probe-that-speaks-something-else.md.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import reduce
from operator import xor
from typing import Final, Self

from cryoctl_protocol.codes import DeviceState, Sensor
from cryoctl_simulator import firmware_checks
from cryoctl_simulator.device import TICKS_PER_S, SimulatedDevice
from cryoctl_simulator.firmware_config import TICK_MS, DeviceLimits
from cryoctl_simulator.firmware_control import start_approach
from cryoctl_simulator.firmware_drive import drive
from cryoctl_simulator.firmware_sensing import observe
from cryoctl_simulator.firmware_state import FirmwareState
from cryoctl_simulator.instruments import Instruments, Readings
from cryoctl_simulator.plant import Actuators, Plant

MODEL: Final = "FP-20"
VERSION: Final = "1.4"
SETPOINT_MIN_C: Final = -95.0
"""What the number may be, as the maker's manual has it; colder than any needle is meant to get."""
SETPOINT_MAX_C: Final = 40.0
THAW_J_MAX: Final = 5.0
LINE_SIZE_MAX: Final = 80
_NUMBER: Final = re.compile(r"-?\d{1,3}(\.\d{1,3})?")
_MODES: Final = {
    DeviceState.SELF_TEST: "CHECK",
    DeviceState.LEAK_TEST: "LEAK",
    DeviceState.FREEZE: "FREEZE",
    DeviceState.THAW: "THAW",
}


class AsciiProbe:
    """An FP-20 in virtual time (``SyncPeer``).

    Args:
        limits: What the hardware is built for; gains of its thermostat among them.
        plant: The hardware.
        instruments: The sensors.
        number: Serial number that it says.
    """

    research = False

    def __init__(
        self, limits: DeviceLimits, plant: Plant, instruments: Instruments, *, number: int
    ) -> None:
        self.plant = plant
        self._limits = limits
        self._instruments = instruments
        self._number = number
        self._ticks = 0
        self._actuators = Actuators()
        self._power_up()

    @classmethod
    def on_hardware_of(cls, device: SimulatedDevice) -> Self:
        """Return an FP-20 with the plant and the sensors of a probe of ours."""
        limits = replace(device.limits, warmer_permille_max=0)
        return cls(limits, device.plant, device.instruments, number=device.seed)

    def advance_to(self, now_s: float, incoming: bytes) -> bytes:
        """Deliver ``incoming`` at the next tick and run to ``now_s``; return what was said."""
        self._received += incoming
        said = b""
        while self._ticks < round(now_s * TICKS_PER_S):
            self._ticks += 1
            said += self._step()
        return said

    def power_cycle(self) -> None:
        """Take the power away and give it back: valves close, nothing is remembered."""
        self._power_up()

    def _power_up(self) -> None:
        self._boot_ticks = self._ticks
        self._received = b""
        self._check = "-"
        self._firmware = FirmwareState()

    # -- one tick --------------------------------------------------------------------------------

    def _step(self) -> bytes:
        self.plant.step(self._actuators)
        readings = self._instruments.read(self.plant)
        s = self._firmware
        s.now_ms = (self._ticks - self._boot_ticks) * TICK_MS
        s.tick_count += 1
        if s.state == DeviceState.FREEZE:
            s.freeze_ms += TICK_MS
        observe(self._limits, s, readings)
        *lines, self._received = self._received.split(b"\n")
        self._received = self._received[-LINE_SIZE_MAX:]
        said = b"".join(self._answer(line, readings) for line in lines if line.strip())
        self._watch_checks(readings)
        drive(self._limits, s, readings)
        out, actuators = s.outputs, self._actuators
        actuators.valve = out.valve_permille / 1000.0
        actuators.shutoff_open = out.shutoff_open
        actuators.tip_heater = out.tip_heater_permille / 1000.0
        return said

    def _watch_checks(self, readings: Readings) -> None:
        s = self._firmware
        elapsed_ms = s.now_ms - s.state_since_ms
        if s.state == DeviceState.SELF_TEST:
            if readings.open_circuit & (Sensor.TIP | Sensor.SUPPLY_PRESSURE):
                s.test_failed = True
            if elapsed_ms >= firmware_checks.SELF_TEST_MS:
                self._end_check(passed=not s.test_failed)
        elif s.state == DeviceState.LEAK_TEST:
            firmware_checks.watch_leak_test(self._limits, s, readings, elapsed_ms)
            if elapsed_ms >= firmware_checks.LEAK_TEST_MS:
                self._end_check(passed=firmware_checks.leak_test_is_ok(s))

    def _end_check(self, *, passed: bool) -> None:
        self._check = "PASS" if passed else "FAIL"
        self._enter(DeviceState.IDLE)

    def _enter(self, state: DeviceState) -> None:
        self._firmware.state = int(state)
        self._firmware.state_since_ms = self._firmware.now_ms

    # -- lines -----------------------------------------------------------------------------------

    def _answer(self, line: bytes, readings: Readings) -> bytes:
        """Return the answer to one line; none to one that is damaged."""
        text, _, digits = line.decode("ascii", "replace").strip().rpartition("*")
        if digits != f"{_checksum(text):02X}":
            return b""
        if text == "ID?":
            answer = f"ID {MODEL} {self._number:05d} {VERSION}"
        elif text == "READ?":
            answer = self._reading(readings)
        else:
            word, _, rest = text.partition(" ")
            refusal = self._obey(word, rest)
            answer = f"NO {word} {refusal}" if refusal else f"OK {word}"
        return f"{answer}*{_checksum(answer):02X}\r\n".encode("ascii", "replace")

    def _obey(self, word: str, rest: str) -> str:
        """Do what a line asks for; return why not, or nothing."""
        s = self._firmware
        if word == "OFF" and not rest:
            s.heating = False
            self._enter(DeviceState.IDLE)
            return ""
        if s.state in (DeviceState.SELF_TEST, DeviceState.LEAK_TEST):
            return "BUSY"
        if word == "FREEZE":
            return self._freeze(rest)
        if word == "THAW":
            return self._thaw(rest)
        if word not in ("CHECK", "LEAK") or rest:
            return "UNKNOWN"
        if s.state != DeviceState.IDLE:
            return "BUSY"
        self._check = "-"
        firmware_checks.start_leak_test(s)
        self._enter(DeviceState.SELF_TEST if word == "CHECK" else DeviceState.LEAK_TEST)
        return ""

    def _freeze(self, rest: str) -> str:
        s = self._firmware
        setpoint_c = float(rest) if _NUMBER.fullmatch(rest) else SETPOINT_MAX_C + 1.0
        if not SETPOINT_MIN_C <= setpoint_c <= SETPOINT_MAX_C:
            return "RANGE"
        s.setpoint_mdegc = round(setpoint_c * 1000.0)
        if s.state != DeviceState.FREEZE:
            s.heating = False
            s.freeze_ms = 0
            s.heater_energy_uj = s.heater_on_ms = 0
            start_approach(self._limits, s)
            self._enter(DeviceState.FREEZE)
        return ""

    def _thaw(self, rest: str) -> str:
        s = self._firmware
        energy_j = float(rest) if _NUMBER.fullmatch(rest) else -1.0
        if not 0.0 < energy_j <= THAW_J_MAX:
            return "RANGE"
        if s.state != DeviceState.THAW:
            s.heater_budget_uj = round(energy_j * 1e6)
            s.heating = True
            self._enter(DeviceState.THAW)
        return ""

    def _reading(self, r: Readings) -> str:
        s = self._firmware
        out = s.outputs

        def sensor(bit: Sensor, value: int) -> str:
            return "?" if r.open_circuit & bit else f"{value / 1000.0:.3f}"

        return " ".join(
            (
                "READ",
                str(s.now_ms),
                _MODES.get(DeviceState(s.state), "IDLE"),
                sensor(Sensor.TIP, r.tip_mdegc),
                sensor(Sensor.SUPPLY_PRESSURE, r.supply_mbar),
                sensor(Sensor.EXHAUST_PRESSURE, r.exhaust_mbar),
                sensor(Sensor.EXHAUST_FLOW, r.exhaust_flow_ug_s),
                f"{out.valve_permille / 10.0:.1f}",
                str(int(out.shutoff_open)),
                f"{out.tip_heater_permille / 10.0:.1f}",
                f"{s.heater_energy_uj / 1e6:.3f}",
                str(s.freeze_ms),
                f"{s.setpoint_mdegc / 1000.0:.3f}",
                self._check,
            )
        )


def _checksum(text: str) -> int:
    """Return the exclusive or of a line's characters, as in NMEA 0183."""
    return reduce(xor, text.encode("ascii", "replace"), 0)
