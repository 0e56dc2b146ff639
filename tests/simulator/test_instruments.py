"""The sensors: what a firmware sees of the plant."""

from __future__ import annotations

from copy import copy
from itertools import pairwise
from statistics import fmean, pstdev

import pytest

from cryoctl_protocol.codes import Sensor
from cryoctl_simulator.instruments import Instruments, Readings, SensorFault, SensorName
from cryoctl_simulator.plant import Actuators, Plant
from cryoctl_simulator.plant_parameters import shipped_plant_parameters
from cryoctl_simulator.scenario import Scenario


def plant() -> Plant:
    return Plant(shipped_plant_parameters("n2o-20g"), Scenario())


def readings_of(instruments: Instruments, probe: Plant, count: int) -> list[Readings]:
    return [copy(instruments.read(probe)) for _ in range(count)]


def test_readings_are_the_plants_values_in_the_units_of_the_wire() -> None:
    probe = plant()

    seen = readings_of(Instruments(seed=1), probe, 1000)

    assert fmean(r.tip_mdegc for r in seen) == pytest.approx(37_000, abs=30)
    assert fmean(r.tip_2_mdegc for r in seen) == pytest.approx(37_000, abs=30)
    assert fmean(r.skin_mdegc for r in seen) == pytest.approx(33_000, abs=20)
    assert fmean(r.supply_mbar for r in seen) == pytest.approx(52_850, abs=50)
    assert fmean(r.exhaust_mbar for r in seen) == pytest.approx(1_013, abs=2)
    assert fmean(r.cartridge_mdegc for r in seen) == pytest.approx(22_000, abs=20)
    assert fmean(r.battery_mv for r in seen) == pytest.approx(probe.battery_mv, abs=2)
    assert max(r.exhaust_flow_ug_s for r in seen) < 1_000
    assert {r.button for r in seen} == {0}
    assert {r.open_circuit for r in seen} == {0}


def test_every_reading_is_an_integer() -> None:
    seen = Instruments(seed=1).read(plant())

    for field in Readings.__slots__:
        assert type(getattr(seen, field)) is int


