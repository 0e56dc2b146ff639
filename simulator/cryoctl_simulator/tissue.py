"""Fast model of ice and tissue around one needle: heat conduction through nested shells.

Around a needle the isotherms are close to confocal spheroids, so tissue is cut into shells between
them and heat is conducted from shell to shell: one dimension instead of two. Phase change,
perfusion and thaw need no rules of their own, they follow from the enthalpy of each shell. Three
constants of shape were fitted to the reference model (``axisymmetric``). The needles of one probe
do not see each other.
"""

from __future__ import annotations

import pickle
from math import log
from typing import Any, Final

from cryoctl_simulator.axisymmetric import LETHAL_ISOTHERM_C, NeedleShape
from cryoctl_simulator.shells import Shells
from cryoctl_simulator.tissue_properties import HeatCurves, TissueProperties

SHELLS: Final = 40
CALM_STEP_S: Final = 0.5  # step while little happens
CALM_K_S: Final = 3.0  # a needle that changes more slowly than this is calm
CALM_CHANGE_K: Final = 1.0  # a change that ends a calm step early
ITERATIONS: Final = 2  # of the implicit step: tangents first, then chords
LIKE_K: Final = 0.01  # temperatures closer than this have one conductivity
STILL_J_MM3: Final = 1e-12  # a shell that changed less keeps its tangent


