"""Model and C firmware send the same bytes: whole treatments, faults, hostile conversations.

``cryoctl assure identity`` runs many more.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from cryoctl_hil import back_to_back
from cryoctl_hil.assurance.walks import steps
from cryoctl_hil.back_to_back import (
    BuildsDifferError,
    PairedFirmware,
    middles,
    paired,
    run_faults,
    run_hostile,
    run_scenario,
    scenario_world,
)
from cryoctl_protocol.codes import DeviceState, Trip
from cryoctl_simulator.faults import CATALOGUE
from cryoctl_simulator.firmware_builds import build_of
from cryoctl_simulator.firmware_compiler import compile_library, find_compiler, source_folders
from cryoctl_simulator.firmware_config import FirmwareConfig
from cryoctl_simulator.firmware_identity import Boot
from cryoctl_simulator.firmware_model import FirmwareModel
from cryoctl_simulator.firmware_native import NativeFirmware, load_library
from tests.support.native_firmware import need_compiler

PAIR = ("model", "native")


@pytest.fixture(scope="module", autouse=True)
def _compiler() -> None:
    need_compiler()


def digest_of(build_name: str) -> tuple[int, str]:
    """Return how much a probe sends in a treatment that a real controller runs, and its hash."""
    _, world = scenario_world(0, build_of(build_name))
    digest, sent = sha256(), 0
    for _ in steps(world):
        digest.update(world.line.said)
        sent += len(world.line.said)
    return sent, digest.hexdigest()


def test_a_treatment_in_two_worlds_of_their_own_sends_the_same_bytes() -> None:
    model, native = digest_of("model"), digest_of("native")
    assert model == native
    assert model[0] > 100_000


@pytest.mark.parametrize("number", [1, 9])
def test_whole_treatments_are_the_same_tick_for_tick(number: int) -> None:
    tally = run_scenario(PAIR, number)
    assert tally.differences == []
    assert tally.ticks > 1_000


def test_a_share_of_the_fault_matrix_is_the_same() -> None:
    moments = middles("treated")
    every = list(CATALOGUE)
    for number, moment in enumerate(moments):
        chosen = every[number :: len(moments) * 3]
        assert run_faults(PAIR, moment, chosen).differences == []


@pytest.mark.requirement("SR-01")
def test_a_bit_that_turns_over_in_what_was_told_hides_the_lease_from_neither() -> None:
    _, world = scenario_world(0, paired(PAIR))
    firmware = None
    for _ in steps(world):
        firmware = world.device.firmware
        if firmware is not None and firmware.state.state == DeviceState.FREEZE:
            break
    assert firmware is not None
    firmware.state.trips_seen = 1 << Trip.LEASE
    began_s = world.now_s
    world.device.inject("disconnect@0s")

    shut_s = None
    for _ in steps(world):
        if shut_s is None and firmware.outputs.valve_permille == 0:
            shut_s = world.now_s
        if world.now_s > began_s + 1.0:
            break

    assert shut_s is not None
    assert shut_s - began_s <= 0.5
    assert firmware.state.trip == Trip.LEASE


@pytest.mark.parametrize("first", [0, 10])
def test_hostile_conversations_are_the_same(first: int) -> None:
    for number in range(first, first + 10):
        tally = run_hostile(PAIR, number)
        assert tally.differences == []
        assert tally.ticks == 3_000


@pytest.mark.parametrize(
    ("file", "was", "becomes"),
    [
        ("safety.c", "#define FLOW_TICKS 3 ", "#define FLOW_TICKS 4 "),
        ("sensing.c", "#define TIP_STEP_MDEGC_MAX 2500", "#define TIP_STEP_MDEGC_MAX 2501"),
        ("drive.c", "s->heater_on_ms > 0", "s->heater_on_ms >= 0"),
    ],
)
def test_a_small_mistake_in_the_c_firmware_is_found(
    file: str, was: str, becomes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    firmware, _ = source_folders()
    text = (firmware / file).read_text("utf-8")
    assert text.count(was) == 1
    copy = tmp_path / "firmware"
    copy.mkdir()
    for path in firmware.glob("*.[ch]"):
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / file).write_text(text.replace(was, becomes), "utf-8")
    monkeypatch.setattr("cryoctl_simulator.firmware_compiler._FIRMWARE_PARTS", (copy,))
    compile_library(find_compiler(), tmp_path / "wrong.so")
    wrong = load_library(str(tmp_path / "wrong.so"))

    def build_wrong(name: str) -> object:
        if name == "model":
            return FirmwareModel
        return lambda config, boot: NativeFirmware(config, boot, wrong)

    monkeypatch.setattr(back_to_back, "build_of", build_wrong)
    assert any(run_hostile(PAIR, number).differences for number in range(10))


def test_a_difference_is_told_with_its_tick_and_its_frames() -> None:
    config = FirmwareConfig.shipped("n2o-20g")
    first = FirmwareModel(config, Boot("A", 1, bytes(32)))
    second = NativeFirmware(config, Boot("B", 1, bytes(32)))
    _, world = scenario_world(0, lambda _config, _boot: PairedFirmware(first, second))

    with pytest.raises(BuildsDifferError, match=r"device clock 10 ms: sent Hello.* and Hello"):
        world.device.advance_to(0.01, b"")


def test_faults_of_memory_reach_both() -> None:
    config = FirmwareConfig.shipped("n2o-20g")
    both = paired(PAIR)(config, Boot("A", 1, bytes(32)))

    both.state.freeze_ms = 7
    both.profile_hash = 3

    assert isinstance(both, PairedFirmware)
    assert [(each.state.freeze_ms, each.profile_hash) for each in (both._first, both._second)] == [
        (7, 3),
        (7, 3),
    ]
