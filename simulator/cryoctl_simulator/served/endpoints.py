"""Where a served probe's bytes come out, and the TCP port as such a place. Nothing here blocks."""

from __future__ import annotations

import contextlib
import socket
from typing import Final, Protocol

READ_SIZE: Final = 4096


class Endpoint(Protocol):
    """One end of a link that a program may open, close and open again."""

    @property
    def address(self) -> str:
        """What a program opens, as a device address."""
        ...

    @property
    def openings(self) -> int:
        """How often it has been opened so far."""
        ...

    @property
    def dropped_bytes(self) -> int:
        """Bytes that the other end did not take in time."""
        ...

    @property
    def refused(self) -> int:
        """Programs turned away because one has it already."""
        ...

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
        if self._client is not None:
            next_byte = _peek(self._client)
            if next_byte:
                return True  # Whether there is room for a newcomer shows once all is read.
            if next_byte is not None:
                self._hang_up()
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


def _peek(client: socket.socket) -> bytes | None:
    """Return the next byte without taking it: none at the end, None if there may be more."""
    try:
        return client.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return None
    except OSError:
        return b""
