"""The nerve beside the needle: how cold it gets, what that does to it, how it answers a stimulus.

A straight line at a distance and an angle to the needle's axis, in nodes of 0.5 mm. Everything said
about injury is an estimate from a few animal studies, for people who test control and safety; it
predicts nothing about a patient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, cos, hypot, radians, sin
from typing import Final, TypedDict

from cryoctl_protocol.codes import StimulusResponse
from cryoctl_protocol.truth import NerveInjury, NerveOutcome, NervePlace
from cryoctl_simulator.scenario import NerveTable

NODE_MM: Final = 0.5
PERIOD_MS: Final = 1_000
"""Between looks at the tissue. Heat takes 2 s across a node (0.5 mm, 0.13 mm2/s), and 1 s is little
against the minute that a lesion takes; ten times as often would cost more than the ice itself."""

# Evans 1981 (rat sciatic nerve, abstract): unpredictable above -20 C, reliable block below. Review
# (J Clin Med 2024; 13:3304): axonotmesis from -20 to -100 C. Zhou 1983 (rabbit sciatic nerve,
# abstract): half the fibres degenerate at -100 C and recover late; destroyed at -140 C.
HARMLESS_C: Final = -5.0  # assumed
LESION_C: Final = -20.0
TOWARDS_IRREVERSIBLE_C: Final = -100.0
NOT_REACHABLE_C: Final = -140.0
"""Colder than any gas here can make it: the model is wrong, not the nerve."""
IN_REACH_MM: Final = 2.0
"""From the needle's surface; in a long cold freeze -20 C gets 1.5 to 2.6 mm far."""
LESION_MS: Final = 60_000
"""Time at -20 C that counts as a lesion: assumed; all freezes of a placement count together."""
COVERED_MM_MIN: Final = 4.0
"""A lesion has to be this long (teaching text on cryoneurolysis: "at least 4 mm")."""
REGROWTH_MM_DAY: Final = (1.0, 2.0)
"""Of axons, slowest and fastest: reviews."""

# Weiss: threshold = rheobase x (1 + chronaxie / pulse). Of motor fibres 0.04 to 0.1 ms, of A-delta
# fibres 0.15 to 0.17 ms (texts on nerve location): long pulses are felt before they move anything.
MOTOR_CHRONAXIE_MS: Final = 0.1
SENSORY_CHRONAXIE_MS: Final = 0.17
REFERENCE_PULSE_MS: Final = 0.1
TWITCH_HZ_MAX: Final = 10
"""Above it single twitches melt together; sensory location uses 50 to 100 Hz, motor 1 or 2 Hz."""
_ROUNDING_MM: Final = 1e-9


TempAt = Callable[[float, float], float]
"""Tells the tissue's temperature in degrees C at a place: mm from the needle's axis, and mm along
it from the middle of the active length, towards the needle's tip."""


class NerveFindings(TypedDict):
    """The fields of ``TruthSample`` that tell of the nerve."""

    nerve_min_temp_c: float | None
    nerve_below_minus20_s: float
    nerve_touched_mm: float
    nerve_covered_mm: float
    nerve_injury: int
    nerve_outcome: int
    nerve_regrowth_days_low: float
    nerve_regrowth_days_high: float


NO_NERVE: Final[NerveFindings] = {
    "nerve_min_temp_c": None,
    "nerve_below_minus20_s": 0.0,
    "nerve_touched_mm": 0.0,
    "nerve_covered_mm": 0.0,
    "nerve_injury": int(NerveInjury.NONE),
    "nerve_outcome": int(NerveOutcome.NO_NERVE),
    "nerve_regrowth_days_low": 0.0,
    "nerve_regrowth_days_high": 0.0,
}


