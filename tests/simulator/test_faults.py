"""The fault catalogue: what is asked for happens, when it is asked for, and the probe answers."""

from __future__ import annotations

import pytest

from cryoctl_protocol.codes import Answer, DeviceState, HostMode, Op, Result, Trip
from cryoctl_protocol.messages import Hello
from cryoctl_simulator.faults import CATALOGUE, Condition, Injection, parse_fault
from tests.simulator.driver import TREATMENT, Driver, open_device


@pytest.mark.parametrize(
    ("text", "ticks", "state", "condition", "duration_ticks"),
    [
        ("tc_open@12s", 1200, None, None, None),
        ("tc_open@0.25s:5s", 25, None, None, 500),
        ("tc_open@freeze+3s", 300, DeviceState.FREEZE, None, None),
        ("tc_open@freeze", 0, DeviceState.FREEZE, None, None),
        ("tc_open@thaw+1s:0.01s", 100, DeviceState.THAW, None, 1),
        ("tc_open@leak_test+1s", 100, DeviceState.LEAK_TEST, None, None),
        ("tc_open@armed", 0, DeviceState.ARMED, None, None),
        ("tc_open@safe:1s", 0, DeviceState.SAFE, None, 100),
        ("tc_open@tip_c<-60", 0, None, Condition("tip_c", True, -60.0), None),
        (" tc_open@tip_c<-60.5:2s ", 0, None, Condition("tip_c", True, -60.5), 200),
        ("tc_open@supply_bar>60", 0, None, Condition("supply_bar", False, 60.0), None),
    ],
)
def test_a_fault_is_asked_for_by_time_state_or_condition(
    text: str,
    ticks: int,
    state: DeviceState | None,
    condition: Condition | None,
    duration_ticks: int | None,
) -> None:
    expected = Injection(CATALOGUE["tc_open"], ticks, state, condition, duration_ticks)
    assert parse_fault(text) == expected


