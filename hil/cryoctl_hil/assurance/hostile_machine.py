"""A Hypothesis state machine of the whole controller and probe: any act, in any order.

What it finds, Hypothesis shrinks to the fewest acts that still do it.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cryoctl.core import Controller
from cryoctl.cycle_table import Phase
from cryoctl.operator_requests import Request
from cryoctl.stimulation import Stimulus
from cryoctl.treatment import Treatment
from cryoctl_hil.assurance.hostile_world import HostileWorld, Rival
from cryoctl_hil.assurance.restless_operator import RestlessOperator
from cryoctl_hil.draws import Draws
from cryoctl_protocol.codes import DeviceState
from cryoctl_simulator.faults import CATALOGUE
from cryoctl_simulator.link_weather import FAIR, Weather

TALLY: Counter[str] = Counter()
"""Examples, rules, and the phases that were come to, since it was cleared."""
STEPS_PER_S: Final = 100
_ON_THE_WAY: Final = (
    Phase.READY, Phase.PLACEMENT, Phase.ARMED, Phase.PREWARM, Phase.COOLING, Phase.HOLD,
    Phase.THAWING, Phase.SAFE, Phase.COMPLETE,
)  # fmt: skip
_STEPS_MAX: Final = 4_000
_TREATMENT: Final = Treatment.model_validate({
    "schema": 1,
    "profile": "n2o-20g",
    "cycles": {"count": 2, "setpoint_c": -50.0, "hold_s": 6.0, "pause_s": 1.0},
    "thaw": {"mode": "active", "timeout_s": 60.0},
    "prewarm": {"duration_s": 1.0},
})  # fmt: skip
_STEPS: Final = st.one_of(st.integers(1, 20), st.integers(1, 300))
_SHARE: Final = st.sampled_from([0.0, 0.02, 0.1, 0.5, 1.0])
_WEATHER: Final = st.builds(
    Weather,
    drop=_SHARE,
    duplicate=_SHARE,
    reorder=_SHARE,
    bitflip=_SHARE,
    truncate=st.sampled_from([0.0, 0.02]),
    delay_ms=st.sampled_from([0.0, 40.0, 200.0, 1500.0]),
)


class _Nobody:
    """An operator who asks for nothing unless a rule does, or is told to treat."""

    def __init__(self) -> None:
        self.treats: RestlessOperator | None = None

    def stays(self, controller: Controller) -> bool:
        return True

    def act(self, controller: Controller, now_s: float) -> None:
        if self.treats is not None:
            self.treats.act(controller, now_s)


class HostileMachine(RuleBasedStateMachine):
    """One world; each rule is an act, each check looks at everything that happened since."""

    def __init__(self) -> None:
        super().__init__()
        self._operator = _Nobody()

    @initialize(seed=st.integers(1, 5))
    def begin(self, seed: int) -> None:
        """Switch the probe on and connect."""
        TALLY["examples"] += 1
        self.world = HostileWorld(_TREATMENT, self._operator, seed=seed)

    @rule(steps=_STEPS)
    def wait(self, steps: int) -> None:
        """Let time pass."""
        for _ in range(steps):
            self.world.step()
        TALLY[f"in {self.world.controller.phase}"] += 1

    @rule(phase=st.sampled_from(_ON_THE_WAY), steps=st.integers(0, 100))
    def treat(self, phase: Phase, steps: int) -> None:
        """Have somebody treat until a phase comes, or for 40 s."""
        self._go_to(phase)
        self.wait(steps)

    @rule(steps=st.integers(0, 600))
    def freeze(self, steps: int) -> None:
        """Have somebody treat until the probe freezes, and for a while more."""
        self._go_to(Phase.COOLING)
        self.wait(steps)

    def _go_to(self, phase: Phase) -> None:
        self._operator.treats = RestlessOperator(Draws(0), 0.0)
        for _ in range(_STEPS_MAX):
            if self.world.running and self.world.controller.phase is phase:
                break
            self._start_anew_if_over()
            self.world.step()
        self._operator.treats = None

    def _start_anew_if_over(self) -> None:
        """Start the program again where it has ended, as a person would."""
        world = self.world
        if world.running and (
            world.controller.failure or world.controller.phase is Phase.DISCONNECTED
        ):
            world.kill()
            world.step()
        if not world.running:
            world.start()

    @rule(request=st.sampled_from(Request), milliamperes=st.sampled_from([0.0, 1.0, 99.0]))
    def ask(self, request: Request, milliamperes: float) -> None:
        """Ask for anything."""
        stimulus = Stimulus(2.0, 0.1, milliamperes, 2.0)
        if self.world.running:
            self.world.controller.request(request, self.world.controller_s, stimulus)
        self.wait(1)

    @rule(down=_WEATHER, up=_WEATHER, steps=_STEPS)
    def suffer_weather(self, down: Weather, up: Weather, steps: int) -> None:
        """Let bad weather pass over the line."""
        self.world.line.down, self.world.line.up = down, up
        self.wait(steps)
        self.world.line.down = self.world.line.up = FAIR

    @rule(steps=_STEPS)
    def cut(self, steps: int) -> None:
        """Cut the line for a while."""
        self.world.line.cut = True
        self.wait(steps)
        self.world.line.cut = False

    @rule(steps=_STEPS, stops=st.booleans())
    def meet_rival(self, steps: int, stops: bool) -> None:  # noqa: FBT001 (Hypothesis names it)
        """Have a second controller on the line for a while."""
        rival = self.world.line.rival = Rival(steps)
        self.wait(steps)
        if stops:
            rival.stop()
        self.wait(1)
        self.world.line.rival = None

    @rule(fault=st.sampled_from(tuple(CATALOGUE)), lasting=st.sampled_from(["", ":0.05s", ":2s"]))
    def break_something(self, fault: str, lasting: str) -> None:
        """Let a fault of the catalogue begin now."""
        self.world.device.inject(f"{fault}@{self.world.now_s + 0.01:.2f}s{lasting}")
        self.wait(5)

    @rule()
    def press_stop(self) -> None:
        """Have STOP asked for, as a signal does."""
        if self.world.running:
            self.world.press_stop()
        self.wait(1)

    @rule(steps=_STEPS)
    def stop_process(self, steps: int) -> None:
        """Stop the controller's process for a while."""
        self.world.stop_process(steps)

    @rule(steps=_STEPS)
    def sleep(self, steps: int) -> None:
        """Put the controller's computer to sleep for a while."""
        self.world.sleep(steps)

    @rule()
    def restart_probe(self) -> None:
        """Take the probe's power away and give it back."""
        self.world.device.power_cycle()
        self.wait(1)

    @precondition(lambda self: self.world.running)
    @rule(steps=_STEPS)
    def kill(self, steps: int) -> None:
        """Kill the controller and be without one for a while."""
        self.world.kill()
        self.wait(steps)

    @precondition(lambda self: not self.world.running)
    @rule()
    def start(self) -> None:
        """Start the controller again."""
        self.world.start()
        self.wait(20)

    @invariant()
    def is_safe(self) -> None:
        """Nothing unsafe has happened since the beginning."""
        TALLY["rules"] += 1
        world = getattr(self, "world", None)
        if world is None:
            return
        assert not world.violations, "; ".join(world.violations)
        firmware = world.device.firmware
        if firmware is not None:
            TALLY[f"probe in {DeviceState(firmware.state.state).name}"] += 1
