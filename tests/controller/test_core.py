"""A treatment from connecting to complete: which phases, which commands, which verdict."""

from __future__ import annotations

import pytest

from cryoctl.core import Request
from cryoctl.cycle_table import Phase
from cryoctl.cycles import Verdict
from cryoctl_protocol.codes import HostMode, Op, Result, Sensor, ThawMode
from tests.support.bench import Bench, a_device, automatic_bench
from tests.support.builders import a_treatment

TO_ARMED = ["CONNECTING", "IDLE", "SELF_TEST", "LEAK_TEST", "READY", "ARMED", "PREWARM"]
FREEZE_AND_THAW = ["COOLING", "HOLD", "THAWING", "RELEASE"]


def test_a_treatment_goes_through_its_phases_in_order() -> None:
    bench = automatic_bench(a_treatment(count=3))

    bench.run_to_the_end()

    assert bench.sink.phases() == [
        *TO_ARMED,
        *FREEZE_AND_THAW,
        "PAUSE",
        *FREEZE_AND_THAW,
        "PAUSE",
        *FREEZE_AND_THAW,
        "COMPLETE",
    ]
    assert bench.controller.verdict is Verdict.PASS
    assert (bench.controller.failure, bench.trip_ids(), bench.controller.alarms) == ("", [], [])


def test_a_treatment_sends_exactly_its_commands() -> None:
    treatment = a_treatment(count=2, prewarm_s=2.0, thaw={"mode": "active"})
    bench = automatic_bench(treatment)

    bench.run_to_the_end()

    # op, mode, cycles, treatment, set-point in m°C, duration in ms, energy in mJ
    freeze = (Op.FREEZE, ThawMode.PASSIVE, 0, 0, -60_000, 32_000, 0)  # 20 s + 10 s + 2 s
    thaw = (Op.THAW, ThawMode.ACTIVE, 0, 0, 0, 0, 5_000)
    sent = [command[2:] for _, command in bench.sink.sent_commands()]
    assert sent == [
        (Op.SELF_TEST, 0, 0, 0, 0, 0, 0),
        (Op.LEAK_TEST, 0, 0, 0, 0, 0, 0),
        (Op.ARM, 0, 2, treatment.hash32, 0, 0, 0),
        (Op.START, 0, 0, treatment.hash32, 0, 0, 0),
        (Op.PREWARM, 0, 0, 0, 0, 2_000, 0),
        freeze,
        thaw,
        freeze,
        thaw,
        (Op.END, 0, 0, 0, 0, 0, 0),
    ]
    assert [command[0] for _, command in bench.sink.sent_commands()] == list(range(1, 11))
    assert [op for _, op in bench.device.commands] == [command[0] for command in sent]
    assert bench.sink.sent_stops() == []


def test_a_passive_thaw_asks_for_no_heat() -> None:
    bench = automatic_bench(a_treatment(count=1, thaw={"mode": "passive"}))

    bench.run_to_the_end()

    thaws = [command for _, command in bench.sink.sent_commands() if command.op == Op.THAW]
    assert [(thaw.mode, thaw.energy_mj) for thaw in thaws] == [(ThawMode.PASSIVE, 0)]


def test_without_prewarming_no_prewarm_is_sent() -> None:
    bench = automatic_bench(a_treatment(count=1, prewarm_s=0.0))

    bench.run_to_the_end()

    assert Op.PREWARM not in [op for _, op in bench.device.commands]
    assert bench.controller.verdict is Verdict.PASS


def test_a_cycle_is_measured_from_valve_to_band_to_free() -> None:
    bench = automatic_bench(a_treatment(count=1))

    bench.run_to_the_end()

    (cycle,) = bench.controller.cycles
    assert cycle.verdict is Verdict.PASS
    assert cycle.reason == ""
    assert cycle.time_to_setpoint_s == pytest.approx(2.28, abs=0.03)  # 91 C at 40 C/s.
    assert cycle.hold_s == pytest.approx(10.0, abs=0.03)
    assert cycle.hold_in_band_fraction == pytest.approx(1.0, abs=0.005)
    assert cycle.tip_min_c == pytest.approx(-60.0)
    assert cycle.thaw_s == pytest.approx(65.0 / 40.0 + 2.0, abs=0.05)
    assert cycle.gas_used_g == pytest.approx(0.030 * 12.28, rel=0.01)  # 30 mg/s while open.
    assert bench.controller.gas_used_g == pytest.approx(cycle.gas_used_g)


