"""The project's own firmware as machine code: the same bytes as the model, faults included."""

from __future__ import annotations

import hashlib
import re
import struct
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from cryoctl_hil.assurance.walks import WALKS
from cryoctl_hil.back_to_back import run_faults, run_hostile
from cryoctl_protocol.codes import DeviceState
from cryoctl_protocol.peer import DeviceUrl
from cryoctl_simulator.device import SimulatedDevice
from cryoctl_simulator.emulated import build
from cryoctl_simulator.emulated.board import VirtualBoard
from cryoctl_simulator.emulated.peripherals import Actuators
from cryoctl_simulator.firmware import FirmwareError
from cryoctl_simulator.firmware_config import FirmwareConfig
from cryoctl_simulator.firmware_state import FirmwareState
from cryoctl_simulator.link import open_link
from tests.simulator.driver import Driver
from tests.support.programs import needed_modules

needed_modules("unicorn", "elftools")

from cryoctl_simulator.emulated.elf_file import ElfFile, Symbol
from cryoctl_simulator.emulated.firmware import EmulatedFirmware, EmulatedProbe
from cryoctl_simulator.emulated.measure import Meter, measure

PAIR = ("model", "emulated")


def course(url: str) -> tuple[int, str]:
    """Return how much a probe sends from power-up to a thaw, and its hash."""
    driver = Driver(url)
    driver.start()
    driver.freeze()
    driver.run_s(6.0)
    if driver.state is DeviceState.FREEZE:
        driver.thaw()
    driver.run_s(3.0)
    return len(driver.raw), hashlib.sha256(driver.raw).hexdigest()


def freezing(name: str = "emulated") -> Driver:
    """Return a controller in the middle of a freeze."""
    driver = Driver(f"sim:?firmware={name}")
    driver.start()
    driver.freeze()
    driver.run_s(2.0)
    assert driver.device.actuators.valve > 0.0
    return driver


def emulated(device: SimulatedDevice) -> EmulatedFirmware:
    assert isinstance(device.firmware, EmulatedFirmware)
    return device.firmware


def ms_until_shut(driver: Driver) -> int:
    """Return how long the valve stays open from now on, in steps of a tick."""
    device = driver.device
    for tick in range(1, 60):
        device.advance_to(driver.now_s + tick / 100, b"")
        if device.actuators.valve == 0.0:
            return tick * 10
    raise AssertionError("the valve stays open")


# -- the same bytes ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    ["", "fault=tc_open@freeze+2s", "fault=brownout@freeze+2s", "fault=hang@freeze+1s"],
    ids=["none", "tc_open", "brownout", "hang"],
)
def test_a_course_of_treatment_sends_the_same_bytes_as_the_model(query: str) -> None:
    model = course(f"sim:?{query}")
    assert course(f"sim:?firmware=emulated&{query}") == model
    assert model[0] > 50_000


def test_another_profile_with_the_same_elf_sends_the_same_bytes_as_the_model() -> None:
    assert course("sim:co2-20g?firmware=emulated&seed=5") == course("sim:co2-20g?seed=5")


@pytest.mark.parametrize("number", [1, 2])
def test_hostile_conversations_are_the_same_as_with_the_model(number: int) -> None:
    assert run_hostile(PAIR, number).differences == []


@pytest.mark.timeout(180)
def test_faults_in_the_middle_of_a_freeze_are_the_same_as_with_the_model() -> None:
    moment = next(
        each for each in WALKS[0].moments() if each.name == "middle" and "FREEZE" in str(each)
    )
    chosen = ["memory_bitflip", "stuck_scheduler", "wrong_probe"]
    assert run_faults(PAIR, moment, chosen).differences == []


# -- save and load -------------------------------------------------------------------------------


