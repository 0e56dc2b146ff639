"""The C firmware as a shared library: how it is made, kept, called, saved, what may be missing."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cryoctl.cli import invoke
from cryoctl_protocol.peer import AddressError, DeviceUrl
from cryoctl_simulator import firmware_compiler
from cryoctl_simulator.device import SimulatedDevice
from cryoctl_simulator.firmware import FirmwareError
from cryoctl_simulator.firmware_compiler import (
    FLAGS,
    WARNINGS,
    compile_library,
    find_compiler,
    shared_library,
    source_folders,
    sources,
)
from cryoctl_simulator.firmware_config import FirmwareConfig
from cryoctl_simulator.firmware_identity import Boot
from cryoctl_simulator.firmware_model import FirmwareModel
from cryoctl_simulator.firmware_native import NativeFirmware
from cryoctl_simulator.instruments import Readings
from cryoctl_simulator.link import open_link
from tests.support.native_firmware import need_compiler

CONFIG = FirmwareConfig.shipped("n2o-20g")
BOOT = Boot("SIM-1", 77, bytes(range(32)))
REST = Readings(
    tip_mdegc=36_000, tip_2_mdegc=36_000, skin_mdegc=33_000, supply_mbar=50_000,
    exhaust_mbar=1_013, cartridge_mdegc=22_000, battery_mv=4_000,
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _compiler() -> None:
    need_compiler()


def run(firmware: NativeFirmware | FirmwareModel, first: int, last: int) -> list[bytes]:
    return [firmware.tick(tick * 10, REST, b"") for tick in range(first, last)]


def test_it_greets_as_the_model_does() -> None:
    native, model = NativeFirmware(CONFIG, BOOT), FirmwareModel(CONFIG, BOOT)

    sent = run(native, 1, 250)

    assert b"probe-1" in sent[0]
    assert sent == run(model, 1, 250)


def test_its_memory_is_read_and_written_by_name() -> None:
    native = NativeFirmware(CONFIG, BOOT)
    run(native, 1, 10)
    assert (native.state.tick_count, native.state.tip_mdegc) == (9, 36_000)

    native.state.tick_count = 4_294_967_295
    native.state.setpoint_mdegc = -55_000
    run(native, 10, 11)

    assert (native.state.tick_count, native.state.setpoint_mdegc) == (0, -55_000)
    assert native.outputs.valve_permille == 0
    assert "setpoint_mdegc=-55000" in repr(native.state)


def test_the_profile_hash_can_be_changed_and_is_said_so() -> None:
    native = NativeFirmware(CONFIG, BOOT)
    assert native.profile_hash == 0x771997A0

    native.profile_hash = 0x01020304

    assert b"\x04\x03\x02\x01" in native.tick(10, REST, b"")
    assert native.profile_hash == 0x01020304


def test_saved_and_loaded_it_goes_on_as_it_would_have() -> None:
    native = NativeFirmware(CONFIG, BOOT)
    run(native, 1, 55)
    saved = native.save()
    twin = NativeFirmware(FirmwareConfig.shipped("co2-20g"), Boot("OTHER", 1, bytes(32)))

    twin.load(saved)

    assert twin.config == CONFIG
    assert run(twin, 55, 300) == run(native, 55, 300)


def test_two_of_them_share_nothing() -> None:
    first, second = NativeFirmware(CONFIG, BOOT), NativeFirmware(CONFIG, BOOT)
    run(first, 1, 100)
    assert second.state.tick_count == 0


# -- how it is made --------------------------------------------------------------------------------


def test_warnings_are_errors_with_every_compiler_here(tmp_path: Path) -> None:
    compile_library(find_compiler(), tmp_path / "strict.so", "-Werror", *WARNINGS)


def test_it_is_made_once_and_kept(tmp_path: Path) -> None:
    made = shared_library(tmp_path)
    first = made.stat().st_mtime_ns

    assert shared_library(tmp_path) == made
    assert made.stat().st_mtime_ns == first
    assert {path.suffix for path in tmp_path.iterdir()} == {made.suffix, ".sum"}


def test_one_that_was_cut_short_is_made_anew(tmp_path: Path) -> None:
    made = shared_library(tmp_path)
    whole = made.read_bytes()
    made.write_bytes(whole[:5000])

    assert shared_library(tmp_path).stat().st_size == len(whole)


@pytest.mark.skipif(os.name != "posix", reason="rights are told otherwise here")
def test_one_that_others_may_write_is_not_loaded(tmp_path: Path) -> None:
    made = shared_library(tmp_path)
    made.chmod(0o777)

    with pytest.raises(FirmwareError, match="others may write it; delete it"):
        shared_library(tmp_path)


def test_many_may_make_it_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        made = list(pool.map(lambda _: shared_library(tmp_path), range(3)))
    assert len(set(made)) == 1
    assert set(tmp_path.iterdir()) == {made[0], made[0].with_suffix(".sum")}


def test_other_flags_make_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = shared_library(tmp_path)
    monkeypatch.setattr(firmware_compiler, "FLAGS", (*FLAGS, "-O1"))
    assert shared_library(tmp_path) != made


def test_the_heap_and_other_libraries_are_not_used() -> None:
    called = {"malloc", "calloc", "realloc", "free", "printf", "alloca"}
    for path in sources():
        text = path.read_text("utf-8")
        assert not [name for name in called if f"{name}(" in text], path
        included = {line for line in text.splitlines() if line.startswith("#include <")}
        assert included <= {"#include <string.h>", "#include <stddef.h>", "#include <stdint.h>"}


def test_the_sanitizer_of_undefined_behaviour_finds_none(tmp_path: Path) -> None:
    """A stretch of strange conversations, in a process of its own: what is found ends it."""
    made = tmp_path / "sanitized.so"
    try:
        compile_library(
            find_compiler(), made, "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"
        )
    except FirmwareError as error:
        pytest.skip(f"no sanitizer here: {error}")
    code = (
        "import sys\n"
        "from cryoctl_hil.strange_host import StrangeHost\n"
        "from cryoctl_simulator.firmware_native import NativeFirmware, load_library\n"
        "built = load_library(sys.argv[1])\n"
        "for number in range(3):\n"
        "    host = StrangeHost(number)\n"
        "    firmware = NativeFirmware(host.config, host.boot, built)\n"
        "    for _ in range(3000):\n"
        "        host.hear(firmware.tick(host.now_ms, host.readings, host.speak(firmware.state)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, made], check=False)
    assert done.returncode == 0


# -- what may be missing ---------------------------------------------------------------------------


def test_without_a_compiler_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr(firmware_compiler, "find_spec", lambda _: None)

    with pytest.raises(FirmwareError) as caught:
        shared_library()

    assert "pip install 'cryoctl[firmware]'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_a_compiler_of_its_own_the_one_of_the_extra_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr(firmware_compiler, "find_spec", lambda _: object())
    assert find_compiler() == [sys.executable, "-m", "ziglang", "cc"]


def test_sources_that_do_not_compile_are_told_with_the_compilers_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "firmware"
    broken.mkdir()
    (broken / "firmware.c").write_text("int broken(void) { return nothing; }\n", "utf-8")
    monkeypatch.setattr(firmware_compiler, "_FIRMWARE_PARTS", (broken,))

    with pytest.raises(FirmwareError, match=r"the C compiler says: .*nothing"):
        shared_library(tmp_path / "kept")

    assert list((tmp_path / "kept").iterdir()) == []


def test_missing_sources_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firmware_compiler, "_FIRMWARE_PARTS", (tmp_path / "gone",))
    with pytest.raises(FirmwareError, match=r"C sources are missing .*install cryoctl anew"):
        source_folders()


@pytest.mark.skipif(os.name == "nt", reason="folders without rights are another thing there")
def test_a_cache_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(FirmwareError, match="kept there"):
        shared_library(file / "below")


# -- the address -----------------------------------------------------------------------------------


def test_an_address_chooses_the_build() -> None:
    opened = open_link(DeviceUrl.parse("sim:?firmware=native"))
    assert isinstance(opened.peer, SimulatedDevice)
    assert isinstance(opened.peer.firmware, NativeFirmware)
    assert opened.description.endswith("firmware native")
    assert "firmware" not in open_link(DeviceUrl.parse("sim:")).description


def test_an_unknown_build_is_refused_with_those_there_are() -> None:
    with pytest.raises(AddressError, match=r"unknown firmware 'nativ' .*did you mean 'native'\?"):
        open_link(DeviceUrl.parse("sim:?firmware=nativ"))


def test_a_build_that_cannot_be_made_ends_a_run_with_exit_code_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_name: str, _board: str | None) -> None:
        raise FirmwareError("no compiler; install one")

    monkeypatch.setattr("cryoctl_simulator.link.build_of", broken)

    assert invoke(["run", "--device", "sim:?firmware=native"]) == 3
    assert "no compiler; install one" in capsys.readouterr().err
