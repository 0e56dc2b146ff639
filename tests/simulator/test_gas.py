"""The fits against CoolProp's own figures, and the two saturation curves against each other."""

from __future__ import annotations

import pytest

from cryoctl_simulator.gas import CO2, N2O, Gas

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
    assert gas.saturation_pressure_bar(temp_c) == pytest.approx(bar, rel=0.002)
    assert 1e3 * gas.liquid_density_g_ml(temp_c) == pytest.approx(liquid, rel=0.002)
    assert 1e3 * gas.vapour_density_g_ml(temp_c) == pytest.approx(vapour, rel=0.005)
    assert gas.latent_heat_j_g(temp_c) == pytest.approx(latent, abs=0.8)


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
