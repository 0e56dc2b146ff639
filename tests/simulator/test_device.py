"""The whole simulated probe: regulation on the real plant, forks, determinism, power, truth."""

from __future__ import annotations

import pytest

from cryoctl_protocol.codes import DeviceState, EventCode, HostMode, Op, Result, ThawMode, Trip
from cryoctl_protocol.host_session import Phase
from cryoctl_protocol.messages import Event, Hello
from cryoctl_protocol.peer import AddressError, DeviceUrl, FaultPort, Hands, SyncPeer
from cryoctl_protocol.truth import TruthSample, TruthSource
from cryoctl_simulator.device import SimulatedDevice
from cryoctl_simulator.link import open_link
from cryoctl_simulator.plant import Actuators, Plant
from cryoctl_simulator.probe_file import load_simulated_probe
from cryoctl_simulator.scenario import HandTable, Scenario, load_scenario, shipped_scenarios
from tests.simulator.driver import Driver, open_device


def test_a_simulated_device_satisfies_the_seams() -> None:
    device = open_device("sim:")
    peer: SyncPeer = device
    faults: FaultPort = device
    truth: TruthSource = device
    assert {id(peer), id(faults), id(truth)} == {id(device)}


def test_whoever_looks_on_learns_what_can_be_broken_and_where_the_nerve_is() -> None:
    device = open_device("sim:?scenario=oblique-nerve")

    known = {fault.id: fault for fault in device.known()}
    place = device.nerve_place()
    assert known["tc_short"].group == "sensors"
    assert known["tc_short"].parameters == ("reads_c=25 °C",)
    assert next(iter(known)) == "tc_open"
    assert place is not None
    assert place.angle_deg > 0.0
    assert open_device("sim:?scenario=air-check").nerve_place() is None


@pytest.mark.parametrize(
    ("profile", "setpoint_c"), [("n2o-20g", -60.0), ("n2o-27gx3", -55.0), ("co2-20g", -60.0)]
)
def test_every_profile_holds_its_default_set_point_in_two_cycles(
    profile: str, setpoint_c: float
) -> None:
    driver = Driver(f"sim:{profile}?seed=5")
    driver.start(cycles=2)
    for _ in range(2):
        driver.messages.clear()
        driver.freeze(setpoint_c, 60)
        driver.run_s(59)
        samples = [(t.freeze_ms / 1000, t.tip_mdegc / 1000) for t in driver.telemetry()]
        reached_s = next(at for at, tip in samples if tip <= setpoint_c + 2.0)
        held = [abs(tip - setpoint_c) <= 2.0 for at, tip in samples if at > reached_s]
        assert reached_s < 20.0
        assert sum(held) / len(held) > 0.97
        assert min(tip for _, tip in samples) > setpoint_c - 4.0
        driver.thaw()
        driver.run_s(20)
    assert driver.trip is Trip.NONE


def test_an_active_thaw_melts_the_needle_loose_within_its_energy_and_without_burning() -> None:
    driver = Driver("sim:n2o-20g")
    driver.start()
    driver.freeze()
    driver.run_s(60)
    driver.messages.clear()
    driver.thaw()
    driver.run_s(15)
    assert max(t.thaw_energy_mj for t in driver.telemetry()) <= 5_000
    assert 5_000 < max(t.tip_mdegc for t in driver.telemetry()) < 20_000
    # The energy ends before the tip was warm for long enough: the tissue does the rest.
    driver.run_s(85)
    done = driver.dones()[-1]
    assert (done.op, done.result) == (Op.THAW, Result.OK)


def test_a_saved_and_loaded_device_continues_identically() -> None:
    first, second = (
        Driver("sim:n2o-20g?seed=9&fault=tc_spike@freeze+1s"),
        Driver("sim:n2o-20g?seed=9"),
    )
    first.start()
    first.freeze()
    first.run_s(5)
    second.device.load(first.device.save())
    first.device.inject("exhaust_blocked@17s")
    second.device.inject("exhaust_blocked@17s")
    for tick in range(first.ticks + 1, first.ticks + 400):
        now_s = tick / 20
        assert first.device.advance_to(now_s, b"") == second.device.advance_to(now_s, b"")
    assert first.device.plant.truth() == second.device.plant.truth()
    assert first.device.firmware is not None
    assert second.device.firmware is not None
    assert first.device.firmware.state == second.device.firmware.state
    assert first.trip in (Trip.EXHAUST_BLOCKED, Trip.LEASE)


