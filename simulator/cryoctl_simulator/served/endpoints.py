"""Where a served probe's bytes come out: a pseudo-terminal or a TCP port. Nothing here blocks."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
from pathlib import Path
from typing import Final, Protocol

READ_SIZE: Final = 4096


class Endpoint(Protocol):
    """One end of a link that a program may open, close and open again.

    Attributes:
        address: What a program opens, as a device address.
        openings: How often it has been opened so far.
        dropped_bytes: Bytes that the other end did not take in time.
        refused: Programs turned away because one has it already.
    """

    address: str
    openings: int
    dropped_bytes: int
    refused: int

    def poll(self) -> bool:
        """Look who is there; return True while somebody has it open."""
        ...

    def take(self) -> bytes:
        """Return what has arrived."""
        ...

    def put(self, data: bytes) -> None:
        """Send; what the other end does not take is dropped, as a UART would."""
        ...

    def close(self) -> None:
        """Give it up."""
        ...


class PtyEndpoint:
    """A serial port that is not there: the other end of a pseudo-terminal.

    Args:
        link: A path that always leads to it, whatever number the port gets; replaced if it is a
            link of an earlier run.
    """

    def __init__(self, link: Path | None = None) -> None:
        import tty  # POSIX only, as pseudo-terminals are.

        self.openings = 0
        self.dropped_bytes = 0
        self.refused = 0
        self._link = link
        self._master, port = os.openpty()
        # Before anybody opens it: in its first state it would echo what the probe sends.
        tty.setraw(port)
        name = os.ttyname(port)
        os.close(port)  # Else a program that closes the port would not be noticed.
        os.set_blocking(self._master, False)
        self._poll = select.poll()
        self._poll.register(self._master, select.POLLIN)
        self._was_open = False
        if link is not None:
            if link.is_symlink():
                link.unlink()
            link.symlink_to(name)
        self.address = f"serial:{link or name}"

    def poll(self) -> bool:
        """Look who is there; return True while somebody has it open."""
        is_open = not any(events & select.POLLHUP for _, events in self._poll.poll(0))
        if is_open and not self._was_open:
            self.openings += 1
        self._was_open = is_open
        return is_open

    def take(self) -> bytes:
        """Return what has arrived."""
        try:
            return os.read(self._master, READ_SIZE)
        except BlockingIOError:
            return b""
        except OSError as error:
            if error.errno == errno.EIO:
                return b""  # Nobody has it open.
            raise

    def put(self, data: bytes) -> None:
        """Send; what the other end does not take is dropped, as a UART would."""
        try:
            sent = os.write(self._master, data)
        except BlockingIOError:
            sent = 0
        self.dropped_bytes += len(data) - sent

    def close(self) -> None:
        """Give it up."""
        os.close(self._master)
        if self._link is not None:
            self._link.unlink(missing_ok=True)


class TcpEndpoint:
    """A TCP port for one program at a time; others are turned away.

    Args:
        host: Address to listen at.
        port: 0 takes a free one.
    """

    def __init__(self, host: str, port: int) -> None:
        self.openings = 0
        self.dropped_bytes = 0
        self.refused = 0
        self._server = socket.create_server((host, port))
        self._server.setblocking(False)  # noqa: FBT003
        self._client: socket.socket | None = None
        name = self._server.getsockname()
        self.address = f"tcp://{name[0]}:{name[1]}"

    def poll(self) -> bool:
        """Look who is there; return True while somebody has it open."""
        with contextlib.suppress(BlockingIOError):
            client, _ = self._server.accept()
            if self._client is not None:
                self.refused += 1
                client.close()
            else:
                client.setblocking(False)  # noqa: FBT003
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._client = client
                self.openings += 1
        return self._client is not None

    def take(self) -> bytes:
        """Return what has arrived."""
        if self._client is None:
            return b""
        try:
            data = self._client.recv(READ_SIZE)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self._hang_up()
        return data

    def put(self, data: bytes) -> None:
        """Send; what the other end does not take is dropped, as a UART would."""
        if self._client is None:
            return
        try:
            sent = self._client.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._hang_up()
            return
        self.dropped_bytes += len(data) - sent

    def close(self) -> None:
        """Give it up."""
        self._hang_up()
        self._server.close()

    def _hang_up(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
