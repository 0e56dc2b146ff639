"""The synchronous shell: controller and device take turns, and time moves only between them."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from cryoctl.core import TICK_S, Controller, tick_time_s
from cryoctl.operator_requests import Request
from cryoctl_protocol.framing import DELIMITER, Deframer, wrap
from cryoctl_protocol.peer import SyncPeer

STEPS_PER_S: Final = 100
"""The device's own ticks; bytes cross the link between steps. Times are divided, not multiplied:
that rounds once, as a time read back from a recording does."""
_NOT_SAVED: Final = ("controller", "_peer", "_on_tick")
_STEPS_PER_TICK: Final = round(TICK_S * STEPS_PER_S)


class Operator(Protocol):
    """Whoever asks for the next step."""

    def act(self, controller: Controller, now_s: float) -> None:
        """Look at the controller and make a request, or not; called after every tick."""
        ...

    def stays(self, controller: Controller) -> bool:
        """Return True to go on with a controller that has finished, as for another treatment."""
        ...


@dataclass(slots=True)
class StopWish:
    """Whether somebody wants a shell's run to stop, and to wait for the needle or not.

    Attributes:
        heard: The controller has been told.
    """

    heard: bool = False
    _asked: bool = False
    _leaving: bool = False

    def ask(self, *, leave: bool) -> None:
        """Take a wish; safe to call from a signal handler."""
        self._leaving = self._leaving or leave
        self._asked = True

    def tell(self, controller: Controller, now_s: float) -> None:
        """Request STOP, if it was asked for since the last call."""
        if self._asked:
            self._asked = False
            self.heard = True
            controller.request(Request.STOP, now_s)

    def leaves(self, controller: Controller, now_s: float) -> bool:
        """Return True, and have the controller note it, if nobody waits for the needle."""
        if self._leaving and self.heard and controller.made_safe:
            controller.leave(now_s)
            return True
        return False


class LockStep:
    """Runs a controller against a peer in virtual time, as fast as the machine can.

    Args:
        controller: Connected by ``run``.
        peer: The device.
        operator: Asks for begin, arm and start.
        on_tick: Called after every control tick with the time; for progress displays.
    """

    def __init__(
        self,
        controller: Controller,
        peer: SyncPeer,
        operator: Operator,
        on_tick: Callable[[float], None] | None = None,
    ) -> None:
        self.controller = controller
        self.now_s = 0.0
        self._peer = peer
        self._operator = operator
        self._on_tick = on_tick
        self._deframer = Deframer()
        self._line_errors = 0
        self._wire = DELIMITER
        self._connected = False
        self._steps = 0
        self._stop = StopWish()

    def request_stop(self, *, leave: bool = False) -> None:
        """Have STOP requested before the next step; safe to call from a signal handler.

        Args:
            leave: End as soon as the probe is safe, though the needle may still be frozen in.
        """
        self._stop.ask(leave=leave)

    def hurry(self) -> None:
        """Do nothing: the next step comes as soon as this one is done."""

    def run(self, *, until_s: float) -> None:
        """Go on until the controller has finished, or is left, or ``until_s``."""
        controller = self.controller
        if not self._connected:
            self._connected = True
            controller.connect(0.0)
            self._collect(0.0)
        try:
            while not self.ended and self.now_s < until_s:
                self.step()
                if self._stop.leaves(controller, self.now_s):
                    break
        except BaseException:
            # Whatever went wrong here, the probe hears STOP first; its lease is the second line.
            self._wire += b"".join(map(wrap, controller.crash(self.now_s)))
            self._say_last_words()
            raise
        if controller.finished or self._stop.heard:
            self._say_last_words()

    @property
    def ended(self) -> bool:
        """True once the controller has finished and nobody asks for more."""
        return self.controller.finished and not self._operator.stays(self.controller)

    def _say_last_words(self) -> None:
        """Let the peer hear what was sent last, a STOP perhaps; nobody reads its answer."""
        if self._wire:
            self._peer.advance_to((self._steps + 1) / STEPS_PER_S, self._wire)
            self._wire = b""

    def step(self) -> None:
        """Move the world by one device tick."""
        controller = self.controller
        self._steps = steps = self._steps + 1
        self.now_s = now_s = steps / STEPS_PER_S
        incoming = self._peer.advance_to(now_s, self._wire)
        self._wire = b""
        ended = self._take(incoming, now_s) if incoming else False
        self._stop.tell(controller, now_s)
        if steps % _STEPS_PER_TICK == 0 and not ended:
            tick_s = tick_time_s(steps // _STEPS_PER_TICK)
            controller.tick(tick_s)
            self._operator.act(controller, tick_s)
            if self._on_tick is not None:
                self._on_tick(tick_s)
        self._collect(now_s)

    def _take(self, incoming: bytes, now_s: float) -> bool:
        """Hand over what arrived; return True if the run ended with one of the frames."""
        controller = self.controller
        running = not self.ended
        bodies = self._deframer.feed(incoming)
        if bodies and self._deframer.rejects:
            errors = self._deframer.rejects.total()
            if errors != self._line_errors:
                controller.on_line_errors(errors - self._line_errors, now_s)
                self._line_errors = errors
        for body in bodies:
            controller.on_body(body, now_s)
            if running and self.ended:
                return True  # Nothing is read any more, as where frames come one by one.
        return False

    def save(self) -> bytes:
        """Return the state of the whole world: controller, device, link, operator, time."""
        own = {name: value for name, value in vars(self).items() if name not in _NOT_SAVED}
        return pickle.dumps((own, self.controller.save(), self._peer.save()))

    def load(self, data: bytes) -> None:
        """Take over a world that ``save`` returned, made of the same parts."""
        own, controller, peer = pickle.loads(data)
        vars(self).update(own)
        self.controller.load(controller)
        self._peer.load(peer)

    def _collect(self, now_s: float) -> None:
        bodies = self.controller.outgoing(now_s)
        if bodies:
            self._wire += b"".join(map(wrap, bodies))