def test_a_saved_freeze_goes_on_in_the_same_way_in_this_processor_and_in_another() -> None:
    driver = freezing()
    device = driver.device
    saved = device.save()
    first = device.advance_to(driver.now_s + 0.5, b"")
    device.load(saved)
    again = device.advance_to(driver.now_s + 0.5, b"")

    other = open_link(DeviceUrl.parse("sim:?firmware=emulated")).peer
    assert isinstance(other, SimulatedDevice)
    other.load(saved)

    assert again == first
    assert other.advance_to(driver.now_s + 0.5, b"") == first
    assert len(first) > 1_000


def test_saving_and_restoring_a_processor_take_less_than_a_millisecond_each() -> None:
    firmware = emulated(freezing().device)
    saves, loads = [], []
    for _ in range(30):
        started_s = time.perf_counter()
        saved = firmware.save()
        middle_s = time.perf_counter()
        firmware.load(saved)
        saves.append(middle_s - started_s)
        loads.append(time.perf_counter() - middle_s)

    assert min(saves) < 1e-3
    assert min(loads) < 1e-3


def test_fifty_power_ups_use_the_same_processor() -> None:
    device = open_link(DeviceUrl.parse("sim:?firmware=emulated")).peer
    assert isinstance(device, SimulatedDevice)
    processor = emulated(device).processor
    saved = device.save()
    for _ in range(50):
        device.power_cycle()
        device.load(saved)
        assert emulated(device).processor is processor


# -- what goes wrong in the middle of a freeze -----------------------------------------------------


def test_an_endless_loop_in_a_freeze_is_ended_by_the_watchdog_with_the_valve_shut() -> None:
    driver = freezing()
    firmware = emulated(driver.device)
    loop = firmware.probe.elf.function_named("firmware_tick")
    assert loop is not None
    firmware.processor.poke(loop.address, b"\xfe\xe7")  # b .

    assert 140 <= ms_until_shut(driver) <= 160
    assert driver.device.boots == 2
    crash = firmware.probe.crashes[-1]
    assert crash.kind == "watchdog reset"
    assert "in firmware_tick" in crash.where


def test_a_wild_jump_in_a_freeze_shuts_the_valve_within_the_tick_and_boots_anew() -> None:
    driver = freezing()
    firmware = emulated(driver.device)
    firmware.processor.pc = 0x3000_0000

    assert ms_until_shut(driver) == 10
    driver.run_s(0.1)
    assert driver.device.boots == 2
    assert driver.state is DeviceState.IDLE
    assert [crash.kind for crash in firmware.probe.crashes] == ["HardFault", "software reset"]
    assert "jump to unmapped address 0x30000000" in firmware.probe.crashes[0].detail


def test_a_lost_stack_in_a_freeze_locks_the_processor_up_until_the_watchdog_shuts_the_valve() -> (
    None
):
    driver = freezing()
    firmware = emulated(driver.device)
    firmware.processor.write_register("sp", 0x1000_0000)

    assert 140 <= ms_until_shut(driver) <= 160
    assert [crash.kind for crash in firmware.probe.crashes] == ["lockup", "watchdog reset"]


# -- what belongs to somebody else ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "more_bytes"),
    [(0x0800_1000, 0), (0x2000_FFF0, 0), (0x2000_8000, 4), (0x2000_8000, -4)],
    ids=["in flash", "beyond RAM", "longer", "shorter"],
)
def test_a_variable_called_firmware_that_is_not_ours_is_left_alone(
    address: int, more_bytes: int
) -> None:
    elf = ElfFile.read(build.SHIPPED)
    size = elf.variables["firmware"].size + more_bytes
    theirs = replace(elf, variables={"firmware": Symbol("firmware", address, size)})
    device = open_link(DeviceUrl.parse("sim:?firmware=emulated")).peer
    assert isinstance(device, SimulatedDevice)
    device.flash(EmulatedProbe(theirs))

    assert isinstance(emulated(device).state, FirmwareState)
    assert emulated(device).profile_hash == FirmwareConfig.shipped("n2o-20g").profile_hash


