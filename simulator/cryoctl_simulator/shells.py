"""Nested shells around a needle, close to its isotherms: volumes and conductances."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate, pairwise
from math import pi, sqrt
from typing import Final

import numpy as np

from cryoctl_simulator.axisymmetric import NeedleShape
from cryoctl_simulator.tissue_properties import Array

# Fitted to the reference model: ice radius, -20 C radius and heat from 10 to 120 s of eleven runs
# (needles of 0.41 x 8.5 to 2.0 x 10 mm; -55 to -80 C; muscle, gel, fat). Both radii are within 4 %
# of it, heat within 7 %. Focus of the spheroids / half of the
# active length; volume of a shell / (its area x its thickness), at the needle and far away.
FOCUS_FACTOR: Final = 1.143
FILLING_AT_NEEDLE: Final = 0.879
FILLING_FAR_AWAY: Final = 0.694
EXTENT_MM: Final = 25.0  # at least; heat goes 10 mm far in 3 min
EXTENT_RADII: Final = 10.0  # and at least as many needle radii
_PARTS: Final = 64  # of a shell in numerical integration


class Shells:
    """Geometry of the shells of one needle; a shell is named by its radius in the middle plane.

    Attributes:
        edge_mm: Radii between the shells, the needle's first: one more than shells.
        radius_mm: Of the place that stands for each shell.
        volume_mm3: What counts for its heat.
        needle_mm: Conductance from the needle to the first shell / conductivity.
        outward_mm: The same from each shell to the next one outward; 0 for the last.
    """

    __slots__ = (
        "_enclosed_mm3",
        "edge_mm",
        "focus_mm",
        "needle_mm",
        "outward_mm",
        "radius_mm",
        "volume_mm3",
    )

    def __init__(self, needle: NeedleShape, count: int) -> None:
        needle_radius_mm = 0.5 * needle.od_mm
        self.focus_mm = 0.5 * FOCUS_FACTOR * needle.active_length_mm
        extent_mm = max(EXTENT_MM, EXTENT_RADII * needle_radius_mm)
        edges = np.geomspace(needle_radius_mm, extent_mm, count + 1)
        middles = np.sqrt(edges[1:] * edges[:-1])
        self.edge_mm: list[float] = edges.tolist()
        self.radius_mm: list[float] = middles.tolist()
        self.volume_mm3 = [
            _integral(self._filling, low_mm, high_mm) for low_mm, high_mm in pairwise(self.edge_mm)
        ]
        self._enclosed_mm3 = [0.0, *accumulate(self.volume_mm3)]
        places = [needle_radius_mm, *self.radius_mm]
        conductances = [
            1.0 / _integral(self._thinness, low_mm, high_mm) for low_mm, high_mm in pairwise(places)
        ]
        self.needle_mm = conductances[0]
        self.outward_mm = [*conductances[1:], 0.0]

    def middle_radius_mm(self, radial_mm: float, axial_mm: float) -> float:
        """Return the radius, in the middle plane, of the spheroid through a place."""
        to_one = sqrt(radial_mm**2 + (axial_mm - self.focus_mm) ** 2)
        to_other = sqrt(radial_mm**2 + (axial_mm + self.focus_mm) ** 2)
        long_half_mm = 0.5 * (to_one + to_other)
        return sqrt(max(0.0, long_half_mm**2 - self.focus_mm**2))

    def enclosed_mm3(self, radius_mm: float) -> float:
        """Return the volume between the needle and the shell of ``radius_mm``."""
        edge_mm = self.edge_mm
        i = min(max(bisect_right(edge_mm, radius_mm) - 1, 0), len(self.volume_mm3) - 1)
        width_mm2 = edge_mm[i + 1] ** 2 - edge_mm[i] ** 2
        share = (radius_mm**2 - edge_mm[i] ** 2) / width_mm2
        return self._enclosed_mm3[i] + share * self.volume_mm3[i]

    def _area(self, radius_mm: Array) -> Array:
        """Return what heat conduction between confocal spheroids sees as their area, mm2."""
        area: Array = 4.0 * pi * radius_mm * np.sqrt(self.focus_mm**2 + radius_mm**2)
        return area

    def _thinness(self, radius_mm: Array) -> Array:
        thinness: Array = 1.0 / self._area(radius_mm)
        return thinness

    def _filling(self, radius_mm: Array) -> Array:
        far = radius_mm**2 / (self.focus_mm**2 + radius_mm**2)
        filling = FILLING_AT_NEEDLE + (FILLING_FAR_AWAY - FILLING_AT_NEEDLE) * far
        area: Array = self._area(radius_mm) * filling
        return area


def _integral(function: Callable[[Array], Array], low_mm: float, high_mm: float) -> float:
    step_mm = (high_mm - low_mm) / _PARTS
    middles: Array = low_mm + step_mm * (np.arange(_PARTS, dtype=np.float64) + 0.5)
    return float(step_mm * function(middles).sum())
