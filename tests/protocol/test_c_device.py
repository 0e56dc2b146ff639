"""The C device library against the golden vectors and, step by step, against the Python session."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cryoctl_protocol.framing import Reject
from tests.support.c_device import (
    C99,
    C_LIBRARY,
    SANITIZERS,
    SOURCES,
    Operation,
    build,
    compiler,
    run,
)
from tests.support.device_script import DeviceScript
from tests.support.programs import needed_program
from tests.support.tree import ROOT

REPLAY = Path(__file__).with_name("replay.c")
VECTORS = ROOT / "protocol" / "vectors"
REJECT_NUMBERS = {str(reason): number for number, reason in enumerate(Reject, 1)}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library with a program that drives it, optimised as a firmware would be."""
    folder = tmp_path_factory.mktemp("library")
    return build(folder / "replay", "-Os", sources=[*SOURCES, REPLAY])


@pytest.fixture(scope="module")
def watched_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with every bad access and every undefined operation fatal."""
    program = tmp_path_factory.mktemp("library") / "replay"
    command = [*compiler(), *C99, *SANITIZERS, *map(str, [*SOURCES, REPLAY]), "-o", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0 and "san" in done.stderr:
        needed_program("cc-with-sanitizers", package="gcc libasan8 libubsan1")
    assert done.returncode == 0, done.stderr
    return program


def load(name: str) -> list[dict[str, Any]]:
    vectors: list[dict[str, Any]] = json.loads((VECTORS / name).read_text("utf-8"))["vectors"]
    return vectors


# -- golden vectors ------------------------------------------------------------------------------


def words_of(line: str) -> list[str]:
    """What a line says of the operation itself: without its letter and the state behind it."""
    return line.split()[1:-6]


def test_the_library_takes_the_golden_frames_apart(library: Path) -> None:
    vectors = load("frames.json")
    frames = [Operation("P", 0, bytes.fromhex(vector["wire"])) for vector in vectors]

    found = [words_of(line) for line in run(library, frames)]

    expected = [
        [
            "0",
            vector["body"],
            str(int(vector["body"][2:4], 16)),
            str(vector["seq"]),
            str(vector["session"]),
            str(int(bool(vector["tag_key"]))),
        ]
        for vector in vectors
    ]
    assert found == expected


def test_the_library_builds_the_golden_frames_byte_for_byte(library: Path) -> None:
    vectors = load("frames.json")
    parts = [
        bytes.fromhex(vector["tag_key"] or "00" * 32)
        + bytes.fromhex(vector["body"])[:8]
        + bytes.fromhex(vector["payload"])
        for vector in vectors
    ]

    found = run(library, [Operation("B", 0, part) for part in parts])

    assert [words_of(line) for line in found] == [[vector["wire"]] for vector in vectors]


@pytest.mark.requirement("SR-04")
def test_the_library_refuses_the_golden_rejects_for_the_reason_given(library: Path) -> None:
    vectors = [vector for vector in load("rejects.json") if vector["reject"] != "tag"]
    frames = [Operation("P", 0, bytes.fromhex(vector["wire"])) for vector in vectors]

    found = [words_of(line)[0] for line in run(library, frames)]

    assert found == [str(REJECT_NUMBERS[vector["reject"]]) for vector in vectors]
    assert len(found) >= 60


def test_the_library_derives_the_golden_keys(library: Path) -> None:
    operations, expected = [], []
    for vector in load("keys.json"):
        key = bytes.fromhex(vector["key"])
        if "boot_id" in vector:
            salt = vector["boot_id"].to_bytes(4, "little")
            wanted = [("stop", vector["stop_key"])]
        else:
            nonces = vector["host_nonce"], vector["device_nonce"]
            salt = b"".join(nonce.to_bytes(8, "little") for nonce in nonces)
            wanted = [("h2d", vector["down_key"]), ("d2h", vector["up_key"])]
        for info, derived in wanted:
            text = f"cryoctl/1 {info}".encode()
            operations.append(Operation("K", 0, key + bytes([len(salt)]) + salt + text))
            expected.append([derived])

    assert [words_of(line) for line in run(library, operations)] == expected


def test_its_hash_is_sha256_at_every_length_around_a_block(library: Path) -> None:
    texts = [bytes(index % 251 for index in range(size)) for size in (*range(200), 1000, 5000)]

    found = run(library, [Operation("G", 0, text) for text in texts])

    assert [words_of(line) for line in found] == [
        [hashlib.sha256(text).hexdigest()] for text in texts
    ]


# -- against the Python session ------------------------------------------------------------------


def first_difference(script: DeviceScript, found: list[str]) -> str:
    for step, (ours, theirs) in enumerate(zip(script.lines, found, strict=True)):
        if ours != theirs:
            return f"step {step}: {script.operations[step]}\nPython: {ours}\nC:      {theirs}"
    return ""


def script_of(seed: int, steps: int, *, receive_max: int = 1024) -> DeviceScript:
    former_key = None if seed % 4 == 0 else bytes(range(32, 64))
    script = DeviceScript(seed, spoilt=(0.01, 0.1, 0.3)[seed % 3], former_key=former_key)
    script.receive_max = receive_max
    for _ in range(steps):
        script.step()
    return script


@pytest.mark.requirement("SR-04")
@pytest.mark.requirement("SR-24")
def test_the_library_says_what_the_python_session_says_to_whatever_comes(library: Path) -> None:
    met: Counter[str] = Counter()
    rejects: Counter[Reject] = Counter()
    for seed in range(40):
        script = script_of(seed, 250)
        met += script.met
        rejects += script.rejects

        assert first_difference(script, run(library, script.operations)) == "", f"seed {seed}"

    assert min(rejects[reason] for reason in Reject) > 20
    assert min(met.values()) > 50


def test_of_more_than_64_commands_without_an_end_the_library_forgets_the_same(
    library: Path,
) -> None:
    script = DeviceScript(3, spoilt=1e-9)
    script.pile_up(70)

    assert first_difference(script, run(library, script.operations)) == ""
    said = [len(line.split()[1]) for line in script.lines[-210:] if line.startswith("O")]
    assert said.count(64) == 64  # A DONE is 32 bytes, in hexadecimal.


@pytest.mark.requirement("SR-04")
def test_no_byte_makes_the_library_do_what_c_does_not_define(watched_library: Path) -> None:
    for seed in range(100, 106):
        script = script_of(seed, 250)

        assert first_difference(script, run(watched_library, script.operations)) == ""


def test_a_smaller_device_differs_in_what_fits_and_in_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """64 bytes in a tick can hold no more than four requests, and 256 not every answer."""
    sizes = ["-DCRYO_RECEIVE_MAX=64", "-DCRYO_SEND_MAX=256"]
    small = build(tmp_path / "replay", "-Os", *sizes, sources=[*SOURCES, REPLAY])
    monkeypatch.setattr("cryoctl_protocol.device_session.SEND_MAX", 256)
    for seed in range(200, 206):
        script = script_of(seed, 400, receive_max=64)

        assert first_difference(script, run(small, script.operations)) == ""
        assert max(len(line) for line in script.lines if line.startswith("O")) > 2 * 230


# -- what looks at the text ----------------------------------------------------------------------


def test_the_headers_are_good_for_cplusplus(tmp_path: Path) -> None:
    source = tmp_path / "include.cpp"
    source.write_text('#include "cryo_port.h"\nint main() { return 0; }\n')
    flags = ["-std=c++11", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]

    subprocess.run(
        [*compiler("c++"), *flags, f"-I{C_LIBRARY}", "-fsyntax-only", str(source)], check=True
    )


def test_cppcheck_has_nothing_to_say() -> None:
    command = [
        needed_program("cppcheck"),
        "--std=c99",
        "--quiet",
        "--enable=warning,style,performance,portability",
        "--error-exitcode=1",
        *map(str, SOURCES),
    ]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
