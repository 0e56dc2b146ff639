"""Wire integers to engineering units, and sensors that a device does not have."""

from __future__ import annotations

import pytest

from cryoctl.sample import Sample, to_sample
from cryoctl_protocol.codes import DeviceState, Sensor, Trip
from cryoctl_protocol.messages import Telemetry

WIRE = Telemetry(
    device_ms=123_456,
    state=DeviceState.FREEZE,
    trip=Trip.NONE,
    open_circuit=0,
    tip_mdegc=-60_125,
    tip_2_mdegc=-58_000,
    skin_mdegc=31_500,
    supply_mbar=50_600,
    exhaust_mbar=1_450,
    exhaust_flow_ug_s=31_250,
    cartridge_mdegc=18_750,
    battery_mv=3_900,
    button=1,
    setpoint_mdegc=-60_000,
    valve_permille=700,
    shutoff_open=1,
    tip_heater_permille=250,
    skin_warmer_permille=500,
    led=1,
    beeper=0,
    stimulus_ua=1_250,
    stimulus_hz=2,
    stimulus_pulse_us=100,
    stimulus_response=1,
    freeze_ms=12_340,
    thaw_energy_mj=1_500,
    lease_left_ms=280,
    event_count=7,
)
EVERY_SENSOR = 0b11_1111_1111
BESIDE_THE_TIP = [
    (Sensor.TIP_2, "tip_2_temp_c"),
    (Sensor.SKIN, "skin_temp_c"),
    (Sensor.SUPPLY_PRESSURE, "supply_pressure_bar"),
    (Sensor.EXHAUST_PRESSURE, "exhaust_pressure_bar"),
    (Sensor.EXHAUST_FLOW, "exhaust_flow_mg_s"),
    (Sensor.CARTRIDGE_TEMP, "cartridge_temp_c"),
    (Sensor.BATTERY, "battery_v"),
    (Sensor.RESPONSE, "stimulus_response"),
]


def test_every_field_has_its_unit() -> None:
    sample = to_sample(WIRE, EVERY_SENSOR)

    assert sample._asdict() == pytest.approx(
        {
            "device_ms": 123_456,
            "state": 6,
            "trip": 0,
            "open_circuit": 0,
            "tip_temp_c": -60.125,
            "tip_2_temp_c": -58.0,
            "skin_temp_c": 31.5,
            "supply_pressure_bar": 50.6,
            "exhaust_pressure_bar": 1.45,
            "exhaust_flow_mg_s": 31.25,
            "cartridge_temp_c": 18.75,
            "battery_v": 3.9,
            "button": 1,
            "setpoint_c": -60.0,
            "valve": 0.7,
            "shutoff_open": 1,
            "tip_heater": 0.25,
            "skin_warmer": 0.5,
            "led": 1,
            "beeper": 0,
            "stimulus_ma": 1.25,
            "stimulus_hz": 2,
            "stimulus_pulse_ms": 0.1,
            "stimulus_response": 1,
            "freeze_s": 12.34,
            "thaw_energy_j": 1.5,
            "lease_left_s": 0.28,
            "event_count": 7,
        },
        rel=1e-12,
    )


@pytest.mark.parametrize(("sensor", "name"), [(Sensor.TIP, "tip_temp_c"), *BESIDE_THE_TIP])
def test_a_sensor_the_device_lacks_reads_none_and_the_others_stay(
    sensor: Sensor, name: str
) -> None:
    whole = to_sample(WIRE, EVERY_SENSOR)

    sample = to_sample(WIRE, EVERY_SENSOR & ~sensor)

    assert sample == whole._replace(**{name: None})  # type: ignore[arg-type]


@pytest.mark.parametrize(("sensor", "name"), BESIDE_THE_TIP)
def test_what_an_open_sensor_reads_is_not_believed(sensor: Sensor, name: str) -> None:
    wire = WIRE._replace(open_circuit=int(sensor))

    sample = to_sample(wire, EVERY_SENSOR)

    whole = to_sample(WIRE, EVERY_SENSOR)
    assert sample == whole._replace(**{"open_circuit": int(sensor), name: None})  # type: ignore[arg-type]


def test_an_open_tip_keeps_its_reading_for_the_interlocks_to_judge() -> None:
    sample = to_sample(WIRE._replace(open_circuit=int(Sensor.TIP)), EVERY_SENSOR)

    assert sample.tip_temp_c == pytest.approx(-60.125)


def test_a_device_without_sensors_still_tells_its_state_and_outputs() -> None:
    sample = to_sample(WIRE, 0)

    missing = [name for name, value in zip(Sample._fields, sample, strict=True) if value is None]
    assert len(missing) == 9
    assert (sample.state, sample.device_ms) == (DeviceState.FREEZE, 123_456)
    assert sample.valve == pytest.approx(0.7)


def test_unknown_sensor_bits_of_a_later_device_change_nothing() -> None:
    assert to_sample(WIRE, EVERY_SENSOR | 1 << 20) == to_sample(WIRE, EVERY_SENSOR)
