"""The skin warmer's limits in the probe, and times that two counts bound: clock and ticks."""

from __future__ import annotations

import pytest

from cryoctl_protocol.codes import DeviceState, Op, Result, Sensor, ThawMode, Trip
from cryoctl_protocol.framing import wrap
from cryoctl_simulator.firmware_config import FirmwareConfig
from cryoctl_simulator.firmware_drive import all_off
from cryoctl_simulator.firmware_safety import find_trip, prewarm_is_over, stimulus_is_over
from cryoctl_simulator.firmware_state import FirmwareState, Outputs
from tests.simulator.bench import STIMULUS, Bench, bench_in, connected
from tests.simulator.driver import Driver

S = DeviceState
N2O = FirmwareConfig.shipped("n2o-20g").limits


def late_ticks(bench: Bench, count: int, period_ms: int) -> None:
    """Run ticks that come every ``period_ms``, each with a lease."""
    for _ in range(count):
        assert bench.mode is not None
        bench.host.lease(bench.mode, bench.now_s)
        incoming = b"\0" + b"".join(wrap(body) for body in bench.host.outgoing())
        bench.now_ms += period_ms
        bench.firmware.tick(bench.device_ms, bench.readings, incoming)


# -- SR-42: hot skin -----------------------------------------------------------------------------


@pytest.mark.requirement("SR-42")
@pytest.mark.parametrize("state", [S.IDLE, S.PREWARM, S.FREEZE, S.THAW])
@pytest.mark.parametrize(
    ("skin_mdegc", "ticks", "trip"),
    [(43_000, 500, Trip.NONE), (43_001, 9, Trip.NONE), (43_001, 10, Trip.SKIN_HOT)],
)
def test_skin_above_43_degrees_for_100_ms_cuts_the_warmer_and_latches(
    state: DeviceState, skin_mdegc: int, ticks: int, trip: Trip
) -> None:
    bench = bench_in(state)
    bench.readings.skin_mdegc = skin_mdegc

    bench.tick(ticks)

    assert bench.trip is trip
    if trip is Trip.SKIN_HOT:
        out = bench.outputs
        assert (bench.state, out.skin_warmer_permille, out.warmer_supply_on) == (S.FAULT, 0, False)
        assert (bench.events()[-1].value, bench.events()[-1].limit) in {(0, 0), (43_001, 43_000)}


@pytest.mark.requirement("SR-42")
def test_hot_skin_for_less_than_100_ms_counts_anew() -> None:
    bench = connected()
    for _ in range(5):
        bench.readings.skin_mdegc = 50_000
        bench.tick(9)
        bench.readings.skin_mdegc = 43_000
        bench.tick()

    assert bench.trip is Trip.NONE


@pytest.mark.requirement("SR-42")
def test_skin_that_nobody_measures_is_not_hot_by_its_number() -> None:
    bench = connected()
    bench.readings.skin_mdegc = 50_000
    bench.readings.open_circuit = int(Sensor.SKIN)
    bench.tick(50)

    assert bench.trip is Trip.NONE


@pytest.mark.requirement("SR-42")
def test_hot_skin_is_counted_from_nothing_when_its_sensor_is_back() -> None:
    bench = connected()
    bench.readings.skin_mdegc = 50_000
    bench.readings.open_circuit = int(Sensor.SKIN)
    bench.tick(5)
    bench.readings.open_circuit = 0

    bench.tick(9)
    before = bench.trip
    bench.tick()

    assert (before, bench.trip) == (Trip.NONE, Trip.SKIN_HOT)


@pytest.mark.requirement("SR-39")
def test_all_off_takes_the_power_from_everything_that_does_something() -> None:
    out = Outputs(
        valve_permille=1,
        shutoff_open=True,
        tip_heater_permille=1,
        heater_supply_on=True,
        skin_warmer_permille=1,
        warmer_supply_on=True,
        stimulus_ua=1,
    )

    all_off(out)

    assert out == Outputs()


@pytest.mark.requirement("SR-27")
@pytest.mark.requirement("SR-42")
def test_hot_skin_that_was_told_is_passed_over() -> None:
    s = FirmwareState(skin_hot_ticks=10)

    assert find_trip(N2O, s) == Trip.SKIN_HOT
    assert find_trip(N2O, s, 1 << Trip.SKIN_HOT) == Trip.NONE


