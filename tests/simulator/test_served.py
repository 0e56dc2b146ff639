"""The simulated probe as a port: who is there, what is lost, when it boots; ticked by hand."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest

from cryoctl.cli import invoke
from cryoctl_protocol.framing import Deframer
from cryoctl_protocol.messages import ID_OF, Hello
from cryoctl_protocol.peer import AddressError, DeviceUrl
from cryoctl_simulator.device import SimulatedDevice
from cryoctl_simulator.firmware_model import FirmwareModel
from cryoctl_simulator.link import open_link
from cryoctl_simulator.served.endpoints import Endpoint, TcpEndpoint
from cryoctl_simulator.served.fault_port import FaultServer
from cryoctl_simulator.served.pty_endpoint import PtyEndpoint
from cryoctl_simulator.served.server import ProbeServer

pytestmark = pytest.mark.real_time


def a_probe(profile: str = "n2o-20g") -> SimulatedDevice:
    peer = open_link(DeviceUrl.parse(f"sim:{profile}")).peer
    assert isinstance(peer, SimulatedDevice)
    return peer


@pytest.fixture
def pty_end() -> Iterator[PtyEndpoint]:
    with contextlib.closing(PtyEndpoint()) as endpoint:
        yield endpoint


@pytest.fixture
def tcp_end() -> Iterator[TcpEndpoint]:
    with contextlib.closing(TcpEndpoint("127.0.0.1", 0)) as endpoint:
        yield endpoint


def open_pty(endpoint: PtyEndpoint) -> int:
    path = endpoint.address.removeprefix("serial:")
    return os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)


def dial(endpoint: TcpEndpoint) -> socket.socket:
    host, port = endpoint.address.removeprefix("tcp://").split(":")
    return socket.create_connection((host, int(port)), timeout=5.0)


def read(descriptor: int) -> bytes:
    data = b""
    with contextlib.suppress(BlockingIOError):
        while True:
            data += os.read(descriptor, 4096)
    return data


def hellos(data: bytes) -> int:
    return sum(body[1] == ID_OF[Hello] for body in Deframer().feed(b"\0" + data))


# -- pseudo-terminal ---------------------------------------------------------------------------


def test_a_pty_passes_every_byte_both_ways_unchanged(pty_end: PtyEndpoint) -> None:
    port = open_pty(pty_end)
    every = bytes(range(256))

    pty_end.put(every)
    os.write(port, every)

    assert read(port) == every
    assert pty_end.take() == every
    os.close(port)


def test_opening_and_closing_a_pty_is_noticed_each_time(pty_end: PtyEndpoint) -> None:
    seen = [pty_end.poll()]
    for _ in range(3):
        port = open_pty(pty_end)
        seen.append(pty_end.poll())
        os.close(port)
        seen.append(pty_end.poll())

    assert seen == [False, True, False, True, False, True, False]
    assert pty_end.openings == 3
    assert pty_end.take() == b""


def test_a_pty_that_nobody_reads_drops_and_counts(pty_end: PtyEndpoint) -> None:
    port = open_pty(pty_end)

    for _ in range(100):
        pty_end.put(bytes(4096))

    kept = len(read(port))
    assert kept > 0
    assert pty_end.dropped_bytes == 100 * 4096 - kept
    os.close(port)


def test_a_pty_has_a_path_that_outlives_its_number(tmp_path: Path) -> None:
    link = tmp_path / "probe"
    link.symlink_to("/dev/pts/gone")  # As after a crash that left the link behind.
    endpoint = PtyEndpoint(link)

    assert endpoint.address == f"serial:{link}"
    assert link.readlink().exists()
    endpoint.close()
    assert not link.is_symlink()


def test_the_path_of_a_probe_that_is_served_is_not_taken_from_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    link = tmp_path / "probe"
    first = PtyEndpoint(link)
    port = link.readlink()

    assert invoke(["sim", "--pty", "--link", str(link)]) == 2

    said = capsys.readouterr().err
    assert f"{link}: leads to {port}, which is there" in said
    assert link.readlink() == port
    first.close()
    assert not link.is_symlink()


def test_a_path_that_somebody_else_has_taken_meanwhile_is_left_to_them(tmp_path: Path) -> None:
    link = tmp_path / "probe"
    endpoint = PtyEndpoint(link)
    link.unlink()
    link.symlink_to("/dev/pts/of-another")

    endpoint.close()

    assert link.is_symlink()


def test_a_file_that_is_no_link_is_never_replaced_and_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "notes"
    mine.write_text("mine")

    assert invoke(["sim", "--pty", "--link", str(mine)]) == 2
    assert invoke(["sim", "--pty", "--link", str(tmp_path / "no" / "folder")]) == 2

    said = capsys.readouterr().err
    assert f"cryoctl: {mine}: is there and is no link" in said
    assert f"cryoctl: {tmp_path / 'no' / 'folder'}: No such file or directory" in said
    assert mine.read_text() == "mine"


# -- TCP -----------------------------------------------------------------------------------------


def test_a_second_program_is_turned_away_and_the_first_goes_on(tcp_end: TcpEndpoint) -> None:
    first = dial(tcp_end)
    assert tcp_end.poll()
    second = dial(tcp_end)
    tcp_end.poll()
    tcp_end.put(b"telemetry")

    assert second.recv(10) == b""
    assert first.recv(10) == b"telemetry"
    assert (tcp_end.openings, tcp_end.refused) == (1, 1)
    first.close()
    second.close()


def test_a_program_that_hangs_up_makes_room_for_the_next(tcp_end: TcpEndpoint) -> None:
    first = dial(tcp_end)
    tcp_end.poll()
    first.close()
    assert tcp_end.take() == b""
    second = dial(tcp_end)
    tcp_end.poll()
    second.sendall(b"hello")

    tcp_end.put(b"x")

    assert second.recv(10) == b"x"
    assert tcp_end.take() == b"hello"
    second.close()


@pytest.mark.parametrize("last_words", [b"", b"stop"])
def test_a_program_that_comes_back_at_once_is_let_in(
    tcp_end: TcpEndpoint, last_words: bytes
) -> None:
    first = dial(tcp_end)
    tcp_end.poll()
    first.sendall(last_words)
    first.close()
    second = dial(tcp_end)

    heard = b""
    for _ in range(2):
        assert tcp_end.poll()
        heard += tcp_end.take()
    tcp_end.put(b"telemetry")

    assert heard == last_words
    assert second.recv(10) == b"telemetry"
    assert (tcp_end.openings, tcp_end.refused) == (2, 0)
    second.close()


# -- the probe behind them -----------------------------------------------------------------------


def test_a_served_probe_greets_whoever_opens_it(pty_end: PtyEndpoint) -> None:
    server = ProbeServer(a_probe(), pty_end, baud=115_200)
    port = open_pty(pty_end)

    for _ in range(120):
        server.tick()

    assert hellos(read(port)) >= 1
    assert server.now_s == pytest.approx(1.2)
    os.close(port)


@pytest.mark.requirement("SR-09")
def test_a_research_probe_is_served_at_no_port(tcp_end: TcpEndpoint) -> None:
    with pytest.raises(AddressError, match="a research profile is served at no port"):
        ProbeServer(a_probe("gel-bench-17g"), tcp_end, baud=None)


def test_nothing_waits_for_the_next_program_from_before_it_came(pty_end: PtyEndpoint) -> None:
    server = ProbeServer(a_probe(), pty_end, baud=115_200)
    for _ in range(300):
        server.tick()
    port = open_pty(pty_end)

    server.tick()
    server.tick()

    assert len(read(port)) <= 230  # Two ticks at 115,200 baud.
    os.close(port)


class PausingClock:
    """The machine's clock for a process that is stopped in its third sleep, for a second."""

    def __init__(self, on_pause: Callable[[], None]) -> None:
        self.now_s = 0.0
        self.sleeps = 0
        self._on_pause = on_pause

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, duration_s: float) -> None:
        self.now_s += duration_s
        self.sleeps += 1
        if self.sleeps == 3:
            self.now_s += 1.0
            self._on_pause()


