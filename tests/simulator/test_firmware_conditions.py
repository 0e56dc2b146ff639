"""Each condition of the firmware's decisions by itself, where no other test needed it alone."""

from __future__ import annotations

import pytest

from cryoctl_protocol.codes import (
    Answer,
    Capability,
    DeviceState,
    Op,
    SafeAction,
    Sensor,
    ThawMode,
    Trip,
)
from cryoctl_protocol.messages import Command
from cryoctl_protocol.profile import control_table, load_profile
from cryoctl_simulator.firmware_commands import STATES_OF_OP, judge
from cryoctl_simulator.firmware_config import (
    ALL_CAPABILITIES,
    ControlTable,
    DeviceLimits,
    FirmwareConfig,
)
from cryoctl_simulator.firmware_safety import find_trip
from cryoctl_simulator.firmware_sensing import observe
from cryoctl_simulator.firmware_state import FirmwareState, Outputs
from tests.simulator.bench import FakeReadings

S = DeviceState
N2O = FirmwareConfig.shipped("n2o-20g").limits
STIMULUS = {"stimulus_ua": 1_000, "stimulus_hz": 2, "stimulus_pulse_us": 100, "duration_ms": 5_000}


def limits_without(*, capability: Capability | None = None) -> DeviceLimits:
    capabilities = ALL_CAPABILITIES if capability is None else ALL_CAPABILITIES & ~capability
    return FirmwareConfig.from_profile(
        load_profile("n2o-20g"),
        ControlTable.model_validate(control_table("n2o-20g")),
        capabilities=Capability(capabilities),
    ).limits


def answer(s: FirmwareState, op: Op, limits: DeviceLimits = N2O, /, **fields: int) -> Answer:
    open_circuit = fields.pop("open_circuit", 0)
    command = Command(**{**dict.fromkeys(Command._fields, 0), "op": op, **fields})
    return judge(limits, s, FakeReadings(open_circuit=open_circuit), command)


@pytest.mark.parametrize(
    ("op", "capability"),
    [(Op.SELF_TEST, Capability.SELF_TEST), (Op.LEAK_TEST, Capability.LEAK_TEST)],
)
def test_a_test_that_the_probe_lacks_is_not_provided(op: Op, capability: Capability) -> None:
    without = limits_without(capability=capability)

    assert answer(FirmwareState(), op, without) is Answer.NOT_PROVIDED
    assert answer(FirmwareState(), op) is Answer.ACCEPTED


@pytest.mark.requirement("SR-19")
def test_a_leak_test_needs_the_supply_pressure() -> None:
    blind = answer(FirmwareState(), Op.LEAK_TEST, open_circuit=int(Sensor.SUPPLY_PRESSURE))

    assert blind is Answer.SENSOR


@pytest.mark.parametrize(
    ("duration_ms", "expected"),
    [
        (0, Answer.OUT_OF_RANGE),
        (1, Answer.ACCEPTED),
        (120_000, Answer.ACCEPTED),
        (120_001, Answer.OUT_OF_RANGE),
    ],
)
def test_prewarming_takes_a_millisecond_to_two_minutes(duration_ms: int, expected: Answer) -> None:
    s = FirmwareState(state=int(S.STARTED), lease_left_ms=300)

    assert answer(s, Op.PREWARM, duration_ms=duration_ms) is expected


@pytest.mark.requirement("SR-26")
@pytest.mark.parametrize(
    ("now_ms", "expected"),
    [(15_000, Answer.ACCEPTED), (15_001, Answer.NOT_AUTHORISED)],
)
def test_start_is_refused_a_millisecond_after_10_s(now_ms: int, expected: Answer) -> None:
    s = FirmwareState(state=int(S.ARMED), state_since_ms=5_000, now_ms=now_ms, treatment_hash=7)

    assert answer(s, Op.START, treatment_hash=7) is expected


