"""Every fault of the catalogue acts: what it claims to change does change, and it ends."""

from __future__ import annotations

from functools import cache

import pytest

from cryoctl_protocol.codes import DeviceState, Op
from cryoctl_simulator.device import SimulatedDevice
from cryoctl_simulator.fault_device import FLIPPED
from cryoctl_simulator.fault_row import Observable
from cryoctl_simulator.faults import CATALOGUE
from cryoctl_simulator.firmware_model import FirmwareModel
from cryoctl_simulator.instruments import Readings
from cryoctl_simulator.plant import Plant
from cryoctl_simulator.tissue import Tissue
from tests.simulator.driver import Driver, open_device

O = Observable  # noqa: E741
URL = "sim:n2o-20g"
NEEDS_THAW = {
    "heater_stuck_on", "heater_dead", "shutoff_stuck_open", "valve_leak"
}  # fmt: skip
NEEDS_STIMULUS = {"stimulator_dead"}
NEEDS_PREWARM = {"warmer_stuck_on"}
LINES = 60  # Ticks of what a controller says, from the moment at which worlds are compared.


class Talk(Driver):
    """A driver that notes what it sends, so that it can be said again to another probe."""

    said: list[bytes]

    def step(self) -> None:
        if not hasattr(self, "said"):
            self.said = []
        before = self.device.advance_to

        def noting(now_s: float, incoming: bytes) -> bytes:
            self.said.append(incoming)
            return before(now_s, incoming)

        self.device.advance_to = noting  # type: ignore[method-assign]
        try:
            super().step()
        finally:
            del self.device.advance_to


@cache
def moment(state: DeviceState) -> tuple[bytes, float, tuple[bytes, ...]]:
    """Return a probe in a state, when that is, and what its controller goes on to say, 20 a s."""
    talk = Talk(URL)
    if state is DeviceState.STIMULATE:
        talk.connect()
        talk.run_s(3.0)
        stimulus = {"stimulus_ua": 1000, "stimulus_hz": 2, "stimulus_pulse_us": 100}
        talk.ask(Op.STIMULATE, duration_ms=20_000, **stimulus)
    elif state is DeviceState.PREWARM:
        talk.start(cycles=1)
        talk.ask(Op.PREWARM, duration_ms=120_000)
        talk.run_s(10.0)  # The warmer needs less than its full power by then.
    else:
        talk.start(cycles=1)
        talk.freeze(-50, 60)
        talk.run_s(20.0)
        if state is DeviceState.THAW:
            talk.thaw()
            talk.run_s(2.8)  # The heater waits for melting ice: it comes on within the next second.
    assert talk.state is state
    saved, now_s, count = talk.device.save(), talk.now_s, len(talk.said)
    talk.run_s(LINES / 20)
    return saved, now_s, tuple(talk.said[count:])


def state_for(fault_id: str) -> DeviceState:
    """Return a state in which the fault has something to act on."""
    if fault_id in NEEDS_THAW:
        return DeviceState.THAW
    if fault_id in NEEDS_PREWARM:
        return DeviceState.PREWARM
    return DeviceState.STIMULATE if fault_id in NEEDS_STIMULUS else DeviceState.FREEZE


