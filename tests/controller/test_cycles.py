"""What a cycle measured and the verdict it earns (SR-13)."""

from __future__ import annotations

import pytest

from cryoctl.cycles import CycleRecord, Verdict


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

    record.judge_freeze()

    assert (record.verdict, record.reason) == (verdict, reason)


@pytest.mark.requirement("SR-13")
def test_a_cycle_that_never_reached_its_band_is_not_effective_whatever_else() -> None:
    record = a_cycle(in_band_s=60.0, freeze_ended_s=30.0)

    record.judge_freeze()

    assert record.verdict is Verdict.NOT_EFFECTIVE
    assert record.reason == "set-point band not reached in time"


def test_a_reason_given_before_is_kept_for_a_cycle_that_is_not_effective_alone() -> None:
    failed, passed = a_cycle(freeze_ended_s=30.0), a_cycle(reached_s=18.0, in_band_s=60.0)
    failed.reason = passed.reason = "no gas"

    failed.judge_freeze()
    passed.judge_freeze()

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
