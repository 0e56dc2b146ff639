"""Probes for the benchmarks, each in a process of its own, behind a pseudo-terminal or TCP."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Final

from cryoctl_protocol.peer import DeviceUrl, open_device

LINKS: Final = ("tcp",) if sys.platform == "win32" else ("pty", "tcp")
_TICKS_PER_S: Final = 100
_READ_SIZE: Final = 4096
_SIM_OPTIONS: Final = {
    "pty": ("--pty", "--baud", "4000000"),  # 4,000 bytes a tick: nothing ever waits for the line.
    "tcp": ("--tcp", "127.0.0.1:0"),
}


@contextmanager
def ticking_probe(link: str) -> Iterator[str]:
    """Serve the simulated probe as ``cryoctl sim`` does, every 10 ms; yield its address."""
    with _serve("cryoctl", "sim", *_SIM_OPTIONS[link]) as address:
        yield address


@contextmanager
def prompt_probe(link: str) -> Iterator[str]:
    """Serve a simulated probe that makes a tick as soon as bytes come; yield its address."""
    with _serve("cryoctl_hil.bench_probe", link) as address:
        yield address


@contextmanager
def _serve(module: str, *arguments: str) -> Iterator[str]:
    with program(module, *arguments) as (_, said):
        yield next(line.split()[1] for line in said if line.startswith("at "))


@contextmanager
def program(
    module: str, *arguments: str, folder: str = "."
) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """Run ``python -m MODULE`` in ``folder`` until it is no longer wanted, then kill it.

    Yields the process and what it says.
    """
    with subprocess.Popen(  # noqa: S603 (our own modules)
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        cwd=folder,
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout
        finally:
            process.kill()


def answer_at_once(descriptor: int) -> None:
    """Move a probe by a tick whenever bytes come, and every 10 ms in silence.

    Its clock runs ahead of the wall's: what is left of the time to an ACK is the work of both ends
    and of the link, without the wait for the probe's next tick.

    Raises:
        ConnectionError: The other end has hung up.
    """
    device = open_device(DeviceUrl.parse("sim:")).peer
    assert device is not None
    ticks = 0
    while True:
        ready, _, _ = select.select([descriptor], [], [], 1.0 / _TICKS_PER_S)
        incoming = os.read(descriptor, _READ_SIZE) if ready else b""
        ticks += 1
        os.write(descriptor, device.advance_to(ticks / _TICKS_PER_S, incoming))


def main(link: str) -> None:
    """Serve one program; print the address as ``cryoctl sim`` does."""
    if link == "pty" and sys.platform != "win32":
        import tty  # POSIX only, as pseudo-terminals are.

        master, port = os.openpty()
        tty.setraw(port)
        print(f"at serial:{os.ttyname(port)}")
        answer_at_once(master)
    else:
        with socket.create_server(("127.0.0.1", 0)) as server:
            print(f"at tcp://127.0.0.1:{server.getsockname()[1]}")
            client, _ = server.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(ConnectionError):
            answer_at_once(client.fileno())


if __name__ == "__main__":
    main(sys.argv[1])
