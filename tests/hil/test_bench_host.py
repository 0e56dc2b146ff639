"""The bench's own host: it asks for anything, and its guard stands behind a probe without locks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from cryoctl.treatment import Cycles, Thaw, Treatment
from cryoctl_hil.evidence.trace import LiveTrace
from cryoctl_hil.layers import device_interlocks_off
from cryoctl_hil.rigs.bench import Bench
from cryoctl_hil.rigs.probe import Probe, StalledError, UnsafeProbeError
from cryoctl_hil.rigs.rig import find_rig
from cryoctl_hil.rigs.states import bring_to
from cryoctl_protocol.codes import Answer, DeviceState, Op, Trip

OUTPUTS = ("valve", "shutoff_open", "skin_warmer", "stimulus_ma")


@pytest.fixture
def bench() -> Iterator[Bench]:
    opened = Bench(find_rig("sim"))
    yield opened
    with suppress(UnsafeProbeError):
        opened.finish({})
    opened.close()


@pytest.fixture
def probe(bench: Bench, tmp_path: Path) -> Probe:
    return bench.begin(tmp_path / "test.mcap")


def inject(bench: Bench, fault: str) -> None:
    assert bench.faults is not None
    bench.faults.inject(f"{fault}@0s")


def last(trace: LiveTrace, signal: str) -> float:
    return float(trace.columns[signal][-1])


# -- the guard ---


@pytest.mark.requirement("SR-18")
@pytest.mark.parametrize(
    ("fault", "trip"),
    [
        ("pressure_offset(offset_bar=30)", Trip.OVERPRESSURE),
        ("exhaust_blocked", Trip.EXHAUST_BLOCKED),
        ("pressure_open", Trip.SENSOR_OPEN),
        ("tc_open", Trip.TIP_SENSOR),
    ],
)
def test_the_guard_stops_a_probe_that_does_not_stop_itself(
    bench: Bench, probe: Probe, fault: str, trip: Trip
) -> None:
    with device_interlocks_off():
        probe.freeze()
        probe.let_pass(0.3)
        inject(bench, fault)
        began_s = probe.now_s
        probe.wait_for_state(DeviceState.SAFE, within_s=2.0)

    assert probe.host.guarded[0].trip is trip
    assert 0.3 <= probe.now_s - began_s <= 0.7
    assert probe.sample.valve == 0.0
    assert not probe.sample.shutoff_open


def test_the_guard_leaves_a_sound_probe_time_to_act(bench: Bench, probe: Probe) -> None:
    probe.freeze()
    inject(bench, "pressure_offset(offset_bar=30)")
    probe.wait_for_state(DeviceState.FAULT, within_s=1.0)

    assert probe.host.guarded == []
    assert probe.trip is Trip.OVERPRESSURE


def test_the_guard_leaves_a_thaw_that_the_probe_runs_by_itself(bench: Bench, probe: Probe) -> None:
    probe.freeze()
    probe.cool_to(-15.0)
    inject(bench, "pressure_offset(offset_bar=30)")
    probe.wait_for_state(DeviceState.FAULT, within_s=1.0)
    probe.wait(lambda s: s.tip_heater > 0.0, within_s=10.0, step="the heater is on")
    probe.wait_until_free()

    assert probe.host.guarded == []


def test_the_guard_stops_a_freeze_that_nobody_asked_for(probe: Probe) -> None:
    probe.freeze()
    probe.host._asked.clear()
    probe.wait_for_state(DeviceState.SAFE, within_s=1.0)

    assert [notice.detail for notice in probe.host.guarded] == ["FREEZE unasked"]


# -- asking ---


def test_what_a_probe_must_refuse_can_be_asked_of_it(probe: Probe) -> None:
    assert probe.ask(Op.FREEZE, setpoint_mdegc=-40_000, duration_ms=1_000) is Answer.WRONG_STATE
    with pytest.raises(AssertionError, match="FREEZE refused: WRONG_STATE; state IDLE"):
        probe.command(Op.FREEZE, setpoint_mdegc=-40_000, duration_ms=1_000)


def test_an_answer_is_that_of_its_own_command_after_a_stop_too(probe: Probe) -> None:
    probe.stop()
    for _ in range(5):
        assert probe.ask(Op.SELF_TEST) is Answer.FAULT_LATCHED


def test_a_step_that_does_not_come_is_named(probe: Probe) -> None:
    with pytest.raises(StalledError, match=r"not within 0.2 s: the moon rises; state IDLE"):
        probe.wait(lambda _: False, within_s=0.2, step="the moon rises")
    assert probe.step == "the moon rises"


def test_a_test_that_takes_too_long_is_told_where(probe: Probe) -> None:
    probe.time_limit_s = probe.now_s + 1.0
    with pytest.raises(StalledError, match="the test's time was up at: the moon rises"):
        probe.wait(lambda _: False, within_s=60.0, step="the moon rises")


@pytest.mark.parametrize("state", list(DeviceState), ids=lambda state: state.name)
def test_every_state_can_be_come_to(probe: Probe, state: DeviceState) -> None:
    bring_to(probe, state)
    assert probe.state is state
    assert probe.host.guarded == []


def test_a_leak_test_counts_until_the_next_one_or_a_boot(bench: Bench, probe: Probe) -> None:
    probe.arm()
    assert probe.ask(Op.LEAK_TEST) is Answer.WRONG_STATE
    assert probe.leak_tested
    probe.end()
    probe.command(Op.LEAK_TEST)
    assert not probe.leak_tested
    probe.end()
    probe.make_ready()
    host, boots = probe.host, probe.host.boots
    inject(bench, "brownout")
    probe.wait(lambda _: host.boots > boots and host.is_open, within_s=5.0, step="it boots")
    assert not probe.leak_tested


# -- left safe, whatever happens ---


@pytest.mark.requirement("SR-29")
@pytest.mark.parametrize("state", list(DeviceState), ids=lambda state: state.name)
def test_an_interrupt_leaves_the_probe_safe_and_names_the_step(
    bench: Bench, probe: Probe, state: DeviceState
) -> None:
    bring_to(probe, state)

    def interrupt(_: object) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        probe.wait(interrupt, within_s=5.0, step="somebody presses Ctrl-C")
    bench.finish({})

    assert probe.step == "somebody presses Ctrl-C"
    assert [last(probe.trace, signal) for signal in OUTPUTS] == [0.0] * len(OUTPUTS)
    assert last(probe.trace, "state") in (
        DeviceState.IDLE, DeviceState.ARMED, DeviceState.STARTED,
        DeviceState.SELF_TEST, DeviceState.LEAK_TEST, DeviceState.SAFE, DeviceState.FAULT,
    )  # fmt: skip


@pytest.mark.requirement("SR-29")
def test_an_interrupt_in_a_treatment_leaves_the_probe_safe(bench: Bench, probe: Probe) -> None:
    treatment = Treatment(
        schema=1,
        profile="n2o-20g",
        cycles=Cycles(count=1, setpoint_c=-60.0, hold_s=20.0),
        thaw=Thaw(mode="active"),
    )

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        probe.treat(treatment, within_s=100.0, while_freezing=interrupt)
    interrupted_s = probe.now_s
    bench.finish({})

    assert [last(probe.trace, signal) for signal in OUTPUTS] == [0.0] * len(OUTPUTS)
    assert probe.now_s - interrupted_s < 3.0


def test_a_probe_that_hears_nothing_is_seen_safe_by_its_own_lease(
    bench: Bench, probe: Probe
) -> None:
    probe.freeze()
    inject(bench, "half_open")
    bench.finish({})

    assert not bench.unsafe
    assert last(probe.trace, "valve") == 0.0


def test_after_a_probe_that_nobody_sees_nothing_more_is_tried(
    bench: Bench, probe: Probe, tmp_path: Path
) -> None:
    probe.freeze()
    inject(bench, "disconnect")
    with pytest.raises(UnsafeProbeError, match="cannot be seen safe after three STOPs"):
        bench.finish({})

    with pytest.raises(UnsafeProbeError, match="cannot be seen safe"):
        bench.begin(tmp_path / "next.mcap")
