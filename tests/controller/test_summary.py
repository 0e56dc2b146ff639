"""The summary object: its schema, its exit code, and what it says of cycles and trips."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cryoctl.core import Controller
from cryoctl.cycle_table import Phase
from cryoctl.cycles import CycleRecord, Verdict
from cryoctl.interlocks import TripNotice
from cryoctl.operator_requests import Request
from cryoctl.safing import TripRecord
from cryoctl.summary import (
    CycleSummary,
    Summary,
    Truth,
    cycle_summary,
    exit_code,
    nerve_truth,
    not_provided_summary,
    summary_schema,
    trip_summary,
)
from cryoctl_protocol.codes import TRIP_RULES, Trip
from cryoctl_protocol.truth import TruthSample
from tests.support.bench import Bench, automatic_bench, settings
from tests.support.builders import KeepingSink, a_treatment, n2o_profile
from tests.support.json_schema import problems

TRUTH = TruthSample(
    tip_temp_c=-60.0,
    saturation_temp_c=-80.0,
    ice_radius_mm=2.71828,
    radius_minus20_mm=1.41421,
    ice_volume_mm3=180.0,
    liquid_g=12.0,
    vented_g=1.5,
    exhaust_pressure_bar=1.4,
    cartridge_temp_c=18.0,
    skin_temp_c=30.0,
    heat_w=4.0,
    nerve_min_temp_c=-41.237,
    nerve_below_minus20_s=92.0,
    nerve_touched_mm=12.5,
    nerve_covered_mm=11.0,
    nerve_injury=2,
    nerve_outcome=5,
    nerve_regrowth_days_low=50.0,
    nerve_regrowth_days_high=100.0,
    stimulus_ratio=0.0,
)
LINK_TRIPS = {Trip.LINK, Trip.INTEGRITY, Trip.LEASE, Trip.DEVICE_RESTART}


def a_controller() -> Controller:
    """Return a controller that has done nothing yet, for a treatment of two cycles."""
    return Controller(a_treatment(count=2), n2o_profile(), settings(), KeepingSink())


def with_trips(*causes: Trip) -> Controller:
    """Return a controller that tripped by these causes, in order."""
    controller = a_controller()
    controller.safing.trips = [
        TripRecord(TripNotice(cause, 0.0, 0.0, ""), "host", Phase.HOLD, 8.0, first_out=not n)
        for n, cause in enumerate(causes)
    ]
    return controller


def with_cycles(*verdicts: Verdict) -> Controller:
    """Return a controller whose cycles ended like this."""
    controller = a_controller()
    controller.cycles = [
        CycleRecord(n + 1, -60.0, 60.0, 0.0, verdict=verdict) for n, verdict in enumerate(verdicts)
    ]
    return controller


def summarised(bench: Bench, **changes: Any) -> Summary:
    """Return the summary of a bench's run."""
    controller = bench.controller
    values: dict[str, Any] = {
        "cryoctl": "0.1.0",
        "verdict": controller.verdict,
        "failure": controller.failure,
        "treatment": controller.treatment.name,
        "device": "sim:",
        "profile": "n2o-20g",
        "gas": "N2O",
        "seed": 1,
        "virtual_s": bench.now_s,
        "cpu_s": 0.1,
        "wall_s": 0.1,
        "cycles_planned": controller.treatment.cycles.count,
        "thaw_timeout_s": controller.treatment.thaw.timeout_s,
        "cycles": [cycle_summary(cycle, TRUTH) for cycle in controller.cycles],
        "trips": [trip_summary(trip) for trip in controller.trips],
        "alarms": controller.alarms,
        "faults": [],
        "frames_lost": 0,
        "frames_rejected": 0,
        "not_provided": not_provided_summary(controller),
        "recording": None,
        "events_sha256": controller.events_sha256,
        "exit_code": exit_code(controller),
    }
    return Summary.model_validate(values | changes)


# -- exit codes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("cause", [trip for trip in Trip if trip is not Trip.NONE])
def test_every_trip_has_its_exit_code(cause: Trip) -> None:
    expected = 130 if cause is Trip.OPERATOR_STOP else 3 if cause in LINK_TRIPS else 4

    assert exit_code(with_trips(cause)) == expected


@pytest.mark.parametrize(
    ("causes", "code"),
    [
        ((Trip.SKIN_COLD, Trip.LINK), 4),
        ((Trip.LINK, Trip.SKIN_COLD), 3),
        ((Trip.OPERATOR_STOP, Trip.LEAK), 4),
        ((Trip.OPERATOR_STOP, Trip.LINK, Trip.LEAK), 3),
        ((Trip.LEAK, Trip.OPERATOR_STOP), 4),
    ],
)
def test_the_first_cause_beyond_an_operators_stop_decides_the_exit_code(
    causes: tuple[Trip, ...], code: int
) -> None:
    assert exit_code(with_trips(*causes)) == code


