"""Serial ports as links: found by address or identity, opened, listened to for their baud rate."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final, NamedTuple

import serial

from cryoctl import remote_serial
from cryoctl.dialect import Dialect, dialect_of, host_speaks_first
from cryoctl.known_ports import Remembered, find_probe, is_name, stable_path
from cryoctl.port_hints import why_not
from cryoctl.port_link import LoopPump, PortLink, ThreadPump
from cryoctl_protocol.peer import AddressError, DeviceUrl, LinkError, Opened, Reach

BAUD: Final = 115_200
BAUDS: Final = (115_200, 921_600, 460_800, 230_400, 57_600, 38_400, 19_200, 9_600)
"""Standard rates, the likeliest first."""
HEAR_S: Final = 0.5
"""A probe says VITALS every 200 ms; the first piece may be the tail of one, the next is whole."""
PARAMS: Final = ("baud", "dialect", "id", "pump", "speaks_first")
AUTO: Final = "auto"
READ_SIZE: Final = 4096
_ALL_THERE_IS: Final = 1 << 20
_THREAD_WAIT_S: Final = 0.1
_PSEUDO_TERMINAL: Final = re.compile(r"/dev/(pts/\d+|ttys\d{3})$")
"""Of Linux and of macOS; whatever has another name is taken for a line."""


class SerialPort:
    """An open serial port as the pumps want it."""

    def __init__(self, port: serial.Serial) -> None:
        self._port = port
        self._stalled = False

    def fileno(self) -> int:
        """Return the descriptor that the event loop can watch."""
        return int(self._port.fileno())

    def read(self) -> bytes:
        """Return what has arrived; pyserial raises if a ready port has nothing: it is gone."""
        return bytes(self._port.read(READ_SIZE))

    def read_waiting(self) -> bytes:
        """Wait for bytes until the port's timeout; for a thread."""
        first: bytes = self._port.read(1)
        return first + bytes(self._port.read(self._port.in_waiting)) if first else b""

    def write(self, data: bytes) -> int:
        """Take as much of ``data`` as fits now."""
        try:
            sent = int(self._port.write(data) or 0)
        except serial.SerialTimeoutException:
            sent = 0
        self._stalled = sent < len(data)
        return sent

    def close(self) -> None:
        """Give the port up at once: a line that takes nothing would hold up ``close``."""
        try:
            if self._stalled:
                self._port.reset_output_buffer()
        except Exception:  # noqa: BLE001, S110  # termios has an error of its own; a dead port any.
            pass
        finally:
            self._port.close()


class _Place(NamedTuple):
    """Where a port is, and how to find the same device again.

    Attributes:
        path: What to open.
        name: What the address called it, for messages.
        again: Address of this very device.
    """

    path: str
    name: str
    again: DeviceUrl


def open_link(url: DeviceUrl) -> Opened:
    """Open ``serial:PATH|auto|NAME[?baud=N|auto&dialect=NAME&pump=thread&speaks_first=host]``.

    ``serial:auto`` opens the one probe that says of itself that it is one, or that the user
    remembered; ``serial:NAME`` a remembered one. Both open no other port. ``rfc2217://`` and
    ``socket://`` lead to ports of other machines.

    Raises:
        AddressError: No path, an unknown parameter or a value that is not allowed.
        FileError: Mistakes in the file of remembered ports.
        LinkError: The port is not there or cannot be opened; says why.
    """
    for key, _ in url.params:
        if key not in PARAMS:
            raise AddressError(
                f"device {url}: unknown parameter '{key}' (allowed: {', '.join(PARAMS)})"
            )
    if not url.path:
        raise AddressError(
            f"device {url}: give a port, such as serial:/dev/ttyACM0, or serial:auto"
        )
    baud = _baud(url)
    dialect = dialect_of(url)
    speaks_first = host_speaks_first(url, dialect)
    if baud is None and speaks_first:
        raise AddressError(
            f"device {url}: baud=auto listens, and speaks_first=host is for a probe that says "
            "nothing unasked: give the baud rate"
        )
    if "://" in url.path:
        return _open_remote(url, baud, dialect, speaks_first=speaks_first)
    in_thread = _reads_in_thread(url)
    place = _find(url)
    port = _open(url, place.path, baud or BAUDS[0], in_thread=in_thread)
    if baud is None:
        baud = _find_baud(url, port, partial(dialect_of, url))
        place = place._replace(again=place.again.with_params(("baud", str(baud))))
        port.timeout = _THREAD_WAIT_S if in_thread else 0
    adapter = SerialPort(port)
    pump = ThreadPump(adapter.read_waiting) if in_thread else LoopPump()
    link = PortLink(adapter, place.path, pump, dialect, speaks_first=speaks_first)
    return Opened(
        description=f"serial port {place.name} at {baud} baud{_low_latency(port)}",
        link=link,
        again=place.again,
        reach=reach_of(place.path),
    )


