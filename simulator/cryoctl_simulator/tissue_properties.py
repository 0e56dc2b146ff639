"""What a needle lies in: properties of tissue, and the two curves that make freezing linear.

Freezing is written in enthalpy. With the enthalpy ``h`` (J/mm3, 0 where freezing starts) everything
else follows: the temperature, and the conduction potential ``u`` with ``du = k dT`` (W/mm, 0 there,
too; Kirchhoff's transform). Heat flows down ``u`` whatever the conductivities on the way, so no
mean conductivity has to be invented between ice and tissue.
"""

from __future__ import annotations

from math import sqrt
from typing import Annotated, Self

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

Array = npt.NDArray[np.float64]
Positive = Annotated[float, Field(gt=0.0)]
BodyTemp = Annotated[float, Field(ge=-5.0, le=60.0)]
FreezingTemp = Annotated[float, Field(ge=-60.0, le=0.0)]


@dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class TissueProperties:
    """Thermal properties; raises ``ValueError`` that names the field which cannot be.

    Conductivities in W/(m K), density in kg/m3, heat capacities in J/(kg K), latent heat in J/kg,
    heat brought by blood (flow x density x heat capacity) in W/(m3 K); it stops where tissue is
    frozen. Freezing may happen at one temperature: then both ends are the same.
    """

    conductivity: Positive
    conductivity_frozen: Positive
    density: Positive
    heat_capacity: Positive
    heat_capacity_frozen: Positive
    latent_heat: Positive
    freezing_starts_c: FreezingTemp
    freezing_ends_c: FreezingTemp
    perfusion_w_m3_k: Annotated[float, Field(ge=0.0)]
    temp_c: BodyTemp

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.freezing_ends_c > self.freezing_starts_c:
            raise ValueError(
                f"freezing_ends_c {self.freezing_ends_c:g} C is above freezing_starts_c"
                f" {self.freezing_starts_c:g} C: tissue freezes from warm to cold"
            )
        if self.temp_c <= self.freezing_starts_c:
            raise ValueError(
                f"temp_c {self.temp_c:g} C is not above freezing_starts_c"
                f" {self.freezing_starts_c:g} C: the tissue would be frozen from the start"
            )
        return self


