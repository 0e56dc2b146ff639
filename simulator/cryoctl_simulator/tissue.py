"""Fast model of ice and tissue around one needle: heat conduction through nested shells.

Around a needle the isotherms are close to confocal spheroids, so tissue is cut into shells between
them and heat is conducted from shell to shell: one dimension instead of two. Phase change,
perfusion and thaw need no rules of their own, they follow from the enthalpy of each shell. Three
constants of shape were fitted to the reference model (``axisymmetric``). The needles of one probe
do not see each other.
"""

from __future__ import annotations

from math import log
from typing import Final

from cryoctl_simulator.axisymmetric import LETHAL_ISOTHERM_C, NeedleShape
from cryoctl_simulator.shell_column import SHELLS, ShellColumn
from cryoctl_simulator.shells import Shells
from cryoctl_simulator.tissue_properties import HeatCurves, TissueProperties

CALM_STEP_S: Final = 0.5  # step while little happens
CALM_K_S: Final = 3.0  # a needle that changes more slowly than this is calm
CALM_CHANGE_K: Final = 1.0  # a change that ends a calm step early


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
        "_column",
        "_curves",
        "_elapsed_s",
        "_heat_j",
        "_horizon_s",
        "_shells",
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
        start = self._curves.enthalpy_at(properties.temp_c)
        self._column = ShellColumn(self._curves, self._shells, start)
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
        self._column.move(self._elapsed_s, self._heat_j / self._elapsed_s)
        is_calm = changed_k < CALM_K_S * self._elapsed_s
        self._horizon_s = CALM_STEP_S if is_calm else duration_s
        self._elapsed_s = 0.0
        self._heat_j = 0.0
        self._see(tip_temp_c)

    def set_perfusion(self, perfusion_w_m3_k: float) -> None:
        """Let more or less blood flow by than the tissue's properties say."""
        self._curves.perfusion = 1e-9 * perfusion_w_m3_k

    @property
    def stored_j(self) -> float:
        """Heat gained by the tissue since the start, what blood brought included."""
        return float(self._column.stored_j())

    def temp_at_c(self, radial_mm: float, axial_mm: float) -> float:
        """Return the temperature at a place; ``axial_mm`` is 0 at the middle of the needle."""
        radius_mm = self._shells.middle_radius_mm(radial_mm, axial_mm)
        if radius_mm <= self.needle_radius_mm:
            return self._tip_temp_c
        curves = self._curves
        inner_mm = self.needle_radius_mm
        inner = curves.potential_at(self._tip_temp_c)
        for outer_mm, outer in zip(self._shells.radius_mm, self._column.potential, strict=True):
            if radius_mm <= outer_mm:
                share = log(radius_mm / inner_mm) / log(outer_mm / inner_mm)
                return curves.temp_of_potential(inner + share * (outer - inner))
            inner_mm, inner = outer_mm, outer
        return self.temp_c

    # -- what is seen ----------------------------------------------------------------------------

    def _see(self, tip_temp_c: float) -> None:
        """Work out what follows from the shells' enthalpies."""
        column = self._column
        self._tip_temp_c = tip_temp_c
        column.look()
        self.conductance_w_k, self.boundary_temp_c = column.needle_side(self._horizon_s, tip_temp_c)
        self._see_ice(tip_temp_c)

    def _see_ice(self, tip_temp_c: float) -> None:
        enthalpy = self._column.enthalpy
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
        filled = min(1.0, -self._column.enthalpy[last] / curves.melting_heat)
        front_mm = shells.edge_mm[last] + filled * (shells.edge_mm[last + 1] - shells.edge_mm[last])
        if last == SHELLS - 1:
            return float(front_mm)
        outside_k = self._column.enthalpy[last + 1] / curves.capacity
        smooth = curves.width_k**2 / (curves.width_k**2 + outside_k**2)
        here, outer = self._column.potential[last], self._column.potential[last + 1]
        share = here / (here - outer) if here < 0.0 else 0.0
        ratio = shells.radius_mm[last + 1] / shells.radius_mm[last]
        isotherm_mm = shells.radius_mm[last] * ratio**share
        return float(smooth * isotherm_mm + (1.0 - smooth) * front_mm)

    def _film_mm(self) -> float:
        """Return how much is melted between needle and ice."""
        edge_mm = self._shells.edge_mm
        enthalpies: list[float] = self._column.enthalpy
        for i, enthalpy in enumerate(enthalpies):
            if enthalpy < 0.0:
                if i == 0:
                    return 0.0
                melted = 1.0 - min(1.0, -enthalpy / self._curves.melting_heat)
                return edge_mm[i] + melted * (edge_mm[i + 1] - edge_mm[i]) - edge_mm[0]
        return 0.0

    def _lethal_mm(self, last: int, tip_temp_c: float) -> float:
        """Return the outer radius of the -20 C isotherm."""
        lethal = self._curves.potential_at(LETHAL_ISOTHERM_C)
        potential: list[float] = self._column.potential
        radius_mm = self._shells.radius_mm
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
