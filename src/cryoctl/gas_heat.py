"""The heat that the gas draws from the tissue, by flow, pressures and temperatures.

The controller's own formulas, like ``saturation``, and not the simulator's.
"""

from __future__ import annotations

from math import exp
from typing import Final, NamedTuple

from cryoctl.sample import Sample
from cryoctl.saturation import saturation_temp_c
from cryoctl_protocol.profile import Cooling

_ATMOSPHERE_BAR: Final = 1.013
_REFERENCE_C: Final = 20.0
# From saturated liquid in the cartridge to saturated vapour at the exhaust, J/g: cubic in the
# cartridge's temperature above 20 C, linear in exhaust pressure above 1 atm. Fitted to CoolProp 8:
# N2O within 1.7 J/g, 0 to 33 C, 1 to 3 bar; CO2 within 1.2 J/g, 0 to 28 C, its vapour over dry ice
# from 167 J/g at 1 atm and 20 C.
_N2O: Final = (160.91, -2.825, -0.0378, -0.0010, 5.83)
_CO2: Final = (167.32, -3.510, -0.0646, -0.0015, 2.50)


class DrawnHeat(NamedTuple):
    """What all needles draw.

    Attributes:
        heat_w: From tissue and tip together.
        per_k: By how much more a warmer tip would draw into the same flow, W/K.
    """

    heat_w: float
    per_k: float


def available_heat_j_g(gas: str, cartridge_c: float, exhaust_bar: float) -> float:
    """Return what 1 g of liquid can take up at the tip; ``gas`` is "N2O" or "CO2"."""
    a, b, c, d, per_bar = _N2O if gas == "N2O" else _CO2
    x = cartridge_c - _REFERENCE_C
    return a + x * (b + x * (c + x * d)) + per_bar * (exhaust_bar - _ATMOSPHERE_BAR)


def drawn_heat(
    gas: str, cooling: Cooling, sample: Sample, tip_c: float, *, freezing_s: float
) -> DrawnHeat | None:
    """Return the heat drawn, if the gas arrives as liquid; None without the sensors for it.

    The film at the tip passes ``boiling_w_k`` until the liquid is used up. Hub and line take up
    their share at the beginning of each freeze.
    """
    flow_mg_s, exhaust_bar = sample.exhaust_flow_mg_s, sample.exhaust_pressure_bar
    cartridge_c = sample.cartridge_temp_c
    if flow_mg_s is None or exhaust_bar is None or cartridge_c is None:
        return None
    wet = 1.0 - exp(-freezing_s / cooling.wetting_s)
    supply_w = 1e-3 * flow_mg_s * wet * available_heat_j_g(gas, cartridge_c, exhaust_bar)
    above_k = tip_c - saturation_temp_c(gas, exhaust_bar)
    if supply_w <= 0.0 or above_k <= 0.0:
        return DrawnHeat(0.0, 0.0)
    left = exp(-cooling.boiling_w_k * above_k / supply_w)
    return DrawnHeat(supply_w * (1.0 - left), cooling.boiling_w_k * left)
