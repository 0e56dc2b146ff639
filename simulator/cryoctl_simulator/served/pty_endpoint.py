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
    """

    def __init__(self, link: Path | None = None) -> None:
        self.openings = 0
        self.dropped_bytes = 0
        self.refused = 0
        self._link = link
        self._master, port = os.openpty()
        # Before anybody opens it: in its first state it would echo what the probe sends.
        tty.setraw(port)
        name = os.ttyname(port)
        os.close(port)  # Else a program that closes the port would not be noticed.
        os.set_blocking(self._master, False)
        self._poll = select.poll()
        self._poll.register(self._master, select.POLLIN)
        self._was_open = False
        if link is not None:
            if link.is_symlink():
                link.unlink()
            link.symlink_to(name)
        self.address = f"serial:{link or name}"

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
        if self._link is not None:
            self._link.unlink(missing_ok=True)
