"""Reference model of freezing around one needle: heat conduction in (r, z), in enthalpy form.

A grid of rings around the needle for the kernel of ``freezing_cells``. The needle is isothermal
over its active length, its shaft takes up no heat, and the outer edge of the grid is insulated and
far away.
"""

from __future__ import annotations

from math import log, pi, sqrt
from typing import Annotated, Final

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from cryoctl_simulator.freezing_cells import Cells, FreezingCells, cell_edges, middles
from cryoctl_simulator.tissue_properties import Array, TissueProperties

FINE_RADIUS_MM: Final = 6.0
FINE_BEYOND_ENDS_MM: Final = 4.0
LETHAL_ISOTHERM_C: Final = -20.0

Positive = Annotated[float, Field(gt=0.0)]
_CHECKED: Final = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, slots=True, config=_CHECKED)
class NeedleShape:
    """A closed needle: its diameter and the length that freezes, in mm; both above 0."""

    od_mm: Annotated[float, Field(gt=0.0, le=10.0)]
    active_length_mm: Annotated[float, Field(gt=0.0, le=100.0)]


@dataclass(frozen=True, slots=True, config=_CHECKED)
class RingGrid:
    """How finely tissue is cut: cell size near the needle and extent around it, in mm.

    ``fine_radius_mm`` must lie outside the ice, where isotherms are to be read.
    """

    cell_mm: Annotated[float, Field(ge=0.01, le=1.0)] = 0.15
    extent_mm: Annotated[float, Field(ge=5.0, le=200.0)] = 30.0
    fine_radius_mm: Positive = FINE_RADIUS_MM


class AxisymmetricTissue(FreezingCells):
    """Tissue around one needle that is driven by its temperature or by the heat it draws.

    The axis runs from the shaft to the tip; ``axial_mm`` is 0 in the middle of the active length.
    """

    def __init__(
        self, properties: TissueProperties, needle: NeedleShape, grid: RingGrid | None = None
    ) -> None:
        grid = RingGrid() if grid is None else grid
        self.needle = needle
        cell_mm, extent_mm = grid.cell_mm, grid.extent_mm
        radius_mm = 0.5 * needle.od_mm
        half_mm = 0.5 * needle.active_length_mm
        self._within = within = max(1, round(radius_mm / cell_mm))
        outside = cell_edges(radius_mm, radius_mm + grid.fine_radius_mm, extent_mm, cell_mm)
        radial = np.concatenate([np.linspace(0.0, radius_mm, within + 1), outside[1:]])
        beyond = cell_edges(half_mm, half_mm + FINE_BEYOND_ENDS_MM, half_mm + extent_mm, cell_mm)
        along = np.linspace(-half_mm, half_mm, 2 * max(1, round(half_mm / cell_mm)) + 1)
        axial = np.concatenate([-beyond[:0:-1], along, beyond[1:]])
        self._radial_mm = middles(radial)
        self._axial_mm = middles(axial)
        super().__init__(properties, _rings(radial, axial, within, half_mm))

    def radius_mm(self, isotherm_c: float) -> float:
        """Return the radius of an isotherm in the middle of the active length; 0 if there is none.

        Seen from the needle: where the temperature first rises above ``isotherm_c``.
        """
        column = int(np.flatnonzero(self._axial_mm > 0.0)[0])
        # The middle lies on the edge between two columns of cells.
        enthalpy = 0.5 * (self._enthalpy[:, column] + self._enthalpy[:, column - 1])
        temp_c = self.curves.temp(enthalpy)[self._within :]
        radial_mm = self._radial_mm[self._within :]
        radius_mm = 0.5 * self.needle.od_mm
        colder = np.concatenate([[self.tip_temp_c], temp_c])
        places = np.concatenate([[radius_mm], radial_mm])
        cold = np.flatnonzero(temp_c < isotherm_c)
        if len(cold) == 0:
            return radius_mm if self.tip_temp_c < isotherm_c else 0.0
        # In a thaw the needle is warmer than the ice around it: its outer edge counts.
        last = int(cold[-1]) + 1
        share = (isotherm_c - colder[last]) / (colder[last + 1] - colder[last])
        return float(places[last] + share * (places[last + 1] - places[last]))

    @property
    def front_mm(self) -> float:
        """Radius of the ice in the middle of the active length, a freezing cell counting in part.

        For tissue that freezes at one temperature, or nearly so: there an isotherm is known to half
        a cell only.
        """
        column = int(np.flatnonzero(self._axial_mm > 0.0)[0])
        middle = slice(column - 1, column + 1)
        share = np.clip(self._enthalpy[:, middle] / -self.curves.melting_heat, 0.0, 1.0)
        frozen_mm3 = float((share * self._cells.volume_mm3[:, middle])[self._within :].sum())
        height_mm = float(self._axial_mm[column] - self._axial_mm[column - 1]) * 2.0
        return sqrt((0.5 * self.needle.od_mm) ** 2 + frozen_mm3 / (pi * height_mm))

    def temp_at_c(self, radial_mm: float, axial_mm: float) -> float:
        """Return the temperature at a place; inside the needle that of the needle."""
        half_mm = 0.5 * self.needle.active_length_mm
        if radial_mm < 0.5 * self.needle.od_mm and abs(axial_mm) < half_mm:
            return self.tip_temp_c
        temps_c = self.curves.temp(self._enthalpy)
        row = int(np.argmin(np.abs(self._radial_mm - radial_mm)))
        column = int(np.argmin(np.abs(self._axial_mm - axial_mm)))
        rows = _pair(self._radial_mm, radial_mm, row)
        columns = _pair(self._axial_mm, axial_mm, column)
        total = weight = 0.0
        for i, row_share in rows:
            for j, column_share in columns:
                if self._cells.tissue[i, j]:
                    total += row_share * column_share * float(temps_c[i, j])
                    weight += row_share * column_share
        return total / weight if weight > 0.0 else self.tip_temp_c

    def temps_c(self) -> tuple[Array, Array, Array]:
        """Return radii, axial places and temperatures (``[radius, place]``; needle: NaN)."""
        temps = np.where(self._cells.tissue, self.curves.temp(self._enthalpy), np.nan)
        return self._radial_mm.copy(), self._axial_mm.copy(), temps


