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
from cryoctl_simulator.firmware_commands import judge
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
    [(15_000, Answer.ACCEPTED), (15_010, Answer.NOT_AUTHORISED)],
)
def test_start_is_refused_in_the_very_tick_after_10_s(now_ms: int, expected: Answer) -> None:
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


@pytest.mark.requirement("SR-27")
@pytest.mark.parametrize(
    ("s", "trip"),
    [
        (FirmwareState(tip_mdegc=-85_000, tip_plausible=True), Trip.TIP_FLOOR),
        (FirmwareState(leak_ms=1_000), Trip.LEAK),
    ],
)
def test_a_cause_that_was_told_is_passed_over(s: FirmwareState, trip: Trip) -> None:
    assert find_trip(N2O, s) == trip
    assert find_trip(N2O, s, 1 << trip) == Trip.NONE


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
