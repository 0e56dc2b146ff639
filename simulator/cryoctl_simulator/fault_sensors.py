"""Faults of the sensors: rows of the catalogue, and how each falsifies a set of readings."""

from __future__ import annotations

from collections.abc import Callable
from math import cos, exp, log, pi, sqrt
from typing import Final

from cryoctl_protocol.codes import Sensor, Trip
from cryoctl_simulator.fault_row import (
    ARMED,
    CONTROLLER,
    EITHER,
    EVERY,
    FREEZE,
    IDLE,
    LATCHED,
    LEAK_TEST,
    PREWARM,
    PROBE,
    READY,
    SELF_TEST,
    STARTED,
    STIMULATE,
    TESTS,
    THAW,
    Fault,
    Group,
    Observable,
    Parameter,
    Present,
    found,
    latent,
    ticks,
)
from cryoctl_simulator.instruments import Readings

TICK_S: Final = 0.01
REFERENCE_FIELDS: Final = (
    "supply_mbar", "exhaust_mbar", "exhaust_flow_ug_s", "skin_mdegc", "cartridge_mdegc",
    "battery_mv",
)  # fmt: skip
"""What one converter measures against one reference; thermocouples have a front end."""


def _tc_open(readings: Readings, _present: Present) -> None:
    readings.open_circuit |= Sensor.TIP
    readings.tip_mdegc = 0  # An amplifier's rest position.


def _tc_short(readings: Readings, present: Present) -> None:
    # Wires that touch measure where they touch, here in the handle.
    readings.tip_mdegc = _milli(present.values["reads_c"])


def _drift(name: str) -> Callable[[Readings, Present], None]:
    """Return an effect that moves a temperature away from the truth, up to a limit."""

    def effect(readings: Readings, present: Present) -> None:
        rate_c_per_s, max_c = present.values["rate_c_per_s"], present.values["max_c"]
        off_c = rate_c_per_s * present.age_ticks * TICK_S
        off_c = max(-max_c, min(off_c, max_c))
        setattr(readings, name, getattr(readings, name) + _milli(off_c))

    return effect


def _still(name: str) -> Callable[[Readings, Present], None]:
    """Return an effect that repeats the first reading."""

    def effect(readings: Readings, present: Present) -> None:
        if present.kept is None:
            present.kept = getattr(readings, name)
        setattr(readings, name, present.kept)

    return effect


def _tc_noise(readings: Readings, present: Present) -> None:
    first, second = present.chances()
    normal = sqrt(-2.0 * log(1.0 - first)) * cos(2.0 * pi * second)  # Box and Muller
    readings.tip_mdegc += _milli(present.values["rms_c"] * normal)


def _tc_spike(readings: Readings, present: Present) -> None:
    if present.age_ticks % ticks(present.values["period_s"]) == 0:
        readings.tip_mdegc += _milli(present.values["size_c"])


def _tc_lag(readings: Readings, present: Present) -> None:
    lagging = readings.tip_mdegc if present.kept is None else present.kept
    lagging += (readings.tip_mdegc - lagging) * (1.0 - exp(-TICK_S / present.values["lag_s"]))
    present.kept = lagging
    readings.tip_mdegc = round(lagging)


def _pressure_offset(readings: Readings, present: Present) -> None:
    readings.supply_mbar = max(0, readings.supply_mbar + _milli(present.values["offset_bar"]))


def _open(sensor: Sensor) -> Callable[[Readings, Present], None]:
    """Return an effect that opens a sensor; its reading stays believable: only the flag tells."""

    def effect(readings: Readings, _present: Present) -> None:
        readings.open_circuit |= sensor

    return effect


def _skin_cold(readings: Readings, present: Present) -> None:
    if present.kept is None:
        present.kept = readings.skin_mdegc
    fallen = present.kept - _milli(present.values["rate_c_per_s"] * present.age_ticks * TICK_S)
    readings.skin_mdegc = max(round(fallen), _milli(present.values["coldest_c"]))


