"""The kernel of the reference models: freezing in finite volumes, the same for every grid.

Pennes' equation in enthalpy form, explicit in time. What leaves one cell enters the next, so heat
is conserved to rounding whatever the step; the step is kept below the limit of stability. The grid
is data: volumes, and conductances between them. What it looks like, a needle in (r, z), a plane, a
long cylinder or a sphere, is for others to say.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from cryoctl_simulator.tissue_properties import Array, HeatCurves, TissueProperties

STABLE_SHARE: Final = 0.95  # of the largest stable step
COARSENING: Final = 1.12  # growth of a cell over its neighbour outside the fine zone
COLDEST_C: Final = -200.0
HOTTEST_C: Final = 100.0  # tissue would boil, and the model knows no steam


@dataclass(frozen=True, slots=True)
class Cells:
    """Cells in rows and columns, and how heat gets from one to the next.

    All arrays are ``[row, column]``; conductances are without the conductivity, in mm (area through
    which heat flows / length of its way). One column makes a one-dimensional grid.

    Attributes:
        volume_mm3: Volume of each cell.
        tissue: False for cells that hold none, such as those of the needle.
        between_rows: Conductance from each row to the next: one row fewer.
        between_columns: Conductance from each column to the next: one column fewer.
        to_tip: Conductance from each cell to the needle, which has one temperature.
    """

    volume_mm3: Array
    tissue: np.typing.NDArray[np.bool_]
    between_rows: Array
    between_columns: Array
    to_tip: Array


class FreezingCells:
    """Tissue in cells that is driven by the temperature of a needle or by the heat it draws.

    A needle is whatever one side of the grid touches: a needle, a plane wall, a cylinder.

    Attributes:
        time_s: How far the model has been run.
        heat_j: Heat the needle has drawn from the tissue.
        blood_heat_j: Heat that blood has brought.
        heat_w: Heat into the needle in the last step.
        tip_temp_c: Temperature of the needle in the last step.
        step_s: Longest step that is taken.
    """

    def __init__(self, properties: TissueProperties, cells: Cells) -> None:
        self.properties = properties
        self.curves = curves = HeatCurves(properties)
        self._cells = cells
        self._start = curves.enthalpy_at(properties.temp_c)
        self._enthalpy = np.full(cells.volume_mm3.shape, self._start)
        self._to_tip_sum = float(cells.to_tip.sum())
        # What the needle touches is a few hundred cells; most looks from it need no others.
        self._touching = np.flatnonzero(cells.to_tip)
        self._to_tip = cells.to_tip.take(self._touching)
        self._touching_mm3 = float(cells.volume_mm3.take(self._touching).sum())
        self._per_volume = cells.tissue / cells.volume_mm3
        self.set_perfusion(properties.perfusion_w_m3_k)
        # Every step writes into these: fresh arrays cost more than the arithmetic.
        self._potential = np.empty_like(self._enthalpy)
        self._gain = np.empty_like(self._enthalpy)
        self._scratch = np.empty_like(self._enthalpy)
        self._perfused = np.empty(self._enthalpy.shape, dtype=bool)
        self._row_flow = np.empty_like(cells.between_rows)
        self._column_flow = np.empty_like(cells.between_columns)
        self.step_s = self._stable_step_s()
        self.time_s = 0.0
        self.heat_j = 0.0
        self.blood_heat_j = 0.0
        self.heat_w = 0.0
        self._outer_heat_w = 0.0
        self.tip_temp_c = properties.temp_c

    def set_perfusion(self, perfusion_w_m3_k: float) -> None:
        """Let more or less blood flow by than the tissue's properties say."""
        curves, cells = self.curves, self._cells
        curves.perfusion = 1e-9 * perfusion_w_m3_k
        self._blood = cells.volume_mm3 * cells.tissue * (curves.perfusion / curves.capacity)

    def _stable_step_s(self) -> float:
        cells, curves = self._cells, self.curves
        around = cells.to_tip.copy()
        around[1:] += cells.between_rows
        around[:-1] += cells.between_rows
        around[:, 1:] += cells.between_columns
        around[:, :-1] += cells.between_columns
        diffusivity_mm2_s = max(
            curves.conductivity / curves.capacity,
            curves.conductivity_frozen / curves.capacity_frozen,
        )
        return STABLE_SHARE / (diffusivity_mm2_s * float((around * self._per_volume).max()))

    # -- time ------------------------------------------------------------------------------------

    def run(self, until_s: float, tip_temp_c: float | Callable[[float], float]) -> None:
        """Move to ``until_s`` with the needle at a temperature, constant or over time.

        Raises:
            ValueError: The time lies behind, or a temperature is outside -200 to 100 C.
        """
        if not self.time_s <= until_s < math.inf:
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
        """Move by ``duration_s`` while the needle draws ``heat_w``; its temperature follows.

        Raises:
            ValueError: A duration below 0, or heat that would take the needle out of -200 to 100 C.
        """
        if not 0.0 <= duration_s < math.inf:
            raise ValueError(f"duration_s {duration_s:g} s is no duration: give 0 or more")
        steps = math.ceil(duration_s / self.step_s - 1e-9)
        for _ in range(steps):
            surface = (self._potential_at_tip() - heat_w) / self._to_tip_sum
            tip_c = self.curves.temp_of_potential(surface)
            if not COLDEST_C <= tip_c < HOTTEST_C:
                raise ValueError(
                    f"heat_w {heat_w:g} W would take the needle to {tip_c:g} C, out of range"
                    f" ({COLDEST_C:g} to {HOTTEST_C:g} C)"
                )
            self.tip_temp_c = tip_c
            self._move(duration_s / steps, surface)
        self.time_s += duration_s

    def _move(self, duration_s: float, tip_potential: float) -> None:
        cells, curves = self._cells, self.curves
        enthalpy, scratch = self._enthalpy, self._scratch
        potential, gain = self._potential, self._gain
        curves.write_potential(enthalpy, potential, scratch)
        np.subtract(tip_potential, potential, out=gain)
        gain *= cells.to_tip
        heat_w = -float(gain.sum())
        flow = self._row_flow
        np.subtract(potential[1:], potential[:-1], out=flow)
        flow *= cells.between_rows
        gain[:-1] += flow
        gain[1:] -= flow
        flow = self._column_flow
        np.subtract(potential[:, 1:], potential[:, :-1], out=flow)
        flow *= cells.between_columns
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
        boundary_c = curves.temp_of_potential(self._potential_at_tip() / self._to_tip_sum)
        stiff_w_k = self._to_tip_sum * curves.conductivity_at(boundary_c)
        capacity_j_k = self._touching_mm3 * curves.capacity_frozen
        conductance_w_k = stiff_w_k / (1.0 + stiff_w_k * duration_s / capacity_j_k)
        return conductance_w_k, boundary_c + self._outer_heat_w * duration_s / capacity_j_k

    def _potential_at_tip(self) -> float:
        """Return the potential beside the needle, weighted by the conductance to it."""
        potential = self.curves.potential(self._enthalpy.take(self._touching))
        return float((self._to_tip * potential).sum())

    # -- what can be read ------------------------------------------------------------------------

    @property
    def stored_j(self) -> float:
        """Heat gained by the tissue since the start: ``blood_heat_j - heat_j`` to rounding."""
        return float(((self._enthalpy - self._start) * self._cells.volume_mm3).sum())

    @property
    def ice_volume_mm3(self) -> float:
        """Volume in which freezing has begun."""
        cells = self._cells
        return float(cells.volume_mm3[(self._enthalpy < 0.0) & cells.tissue].sum())

    @property
    def frozen_volume_mm3(self) -> float:
        """Volume of what has frozen; a cell in the middle of freezing counts in part."""
        share = np.clip(self._enthalpy / -self.curves.melting_heat, 0.0, 1.0)
        return float((share * self._cells.volume_mm3)[self._cells.tissue].sum())


def cell_edges(start_mm: float, fine_to_mm: float, end_mm: float, cell_mm: float) -> Array:
    """Return cell edges: even up to ``fine_to_mm``, then each cell larger than the last."""
    fine = max(1, math.ceil((min(fine_to_mm, end_mm) - start_mm) / cell_mm - 1e-9))
    edges = [start_mm + cell_mm * step for step in range(fine + 1)]
    width_mm = cell_mm
    while edges[-1] < end_mm:
        width_mm *= COARSENING
        edges.append(edges[-1] + width_mm)
    return np.array(edges)


def middles(edges: Array) -> Array:
    """Return the middles between ``edges``: one fewer."""
    between: Array = 0.5 * (edges[1:] + edges[:-1])
    return between
