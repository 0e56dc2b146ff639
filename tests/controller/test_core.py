"""A treatment from connecting to complete: which phases, which commands, what is measured."""

from __future__ import annotations

from itertools import pairwise

import pytest

from cryoctl.cycle_table import Phase
from cryoctl.cycles import Verdict
from cryoctl.operator_requests import Request
from cryoctl_protocol.codes import HostMode, Op, Result, Sensor, ThawMode
from tests.support.bench import Bench, a_device, automatic_bench
from tests.support.builders import a_treatment

TO_ARMED = ["CONNECTING", "IDLE", "SELF_TEST", "LEAK_TEST", "READY", "ARMED", "PREWARM"]
FREEZE_AND_THAW = ["COOLING", "HOLD", "THAWING", "RELEASE"]


@pytest.mark.parametrize("phase", [Phase.IDLE, Phase.READY])
def test_a_session_closed_before_any_treatment_has_ended_and_is_aborted(phase: Phase) -> None:
    bench = Bench()
    bench.run_to(phase)

    refused = bench.ask(Request.CLOSE)

    assert refused is None
    assert bench.phase is Phase.DISCONNECTED
    assert bench.controller.finished
    assert bench.controller.verdict is Verdict.ABORTED


def test_closing_after_a_treatment_keeps_its_verdict() -> None:
    bench = automatic_bench(a_treatment(count=1))
    bench.run_to_the_end()

    assert bench.ask(Request.CLOSE) is None

    assert bench.controller.verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("phase", "reason"),
    [
        (Phase.SAFE, "the probe is on its way to the safe state: wait for its end"),
        (Phase.ARMED, "close is not possible in ARMED"),
        (Phase.COOLING, "close is not possible in COOLING"),
    ],
)
def test_nothing_is_closed_while_anything_is_on(phase: Phase, reason: str) -> None:
    bench = Bench()
    bench.run_to(Phase.COOLING if phase is Phase.SAFE else phase)
    if phase is Phase.SAFE:
        bench.ask(Request.STOP)

    refused = bench.ask(Request.CLOSE)

    assert refused is not None
    assert refused.reason == reason
    assert bench.phase is phase
    assert not bench.controller.aborted


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
    freeze = (Op.FREEZE, ThawMode.PASSIVE, 0, 0, -60_000, 37_000, 0)  # 25 s + 10 s + 2 s
    thaw = (Op.THAW, ThawMode.ACTIVE, 0, 0, 0, 0, 5_000)
    sent = [command[2:9] for _, command in bench.sink.sent_commands()]
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
    assert {command[9:] for _, command in bench.sink.sent_commands()} == {(0, 0, 0)}
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


def test_the_event_log_tells_what_was_commanded_and_how_each_cycle_ended() -> None:
    bench = automatic_bench(a_treatment(count=1, prewarm_s=2.0))

    bench.run_to_the_end()

    commands = {event.data["op"]: event.data for event in bench.sink.of_kind("command")}
    assert commands["PREWARM"] == {
        "op": "PREWARM",
        "counter": 5,
        "setpoint_c": 0.0,
        "duration_s": 2.0,
    }
    assert commands["FREEZE"] == {
        "op": "FREEZE",
        "counter": 6,
        "setpoint_c": -60.0,
        "duration_s": 37.0,
    }
    (cycle,) = bench.sink.of_kind("cycle")
    assert cycle.data == {
        "index": 1,
        "verdict": "PASS",
        "tip_min_c": -60.0,
        "in_band_fraction": 1.0,
        "gas_used_g": pytest.approx(0.3684, abs=0.001),
    }
    (by_itself, answered) = bench.sink.of_kind("hello")
    assert answered.data["key"] == {"id": 0, "fingerprint": "cb7cca2a"}  # Of the public key.
    assert by_itself.data == {
        "device": "SCRIPTED-1",
        "firmware": "script",
        "profile": "n2o-20g",
        "boot_id": 1,
        "owned": 0,
        "key_id": 0,
        "key": None,
        "no_key": "",
        "not_provided": [],
    }


@pytest.mark.requirement("SR-02")
def test_a_lease_goes_out_every_100_ms_from_the_first_proof_to_the_end() -> None:
    bench = automatic_bench()

    bench.run_to_the_end()

    at_s = [round(at_s, 4) for at_s, _ in bench.sink.sent_leases()]
    gaps_s = {round(after - before, 4) for before, after in pairwise(at_s)}
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


def test_a_lease_claims_no_freeze_before_the_probe_has_begun_it() -> None:
    bench = Bench()
    bench.run_to(Phase.PREWARM)
    bench.device.ignore = {Op.FREEZE}
    bench.run_to(Phase.COOLING)
    cooling_s = bench.now_s

    bench.run_for(0.2)

    claimed = {lease.mode for at_s, lease in bench.sink.sent_leases() if at_s >= cooling_s}
    assert claimed == {HostMode.IDLE}


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


# -- before the freeze -----------------------------------------------------------------------------


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
    refused = bench.ask(Request.ARM)
    assert bench.ask(Request.PLACED) is None

    assert refused is not None
    assert refused.reason == "ARM is not possible in PLACEMENT"
    assert bench.sink.phases()[-2:] == ["PLACEMENT", "READY"]


def test_a_device_without_some_sensors_is_treated_with_what_it_has() -> None:
    sensors = sum(Sensor) & ~(Sensor.SKIN | Sensor.SUPPLY_PRESSURE | Sensor.EXHAUST_FLOW)
    bench = automatic_bench(a_treatment(count=1), a_device(sensors=sensors))

    bench.run_to_the_end()

    assert bench.controller.verdict is Verdict.PASS
    assert bench.controller.cycles[0].gas_used_g == 0.0