@pytest.mark.parametrize(
    ("verdicts", "verdict", "code"),
    [
        ([Verdict.PASS, Verdict.PASS], Verdict.PASS, 0),
        ([Verdict.PASS, Verdict.NOT_EFFECTIVE], Verdict.NOT_EFFECTIVE, 1),
        ([Verdict.NOT_EFFECTIVE, Verdict.PASS], Verdict.NOT_EFFECTIVE, 1),
        ([Verdict.PASS], Verdict.FAIL, 1),  # A cycle is missing.
        ([], Verdict.FAIL, 1),
    ],
)
def test_verdicts_of_cycles_make_the_runs_verdict_and_exit_code(
    verdicts: list[Verdict], verdict: Verdict, code: int
) -> None:
    controller = with_cycles(*verdicts)

    assert (controller.verdict, exit_code(controller)) == (verdict, code)


@pytest.mark.parametrize(
    ("trip", "verdict"),
    [(Trip.OPERATOR_STOP, Verdict.ABORTED), (Trip.LEAK, Verdict.SAFETY_TRIP)],
)
def test_a_trip_outweighs_every_cycle(trip: Trip, verdict: Verdict) -> None:
    controller = with_trips(trip)
    controller.cycles = with_cycles(Verdict.PASS, Verdict.PASS).cycles

    assert controller.verdict is verdict


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"failure": "no gas"}, 1),
        ({"failure": "no answer", "link_failure": True}, 3),
        ({"failure": "stopped", "aborted": True}, 130),
    ],
)
def test_a_run_that_could_not_be_done_has_an_exit_code_too(
    attributes: dict[str, Any], code: int
) -> None:
    controller = a_controller()
    for name, value in attributes.items():
        setattr(controller, name, value)

    assert exit_code(controller) == code


def test_runs_on_the_bench_end_with_their_exit_codes() -> None:
    passed, stopped, tripped = (automatic_bench(a_treatment(count=1)) for _ in range(3))
    passed.run_to_the_end()
    stopped.run_to(Phase.HOLD)
    stopped.ask(Request.STOP)
    stopped.run_to_the_end()
    tripped.run_to(Phase.HOLD)
    tripped.device.trip(Trip.BATTERY)
    tripped.run_to_the_end()

    assert [exit_code(bench.controller) for bench in (passed, stopped, tripped)] == [0, 130, 4]


# -- rows ----------------------------------------------------------------------------------------


def test_a_cycle_is_rounded_and_its_truth_labelled() -> None:
    record = CycleRecord(
        index=2,
        setpoint_c=-60.0,
        hold_planned_s=60.0,
        began_s=10.0,
        reached_s=18.12345,
        freeze_ended_s=78.12345,
        freed_s=100.0,
        tip_min_c=-61.23456,
        in_band_s=59.0,
        gas_used_g=1.234567,
        verdict=Verdict.PASS,
    )

    assert cycle_summary(record, TRUTH) == CycleSummary(
        index=2,
        verdict=Verdict.PASS,
        reason="",
        setpoint_c=-60.0,
        time_to_setpoint_s=8.123,
        tip_min_c=-61.235,
        hold_s=60.0,
        hold_in_band_fraction=0.9833,
        estimate=None,
        truth=Truth(ice_radius_mm=2.718, radius_minus20_mm=1.414),
        thaw_s=21.877,
        gas_used_g=1.2346,
    )


def test_a_cycle_without_verdict_failed_and_a_device_without_truth_has_none() -> None:
    summary = cycle_summary(CycleRecord(1, -60.0, 60.0, 10.0), None)

    assert (summary.verdict, summary.truth, summary.estimate) == (Verdict.FAIL, None, None)
    assert (summary.time_to_setpoint_s, summary.thaw_s, summary.tip_min_c) == (None, None, None)


def test_the_nerve_at_the_end_is_told_in_words_with_where_they_come_from() -> None:
    told = nerve_truth(TRUTH)

    assert told is not None
    nerve = told.model_dump()
    source = nerve.pop("source")
    assert nerve == {
        "injury": "axonotmesis",
        "outcome": "covered",
        "min_temp_c": -41.24,
        "below_minus20_s": 92.0,
        "touched_mm": 12.5,
        "covered_mm": 11.0,
        "regrowth_days_low": 50.0,
        "regrowth_days_high": 100.0,
    }
    assert source.startswith("estimate of the simulator, not for patients")


