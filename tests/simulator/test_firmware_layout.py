"""The C firmware's memory: written from the Python dataclasses, and the same for both."""

from __future__ import annotations

import ctypes
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest

from cryoctl_protocol.codec import encode
from cryoctl_simulator.firmware_compiler import source_folders
from cryoctl_simulator.firmware_config import DeviceLimits, FirmwareConfig
from cryoctl_simulator.firmware_identity import Boot, identity
from cryoctl_simulator.firmware_layout import (
    HEADER,
    LIMITS_OFFSET,
    PROFILE_HASH_OFFSET,
    SESSION_OFFSET,
    ConfigMemory,
    LimitsMemory,
    OutputsMemory,
    ReadingsMemory,
    StateMemory,
    config_bytes,
    header,
)
from cryoctl_simulator.firmware_state import FirmwareState, Outputs
from cryoctl_simulator.instruments import Readings
from tests.support.native_firmware import need_compiler

CONFIG = FirmwareConfig.shipped("n2o-20g")
BOOT = Boot("SIM-1", 0x12345678, bytes(range(32)))


def names(memory: type[ctypes.Structure]) -> list[str]:
    return [row[0] for row in memory._fields_]


def test_the_header_is_up_to_date() -> None:
    written = HEADER.read_text("utf-8")
    assert written == header(), "run `python -m cryoctl_simulator.firmware_layout`"


@pytest.mark.parametrize(
    ("memory", "source"),
    [(OutputsMemory, Outputs), (StateMemory, FirmwareState), (ReadingsMemory, Readings)],
)
def test_memory_has_the_names_and_the_order_of_the_model(
    memory: type[ctypes.Structure], source: type
) -> None:
    assert names(memory) == [each.name for each in fields(source)]


def test_limits_are_those_of_the_model_with_the_table_in_columns() -> None:
    plain = [each.name for each in fields(DeviceLimits) if each.name != "saturation"]
    columns = ["saturation_points", "saturation_mbar", "saturation_mdegc"]
    assert names(LimitsMemory) == plain + columns


def test_a_fresh_state_is_all_zero_but_for_the_length_of_a_tick() -> None:
    fresh = FirmwareState()
    words = {each.name: getattr(fresh, each.name) for each in fields(fresh)}
    outputs = words.pop("outputs")
    assert words.pop("step_ms") == 10  # As in firmware_init.
    assert set(words.values()) == {0}
    assert {getattr(outputs, each.name) for each in fields(outputs)} == {0}


def test_a_provisioning_page_holds_limits_identity_and_keys() -> None:
    page = ConfigMemory.from_buffer_copy(config_bytes(CONFIG, BOOT))

    assert page.limits.tip_floor_mdegc == -85_000
    assert page.limits.saturation_points == 6
    assert (page.limits.saturation_mbar[1], page.limits.saturation_mdegc[1]) == (1_013, -88_470)
    assert bytes(page.device.identity) == encode(identity(CONFIG, BOOT))
    assert bytes(page.device.key) == BOOT.key
    assert (page.device.has_former_key, bytes(page.device.former_key)) == (0, bytes(32))
    assert bytes(page.device.nonce_seed) == bytes(range(32))


def test_a_provisioning_page_holds_the_former_key() -> None:
    boot = Boot("SIM-1", 1, bytes(32), former_key=b"f" * 32)
    page = ConfigMemory.from_buffer_copy(config_bytes(CONFIG, boot))
    assert (page.device.has_former_key, bytes(page.device.former_key)) == (1, b"f" * 32)


def test_the_profile_hash_lies_where_hello_has_it() -> None:
    hello = encode(identity(CONFIG, BOOT))
    found = int.from_bytes(hello[PROFILE_HASH_OFFSET : PROFILE_HASH_OFFSET + 4], "little")
    assert found == CONFIG.profile_hash == 0x771997A0


def test_a_compiler_lays_the_memory_out_alike(tmp_path: Path) -> None:
    compiler = need_compiler()
    lines = ["#include <stdio.h>", '#include "firmware.h"', "int main(void) {"]
    expected = []
    for struct, memory in (
        ("firmware_outputs", OutputsMemory),
        ("firmware_state", StateMemory),
        ("firmware_readings", ReadingsMemory),
        ("firmware_limits", LimitsMemory),
    ):
        for name in names(memory):
            lines.append(f'printf("%zu\\n", offsetof(struct {struct}, {name}));')
            expected.append(getattr(memory, name).offset)
    lines += [
        'printf("%zu\\n", offsetof(struct firmware, limits));',
        'printf("%zu\\n", offsetof(struct firmware, session.config.identity));',
        'printf("%zu\\n", sizeof(struct firmware_config));',
        "return 0; }",
    ]
    expected += [LIMITS_OFFSET, SESSION_OFFSET, ctypes.sizeof(ConfigMemory)]
    source = tmp_path / "offsets.c"
    source.write_text("\n".join(lines), "utf-8")
    includes = [f"-I{folder}" for folder in source_folders()]
    program = tmp_path / "offsets"
    subprocess.run([*compiler, "-std=c11", *includes, "-o", program, source], check=True)

    done = subprocess.run([program], check=True, capture_output=True, text=True)

    assert [int(line) for line in done.stdout.split()] == expected
