"""How near an episode came to each bound: what was reached, as a share of what is allowed.

The bounds are those of the safety watch, as literals of the requirements. A rule that allows a time
counts what lasted for that long: an interlock that shuts in time keeps a margin above 0, and one
that is late or set too high does not.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from cryoctl.core import Controller
from cryoctl_protocol.codes import DeviceState, Sensor
from cryoctl_simulator.device import SimulatedDevice
from cryoctl_simulator.firmware import Firmware

BOUNDS: Final = {
    "true_tip_cold": "SR-05: true tip against -100 C",
    "true_tip_hot": "SR-16: true tip against 60 C",
    "tip_floor": "SR-05: tip's reading for 0.10 s with the valve open, against the floor",
    "supply_pressure": "SR-18: supply's reading for 0.05 s with the supply open, against its trip",
    "tip_heater": "SR-16: tip's reading for 0.20 s with the heater on, against 43 C",
    "freeze_time": "SR-09: length of a freeze against 180.1 s",
    "time_to_safe": "expect.time_to_safe_ms_max",
    "coldest_tip": "expect.coldest_tip_c_min",
}
"""Every margin, and what it is measured against."""

TRUE_TIP_COLDEST_C: Final = -100.0
TRUE_TIP_HOTTEST_C: Final = 60.0
HEATER_TIP_MDEGC: Final = 43_000.0
FREEZE_MS_MAX: Final = 180_100.0
# So many ticks of 10 ms in a row last as long as the rule allows.
FLOOR_TICKS: Final = 11
SUPPLY_TICKS: Final = 6
HEATER_TICKS: Final = 21
_DIGITS: Final = 6
_FREEZE: Final = int(DeviceState.FREEZE)
_TIP: Final = int(Sensor.TIP)
_SUPPLY: Final = int(Sensor.SUPPLY_PRESSURE)


class Held:
    """The highest value that was there for so many looks in a row.

    Attributes:
        highest: None before there was one.
    """

    def __init__(self, looks: int) -> None:
        self.highest: float | None = None
        self._latest: deque[float] = deque(maxlen=looks)

    def look(self, value: float | None) -> None:
        """Take the next value; None breaks the row."""
        highest = self.highest
        if value is None or (highest is not None and value <= highest):
            self._latest.clear()
            return
        latest = self._latest
        latest.append(value)
        if len(latest) == latest.maxlen:
            self.highest = min(latest)


class Margins:
    """Watches a running world; ``look`` after every step of 10 ms."""

    def __init__(self) -> None:
        self._coldest_c = self._hottest_c = 0.0
        self._floor, self._floor_c = Held(FLOOR_TICKS), -1.0
        self._supply, self._trip_bar = Held(SUPPLY_TICKS), 1.0
        self._heater = Held(HEATER_TICKS)
        self._freeze_ms = 0

    def look(self, controller: Controller, device: SimulatedDevice) -> None:
        """Take the world as it is after a step."""
        tip_c = device.plant.tip_temp_c
        if tip_c < self._coldest_c:
            self._coldest_c = tip_c
        elif tip_c > self._hottest_c:
            self._hottest_c = tip_c
        firmware = device.firmware
        if firmware is not None and (
            firmware.state.outputs.shutoff_open or firmware.state.outputs.tip_heater_permille
        ):
            self._look_at_outputs(controller, device, firmware)

    def _look_at_outputs(
        self, controller: Controller, device: SimulatedDevice, firmware: Firmware
    ) -> None:
        s, reading = firmware.state, device.instruments.readings
        limits = controller.profile.limits
        self._floor_c, self._trip_bar = limits.tip_floor_c, limits.pressure_trip_bar
        out = s.outputs
        tip = None if reading.open_circuit & _TIP else float(reading.tip_mdegc)
        self._floor.look(-tip if tip is not None and out.valve_permille else None)
        self._heater.look(tip if out.tip_heater_permille else None)
        is_open = out.shutoff_open and not reading.open_circuit & _SUPPLY
        self._supply.look(float(reading.supply_mbar) if is_open else None)
        if s.state == _FREEZE and not device.research:
            self._freeze_ms = max(self._freeze_ms, s.freeze_ms)

    def found(self) -> dict[str, float]:
        """Return each margin: 1 is far away, 0 at the bound, less than 0 beyond it."""
        shares = {
            "true_tip_cold": self._coldest_c / TRUE_TIP_COLDEST_C,
            "true_tip_hot": self._hottest_c / TRUE_TIP_HOTTEST_C,
            "freeze_time": self._freeze_ms / FREEZE_MS_MAX,
        }
        for name, held, bound in (
            ("tip_floor", self._floor, -1000.0 * self._floor_c),
            ("supply_pressure", self._supply, 1000.0 * self._trip_bar),
            ("tip_heater", self._heater, HEATER_TIP_MDEGC),
        ):
            if held.highest is not None:
                shares[name] = held.highest / bound
        return {name: round(1.0 - share, _DIGITS) for name, share in shares.items()}
