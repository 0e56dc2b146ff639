"""Each simulated fault against the whole stack: how the run ends, and how fast it is safe."""

from __future__ import annotations

import pytest

from cryoctl.cycle_table import Phase
from cryoctl.treatment import Treatment
from tests.support.stack import Stack, build_stack, treatment

PASS, WEAK, TRIP, FAIL = "PASS", "NOT_EFFECTIVE", "SAFETY_TRIP", "FAIL"
# fmt: off
# Fault, verdict of the run, first cause ("" where nothing may trip).
OUTCOMES = [
    ("tc_open@freeze+5s",            TRIP, "TIP_SENSOR"),
    ("tc_open@thaw+3s",              TRIP, "TIP_SENSOR"),
    ("tc_frozen@freeze+5s",          TRIP, "TIP_FROZEN_READING"),
    ("tc_drift@freeze+5s",           WEAK, ""),
    ("tc_spike@freeze+5s",           PASS, ""),
    ("skin_cold@freeze+5s",          TRIP, "SKIN_COLD"),
    ("skin_open@freeze+5s",          TRIP, "SKIN_COLD"),
    ("skin_open@freeze+5s:0.4s",     PASS, ""),
    ("pressure_open@freeze+5s",      TRIP, "SENSOR_OPEN"),
    ("flow_open@freeze+5s",          TRIP, "SENSOR_OPEN"),
    ("flow_open@freeze+5s:0.05s",    PASS, ""),
    ("flow_open@2s",                 FAIL, ""),
    ("valve_stuck_open@freeze+5s",   TRIP, "VALVE_STUCK"),
    ("valve_stuck_closed@12s",       TRIP, "NO_COOLING"),
    ("valve_stuck_closed@freeze+5s", WEAK, ""),
    ("gas_empty@freeze+5s",          WEAK, ""),
    ("gas_low@freeze+5s",            WEAK, ""),
    ("no_contact@freeze+5s",         WEAK, ""),
    ("cartridge_hot@freeze+5s",      TRIP, "OVERPRESSURE"),
    ("exhaust_blocked@freeze+5s",    TRIP, "EXHAUST_BLOCKED"),
    ("orifice_blocked@freeze+5s",    WEAK, ""),
    ("leak_supply@0s",               FAIL, ""),
    ("vbat_low@freeze+5s",           TRIP, "BATTERY"),
    ("babble@freeze+5s",             TRIP, "INTEGRITY"),
    ("disconnect@freeze+5s",         TRIP, "LINK"),
    ("power_cut@freeze+5s",          TRIP, "LINK"),
    ("broker_restart@freeze+5s",     TRIP, "LINK"),
    ("mqtt_retained@freeze+5s",      PASS, ""),
    ("mqtt_retained@thaw+5s",        PASS, ""),
]
# fmt: on
LATER = {
    # Behind a stuck valve the line takes more than a second to empty once the supply is shut.
    "valve_stuck_open@freeze+5s": ["LEAK"],
    # Back on the link the probe tells what it did by itself meanwhile.
    "broker_restart@freeze+5s": ["LEASE"],
}


def run_with(fault: str) -> Stack:
    plan = treatment("n2o-20g", count=1, hold_s=15.0)
    stack = build_stack(query=f"fault={fault}", plan=plan)
    stack.run()
    return stack


@pytest.mark.requirement("SR-12")
def test_a_tip_that_drifts_in_a_hold_is_found_before_it_is_12_c_off() -> None:
    plan = treatment("n2o-20g", count=1, hold_s=60.0)
    stack = build_stack(query="fault=tc_drift@freeze%2B30s", plan=plan)

    stack.run()

    (trip,) = stack.controller.trips
    began_s = stack.opened.faults.history()[0].began_s if stack.opened.faults else None
    assert began_s is not None
    assert trip.notice.trip.name == "TIP_SENSOR"
    assert trip.notice.detail == "warmer than the heat drawn explains"
    assert 0.5 * (trip.at_s - began_s) < 12.0


@pytest.mark.parametrize(("fault", "verdict", "cause"), OUTCOMES)
def test_a_fault_ends_the_run_as_it_should(fault: str, verdict: str, cause: str) -> None:
    stack = run_with(fault)
    controller = stack.controller
    first = controller.trips[0] if controller.trips else None
    later = [trip.notice.trip.name for trip in controller.trips[1:]]

    assert controller.verdict == verdict
    assert later == LATER.get(fault, [])
    assert (first.notice.trip.name if first else "") == cause
    if first is not None and cause != "LINK":
        assert first.time_to_safe_ms is not None
        assert first.time_to_safe_ms <= 500.0
    assert min(truth.tip_temp_c for _, truth in stack.sink.truth) > -100.0


