"""Raises an exception at every await of the asyncio shell, and in everything that is called back.

The shell's own source is compiled once more with a gate at each ``await``, so that an await that
is new has a gate at once; one that no scenario comes to is a failure. Where an exception comes,
the probe must be off within 100 ms (SR-39); where the link is gone or the error handling itself
fails, the probe's lease does it, within 500 ms (SR-01).
"""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from inspect import getsource, iscoroutine
from types import CodeType
from typing import Any, Final, NamedTuple

from cryoctl import supervisor
from cryoctl.core import Controller
from cryoctl.cycle_table import Phase
from cryoctl.lockstep import STEPS_PER_S, LockStep, Operator
from cryoctl.operators import AutomaticOperator
from cryoctl.supervisor import PeerLink
from cryoctl.virtual_time import VirtualTimeLoop
from cryoctl_hil.assurance.claims import plan_of
from cryoctl_hil.assurance.program import Measure, Outcome, Say
from cryoctl_hil.sinks import EventSink
from cryoctl_hil.world import new_parts
from cryoctl_protocol.peer import Frame, FrameLink, LinkError
from cryoctl_simulator.device import SimulatedDevice

WITHIN_S: Final = 0.100  # SR-39
BY_LEASE_S: Final = 0.500  # SR-01
HOLD_S: Final = 8.0
UNTIL_S: Final = 300.0
SIDES: Final = ("before", "after")
SINK_METHODS: Final = ("received", "sent", "sample", "control", "estimate", "event")


class InjectedError(Exception):
    """What no part of the program expects."""


class Point(NamedTuple):
    """One await of the shell.

    Attributes:
        line: Where it stands in ``supervisor.py``.
        text: Its source.
    """

    line: int
    text: str


class _Gates(ast.NodeTransformer):
    """Puts ``_gate(number, ...)`` around whatever is awaited."""

    def __init__(self) -> None:
        self.points: list[Point] = []

    def visit_Await(self, node: ast.Await) -> ast.Await:
        self.generic_visit(node)
        number = ast.Constant(len(self.points))
        self.points.append(Point(node.lineno, ast.unparse(node)))
        gate = ast.Call(ast.Name("_gate", ast.Load()), [number, node.value], [])
        return ast.fix_missing_locations(ast.copy_location(ast.Await(gate), node))


@cache
def _gated() -> tuple[CodeType, tuple[Point, ...]]:
    gates = _Gates()
    tree = gates.visit(ast.parse(getsource(supervisor)))
    return compile(tree, supervisor.__file__, "exec"), tuple(gates.points)


def _instrumented(gate: Callable[[int, Awaitable[Any]], Awaitable[Any]]) -> dict[str, Any]:
    """Return what is in the shell's module, with every await going through ``gate``."""
    names: dict[str, Any] = {"__name__": supervisor.__name__, "_gate": gate}
    exec(_gated()[0], names)  # noqa: S102  # Our own source.
    return names


def points() -> tuple[Point, ...]:
    """Return every await of the shell, in the order of the source."""
    return _gated()[1]


@dataclass(slots=True)
class _Gate:
    """Counts how often each await is come to, and raises at one of them.

    Attributes:
        armed: Point and side, ``before`` or ``after``, to raise at; None only counts.
        in_hold: Wait for the hold, where the valve is open.
    """

    controller: Controller
    armed: tuple[int, str] | None = None
    in_hold: bool = False
    come_to: dict[int, bool] = field(default_factory=dict)
    raised_s: float | None = None

    async def __call__(self, number: int, awaited: Awaitable[Any]) -> Any:
        in_hold = self.controller.phase is Phase.HOLD
        self.come_to[number] = self.come_to.get(number, False) or in_hold
        self._raise_if_due((number, "before"), awaited)
        result = await awaited
        self._raise_if_due((number, "after"), None)
        return result

    def _raise_if_due(self, here: tuple[int, str], unused: Awaitable[Any] | None) -> None:
        is_late = self.in_hold and self.controller.phase is not Phase.HOLD
        if here != self.armed or is_late or self.raised_s is not None:
            return
        if iscoroutine(unused):
            unused.close()
        self.raised_s = asyncio.get_running_loop().time()
        raise InjectedError(f"{here[1]} await {here[0]}")


class _Loop(VirtualTimeLoop):
    """Virtual time in which what belongs into a thread is done at once."""

    def run_in_executor(  # type: ignore[override]
        self, executor: None, func: Callable[[], Any]
    ) -> asyncio.Future[Any]:
        done = self.create_future()
        try:
            done.set_result(func())
        except LinkError as error:
            done.set_exception(error)
            done.exception()  # Looked at, should nobody come to await it.
        return done


