"""A mosquitto of one's own for the benchmarks, and subscribers that read nothing."""

from __future__ import annotations

import socket
import struct
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from cryoctl.certificates import AUTHORITY, SERVER, make_authority, make_client, make_server
from cryoctl.mosquitto import LOOPBACK, common_lines, free_port, loopback_configuration, start
from cryoctl_protocol.mqtt.topics import Leaf, Topics

SITE: Final = "bench"
DEVICE_USER: Final = "probe"
CONTROLLER_USER: Final = "desk"
_KEEP_ALIVE_S: Final = 60
"""The most our brokers take; within one and a half times this nobody asks a subscriber to speak."""
_RECEIVE_BUFFER: Final = 4096
"""Bytes; a subscriber that does not read is full after half a second of one probe's telemetry."""
_FILLER: Final = b"\0" * 4000
_FILLER_COUNT: Final = 1500
"""Makes 6 MB for each subscriber: more than the broker's kernel takes for one that does not."""
_CONNACK_SIZE: Final = 4
_SUBACK_SIZE: Final = 5


class Broker(NamedTuple):
    """A running broker.

    Attributes:
        site_url: Of the site that all is done in.
        folder: With the certificates of ``DEVICE_USER`` and ``CONTROLLER_USER``; None without TLS.
    """

    port: int
    site_url: str
    folder: Path | None

    def query(self, user: str) -> str:
        """Return what to append to an address to get in as ``user``."""
        if self.folder is None:
            return ""
        files = self.folder / f"{AUTHORITY}.crt", self.folder / user
        return f"?ca={files[0]}&cert={files[1]}.crt&key={files[1]}.key"


@contextmanager
def broker(*, tls: bool) -> Iterator[Broker]:
    """Run a broker that this machine alone can reach; yield it.

    Args:
        tls: With certificates on both sides, made on the spot; else for anybody.

    Raises:
        BrokerError: Not installed; says what to install.
    """
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        configuration = folder / "mosquitto.conf"
        configuration.write_text(_tls_files(folder, port) if tls else loopback_configuration(port))
        with (folder / "mosquitto.log").open("wb") as log:
            process = start(configuration, port, log=log.fileno())
        try:
            scheme = "mqtts" if tls else "mqtt"
            url = f"{scheme}://{LOOPBACK}:{port}/{SITE}"
            yield Broker(port, url, folder if tls else None)
        finally:
            process.kill()
            process.wait()


def _tls_files(folder: Path, port: int) -> str:
    """Make the certificates; return the configuration of a broker that asks for them."""
    make_authority(folder, SITE)
    make_server(folder, [LOOPBACK])
    for user in (DEVICE_USER, CONTROLLER_USER):
        make_client(folder, user)
    lines = [
        *common_lines(),
        f"listener {port} {LOOPBACK}",
        f"cafile {folder / AUTHORITY}.crt",
        f"certfile {folder / SERVER}.crt",
        f"keyfile {folder / SERVER}.key",
        "tls_version tlsv1.3",
        "require_certificate true",
        "use_identity_as_username true",
        "",
    ]
    return "\n".join(lines)


@contextmanager
def slow_subscribers(port: int, count: int) -> Iterator[None]:
    """Keep ``count`` clients subscribed to all telemetry that never read a byte of it.

    Their buffers are full from the start, so that the broker queues and drops for each of them.
    """
    topic = Topics(SITE, "+").of(Leaf.TELE).encode("ascii")
    with ExitStack() as stack:
        for number in range(count):
            client = stack.enter_context(_connected(port, f"slow-{number}"))
            client.sendall(_packet(0x82, struct.pack(">H", 1) + _text(topic) + b"\0"))
            _read(client, _SUBACK_SIZE)
        with _connected(port, "filler") as filler:
            own = Topics(SITE, "filler").of(Leaf.TELE).encode("ascii")
            for _ in range(_FILLER_COUNT):
                filler.sendall(_packet(0x30, _text(own) + _FILLER))
            filler.sendall(_packet(0xC0, b""))  # Its answer says that all before it was taken.
            _read(filler, 2)
        yield


def _connected(port: int, name: str) -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    client.connect((LOOPBACK, port))
    head = _text(b"MQTT") + struct.pack(">BBH", 4, 2, _KEEP_ALIVE_S)  # MQTT 3.1.1, clean session.
    client.sendall(_packet(0x10, head + _text(name.encode("ascii"))))
    _read(client, _CONNACK_SIZE)
    return client


def _packet(kind: int, body: bytes) -> bytes:
    length, size = b"", len(body)
    while True:
        size, low = divmod(size, 0x80)
        length += bytes([low | (0x80 if size else 0)])
        if not size:
            return bytes([kind]) + length + body


def _text(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


def _read(client: socket.socket, size: int) -> None:
    left = size
    while left:
        data = client.recv(left)
        assert data, "the broker hung up on a benchmark's client"
        left -= len(data)
