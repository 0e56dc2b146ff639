"""Whether a cycle counts, and when the needle is free."""

from __future__ import annotations

import pytest

from cryoctl.cycle_table import Phase
from cryoctl.cycles import Verdict
from cryoctl_protocol.codes import Sensor
from tests.support.bench import automatic_bench
from tests.support.builders import a_treatment

# -- verdicts (SR-13) ------------------------------------------------------------------------------


@pytest.mark.requirement("SR-13")
@pytest.mark.parametrize(
    ("coldest_c", "verdict"),
    # The reading moves by 0.06 C: -58.00 is the edge of the band, -57.94 outside it.
    [(-58.0, Verdict.NOT_EFFECTIVE), (-57.94, Verdict.NOT_EFFECTIVE), (-58.06, Verdict.PASS)],
)
def test_a_tip_that_does_not_hold_the_band_is_not_effective(
    coldest_c: float, verdict: Verdict
) -> None:
    bench = automatic_bench(a_treatment(count=1))
    bench.device.coldest_c = coldest_c
    bench.run_to(Phase.COOLING)
    bench.device.at(bench.now_s + 14.0, "flow_ug_s", 27_000)  # Ice that grows gives less heat.

    bench.run_to_the_end()

    assert bench.controller.verdict is verdict
    assert ("NOT_EFFECTIVE" in bench.controller.alarms) is (verdict is Verdict.NOT_EFFECTIVE)


@pytest.mark.requirement("SR-13")
@pytest.mark.parametrize(
    ("after_s", "verdict"), [(24.6, Verdict.PASS), (24.9, Verdict.NOT_EFFECTIVE)]
)
def test_the_band_must_be_reached_within_25_s(after_s: float, verdict: Verdict) -> None:
    bench = automatic_bench(a_treatment(count=1))
    bench.device.coldest_c = -50.0
    bench.run_to(Phase.COOLING)
    bench.device.at(bench.now_s + after_s, "coldest_c", -90.0)  # 0.2 s more to the band.

    bench.run_to_the_end()

    (cycle,) = bench.controller.cycles
    assert bench.controller.verdict is verdict
    if verdict is Verdict.PASS:
        assert cycle.time_to_setpoint_s == pytest.approx(24.85, abs=0.1)
    else:
        assert cycle.reason == "set-point band not reached in time"
        assert (cycle.time_to_setpoint_s, cycle.hold_s) == (None, 0.0)
        assert cycle.freeze_ended_s is not None
        assert cycle.freeze_ended_s - cycle.began_s == pytest.approx(25.0, abs=0.03)


@pytest.mark.requirement("SR-13")
@pytest.mark.parametrize(("out_s", "verdict"), [(0.8, Verdict.PASS), (1.2, Verdict.NOT_EFFECTIVE)])
def test_the_band_must_be_held_for_nine_tenths_of_the_hold(out_s: float, verdict: Verdict) -> None:
    bench = automatic_bench(a_treatment(count=1))
    bench.run_to(Phase.HOLD)
    bench.device.at(bench.now_s + 3.0, "coldest_c", -57.0)
    bench.device.at(bench.now_s + 3.0 + out_s, "coldest_c", -90.0)

    bench.run_to_the_end()

    (cycle,) = bench.controller.cycles
    assert cycle.verdict is verdict
    assert cycle.hold_in_band_fraction == pytest.approx(1.0 - out_s / 10.0, abs=0.02)
    assert cycle.hold_s == pytest.approx(10.0, abs=0.03)


@pytest.mark.requirement("SR-13")
def test_a_hold_that_cannot_become_effective_any_more_is_ended() -> None:
    bench = automatic_bench(a_treatment(count=1))
    bench.run_to(Phase.HOLD)
    bench.device.at(bench.now_s + 3.0, "coldest_c", -50.0)

    bench.run_to_the_end()

    (cycle,) = bench.controller.cycles
    assert cycle.verdict is Verdict.NOT_EFFECTIVE
    assert cycle.reason == "set-point band held for less than 90 % of the hold"
    assert cycle.hold_s == pytest.approx(5.0, abs=0.1)  # 1 s lost settles it, one more for grace.