class _TornLink:
    """A frame link that is gone in the hold, and then for good."""

    def __init__(self, link: PeerLink, controller: Controller) -> None:
        self.line_errors = 0
        self._link = link
        self._controller = controller
        self._torn = False

    async def send(self, data: bytes) -> None:
        await self._link.send(data)

    async def receive(self) -> Frame:
        frame = await self._link.receive()
        self._torn = self._torn or self._controller.phase is Phase.HOLD
        if self._torn:
            raise LinkError("unplugged")
        return frame

    async def close(self) -> None:
        await self._link.close()

    def abort(self) -> None:
        self._link.abort()


class _FailingOperator(AutomaticOperator):
    """Raises in the hold."""

    def act(self, controller: Controller, now_s: float) -> None:
        super().act(controller, now_s)
        if controller.phase is Phase.HOLD:
            raise InjectedError("operator")


class _StoppingOperator(AutomaticOperator):
    """Asks for STOP in the hold, between two ticks.

    Attributes:
        request_stop: Of the shell.
    """

    request_stop: Callable[[], None] | None = None

    def act(self, controller: Controller, now_s: float) -> None:
        super().act(controller, now_s)
        if controller.phase is Phase.HOLD and self.request_stop is not None:
            asyncio.get_running_loop().call_later(0.02, self.request_stop)
            self.request_stop = None


class Scenario(NamedTuple):
    """How the shell is run to come to its awaits.

    Attributes:
        tears: The link goes in the hold and comes back 1 s later.
        fails: The operator raises in the hold: the error handling is come to.
        stops: STOP is asked for in the hold, and does not wait for a tick.
    """

    name: str
    tears: bool = False
    fails: bool = False
    stops: bool = False


SCENARIOS: Final = (
    Scenario("a treatment"),
    Scenario("a link that goes and comes back", tears=True),
    Scenario("an operator that raises", fails=True),
    Scenario("a STOP between two ticks", stops=True),
)


class Shot(NamedTuple):
    """What became of one exception: off after ``seconds``, None if it never was."""

    where: str
    seconds: float | None
    bound_s: float

    @property
    def holds(self) -> bool:
        """True if the probe was off in time."""
        return self.seconds is not None and self.seconds <= self.bound_s + 1e-6


def _is_off(device: SimulatedDevice) -> bool:
    if device.firmware is None:
        return True
    out = device.firmware.state.outputs
    return out.valve_permille == 0 and out.tip_heater_permille == 0 and out.stimulus_ua == 0


def _off_after(device: SimulatedDevice, ended_s: float, raised_s: float) -> float | None:
    """Let the probe go on alone; return how long after ``raised_s`` it was off."""
    for step in range(1, STEPS_PER_S):
        now_s = ended_s + step / STEPS_PER_S
        device.advance_to(now_s, b"")
        if _is_off(device):
            return round(max(0.0, now_s - raised_s), 3)
    return None


def _drive(
    scenario: Scenario, armed: tuple[int, str] | None, *, in_hold: bool
) -> tuple[_Gate, float, SimulatedDevice]:
    """Run the instrumented shell once."""
    controller, device, _ = new_parts(plan=plan_of(HOLD_S, thaw="active"))
    gate = _Gate(controller, armed, in_hold)
    shell = _instrumented(gate)
    link: FrameLink = shell["PeerLink"](device)
    if scenario.tears:
        link = _TornLink(shell["PeerLink"](device), controller)
    tries = iter((False, True))

    def open_again() -> FrameLink:
        if not next(tries, True):
            raise LinkError("not yet")
        again = PeerLink(device)
        again._steps = round(loop.time() * STEPS_PER_S)  # noqa: SLF001
        return again

    stopping = _StoppingOperator()
    operator: Operator = _FailingOperator() if scenario.fails else AutomaticOperator()
    loop = _Loop()
    supervised = shell["Supervisor"](
        controller,
        link,
        stopping if scenario.stops else operator,
        open_again=open_again,
        call_in_loop=loop.call_soon,
    )
    stopping.request_stop = supervised.request_stop
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        with suppress(InjectedError, ExceptionGroup):
            runner.run(supervised.run(until_s=UNTIL_S))
        return gate, loop.time(), device


def come_to(scenario: Scenario) -> dict[int, bool]:
    """Return the awaits that a scenario comes to by number, True for those in the hold."""
    return _drive(scenario, None, in_hold=False)[0].come_to


def never_come_to() -> list[Point]:
    """Return the awaits that no scenario comes to."""
    found = {number for scenario in SCENARIOS for number in come_to(scenario)}
    return [point for number, point in enumerate(points()) if number not in found]