def test_what_nobody_knows_of_a_nerve_is_null() -> None:
    spared = nerve_truth(TRUTH._replace(nerve_covered_mm=0.0, nerve_outcome=2, nerve_injury=0))

    assert spared is not None
    assert (spared.outcome, spared.injury) == ("misplaced", "none")
    assert (spared.regrowth_days_low, spared.regrowth_days_high) == (None, None)
    assert nerve_truth(None) is None
    without = nerve_truth(TRUTH._replace(nerve_min_temp_c=None, nerve_outcome=0))
    assert without is None


def test_a_trip_tells_requirement_phase_and_time_to_safe() -> None:
    record = TripRecord(
        TripNotice(Trip.SKIN_COLD, 4.56789, 5.0, "°C"), "host", Phase.HOLD, 8.123456, True, 40.0
    )

    assert trip_summary(record).model_dump() == {
        "id": "SKIN_COLD",
        "requirement": "SR-17",
        "layer": "host",
        "state": "HOLD",
        "at_s": 8.1235,
        "value": 4.568,
        "limit": 5.0,
        "unit": "°C",
        "first_out": True,
        "time_to_safe_ms": 40.0,
        "text": "skin too cold",
    }


def test_every_trip_has_a_rule_and_can_be_summarised() -> None:
    causes = [trip for trip in Trip if trip is not Trip.NONE]

    summaries = [trip_summary(with_trips(cause).trips[0]) for cause in causes]

    assert set(TRIP_RULES) == set(causes)
    assert [summary.id for summary in summaries] == [cause.name for cause in causes]
    assert all(summary.requirement.startswith("SR-") for summary in summaries)


# -- the schema ----------------------------------------------------------------------------------


def produced(kind: str) -> dict[str, Any]:
    """Return the JSON object of a run as any other program reads it."""
    bench = automatic_bench(a_treatment(count=2))
    if kind == "trip":
        bench.device.at(8.0, "trip", Trip.SKIN_COLD)
    elif kind == "nobody there":
        bench.device.silent = True
    elif kind == "silence":
        bench.device.at(8.0, "silent", value=True)
    bench.run_to_the_end()
    loaded: dict[str, Any] = json.loads(summarised(bench).model_dump_json())
    return loaded


@pytest.mark.parametrize("kind", ["pass", "trip", "nobody there", "silence"])
def test_what_a_run_produces_fits_the_published_schema(kind: str) -> None:
    assert problems(produced(kind), summary_schema()) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("verdict",), "FINE"),
        (("exit_code",), "0"),
        (("cycles", 0, "index"), 0),
        (("cycles", 0, "hold_in_band_fraction"), 1.01),
        (("cycles", 0, "truth"), {"ice_radius_mm": 1.0}),
        (("cycles", 0, "ice_radius_mm"), 1.0),  # An unlabelled one.
        (("trips", 0, "layer"), "cloud"),
    ],
)
def test_the_schema_refuses_what_is_wrong(path: tuple[Any, ...], value: Any) -> None:
    summary = produced("trip")
    *way, last = path
    place: Any = summary
    for part in way:
        place = place[part]
    place[last] = value

    assert problems(summary, summary_schema()) != []


def test_the_schema_asks_for_every_field_the_interface_promises() -> None:
    promised = {
        "verdict",
        "device",
        "profile",
        "gas",
        "seed",
        "virtual_s",
        "cpu_s",
        "wall_s",
        "cycles",
        "trips",
        "alarms",
        "recording",
        "events_sha256",
        "exit_code",
    }
    schema = summary_schema()

    assert promised <= set(schema["required"])
    assert set(schema["$defs"]["TripSummary"]["required"]) >= {
        "id",
        "requirement",
        "state",
        "at_s",
        "time_to_safe_ms",
    }
    assert set(schema["$defs"]["CycleSummary"]["required"]) >= {
        "index",
        "verdict",
        "time_to_setpoint_s",
        "tip_min_c",
        "hold_s",
        "hold_in_band_fraction",
        "estimate",
        "truth",
        "thaw_s",
        "gas_used_g",
    }
    assert set(schema["$defs"]["Estimate"]["required"]) == {
        "ice_radius_mm",
        "radius_minus20_mm",
        "sigma_mm",
    }


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_none_never_gets_into_a_summary(value: float) -> None:
    bench = automatic_bench(a_treatment(count=1))
    bench.run_to_the_end()

    with pytest.raises(ValueError, match="finite"):
        summarised(bench, cpu_s=value)
