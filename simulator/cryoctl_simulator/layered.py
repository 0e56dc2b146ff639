"""The reference model in one dimension: a plane wall, a long cylinder, a sphere.

The kernel is the one that freezes around a needle in (r, z). Here it meets the problems that have
exact solutions, and is checked against them.
"""

from __future__ import annotations

from math import pi
from typing import Final, Literal, assert_never

import numpy as np

from cryoctl_simulator.axisymmetric import RingGrid
from cryoctl_simulator.freezing_cells import Cells, FreezingCells, cell_edges, middles
from cryoctl_simulator.tissue_properties import Array, TissueProperties

Shape = Literal["plane", "cylinder", "sphere"]

_FULL_SPHERE: Final = 4.0 * pi


class LayeredTissue(FreezingCells):
    """Tissue in layers around a cold body: per mm2 of a plane, per mm of a cylinder, or a sphere.

    Volumes, heats and their rates are meant so: mm3 per mm2, W per mm and so on. A line sink is a
    thin cylinder that draws heat.

    Attributes:
        places_mm: Where the temperatures of ``temps_c`` are: depth below the wall, or radius.
    """

    def __init__(
        self, properties: TissueProperties, shape: Shape, radius_mm: float, grid: RingGrid
    ) -> None:
        if shape != "plane" and not 0.0 < radius_mm < grid.extent_mm:
            raise ValueError(
                f"radius_mm {radius_mm:g} mm is out of range (above 0, below the"
                f" {grid.extent_mm:g} mm of extent_mm)"
            )
        self.shape = shape
        self.body_mm = start_mm = 0.0 if shape == "plane" else radius_mm
        edges = cell_edges(start_mm, start_mm + grid.fine_radius_mm, grid.extent_mm, grid.cell_mm)
        self.places_mm = middles(edges)
        super().__init__(properties, _layers(shape, edges))

    @property
    def front_mm(self) -> float:
        """Depth or radius that the ice would have with all of it around the body, in one piece."""
        volume, body_mm = self.frozen_volume_mm3, self.body_mm
        if self.shape == "plane":
            return volume
        if self.shape == "cylinder":
            return float(np.sqrt(body_mm**2 + volume / pi))
        return float(np.cbrt(body_mm**3 + 3.0 * volume / _FULL_SPHERE))

    def steady_front_mm(self) -> float:
        """Return where the conduction potential passes 0: the front, once it stands still.

        While the front moves ``front_mm`` is the better one: this one sees no part of a cell.
        """
        potential = self.curves.potential(self._enthalpy)[:, 0]
        inner = int(np.flatnonzero(potential < 0.0)[-1])
        pair = slice(inner, inner + 2)
        return float(np.interp(0.0, potential[pair], self.places_mm[pair]))

    def temps_c(self) -> Array:
        """Return the temperature of each layer."""
        return self.curves.temp(self._enthalpy)[:, 0]


def _layers(shape: Shape, edges: Array) -> Cells:
    """Return one column of layers between ``edges``; the first one touches the cold body."""
    places = middles(edges)
    # From the wall to the first place, then from place to place.
    way = np.concatenate([edges[:1], places])
    if shape == "plane":
        volume = np.diff(edges)
        conductance = 1.0 / np.diff(way)
    elif shape == "cylinder":
        volume = pi * np.diff(edges**2)
        conductance = 2.0 * pi / np.diff(np.log(way))
    elif shape == "sphere":
        volume = _FULL_SPHERE / 3.0 * np.diff(edges**3)
        conductance = _FULL_SPHERE / -np.diff(1.0 / way)
    else:
        assert_never(shape)
    to_tip = np.zeros((len(volume), 1))
    to_tip[0] = conductance[0]
    return Cells(
        volume_mm3=volume[:, None],
        tissue=np.ones((len(volume), 1), dtype=bool),
        between_rows=conductance[1:, None],
        between_columns=np.empty((len(volume), 0)),
        to_tip=to_tip,
    )
