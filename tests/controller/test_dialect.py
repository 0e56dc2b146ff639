"""A dialect between port and link: found by name, both ways, STOP first, nothing to strangers."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cryoctl.dialect import DIALECT_GROUP, OwnDialect, dialect_of
from cryoctl.port_link import LoopPump, PortLink, RealTimeLoop
from cryoctl.serial_port import open_link as open_serial
from cryoctl.tcp_port import TcpPort
from cryoctl.tcp_port import open_link as open_tcp
from cryoctl_protocol.codec import encode
from cryoctl_protocol.codes import SafeAction, Trip
from cryoctl_protocol.framing import build
from cryoctl_protocol.messages import ID_OF, HelloHost, Stop, Vitals
from cryoctl_protocol.peer import AddressError, DeviceUrl
from tests.support.tree import ROOT

VITALS = build(ID_OF[Vitals], encode(Vitals(1, 0, 0, 0, 0, 0, 0)), seq=0, session=0, key=None)
HELLO = build(ID_OF[HelloHost], encode(HelloHost(1, 0, 1, 1)), seq=0, session=0, key=None)
STOP = build(
    ID_OF[Stop], encode(Stop(1, 1, SafeAction.OFF, Trip.HEATER)), seq=0, session=0, key=None
)
PAGE = ROOT / "docs" / "how-to" / "add-a-dialect.md"


@pytest.fixture
def hexlines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the dialect of the how-to, with an entry point, on the path."""
    found = re.search(r"cat > hexlines\.py <<'PYTHON'\n(.*?)\nPYTHON", PAGE.read_text(), re.DOTALL)
    assert found is not None
    (tmp_path / "hexlines.py").write_text(found[1])
    metadata = tmp_path / "hexlines-0.1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: hexlines\nVersion: 0.1\n")
    (metadata / "entry_points.txt").write_text(f"[{DIALECT_GROUP}]\nhexlines = hexlines:HexLines\n")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.fixture
def far() -> Iterator[tuple[socket.socket, DeviceUrl]]:
    """Return a server and the address of it that asks for the dialect."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}?dialect=hexlines"
        yield server, DeviceUrl.parse(address)


@pytest.mark.real_time
@pytest.mark.usefixtures("hexlines")
def test_frames_go_both_ways_in_the_dialect_of_the_address(
    far: tuple[socket.socket, DeviceUrl],
) -> None:
    server, url = far
    link = open_tcp(url).link
    assert link is not None
    with server.accept()[0] as client:
        client.settimeout(5.0)

        async def main() -> tuple[bytes, int]:
            client.sendall(b"garbage\n" + VITALS.hex().encode() + b"\n")
            frame = await link.receive()
            await link.send(HELLO)
            return frame.data, link.line_errors

        with asyncio.Runner(loop_factory=RealTimeLoop) as runner:
            received, errors = runner.run(main())
            link.abort()

        assert (received, errors) == (VITALS, 1)
        assert client.recv(4096) == b"\n" + HELLO.hex().encode() + b"\n"


@pytest.mark.real_time
@pytest.mark.usefixtures("hexlines")
def test_nothing_is_sent_to_what_the_dialect_does_not_understand(
    far: tuple[socket.socket, DeviceUrl],
) -> None:
    server, url = far
    link = open_tcp(url).link
    assert link is not None
    with server.accept()[0] as client:

        async def main() -> None:
            client.sendall(b"login: \n")
            await link.send(STOP)
            await asyncio.sleep(0.05)
            await link.send(STOP)

        with asyncio.Runner(loop_factory=RealTimeLoop) as runner:
            runner.run(main())
            link.abort()

        assert client.recv(4096) == b""


class Echoing(OwnDialect):
    """Answers each greeting by itself, as for a probe that knows none."""

    def __init__(self) -> None:
        super().__init__()
        self._answers: list[bytes] = []

    def decode(self, data: bytes, now_s: float) -> list[bytes]:
        answers, self._answers = self._answers, []
        return super().decode(data, now_s) + answers

    def encode(self, body: bytes, now_s: float) -> bytes:
        if body != HELLO:
            return super().encode(body, now_s)
        self._answers.append(b"answer")
        return b""


@pytest.mark.real_time
def test_a_dialect_may_answer_for_a_probe_that_has_no_such_message() -> None:
    near, client = socket.socketpair()
    near.setblocking(False)
    link = PortLink(TcpPort(near), "pair", LoopPump(), Echoing())
    with client:

        async def main() -> bytes:
            client.sendall(OwnDialect().opening() + OwnDialect().encode(VITALS, 0.0))
            assert (await link.receive()).data == VITALS
            await link.send(HELLO)
            return (await link.receive()).data

        with asyncio.Runner(loop_factory=RealTimeLoop) as runner:
            answered = runner.run(main())
            link.abort()

        assert answered == b"answer"
        assert client.recv(4096) == b""  # Nor is a line opened for nothing.


class Asking(OwnDialect):
    """Asks for every frame."""

    def __init__(self) -> None:
        super().__init__()
        self.poll_s = 0.01
        self.polls = 0
        self.asked = asyncio.Event()

    def poll(self, now_s: float) -> bytes:
        self.polls += 1
        if self.polls == 3:
            self.asked.set()
        return b"?"


@pytest.mark.real_time
@pytest.mark.parametrize("speaks_first", [False, True])
def test_a_dialect_that_asks_is_let_to_by_a_frame_or_by_the_users_word(speaks_first: bool) -> None:
    near, client = socket.socketpair()
    near.setblocking(False)
    client.settimeout(5.0)
    dialect = Asking()
    link = PortLink(TcpPort(near), "pair", LoopPump(), dialect, speaks_first=speaks_first)
    with client:

        async def main() -> None:
            receiving = asyncio.ensure_future(link.receive())
            if not speaks_first:
                await asyncio.sleep(0.1)
                assert dialect.polls == 0
                client.sendall(OwnDialect().opening() + OwnDialect().encode(VITALS, 0.0))
            await dialect.asked.wait()
            if speaks_first:
                client.sendall(OwnDialect().opening() + OwnDialect().encode(VITALS, 0.0))
            assert (await receiving).data == VITALS

        with asyncio.Runner(loop_factory=RealTimeLoop) as runner:
            runner.run(main())
            link.abort()

        asked = client.recv(4096)
        assert asked.startswith(b"\0??")


@pytest.mark.parametrize(
    "address", ["serial:/dev/null?dialect=klingon", "tcp://h:1?dialect=klingon"]
)
def test_an_unknown_dialect_is_refused_before_a_port_is_opened(address: str) -> None:
    opener = open_serial if address.startswith("serial") else open_tcp

    with pytest.raises(AddressError, match=r"unknown dialect 'klingon'; known: ascii, own"):
        opener(DeviceUrl.parse(address))


@pytest.mark.usefixtures("hexlines")
def test_each_opening_gets_a_dialect_of_its_own() -> None:
    url = DeviceUrl.parse("serial:/dev/null?dialect=hexlines")

    first, second = dialect_of(url), dialect_of(url)
    first.decode(b"nonsense\n", 0.0)

    assert (first.errors, second.errors) == (1, 0)