def shoot_awaits(scenario: Scenario, sides: Sequence[str] = SIDES) -> list[Shot]:
    """Raise at every await that a scenario comes to, in the hold where it does so there."""
    shots = []
    for number, in_hold in sorted(come_to(scenario).items()):
        for side in sides:
            shot = _shoot(scenario, number, side, in_hold=in_hold)
            if shot is not None:
                shots.append(shot)
    return shots


def _shoot(scenario: Scenario, number: int, side: str, *, in_hold: bool) -> Shot | None:
    point = points()[number]
    gate, ended_s, device = _drive(scenario, (number, side), in_hold=in_hold)
    if gate.raised_s is None:
        return None  # An await that itself raises or never ends has nothing behind it.
    when = " in the hold" if in_hold else ""
    where = f"{scenario.name}: {side} {point.text} (line {point.line}){when}"
    seconds = _off_after(device, ended_s, gate.raised_s)
    handles_an_error = scenario.tears or scenario.fails
    return Shot(where, seconds, BY_LEASE_S if handles_an_error else WITHIN_S)


class _FailingSink(EventSink):
    """Raises from the hold on, in one of its methods."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self.controller: Controller | None = None
        for name in SINK_METHODS:
            setattr(self, name, self._fail if name == method else getattr(self, name))

    def _fail(self, *_args: object) -> None:
        if self.controller is not None and self.controller.phase is Phase.HOLD:
            raise InjectedError("sink")


def _raise_in_hold(controller: Controller) -> Callable[[float], None]:
    def on_tick(now_s: float) -> None:
        if controller.phase is Phase.HOLD:
            raise InjectedError(f"display at {now_s}")

    return on_tick


def shoot_callbacks() -> list[Shot]:
    """Raise in operator, display and every method of the sink, under both shells."""
    return [
        _shoot_callback(what, lockstep=lockstep)
        for what in ("operator", "display", *SINK_METHODS)
        for lockstep in (True, False)
    ]


def _shoot_callback(what: str, *, lockstep: bool) -> Shot:
    sink = _FailingSink(what)
    controller, device, _ = new_parts(plan=plan_of(HOLD_S, thaw="active"), sink=sink)
    sink.controller = controller
    operator: Operator = _FailingOperator() if what == "operator" else AutomaticOperator()
    on_tick = _raise_in_hold(controller) if what == "display" else None
    name = f"{what}, {'lock-step' if lockstep else 'asyncio'}"
    if lockstep:
        shell = LockStep(controller, device, operator, on_tick)
        ended_s = _run_lockstep(shell)
    else:
        task = supervisor.Supervisor(controller, PeerLink(device), operator, on_tick)
        loop = VirtualTimeLoop()
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            try:
                runner.run(task.run(until_s=UNTIL_S))
                return Shot(name, None, WITHIN_S)  # Nobody noticed.
            except (InjectedError, ExceptionGroup):
                ended_s = loop.time()
    return Shot(name, None if ended_s is None else _off_after(device, ended_s, ended_s), WITHIN_S)


def _run_lockstep(shell: LockStep) -> float | None:
    try:
        shell.run(until_s=UNTIL_S)
    except InjectedError:
        return shell.now_s
    return None


def run(scale: float, say: Say) -> Outcome:
    """Raise everywhere once, before and behind each await; before it alone below scale 1."""
    sides = SIDES if scale >= 1.0 else SIDES[:1]
    awaits = [shot for scenario in SCENARIOS for shot in shoot_awaits(scenario, sides)]
    say(f"{len(awaits)} exceptions at {len(points())} awaits")
    callbacks = shoot_callbacks()
    say(f"{len(callbacks)} exceptions in what is called back")
    failures = [
        f"{shot.where}: {shot.seconds} s" for shot in (*awaits, *callbacks) if not shot.holds
    ]
    failures += [
        f"line {point.line}, {point.text}: no scenario comes to it" for point in never_come_to()
    ]
    return Outcome(
        [_measure("awaits", awaits), _measure("callbacks", callbacks)],
        {"shots": [shot._asdict() for shot in (*awaits, *callbacks)]},
        failures,
    )


def _measure(what: str, shots: list[Shot]) -> Measure:
    direct = [shot for shot in shots if shot.bound_s == WITHIN_S]
    slowest_s = max((shot.seconds or 0.0 for shot in direct), default=0.0)
    safe = sum(shot.holds for shot in shots)
    return Measure(
        name=f"exceptions in {what} that leave the probe off in time",
        target=f"{len(shots)} of {len(shots)}, <= 100 ms",
        result=f"{safe} of {len(shots)}, slowest {1000.0 * slowest_s:.0f} ms",
        ok=safe == len(shots),
        requirements=("SR-39",),
        value=1000.0 * slowest_s,
        bound=100.0,
        unit="ms",
    )
