"""What every trip of a probe has in common, measured the same way each time."""

from __future__ import annotations

from typing import Final

from cryoctl_hil.evidence.measure import Measure
from cryoctl_hil.evidence.measurement import AtSignal, Moment, when
from cryoctl_hil.rigs.probe import Probe
from cryoctl_protocol.codes import DeviceState, SafeAction, Trip

SETTLE_S: Final = 0.3
"""Looked on for so long after a trip: what is off stays off."""
OUTPUTS: Final = ("valve", "shutoff_open", "skin_warmer", "stimulus_ma")
"""What no trip leaves on. The tip heater may be, for a thaw that the probe runs by itself."""


class TripCheck:
    """What a test calls ``tripped``: waits for a trip and measures it.

    Args:
        probe: The one under test.
        measure: Takes the measurements.
    """

    def __init__(self, probe: Probe, measure: Measure) -> None:
        self._probe = probe
        self._measure = measure

    def __call__(
        self,
        trip: Trip,
        since: Moment,
        *,
        requirement: str,
        action: SafeAction,
        within_s: float = 5.0,
        seen: Moment | None = None,
        safe_within_s: float | None = None,
    ) -> AtSignal:
        """Wait for FAULT and measure it; return its moment.

        Args:
            trip: The cause that the probe should give.
            since: When its cause began.
            requirement: That asks for it.
            action: What the probe should do then.
            within_s: How long to wait for it, from now.
            seen: When telemetry first shows the cause; None is ``since``.
            safe_within_s: From ``seen`` until every output is off; None if that is not bounded.
        """
        probe, measure = self._probe, self._measure
        probe.wait_for_state(DeviceState.FAULT, within_s=within_s)
        probe.let_pass(SETTLE_S)
        latched = when("state", "==", float(DeviceState.FAULT), after=since)
        end = probe.mark(f"after {trip.name}")
        measure.said(
            f"{trip.name}: the cause it tells",
            "device",
            "trip",
            trip.name,
            since,
            event="TRIP",
            requirement=requirement,
        )
        measure.reading(
            f"{trip.name}: the cause it keeps",
            "trip",
            "last",
            latched,
            end,
            at_least=float(trip),
            at_most=float(trip),
            requirement=requirement,
        )
        if safe_within_s is not None:
            self._how_soon(trip, seen or since, safe_within_s, requirement)
        off = (*OUTPUTS, "tip_heater") if action is SafeAction.OFF else OUTPUTS
        for signal in off:
            measure.reading(
                f"{trip.name}: {signal} stays off",
                signal,
                "max",
                latched,
                end,
                at_most=0.0,
                requirement=requirement,
            )
        return latched

    def _how_soon(self, trip: Trip, seen: Moment, within_s: float, requirement: str) -> None:
        for signal in OUTPUTS:
            self._measure.time(
                f"{trip.name}: seen to {signal} off",
                seen,
                when(signal, "==", 0.0, after=seen),
                at_most_s=within_s,
                requirement=requirement,
            )