@pytest.mark.requirement("SR-02")
def test_a_lease_goes_out_every_100_ms_from_the_first_proof_to_the_end() -> None:
    bench = automatic_bench()

    bench.run_to_the_end()

    at_s = [round(at_s, 4) for at_s, _ in bench.sink.sent_leases()]
    gaps_s = {round(after - before, 4) for before, after in zip(at_s, at_s[1:], strict=False)}
    assert gaps_s == {0.1}
    assert at_s[0] <= 0.1
    assert bench.now_s - at_s[-1] <= 0.1


def test_each_lease_claims_what_the_phase_is_about() -> None:
    bench = automatic_bench(a_treatment(count=1))
    claimed: dict[Phase, set[int]] = {}
    seen = 0
    while not bench.controller.finished:
        bench.shell.step()
        leases = bench.sink.sent_leases()
        for _, lease in leases[seen:]:
            claimed.setdefault(bench.phase, set()).add(lease.mode)
        seen = len(leases)

    assert claimed[Phase.HOLD] == {HostMode.FREEZE}
    assert claimed[Phase.COOLING] <= {HostMode.IDLE, HostMode.FREEZE}  # IDLE until it freezes.
    assert claimed[Phase.THAWING] == claimed[Phase.RELEASE] == {HostMode.THAW}
    assert claimed[Phase.SELF_TEST] == claimed[Phase.LEAK_TEST] == {HostMode.IDLE}


def test_samples_control_ticks_and_frames_are_all_recorded() -> None:
    bench = automatic_bench(a_treatment(count=1))

    bench.run_to_the_end()

    ticks_s = [at_s for at_s, _ in bench.sink.controls]
    samples_ms = [sample.device_ms for _, sample in bench.sink.samples]
    assert ticks_s == pytest.approx([0.05 * n + 0.0005 for n in range(1, len(ticks_s) + 1)])
    assert samples_ms == list(range(samples_ms[0], samples_ms[-1] + 20, 20))
    assert len(bench.sink.frames_in) > len(samples_ms)
    last = bench.sink.controls[-1][1]
    assert (last.cycle, last.setpoint_c) == (1, -60.0)
    assert last.gas_used_g == pytest.approx(bench.controller.gas_used_g)


# -- verdicts (SR-13) ----------------------------------------------------------------------------


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

    bench.run_to_the_end()

    assert bench.controller.verdict is verdict
    assert ("NOT_EFFECTIVE" in bench.controller.alarms) is (verdict is Verdict.NOT_EFFECTIVE)


@pytest.mark.requirement("SR-13")
@pytest.mark.parametrize(
    ("after_s", "verdict"), [(19.6, Verdict.PASS), (19.9, Verdict.NOT_EFFECTIVE)]
)
def test_the_band_must_be_reached_within_20_s(after_s: float, verdict: Verdict) -> None:
    bench = automatic_bench(a_treatment(count=1))
    bench.device.coldest_c = -50.0
    bench.run_to(Phase.COOLING)
    bench.device.at(bench.now_s + after_s, "coldest_c", -90.0)  # 0.2 s more to the band.

    bench.run_to_the_end()

    (cycle,) = bench.controller.cycles
    assert bench.controller.verdict is verdict
    if verdict is Verdict.PASS:
        assert cycle.time_to_setpoint_s == pytest.approx(19.85, abs=0.1)
    else:
        assert cycle.reason == "set-point band not reached in time"
        assert (cycle.time_to_setpoint_s, cycle.hold_s) == (None, 0.0)
        assert cycle.freeze_ended_s is not None
        assert cycle.freeze_ended_s - cycle.began_s == pytest.approx(20.0, abs=0.03)


@pytest.mark.requirement("SR-13")
@pytest.mark.parametrize(
    ("out_s", "verdict"), [(0.8, Verdict.PASS), (1.2, Verdict.NOT_EFFECTIVE)]
)
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
    bench.device.telemetry = {"supply_mbar": supply_mbar}
    bench.run_for(low_s)
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


