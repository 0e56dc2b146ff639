"""Ports of other machines: a real RFC 2217 server, servers that die, and what is none."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from queue import Empty, Queue
from typing import Any

import pytest
from serial.rfc2217 import PortManager

from cryoctl.port_link import RealTimeLoop
from cryoctl.remote_serial import Rfc2217Port
from cryoctl.serial_port import open_link
from cryoctl_protocol.codec import encode
from cryoctl_protocol.framing import Deframer, build, wrap
from cryoctl_protocol.messages import ID_OF, Vitals
from cryoctl_protocol.peer import DeviceUrl, FrameLink, LinkError

pytestmark = [
    pytest.mark.real_time,
    pytest.mark.filterwarnings("ignore:set(Daemon|Name)\\(\\) is deprecated:DeprecationWarning"),
]


FULL_OF_IAC = build(
    ID_OF[Vitals],
    encode(Vitals(0xFFFFFFFF, 0, -1, -1, 0, 0, 0)),
    seq=0xFFFF,
    session=0,
    key=None,
)
"""A byte of 255 has to be doubled on the way, both ways."""


class FakeSerial:
    """The serial port behind the server: settings and modem lines, and a wire to the test."""

    def __init__(self) -> None:
        self.baudrate, self.bytesize, self.parity, self.stopbits = 9600, 8, "N", 1
        self.rtscts = self.xonxoff = self.rts = self.dtr = self.break_condition = False
        self.cts = self.dsr = self.cd = True
        self.ri = False
        self.got = b""
        self.says: Queue[bytes] = Queue()

    def write(self, data: bytes) -> None:
        self.got += data

    def reset_input_buffer(self) -> None: ...

    def reset_output_buffer(self) -> None: ...


class Server:
    """pyserial's own RFC 2217 server before a fake port, for one client."""

    def __init__(self) -> None:
        self.port = FakeSerial()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self._client: socket.socket | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        try:
            self._client, _ = self._listening.accept()
        except OSError:
            return
        client = self._client
        client.settimeout(0.01)

        class Connection:
            def write(self, data: bytes) -> None:
                client.sendall(data)

        stand_ins: Any = (self.port, Connection())
        manager = PortManager(*stand_ins)
        try:
            while True:
                try:
                    data = client.recv(4096)
                    if not data:
                        return
                    self.port.write(b"".join(manager.filter(data)))
                except TimeoutError:
                    pass
                try:
                    client.sendall(b"".join(manager.escape(self.port.says.get_nowait())))
                except Empty:
                    continue
        except OSError:
            return

    def hang_up(self) -> None:
        if self._client is not None:
            self._client.shutdown(socket.SHUT_RDWR)
            self._client.close()

    def close(self) -> None:
        self._listening.close()
        if self._client is not None:
            self._client.close()
        self._thread.join(5.0)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def link_to(address: str) -> FrameLink:
    link = open_link(DeviceUrl.parse(address)).link
    assert link is not None
    return link


