"""Heat drawn by the gas, against figures of CoolProp."""

from __future__ import annotations

import pytest

from cryoctl.gas_heat import DrawnHeat, available_heat_j_g, drawn_heat
from cryoctl_protocol.profile import Cooling
from tests.support.builders import a_freezing_sample

COOLING = Cooling(boiling_w_k=0.40, capacity_j_k=0.05, wetting_s=2.0)


# CoolProp 8: saturated liquid at the first temperature to saturated vapour at 1.013 bar.
@pytest.mark.parametrize(
    ("gas", "cartridge_c", "heat_j_g"),
    [
        ("N2O", 10.0, 186.0),
        ("N2O", 20.0, 160.0),
        ("N2O", 25.0, 145.0),
        ("N2O", 30.0, 128.0),
        ("CO2", 20.0, 167.0),
    ],
)
def test_liquid_can_take_up_what_coolprop_says(
    gas: str, cartridge_c: float, heat_j_g: float
) -> None:
    assert available_heat_j_g(gas, cartridge_c, 1.013) == pytest.approx(heat_j_g, abs=2.0)


def test_a_higher_exhaust_pressure_leaves_a_little_more_heat() -> None:
    assert available_heat_j_g("N2O", 20.0, 2.013) == pytest.approx(165.8, abs=2.0)


def drawn(freezing_s: float = 60.0, /, **sample: float | None) -> DrawnHeat | None:
    measured = {
        "tip_temp_c": -60.0,
        "exhaust_flow_mg_s": 26.0,
        "exhaust_pressure_bar": 1.25,
        "cartridge_temp_c": 20.0,
        **sample,
    }
    return drawn_heat("N2O", COOLING, a_freezing_sample(**measured), -60.0, freezing_s=freezing_s)


def test_the_film_passes_what_liquid_and_temperature_let_it() -> None:
    heat = drawn()

    # 26 mg/s x 162.3 J/g = 4.22 W; boiling at -84.8 C leaves 24.8 K x 0.4 W/K: 1 - exp(-2.35).
    assert heat is not None
    assert heat.heat_w == pytest.approx(3.82, abs=0.05)
    assert heat.per_k == pytest.approx(0.038, abs=0.003)


def test_hub_and_line_take_their_share_at_the_beginning() -> None:
    early, late = drawn(1.0), drawn(20.0)

    assert early is not None
    assert late is not None
    assert early.heat_w < 0.5 * late.heat_w


@pytest.mark.parametrize(
    "missing", ["exhaust_flow_mg_s", "exhaust_pressure_bar", "cartridge_temp_c"]
)
def test_without_one_of_its_sensors_nobody_knows(missing: str) -> None:
    assert drawn(**{missing: None}) is None


def test_no_flow_draws_nothing() -> None:
    assert drawn(exhaust_flow_mg_s=0.0) == DrawnHeat(0.0, 0.0)
