"""Properties of the working gases N2O and CO2: saturation, densities, heat, flash, choked flux.

Every fit was made to CoolProp 8.0.0 (N2O: Lemmon and Span 2006; CO2: Span and Wagner 1996); its
largest error is written beside it. Dry ice is not in CoolProp; its lines name their own source.
Pressures are absolute, enthalpies on CoolProp's default reference state.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, sqrt
from typing import Final, Literal, TypeVar

from cryoctl_simulator.tissue_properties import Array

GasName = Literal["N2O", "CO2"]

ZERO_C_K: Final = 273.15  # 0 C in kelvin, SI definition
CRITICAL_MARGIN_K: Final = 0.4  # the fits stop this far below the critical point
EXHAUST_FIT_MAX_BAR: Final = 12.0  # end of the fast inverse saturation curve (fitted to 13 bar)
BISECTION_STEPS: Final = 50  # 100 K / 2**50 is far below rounding

# CO2 below its triple point: ln(p/bar) = a - b/T through 1.013 bar at -78.47 C (Span-Wagner
# sublimation line) and the triple point; 1.98 bar at -70 C is met within 0.1 K.
CO2_TRIPLE_BAR: Final = 5.180  # CoolProp; Perry's table has the same
CO2_SUBLIMATION_A: Final = 16.1394
CO2_SUBLIMATION_B_K: Final = 3139.4
CO2_NORMAL_SUBLIMATION_C: Final = -78.47  # at 1.013 bar, Span-Wagner sublimation line
# Vapour over dry ice at 1.013 bar: saturated liquid at 20 C (255.9) plus 167 J/g from 20 C liquid
# to saturated vapour; a straight line from there to the triple point (430.4 J/g, CoolProp).
CO2_VAPOUR_OVER_ICE_J_G: Final = 422.9
CO2_VAPOUR_OVER_ICE_J_G_K: Final = 0.344
# Heat of sublimation: 571 J/g at 1.013 bar (handbooks); at the triple point 547 J/g, the latent
# heat of 350.4 (CoolProp) and a heat of fusion of 196.7 J/g (handbooks). A straight line between.
CO2_SUBLIMATION_J_G: Final = 571.0
CO2_SUBLIMATION_J_G_K: Final = -1.09

Numbers = TypeVar("Numbers", float, Array)
"""One number, or one for each of many probes."""

_THIRD: Final = 1.0 / 3.0
_FOUR = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Flash:
    """What saturated liquid turns into by expanding without heat: mass fractions, together 1."""

    temp_c: float
    vapour: float
    liquid: float
    solid: float


@dataclass(frozen=True, slots=True)
class Gas:
    """Fitted properties of one gas; all methods are pure.

    The four-term fits are ``a + b x^(1/3) + c x^(2/3) + d x`` with ``x = 1 - T / T_critical``,
    made from -40 C to just below the critical point.
    """

    name: GasName
    critical_temp_k: float
    critical_pressure_bar: float
    saturation: _FOUR
    """Wagner form: exponents 1, 1.5, 2.5, 5."""
    exhaust_saturation_c: _FOUR
    """T in C, cubic in ln(p/bar), constant first; boiling only."""
    liquid_density: _FOUR
    vapour_density: _FOUR
    liquid_enthalpy: _FOUR
    vapour_enthalpy: _FOUR
    cold_vapour_enthalpy: tuple[float, float, float]
    """Saturated vapour at the tip, J/g, quadratic in T in C, constant first."""
    cold_liquid_enthalpy: tuple[float, float, float]
    """Saturated liquid at the tip, likewise."""
    liquid_flux_kg_m2_s: tuple[float, float]
    """Choked flux of saturated liquid: value at 0 C and rise per K."""
    vapour_flux_kg_m2_s: tuple[float, float]
    liquid_full_bar_k: float
    """Pressure rise per K once the liquid fills the cartridge."""
    sublimes: bool

    def saturation_pressure_bar(self, temp_c: float) -> float:
        """Return the vapour pressure at ``temp_c``; held at the critical point above it."""
        temp_k = min(temp_c + ZERO_C_K, self.critical_temp_k - CRITICAL_MARGIN_K)
        if self.sublimes and temp_k < CO2_TRIPLE_K:
            return exp(CO2_SUBLIMATION_A - CO2_SUBLIMATION_B_K / temp_k)
        return self._boiling_bar(temp_k, 1.0 - temp_k / self.critical_temp_k)

    def saturation_temp_c(self, pressure_bar: float) -> float:
        """Return the boiling (CO2 below 5.18 bar: sublimation) temperature at ``pressure_bar``."""
        if self.sublimes and pressure_bar < CO2_TRIPLE_BAR:
            return CO2_SUBLIMATION_B_K / (CO2_SUBLIMATION_A - log(pressure_bar)) - ZERO_C_K
        if pressure_bar <= EXHAUST_FIT_MAX_BAR:
            y = log(pressure_bar)
            a, b, c, d = self.exhaust_saturation_c
            return a + y * (b + y * (c + y * d))
        low_c = -50.0
        high_c = self.critical_temp_k - ZERO_C_K
        for _ in range(BISECTION_STEPS):
            middle_c = 0.5 * (low_c + high_c)
            if self.saturation_pressure_bar(middle_c) < pressure_bar:
                low_c = middle_c
            else:
                high_c = middle_c
        return low_c

    def saturated(self, temp_c: float) -> tuple[float, float, float, float, float]:
        """Return what a cartridge at ``temp_c`` (no colder than -40 C) needs, of one cube root.

        Pressure in bar, densities of liquid and vapour in g/mL, enthalpy of the liquid and heat of
        vaporisation in J/g.
        """
        temp_k = min(temp_c + ZERO_C_K, self.critical_temp_k - CRITICAL_MARGIN_K)
        x = 1.0 - temp_k / self.critical_temp_k
        root: float = x**_THIRD
        a, b, c, d = self.liquid_density
        liquid = a + root * (b + root * (c + root * d))
        a, b, c, d = self.vapour_density
        vapour = a + root * (b + root * (c + root * d))
        a, b, c, d = self.liquid_enthalpy
        liquid_j_g = a + root * (b + root * (c + root * d))
        a, b, c, d = self.vapour_enthalpy
        latent_j_g = a + root * (b + root * (c + root * d)) - liquid_j_g
        pressure_bar = self._boiling_bar(temp_k, x)
        return pressure_bar, 0.001 * liquid, 0.001 * vapour, liquid_j_g, latent_j_g

    def liquid_density_g_ml(self, temp_c: float) -> float:
        """Return the density of saturated liquid."""
        return 0.001 * self._four_terms(self.liquid_density, temp_c)

    def liquid_enthalpy_j_g(self, temp_c: float) -> float:
        """Return the enthalpy of saturated liquid."""
        return self._four_terms(self.liquid_enthalpy, temp_c)

    def exhaust_vapour_enthalpy_j_g(self, saturation_temp_c: float) -> float:
        """Return the enthalpy of saturated vapour leaving a tip at ``saturation_temp_c``."""
        if self.sublimes and saturation_temp_c < CO2_TRIPLE_K - ZERO_C_K:
            above_k = saturation_temp_c - CO2_NORMAL_SUBLIMATION_C
            return CO2_VAPOUR_OVER_ICE_J_G + CO2_VAPOUR_OVER_ICE_J_G_K * above_k
        a, b, c = self.cold_vapour_enthalpy
        return a + saturation_temp_c * (b + saturation_temp_c * c)

    def available_heat_j_g(self, cartridge_temp_c: float, exhaust_pressure_bar: float) -> float:
        """Return the heat from saturated liquid in the cartridge to saturated vapour at the tip."""
        at_tip = self.exhaust_vapour_enthalpy_j_g(self.saturation_temp_c(exhaust_pressure_bar))
        return at_tip - self.liquid_enthalpy_j_g(cartridge_temp_c)

    def condensed_heat_j_g(self, saturation_temp_c: float) -> float:
        """Return the heat that turns liquid at the tip (CO2 below 5.18 bar: dry ice) to vapour."""
        if self.sublimes and saturation_temp_c < CO2_TRIPLE_K - ZERO_C_K:
            above_k = saturation_temp_c - CO2_NORMAL_SUBLIMATION_C
            return CO2_SUBLIMATION_J_G + CO2_SUBLIMATION_J_G_K * above_k
        a, b, c = self.cold_liquid_enthalpy
        liquid_j_g = a + saturation_temp_c * (b + saturation_temp_c * c)
        return self.exhaust_vapour_enthalpy_j_g(saturation_temp_c) - liquid_j_g

    def flash(self, cartridge_temp_c: float, exhaust_pressure_bar: float) -> Flash:
        """Return what saturated liquid of the cartridge becomes at the exhaust's pressure.

        Good from 1 to 6 bar, where the fits of the cold side were made.
        """
        temp_c = self.saturation_temp_c(exhaust_pressure_bar)
        heat_j_g = self.available_heat_j_g(cartridge_temp_c, exhaust_pressure_bar)
        condensed = heat_j_g / self.condensed_heat_j_g(temp_c)
        freezes = self.sublimes and exhaust_pressure_bar < CO2_TRIPLE_BAR
        return Flash(
            temp_c=temp_c,
            vapour=1.0 - condensed,
            liquid=0.0 if freezes else condensed,
            solid=condensed if freezes else 0.0,
        )

    def liquid_flux_factor(self, temp_c: Numbers) -> Numbers:
        """Return the choked flux of saturated liquid relative to 20 C."""
        at_zero, slope = self.liquid_flux_kg_m2_s
        return (at_zero + slope * temp_c) / (at_zero + slope * 20.0)

    def vapour_flux_factor(self, temp_c: Numbers) -> Numbers:
        """Return the choked flux of saturated vapour relative to liquid at 20 C."""
        at_zero, slope = self.liquid_flux_kg_m2_s
        vapour_at_zero, vapour_slope = self.vapour_flux_kg_m2_s
        return (vapour_at_zero + vapour_slope * temp_c) / (at_zero + slope * 20.0)

    def liquid_full_temp_c(self, density_g_ml: float) -> float:
        """Return the temperature at which liquid of mean ``density_g_ml`` fills its container."""
        low_c = -40.0
        high_c = self.critical_temp_k - ZERO_C_K - CRITICAL_MARGIN_K
        for _ in range(BISECTION_STEPS):
            middle_c = 0.5 * (low_c + high_c)
            if self.liquid_density_g_ml(middle_c) > density_g_ml:
                low_c = middle_c
            else:
                high_c = middle_c
        return low_c

    def _boiling_bar(self, temp_k: float, x: float) -> float:
        root = sqrt(x)
        a, b, c, d = self.saturation
        power = a + root * (b + x * (c + d * x * x * root))
        return self.critical_pressure_bar * exp(self.critical_temp_k / temp_k * x * power)

    def _four_terms(self, terms: _FOUR, temp_c: float) -> float:
        temp_k = min(temp_c + ZERO_C_K, self.critical_temp_k - CRITICAL_MARGIN_K)
        x = 1.0 - temp_k / self.critical_temp_k
        root: float = x**_THIRD
        a, b, c, d = terms
        return a + root * (b + root * (c + root * d))


CO2_TRIPLE_K: Final = CO2_SUBLIMATION_B_K / (CO2_SUBLIMATION_A - log(CO2_TRIPLE_BAR))

N2O: Final = Gas(
    name="N2O",
    critical_temp_k=309.52,
    critical_pressure_bar=72.448,
    saturation=(-6.80042169, 1.61495585, -1.89036033, -2.16027225),  # 0.05 %, -90 to 36 C
    exhaust_saturation_c=(-88.6919939, 16.7795781, 1.55051357, 0.298047322),  # 0.03 K, 0.9-13 bar
    liquid_density=(445.155, 885.9, -145.921, 534.907),  # kg/m3, 0.1 % to 33 C
    vapour_density=(448.169, -734.031, -398.292, 783.186),  # kg/m3, 0.3 % to 33 C
    liquid_enthalpy=(302.843, -156.286, -76.3955, -360.896),  # J/g, 0.1 % to 33 C
    vapour_enthalpy=(305.258, 183.686, 269.8, -525.346),  # J/g, 0.1 % to 33 C
    cold_vapour_enthalpy=(405.95451, 0.108537709, -0.00282411469),  # 0.1 J/g, -90 to -48 C
    cold_liquid_enthalpy=(159.996394, 1.90580990, 0.00110287117),  # 0.05 J/g, -90 to -48 C
    # Homogeneous-equilibrium critical flux from CoolProp; the liquid within 1 %, 0 to 28 C, the
    # vapour within 4 %, 0 to 25 C.
    liquid_flux_kg_m2_s=(21850.0, 363.5),
    vapour_flux_kg_m2_s=(10000.0, 349.0),
    liquid_full_bar_k=4.2,  # CoolProp isochores of 744 and 762 kg/m3: 4.1 and 4.4
    sublimes=False,
)

CO2: Final = Gas(
    name="CO2",
    critical_temp_k=304.128,
    critical_pressure_bar=73.773,
    saturation=(-7.02441735, 1.51762223, -2.2181826, -2.83266592),  # 0.01 %, triple point to 30.8 C
    exhaust_saturation_c=(-88.5746771, 16.9367843, 0.923789586, 0.37325029),  # 0.01 K, 5.2-14 bar
    liquid_density=(467.366, 799.181, 348.863, 105.362),  # kg/m3, 0.02 %
    vapour_density=(464.382, -756.795, -481.925, 901.451),  # kg/m3, 0.2 %
    liquid_enthalpy=(330.8, -155.869, -90.8792, -374.657),  # J/g, 0.04 %
    vapour_enthalpy=(334.458, 167.619, 363.233, -599.418),  # J/g, 0.1 %
    cold_vapour_enthalpy=(435.378216, -0.207112066, -0.0052192974),  # 0.1 J/g, -56 to -33 C
    cold_liquid_enthalpy=(196.787329, 2.17647974, 0.00198878675),  # 0.02 J/g, -56 to -33 C
    # Homogeneous-equilibrium critical flux from CoolProp; the liquid within 1.2 %, 0 to 25 C, the
    # vapour within 6 %.
    liquid_flux_kg_m2_s=(23900.0, 390.0),
    vapour_flux_kg_m2_s=(11300.0, 450.0),
    liquid_full_bar_k=3.2,  # CoolProp isochore of 680 kg/m3
    sublimes=True,
)

GASES: Final[dict[GasName, Gas]] = {"N2O": N2O, "CO2": CO2}