@pytest.mark.requirement("SR-15")
@pytest.mark.parametrize(
    ("duty_permille", "heating", "expected"),
    [
        (0, False, Answer.ACCEPTED),
        (0, True, Answer.WRONG_STATE),
        (1, False, Answer.WRONG_STATE),
    ],
)
def test_no_freeze_begins_while_the_heater_is_on_or_wanted(
    duty_permille: int, heating: bool, expected: Answer
) -> None:
    s = FirmwareState(
        state=int(S.THAW), lease_left_ms=300, cycles_left=1, heating=heating,
        outputs=Outputs(tip_heater_permille=duty_permille),
    )  # fmt: skip

    assert answer(s, Op.FREEZE, setpoint_mdegc=-60_000, duration_ms=60_000) is expected


@pytest.mark.requirement("SR-16")
@pytest.mark.parametrize(
    ("state", "action", "bad_samples", "expected"),
    [
        (S.FAULT, SafeAction.OFF, 0, Answer.FAULT_LATCHED),
        (S.FAULT, SafeAction.THAW, 0, Answer.ACCEPTED),
        (S.THAW, SafeAction.OFF, 0, Answer.ACCEPTED),
        (S.THAW, SafeAction.OFF, 2, Answer.ACCEPTED),
        (S.THAW, SafeAction.OFF, 3, Answer.SENSOR),
    ],
)
def test_heat_needs_a_tip_to_believe_and_a_cause_that_allows_it(
    state: DeviceState, action: SafeAction, bad_samples: int, expected: Answer
) -> None:
    s = FirmwareState(
        state=int(state), action=int(action), lease_left_ms=300, tip_bad_samples=bad_samples
    )

    assert answer(s, Op.THAW, mode=ThawMode.ACTIVE, energy_mj=5_000) is expected


@pytest.mark.requirement("SR-41")
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"stimulus_hz": 0}, Answer.OUT_OF_RANGE),
        ({"stimulus_hz": 1}, Answer.ACCEPTED),
        ({"stimulus_hz": 100}, Answer.ACCEPTED),
        ({"stimulus_hz": 101}, Answer.OUT_OF_RANGE),
        ({"stimulus_pulse_us": 49}, Answer.OUT_OF_RANGE),
        ({"stimulus_pulse_us": 50}, Answer.ACCEPTED),
        ({"stimulus_pulse_us": 1_000}, Answer.ACCEPTED),
        ({"stimulus_pulse_us": 1_001}, Answer.OUT_OF_RANGE),
        ({"duration_ms": 0}, Answer.OUT_OF_RANGE),
        ({"duration_ms": 30_000}, Answer.ACCEPTED),
        ({"duration_ms": 30_001}, Answer.OUT_OF_RANGE),
    ],
)
def test_a_stimulus_has_its_ranges(fields: dict[str, int], expected: Answer) -> None:
    s = FirmwareState(lease_left_ms=300, valve_shut_ms=2_310, tip_mdegc=36_000)

    assert answer(s, Op.STIMULATE, **{**STIMULUS, **fields}) is expected


@pytest.mark.requirement("SR-41")
@pytest.mark.parametrize(("bad_samples", "expected"), [(2, Answer.ACCEPTED), (3, Answer.SENSOR)])
def test_a_stimulus_needs_a_tip_to_believe(bad_samples: int, expected: Answer) -> None:
    s = FirmwareState(
        lease_left_ms=300, valve_shut_ms=2_310, tip_mdegc=36_000, tip_bad_samples=bad_samples
    )

    assert answer(s, Op.STIMULATE, **STIMULUS) is expected


@pytest.mark.requirement("SR-11")
@pytest.mark.parametrize(("bad_samples", "expected"), [(2, Answer.ACCEPTED), (3, Answer.SENSOR)])
def test_arming_needs_a_tip_to_believe(bad_samples: int, expected: Answer) -> None:
    s = FirmwareState(lease_left_ms=300, leak_test_passed=True, tip_bad_samples=bad_samples)

    assert answer(s, Op.ARM, cycles=1) is expected


