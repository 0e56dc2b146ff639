"""The two oracles of the assurance programs: each finds what it is there for, and nothing else."""

from __future__ import annotations

import pytest

from cryoctl.cycle_table import Phase
from cryoctl_hil.assurance.claims import plan_of
from cryoctl_hil.assurance.golden import GOLDEN, nominal_run
from cryoctl_hil.assurance.oracles import SafetyWatch
from cryoctl_hil.layers import device_interlocks_off, host_interlocks_off
from cryoctl_hil.world import World
from cryoctl_protocol.codes import Op, SafeAction, Trip
from cryoctl_protocol.device_session import DeviceSession
from cryoctl_protocol.messages import Stop
from cryoctl_protocol.profile import profile_names
from cryoctl_simulator.firmware_model import FirmwareModel
from cryoctl_simulator.instruments import SensorFault, SensorName
from tests.support.protocol_builders import command


@pytest.fixture(scope="module")
def frozen() -> World:
    """Return a world in the middle of a hold."""
    world = World(plan=plan_of(30.0, thaw="active"))
    world.run(within_s=100.0, until=lambda world: world.controller.phase is Phase.HOLD)
    return world


def violations_of(world: World, data: bytes, *, for_s: float) -> set[str]:
    """Return which requirements are violated in a world without any interlock."""
    world.load(data)
    with host_interlocks_off(), device_interlocks_off():
        world.run(within_s=for_s)
    return {text.split(" at ")[0] for text in world.watch.violations}


@pytest.mark.parametrize(
    ("sensor", "fault", "violated"),
    [
        (SensorName.TIP, SensorFault(held=-84_999), set()),
        (SensorName.TIP, SensorFault(open_circuit=True), {"SR-11"}),
        (SensorName.SUPPLY_PRESSURE, SensorFault(held=68_000), set()),
        (SensorName.SUPPLY_PRESSURE, SensorFault(held=68_001), {"SR-18"}),
    ],
)
def test_without_interlocks_the_oracle_says_what_is_unsafe(
    frozen: World, sensor: SensorName, fault: SensorFault, violated: set[str]
) -> None:
    data = frozen.save()
    frozen.device.instruments.set_fault(sensor, fault)

    found = violations_of(frozen, frozen.save(), for_s=1.0)
    frozen.load(data)

    assert found == violated


def test_a_lost_host_and_no_lease_watch_is_unsafe(frozen: World) -> None:
    data = frozen.save()
    frozen.line.cut_to_device = True

    found = violations_of(frozen, frozen.save(), for_s=3.0)
    frozen.load(data)

    assert "SR-01" in found


@pytest.mark.requirement("SR-01")
def test_a_probe_that_believes_a_lease_for_too_long_is_unsafe(
    frozen: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = frozen.save()
    monkeypatch.setattr(DeviceSession, "lease_left_ms", lambda _session, _now_ms: 3000)
    frozen.load(data)  # Its watch begins anew.
    frozen.line.cut_to_device = True

    frozen.run(within_s=1.0)
    found = frozen.watch.violations
    frozen.load(data)

    assert [text.split(" at ")[0] for text in found] == ["SR-01"]


@pytest.mark.parametrize(("cleared", "violated"), [(True, set()), (False, {"SR-27"})])
def test_another_first_cause_is_a_violation_unless_the_old_one_was_cleared(
    frozen: World, cleared: bool, violated: set[str]
) -> None:
    """CLEAR and a STOP may come in one tick, of which a watch sees the end alone."""
    data = frozen.save()
    firmware = frozen.device.firmware
    assert isinstance(firmware, FirmwareModel)
    firmware._on_stop(Stop(1, 0, SafeAction.OFF, Trip.OPERATOR_STOP))
    watch = SafetyWatch()
    watch.look(frozen.controller, frozen.device, 100.0)
    if cleared:
        firmware._on_clear(command(Op.CLEAR))
        firmware._on_stop(Stop(2, 0, SafeAction.OFF, Trip.TICK_LATE))
    firmware.state.trip = int(Trip.TICK_LATE)
    firmware.state.tick_count += 1
    watch.look(frozen.controller, frozen.device, 100.01)
    frozen.load(data)

    # The valve is still open: what was called by hand was not followed by a tick of the firmware.
    assert {text.split(" at ")[0] for text in watch.violations} - {"SR-26"} == violated


def test_a_true_tip_of_minus_100_c_is_unsafe_whatever_the_sensors_say(frozen: World) -> None:
    data = frozen.save()
    for tip_c, found in ((-99.9, 0), (-100.0, 1)):
        frozen.load(data)
        frozen.device.plant.tip_temp_c = tip_c
        frozen.watch.look(frozen.controller, frozen.device, frozen.now_s)

        assert len(frozen.watch.violations) == found
    frozen.load(data)


def test_every_built_in_treatment_has_its_golden_trace() -> None:
    assert set(GOLDEN) == set(profile_names())


def test_a_healthy_probe_treats_and_is_safe() -> None:
    run = nominal_run("template", seed=2)

    assert run.does_not_treat("template") == []
    assert run.violations == ()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("valve_stuck_closed@freeze+5s", "verdict NOT_EFFECTIVE, not PASS"),
        ("tc_open@freeze+5s", "tripped: TIP_SENSOR"),
        ("gas_low@freeze+5s", "verdict NOT_EFFECTIVE, not PASS"),
    ],
)
def test_a_probe_that_does_not_treat_is_told_why(fault: str, words: str) -> None:
    run = nominal_run("template", query=f"fault={fault}")

    assert any(words in text for text in run.does_not_treat("template"))
    assert run.violations == ()