@pytest.mark.parametrize(("choice", "cycles"), [("stop", 1), ("continue", 3)])
def test_after_an_ineffective_cycle_the_treatment_stops_or_goes_on_as_it_says(
    choice: str, cycles: int
) -> None:
    bench = automatic_bench(a_treatment(count=3, on_not_effective=choice))
    bench.device.coldest_c = -50.0
    bench.run_to(Phase.THAWING)
    bench.device.coldest_c = -90.0

    bench.run_to_the_end()

    assert len(bench.controller.cycles) == cycles
    assert bench.controller.verdict is Verdict.NOT_EFFECTIVE
    assert bench.phase is Phase.COMPLETE


@pytest.mark.requirement("SR-22")
@pytest.mark.parametrize("phase", [Phase.COOLING, Phase.HOLD])
def test_low_gas_in_a_freeze_ends_it_as_a_thaw_with_an_alarm(phase: Phase) -> None:
    bench = automatic_bench(a_treatment(count=2))
    bench.device.coldest_c = -50.0 if phase is Phase.COOLING else -90.0
    bench.run_to(phase)
    bench.run_for(1.5)
    low_s = bench.now_s
    bench.device.telemetry = {"supply_mbar": 39_999}

    bench.run_until(lambda: bench.phase is not phase)

    assert bench.phase is Phase.THAWING
    assert bench.now_s - low_s == pytest.approx(0.52, abs=0.03)
    (cycle,) = bench.controller.cycles
    assert cycle.verdict is Verdict.NOT_EFFECTIVE
    assert cycle.reason == "supply pressure too low to go on freezing"
    assert bench.controller.alarms == ["GAS_LOW", "NOT_EFFECTIVE"]
    assert bench.trip_ids() == []


@pytest.mark.requirement("SR-22")
@pytest.mark.parametrize(("supply_mbar", "low_s"), [(40_000, 5.0), (39_999, 0.44)])
def test_the_lowest_pressure_allowed_and_a_short_dip_change_nothing(
    supply_mbar: int, low_s: float
) -> None:
    bench = automatic_bench(a_treatment(count=1))
    bench.run_to(Phase.HOLD)
    for part in range(4):  # One count more now and then: a reading that stands still is none.
        bench.device.telemetry = {"supply_mbar": supply_mbar + part % 2 * (supply_mbar == 40_000)}
        bench.run_for(low_s / 4)
    bench.device.telemetry = {}

    bench.run_to_the_end()

    assert bench.controller.verdict is Verdict.PASS
    assert bench.controller.alarms == []


def test_low_gas_after_an_effective_hold_is_an_alarm_and_no_reason_against_the_cycle() -> None:
    bench = automatic_bench(a_treatment(count=1))
    bench.run_to(Phase.HOLD)
    bench.run_for(9.2)
    bench.device.telemetry = {"supply_mbar": 39_000}

    bench.run_to_the_end()

    (cycle,) = bench.controller.cycles
    assert (cycle.verdict, cycle.reason) == (Verdict.PASS, "")
    assert bench.controller.alarms == ["GAS_LOW"]


# -- thaw and release (SR-14) ----------------------------------------------------------------------


@pytest.mark.requirement("SR-14")
def test_release_comes_two_seconds_after_the_tip_was_above_5_c() -> None:
    bench = automatic_bench(a_treatment(count=1))
    bench.run_to(Phase.THAWING)
    bench.run_until(lambda: bench.sink.samples[-1][1].tip_temp_c > 5.0)  # type: ignore[operator]
    warm_s = bench.now_s

    bench.run_until(lambda: bench.phase is Phase.RELEASE)

    assert bench.now_s - warm_s == pytest.approx(2.0)


@pytest.mark.requirement("SR-14")
@pytest.mark.parametrize(("tip_mdegc", "released"), [(5_000, False), (5_001, True)])
def test_exactly_5_c_is_not_warm_enough(tip_mdegc: int, released: bool) -> None:
    bench = automatic_bench(a_treatment(count=1))
    bench.run_to(Phase.THAWING)
    bench.run_for(1.55)  # The tip is at about 2 C; no step that a sensor could not make.
    bench.device.telemetry = {"tip_mdegc": tip_mdegc}

    bench.run_for(5.0)

    assert (bench.phase is not Phase.THAWING) is released


