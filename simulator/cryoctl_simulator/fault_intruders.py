"""Who else sends to a probe: a tape, a broker that keeps a command, a second controller.

They stand at the probe's end of the link and hear all that goes over it.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, Protocol

from cryoctl_protocol.auth import DEMO_KEY, SessionKeys, session_keys
from cryoctl_protocol.codec import encode
from cryoctl_protocol.codes import HostMode, Op, SafeAction, Trip
from cryoctl_protocol.framing import DELIMITER, Deframer, build, wrap
from cryoctl_protocol.host_session import HostSession, Phase
from cryoctl_protocol.messages import ID_OF, Command, Hello, Lease

TAPE_FRAMES: Final = 256
LEASE_PERIOD_MS: Final = 100
COMMAND_PERIOD_MS: Final = 500
WANTED: Final = (Op.ARM, Op.START, Op.FREEZE, Op.THAW, Op.STIMULATE)
"""What the second controller asks for in turn."""
_NEVER_MS: Final = 0x7FFFFFFF


class Intruder(Protocol):
    """Hears both directions from the moment it was asked for, and speaks while it is present."""

    def hear(self, down: bytes, up: bytes, now_ms: int) -> None:
        """Take what went towards the probe, and what came from it."""
        ...

    def speak(self, values: dict[str, float], age_ms: int, now_ms: int) -> bytes:
        """Return what is sent to the probe at this tick."""
        ...


class Replayer:
    """Keeps the frames that went to the probe and says them again, oldest first, for ever."""

    def __init__(self, _seed: int) -> None:
        self._tape: deque[bytes] = deque(maxlen=TAPE_FRAMES)
        self._partial = b""
        self._told = 0

    def hear(self, down: bytes, up: bytes, now_ms: int) -> None:
        """Record what goes to the probe."""
        frames = (self._partial + down).split(DELIMITER)
        self._partial = frames.pop()
        self._tape.extend(frame + DELIMITER for frame in frames if frame)

    def speak(self, values: dict[str, float], age_ms: int, now_ms: int) -> bytes:
        """Repeat ``per_s`` frames a second; those that have just gone by are old, too."""
        due = int(age_ms * values["per_s"] / 1000.0)
        said = b""
        while self._told < due and self._tape:
            self._told += 1
            said += self._tape[0]
            self._tape.rotate(-1)
        return said


class Retainer:
    """Delivers a freeze of last week: what a broker kept of a session that is long over."""

    def __init__(self, _seed: int) -> None:
        keys = session_keys(DEMO_KEY, host_nonce=1, device_nonce=1)
        self._kept = _command(Op.FREEZE, counter=1, keys=keys)

    def hear(self, down: bytes, up: bytes, now_ms: int) -> None:
        """Hear nothing: it is a broker's memory."""

    def speak(self, values: dict[str, float], age_ms: int, now_ms: int) -> bytes:
        """Say it once, at the beginning."""
        return b"" if age_ms else self._kept


class SecondMaster:
    """Another controller that holds the key: greets, leases, commands, and may stop the probe."""

    def __init__(self, seed: int) -> None:
        self.session = HostSession(DEMO_KEY, nonce_seed=f"second master {seed}".encode())
        self._deframer = Deframer()
        self._has_stopped = False
        self._counter = 0

    def hear(self, down: bytes, up: bytes, now_ms: int) -> None:
        """Take what the probe says."""
        for body in self._deframer.feed(up):
            self.session.on_body(body, now_ms / 1000.0)

    def speak(self, values: dict[str, float], age_ms: int, now_ms: int) -> bytes:
        """Go on with the greeting; lease and command as if the probe were its own."""
        session = self.session
        now_s = now_ms / 1000.0
        if age_ms == 0:
            session.open(now_s)
        session.poll(now_s)
        said = b""
        if session.phase is Phase.OPEN:
            if age_ms % LEASE_PERIOD_MS == 0:
                session.lease(HostMode.FREEZE, now_s)
        elif session.hello is not None:
            said = self._insist(session.hello, age_ms)
        if 0.0 < values["stop_after_s"] * 1000.0 <= age_ms and not self._has_stopped:
            self._has_stopped = True
            session.stop(SafeAction.THAW, Trip.OPERATOR_STOP)
        return b"".join(wrap(body) for body in session.outgoing()) + said

    def _insist(self, hello: Hello, age_ms: int) -> bytes:
        """Lease and command in a session that the probe never agreed to."""
        keys = session_keys(DEMO_KEY, hello.host_nonce, hello.device_nonce)
        if age_ms % COMMAND_PERIOD_MS == 0:
            self._counter += 1
            return _command(WANTED[self._counter % len(WANTED)], counter=self._counter, keys=keys)
        if age_ms % LEASE_PERIOD_MS == 0:
            self._counter += 1
            lease = Lease(self._counter, HostMode.FREEZE, _NEVER_MS)
            return _tagged(lease, counter=self._counter, keys=keys)
        return b""


def _command(op: Op, *, counter: int, keys: SessionKeys) -> bytes:
    fields: dict[str, Any] = dict.fromkeys(Command._fields, 0) | {"op": op, "counter": counter}
    command = Command(**fields | {"setpoint_mdegc": -60_000, "duration_ms": 10_000})
    return _tagged(command, counter=counter, keys=keys)


def _tagged(message: Lease | Command, *, counter: int, keys: SessionKeys) -> bytes:
    body = build(
        ID_OF[type(message)],
        encode(message),
        seq=counter & 0xFFFF,
        session=keys.session,
        key=keys.down,
    )
    return wrap(body)
