"""The summary object: what ``cryoctl run --json`` prints and every report is built on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from cryoctl.core import Controller
from cryoctl.cycles import CycleRecord, Verdict
from cryoctl.exit_codes import (
    EXIT_FAIL,
    EXIT_INTERRUPTED,
    EXIT_LINK,
    EXIT_PASS,
    EXIT_SAFETY,
)
from cryoctl.provision import not_provided
from cryoctl.records import IceEstimate
from cryoctl.safing import TripRecord
from cryoctl_protocol.codes import TRIP_RULES, Trip
from cryoctl_protocol.peer import FaultNote
from cryoctl_protocol.truth import NerveInjury, NerveOutcome, TruthSample

NERVE_SOURCE: Final = (
    "estimate of the simulator, not for patients: -20 C for 60 s (Evans 1981, rat nerve; 60 s "
    "assumed), -100 C (Zhou 1983, rabbit nerve), regrowth 1 to 2 mm a day (reviews)"
)
_LINK_TRIPS: Final = frozenset({Trip.LINK, Trip.INTEGRITY, Trip.LEASE, Trip.DEVICE_RESTART})
_BY_BADNESS: Final = (EXIT_PASS, EXIT_FAIL, EXIT_INTERRUPTED, EXIT_LINK, EXIT_SAFETY)
_MODEL: Final = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Estimate(BaseModel):
    """Ice as the controller's observer reckons it."""

    model_config = _MODEL

    ice_radius_mm: float
    radius_minus20_mm: float
    sigma_mm: float = Field(description="Standard deviation of the -20 C radius.")


class Truth(BaseModel):
    """Ice as it really was in the simulated tissue; no controller can know it."""

    model_config = _MODEL

    ice_radius_mm: float
    radius_minus20_mm: float


class NerveTruth(BaseModel):
    """What became of the simulated nerve: an estimate, never a statement about a patient."""

    model_config = _MODEL

    injury: str = Field(
        description="none, uncertain, axonotmesis, towards_irreversible or not_reachable."
    )
    outcome: str = Field(
        description="covered, or why not: not_cold, misplaced, zone_too_small or too_short."
    )
    min_temp_c: float = Field(description="Coldest place of the nerve.")
    below_minus20_s: float = Field(description="Longest that any place was at -20 C or colder.")
    touched_mm: float = Field(description="Longest stretch that was at -20 C or colder.")
    covered_mm: float = Field(description="Longest stretch of axonotmesis.")
    regrowth_days_low: float | None = Field(description="null: no lesion to recover from.")
    regrowth_days_high: float | None
    source: str = Field(description="Where the estimate comes from.")


class CycleSummary(BaseModel):
    """One freeze/thaw cycle."""

    model_config = _MODEL

    placement: int = Field(1, ge=1, description="At which placement of the session.")
    index: int = Field(ge=1)
    verdict: Verdict
    reason: str = Field(description="Why it is not PASS; empty if it is.")
    setpoint_c: float
    time_to_setpoint_s: float | None = Field(description="Valve open to band; null: not reached.")
    tip_min_c: float | None
    hold_s: float
    hold_in_band_fraction: float = Field(ge=0.0, le=1.0)
    estimate: Estimate | None = Field(description="At the end of the freeze, by the observer.")
    truth: Truth | None = Field(description="At the end of the freeze; simulator only.")
    thaw_s: float | None
    gas_used_g: float


class TripSummary(BaseModel):
    """One trip, first cause first."""

    model_config = _MODEL

    id: str
    requirement: str
    layer: Literal["host", "device"]
    state: str = Field(description="Phase in which it struck.")
    at_s: float
    value: float
    limit: float
    unit: str
    first_out: bool
    time_to_safe_ms: float | None = Field(description="null: the safe state was not confirmed.")
    text: str


class FaultSummary(BaseModel):
    """One fault that was asked for."""

    model_config = _MODEL

    fault: str = Field(description="As it was asked for.")
    began_s: float | None = Field(description="null: its moment never came.")
    ended_s: float | None = Field(description="null: it stayed.")


class CrashSummary(BaseModel):
    """One time the processor of a simulated probe went wrong."""

    model_config = _MODEL

    at_s: float
    text: str = Field(description="What, where and why, in one line.")


class NotProvided(BaseModel):
    """Something that the device does not have."""

    model_config = _MODEL

    name: str
    requirements: list[str] = Field(description="What rests on it.")


class PlacementSummary(BaseModel):
    """One placement of a session; a plain run has one."""

    model_config = _MODEL

    index: int = Field(ge=1)
    name: str = Field(description="By the session file; else empty.")
    treatment: str
    verdict: Verdict | None = Field(description="null: it was not come to.")
    cycles_planned: int
    began_s: float | None
    gas_used_g: float
    nerve: NerveTruth | None = Field(
        description="When the placement was over; simulator only, null if there is no nerve."
    )


