"""TCP: a probe behind a serial server, or a simulated one served by ``cryoctl sim --tcp``."""

from __future__ import annotations

import socket
from ipaddress import IPv6Address, ip_address
from typing import Final

from cryoctl.dialect import dialect_of, host_speaks_first
from cryoctl.port_link import LoopPump, PortLink
from cryoctl_protocol.peer import AddressError, DeviceUrl, LinkError, Opened, Reach, is_host

CONNECT_S: Final = 3.0
READ_SIZE: Final = 4096
PORT_MAX: Final = 0xFFFF
PARAMS: Final = ("dialect", "speaks_first")


class TcpPort:
    """A connected socket as the pumps want it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def fileno(self) -> int:
        """Return the descriptor that the event loop can watch."""
        return self._connection.fileno()

    def read(self) -> bytes:
        """Return what has arrived; nothing is the other end's farewell."""
        return self._connection.recv(READ_SIZE)

    def write(self, data: bytes) -> int:
        """Take as much of ``data`` as fits now."""
        try:
            return self._connection.send(data)
        except BlockingIOError:
            return 0

    def close(self) -> None:
        """Give the connection up at once."""
        self._connection.close()


def open_link(url: DeviceUrl) -> Opened:
    """Open ``tcp://HOST:PORT[?dialect=NAME&speaks_first=host]``.

    Raises:
        AddressError: Not a host and a port.
        LinkError: Nobody listens there.
    """
    for key, _ in url.params:
        if key not in PARAMS:
            raise AddressError(
                f"device {url}: unknown parameter '{key}' (allowed: {', '.join(PARAMS)})"
            )
    host, port = host_and_port(url, url.path, "tcp://HOST:PORT, such as tcp://127.0.0.1:7070")
    return open_tcp(url, host, port)


def host_and_port(url: DeviceUrl, path: str, expected: str) -> tuple[str, int]:
    """Return the two in ``//HOST:PORT``; raises AddressError."""
    host, _, port = path.removeprefix("//").rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not is_host(host) or not (port.isascii() and port.isdigit() and 0 < int(port) <= PORT_MAX):
        raise AddressError(f"device {url}: expected {expected}")
    return host, int(port)


def open_tcp(url: DeviceUrl, host: str, port: int) -> Opened:
    """Return a link over a new connection; raises LinkError if nobody listens there."""
    dialect = dialect_of(url)
    speaks_first = host_speaks_first(url, dialect)
    connection = connect(url, host, port)
    link = PortLink(
        TcpPort(connection), f"{host}:{port}", LoopPump(), dialect, speaks_first=speaks_first
    )
    return Opened(description=f"TCP {host}:{port}", link=link, reach=_reach(connection))


def connect(url: DeviceUrl, host: str, port: int) -> socket.socket:
    """Return a new connection that does not wait; raises LinkError if nobody listens there."""
    try:
        connection = socket.create_connection((host, port), timeout=CONNECT_S)
    except OSError as error:
        reason = error.strerror or str(error)
        raise LinkError(f"device {url}: {reason}; does anything listen there?") from error
    connection.setblocking(False)  # noqa: FBT003
    # A lease or a STOP must not wait for company (Nagle).
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _reach(connection: socket.socket) -> Reach:
    try:
        return reach_of(connection.getpeername()[0])
    except OSError:
        return Reach.NETWORK  # It has hung up already, as the first read will tell.


def reach_of(peer: str) -> Reach:
    """Return from where somebody could speak to the address at a connection's other end."""
    address = ip_address(peer.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return Reach.COMPUTER if address.is_loopback else Reach.NETWORK
