"""Serial ports of other machines: ``rfc2217://`` by pyserial, ``socket://`` by our own TCP port."""

from __future__ import annotations

import select
import threading
from typing import Any, Final

import serial

from cryoctl.dialect import Dialect
from cryoctl.port_link import LoopPump, PortLink, ThreadPump
from cryoctl.tcp_port import TcpPort, connect, host_and_port
from cryoctl_protocol.peer import AddressError, DeviceUrl, LinkError, Opened

SCHEMES: Final = ("rfc2217", "socket")
READ_WAIT_S: Final = 0.1
_IAC: Final = b"\xff"  # RFC 854: a data byte of this value is sent twice.


class Rfc2217Port:
    """A port behind an RFC 2217 server, as a thread pump wants it.

    pyserial's own ``write`` waits up to five seconds for a server that takes nothing, and its
    ``close`` waits for its thread. A control loop can wait for neither: bytes go out here as far as
    there is room, and closing is left to a thread.

    Args:
        port: Open; belongs to this object.
    """

    def __init__(self, port: Any) -> None:
        self._port = port
        self._socket = port._socket  # noqa: SLF001  # There is no other way to write without waiting.
        self._lock = port._write_lock  # noqa: SLF001  # pyserial's thread answers options meanwhile.
        self._unsent = b""

    def fileno(self) -> int:
        """Return the socket's descriptor; what is on it is pyserial's to read."""
        return int(self._socket.fileno())

    def read(self) -> bytes:
        """Wait for bytes for a tenth of a second at most; for a thread."""
        first: bytes = self._port.read(1)
        return first + bytes(self._port.read(self._port.in_waiting)) if first else b""

    def write(self, data: bytes) -> int:
        """Take ``data`` whole, or nothing while the rest of what was taken before has no room."""
        if not self._flush():
            return 0
        self._unsent = data.replace(_IAC, _IAC + _IAC)
        self._flush()
        return len(data)

    def _flush(self) -> bool:
        """Send what is left as far as it fits; return True if that was all."""
        if not self._unsent:
            return True
        if not self._lock.acquire(blocking=False):
            return False  # pyserial's thread is in the middle of an answer.
        try:
            if select.select([], [self._socket], [], 0)[1]:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except ValueError as error:  # The descriptor of a socket that has been closed.
            raise OSError("closed") from error
        finally:
            self._lock.release()
        return not self._unsent

    def close(self) -> None:
        """Give the port up at once; the thread that is left ends within seconds."""
        threading.Thread(target=self._port.close, name="cryoctl-rfc2217-close", daemon=True).start()


def open_link(url: DeviceUrl, baud: int, dialect: Dialect, *, speaks_first: bool) -> Opened:
    """Open ``serial:rfc2217://HOST:PORT`` or ``serial:socket://HOST:PORT``.

    Raises:
        AddressError: Another scheme, or not a host and a port.
        LinkError: Nobody answers there, or not as RFC 2217 has it.
    """
    scheme, _, place = url.path.partition("://")
    if scheme not in SCHEMES:
        allowed = " or ".join(f"{name}://" for name in SCHEMES)
        raise AddressError(f"device {url}: unknown kind of remote port (allowed: {allowed})")
    host, port = host_and_port(url, place, f"serial:{scheme}://HOST:PORT")
    name = f"{scheme}://{host}:{port}"
    if scheme == "socket":
        # Not pyserial's: it leaves Nagle on, and its first write to a closed socket succeeds.
        link = PortLink(
            TcpPort(connect(url, host, port)), name, LoopPump(), dialect, speaks_first=speaks_first
        )
        return Opened(description=f"remote serial port {name}", link=link)
    adapter = Rfc2217Port(_open_rfc2217(url, host, port, baud))
    pump = ThreadPump(adapter.read)
    link = PortLink(adapter, name, pump, dialect, speaks_first=speaks_first)
    return Opened(description=f"remote serial port {name} at {baud} baud", link=link)


def _open_rfc2217(url: DeviceUrl, host: str, port: int, baud: int) -> Any:
    at = f"[{host}]" if ":" in host else host
    try:
        return serial.serial_for_url(f"rfc2217://{at}:{port}", baudrate=baud, timeout=READ_WAIT_S)
    except (OSError, ValueError) as error:
        raise LinkError(
            f"device {url}: {error}; does an RFC 2217 server, such as ser2net, listen there?"
        ) from error
