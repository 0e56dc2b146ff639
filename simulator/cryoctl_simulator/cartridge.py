"""The gas cartridge: saturation pressure while liquid lasts, cooling while it empties."""

from __future__ import annotations

from typing import Final

from cryoctl_simulator.gas import Gas

STEEL_J_G_K: Final = 0.46  # carbon steel, handbook value
LIQUID_J_G_K: Final = 2.5  # saturated liquid near 20 C, rounded from CoolProp
BAR_ML_TO_J: Final = 0.1  # 1 bar x 1 mL


class Cartridge:
    """Mass and temperature of one cartridge; everything else follows from the two.

    The mass is moved by the plant every tick; ``update`` moves the temperature and what follows.
    """

    __slots__ = (
        "ambient_temp_c",
        "gas",
        "heat_transfer_w_k",
        "latent_heat_j_g",
        "liquid_density_g_ml",
        "liquid_draw_possible",
        "liquid_flux_factor",
        "liquid_g",
        "liquid_heat_j_g",
        "mass_g",
        "pressure_bar",
        "steel_g",
        "temp_c",
        "vapour_density_g_ml",
        "vapour_flux_factor",
        "vapour_g",
        "volume_ml",
    )

    def __init__(
        self,
        *,
        gas: Gas,
        mass_g: float,
        volume_ml: float,
        steel_g: float,
        heat_transfer_w_k: float,
        temp_c: float,
        ambient_temp_c: float,
    ) -> None:
        self.gas = gas
        self.mass_g = mass_g
        self.volume_ml = volume_ml
        self.steel_g = steel_g
        self.heat_transfer_w_k = heat_transfer_w_k
        self.temp_c = temp_c
        self.ambient_temp_c = ambient_temp_c
        self.refresh()

    def refresh(self) -> None:
        """Recompute everything that follows from mass and temperature."""
        gas = self.gas
        temp_c = self.temp_c
        mass_g = self.mass_g
        volume_ml = self.volume_ml
        saturated_bar, liquid_density, vapour_density, liquid_j_g, latent_j_g = gas.saturated(
            temp_c
        )
        self.vapour_density_g_ml = vapour_density
        self.liquid_density_g_ml = liquid_density
        self.liquid_heat_j_g = liquid_j_g
        self.latent_heat_j_g = latent_j_g
        filling = 1.0
        if mass_g >= liquid_density * volume_ml:
            # No room for vapour is left: the liquid itself expands against the wall.
            full_c = gas.liquid_full_temp_c(mass_g / volume_ml)
            rise_bar = gas.liquid_full_bar_k * (temp_c - full_c)
            self.pressure_bar = gas.saturation_pressure_bar(full_c) + rise_bar
            self.liquid_g = mass_g
        elif mass_g > vapour_density * volume_ml:
            self.pressure_bar = saturated_bar
            excess_g = mass_g - vapour_density * volume_ml
            self.liquid_g = excess_g / (1.0 - vapour_density / liquid_density)
        else:
            filling = mass_g / (vapour_density * volume_ml)
            self.pressure_bar = saturated_bar * filling
            self.liquid_g = 0.0
        self.vapour_g = mass_g - self.liquid_g
        self.liquid_draw_possible = self.liquid_g > 0.0
        self.liquid_flux_factor = gas.liquid_flux_factor(temp_c)
        self.vapour_flux_factor = gas.vapour_flux_factor(temp_c) * filling

    def mass_with_liquid_g(self, liquid_g: float) -> float:
        """Return the mass of gas when ``liquid_g`` is left and saturated vapour fills the rest."""
        room_ml = self.volume_ml - liquid_g / self.liquid_density_g_ml
        return liquid_g + self.vapour_density_g_ml * room_ml

    def update(self, duration_s: float, *, liquid_drawn_g: float, vapour_drawn_g: float) -> None:
        """Cool by what was drawn, warm from the room, then refresh.

        Liquid that leaves is replaced by vapour boiled off inside; vapour that leaves is boiled off
        whole; once the liquid is gone the rest cools by its own expansion.
        """
        heat_j = duration_s * self.heat_transfer_w_k * (self.ambient_temp_c - self.temp_c)
        drawn_g = liquid_drawn_g + vapour_drawn_g
        if drawn_g > 0.0:
            if self.liquid_draw_possible:
                vapour_density = self.vapour_density_g_ml
                liquid_density = self.liquid_density_g_ml
                boiled_g = liquid_drawn_g * vapour_density + vapour_drawn_g * liquid_density
                boiled_g /= liquid_density - vapour_density
                heat_j -= boiled_g * self.latent_heat_j_g
            elif self.mass_g > 0.0:
                heat_j -= drawn_g * self.pressure_bar * BAR_ML_TO_J * self.volume_ml / self.mass_g
        capacity_j_k = STEEL_J_G_K * self.steel_g + LIQUID_J_G_K * self.mass_g
        self.temp_c += heat_j / capacity_j_k
        self.refresh()
