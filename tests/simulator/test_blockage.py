"""Snow and water ice at the orifice: where they plug it, where they do not, how they let go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from cryoctl_simulator.blockage import Blockage
from cryoctl_simulator.plant import Actuators, Plant
from cryoctl_simulator.plant_parameters import shipped_plant_parameters
from cryoctl_simulator.scenario import CartridgeTable, Scenario, TissueTable

OPEN = Actuators(valve=1.0, shutoff_open=True)
SHUT = Actuators()
AIR = Scenario(tissue=TissueTable(preset="air"))
FAT = Scenario(tissue=TissueTable(preset="nerve_in_fat"))


def co2_plant(scenario: Scenario | None = None, orifice_flow_mg_s: float = 38.0) -> Plant:
    parameters = shipped_plant_parameters("co2-20g")
    return Plant(replace(parameters, orifice_flow_mg_s=orifice_flow_mg_s), scenario or Scenario())


def wet_plant(ppm: float) -> Plant:
    scenario = Scenario(cartridge=CartridgeTable(moisture_ppm=ppm))
    return Plant(shipped_plant_parameters("n2o-20g"), scenario)


def run(probe: Plant, actuators: Actuators, seconds: float) -> None:
    for _ in range(round(100 * seconds)):
        probe.step(actuators)


def time_until(
    probe: Plant, actuators: Actuators, reached: Callable[[Plant], bool], limit_s: float = 200.0
) -> float:
    for tick in range(1, round(limit_s * 100) + 1):
        probe.step(actuators)
        if reached(probe):
            return tick * 0.01
    raise AssertionError(f"not reached within {limit_s} s")


def plugged(probe: Plant) -> bool:
    return probe.blockage.clear_fraction < 0.1


def books_g(probe: Plant) -> float:
    return probe.liquid_g + probe.vapour_g + probe.line_g + probe.stuck_g + probe.vented_g


def test_a_loaded_needle_sublimes_its_snow_however_long_it_is_open() -> None:
    probe = co2_plant()

    run(probe, OPEN, 180.0)

    assert probe.blockage.clear_fraction > 0.99
    assert probe.tip_temp_c < -69.0


@pytest.mark.parametrize("preset", ["muscle", "nerve_in_fat", "gel_22c", "water", "air"])
def test_a_regulated_tip_uses_up_its_snow_in_every_tissue(preset: str) -> None:
    probe = co2_plant(Scenario(tissue=TissueTable.model_validate({"preset": preset})))
    actuators = Actuators(shutoff_open=True)
    duty = 0.3
    for _ in range(7500):
        error_c = probe.tip_temp_c + 60.0
        if abs(error_c) < 5.0:
            duty = min(max(duty + 0.0002 * error_c, 0.0), 1.0)
        actuators.valve = min(max(duty + 0.06 * error_c, 0.0), 1.0)
        probe.step(actuators)

    assert probe.tip_temp_c == pytest.approx(-60.0, abs=1.5)
    assert probe.blockage.clear_fraction > 0.95


def test_in_air_the_open_valve_plugs_its_orifice_within_half_a_minute_or_so() -> None:
    plugged_s = time_until(co2_plant(AIR), OPEN, plugged)

    assert 15.0 < plugged_s < 40.0


@pytest.mark.parametrize(("scenario", "flow_mg_s"), [(FAT, 38.0), (None, 76.0)])
def test_too_much_gas_for_the_load_plugs_in_tissue_with_the_signature_of_an_occluded_orifice(
    scenario: Scenario | None, flow_mg_s: float
) -> None:
    probe = co2_plant(scenario, flow_mg_s)
    run(probe, OPEN, 15.0)
    assert probe.tip_temp_c < -67.0

    time_until(probe, OPEN, lambda p: p.tip_temp_c > -62.0)
    run(probe, OPEN, 2.0)
    after_2_s_c = probe.tip_temp_c
    run(probe, OPEN, 6.0)

    assert -42.0 < after_2_s_c < -9.0
    assert probe.tip_temp_c == pytest.approx(-12.0, abs=3.5)
    assert probe.supply_pressure_bar > 54.0
    assert probe.exhaust_pressure_bar == pytest.approx(1.013, abs=0.002)
    assert probe.exhaust_flow_mg_s < 3.0


def test_a_plug_holds_while_the_valve_is_open_and_goes_when_the_tip_is_warm() -> None:
    probe = co2_plant(FAT)
    time_until(probe, OPEN, plugged)
    run(probe, OPEN, 60.0)
    still_plugged = plugged(probe)

    clear_s = time_until(probe, SHUT, lambda p: p.blockage.clear_fraction == 1.0)
    run(probe, OPEN, 20.0)

    assert still_plugged
    assert 5.0 < clear_s < 30.0
    assert probe.tip_temp_c < -65.0


def test_above_the_triple_point_there_is_no_snow() -> None:
    probe = co2_plant(AIR)
    probe.exhaust_open_fraction = 0.15

    run(probe, OPEN, 60.0)

    assert probe.exhaust_pressure_bar > 5.2
    assert probe.stuck_g == 0.0


def test_nitrous_oxide_makes_no_snow() -> None:
    probe = Plant(shipped_plant_parameters("n2o-20g"), AIR)

    run(probe, OPEN, 120.0)

    assert probe.stuck_g == 0.0
    assert probe.blockage.clear_fraction == 1.0


def test_snow_that_sticks_is_missing_at_the_exhaust_and_comes_back() -> None:
    probe = co2_plant(AIR)
    start_g = books_g(probe)

    time_until(probe, OPEN, plugged)
    stuck_g = probe.stuck_g
    vented_g = probe.vented_g
    plugged_books_g = books_g(probe)
    time_until(probe, SHUT, lambda p: p.stuck_g == 0.0)

    assert stuck_g == pytest.approx(1e-3, rel=0.1)
    assert plugged_books_g == pytest.approx(start_g, rel=1e-12)
    assert books_g(probe) == pytest.approx(start_g, rel=1e-12)
    assert probe.vented_g > vented_g + stuck_g


def test_a_plug_draws_its_heat_from_the_tip() -> None:
    probe = co2_plant(FAT)
    time_until(probe, OPEN, plugged)
    run(probe, OPEN, 20.0)
    free = co2_plant(FAT)
    free.load(probe.save())
    free.blockage = Blockage()
    free._see_sides()

    run(probe, SHUT, 0.1)
    run(free, SHUT, 0.1)

    # 1 mW/K over nearly 70 K for 0.1 s, from 0.05 J/K; the ice gives some of it back.
    assert free.tip_temp_c - probe.tip_temp_c == pytest.approx(0.12, abs=0.03)


def test_a_trace_of_water_hardly_narrows_the_orifice_in_a_freeze() -> None:
    wet = wet_plant(80.0)
    dry = wet_plant(0.0)

    run(wet, OPEN, 60.0)
    run(dry, OPEN, 60.0)

    assert wet.blockage.clear_fraction > 0.8
    assert wet.tip_temp_c == pytest.approx(dry.tip_temp_c, abs=2.0)


def test_wet_gas_plugs_the_orifice_and_only_a_thaw_frees_it() -> None:
    probe = wet_plant(1000.0)
    start_g = books_g(probe)

    run(probe, OPEN, 60.0)
    frozen_c = probe.tip_temp_c
    ice_mg = probe.blockage.ice_mg
    time_until(probe, SHUT, lambda p: p.tip_temp_c > -1.0)
    still_mg = probe.blockage.ice_mg
    time_until(probe, SHUT, lambda p: p.stuck_g == 0.0, limit_s=300.0)

    assert frozen_c > -20.0
    assert ice_mg > 0.8
    assert still_mg >= ice_mg
    assert probe.tip_temp_c > 5.0
    assert books_g(probe) == pytest.approx(start_g, rel=1e-12)


def test_ice_is_no_more_than_the_water_that_came() -> None:
    probe = wet_plant(300.0)

    run(probe, OPEN, 20.0)

    assert 0.0 < probe.blockage.ice_mg <= 1e3 * probe.vented_g * 300e-6