class Tissue:
    """The ice and the tissue around one needle, seen from the needle.

    After ``update`` the plant uses two of the attributes: heat into the needle is
    ``conductance_w_k * (boundary_temp_c - tip_temp_c)`` until the next update. What the needle drew
    is booked to the last joule, whatever those two said.

    Attributes:
        temp_c: Of undisturbed tissue.
        radius_mm: Of the ice in the middle of the active length; 0 without ice.
        radius_minus20_mm: Of the -20 C isotherm; 0 without.
        volume_mm3: Of the ice.
        film_mm: Thickness of the melted layer between needle and ice; 0 where there is none.
    """

    __slots__ = (
        "_curves",
        "_elapsed_s",
        "_enthalpy",
        "_heat_j",
        "_horizon_s",
        "_potential",
        "_shells",
        "_slope",
        "_start",
        "_tip_temp_c",
        "boundary_temp_c",
        "conductance_w_k",
        "film_mm",
        "needle_radius_mm",
        "properties",
        "radius_minus20_mm",
        "radius_mm",
        "temp_c",
        "volume_mm3",
    )

    def __init__(
        self, properties: TissueProperties, *, needle_od_mm: float, active_length_mm: float
    ) -> None:
        needle = NeedleShape(od_mm=needle_od_mm, active_length_mm=active_length_mm)
        self.properties = properties
        self.temp_c = properties.temp_c
        self.needle_radius_mm = 0.5 * needle.od_mm
        self._curves = HeatCurves(properties)
        self._shells = Shells(needle, SHELLS)
        self._start = self._curves.enthalpy_at(properties.temp_c)
        self._enthalpy = [self._start] * SHELLS
        self._potential = [0.0] * SHELLS
        self._slope = [0.0] * SHELLS
        self._elapsed_s = 0.0
        self._heat_j = 0.0
        self._horizon_s = CALM_STEP_S
        self._tip_temp_c = properties.temp_c
        self.radius_mm = 0.0
        self.radius_minus20_mm = 0.0
        self.volume_mm3 = 0.0
        self.film_mm = 0.0
        self.conductance_w_k = 0.0
        self.boundary_temp_c = properties.temp_c
        self._see(properties.temp_c)

    def update(self, duration_s: float, *, tip_temp_c: float, heat_j: float) -> None:
        """Note that the needle drew ``heat_j`` in ``duration_s`` and is at ``tip_temp_c`` now.

        While little happens several calls are taken together.
        """
        self._elapsed_s += duration_s
        self._heat_j += heat_j
        changed_k = abs(tip_temp_c - self._tip_temp_c)
        if changed_k < CALM_CHANGE_K and self._elapsed_s < self._horizon_s:
            return
        self._move(self._elapsed_s, self._heat_j / self._elapsed_s)
        is_calm = changed_k < CALM_K_S * self._elapsed_s
        self._horizon_s = CALM_STEP_S if is_calm else duration_s
        self._elapsed_s = 0.0
        self._heat_j = 0.0
        self._see(tip_temp_c)

    @property
    def stored_j(self) -> float:
        """Heat gained by the tissue since the start, what blood brought included."""
        volumes = self._shells.volume_mm3
        gained = [enthalpy - self._start for enthalpy in self._enthalpy]
        return sum(g * volume for g, volume in zip(gained, volumes, strict=True))

    def temp_at_c(self, radial_mm: float, axial_mm: float) -> float:
        """Return the temperature at a place; ``axial_mm`` is 0 at the middle of the needle."""
        radius_mm = self._shells.middle_radius_mm(radial_mm, axial_mm)
        if radius_mm <= self.needle_radius_mm:
            return self._tip_temp_c
        curves = self._curves
        inner_mm = self.needle_radius_mm
        inner = curves.potential_at(self._tip_temp_c)
        for outer_mm, outer in zip(self._shells.radius_mm, self._potential, strict=True):
            if radius_mm <= outer_mm:
                share = log(radius_mm / inner_mm) / log(outer_mm / inner_mm)
                return curves.temp_of_potential(inner + share * (outer - inner))
            inner_mm, inner = outer_mm, outer
        return self.temp_c

    # -- one step --------------------------------------------------------------------------------

    def _move(self, duration_s: float, heat_w: float) -> None:
        """Take one implicit step with a known heat flow into the needle."""
        enthalpy, potential, slope = self._enthalpy, self._potential, self._slope
        change = self._solve(duration_s, heat_w)
        for _ in range(ITERATIONS - 1):
            for i, gain in enumerate(change):
                if abs(gain) > STILL_J_MM3:
                    slope[i] = (self._potential_of(enthalpy[i] + gain) - potential[i]) / gain
            change = self._solve(duration_s, heat_w)
        self._enthalpy = [before + gain for before, gain in zip(enthalpy, change, strict=True)]

    def _solve(self, duration_s: float, heat_w: float) -> list[float]:
        """Return the change of each shell's enthalpy for a given heat flow into the needle."""
        rises, shares = self._eliminate(duration_s)
        slope, potential = self._slope, self._potential
        shells = self._shells
        inward = shells.outward_mm[0]
        rise = inward * (potential[1] - potential[0]) - heat_w
        rise += inward * slope[1] * rises[1]
        diagonal = shells.volume_mm3[0] / duration_s + inward * slope[0]
        diagonal -= inward * slope[1] * shares[1]
        rise, diagonal = self._add_blood(0, rise, diagonal)
        change = rise / diagonal
        changes = [change]
        for i in range(1, SHELLS):
            change = rises[i] + shares[i] * change
            changes.append(change)
        return changes

    def _eliminate(self, duration_s: float) -> tuple[list[float], list[float]]:
        """Return, per shell but the first, ``change[i] = rises[i] + shares[i] * change[i - 1]``.

        Gauss elimination from the outside in, of the implicit heat balance of each shell.
        """
        potential, slope, enthalpy = self._potential, self._slope, self._enthalpy
        outward_mm, volume_mm3 = self._shells.outward_mm, self._shells.volume_mm3
        perfusion = self._curves.perfusion
        warming = perfusion / self._curves.capacity
        start = self._start
        per_s = 1.0 / duration_s
        rises = [0.0] * SHELLS
        shares = [0.0] * SHELLS
        outer_mm = outer_slope = outer_rise = outer_share = outer_potential = 0.0
        for i in range(SHELLS - 1, 0, -1):
            volume, inner_mm = volume_mm3[i], outward_mm[i - 1]
            here, tangent = potential[i], slope[i]
            diagonal = volume * per_s + (outer_mm + inner_mm) * tangent
            rise = outer_mm * (outer_potential - here) + inner_mm * (potential[i - 1] - here)
            coupling = outer_mm * outer_slope
            diagonal -= coupling * outer_share
            rise += coupling * outer_rise
            if enthalpy[i] > 0.0:
                diagonal += warming * volume
                rise += warming * volume * (start - enthalpy[i])
            outer_rise = rises[i] = rise / diagonal
            outer_share = shares[i] = inner_mm * slope[i - 1] / diagonal
            outer_mm, outer_slope, outer_potential = inner_mm, tangent, here
        return rises, shares

    def _add_blood(self, i: int, rise: float, diagonal: float) -> tuple[float, float]:
        enthalpy = self._enthalpy[i]
        if enthalpy <= 0.0:
            return rise, diagonal
        warming = self._curves.perfusion / self._curves.capacity * self._shells.volume_mm3[i]
        return rise + warming * (self._start - enthalpy), diagonal + warming

    # -- what is seen ----------------------------------------------------------------------------

    def _see(self, tip_temp_c: float) -> None:
        """Work out what follows from the shells' enthalpies."""
        self._tip_temp_c = tip_temp_c
        self._take_tangents()
        self._see_needle_side(tip_temp_c)
        self._see_ice(tip_temp_c)

    def _take_tangents(self) -> None:
        curves = self._curves
        warm = curves.conductivity / curves.capacity
        cold = curves.conductivity_frozen / curves.capacity_frozen
        melting = curves.melting_heat
        per_heat = curves.width_k / melting
        twice_rise = 2.0 * curves.half_rise
        frozen_potential = curves.frozen_potential
        potential, slope = self._potential, self._slope
        for i, enthalpy in enumerate(self._enthalpy):
            if enthalpy >= 0.0:
                potential[i] = warm * enthalpy
                slope[i] = warm
            elif enthalpy <= -melting:
                potential[i] = frozen_potential + cold * (enthalpy + melting)
                slope[i] = cold
            else:
                below_k = enthalpy * per_heat
                steepness = curves.conductivity - twice_rise * below_k
                potential[i] = 0.5 * below_k * (curves.conductivity + steepness)
                slope[i] = steepness * per_heat

    def _potential_of(self, enthalpy: float) -> float:
        curves = self._curves
        if enthalpy >= 0.0:
            return curves.conductivity / curves.capacity * enthalpy
        melting = curves.melting_heat
        if enthalpy <= -melting:
            cold = curves.conductivity_frozen / curves.capacity_frozen
            return curves.frozen_potential + cold * (enthalpy + melting)
        below_k = enthalpy * curves.width_k / melting
        return below_k * (curves.conductivity - curves.half_rise * below_k)

    def _see_needle_side(self, tip_temp_c: float) -> None:
        """Reduce all shells to one conductance and one temperature, up to the next update."""
        curves, shells = self._curves, self._shells
        rises, shares = self._eliminate(self._horizon_s)
        here, tangent = self._potential[0], self._slope[0]
        needle_mm, outward_mm = shells.needle_mm, shells.outward_mm[0]
        coupling = outward_mm * self._slope[1]
        rise = outward_mm * (self._potential[1] - here) + coupling * rises[1]
        diagonal = shells.volume_mm3[0] / self._horizon_s + (needle_mm + outward_mm) * tangent
        diagonal -= coupling * shares[1]
        rise, diagonal = self._add_blood(0, rise, diagonal)
        stiff = 1.0 - tangent * needle_mm / diagonal
        boundary = here + tangent * rise / diagonal / stiff
        boundary_c = curves.temp_of_potential(boundary)
        difference_k = boundary_c - tip_temp_c
        if abs(difference_k) > LIKE_K:
            mean = (boundary - curves.potential_at(tip_temp_c)) / difference_k
        else:
            mean = curves.conductivity_at(tip_temp_c)
        self.conductance_w_k = needle_mm * stiff * mean
        self.boundary_temp_c = boundary_c

    def _see_ice(self, tip_temp_c: float) -> None:
        enthalpy = self._enthalpy
        last = SHELLS - 1
        while last >= 0 and enthalpy[last] >= 0.0:
            last -= 1
        if last < 0:
            self.radius_mm = self.radius_minus20_mm = self.volume_mm3 = self.film_mm = 0.0
            return
        self.radius_mm = self._front_mm(last)
        self.film_mm = self._film_mm()
        self.radius_minus20_mm = self._lethal_mm(last, tip_temp_c)
        melted_mm3 = self._shells.enclosed_mm3(self.needle_radius_mm + self.film_mm)
        self.volume_mm3 = self._shells.enclosed_mm3(self.radius_mm) - melted_mm3

    def _front_mm(self, last: int) -> float:
        """Return where the ice ends, near shell ``last``.

        A wide freezing range is a smooth profile: there the isotherm is interpolated. A narrow one
        is a front that crosses the shell as the shell freezes.
        """
        curves, shells = self._curves, self._shells
        filled = min(1.0, -self._enthalpy[last] / curves.melting_heat)
        front_mm = shells.edge_mm[last] + filled * (shells.edge_mm[last + 1] - shells.edge_mm[last])
        if last == SHELLS - 1:
            return front_mm
        outside_k = self._enthalpy[last + 1] / curves.capacity
        smooth = curves.width_k**2 / (curves.width_k**2 + outside_k**2)
        here, outer = self._potential[last], self._potential[last + 1]
        share = here / (here - outer) if here < 0.0 else 0.0
        ratio = shells.radius_mm[last + 1] / shells.radius_mm[last]
        isotherm_mm = shells.radius_mm[last] * ratio**share
        return float(smooth * isotherm_mm + (1.0 - smooth) * front_mm)

    def _film_mm(self) -> float:
        """Return how much is melted between needle and ice."""
        edge_mm = self._shells.edge_mm
        for i, enthalpy in enumerate(self._enthalpy):
            if enthalpy < 0.0:
                if i == 0:
                    return 0.0
                melted = 1.0 - min(1.0, -enthalpy / self._curves.melting_heat)
                return edge_mm[i] + melted * (edge_mm[i + 1] - edge_mm[i]) - edge_mm[0]
        return 0.0

    def _lethal_mm(self, last: int, tip_temp_c: float) -> float:
        """Return the outer radius of the -20 C isotherm."""
        lethal = self._curves.potential_at(LETHAL_ISOTHERM_C)
        potential, radius_mm = self._potential, self._shells.radius_mm
        for i in range(last, -1, -1):
            if potential[i] < lethal:
                if i == SHELLS - 1:
                    return radius_mm[i]
                share = (lethal - potential[i]) / (potential[i + 1] - potential[i])
                return float(radius_mm[i] * (radius_mm[i + 1] / radius_mm[i]) ** share)
        if tip_temp_c >= LETHAL_ISOTHERM_C:
            return 0.0
        at_needle = self._curves.potential_at(tip_temp_c)
        share = (lethal - at_needle) / (potential[0] - at_needle)
        needle_mm = self.needle_radius_mm
        return float(needle_mm * (radius_mm[0] / needle_mm) ** share)

    def save(self) -> bytes:
        """Return the whole state; valid for this version of the program only."""
        return pickle.dumps({name: getattr(self, name) for name in self.__slots__})

    def load(self, data: bytes) -> None:
        """Take over a state that ``save`` returned."""
        state: dict[str, Any] = pickle.loads(data)
        for name, value in state.items():
            setattr(self, name, value)