@pytest.mark.parametrize(("hz", "us", "ua"), [(0, 100, 0), (2, 0, 0), (2, 100, 500)])
def test_a_stimulator_without_pulses_drives_no_current(hz: int, us: int, ua: int) -> None:
    actuators = Actuators(0x4000_2000)
    struct.pack_into("<11I", actuators.memory, 0, 0, 0, 0, 0, 0, 0, 0, 0, 500, hz, us)
    assert actuators.outputs().stimulus_ua == ua


# -- what it takes -------------------------------------------------------------------------------


def test_flash_stack_and_instructions_of_a_treatment_leave_room() -> None:
    driver = Driver("sim:?firmware=emulated")
    meter = Meter(emulated(driver.device))
    driver.start()
    driver.freeze()
    driver.run_s(1.0)
    figures = meter.figures()

    assert 8_000 < figures.flash_bytes < 64_000
    assert 500 < figures.stack_bytes < figures.stack_room_bytes // 2
    assert 10_000 < figures.tick_instructions_max < 500_000


def test_what_the_firmware_takes_is_told_in_three_lines() -> None:
    device = open_link(DeviceUrl.parse("sim:?firmware=emulated")).peer
    assert isinstance(device, SimulatedDevice)
    lines = str(measure(device, 1.0)).splitlines()
    assert [line.split()[0] for line in lines] == ["flash", "stack", "tick"]


# -- the file that is shipped --------------------------------------------------------------------


def test_the_shipped_elf_is_what_its_sources_build(tmp_path: Path) -> None:
    needed_modules("ziglang")
    build.build_probe(tmp_path / "probe.elf")
    built = ElfFile.read(tmp_path / "probe.elf")
    assert built.segments == ElfFile.read(build.SHIPPED).segments


def test_sources_of_your_own_never_overwrite_the_shipped_elf(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shipped = tmp_path / "shipped.elf"
    monkeypatch.setattr(build, "SHIPPED", shipped)
    monkeypatch.setattr(sys, "argv", ["build", "mine.c"])
    with pytest.raises(SystemExit) as ended:
        build.main()
    assert ended.value.code == 2
    assert "sources of your own need --out" in capsys.readouterr().err
    assert not shipped.exists()


def test_a_missing_compiler_is_told_with_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "find_spec", lambda _name: None)
    with pytest.raises(FirmwareError, match=r"pip install 'cryoctl\[firmware\]'"):
        build.build_probe(tmp_path / "probe.elf")


def test_the_shipped_elf_names_functions_and_no_machine() -> None:
    data = build.SHIPPED.read_bytes()
    assert ElfFile.read(build.SHIPPED).function_named("firmware_tick") is not None
    for word in (b"/home/", b"/root/", b"/tmp/", b"/Users/", b":\\"):
        assert word not in data


def test_the_header_of_the_memory_map_says_what_the_board_is() -> None:
    text = (build.board_folder() / "board.h").read_text("utf-8")
    defined = dict(re.findall(r"#define BOARD_(\w+) (0x[0-9A-F]+|\d+)u", text))
    names = ("PROVISIONING", "UART", "SENSORS", "ACTUATORS", "CLOCK", "WATCHDOG", "CLOCK_HZ")
    for name in names:
        assert int(defined[name], 0) == getattr(VirtualBoard, name), name
    assert int(defined["RESET_CAUSE"], 0) == VirtualBoard.SYSTEM
    assert int(defined["WATCHDOG_KEY"], 0) == VirtualBoard().watchdog.KEY


def test_a_crash_names_the_line_where_the_file_has_lines(tmp_path: Path) -> None:
    needed_modules("ziglang")
    build.build_probe(tmp_path / "debug.elf", debug=True)
    elf = ElfFile.read(tmp_path / "debug.elf")
    function = elf.function_named("hal_wait_for_tick")
    assert function is not None
    assert re.fullmatch(
        r"0x[0-9a-f]{8} in hal_wait_for_tick \(hal_board\.c:\d+\)", elf.where(function.address)
    )
