"""The probe's sensors: lag, noise, quantisation, faults; out come the integers a firmware sees."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from enum import StrEnum
from math import exp
from typing import Final

from cryoctl_protocol.codes import Sensor
from cryoctl_simulator.noise import NoiseStream
from cryoctl_simulator.plant import SLOW_TICKS, TICK_S, Plant

BLOCK_TICKS: Final = 250  # a multiple of SLOW_TICKS: the slow converter never misses its turn
STREAM: Final = 1
ROUNDING_C: Final = 65536  # added before and taken off after truncation: rounds negatives alike
_HALF_UP_C: Final = ROUNDING_C + 0.5

# Tip thermocouples: first order 0.25 s, 0.15 C rms, 1/128 C as of a MAX31856-type front end.
TIP_LAG_S: Final = 0.25
TIP_NOISE_C: Final = 0.15
TIP_COUNTS_PER_C: Final = 128.0
# Pressure and flow: typical of small MEMS parts, assumed.
SUPPLY_LAG_S: Final = 0.02
SUPPLY_NOISE_BAR: Final = 0.03
SUPPLY_MAX_MBAR: Final = 160_000
EXHAUST_LAG_S: Final = 0.01
EXHAUST_NOISE_BAR: Final = 0.003
FLOW_LAG_S: Final = 0.05
FLOW_NOISE_MG_S: Final = 0.15
FLOW_STEP_UG_S: Final = 10
_FLOW_STEPS_PER_MG_S: Final = 1e3 / FLOW_STEP_UG_S
# Thermistors and battery are read by a slow converter, every tenth tick; assumed.
THERMISTOR_LAG_S: Final = 1.0
THERMISTOR_NOISE_C: Final = 0.02
THERMISTOR_STEP_MDEGC: Final = 10
BATTERY_LAG_S: Final = 0.05
BATTERY_NOISE_MV: Final = 2.0


@dataclass(slots=True)
class Readings:
    """What the sensors say at one tick; the same object every time, overwritten."""

    tip_mdegc: int = 0
    tip_2_mdegc: int = 0
    skin_mdegc: int = 0
    supply_mbar: int = 0
    exhaust_mbar: int = 0
    exhaust_flow_ug_s: int = 0
    cartridge_mdegc: int = 0
    battery_mv: int = 0
    button: int = 0
    stimulus_response: int = 0
    """``StimulusResponse``, as a patient's button or electrodes on a muscle would tell it."""
    open_circuit: int = 0
    """One bit per sensor, as in ``cryoctl_protocol.codes.Sensor``."""


class SensorName(StrEnum):
    """The sensors, in the order of the noise columns: the fast ones first."""

    TIP = "tip"
    TIP_2 = "tip_2"
    SUPPLY_PRESSURE = "supply_pressure"
    EXHAUST_PRESSURE = "exhaust_pressure"
    EXHAUST_FLOW = "exhaust_flow"
    SKIN = "skin"
    CARTRIDGE_TEMP = "cartridge_temp"
    BATTERY = "battery"


@dataclass(frozen=True, slots=True)
class SensorFault:
    """How a sensor misbehaves; the defaults are a healthy one.

    Attributes:
        held: Reading that never changes, in the unit of ``Readings``.
        offset: Added to the reading, in the unit of ``Readings``.
        open_circuit: The front end reports a broken wire; the reading is 0.
        noise_factor: On the noise.
        lag_factor: On the time constant.
    """

    held: int | None = None
    offset: int = 0
    open_circuit: bool = False
    noise_factor: float = 1.0
    lag_factor: float = 1.0


@dataclass(frozen=True, slots=True)
class _Channel:
    field: str
    bit: Sensor
    lag_s: float
    noise: float
    per_unit: float
    """Unit of ``Readings`` per unit of the plant."""
    period_s: float


