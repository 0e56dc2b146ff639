"""The two serial ports of a board in the loop: opened, found again when plugged in anew, met."""

from __future__ import annotations

import os
import time
from typing import Final

import serial

from cryoctl_protocol.peer import AddressError, LinkError
from cryoctl_simulator.board_in_loop import Board, BoardDevice
from cryoctl_simulator.firmware_builds import BOARD

LINK_BAUD: Final = 115_200
CHANNEL_BAUD: Final = 921_600
"""At 115,200 baud one pair of frames takes 12 of the 10 ms. A USB port has no rate of its own."""
REOPEN_S: Final = 0.5
MEET_S: Final = 3.0
"""A probe without a session says HELLO every second."""
_READ_SIZE: Final = 4096


class SerialLine:
    """A serial port that may vanish and come back (``Line``).

    Args:
        path: Of the port.
        baud: Its rate.

    Raises:
        LinkError: It cannot be opened.

    Attributes:
        losses: How often it has vanished.
    """

    def __init__(self, path: str, baud: int) -> None:
        self.path = path
        self.losses = 0
        self._baud = baud
        self._lost_s = 0.0
        try:
            self._port: serial.Serial | None = self._open()
        except (OSError, ValueError) as error:
            raise LinkError(f"board: {path}: {error}") from error

    def read(self) -> bytes:
        """Return what has come."""
        port = self._present()
        if port is None:
            return b""
        try:
            return bytes(port.read(_READ_SIZE))
        except OSError:  # pyserial's own error is one.
            self._lose()
            return b""

    def write(self, data: bytes) -> None:
        """Send; what the port does not take is lost."""
        port = self._present()
        if port is None:
            return
        try:
            if os.name == "nt":
                port.write(data)
            else:
                os.write(port.fileno(), data)  # pyserial would try a full port again for ever.
        except BlockingIOError:
            pass
        except OSError:
            self._lose()

    def close(self) -> None:
        """Give the port up."""
        if self._port is not None:
            self._port.close()
            self._port = None

    def _open(self) -> serial.Serial:
        return serial.Serial(
            self.path,
            self._baud,
            timeout=0,
            write_timeout=0,
            exclusive=os.name == "posix" or None,
        )

    def _present(self) -> serial.Serial | None:
        """Return the port; None while it is away."""
        if self._port is None and time.monotonic() - self._lost_s >= REOPEN_S:
            try:
                self._port = self._open()
            except (OSError, ValueError):
                self._lost_s = time.monotonic()
        return self._port

    def _lose(self) -> None:
        self.close()
        self.losses += 1
        self._lost_s = time.monotonic()


class BoardPorts:
    """Both ports of a board.

    Args:
        name: ``board:LINK,CHANNEL``, the paths of its protocol port and of its channel.

    Raises:
        AddressError: No such name.
        LinkError: A port cannot be opened.
    """

    def __init__(self, name: str) -> None:
        link, _, channel = name.removeprefix(BOARD).partition(",")
        if not link or not channel or link == channel:
            raise AddressError(
                f"firmware '{name}': give two ports, the protocol's and the channel's, such as "
                "board:/dev/ttyACM0,/dev/ttyACM1"
            )
        self.link = SerialLine(link, LINK_BAUD)
        try:
            self.channel = SerialLine(channel, CHANNEL_BAUD)
        except LinkError:
            self.link.close()
            raise
        self.is_met = False
        self.board = Board(self.link, self.channel, lambda: time.monotonic_ns() // 1000)

    def meet(self, device: BoardDevice) -> None:
        """Wait until the board has said what it is.

        Raises:
            LinkError: It does not, or is another probe than the plant's.
        """
        board = self.board
        readings = device.instruments.read(device.plant)  # Else it would find its sensors broken.
        until_s = time.monotonic() + MEET_S
        while board.hello is None or not board.build:
            if time.monotonic() >= until_s:
                raise LinkError(self._silent())
            time.sleep(0.01)
            assert device.firmware is not None
            device.firmware.tick(0, readings, b"")
        said = board.hello.profile_id.rstrip(b"\0").decode("ascii", "replace")
        profile_id = device.profile_id
        if said != profile_id:
            raise LinkError(
                f"board: its firmware is built for {said}, the simulated hardware is {profile_id}: "
                "give the same --profile"
            )
        device.power_cycle()  # It will have no readings until the first tick: let it begin there.
        self.is_met = True

    def report(self) -> list[str]:
        """Return lines about times and losses."""
        gone = f"ports      vanished: link {self.link.losses}, channel {self.channel.losses} times"
        return [*self.board.report(), gone]

    def close(self) -> None:
        """Give both up."""
        self.link.close()
        self.channel.close()

    def _silent(self) -> str:
        if not self.board.build:
            return (
                f"board: {self.channel.path}: no build has announced itself in {MEET_S:g} s; is "
                "hal_injected in it, and is this its second port?"
            )
        return (
            f"board: {self.link.path}: {self.board.build} has announced itself on the channel and "
            f"said no HELLO here in {MEET_S:g} s; is this its protocol port?"
        )