@pytest.mark.requirement("SR-42")
@pytest.mark.parametrize("state", [S.PREWARM, S.FREEZE])
def test_a_skin_sensor_that_opens_takes_warmer_and_supply_away_in_one_tick(
    state: DeviceState,
) -> None:
    bench = bench_in(state)
    assert bench.outputs.warmer_supply_on
    bench.readings.open_circuit = int(Sensor.SKIN)

    bench.tick()

    assert (bench.outputs.skin_warmer_permille, bench.outputs.warmer_supply_on) == (0, False)


@pytest.mark.requirement("SR-42")
@pytest.mark.parametrize("state", [state for state in S if state not in {S.PREWARM, S.FREEZE}])
def test_the_warmer_has_no_supply_where_it_is_not_wanted(state: DeviceState) -> None:
    assert not bench_in(state).outputs.warmer_supply_on


@pytest.mark.requirement("SR-42")
def test_a_warmer_that_is_stuck_on_burns_nobody() -> None:
    driver = Driver("sim:n2o-20g?fault=warmer_stuck_on@prewarm%2B1s")
    driver.start(cycles=1)
    driver.ask(Op.PREWARM, duration_ms=120_000)
    hottest_c = 0.0
    for _ in range(60 * 20):
        driver.step()
        hottest_c = max(hottest_c, driver.device.plant.skin_temp_c)

    assert [event.trip for event in driver.trips()] == [26]  # SKIN_HOT
    assert 43.0 < hottest_c < 44.0
    assert driver.device.plant.skin_temp_c < 40.0  # The driver is stuck to the end.


# -- clock and ticks, whichever comes first ------------------------------------------------------


@pytest.mark.requirement("SR-42")
@pytest.mark.parametrize(
    ("elapsed_ms", "prewarm_ms", "is_over"),
    [(4_999, 4_990, False), (5_000, 0, True), (0, 5_000, True)],
)
def test_a_prewarming_ends_by_clock_or_ticks(
    elapsed_ms: int, prewarm_ms: int, *, is_over: bool
) -> None:
    s = FirmwareState(phase_limit_ms=5_000, prewarm_ms=prewarm_ms)

    assert prewarm_is_over(s, elapsed_ms) is is_over


@pytest.mark.requirement("SR-42")
def test_a_prewarming_ends_even_if_the_clock_stands_still() -> None:
    bench = bench_in(S.STARTED)
    bench.ask(Op.PREWARM, duration_ms=2_000)
    now_ms = bench.now_ms
    bench.firmware.session._lease_until_ms = now_ms + 300
    for _ in range(199):
        bench.firmware.tick(now_ms, bench.readings, b"")
    before = bench.state
    bench.firmware.tick(now_ms, bench.readings, b"")

    assert (before, bench.state) == (S.PREWARM, S.STARTED)
    assert not bench.outputs.warmer_supply_on


@pytest.mark.requirement("SR-41")
@pytest.mark.parametrize(
    ("limit_ms", "since_ms", "stimulus_ms", "is_over"),
    [
        (5_000, 35_001, 4_990, False),
        (5_000, 35_000, 0, True),
        (5_000, 40_000, 5_000, True),
        # A limit that went wrong in memory: 30 s hold all the same.
        (100_000, 10_001, 29_990, False),
        (100_000, 10_000, 0, True),
        (100_000, 40_000, 30_000, True),
    ],
)
def test_a_stimulus_ends_by_clock_or_ticks_and_after_30_s(
    limit_ms: int, since_ms: int, stimulus_ms: int, *, is_over: bool
) -> None:
    s = FirmwareState(
        now_ms=40_000, phase_limit_ms=limit_ms, stimulus_since_ms=since_ms, stimulus_ms=stimulus_ms
    )

    assert stimulus_is_over(s) is is_over


@pytest.mark.requirement("SR-41")
@pytest.mark.requirement("SR-35")
def test_late_ticks_do_not_make_a_stimulus_longer() -> None:
    bench = bench_in(S.IDLE)
    bench.run_s(2.5)
    bench.ask(Op.STIMULATE, **{**STIMULUS, "duration_ms": 2_000})

    late_ticks(bench, 19, 100)
    before = bench.state
    late_ticks(bench, 1, 100)

    assert (before, bench.state, bench.outputs.stimulus_ua) == (S.STIMULATE, S.IDLE, 0)