_SLOW_S: Final = TICK_S * SLOW_TICKS
_CHANNELS: Final = {
    SensorName.TIP: _Channel("tip_mdegc", Sensor.TIP, TIP_LAG_S, TIP_NOISE_C, 1e3, TICK_S),
    SensorName.TIP_2: _Channel("tip_2_mdegc", Sensor.TIP_2, TIP_LAG_S, TIP_NOISE_C, 1e3, TICK_S),
    SensorName.SUPPLY_PRESSURE: _Channel(
        "supply_mbar", Sensor.SUPPLY_PRESSURE, SUPPLY_LAG_S, SUPPLY_NOISE_BAR, 1e3, TICK_S
    ),
    SensorName.EXHAUST_PRESSURE: _Channel(
        "exhaust_mbar", Sensor.EXHAUST_PRESSURE, EXHAUST_LAG_S, EXHAUST_NOISE_BAR, 1e3, TICK_S
    ),
    SensorName.EXHAUST_FLOW: _Channel(
        "exhaust_flow_ug_s", Sensor.EXHAUST_FLOW, FLOW_LAG_S, FLOW_NOISE_MG_S, 1e3, TICK_S
    ),
    SensorName.SKIN: _Channel(
        "skin_mdegc", Sensor.SKIN, THERMISTOR_LAG_S, THERMISTOR_NOISE_C, 1e3, _SLOW_S
    ),
    SensorName.CARTRIDGE_TEMP: _Channel(
        "cartridge_mdegc", Sensor.CARTRIDGE_TEMP, THERMISTOR_LAG_S, THERMISTOR_NOISE_C, 1e3, _SLOW_S
    ),
    SensorName.BATTERY: _Channel(
        "battery_mv", Sensor.BATTERY, BATTERY_LAG_S, BATTERY_NOISE_MV, 1.0, _SLOW_S
    ),
}
_ORDER: Final = tuple(SensorName)


