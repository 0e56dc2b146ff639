"""The list of serial ports: what it tells, and that it opens none."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cryoctl.cli import invoke
from cryoctl.port_hints import permission, running_grabbers, why_not

PROBE = SimpleNamespace(
    device="/dev/ttyACM0",
    manufacturer="Someone",
    product="Cooler",
    description="Cooler",
    vid=0x1A86,
    pid=0x7523,
    serial_number="CP-7",
    location="1-1.4:1.0",
)
BOARD = SimpleNamespace(
    device="/dev/ttyS0", product=None, description="n/a", vid=None, pid=None, serial_number=None
)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """Stand for a machine with ports of our choice; opening one is an error."""
    found: list[Any] = []

    class Sortable(SimpleNamespace):
        def __lt__(self, other: SimpleNamespace) -> bool:
            return bool(self.device < other.device)

    def comports() -> list[Any]:
        return [Sortable(**vars(port)) for port in found]

    def opened(*_arguments: object, **_options: object) -> None:
        raise AssertionError("a port was opened")

    monkeypatch.setattr("cryoctl.known_ports.list_ports.comports", comports)
    monkeypatch.setattr("cryoctl.known_ports.data_folder", lambda: tmp_path / "data")
    monkeypatch.setattr("cryoctl.serial_port.serial.Serial", opened)
    monkeypatch.setattr("cryoctl.port_hints.os.access", lambda path, _mode: path != BOARD.device)
    return found


def test_every_port_is_listed_with_what_it_says_it_is(
    machine: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    machine += [BOARD, PROBE]

    assert invoke(["ports"]) == 0

    head, probe, board, *rest = capsys.readouterr().out.splitlines()
    assert head.split() == ["port", "product", "usb", "id", "serial", "number", "probe"]
    assert probe.split() == ["/dev/ttyACM0", "Cooler", "1a86:7523", "CP-7"]
    assert board.startswith("/dev/ttyS0")
    assert rest[0].startswith("  not allowed; ")
    assert rest[-1] == "  cryoctl run --device serial:/dev/ttyACM0"


def test_scripts_get_the_same_as_json(
    machine: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    machine.append(PROBE)

    assert invoke(["ports", "--json"]) == 0

    assert json.loads(capsys.readouterr().out) == [
        {
            "device": "/dev/ttyACM0",
            "manufacturer": "Someone",
            "product": "Cooler",
            "vid_pid": "1a86:7523",
            "serial_number": "CP-7",
            "location": "1-1.4:1.0",
            "identity": "1a86:7523:CP-7",
            "stable_path": "/dev/ttyACM0",
            "probe": "",
            "problem": "",
        }
    ]


@pytest.mark.usefixtures("machine")
def test_a_machine_without_ports_is_told_of_the_simulated_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert invoke(["ports"]) == 0
    assert capsys.readouterr().out == (
        "no serial ports; cryoctl sim --pty serves a simulated probe as one\n"
    )


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.ENOENT, "there is no such port; cryoctl ports lists"),
        (errno.EACCES, "not allowed; "),
        (errno.EBUSY, "another program has it open"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
def test_why_a_port_cannot_be_opened_says_what_to_do(number: int, told: str) -> None:
    assert told in why_not("/dev/null", OSError(number, os.strerror(number)))


def test_who_may_open_a_port_is_told_by_its_group(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import grp

    port = tmp_path / "ttyUSB0"
    port.touch()

    def say(mode: int, gid: int, *members: str) -> str:
        status = SimpleNamespace(st_gid=gid, st_mode=mode)
        group = SimpleNamespace(gr_name="uucp", gr_mem=list(members))
        monkeypatch.setattr("cryoctl.port_hints.os.stat", lambda _path: status)
        monkeypatch.setattr(grp, "getgrgid", lambda _gid: group)
        return permission(str(port))

    monkeypatch.setattr("cryoctl.port_hints._user", lambda: "ada")

    assert "sudo usermod -aG uucp $USER" in say(0o660, 14)
    assert "not yet in this session" in say(0o660, 14, "ada")
    assert "a udev rule" in say(0o660, 0)
    assert "a udev rule" in say(0o600, 14)


def test_a_program_that_grabs_ports_is_named_with_what_to_do(tmp_path: Path) -> None:
    for number, name in (("1", "init"), ("77", "ModemManager")):
        (tmp_path / number).mkdir()
        (tmp_path / number / "comm").write_text(f"{name}\n")
    (tmp_path / "self").mkdir()

    assert running_grabbers(tmp_path) == ["ModemManager"]
