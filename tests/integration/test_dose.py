"""Holds that end by dose, on the whole simulated probe; the study itself in small."""

from __future__ import annotations

from pathlib import Path

import pytest

import cryoctl
from cryoctl.cycles import Verdict
from cryoctl.replay import Answer
from cryoctl_hil.dose_picture import picture
from cryoctl_hil.dose_study import Hold, Pair, Result, study_one
from tests.support.stack import Stack, build_stack, treatment


def dosed(query: str = "", **cycles: object) -> Stack:
    """Return a stack that has done one cycle with a dose."""
    plan = treatment("n2o-20g", **{"count": 1, "hold_s": 100.0, **cycles})
    stack = build_stack(query=query, plan=plan)
    stack.run()
    return stack


def test_a_hold_ends_when_the_estimate_comes_to_the_dose_and_the_log_says_so() -> None:
    stack = dosed(dose_radius_mm=1.8)

    (cycle,) = stack.controller.cycles
    (event,) = [event for event in stack.sink.events if event.kind == "hold"]
    assert cycle.verdict is Verdict.PASS
    assert cycle.by_dose
    assert 15.0 < cycle.hold_s < 60.0
    assert event.data["ended_by"] == "dose"
    assert event.data["radius_minus20_mm"] == pytest.approx(1.8, abs=0.02)


def test_a_dose_that_is_not_met_in_time_is_not_effective() -> None:
    stack = dosed(dose_radius_mm=2.5, hold_s=20.0)

    (cycle,) = stack.controller.cycles
    assert cycle.verdict is Verdict.NOT_EFFECTIVE
    assert cycle.hold_s == pytest.approx(20.0, abs=0.1)
    assert cycle.reason.startswith("dose of 2.5 mm not shown to be met")


def test_an_estimate_in_fat_is_too_uncertain_to_end_a_hold() -> None:
    stack = dosed("scenario=fat", dose_radius_mm=1.2, hold_s=60.0)

    (cycle,) = stack.controller.cycles
    assert cycle.estimate is not None
    assert cycle.estimate.radius_minus20_mm > 1.2
    assert cycle.estimate.sigma_mm > 0.3
    assert not cycle.by_dose
    assert cycle.verdict is Verdict.NOT_EFFECTIVE


def test_without_a_dose_time_alone_ends_a_hold_and_the_estimate_is_told_all_the_same() -> None:
    stack = dosed(hold_s=20.0)

    (cycle,) = stack.controller.cycles
    assert cycle.verdict is Verdict.PASS
    assert cycle.hold_s == pytest.approx(20.0, abs=0.1)
    assert cycle.estimate is not None
    assert [event for event in stack.sink.events if event.kind == "hold"] == []


def test_a_dosed_run_replays_bit_for_bit_and_its_tables_hold_the_estimate(tmp_path: Path) -> None:
    cycles = {"cycles.count": 1, "cycles.hold_s": 100.0, "cycles.dose_radius_mm": 1.7}

    result = cryoctl.run(set=cycles, out=tmp_path / "run")

    assert result.verdict is Verdict.PASS
    assert result.replay().answer is Answer.IDENTICAL
    at_end = result.cycles[0].estimate
    assert at_end is not None
    assert at_end.radius_minus20_mm == pytest.approx(1.7, abs=0.02)
    radii_mm = result.estimate["radius_minus20_mm"]
    assert len(radii_mm) > 50
    assert float(radii_mm.max()) == pytest.approx(at_end.radius_minus20_mm, abs=0.05)


@pytest.mark.parametrize("number", [1, 3])
def test_a_dose_comes_within_0_3_mm_in_the_first_patients_of_the_study(number: int) -> None:
    pair = study_one(number)

    assert pair.why_not == ""
    assert pair.by_dose.by_dose
    assert abs(pair.by_dose.error_mm) < 0.3


def a_pair(by_time_mm: float, by_dose_mm: float) -> Pair:
    time = Hold("", hold_s=32.5, radius_mm=by_time_mm)
    dose = Hold("", hold_s=30.0, by_dose=True, radius_mm=by_dose_mm, estimate_mm=1.8, sigma_mm=0.1)
    return Pair(1, time, dose)


def test_the_study_counts_errors_shares_and_who_stands_apart() -> None:
    refused = Pair(2, Hold("arm refused"), Hold("arm refused"))
    small = Pair(3, Hold("", radius_mm=1.5), Hold("", radius_mm=1.7))

    result = Result.of([a_pair(1.9, 1.75), a_pair(1.7, 1.85), a_pair(1.8, 2.15), refused, small])

    assert len(result.reached) == 3
    assert result.apart == {"arm refused": 1, "ice too small after 120 s": 1}
    assert result.rms_by_time_mm == pytest.approx(0.0816, abs=1e-4)
    assert result.rms_by_dose_mm == pytest.approx(0.2062, abs=1e-4)
    assert result.within == pytest.approx(2.0 / 3.0)
    assert result.covered == pytest.approx(2.0 / 3.0)
    assert not result.is_met


@pytest.mark.parametrize(("by_dose_mm", "is_met"), [(1.859, True), (1.861, False)])
def test_the_study_is_met_at_six_tenths_of_the_error_by_time(
    by_dose_mm: float, is_met: bool
) -> None:
    assert Result.of([a_pair(1.9, by_dose_mm)]).is_met is is_met


def test_the_picture_tells_both_errors_in_words() -> None:
    svg = picture(Result.of([a_pair(1.9, 1.75), a_pair(1.7, 1.85)]))

    assert "hold of 32.5 s: RMS 0.100 mm" in svg
    assert "hold by dose: RMS 0.050 mm" in svg