def test_the_tip_has_the_noise_and_the_quantum_of_its_front_end() -> None:
    seen = [r.tip_mdegc for r in readings_of(Instruments(seed=3), plant(), 4000)]

    assert pstdev(seen) == pytest.approx(150, rel=0.05)
    # 1/128 C, cut to whole milli-degrees.
    assert all(value == round(value / 7.8125) * 125 // 16 for value in seen)


@pytest.mark.parametrize("true_c", [-60.0, 0.0, 37.0])
def test_rounding_is_alike_above_and_below_zero(true_c: float) -> None:
    probe = plant()
    probe.tip_temp_c = true_c

    seen = [r.tip_mdegc for r in readings_of(Instruments(seed=3), probe, 4000)]

    assert fmean(seen) == pytest.approx(1e3 * true_c, abs=10)


def test_the_tip_lags_by_a_quarter_of_a_second() -> None:
    probe = plant()
    instruments = Instruments(seed=1)
    instruments.set_fault(SensorName.TIP, SensorFault(noise_factor=0.0))
    instruments.read(probe)
    probe.tip_temp_c = -63.0

    seen = readings_of(instruments, probe, 25)

    assert seen[-1].tip_mdegc == pytest.approx(37_000 - 63_210, abs=300)


def test_a_loaded_cooling_rate_of_45_c_per_s_stays_visible() -> None:
    probe = plant()
    instruments = Instruments(seed=1)
    for tick in range(200):
        probe.tip_temp_c = 37.0 - 0.45 * tick
        instruments.read(probe)
    early = copy(instruments.readings)
    for tick in range(200, 300):
        probe.tip_temp_c = 37.0 - 0.45 * tick
        instruments.read(probe)

    assert instruments.readings.tip_mdegc - early.tip_mdegc == pytest.approx(-45_000, abs=900)


def test_no_step_between_two_samples_looks_like_a_sensor_fault() -> None:
    probe = Plant(shipped_plant_parameters("n2o-27gx3"), Scenario())
    instruments = Instruments(seed=5)
    tips = []
    for tick in range(9000):
        is_open = tick % 3000 < 1500
        probe.step(Actuators(valve=1.0 if is_open else 0.0, shutoff_open=is_open))
        tips.append(instruments.read(probe).tip_mdegc)

    steps = [abs(after - before) for before, after in pairwise(tips)]

    # 250 C/s is 2500 mC from one 10 ms sample to the next.
    assert max(steps) < 2500


def test_the_slow_sensors_move_every_tenth_tick() -> None:
    seen = readings_of(Instruments(seed=1), plant(), 1000)

    changes = [
        tick
        for tick in range(1, 1000)
        if seen[tick].cartridge_mdegc != seen[tick - 1].cartridge_mdegc
    ]

    assert changes
    assert all(tick % 10 == 0 for tick in changes)


def test_pressures_and_flow_never_read_below_zero() -> None:
    probe = Plant(
        shipped_plant_parameters("n2o-20g"), Scenario.model_validate({"cartridge": {"fill_g": 0.0}})
    )

    seen = readings_of(Instruments(seed=1), probe, 500)

    assert min(r.supply_mbar for r in seen) == 0
    assert min(r.exhaust_flow_ug_s for r in seen) == 0


def test_the_button_is_passed_on() -> None:
    instruments = Instruments(seed=1)
    instruments.button = 1

    assert instruments.read(plant()).button == 1


def test_seeds_differ_and_repeat() -> None:
    probe = plant()

    first = readings_of(Instruments(seed=1), probe, 300)

    assert readings_of(Instruments(seed=1), probe, 300) == first
    assert readings_of(Instruments(seed=2), probe, 300) != first


FIELDS = {
    SensorName.TIP: ("tip_mdegc", Sensor.TIP),
    SensorName.TIP_2: ("tip_2_mdegc", Sensor.TIP_2),
    SensorName.SKIN: ("skin_mdegc", Sensor.SKIN),
    SensorName.SUPPLY_PRESSURE: ("supply_mbar", Sensor.SUPPLY_PRESSURE),
    SensorName.EXHAUST_PRESSURE: ("exhaust_mbar", Sensor.EXHAUST_PRESSURE),
    SensorName.EXHAUST_FLOW: ("exhaust_flow_ug_s", Sensor.EXHAUST_FLOW),
    SensorName.CARTRIDGE_TEMP: ("cartridge_mdegc", Sensor.CARTRIDGE_TEMP),
    SensorName.BATTERY: ("battery_mv", Sensor.BATTERY),
}


@pytest.mark.parametrize("name", SensorName)
def test_a_fault_touches_its_own_sensor_only_and_heals(name: SensorName) -> None:
    probe = plant()
    field, bit = FIELDS[name]
    healthy = Instruments(seed=1)
    faulty = Instruments(seed=1)

    for fault, value, bits in (
        (SensorFault(held=1234), lambda _: 1234, 0),
        (SensorFault(offset=-321), lambda reading: reading - 321, 0),
        (SensorFault(open_circuit=True), lambda _: 0, int(bit)),
        (SensorFault(), lambda reading: reading, 0),
    ):
        faulty.set_fault(name, fault)
        expected = copy(healthy.read(probe))
        setattr(expected, field, value(getattr(expected, field)))
        expected.open_circuit = bits
        assert faulty.read(probe) == expected


def test_extra_noise_and_extra_lag_are_what_they_say() -> None:
    probe = plant()
    noisy = Instruments(seed=1)
    noisy.set_fault(SensorName.TIP, SensorFault(noise_factor=5.0))
    slow = Instruments(seed=1)
    slow.set_fault(SensorName.TIP, SensorFault(lag_factor=10.0))
    slow.read(probe)

    spread = pstdev(r.tip_mdegc for r in readings_of(noisy, probe, 3000))
    probe.tip_temp_c = -63.0
    lagging = readings_of(slow, probe, 250)[-1].tip_mdegc

    assert spread == pytest.approx(750, rel=0.07)
    assert lagging == pytest.approx(37_000 - 63_210, abs=800)


@pytest.mark.parametrize("ticks", [0, 1, 249, 250, 333])
def test_a_loaded_copy_continues_identically(ticks: int) -> None:
    probe = plant()
    original = Instruments(seed=9)
    original.set_fault(SensorName.SKIN, SensorFault(offset=500))
    readings_of(original, probe, ticks)
    twin = Instruments(seed=9)

    twin.load(original.save())

    assert readings_of(twin, probe, 600) == readings_of(original, probe, 600)
