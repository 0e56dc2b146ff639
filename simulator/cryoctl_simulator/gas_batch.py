"""Gas and cartridges of many probes at once: the equations of ``gas`` and ``cartridge``."""

from __future__ import annotations

from typing import Final

import numpy as np

from cryoctl_simulator.cartridge import BAR_ML_TO_J, LIQUID_J_G_K, STEEL_J_G_K
from cryoctl_simulator.gas import (
    BISECTION_STEPS,
    CO2_NORMAL_SUBLIMATION_C,
    CO2_SUBLIMATION_A,
    CO2_SUBLIMATION_B_K,
    CO2_SUBLIMATION_J_G,
    CO2_SUBLIMATION_J_G_K,
    CO2_TRIPLE_BAR,
    CO2_TRIPLE_K,
    CO2_VAPOUR_OVER_ICE_J_G,
    CO2_VAPOUR_OVER_ICE_J_G_K,
    CRITICAL_MARGIN_K,
    ZERO_C_K,
    Gas,
)
from cryoctl_simulator.tissue_properties import Array

_TRIPLE_C: Final = CO2_TRIPLE_K - ZERO_C_K
_THIRD: Final = 1.0 / 3.0
_FOUR = tuple[float, float, float, float]


class GasBatch:
    """Properties of one gas at many states."""

    def __init__(self, gas: Gas) -> None:
        self.gas = gas

    def saturation_temp_c(self, pressure_bar: Array) -> Array:
        """Return where gas at the pressure of an exhaust boils or sublimes."""
        y = np.log(pressure_bar)
        a, b, c, d = self.gas.exhaust_saturation_c
        temp_c: Array = a + y * (b + y * (c + y * d))
        if not self.gas.sublimes:
            return temp_c
        sublimes_c = CO2_SUBLIMATION_B_K / (CO2_SUBLIMATION_A - y) - ZERO_C_K
        return np.where(pressure_bar < CO2_TRIPLE_BAR, sublimes_c, temp_c)

    def exhaust_vapour_enthalpy_j_g(self, saturation_temp_c: Array) -> Array:
        """Return the enthalpy of saturated vapour leaving a tip, J/g."""
        a, b, c = self.gas.cold_vapour_enthalpy
        over_liquid: Array = a + saturation_temp_c * (b + saturation_temp_c * c)
        if not self.gas.sublimes:
            return over_liquid
        above_k = saturation_temp_c - CO2_NORMAL_SUBLIMATION_C
        over_ice = CO2_VAPOUR_OVER_ICE_J_G + CO2_VAPOUR_OVER_ICE_J_G_K * above_k
        return np.where(saturation_temp_c < _TRIPLE_C, over_ice, over_liquid)

    def condensed_heat_j_g(self, saturation_temp_c: Array) -> Array:
        """Return the heat that turns liquid or dry ice at the tip to vapour, J/g."""
        a, b, c = self.gas.cold_liquid_enthalpy
        liquid_j_g = a + saturation_temp_c * (b + saturation_temp_c * c)
        boiling: Array = self.exhaust_vapour_enthalpy_j_g(saturation_temp_c) - liquid_j_g
        if not self.gas.sublimes:
            return boiling
        above_k = saturation_temp_c - CO2_NORMAL_SUBLIMATION_C
        over_ice = CO2_SUBLIMATION_J_G + CO2_SUBLIMATION_J_G_K * above_k
        return np.where(saturation_temp_c < _TRIPLE_C, over_ice, boiling)

    def saturated(self, temp_c: Array) -> tuple[Array, Array, Array, Array, Array]:
        """Return pressure (bar), densities (g/mL), liquid's enthalpy and latent heat (J/g)."""
        gas = self.gas
        temp_k, x, root = self._reduced(temp_c)
        liquid = 0.001 * _four_terms(gas.liquid_density, root)
        vapour = 0.001 * _four_terms(gas.vapour_density, root)
        liquid_j_g = _four_terms(gas.liquid_enthalpy, root)
        latent_j_g = _four_terms(gas.vapour_enthalpy, root) - liquid_j_g
        return self._boiling_bar(temp_k, x), liquid, vapour, liquid_j_g, latent_j_g

    def liquid_full_bar(self, density_g_ml: Array, temp_c: Array) -> Array:
        """Return the pressure in cartridges whose liquid has no room left."""
        gas = self.gas
        low_c = np.full(density_g_ml.shape, -40.0)
        high_c = np.full(density_g_ml.shape, gas.critical_temp_k - ZERO_C_K - CRITICAL_MARGIN_K)
        for _ in range(BISECTION_STEPS):
            middle_c = 0.5 * (low_c + high_c)
            _, _, root = self._reduced(middle_c)
            fits = 0.001 * _four_terms(gas.liquid_density, root) > density_g_ml
            low_c = np.where(fits, middle_c, low_c)
            high_c = np.where(fits, high_c, middle_c)
        temp_k, x, _ = self._reduced(low_c)
        full: Array = self._boiling_bar(temp_k, x) + gas.liquid_full_bar_k * (temp_c - low_c)
        return full

    def _reduced(self, temp_c: Array) -> tuple[Array, Array, Array]:
        critical_k = self.gas.critical_temp_k
        temp_k = np.minimum(temp_c + ZERO_C_K, critical_k - CRITICAL_MARGIN_K)
        x = 1.0 - temp_k / critical_k
        return temp_k, x, x**_THIRD

    def _boiling_bar(self, temp_k: Array, x: Array) -> Array:
        root = np.sqrt(x)
        a, b, c, d = self.gas.saturation
        power = a + root * (b + x * (c + d * x * x * root))
        found: Array = self.gas.critical_pressure_bar * np.exp(
            self.gas.critical_temp_k / temp_k * x * power
        )
        return found


