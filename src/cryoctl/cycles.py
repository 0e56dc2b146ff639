"""What was measured in each freeze/thaw cycle, and the verdict it earns."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from cryoctl.records import IceEstimate
from cryoctl_protocol.codes import TRIP_RULES, Trip

HOLD_FRACTION_MIN: Final = 0.90  # SR-13: share of the hold that must lie in the band.

FULLY_OPEN: Final = 0.99  # Duty


class Verdict(StrEnum):
    """How a cycle or a run ended."""

    PASS = "PASS"  # noqa: S105
    NOT_EFFECTIVE = "NOT_EFFECTIVE"
    FAIL = "FAIL"
    SAFETY_TRIP = "SAFETY_TRIP"
    ABORTED = "ABORTED"


@dataclass(slots=True)
class CycleRecord:
    """One cycle as it happened; times are the controller's clock, None is "not got to".

    Attributes:
        index: From 1.
        hold_planned_s: The longest, where a dose may end it.
        dose_mm: The -20 C radius to end the hold at; None where time alone ends it.
        by_dose: The dose has ended the hold.
        estimate: At the end of the freeze.
        in_band_s: Time within the set-point band during the hold.
        gas_used_g: From the flow sensor, over freeze and thaw.
        verdict: None while the cycle runs.
    """

    index: int
    setpoint_c: float
    hold_planned_s: float
    began_s: float
    dose_mm: float | None = None
    by_dose: bool = False
    estimate: IceEstimate | None = None
    reached_s: float | None = None
    freeze_ended_s: float | None = None
    freed_s: float | None = None
    tip_min_c: float | None = None
    in_band_s: float = 0.0
    gas_used_g: float = 0.0
    verdict: Verdict | None = None
    reason: str = ""

    @property
    def time_to_setpoint_s(self) -> float | None:
        """From valve open to the band."""
        return None if self.reached_s is None else self.reached_s - self.began_s

    @property
    def hold_s(self) -> float:
        """How long the hold lasted."""
        if self.reached_s is None or self.freeze_ended_s is None:
            return 0.0
        return self.freeze_ended_s - self.reached_s

    @property
    def hold_in_band_fraction(self) -> float:
        """Share of the hold in the band, at most 1; of the planned hold, if time ends it."""
        hold_s = self.hold_s if self.by_dose else self.hold_planned_s
        return min(1.0, self.in_band_s / hold_s) if hold_s > 0.0 else 0.0

    @property
    def thaw_s(self) -> float | None:
        """From the end of the freeze until the needle was free."""
        if self.freed_s is None or self.freeze_ended_s is None:
            return None
        return self.freed_s - self.freeze_ended_s

    def as_event(self) -> dict[str, Any]:
        """Return what the event log keeps of a finished cycle."""
        return {
            "index": self.index,
            "verdict": None if self.verdict is None else self.verdict.value,
            "tip_min_c": None if self.tip_min_c is None else round(self.tip_min_c, 3),
            "in_band_fraction": round(self.hold_in_band_fraction, 4),
            "gas_used_g": round(self.gas_used_g, 4),
        }

    def hold_as_event(self) -> dict[str, Any]:
        """Return what the event log keeps of the end of a hold that may end by dose."""
        estimate = self.estimate
        return {
            "ended_by": "dose" if self.by_dose else "time limit",
            "dose_radius_mm": self.dose_mm,
            "radius_minus20_mm": None if estimate is None else round(estimate.radius_minus20_mm, 3),
            "sigma_mm": None if estimate is None else round(estimate.sigma_mm, 3),
        }

    def break_off(self, trip: Trip, now_s: float, estimate: IceEstimate | None = None) -> None:
        """Give the verdict of a cycle that a trip ended; ``estimate`` is that of now."""
        if self.freeze_ended_s is None:
            self.freeze_ended_s = now_s
            self.estimate = estimate
        stopped = trip is Trip.OPERATOR_STOP
        self.verdict = Verdict.ABORTED if stopped else Verdict.SAFETY_TRIP
        self.reason = TRIP_RULES[trip].text

    def _short_of_dose(self, dose_mm: float) -> str:
        if self.estimate is None:
            return f"dose of {dose_mm:g} mm not shown to be met: no estimate of the ice"
        return (
            f"dose of {dose_mm:g} mm not shown to be met: -20 °C radius estimated at "
            f"{self.estimate.radius_minus20_mm:.2f} ±{self.estimate.sigma_mm:.2f} mm"
        )

    def judge_freeze(self, *, valve: float) -> None:
        """Set the verdict that the freeze earned by SR-13; a trip later overrules it.

        Args:
            valve: Duty at its end: a band that was missed with the valve open wants for cold.
        """
        if self.reached_s is None:
            missed = "set-point band not reached in time"
        elif self.hold_in_band_fraction < HOLD_FRACTION_MIN:
            missed = "set-point band held for less than 90 % of the hold"
        elif self.dose_mm is not None and not self.by_dose:
            self.verdict = Verdict.NOT_EFFECTIVE
            self.reason = self.reason or self._short_of_dose(self.dose_mm)
            return
        else:
            self.verdict = Verdict.PASS
            self.reason = ""
            return
        self.verdict = Verdict.NOT_EFFECTIVE
        if valve >= FULLY_OPEN:
            missed += (
                ", the valve fully open: gas used up, a blockage, too much heat "
                "or a false tip reading"
            )
        self.reason = self.reason or missed