class World:
    """A probe that hears what was said to another one, and all that can be seen of it."""

    def __init__(self, state: DeviceState, fault: str = "") -> None:
        saved, self.start_s, self.said = moment(state)
        self.device = open_device(URL)
        self.device.load(saved)
        self.sent: list[bytes] = []
        self.seen: list[dict[Observable, object]] = []
        if fault:
            self.device.inject(fault)

    def run(self, ticks: int) -> None:
        for _ in range(ticks):
            tick = len(self.sent)
            heard = self.said[tick // 5] if tick % 5 == 0 else b""
            now_s = self.start_s + (tick + 1) / 100
            self.sent.append(self.device.advance_to(now_s, heard))
            self.seen.append(look(self.device, self.sent[-1]))


def look(device: SimulatedDevice, sent: bytes) -> dict[Observable, object]:
    plant, readings = device.plant, device.instruments.readings
    actuators, firmware = device.actuators, device.firmware
    stuck = plant.shutoff_stuck
    found: dict[Observable, object] = {
        O.TIP_READING: readings.tip_mdegc,
        O.SKIN_READING: readings.skin_mdegc,
        O.SUPPLY_READING: readings.supply_mbar,
        O.EXHAUST_READING: readings.exhaust_mbar,
        O.FLOW_READING: readings.exhaust_flow_ug_s,
        O.BATTERY_READING: readings.battery_mv,
        O.BUTTON: readings.button,
        O.OPEN_CIRCUIT: readings.open_circuit,
        O.TIP: plant.tip_temp_c,
        O.SKIN: plant.skin_temp_c,
        O.FLOW: plant.needle_flow_mg_s,
        O.SHUTOFF: actuators.shutoff_open if stuck is None else stuck,
        O.VENTED: plant.vented_g,
        O.CARTRIDGE: (plant.liquid_g, plant.cartridge_temp_c),
        O.HEATER: actuators.tip_heater,
        O.STIMULUS: actuators.stimulus_ma,
        O.BOOTS: device.boots,
        O.FRAMES_UP: sent,
    }
    if isinstance(firmware, FirmwareModel):
        state, session = firmware.state, firmware.session
        found |= {
            O.TICKS: state.tick_count,
            O.CLOCK: state.now_ms,
            O.SEQUENCE: state.now_ms - state.state_since_ms,
            O.MEMORY: [getattr(state, name) for name in FLIPPED],
            O.IDENTITY: session.identity.profile_hash,
            O.FRAMES_DOWN: (session.lease_count, session.rejects.total()),
        }
    return found


def _perfusion(plant: Plant) -> float:
    assert isinstance(plant.tissue, Tissue)
    return plant.tissue._curves.perfusion


def broken(device: SimulatedDevice) -> list[object]:
    """Return what faults hold in the hardware."""
    plant = device.plant
    return [
        plant.valve_held, plant.shutoff_stuck, plant.exhaust_open_fraction,
        plant.orifice_open_fraction, plant.supply_leak_mg_s, plant.tip_leak_fraction,
        plant.contact, plant.battery.sag_mv, plant._valve_keep, _perfusion(plant),
    ]  # fmt: skip


@pytest.mark.parametrize("fault_id", CATALOGUE)
def test_a_fault_changes_what_it_says_it_changes_and_ends(fault_id: str) -> None:
    state = state_for(fault_id)
    healthy, faulty = World(state), World(state, f"{fault_id}@0s:1s")
    whole = broken(faulty.device)

    healthy.run(100)
    faulty.run(100)

    observable = CATALOGUE[fault_id].observable
    assert [seen.get(observable) for seen in faulty.seen] != [
        seen.get(observable) for seen in healthy.seen
    ]
    assert faulty.device.history()[0].ended_s is None
    faulty.run(1)
    began_s, ended_s = faulty.device.history()[0][1:]
    assert began_s == pytest.approx(faulty.start_s + 0.01)
    assert ended_s == pytest.approx(faulty.start_s + 1.01)
    assert broken(faulty.device) == whole


@pytest.mark.parametrize("fault_id", CATALOGUE)
def test_a_world_saved_amid_a_fault_goes_on_as_the_one_it_was_saved_from(fault_id: str) -> None:
    world = World(state_for(fault_id), f"{fault_id}@0s:1s")
    world.run(50)
    twin = World(state_for(fault_id))
    twin.device.load(world.device.save())
    twin.sent, twin.seen = world.sent[:], world.seen[:]

    world.run(150)
    twin.run(150)

    assert twin.sent == world.sent
    assert twin.seen == world.seen
    assert twin.device.history() == world.device.history()


@pytest.mark.parametrize(
    "fault_id", [fault_id for fault_id, fault in CATALOGUE.items() if fault.readings is not None]
)
def test_readings_are_true_again_once_a_sensor_is_mended(fault_id: str) -> None:
    healthy, faulty = open_device(URL), open_device(f"{URL}?fault={fault_id}@0.5s:1s")
    told: list[list[list[object]]] = [[], []]
    for tick in range(1, 301):
        for device, readings in zip((healthy, faulty), told, strict=True):
            device.advance_to(tick / 100, b"")
            names = Readings.__slots__
            readings.append([getattr(device.instruments.readings, name) for name in names])

    assert told[0][:49] == told[1][:49]
    assert told[0][49:149] != told[1][49:149]
    assert told[0][149:] == told[1][149:]


def test_faults_of_the_same_part_do_not_mend_each_other() -> None:
    device = open_device(f"{URL}?fault=valve_stuck_open@0.1s:0.5s&fault=valve_stuck_closed@0.2s:1s")
    device.advance_to(0.15, b"")
    first = device.plant.valve_held
    device.advance_to(0.9, b"")
    second = device.plant.valve_held
    device.advance_to(1.3, b"")

    assert (first, second, device.plant.valve_held) == (1.0, 0.0, None)


def test_a_fault_is_cleared_present_or_waiting() -> None:
    device = open_device(f"{URL}?fault=exhaust_blocked@0.1s&fault=exhaust_blocked@9s")
    device.advance_to(0.5, b"")
    was = device.plant.exhaust_open_fraction

    assert device.clear("exhaust_blocked") == 2
    assert device.clear("exhaust_blocked") == 0
    assert (was, device.plant.exhaust_open_fraction) == (0.0, 1.0)
    assert [note.ended_s for note in device.history()] == [0.5, None]


@pytest.mark.requirement("SR-01")
@pytest.mark.parametrize("state", [DeviceState.FREEZE, DeviceState.THAW, DeviceState.STIMULATE])
def test_a_firmware_that_hangs_is_reset_by_the_watchdog_with_all_outputs_off(
    state: DeviceState,
) -> None:
    world = World(state, "hang@0s")
    world.run(1)
    boots = world.device.boots
    driven = []
    for _ in range(30):
        world.run(1)
        actuators = world.device.actuators
        on = actuators.valve or actuators.tip_heater or actuators.stimulus_ma
        driven.append(bool(on or actuators.skin_warmer or actuators.shutoff_open))

    # Nothing but the watchdog ends it: 500 ms is the bound from the fault to the safe state.
    assert driven.index(False) == 13
    assert True not in driven[13:]
    assert world.device.boots == boots + 1
    assert world.device.firmware is not None
    assert world.device.firmware.state.state == DeviceState.IDLE


@pytest.mark.requirement("SR-05")
@pytest.mark.parametrize("profile", ["n2o-20g", "co2-20g"])
def test_the_wrong_gas_never_makes_a_tip_colder_than_100_c(profile: str) -> None:
    driver = Driver(f"sim:{profile}?fault=gas_wrong@freeze+1s")
    driver.start(cycles=1)
    driver.freeze(-60, 60)
    tips_c = []
    for _ in range(40 * 20):
        driver.step()
        tips_c.append(driver.device.plant.tip_temp_c)

    assert -100.0 < min(tips_c) < -50.0


@pytest.mark.requirement("SR-09")
def test_a_sequence_that_stands_still_is_ended_by_the_timer_that_counts_ticks() -> None:
    driver = Driver(f"{URL}?fault=stuck_scheduler@freeze+1s")
    driver.start(cycles=1)
    driver.freeze(-50, 10)
    driver.run_s(9.9)
    early = driver.state
    driver.run_s(0.3)

    assert early is DeviceState.FREEZE
    assert [event.trip for event in driver.trips()] == [4]  # FREEZE_TIMER


@pytest.mark.requirement("SR-24")
def test_frames_that_are_replayed_are_never_carried_out() -> None:
    driver = Driver(URL)
    driver.connect()
    driver.device.inject("replay_old(per_s=100)@armed+1s")
    driver.run_s(0.5)
    driver.ask(Op.LEAK_TEST)
    driver.run_s(12)
    driver.ask(Op.ARM, treatment_hash=1, cycles=1)
    driver.run_s(0.9)
    states = set()
    for _ in range(200):
        driver.step()
        states.add(driver.state)

    assert states <= {DeviceState.ARMED, DeviceState.IDLE, DeviceState.FAULT}
    assert isinstance(driver.device.firmware, FirmwareModel)
    assert driver.device.firmware.session.rejects.total() > 100


@pytest.mark.requirement("SR-25")
def test_a_second_master_gets_nothing_but_its_stop() -> None:
    world = World(DeviceState.FREEZE, "dual_master(stop_after_s=0.4)@0s")
    world.run(35)
    firmware = world.device.firmware
    assert isinstance(firmware, FirmwareModel)
    before = firmware.state.state
    world.run(10)

    assert before == DeviceState.FREEZE
    assert firmware.state.state == DeviceState.SAFE
    assert firmware.state.trip == 20  # OPERATOR_STOP
    assert firmware.session.rejects.total() >= 2


def test_what_was_sent_late_still_arrives_after_the_fault_is_over() -> None:
    world = World(DeviceState.FREEZE, "delay(up_ms=300,down_ms=0)@0s:0.2s")
    fair = World(DeviceState.FREEZE)
    world.run(100)
    fair.run(100)

    assert b"".join(world.sent[:20]) == b""
    assert b"".join(world.sent) == b"".join(fair.sent)
    assert world.sent[50:] == fair.sent[50:]


def test_without_faults_and_with_them_all_over_a_probe_does_the_same() -> None:
    plain, done = World(DeviceState.FREEZE), World(DeviceState.FREEZE, "button_stuck@0s:0.1s")
    plain.run(200)
    done.run(200)

    assert done.sent[30:] == plain.sent[30:]
    assert not done.device._faults.is_busy
