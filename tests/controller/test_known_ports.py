"""``serial:auto``: our own and remembered devices alone; whatever else is there is not opened."""

from __future__ import annotations

import os
import pty
import tty
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import serial

from cryoctl.cli import invoke
from cryoctl.known_ports import Remembered, UsbPort, is_name, stable_path
from cryoctl.serial_port import open_link
from cryoctl_protocol.peer import AddressError, DeviceUrl, LinkError, Opened
from cryoctl_protocol.toml_text import FileError

AUTO = DeviceUrl.parse("serial:auto")


class Machine:
    """A machine whose list of ports a test writes; each port is a pseudo-terminal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.listed: list[SimpleNamespace] = []
        self.opened: list[str] = []
        self.links: list[Opened] = []
        self._descriptors: list[int] = []

    def plug(self, serial_number: str | None = "CP-7", **more: Any) -> str:
        """Plug a USB device in; return the path of its port."""
        master, slave = pty.openpty()
        tty.setraw(slave)
        os.set_blocking(master, False)
        self._descriptors += [master, slave]
        path = os.ttyname(slave)
        usb = {
            "device": path,
            "manufacturer": "Someone",
            "product": "Cooler",
            "description": "Cooler",
            "vid": 0x1A86,
            "pid": 0x7523,
            "serial_number": serial_number,
            "location": "1-1.4:1.0",
        }
        self.listed.append(SimpleNamespace(**{**usb, **more}))
        return path

    def unplug(self, path: str) -> None:
        self.listed = [port for port in self.listed if port.device != path]

    def heard(self) -> bytes:
        """Return every byte that any of the devices got."""
        found = b""
        for master in self._descriptors[::2]:
            try:
                found += os.read(master, 4096)
            except BlockingIOError:
                continue
        return found

    def open(self, url: DeviceUrl = AUTO) -> Opened:
        opened = open_link(url)
        self.links.append(opened)
        return opened

    def close(self) -> None:
        for opened in self.links:
            assert opened.link is not None
            opened.link.abort()
        for descriptor in self._descriptors:
            os.close(descriptor)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path / "data")
    really = serial.Serial

    def opened(path: str, *arguments: Any, **options: Any) -> Any:
        made.opened.append(path)
        return really(path, *arguments, **options)

    def comports() -> list[Any]:
        return [Sortable(**vars(port)) for port in made.listed]

    class Sortable(SimpleNamespace):
        def __lt__(self, other: SimpleNamespace) -> bool:
            return bool(self.device < other.device)

    monkeypatch.setattr("cryoctl.serial_port.serial.Serial", opened)
    monkeypatch.setattr("cryoctl.known_ports.list_ports.comports", comports)
    monkeypatch.setattr("cryoctl.known_ports.data_folder", lambda: made.folder)
    yield made
    made.close()


OWN = {"manufacturer": "cryoctl", "product": "cryoprobe dev board"}


def test_the_one_device_that_says_it_is_ours_is_opened_and_no_other(machine: Machine) -> None:
    machine.plug("A")
    ours = machine.plug("B", **OWN)
    machine.plug("C")

    opened = machine.open()

    assert machine.opened == [ours]
    assert machine.heard() == b""
    assert opened.description.startswith(f"serial port {ours} (1a86:7523:B) at 115200 baud")


def test_a_foreign_device_is_not_even_opened(machine: Machine) -> None:
    path = machine.plug()

    with pytest.raises(LinkError) as caught:
        machine.open()

    assert machine.opened == []
    assert machine.heard() == b""
    assert f"{path}  Cooler 1a86:7523:CP-7" in str(caught.value)
    assert "cryoctl ports --remember DEVICE" in str(caught.value)


def test_the_strings_of_others_do_not_make_a_device_ours(machine: Machine) -> None:
    machine.plug("A", manufacturer="cryoctl", product="Printer")
    machine.plug("B", manufacturer="pid.codes", product="cryoprobe")
    machine.plug("C", vid=0x1209, pid=0x0001)  # Lent by pid.codes to everybody, for tests.

    with pytest.raises(LinkError, match="no probe; nothing was opened"):
        machine.open()
    assert machine.opened == []


def test_two_candidates_are_listed_and_none_is_opened(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = machine.plug("A", **OWN), machine.plug("B", **OWN)

    assert invoke(["monitor", "--device", "serial:auto", "--seconds", "1"]) == 3

    told = capsys.readouterr().err
    assert "2 probes; nothing was opened. Choose one:" in told
    assert f"serial:{first}  cryoprobe dev board 1a86:7523:A" in told
    assert f"serial:{second}  cryoprobe dev board 1a86:7523:B" in told
    assert machine.opened == []


@pytest.mark.usefixtures("machine")
def test_a_machine_without_ports_says_so() -> None:
    with pytest.raises(LinkError, match="this machine has no serial port"):
        open_link(AUTO)


def test_a_remembered_device_is_found_by_auto_and_by_its_name(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.plug("A")
    path = machine.plug("B")

    assert invoke(["ports", "--remember", path, "--name", "bench-2"]) == 0
    assert machine.opened == []
    assert "next:\n  cryoctl run --device serial:bench-2" in capsys.readouterr().out
    machine.open()
    machine.links.pop().link.abort()  # type: ignore[union-attr]
    machine.open(DeviceUrl.parse("serial:bench-2?baud=9600"))

    assert machine.opened == [path, path]


@pytest.mark.requirement("SR-03")
def test_after_a_reconnect_the_same_device_is_opened_wherever_its_port_went(
    machine: Machine,
) -> None:
    first = machine.plug("A", **OWN)
    again = machine.open(DeviceUrl.parse("serial:auto?baud=9600")).again
    assert again is not None

    machine.unplug(first)
    machine.plug("B", **OWN)
    with pytest.raises(LinkError, match="1a86:7523:A is not plugged in"):
        machine.open(again)
    moved = machine.plug("A", **OWN)
    opened = machine.open(again)

    assert machine.opened == [first, moved]
    assert f"{moved} (1a86:7523:A) at 9600 baud" in opened.description


def test_a_device_without_serial_number_is_known_by_its_socket_and_a_warning_says_so(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    path = machine.plug(None)

    assert invoke(["ports", "--remember", path]) == 0
    assert "no serial number" in capsys.readouterr().err
    machine.open()
    machine.unplug(path)
    machine.plug(None, location="1-2:1.0")

    with pytest.raises(LinkError, match="no probe; nothing was opened"):
        machine.open()
    assert machine.opened == [path]


def test_two_devices_that_call_themselves_the_same_are_two(machine: Machine) -> None:
    path = machine.plug("0001")
    machine.plug("0001")
    invoke(["ports", "--remember", path])

    with pytest.raises(LinkError, match="2 probes"):
        machine.open()


def test_what_was_forgotten_is_foreign_again(machine: Machine) -> None:
    path = machine.plug()
    invoke(["ports", "--remember", path, "--name", "mine"])

    assert invoke(["ports", "--forget", "mine"]) == 0

    with pytest.raises(LinkError, match="no probe; nothing was opened"):
        machine.open()
    assert invoke(["ports", "--forget", "mine"]) == 3


@pytest.mark.parametrize("forgotten_by", ["path", "identity"])
def test_a_device_is_forgotten_by_its_port_or_its_identity(
    machine: Machine, forgotten_by: str
) -> None:
    path = machine.plug()
    invoke(["ports", "--remember", path])

    told = path if forgotten_by == "path" else "1a86:7523:CP-7"

    assert invoke(["ports", "--forget", told]) == 0
    assert Remembered.load().ports == ()


def test_the_file_can_be_read_by_people(machine: Machine) -> None:
    path = machine.plug('odd "number" \\')
    invoke(["ports", "--remember", path, "--name", "bench"])

    text = (machine.folder / "ports.toml").read_text("utf-8")

    assert text == (
        "# Serial ports that cryoctl remembers as probes: cryoctl ports --remember, --forget.\n"
        "schema = 1\n"
        "\n"
        "[[port]]\n"
        'vid_pid = "1a86:7523"\n'
        'serial_number = "odd \\"number\\" \\\\"\n'
        'name = "bench"\n'
    )
    assert Remembered.load().ports[0].serial_number == 'odd "number" \\'


def test_a_broken_file_is_told_with_its_place(machine: Machine) -> None:
    machine.plug("A", **OWN)
    machine.folder.mkdir()
    (machine.folder / "ports.toml").write_text('schema = 1\n\n[[port]]\nvid_pid = "1a86"\n')

    with pytest.raises(FileError, match=r"ports\.toml:4"):
        machine.open()
    assert machine.opened == []


def test_a_port_that_is_no_usb_device_cannot_be_remembered(machine: Machine) -> None:
    path = machine.plug(vid=None, pid=None)

    assert invoke(["ports", "--remember", path]) == 3
    assert Remembered.load().ports == ()


def test_a_name_belongs_to_one_device(machine: Machine) -> None:
    first, second = machine.plug("A"), machine.plug("B")

    assert invoke(["ports", "--remember", first, "--name", "probe"]) == 0
    assert invoke(["ports", "--remember", second, "--name", "probe"]) == 2
    assert invoke(["ports", "--remember", first, "--name", "other"]) == 0
    assert [row.name for row in Remembered.load().ports] == ["other"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bench-2", True),
        ("company", True),
        ("auto", False),
        ("COM3", False),
        ("ttyUSB0", False),
        ("/dev/ttyS0", False),
        ("2nd", False),
        ("", False),
    ],
)
def test_a_name_is_no_name_of_a_port(text: str, expected: bool) -> None:
    assert is_name(text) is expected


def test_an_identity_is_for_auto_alone() -> None:
    with pytest.raises(AddressError, match="id is for serial:auto"):
        open_link(DeviceUrl.parse("serial:/dev/null?id=1a86:7523:A"))


def test_the_path_that_stays_is_preferred(tmp_path: Path) -> None:
    port = tmp_path / "ttyUSB3"
    port.touch()
    folder = tmp_path / "by-id"
    folder.mkdir()
    (folder / "usb-Someone_Cooler_CP-7-if00").symlink_to(port)

    assert stable_path(str(port), folder) == str(folder / "usb-Someone_Cooler_CP-7-if00")
    assert stable_path("/dev/ttyS0", folder) == "/dev/ttyS0"


def test_nothing_tells_a_device_without_usb_from_another() -> None:
    assert UsbPort("/dev/ttyS0").identity == ""
    assert UsbPort("/dev/ttyUSB0", vid_pid="1a86:7523").identity == ""


def test_the_list_says_which_ports_are_probes(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, remembered, foreign = machine.plug("A", **OWN), machine.plug("B"), machine.plug("C")
    invoke(["ports", "--remember", remembered, "--name", "bench"])
    capsys.readouterr()

    assert invoke(["ports"]) == 0

    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert lines[ours].endswith("own")
    assert lines[remembered].endswith("bench")
    assert lines[foreign].endswith("C")
