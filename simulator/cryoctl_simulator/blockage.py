"""Dry ice and water ice where the gas leaves the orifice: what is caught there narrows it.

CO2 below its triple point is solid and vapour. What the tip's heat does not sublime is snow on its
way out; a little of it sticks. A narrowed passage catches more, until it bridges: then all the snow
stays where it forms, cut off from the tip's heat, and the orifice plugs within seconds. Water in
the gas freezes at the same place. Both give way to the heat of a warm tip.

The constants are assumed: no measurement of a plugging probe was found. They were chosen so that
snow stays harmless under a needle that is loaded or regulated, and plugs a needle in air within
half a minute.
"""

from __future__ import annotations

from typing import Final

PLUG_MG: Final = 1.0  # shuts the passage: about 0.7 mm3, the end of a 20G needle
SNOW_STICKING: Final = 0.0015  # share of the snow left over that an open passage catches
PLUG_W_K: Final = 0.001  # from the tip into the plug
ICE_MELTING_J_G: Final = 334.0  # water, handbooks


class Blockage:
    """What sticks at the orifice and what follows from it; part of the books of mass."""

    __slots__ = (
        "bridged_fraction",
        "clear_fraction",
        "conductance_w_k",
        "ice_mg",
        "is_dirty",
        "snow_mg",
        "temp_c",
    )

    def __init__(self) -> None:
        self.snow_mg = 0.0
        """Dry ice."""
        self.ice_mg = 0.0
        """Water ice."""
        self.is_dirty = False
        """Something sticks, be it a flake."""
        self.clear_fraction = 1.0
        """Open share of the passage."""
        self.bridged_fraction = 0.0
        """Share of the snow that is caught before it meets the tip."""
        self.conductance_w_k = 0.0
        """To the tip, which warms the plug at ``temp_c``."""
        self.temp_c = 0.0

    def update(
        self,
        duration_s: float,
        *,
        snow_mg: float,
        water_mg: float,
        tip_temp_c: float,
        sublimation_temp_c: float,
        sublimation_j_g: float,
    ) -> float:
        """Catch snow and water, give up what the tip's heat turned to gas or melted.

        Args:
            duration_s: Since the last call; ``conductance_w_k`` and ``temp_c`` held so long.
            snow_mg: Dry ice that sticks.
            water_mg: Water in the gas that passed, all of which freezes.
            tip_temp_c: Mean over the time.
            sublimation_temp_c: Of dry ice at the exhaust's pressure.
            sublimation_j_g: Its heat of sublimation.

        Returns:
            The mg caught, less those given up.
        """
        before_mg = self.snow_mg + self.ice_mg
        heat_mj = 1e3 * self.conductance_w_k * (tip_temp_c - self.temp_c) * duration_s
        if heat_mj > 0.0:
            if self.snow_mg > 0.0:
                self.snow_mg = max(0.0, self.snow_mg - heat_mj / sublimation_j_g)
            else:
                self.ice_mg = max(0.0, self.ice_mg - heat_mj / ICE_MELTING_J_G)
        offered_mg = snow_mg + water_mg
        room_mg = PLUG_MG * self.clear_fraction
        # What is full catches nothing more.
        share = 1.0 if offered_mg <= room_mg else room_mg / offered_mg
        self.snow_mg += snow_mg * share
        self.ice_mg += water_mg * share
        stuck_mg = self.snow_mg + self.ice_mg
        self.is_dirty = stuck_mg > 0.0
        blocked = stuck_mg / PLUG_MG
        self.clear_fraction = max(0.0, 1.0 - blocked)
        # The fourth power (assumed): an open passage is hardly touched, a half open one clogs.
        squared = blocked * blocked
        self.bridged_fraction = squared * squared
        self.temp_c = sublimation_temp_c if self.snow_mg > 0.0 else 0.0
        self.conductance_w_k = 0.0
        if stuck_mg > 0.0 and tip_temp_c > self.temp_c:
            # A few flakes take no more heat than they can use.
            stuck_mj = self.snow_mg * sublimation_j_g or self.ice_mg * ICE_MELTING_J_G
            needed_w_k = 1e-3 * stuck_mj / (duration_s * (tip_temp_c - self.temp_c))
            self.conductance_w_k = min(PLUG_W_K, needed_w_k)
        return stuck_mg - before_mg
