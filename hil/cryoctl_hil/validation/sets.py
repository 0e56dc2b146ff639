"""Settings of the cases: tissues and colours.

Muscle and gel are those of the scenarios: what ships is what is compared. Tissues that no scenario
has, because they freeze at one temperature as the exact solutions do, stand here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from cryoctl_simulator.scenario import TISSUES
from cryoctl_simulator.tissue_properties import TissueProperties

BLUE: Final = "#0b5cad"
ORANGE: Final = "#b8480b"
GREEN: Final = "#3f6f1d"
VIOLET: Final = "#6b2fb3"
RED: Final = "#b3161b"
INK: Final = "#1f2933"


def sharp_water(temp_c: float) -> TissueProperties:
    """Return water that freezes at 0 C."""
    return TissueProperties(
        conductivity=0.556,
        conductivity_frozen=2.22,
        density=1000.0,
        heat_capacity=4200.0,
        heat_capacity_frozen=2050.0,
        latent_heat=334e3,
        freezing_starts_c=0.0,
        freezing_ends_c=0.0,
        perfusion_w_m3_k=0.0,
        temp_c=temp_c,
    )


def sharp_tissue(temp_c: float) -> TissueProperties:
    """Return soft tissue that freezes at -1 C, without blood flow."""
    return TissueProperties(
        conductivity=0.5,
        conductivity_frozen=2.0,
        density=1050.0,
        heat_capacity=3600.0,
        heat_capacity_frozen=1800.0,
        latent_heat=250e3,
        freezing_starts_c=-1.0,
        freezing_ends_c=-1.0,
        perfusion_w_m3_k=0.0,
        temp_c=temp_c,
    )


def sharp_perfused(perfusion_w_m3_k: float) -> TissueProperties:
    """Return the same at 37 C with blood flow, in a hurry to reach its steady state.

    Where ice comes to rest depends on conductivities, temperatures and blood alone. Latent heat and
    heat capacity only decide how long it takes, so both are small here.
    """
    return replace(
        sharp_tissue(37.0), heat_capacity=450.0, latent_heat=1e3, perfusion_w_m3_k=perfusion_w_m3_k
    )


def muscle() -> TissueProperties:
    """Return perfused muscle at 37 C that freezes from -1 to -8 C."""
    return TISSUES["muscle"]


def gel(temp_c: float) -> TissueProperties:
    """Return gel as used on benches, nearly water: the same one for every published experiment."""
    return replace(TISSUES["gel_22c"], temp_c=temp_c)
