"""Healthy treatments that lead through every state of the probe, and the moments in them.

Each cell of the fault matrix begins at a moment of a walk and goes on as the walk would, but for
its fault: noise is counter-based, so whatever differs is the fault's doing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from cryoctl.core import Controller
from cryoctl.cycle_table import QUIET, Phase
from cryoctl.operator_requests import Request
from cryoctl.stimulation import Stimulus
from cryoctl.treatment import Treatment, default_treatment
from cryoctl_hil.world import World
from cryoctl_protocol.codes import DeviceState
from cryoctl_simulator.firmware import Build

PROFILE: Final = "n2o-20g"
MOMENTS: Final = {"early": 0.05, "middle": 0.4, "late": 0.75}
"""Share of the state's time that has gone. Not its last ticks: they are the next one's business."""
WALK_S_MAX: Final = 600.0
_THINKS_S: Final = 0.6
"""How long the operator looks at each phase before the next request; SR-27 asks for 1 s."""
_LOOKS_AT_TRIP_S: Final = 1.5
_RESETS_MAX: Final = 2
"""A trip that comes back is a cause that lasts."""
_STIMULUS: Final = Stimulus(frequency_hz=2.0, pulse_ms=0.2, amplitude_ma=1.0, duration_s=1.0)


class PatientOperator:
    """Places, stimulates, arms, starts; resets after a trip and treats once more.

    Args:
        stops_s: So long into the first hold this operator presses STOP; None is never.
    """

    def __init__(self, stops_s: float | None = None) -> None:
        self._stops_s = stops_s
        self._asked: Phase | None = None
        self._since_s = 0.0
        self._phase: Phase | None = None
        self._placed = False
        self._stimulated = False
        self._resets = 0

    def stays(self, controller: Controller) -> bool:
        """Return True while a trip may still be reset and the treatment begun once more."""
        if controller.failure or controller.phase is Phase.DISCONNECTED:
            return False
        return controller.phase is Phase.FAULT and self._resets < _RESETS_MAX

    def act(self, controller: Controller, now_s: float) -> None:
        """Do what this phase asks for, after a while."""
        phase = controller.phase
        if phase is not self._phase:
            self._phase, self._since_s = phase, now_s
        waited_s = now_s - self._since_s
        if phase is Phase.HOLD and self._stops_s is not None and waited_s >= self._stops_s:
            self._stops_s = None
            controller.request(Request.STOP, now_s)
        if waited_s < _THINKS_S:
            return
        match phase:
            case Phase.IDLE:
                self._placed = self._stimulated = False
                self._ask_once(controller, Request.BEGIN, now_s)
            case Phase.READY:
                self._at_ready(controller, now_s)
            case Phase.PLACEMENT:
                self._at_placement(controller, now_s)
            case Phase.ARMED:
                self._ask_once(controller, Request.START, now_s)
            case Phase.FAULT:
                self._at_fault(controller, now_s)

    def _at_ready(self, controller: Controller, now_s: float) -> None:
        if not self._placed:
            self._placed = True
            controller.request(Request.PLACE, now_s)
        else:
            self._ask_once(controller, Request.ARM, now_s)

    def _at_placement(self, controller: Controller, now_s: float) -> None:
        if not self._stimulated:
            self._stimulated = True
            controller.request(Request.STIMULATE, now_s, _STIMULUS)
        elif controller.stimulation.is_over:
            controller.request(Request.PLACED, now_s)

    def _at_fault(self, controller: Controller, now_s: float) -> None:
        if now_s - self._since_s < _LOOKS_AT_TRIP_S:
            return
        self._since_s = now_s  # Once more a little later, if it is refused.
        self._resets += 1
        self._asked = None
        controller.request(Request.RESET, now_s)

    def _ask_once(self, controller: Controller, request: Request, now_s: float) -> None:
        if self._asked is controller.phase:
            return
        self._asked = controller.phase
        refusal = controller.request(request, now_s)
        if refusal is not None:
            controller.give_up(f"{request} refused: {refusal.reason}", now_s)


class Moment(NamedTuple):
    """Where a cell begins.

    Attributes:
        walk: Name of the walk.
        state: Of the probe.
        name: One of ``MOMENTS``.
        step: Of the walk, in steps of 10 ms.
    """

    walk: str
    state: DeviceState
    name: str
    step: int


@dataclass(frozen=True, slots=True)
class Walk:
    """One healthy way through a treatment.

    Attributes:
        states: Those whose moments are taken from it, when it first comes to them.
        stops_s: See ``PatientOperator``.
        query: More of the probe's address.
    """

    name: str
    states: frozenset[DeviceState]
    stops_s: float | None = None
    query: str = ""

    def world(self, build: Build | None = None) -> World:
        """Return this walk at its beginning; ``build`` of the firmware, or the usual one."""
        return World(
            PROFILE,
            plan=_plan(),
            query=self.query,
            operator=PatientOperator(self.stops_s),
            build=build,
        )

    def moments(self) -> list[Moment]:
        """Walk to the end; return three moments of each state.

        They lie in the first visit; a state that is left at once is taken from several.
        """
        spans: dict[DeviceState, list[int]] = {state: [] for state in self.states}
        last = None
        is_first = False
        for step, world in enumerate(steps(self.world()), start=1):
            state = state_of(world)
            if state is not last:
                is_first = len(spans.get(state, ())) < len(MOMENTS)
                last = state
            if state in self.states and is_first and world.controller.phase not in QUIET:
                spans[state].append(step)
        return [
            Moment(self.name, state, name, taken[int(len(taken) * share)])
            for state, taken in spans.items()
            for name, share in MOMENTS.items()
        ]


_S = DeviceState
WALKS: Final = (
    Walk("treated", frozenset(_S) - {_S.SAFE, _S.FAULT, _S.STARTED}),
    # Two treatments, and so more than one visit of STARTED, which lasts for a tick.
    Walk("stopped", frozenset({_S.SAFE, _S.STARTED}), stops_s=3.0),
    # A battery that sags for a moment: the cause has gone when the probe has latched it.
    Walk("tripped", frozenset({_S.FAULT}), query="fault=vbat_low@freeze+6s:0.5s"),
)
WALK_OF: Final = {walk.name: walk for walk in WALKS}


def steps(world: World) -> Iterator[World]:
    """Step ``world`` to its end; yield it after each step."""
    while world.now_s < WALK_S_MAX and not world.ended:
        world.step()
        yield world


def state_of(world: World) -> DeviceState:
    """Return the probe's state; IDLE without power."""
    firmware = world.device.firmware
    return _S.IDLE if firmware is None else _S(firmware.state.state)


def _plan() -> Treatment:
    """Return two short cycles: what happens in the first thaw is met by a second freeze."""
    base = default_treatment(PROFILE).model_dump(by_alias=True)
    base["cycles"].update(count=2, setpoint_c=-45.0, hold_s=12.0, pause_s=2.0)
    base["prewarm"].update(duration_s=2.0)
    base["thaw"].update(mode="active", timeout_s=150.0)
    return Treatment.model_validate(base)
