"""A pseudo-terminal as the place where a served probe's bytes come out. Nothing here blocks."""

from __future__ import annotations

import errno
import os
import select
import sys
import tty
from pathlib import Path

from cryoctl_simulator.served.endpoints import READ_SIZE

assert sys.platform != "win32"  # It has none of this; a type checker is told here.


class PtyEndpoint:
    """A serial port that is not there: the other end of a pseudo-terminal.

    Args:
        link: A path that always leads to it, whatever number the port gets; replaced if it is a
            link of an earlier run.

    Raises:
        FileExistsError: The link leads to a port that is there, or is no link.
    """

    def __init__(self, link: Path | None = None) -> None:
        self.openings = 0
        self.dropped_bytes = 0
        self.refused = 0
        self._link = link
        _refuse_taken(link)  # Before there is a port: the new one may have the number of before.
        self._master, port = os.openpty()
        # Before anybody opens it: in its first state it would echo what the probe sends.
        tty.setraw(port)
        self._name = os.ttyname(port)
        os.close(port)  # Else a program that closes the port would not be noticed.
        os.set_blocking(self._master, False)
        self._poll = select.poll()
        self._poll.register(self._master, select.POLLIN)
        self._was_open = False
        if link is not None:
            if link.is_symlink():
                link.unlink()
            try:
                link.symlink_to(self._name)
            except OSError as error:  # It names the port, which is not what is wrong.
                os.close(self._master)
                raise OSError(error.errno, error.strerror, str(link)) from error
        self.address = f"serial:{link or self._name}"

    def poll(self) -> bool:
        """Look who is there; return True while somebody has it open."""
        is_open = not any(events & select.POLLHUP for _, events in self._poll.poll(0))
        if is_open and not self._was_open:
            self.openings += 1
        self._was_open = is_open
        return is_open

    def take(self) -> bytes:
        """Return what has arrived."""
        try:
            return os.read(self._master, READ_SIZE)
        except BlockingIOError:
            return b""
        except OSError as error:
            if error.errno == errno.EIO:
                return b""  # Nobody has it open.
            raise

    def put(self, data: bytes) -> None:
        """Send; what the other end does not take is dropped, as a UART would."""
        try:
            sent = os.write(self._master, data)
        except BlockingIOError:
            sent = 0
        self.dropped_bytes += len(data) - sent

    def close(self) -> None:
        """Give it up."""
        os.close(self._master)
        # Somebody may have put another there meanwhile.
        if self._link is not None and _leads_to(self._link) == self._name:
            self._link.unlink(missing_ok=True)


def _leads_to(link: Path) -> str | None:
    try:
        return str(link.readlink())
    except OSError:
        return None


def _refuse_taken(link: Path | None) -> None:
    if link is None or not link.exists():
        return
    port = _leads_to(link)
    if port is None:
        text = "is there and is no link; give --link another path"
    else:
        text = (
            f"leads to {port}, which is there: does another cryoctl sim serve it? Give --link "
            "another path, or delete this one if nobody does"
        )
    raise FileExistsError(errno.EEXIST, text, str(link))
