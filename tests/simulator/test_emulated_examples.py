"""Firmware of somebody else: the careless example, on the virtual board and on another one."""

from __future__ import annotations

import importlib.util
from importlib.util import find_spec
from pathlib import Path

import pytest

from cryoctl_protocol.codes import Answer, DeviceState, Op
from cryoctl_protocol.peer import LinkError
from cryoctl_simulator.device import SimulatedDevice
from cryoctl_simulator.emulated import build
from cryoctl_simulator.firmware_config import FirmwareConfig
from cryoctl_simulator.instruments import Instruments
from cryoctl_simulator.plant import Plant
from cryoctl_simulator.probe_file import load_simulated_probe
from cryoctl_simulator.scenario import Scenario
from tests.simulator.driver import Driver

pytest.importorskip("unicorn", reason="an emulated processor: pip install cryoctl[firmware]")
if find_spec("ziglang") is None:
    pytest.skip("no compiler: pip install cryoctl[firmware]", allow_module_level=True)

from cryoctl_simulator.emulated.board import VirtualBoard
from cryoctl_simulator.emulated.elf_file import ElfFile
from cryoctl_simulator.emulated.firmware import EmulatedFirmware, EmulatedProbe

EXAMPLE = build.board_folder().parent / "examples" / "careless"


def built(folder: Path, script: str, *flags: str) -> Path:
    out = folder / "careless.elf"
    sources = [EXAMPLE / "careless.c", *build.library_sources()]
    build.build(out, sources, linker_script=EXAMPLE / script, debug=True, more=flags)
    return out


@pytest.fixture(scope="module")
def careless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("elf"), "virtual.ld")


def freezing(careless: Path, query: str = "") -> Driver:
    driver = Driver(f"sim:?firmware=elf:{careless}{query}")
    driver.connect()
    driver.freeze()
    driver.run_s(1.0)
    assert driver.device.actuators.valve == 1.0
    return driver


def test_it_says_hello_takes_commands_and_freezes_the_tip(careless: Path) -> None:
    driver = freezing(careless)
    driver.run_s(5.0)

    assert driver.telemetry()[-1].state == DeviceState.FREEZE
    assert driver.telemetry()[-1].tip_mdegc < -20_000
    assert driver.command(Op.THAW) is Answer.ACCEPTED
    assert driver.device.actuators.valve == 0.0
    driver.run_s(0.1)
    assert driver.telemetry()[-1].state == DeviceState.THAW


def test_it_fails_sr_01_it_goes_on_freezing_when_its_controller_is_silent(careless: Path) -> None:
    driver = freezing(careless)
    driver.device.advance_to(driver.now_s + 1.0, b"")
    assert driver.device.actuators.valve == 1.0


def test_our_own_firmware_does_not_fail_sr_01() -> None:
    driver = Driver("sim:?firmware=emulated")
    driver.start()
    driver.freeze()
    driver.run_s(1.0)
    driver.device.advance_to(driver.now_s + 0.5, b"")
    assert driver.device.actuators.valve == 0.0


def test_it_fails_sr_18_it_goes_on_freezing_under_too_much_pressure(careless: Path) -> None:
    driver = freezing(careless, "&fault=cartridge_hot@0s")
    driver.run_s(9.0)
    assert driver.telemetry()[-1].supply_mbar > 68_000
    assert driver.device.actuators.valve == 1.0


def test_its_state_is_taken_from_what_it_sends_and_is_saved_with_it(careless: Path) -> None:
    driver = freezing(careless)
    saved = driver.device.save()
    sent = driver.device.advance_to(driver.now_s + 0.2, b"")
    driver.device.load(saved)

    assert driver.state is DeviceState.FREEZE
    assert driver.device.advance_to(driver.now_s + 0.2, b"") == sent


def test_the_hash_of_its_profile_is_that_of_the_provisioning_page(careless: Path) -> None:
    firmware = freezing(careless).device.firmware
    assert isinstance(firmware, EmulatedFirmware)
    before = firmware.profile_hash
    assert before == FirmwareConfig.shipped("n2o-20g").profile_hash
    firmware.profile_hash = before ^ 1
    assert firmware.profile_hash == before ^ 1


# -- another board -------------------------------------------------------------------------------


def hobby_board() -> type[VirtualBoard]:
    spec = importlib.util.spec_from_file_location("hobby_board", EXAMPLE / "hobby_board.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    board: type[VirtualBoard] = module.HobbyBoard
    return board


def test_the_same_source_runs_on_a_board_with_another_memory_map(tmp_path: Path) -> None:
    elf = ElfFile.read(built(tmp_path, "hobby.ld", "-DHOBBY_BOARD"))
    probe = load_simulated_probe("n2o-20g")
    device = SimulatedDevice(
        probe.firmware,
        Plant(probe.plant, Scenario()),
        Instruments(seed=1),
        seed=1,
        build=EmulatedProbe(elf, hobby_board()),
    )
    driver = Driver("sim:")
    driver.device = device
    driver.connect()
    driver.freeze()
    driver.run_s(2.0)

    assert device.actuators.valve == 1.0
    assert driver.telemetry()[-1].tip_mdegc < 20_000
    assert driver.telemetry()[-1].tip_mdegc % 100 == 0


def test_firmware_for_another_board_is_refused_by_the_virtual_one(tmp_path: Path) -> None:
    path = built(tmp_path, "hobby.ld", "-DHOBBY_BOARD")
    with pytest.raises(LinkError, match=r"lie outside the board's flash"):
        Driver(f"sim:?firmware=elf:{path}")
