"""The asyncio shell: one task reads frames, one runs the control tick; neither decides anything."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

from cryoctl.core import TICK_S, Controller, tick_time_s
from cryoctl.lockstep import STEPS_PER_S, Operator, StopWish
from cryoctl.virtual_time import sleep_until
from cryoctl_protocol.framing import DELIMITER, Deframer, wrap
from cryoctl_protocol.peer import Frame, FrameLink, LinkError, SyncPeer

REOPEN_S: Final = 0.5
"""Between two tries to open a lost link."""


class PeerLink:
    """A frame link to a peer that lives in this loop's time; moves it one device tick at a time."""

    def __init__(self, peer: SyncPeer) -> None:
        self.line_errors = 0
        self._peer = peer
        self._deframer = Deframer()
        self._frames: deque[Frame] = deque()
        self._wire = DELIMITER
        self._steps = 0

    async def send(self, data: bytes) -> None:
        """Queue one frame; the peer hears it at its next tick."""
        self._wire += wrap(data)

    async def receive(self) -> Frame:
        """Move the peer until it has sent a frame, and return it."""
        while not self._frames:
            self._steps += 1
            now_s = self._steps / STEPS_PER_S
            await sleep_until(now_s)
            wire, self._wire = self._wire, b""
            data = self._peer.advance_to(now_s, wire)
            if data:  # Nothing comes of nothing, which every second tick is.
                for body in self._deframer.feed(data):
                    self._frames.append(Frame(body, now_s))
                self.line_errors = self._deframer.rejects.total()
        return self._frames.popleft()

    async def close(self) -> None:
        """Let the peer hear what was sent last, a STOP perhaps; nobody reads its answer."""
        if len(self._wire) > len(DELIMITER):
            self._peer.advance_to((self._steps + 1) / STEPS_PER_S, self._wire)
            self._wire = b""

    def abort(self) -> None:
        """Nothing to give up: the peer goes when this object goes."""