# One step before each limit, and at it.
CAUSES: list[tuple[Trip, dict[str, int], dict[str, int]]] = [
    (Trip.TIP_SENSOR, {"tip_bad_samples": 2}, {"tip_bad_samples": 3}),
    (
        Trip.TIP_FLOOR,
        {"tip_mdegc": -84_999, "tip_plausible": 1},
        {"tip_mdegc": -85_000, "tip_plausible": 1},
    ),
    (Trip.OVERPRESSURE, {"overpressure_ticks": 2}, {"overpressure_ticks": 3}),
    (
        Trip.VALVE_STUCK,
        {"valve_shut_ms": 2_300, "flow_stuck_ticks": 3},
        {"valve_shut_ms": 2_301, "flow_stuck_ticks": 3},
    ),
    (
        Trip.VALVE_STUCK,
        {"valve_shut_ms": 2_301, "flow_stuck_ticks": 2},
        {"valve_shut_ms": 2_301, "flow_stuck_ticks": 3},
    ),
    (
        Trip.VALVE_STUCK,
        {"valve_shut_ms": 2_301, "falling_ticks": 4},
        {"valve_shut_ms": 2_301, "falling_ticks": 5},
    ),
    (
        Trip.HEATER,
        {"tip_mdegc": 43_000, "tip_plausible": 1},
        {"tip_mdegc": 43_001, "tip_plausible": 1},
    ),
    (
        Trip.HEATER,
        {"heating": 1, "heater_on_ms": 20_000},
        {"heating": 1, "heater_on_ms": 20_001},
    ),
    (
        Trip.HEATER,
        {"heating": 1, "heater_energy_uj": 5_000_000},
        {"heating": 1, "heater_energy_uj": 5_000_001},
    ),
    (Trip.EXHAUST_BLOCKED, {"exhaust_ticks": 2}, {"exhaust_ticks": 3}),
    (Trip.LEASE, {"driving": 1, "lease_left_ms": 1}, {"driving": 1, "lease_left_ms": 0}),
    (
        Trip.INTEGRITY,
        {"driving": 1, "lease_left_ms": 1, "frames_rejected": 5},
        {"driving": 1, "lease_left_ms": 1, "frames_rejected": 6},
    ),
    (
        Trip.SENSOR_OPEN,
        {"state": S.FREEZE, "phase_limit_ms": 1, "guards_open_ticks": 9},
        {"state": S.FREEZE, "phase_limit_ms": 1, "guards_open_ticks": 10},
    ),
    (
        Trip.FREEZE_TIMER,
        {"state": S.FREEZE, "phase_limit_ms": 60_000, "freeze_ms": 60_000},
        {"state": S.FREEZE, "phase_limit_ms": 60_000, "freeze_ms": 60_001},
    ),
    (
        Trip.FREEZE_TIMER,
        {"state": S.FREEZE, "phase_limit_ms": 999_999, "freeze_ms": 180_000},
        {"state": S.FREEZE, "phase_limit_ms": 999_999, "freeze_ms": 180_001},
    ),
    (Trip.LEAK, {"leak_ms": 999}, {"leak_ms": 1_000}),
    (
        Trip.BATTERY,
        {"driving": 1, "lease_left_ms": 1, "battery_low_ms": 99},
        {"driving": 1, "lease_left_ms": 1, "battery_low_ms": 100},
    ),
    (Trip.MODE_MISMATCH, {"mode_mismatches": 2}, {"mode_mismatches": 3}),
]


@pytest.mark.requirement("SR-01")
@pytest.mark.requirement("SR-27")
@pytest.mark.parametrize(("trip", "before", "at"), CAUSES)
def test_each_cause_trips_at_its_limit_alone_and_is_passed_over_once_told(
    trip: Trip, before: dict[str, int], at: dict[str, int]
) -> None:
    s = FirmwareState(**at)  # type: ignore[arg-type]

    assert find_trip(N2O, FirmwareState(**before)) == Trip.NONE  # type: ignore[arg-type]
    assert find_trip(N2O, s) == trip
    assert find_trip(N2O, s, 1 << trip) == Trip.NONE
    assert find_trip(N2O, s, ~(1 << trip)) == trip