# -- thaw and release (SR-14) --------------------------------------------------------------------


@pytest.mark.requirement("SR-14")
def test_release_comes_two_seconds_after_the_tip_was_above_5_c() -> None:
    bench = automatic_bench(a_treatment(count=1))
    bench.run_to(Phase.THAWING)
    bench.run_until(lambda: bench.sink.samples[-1][1].tip_temp_c > 5.0)  # type: ignore[operator]
    warm_s = bench.now_s

    bench.run_until(lambda: bench.phase is Phase.RELEASE)

    assert bench.now_s - warm_s == pytest.approx(2.0)


@pytest.mark.requirement("SR-14")
@pytest.mark.parametrize(
    ("tip_mdegc", "released"), [(5_000, False), (5_001, True)]
)
def test_exactly_5_c_is_not_warm_enough(tip_mdegc: int, released: bool) -> None:
    bench = automatic_bench(a_treatment(count=1))
    bench.run_to(Phase.THAWING)
    bench.run_for(1.55)  # The tip is at about 2 C; no step that a sensor could not make.
    bench.device.telemetry = {"tip_mdegc": tip_mdegc}

    bench.run_for(5.0)

    assert (bench.phase is not Phase.THAWING) is released


@pytest.mark.requirement("SR-14")
@pytest.mark.parametrize(
    "disturbance", [{"tip_mdegc": 4_900}, {"open_circuit": int(Sensor.TIP)}]
)
def test_a_colder_or_bad_sample_starts_the_two_seconds_anew(disturbance: dict[str, int]) -> None:
    bench = automatic_bench(a_treatment(count=1))
    bench.run_to(Phase.THAWING)
    bench.device.tip_follows = False
    bench.device.tip_c = 6.0
    bench.run_for(1.9)
    bench.device.telemetry = disturbance
    bench.run_for(0.02)
    bench.device.telemetry = {}
    again_s = bench.now_s

    bench.run_until(lambda: bench.phase is Phase.RELEASE)

    assert 2.0 <= bench.now_s - again_s <= 2.05
    assert bench.trip_ids() == []


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


# -- before the freeze ---------------------------------------------------------------------------


@pytest.mark.requirement("SR-19")
def test_a_failed_leak_test_ends_the_run_with_the_decay() -> None:
    bench = automatic_bench()
    bench.device.results = {Op.LEAK_TEST: (Result.FAILED, 1_250)}

    bench.run_to_the_end()

    assert bench.controller.failure == (
        "LEAK_TEST failed (pressure fell 1250 mbar): do not use this probe"
    )
    assert bench.controller.verdict is Verdict.FAIL
    assert Op.ARM not in [op for _, op in bench.device.commands]


def test_a_failed_self_test_ends_the_run() -> None:
    bench = automatic_bench()
    bench.device.results = {Op.SELF_TEST: (Result.FAILED, 0)}

    bench.run_to_the_end()

    assert bench.controller.failure == "SELF_TEST failed: do not use this probe"
    assert [op for _, op in bench.device.commands] == [Op.SELF_TEST]


def test_placement_is_a_detour_from_ready_and_leads_back() -> None:
    bench = Bench()
    bench.run_to(Phase.READY)

    assert bench.ask(Request.PLACE) is None
    assert bench.phase is Phase.PLACEMENT
    refused = bench.ask(Request.ARM)
    assert bench.ask(Request.PLACED) is None

    assert refused is not None
    assert refused.reason == "ARM is not possible in PLACEMENT"
    assert bench.phase is Phase.READY


def test_a_device_without_some_sensors_is_treated_with_what_it_has() -> None:
    sensors = sum(Sensor) & ~(Sensor.SKIN | Sensor.SUPPLY_PRESSURE | Sensor.EXHAUST_FLOW)
    bench = automatic_bench(a_treatment(count=1), a_device(sensors=sensors))

    bench.run_to_the_end()

    assert bench.controller.verdict is Verdict.PASS
    assert bench.controller.cycles[0].gas_used_g == 0.0