class Instruments:
    """All sensors of one probe.

    Attributes:
        readings: The last set.
        button: 1 while the handpiece button is pressed.
    """

    __slots__ = (
        "_block",
        "_fast",
        "_faults",
        "_noise",
        "_row",
        "_rows",
        "_slow",
        "_slow_values",
        "_steps",
        "button",
        "readings",
    )

    def __init__(self, *, seed: int) -> None:
        self._noise = NoiseStream(seed, STREAM, [_CHANNELS[name].noise for name in _ORDER])
        self._steps = [_step(_CHANNELS[name], 1.0) for name in _ORDER]
        self._fast: tuple[float, ...] = ()
        self._slow_values: tuple[float, ...] = ()
        self._slow = (0, 0, 0)
        self._faults: dict[SensorName, SensorFault] = {}
        self._rows: list[list[float]] = []
        self._row = 0
        self._block = 0
        self.button = 0
        self.readings = Readings()

    def set_fault(self, name: SensorName, fault: SensorFault) -> None:
        """Make a sensor misbehave; ``SensorFault()`` heals it."""
        if fault == SensorFault():
            self._faults.pop(name, None)
        else:
            self._faults[name] = fault
        self._steps[_ORDER.index(name)] = _step(_CHANNELS[name], fault.lag_factor)

    def read(self, plant: Plant) -> Readings:
        """Sample every sensor; to be called once a tick, after the plant has moved."""
        row = self._row
        if row == len(self._rows):
            self._next_block(plant)
            row = 0
        self._row = row + 1
        noise = self._rows[row]
        readings = self.readings
        tip_c, tip_2_c, supply_bar, exhaust_bar, flow_mg_s = self._fast
        tip_step, tip_2_step, supply_step, exhaust_step, flow_step, _, _, _ = self._steps
        tip_noise, tip_2_noise, supply_noise, exhaust_noise, flow_noise, _, _, _ = noise

        tip_c += (plant.tip_temp_c - tip_c) * tip_step
        counts = int((tip_c + tip_noise) * TIP_COUNTS_PER_C + _HALF_UP_C) - ROUNDING_C
        readings.tip_mdegc = counts * 125 >> 4  # 1000 / 128

        tip_2_c += (plant.tip_2_temp_c - tip_2_c) * tip_2_step
        counts = int((tip_2_c + tip_2_noise) * TIP_COUNTS_PER_C + _HALF_UP_C) - ROUNDING_C
        readings.tip_2_mdegc = counts * 125 >> 4

        supply_bar += (plant.supply_pressure_bar - supply_bar) * supply_step
        mbar = int((supply_bar + supply_noise) * 1e3)
        if mbar < 0:
            mbar = 0
        elif mbar > SUPPLY_MAX_MBAR:
            mbar = SUPPLY_MAX_MBAR
        readings.supply_mbar = mbar

        exhaust_bar += (plant.exhaust_pressure_bar - exhaust_bar) * exhaust_step
        readings.exhaust_mbar = int((exhaust_bar + exhaust_noise) * 1e3)

        flow_mg_s += (plant.exhaust_flow_mg_s - flow_mg_s) * flow_step
        flow = int((flow_mg_s + flow_noise) * _FLOW_STEPS_PER_MG_S)
        readings.exhaust_flow_ug_s = flow * FLOW_STEP_UG_S if flow > 0 else 0

        self._fast = (tip_c, tip_2_c, supply_bar, exhaust_bar, flow_mg_s)
        if row % SLOW_TICKS == 0:
            self._read_slow(plant, noise)
        readings.skin_mdegc, readings.cartridge_mdegc, readings.battery_mv = self._slow
        readings.button = self.button
        readings.stimulus_response = plant.stimulus_response
        readings.open_circuit = 0
        if self._faults:
            self._falsify(noise)
        return readings

    def _read_slow(self, plant: Plant, noise: list[float]) -> None:
        skin_c, cartridge_c, battery_mv = self._slow_values
        skin_step, cartridge_step, battery_step = self._steps[-3:]
        skin_noise, cartridge_noise, battery_noise = noise[-3:]
        skin_c += (plant.skin_temp_c - skin_c) * skin_step
        cartridge_c += (plant.cartridge_temp_c - cartridge_c) * cartridge_step
        battery_mv += (plant.battery_mv - battery_mv) * battery_step
        self._slow_values = (skin_c, cartridge_c, battery_mv)
        per_step = 1e3 / THERMISTOR_STEP_MDEGC
        self._slow = (
            round((skin_c + skin_noise) * per_step) * THERMISTOR_STEP_MDEGC,
            round((cartridge_c + cartridge_noise) * per_step) * THERMISTOR_STEP_MDEGC,
            round(battery_mv + battery_noise),
        )

    def _next_block(self, plant: Plant) -> None:
        if not self._fast:
            self._fast = (
                plant.tip_temp_c,
                plant.tip_2_temp_c,
                plant.supply_pressure_bar,
                plant.exhaust_pressure_bar,
                plant.exhaust_flow_mg_s,
            )
            self._slow_values = (plant.skin_temp_c, plant.cartridge_temp_c, plant.battery_mv)
        self._rows = self._noise.block(self._block, BLOCK_TICKS)
        self._block += 1

    def _falsify(self, noise: list[float]) -> None:
        readings = self.readings
        for name, fault in self._faults.items():
            channel = _CHANNELS[name]
            if fault.open_circuit:
                readings.open_circuit |= int(channel.bit)
                setattr(readings, channel.field, 0)
            elif fault.held is not None:
                setattr(readings, channel.field, fault.held)
            else:
                more = (fault.noise_factor - 1.0) * noise[_ORDER.index(name)] * channel.per_unit
                reading = getattr(readings, channel.field) + fault.offset + round(more)
                setattr(readings, channel.field, reading)

    def save(self) -> bytes:
        """Return the whole state; valid for this version of the program only."""
        return pickle.dumps(
            (
                self._fast,
                self._slow_values,
                self._steps,
                self._slow,
                self._faults,
                self._row,
                self._block,
                self.button,
            )
        )

    def load(self, data: bytes) -> None:
        """Take over a state that ``save`` returned; the noise is drawn again from its counter."""
        (
            self._fast,
            self._slow_values,
            self._steps,
            self._slow,
            self._faults,
            self._row,
            self._block,
            self.button,
        ) = pickle.loads(data)
        self._rows = self._noise.block(self._block - 1, BLOCK_TICKS) if self._block else []


def _step(channel: _Channel, lag_factor: float) -> float:
    """Return the share of the way to the true value that one sample goes."""
    return 1.0 - exp(-channel.period_s / (channel.lag_s * lag_factor))
