"""A session without a line, and an observer without a model, for the search of the controller."""

from __future__ import annotations

from collections import Counter
from typing import Final, NamedTuple

from cryoctl.observer import Observer
from cryoctl.sample import Sample
from cryoctl_protocol.codes import HostMode, SafeAction, Trip
from cryoctl_protocol.device_keys import DeviceKey
from cryoctl_protocol.framing import Reject
from cryoctl_protocol.host_session import CommandFailed, HostSession, Phase, Received
from cryoctl_protocol.messages import Command, Hello

_RETRY_S: Final = 0.06


class Flight(NamedTuple):
    """A command that nobody has answered yet."""

    counter: int
    op: int
    command: Command


class OpenSession(HostSession):
    """A session as the controller sees it: commands in, the search's answers out.

    Attributes:
        awaited: Operations that were taken and whose end is to come.
        counters: Of the commands that these were.
        unanswered: The next ``poll`` gives everything up.
        message: What the next body is.
        rejected: Frames rejected in the last second.
    """

    def __init__(self) -> None:
        self.phase = Phase.CLOSED
        self.hello: Hello | None = None
        self.mismatch = ""
        self.key: DeviceKey | None = None
        self.no_key = ""
        self.rejects: Counter[Reject] = Counter()
        self.lost_frames = 0
        self.in_flight: Flight | None = None
        self.sent_s = 0.0
        self.awaited: frozenset[int] = frozenset()
        self.counters: dict[int, int] = {}
        self.unanswered = False
        self.message: Received | None = None
        self.rejected = 0
        self._count = 0
        self._commands: list[Command] = []
        self._repeats: list[Command] = []
        self._stops = 0
        self._leases = 0

    def take_sent(self) -> tuple[tuple[Command, ...], tuple[Command, ...], int, int]:
        """Return commands, repeats, STOPs and leases since the last call."""
        sent = (tuple(self._commands), tuple(self._repeats), self._stops, self._leases)
        self._commands, self._repeats, self._stops, self._leases = [], [], 0, 0
        return sent

    def open(self, now_s: float) -> None:
        """Greet anew."""
        self.phase = Phase.GREETING
        self.in_flight = None
        self.awaited = frozenset()

    def on_body(self, body: bytes, now_s: float) -> Received | None:
        """Return what the input says."""
        return self.message

    def rejects_within_window(self, now_s: float) -> int:
        """Return what the input says."""
        return self.rejected

    @property
    def busy(self) -> bool:
        """True while a command waits for its answer."""
        return self.in_flight is not None

    def command(self, command: Command, now_s: float) -> int:
        """Keep a command for the claims."""
        assert self.phase is Phase.OPEN
        assert self.in_flight is None
        self._count += 1
        self.in_flight = Flight(self._count, command.op, command)
        self.sent_s = now_s
        self._commands.append(command)
        return self._count

    def lease(self, mode: HostMode, now_s: float) -> None:
        """Count a lease."""
        self._leases += 1

    def stop(self, action: SafeAction, trip: Trip) -> int | None:
        """Count a STOP; nobody can be told before the first greeting."""
        if self.hello is None:
            return None
        self._stops += 1
        return self._stops

    def abandon(self) -> list[CommandFailed]:
        """Forget all commands."""
        given_up = [CommandFailed(self.counters[op], op, "given up") for op in self.awaited]
        self.awaited = frozenset()
        flight = self.in_flight
        if flight is not None:
            # As the production does: it may still be queued, behind the STOP that is the reason.
            self._commands = [each for each in self._commands if each is not flight.command]
            self._repeats = [each for each in self._repeats if each is not flight.command]
            self.in_flight = None
            given_up.append(CommandFailed(flight.counter, flight.op, "given up"))
        return given_up

    def poll(self, now_s: float) -> list[CommandFailed]:
        """Repeat what is due; give up what the input says."""
        if self.unanswered:
            self.unanswered = False
            return self.abandon()
        flight = self.in_flight
        if flight is not None and now_s - self.sent_s >= _RETRY_S:
            self.sent_s = now_s
            self._repeats.append(flight.command)
        return []

    def outgoing(self) -> list[bytes]:
        """Return nothing: there is no line."""
        return []


class OpenObserver(Observer):
    """What the ice makes of the tip's heat, as the search says; it has no estimate."""

    def __init__(self) -> None:
        self.estimate = None
        self.residual_c = None

    def forget(self) -> None:
        """There is nothing to forget."""

    def take(self, sample: Sample, tip_c: float | None, now_s: float) -> bool:
        """Return that there is no new estimate."""
        return False
