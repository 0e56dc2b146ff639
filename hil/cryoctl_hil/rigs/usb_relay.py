"""The power switch ``usb-relay``: relay boards of the LCUS series, a serial port over USB.

A frame has four bytes at 9600 baud: A0, the channel from 1, 1 to pull it in or 0 to let it go, and
the sum of the three: ``A0 01 01 A2`` pulls in, ``A0 01 00 A1`` lets go, as sellers of the LCUS-1
quote its maker (LC Technology). Boards of several channels answer FF with ``CH1:OFF`` and so on, a
line each; that of one channel never says anything.
"""

from __future__ import annotations

import os
import re
from typing import Final

import serial

from cryoctl.port_hints import why_not
from cryoctl_hil.rigs.rig import PowerTable
from cryoctl_protocol.peer import AddressError, LinkError

BAUD: Final = 9600
START: Final = 0xA0
QUERY: Final = b"\xff"
ANSWER_S: Final = 0.3
"""Eight lines of nine characters take 75 ms."""
_READ_MAX: Final = 256
_LINE: Final = re.compile(rb"CH(\d+): ?(ON|OFF)")


class UsbRelay:
    """One channel of such a board (``PowerSwitch``).

    Args:
        table: ``port`` is its serial port. The probe is between COM and NO, or with
            ``normally_closed`` between COM and NC.

    Raises:
        AddressError: No port is named.
        LinkError: The port is not there, or the board has no such channel.
    """

    def __init__(self, table: PowerTable) -> None:
        if not table.port:
            raise AddressError("power switch usb-relay: give its port, such as /dev/ttyUSB1")
        self._name = f"power switch usb-relay: {table.port}"
        self._channel = table.channel
        self._normally_closed = table.normally_closed
        try:
            self._port = serial.Serial(
                table.port,
                BAUD,
                timeout=ANSWER_S,
                write_timeout=1.0,
                exclusive=os.name == "posix" or None,
            )
        except (OSError, ValueError) as error:
            why = why_not(table.port, error)
            raise LinkError(f"power switch usb-relay: {why}") from error
        try:
            self._tells = self._check_channel()
        except LinkError:
            self._port.close()
            raise

    def on(self) -> None:
        """Give the probe power."""
        self._set(pulled_in=not self._normally_closed)

    def off(self) -> None:
        """Take the probe's power away."""
        self._set(pulled_in=self._normally_closed)

    def close(self) -> None:
        """Give the port up; the relay stays as it is."""
        self._port.close()

    def _check_channel(self) -> bool:
        """Return True if the board says how its channels are."""
        channels = self._channels()
        if not channels and self._channel > 1:
            raise LinkError(
                f"{self._name}: it does not say which channels it has, as a board with channel "
                f"{self._channel} would: is this the port of the relay?"
            )
        if channels and self._channel not in channels:
            known = ", ".join(map(str, sorted(channels)))
            raise LinkError(f"{self._name}: no channel {self._channel}; it has: {known}")
        return bool(channels)

    def _set(self, *, pulled_in: bool) -> None:
        frame = bytes([START, self._channel, int(pulled_in)])
        self._write(frame + bytes([sum(frame) & 0xFF]))
        if not self._tells:
            return
        is_in = self._channels().get(self._channel)
        if is_in is not pulled_in:
            said = {None: "nothing", True: "ON", False: "OFF"}[is_in]
            raise LinkError(
                f"{self._name}: channel {self._channel} was to go {'ON' if pulled_in else 'OFF'}, "
                f"and the board says {said}"
            )

    def _channels(self) -> dict[int, bool]:
        """Return what the board says of each channel; nothing if it says nothing."""
        self._write(QUERY)
        try:
            said = self._port.read(_READ_MAX)
        except OSError as error:
            raise LinkError(f"{self._name}: {error.strerror or error}") from error
        return {int(number): word == b"ON" for number, word in _LINE.findall(said)}

    def _write(self, data: bytes) -> None:
        try:
            self._port.reset_input_buffer()
            self._port.write(data)
        except OSError as error:  # pyserial's own are such, that of a full port too.
            raise LinkError(f"{self._name}: {error.strerror or error}") from error
