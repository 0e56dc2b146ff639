"""``?baud=auto``: the rate is found by listening, and nothing is sent to find it."""

from __future__ import annotations

from typing import Any

import pytest

from cryoctl.serial_port import open_link
from cryoctl_protocol.codec import encode
from cryoctl_protocol.framing import build, wrap
from cryoctl_protocol.messages import ID_OF, Vitals
from cryoctl_protocol.peer import AddressError, DeviceUrl, LinkError

VITALS = wrap(build(ID_OF[Vitals], encode(Vitals(1, 0, 0, 0, 0, 0, 0)), seq=0, session=0, key=None))


class LineAt:
    """A pyserial port on a line of one rate: at any other, what is heard is noise."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.baudrate = 0
        self.timeout: float = 0
        self.written = b""
        self.is_open = True
        self.tried: list[int] = []

    def opened(self, _path: str, baud: int, **_options: Any) -> LineAt:
        self.baudrate = baud
        return self

    def reset_input_buffer(self) -> None:
        self.tried.append(self.baudrate)

    def read(self, _size: int) -> bytes:
        return VITALS[9:] + VITALS * 2 if self.baudrate == self.rate else b"\x80\xf0\x00" * 20

    def write(self, data: bytes) -> int:
        self.written += data
        return len(data)

    def set_low_latency_mode(self, _wanted: bool) -> None:
        raise ValueError("none")

    def close(self) -> None:
        self.is_open = False


@pytest.mark.parametrize("rate", [115_200, 460_800, 9_600])
def test_the_rate_at_which_frames_are_heard_is_taken(
    monkeypatch: pytest.MonkeyPatch, rate: int
) -> None:
    line = LineAt(rate)
    monkeypatch.setattr("cryoctl.serial_port.serial.Serial", line.opened)

    opened = open_link(DeviceUrl.parse("serial:/dev/ttyUSB0?baud=auto"))

    assert opened.description.startswith(f"serial port /dev/ttyUSB0 at {rate} baud")
    assert line.tried[-1] == rate
    assert line.written == b""
    assert opened.again is not None
    assert opened.again.get("baud") == str(rate)


def test_a_line_without_frames_at_any_rate_is_given_up_without_a_byte(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = LineAt(31_250)
    monkeypatch.setattr("cryoctl.serial_port.serial.Serial", line.opened)

    with pytest.raises(LinkError, match=r"480 bytes and no frame among them.*Nothing was sent"):
        open_link(DeviceUrl.parse("serial:/dev/ttyUSB0?baud=auto"))

    assert len(line.tried) == 8
    assert (line.written, line.is_open) == (b"", False)


def test_a_probe_that_only_answers_has_no_rate_to_be_heard() -> None:
    with pytest.raises(AddressError, match="give the baud rate"):
        open_link(DeviceUrl.parse("serial:/x?baud=auto&dialect=ascii&speaks_first=host"))


def test_whether_the_driver_took_low_latency_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    line = LineAt(115_200)
    monkeypatch.setattr("cryoctl.serial_port.sys.platform", "linux")
    monkeypatch.setattr("cryoctl.serial_port.serial.Serial", line.opened)
    url = DeviceUrl.parse("serial:/dev/ttyUSB0")

    assert open_link(url).description.endswith("no low-latency mode in its driver")
    monkeypatch.setattr(line, "set_low_latency_mode", lambda _wanted: None)
    assert open_link(url).description.endswith("low-latency mode on")