@pytest.mark.requirement("SR-11")
def test_without_an_exhaust_sensor_the_gas_boils_at_open_air() -> None:
    # N2O boils at -88.47 C at 1.013 bar: a tip at -92 C is within 4 C of that, whatever is read.
    s = FirmwareState(tip_seen=True, tip_raw_mdegc=-92_000)

    readings = FakeReadings(
        tip_mdegc=-92_000, exhaust_mbar=2_400, open_circuit=int(Sensor.EXHAUST_PRESSURE)
    )
    observe(N2O, s, readings)

    assert s.tip_plausible


@pytest.mark.requirement("SR-36")
@pytest.mark.parametrize(("open_circuit", "low_ms"), [(0, 10), (int(Sensor.BATTERY), 0)])
def test_a_battery_that_cannot_be_measured_is_not_low(open_circuit: int, low_ms: int) -> None:
    s = FirmwareState()

    observe(N2O, s, FakeReadings(battery_mv=3_299, open_circuit=open_circuit))

    assert s.battery_low_ms == low_ms


@pytest.mark.requirement("SR-07")
@pytest.mark.requirement("SR-08")
def test_an_open_valve_starts_every_count_of_flow_and_falling_anew() -> None:
    s = FirmwareState(
        valve_shut_ms=9_000, flow_stuck_ticks=2, falling_ticks=4, leak_ms=990,
        outputs=Outputs(valve_permille=1),
    )  # fmt: skip

    observe(N2O, s, FakeReadings(exhaust_flow_ug_s=30_000))

    assert (s.valve_shut_ms, s.flow_stuck_ticks, s.falling_ticks, s.leak_ms) == (0, 0, 0, 0)


@pytest.mark.parametrize("state", list(S))
def test_an_operation_without_a_number_is_possible_nowhere(state: DeviceState) -> None:
    latched = state in (S.SAFE, S.FAULT)

    found = answer(FirmwareState(state=int(state)), 0)  # type: ignore[arg-type]

    assert found is (Answer.FAULT_LATCHED if latched else Answer.WRONG_STATE)
    assert STATES_OF_OP[Op.STOP] == 0


@pytest.mark.requirement("SR-27")
@pytest.mark.parametrize("state", [S.SAFE, S.FAULT])
@pytest.mark.parametrize(
    ("quiet_ms", "expected"),
    [(999, Answer.FAULT_LATCHED), (1_000, Answer.ACCEPTED), (1_001, Answer.ACCEPTED)],
)
def test_a_trip_is_cleared_after_a_second_without_its_cause(
    state: DeviceState, quiet_ms: int, expected: Answer
) -> None:
    assert answer(FirmwareState(state=int(state), quiet_ms=quiet_ms), Op.CLEAR) is expected


@pytest.mark.requirement("SR-01")
@pytest.mark.parametrize(
    ("lease_left_ms", "expected"), [(0, Answer.NOT_AUTHORISED), (1, Answer.ACCEPTED)]
)
@pytest.mark.parametrize(
    ("op", "state", "fields"),
    [
        (Op.ARM, S.IDLE, {"cycles": 1}),
        (Op.PREWARM, S.STARTED, {"duration_ms": 1_000}),
        (Op.FREEZE, S.STARTED, {"setpoint_mdegc": -60_000, "duration_ms": 60_000}),
        (Op.THAW, S.THAW, {"mode": ThawMode.ACTIVE, "energy_mj": 1}),
        (Op.STIMULATE, S.IDLE, STIMULUS),
    ],
)
def test_whatever_drives_needs_the_last_millisecond_of_a_lease(
    op: Op, state: DeviceState, fields: dict[str, int], lease_left_ms: int, expected: Answer
) -> None:
    s = FirmwareState(
        state=int(state), lease_left_ms=lease_left_ms, leak_test_passed=True, cycles_left=1,
        valve_shut_ms=2_310, tip_mdegc=36_000,
    )  # fmt: skip

    assert answer(s, op, **fields) is expected


@pytest.mark.requirement("SR-41")
def test_turning_the_stimulator_off_needs_no_lease_and_the_weakest_stimulus_does() -> None:
    s = FirmwareState(state=int(S.STIMULATE))

    assert answer(s, Op.STIMULATE) is Answer.ACCEPTED
    assert answer(s, Op.STIMULATE, **{**STIMULUS, "stimulus_ua": 1}) is Answer.NOT_AUTHORISED
