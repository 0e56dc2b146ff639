"""Serial ports: opened, explained when they cannot be, listed. Nothing is written to one here."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
from collections.abc import Iterator
from typing import Final, NamedTuple

import serial
from serial.tools import list_ports

from cryoctl.dialect import dialect_of
from cryoctl.port_link import LoopPump, PortLink, ThreadPump
from cryoctl_protocol.peer import AddressError, DeviceUrl, LinkError, Opened, Reach

BAUD: Final = 115_200
PARAMS: Final = ("baud", "dialect", "pump")
READ_SIZE: Final = 4096
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


def open_link(url: DeviceUrl) -> Opened:
    """Open ``serial:PATH[?baud=N&dialect=NAME&pump=thread]``.

    Raises:
        AddressError: No path, an unknown parameter or a value that is not allowed.
        LinkError: The port is not there or cannot be opened; says why.
    """
    for key, _ in url.params:
        if key not in PARAMS:
            raise AddressError(
                f"device {url}: unknown parameter '{key}' (allowed: {', '.join(PARAMS)})"
            )
    if not url.path:
        raise AddressError(f"device {url}: give a port, such as serial:/dev/ttyACM0")
    baud = url.get("baud") or str(BAUD)
    if not (baud.isascii() and baud.isdigit() and int(baud) > 0):
        raise AddressError(f"device {url}: baud '{baud}' is no whole number from 1")
    asked = url.get("pump")
    if asked not in (None, "loop", "thread"):
        raise AddressError(f"device {url}: pump '{asked}' is neither loop nor thread")
    in_thread = asked == "thread" or (asked is None and os.name == "nt")
    dialect = dialect_of(url)
    try:
        # Exclusive: a second program on the line would take bytes out of the middle of frames.
        port = serial.Serial(
            url.path,
            int(baud),
            timeout=_THREAD_WAIT_S if in_thread else 0,
            write_timeout=0,
            exclusive=os.name == "posix" or None,
        )
    except (OSError, ValueError) as error:
        raise LinkError(f"device {url}: {why_not(url.path, error)}") from error
    if sys.platform == "linux":
        # Else an FTDI chip waits for 16 ms. Not every port has it; none needs it.
        with contextlib.suppress(OSError, ValueError):
            port.set_low_latency_mode(True)
    adapter = SerialPort(port)
    pump = ThreadPump(adapter.read_waiting) if in_thread else LoopPump()
    link = PortLink(adapter, url.path, pump, dialect)
    return Opened(
        description=f"serial port {url.path} at {baud} baud", link=link, reach=reach_of(url.path)
    )


def reach_of(path: str) -> Reach:
    """Return from where somebody could speak on a port: pseudo-terminals end in this computer."""
    if "://" in path:
        return Reach.NETWORK  # pyserial's own addresses, such as rfc2217://.
    return Reach.COMPUTER if _PSEUDO_TERMINAL.match(os.path.realpath(path)) else Reach.LINE


def why_not(path: str, error: Exception) -> str:
    """Return why a port cannot be opened, and what to do about it."""
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.ENOENT:
        return f"{path}: there is no such port; cryoctl ports lists those that are there"
    if number == errno.EACCES:
        return f"{path}: not allowed; {_permission(path)}"
    if number in (errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK):
        return f"{path}: another program has it open; close that one first"
    return f"{path}: {(error.strerror if isinstance(error, OSError) else None) or error}"


def _permission(path: str) -> str:
    group = _group(path)
    if group is None:
        return "ask for the right to use it"
    return f"it belongs to the group {group}: sudo usermod -aG {group} $USER, then log in again"


def _group(path: str) -> str | None:
    """Return the group that may use a port; None if it has no name, or the system no groups."""
    if sys.platform == "win32":
        return None
    import grp

    try:
        return grp.getgrgid(os.stat(path).st_gid).gr_name  # noqa: PTH116
    except (KeyError, OSError):
        return None


class PortRow(NamedTuple):
    """One serial port of this machine.

    Attributes:
        device: Path or name to open.
        product: What it says it is; empty if it says nothing.
        vid_pid: USB ids as ``1a86:7523``; empty for others.
        serial_number: Of a USB device.
        problem: Why it could not be opened; empty if nothing speaks against it.
    """

    device: str
    product: str
    vid_pid: str
    serial_number: str
    problem: str


def list_serial_ports() -> Iterator[PortRow]:
    """Yield the serial ports of this machine, sorted; none is opened."""
    for port in sorted(list_ports.comports()):
        ids = "" if port.vid is None else f"{port.vid:04x}:{port.pid:04x}"
        readable = os.name != "posix" or os.access(port.device, os.R_OK | os.W_OK)
        yield PortRow(
            device=port.device,
            product=port.product or (port.description if port.description != "n/a" else "") or "",
            vid_pid=ids,
            serial_number=port.serial_number or "",
            problem="" if readable else f"not allowed; {_permission(port.device)}",
        )