class HeatCurves:
    """Temperature and conduction potential over enthalpy, for numbers and arrays alike.

    In the freezing range the ice fraction, and with it the conductivity, goes linearly with the
    temperature, and the sensible heat is the mean of both phases'.

    Attributes:
        capacity: Heat capacity of unfrozen tissue, J/(mm3 K).
        capacity_frozen: The same of frozen tissue.
        conductivity: Of unfrozen tissue, W/(mm K).
        conductivity_frozen: The same of frozen tissue.
        half_rise: Half of the conductivity's rise per K in the freezing range, W/(mm K2).
        melting_heat: Enthalpy between both ends of the freezing range, J/mm3.
        width_k: Width of the freezing range.
        frozen_potential: Conduction potential where all is frozen, W/mm; negative or 0.
        perfusion: Heat brought by blood, W/(mm3 K).
    """

    __slots__ = (
        "capacity",
        "capacity_frozen",
        "conductivity",
        "conductivity_frozen",
        "freezing_ends_c",
        "freezing_starts_c",
        "frozen_potential",
        "half_rise",
        "melting_heat",
        "perfusion",
        "temp_c",
        "width_k",
    )

    def __init__(self, properties: TissueProperties) -> None:
        per_mm3 = 1e-9 * properties.density
        self.capacity = per_mm3 * properties.heat_capacity
        self.capacity_frozen = per_mm3 * properties.heat_capacity_frozen
        self.conductivity = 1e-3 * properties.conductivity
        self.conductivity_frozen = 1e-3 * properties.conductivity_frozen
        self.freezing_starts_c = properties.freezing_starts_c
        self.freezing_ends_c = properties.freezing_ends_c
        self.width_k = properties.freezing_starts_c - properties.freezing_ends_c
        mean_capacity = 0.5 * (self.capacity + self.capacity_frozen)
        self.melting_heat = per_mm3 * properties.latent_heat + mean_capacity * self.width_k
        self.frozen_potential = -0.5 * self.width_k * (self.conductivity + self.conductivity_frozen)
        rise = self.conductivity_frozen - self.conductivity
        self.half_rise = 0.5 * rise / self.width_k if self.width_k > 0.0 else 0.0
        self.perfusion = 1e-9 * properties.perfusion_w_m3_k
        self.temp_c = properties.temp_c

    def temp(self, enthalpy: Array) -> Array:
        """Return the temperature, C."""
        temp_c: Array = np.maximum(enthalpy, 0.0) / self.capacity
        mushy = np.clip(enthalpy, -self.melting_heat, 0.0)
        temp_c += mushy * (self.width_k / self.melting_heat)
        temp_c += np.minimum(enthalpy + self.melting_heat, 0.0) / self.capacity_frozen
        temp_c += self.freezing_starts_c
        return temp_c

    def potential(self, enthalpy: Array) -> Array:
        """Return the conduction potential, W/mm."""
        potential = np.empty_like(enthalpy)
        self.write_potential(enthalpy, potential, np.empty_like(enthalpy))
        return potential

    def write_potential(self, enthalpy: Array, potential: Array, scratch: Array) -> None:
        """Write the conduction potential into ``potential``, without allocating."""
        np.clip(enthalpy, -self.melting_heat, 0.0, out=scratch)
        if self.width_k > 0.0:
            scratch *= self.width_k / self.melting_heat
            np.multiply(scratch, -self.half_rise, out=potential)
            potential += self.conductivity
            potential *= scratch
        else:
            potential.fill(0.0)
        np.maximum(enthalpy, 0.0, out=scratch)
        scratch *= self.conductivity / self.capacity
        potential += scratch
        np.add(enthalpy, self.melting_heat, out=scratch)
        np.minimum(scratch, 0.0, out=scratch)
        scratch *= self.conductivity_frozen / self.capacity_frozen
        potential += scratch

    def enthalpy_at(self, temp_c: float) -> float:
        """Return the enthalpy at ``temp_c``, J/mm3; at a sharp melting point that of the ice."""
        if temp_c > self.freezing_starts_c:
            return self.capacity * (temp_c - self.freezing_starts_c)
        if temp_c > self.freezing_ends_c:
            return self.melting_heat * (temp_c - self.freezing_starts_c) / self.width_k
        return self.capacity_frozen * (temp_c - self.freezing_ends_c) - self.melting_heat

    def potential_at(self, temp_c: float) -> float:
        """Return the conduction potential at ``temp_c``, W/mm."""
        above_k = temp_c - self.freezing_starts_c
        if above_k > 0.0:
            return self.conductivity * above_k
        if temp_c > self.freezing_ends_c:
            return above_k * (self.conductivity - self.half_rise * above_k)
        below_k = temp_c - self.freezing_ends_c
        return self.frozen_potential + self.conductivity_frozen * below_k

    def conductivity_at(self, temp_c: float) -> float:
        """Return the conductivity at ``temp_c``, W/(mm K)."""
        if temp_c >= self.freezing_starts_c:
            return self.conductivity
        if temp_c <= self.freezing_ends_c:
            return self.conductivity_frozen
        return self.conductivity - 2.0 * self.half_rise * (temp_c - self.freezing_starts_c)

    def temp_of_potential(self, potential: float) -> float:
        """Return the temperature at a conduction potential, C."""
        if potential >= 0.0:
            return self.freezing_starts_c + potential / self.conductivity
        if potential <= self.frozen_potential:
            below = potential - self.frozen_potential
            return self.freezing_ends_c + below / self.conductivity_frozen
        # The root of the mushy parabola, in a form that holds for equal conductivities, too.
        root = sqrt(self.conductivity**2 - 4.0 * self.half_rise * potential)
        return self.freezing_starts_c + 2.0 * potential / (self.conductivity + root)
