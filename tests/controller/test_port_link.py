"""Frames over a port: both pumps, strangers, stalled and vanished ports."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import socket
import termios
import threading
import tty
from collections.abc import Awaitable, Callable, Iterator

import pytest
import serial

from cryoctl.dialect import OwnDialect
from cryoctl.port_link import UNSENT_MAX, PortLink, ThreadPump, describe_stranger
from cryoctl.serial_port import SerialPort
from cryoctl.serial_port import open_link as open_serial
from cryoctl.tcp_port import open_link as open_tcp
from cryoctl.virtual_time import VirtualTimeLoop, sleep_until
from cryoctl_protocol.codec import encode
from cryoctl_protocol.codes import SafeAction, Trip
from cryoctl_protocol.framing import Deframer, build, wrap
from cryoctl_protocol.messages import ID_OF, Stop, Vitals
from cryoctl_protocol.peer import AddressError, DeviceUrl, FrameLink, LinkError

pytestmark = pytest.mark.real_time

BODY = build(ID_OF[Vitals], encode(Vitals(1, 0, 0, 0, 0, 0, 0)), seq=0, session=0, key=None)
STOP = build(
    ID_OF[Stop], encode(Stop(1, 1, SafeAction.OFF, Trip.HEATER)), seq=0, session=0, key=None
)


class Far:
    """The far end of a line, as a test holds it."""

    def __init__(self, url: str, descriptor: int, hang_up: Callable[[], None]) -> None:
        self.url = url
        self.descriptor = descriptor
        self.hang_up = hang_up

    def send(self, data: bytes) -> None:
        os.write(self.descriptor, data)

    def heard(self) -> bytes:
        try:
            return os.read(self.descriptor, 65536)
        except BlockingIOError:
            return b""


@pytest.fixture(params=["loop", "thread"])
def serial_far(request: pytest.FixtureRequest) -> Iterator[Far]:
    master, slave = pty.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    is_open = [True]

    def hang_up() -> None:
        if is_open.pop():
            os.close(master)
        is_open.append(False)

    yield Far(f"serial:{os.ttyname(slave)}?pump={request.param}", master, hang_up)
    hang_up()
    os.close(slave)


@pytest.fixture
def tcp_far() -> Iterator[tuple[str, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}", server


def link_to(url: str) -> FrameLink:
    opener = open_serial if url.startswith("serial") else open_tcp
    link = opener(DeviceUrl.parse(url)).link
    assert link is not None
    return link


def drive(work: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(20.0):
            await work()

    asyncio.run(main())


# -- bytes to frames -----------------------------------------------------------------------------


def test_frames_cross_a_serial_port_both_ways(serial_far: Far) -> None:
    link = link_to(serial_far.url)

    async def work() -> None:
        serial_far.send(b"\0" + wrap(BODY))
        assert (await link.receive()).data == BODY
        await link.send(STOP)
        await asyncio.sleep(0.05)
        assert Deframer().feed(b"\0" + serial_far.heard()) == [STOP]
        await link.close()

    drive(work)


def test_frames_cross_a_tcp_connection_both_ways(tcp_far: tuple[str, socket.socket]) -> None:
    url, server = tcp_far
    link = link_to(url)
    far, _ = server.accept()

    async def work() -> None:
        far.sendall(b"\0" + wrap(BODY))
        assert (await link.receive()).data == BODY
        await link.send(STOP)
        await asyncio.sleep(0.05)
        assert Deframer().feed(b"\0" + far.recv(4096)) == [STOP]
        await link.close()

    drive(work)
    far.close()


def test_frames_that_come_together_are_received_one_by_one(serial_far: Far) -> None:
    link = link_to(serial_far.url)

    async def work() -> None:
        serial_far.send(b"\0" + wrap(BODY) * 3 + b"noise\0" + wrap(STOP))
        found = [(await link.receive()).data for _ in range(4)]
        assert found == [BODY, BODY, BODY, STOP]
        assert link.line_errors == 1
        await link.close()

    drive(work)


# -- strangers -----------------------------------------------------------------------------------


def test_not_one_byte_goes_to_a_port_that_has_not_shown_a_frame(serial_far: Far) -> None:
    link = link_to(serial_far.url)

    async def work() -> None:
        serial_far.send(b"login: ")
        await link.send(STOP)
        with pytest.raises(LinkError, match="no probe: 7 bytes in 3 s and no frame") as caught:
            await link.receive()
        assert "text: 'login: '" in str(caught.value)
        assert serial_far.heard() == b""

    drive(work)


def test_giving_up_before_a_frame_was_heard_writes_nothing_either(serial_far: Far) -> None:
    link = link_to(serial_far.url)

    async def work() -> None:
        serial_far.send(b"login: ")
        await link.send(STOP)
        await link.close()
        assert serial_far.heard() == b""

    drive(work)


@pytest.mark.parametrize(
    ("seen", "count", "told"),
    [
        (b"", 0, "nothing was heard in 3 s; is the probe switched on"),
        (b"U-Boot 2024\r\n", 900, "900 bytes in 3 s and no frame among them, beginning with text"),
        (b"\xff\x00\x83", 3, "beginning with bytes ff 00 83; wrong port or wrong baud rate?"),
    ],
)
def test_a_stranger_is_described(seen: bytes, count: int, told: str) -> None:
    assert told in describe_stranger(seen, count)


# -- ports that go ---------------------------------------------------------------------------------


def test_a_port_that_is_pulled_out_is_told_to_whoever_waits_and_sends(serial_far: Far) -> None:
    link = link_to(serial_far.url)

    async def work() -> None:
        serial_far.send(b"\0" + wrap(BODY))
        await link.receive()
        asyncio.get_running_loop().call_later(0.05, serial_far.hang_up)
        with pytest.raises(LinkError):
            await link.receive()
        with pytest.raises(LinkError):
            await link.send(STOP)

    drive(work)


def test_a_connection_that_is_closed_is_told(tcp_far: tuple[str, socket.socket]) -> None:
    url, server = tcp_far
    link = link_to(url)
    far, _ = server.accept()
    far.close()

    async def work() -> None:
        with pytest.raises(LinkError, match="the other end hung up"):
            await link.receive()

    drive(work)


class StalledPort:
    """Takes nothing until it is told to."""

    def __init__(self) -> None:
        self.taken = b""
        self.room = 0
        self.closed = False
        self._ours, self._theirs = socket.socketpair()

    def fileno(self) -> int:
        return self._ours.fileno()

    def read(self) -> bytes:
        return self._ours.recv(4096)

    def write(self, data: bytes) -> int:
        sent = min(self.room, len(data))
        self.room -= sent
        self.taken += data[:sent]
        return sent

    def close(self) -> None:
        self.closed = True
        self._ours.close()
        self._theirs.close()

    def hear(self, data: bytes) -> None:
        self._theirs.send(data)


class QuietPump:
    """Moves nothing by itself: the test does."""

    def start(self, link: object, port: object) -> None: ...

    def want_room(self, wanted: bool) -> None: ...

    def stop(self) -> None: ...


@pytest.mark.requirement("SR-29")
def test_stop_passes_everything_that_waits_for_a_stalled_port() -> None:
    port = StalledPort()
    link = PortLink(port, "stalled", QuietPump(), OwnDialect())

    async def work() -> None:
        await link.send(BODY)  # Starts the link; nobody has been heard yet.
        link.take(b"\0" + wrap(BODY))
        for _ in range(20):
            await link.send(BODY)
        await link.send(STOP)
        for _ in range(20):  # Nothing that comes after it may push it out.
            await link.send(BODY)
        port.room = 10_000
        link.flush()
        await link.close()

    drive(work)
    sent = Deframer().feed(port.taken)
    assert sent == [STOP] + [BODY] * UNSENT_MAX
    assert link.dropped_frames == 40 - UNSENT_MAX
    assert port.closed


def heard_from_afar(link: PortLink) -> None:
    link.take(b"\0" + wrap(BODY))


@pytest.mark.requirement("SR-29")
def test_nothing_asked_before_a_stop_comes_after_it() -> None:
    port = StalledPort()
    link = PortLink(port, "stalled", QuietPump(), OwnDialect())

    async def work() -> None:
        await link.send(BODY)
        heard_from_afar(link)
        for _ in range(3):
            await link.send(BODY)
        await link.send(STOP)
        port.room = 10_000
        link.flush()
        await link.close()

    drive(work)
    assert Deframer().feed(port.taken) == [STOP]
    assert link.dropped_frames == 3


@pytest.mark.requirement("SR-24")
@pytest.mark.parametrize(("stalled_s", "sent"), [(0.24, 3), (0.26, 0)])
def test_what_waited_longer_than_a_command_lives_is_never_sent(stalled_s: float, sent: int) -> None:
    port = StalledPort()
    link = PortLink(port, "stalled", QuietPump(), OwnDialect())

    async def main() -> None:
        await link.send(BODY)
        heard_from_afar(link)
        for _ in range(3):
            await link.send(BODY)
        await sleep_until(stalled_s)
        port.room = 10_000
        link.flush()
        await link.close()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main())
    assert Deframer().feed(port.taken) == [BODY] * sent
    assert link.dropped_frames == 3 - sent


@pytest.mark.requirement("SR-24")
def test_a_stop_never_gets_too_old() -> None:
    port = StalledPort()
    link = PortLink(port, "stalled", QuietPump(), OwnDialect())

    async def main() -> None:
        await link.send(BODY)
        heard_from_afar(link)
        await link.send(STOP)
        await sleep_until(60.0)
        port.room = 10_000
        link.flush()
        await link.close()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main())
    assert Deframer().feed(port.taken) == [STOP]


def test_a_frame_begun_is_finished_before_anything_else() -> None:
    port = StalledPort()
    link = PortLink(port, "stalled", QuietPump(), OwnDialect())

    async def work() -> None:
        await link.send(BODY)
        link.take(b"\0" + wrap(BODY))
        port.room = 11
        await link.send(BODY)
        await link.send(STOP)
        port.room = 10_000
        link.flush()
        await link.close()

    drive(work)
    assert Deframer().feed(port.taken) == [BODY, STOP]


@pytest.mark.parametrize("error", [OSError, TypeError, AttributeError])
def test_a_thread_whose_port_is_closed_under_it_ends_without_a_word(error: type[Exception]) -> None:
    reading, closed = threading.Event(), threading.Event()

    def read_waiting() -> bytes:
        reading.set()
        closed.wait(5.0)
        raise error

    pump = ThreadPump(read_waiting)
    link = PortLink(StalledPort(), "closed", pump, OwnDialect())

    async def work() -> None:
        await link.send(BODY)
        reading.wait(5.0)
        await link.close()
        closed.set()
        pump._thread.join(5.0)

    drive(work)


def test_reading_in_a_thread_leaves_the_settings_of_the_port_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    master, slave = pty.openpty()
    port = serial.Serial(os.ttyname(slave), timeout=0.01)
    monkeypatch.setattr(port, "_reconfigure_port", None)

    assert SerialPort(port).read_waiting() == b""
    os.write(master, b"abc")
    assert SerialPort(port).read_waiting() == b"abc"

    port.close()
    os.close(master)
    os.close(slave)


# -- addresses -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "error", "told"),
    [
        ("serial:", AddressError, "give a port, such as serial:/dev/ttyACM0"),
        ("serial:/dev/x?bauds=9600", AddressError, "unknown parameter 'bauds'"),
        ("serial:/dev/x?baud=fast", AddressError, "baud 'fast' is no whole number"),
        ("serial:/dev/x?pump=hand", AddressError, "neither loop nor thread"),
        ("serial:/dev/x?speaks_first=me", AddressError, "speaks_first 'me' (allowed: host)"),
        ("serial:/dev/x?speaks_first=host", AddressError, "is for a dialect that asks"),
        ("serial:spy:///dev/x", AddressError, "allowed: rfc2217:// or socket://"),
        ("serial:rfc2217://here", AddressError, "expected serial:rfc2217://HOST:PORT"),
        ("serial:socket://h:1?baud=auto", AddressError, "baud=auto is for ports of this machine"),
        ("serial:socket://h:1?pump=loop", AddressError, "pump and id are for ports of this"),
        ("serial:socket://127.0.0.1:1", LinkError, "does anything listen there?"),
        ("tcp://h:1?speaks_first=host", AddressError, "is for a dialect that asks"),
        ("serial:/dev/no-such-port", LinkError, "there is no such port; cryoctl ports lists"),
        ("tcp:7070", AddressError, "expected tcp://HOST:PORT"),
        ("tcp://localhost:port", AddressError, "expected tcp://HOST:PORT"),
        ("tcp://localhost:70000", AddressError, "expected tcp://HOST:PORT"),
        ("tcp://127.0.0.1:1", LinkError, "does anything listen there?"),
    ],
)
def test_a_wrong_address_says_what_is_wrong(url: str, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=re.escape(told)):
        link_to(url)


def test_a_port_that_another_program_has_is_refused(serial_far: Far) -> None:
    link = link_to(serial_far.url)

    with pytest.raises(LinkError, match="another program has it open"):
        link_to(serial_far.url)
    drive(link.close)


class DeadSerial:
    """A pyserial port whose cable was pulled while its buffer was full."""

    def __init__(self) -> None:
        self.closed = False

    def write(self, data: bytes) -> int:
        return 0

    def reset_output_buffer(self) -> None:
        raise termios.error(5, "Input/output error")

    def close(self) -> None:
        self.closed = True


def test_a_stalled_serial_port_that_was_pulled_out_is_given_up_all_the_same() -> None:
    dead = DeadSerial()
    port = SerialPort(dead)  # type: ignore[arg-type]

    assert port.write(b"x") == 0
    port.close()

    assert dead.closed
