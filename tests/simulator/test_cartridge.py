"""The cartridge alone: pressure, liquid, cooling."""

from __future__ import annotations

import pytest

from cryoctl_simulator.cartridge import Cartridge
from cryoctl_simulator.gas import N2O


def cartridge(
    *, mass_g: float, temp_c: float, volume_ml: float = 21.5, steel_g: float = 45.0
) -> Cartridge:
    return Cartridge(
        gas=N2O,
        mass_g=mass_g,
        volume_ml=volume_ml,
        steel_g=steel_g,
        heat_transfer_w_k=0.15,
        temp_c=temp_c,
        ambient_temp_c=temp_c,
    )


def draw(source: Cartridge, *, liquid_mg_s: float, vapour_mg_s: float, seconds: int) -> None:
    for _ in range(10 * seconds):
        liquid_g = 1e-4 * liquid_mg_s
        vapour_g = 1e-4 * vapour_mg_s
        source.mass_g -= liquid_g + vapour_g
        source.update(0.1, liquid_drawn_g=liquid_g, vapour_drawn_g=vapour_g)


def test_pressure_is_no_fuel_gauge_while_liquid_is_left() -> None:
    pressures = [cartridge(mass_g=mass_g, temp_c=20.0).pressure_bar for mass_g in (16, 10, 3.5)]

    assert pressures == [pytest.approx(50.53, rel=0.001)] * 3


def test_without_liquid_the_pressure_falls_with_the_mass() -> None:
    half = cartridge(mass_g=0.5 * 0.158 * 21.5, temp_c=20.0)

    assert half.liquid_g == 0.0
    assert half.pressure_bar == pytest.approx(0.5 * 50.53, rel=0.005)


def test_liquid_and_vapour_are_all_there_is() -> None:
    full = cartridge(mass_g=16.0, temp_c=20.0)

    assert full.liquid_g + full.vapour_g == 16.0
    assert full.vapour_g / 0.158 + full.liquid_g / 0.7851 == pytest.approx(21.5, rel=0.003)


@pytest.mark.parametrize(
    ("temp_c", "bar"), [(24.0, 55.3), (26.0, 60.9), (30.0, 77.3), (40.0, 118.8)]
)
def test_a_warm_full_cartridge_goes_liquid_full(temp_c: float, bar: float) -> None:
    # CoolProp, isochore of 744 kg/m3.
    assert cartridge(mass_g=0.744 * 21.5, temp_c=temp_c).pressure_bar == pytest.approx(
        bar, rel=0.02
    )


def test_liquid_draw_cools_an_eight_gram_cartridge_by_five_kelvin_a_minute() -> None:
    small = cartridge(mass_g=8.0, temp_c=22.0, volume_ml=10.5, steel_g=25.0)

    draw(small, liquid_mg_s=60.0, vapour_mg_s=0.0, seconds=60)

    # An exact energy balance gives 17.3 C and 47.5 bar.
    assert small.temp_c == pytest.approx(17.3, abs=0.5)
    assert small.pressure_bar == pytest.approx(47.5, abs=0.5)


def test_vapour_draw_cools_it_five_times_as_much() -> None:
    small = cartridge(mass_g=8.0, temp_c=22.0, volume_ml=10.5, steel_g=25.0)

    draw(small, liquid_mg_s=0.0, vapour_mg_s=60.0, seconds=60)

    # An exact energy balance gives -2.1 C and 29.5 bar; the lumped heat capacity goes 4 K lower.
    assert small.temp_c == pytest.approx(-2.1, abs=4.0)
    assert small.pressure_bar == pytest.approx(29.5, abs=3.0)


def test_without_liquid_the_rest_cools_by_its_own_expansion() -> None:
    gas_only = cartridge(mass_g=3.0, temp_c=20.0)

    draw(gas_only, liquid_mg_s=0.0, vapour_mg_s=30.0, seconds=10)

    # 0.3 g x 32 J/g of expansion work, spread over steel and gas.
    assert gas_only.temp_c == pytest.approx(20.0 - 0.3 * 32.0 / (0.46 * 45.0 + 2.5 * 3.0), abs=0.1)


def test_it_warms_up_again_in_the_room() -> None:
    cold = cartridge(mass_g=8.0, temp_c=22.0)
    cold.temp_c = 10.0

    cold.update(60.0, liquid_drawn_g=0.0, vapour_drawn_g=0.0)

    assert cold.temp_c == pytest.approx(10.0 + 60.0 * 0.15 * 12.0 / (0.46 * 45.0 + 2.5 * 8.0))
