"""A real GDB at the emulated processor, and the program that waits for one."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.programs import needed_modules

needed_modules("unicorn")

from cryoctl_simulator.emulated.build import SHIPPED, build_probe
from tests.support.programs import needed_program

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX"),
]


@contextmanager
def cryoctl(*arguments: str, folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start cryoctl; give it and the address at which it waits for a debugger."""
    with subprocess.Popen(
        [sys.executable, "-m", "cryoctl", *arguments],
        cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            assert process.stderr is not None
            said = process.stderr.readline()
            found = re.search(r"waits for a debugger: .*target remote (127\.0\.0\.1:\d+)$", said)
            assert found is not None, said + process.stderr.read()
            yield process, found[1]
        finally:
            process.kill()


def gdb(elf: Path, address: str, *commands: str) -> str:
    """Let GDB do ``commands``; return what it prints."""
    script = ["set pagination off", "set confirm off", f"target remote {address}", *commands]
    asked = [part for command in script for part in ("-ex", command)]
    done = subprocess.run(
        [needed_program("gdb-multiarch"), "-nx", "-batch", *asked, str(elf)],
        text=True, capture_output=True, timeout=90, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_gdb_sees_lines_variables_and_callers_of_a_treatment_that_still_passes(
    tmp_path: Path,
) -> None:
    elf = tmp_path / "probe.elf"
    build_probe(elf, debug=True)
    device = f"sim:?firmware=elf:{elf}"
    with cryoctl("run", "--cycles", "1", "--device", device, "--gdb", "0", folder=tmp_path) as (
        process,
        address,
    ):
        told = gdb(
            elf, address,
            "break freeze_is_too_long if s->freeze_ms > 1000", "continue", "backtrace",
            "print s->state == 6", "print $sp > 0x20000000 && $sp < 0x20002000",
            "watch -location s->freeze_ms", "continue", "delete", "stepi", "next",
            "info registers xpsr", "monitor state", "load", "detach",
        )  # fmt: skip
        out, _ = process.communicate(timeout=90)

    assert re.search(r"Breakpoint 1, freeze_is_too_long .*safety\.c:\d+", told), told
    assert re.search(r"#1 .* find_trip .*safety\.c", told)
    assert re.search(r"#\d .* main \(\) at firmware/board/main\.c:\d+", told)
    assert "$1 = 1\n$2 = 1\n" in told
    assert re.search(r"Old value = 1010\nNew value = 1020", told)
    assert re.search(r"xpsr +0x", told)
    assert re.search(r"valve +[1-9]\d* permille", told)
    assert "Load failed" in told  # Another image is another --firmware.
    assert "PASS" in out
    assert process.returncode == 0


def test_a_served_probe_waits_goes_on_and_is_halted_again(tmp_path: Path) -> None:
    with cryoctl(
        "sim", "--tcp", "127.0.0.1:0", "--firmware", "emulated", "--gdb", "0", folder=tmp_path
    ) as (process, address):
        first = gdb(SHIPPED, address, "info registers pc", "detach")
        second = gdb(SHIPPED, address, "print $pc", "detach")
        assert process.stdout is not None
        place = next(line for line in process.stdout if line.startswith("at "))
        host, _, port = place.rpartition("tcp://")[2].strip().rpartition(":")
        with socket.create_connection((host, int(port)), timeout=10) as probe:
            assert probe.recv(100)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)

    assert "<Reset_Handler>" in first
    assert re.search(r"\$1 = .*0x8\w+ <\w+\+\d+>", second)
    assert "served" in out
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("run", "--device", "sim:?firmware=emulated"), 130),
        (("run", "--speed", "10", "--device", "sim:?firmware=emulated"), 130),
        (("sim", "--tcp", "127.0.0.1:0", "--firmware", "emulated"), 0),
    ],
)
def test_whoever_waits_for_a_debugger_can_be_stopped(
    arguments: tuple[str, ...], code: int, tmp_path: Path
) -> None:
    with cryoctl(*arguments, "--gdb", "0", folder=tmp_path) as (process, _):
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)

    assert process.returncode == code


def test_a_client_that_hangs_up_in_mid_packet_leaves_a_probe_that_works(tmp_path: Path) -> None:
    with cryoctl(
        "run", "--cycles", "1", "--device", "sim:?firmware=emulated", "--gdb", "0", folder=tmp_path
    ) as (process, address):
        host, _, port = address.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=10) as client:
            client.sendall(b"+$g#67$m2000")
            assert client.recv(1)
        out, _ = process.communicate(timeout=60)

    assert "PASS" in out
    assert process.returncode == 0
