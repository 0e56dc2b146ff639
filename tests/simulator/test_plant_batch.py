"""A batch of probes does what its probes do alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cryoctl_simulator.plant import Actuators, Plant
from cryoctl_simulator.plant_batch import BatchActuators, PlantBatch
from cryoctl_simulator.plant_parameters import (
    PlantParameters,
    Regulator,
    shipped_plant_parameters,
)
from cryoctl_simulator.scenario import (
    CartridgeTable,
    HandTable,
    NerveTable,
    Scenario,
    TissueTable,
)

COUNT = 10
SEEN = (
    "tip_temp_c",
    "saturation_temp_c",
    "supply_pressure_bar",
    "exhaust_pressure_bar",
    "exhaust_flow_mg_s",
    "skin_temp_c",
    "handle_temp_c",
    "battery_mv",
    "vented_g",
    "liquid_g",
    "heat_w",
)
CONSOLE = Regulator(pressure_bar=42.0, droop_bar=4.0, lag_s=0.5, fill_mg_s=60.0)


def scenarios() -> list[Scenario]:
    """Return probes that differ in all that a scenario can say."""
    no_nerve = NerveTable(present=False)
    many = []
    for number in range(COUNT):
        tissue = TissueTable(
            preset=("muscle", "gel_22c", "nerve_in_fat", "air", "meat")[number % 5],
            conductivity_w_m_k=0.4 + 0.02 * number,
        )
        cartridge = CartridgeTable(
            fill_g=1.2 if number == 3 else 16.0 - number,
            temp_c=8.0 + 3.0 * number,
            orientation="vapour" if number == 7 else "liquid",
            moisture_ppm=800.0 if number % 4 == 1 else 0.0,
        )
        hand = HandTable(conductance_w_k=0.3 if number % 2 else 0.0)
        many.append(Scenario(tissue=tissue, cartridge=cartridge, hand=hand, nerve=no_nerve))
    return many


def hardware(profile: str, **changed: Any) -> PlantParameters:
    return replace(shipped_plant_parameters(profile), **changed)


@pytest.mark.parametrize(
    "parameters",
    [
        hardware("n2o-20g"),
        hardware("n2o-27gx3", regulator=CONSOLE),
        hardware("co2-20g", orifice_flow_mg_s=76.0),
    ],
    ids=["n2o", "regulated", "plugging co2"],
)
def test_every_probe_of_a_batch_does_what_it_does_alone(parameters: PlantParameters) -> None:
    batch = PlantBatch(parameters, scenarios())
    singles = [Plant(parameters, scenario) for scenario in scenarios()]
    random = np.random.Generator(np.random.Philox(key=[7, 7]))
    together = BatchActuators.at_rest(COUNT)
    alone = [Actuators() for _ in range(COUNT)]

    for second in range(30):
        together.valve = random.choice([0.0, 0.01, 0.3, 1.0, 1.0, 1.0], COUNT)
        together.shutoff_open = random.random(COUNT) < 0.9
        together.tip_heater = np.where(random.random(COUNT) < 0.1, 0.8, 0.0)
        together.skin_warmer = random.random(COUNT)
        number = second % COUNT
        batch.exhaust_open_fraction[number] = 0.0 if 20 < second < 24 else 1.0
        batch.supply_leak_mg_s[number] = 5.0 if second % 7 == 0 else 0.0
        batch.tip_leak_fraction[number] = 0.2 if second % 11 == 0 else 0.0
        for index, (one, actuators) in enumerate(zip(singles, alone, strict=True)):
            actuators.valve = float(together.valve[index])
            actuators.shutoff_open = bool(together.shutoff_open[index])
            actuators.tip_heater = float(together.tip_heater[index])
            actuators.skin_warmer = float(together.skin_warmer[index])
            one.exhaust_open_fraction = float(batch.exhaust_open_fraction[index])
            one.supply_leak_mg_s = float(batch.supply_leak_mg_s[index])
            one.tip_leak_fraction = float(batch.tip_leak_fraction[index])
        for _ in range(100):
            batch.step(together)
            for one, actuators in zip(singles, alone, strict=True):
                one.step(actuators)
        for name in SEEN:
            expected = [getattr(one, name) for one in singles]
            assert getattr(batch, name).tolist() == pytest.approx(expected, rel=1e-6, abs=1e-5), (
                name
            )
        radii_mm = [one.ice_radius_mm for one in singles]
        assert batch.tissue.radius_mm.tolist() == pytest.approx(radii_mm, rel=1e-6, abs=1e-5)

    assert batch.tip_temp_c.min() < -40.0, "some of them must have frozen"


def test_no_gas_is_made_or_lost_in_a_batch() -> None:
    batch = PlantBatch(hardware("co2-20g", orifice_flow_mg_s=76.0), scenarios())
    before_g = batch.gas_g
    actuators = BatchActuators.at_rest(COUNT)
    actuators.valve[:] = 1.0
    actuators.shutoff_open[:] = True

    for _ in range(6000):
        batch.step(actuators)

    assert batch.gas_g.tolist() == pytest.approx(before_g.tolist(), rel=1e-9)
    assert batch.snow_mg.max() > 0.5, "dry ice must have been part of the books"


def test_a_batch_without_probes_is_refused() -> None:
    with pytest.raises(ValueError, match="scenarios is empty"):
        PlantBatch(hardware("n2o-20g"), [])


def test_a_batch_has_no_reference_model_and_says_whose_scenario_asks_for_it() -> None:
    slow = Scenario(tissue=TissueTable(model="reference"))

    with pytest.raises(ValueError, match=r"scenarios\[1\].tissue.model is 'reference'"):
        PlantBatch(hardware("n2o-20g"), [Scenario(), slow])
