"""Switches in a supply, simulated: a USB relay on a pseudo-terminal, a supply behind a socket."""

from __future__ import annotations

import os
import re
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

OUTPUT: Final = re.compile(rb"OUTP ([01]),\(@(\d+)\);OUTP\? \(@\d+\)\n")
Switched = Callable[[int, bool], None]


class SimulatedRelay:
    """A relay board of the LCUS series at a pseudo-terminal.

    Args:
        channels: How many it has.
        tells: It answers a query, as boards of several channels do.
        is_stuck: Its contacts stay as they are.
        switched: Is told channel and state of every frame that was right.
    """

    def __init__(
        self,
        channels: int = 1,
        *,
        tells: bool = False,
        is_stuck: bool = False,
        switched: Switched = lambda _channel, _pulled_in: None,
    ) -> None:
        import tty  # POSIX only, as pseudo-terminals are.

        self.received = b""
        self._state = dict.fromkeys(range(1, channels + 1), False)
        self._tells = tells
        self._is_stuck = is_stuck
        self._switched = switched
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self._waiting = b""
        self._ending = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ending = True
        self._thread.join()
        os.close(self._slave)
        os.close(self._master)

    def _serve(self) -> None:
        while not self._ending:
            if not select.select([self._master], [], [], 0.02)[0]:
                continue
            data = os.read(self._master, 64)
            self.received += data
            self._waiting += data
            while self._waiting and self._take():
                pass

    def _take(self) -> bool:
        """Take one query, one frame or one byte that is neither; False if there is too little."""
        waiting = self._waiting
        if waiting[:1] == b"\xff":
            self._waiting = waiting[1:]
            if self._tells:
                lines = (f"CH{n}:{'ON' if on else 'OFF'} \r\n" for n, on in self._state.items())
                os.write(self._master, "".join(lines).encode())
            return True
        if waiting[:1] != b"\xa0":
            self._waiting = waiting[1:]
            return True
        if len(waiting) < 4:
            return False
        self._waiting = waiting[4:]
        _, channel, state, check = waiting[:4]
        if check == (0xA0 + channel + state) % 256 and channel in self._state:
            if not self._is_stuck:
                self._state[channel] = bool(state)
            self._switched(channel, bool(state))
        return True


@contextmanager
def simulated_supply(switched: Switched, *, is_stuck: bool = False) -> Iterator[str]:
    """Serve a supply that takes ``OUTP`` lines for one program; yield its address for pyserial."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            client, _ = server.accept()
            with client, client.makefile("rb") as lines:
                for line in lines:
                    match = OUTPUT.fullmatch(line)
                    assert match is not None, line
                    is_on = match[1] == b"1" and not is_stuck
                    switched(int(match[2]), is_on)
                    client.sendall(b"1\n" if is_on else b"0\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"socket://127.0.0.1:{server.getsockname()[1]}"
        thread.join(5.0)
