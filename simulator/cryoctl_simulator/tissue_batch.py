"""The fast model of tissue for many needles of one shape at once; see ``tissue`` for one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cryoctl_simulator.axisymmetric import LETHAL_ISOTHERM_C, NeedleShape
from cryoctl_simulator.shell_column import LIKE_K, SHELLS, STILL_J_MM3, ShellColumn, Value
from cryoctl_simulator.shells import Shells
from cryoctl_simulator.tissue import CALM_CHANGE_K, CALM_K_S, CALM_STEP_S
from cryoctl_simulator.tissue_properties import Array, HeatCurves, TissueProperties

_Indices = npt.NDArray[np.intp]


class _ManyCurves(HeatCurves):
    """Heat curves of many tissues: every figure is an array, one value a needle."""

    __slots__ = ()

    def __init__(self, curves: Sequence[HeatCurves] = ()) -> None:
        for name in HeatCurves.__slots__ if curves else ():
            setattr(self, name, np.array([getattr(one, name) for one in curves]))

    def of(self, which: _Indices) -> _ManyCurves:
        """Return the curves of some needles."""
        some = _ManyCurves()
        for name in HeatCurves.__slots__:
            setattr(some, name, getattr(self, name)[which])
        return some

    def potential_at(self, temp_c: Value) -> Value:
        above_k = temp_c - self.freezing_starts_c
        mushy = above_k * (self.conductivity - self.half_rise * above_k)
        below_k = temp_c - self.freezing_ends_c
        frozen = self.frozen_potential + self.conductivity_frozen * below_k
        cold = np.where(below_k > 0.0, mushy, frozen)
        return np.where(above_k > 0.0, self.conductivity * above_k, cold)

    def conductivity_at(self, temp_c: Value) -> Value:
        mushy = self.conductivity - 2.0 * self.half_rise * (temp_c - self.freezing_starts_c)
        cold = np.where(temp_c <= self.freezing_ends_c, self.conductivity_frozen, mushy)
        return np.where(temp_c >= self.freezing_starts_c, self.conductivity, cold)

    def temp_of_potential(self, potential: Value) -> Value:
        warm_c = self.freezing_starts_c + potential / self.conductivity
        below = potential - self.frozen_potential
        frozen_c = self.freezing_ends_c + below / self.conductivity_frozen
        inside = np.maximum(self.conductivity**2 - 4.0 * self.half_rise * potential, 0.0)
        mushy_c = self.freezing_starts_c + 2.0 * potential / (self.conductivity + np.sqrt(inside))
        cold_c = np.where(potential <= self.frozen_potential, frozen_c, mushy_c)
        return np.where(potential >= 0.0, warm_c, cold_c)


class _ManyColumns(ShellColumn):
    """``ShellColumn`` of several needles: the same steps, cases chosen element by element."""

    __slots__ = ()

    def _curve(self, enthalpy: Value) -> tuple[Value, Value]:
        curves = self.curves
        thawed = enthalpy > 0.0
        warm = curves.conductivity / curves.capacity
        if thawed.all():
            return warm * enthalpy, warm
        cold = curves.conductivity_frozen / curves.capacity_frozen
        per_heat = curves.width_k / curves.melting_heat
        frozen = enthalpy <= -curves.melting_heat
        below_k = enthalpy * per_heat
        steepness = curves.conductivity - 2.0 * curves.half_rise * below_k
        mushy = 0.5 * below_k * (curves.conductivity + steepness)
        solid = curves.frozen_potential + cold * (enthalpy + curves.melting_heat)
        potential = np.where(thawed, warm * enthalpy, np.where(frozen, solid, mushy))
        return potential, np.where(thawed, warm, np.where(frozen, cold, steepness * per_heat))

    def _blood(self, enthalpy: Value, volume_mm3: float) -> Value:
        curves = self.curves
        return np.where(enthalpy > 0.0, curves.perfusion / curves.capacity * volume_mm3, 0.0)

    def _take_chords(self, change: list[Value]) -> None:
        for i, gain in enumerate(change):
            moved = np.abs(gain) > STILL_J_MM3
            there, _ = self._curve(self.enthalpy[i] + gain)
            rise = there - self.potential[i]
            self.slope[i] = np.where(moved, rise / np.where(moved, gain, 1.0), self.slope[i])

    def _mean_conductivity(
        self, boundary: Value, boundary_temp_c: Value, tip_temp_c: Value
    ) -> Value:
        difference_k = boundary_temp_c - tip_temp_c
        differs = np.abs(difference_k) > LIKE_K
        chord = boundary - self.curves.potential_at(tip_temp_c)
        chord /= np.where(differs, difference_k, 1.0)
        return np.where(differs, chord, self.curves.conductivity_at(tip_temp_c))


class TissueBatch:
    """``Tissue`` of many needles; every attribute is an array, one value a needle.

    Needles are moved when each of them has to be, as if it were alone.
    """

    def __init__(
        self,
        properties: Sequence[TissueProperties],
        *,
        needle_od_mm: float,
        active_length_mm: float,
    ) -> None:
        needle = NeedleShape(od_mm=needle_od_mm, active_length_mm=active_length_mm)
        count = len(properties)
        singles = [HeatCurves(one) for one in properties]
        self._curves = _ManyCurves(singles)
        self._shells = Shells(needle, SHELLS)
        self._needle_radius_mm = 0.5 * needle.od_mm
        self.temp_c = np.array([one.temp_c for one in properties])
        self._start = np.array([one.enthalpy_at(one.temp_c) for one in singles])
        self._enthalpy = np.repeat(self._start[None, :], SHELLS, axis=0)
        self._potential = np.zeros((SHELLS, count))
        self._slope = np.zeros((SHELLS, count))
        self._warming = np.zeros((SHELLS, count))
        self._tip_temp_c = self.temp_c.copy()
        self._elapsed_s = np.zeros(count)
        self._heat_j = np.zeros(count)
        self._horizon_s = np.full(count, CALM_STEP_S)
        self.conductance_w_k = np.zeros(count)
        self.boundary_temp_c = self.temp_c.copy()
        everyone = np.arange(count)
        self._see(everyone, self._columns(everyone), self.temp_c)

    def update(self, duration_s: float, *, tip_temp_c: Array, heat_j: Array) -> None:
        """Note what the needles drew in ``duration_s``, and how warm they are now."""
        self._elapsed_s += duration_s
        self._heat_j += heat_j
        changed_k = np.abs(tip_temp_c - self._tip_temp_c)
        waits = (changed_k < CALM_CHANGE_K) & (self._elapsed_s < self._horizon_s)
        due = np.flatnonzero(~waits)
        if len(due) == 0:
            return
        elapsed_s = self._elapsed_s[due]
        columns = self._columns(due)
        columns.move(elapsed_s, self._heat_j[due] / elapsed_s)
        is_calm = changed_k[due] < CALM_K_S * elapsed_s
        self._horizon_s[due] = np.where(is_calm, CALM_STEP_S, duration_s)
        self._elapsed_s[due] = 0.0
        self._heat_j[due] = 0.0
        self._see(due, columns, tip_temp_c[due])

    @property
    def radius_mm(self) -> Array:
        """Radius of the ice in the middle of the active length; 0 without ice."""
        curves, shells = self._curves, self._shells
        last, has_ice = self._outermost(self._enthalpy < 0.0)
        outer = np.minimum(last + 1, SHELLS - 1)
        edge_mm, radius_mm = np.array(shells.edge_mm), np.array(shells.radius_mm)
        filled = np.minimum(1.0, -_pick(self._enthalpy, last) / curves.melting_heat)
        front_mm = edge_mm[last] + filled * (edge_mm[last + 1] - edge_mm[last])
        outside_k = _pick(self._enthalpy, outer) / curves.capacity
        width_k2 = curves.width_k**2
        smooth = np.where(last < SHELLS - 1, width_k2 / (width_k2 + outside_k**2), 0.0)
        here, beyond = _pick(self._potential, last), _pick(self._potential, outer)
        share = np.where(here < 0.0, here / np.where(here < 0.0, here - beyond, 1.0), 0.0)
        isotherm_mm = radius_mm[last] * (radius_mm[outer] / radius_mm[last]) ** share
        found: Array = np.where(has_ice, smooth * isotherm_mm + (1.0 - smooth) * front_mm, 0.0)
        return found

    @property
    def radius_minus20_mm(self) -> Array:
        """Radius of the -20 C isotherm there; 0 without."""
        lethal = self._curves.potential_at(np.full(self.temp_c.shape, LETHAL_ISOTHERM_C))
        last, has_shell = self._outermost(self._potential < lethal)
        radius_mm = np.array([self._needle_radius_mm, *self._shells.radius_mm])
        # The needle is the place before the first shell.
        needle_is_cold = self._tip_temp_c < LETHAL_ISOTHERM_C
        at_needle = self._curves.potential_at(self._tip_temp_c)
        places = np.vstack([at_needle, self._potential])
        inner = np.where(has_shell, last + 1, 0)
        outer = np.minimum(inner + 1, SHELLS)
        here, beyond = _pick(places, inner), _pick(places, outer)
        span = np.where(beyond > here, beyond - here, 1.0)
        share = np.clip((lethal - here) / span, 0.0, 1.0)
        found_mm = radius_mm[inner] * (radius_mm[outer] / radius_mm[inner]) ** share
        found: Array = np.where(has_shell | needle_is_cold, found_mm, 0.0)
        return found

    def _outermost(self, cold: npt.NDArray[np.bool_]) -> tuple[_Indices, npt.NDArray[np.bool_]]:
        """Return the outermost shell for which ``cold`` holds, and whether there is one."""
        has = np.logical_or.reduce(cold, axis=0)
        last = SHELLS - 1 - np.argmax(cold[::-1], axis=0)
        return np.where(has, last, 0), has

    def _columns(self, which: _Indices) -> _ManyColumns:
        columns = _ManyColumns(self._curves.of(which), self._shells, self._start[which])
        columns.enthalpy = list(self._enthalpy[:, which])
        columns.potential = list(self._potential[:, which])
        columns.slope = list(self._slope[:, which])
        columns.warming = list(self._warming[:, which])
        return columns

    def _see(self, which: _Indices, columns: _ManyColumns, tip_temp_c: Array) -> None:
        columns.look()
        self._enthalpy[:, which] = columns.enthalpy
        self._potential[:, which] = columns.potential
        self._warming[:, which] = columns.warming
        self._tip_temp_c[which] = tip_temp_c
        conductance_w_k, boundary_c = columns.needle_side(self._horizon_s[which], tip_temp_c)
        self.conductance_w_k[which] = conductance_w_k
        self.boundary_temp_c[which] = boundary_c
        self._slope[:, which] = columns.slope  # The next step begins with these chords.


def _pick(values: Array, rows: _Indices) -> Array:
    """Return, for every column, the value in its own row."""
    picked: Array = np.take_along_axis(values, rows[None, :], axis=0)[0]
    return picked
