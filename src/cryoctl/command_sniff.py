"""``cryoctl sniff``: what an unknown device says; nothing is ever written to it."""

from __future__ import annotations

import os
import select
import socket
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Final

import click
import serial

from cryoctl.clock import monotonic_s
from cryoctl.port_hints import why_not
from cryoctl.serial_port import BAUD, BAUDS
from cryoctl.sniff import CERTAIN, Guess, Heard, guess, rows, summary
from cryoctl.tcp_port import connect, host_and_port
from cryoctl_protocol.peer import AddressError, DeviceUrl, LinkError

SECONDS: Final = 5.0
TRY_S: Final = 0.4
"""How long each baud rate is listened to before the likeliest is chosen."""
ROWS_SHOWN: Final = 40
_WAIT_S: Final = 0.02
_READ_SIZE: Final = 4096
_PAGE: Final = "docs/how-to/use-a-probe-that-speaks-something-else.md"

Read = Callable[[], bytes]
"""Waits a moment for bytes; raises OSError when the device is gone."""


@click.command()
@click.option("--device", required=True, metavar="URL", help="A serial: or tcp: address.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.1, max=3600.0),
    default=SECONDS,
    show_default=True,
    help="How long to listen.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write all rows.")
def sniff(device: str, seconds: float, out: Path | None) -> int:
    """Show what a device says, and guess how: baud rate, framing. Nothing is written to it.

    Without ?baud=N each standard rate is tried for 0.4 s first. A serial port is left as the
    system opens it: its control lines are not moved, so that no board is reset once more.
    """
    url = DeviceUrl.parse(device)
    with _listener(url) as (read, baud):
        heard = _hear(read, seconds)
    lines = list(rows(heard))
    if out is not None:
        out.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    for line in lines[:ROWS_SHOWN]:
        click.echo(line)
    if len(lines) > ROWS_SHOWN:
        where = f"{out} has them" if out is not None else "--out FILE keeps all"
        click.echo(f"... {len(lines) - ROWS_SHOWN} rows more; {where}")
    click.echo("")
    if baud is not None:
        click.echo(f"baud rate: {baud}")
    for line in summary(heard, seconds):
        click.echo(line)
    click.echo("nothing was written")
    for line in _next(url, baud, guess(heard)):
        click.echo(line)
    return 0


def _next(url: DeviceUrl, baud: int | None, found: Guess) -> list[str]:
    """Return what to do about what was heard."""
    if found.dialect == "own":
        other = baud is not None and baud != BAUD and url.get("baud") is None
        address = url.with_params(("baud", str(baud))) if other else url
        return ["next:", f"  cryoctl monitor --device '{address}'"]
    if found.score > 0.0:
        return [f"next: a dialect for it, see {_PAGE}"]
    return [
        "next: is it switched on, is this its port? A device that only answers says nothing",
        f"here; see {_PAGE}",
    ]


def _hear(read: Read, seconds: float) -> list[Heard]:
    """Return everything that comes within ``seconds``; less if the device goes."""
    began_s = now_s = monotonic_s()
    heard = []
    with suppress(OSError):  # What was heard until it went is worth showing.
        while now_s - began_s < seconds:
            data = read()
            now_s = monotonic_s()
            if data:
                heard.append(Heard(now_s - began_s, data))
    return heard


class _Listener(AbstractContextManager[tuple[Read, int | None]]):
    """Something open that is read and never written."""

    def __init__(self, read: Read, baud: int | None, close: Callable[[], None]) -> None:
        self._entered = read, baud
        self._close = close

    def __enter__(self) -> tuple[Read, int | None]:
        return self._entered

    def __exit__(self, *_: object) -> None:
        self._close()


def _listener(url: DeviceUrl) -> _Listener:
    for key, _ in url.params:
        if key != "baud":
            raise AddressError(f"device {url}: unknown parameter '{key}' (allowed: baud)")
    if url.scheme == "tcp":
        return _tcp_listener(url)
    if url.scheme == "serial" and url.path and "://" not in url.path:
        return _serial_listener(url)
    raise AddressError(f"device {url}: sniff listens at serial:PATH and tcp://HOST:PORT")


def _tcp_listener(url: DeviceUrl) -> _Listener:
    host, port = host_and_port(url, url.path, "tcp://HOST:PORT, such as tcp://127.0.0.1:7070")
    connection = connect(url, host, port)

    def read() -> bytes:
        if not select.select([connection], [], [], _WAIT_S)[0]:
            return b""
        data = connection.recv(_READ_SIZE)
        if not data:
            raise ConnectionResetError
        return data

    def close() -> None:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()

    return _Listener(read, None, close)


def _serial_listener(url: DeviceUrl) -> _Listener:
    asked = url.get("baud")
    if asked is not None and not (asked.isascii() and asked.isdigit() and int(asked) > 0):
        raise AddressError(f"device {url}: baud '{asked}' is no whole number from 1")
    try:
        port = serial.Serial(
            url.path,
            int(asked or BAUDS[0]),
            timeout=_WAIT_S,
            # Said to be the device's own business, pyserial leaves the line alone.
            dsrdtr=os.name == "posix",
            exclusive=os.name == "posix" or None,
        )
    except (OSError, ValueError) as error:
        raise LinkError(f"device {url}: {why_not(url.path, error)}") from error
    _keep_lines_on_close(port)

    def read() -> bytes:
        first: bytes = port.read(1)
        return first + bytes(port.read(port.in_waiting)) if first else b""

    if asked is not None:
        return _Listener(read, int(asked), port.close)
    try:
        best = _best_baud(port, read)
    except (OSError, ValueError) as error:
        port.close()
        raise LinkError(f"device {url}: {why_not(url.path, error)}") from error
    return _Listener(read, best, port.close)


def _best_baud(port: serial.Serial, read: Read) -> int:
    """Return the rate at which what is heard makes most sense, and leave the port at it."""
    scores: dict[int, float] = {}
    for baud in BAUDS:
        port.baudrate = baud
        port.reset_input_buffer()
        scores[baud] = guess(_hear(read, TRY_S)).score
        if scores[baud] >= CERTAIN:
            return baud
    best = max(scores, key=scores.__getitem__)
    port.baudrate = best
    port.reset_input_buffer()
    return best


def _keep_lines_on_close(port: serial.Serial) -> None:
    """Have the system leave DTR where it is when the port is closed: many boards reset by it."""
    if sys.platform == "win32":
        return
    import termios

    with suppress(termios.error, OSError):
        attributes = termios.tcgetattr(port.fileno())
        attributes[2] &= ~termios.HUPCL
        termios.tcsetattr(port.fileno(), termios.TCSANOW, attributes)
