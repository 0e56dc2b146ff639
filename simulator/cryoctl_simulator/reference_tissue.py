"""The reference model in the place of the fast one: the same probe in tissue in two dimensions."""

from __future__ import annotations

from cryoctl_simulator.axisymmetric import (
    LETHAL_ISOTHERM_C,
    AxisymmetricTissue,
    NeedleShape,
    RingGrid,
)
from cryoctl_simulator.tissue_properties import TissueProperties


class ReferenceTissue:
    """What a plant sees of an ``AxisymmetricTissue``; the attributes are those of ``Tissue``.

    A step takes a hundred times as long as one of the fast model, so what is only looked at now and
    then is worked out when it is looked at. It wants to be updated with every step of the plant.
    """

    def __init__(
        self,
        properties: TissueProperties,
        *,
        needle_od_mm: float,
        active_length_mm: float,
        grid: RingGrid | None = None,
    ) -> None:
        self.properties = properties
        self.temp_c = properties.temp_c
        self.model = AxisymmetricTissue(
            properties, NeedleShape(od_mm=needle_od_mm, active_length_mm=active_length_mm), grid
        )
        self.conductance_w_k, self.boundary_temp_c = self.model.needle_side(0.0)

    def update(self, duration_s: float, *, tip_temp_c: float, heat_j: float) -> None:
        """Move by ``duration_s`` in which the needle drew ``heat_j``."""
        self.model.draw(duration_s, heat_j / duration_s)
        self.conductance_w_k, self.boundary_temp_c = self.model.needle_side(duration_s)

    def set_perfusion(self, perfusion_w_m3_k: float) -> None:
        """Let more or less blood flow by than the tissue's properties say."""
        self.model.set_perfusion(perfusion_w_m3_k)

    @property
    def radius_mm(self) -> float:
        """Radius of the ice in the middle of the active length; 0 without ice."""
        return self.model.radius_mm(self.properties.freezing_starts_c)

    @property
    def radius_minus20_mm(self) -> float:
        """Radius of the -20 C isotherm there; 0 without."""
        return self.model.radius_mm(LETHAL_ISOTHERM_C)

    @property
    def volume_mm3(self) -> float:
        """Volume in which freezing has begun."""
        return self.model.ice_volume_mm3

    def temp_at_c(self, radial_mm: float, axial_mm: float) -> float:
        """Return the temperature at a place; ``axial_mm`` is 0 at the middle of the needle."""
        return self.model.temp_at_c(radial_mm, axial_mm)