@pytest.mark.requirement("SR-01")
def test_what_comes_while_the_probe_is_stopped_never_reaches_it(
    tcp_end: TcpEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = a_probe()
    server = ProbeServer(probe, tcp_end, baud=115_200)
    client = dial(tcp_end)
    clock = PausingClock(lambda: client.sendall(b"no frame\0" * 500))
    monkeypatch.setattr("cryoctl_simulator.served.server.time", clock)

    server.run(lambda: clock.sleeps == 10)

    assert (server.lost_ticks, server.overrun_bytes) == (100, 4500)
    assert server.now_s == pytest.approx(0.1)
    assert isinstance(probe.firmware, FirmwareModel)
    assert probe.firmware.session.rejects.total() == 0
    client.close()


@pytest.mark.parametrize("boots", [False, True])
def test_opening_the_port_boots_the_probe_only_if_asked_for(
    pty_end: PtyEndpoint, boots: bool
) -> None:
    probe = a_probe()
    server = ProbeServer(probe, pty_end, baud=115_200, boots_on_open=boots)
    for _ in range(50):
        server.tick()
    firmware = probe.firmware
    port = open_pty(pty_end)

    server.tick()

    assert (probe.firmware is not firmware) is boots
    os.close(port)


def test_every_byte_sent_is_logged_with_its_time(tcp_end: TcpEndpoint) -> None:
    log = StringIO()
    server = ProbeServer(a_probe(), tcp_end, baud=None, log=log)
    client = dial(tcp_end)

    for _ in range(10):
        server.tick()

    rows = [line.split() for line in log.getvalue().splitlines()]
    sent = b"".join(bytes.fromhex(data) for _, _, data in rows)
    assert client.recv(65536) == sent
    assert [float(at_s) for at_s, _, _ in rows] == [0.01, 0.02, 0.04, 0.06, 0.08, 0.1]
    client.close()


# -- faults ----------------------------------------------------------------------------------------


def test_a_fault_port_tells_what_can_be_asked_for() -> None:
    with contextlib.closing(FaultServer(a_probe(), 0)) as server:
        found = server.answer(b'{"known": true}')["ok"]

    row = json.loads(json.dumps(found))[0]
    assert row["id"] == "tc_open"
    assert row["group"] == "sensors"


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ('{"inject": "tc_spike@1s"}', {"ok": "tc_spike@1s"}),
        ('{"inject": "tc_spkie@1s"}', "did you mean 'tc_spike'?"),
        ("nonsense", "not JSON"),
        ('{"clear": "tc_spike"}', {"ok": 0}),
        ('{"clear": "tc_spkie"}', "unknown fault 'tc_spkie'; did you mean 'tc_spike'?"),
        ("[" * 4000, "not JSON"),
        ('{"inject": 3}', "expected"),
        ('{"history": true, "more": 1}', "expected"),
        ("[]", "expected"),
    ],
)
def test_a_fault_port_answers_every_line(line: str, answer: dict[str, object] | str) -> None:
    with contextlib.closing(FaultServer(a_probe(), 0)) as server:
        found = server.answer(line.encode())

    if isinstance(answer, str):
        assert answer in found["error"]
    else:
        assert found == answer


def test_a_fault_asked_for_over_its_port_happens(tcp_end: Endpoint) -> None:
    probe = a_probe()
    with contextlib.closing(FaultServer(probe, 0)) as faults:
        server = ProbeServer(probe, tcp_end, baud=None, faults=faults)
        host, port = faults.address.split(":")
        client = socket.create_connection((host, int(port)), timeout=5.0)
        client.sendall(b'{"inject": "tc_open@0.1s"}\n{"hist')
        server.tick()
        server.tick()
        client.sendall(b'ory": true}\n')
        for _ in range(20):
            server.tick()
        client.sendall(b'{"clear": "tc_open"}\n')
        server.tick()
        answers = [json.loads(line) for line in client.recv(4096).splitlines()]
        client.close()

    assert answers[0] == {"ok": "tc_open@0.1s"}
    assert answers[1]["ok"][0]["fault"] == "tc_open@0.1s"
    assert probe.history()[0].began_s == pytest.approx(0.1)
    assert answers[2] == {"ok": 1}
