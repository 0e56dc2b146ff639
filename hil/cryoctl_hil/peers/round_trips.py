"""How long a stage takes to answer a command over TCP, and what it uses while nobody asks."""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from cryoctl_hil.bench_link import SPREAD_S
from cryoctl_hil.peers.environments import SCRIPTS, Peer, PeerError

HOST: Final = "127.0.0.1"
STARTS_S_MAX: Final = 60.0
ANSWER_S_MAX: Final = 15.0
_MS: Final = 1000.0
_COMMANDS: Final = (b"L1610\r", b"L1620\r")
"""Both set a limit, so that every one changes something."""


class Trips(NamedTuple):
    """Of one way to serve the stage.

    Attributes:
        cpu_percent: Of a core, while it is served in real time and nobody asks; None off Linux.
    """

    p50_ms: float
    p99_ms: float
    cpu_percent: float | None


def stream_trips(arguments: Sequence[str], port: int, *, count: int, idle_s: float) -> Trips:
    """Start a stage that listens at ``port``; return how it answers commands that set a limit.

    Raises:
        PeerError: It cannot be reached, or does not answer.
    """
    with _started(arguments) as process, _connected(port) as client:
        try:
            for command in (b"T\r", *_COMMANDS):  # Lewis' stage hears nothing before the first T.
                _ask(client, command)
            cpu_percent = _cpu_percent(process.pid, idle_s)
            times_s = []
            began_s = time.monotonic()
            for number in range(count):
                time.sleep(max(0.0, began_s + number * SPREAD_S - time.monotonic()))
                times_s.append(_ask(client, _COMMANDS[number % 2]))
        except OSError as error:
            raise PeerError(f"no answer at port {port}: {error}") from error
    return _trips(times_s, cpu_percent)


def caproto_trips(peer: Peer, *, count: int, idle_s: float) -> Trips:
    """Do the same by Channel Access, with caproto at both ends.

    Raises:
        PeerError: It cannot be reached, or does not answer.
    """
    port, script = free_port(), "caproto_stage.py"
    with _started([peer.python, "-I", str(SCRIPTS / script), "serve", str(port)]) as process:
        with _connected(port):
            pass
        cpu_percent = _cpu_percent(process.pid, idle_s)
        times_s = peer.run(script, "client", str(port), str(count), str(SPREAD_S))
    assert isinstance(times_s, list)
    return _trips(times_s, cpu_percent)


def our_trips(*, count: int, idle_s: float) -> Trips:
    """Do the same with our stage, served as ``cryoctl sim`` serves a probe."""
    port = free_port()
    arguments = [sys.executable, "-m", "cryoctl_hil.peers.stage", "serve", str(port)]
    return stream_trips(arguments, port, count=count, idle_s=idle_s)


def free_port() -> int:
    """Return a port that nobody has just now."""
    with socket.create_server((HOST, 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def _started(arguments: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(  # noqa: S603 (a Python that we have made, or our own)
        arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _connected(port: int) -> socket.socket:
    """Connect as soon as somebody listens."""
    given_up_s = time.monotonic() + STARTS_S_MAX
    while time.monotonic() < given_up_s:
        with suppress(ConnectionRefusedError):
            client = socket.create_connection((HOST, port), ANSWER_S_MAX)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return client
        time.sleep(0.05)
    raise PeerError(f"nobody listens at port {port} after {STARTS_S_MAX:g} s")


def _ask(client: socket.socket, command: bytes) -> float:
    """Return how long the answer to a command took, up to its carriage return."""
    asked_s = time.monotonic()
    client.sendall(command)
    answer = b""
    while not answer.endswith(b"\r"):
        more = client.recv(4096)
        if not more:
            raise ConnectionResetError("it hung up")
        answer += more
    return time.monotonic() - asked_s


def _cpu_percent(pid: int, seconds: float) -> float | None:
    """Return what a process uses of a core for so long; None where nobody tells."""
    if not sys.platform.startswith("linux"):
        return None
    began_s, began_cpu_s = time.monotonic(), _cpu_s(pid)
    time.sleep(seconds)
    return 100.0 * (_cpu_s(pid) - began_cpu_s) / (time.monotonic() - began_s)


def _cpu_s(pid: int) -> float:
    """Return the processor time of all threads, to the nanosecond."""
    threads = Path("/proc", str(pid), "task").glob("*/schedstat")
    return sum(int(thread.read_text("ascii").split()[0]) for thread in threads) / 1e9


def _trips(times_s: Sequence[float], cpu_percent: float | None) -> Trips:
    percentiles = statistics.quantiles(times_s, n=100, method="inclusive")
    return Trips(percentiles[49] * _MS, percentiles[98] * _MS, cpu_percent)
