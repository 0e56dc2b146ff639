"""Firmware of somebody else: the careless example, on the virtual board and on another one."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cryoctl.cli import invoke
from cryoctl.recording import load_recording
from cryoctl.replay import replay
from cryoctl_protocol.codes import Answer, DeviceState, Op
from cryoctl_protocol.peer import AddressError, LinkError
from cryoctl_simulator.device import SimulatedDevice
from cryoctl_simulator.emulated import build
from cryoctl_simulator.firmware import FirmwareError
from cryoctl_simulator.firmware_config import FirmwareConfig
from cryoctl_simulator.firmware_identity import Boot
from cryoctl_simulator.instruments import Instruments
from cryoctl_simulator.plant import Plant
from cryoctl_simulator.probe_file import load_simulated_probe
from cryoctl_simulator.scenario import Scenario
from tests.simulator.driver import Driver
from tests.support import thumb_elf
from tests.support.plug_ins import installed
from tests.support.programs import needed_modules

needed_modules("unicorn", "elftools", "ziglang")

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


BOARDS = """
from pathlib import Path

EXAMPLE = Path({path!r}) / "hobby_board.py"
exec(compile(EXAMPLE.read_text("utf-8"), str(EXAMPLE), "exec"))


class LargeBoard(HobbyBoard):
    FLASH_BYTES = 512 << 10
    PROVISIONING = 0x0007_F000


def no_board() -> None: ...
"""


@contextmanager
def boards(folder: Path) -> Iterator[None]:
    """Have a package with boards of somebody's own."""
    points = {
        "hobby": "HobbyBoard",
        "large": "LargeBoard",
        "none": "no_board",
        "gone": "NoSuchBoard",
    }
    source = BOARDS.format(path=str(EXAMPLE))
    with installed(folder, "acme_boards", source, {"cryoctl.boards": points}):
        yield


def test_a_board_of_an_installed_package_is_chosen_in_the_address(tmp_path: Path) -> None:
    path = built(tmp_path, "hobby.ld", "-DHOBBY_BOARD")
    with boards(tmp_path):
        driver = Driver(f"sim:?firmware=elf:{path}&board=hobby")
        driver.connect()
        driver.freeze()
        driver.run_s(1.0)

    assert driver.device.actuators.valve == 1.0
    assert driver.telemetry()[-1].tip_mdegc % 100 == 0  # Its converter's tenths of a degree.


def test_a_board_with_more_flash_takes_more(tmp_path: Path) -> None:
    path = tmp_path / "large.elf"
    path.write_bytes(thumb_elf.elf(thumb_elf.SLEEP, stack=0x1000_2000, base=0x0004_0000))
    with boards(tmp_path), pytest.raises(LinkError) as small:
        Driver(f"sim:?firmware=elf:{path}&board=hobby")
    again = tmp_path / "again"
    again.mkdir()
    with boards(again), pytest.raises(LinkError) as large:
        Driver(f"sim:?firmware=elf:{path}&board=large")

    assert "0x00040000 lie outside the board's flash (0x00000000 to 0x0001ffff)" in str(small.value)
    assert "no vector table at 0x00000000" in str(large.value)  # It is in the flash.


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        (
            "hoby",
            AddressError,
            "unknown board 'hoby' (installed: gone, hobby, large, none, virtual)",
        ),
        ("none", LinkError, "board 'none' (acme_boards:no_board): is no class made from Virtual"),
        ("gone", LinkError, "board 'gone' (acme_boards:NoSuchBoard): module 'acme_boards' has no"),
    ],
)
def test_a_board_that_cannot_be_had_is_told_in_one_line(
    name: str, error: type[LinkError], says: str, careless: Path, tmp_path: Path
) -> None:
    with boards(tmp_path), pytest.raises(error) as caught:
        Driver(f"sim:?firmware=elf:{careless}&board={name}")

    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_board_is_for_an_elf_file_alone() -> None:
    with pytest.raises(AddressError, match="only firmware=elf:PATH runs on a board"):
        Driver("sim:?firmware=model&board=virtual")


# -- when it crashes -----------------------------------------------------------------------------


def crashing(folder: Path) -> Path:
    """The example, with a jump into nothing where it is asked for a self-test."""
    text = (EXAMPLE / "careless.c").read_text("utf-8")
    before = "    (void)user;\n    if (command->op == CRYO_OP_FREEZE) {"
    jump = "    if (command->op == CRYO_OP_SELF_TEST) { ((void (*)(void))0x30000001u)(); }\n"
    assert text.count(before) == 1
    source = folder / "crashing.c"
    source.write_text(text.replace(before, jump + before), "utf-8")
    out = folder / "crashing.elf"
    sources = [source, *build.library_sources()]
    build.build(out, sources, linker_script=EXAMPLE / "virtual.ld", debug=True)
    return out


def test_a_crash_is_told_by_run_kept_in_the_recording_and_left_out_of_a_replay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    code = invoke(
        ["run", "--device", f"sim:?firmware=elf:{crashing(tmp_path)}", "--out", str(folder)]
    )
    out = capsys.readouterr().out

    assert code == 3  # The probe has restarted.
    told = [line for line in out.splitlines() if line.startswith("!!! firmware")]
    assert re.fullmatch(
        r"!!! firmware at \d\.\d\d s: HardFault after \d+ ms at 0x30000000\b.*: "
        r"jump to unmapped address 0x30000000.*",
        told[0],
    )
    recording = load_recording(folder / "run.mcap")
    events = [event for event in recording.events if event["kind"] == "firmware"]
    assert events[0]["text"] in told[0]
    summary = recording.summary
    assert summary is not None
    assert summary["crashes"][0] == {"at_s": events[0]["at_s"], "text": events[0]["text"]}
    assert summary["crashes_count"] >= len(events) >= 2  # The fault, and the reset it asks for.
    assert replay(folder / "run.mcap").answer == "IDENTICAL"


def test_sound_firmware_is_told_to_have_crashed_by_nobody(careless: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    invoke(["run", "--device", f"sim:?firmware=elf:{careless}", "--out", str(folder)])

    summary = load_recording(folder / "run.mcap").summary
    assert summary is not None
    assert summary["crashes"] == []


def test_firmware_that_failed_its_trial_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "bad.elf"
    path.write_bytes(thumb_elf.elf(thumb_elf.UNDEFINED))
    probe = EmulatedProbe(ElfFile.read(path))
    config = FirmwareConfig.shipped("n2o-20g")
    boot = Boot("TRIED", 1, bytes(32))

    for _ in range(2):
        with pytest.raises(FirmwareError, match="HardFault after 10 ms"):
            probe(config, boot)
    assert [crash.kind for crash in probe.crashes] == ["HardFault", "software reset"]


def test_firmware_for_another_board_is_refused_by_the_virtual_one(tmp_path: Path) -> None:
    path = built(tmp_path, "hobby.ld", "-DHOBBY_BOARD")
    with pytest.raises(LinkError, match=r"lie outside the board's flash"):
        Driver(f"sim:?firmware=elf:{path}")
