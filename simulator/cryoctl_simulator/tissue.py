"""Ice around one needle: a confocal prolate spheroid whose front moves with the heat balance.

The four shape constants were fitted to 2-D axisymmetric enthalpy runs (muscle at 37 C; needles of
0.41 x 8.5 and 0.91 x 8 mm; -55, -70 and -80 C; 10 to 120 s). From 30 s on the ice radius is within
6 % and the -20 C radius within 4 %; at 10 s they are up to 15 and 9 % high; heat is within 4 %. The
needles of one probe do not see each other.
"""

from __future__ import annotations

from math import asin, exp, log, pi, sqrt
from typing import Final

from cryoctl_simulator.tissue_properties import TissueProperties

# Shape constants of the lumped model, fitted as said above.
SPHEROID_LENGTH_FACTOR: Final = 1.41  # spheroid length / active length
ICE_CONDUCTION_FACTOR: Final = 0.80  # on the confocal conduction through the ice
SENSIBLE_HEAT_FACTOR: Final = 2.12  # on the sensible heat of the ice behind the front
BOUNDARY_LAYER_FACTOR: Final = 0.91  # on the cooled layer ahead of the front
ISOTHERM_FRONT_C: Final = (
    -3.2
)  # where the conduction profile of the ice ends, inside the mushy zone

LETHAL_ISOTHERM_C: Final = -20.0  # Evans 1981: below -20 C nerve block is reliable
SEED_SHELL_MM: Final = 0.03  # thinnest ice shell that is tracked
SUPERCOOLING_K: Final = 0.5  # the tip must be this far below the front temperature to nucleate
QUIET_TIME_S: Final = 0.5  # age of the disturbance when nothing has happened; keeps the flux finite
QUIET_DIFFERENCE_K: Final = 1.0  # tip this close to the tissue: the disturbance fades
FADING_TIME_S: Final = 60.0  # how long chilled tissue remembers, assumed
NEAR_WARMING_TIME_S: Final = 15.0  # melted tissue around the needle warms up again, assumed
ICE_WARMING_TIME_S: Final = 1.0  # the ice body follows its target; smooths freeze to thaw
THAW_LATENT_FACTOR: Final = 1.18  # fitted to the thaw of the 2-D runs
CONTACT_FILM_MM: Final = 0.02  # residual film when melting begins
FILM_REFREEZE_TIME_S: Final = 0.5  # a film without heat closes again, assumed


