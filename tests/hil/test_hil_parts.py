"""The parts of evidence by themselves: what a test took, when it was judged, the verdict."""

from __future__ import annotations

import os
import signal
import sys
from math import nan

import numpy as np
import pytest

from cryoctl.records import LogEvent
from cryoctl_hil.evidence.instruments import Readings, best_offset
from cryoctl_hil.evidence.measurement import (
    AtMark,
    Count,
    Limit,
    Measurement,
    Plain,
    Verdict,
)
from cryoctl_hil.evidence.plan import Budget, Planned, plan_rows, plan_text
from cryoctl_hil.evidence.record import Cost, Evidence, RequirementRecord, TestRecord
from cryoctl_hil.evidence.report import coverage_of, limit_text
from cryoctl_hil.evidence.stop import StopOnce
from cryoctl_hil.evidence.trace import SIGNALS, LiveTrace, Trace
from cryoctl_protocol.profile import load_profile

RIG = 'schema = 1\nname = "r"\ndevice = "sim:"\n'


def trace_of(**columns: list[float]) -> Trace:
    """Return a trace with a sample a second; what is not given reads 0."""
    length = len(next(iter(columns.values())))
    now_s = [float(second) for second in range(length)]
    return Trace(now_s, {name: columns.get(name, [0.0] * length) for name in SIGNALS})


def record(name: str, verdict: Verdict, why: str = "") -> TestRecord:
    return TestRecord(id=name, title="", requirements=("SR-05",), verdict=verdict, why=why)


def run_of(*tests: TestRecord, rig_text: str = RIG, began: str = "2026-11-22") -> Evidence:
    return Evidence(
        cryoctl="0", python="3", platform="p", started_utc=f"{began}T10:00:00+00:00", rig="r",
        rig_text=rig_text, device="sim:", seed=1, tests=tests,
    )  # fmt: skip


# -- what a test took ---


def test_gas_is_flow_over_time_and_a_hole_in_telemetry_counts_for_a_second() -> None:
    steady = trace_of(exhaust_flow_mg_s=[500.0, 500.0, 500.0])
    blind = trace_of(exhaust_flow_mg_s=[500.0, nan, 500.0])
    hole = Trace([0.0, 60.0], {**steady.columns, "exhaust_flow_mg_s": [500.0, 0.0]})

    assert (steady.gas_g(), blind.gas_g(), hole.gas_g()) == (1.0, 0.5, 0.5)


def test_freezes_are_counted_by_their_beginnings() -> None:
    freeze = 6.0

    twice = trace_of(state=[1.0, freeze, freeze, 7.0, freeze])

    assert twice.freezes() == 2
    assert trace_of(state=[freeze, freeze]).freezes() == 1
    assert not twice.opens_gas()
    assert trace_of(valve=[0.0, 0.1]).opens_gas()
    assert trace_of(shutoff_open=[0.0, 1.0]).opens_gas()


# -- when it was judged ---


def test_what_came_after_a_measurement_does_not_change_it() -> None:
    trace = LiveTrace()
    trace.event(LogEvent(1.0, "mark", {"name": "begin"}))
    stops = Measurement(
        name="STOPs",
        what=Count(kind="command", where={"op": "STOP"}, since=AtMark(name="begin")),
        limit=Limit(at_most=0.0),
    )

    judged = stops.judged(trace)
    trace.event(LogEvent(2.0, "command", {"op": "STOP"}))

    assert (judged.value, judged.verdict) == (0.0, Verdict.PASS)
    assert judged.judged_again(trace) == judged
    assert stops.judged(trace).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("value", "verdict", "why"),
    [
        (0.08, Verdict.PASS, ""),
        (0.081, Verdict.FAIL, "0.081 s keeps 0.1, but not by its uncertainty of 0.02"),
        (0.11, Verdict.FAIL, "0.11 s is above 0.1"),
        (None, Verdict.FAIL, "it never came to what was to be measured"),
    ],
)
def test_a_bound_is_made_tighter_by_the_uncertainty(
    value: Plain | None, verdict: Verdict, why: str
) -> None:
    assert Limit(at_most=0.1, unit="s", uncertainty=0.02).judge(value) == (verdict, why)


def test_limits_are_told_as_people_read_them() -> None:
    assert limit_text(Limit(at_most=0.1, unit="s")) == "≤ 0.1 s"
    assert limit_text(Limit(at_least=-62.0, at_most=-58.0, unit="°C")) == "≥ −62 °C, ≤ −58 °C"
    assert limit_text(Limit(at_least=3.0, at_most=3.0)) == "3"
    assert limit_text(Limit(exactly="TIP_FLOOR")) == "TIP_FLOOR"


# -- what a run comes to ---