def _rings(radial: Array, axial: Array, within: int, half_mm: float) -> Cells:
    """Return the rings between ``radial`` and ``axial`` edges; the first ``within`` hold a needle.

    The needle freezes between ``-half_mm`` and ``half_mm``; the shaft is below.
    """
    radial_mm, axial_mm = middles(radial), middles(axial)
    height_mm = np.diff(axial)
    base_mm2 = pi * np.diff(radial**2)
    tissue = np.ones((len(radial_mm), len(axial_mm)), dtype=bool)
    tissue[:within, axial_mm < half_mm] = False  # Needle and shaft.
    around = 2.0 * pi * height_mm[None, :] / np.diff(np.log(radial_mm))[:, None]
    lengthwise = base_mm2[:, None] / np.diff(axial_mm)[None, :]
    active = np.abs(axial_mm) < half_mm
    to_tip = np.zeros(tissue.shape)
    to_tip[within, active] = 2.0 * pi * height_mm[active] / log(radial_mm[within] / radial[within])
    end = int(np.flatnonzero(axial_mm > half_mm)[0])
    to_tip[:within, end] = base_mm2[:within] / (0.5 * height_mm[end])
    return Cells(
        volume_mm3=base_mm2[:, None] * height_mm[None, :],
        tissue=tissue,
        between_rows=around * (tissue[1:, :] & tissue[:-1, :]),
        between_columns=lengthwise * (tissue[:, 1:] & tissue[:, :-1]),
        to_tip=to_tip,
    )


def _pair(places_mm: Array, place_mm: float, nearest: int) -> tuple[tuple[int, float], ...]:
    """Return the two cells around a place with their shares; one at the edge of the grid."""
    other = nearest + 1 if place_mm > places_mm[nearest] else nearest - 1
    if other < 0 or other >= len(places_mm):
        return ((nearest, 1.0),)
    share = float((place_mm - places_mm[nearest]) / (places_mm[other] - places_mm[nearest]))
    return ((nearest, 1.0 - share), (other, share))
