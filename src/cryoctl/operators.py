"""The operator of a simulated probe: asks for each step as soon as it is possible."""

from __future__ import annotations

from typing import Final

from cryoctl.core import Controller
from cryoctl.cycle_table import Phase
from cryoctl.operator_requests import Request

BLOCKED_S: Final = 5.0
"""A simulated operator waits this long for reasons against ARM to clear by themselves."""


class AutomaticOperator:
    """Begins, arms and starts; on a real probe these are two persons' acts or one's, twice."""

    def __init__(self) -> None:
        self._asked: Phase | None = None
        self._blocked_s: float | None = None

    def stays(self, controller: Controller) -> bool:
        """Return False: one treatment is all."""
        return False

    def act(self, controller: Controller, now_s: float) -> None:
        """Ask for the next step, once for each phase."""
        phase = controller.phase
        if phase is Phase.IDLE and self._asked is not phase:
            self._asked = phase
            self._give_up_if_refused(controller, Request.BEGIN, now_s)
        elif phase is Phase.READY and self._asked is not phase:
            self._arm(controller, now_s)
        elif phase is Phase.ARMED and self._asked is not phase:
            self._asked = phase
            self._give_up_if_refused(controller, Request.START, now_s)

    def _arm(self, controller: Controller, now_s: float) -> None:
        blockers = controller.arm_blockers(now_s)
        if self._blocked_s is None:
            self._blocked_s = now_s
        if not blockers or now_s - self._blocked_s > BLOCKED_S:
            self._asked = Phase.READY
            self._give_up_if_refused(controller, Request.ARM, now_s)

    def _give_up_if_refused(self, controller: Controller, request: Request, now_s: float) -> None:
        refusal = controller.request(request, now_s)
        if refusal is not None:
            controller.give_up(f"{request} refused: {refusal.reason}", now_s)
