"""What only a simulator knows: the truth of its plant. No part of the controller may read it.

A module of its own, so that an import rule can hold the controller to that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol


class TruthSample(NamedTuple):
    """What is really so in the simulated plant."""

    tip_temp_c: float
    saturation_temp_c: float
    ice_radius_mm: float
    radius_minus20_mm: float
    ice_volume_mm3: float
    liquid_g: float
    vented_g: float
    exhaust_pressure_bar: float
    cartridge_temp_c: float
    skin_temp_c: float
    heat_w: float


TruthSink = Callable[[TruthSample, float], None]


class TruthSource(Protocol):
    """Plant truth of a simulator, for recordings and verdict-free comparison."""

    def subscribe(self, sink: TruthSink) -> None:
        """Have ``sink(sample, now_s)`` called at 10 Hz of plant time."""
        ...
