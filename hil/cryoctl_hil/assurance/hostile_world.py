"""A controller and a simulated probe to whom anything may happen, and a watch that sees it.

The line between them has weather, is cut, and carries a second controller. The controller is
killed, stopped or put to sleep and started again; the probe loses its power. Nothing here draws a
random number: what happens is said by whoever steps the world.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from cryoctl.core import Controller, Settings
from cryoctl.lockstep import STEPS_PER_S, LockStep, Operator
from cryoctl.treatment import Treatment
from cryoctl_hil.assurance.oracles import SafetyWatch
from cryoctl_hil.sinks import NoSink
from cryoctl_protocol.auth import DEMO_KEY
from cryoctl_protocol.codes import HostMode, Op, SafeAction, Trip
from cryoctl_protocol.framing import DELIMITER, Deframer, wrap
from cryoctl_protocol.host_session import HostSession, Phase
from cryoctl_protocol.messages import Command
from cryoctl_protocol.peer import DeviceUrl, open_device
from cryoctl_simulator.device import SimulatedDevice
from cryoctl_simulator.link_weather import FAIR, LinkWeather, Weather

_MS_PER_STEP: Final = 10
_DOWN: Final = 1_001
_UP: Final = 1_002
_RIVAL_LEASE_STEPS: Final = 10
_RIVAL_OPS: Final = (Op.FREEZE, Op.START, Op.SETPOINT, Op.PREWARM, Op.THAW)
"""Whatever nobody may do who has not armed; a rival that armed would be another treatment."""


class Rival:
    """A second controller with the right key, on the same line."""

    def __init__(self, number: int) -> None:
        self._session = HostSession(DEMO_KEY, nonce_seed=f"rival {number}".encode())
        self._deframer = Deframer()
        self._deframer.feed(DELIMITER)
        self._steps = 0

    def talk(self, heard: bytes, now_s: float) -> bytes:
        """Hear what the probe said; return what to say to it."""
        session = self._session
        if self._steps == 0:
            session.open(now_s)
        for body in self._deframer.feed(heard):
            session.on_body(body, now_s)
        session.poll(now_s)
        if self._steps % _RIVAL_LEASE_STEPS == 0:
            session.lease(HostMode.FREEZE, now_s)
        if session.phase is Phase.OPEN and not session.busy:
            op = _RIVAL_OPS[self._steps % len(_RIVAL_OPS)]
            nothing = Command(*[0] * len(Command._fields))
            session.command(nothing._replace(op=op, setpoint_mdegc=-60_000), now_s)
        self._steps += 1
        return b"".join(wrap(body) for body in session.outgoing())

    def stop(self) -> None:
        """Say STOP with what is said next: anybody may."""
        self._session.stop(SafeAction.THAW, Trip.OPERATOR_STOP)


class Line:
    """The probe as the controller sees it (``SyncPeer``): behind weather, and with others on it.

    Attributes:
        steps: Device time in steps of 10 ms.
        down: Weather towards the probe.
        up: Weather towards the controller.
        cut: Nothing comes through.
        rival: Somebody else on the line, or None.
    """

    def __init__(self, device: SimulatedDevice, seed: int) -> None:
        self.steps = 0
        self.down: Weather = FAIR
        self.up: Weather = FAIR
        self.cut = False
        self.rival: Rival | None = None
        self._device = device
        self._to_device = LinkWeather(seed, _DOWN)
        self._to_host = LinkWeather(seed, _UP)
        self._waiting = b""
        self._said = b""

    def advance_to(self, now_s: float, incoming: bytes) -> bytes:
        """Move by one step, whatever the controller's clock says."""
        heard, self._waiting = self._waiting + self._step(incoming), b""
        return heard

    def go_on_alone(self, *, is_heard: bool) -> None:
        """Move by one step without a controller; what is heard waits for it, as in a port."""
        said = self._step(b"")
        self._waiting += said if is_heard else b""

    def forget(self) -> None:
        """Lose what waits, as a port does that nobody has open."""
        self._waiting = b""

    def _step(self, incoming: bytes) -> bytes:
        self.steps += 1
        now_ms = self.steps * _MS_PER_STEP
        arriving = self._to_device.carry(incoming, now_ms, self.down)
        if self.cut:
            arriving = b""
        if self.rival is not None:
            arriving += self.rival.talk(self._said, self.steps / STEPS_PER_S)
        self._said = said = self._device.advance_to(self.steps / STEPS_PER_S, arriving)
        heard = self._to_host.carry(said, now_ms, self.up)
        return b"" if self.cut else heard

    def save(self) -> bytes:
        """Worlds are repeated from their seed, not saved."""
        raise NotImplementedError

    def load(self, data: bytes) -> None:
        """Worlds are repeated from their seed, not saved."""
        raise NotImplementedError