def test_loading_leaves_the_saved_device_alone() -> None:
    driver = Driver("sim:")
    driver.start()
    saved = driver.device.save()
    driver.freeze()
    driver.run_s(10)
    driver.device.load(saved)
    assert driver.state is DeviceState.STARTED
    assert driver.device.plant.tip_temp_c == pytest.approx(37.0, abs=0.5)


@pytest.mark.requirement("SR-37")
def test_the_same_seed_sends_the_same_bytes_and_another_seed_others() -> None:
    def bytes_of(seed: int) -> bytes:
        driver = Driver(f"sim:?seed={seed}")
        driver.start()
        driver.freeze()
        driver.run_s(5)
        return driver.raw

    assert bytes_of(1) == bytes_of(1)
    assert bytes_of(1) != bytes_of(2)


def test_how_time_is_cut_does_not_change_what_is_sent() -> None:
    fine, coarse = open_device("sim:"), open_device("sim:")
    sent = b"".join(fine.advance_to(tick / 100, b"") for tick in range(1, 301))
    assert coarse.advance_to(3.0, b"") == sent


def test_bytes_are_seen_at_the_next_tick_and_none_are_lost_without_one() -> None:
    driver = Driver("sim:")
    driver.step()
    driver.host.open(driver.now_s)
    hello = b"\0" + b"".join(_wrapped(driver))
    device = driver.device
    assert device.advance_to(driver.now_s, hello) == b""
    driver.raw = b""
    sent = device.advance_to(driver.now_s + 0.01, b"")
    for body in driver.deframer.feed(sent):
        driver.host.on_body(body, driver.now_s)
    assert driver.host.phase is Phase.PROVING


def _wrapped(driver: Driver) -> list[bytes]:
    from cryoctl_protocol.framing import wrap

    return [wrap(body) for body in driver.host.outgoing()]


@pytest.mark.requirement("SR-26")
def test_after_a_power_cycle_the_device_is_idle_with_another_boot_id() -> None:
    driver = Driver("sim:?seed=3")
    driver.start()
    driver.freeze()
    driver.run_s(3)
    before = driver.host.hello
    driver.messages.clear()
    driver.device.power_cycle()
    assert not driver.is_driven()
    driver.run_s(0.1)
    hello = next(m for m in driver.messages if isinstance(m, Hello))
    assert before is not None
    assert hello.boot_id != before.boot_id
    assert (hello.device_id, hello.host_nonce) == (before.device_id, 0)
    assert driver.state is DeviceState.IDLE
    assert driver.trip is Trip.NONE


def test_serial_numbers_and_boot_ids_follow_from_the_seed() -> None:
    def boot_of(seed: int) -> tuple[bytes, int]:
        driver = Driver(f"sim:?seed={seed}")
        driver.run_s(0.1)
        hello = next(m for m in driver.messages if isinstance(m, Hello))
        return hello.device_id, hello.boot_id

    assert boot_of(1) == boot_of(1)
    assert boot_of(1)[0] != boot_of(2)[0]
    assert boot_of(1)[1] != boot_of(2)[1]


def test_the_truth_is_told_at_10_hz_to_those_who_subscribe() -> None:
    device = open_device("sim:")
    told: list[tuple[TruthSample, float]] = []
    device.subscribe(lambda sample, now_s: told.append((sample, now_s)))
    device.advance_to(1.05, b"")
    assert [now_s for _, now_s in told] == [n / 10 for n in range(1, 11)]
    assert told[0][0].tip_temp_c == pytest.approx(37.0, abs=0.5)


@pytest.mark.requirement("SR-01")
@pytest.mark.parametrize("seed", range(16))
def test_with_the_controller_stopped_at_any_moment_the_probe_is_safe_350_ms_later(
    seed: int,
) -> None:
    driver = Driver(f"sim:?seed={seed}")
    driver.start(cycles=1)
    driver.ask(Op.PREWARM, duration_ms=2_000)
    moment_s = driver.now_s + 0.05 + seed * 1.35
    frozen = False
    while driver.now_s < moment_s:
        driver.step()
        if driver.state is DeviceState.STARTED and not frozen:
            frozen = True
            driver.freeze(seconds=8)
        elif driver.state is DeviceState.THAW and driver.mode is HostMode.FREEZE:
            driver.thaw()
    driver.mode = None
    lease_tick = (driver.ticks - 1) // 2 * 2 * 5  # Leases leave at even controller ticks.
    for tick in range(driver.ticks * 5 + 1, lease_tick + 36):
        driver.device.advance_to(tick / 100, b"")
    assert not driver.is_driven()


