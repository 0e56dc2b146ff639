"""A frame link over any byte stream with a descriptor: serial ports and sockets alike.

Two pumps move the bytes: the event loop's own reader where it can watch the descriptor, a thread
elsewhere (serial ports on Windows). Nothing is written before the stream has shown one whole frame
of ours: a foreign device must not be sent a single byte. Only an address that says so lets a
dialect ask first.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from cryoctl.dialect import Dialect, PollingDialect
from cryoctl_protocol.messages import ID_OF, Stop
from cryoctl_protocol.peer import Frame, LinkError

PROBE_HEARD_S: Final = 3.0
"""A probe sends VITALS every 200 ms and HELLO every second, session or none."""
UNSENT_MAX: Final = 4
"""Frames that may wait for a stalled port: everything is said again, and old news is worthless."""
UNSENT_LIFE_S: Final = 0.25
"""As long as a controller repeats a command; not every probe has deadlines that void a late one."""
SEEN_SHOWN: Final = 24
_TEXT: Final = frozenset(range(32, 127)) | frozenset(b"\t\r\n\x1b")
_MESSAGE_ID_AT: Final = 1  # In a body: version and flags, message id.
_STOP_ID: Final = ID_OF[Stop]


class Port(Protocol):
    """An open byte stream to a device."""

    def fileno(self) -> int:
        """Return the descriptor that the event loop can watch."""
        ...

    def read(self) -> bytes:
        """Return what has arrived, without waiting; raises OSError when the port is gone."""
        ...

    def write(self, data: bytes) -> int:
        """Take as much of ``data`` as fits now; return how much; raises OSError when gone."""
        ...

    def close(self) -> None:
        """Give the port up at once, whatever still waits to be sent."""
        ...


class Pump(Protocol):
    """Calls back when there is something to read, or room to write."""

    def start(self, link: PortLink, port: Port) -> None:
        """Begin to watch the port."""
        ...

    def want_room(self, wanted: bool) -> None:  # noqa: FBT001
        """Say whether somebody waits to write."""
        ...

    def stop(self) -> None:
        """Watch no longer."""
        ...


class LoopPump:
    """The event loop watches the descriptor."""

    def start(self, link: PortLink, port: Port) -> None:
        """Begin to watch the port."""
        self._loop = asyncio.get_running_loop()
        self._descriptor = port.fileno()
        self._link = link
        self._wanted = False

        def on_readable() -> None:
            try:
                data = port.read()
            except OSError as error:
                link.lose(_reason(error))
                return
            link.take(data)

        self._loop.add_reader(self._descriptor, on_readable)

    def want_room(self, wanted: bool) -> None:  # noqa: FBT001
        """Say whether somebody waits to write."""
        if wanted == self._wanted:
            return
        self._wanted = wanted
        if wanted:
            self._loop.add_writer(self._descriptor, self._link.flush)
        else:
            self._loop.remove_writer(self._descriptor)

    def stop(self) -> None:
        """Watch no longer; else a dead descriptor would call back for ever."""
        self.want_room(False)  # noqa: FBT003
        self._loop.remove_reader(self._descriptor)


class ThreadPump:
    """A thread reads; writing is tried again with the next thing sent.

    Args:
        read_waiting: Waits for bytes for a tenth of a second at most; raises OSError when the port
            is gone.
    """

    def __init__(self, read_waiting: Callable[[], bytes]) -> None:
        self._read_waiting = read_waiting

    def start(self, link: PortLink, port: Port) -> None:
        """Begin to watch the port."""
        self._stopped = threading.Event()
        call = asyncio.get_running_loop().call_soon_threadsafe

        def run() -> None:
            while not self._stopped.is_set():
                try:
                    data = self._read_waiting()
                except (OSError, TypeError, AttributeError) as error:
                    # The last two are pyserial's own, closed in mid-read on POSIX and on Windows.
                    if not self._stopped.is_set():
                        call(link.lose, _reason(error))
                    return
                if data and not self._stopped.is_set():
                    call(link.take, data)

        self._thread = threading.Thread(target=run, name="cryoctl-port", daemon=True)
        self._thread.start()

    def want_room(self, wanted: bool) -> None:  # noqa: FBT001
        """Nothing to do: the next frame comes within 100 ms."""

    def stop(self) -> None:
        """Watch no longer."""
        self._stopped.set()


class _Unsent(NamedTuple):
    """A frame of which the port has taken nothing yet."""

    wire: bytes
    until_s: float
    is_stop: bool = False


class PortLink:
    """A ``FrameLink`` over a port.

    Args:
        port: Open already; belongs to this object.
        name: What people call it, for messages.
        pump: Moves the bytes.
        dialect: What the probe speaks.
        speaks_first: The user's word that the device may be asked before it has been heard.

    Attributes:
        line_errors: Pieces of the stream so far that were no frame.
        dropped_frames: Frames that a stalled port never took.
    """

    def __init__(
        self, port: Port, name: str, pump: Pump, dialect: Dialect, *, speaks_first: bool = False
    ) -> None:
        self.line_errors = 0
        self.dropped_frames = 0
        self._port = port
        self._name = name
        self._pump = pump
        self._dialect = dialect
        self._frames: deque[Frame] = deque()
        self._partial = b""
        """The rest of a frame of which some bytes are out already."""
        self._unsent: deque[_Unsent] = deque()
        self._lost = ""
        self._started_s: float | None = None
        self._speaks_first = speaks_first
        self._asked = False
        """Something was sent to a device that had not been heard."""
        self._poll_timer: asyncio.TimerHandle | None = None
        self._heard = False
        self._seen = b""
        self._seen_bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self._on_bytes: Callable[[bytes, float], None] | None = None

    # -- FrameLink -------------------------------------------------------------------------------

    async def send(self, data: bytes) -> None:
        """Queue one frame; raises LinkError when the port is gone."""
        self._start()
        self._check()
        if not self._heard:
            return  # Whoever is there has not shown to be a probe; everything is said again.
        now_s = asyncio.get_running_loop().time()
        wire = self._dialect.encode(data, now_s)
        if wire:
            self._queue(wire, now_s, is_stop=data[_MESSAGE_ID_AT] == _STOP_ID)
            self.flush()
        self._arrive(b"", now_s)
        self._check()

    def _queue(self, wire: bytes, now_s: float, *, is_stop: bool) -> None:
        if is_stop:
            # What was asked before it must not come after it: a probe without counters would freeze
            # again. It says it all, and can never be too late.
            self.dropped_frames += sum(not unsent.is_stop for unsent in self._unsent)
            self._unsent.clear()
            self._unsent.append(_Unsent(wire, math.inf, is_stop=True))
            return
        oldest = 1 if self._unsent and self._unsent[0].is_stop else 0  # Nothing pushes STOP out.
        if len(self._unsent) - oldest >= UNSENT_MAX:
            del self._unsent[oldest]
            self.dropped_frames += 1
        self._unsent.append(_Unsent(wire, now_s + UNSENT_LIFE_S))

    def _next_wire(self, now_s: float) -> bytes:
        """Return the oldest frame that is not too old, which stays where it is; none if none is."""
        while self._unsent and now_s > self._unsent[0].until_s:
            self._unsent.popleft()
            self.dropped_frames += 1
        return self._unsent[0].wire if self._unsent else b""

    async def receive(self) -> Frame:
        """Wait for the next frame; raises LinkError when the port is gone."""
        self._start()
        loop = asyncio.get_running_loop()
        while not self._frames:
            self._check()
            self._waiter = loop.create_future()
            timer = None
            if not self._heard and self._started_s is not None:
                timer = loop.call_at(self._started_s + PROBE_HEARD_S, self._give_up_unheard)
            try:
                await self._waiter
            finally:
                self._waiter = None
                if timer is not None:
                    timer.cancel()
        return self._frames.popleft()

    async def close(self) -> None:
        """Give the port up at once; a stalled one would never finish otherwise."""
        self.flush()
        self.abort()

    def abort(self) -> None:
        """Give the port up at once, whatever waits to be sent."""
        self.lose("closed")

    # -- ByteLink --------------------------------------------------------------------------------

    def listen(self, on_bytes: Callable[[bytes, float], None]) -> None:
        """Have ``on_bytes`` called with whatever arrives, and the time."""
        self._on_bytes = on_bytes

    def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are, once a frame has been heard; raises LinkError when gone."""
        self._start()
        self._check()
        if self._heard:
            self._queue(data, asyncio.get_running_loop().time(), is_stop=False)
            self.flush()
            self._check()

    # -- for the pump ----------------------------------------------------------------------------

    def take(self, data: bytes) -> None:
        """Take bytes that arrived; none at all, from a port that said it had some, is its end."""
        if self._lost:
            return
        if not data:
            self.lose("the other end hung up")
            return
        now_s = asyncio.get_running_loop().time()
        if self._on_bytes is not None:
            self._on_bytes(data, now_s)
        if not self._heard:
            self._seen_bytes += len(data)
            self._seen = (self._seen + data)[:SEEN_SHOWN]
        self._arrive(data, now_s)

    def flush(self) -> None:
        """Write what fits; nothing to a device that has not shown to be a probe."""
        if self._lost or not (self._heard or self._asked):
            return
        now_s = asyncio.get_running_loop().time()
        try:
            # The rest of a frame begun comes first: cut off, it would swallow what follows.
            while wire := self._partial or self._next_wire(now_s):
                sent = self._port.write(wire)
                if sent and not self._partial:
                    self._unsent.popleft()
                if sent:
                    self._partial = wire[sent:]
                if sent < len(wire):
                    break
        except OSError as error:
            self.lose(_reason(error))
            return
        self._pump.want_room(bool(self._partial or self._unsent))

    def lose(self, reason: str) -> None:
        """Give the port up; ``receive`` and ``send`` then raise with ``reason``."""
        if self._lost:
            return
        self._lost = reason
        if self._started_s is not None:
            self._pump.stop()
        if self._poll_timer is not None:
            self._poll_timer.cancel()
        self._port.close()
        self._wake()

    # -- inside ----------------------------------------------------------------------------------

    def _start(self) -> None:
        if self._started_s is None and not self._lost:
            self._started_s = asyncio.get_running_loop().time()
            self._pump.start(self, self._port)
            self._partial = self._dialect.opening()
            if isinstance(self._dialect, PollingDialect):
                self._poll(self._dialect)

    def _poll(self, dialect: PollingDialect) -> None:
        """Ask what is due, and come back."""
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        self._poll_timer = loop.call_at(now_s + dialect.poll_s, self._poll, dialect)
        if not (self._heard or self._speaks_first):
            return
        wire = dialect.poll(now_s)
        if wire:
            self._asked = True
            self._queue(wire, now_s, is_stop=False)
            self.flush()
        self._arrive(b"", now_s)

    def _arrive(self, data: bytes, now_s: float) -> None:
        for body in self._dialect.decode(data, now_s):
            self._heard = True
            self._frames.append(Frame(body, now_s))
        if self._heard:
            self.line_errors = self._dialect.errors
        if self._frames:
            self._wake()

    def _check(self) -> None:
        if self._lost:
            raise LinkError(f"{self._name}: {self._lost}")

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _give_up_unheard(self) -> None:
        if not self._heard:
            waits = isinstance(self._dialect, PollingDialect) and not self._speaks_first
            self.lose(
                describe_stranger(self._seen, self._seen_bytes, asked=self._asked, waits=waits)
            )


