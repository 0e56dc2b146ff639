"""The handpiece's cell."""

from __future__ import annotations

import pytest

from cryoctl_simulator.battery import Battery, open_circuit_mv
from cryoctl_simulator.plant_parameters import shipped_plant_parameters


def test_the_curve_rises_with_the_charge() -> None:
    assert open_circuit_mv(0.0) == 3000.0
    assert open_circuit_mv(0.4) == 3720.0
    assert open_circuit_mv(0.7) == pytest.approx(3935.0)
    assert open_circuit_mv(1.0) == 4150.0


def test_one_watt_for_an_hour_takes_its_share_of_the_charge() -> None:
    battery = Battery(shipped_plant_parameters("n2o-20g"), 0.9)

    for _ in range(3600):
        battery.update(1.0, 1.0)

    # About 0.25 A of 1.1 Ah.
    assert battery.charge == pytest.approx(0.9 - 0.25 / 1.1, abs=0.02)


def test_the_voltage_drops_with_the_load_and_the_sag() -> None:
    battery = Battery(shipped_plant_parameters("n2o-20g"), 1.0)

    battery.update(0.1, 4.15)
    loaded_mv = battery.voltage_mv
    battery.sag_mv = 1500.0
    battery.update(0.1, 4.15)

    # 4.15 W at 4.026 V are 1.031 A, which lose 0.124 V in 0.12 ohm.
    assert loaded_mv == pytest.approx(4026.3, abs=0.1)
    assert battery.voltage_mv == pytest.approx(loaded_mv - 1500.0, abs=0.1)


def test_the_charge_that_leaves_carries_exactly_the_load() -> None:
    battery = Battery(shipped_plant_parameters("n2o-20g"), 0.8)

    for load_w in (0.3, 1.1, 3.6, 0.3):
        charge = battery.charge
        battery.update(0.1, load_w)
        coulombs = (charge - battery.charge) * 1100.0 * 3.6

        assert coulombs * 1e-3 * battery.voltage_mv == pytest.approx(load_w * 0.1, rel=1e-9)


def test_a_load_beyond_the_cell_gets_what_the_cell_can_give() -> None:
    battery = Battery(shipped_plant_parameters("n2o-20g"), 1.0)

    battery.update(0.1, 1000.0)

    assert battery.voltage_mv == pytest.approx(0.5 * 4150.0)


def test_an_empty_battery_stays_empty() -> None:
    battery = Battery(shipped_plant_parameters("n2o-20g"), 0.0)

    battery.update(10.0, 3.0)

    assert battery.charge == 0.0
