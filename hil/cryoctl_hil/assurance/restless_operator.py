"""Somebody who treats, tries again after a trip, and now and then asks for anything at all."""

from __future__ import annotations

from collections import Counter
from typing import Final

from cryoctl.core import Controller
from cryoctl.cycle_table import Phase
from cryoctl.operator_requests import Request
from cryoctl.safing import SAFE_STATES
from cryoctl.stimulation import Stimulus
from cryoctl_hil.draws import Draws

_SENSIBLE: Final = {
    Phase.IDLE: Request.BEGIN,
    Phase.READY: Request.ARM,
    Phase.ARMED: Request.START,
    Phase.PLACEMENT: Request.PLACED,
    Phase.FAULT: Request.RESET,
    Phase.COMPLETE: Request.RESET,
}
_HABIT_S: Final = (0.05, 1.5)
_DAWDLING_S: Final = (5.0, 15.0)  # START must come within 10 s of ARM.
_DAWDLES: Final = 0.02
_STOPS: Final = 0.004
_WEAK: Final = Stimulus(2.0, 0.1, 1.0, 2.0)
_ABSURD: Final = Stimulus(1e9, -1.0, 99.0, 1e6)


class RestlessOperator:
    """Acts on its own draws alone, so that a world repeats.

    Args:
        draws: Of this world's operator.
        oddity: How often a request is any at all instead of the sensible one.
    """

    def __init__(self, draws: Draws, oddity: float) -> None:
        self.asked: Counter[str] = Counter()
        """Requests that were taken, and those refused."""
        self._draws = draws
        self._oddity = oddity
        self._next_s = 0.0

    def stays(self, controller: Controller) -> bool:
        """Return True: there may be another treatment."""
        return True

    def act(self, controller: Controller, now_s: float) -> None:
        """Ask for the next step when it is time for it, or for something else."""
        if now_s < self._next_s:
            return
        draws = self._draws
        low_s, high_s = _DAWDLING_S if draws.chance(_DAWDLES) else _HABIT_S
        self._next_s = now_s + draws.between(low_s, high_s)
        request = self._choose(controller)
        if request is None:
            return
        stimulus = _ABSURD if draws.chance(0.2) else _WEAK
        refusal = controller.request(request, now_s, stimulus)
        self.asked[f"{request} {'taken' if refusal is None else 'refused'}"] += 1

    def _choose(self, controller: Controller) -> Request | None:
        draws = self._draws
        if draws.chance(_STOPS):
            return Request.STOP
        if draws.chance(self._oddity):
            return draws.choose(tuple(Request))
        if controller.phase is Phase.READY and draws.chance(0.1):
            return Request.PLACE
        if controller.phase is Phase.PLACEMENT and draws.chance(0.5):
            return Request.STIMULATE
        if controller.phase is Phase.IDLE and _holds_trip(controller):
            return Request.RESET
        return _SENSIBLE.get(controller.phase)


def _holds_trip(controller: Controller) -> bool:
    sample = controller.fresh_sample
    return sample is not None and sample.state in SAFE_STATES
