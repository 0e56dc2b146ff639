"""The port at which GDB finds the emulated processor, on this machine only."""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import sys
import threading
import weakref
from collections.abc import Iterator
from typing import Final

from cryoctl_protocol.peer import AddressError
from cryoctl_simulator.emulated.debugger import Debugger
from cryoctl_simulator.emulated.firmware import EmulatedProbe
from cryoctl_simulator.firmware import Build

LOOPBACK: Final = "127.0.0.1"
PORT_MAX: Final = 0xFFFF
_READ_SIZE: Final = 4096
_SEND_S_MAX: Final = 5.0
"""A client that takes nothing for so long has gone."""


class GdbPort:
    """A TCP port for one debugger at a time (``Line``).

    Args:
        port: 0 takes a free one.

    Raises:
        AddressError: Somebody has the port already.
    """

    def __init__(self, port: int) -> None:
        try:
            self._server = socket.create_server((LOOPBACK, port))
        except OSError as error:
            raise AddressError(
                f"port {port} for the debugger: {error.strerror}; take another, or 0 for a free one"
            ) from error
        self._server.setblocking(False)  # noqa: FBT003
        self._client: socket.socket | None = None
        self.address = f"{LOOPBACK}:{self._server.getsockname()[1]}"

    def take(self, *, wait: bool) -> bytes | None:
        """Return what has come; empty if nothing, None if there is no client.

        Args:
            wait: Wait until there is something to return. A signal ends it, with None: somebody
                wants the program to stop, which it cannot while its probe stands still.
        """
        if wait and not self._wait():
            self.hang_up()
            return None
        if self._client is None:
            with contextlib.suppress(BlockingIOError):
                self._client, _ = self._server.accept()
                self._client.settimeout(_SEND_S_MAX)
                self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return None if self._client is None else b""
        if not wait and not select.select([self._client], [], [], 0.0)[0]:
            return b""
        try:
            data = self._client.recv(_READ_SIZE)
        except OSError:
            data = b""
        if not data:
            self.hang_up()
            return None
        return data

    def send(self, data: bytes) -> None:
        """Send; a client that has gone is told of by ``take``."""
        if self._client is not None:
            with contextlib.suppress(OSError):
                self._client.sendall(data)

    def hang_up(self) -> None:
        """Let the client go."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def close(self) -> None:
        """Give the port up."""
        self.hang_up()
        self._server.close()

    def _wait(self) -> bool:
        """Wait for a client or for its bytes; return False if a signal came first."""
        with _signals() as woken:
            if self._client is None:
                sys.stderr.write(
                    f"the processor waits for a debugger: (gdb) target remote {self.address}\n"
                )
            waited = [self._server if self._client is None else self._client, woken]
            ready, _, _ = select.select(waited, [], [])
        return woken not in ready


@contextlib.contextmanager
def _signals() -> Iterator[socket.socket]:
    """Give a socket that is ready once a signal has come, whoever handles it."""
    reader, writer = socket.socketpair()
    with reader, writer:
        writer.setblocking(False)  # noqa: FBT003
        if threading.current_thread() is not threading.main_thread():
            yield reader  # Signals come to the main thread.
            return
        before = signal.set_wakeup_fd(writer.fileno())
        try:
            yield reader
        finally:
            signal.set_wakeup_fd(before)


def open_debugger(build: Build, port: str) -> None:
    """Give an emulated build to a debugger at ``port``, from the first instruction on.

    Raises:
        AddressError: No port, or one that is taken.
    """
    assert isinstance(build, EmulatedProbe), "only an emulated processor can be halted"
    if not (port.isascii() and port.isdigit() and int(port) <= PORT_MAX):
        raise AddressError(f"gdb '{port}' is no port (0 to {PORT_MAX}; 0 takes a free one)")
    line = GdbPort(int(port))
    build.debugger = Debugger(line)
    weakref.finalize(build, line.close)