def test_events_of_a_whole_cycle_come_in_order() -> None:
    driver = Driver("sim:")
    driver.start(cycles=1)
    driver.freeze(seconds=5)
    driver.run_s(6)
    driver.thaw(ThawMode.PASSIVE)
    driver.ask(Op.END)
    events = [m for m in driver.messages if isinstance(m, Event)]
    states = [DeviceState(e.state).name for e in events if e.code == EventCode.STATE]
    assert states == ["LEAK_TEST", "IDLE", "ARMED", "STARTED", "FREEZE", "THAW", "IDLE"]
    numbers = [e.number for e in events]
    assert numbers == list(range(numbers[0], numbers[0] + len(events)))


def hands_and_device(address: str) -> tuple[Hands, SimulatedDevice]:
    opened = open_link(DeviceUrl.parse(address))
    assert opened.hands is not None
    assert isinstance(opened.peer, SimulatedDevice)
    return opened.hands, opened.peer


def test_a_new_cartridge_is_full_and_as_warm_as_the_room_and_holds_dry_gas() -> None:
    hands, device = hands_and_device("sim:?scenario=low-gas")
    device.plant.moisture_ppm = 500.0
    before_g = device.plant.liquid_g
    device.plant.cartridge_temp_c = 5.0

    hands.change_cartridge()

    assert before_g < 4.0
    assert device.plant.cartridge.mass_g == pytest.approx(16.0, abs=0.001)
    assert device.plant.moisture_ppm == 0.0
    assert device.plant.cartridge_temp_c == 22.0
    assert device.plant.cartridge.pressure_bar == pytest.approx(52.9, abs=0.5)


def test_a_needle_put_elsewhere_lies_in_fresh_tissue_and_keeps_its_cartridge() -> None:
    driver = Driver("sim:?seed=3")
    device = driver.device
    driver.start(cycles=1)
    driver.freeze(-60.0, 30)
    driver.run_s(29)
    frozen_mm, mass_g = device.plant.ice_radius_mm, device.plant.cartridge.mass_g

    device.place(load_scenario(shipped_scenarios()["gel-bench"], "gel-bench.toml"))

    assert frozen_mm > 2.0
    assert device.plant.ice_radius_mm == 0.0
    assert device.plant.tissue.temp_c == 22.0
    assert device.plant.cartridge.mass_g == mass_g


def test_a_scenario_that_is_not_there_is_refused_when_it_is_put_up() -> None:
    hands, _ = hands_and_device("sim:")

    with pytest.raises(AddressError, match="scenario 'nowhere'"):
        hands.place("nowhere")
    with pytest.raises(AddressError, match="scenario 'nowhere'"):
        hands.check("nowhere")


def test_a_scenario_that_is_only_checked_moves_nothing() -> None:
    hands, device = hands_and_device("sim:")

    hands.check("gel-bench")

    assert device.plant.tissue.temp_c == 37.0


def test_a_needle_in_air_by_a_fault_stays_there_when_it_is_put_elsewhere() -> None:
    _, device = hands_and_device("sim:?fault=no_contact@1s:2s")
    device.advance_to(2.0, b"")

    device.place(Scenario())
    contact = device.plant.contact
    device.advance_to(4.0, b"")

    assert (contact, device.plant.contact) == (0.0, 1.0)
    assert [(note.began_s, note.ended_s) for note in device.history()] == [(1.0, 3.0)]


def test_room_and_hand_go_on_where_the_needle_is_put_elsewhere_and_the_body_is_another() -> None:
    # The gel's own room and hand would be 22 C and none.
    warm = Scenario(ambient_temp_c=30.0, hand=HandTable(conductance_w_k=0.3))
    plant = Plant(load_simulated_probe("n2o-20g").plant, warm)
    body_c = plant.skin_temp_c

    plant.place(load_scenario(shipped_scenarios()["gel-bench"], "gel-bench.toml"))
    placed_c = plant.skin_temp_c
    for _ in range(60_000):
        plant.step(Actuators())

    assert plant.scenario.ambient_temp_c == 30.0
    assert plant.scenario.hand.conductance_w_k == 0.3
    assert plant.scenario.tissue.preset == "gel_22c"
    assert body_c == placed_c == 33.0
    assert plant.skin_temp_c == pytest.approx(22.0, abs=0.5)
