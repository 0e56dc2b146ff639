"""A real ``cryoctl ui`` in a process of its own, pages that read nothing, and a disk that stalls.

``python -m cryoctl_hil.dashboard_server EVERY_S ARGUMENTS...`` is ``cryoctl ARGUMENTS...`` whose
recorder is blocked for 1 s every so often; 0 is never. It also prints the system's number of the
thread that serves, by which its processor time is known.
"""

from __future__ import annotations

import base64
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any, BinaryIO, Final, NamedTuple, Self, cast

from cryoctl import cli, runner
from cryoctl.clock import monotonic_s
from cryoctl.recorder import Recorder
from cryoctl_hil.bench_probe import program

BLOCKED_S: Final = 1.0
_HOST: Final = "127.0.0.1"
_DASHBOARD: Final = "dashboard: "
_BLOCKED: Final = "blocked"
"""File in the folder of the server."""
_THREAD: Final = "thread "
_WEB_THREAD: Final = "cryoctl-web"
_LOOK_S: Final = 0.05
_RECEIVE_BYTES: Final = 4096
"""Asked of the system for a page that reads nothing: it takes as little as possible meanwhile."""


class Server(NamedTuple):
    """A dashboard that is served.

    Attributes:
        port: On this machine.
        pid: Of its process.
        said: What it says on its standard output.
    """

    port: int
    pid: int
    said: IO[str]

    @property
    def origin(self) -> str:
        """Of its own pages."""
        return f"http://{_HOST}:{self.port}"

    def socket_url(self, path: str) -> str:
        """Return the address of one of its web sockets."""
        return f"ws://{_HOST}:{self.port}{path}"

    def web_thread(self) -> int:
        """Return the system's number of the thread that serves."""
        return next(int(line.split()[1]) for line in self.said if line.startswith(_THREAD))


@contextmanager
def dashboard_server(folder: str, device: str, *, blocked_every_s: float = 0.0) -> Iterator[Server]:
    """Serve a dashboard that is connected with ``device``, and works in ``folder``."""
    with program(
        "cryoctl_hil.dashboard_server", f"{blocked_every_s:g}", "ui", "--device", device,
        "--port", "0", "--no-token", folder=folder,
    ) as (process, said):  # fmt: skip
        told = next(line for line in said if line.startswith(_DASHBOARD))
        port = int(told.rstrip().rstrip("/").rpartition(":")[2])
        yield Server(port, process.pid, said)


# -- pages that read nothing ----------------------------------------------------------------------


def stalled_page(server: Server, name: str) -> socket.socket:
    """Open a page's stream by hand, as a browser does; who never reads from it has stalled."""
    page = socket.socket()
    page.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
    page.connect((_HOST, server.port))
    key = base64.b64encode(os.urandom(16)).decode()
    page.sendall(
        f"GET /live?page={name} HTTP/1.1\r\nHost: {_HOST}:{server.port}\r\n"
        f"Origin: {server.origin}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    return page


class StalledPages:
    """So many pages that read nothing; one that the server has given up is opened again.

    Attributes:
        reopened: How many were.
    """

    def __init__(self, server: Server, count: int) -> None:
        self.reopened = 0
        self._server = server
        self._pages = [self._open(number) for number in range(count)]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def __enter__(self) -> Self:
        """Begin to watch them."""
        self._thread.start()
        return self

    def __exit__(self, *_about_error: object) -> None:
        """Close them."""
        self._ended.set()
        self._thread.join()
        for page in self._pages:
            page.close()

    def _open(self, number: int) -> socket.socket:
        return stalled_page(self._server, f"stalled{number}".ljust(16, "0"))

    def _keep(self) -> None:
        while not self._ended.wait(_LOOK_S):
            for number, page in enumerate(self._pages):
                if _has_ended(page):
                    page.close()
                    self._pages[number] = self._open(number)
                    self.reopened += 1


def _has_ended(page: socket.socket) -> bool:
    """Return True once the other end has closed, without reading what it had said before."""
    if sys.platform != "linux":
        raise OSError("only Linux says that the other end of a socket has closed")
    poll = select.poll()
    poll.register(page, select.POLLRDHUP)
    return bool(poll.poll(0))


# -- within the process ---------------------------------------------------------------------------


class _StallingFile:
    """A file of which a write takes a second every so often."""

    def __init__(self, stream: BinaryIO, every_s: float) -> None:
        self._every_s = every_s
        self._due_s = monotonic_s() + every_s
        self._write = stream.write
        self.flush = stream.flush
        self.close = stream.close

    def write(self, data: bytes) -> int:
        """Write, late perhaps."""
        if monotonic_s() >= self._due_s:
            began_s = monotonic_s()
            time.sleep(BLOCKED_S)  # noqa: TID251 (as a disk does)
            with Path(_BLOCKED).open("a") as file:
                file.write(f"{began_s:.6f} {monotonic_s():.6f}\n")
            self._due_s = monotonic_s() + self._every_s
        return self._write(data)


def blocked_times(folder: str) -> list[tuple[float, float]]:
    """Return from when until when the recorder of the server in ``folder`` was blocked."""
    file = Path(folder) / _BLOCKED
    lines = file.read_text("ascii").splitlines() if file.exists() else []
    return [(float(began), float(ended)) for began, ended in map(str.split, lines)]


def _stalling_recorder(every_s: float, stream: BinaryIO, **arguments: Any) -> Recorder:
    return Recorder(cast("BinaryIO", _StallingFile(stream, every_s)), **arguments)


def _tell_threads() -> None:
    while True:
        for thread in threading.enumerate():
            if thread.name == _WEB_THREAD and thread.native_id is not None:
                with suppress(BrokenPipeError):
                    print(f"{_THREAD}{thread.native_id}", flush=True)
                return
        time.sleep(_LOOK_S)  # noqa: TID251 (a thread with nothing else to do)


def main(every_s: float, arguments: list[str]) -> int:
    """Be ``cryoctl`` with such a disk."""
    if every_s:
        setattr(runner, "Recorder", partial(_stalling_recorder, every_s))  # noqa: B010
    threading.Thread(target=_tell_threads, daemon=True).start()
    return cli.invoke(arguments)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