def test_what_is_not_run_never_passes_and_what_fails_is_told() -> None:
    passed, failed = record("a", Verdict.PASS), record("b", Verdict.FAIL, "too warm")
    not_run = record("c", Verdict.NOT_RUN, "this rig cannot inject faults")

    assert run_of().verdict_of_run() is Verdict.NOT_RUN
    assert run_of(not_run).verdict_of_run() is Verdict.NOT_RUN
    assert run_of(passed, not_run).verdict_of_run() is Verdict.PASS
    assert list(run_of(passed, failed).against()) == ["b: too warm"]
    broken = run_of(passed).model_copy(update={"broken_off": "somebody ended it"})
    assert broken.verdict_of_run() is Verdict.FAIL
    unsafe = run_of(passed).model_copy(update={"unsafe": "no telemetry"})
    assert unsafe.verdict_of_run() is Verdict.FAIL


@pytest.mark.parametrize(
    ("due", "verdict"), [("2026-11-22", Verdict.PASS), ("2026-11-21", Verdict.FAIL)]
)
def test_an_instrument_is_good_on_the_day_it_is_due(due: str, verdict: Verdict) -> None:
    rig = (
        f'{RIG}[[instrument]]\nname = "t"\nsignal = "tip_temp_c"\nuncertainty = 0.5\ndue = {due}\n'
    )

    assert run_of(record("a", Verdict.PASS), rig_text=rig).verdict_of_run() is verdict


def test_a_requirement_is_covered_by_what_passed_and_says_what_was_not_run() -> None:
    row = RequirementRecord(id="SR-05", text="the floor", allocation="D")
    passed, failed = record("a", Verdict.PASS), record("b", Verdict.FAIL, "late")
    not_run = record("c", Verdict.NOT_RUN, "no faults here")

    assert coverage_of(row, []) == (None, "no test here")
    assert coverage_of(row, [not_run]) == (Verdict.NOT_RUN, "NOT RUN: c; no faults here")
    assert coverage_of(row, [passed, not_run]) == (
        Verdict.PASS,
        "NOT RUN: c; PASS: a; no faults here",
    )
    assert coverage_of(row, [passed, failed])[0] is Verdict.FAIL


# -- the bench plan ---


def test_a_new_cartridge_is_fitted_before_the_test_that_would_empty_it() -> None:
    profile = load_profile("n2o-20g")
    usable_g = profile.limits.cartridge_fill_g * profile.limits.cartridge_usable_fraction
    costs = {name: Cost(rig_s=90.0, gas_g=0.6 * usable_g, freezes=1) for name in "abc"}
    tests = [Planned(name, "", (), (), "") for name in "ab"]
    tests += [Planned("c", "", (), (), "needs gas"), Planned("d", "", (), ("warm it",), "")]

    rows = plan_rows(tests, costs, profile)

    assert [row.swaps for row in rows] == [0, 1, 0, 0]
    assert [row.minutes for row in rows] == [1.5, 1.5, 1.5, None]
    text = plan_text(rows)
    assert "3 of 4 tests: 3 min, 2 freezes" in text
    assert "1 cartridge swaps, 1 operator steps" in text
    assert "1 of them never measured" in text


def test_a_budget_counts_what_was_used_and_not_what_was_planned() -> None:
    budget = Budget({"a": Cost(gas_g=2.0, opens_gas=True), "b": Cost()}, gas_g_max=5.0)

    assert budget.why_not("a") == ""
    budget.used(Cost(gas_g=3.0))
    assert budget.why_not("a") == ""
    budget.used(Cost(gas_g=0.1))
    assert budget.why_not("a") == ("gas budget: 3.1 g of 5 g are used, and it needs about 2.0 g")
    assert budget.why_not("b") == ""
    assert "is not known" in budget.why_not("c")
    assert Budget({"a": Cost(opens_gas=True)}, dry=True).why_not("a") != ""
    assert Budget({}).why_not("a") == ""


# -- instruments ---


def test_a_slower_and_shifted_thermometer_is_found_by_the_shape_of_its_curve() -> None:
    at_s = np.arange(0.0, 40.0, 0.02)
    tip_c = 37.0 - 90.0 * np.clip((at_s - 12.0) / 6.0, 0.0, 1.0)
    trace = Trace(at_s.tolist(), {**trace_of(state=[0.0]).columns, "tip_temp_c": tip_c.tolist()})
    slow_s = np.arange(5.0, 35.0, 0.1)
    slow_c = np.interp(slow_s, at_s, tip_c) + 1.5

    found = best_offset(trace, "tip_temp_c", Readings(slow_s + 1000.0, slow_c))

    assert found == pytest.approx(-1000.0, abs=0.06)


# -- the end ---


@pytest.mark.skipif(sys.platform == "win32", reason="a signal to oneself ends the program there")
def test_a_signal_waits_for_what_makes_the_probe_safe_and_a_second_one_is_nothing() -> None:
    stop = StopOnce()
    done = []
    stop.take_over()
    try:
        with pytest.raises(KeyboardInterrupt), stop.held():  # noqa: PT012
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
            done.append("safe")
        os.kill(os.getpid(), signal.SIGINT)
    finally:
        stop.give_back()

    assert (done, stop.asked) == (["safe"], True)