@dataclass(slots=True)
class Node:
    """One place of the nerve.

    Attributes:
        radial_mm: From the needle's axis.
        axial_mm: Along it, from the middle of the active length.
        min_temp_c: Coldest so far.
        below_ms: How long it has been at -20 C or colder.
    """

    radial_mm: float
    axial_mm: float
    min_temp_c: float
    below_ms: int = 0

    @property
    def injury(self) -> NerveInjury:
        """What its coldest temperature and its time stand for."""
        if self.min_temp_c < NOT_REACHABLE_C:
            return NerveInjury.NOT_REACHABLE
        if self.min_temp_c < TOWARDS_IRREVERSIBLE_C:
            return NerveInjury.TOWARDS_IRREVERSIBLE
        if self.min_temp_c <= LESION_C and self.below_ms >= LESION_MS:
            return NerveInjury.AXONOTMESIS
        return NerveInjury.UNCERTAIN if self.min_temp_c <= HARMLESS_C else NerveInjury.NONE


class Nerve:
    """One nerve and what it has been through.

    Args:
        table: Where it runs and how it answers.
        needle_od_mm: Outer diameter of the needle; no node is looked at inside of it.
        active_length_mm: Of the needle; its tip, which stimulates, is at half of it.
        temp_c: Of the undisturbed tissue.

    Attributes:
        nodes: In order along the nerve.
        place: Where it runs.
        findings: What the truth tells of it, as of the last look.
    """

    __slots__ = (
        "_nearest_mm",
        "_needle_min_c",
        "_needle_mm",
        "_table",
        "_tip_axial_mm",
        "_waited_ms",
        "findings",
        "nodes",
        "place",
    )

    def __init__(
        self, table: NerveTable, *, needle_od_mm: float, active_length_mm: float, temp_c: float
    ) -> None:
        self._table = table
        self._needle_mm = 0.5 * needle_od_mm
        self._tip_axial_mm = 0.5 * active_length_mm
        self._waited_ms = 0
        self._needle_min_c = temp_c
        pieces = ceil(table.length_mm / NODE_MM - _ROUNDING_MM)
        step_mm = table.length_mm / pieces
        angle = radians(table.angle_deg)
        places_mm = [(i + 0.5) * step_mm - 0.5 * table.length_mm for i in range(pieces)]
        self.nodes = [
            Node(
                radial_mm=max(hypot(table.distance_mm, place_mm * sin(angle)), self._needle_mm),
                axial_mm=table.axial_offset_mm + place_mm * cos(angle),
                min_temp_c=temp_c,
            )
            for place_mm in places_mm
        ]
        self.place = NervePlace(
            table.distance_mm, table.angle_deg, table.axial_offset_mm, table.length_mm
        )
        past_end_mm = [max(0.0, abs(one.axial_mm) - self._tip_axial_mm) for one in self.nodes]
        self._nearest_mm = min(
            hypot(one.radial_mm - self._needle_mm, past_mm)
            for one, past_mm in zip(self.nodes, past_end_mm, strict=True)
        )
        self.findings = self._find()

    def update(self, duration_s: float, temp_at_c: TempAt) -> None:
        """Let ``duration_s`` pass; what the tissue is like is looked at once a second."""
        self._waited_ms += round(1e3 * duration_s)
        if self._waited_ms < PERIOD_MS:
            return
        self._needle_min_c = min(self._needle_min_c, temp_at_c(self._needle_mm, 0.0))
        for node in self.nodes:
            temp_c = temp_at_c(node.radial_mm, node.axial_mm)
            node.min_temp_c = min(node.min_temp_c, temp_c)
            if temp_c <= LESION_C:
                node.below_ms += self._waited_ms
        self._waited_ms = 0
        self.findings = self._find()

    # -- what became of it -----------------------------------------------------------------------

    def _find(self) -> NerveFindings:
        nodes = self.nodes
        injuries = [node.injury for node in nodes]
        covered_mm = self._longest_mm([injury >= NerveInjury.AXONOTMESIS for injury in injuries])
        touched_mm = self._longest_mm([node.min_temp_c <= LESION_C for node in nodes])
        slow_mm_day, fast_mm_day = REGROWTH_MM_DAY
        regrown_mm = self._table.end_organ_mm if covered_mm > 0.0 else 0.0
        return {
            "nerve_min_temp_c": min(node.min_temp_c for node in nodes),
            "nerve_below_minus20_s": max(node.below_ms for node in nodes) / 1e3,
            "nerve_touched_mm": touched_mm,
            "nerve_covered_mm": covered_mm,
            "nerve_injury": int(max(injuries)),
            "nerve_outcome": int(self._outcome(touched_mm=touched_mm, covered_mm=covered_mm)),
            "nerve_regrowth_days_low": regrown_mm / fast_mm_day,
            "nerve_regrowth_days_high": regrown_mm / slow_mm_day,
        }

    def _longest_mm(self, hits: list[bool]) -> float:
        longest = run = 0
        for hit in hits:
            run = run + 1 if hit else 0
            longest = max(longest, run)
        return longest * self._table.length_mm / len(self.nodes)

    def _outcome(self, *, touched_mm: float, covered_mm: float) -> NerveOutcome:
        """Return whether a lesion of useful length came about, and if not, why."""
        if self._needle_min_c > LESION_C:
            return NerveOutcome.NOT_COLD
        if touched_mm == 0.0 and self._nearest_mm > IN_REACH_MM:
            return NerveOutcome.MISPLACED
        if touched_mm < COVERED_MM_MIN - _ROUNDING_MM:
            return NerveOutcome.ZONE_TOO_SMALL
        if covered_mm < COVERED_MM_MIN - _ROUNDING_MM:
            return NerveOutcome.TOO_SHORT
        return NerveOutcome.COVERED

    # -- stimulation -----------------------------------------------------------------------------

    @property
    def tip_distance_mm(self) -> float:
        """From the needle's tip, which stimulates, to the nearest point of the nerve."""
        table = self._table
        angle = radians(table.angle_deg)
        ahead_mm = self._tip_axial_mm - table.axial_offset_mm
        half_mm = 0.5 * table.length_mm
        along_mm = min(max(ahead_mm * cos(angle), -half_mm), half_mm)
        return hypot(table.distance_mm, along_mm * sin(angle), ahead_mm - along_mm * cos(angle))

    def threshold_ma(self, *, pulse_ms: float, chronaxie_ms: float) -> float:
        """Return the current that the nerve answers to: I0 + k r2, by the width of the pulse."""
        table = self._table
        at_reference_ma = table.threshold_ma + table.threshold_ma_mm2 * self.tip_distance_mm**2
        rheobase = 1.0 / (1.0 + chronaxie_ms / REFERENCE_PULSE_MS)
        return at_reference_ma * rheobase * (1.0 + chronaxie_ms / pulse_ms)

    def stimulus_ratio(self, stimulus_ma: float, *, pulse_ms: float) -> float:
        """Return a stimulus as a multiple of what can be felt; 0 if there is none."""
        if stimulus_ma <= 0.0:
            return 0.0
        return stimulus_ma / self.threshold_ma(pulse_ms=pulse_ms, chronaxie_ms=SENSORY_CHRONAXIE_MS)

    def response(
        self, stimulus_ma: float, *, pulse_ms: float, frequency_hz: int
    ) -> StimulusResponse:
        """Return what a stimulus does: a twitch if it can, else something felt, else nothing."""
        if stimulus_ma <= 0.0:
            return StimulusResponse.NONE
        if self._table.fibres == "mixed" and frequency_hz <= TWITCH_HZ_MAX:
            motor_ma = self.threshold_ma(pulse_ms=pulse_ms, chronaxie_ms=MOTOR_CHRONAXIE_MS)
            if stimulus_ma >= motor_ma:
                return StimulusResponse.MOTOR
        if self.stimulus_ratio(stimulus_ma, pulse_ms=pulse_ms) >= 1.0:
            return StimulusResponse.SENSORY
        return StimulusResponse.NONE