class Supervisor:
    """Runs a controller on a frame link until it has finished.

    Args:
        controller: Connected by ``run``.
        link: To the device; opened already.
        operator: Asks for begin, arm and start.
        on_tick: Called after every control tick with the time; for progress displays.
        open_again: Opens the link anew once it was lost; raises while it cannot.
        call_in_loop: Has the loop call something, from any thread and any signal handler: a STOP
            asked for goes out at once. None, as in virtual time: with the next tick.
        tell: Called with a line for people when a lost link cannot be opened again.
    """

    def __init__(
        self,
        controller: Controller,
        link: FrameLink,
        operator: Operator,
        on_tick: Callable[[float], None] | None = None,
        *,
        open_again: Callable[[], FrameLink] | None = None,
        call_in_loop: Callable[[Callable[[], None]], object] | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.controller = controller
        self._link = link
        self._operator = operator
        self._on_tick = on_tick
        self._open_again = open_again
        self._call_in_loop = call_in_loop
        self._tell = tell
        self._nap: asyncio.Future[bool] | None = None
        self._stop = StopWish()
        self._why_given_up = ""
        self._gone = False

    @property
    def stopping(self) -> bool:
        """True once STOP was requested: what is left is to see the probe safe."""
        return self._stop.heard

    def request_stop(self, *, leave: bool = False) -> None:
        """Have STOP requested, by the next tick at the latest; safe to call from a signal handler.

        Args:
            leave: End as soon as the probe is safe, though the needle may still be frozen in.
        """
        self._stop.ask(leave=leave)
        self.hurry()

    def hurry(self) -> None:
        """Have the operator act now, not with the next tick; safe to call from any thread."""
        if self._call_in_loop is not None:
            with contextlib.suppress(RuntimeError):  # The loop has ended, and the run with it.
                self._call_in_loop(partial(self._end_nap, is_due=False))

    def give_up(self, why: str) -> None:
        """Have the run end at the next tick, with a STOP, because it cannot go on as asked."""
        self._why_given_up = why

    async def run(self, *, until_s: float) -> None:
        """Go on until the controller has finished, or is left, or ``until_s``."""
        loop = asyncio.get_running_loop()
        self.controller.connect(loop.time())
        await self._send(loop.time())
        try:
            async with asyncio.TaskGroup() as group:
                reader = group.create_task(self._read())
                await self._tick(until_s)
                reader.cancel()
            await self._send(loop.time())
        except BaseException:
            # Whatever went wrong here, the probe hears STOP first; its lease is the second line.
            await self._carry(self.controller.crash(loop.time()), loop.time())
            raise
        finally:
            await self._link.close()

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._ended():
            try:
                await self._read_link()
            except LinkError as error:
                self._on_link_gone(error, loop.time())
                if self._open_again is None:
                    return
                self._link = await open_until_there(self._open_again, self._tell)
                self._gone = False
                self.controller.on_link_back(loop.time())
                await self._send(loop.time())

    async def _read_link(self) -> None:
        loop = asyncio.get_running_loop()
        errors = 0
        while not self._ended():
            frame = await self._link.receive()
            seen = self._link.line_errors
            if seen != errors:
                self.controller.on_line_errors(seen - errors, loop.time())
                errors = seen
            self.controller.on_body(frame.data, frame.received_s)
            await self._send(frame.received_s)

    async def _tick(self, until_s: float) -> None:
        loop = asyncio.get_running_loop()
        count = round(loop.time() / TICK_S)
        while not self._ended() and loop.time() < until_s:
            if self._stop.leaves(self.controller, loop.time()):
                return
            count += 1
            await self._nap_until(tick_time_s(count))
            if self._ended():
                return  # Ended by a frame meanwhile; a tick more would be one too many.
            now_s = loop.time()
            self._stop.tell(self.controller, now_s)
            if self._why_given_up:
                self.controller.give_up(self._why_given_up, now_s, link=True)
                return
            self.controller.tick(now_s)
            self._operator.act(self.controller, now_s)
            if self._on_tick is not None:
                self._on_tick(now_s)
            await self._send(now_s)

    async def _nap_until(self, tick_s: float) -> None:
        """Wait for the next tick; a STOP that is asked for meanwhile does not wait."""
        loop = asyncio.get_running_loop()
        is_due = False
        while not is_due:
            self._nap = loop.create_future()
            timer = loop.call_at(tick_s, partial(self._end_nap, is_due=True))
            try:
                is_due = await self._nap
            finally:
                timer.cancel()
            if not is_due:
                now_s = loop.time()
                self._stop.tell(self.controller, now_s)
                self._operator.act(self.controller, now_s)
                await self._send(now_s)

    def _end_nap(self, *, is_due: bool) -> None:
        if self._nap is not None and not self._nap.done():
            self._nap.set_result(is_due)

    async def _send(self, now_s: float) -> None:
        if self._gone:
            return  # What is made now would be old when the link is back.
        await self._carry(self.controller.outgoing(now_s), now_s)

    async def _carry(self, bodies: list[bytes], now_s: float) -> None:
        try:
            for body in bodies:
                await self._link.send(body)
        except LinkError as error:
            self._on_link_gone(error, now_s)

    def _on_link_gone(self, error: LinkError, now_s: float) -> None:
        if not self._gone:
            self._gone = True
            self.controller.on_link_gone(str(error), now_s)

    def _ended(self) -> bool:
        return self.controller.finished and not self._operator.stays(self.controller)


async def open_until_there(
    open_again: Callable[[], FrameLink], tell: Callable[[str], None] | None = None
) -> FrameLink:
    """Open a lost link again and again until it is there; for ever, if it cannot be.

    Args:
        open_again: Raises while it cannot; may block, so it gets a thread.
        tell: Called with a line for people whenever the reason is a new one.
    """
    told = ""
    while True:
        await asyncio.sleep(REOPEN_S)
        # Opening may take seconds, as with a host that does not answer.
        opening = asyncio.get_running_loop().run_in_executor(None, open_again)
        try:
            await asyncio.wait([opening])
        except BaseException:
            opening.add_done_callback(_abort)
            raise
        error = opening.exception()
        if error is None:
            return opening.result()
        if not isinstance(error, Exception):
            raise error
        # Whatever it is may be over in a moment: a file of keys may be gone as well as a port.
        if tell is not None and str(error) != told:
            tell(f"the link cannot be opened again: {error}")
        told = str(error)


def _abort(opening: asyncio.Future[FrameLink]) -> None:
    """Give a link up that came when nobody waited for it any more."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().abort()
