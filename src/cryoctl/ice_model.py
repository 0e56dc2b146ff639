"""The controller's own model of the ice around one needle: conduction through nested shells.

A reduced model on purpose, and none of the simulator's: two sides that share a model share its
error. The shells are confocal spheroids around the active length. Each keeps its enthalpy, one
implicit step moves heat between them, and what leaves one enters the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import exp, expm1, log, pi, sqrt
from typing import Final

SHELLS: Final = 24
EXTENT_MM: Final = 18.0  # heat goes 10 mm far in 3 min
STRETCH: Final = 3.0  # widths of the shells grow outward by exp(STRETCH) in all
_PARTS: Final = 32  # of a shell in numerical integration

# Fitted to conduction in (r, z) in enthalpy form: needles of 0.41 x 8.5 to 2.0 x 10 mm at -45 to
# -72 C, 15 to 120 s. From 20 s on the -20 C radius is within 2 %, the ice within 5 %, the heat
# within 5 %.
FOCUS_FACTOR: Final = 1.179  # focus of the spheroids / half of the active length
FILLING_AT_NEEDLE: Final = 0.848  # volume of a shell / (its area x its thickness)
FILLING_FAR_AWAY: Final = 0.630

_DENSITY: Final = 1050.0
_EQUAL_C: Final = 0.01  # neighbours closer than this conduct as one temperature


@dataclass(frozen=True, slots=True)
class WetTissue:
    """Soft tissue that is mostly water; the middle of what muscle and nerve sheath are taken for.

    Conductivities in W/(mm K), heat capacities in J/(mm3 K), latent heat in J/mm3, heat brought by
    blood in W/(mm3 K). Usual modelling choices, none calibrated to a patient: 0.45 to 0.55 and 1.8
    to 2.2 W/(m K), 150 to 250 kJ/kg, 0.5 to 11 kW/(m3 K). Fat conducts and freezes otherwise.
    """

    conductivity: float = 0.5e-3
    conductivity_frozen: float = 2.0e-3
    capacity: float = 3600.0 * _DENSITY * 1e-9
    capacity_frozen: float = 1800.0 * _DENSITY * 1e-9
    latent_heat: float = 200e3 * _DENSITY * 1e-9
    perfusion: float = 5.75e-6
    freezing_starts_c: float = -1.0
    freezing_ends_c: float = -8.0


class IceModel:
    """The tissue around one needle, driven by the needle's temperature.

    Args:
        od_mm: Outer diameter of the needle.
        active_length_mm: Length that freezes.
        body_temp_c: Undisturbed tissue.

    Attributes:
        heat_w: Heat into the needle in the last step.
        tip_temp_c: The needle in the last step.
    """

    def __init__(
        self,
        od_mm: float,
        active_length_mm: float,
        body_temp_c: float,
        tissue: WetTissue | None = None,
    ) -> None:
        self.tissue = tissue = WetTissue() if tissue is None else tissue
        self.body_temp_c = body_temp_c
        self.tip_temp_c = body_temp_c
        self.heat_w = 0.0
        self._radius_mm = 0.5 * od_mm
        focus_mm = 0.5 * FOCUS_FACTOR * active_length_mm
        edges = [
            self._radius_mm + (EXTENT_MM - self._radius_mm) * expm1(STRETCH * i / SHELLS) / _GROWN
            for i in range(SHELLS + 1)
        ]
        self._places_mm = [sqrt(low * high) for low, high in pairwise(edges)]
        self._volume_mm3 = [_volume_mm3(focus_mm, low, high) for low, high in pairwise(edges)]
        places = [self._radius_mm, *self._places_mm]
        # Conductance inward / conductivity, mm.
        self._inward_mm = [1.0 / _resistance_per_mm(focus_mm, *pair) for pair in pairwise(places)]

        width_k = tissue.freezing_starts_c - tissue.freezing_ends_c
        mean_capacity = 0.5 * (tissue.capacity + tissue.capacity_frozen)
        self._melting_heat = tissue.latent_heat + mean_capacity * width_k
        self._mushy_capacity = self._melting_heat / width_k
        self._half_rise = 0.5 * (tissue.conductivity_frozen - tissue.conductivity) / width_k
        self._frozen_potential = -width_k * (tissue.conductivity + self._half_rise * width_k)
        warm = tissue.capacity * (body_temp_c - tissue.freezing_starts_c)
        self._temps_c = [body_temp_c] * SHELLS
        self._enthalpy = [warm] * SHELLS

    def step(self, duration_s: float, tip_temp_c: float) -> None:
        """Move by ``duration_s`` with the needle at ``tip_temp_c``; stable at any length."""
        self.tip_temp_c = tip_temp_c
        conductance = self._conductances(tip_temp_c)
        temps = self._solve(duration_s, tip_temp_c, conductance)
        self._book(duration_s, tip_temp_c, conductance, temps)

    def radius_mm(self, isotherm_c: float) -> float:
        """Return the radius of an isotherm below freezing; 0 where the needle is warmer."""
        if self.tip_temp_c >= isotherm_c:
            return 0.0
        inner_mm, inner = self._radius_mm, self._potential(self.tip_temp_c)
        for place_mm, temp_c in zip(self._places_mm, self._temps_c, strict=True):
            outer = self._potential(temp_c)
            if temp_c > isotherm_c:
                # Steady conduction between two places is a straight line over ln r.
                share = (self._potential(isotherm_c) - inner) / (outer - inner)
                return inner_mm * exp(share * log(place_mm / inner_mm))
            inner_mm, inner = place_mm, outer
        return inner_mm

    def _potential(self, temp_c: float) -> float:
        """Return the integral of conductivity over temperature, W/mm, 0 where freezing starts."""
        tissue = self.tissue
        above_k = temp_c - tissue.freezing_starts_c
        if above_k >= 0.0:
            return tissue.conductivity * above_k
        if temp_c > tissue.freezing_ends_c:
            return above_k * (tissue.conductivity - self._half_rise * above_k)
        below_k = temp_c - tissue.freezing_ends_c
        return self._frozen_potential + tissue.conductivity_frozen * below_k

    def _conductivity(self, temp_c: float) -> float:
        tissue = self.tissue
        if temp_c >= tissue.freezing_starts_c:
            return tissue.conductivity
        if temp_c <= tissue.freezing_ends_c:
            return tissue.conductivity_frozen
        return tissue.conductivity - 2.0 * self._half_rise * (temp_c - tissue.freezing_starts_c)

    def _conductances(self, tip_temp_c: float) -> list[float]:
        """Return W/K from each shell inward, and 0 behind the last."""
        inner_c, inner = tip_temp_c, self._potential(tip_temp_c)
        conductances = []
        for temp_c, inward_mm in zip(self._temps_c, self._inward_mm, strict=True):
            potential = self._potential(temp_c)
            rise_k = temp_c - inner_c
            if abs(rise_k) > _EQUAL_C:
                conductances.append(inward_mm * (potential - inner) / rise_k)
            else:
                conductances.append(inward_mm * self._conductivity(temp_c))
            inner_c, inner = temp_c, potential
        conductances.append(0.0)
        return conductances

    def _solve(self, duration_s: float, tip_temp_c: float, conductance: list[float]) -> list[float]:
        """Return the temperatures that balance the step: a tridiagonal system, inside to out."""
        tissue = self.tissue
        share, known = 0.0, tip_temp_c
        shares, knowns = [], []
        for i, (temp_c, volume_mm3) in enumerate(zip(self._temps_c, self._volume_mm3, strict=True)):
            inward, outward = conductance[i], conductance[i + 1]
            blood = 0.0
            if temp_c >= tissue.freezing_starts_c:
                capacity = tissue.capacity
                blood = tissue.perfusion * volume_mm3
            elif temp_c > tissue.freezing_ends_c:
                capacity = self._mushy_capacity
            else:
                capacity = tissue.capacity_frozen
            kept = capacity * volume_mm3 / duration_s
            weight = kept + inward + outward + blood - inward * share
            known = (kept * temp_c + blood * self.body_temp_c + inward * known) / weight
            share = outward / weight
            shares.append(share)
            knowns.append(known)
        temps, temp_c = [], 0.0
        for share, known in zip(reversed(shares), reversed(knowns), strict=True):
            temp_c = known + share * temp_c
            temps.append(temp_c)
        temps.reverse()
        return temps

    def _book(
        self, duration_s: float, tip_temp_c: float, conductance: list[float], temps: list[float]
    ) -> None:
        """Move the heat that those temperatures drive; the enthalpies say what became of it."""
        tissue, enthalpy, melting_heat = self.tissue, self._enthalpy, self._melting_heat
        starts_c = tissue.freezing_starts_c
        inflow_w = conductance[0] * (tip_temp_c - temps[0])
        self.heat_w = -inflow_w
        outer = [*temps[1:], 0.0]
        for i, temp_c in enumerate(temps):
            outflow_w = conductance[i + 1] * (temp_c - outer[i])
            gain = (inflow_w - outflow_w) / self._volume_mm3[i]
            if self._temps_c[i] >= starts_c:
                gain += tissue.perfusion * (self.body_temp_c - temp_c)
            inflow_w = outflow_w
            heat = enthalpy[i] + duration_s * gain
            enthalpy[i] = heat
            if heat >= 0.0:
                self._temps_c[i] = starts_c + heat / tissue.capacity
            elif heat >= -melting_heat:
                self._temps_c[i] = starts_c + heat / self._mushy_capacity
            else:
                below = (heat + melting_heat) / tissue.capacity_frozen
                self._temps_c[i] = tissue.freezing_ends_c + below


_GROWN: Final = expm1(STRETCH)


def _area_mm2(focus_mm: float, radius_mm: float) -> float:
    """Return what conduction between confocal spheroids sees as their area."""
    return 4.0 * pi * radius_mm * sqrt(focus_mm**2 + radius_mm**2)


def _middles_mm(low_mm: float, high_mm: float) -> list[float]:
    step_mm = (high_mm - low_mm) / _PARTS
    return [low_mm + step_mm * (part + 0.5) for part in range(_PARTS)]


def _volume_mm3(focus_mm: float, low_mm: float, high_mm: float) -> float:
    total = 0.0
    for radius_mm in _middles_mm(low_mm, high_mm):
        far = radius_mm**2 / (focus_mm**2 + radius_mm**2)
        filling = FILLING_AT_NEEDLE + (FILLING_FAR_AWAY - FILLING_AT_NEEDLE) * far
        total += filling * _area_mm2(focus_mm, radius_mm)
    return total * (high_mm - low_mm) / _PARTS


def _resistance_per_mm(focus_mm: float, low_mm: float, high_mm: float) -> float:
    middles = _middles_mm(low_mm, high_mm)
    return sum(1.0 / _area_mm2(focus_mm, r) for r in middles) * (high_mm - low_mm) / _PARTS