@pytest.mark.requirement("SR-24")
def test_what_waited_in_a_queue_freezes_nothing_when_it_comes_all_at_once() -> None:
    stack = run_with("mqtt_late(wait_ms=3000)@freeze+5s")

    causes = [trip.notice.trip.name for trip in stack.controller.trips]
    late_s = 3.0 + stack.opened.faults.history()[0].began_s  # type: ignore[union-attr, operator]
    vented_g = [truth.vented_g for now_s, truth in stack.sink.truth if now_s > late_s - 0.2]
    assert causes == ["LEASE"]
    assert len(vented_g) > 20
    assert max(vented_g) - min(vented_g) < 0.001


@pytest.mark.requirement("SR-03")
def test_a_lost_probe_is_reported_as_not_confirmed_and_never_as_safe() -> None:
    controller = run_with("disconnect@freeze+5s").controller

    assert controller.trips[0].time_to_safe_ms is None
    assert "SAFE_NOT_CONFIRMED" in controller.alarms
    assert controller.phase is Phase.FAULT


@pytest.mark.requirement("SR-07")
def test_a_stuck_valve_is_caught_within_its_bound_after_the_freeze() -> None:
    stack = run_with("valve_stuck_open@freeze+5s")
    record, trip = stack.controller.cycles[0], stack.controller.trips[0]
    assert record.freeze_ended_s is not None

    # The profile's coast of 2.0 s, 300 ms, and 200 ms for the second shut-off.
    assert trip.at_s - record.freeze_ended_s <= 2.5
    assert trip.time_to_safe_ms is not None


@pytest.mark.requirement("SR-19")
def test_a_leaking_supply_fails_the_leak_test_and_is_never_armed() -> None:
    controller = run_with("leak_supply@0s").controller

    assert "LEAK_TEST failed" in controller.failure
    assert controller.cycles == []


@pytest.mark.parametrize(
    ("faults", "told"),
    [
        # A heater that is stuck on while the pressure stays too high.
        (
            "scenario=air-check&fault=heater_stuck_on@freeze+1s&fault=cartridge_hot@freeze+10s",
            ["OVERPRESSURE", "HEATER"],
        ),
        ("fault=tc_open@freeze+12s&fault=valve_stuck_open@freeze+12s",
         ["TIP_SENSOR", "VALVE_STUCK", "LEAK"]),
        ("fault=skin_open@freeze&fault=valve_stuck_open@freeze", ["SKIN_COLD", "VALVE_STUCK"]),
    ],
)  # fmt: skip
def test_no_fault_hides_another(faults: str, told: list[str]) -> None:
    plan = treatment("n2o-20g", count=1, hold_s=15.0)
    stack = build_stack(query=faults, plan=plan)

    stack.run()

    assert [trip.notice.trip.name for trip in stack.controller.trips] == told
    assert max(truth.tip_temp_c for _, truth in stack.sink.truth) < 53.0


@pytest.mark.requirement("SR-11")
@pytest.mark.parametrize("at_s", [20.08, 30.5, 41.3, 50.02, 58.7])
def test_single_spikes_trip_nothing_whenever_they_come(at_s: float) -> None:
    controller = run_with(f"tc_spike@{at_s}s").controller

    assert (controller.verdict, controller.trips) == (PASS, [])


@pytest.mark.requirement("SR-19")
def test_a_leak_test_that_cannot_see_the_pressure_is_failed() -> None:
    controller = run_with("pressure_open@1s:8s").controller

    assert "LEAK_TEST failed" in controller.failure
    assert controller.cycles == []


@pytest.mark.requirement("SR-18")
@pytest.mark.parametrize("when", ["0.2s", "5s"])
def test_a_trip_in_a_test_before_the_treatment_is_told_as_the_trip_it_is(when: str) -> None:
    controller = run_with(f"cartridge_hot@{when}").controller

    assert controller.verdict == TRIP
    assert controller.failure == ""
    assert controller.trips[0].notice.trip.name == "OVERPRESSURE"


@pytest.mark.requirement("SR-16")
def test_a_heater_that_stays_on_in_an_active_thaw_is_cut_off() -> None:
    base = treatment("n2o-20g", count=2, hold_s=15.0).model_dump(by_alias=True)
    base["thaw"]["mode"] = "active"
    plan = Treatment.model_validate(base)
    stack = build_stack(query="fault=heater_stuck_on@thaw+1s", plan=plan)

    stack.run()

    assert stack.controller.trips[0].notice.trip.name == "HEATER"
    # 43 C, and what 200 ms of heating and the lag of the sensor add.
    assert max(truth.tip_temp_c for _, truth in stack.sink.truth) < 50.0