class CartridgeBatch:
    """``Cartridge`` of many probes; every attribute but the steel is an array."""

    def __init__(
        self,
        gas: Gas,
        *,
        mass_g: Array,
        volume_ml: float,
        steel_g: float,
        heat_transfer_w_k: float,
        temp_c: Array,
        ambient_temp_c: Array,
    ) -> None:
        self.properties = GasBatch(gas)
        self.mass_g = mass_g
        self.volume_ml = volume_ml
        self.steel_g = steel_g
        self.heat_transfer_w_k = heat_transfer_w_k
        self.temp_c = temp_c
        self.ambient_temp_c = ambient_temp_c
        self.refresh()

    def refresh(self) -> None:
        """Recompute everything that follows from mass and temperature."""
        gas, mass_g, volume_ml = self.properties.gas, self.mass_g, self.volume_ml
        found = self.properties.saturated(self.temp_c)
        saturated_bar, liquid_density, vapour_density, self.liquid_heat_j_g, latent_j_g = found
        self.latent_heat_j_g = latent_j_g
        self.liquid_density_g_ml, self.vapour_density_g_ml = liquid_density, vapour_density
        is_full = mass_g >= liquid_density * volume_ml
        has_liquid = mass_g > vapour_density * volume_ml
        filling = np.where(has_liquid, 1.0, mass_g / (vapour_density * volume_ml))
        self.pressure_bar = saturated_bar * filling
        excess_g = mass_g - vapour_density * volume_ml
        self.liquid_g = np.where(
            has_liquid, excess_g / (1.0 - vapour_density / liquid_density), 0.0
        )
        full = np.flatnonzero(is_full)
        if len(full):
            self.liquid_g[full] = mass_g[full]
            self.pressure_bar[full] = self.properties.liquid_full_bar(
                mass_g[full] / volume_ml, self.temp_c[full]
            )
        self.liquid_draw_possible = self.liquid_g > 0.0
        self.liquid_flux_factor = gas.liquid_flux_factor(self.temp_c)
        self.vapour_flux_factor = gas.vapour_flux_factor(self.temp_c) * filling

    def update(self, duration_s: float, *, liquid_drawn_g: Array, vapour_drawn_g: Array) -> None:
        """Cool by what was drawn, warm from the room, then refresh."""
        heat_j = duration_s * self.heat_transfer_w_k * (self.ambient_temp_c - self.temp_c)
        drawn_g = liquid_drawn_g + vapour_drawn_g
        vapour_density, liquid_density = self.vapour_density_g_ml, self.liquid_density_g_ml
        boiled_g = liquid_drawn_g * vapour_density + vapour_drawn_g * liquid_density
        boiled_g /= liquid_density - vapour_density
        holds = np.maximum(self.mass_g, np.finfo(float).tiny)
        expansion_j = drawn_g * self.pressure_bar * BAR_ML_TO_J * self.volume_ml / holds
        expansion_j = np.where(self.mass_g > 0.0, expansion_j, 0.0)
        cooling_j = np.where(
            self.liquid_draw_possible, boiled_g * self.latent_heat_j_g, expansion_j
        )
        heat_j -= np.where(drawn_g > 0.0, cooling_j, 0.0)
        self.temp_c += heat_j / (STEEL_J_G_K * self.steel_g + LIQUID_J_G_K * self.mass_g)
        self.refresh()


def _four_terms(terms: _FOUR, root: Array) -> Array:
    a, b, c, d = terms
    found: Array = a + root * (b + root * (c + root * d))
    return found