class ChangedLimit(BaseModel):
    """A limit that a requirement has other than the profile."""

    model_config = _MODEL

    limit: str
    value: float
    profile: float
    unit: str
    requirement: str


class DeviationSummary(BaseModel):
    """A requirement or limit that is looser than ours or the profile's."""

    model_config = _MODEL

    requirement: str
    what: str = Field(description="What it loosens.")
    value: float
    ours: float = Field(description="What it is without the deviation.")
    unit: str
    reason: str
    who: str
    date: str
    text: str = Field(description="All of it in one line.")


class Summary(BaseModel):
    """A whole run."""

    model_config = _MODEL

    schema_version: Literal[1] = 1
    cryoctl: str = Field(description="Version of the program.")
    verdict: Verdict = Field(description="The worst of all placements.")
    failure: str = Field(
        description="What kept the run from being done, paced or recorded as asked; else empty."
    )
    treatment: str
    device: str
    profile: str
    gas: str
    seed: int | None
    virtual_s: float
    cpu_s: float
    wall_s: float
    cycles_planned: int = Field(description="By the treatment; those in cycles were begun.")
    thaw_timeout_s: float = Field(description="Longest thaw by the treatments.")
    placements: list[PlacementSummary] = Field(
        default_factory=list, description="In order, each armed by itself."
    )
    cartridge_changes: int = Field(0, description="New cartridges put in during the session.")
    vented_g_per_h: float = Field(
        0.0, description="Most gas out of the exhaust within any hour of the session (SR-21)."
    )
    scavenging: bool = Field(
        default=False, description="The room's gas is drawn off, by the operator's word."
    )
    tick_late_ms_p999: float = Field(
        0.0, description="How late 99.9 % of all control ticks were at most (SR-35)."
    )
    tick_late_ms_max: float = Field(0.0, description="How late the latest control tick was.")
    cycles: list[CycleSummary]
    trips: list[TripSummary]
    alarms: list[str]
    faults: list[FaultSummary] = Field(description="Asked for, in that order; simulator only.")
    crashes: list[CrashSummary] = Field(
        default_factory=list, description="Of emulated firmware, the first hundred."
    )
    crashes_count: int = Field(0, description="Of emulated firmware, all of them.")
    frames_lost: int = Field(description="By gaps in the device's numbering.")
    frames_rejected: int = Field(description="Damaged, repeated or forged.")
    not_provided: list[NotProvided] = Field(
        description="What the device does not have, with the requirements that rest on it."
    )
    limits_changed: list[ChangedLimit] = Field(
        default_factory=list, description="By the requirements file; the probe keeps its own."
    )
    deviations: list[DeviationSummary] = Field(
        default_factory=list, description="What is looser, and whose word it is."
    )
    plug_ins: list[str] = Field(
        default_factory=list, description="Name, package, version and group of each."
    )
    recording: str | None
    audit: str | None = Field(None, description="Path of the audit trail.")
    audit_head: str | None = Field(
        None, description="Hash of its closing record; null: it was not closed."
    )
    events_sha256: str
    exit_code: int


def not_provided_summary(controller: Controller) -> list[NotProvided]:
    """Return what the device's HELLO does not declare; empty before any HELLO."""
    hello = controller.session.hello
    missing = [] if hello is None else not_provided(hello.capabilities, hello.sensors)
    return [NotProvided(name=row.name, requirements=list(row.requirements)) for row in missing]


def exit_code(controller: Controller) -> int:
    """Return the worst exit code that the controller's placements stand for."""
    codes = [_code(record.cause, record.verdict) for record in controller.begun_placements()]
    if controller.later_treatments:
        codes.append(EXIT_FAIL)
    if controller.aborted:
        codes.append(EXIT_INTERRUPTED)
    if controller.link_failure and controller.safing.cause is None:
        codes.append(EXIT_LINK)
    return max(codes, key=_BY_BADNESS.index)


def _code(cause: Trip | None, verdict: Verdict) -> int:
    if cause is Trip.OPERATOR_STOP:
        return EXIT_INTERRUPTED
    if cause is not None:
        return EXIT_LINK if cause in _LINK_TRIPS else EXIT_SAFETY
    return EXIT_PASS if verdict is Verdict.PASS else EXIT_FAIL


