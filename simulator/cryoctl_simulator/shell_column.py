"""Heat conduction through the shells around a needle: one implicit step, one look from the needle.

The arithmetic takes numbers for one needle, or arrays for many needles of one shape at once:
``tissue_batch`` replaces what has to choose between cases.
"""

from __future__ import annotations

from typing import Any, Final

from cryoctl_simulator.shells import Shells
from cryoctl_simulator.tissue_properties import HeatCurves

SHELLS: Final = 40
STILL_J_MM3: Final = 1e-12  # a shell that changed less keeps its tangent
LIKE_K: Final = 0.01  # temperatures closer than this have one conductivity

# A number for one needle, an array for many.
Value = Any


class ShellColumn:
    """Enthalpy of every shell, from the needle outward, and what follows from it.

    Attributes:
        enthalpy: Of each shell, J/mm3; ``look`` must be called after a change.
        potential: Conduction potential of each shell, W/mm.
        slope: Of the potential over the enthalpy.
        warming: Help of blood, W per J/mm3 that is missing; 0 in ice.
    """

    __slots__ = ("_start", "curves", "enthalpy", "potential", "shells", "slope", "warming")

    def __init__(self, curves: HeatCurves, shells: Shells, start: Value) -> None:
        self.curves = curves
        self.shells = shells
        self._start = start
        self.enthalpy: list[Value] = [start] * SHELLS
        self.potential: list[Value] = [0.0] * SHELLS
        self.slope: list[Value] = [0.0] * SHELLS
        self.warming: list[Value] = [0.0] * SHELLS

    def move(self, duration_s: Value, heat_w: Value) -> None:
        """Take one implicit step with a known heat flow into the needle."""
        # The slopes are the chords that ``needle_side`` foresaw for this very step.
        change = self._solve(duration_s, 0.0, -heat_w)
        self.enthalpy = [before + gain for before, gain in zip(self.enthalpy, change, strict=True)]

    def look(self) -> None:
        """Work out potentials, their slopes over enthalpy, and the help of blood."""
        for i, (enthalpy, volume_mm3) in enumerate(
            zip(self.enthalpy, self.shells.volume_mm3, strict=True)
        ):
            self.potential[i], self.slope[i] = self._curve(enthalpy)
            self.warming[i] = self._blood(enthalpy, volume_mm3)

    def needle_side(self, horizon_s: Value, tip_temp_c: Value) -> tuple[Value, Value]:
        """Reduce all shells to one conductance (W/K) and one temperature (C), for a while."""
        shells = self.shells
        # Where a shell is about to freeze its tangent says nothing of the heat that waits there.
        drive = self.curves.potential_at(tip_temp_c) - self.potential[0]
        self._take_chords(self._solve(horizon_s, shells.needle_mm, shells.needle_mm * drive))
        rises, shares = self._eliminate(horizon_s)
        rise, diagonal = self._close(rises[1], shares[1], horizon_s, shells.needle_mm)
        tangent = self.slope[0]
        stiff = 1.0 - tangent * shells.needle_mm / diagonal
        boundary = self.potential[0] + tangent * rise / diagonal / stiff
        boundary_c = self.curves.temp_of_potential(boundary)
        mean = self._mean_conductivity(boundary, boundary_c, tip_temp_c)
        return shells.needle_mm * stiff * mean, boundary_c

    def stored_j(self) -> Value:
        """Return the heat gained since the start, what blood brought included."""
        pairs = zip(self.enthalpy, self.shells.volume_mm3, strict=True)
        return sum((enthalpy - self._start) * volume for enthalpy, volume in pairs)

    def _solve(self, duration_s: Value, needle_mm: float, inflow_w: Value) -> list[Value]:
        """Return the change of each shell's enthalpy.

        Either for a known heat flow from the needle, or for a needle of known potential: then
        ``needle_mm`` lets the first shell follow it.
        """
        rises, shares = self._eliminate(duration_s)
        rise, diagonal = self._close(rises[1], shares[1], duration_s, needle_mm)
        change = (rise + inflow_w) / diagonal
        changes = [change]
        for i in range(1, SHELLS):
            change = rises[i] + shares[i] * change
            changes.append(change)
        return changes

    def _eliminate(self, duration_s: Value) -> tuple[list[Value], list[Value]]:
        """Return, per shell but the first, ``change[i] = rises[i] + shares[i] * change[i - 1]``.

        Gauss elimination from the outside in, of the implicit heat balance of each shell.
        """
        potential, slope, enthalpy = self.potential, self.slope, self.enthalpy
        warming, start = self.warming, self._start
        outward_mm, volume_mm3 = self.shells.outward_mm, self.shells.volume_mm3
        per_s = 1.0 / duration_s
        rises: list[Value] = [0.0] * SHELLS
        shares: list[Value] = [0.0] * SHELLS
        outer_rise = outer_share = outer_potential = coupling = outer_mm = 0.0
        for i in range(SHELLS - 1, 0, -1):
            inner_mm = outward_mm[i - 1]
            here, tangent, blood = potential[i], slope[i], warming[i]
            diagonal = volume_mm3[i] * per_s + (outer_mm + inner_mm) * tangent
            diagonal += blood - coupling * outer_share
            rise = outer_mm * (outer_potential - here) + inner_mm * (potential[i - 1] - here)
            rise += coupling * outer_rise + blood * (start - enthalpy[i])
            outer_rise = rises[i] = rise / diagonal
            outer_share = shares[i] = inner_mm * slope[i - 1] / diagonal
            outer_mm, outer_potential = inner_mm, here
            coupling = inner_mm * tangent
        return rises, shares

    def _close(
        self, outer_rise: Value, outer_share: Value, duration_s: Value, needle_mm: float
    ) -> tuple[Value, Value]:
        """Return the heat balance of the first shell: ``rise`` over ``diagonal``."""
        potential, slope, blood = self.potential, self.slope, self.warming[0]
        outward_mm = self.shells.outward_mm[0]
        coupling = outward_mm * slope[1]
        rise = outward_mm * (potential[1] - potential[0]) + coupling * outer_rise
        rise += blood * (self._start - self.enthalpy[0])
        diagonal = self.shells.volume_mm3[0] / duration_s + (needle_mm + outward_mm) * slope[0]
        return rise, diagonal + blood - coupling * outer_share

    # -- what differs between one needle and many ------------------------------------------------

    def _curve(self, enthalpy: Value) -> tuple[Value, Value]:
        """Return the potential at an enthalpy, and its slope there."""
        curves = self.curves
        if enthalpy > 0.0:
            warm = curves.conductivity / curves.capacity
            return warm * enthalpy, warm
        melting = curves.melting_heat
        if enthalpy <= -melting:
            cold = curves.conductivity_frozen / curves.capacity_frozen
            return curves.frozen_potential + cold * (enthalpy + melting), cold
        per_heat = curves.width_k / melting
        below_k = enthalpy * per_heat
        steepness = curves.conductivity - 2.0 * curves.half_rise * below_k
        return 0.5 * below_k * (curves.conductivity + steepness), steepness * per_heat

    def _blood(self, enthalpy: Value, volume_mm3: float) -> Value:
        curves = self.curves
        return curves.perfusion / curves.capacity * volume_mm3 if enthalpy > 0.0 else 0.0

    def _take_chords(self, change: list[Value]) -> None:
        """Let each slope lead to where the change would, instead of along the curve's tangent."""
        for i, gain in enumerate(change):
            if abs(gain) > STILL_J_MM3:
                there, _ = self._curve(self.enthalpy[i] + gain)
                self.slope[i] = (there - self.potential[i]) / gain

    def _mean_conductivity(
        self, boundary: Value, boundary_temp_c: Value, tip_temp_c: Value
    ) -> Value:
        difference_k = boundary_temp_c - tip_temp_c
        if abs(difference_k) > LIKE_K:
            return (boundary - self.curves.potential_at(tip_temp_c)) / difference_k
        return self.curves.conductivity_at(tip_temp_c)
