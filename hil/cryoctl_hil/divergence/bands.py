"""How far a rig may be from the first one, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple


class Band(NamedTuple):
    """Tolerance of one number.

    Attributes:
        value: In the unit of what it is for.
        why: One line.
    """

    value: float
    why: str


@dataclass(frozen=True, slots=True)
class Bands:
    """All tolerances between two rigs.

    Attributes:
        time_s: So far apart in time two samples may be and still be beside each other.
        signals: By name, in the signal's unit.
        others: Of signals without one of their own.
        events_s: Between the probe's own times of one event.
        missing: Share of samples that the other rig has nothing beside.
        lengths: Share of its length that a stretch may take longer, or less long.
    """

    time_s: float
    signals: dict[str, Band]
    others: Band
    events_s: Band
    missing: Band
    lengths: Band

    def of(self, signal: str) -> Band:
        """Return the tolerance of a signal."""
        return self.signals.get(signal, self.others)


_SAME: Final = Band(0.0, "one firmware, one plant, one seed, virtual time: the same bits")
EXACT_BANDS: Final = Bands(0.0, {}, _SAME, _SAME, _SAME, _SAME)
_NOISE: Final = "another draw of the sensor's noise"
_VALVE: Final = f"{_NOISE}, and a valve that answers to it"
_SLOW: Final = "slow, but not from quite the same beginning"
_BLINKS: Final = "once a second while a trip is held, from another moment on"
_FOLLOWS: Final = "follows the valve's duty"

REAL_BANDS: Final = Bands(
    # A command waits for the host's tick, 50 ms at most, for the line and for the probe's tick,
    # and what it did is seen with the next sample.
    time_s=0.15,
    # About twice the largest of what `cryoctl sim` with another seed, behind a pseudo-terminal,
    # was found to be from the model.
    signals={
        "tip_temp_c": Band(2.0, _VALVE),
        "tip_2_temp_c": Band(2.0, _VALVE),
        "skin_temp_c": Band(0.3, _SLOW),
        "supply_pressure_bar": Band(0.5, _SLOW),
        "exhaust_pressure_bar": Band(0.3, _FOLLOWS),
        "exhaust_flow_mg_s": Band(5.0, _FOLLOWS),
        "cartridge_temp_c": Band(0.3, _SLOW),
        "battery_v": Band(0.03, _NOISE),
        "valve": Band(0.2, "regulated, by the noise of the tip"),
        "tip_heater": Band(0.3, "on or off near its end, by the noise of the tip"),
        "skin_warmer": Band(0.1, "regulated, by the noise of the skin"),
        "freeze_s": Band(0.2, "ended by a command, which waits for the host's tick and the line"),
        "thaw_energy_j": Band(0.3, "a little more ice, or less"),
        "led": Band(1.0, _BLINKS),
        "beeper": Band(1.0, _BLINKS),
        "lease_left_s": Band(0.1, "leases come at other moments within their 100 ms"),
    },
    others=Band(0.0, "a word or a count: the same, a little earlier or later"),
    events_s=Band(0.5, "noise decides which sample is the last one that a trip waits for"),
    missing=Band(0.02, "frames that the line has lost"),
    lengths=Band(0.05, "a tip that is cold a little later, a thaw of a little more ice"),
)
