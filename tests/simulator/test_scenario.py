"""Scenario files and hardware parameters."""

from __future__ import annotations

import pytest

from cryoctl_protocol.toml_text import FileError
from cryoctl_simulator.plant import Plant
from cryoctl_simulator.plant_parameters import shipped_plant_parameters
from cryoctl_simulator.scenario import TISSUES, Scenario, load_scenario, shipped_scenarios


def test_an_empty_file_is_the_default_scenario() -> None:
    scenario = load_scenario("", "empty.toml")

    assert scenario == Scenario()
    assert scenario.tissue.properties() == TISSUES["muscle"]
    assert scenario.ambient_temp_c == 22.0
    assert scenario.cartridge.fill_g is None


def test_a_file_changes_what_it_names() -> None:
    text = """
ambient_temp_c = 25.0
[tissue]
preset = "nerve_in_fat"
temp_c = 34.0
perfusion_kw_m3_k = 4.0
[nerve]
distance_mm = 2.5
[cartridge]
fill_g = 8.0
orientation = "vapour"
"""

    scenario = load_scenario(text, "mine.toml")

    properties = scenario.tissue.properties()
    assert properties.temp_c == 34.0
    assert properties.perfusion_w_m3_k == 4000.0
    assert properties.conductivity == TISSUES["nerve_in_fat"].conductivity
    assert scenario.nerve.distance_mm == 2.5
    probe = Plant(shipped_plant_parameters("n2o-20g"), scenario)
    assert probe.vapour_draw
    assert probe.liquid_g + probe.vapour_g + probe.line_g == pytest.approx(8.0)
    assert probe.cartridge_temp_c == 25.0
    assert probe.tip_temp_c == 34.0


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('[tissue]\npreset = "bone"', "mine.toml:2", "preset"),
        ("ambient_temp_c = 41.0", "mine.toml:1", "ambient_temp_c"),
        ("[cartridge]\n\nfill_g = 17", "mine.toml:3", "fill_g"),
        ("[cartridge]\nfil_g = 8", "mine.toml:2", "fill_g"),
        ("ambient_temp_c = nan", "mine.toml:1", "ambient_temp_c"),
    ],
)
def test_a_mistake_names_file_line_and_key(text: str, line: str, words: str) -> None:
    with pytest.raises(FileError) as caught:
        load_scenario(text, "mine.toml")

    assert line in str(caught.value)
    assert words in str(caught.value)


def test_limits_of_a_scenario_are_allowed_themselves() -> None:
    load_scenario("ambient_temp_c = 40.0\n[cartridge]\nfill_g = 16.5", "mine.toml")


@pytest.mark.parametrize("name", shipped_scenarios())
def test_every_shipped_scenario_loads_and_runs(name: str) -> None:
    scenario = load_scenario(shipped_scenarios()[name], f"{name}.toml")

    assert scenario.title != Scenario().title
    assert Plant(shipped_plant_parameters("n2o-20g"), scenario).supply_pressure_bar < 62.0


def test_the_usual_scenarios_are_shipped() -> None:
    assert {"muscle", "gel-bench", "low-gas", "warm-room"} <= set(shipped_scenarios())


@pytest.mark.parametrize("profile", ["n2o-20g", "n2o-27gx3", "co2-20g"])
def test_a_probe_at_rest_is_at_the_pressure_of_its_gas(profile: str) -> None:
    parameters = shipped_plant_parameters(profile)

    probe = Plant(parameters, Scenario())

    expected_bar = {"N2O": 52.85, "CO2": 60.02}[parameters.gas]
    assert probe.supply_pressure_bar == pytest.approx(expected_bar, abs=0.1)
    assert probe.exhaust_pressure_bar == 1.013
    assert 15.0 < 1e3 * parameters.valve_lag_s < 25.0
