"""Moves a host and a probe through time, virtual or real, behind one face.

A test is plain synchronous code. In virtual time nothing moves but while it waits; in real time a
thread keeps leases and watches, whatever the test is doing.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Final, Protocol, TypeVar

from cryoctl.core import TICK_S, tick_time_s
from cryoctl.lockstep import STEPS_PER_S
from cryoctl.port_link import RealTimeLoop
from cryoctl.run_thread import LOOK_S
from cryoctl.supervisor import open_until_there
from cryoctl_protocol.framing import DELIMITER, Deframer, wrap
from cryoctl_protocol.peer import FrameLink, LinkError, SyncPeer

_STEPS_PER_TICK: Final = round(TICK_S * STEPS_PER_S)

T = TypeVar("T")


class Host(Protocol):
    """Whoever talks to the probe: the bench's own host, or the controller."""

    def connect(self, now_s: float) -> None:
        """Begin a new session."""
        ...

    def on_body(self, body: bytes, now_s: float) -> None:
        """Take one frame off the link."""
        ...

    def on_line_errors(self, count: int, now_s: float) -> None:
        """Note pieces of the stream that were no frame."""
        ...

    def on_link_gone(self, reason: str, now_s: float) -> None:
        """Note that the link itself is gone."""
        ...

    def on_link_back(self, now_s: float) -> None:
        """Note that the link is there again."""
        ...

    def tick(self, now_s: float) -> None:
        """Run the control tick, 20 times a second."""
        ...

    def outgoing(self, now_s: float) -> list[bytes]:
        """Return the frames to send, and forget them."""
        ...

    def crash(self, now_s: float) -> list[bytes]:
        """Make the probe safe after an error in the program; return the frames to send."""
        ...


class LinkGoneError(LinkError):
    """The link to the probe was lost while a test needed it."""


class Cuts:
    """What a rig can do to a line by itself, at the host's end of it.

    Attributes:
        to_device: Nothing that the host sends leaves.
        to_host: Nothing that the probe sends is taken.
    """

    def __init__(self) -> None:
        self.to_device = False
        self.to_host = False


class Drive(Protocol):
    """Moves time.

    Attributes:
        is_virtual: True where time moves only while somebody waits.
        cuts: Of the line.
    """

    is_virtual: bool
    cuts: Cuts

    @property
    def now_s(self) -> float:
        """Time since the drive was made."""
        ...

    def attach(self, host: Host) -> None:
        """Have ``host`` talk to the probe from now on, in a session of its own."""
        ...

    def do(self, act: Callable[[float], T]) -> T:
        """Call ``act(now_s)`` between two steps; what the host has to say goes out at once."""
        ...

    def send_raw(self, body: bytes) -> None:
        """Send a frame that no host made: a copy of an old one, a damaged one."""
        ...

    def run(self, until: Callable[[], bool], within_s: float) -> bool:
        """Let time go on until ``until()`` is true; return False if it was not in time.

        Raises:
            LinkGoneError: The link is lost and does not come back.
        """
        ...

    def close(self) -> None:
        """Give the link up."""
        ...


