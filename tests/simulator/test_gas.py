"""The fits against a table and against CoolProp itself, and dry ice against its own sources."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import pytest

from cryoctl_simulator.gas import CO2, N2O, Gas

# One worker waits the seconds that CoolProp needs to be imported.
pytestmark = pytest.mark.xdist_group("CoolProp")

COOLPROP_NAMES = {"N2O": "NitrousOxide", "CO2": "CarbonDioxide"}
WARM = [(N2O, float(temp_c)) for temp_c in range(37)] + [(CO2, float(t)) for t in range(31)]


def ask(*question: str | float) -> float:
    """Return what CoolProp answers."""
    from CoolProp.CoolProp import PropsSI

    answer: Callable[..., float] = PropsSI
    return answer(*question)


def coolprop(gas: Gas, output: str, temp_c: float, quality: float) -> float:
    """Return a property of saturated liquid (quality 0) or vapour (1), in SI units."""
    name = COOLPROP_NAMES[gas.name]
    return ask(output, "T", temp_c + 273.15, "Q", quality, name)


def choked_flux_kg_m2_s(gas: Gas, temp_c: float, quality: float) -> float:
    """Return the largest mass flux of an expansion in homogeneous equilibrium without friction."""
    name = COOLPROP_NAMES[gas.name]
    start_pa = coolprop(gas, "P", temp_c, quality)
    start_j_kg = coolprop(gas, "H", temp_c, quality)
    entropy = coolprop(gas, "S", temp_c, quality)
    largest = 0.0
    for step in range(1, 120):
        throat_pa = start_pa * (1.0 - 0.005 * step)
        density = ask("D", "P", throat_pa, "S", entropy, name)
        fallen_j_kg = start_j_kg - ask("H", "P", throat_pa, "S", entropy, name)
        largest = max(largest, density * sqrt(2.0 * max(0.0, fallen_j_kg)))
    return largest


# (gas, temp_c, pressure bar, liquid kg/m3, vapour kg/m3, latent J/g), CoolProp 8.0.0.
SATURATED = [
    (N2O, 0.0, 31.22, 907.1, 85.2, 232.7),
    (N2O, 10.0, 40.01, 852.2, 114.9, 204.9),
    (N2O, 20.0, 50.53, 785.1, 158.0, 169.9),
    (N2O, 30.0, 63.08, 688.1, 232.7, 118.4),
    (CO2, 0.0, 34.85, 927.4, 97.7, 230.9),
    (CO2, 10.0, 45.02, 861.1, 135.2, 197.2),
    (CO2, 20.0, 57.29, 773.4, 194.2, 152.0),
    (CO2, 30.0, 72.14, 593.3, 345.1, 60.6),
]


@pytest.mark.parametrize(("gas", "temp_c", "bar", "liquid", "vapour", "latent"), SATURATED)
def test_saturated_properties_agree_with_the_property_library(
    gas: Gas, temp_c: float, *, bar: float, liquid: float, vapour: float, latent: float
) -> None:
    saturated_bar, liquid_g_ml, vapour_g_ml, liquid_j_g, latent_j_g = gas.saturated(temp_c)

    assert saturated_bar == pytest.approx(bar, rel=0.002)
    assert saturated_bar == gas.saturation_pressure_bar(temp_c)
    assert 1e3 * liquid_g_ml == pytest.approx(liquid, rel=0.002)
    assert 1e3 * vapour_g_ml == pytest.approx(vapour, rel=0.005)
    assert liquid_j_g == gas.liquid_enthalpy_j_g(temp_c)
    assert latent_j_g == pytest.approx(latent, abs=0.8)


# From the same table, where the others stand in full: N2O to 35 C, CO2 to 30 C.
@pytest.mark.parametrize(
    ("gas", "temp_c", "bar"),
    [
        (N2O, 5.0, 35.42),
        (N2O, 15.0, 45.04),
        (N2O, 25.0, 56.52),
        (N2O, 35.0, 70.31),
        (CO2, 5.0, 39.69),
        (CO2, 15.0, 50.87),
        (CO2, 25.0, 64.34),
    ],
)
def test_the_vapour_pressure_is_within_one_per_cent_of_the_table(
    gas: Gas, temp_c: float, bar: float
) -> None:
    assert gas.saturation_pressure_bar(temp_c) == pytest.approx(bar, rel=0.01)


@pytest.mark.parametrize(("gas", "temp_c"), WARM)
def test_the_cartridge_side_follows_the_property_library(gas: Gas, temp_c: float) -> None:
    bar, liquid_g_ml, vapour_g_ml, liquid_j_g, latent_j_g = gas.saturated(temp_c)
    exact_liquid_j_g = 1e-3 * coolprop(gas, "H", temp_c, 0.0)
    exact_latent_j_g = 1e-3 * coolprop(gas, "H", temp_c, 1.0) - exact_liquid_j_g

    assert bar == pytest.approx(1e-5 * coolprop(gas, "P", temp_c, 0.0), rel=0.01)
    # Half a degree below N2O's critical point the fits are worse; no cartridge may be so warm.
    near_critical = gas is N2O and temp_c > 34.0
    density = 0.02 if near_critical else 0.003
    assert 1e3 * liquid_g_ml == pytest.approx(coolprop(gas, "D", temp_c, 0.0), rel=density)
    assert 1e3 * vapour_g_ml == pytest.approx(coolprop(gas, "D", temp_c, 1.0), rel=density)
    heat_j_g = 3.0 if near_critical else 0.6
    assert liquid_j_g == pytest.approx(exact_liquid_j_g, abs=heat_j_g)
    assert latent_j_g == pytest.approx(exact_latent_j_g, abs=heat_j_g)


@pytest.mark.parametrize("gas", [N2O, CO2])
@pytest.mark.parametrize("temp_c", [0.0, 5.0, 10.0, 15.0, 20.0, 25.0])
def test_choked_flux_is_that_of_homogeneous_equilibrium(gas: Gas, temp_c: float) -> None:
    at_20_c = choked_flux_kg_m2_s(gas, 20.0, 0.0)

    liquid = choked_flux_kg_m2_s(gas, temp_c, 0.0) / at_20_c
    vapour = choked_flux_kg_m2_s(gas, temp_c, 1.0) / at_20_c

    assert gas.liquid_flux_factor(temp_c) == pytest.approx(liquid, rel=0.015)
    assert gas.vapour_flux_factor(temp_c) == pytest.approx(vapour, rel=0.06)


@pytest.mark.parametrize("cartridge_c", [5.0, 10.0, 20.0, 25.0, 30.0])
@pytest.mark.parametrize(
    ("gas", "exhaust_bar"), [(N2O, 1.013), (N2O, 2.0), (N2O, 6.0), (CO2, 5.3), (CO2, 6.0)]
)
def test_expansion_without_heat_leaves_the_vapour_that_the_property_library_says(
    gas: Gas, exhaust_bar: float, cartridge_c: float
) -> None:
    name = COOLPROP_NAMES[gas.name]
    start_j_kg = coolprop(gas, "H", cartridge_c, 0.0)
    quality = ask("Q", "P", 1e5 * exhaust_bar, "H", start_j_kg, name)

    flash = gas.flash(cartridge_c, exhaust_bar)

    assert flash.vapour == pytest.approx(quality, abs=0.003)
    assert flash.liquid == pytest.approx(1.0 - quality, abs=0.003)
    assert flash.solid == 0.0


def test_carbon_dioxide_at_one_atmosphere_is_snow() -> None:
    flash = CO2.flash(20.0, 1.013)

    assert CO2.available_heat_j_g(20.0, 1.013) == pytest.approx(167.0, rel=0.03)
    assert flash.solid == pytest.approx(0.29, rel=0.03)
    assert flash.liquid == 0.0
    assert flash.vapour == pytest.approx(0.71, rel=0.03)
    assert flash.temp_c == pytest.approx(-78.5, abs=0.5)


def test_carbon_dioxide_at_six_bar_is_liquid() -> None:
    flash = CO2.flash(20.0, 6.0)

    assert flash.solid == 0.0
    assert flash.vapour == pytest.approx(0.49, rel=0.03)
    assert flash.vapour + flash.liquid == 1.0
    assert flash.temp_c == pytest.approx(-53.0, abs=0.5)


def test_the_heat_of_sublimation_obeys_clausius_and_clapeyron() -> None:
    """The slope of the vapour pressure and the volume of the vapour give it a second time."""
    vapour_m3_kg = 1.0 / ask("D", "T", 205.0, "P|gas", 2.255e5, "CarbonDioxide")
    ice_m3_kg = 1.0 / 1550.0  # handbooks
    above, below = (1e5 * CO2.saturation_pressure_bar(205.0 - 273.15 + dt) for dt in (0.5, -0.5))

    heat_j_kg = 205.0 * (above - below) * (vapour_m3_kg - ice_m3_kg)

    assert 1e3 * CO2.condensed_heat_j_g(205.0 - 273.15) == pytest.approx(heat_j_kg, rel=0.03)


def test_nitrous_oxide_never_freezes() -> None:
    assert N2O.flash(20.0, 1.013).solid == 0.0
    assert N2O.flash(20.0, 1.013).vapour == pytest.approx(0.573, abs=0.002)


@pytest.mark.parametrize(
    ("gas", "bar", "temp_c"),
    [
        (N2O, 1.013, -88.47),
        (N2O, 1.5, -81.62),
        (N2O, 2.0, -76.22),
        (N2O, 3.0, -67.98),
        (N2O, 6.0, -51.94),
        (CO2, 1.013, -78.47),  # sublimation from here
        (CO2, 1.98, -70.0),
        (CO2, 4.09, -60.0),
        (CO2, 5.54, -55.0),  # boiling from here
        (CO2, 10.04, -40.0),
    ],
)
def test_the_tip_boils_at_the_saturation_temperature_of_the_exhaust_pressure(
    gas: Gas, bar: float, temp_c: float
) -> None:
    assert gas.saturation_temp_c(bar) == pytest.approx(temp_c, abs=0.1)


@pytest.mark.parametrize("gas", [N2O, CO2])
@pytest.mark.parametrize("bar", [1.013, 1.4, 2.5, 5.0, 5.3, 11.9, 12.1, 30.0, 50.0, 70.0])
def test_both_saturation_curves_are_inverse_to_each_other(gas: Gas, bar: float) -> None:
    assert gas.saturation_pressure_bar(gas.saturation_temp_c(bar)) == pytest.approx(bar, rel=0.003)


def test_carbon_dioxide_is_never_below_its_sublimation_temperature_above_one_atmosphere() -> None:
    temps_c = [CO2.saturation_temp_c(1.013 + 0.01 * step) for step in range(1000)]

    assert min(temps_c) > -78.5
    assert temps_c == sorted(temps_c)


@pytest.mark.parametrize(
    ("temp_c", "exhaust_bar", "heat_j_g"),
    [(10.0, 1.013, 185.7), (20.0, 1.013, 159.9), (20.0, 2.0, 166.9), (30.0, 1.013, 127.6)],
)
def test_heat_of_nitrous_oxide_agrees_with_the_property_library(
    temp_c: float, exhaust_bar: float, heat_j_g: float
) -> None:
    assert N2O.available_heat_j_g(temp_c, exhaust_bar) == pytest.approx(heat_j_g, abs=1.0)


def test_heat_of_carbon_dioxide_has_the_figures_of_snow_and_of_boiling() -> None:
    assert CO2.available_heat_j_g(20.0, 1.013) == pytest.approx(167.0, abs=0.5)
    assert CO2.available_heat_j_g(20.0, 6.0) == pytest.approx(175.8, abs=0.5)


def test_vapour_passes_the_orifice_at_little_more_than_half_the_mass_of_liquid() -> None:
    assert N2O.liquid_flux_factor(20.0) == 1.0
    assert N2O.liquid_flux_factor(30.0) == pytest.approx(32.29 / 29.12, rel=0.02)
    assert N2O.vapour_flux_factor(20.0) == pytest.approx(16.98 / 29.12, rel=0.01)
    assert CO2.vapour_flux_factor(20.0) == pytest.approx(19.81 / 31.70, rel=0.03)


def test_above_the_critical_point_the_curves_hold_their_last_value() -> None:
    assert N2O.saturation_pressure_bar(60.0) == N2O.saturation_pressure_bar(37.0)
    assert N2O.saturation_pressure_bar(60.0) == pytest.approx(72.0, abs=0.6)
    assert CO2.liquid_density_g_ml(60.0) == CO2.liquid_density_g_ml(32.0)