def describe_stranger(seen: bytes, count: int, *, asked: bool = False, waits: bool = False) -> str:
    """Return what was heard instead of a probe, and what to do about it.

    Args:
        seen: The first bytes of it.
        count: How many there were in all.
        asked: The address let the dialect ask first.
        waits: The dialect would ask, had the address let it.
    """
    if not count:
        first = "; a probe that only answers needs ?speaks_first=host" if waits else ""
        answer = ", though it was asked" if asked else ""
        return (
            f"no probe: nothing was heard in {PROBE_HEARD_S:g} s{answer}; is the probe switched "
            f"on, and is this its port{first}?"
        )
    is_text = all(byte in _TEXT for byte in seen)
    looks = f"text: {seen.decode('ascii')!r}" if is_text else f"bytes {seen.hex(' ')}"
    sent = "It was asked, as speaks_first=host has it." if asked else "Nothing was sent."
    return (
        f"no probe: {count} bytes in {PROBE_HEARD_S:g} s and no frame among them, beginning with "
        f"{looks}; wrong port or wrong baud rate? {sent}"
    )


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or "gone"


class RealTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock begins at 0 with the run, as recordings and summaries expect."""

    def __init__(self) -> None:
        super().__init__()
        self._began_s = super().time()

    def time(self) -> float:
        """Return seconds since the loop was made, whole nanoseconds as in a recording."""
        return round(super().time() - self._began_s, 9)
