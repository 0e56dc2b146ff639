"""The list of serial ports: what it tells, and that it opens none."""

from __future__ import annotations

import errno
import json
import os
from types import SimpleNamespace
from typing import Any

import pytest

from cryoctl.cli import invoke
from cryoctl.serial_port import why_not

PROBE = SimpleNamespace(
    device="/dev/ttyACM0",
    product="Cryoprobe",
    description="Cryoprobe",
    vid=0x1209,
    pid=0x0042,
    serial_number="CP-7",
)
BOARD = SimpleNamespace(
    device="/dev/ttyS0", product=None, description="n/a", vid=None, pid=None, serial_number=None
)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Stand for a machine with ports of our choice; opening one is an error."""
    found: list[Any] = []

    class Sortable(SimpleNamespace):
        def __lt__(self, other: SimpleNamespace) -> bool:
            return bool(self.device < other.device)

    def comports() -> list[Any]:
        return [Sortable(**vars(port)) for port in found]

    def opened(*_arguments: object, **_options: object) -> None:
        raise AssertionError("a port was opened")

    monkeypatch.setattr("cryoctl.serial_port.list_ports.comports", comports)
    monkeypatch.setattr("cryoctl.serial_port.serial.Serial", opened)
    monkeypatch.setattr("cryoctl.serial_port.os.access", lambda path, _mode: path != BOARD.device)
    return found


def test_every_port_is_listed_with_what_it_says_it_is(
    machine: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    machine += [BOARD, PROBE]

    assert invoke(["ports"]) == 0

    head, probe, board, *rest = capsys.readouterr().out.splitlines()
    assert head.split() == ["port", "product", "usb", "id", "serial", "number"]
    assert probe.split() == ["/dev/ttyACM0", "Cryoprobe", "1209:0042", "CP-7"]
    assert board.startswith("/dev/ttyS0")
    assert "not allowed; " in board
    assert rest[-1] == "  cryoctl run --device serial:/dev/ttyACM0"


def test_scripts_get_the_same_as_json(
    machine: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    machine.append(PROBE)

    assert invoke(["ports", "--json"]) == 0

    assert json.loads(capsys.readouterr().out) == [
        {
            "device": "/dev/ttyACM0",
            "product": "Cryoprobe",
            "vid_pid": "1209:0042",
            "serial_number": "CP-7",
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
        (errno.EACCES, "it belongs to the group "),
        (errno.EBUSY, "another program has it open"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
def test_why_a_port_cannot_be_opened_says_what_to_do(number: int, told: str) -> None:
    assert told in why_not("/dev/null", OSError(number, os.strerror(number)))
