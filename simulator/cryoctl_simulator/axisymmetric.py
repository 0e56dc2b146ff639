"""Reference model of freezing around one needle: heat conduction in (r, z), in enthalpy form.

Pennes' equation on a ring grid by finite volumes, explicit in time. What leaves one ring enters the
next, so heat is conserved to rounding whatever the step; the step is kept below the limit of
stability. The needle is isothermal over its active length, its shaft takes up no heat, and the
outer edge of the grid is insulated and far away.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from math import log, pi
from typing import Annotated, Any, Final

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from cryoctl_simulator.tissue_properties import Array, HeatCurves, TissueProperties

STABLE_SHARE: Final = 0.95  # of the largest stable step
COARSENING: Final = 1.12  # growth of a cell over its neighbour outside the fine zone
FINE_RADIUS_MM: Final = 6.0
FINE_BEYOND_ENDS_MM: Final = 4.0
COLDEST_C: Final = -200.0
HOTTEST_C: Final = 100.0  # tissue would boil, and the model knows no steam
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


class AxisymmetricTissue:
    """Tissue around one needle that is driven by its temperature or by the heat it draws.

    The axis runs from the shaft to the tip; ``axial_mm`` is 0 in the middle of the active length.

    Attributes:
        time_s: How far the model has been run.
        heat_j: Heat the needle has drawn from the tissue.
        blood_heat_j: Heat that blood has brought.
        heat_w: Heat into the needle in the last step.
        tip_temp_c: Temperature of the needle in the last step.
    """

    def __init__(
        self, properties: TissueProperties, needle: NeedleShape, grid: RingGrid | None = None
    ) -> None:
        self.properties = properties
        self.curves = HeatCurves(properties)
        self.needle = needle
        grid = RingGrid() if grid is None else grid
        self._lay_out(needle, grid)
        start = self.curves.enthalpy_at(properties.temp_c)
        self._enthalpy = np.full(self._volume_mm3.shape, start)
        self._start = start
        # Every step writes into these: fresh arrays cost more than the arithmetic.
        self._potential = np.empty_like(self._enthalpy)
        self._gain = np.empty_like(self._enthalpy)
        self._scratch = np.empty_like(self._enthalpy)
        self._perfused = np.empty(self._enthalpy.shape, dtype=bool)
        self._radial_flow = np.empty_like(self._around)
        self._axial_flow = np.empty_like(self._lengthwise)
        self.time_s = 0.0
        self.heat_j = 0.0
        self.blood_heat_j = 0.0
        self.heat_w = 0.0
        self._outer_heat_w = 0.0
        self.tip_temp_c = properties.temp_c

    # -- the grid --------------------------------------------------------------------------------

    def _lay_out(self, needle: NeedleShape, grid: RingGrid) -> None:
        cell_mm, extent_mm = grid.cell_mm, grid.extent_mm
        radius_mm = 0.5 * needle.od_mm
        half_mm = 0.5 * needle.active_length_mm
        within = max(1, round(radius_mm / cell_mm))
        self._within = within
        outside = _edges(radius_mm, radius_mm + grid.fine_radius_mm, extent_mm, cell_mm)
        radial = np.concatenate([np.linspace(0.0, radius_mm, within + 1), outside[1:]])
        beyond = _edges(half_mm, half_mm + FINE_BEYOND_ENDS_MM, half_mm + extent_mm, cell_mm)
        along = np.linspace(-half_mm, half_mm, 2 * max(1, round(half_mm / cell_mm)) + 1)
        axial = np.concatenate([-beyond[:0:-1], along, beyond[1:]])
        self._radial_mm = radial_mm = _middles(radial)
        self._axial_mm = axial_mm = _middles(axial)
        height_mm = np.diff(axial)
        base_mm2 = pi * np.diff(radial**2)

        active = np.abs(axial_mm) < half_mm
        tissue = np.ones((len(radial_mm), len(axial_mm)), dtype=bool)
        tissue[:within, axial_mm < half_mm] = False  # Needle and shaft.
        self._tissue = tissue
        # Conductances without the conductivity, mm: around a ring of mean radius, and along.
        around = 2.0 * pi * height_mm[None, :] / np.diff(np.log(radial_mm))[:, None]
        around *= tissue[1:, :] & tissue[:-1, :]
        lengthwise = base_mm2[:, None] / np.diff(axial_mm)[None, :]
        lengthwise = lengthwise * (tissue[:, 1:] & tissue[:, :-1])
        to_needle = np.zeros(tissue.shape)
        first_ring = 2.0 * pi / log(radial_mm[within] / radius_mm)
        to_needle[within, active] = first_ring * height_mm[active]
        end = int(np.flatnonzero(axial_mm > half_mm)[0])
        to_needle[:within, end] = base_mm2[:within] / (0.5 * height_mm[end])

        self._volume_mm3 = base_mm2[:, None] * height_mm[None, :]
        self._around, self._lengthwise, self._to_needle = around, lengthwise, to_needle
        self._touching = np.flatnonzero(to_needle)
        self._to_needle_sum = float(to_needle.sum())
        self._per_volume = tissue / self._volume_mm3
        self._blood = self._volume_mm3 * tissue * (self.curves.perfusion / self.curves.capacity)
        all_around = to_needle.copy()
        all_around[1:] += around
        all_around[:-1] += around
        all_around[:, 1:] += lengthwise
        all_around[:, :-1] += lengthwise
        curves = self.curves
        diffusivity_mm2_s = max(
            curves.conductivity / curves.capacity,
            curves.conductivity_frozen / curves.capacity_frozen,
        )
        fastest_per_s = diffusivity_mm2_s * float((all_around * self._per_volume).max())
        self.step_s = STABLE_SHARE / fastest_per_s
        """Longest step that is taken."""

    # -- time ------------------------------------------------------------------------------------

    def run(self, until_s: float, tip_temp_c: float | Callable[[float], float]) -> None:
        """Move to ``until_s`` with the needle at a temperature, constant or over time.

        Raises:
            ValueError: The time lies behind, or a temperature is outside -200 to 100 C.
        """
        if not until_s >= self.time_s:
            raise ValueError(f"until_s {until_s:g} s lies before {self.time_s:g} s, or is no time")
        start_s = self.time_s
        steps = math.ceil((until_s - start_s) / self.step_s - 1e-9)
        for step in range(steps):
            duration_s = (until_s - start_s) / steps
            middle_s = start_s + (step + 0.5) * duration_s
            tip_c = tip_temp_c(middle_s) if callable(tip_temp_c) else tip_temp_c
            if not COLDEST_C <= tip_c < HOTTEST_C:
                raise ValueError(
                    f"tip_temp_c {tip_c:g} C is out of range ({COLDEST_C:g} to {HOTTEST_C:g} C,"
                    " where tissue would boil)"
                )
            self.tip_temp_c = tip_c
            self._move(duration_s, self.curves.potential_at(tip_c))
        self.time_s = until_s

    def draw(self, duration_s: float, heat_w: float) -> None:
        """Move by ``duration_s`` while the needle draws ``heat_w``; its temperature follows."""
        steps = max(1, math.ceil(duration_s / self.step_s - 1e-9))
        for _ in range(steps):
            mean = float((self._to_needle * self.curves.potential(self._enthalpy)).sum())
            surface = (mean - heat_w) / self._to_needle_sum
            self.tip_temp_c = self.curves.temp_of_potential(surface)
            self._move(duration_s / steps, surface)
        self.time_s += duration_s

    def _move(self, duration_s: float, needle_potential: float) -> None:
        enthalpy, curves, scratch = self._enthalpy, self.curves, self._scratch
        potential, gain = self._potential, self._gain
        curves.write_potential(enthalpy, potential, scratch)
        np.subtract(needle_potential, potential, out=gain)
        gain *= self._to_needle
        heat_w = -float(gain.sum())
        flow = self._radial_flow
        np.subtract(potential[1:], potential[:-1], out=flow)
        flow *= self._around
        gain[:-1] += flow
        gain[1:] -= flow
        flow = self._axial_flow
        np.subtract(potential[:, 1:], potential[:, :-1], out=flow)
        flow *= self._lengthwise
        gain[:, :-1] += flow
        gain[:, 1:] -= flow
        self._outer_heat_w = float(gain.take(self._touching).sum()) + heat_w
        if curves.perfusion > 0.0:
            np.greater(enthalpy, 0.0, out=self._perfused)
            np.subtract(self._start, enthalpy, out=scratch)
            scratch *= self._blood
            scratch *= self._perfused
            gain += scratch
            self.blood_heat_j += duration_s * float(scratch.sum())
        gain *= self._per_volume
        gain *= duration_s
        enthalpy += gain
        self.heat_w = heat_w
        self.heat_j += duration_s * heat_w

    def needle_side(self, duration_s: float) -> tuple[float, float]:
        """Return conductance (W/K) and temperature (C) by which the needle sees the tissue.

        Over ``duration_s`` the cells at the needle follow it, with the capacity of ice and what
        flows to them from outside: so a light needle may be moved in steps longer than its own
        response.
        """
        curves = self.curves
        mean = float((self._to_needle * curves.potential(self._enthalpy)).sum())
        boundary_c = curves.temp_of_potential(mean / self._to_needle_sum)
        stiff_w_k = self._to_needle_sum * curves.conductivity_at(boundary_c)
        capacity_j_k = float(self._volume_mm3.take(self._touching).sum()) * curves.capacity_frozen
        conductance_w_k = stiff_w_k / (1.0 + stiff_w_k * duration_s / capacity_j_k)
        return conductance_w_k, boundary_c + self._outer_heat_w * duration_s / capacity_j_k

    # -- what can be read ------------------------------------------------------------------------

    @property
    def stored_j(self) -> float:
        """Heat gained by the tissue since the start: ``blood_heat_j - heat_j`` to rounding."""
        return float(((self._enthalpy - self._start) * self._volume_mm3).sum())

    @property
    def ice_volume_mm3(self) -> float:
        """Volume in which freezing has begun."""
        return float(self._volume_mm3[(self._enthalpy < 0.0) & self._tissue].sum())

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
                if self._tissue[i, j]:
                    total += row_share * column_share * float(temps_c[i, j])
                    weight += row_share * column_share
        return total / weight if weight > 0.0 else self.tip_temp_c

    def temps_c(self) -> tuple[Array, Array, Array]:
        """Return radii, axial places and temperatures (``[radius, place]``; needle: NaN)."""
        temps = np.where(self._tissue, self.curves.temp(self._enthalpy), np.nan)
        return self._radial_mm.copy(), self._axial_mm.copy(), temps

    def save(self) -> bytes:
        """Return the whole state; valid for this version of the program only."""
        return pickle.dumps(vars(self))

    def load(self, data: bytes) -> None:
        """Take over a state that ``save`` returned."""
        state: dict[str, Any] = pickle.loads(data)
        vars(self).update(state)


def _edges(start_mm: float, fine_to_mm: float, end_mm: float, cell_mm: float) -> Array:
    """Return cell edges: even up to ``fine_to_mm``, then each cell larger than the last."""
    fine = max(1, math.ceil((min(fine_to_mm, end_mm) - start_mm) / cell_mm - 1e-9))
    edges = [start_mm + cell_mm * step for step in range(fine + 1)]
    width_mm = cell_mm
    while edges[-1] < end_mm:
        width_mm *= COARSENING
        edges.append(edges[-1] + width_mm)
    return np.array(edges)


def _middles(edges: Array) -> Array:
    middles: Array = 0.5 * (edges[1:] + edges[:-1])
    return middles


def _pair(places_mm: Array, place_mm: float, nearest: int) -> tuple[tuple[int, float], ...]:
    """Return the two cells around a place with their shares; one at the edge of the grid."""
    other = nearest + 1 if place_mm > places_mm[nearest] else nearest - 1
    if other < 0 or other >= len(places_mm):
        return ((nearest, 1.0),)
    share = float((place_mm - places_mm[nearest]) / (places_mm[other] - places_mm[nearest]))
    return ((nearest, 1.0 - share), (other, share))
