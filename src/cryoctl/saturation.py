"""The host's own idea of how cold a gas can get: saturation temperature at exhaust pressure.

Deliberately not the simulator's: two sides that share a formula share its error.
"""

from __future__ import annotations

from math import log
from typing import Final

_KELVIN: Final = 273.15
_PRESSURE_MIN_BAR: Final = 0.05
_CO2_TRIPLE_BAR: Final = 5.18  # Perry's saturated CO2 table: 5.180 bar at 216.6 K.

# ln(p/bar) = a - b / (T - c): Antoine fits to CoolProp 8 (Lemmon & Span 2006 for N2O, 183-308 K,
# within 1.6 %; Span & Wagner 1996 for CO2, liquid 217-303 K within 0.8 %).
_N2O: Final = (10.12536, 1742.950, 12.1755)
_CO2_LIQUID: Final = (10.69261, 1918.220, 4.4537)
# Two-point sublimation line of CO2: 1.01 bar at -78.5 C, 1.98 bar at -70 C.
_CO2_SOLID: Final = (16.106, 3133.0, 0.0)


def saturation_temp_c(gas: str, pressure_bar: float) -> float:
    """Return the temperature at which ``gas`` ("N2O" or "CO2") boils or sublimes, in C."""
    pressure_bar = max(pressure_bar, _PRESSURE_MIN_BAR)
    if gas == "N2O":
        a, b, c = _N2O
    elif pressure_bar < _CO2_TRIPLE_BAR:
        a, b, c = _CO2_SOLID
    else:
        a, b, c = _CO2_LIQUID
    return b / (a - log(pressure_bar)) + c - _KELVIN
