"""A cable between a probe and its controller, for tests that pull it out and put it back."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Final

from cryoctl_protocol.peer import DeviceUrl
from cryoctl_simulator.served.endpoints import Endpoint, TcpEndpoint

assert sys.platform != "win32"  # It has neither pseudo-terminals nor these signals.

PULL: Final = signal.SIGUSR1
PLUG: Final = signal.SIGUSR2
LOOPBACK: Final = "127.0.0.1"
READ_SIZE: Final = 4096
_POLL_S: Final = 0.001


class Cable:
    """Carries bytes between a probe and a port of its own, of the same kind as the probe's.

    Args:
        device: Address of the probe, a served one.
        link: Path of a port that is a pseudo-terminal; gone while the cable is pulled out.

    Raises:
        OSError: The probe is not there.
    """

    def __init__(self, device: DeviceUrl, link: Path) -> None:
        self._device = device
        self._link = link
        self._port_number = 0
        self._probe = _reach(device)
        self._port: Endpoint | None = self._offer()
        self.address = self._port.address

    def move(self, *, plugged: bool) -> None:
        """Carry what there is within a millisecond; raises OSError when the probe has gone."""
        if self._port is not None and not plugged:
            self._port.close()
            self._port = None
        elif self._port is None and plugged:
            # At once, as a program that is started again does: the probe must let it in.
            os.close(self._probe)
            self._probe = _reach(self._device)
            self._port = self._offer()
        # What the probe says while the cable is out is read all the same, and so gets into its log.
        ready, _, _ = select.select([self._probe], [], [], _POLL_S)
        said = os.read(self._probe, READ_SIZE) if ready else b""
        if ready and not said:
            raise ConnectionResetError("the probe hung up")
        if self._port is not None and self._port.poll():
            self._port.put(said)
            os.write(self._probe, self._port.take())

    def _offer(self) -> Endpoint:
        if self._device.scheme == "serial":
            from cryoctl_simulator.served.pty_endpoint import PtyEndpoint  # POSIX only.

            return PtyEndpoint(self._link)
        port = TcpEndpoint(LOOPBACK, self._port_number)
        self._port_number = int(port.address.rpartition(":")[2])  # From now on the same.
        return port


def _reach(device: DeviceUrl) -> int:
    """Return an open descriptor of the probe's port."""
    if device.scheme == "serial":
        return os.open(device.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    host, _, port = device.path.removeprefix("//").rpartition(":")
    connection = socket.create_connection((host, int(port)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection.detach()


def main(device: str, link: str) -> None:
    """Carry until the probe has gone; print the address to use instead of the probe's."""
    plugged = True

    def on_signal(number: int, _frame: FrameType | None) -> None:
        nonlocal plugged
        plugged = number == PLUG

    for number in (PULL, PLUG):
        signal.signal(number, on_signal)
    cable = Cable(DeviceUrl.parse(device), Path(link))
    sys.stdout.write(f"at {cable.address}\n")
    sys.stdout.flush()
    with suppress(OSError):
        while True:
            cable.move(plugged=plugged)


if __name__ == "__main__":
    main(*sys.argv[1:])
