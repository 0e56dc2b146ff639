"""The web server in a thread of its own; whoever drives a probe never waits for it."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Final, NamedTuple, Self

import uvicorn

from cryoctl.ui.app import Dashboard
from cryoctl.ui.gate import Address
from cryoctl.ui.station import Station
from cryoctl_protocol.peer import LinkError

_PAGE_SAYS_BYTES_MAX: Final = 1024
_PING_S: Final = 5.0
"""A page that does not answer for twice as long has gone, and the seat with it."""
_CLOSE_S: Final = 1


class Certificate(NamedTuple):
    """Files for TLS."""

    certificate: Path
    private_key: Path


class WebServer:
    """Serves one dashboard until it is closed.

    Args:
        station: What it shows.
        address: Where; port 0 is one that is free.
        tls: For https.

    Attributes:
        address: Where it really is.
    """

    def __init__(self, station: Station, address: Address, tls: Certificate | None = None) -> None:
        self._socket = _listen(address)
        self.address = replace(address, port=self._socket.getsockname()[1], secure=tls is not None)
        self._server = uvicorn.Server(
            uvicorn.Config(
                Dashboard(station, self.address).app(),
                log_level="warning",
                ws="websockets-sansio",
                ws_max_size=_PAGE_SAYS_BYTES_MAX,
                ws_ping_interval=_PING_S,
                ws_ping_timeout=_PING_S,
                ws_per_message_deflate=False,
                lifespan="on",
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=_CLOSE_S,
                ssl_certfile=None if tls is None else str(tls.certificate),
                ssl_keyfile=None if tls is None else str(tls.private_key),
            )
        )
        self._thread = Thread(target=self._serve, name="cryoctl-web", daemon=True)

    def __enter__(self) -> Self:
        """Begin to serve."""
        self._thread.start()
        return self

    def __exit__(self, *_about_error: object) -> None:
        """Stop serving."""
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    @property
    def is_ready(self) -> bool:
        """True once it answers."""
        return self._server.started

    @property
    def is_serving(self) -> bool:
        """False once the server has ended, whatever ended it."""
        return self._thread.is_alive()

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])


def _listen(address: Address) -> socket.socket:
    """Return a socket that listens; raises LinkError if it cannot."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise LinkError(f"{address.host}: no address of this computer: {error}") from error
    try:
        if os.name == "posix":  # Elsewhere it would let two programs listen at once.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(place)
        listening.listen()
    except OSError as error:
        listening.close()
        raise LinkError(
            f"{address.host}:{address.port}: {error.strerror or error}: give another --port"
        ) from error
    return listening
