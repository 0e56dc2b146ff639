"""What only a simulator knows: the truth of its plant. No part of the controller may read it.

A module of its own, so that an import rule can hold the controller to that.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple, Protocol


class NerveInjury(IntEnum):
    """The worst that cold has done to any place of the nerve, as an estimate."""

    NONE = 0
    UNCERTAIN = 1
    AXONOTMESIS = 2
    TOWARDS_IRREVERSIBLE = 3
    NOT_REACHABLE = 4


class NerveOutcome(IntEnum):
    """What became of the nerve, and if not what was wanted, why; NO_NERVE where there is none."""

    NO_NERVE = 0
    NOT_COLD = 1
    MISPLACED = 2
    ZONE_TOO_SMALL = 3
    TOO_SHORT = 4
    COVERED = 5


class TruthSample(NamedTuple):
    """What is really so in the simulated plant; of the nerve since the simulation began.

    Attributes:
        nerve_min_temp_c: Coldest that any place of the nerve has been; None without a nerve.
        nerve_below_minus20_s: Longest that any place has been at -20 C or colder, all told.
        nerve_touched_mm: Longest stretch that has been at -20 C or colder.
        nerve_covered_mm: Longest stretch of axonotmesis.
        nerve_injury: A ``NerveInjury``.
        nerve_outcome: A ``NerveOutcome``.
        nerve_regrowth_days_low: Estimate of regrowth to the end organ; 0 without a lesion.
        stimulus_ratio: Stimulus over the nerve's threshold; 0 without either.
    """

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
    nerve_min_temp_c: float | None
    nerve_below_minus20_s: float
    nerve_touched_mm: float
    nerve_covered_mm: float
    nerve_injury: int
    nerve_outcome: int
    nerve_regrowth_days_low: float
    nerve_regrowth_days_high: float
    stimulus_ratio: float


class NervePlace(NamedTuple):
    """Where a simulated nerve, a straight line, passes the needle.

    Attributes:
        distance_mm: Between both axes, where they are nearest.
        angle_deg: Between both; 0 is side by side.
        axial_mm: Where they are nearest, from the middle of the active length towards the tip.
        length_mm: Stretch that is looked at, its middle where they are nearest.
    """

    distance_mm: float
    angle_deg: float
    axial_mm: float
    length_mm: float


TruthSink = Callable[[TruthSample, float], None]


class TruthSource(Protocol):
    """Plant truth of a simulator, for recordings and verdict-free comparison."""

    def subscribe(self, sink: TruthSink) -> None:
        """Have ``sink(sample, now_s)`` called at 10 Hz of plant time."""
        ...

    def nerve_place(self) -> NervePlace | None:
        """Return where the nerve is now; None without one."""
        ...
