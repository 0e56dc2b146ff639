"""A cable between two programs that can be pulled: kill this process, and both ends notice.

``python -m cryoctl_hil.pulled_cable (pty LINK | tcp PORT) PROBE_PORT`` offers a serial port or a
TCP port of this machine and carries its bytes to and from a TCP port of this machine.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryoctl_simulator.served.endpoints import READ_SIZE, TcpEndpoint

if TYPE_CHECKING:
    from cryoctl_simulator.served.endpoints import Endpoint

_LOOK_S: Final = 0.001
_HOST: Final = "127.0.0.1"


def carry(endpoint: Endpoint, probe: socket.socket) -> None:
    """Carry bytes both ways until the probe hangs up."""
    while True:
        endpoint.poll()
        if data := endpoint.take():
            probe.sendall(data)
        with contextlib.suppress(BlockingIOError):
            data = probe.recv(READ_SIZE)
            if not data:
                return
            endpoint.put(data)
        time.sleep(_LOOK_S)  # noqa: TID251 (two ends in real time, and nothing else to do)


def _pty(place: str) -> Endpoint:
    if sys.platform != "win32":
        from cryoctl_simulator.served.pty_endpoint import PtyEndpoint

        return PtyEndpoint(Path(place))
    raise SystemExit("pseudo-terminals do not exist on Windows")


def main(kind: str, place: str, probe_port: int) -> None:
    """Offer ``place``, say where it is, and carry."""
    endpoint: Endpoint = TcpEndpoint(_HOST, int(place)) if kind == "tcp" else _pty(place)
    probe = socket.create_connection((_HOST, probe_port))
    probe.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    probe.setblocking(False)  # noqa: FBT003
    print(f"at {endpoint.address}", flush=True)
    carry(endpoint, probe)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