def _baud(url: DeviceUrl) -> int | None:
    """Return the rate that an address asks for; None is to be found out."""
    text = url.get("baud") or str(BAUD)
    if text == AUTO:
        return None
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise AddressError(f"device {url}: baud '{text}' is no whole number from 1, and not auto")
    return int(text)


def _reads_in_thread(url: DeviceUrl) -> bool:
    asked = url.get("pump")
    if asked not in (None, "loop", "thread"):
        raise AddressError(f"device {url}: pump '{asked}' is neither loop nor thread")
    return asked == "thread" or (asked is None and os.name == "nt")


def _find(url: DeviceUrl) -> _Place:
    """Return where the port of an address is; only ``auto`` and names are looked up."""
    name, identity = url.path, url.get("id")
    if identity is not None and name != AUTO:
        raise AddressError(f"device {url}: id is for serial:auto")
    if name != AUTO and not is_name(name):
        return _Place(name, name, url)
    remembered = Remembered.load()
    if name != AUTO:
        row = remembered.named(name)
        if row is None:
            return _Place(name, name, url)
        identity = row.identity
    port = find_probe(f"device {url}", identity, remembered)
    path = stable_path(port.device)
    params = tuple(pair for pair in url.params if pair[0] != "id")
    again = replace(url, path=AUTO, params=(*params, ("id", port.identity)))
    return _Place(path, f"{path} ({port.identity})", again)


def _open(url: DeviceUrl, path: str, baud: int, *, in_thread: bool) -> serial.Serial:
    try:
        # Exclusive: a second program on the line would take bytes out of the middle of frames.
        return serial.Serial(
            path,
            baud,
            timeout=_THREAD_WAIT_S if in_thread else 0,
            write_timeout=0,
            exclusive=os.name == "posix" or None,
        )
    except (OSError, ValueError) as error:
        raise LinkError(f"device {url}: {why_not(path, error)}") from error


def reach_of(path: str) -> Reach:
    """Return from where somebody could speak on a port: pseudo-terminals end in this computer."""
    return Reach.COMPUTER if _PSEUDO_TERMINAL.match(os.path.realpath(path)) else Reach.LINE


def _find_baud(url: DeviceUrl, port: serial.Serial, new_dialect: Callable[[], Dialect]) -> int:
    """Return the first rate at which a frame is heard; nothing is sent.

    Raises:
        LinkError: There is none; the port is closed.
    """
    heard = 0
    try:
        port.timeout = HEAR_S
        for baud in BAUDS:
            port.baudrate = baud
            port.reset_input_buffer()
            data = bytes(port.read(_ALL_THERE_IS))
            heard += len(data)
            if new_dialect().decode(data, 0.0):
                return baud
    except (OSError, ValueError) as error:
        port.close()
        raise LinkError(f"device {url}: {why_not(url.path, error)}") from error
    port.close()
    rates = ", ".join(map(str, BAUDS))
    raise LinkError(
        f"device {url}: no probe: {heard} bytes and no frame among them, in {HEAR_S:g} s each at "
        f"{rates} baud. Nothing was sent. What is said there: cryoctl sniff --device "
        f"serial:{url.path}"
    )


def _low_latency(port: serial.Serial) -> str:
    """Ask the driver not to collect bytes; return what became of it, for the description."""
    if sys.platform != "linux":
        return ""
    # Else an FTDI chip waits for 16 ms. Not every port has it; none needs it.
    with suppress(OSError, ValueError):
        port.set_low_latency_mode(True)
        return ", low-latency mode on"
    return ", no low-latency mode in its driver"


def _open_remote(
    url: DeviceUrl, baud: int | None, dialect: Dialect, *, speaks_first: bool
) -> Opened:
    if url.get("pump") is not None or url.get("id") is not None:
        raise AddressError(f"device {url}: pump and id are for ports of this machine")
    if baud is None:
        raise AddressError(f"device {url}: baud=auto is for ports of this machine")
    return remote_serial.open_link(url, baud, dialect, speaks_first=speaks_first)
