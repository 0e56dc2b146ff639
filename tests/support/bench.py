"""A controller and a scripted device on one table, moved step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cryoctl.core import Controller, Settings
from cryoctl.cycle_table import Phase
from cryoctl.lockstep import LockStep, Operator
from cryoctl.operator_requests import Request
from cryoctl.operators import AutomaticOperator
from cryoctl.permits import Refusal
from cryoctl.treatment import Treatment
from cryoctl_protocol.auth import DEMO_KEY
from tests.support.builders import KeepingSink, a_treatment, n2o_profile
from tests.support.scripted_device import ScriptedDevice


class NoOperator:
    """Asks for nothing: the test does."""

    def stays(self, controller: Controller) -> bool:
        """Return False: the test ends when the controller does."""
        return False

    def act(self, controller: Controller, now_s: float) -> None:
        """Do nothing."""


def a_device(**options: Any) -> ScriptedDevice:
    """Return a scripted device with the default profile."""
    return ScriptedDevice(**{"profile_hash": n2o_profile().hash32} | options)


def settings(**changes: Any) -> Settings:
    """Return settings with the demo key and repeatable nonces."""
    return Settings(**{"key": DEMO_KEY, "nonce_seed": b"host"} | changes)


class Bench:
    """A controller in lock-step with a scripted device.

    Args:
        operator: Without one, the test asks for every step.
        later: What to do at later placements.
        options: Settings of the controller.
    """

    def __init__(
        self,
        treatment: Treatment | None = None,
        device: ScriptedDevice | None = None,
        operator: Operator | None = None,
        later: Sequence[Treatment] = (),
        **options: Any,
    ) -> None:
        self.device = a_device() if device is None else device
        self.is_manual = operator is None
        self.sink = KeepingSink()
        self.controller = Controller(
            a_treatment() if treatment is None else treatment,
            n2o_profile(),
            settings(**options),
            self.sink,
            later,
        )
        self.shell = LockStep(
            self.controller, self.device, NoOperator() if operator is None else operator
        )
        self.shell.run(until_s=0.0)

    @property
    def now_s(self) -> float:
        """Virtual time."""
        return self.shell.now_s

    @property
    def phase(self) -> Phase:
        """Where the controller is."""
        return self.controller.phase

    def ask(self, request: Request) -> Refusal | None:
        """Make a request as an operator."""
        return self.controller.request(request, self.now_s)

    def run_for(self, seconds: float) -> None:
        """Move on, finished or not."""
        for _ in range(round(seconds / 0.01)):
            self.shell.step()

    def run_until(self, condition: Callable[[], bool], *, within_s: float = 120.0) -> None:
        """Move on until ``condition`` holds."""
        limit_s = self.now_s + within_s
        while not condition():
            assert self.now_s < limit_s, f"still {self.phase} after {within_s} s"
            self.shell.step()

    def run_to(self, phase: Phase, *, within_s: float = 120.0) -> None:
        """Move on until ``phase``, making the requests on the way that no operator makes."""
        requests = {
            Phase.IDLE: Request.BEGIN,
            Phase.READY: Request.ARM,
            Phase.ARMED: Request.START,
        }
        asked: Phase | None = None
        limit_s = self.now_s + within_s
        while self.phase is not phase:
            assert self.now_s < limit_s, f"still {self.phase} after {within_s} s"
            if self.is_manual and self.phase in requests and self.phase is not asked:
                asked = self.phase
                assert self.ask(requests[self.phase]) is None
            self.shell.step()

    def run_to_the_end(self, *, within_s: float = 300.0) -> None:
        """Move on until the controller has finished."""
        self.run_until(lambda: self.controller.finished, within_s=within_s)

    def trip_ids(self) -> list[str]:
        """Return the causes of all trips so far."""
        return [record.notice.trip.name for record in self.controller.trips]


def automatic_bench(
    treatment: Treatment | None = None, device: ScriptedDevice | None = None, **options: Any
) -> Bench:
    """Return a bench whose operator asks for every step by itself."""
    return Bench(treatment, device, AutomaticOperator(), **options)