def placement_summaries(
    controller: Controller,
    names: Sequence[str],
    truth_at: Callable[[float | None], TruthSample | None],
    ended_s: float,
) -> list[PlacementSummary]:
    """Return a row for each placement, those that were not come to included.

    Args:
        controller: When the session is over.
        names: By the session file, in order; empty for a plain run.
        truth_at: Looks the simulator's truth up.
        ended_s: When the session was over.
    """
    named = dict(enumerate(names, 1))
    begun = controller.begun_placements()
    ends_s = [*(record.began_s for record in begun[1:]), ended_s]
    rows = [
        PlacementSummary(
            index=index,
            name=named.get(index, ""),
            treatment=record.treatment.name,
            verdict=record.verdict,
            cycles_planned=record.treatment.cycles.count,
            began_s=round(record.began_s, 3),
            gas_used_g=round(record.gas_used_g, 4),
            nerve=nerve_truth(truth_at(over_s)) if record.cycles else None,
        )
        for index, (record, over_s) in enumerate(zip(begun, ends_s, strict=True), 1)
    ]
    later = [
        PlacementSummary(
            index=index,
            name=named.get(index, ""),
            treatment=treatment.name,
            verdict=None,
            cycles_planned=treatment.cycles.count,
            began_s=None,
            gas_used_g=0.0,
            nerve=None,
        )
        for index, treatment in enumerate(controller.later_treatments, len(rows) + 1)
    ]
    return [*rows, *later]


def cycle_summaries(
    controller: Controller, truth_at: Callable[[float | None], TruthSample | None]
) -> list[CycleSummary]:
    """Return the rows of all cycles of all placements; truth joins them here, after the verdict."""
    return [
        cycle_summary(cycle, truth_at(cycle.freeze_ended_s), placement)
        for placement, record in enumerate(controller.begun_placements(), 1)
        for cycle in record.cycles
    ]


def cycle_summary(
    record: CycleRecord, truth: TruthSample | None, placement: int = 1
) -> CycleSummary:
    """Return one cycle's row; truth joins it here, after the verdict."""
    return CycleSummary(
        placement=placement,
        index=record.index,
        verdict=record.verdict or Verdict.FAIL,
        reason=record.reason,
        setpoint_c=record.setpoint_c,
        time_to_setpoint_s=_rounded(record.time_to_setpoint_s, 3),
        tip_min_c=_rounded(record.tip_min_c, 3),
        hold_s=round(record.hold_s, 3),
        hold_in_band_fraction=round(record.hold_in_band_fraction, 4),
        estimate=_estimate(record.estimate),
        truth=None
        if truth is None
        else Truth(
            ice_radius_mm=round(truth.ice_radius_mm, 3),
            radius_minus20_mm=round(truth.radius_minus20_mm, 3),
        ),
        thaw_s=_rounded(record.thaw_s, 3),
        gas_used_g=round(record.gas_used_g, 4),
    )


def nerve_truth(truth: TruthSample | None) -> NerveTruth | None:
    """Return what became of the nerve; None for other devices and without a nerve."""
    if truth is None or truth.nerve_min_temp_c is None:
        return None
    has_lesion = truth.nerve_covered_mm > 0.0
    return NerveTruth(
        injury=NerveInjury(truth.nerve_injury).name.lower(),
        outcome=NerveOutcome(truth.nerve_outcome).name.lower(),
        min_temp_c=round(truth.nerve_min_temp_c, 2),
        below_minus20_s=round(truth.nerve_below_minus20_s, 1),
        touched_mm=round(truth.nerve_touched_mm, 2),
        covered_mm=round(truth.nerve_covered_mm, 2),
        regrowth_days_low=round(truth.nerve_regrowth_days_low, 1) if has_lesion else None,
        regrowth_days_high=round(truth.nerve_regrowth_days_high, 1) if has_lesion else None,
        source=NERVE_SOURCE,
    )


def _estimate(estimate: IceEstimate | None) -> Estimate | None:
    if estimate is None:
        return None
    return Estimate(
        ice_radius_mm=round(estimate.ice_radius_mm, 3),
        radius_minus20_mm=round(estimate.radius_minus20_mm, 3),
        sigma_mm=round(estimate.sigma_mm, 3),
    )


def trip_summary(record: TripRecord) -> TripSummary:
    """Return one trip's row."""
    rule, detail = TRIP_RULES[record.notice.trip], record.notice.detail
    return TripSummary.model_validate(
        {
            "id": record.notice.trip.name,
            "requirement": rule.requirement,
            "layer": record.layer,
            "state": record.phase.value,
            "at_s": round(record.at_s, 4),
            "value": round(record.notice.value, 3),
            "limit": round(record.notice.limit, 3),
            "unit": record.notice.unit,
            "first_out": record.first_out,
            "time_to_safe_ms": record.time_to_safe_ms,
            "text": f"{rule.text}: {detail}" if detail else rule.text,
        }
    )


def fault_summary(note: FaultNote) -> FaultSummary:
    """Return one fault's row."""
    return FaultSummary(fault=note.fault, began_s=note.began_s, ended_s=note.ended_s)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def summary_schema() -> dict[str, Any]:
    """Return the published JSON Schema of the summary object."""
    return Summary.model_json_schema(mode="serialization")
