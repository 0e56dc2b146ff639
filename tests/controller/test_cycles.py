"""What a cycle measured and the verdict it earns (SR-13)."""

from __future__ import annotations

import pytest

from cryoctl.cycles import CycleRecord, Verdict
from cryoctl.records import IceEstimate
from cryoctl_protocol.codes import Trip


def a_cycle(**changes: float | None) -> CycleRecord:
    """Return a cycle of 60 s at -60 C that began at 10 s."""
    record = CycleRecord(index=1, setpoint_c=-60.0, hold_planned_s=60.0, began_s=10.0)
    for name, value in changes.items():
        setattr(record, name, value)
    return record


@pytest.mark.requirement("SR-13")
@pytest.mark.parametrize(
    ("in_band_s", "verdict", "reason"),
    [
        (60.0, Verdict.PASS, ""),
        (54.0, Verdict.PASS, ""),
        (53.99, Verdict.NOT_EFFECTIVE, "set-point band held for less than 90 % of the hold"),
        (0.0, Verdict.NOT_EFFECTIVE, "set-point band held for less than 90 % of the hold"),
    ],
)
def test_nine_tenths_of_the_planned_hold_must_lie_in_the_band(
    in_band_s: float, verdict: Verdict, reason: str
) -> None:
    record = a_cycle(reached_s=18.0, in_band_s=in_band_s, freeze_ended_s=78.0)

    record.judge_freeze(valve=0.7)

    assert (record.verdict, record.reason) == (verdict, reason)


@pytest.mark.requirement("SR-13")
def test_a_cycle_that_never_reached_its_band_is_not_effective_whatever_else() -> None:
    record = a_cycle(in_band_s=60.0, freeze_ended_s=30.0)

    record.judge_freeze(valve=0.7)

    assert record.verdict is Verdict.NOT_EFFECTIVE
    assert record.reason == "set-point band not reached in time"


def test_a_band_missed_with_the_valve_fully_open_tells_where_to_look() -> None:
    record = a_cycle(reached_s=18.0, in_band_s=20.0, freeze_ended_s=50.0)

    record.judge_freeze(valve=0.99)

    assert record.reason == (
        "set-point band held for less than 90 % of the hold, the valve fully open: "
        "gas used up, a blockage, too much heat or a false tip reading"
    )


def test_a_reason_given_before_is_kept_for_a_cycle_that_is_not_effective_alone() -> None:
    failed, passed = a_cycle(freeze_ended_s=30.0), a_cycle(reached_s=18.0, in_band_s=60.0)
    failed.reason = passed.reason = "no gas"

    failed.judge_freeze(valve=0.7)
    passed.judge_freeze(valve=0.7)

    assert failed.reason == "no gas"
    assert passed.reason == ""


def test_times_are_taken_between_the_right_moments() -> None:
    record = a_cycle(reached_s=18.5, freeze_ended_s=78.5, freed_s=120.0, in_band_s=61.0)

    assert record.time_to_setpoint_s == 8.5
    assert record.hold_s == 60.0
    assert record.thaw_s == 41.5
    assert record.hold_in_band_fraction == 1.0


@pytest.mark.parametrize(
    ("changes", "time_to_setpoint_s", "hold_s", "thaw_s"),
    [
        ({}, None, 0.0, None),
        ({"freeze_ended_s": 30.0}, None, 0.0, None),
        ({"reached_s": 18.0}, 8.0, 0.0, None),
        ({"freeze_ended_s": 30.0, "freed_s": 50.0}, None, 0.0, 20.0),
    ],
)
def test_what_was_not_got_to_has_no_time(
    changes: dict[str, float | None],
    time_to_setpoint_s: float | None,
    hold_s: float,
    thaw_s: float | None,
) -> None:
    record = a_cycle(**changes)

    assert record.time_to_setpoint_s == time_to_setpoint_s
    assert record.hold_s == hold_s
    assert record.thaw_s == thaw_s


def test_a_finished_cycle_is_logged_in_rounded_figures() -> None:
    record = a_cycle(tip_min_c=-61.23456, in_band_s=59.0001, gas_used_g=1.23456789)
    record.verdict = Verdict.PASS

    assert record.as_event() == {
        "index": 1,
        "verdict": "PASS",
        "tip_min_c": -61.235,
        "in_band_fraction": 0.9833,
        "gas_used_g": 1.2346,
    }
    assert a_cycle().as_event() == {
        "index": 1,
        "verdict": None,
        "tip_min_c": None,
        "in_band_fraction": 0.0,
        "gas_used_g": 0.0,
    }


@pytest.mark.parametrize(
    ("trip", "verdict", "reason"),
    [
        (Trip.OPERATOR_STOP, "ABORTED", "stopped by the operator"),
        (Trip.SKIN_COLD, "SAFETY_TRIP", "skin too cold"),
    ],
)
def test_a_trip_ends_a_freeze_and_overrules_its_verdict(
    trip: Trip, verdict: str, reason: str
) -> None:
    freezing, thawing = a_cycle(reached_s=18.0), a_cycle(reached_s=18.0, freeze_ended_s=78.0)
    thawing.verdict = Verdict.PASS

    freezing.break_off(trip, 50.0)
    thawing.break_off(trip, 90.0)

    assert (freezing.verdict, freezing.reason, freezing.freeze_ended_s) == (verdict, reason, 50.0)
    assert (thawing.verdict, thawing.reason, thawing.freeze_ended_s) == (verdict, reason, 78.0)


# -- holds that end by dose ---


def a_dosed_cycle(radius_mm: float, **changes: object) -> CycleRecord:
    """Return a cycle of at most 60 s that was held for 30 s, with an estimate at its end."""
    record = a_cycle(reached_s=18.0, freeze_ended_s=48.0, in_band_s=29.0)
    record.dose_mm = 1.8
    record.estimate = IceEstimate(3.1, radius_mm, 0.04, 3.6, None)
    for name, value in changes.items():
        setattr(record, name, value)
    return record


def test_a_hold_that_met_its_dose_is_judged_by_the_time_it_lasted() -> None:
    record = a_dosed_cycle(1.8, by_dose=True)

    record.judge_freeze(valve=0.7)

    assert record.hold_in_band_fraction == pytest.approx(29.0 / 30.0)
    assert (record.verdict, record.reason) == (Verdict.PASS, "")


@pytest.mark.requirement("SR-13")
def test_a_dose_does_not_excuse_a_hold_outside_its_band() -> None:
    record = a_dosed_cycle(1.8, by_dose=True, in_band_s=26.9)

    record.judge_freeze(valve=0.7)

    assert record.verdict is Verdict.NOT_EFFECTIVE


def test_a_time_limit_that_comes_before_the_dose_makes_a_cycle_not_effective() -> None:
    record = a_dosed_cycle(1.62, freeze_ended_s=78.0, in_band_s=60.0)

    record.judge_freeze(valve=0.7)

    assert record.verdict is Verdict.NOT_EFFECTIVE
    assert record.reason == (
        "dose of 1.8 mm not shown to be met: -20 °C radius estimated at 1.62 ±0.04 mm"
    )
    assert record.hold_as_event() == {
        "ended_by": "time limit",
        "dose_radius_mm": 1.8,
        "radius_minus20_mm": 1.62,
        "sigma_mm": 0.04,
    }


def test_a_dose_without_any_estimate_is_not_met() -> None:
    record = a_dosed_cycle(1.8, estimate=None, freeze_ended_s=78.0, in_band_s=60.0)

    record.judge_freeze(valve=0.7)

    assert record.reason == "dose of 1.8 mm not shown to be met: no estimate of the ice"