def test_every_state_of_the_probe_can_be_waited_for() -> None:
    for state in DeviceState:
        assert parse_fault(f"tc_open@{state.name.lower()}+1s").state is state


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("tc_drift@1s", {"rate_c_per_s": 0.5, "max_c": 40.0}),
        ("tc_drift(rate_c_per_s=-0.2)@freeze+3s:5s", {"rate_c_per_s": -0.2, "max_c": 40.0}),
        ("tc_drift( rate_c_per_s = 1, max_c=2.5 )@1s", {"rate_c_per_s": 1.0, "max_c": 2.5}),
        ("tc_open@1s", {}),
    ],
)
def test_a_fault_may_be_given_numbers_of_its_own(text: str, values: dict[str, float]) -> None:
    assert parse_fault(text).values == values


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tc_opne@12s", "unknown fault 'tc_opne'; did you mean 'tc_open'?"),
        ("zzz@12s", "unknown fault 'zzz'; `cryoctl faults` lists them"),
        ("TC_OPEN@12s", "unknown fault 'TC_OPEN'; did you mean 'tc_open'?"),
        ("host_dead@1s", "'host_dead' befalls the computer, and no probe can be given it"),
        ("tc_open", "expected ID@WHEN[:DURATION] or ID(NAME=NUMBER,...)@WHEN"),
        ("", "expected ID@WHEN[:DURATION]"),
        ("tc_open@12", "'12' is no moment; expected ID@WHEN"),
        ("tc_open@-1s", "'-1s' is no moment"),
        ("tc_open@hold+3s", "'hold+3s' is no moment"),
        ("tc_open@freeze-3s", "'freeze-3s' is no moment"),
        ("tc_open@tip_c=-60", "'tip_c=-60' is no moment"),
        ("tc_open@tip_f<-60", "'tip_f<-60' is no moment"),
        ("tc_open(rate=1)@1s", "tc_open has no 'rate'; it has none"),
        ("tc_drift(rate=1)@1s", "tc_drift has no 'rate'; known: rate_c_per_s, max_c"),
        ("tc_drift(max_c=1,max_c=2)@1s", "max_c is given twice"),
        ("tc_drift(maxc=1)@1s", "tc_drift has no 'maxc'; did you mean 'max_c'?"),
        ("tc_drift(max_c)@1s", "'max_c' is no NAME=NUMBER"),
        ("tc_drift(max_c=nan)@1s", "'max_c=nan' is no NAME=NUMBER"),
        ("tc_drift()@1s", "'' is no NAME=NUMBER"),
        ("tc_drift(max_c=0)@1s", "max_c 0 is out of range (0.1 to 100 °C)"),
        ("tc_drift(max_c=1@1s", "expected ID@WHEN"),
        ("tc_open@12s:5", "'5' is no duration; write one such as 5s"),
        ("tc_open@12s:0s", "'0s' is no duration"),
        ("tc_open@12s:0.001s", "at least 0.01s"),
        ("tc_open@nans", "'nans' is no moment"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_is_allowed(text: str, words: str) -> None:
    with pytest.raises(ValueError, match="fault '") as caught:
        parse_fault(text)
    assert words in str(caught.value)


def test_every_fault_names_hazard_requirement_part_and_text() -> None:
    for fault_id, fault in CATALOGUE.items():
        assert fault.fault_id == fault_id
        assert {hazard[:2] for hazard in fault.hazards} == {"H-"}
        assert fault.requirement.startswith("SR-")
        assert "" not in (fault.acts_on, fault.text)


def treat(url: str) -> Driver:
    """One cycle at -55 C: 25 s of freezing, an active thaw of 20 s; ends early on a trip."""
    driver = Driver(url)
    driver.start(cycles=1)
    driver.freeze(-55, 30)
    for _ in range(25 * 20):
        driver.step()
        if driver.state is not DeviceState.FREEZE:
            break
    if driver.state is DeviceState.FREEZE:
        driver.thaw()
        driver.run_s(20)
    return driver


# Fault, where it shows, the probe's own answer, and the longest time from fault to trip.
@pytest.mark.parametrize(
    ("fault", "trip", "within_s"),
    [
        ("tc_open@freeze+15s", Trip.TIP_SENSOR, 0.1),
        ("tc_open@thaw+0.5s", Trip.TIP_SENSOR, 0.1),
        ("valve_stuck_open@thaw", Trip.VALVE_STUCK, 2.4),
        ("cartridge_hot@freeze+15s", Trip.OVERPRESSURE, 0.3),
        ("exhaust_blocked@freeze+15s", Trip.EXHAUST_BLOCKED, 0.3),
        ("vbat_low@freeze+15s", Trip.BATTERY, 0.5),
        ("heater_stuck_on@thaw", Trip.HEATER, 15.0),
    ],
)
def test_a_fault_ends_in_the_trip_that_the_catalogue_expects(
    fault: str, trip: Trip, within_s: float
) -> None:
    fault_id = fault.partition("@")[0]
    driver = treat(f"sim:n2o-20g?seed=2&fault={fault}")
    began_ms = _began_ms(driver, fault)
    first = driver.trips()[0]
    assert CATALOGUE[fault_id].trip is trip
    assert (Trip(first.trip), driver.state) == (trip, DeviceState.FAULT)
    assert 0 <= first.device_ms - began_ms <= within_s * 1000
    assert driver.device.actuators.valve == 0.0
    assert not driver.device.actuators.shutoff_open


def _began_ms(driver: Driver, fault: str) -> int:
    phase, _, delay = fault.partition("@")[2].partition("+")
    state = {"freeze": DeviceState.FREEZE, "thaw": DeviceState.THAW}[phase]
    entered_ms = next(t.device_ms for t in driver.telemetry() if t.state == state)
    return entered_ms - 20 + round(float(delay.removesuffix("s") or 0) * 1000)


@pytest.mark.requirement("SR-16")
def test_a_heater_that_is_stuck_on_is_cut_off_by_its_supply() -> None:
    driver = treat("sim:n2o-20g?fault=heater_stuck_on@freeze+1s")
    frozen = [t for t in driver.telemetry() if t.state == DeviceState.FREEZE]
    assert min(t.tip_mdegc for t in frozen) < -50_000
    assert driver.trip is Trip.HEATER
    assert driver.device.actuators.tip_heater == 0.0
    driver.run_s(5)
    assert driver.device.plant.tip_temp_c < 43.0


@pytest.mark.requirement("SR-11")
def test_isolated_spikes_do_not_trip() -> None:
    assert treat("sim:n2o-20g?fault=tc_spike@freeze+2s").trips() == []


@pytest.mark.parametrize(
    "fault",
    [
        "tc_drift",
        "tc_frozen",
        "skin_open",
        "skin_cold",
        "valve_stuck_closed",
        "gas_empty",
        "gas_low",
        "orifice_blocked",
        "no_contact",
        "leak_supply",
    ],
)
def test_what_only_the_controller_can_tell_shows_in_telemetry_and_never_cools_below_minus_100(
    fault: str,
) -> None:
    driver = Driver(f"sim:n2o-20g?fault={fault}@freeze+10s")
    coldest_c = 0.0

    def note(_sample: object, _now_s: float) -> None:
        nonlocal coldest_c
        coldest_c = min(coldest_c, driver.device.plant.tip_temp_c)

    driver.device.subscribe(note)
    healthy = Driver("sim:n2o-20g")
    for each in (healthy, driver):
        each.start(cycles=1)
        each.freeze(-55, 30)
        each.run_s(25)
    last, same = driver.telemetry()[-1], healthy.telemetry()[-1]
    assert last != same
    assert coldest_c > -100.0
    assert driver.trip is Trip.NONE or driver.trip is CATALOGUE[fault].trip


@pytest.mark.requirement("SR-19")
def test_a_leak_before_the_treatment_fails_the_leak_test_and_refuses_to_arm() -> None:
    driver = Driver("sim:n2o-20g?fault=leak_supply@0s")
    driver.connect()
    driver.ask(Op.LEAK_TEST)
    driver.run_s(12)
    done = driver.dones()[-1]
    assert (done.op, done.result) == (Op.LEAK_TEST, Result.FAILED)
    assert done.detail > 1_000
    refused = driver.command(Op.ARM, treatment_hash=TREATMENT, cycles=1)
    assert refused is Answer.NOT_AUTHORISED


def test_a_fault_with_a_duration_ends_and_the_hardware_is_whole_again() -> None:
    device = open_device("sim:?fault=valve_stuck_closed@0.5s:0.5s")
    held = []
    for tick in range(1, 151):
        device.advance_to(tick / 100, b"")
        held.append(device.plant.valve_held)
    assert held[48:50] == [None, 0.0]
    assert held[98:100] == [0.0, None]
    assert held.count(0.0) == 50


def test_a_fault_by_phase_waits_for_the_first_entry_after_it_was_asked_for() -> None:
    driver = Driver("sim:n2o-20g")
    driver.start(cycles=2)
    driver.freeze(-50, 3)
    driver.run_s(1)
    driver.device.inject("tc_open@freeze+1s")
    driver.run_s(3)
    assert driver.trip is Trip.NONE
    driver.mode = HostMode.IDLE
    driver.freeze(-50, 3)
    driver.run_s(0.8)
    early = driver.trip
    driver.run_s(0.3)
    assert (early, driver.trip) == (Trip.NONE, Trip.TIP_SENSOR)


def test_a_fault_by_temperature_waits_for_the_true_tip() -> None:
    driver = Driver("sim:n2o-20g?fault=orifice_blocked@tip_c<-30")
    driver.start(cycles=1)
    driver.freeze(-60, 20)
    driver.run_s(10)
    coldest_c = min(t.tip_mdegc for t in driver.telemetry()) / 1000
    assert -40.0 < coldest_c < -25.0
    assert driver.telemetry()[-1].tip_mdegc > -20_000


@pytest.mark.requirement("SR-01")
def test_a_disconnect_is_silent_both_ways_and_ends_safe() -> None:
    driver = Driver("sim:n2o-20g?fault=disconnect@freeze+2s:3s")
    driver.start(cycles=1)
    driver.freeze(-60, 20)
    driver.run_s(2.1)
    driver.raw = b""
    driver.run_s(2.5)
    assert driver.raw == b""
    assert (driver.state, driver.trip) == (DeviceState.FAULT, Trip.LEASE)
    driver.run_s(1)
    assert driver.raw != b""


@pytest.mark.requirement("SR-23")
def test_babble_spoils_some_frames_and_not_all() -> None:
    driver = Driver("sim:n2o-20g?fault=babble@1s")
    driver.connect()
    driver.run_s(1)
    before = driver.deframer.rejects.total()
    received = len(driver.telemetry())
    driver.run_s(1)
    assert driver.deframer.rejects.total() - before > 5
    assert 30 <= len(driver.telemetry()) - received <= 45


@pytest.mark.requirement("SR-26")
def test_a_power_cut_shuts_everything_and_ends_with_a_new_boot() -> None:
    driver = Driver("sim:n2o-20g?fault=power_cut@freeze+2s:1s")
    driver.start(cycles=1)
    driver.freeze(-60, 20)
    before = driver.host.hello
    driver.run_s(2.1)
    assert driver.state is None
    assert not driver.is_driven()
    driver.messages.clear()
    driver.run_s(1)
    hello = next(m for m in driver.messages if isinstance(m, Hello))
    assert before is not None
    assert hello.boot_id != before.boot_id
    assert driver.state is DeviceState.IDLE