def drive(work: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(20.0):
            await work()

    with asyncio.Runner(loop_factory=RealTimeLoop) as runner:
        runner.run(main())


def wait_until(holds: Callable[[], bool], longest_s: float = 5.0) -> None:
    until_s = time.monotonic() + longest_s
    while not holds():
        assert time.monotonic() < until_s
        time.sleep(0.01)


def test_frames_cross_a_remote_port_both_ways_at_the_rate_asked_for(server: Server) -> None:
    link = link_to(f"serial:rfc2217://{server.address}?baud=57600")

    async def work() -> None:
        server.port.says.put(b"\0" + wrap(FULL_OF_IAC))
        assert (await link.receive()).data == FULL_OF_IAC
        await link.send(FULL_OF_IAC)
        await asyncio.to_thread(wait_until, lambda: len(server.port.got) > len(FULL_OF_IAC))
        await link.close()

    drive(work)
    assert server.port.baudrate == 57600
    assert Deframer().feed(b"\0" + server.port.got) == [FULL_OF_IAC]


def test_nothing_reaches_a_device_behind_a_server_before_a_frame_was_heard(server: Server) -> None:
    link = link_to(f"serial:rfc2217://{server.address}")

    async def work() -> None:
        server.port.says.put(b"login: ")
        await link.send(FULL_OF_IAC)
        with pytest.raises(LinkError, match="no probe: 7 bytes"):
            await link.receive()

    drive(work)
    assert server.port.got == b""


@pytest.mark.requirement("SR-03")
def test_a_server_that_goes_is_a_lost_link_within_a_second(server: Server) -> None:
    link = link_to(f"serial:rfc2217://{server.address}")
    took_s = []

    async def work() -> None:
        loop = asyncio.get_running_loop()
        server.port.says.put(b"\0" + wrap(FULL_OF_IAC))
        await link.receive()
        server.hang_up()
        began_s = loop.time()
        with pytest.raises(LinkError):
            await link.receive()
        with pytest.raises(LinkError):
            await link.send(FULL_OF_IAC)
        await link.close()
        took_s.append(loop.time() - began_s)

    drive(work)
    assert took_s[0] < 1.0


def test_what_answers_but_is_no_rfc_2217_server_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def echo() -> None:
            client, _ = listening.accept()
            with client:
                while data := client.recv(4096):
                    client.sendall(data)

        threading.Thread(target=echo, daemon=True).start()
        began_s = time.monotonic()

        with pytest.raises(LinkError, match=r"does an RFC 2217 server, such as ser2net, listen"):
            link_to(f"serial:rfc2217://127.0.0.1:{listening.getsockname()[1]}")

        assert time.monotonic() - began_s < 15.0


def test_a_server_that_says_nothing_does_not_hold_opening_up_for_ever() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        began_s = time.monotonic()

        with pytest.raises(LinkError, match="RFC 2217"):
            link_to(f"serial:rfc2217://127.0.0.1:{listening.getsockname()[1]}")

        assert time.monotonic() - began_s < 15.0


class FullSocket:
    """A socket whose other end takes only so much."""

    def __init__(self) -> None:
        self.room = 0
        self.sent = b""
        self._near, self._far = socket.socketpair()

    def fileno(self) -> int:
        return self._near.fileno()

    def send(self, data: bytes) -> int:
        taken = data[: self.room]
        self.sent += taken
        self.room -= len(taken)
        return len(taken)

    def close(self) -> None:
        self._near.close()
        self._far.close()


def test_a_server_that_takes_nothing_holds_up_neither_writing_nor_closing() -> None:
    taker = FullSocket()
    closing = threading.Event()

    class Slow:
        _socket = taker
        _write_lock = threading.Lock()

        def close(self) -> None:
            closing.wait(5.0)

    port: Any = Rfc2217Port(Slow())
    began_s = time.monotonic()

    assert port.write(b"a\xffb") == 3  # Taken, and kept: it goes out whole or not at all.
    assert port.write(b"later") == 0
    taker.room = 2
    assert port.write(b"later") == 0
    taker.room = 100
    assert port.write(b"later") == 5
    port.close()

    assert time.monotonic() - began_s < 1.0
    assert taker.sent == b"a\xff\xffblater"
    closing.set()
    taker.close()


def test_a_socket_is_our_own_tcp_port_without_nagle() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        link = link_to(f"serial:socket://127.0.0.1:{listening.getsockname()[1]}")
        client, _ = listening.accept()

        async def work() -> None:
            client.sendall(b"\0" + wrap(FULL_OF_IAC))
            assert (await link.receive()).data == FULL_OF_IAC
            near: Any = link
            connection: socket.socket = near._port._connection
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
            client.close()
            with pytest.raises(LinkError, match="the other end hung up"):
                await link.receive()

        drive(work)