@pytest.mark.requirement("SR-14")
def test_a_colder_sample_starts_the_two_seconds_anew() -> None:
    bench = automatic_bench(a_treatment(count=1))
    bench.run_to(Phase.THAWING)
    bench.device.tip_follows = False
    bench.device.tip_c = 6.0
    bench.run_for(1.9)
    bench.device.telemetry = {"tip_mdegc": 4_900}
    bench.run_for(0.02)
    bench.device.telemetry = {}
    again_s = bench.now_s

    bench.run_until(lambda: bench.phase is Phase.RELEASE)

    assert 2.0 <= bench.now_s - again_s <= 2.05
    assert bench.trip_ids() == []


@pytest.mark.requirement("SR-11")
@pytest.mark.requirement("SR-14")
def test_a_sensor_that_opens_just_before_the_release_leads_to_a_trip_and_no_release() -> None:
    bench = automatic_bench(a_treatment(count=1))
    bench.run_to(Phase.THAWING)
    bench.run_until(lambda: bench.sink.samples[-1][1].tip_temp_c > 5.0)  # type: ignore[operator]
    bench.run_for(1.97)
    bench.device.telemetry = {"open_circuit": int(Sensor.TIP)}

    bench.run_for(0.1)

    assert bench.phase is Phase.SAFE
    assert "RELEASE" not in bench.sink.phases()
    assert bench.trip_ids() == ["TIP_SENSOR"]


@pytest.mark.requirement("SR-14")
def test_time_without_samples_is_no_proof_of_a_warm_tip() -> None:
    bench = automatic_bench(a_treatment(count=1))
    bench.run_to(Phase.THAWING)
    bench.run_until(lambda: bench.sink.samples[-1][1].tip_temp_c > 5.0)  # type: ignore[operator]
    bench.run_for(1.94)
    bench.device.silent = True

    bench.run_for(0.12)

    assert bench.phase is Phase.THAWING


@pytest.mark.requirement("SR-14")
def test_a_freeze_that_ended_warm_still_takes_its_two_seconds() -> None:
    bench = automatic_bench(a_treatment(count=1))
    bench.run_to(Phase.COOLING)
    bench.device.telemetry = {"supply_mbar": 39_000}
    bench.run_to(Phase.THAWING)
    assert bench.device.tip_c > 5.0
    thaw_s = bench.now_s

    bench.run_to(Phase.RELEASE)

    assert bench.now_s - thaw_s >= 2.0


def test_the_release_is_shown_for_a_second() -> None:
    bench = automatic_bench(a_treatment(count=2))
    bench.run_to(Phase.RELEASE)
    release_s = bench.now_s

    bench.run_to(Phase.PAUSE)

    assert bench.now_s - release_s == pytest.approx(1.0, abs=0.021)


def test_the_pause_lasts_as_long_as_the_treatment_says() -> None:
    bench = automatic_bench(a_treatment(count=2, pause_s=3.0))
    bench.run_to(Phase.PAUSE)
    pause_s = bench.now_s

    bench.run_to(Phase.COOLING)

    assert bench.now_s - pause_s == pytest.approx(3.0, abs=0.021)


@pytest.mark.requirement("SR-14")
def test_a_thaw_that_takes_too_long_is_a_trip_with_outputs_off() -> None:
    bench = automatic_bench(a_treatment(count=1, thaw={"timeout_s": 10.0}))
    bench.run_to(Phase.HOLD)
    bench.run_until(lambda: bench.phase is Phase.THAWING)
    bench.device.tip_follows = False
    bench.device.tip_c = -5.0
    thaw_s = bench.now_s

    bench.run_until(lambda: bench.phase is Phase.SAFE)

    assert bench.now_s - thaw_s == pytest.approx(10.0, abs=0.03)
    assert bench.trip_ids() == ["THAW_TIMEOUT"]