class VirtualDrive:
    """Host and peer take turns, a device tick of 10 ms at a time."""

    is_virtual = True

    def __init__(self, peer: SyncPeer) -> None:
        self.cuts = Cuts()
        self._peer = peer
        self._host: Host | None = None
        self._deframer = Deframer()
        self._line_errors = 0
        self._wire = DELIMITER
        self._steps = 0

    @property
    def now_s(self) -> float:
        """Time since the drive was made."""
        return self._steps / STEPS_PER_S

    def attach(self, host: Host) -> None:
        """Have ``host`` talk to the probe from now on."""
        self._host = host
        self.do(host.connect)

    def do(self, act: Callable[[float], T]) -> T:
        """Call ``act(now_s)`` between two steps."""
        done = act(self.now_s)
        self._collect()
        return done

    def send_raw(self, body: bytes) -> None:
        """Send a frame that no host made."""
        self._wire += wrap(body)

    def run(self, until: Callable[[], bool], within_s: float) -> bool:
        """Let time go on until ``until()`` is true; return False if it was not in time."""
        last_step = self._steps + round(within_s * STEPS_PER_S)
        while not until():
            if self._steps >= last_step:
                return False
            self._step()
        return True

    def close(self) -> None:
        """Let the peer hear what was sent last."""
        if len(self._wire) > len(DELIMITER):
            self._peer.advance_to((self._steps + 1) / STEPS_PER_S, self._wire)
            self._wire = b""

    def _step(self) -> None:
        host = self._host
        assert host is not None
        self._steps += 1
        now_s = self.now_s
        wire, self._wire = self._wire, b""
        for body in self._deframer.feed(self._peer.advance_to(now_s, wire)):
            if not self.cuts.to_host:
                host.on_body(body, now_s)
        errors = self._deframer.rejects.total()
        if errors != self._line_errors and not self.cuts.to_host:
            host.on_line_errors(errors - self._line_errors, now_s)
        self._line_errors = errors
        if self._steps % _STEPS_PER_TICK == 0:
            host.tick(tick_time_s(self._steps // _STEPS_PER_TICK))
        self._collect()

    def _collect(self) -> None:
        if self._host is None:
            return
        bodies = self._host.outgoing(self.now_s)
        if bodies and not self.cuts.to_device:
            self._wire += b"".join(map(wrap, bodies))


class RealDrive:
    """A thread with an event loop of its own reads, ticks and sends.

    Args:
        link: To the probe; opened already.
        open_again: Opens it anew once it was lost; None leaves it lost.
    """

    is_virtual = False

    def __init__(self, link: FrameLink, open_again: Callable[[], FrameLink] | None = None) -> None:
        self.cuts = Cuts()
        self.gone = ""
        """Why the link is lost; empty while it is there."""
        self._link = link
        self._open_again = open_again
        self._host: Host | None = None
        self._crash: BaseException | None = None
        self._until: tuple[Callable[[], bool], Future[bool]] | None = None
        self._loop = RealTimeLoop()
        self._ending = False
        self._thread = threading.Thread(target=self._main, name="cryoctl-rig", daemon=True)
        self._thread.start()

    @property
    def now_s(self) -> float:
        """Time since the drive was made."""
        return self._loop.time()

    def attach(self, host: Host) -> None:
        """Have ``host`` talk to the probe from now on."""

        def begin(now_s: float) -> None:
            self._host = host
            host.connect(now_s)

        self.do(begin)

    def do(self, act: Callable[[float], T]) -> T:
        """Call ``act(now_s)`` in the drive's thread; what the host has to say goes out at once."""
        done: Future[T] = Future()

        async def carry_out() -> None:
            try:
                result = act(self._loop.time())
                await self._send()
            except BaseException as error:  # noqa: BLE001  # Raised where it was asked for.
                done.set_exception(error)
            else:
                done.set_result(result)

        asyncio.run_coroutine_threadsafe(carry_out(), self._loop)
        return self._wait_for(done)

    def send_raw(self, body: bytes) -> None:
        """Send a frame that no host made."""
        self._wait_for(asyncio.run_coroutine_threadsafe(self._link.send(body), self._loop))

    def run(self, until: Callable[[], bool], within_s: float) -> bool:
        """Wait until ``until()`` is true after a frame or tick; return False if not in time."""
        waited: Future[bool] = Future()

        def begin(_now_s: float) -> None:
            if until():
                waited.set_result(True)
                return
            self._until = (until, waited)
            self._loop.call_later(within_s, self._give_up, waited)

        self.do(begin)
        met = self._wait_for(waited)
        if self.gone and not met:
            raise LinkGoneError(f"the link is gone: {self.gone}")
        return met

    def close(self) -> None:
        """End the thread and give the link up."""
        self._ending = True
        self._thread.join()

    # -- in the thread ---------------------------------------------------------------------------

    def _main(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            try:
                runner.run(self._live())
            except BaseException as error:  # noqa: BLE001  # Raised in the thread of the test.
                self._crash = error

    async def _live(self) -> None:
        reader = asyncio.create_task(self._read())
        try:
            await self._tick(reader)
        except BaseException:
            if self._host is not None:
                for body in self._host.crash(self._loop.time()):
                    await self._link.send(body)
            raise
        finally:
            reader.cancel()
            await self._link.close()

    async def _tick(self, reader: asyncio.Task[None]) -> None:
        count = round(self._loop.time() / TICK_S)
        while not self._ending:
            if reader.done():
                reader.result()
            count += 1
            await asyncio.sleep(tick_time_s(count) - self._loop.time())
            if self._host is not None:
                self._host.tick(self._loop.time())
                await self._send()
                self._look()

    async def _read(self) -> None:
        errors = 0
        while True:
            try:
                frame = await self._link.receive()
            except LinkError as error:
                self._lose(str(error))
                if self._open_again is None:
                    return
                self._link = await open_until_there(self._open_again)
                self.gone, errors = "", 0
                if self._host is not None:
                    self._host.on_link_back(self._loop.time())
                    await self._send()
                continue
            host = self._host
            if host is None or self.cuts.to_host:
                continue
            seen, errors = self._link.line_errors - errors, self._link.line_errors
            if seen:
                host.on_line_errors(seen, self._loop.time())
            host.on_body(frame.data, frame.received_s)
            await self._send()
            self._look()

    async def _send(self) -> None:
        if self._host is None:
            return
        bodies = self._host.outgoing(self._loop.time())
        if self.gone or self.cuts.to_device:
            return  # What is made now would be old when the link is back.
        try:
            for body in bodies:
                await self._link.send(body)
        except LinkError as error:
            self._lose(str(error))

    def _lose(self, reason: str) -> None:
        if not self.gone:
            self.gone = reason
            if self._host is not None:
                self._host.on_link_gone(reason, self._loop.time())

    def _look(self) -> None:
        if self._until is None:
            return
        until, waited = self._until
        try:
            if not until():
                return
        except BaseException as error:  # noqa: BLE001  # The test's own mistake.
            self._until = None
            waited.set_exception(error)
            return
        self._until = None
        waited.set_result(True)

    def _give_up(self, waited: Future[bool]) -> None:
        if not waited.done():
            self._until = None
            waited.set_result(False)

    def _wait_for(self, done: Future[T]) -> T:
        while True:
            if self._crash is not None:
                raise LinkGoneError(f"the rig's loop has ended: {self._crash!r}") from self._crash
            with suppress(TimeoutError):
                return done.result(LOOK_S)