class _Shell(LockStep):
    """Lock-step that can begin at any time and lose some of it."""

    def begin(self, step: int) -> None:
        """Connect at ``step``."""
        self._steps = step
        self.now_s = step / STEPS_PER_S
        self.controller.connect(self.now_s)
        self._collect(self.now_s)

    def skip(self, steps: int) -> None:
        """Lose ``steps``: the clock goes on, nothing is done."""
        self._steps += steps


class HostileWorld:
    """One probe and the controllers that have met it.

    Args:
        treatment: What each controller is to do.
        operator: Acts after every tick of whatever controller there is.
        seed: Of noise, nonces and weather.
        scenario: Name of a shipped scenario, or nothing.

    Attributes:
        controller: The present one; while ``running`` is False one that has not connected yet.
        device: The probe.
        line: Between them; its weather may be changed at any time.
        events_sha256: Of the controllers that are gone.
    """

    def __init__(
        self, treatment: Treatment, operator: Operator, *, seed: int, scenario: str = ""
    ) -> None:
        query = f"&scenario={scenario}" if scenario else ""
        address = f"sim:{treatment.profile}?seed={seed}{query}"
        peer = open_device(DeviceUrl.parse(address)).peer
        assert isinstance(peer, SimulatedDevice)
        self.device = peer
        self.line = Line(peer, seed)
        self.running = False
        self._treatment = treatment
        self._operator = operator
        self._seed = seed
        self._watch = SafetyWatch()
        self._hashes: list[str] = []
        self._controllers = 0
        self._new_controller()
        self.start()

    @property
    def now_s(self) -> float:
        """Virtual time since the probe was switched on, by the probe."""
        return self.line.steps / STEPS_PER_S

    @property
    def controller_s(self) -> float:
        """The controller's own clock."""
        return self._shell.now_s

    @property
    def violations(self) -> list[str]:
        """Everything that was not safe."""
        return self._watch.violations

    @property
    def events_sha256(self) -> str:
        """One hash over the event logs of all controllers."""
        hashes = [*self._hashes, self.controller.events_sha256]
        return sha256(" ".join(hashes).encode()).hexdigest()

    def step(self) -> None:
        """Move by one step of 10 ms."""
        if self.running:
            self._shell.step()
            self._look()
        else:
            self._go_on_alone(1, is_heard=False)

    def kill(self) -> None:
        """Kill the controller; nobody is there until ``start``, a step later at the earliest."""
        self._hashes.append(self.controller.events_sha256)
        self.running = False
        self.line.forget()
        self._new_controller()

    def start(self) -> None:
        """Start a controller that knows nothing of the one before."""
        self._shell.begin(self.line.steps)
        self.running = True

    def press_stop(self) -> None:
        """Have STOP asked for."""
        self._shell.request_stop()

    def stop_process(self, steps: int) -> None:
        """Stop the controller for ``steps`` and let it go on, as SIGSTOP and SIGCONT do."""
        self._go_on_alone(steps, is_heard=self.running)
        if self.running:
            self._shell.skip(steps)

    def sleep(self, steps: int) -> None:
        """Put the controller's computer to sleep for ``steps``: its clock stands still."""
        self._go_on_alone(steps, is_heard=False)

    def _go_on_alone(self, steps: int, *, is_heard: bool) -> None:
        for _ in range(steps):
            self.line.go_on_alone(is_heard=is_heard)
            self._look()

    def _new_controller(self) -> None:
        self._controllers += 1
        self.controller = Controller(
            self._treatment,
            self._treatment.probe_profile,
            Settings(DEMO_KEY, f"hostile {self._seed} {self._controllers}".encode()),
            NoSink(),
        )
        self._shell = _Shell(self.controller, self.line, self._operator)

    def _look(self) -> None:
        self._watch.look(self.controller, self.device, self.now_s)
