"""What a test takes its measurements with; each is judged at once, and kept."""

from __future__ import annotations

from cryoctl_hil.evidence.measurement import (
    Count,
    Given,
    Interval,
    Limit,
    Measurement,
    Moment,
    Origin,
    Plain,
    Reading,
    Reduction,
    Said,
    What,
    signal_problem,
)
from cryoctl_hil.evidence.test_run import TestRun
from cryoctl_hil.rigs.probe import Probe
from cryoctl_hil.rigs.rig import Rig


class Measure:
    """Takes measurements for one test."""

    def __init__(self, run: TestRun, probe: Probe, rig: Rig) -> None:
        self._run = run
        self._probe = probe
        self._rig = rig

    def time(
        self,
        name: str,
        since: Moment,
        until: Moment,
        *,
        at_most_s: float | None = None,
        at_least_s: float | None = None,
        requirement: str | None = None,
    ) -> Measurement:
        """Measure the seconds between two moments; the rig's uncertainty tightens the limits."""
        limit = Limit(
            at_most=at_most_s,
            at_least=at_least_s,
            unit="s",
            uncertainty=self._rig.table.timing_uncertainty_s,
        )
        return self._keep(name, Interval(since=since, until=until), limit, requirement)

    def reading(
        self,
        name: str,
        signal: str,
        take: Reduction,
        since: Moment,
        until: Moment,
        *,
        at_most: float | None = None,
        at_least: float | None = None,
        unit: str = "",
        requirement: str | None = None,
    ) -> Measurement:
        """Measure one number out of a signal's readings between two moments."""
        problem = signal_problem(signal)
        if problem:
            raise ValueError(problem)
        limit = Limit(
            at_most=at_most,
            at_least=at_least,
            unit=unit,
            uncertainty=self._rig.uncertainty_of(signal),
        )
        what = Reading(signal=signal, take=take, since=since, until=until)
        return self._keep(name, what, limit, requirement)

    def count(
        self,
        name: str,
        kind: str,
        since: Moment,
        *,
        at_most: float | None = None,
        at_least: float | None = None,
        requirement: str | None = None,
        **where: Plain,
    ) -> Measurement:
        """Count events of a kind after a moment."""
        what = Count(kind=kind, where=where, since=since)
        return self._keep(name, what, Limit(at_most=at_most, at_least=at_least), requirement)

    def said(
        self,
        name: str,
        kind: str,
        field: str,
        exactly: Plain,
        since: Moment,
        *,
        requirement: str | None = None,
        **where: Plain,
    ) -> Measurement:
        """Take the word that an event of the probe says, such as its answer to a command."""
        what = Said(kind=kind, field=field, where=where, since=since)
        return self._keep(name, what, Limit(exactly=exactly), requirement)

    def value(
        self,
        name: str,
        value: Plain,
        *,
        at_most: float | None = None,
        at_least: float | None = None,
        exactly: Plain | None = None,
        unit: str = "",
        uncertainty: float = 0.0,
        origin: Origin = Origin.DEVICE,
        requirement: str | None = None,
    ) -> Measurement:
        """Take a value that no recording of ours shows."""
        limit = Limit(
            at_most=at_most,
            at_least=at_least,
            exactly=exactly,
            unit=unit,
            uncertainty=uncertainty,
        )
        return self._keep(name, Given(value=value), limit, requirement, origin)

    def _keep(
        self,
        name: str,
        what: What,
        limit: Limit,
        requirement: str | None,
        origin: Origin = Origin.DEVICE,
    ) -> Measurement:
        named = self._run.requirements
        measurement = Measurement(
            name=name,
            requirement=requirement or (named[0] if len(named) == 1 else ""),
            what=what,
            limit=limit,
            origin=origin,
        )
        judged = self._probe.call(lambda _: measurement.judged(self._probe.trace))
        self._run.measurements.append(judged)
        return judged
