"""Exact solutions of freezing, from their equations: what the reference model is verified against.

All are for a sharp front and equal densities of ice and tissue. Symbols in comments are those of
Carslaw and Jaeger, Conduction of Heat in Solids, chapter XI (from memory; the algebra was derived
again). Lengths in mm, times in s, heats in W.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, log, pi, sqrt
from typing import Final

import numpy as np
from scipy.optimize import brentq
from scipy.special import erf, erfc, exp1, k0, k1

from cryoctl_simulator.tissue_properties import Array, HeatCurves, TissueProperties

COEFFICIENT_MIN: Final = 1e-4  # of a front; below it nothing has frozen within hours
COEFFICIENT_MAX: Final = 5.0
STEADY_RADII_MAX: Final = 1e4  # of the body; no perfused front lies farther out


class Sharp(HeatCurves):
    """Tissue that freezes at one temperature.

    Attributes:
        properties: The tissue.
        diffusivity: Of unfrozen tissue, mm2/s.
        diffusivity_frozen: Of frozen tissue, mm2/s.
    """

    __slots__ = ("diffusivity", "diffusivity_frozen", "properties")

    def __init__(self, properties: TissueProperties) -> None:
        if properties.freezing_starts_c != properties.freezing_ends_c:
            raise ValueError(
                f"freezing_ends_c {properties.freezing_ends_c:g} C differs from freezing_starts_c"
                f" {properties.freezing_starts_c:g} C: the exact solutions have a sharp front"
            )
        super().__init__(properties)
        self.properties = properties
        self.diffusivity = self.conductivity / self.capacity
        self.diffusivity_frozen = self.conductivity_frozen / self.capacity_frozen


@dataclass(frozen=True, slots=True)
class Neumann:
    """A plane wall at ``wall_c`` on deep tissue (Neumann's two-phase solution).

    Attributes:
        coefficient: lambda in ``front = 2 lambda sqrt(diffusivity_frozen x time)``.
    """

    tissue: Sharp
    wall_c: float
    coefficient: float

    @classmethod
    def of(cls, properties: TissueProperties, wall_c: float) -> Neumann:
        """Solve for the front; ``wall_c`` must be below the freezing temperature."""
        tissue = Sharp(properties)
        ratio = sqrt(tissue.diffusivity_frozen / tissue.diffusivity)
        front_c = tissue.freezing_starts_c
        cold = tissue.capacity_frozen * (front_c - wall_c) / tissue.melting_heat
        warm = tissue.capacity * (tissue.temp_c - front_c) / (tissue.melting_heat * ratio)

        def excess(x: float) -> float:
            from_warm = warm * exp(-((ratio * x) ** 2)) / erfc(ratio * x)
            return float(cold * exp(-x * x) / erf(x) - from_warm - x * sqrt(pi))

        return cls(tissue, wall_c, _root(excess, COEFFICIENT_MIN, COEFFICIENT_MAX))

    def front_mm(self, time_s: float) -> float:
        """Return the depth of the front."""
        return 2.0 * self.coefficient * sqrt(self.tissue.diffusivity_frozen * time_s)

    def temps_c(self, depth_mm: Array, time_s: float) -> Array:
        """Return the temperatures at depths."""
        tissue, x = self.tissue, self.coefficient
        front_c = tissue.freezing_starts_c
        ratio = sqrt(tissue.diffusivity_frozen / tissue.diffusivity)
        in_ice = depth_mm / (2.0 * sqrt(tissue.diffusivity_frozen * time_s))
        in_tissue = depth_mm / (2.0 * sqrt(tissue.diffusivity * time_s))
        frozen_c = self.wall_c + (front_c - self.wall_c) * erf(in_ice) / erf(x)
        warm_c = tissue.temp_c - (tissue.temp_c - front_c) * erfc(in_tissue) / erfc(ratio * x)
        temps_c: Array = np.where(depth_mm < self.front_mm(time_s), frozen_c, warm_c)
        return temps_c


@dataclass(frozen=True, slots=True)
class LineSink:
    """A line that draws ``sink_w_mm`` for ever out of wide tissue (Paterson 1952, from memory).

    Attributes:
        coefficient: lambda in ``front = 2 lambda sqrt(diffusivity_frozen x time)``.
    """

    tissue: Sharp
    sink_w_mm: float
    coefficient: float

    @classmethod
    def of(cls, properties: TissueProperties, sink_w_mm: float) -> LineSink:
        """Solve for the front."""
        tissue = Sharp(properties)
        ratio = tissue.diffusivity_frozen / tissue.diffusivity
        warmth = tissue.conductivity * (tissue.temp_c - tissue.freezing_starts_c)
        latent = tissue.diffusivity_frozen * tissue.melting_heat

        def excess(x: float) -> float:
            z = x * x
            from_warm = warmth * exp(-z * ratio) / exp1(z * ratio)
            return float(sink_w_mm / (4.0 * pi) * exp(-z) - from_warm - z * latent)

        return cls(tissue, sink_w_mm, _root(excess, COEFFICIENT_MIN, COEFFICIENT_MAX))

    def front_mm(self, time_s: float) -> float:
        """Return the radius of the front."""
        return 2.0 * self.coefficient * sqrt(self.tissue.diffusivity_frozen * time_s)

    def temps_c(self, radius_mm: Array, time_s: float) -> Array:
        """Return the temperatures at radii above 0."""
        tissue, z = self.tissue, self.coefficient**2
        front_c = tissue.freezing_starts_c
        ratio = tissue.diffusivity_frozen / tissue.diffusivity
        in_ice = radius_mm**2 / (4.0 * tissue.diffusivity_frozen * time_s)
        in_tissue = radius_mm**2 / (4.0 * tissue.diffusivity * time_s)
        per_e1_k = self.sink_w_mm / (4.0 * pi * tissue.conductivity_frozen)
        frozen_c = front_c - per_e1_k * (exp1(in_ice) - exp1(z))
        warm_c = tissue.temp_c - (tissue.temp_c - front_c) * exp1(in_tissue) / exp1(z * ratio)
        temps_c: Array = np.where(radius_mm < self.front_mm(time_s), frozen_c, warm_c)
        return temps_c


def steady_cylinder_mm(properties: TissueProperties, wall_c: float, radius_mm: float) -> float:
    """Return the last radius of ice around a long cylinder at ``wall_c`` in perfused tissue."""
    tissue = Sharp(properties)
    front_c = tissue.freezing_starts_c
    beta_per_mm = sqrt(tissue.perfusion / tissue.conductivity)

    def excess(front_mm: float) -> float:
        out = (
            tissue.conductivity_frozen * (front_c - wall_c) / (front_mm * log(front_mm / radius_mm))
        )
        slope = beta_per_mm * k1(beta_per_mm * front_mm) / k0(beta_per_mm * front_mm)
        return float(out - tissue.conductivity * (tissue.temp_c - front_c) * slope)

    return _root(excess, 1.001 * radius_mm, _farthest_mm(radius_mm, beta_per_mm))


def steady_sphere_mm(properties: TissueProperties, wall_c: float, radius_mm: float) -> float:
    """Return the last radius of ice around a sphere at ``wall_c`` in perfused tissue."""
    tissue = Sharp(properties)
    front_c = tissue.freezing_starts_c
    beta_per_mm = sqrt(tissue.perfusion / tissue.conductivity)

    def excess(front_mm: float) -> float:
        way_mm = front_mm**2 * (1.0 / radius_mm - 1.0 / front_mm)
        out = tissue.conductivity_frozen * (front_c - wall_c) / way_mm
        into = tissue.conductivity * (tissue.temp_c - front_c)
        return float(out - into * (1.0 / front_mm + beta_per_mm))

    return _root(excess, 1.001 * radius_mm, _farthest_mm(radius_mm, beta_per_mm))


def _farthest_mm(radius_mm: float, beta_per_mm: float) -> float:
    """Return where no front can be; K0 of much more than 500 is 0 in floating point."""
    return min(STEADY_RADII_MAX * radius_mm, 500.0 / beta_per_mm)


def _root(excess: Callable[[float], float], low: float, high: float) -> float:
    return float(brentq(excess, low, high, xtol=1e-12))
