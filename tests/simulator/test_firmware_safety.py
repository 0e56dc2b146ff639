"""The probe's own interlocks at their limits; every limit here is a literal of its requirement."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable

import pytest

from cryoctl_protocol.codes import DeviceState, HostMode, Op, Sensor, ThawMode, Trip
from cryoctl_protocol.framing import wrap
from cryoctl_protocol.profile import control_table, load_profile
from cryoctl_simulator import firmware_model, firmware_safety, firmware_sensing
from cryoctl_simulator.firmware_config import (
    ALL_SENSORS,
    ControlTable,
    FirmwareConfig,
    saturation_mdegc,
)
from cryoctl_simulator.firmware_safety import find_trip, outputs_overlap, valve_is_stuck
from cryoctl_simulator.firmware_sensing import is_cooled, observe
from cryoctl_simulator.firmware_state import FirmwareState
from tests.simulator.bench import Bench, FakeReadings, bench_in, connected

S = DeviceState
N2O = FirmwareConfig.shipped("n2o-20g").limits
CO2 = FirmwareConfig.shipped("co2-20g").limits


def rest(bench: Bench, tip_mdegc: int) -> None:
    """Let the tip have stood at ``tip_mdegc`` for long."""
    s = bench.firmware.state
    bench.readings.tip_mdegc = tip_mdegc
    s.tip_raw_mdegc = s.tip_mdegc = tip_mdegc
    s.tip_fast = s.tip_slow = tip_mdegc * 256
    s.tip_rate_mdegc_s = 0


def ticks_to_trip(bench: Bench, most: int) -> int | None:
    """Return how many ticks it takes until the probe is in FAULT, None if ``most`` do not."""
    for ticks in range(1, most + 1):
        bench.tick()
        if bench.state is S.FAULT:
            assert bench.outputs.valve_permille == 0
            assert not bench.outputs.shutoff_open
            return ticks
    return None


# -- SR-05, SR-11: the tip -----------------------------------------------------------------------


@pytest.mark.requirement("SR-05")
@pytest.mark.parametrize(
    ("profile", "tip_mdegc", "trip"),
    [
        ("n2o-20g", -84_999, Trip.NONE),
        ("n2o-20g", -85_000, Trip.TIP_FLOOR),
        ("n2o-27gx3", -84_999, Trip.NONE),
        ("n2o-27gx3", -85_000, Trip.TIP_FLOOR),
        ("co2-20g", -81_999, Trip.NONE),
        ("co2-20g", -82_000, Trip.TIP_FLOOR),
    ],
)
def test_the_first_plausible_sample_at_the_floor_trips(
    profile: str, tip_mdegc: int, trip: Trip
) -> None:
    bench = connected(profile)
    rest(bench, tip_mdegc + 2_000)
    bench.readings.tip_mdegc = tip_mdegc
    bench.tick()
    assert bench.trip is trip


@pytest.mark.requirement("SR-05")
@pytest.mark.requirement("SR-11")
def test_one_false_sample_below_the_floor_does_not_trip() -> None:
    bench = bench_in(S.FREEZE)
    rest(bench, -60_000)
    bench.tick(10)
    bench.readings.tip_mdegc = -91_000
    bench.tick()
    bench.readings.tip_mdegc = -60_000
    bench.tick(50)
    assert (bench.state, bench.trip) == (S.FREEZE, Trip.NONE)


@pytest.mark.requirement("SR-11")
@pytest.mark.parametrize(
    ("tip_mdegc", "is_plausible"),
    [(-92_001, False), (-92_000, True), (80_000, True), (80_001, False), (-110_001, False)],
)
def test_temperatures_beyond_any_tip_are_not_plausible(
    tip_mdegc: int, *, is_plausible: bool
) -> None:
    s = FirmwareState(tip_seen=True, tip_raw_mdegc=tip_mdegc)
    observe(N2O, s, FakeReadings(tip_mdegc=tip_mdegc, exhaust_mbar=878))
    assert s.tip_plausible is is_plausible


@pytest.mark.requirement("SR-11")
@pytest.mark.parametrize(
    ("limits", "exhaust_mbar", "tip_mdegc", "is_plausible"),
    [
        # N2O boils at -80.0 C at 1.64 bar, CO2 sublimes at -78.46 C at 1.013 bar (CoolProp).
        (N2O, 1_640, -84_000, True),
        (N2O, 1_640, -84_001, False),
        (CO2, 1_013, -82_460, True),
        (CO2, 1_013, -82_461, False),
        # A blocked exhaust is its own interlock: beyond 2.5 bar the bound stays.
        (N2O, 2_500, -75_930, False),
        (N2O, 6_000, -75_900, True),
    ],
)
def test_a_tip_4_degrees_colder_than_its_boiling_gas_is_not_plausible(
    limits: object, exhaust_mbar: int, tip_mdegc: int, *, is_plausible: bool
) -> None:
    s = FirmwareState(tip_seen=True, tip_raw_mdegc=tip_mdegc)
    observe(limits, s, FakeReadings(tip_mdegc=tip_mdegc, exhaust_mbar=exhaust_mbar))  # type: ignore[arg-type]
    assert s.tip_plausible is is_plausible


@pytest.mark.parametrize(
    ("pressure_mbar", "expected_mdegc"),
    [(0, -90_820), (1_013, -88_470), (1_440, -82_500), (1_640, -80_000), (9_999, -70_000)],
)
def test_saturation_is_straight_between_the_points_and_level_outside(
    pressure_mbar: int, expected_mdegc: int
) -> None:
    assert saturation_mdegc(N2O.saturation, pressure_mbar) == expected_mdegc


@pytest.mark.requirement("SR-11")
@pytest.mark.parametrize(("step_mdegc", "trip"), [(2_500, Trip.NONE), (2_501, Trip.TIP_SENSOR)])
def test_three_steps_above_250_degrees_a_second_within_five_samples_trip(
    step_mdegc: int, trip: Trip
) -> None:
    bench = bench_in(S.FREEZE)
    rest(bench, -60_000)
    for change in (step_mdegc, 0, -step_mdegc, 0, step_mdegc):
        bench.readings.tip_mdegc += change
        bench.tick()
    assert bench.trip is trip


@pytest.mark.requirement("SR-11")
@pytest.mark.parametrize(
    ("step_mdegc", "is_plausible"),
    [(2_500, True), (2_501, False), (-2_500, True), (-2_501, False)],
)
def test_a_step_above_250_degrees_a_second_is_not_plausible(
    step_mdegc: int, *, is_plausible: bool
) -> None:
    s = FirmwareState(tip_seen=True, tip_raw_mdegc=-40_000)
    observe(N2O, s, FakeReadings(tip_mdegc=-40_000 + step_mdegc))
    assert s.tip_plausible is is_plausible


@pytest.mark.requirement("SR-11")
def test_three_bad_samples_within_six_do_not_trip() -> None:
    bench = bench_in(S.FREEZE)
    rest(bench, -60_000)
    for change in (2_501, 0, -2_501, 0, 0, 2_501, 0, 0, 0, 0):
        bench.readings.tip_mdegc += change
        bench.tick()
    assert bench.trip is Trip.NONE


@pytest.mark.requirement("SR-11")
def test_an_open_tip_sensor_trips_within_30_ms_with_everything_off() -> None:
    bench = bench_in(S.FREEZE)
    rest(bench, -60_000)
    bench.readings.open_circuit = int(Sensor.TIP)
    assert ticks_to_trip(bench, 10) == 3
    assert bench.trip is Trip.TIP_SENSOR
    assert bench.outputs.tip_heater_permille == 0


@pytest.mark.requirement("SR-16")
def test_the_heater_is_off_from_the_first_bad_sample() -> None:
    bench = bench_in(S.FREEZE)
    rest(bench, -8_000)
    bench.thaw(ThawMode.ACTIVE, 5_000)
    bench.tick(5)
    assert bench.outputs.tip_heater_permille == 1000
    bench.readings.open_circuit = int(Sensor.TIP)
    bench.tick()
    assert bench.outputs.tip_heater_permille == 0
    assert ticks_to_trip(bench, 10) == 2


# -- SR-07, SR-08: the valve ---------------------------------------------------------------------


@pytest.mark.requirement("SR-07")
@pytest.mark.parametrize(("flow_ug_s", "ticks"), [(3_500, None), (3_501, 231)])
def test_flow_above_10_percent_after_coast_plus_300_ms_is_a_stuck_valve(
    flow_ug_s: int, ticks: int | None
) -> None:
    bench = bench_in(S.FREEZE)
    rest(bench, -60_000)
    bench.readings.exhaust_flow_ug_s = flow_ug_s
    bench.thaw()
    assert bench.outputs.shutoff_open
    shut_ms = bench.firmware.state.valve_shut_ms
    found = ticks_to_trip(bench, 280)
    assert found is None or found + shut_ms // 10 == ticks
    assert bench.trip is (Trip.NONE if ticks is None else Trip.VALVE_STUCK)


@pytest.mark.requirement("SR-07")
@pytest.mark.parametrize(("rate_mdegc_s", "trip"), [(-900, Trip.NONE), (-1_100, Trip.VALVE_STUCK)])
def test_a_tip_falling_faster_than_1_degree_a_second_with_the_valve_shut_is_a_stuck_valve(
    rate_mdegc_s: int, trip: Trip
) -> None:
    bench = bench_in(S.FREEZE)
    rest(bench, -40_000)
    bench.thaw()
    for _ in range(280):
        bench.readings.tip_mdegc += rate_mdegc_s // 100
        bench.tick()
    assert bench.trip is trip


@pytest.mark.requirement("SR-07")
@pytest.mark.parametrize(
    ("rate_mdegc_s", "tip_mdegc", "cooled"),
    [
        (-1_000, -40_000, False),
        (-1_001, -40_000, True),
        (-1_001, -10_000, True),
        (-1_001, -9_999, False),
    ],
)
def test_only_a_fast_fall_below_the_melting_plateau_counts_as_cooling(
    rate_mdegc_s: int, tip_mdegc: int, *, cooled: bool
) -> None:
    s = FirmwareState(tip_rate_mdegc_s=rate_mdegc_s, tip_mdegc=tip_mdegc)
    assert is_cooled(s) is cooled


@pytest.mark.requirement("SR-07")
@pytest.mark.parametrize(
    ("shut_ms", "falling_ticks", "flow_ticks", "stuck"),
    [
        (2_300, 5, 3, False),
        (2_301, 5, 0, True),
        (2_301, 4, 2, False),
        (2_301, 0, 3, True),
    ],
)
def test_a_stuck_valve_takes_coast_plus_300_ms_and_more_than_one_sample(
    shut_ms: int, falling_ticks: int, flow_ticks: int, *, stuck: bool
) -> None:
    s = FirmwareState(
        valve_shut_ms=shut_ms, falling_ticks=falling_ticks, flow_stuck_ticks=flow_ticks
    )
    assert valve_is_stuck(N2O, s) is stuck


@pytest.mark.requirement("SR-08")
@pytest.mark.parametrize(("shut_ms", "leak_ms"), [(1_990, 0), (2_000, 10)])
def test_a_leak_is_counted_from_the_end_of_the_coast(shut_ms: int, leak_ms: int) -> None:
    s = FirmwareState(valve_shut_ms=shut_ms)
    observe(N2O, s, FakeReadings(exhaust_flow_ug_s=1_751))
    assert (s.valve_shut_ms, s.leak_ms) == (shut_ms + 10, leak_ms)


@pytest.mark.requirement("SR-07")
def test_a_tip_cooling_in_the_room_is_no_stuck_valve() -> None:
    bench = connected()
    for _ in range(900):
        bench.readings.tip_mdegc -= 50
        bench.tick()
    assert bench.readings.tip_mdegc < -8_000
    assert bench.trip is Trip.NONE


@pytest.mark.requirement("SR-08")
@pytest.mark.parametrize(("flow_ug_s", "trip"), [(1_750, Trip.NONE), (1_751, Trip.LEAK)])
def test_flow_above_5_percent_for_1_s_with_the_valve_shut_is_a_leak(
    flow_ug_s: int, trip: Trip
) -> None:
    bench = connected()
    bench.run_s(2)
    bench.readings.exhaust_flow_ug_s = flow_ug_s
    bench.tick(99)
    assert bench.trip is Trip.NONE
    bench.tick()
    assert bench.trip is trip


@pytest.mark.requirement("SR-08")
def test_a_pulse_of_flow_shorter_than_1_s_is_no_leak() -> None:
    bench = connected()
    bench.run_s(2)
    for _ in range(3):
        bench.readings.exhaust_flow_ug_s = 3_000
        bench.tick(99)
        bench.readings.exhaust_flow_ug_s = 0
        bench.tick()
    assert bench.trip is Trip.NONE


# -- SR-09: the freeze timer ---------------------------------------------------------------------


@pytest.mark.requirement("SR-09")
@pytest.mark.parametrize(("duration_ms", "ticks"), [(5_000, 500), (180_000, 18_000)])
def test_a_freeze_ends_even_if_the_clock_stands_still(duration_ms: int, ticks: int) -> None:
    bench = bench_in(S.STARTED)
    rest(bench, -60_000)
    bench.freeze(duration_ms=duration_ms)
    firmware = bench.firmware
    now_ms = bench.now_ms
    firmware.session._lease_until_ms = now_ms + 300
    for tick in range(1, ticks + 2):
        assert firmware.state.state == S.FREEZE, tick
        firmware.tick(now_ms, bench.readings, b"")
    assert (firmware.state.state, firmware.state.trip) == (S.FAULT, Trip.FREEZE_TIMER)
    assert firmware.state.freeze_ms - duration_ms <= 100


# -- SR-15, SR-16: the tip heater ----------------------------------------------------------------


@pytest.mark.requirement("SR-15")
@pytest.mark.parametrize(
    ("valve", "heater", "stimulus", "overlap"),
    [
        (0, 0, 0, False),
        (0, 1, 0, False),
        (1, 0, 0, False),
        (0, 0, 1, False),
        (1, 1, 0, True),
        (1, 0, 1, True),
        (0, 1, 1, True),
        (1000, 1000, 0, True),
    ],
)
@pytest.mark.requirement("SR-41")
def test_two_of_valve_heater_and_stimulator_together_are_an_overlap(
    valve: int, heater: int, stimulus: int, *, overlap: bool
) -> None:
    assert outputs_overlap(valve, heater, stimulus) is overlap


@pytest.mark.requirement("SR-15")
def test_outputs_that_overlap_never_reach_the_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = bench_in(S.FREEZE)
    monkeypatch.setattr(firmware_model, "outputs_overlap", lambda *_: True)
    bench.tick()
    assert (bench.state, bench.trip) == (S.FAULT, Trip.OUTPUTS_OVERLAP)
    assert (bench.outputs.valve_permille, bench.outputs.tip_heater_permille) == (0, 0)
    assert not bench.outputs.shutoff_open


@pytest.mark.requirement("SR-16")
@pytest.mark.parametrize(("tip_mdegc", "trip"), [(43_000, Trip.NONE), (43_001, Trip.HEATER)])
def test_a_tip_above_43_degrees_trips_at_once(tip_mdegc: int, trip: Trip) -> None:
    bench = connected()
    rest(bench, 42_000)
    bench.readings.tip_mdegc = tip_mdegc
    bench.tick()
    assert bench.trip is trip


@pytest.mark.requirement("SR-16")
@pytest.mark.parametrize(
    ("field", "value", "trip"),
    [
        ("heater_on_ms", 20_000, Trip.NONE),
        ("heater_on_ms", 20_001, Trip.HEATER),
        ("heater_energy_uj", 5_000_000, Trip.NONE),
        ("heater_energy_uj", 5_000_001, Trip.HEATER),
    ],
)
def test_heating_too_long_or_with_too_much_energy_trips(field: str, value: int, trip: Trip) -> None:
    s = FirmwareState(heating=True, **{field: value})  # type: ignore[arg-type]
    assert find_trip(N2O, s) == trip
    s.heating = False
    assert find_trip(N2O, s) == Trip.NONE


@pytest.mark.requirement("SR-16")
def test_the_regulator_itself_ends_heating_after_20_s() -> None:
    bench = bench_in(S.FREEZE)
    rest(bench, 9_700)  # Heats with little: the energy lasts for longer than the time.
    bench.readings.tip_mdegc = 4_000
    rest(bench, 4_000)
    bench.thaw(ThawMode.ACTIVE, 5_000)
    bench.firmware.state.heater_on_ms = 19_900
    bench.tick(20)
    assert bench.firmware.state.heater_on_ms == 20_000
    assert (bench.trip, bench.outputs.tip_heater_permille) == (Trip.NONE, 0)


# -- SR-18: pressure -----------------------------------------------------------------------------


@pytest.mark.requirement("SR-18")
@pytest.mark.parametrize(
    ("profile", "supply_mbar", "ticks"),
    [
        ("n2o-20g", 68_000, None),
        ("n2o-20g", 68_001, 3),
        ("n2o-27gx3", 68_001, 3),
        ("co2-20g", 76_000, None),
        ("co2-20g", 76_001, 3),
    ],
)
def test_overpressure_shuts_the_supply_within_50_ms(
    profile: str, supply_mbar: int, ticks: int | None
) -> None:
    bench = connected(profile)
    bench.readings.supply_mbar = supply_mbar
    assert ticks_to_trip(bench, 100) == ticks


@pytest.mark.requirement("SR-18")
@pytest.mark.parametrize(("exhaust_mbar", "ticks"), [(2_500, None), (2_501, 3)])
def test_a_blocked_exhaust_trips(exhaust_mbar: int, ticks: int | None) -> None:
    bench = bench_in(S.FREEZE)
    bench.readings.exhaust_mbar = exhaust_mbar
    assert ticks_to_trip(bench, 100) == ticks
    assert bench.trip is (Trip.NONE if ticks is None else Trip.EXHAUST_BLOCKED)


@pytest.mark.requirement("SR-18")
@pytest.mark.parametrize(
    "sensor", [Sensor.SUPPLY_PRESSURE, Sensor.EXHAUST_PRESSURE, Sensor.EXHAUST_FLOW]
)
def test_a_freeze_ends_after_100_ms_in_which_pressure_or_flow_cannot_be_seen(
    sensor: Sensor,
) -> None:
    bench = bench_in(S.FREEZE)
    bench.readings.open_circuit = int(sensor)
    bench.tick(9)
    bench.readings.open_circuit = 0
    bench.tick()
    bench.readings.open_circuit = int(sensor)
    assert ticks_to_trip(bench, 100) == 10
    assert bench.trip is Trip.SENSOR_OPEN


@pytest.mark.requirement("SR-18")
def test_a_sensor_that_the_probe_does_not_have_cannot_be_open() -> None:
    probe = FirmwareConfig.shipped("n2o-20g")
    without = FirmwareConfig.from_profile(
        load_profile("n2o-20g"),
        ControlTable.model_validate(control_table("n2o-20g")),
        sensors=ALL_SENSORS & ~Sensor.EXHAUST_FLOW,
    )
    assert probe.limits.guard_sensors & Sensor.EXHAUST_FLOW
    assert not without.limits.guard_sensors & Sensor.EXHAUST_FLOW


@pytest.mark.requirement("SR-18")
@pytest.mark.parametrize("sensor", [Sensor.SUPPLY_PRESSURE, Sensor.EXHAUST_PRESSURE])
def test_an_open_pressure_sensor_raises_no_pressure_trip(sensor: Sensor) -> None:
    bench = connected()
    bench.readings.open_circuit = int(sensor)
    bench.readings.supply_mbar = bench.readings.exhaust_mbar = 100_000
    if sensor is Sensor.SUPPLY_PRESSURE:
        bench.readings.exhaust_mbar = 1_013
    else:
        bench.readings.supply_mbar = 50_000
    assert ticks_to_trip(bench, 10) is None


# -- SR-01, SR-23, SR-36: controller, frames, battery --------------------------------------------


def _freezing(bench: Bench) -> None:
    bench.freeze()


def _prewarming(bench: Bench) -> None:
    bench.ask(Op.PREWARM, duration_ms=60_000)


def _heating(bench: Bench) -> None:
    bench.freeze()
    rest(bench, -60_000)
    bench.thaw(ThawMode.ACTIVE, 5_000)


@pytest.mark.requirement("SR-01")
@pytest.mark.parametrize("drive", [_freezing, _prewarming, _heating])
@pytest.mark.parametrize("moment_ticks", [1, 7, 10, 23, 58, 149])
def test_outputs_are_off_350_ms_after_the_last_lease(
    drive: Callable[[Bench], None], moment_ticks: int
) -> None:
    bench = bench_in(S.STARTED)
    drive(bench)
    bench.tick(moment_ticks)
    bench.mode = None
    last_lease_ms = (bench.now_ms - 1) // 100 * 100
    while bench.firmware.state.driving:
        bench.tick()
        assert bench.now_ms - last_lease_ms <= 350
    outputs = bench.outputs
    assert bench.trip is Trip.LEASE
    assert bench.now_ms - last_lease_ms >= 290
    assert (
        outputs.valve_permille,
        outputs.tip_heater_permille,
        outputs.skin_warmer_permille,
        outputs.shutoff_open,
    ) == (0, 0, 0, False)


@pytest.mark.requirement("SR-01")
@pytest.mark.parametrize("turned", [1 << 14, (1 << 28) - 1])
def test_a_bit_that_turns_over_in_what_was_told_hides_no_first_cause(turned: int) -> None:
    bench = bench_in(S.STARTED)
    bench.freeze()
    bench.tick(30)
    bench.firmware.state.trips_seen ^= turned
    bench.mode = None
    bench.run_s(0.4)
    assert bench.trip is Trip.LEASE
    assert bench.outputs.valve_permille == 0


@pytest.mark.requirement("SR-01")
@pytest.mark.parametrize("bit", [9, 12, 16, 25])
def test_a_bit_that_turns_over_in_the_end_of_a_lease_prolongs_nothing(bit: int) -> None:
    bench = bench_in(S.STARTED)
    bench.freeze()
    bench.tick(30)
    bench.mode = None
    until_ms = bench.firmware.session._lease_until_ms
    assert until_ms is not None
    bench.firmware.session._lease_until_ms = until_ms + (1 << bit)
    bench.run_s(0.4)
    assert bench.trip is Trip.LEASE
    assert bench.outputs.valve_permille == 0


@pytest.mark.requirement("SR-01")
def test_without_outputs_a_silent_controller_is_no_fault() -> None:
    bench = bench_in(S.IDLE)
    bench.mode = None
    bench.run_s(5)
    assert bench.trip is Trip.NONE


@pytest.mark.requirement("SR-01")
def test_the_third_lease_in_a_row_that_claims_another_mode_trips() -> None:
    bench = bench_in(S.FREEZE)
    rest(bench, -60_000)
    bench.tick(20)
    for mode in (HostMode.IDLE, HostMode.IDLE, HostMode.FREEZE, HostMode.IDLE, HostMode.IDLE):
        bench.mode = mode
        bench.tick(10)
    assert bench.trip is Trip.NONE
    bench.tick(10)
    assert (bench.state, bench.trip) == (S.FAULT, Trip.MODE_MISMATCH)


@pytest.mark.requirement("SR-23")
@pytest.mark.parametrize(("frames", "trip"), [(5, Trip.NONE), (6, Trip.INTEGRITY)])
def test_more_than_5_rejected_frames_in_1_s_trip_while_an_output_is_on(
    frames: int, trip: Trip
) -> None:
    bench = bench_in(S.FREEZE)
    for number in range(frames):
        bench.extra = b"\0" + wrap(b"\x10\x20 no such session %d" % number)
        bench.tick(2)
    assert bench.trip is trip


@pytest.mark.requirement("SR-23")
def test_rejected_frames_without_outputs_do_not_trip() -> None:
    bench = connected()
    for _ in range(20):
        bench.extra = b"\0\x05junk\0"
        bench.tick()
    assert bench.firmware.state.frames_rejected == 20
    assert bench.trip is Trip.NONE


@pytest.mark.requirement("SR-36")
@pytest.mark.parametrize(("battery_mv", "ticks"), [(3_300, None), (3_299, 10)])
def test_a_low_battery_ends_a_freeze_within_500_ms(battery_mv: int, ticks: int | None) -> None:
    bench = bench_in(S.FREEZE)
    bench.readings.battery_mv = battery_mv
    assert ticks_to_trip(bench, 100) == ticks
    assert bench.trip is (Trip.NONE if ticks is None else Trip.BATTERY)


@pytest.mark.requirement("SR-36")
def test_a_low_battery_is_no_fault_at_rest_but_keeps_its_own_fault_latched() -> None:
    resting, tripped = connected(), bench_in(S.FREEZE)
    for bench in (resting, tripped):
        bench.readings.battery_mv = 3_000
        bench.run_s(2)
    assert resting.trip is Trip.NONE
    tripped.run_s(2)
    assert tripped.firmware.state.quiet_ms == 0


# -- order and form ------------------------------------------------------------------------------


def test_the_most_dangerous_cause_is_named_first() -> None:
    s = FirmwareState(
        tip_bad_samples=3,
        tip_plausible=True,
        tip_mdegc=-85_000,
        overpressure_ticks=3,
        flow_stuck_ticks=3,
        exhaust_ticks=3,
        guards_open_ticks=10,
        driving=True,
        valve_shut_ms=2_310,
        heating=True,
        heater_on_ms=20_001,
        lease_left_ms=0,
        frames_rejected=6,
        state=int(S.FREEZE),
        freeze_ms=180_001,
        phase_limit_ms=180_000,
        leak_ms=1_000,
        battery_low_ms=100,
        mode_mismatches=3,
    )
    mended: list[tuple[Trip, dict[str, int]]] = [
        (Trip.TIP_SENSOR, {"tip_bad_samples": 2}),
        (Trip.TIP_FLOOR, {"tip_plausible": False}),
        (Trip.OVERPRESSURE, {"overpressure_ticks": 2}),
        (Trip.VALVE_STUCK, {"flow_stuck_ticks": 2}),
        (Trip.HEATER, {"heater_on_ms": 20_000}),
        (Trip.EXHAUST_BLOCKED, {"exhaust_ticks": 2}),
        (Trip.LEASE, {"lease_left_ms": 1}),
        (Trip.INTEGRITY, {"frames_rejected": 5}),
        (Trip.SENSOR_OPEN, {"guards_open_ticks": 9}),
        (Trip.FREEZE_TIMER, {"freeze_ms": 180_000}),
        (Trip.LEAK, {"leak_ms": 999}),
        (Trip.BATTERY, {"battery_low_ms": 99}),
        (Trip.MODE_MISMATCH, {"mode_mismatches": 2}),
    ]
    for trip, mend in mended:
        assert find_trip(N2O, s) == trip
        for name, value in mend.items():
            setattr(s, name, value)
    assert find_trip(N2O, s) == Trip.NONE


@pytest.mark.parametrize("module", [firmware_safety, firmware_sensing])
def test_interlocks_are_written_as_single_comparisons(module: object) -> None:
    tree = ast.parse(inspect.getsource(module))  # type: ignore[arg-type]
    combined = [node for node in ast.walk(tree) if isinstance(node, ast.BoolOp)]
    calls = [
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    assert not combined
    assert not {"any", "all"} & set(calls)


def test_the_firmware_computes_in_integers() -> None:
    bench = bench_in(S.FREEZE)
    rest(bench, -60_000)
    bench.tick(100)
    s = bench.firmware.state
    fields = (name for name in s.__slots__ if name != "outputs")
    assert {type(getattr(s, name)) for name in fields} <= {int, bool}


@pytest.mark.requirement("SR-09")
def test_firmware_is_built_for_longer_freezes_only_with_a_research_profile() -> None:
    control = ControlTable.model_validate(control_table("n2o-20g"))
    profile, bench = load_profile("n2o-20g"), load_profile("gel-bench-17g")
    # Past the checks of the file, as by a program that makes its own.
    long = profile.model_copy(
        update={"limits": profile.limits.model_copy(update={"freeze_s_max": 180.001})}
    )

    with pytest.raises(ValueError, match=r"freezes of 180001 ms, allowed: 180000 ms \(SR-09\)"):
        FirmwareConfig.from_profile(long, control)
    assert FirmwareConfig.from_profile(profile, control).research is False
    assert FirmwareConfig.from_profile(bench, control).research is True