def _adc_reference(readings: Readings, present: Present) -> None:
    gain = 1.0 + present.values["gain_percent"] / 100.0
    for name in REFERENCE_FIELDS:
        setattr(readings, name, round(getattr(readings, name) * gain))


def _milli(value: float) -> int:
    return round(value * 1000.0)


_BELIEVABLE: Final = "the reading is believable, and nothing that is driven rests on it"
_G: Final = Group.SENSORS
_O: Final = Observable

SENSOR_FAULTS: Final = (
    Fault(
        fault_id="tc_open", group=_G, acts_on="tip",
        text="tip thermocouple open: reads 0 °C, with the open-circuit flag",
        hazards=("H-05", "H-08"), requirement="SR-11", trip=Trip.TIP_SENSOR,
        observable=_O.OPEN_CIRCUIT, readings=_tc_open,
        expected=(
            found(EVERY, PROBE, 100, "TIP_SENSOR"),
        ),
    ),
    Fault(
        fault_id="tc_short", group=_G, acts_on="tip",
        text="tip thermocouple shorted in the handle: reads the handle's temperature",
        hazards=("H-05", "H-07"), requirement="SR-11",
        parameters=(Parameter("reads_c", "°C", 25.0, -40.0, 80.0),),
        observable=_O.TIP_READING, readings=_tc_short,
        expected=(
            found(IDLE | SELF_TEST, PROBE, 0, "FAILED"),
            found(LEAK_TEST | READY | THAW, CONTROLLER, 0, "TIP_FROZEN_READING"),
            found(FREEZE, CONTROLLER, 1200, "TIP_FROZEN_READING"),
            found(STIMULATE, CONTROLLER, 0, "TIP_FROZEN_READING"),
            found(LATCHED, PROBE, 0, "FAILED"),
        ),
    ),
    Fault(
        fault_id="tc_drift", group=_G, acts_on="tip",
        text="tip reads ever warmer",
        hazards=("H-06", "H-02"), requirement="SR-12",
        parameters=(
            Parameter("rate_c_per_s", "°C/s", 0.5, -200.0, 200.0),
            Parameter("max_c", "°C", 40.0, 0.1, 100.0),
        ),
        observable=_O.TIP_READING, readings=_drift("tip_mdegc"),
        expected=(
            found(IDLE | TESTS, EITHER, 0, "HEATER", "NOT_EFFECTIVE"),
            found(READY | LATCHED | STIMULATE, EITHER, 0, "NOT_EFFECTIVE", "TIP_SENSOR", "FAILED"),
            latent(
                FREEZE | THAW,
                "a hold of 12 s ends before the drift is 8 °C; a longer one shows it",
            ),
        ),
    ),
    Fault(
        fault_id="tc_frozen", group=_G, acts_on="tip",
        text="tip reading stands still",
        hazards=("H-06", "H-02"), requirement="SR-12",
        observable=_O.TIP_READING, readings=_still("tip_mdegc"),
        expected=(
            found(IDLE | TESTS | READY, CONTROLLER, 0, "TIP_FROZEN_READING"),
            found(FREEZE, CONTROLLER, 1200, "TIP_FROZEN_READING"),
            found(THAW, CONTROLLER, 0, "THAW_TIMEOUT", "NOT_RELEASED"),
            found(STIMULATE, CONTROLLER, 0, "TIP_FROZEN_READING"),
            found(LATCHED, EITHER, 0, "NOT_RELEASED", "FAILED", "TIP_FROZEN_READING"),
        ),
    ),
    Fault(
        fault_id="tc_noise", group=_G, acts_on="tip",
        text="tip reading is noisy, as with a loose shield",
        hazards=("H-05",), requirement="SR-11", trip=Trip.TIP_SENSOR,
        parameters=(Parameter("rms_c", "°C", 8.0, 0.1, 50.0),),
        observable=_O.TIP_READING, readings=_tc_noise,
        expected=(
            found(EVERY, PROBE, 100, "TIP_SENSOR"),
        ),
    ),
    Fault(
        fault_id="tc_spike", group=_G, acts_on="tip",
        text="single samples of the tip are far off",
        hazards=("H-05",), requirement="SR-11",
        parameters=(
            Parameter("size_c", "°C", -40.0, -100.0, 100.0),
            Parameter("period_s", "s", 1.0, 0.01, 60.0),
        ),
        observable=_O.TIP_READING, readings=_tc_spike,
        expected=(
            latent(EVERY, "single bad samples are passed over, as they should be"),
        ),
    ),
    Fault(
        fault_id="tc_lag", group=_G, acts_on="tip",
        text="tip reading follows slowly, as with a thermocouple come loose in its well",
        hazards=("H-06", "H-02"), requirement="SR-12",
        parameters=(Parameter("lag_s", "s", 3.0, 0.1, 60.0),),
        observable=_O.TIP_READING, readings=_tc_lag,
        expected=(
            found(
                IDLE | TESTS | READY | FREEZE | THAW, CONTROLLER, 0, "TIP_FROZEN_READING",
                only="in a hold so quiet that the lag swallows the sensor's noise",
            ),
            found(LATCHED | STIMULATE, EITHER, 0, "TIP_FROZEN_READING", "FAILED"),
        ),
    ),
    Fault(
        fault_id="pressure_offset", group=_G, acts_on="supply",
        text="supply pressure reads too low or too high",
        hazards=("H-10", "H-13"), requirement="SR-18",
        parameters=(Parameter("offset_bar", "bar", -15.0, -80.0, 80.0),),
        observable=_O.SUPPLY_READING, readings=_pressure_offset,
        expected=(
            found(IDLE | SELF_TEST, CONTROLLER, 0, "REFUSED"),
            found(LEAK_TEST, EITHER, 0, "FAILED", "REFUSED"),
            found(READY | THAW, EITHER, 0, "COMMAND_FAILED"),
            found(FREEZE, CONTROLLER, 0, "GAS_LOW", "NOT_EFFECTIVE"),
            found(LATCHED | STIMULATE, CONTROLLER, 0, "REFUSED"),
        ),
    ),
    Fault(
        fault_id="pressure_frozen", group=_G, acts_on="supply",
        text="supply pressure reading stands still",
        hazards=("H-10", "H-11"), requirement="SR-43",
        observable=_O.SUPPLY_READING, readings=_still("supply_mbar"),
        expected=(
            found(IDLE | TESTS, EITHER, 0, "FAILED", "READING_FROZEN"),
            found(READY | THAW, CONTROLLER, 0, "READING_FROZEN"),
            found(FREEZE, CONTROLLER, 2200, "READING_FROZEN"),
            found(LATCHED | STIMULATE, EITHER, 0, "FAILED", "READING_FROZEN"),
        ),
    ),
    Fault(
        fault_id="flow_stuck", group=_G, acts_on="exhaust",
        text="exhaust flow reading stands still",
        hazards=("H-01", "H-12"), requirement="SR-43",
        observable=_O.FLOW_READING, readings=_still("exhaust_flow_ug_s"),
        expected=(
            found(IDLE | TESTS | READY | STIMULATE, CONTROLLER, 0, "READING_FROZEN"),
            found(FREEZE, CONTROLLER, 2200, "READING_FROZEN"),
            found(THAW | LATCHED, EITHER, 0, "READING_FROZEN", "VALVE_STUCK"),
        ),
    ),
    Fault(
        fault_id="skin_open", group=_G, acts_on="skin",
        text="skin sensor open",
        hazards=("H-09", "H-08"), requirement="SR-17",
        observable=_O.OPEN_CIRCUIT, readings=_open(Sensor.SKIN),
        expected=(
            found(IDLE | SELF_TEST, PROBE, 0, "FAILED"),
            found(LEAK_TEST, CONTROLLER, 0, "REFUSED"),
            found(ARMED | STARTED, EITHER, 0, "COMMAND_FAILED", "SKIN_COLD"),
            found(PREWARM | THAW, CONTROLLER, 0, "SKIN_COLD"),
            found(FREEZE, CONTROLLER, 700, "SKIN_COLD"),
            found(STIMULATE, CONTROLLER, 0, "REFUSED"),
            found(LATCHED, PROBE, 0, "FAILED"),
        ),
    ),
    Fault(
        fault_id="skin_drift", group=_G, acts_on="skin",
        text="skin reads ever warmer",
        hazards=("H-09",), requirement="SR-42",
        parameters=(
            Parameter("rate_c_per_s", "°C/s", 0.5, -50.0, 50.0),
            Parameter("max_c", "°C", 20.0, 0.1, 60.0),
        ),
        observable=_O.SKIN_READING, readings=_drift("skin_mdegc"),
        expected=(
            found(
                EVERY, EITHER, 0, "SKIN_HOT",
                only="once it reads over 43 °C: 20 s of drift at rest; warm skin is believable",
            ),
        ),
    ),
    Fault(
        fault_id="pressure_open", group=_G, acts_on="supply",
        text="supply pressure sensor open",
        hazards=("H-10",), requirement="SR-18", trip=Trip.SENSOR_OPEN,
        observable=_O.OPEN_CIRCUIT, readings=_open(Sensor.SUPPLY_PRESSURE),
        expected=(
            found(IDLE | TESTS, PROBE, 0, "FAILED"),
            found(READY | THAW, EITHER, 0, "COMMAND_FAILED"),
            found(FREEZE, EITHER, 150, "SENSOR_OPEN"),
            found(STIMULATE, CONTROLLER, 0, "REFUSED"),
            found(LATCHED, PROBE, 0, "FAILED"),
        ),
    ),
    Fault(
        fault_id="flow_open", group=_G, acts_on="exhaust",
        text="exhaust flow sensor open",
        hazards=("H-01", "H-11"), requirement="SR-18", trip=Trip.SENSOR_OPEN,
        observable=_O.OPEN_CIRCUIT, readings=_open(Sensor.EXHAUST_FLOW),
        expected=(
            found(IDLE | TESTS, PROBE, 0, "FAILED"),
            found(READY | THAW, EITHER, 0, "COMMAND_FAILED"),
            found(FREEZE, EITHER, 150, "SENSOR_OPEN"),
            found(STIMULATE, CONTROLLER, 0, "REFUSED"),
            found(LATCHED, PROBE, 0, "FAILED"),
        ),
    ),
    Fault(
        fault_id="skin_cold", group=_G, acts_on="skin",
        text="skin reading falls below freezing",
        hazards=("H-09",), requirement="SR-17",
        parameters=(
            Parameter("rate_c_per_s", "°C/s", 10.0, 0.1, 50.0),
            Parameter("coldest_c", "°C", -5.0, -40.0, 30.0),
        ),
        observable=_O.SKIN_READING, readings=_skin_cold,
        expected=(
            found(IDLE | TESTS | READY | THAW, CONTROLLER, 0, "SKIN_COLD"),
            found(FREEZE, CONTROLLER, 4000, "SKIN_COLD"),
            found(LATCHED | STIMULATE, CONTROLLER, 0, "SKIN_COLD"),
        ),
    ),
    Fault(
        fault_id="adc_reference", group=_G, acts_on="converter",
        text="the reference of the converter is off: all but thermocouples read too low or high",
        hazards=("H-06", "H-10", "H-23"), requirement="SR-36", trip=Trip.BATTERY,
        parameters=(Parameter("gain_percent", "%", -20.0, -50.0, 50.0),),
        observable=_O.BATTERY_READING, readings=_adc_reference,
        expected=(
            found(IDLE | TESTS, PROBE, 0, "FAILED", "BATTERY"),
            found(READY | THAW, PROBE, 0, "BATTERY", "REFUSED"),
            found(FREEZE | STIMULATE, PROBE, 500, "BATTERY"),
            found(LATCHED, PROBE, 0, "FAILED", "REFUSED"),
        ),
    ),
)  # fmt: skip