class Tissue:
    """The ice and the tissue around one needle, seen from the needle.

    After ``update`` the plant uses two of the attributes: heat into the needle is
    ``conductance_w_k * (boundary_temp_c - tip_temp_c)`` until the next update.
    """

    __slots__ = (
        "_area0_mm2",
        "_axis_x0",
        "_beta2",
        "_cubic",
        "_diffusion",
        "_focus_mm",
        "_focus_volume_mm3",
        "_ice_sensible",
        "_latent",
        "_log0",
        "_seed_x",
        "_surface_mm2",
        "_x",
        "boundary_temp_c",
        "conductance_w_k",
        "disturbed_s",
        "film_mm",
        "ice_temp_c",
        "largest_volume_mm3",
        "near_temp_c",
        "needle_radius_mm",
        "properties",
        "radius_minus20_mm",
        "radius_mm",
        "temp_c",
        "volume_mm3",
    )

    def __init__(
        self,
        properties: TissueProperties,
        *,
        needle_od_mm: float,
        active_length_mm: float,
    ) -> None:
        self.properties = properties
        self.temp_c = properties.temp_c
        self.near_temp_c = properties.temp_c
        self.needle_radius_mm = 0.5 * needle_od_mm
        self._surface_mm2 = pi * needle_od_mm * active_length_mm
        half_length_mm = 0.5 * SPHEROID_LENGTH_FACTOR * active_length_mm
        self._focus_mm = sqrt(half_length_mm**2 - self.needle_radius_mm**2)
        self._axis_x0 = half_length_mm / self._focus_mm
        self._log0 = log((self._axis_x0 + 1.0) / (self._axis_x0 - 1.0))
        self._cubic = 4.0 / 3.0 * pi * self._focus_mm**3
        self._focus_volume_mm3 = self._cubic * (self._axis_x0**3 - self._axis_x0)
        self._area0_mm2 = self._area_mm2(self._axis_x0)
        seed_radius_mm = self.needle_radius_mm + SEED_SHELL_MM
        self._seed_x = sqrt(1.0 + (seed_radius_mm / self._focus_mm) ** 2)
        self._latent = properties.latent_heat * properties.density * 1e-9  # J/mm3
        self._ice_sensible = (
            SENSIBLE_HEAT_FACTOR * properties.heat_capacity_frozen * properties.density * 0.5e-9
        )
        self._beta2 = properties.perfusion_w_m3_k / properties.conductivity * 1e-6  # 1/mm2
        diffusivity_mm2_s = (
            properties.conductivity / (properties.density * properties.heat_capacity) * 1e6
        )
        self._diffusion = BOUNDARY_LAYER_FACTOR / (pi * diffusivity_mm2_s)  # s/mm2
        self._x = self._axis_x0
        self.disturbed_s = QUIET_TIME_S
        self.film_mm = 0.0
        self.ice_temp_c = properties.freezing_starts_c
        self.volume_mm3 = 0.0
        self.largest_volume_mm3 = 0.0
        self.radius_mm = 0.0
        self.radius_minus20_mm = 0.0
        self.conductance_w_k = 0.0
        self.boundary_temp_c = self.temp_c
        self.update(0.0, tip_temp_c=self.temp_c, heat_j=0.0)

    def update(self, duration_s: float, *, tip_temp_c: float, heat_j: float) -> None:
        """Move by ``duration_s``, during which the needle drew ``heat_j`` from the tissue."""
        properties = self.properties
        if abs(tip_temp_c - self.temp_c) > QUIET_DIFFERENCE_K or self.volume_mm3 > 0.0:
            self.disturbed_s += duration_s
        else:
            fading = exp(-duration_s / FADING_TIME_S)
            self.disturbed_s = QUIET_TIME_S + (self.disturbed_s - QUIET_TIME_S) * fading
        if self.volume_mm3 > 0.0:
            self._move_front(duration_s, tip_temp_c, heat_j)
        elif tip_temp_c < properties.freezing_starts_c - SUPERCOOLING_K:
            self._seed()
        if self.volume_mm3 > 0.0:
            self._see_ice(tip_temp_c)
        else:
            warming = 1.0 - exp(-duration_s / NEAR_WARMING_TIME_S)
            self.near_temp_c += (self.temp_c - self.near_temp_c) * warming
            self._see_tissue()

    def _seed(self) -> None:
        self._x = self._seed_x
        self.volume_mm3 = self._cubic * (self._x**3 - self._x) - self._focus_volume_mm3
        self.largest_volume_mm3 = self.volume_mm3
        self.ice_temp_c = self.properties.freezing_starts_c
        self.near_temp_c = self.properties.freezing_starts_c
        self.film_mm = 0.0

    def _move_front(self, duration_s: float, tip_temp_c: float, heat_j: float) -> None:
        front_c = self.properties.freezing_starts_c
        x = self._x
        outer_log = log((x + 1.0) / (x - 1.0))
        warmth_w = self._tissue_conductance(x, outer_log) * (self.temp_c - front_c)
        gained_j = heat_j - warmth_w * duration_s
        energy_j_mm3 = self._latent + self._ice_sensible * max(0.0, front_c - tip_temp_c)
        if gained_j < 0.0:
            energy_j_mm3 *= THAW_LATENT_FACTOR
            target_c = self._plateau_temp_c()
        else:
            target_c = front_c
        self.ice_temp_c += (target_c - self.ice_temp_c) * (
            duration_s / (duration_s + ICE_WARMING_TIME_S)
        )
        volume_mm3 = self.volume_mm3 + gained_j / energy_j_mm3
        # One Newton step: the front moves little between updates and the error does not add up,
        # because the volume is what is kept.
        excess = self._cubic * (x * x * x - x) - self._focus_volume_mm3 - volume_mm3
        x -= excess / (self._cubic * (3.0 * x * x - 1.0))
        if x <= self._seed_x and gained_j < 0.0:
            self._x = self._axis_x0
            self.volume_mm3 = 0.0
            self.film_mm = 0.0
            return
        self._x = max(x, self._seed_x)
        self.volume_mm3 = volume_mm3
        self.largest_volume_mm3 = max(self.largest_volume_mm3, volume_mm3)
        self._melt_film(duration_s, tip_temp_c)

    def _melt_film(self, duration_s: float, tip_temp_c: float) -> None:
        """Melt a film around a warm needle: it comes free long before the ice is gone."""
        melting_c = self.properties.freezing_starts_c
        if tip_temp_c <= melting_c:
            self.film_mm *= max(0.0, 1.0 - duration_s / FILM_REFREEZE_TIME_S)
            return
        in_w = self._film_conductance() * (tip_temp_c - melting_c)
        away_w = self._ice_conductance() * (melting_c - self.ice_temp_c)
        rate_mm_s = (in_w - away_w) / (self._latent * self._surface_mm2)
        self.film_mm = max(0.0, self.film_mm + rate_mm_s * duration_s)

    def _plateau_temp_c(self) -> float:
        properties = self.properties
        melted = 1.0 - self.volume_mm3 / self.largest_volume_mm3
        width_k = properties.freezing_starts_c - properties.freezing_ends_c
        return properties.freezing_ends_c + width_k * melted * melted * melted

    def _see_ice(self, tip_temp_c: float) -> None:
        x = self._x
        self.radius_mm = self._focus_mm * sqrt(x * x - 1.0)
        self.radius_minus20_mm = self._isotherm_radius_mm(tip_temp_c)
        if tip_temp_c > self.properties.freezing_starts_c:
            self.conductance_w_k = self._film_conductance()
            self.boundary_temp_c = self.properties.freezing_starts_c
        else:
            self.conductance_w_k = self._ice_conductance()
            self.boundary_temp_c = self.ice_temp_c

    def _see_tissue(self) -> None:
        self.radius_mm = 0.0
        self.radius_minus20_mm = 0.0
        self.conductance_w_k = self._tissue_conductance(self._axis_x0, self._log0)
        self.boundary_temp_c = self.near_temp_c

    def _ice_conductance(self) -> float:
        shell = self._log0 - log((self._x + 1.0) / (self._x - 1.0))
        factor = ICE_CONDUCTION_FACTOR * 8e-3 * pi * self._focus_mm
        return factor * self.properties.conductivity_frozen / shell

    def _film_conductance(self) -> float:
        film_mm = self.film_mm + CONTACT_FILM_MM
        return 1e-3 * self.properties.conductivity * self._surface_mm2 / film_mm

    def _tissue_conductance(self, x: float, outer_log: float) -> float:
        """Return W/K from far tissue to the surface ``x``: conduction, cooled layer, perfusion."""
        spread_mm = 8.0 * pi * self._focus_mm / outer_log
        layer_per_mm = sqrt(self._beta2 + self._diffusion / self.disturbed_s)
        area_mm2 = self._area0_mm2 if x == self._axis_x0 else self._area_mm2(x)
        return 1e-3 * self.properties.conductivity * (spread_mm + area_mm2 * layer_per_mm)

    def _area_mm2(self, x: float) -> float:
        minor2_mm2 = self._focus_mm**2 * (x * x - 1.0)
        return 2.0 * pi * (minor2_mm2 + self._focus_mm * x * x * sqrt(minor2_mm2) * asin(1.0 / x))

    def _isotherm_radius_mm(self, tip_temp_c: float) -> float:
        """Return the radius of -20 C on the steady conduction profile from tip to front."""
        if tip_temp_c >= LETHAL_ISOTHERM_C:
            return 0.0
        outer_log = log((self._x + 1.0) / (self._x - 1.0))
        share = (LETHAL_ISOTHERM_C - tip_temp_c) / (ISOTHERM_FRONT_C - tip_temp_c)
        ratio = exp(self._log0 - share * (self._log0 - outer_log))
        x = (ratio + 1.0) / (ratio - 1.0)
        return self._focus_mm * sqrt(x * x - 1.0)