@pytest.mark.requirement("SR-41")
def test_another_stimulus_has_its_own_time_by_the_clock_too() -> None:
    bench = bench_in(S.STIMULATE)
    late_ticks(bench, 40, 100)
    bench.ask(Op.STIMULATE, **STIMULUS)
    late_ticks(bench, 40, 100)

    assert (bench.state, bench.outputs.stimulus_ua) == (S.STIMULATE, 1_000)


@pytest.mark.requirement("SR-09")
@pytest.mark.requirement("SR-35")
def test_late_ticks_do_not_make_a_freeze_longer() -> None:
    bench = bench_in(S.STARTED)
    bench.freeze(duration_ms=5_000)

    late_ticks(bench, 49, 100)
    before = bench.state
    late_ticks(bench, 1, 100)

    assert (before, bench.state, bench.outputs.valve_permille) == (S.FREEZE, S.THAW, 0)


@pytest.mark.requirement("SR-16")
@pytest.mark.parametrize("period_ms", [10, 100])
def test_the_heaters_20_s_are_counted_by_the_clock_too(period_ms: int) -> None:
    bench = bench_in(S.FREEZE)
    bench.readings.tip_mdegc = 4_000
    bench.tick(400)
    bench.thaw(ThawMode.ACTIVE, 5_000)
    bench.tick(5)
    s = bench.firmware.state
    s.heater_on_ms, s.heater_energy_uj = 18_000, 0

    late_ticks(bench, 2_000 // period_ms - 1, period_ms)
    before = bench.outputs.tip_heater_permille
    late_ticks(bench, 2, period_ms)

    assert before > 0
    assert (bench.outputs.tip_heater_permille, s.heater_on_ms) == (0, 20_000)


@pytest.mark.requirement("SR-16")
def test_the_heat_of_late_ticks_is_booked_for_as_long_as_it_flows() -> None:
    bench = bench_in(S.FREEZE)
    bench.readings.tip_mdegc = -5_000
    bench.tick(400)
    bench.thaw(ThawMode.ACTIVE, 5_000)
    heater_mw = bench.firmware.config.limits.heater_mw
    late_ticks(bench, 1, 100)
    before_uj = bench.firmware.state.heater_energy_uj

    late_ticks(bench, 5, 100)

    assert bench.outputs.tip_heater_permille == 1000
    assert bench.firmware.state.heater_energy_uj - before_uj == 500 * heater_mw


# -- SR-19: a pressure that lives ----------------------------------------------------------------


@pytest.mark.requirement("SR-19")
def test_a_leak_test_fails_if_the_pressure_reads_the_very_same_for_2_s() -> None:
    bench = bench_in(S.IDLE)
    bench.pressure_lives = False
    bench.ask(Op.LEAK_TEST)
    bench.run_s(12)

    assert bench.dones()[-1].result == Result.FAILED
    assert not bench.firmware.state.leak_test_passed


@pytest.mark.requirement("SR-19")
@pytest.mark.parametrize(
    ("still_ticks", "result"), [(199, Result.OK), (200, Result.OK), (201, Result.FAILED)]
)
def test_a_pressure_that_moves_by_one_count_now_and_then_lives(
    still_ticks: int, result: Result
) -> None:
    bench = bench_in(S.IDLE)
    bench.pressure_lives = False
    bench.ask(Op.LEAK_TEST)
    for _ in range(1_200 // still_ticks + 1):
        bench.readings.supply_mbar ^= 1
        bench.tick(still_ticks)

    assert bench.dones()[-1].result == result


@pytest.mark.requirement("SR-19")
@pytest.mark.parametrize("after_s", [0.0, 2.0, 8.0])
def test_a_pressure_sensor_that_freezes_in_the_leak_test_fails_it(after_s: float) -> None:
    driver = Driver(f"sim:n2o-20g?fault=pressure_frozen@leak_test%2B{after_s:g}s")
    driver.connect()
    driver.ask(Op.LEAK_TEST)
    driver.run_s(12)

    assert driver.dones()[-1].result == Result.FAILED
