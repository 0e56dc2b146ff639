"""The operator of a session: leads from placement to placement; at each another one arms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from cryoctl.core import Controller
from cryoctl.cycle_table import Phase
from cryoctl.lockstep import Operator
from cryoctl.operator_requests import Request
from cryoctl_protocol.peer import Hands


class PlacementHelper(Protocol):
    """Whoever puts the probe in place and changes its cartridge."""

    def in_place(self, placement: int) -> bool:
        """Return True once the probe is at a placement, counted from 1."""
        ...

    def has_new_cartridge(self) -> bool:
        """Return True once a full cartridge has been put in."""
        ...


class SimulatedHelper:
    """Does it at once, with a simulated probe.

    Args:
        hands: At the probe.
        scenarios: Of each placement; None is the one of the device's address.
    """

    def __init__(self, hands: Hands, scenarios: Sequence[str | None]) -> None:
        self._hands = hands
        self._scenarios = scenarios

    def in_place(self, placement: int) -> bool:
        """Put the needle into fresh tissue."""
        self._hands.place(self._scenarios[placement - 1])
        return True

    def has_new_cartridge(self) -> bool:
        """Change the cartridge."""
        self._hands.change_cartridge()
        return True


class SessionOperator:
    """Begins each placement when the one before it is complete; a trip ends the session.

    Args:
        make_operator: Makes whoever begins, arms and starts at one placement.
        helper: Puts the probe in place.
    """

    def __init__(self, make_operator: Callable[[], Operator], helper: PlacementHelper) -> None:
        self._make_operator = make_operator
        self._helper = helper
        self._operator = make_operator()
        self._in_place = False

    def stays(self, controller: Controller) -> bool:
        """Return True while a placement is complete and another is to come."""
        is_between = controller.phase is Phase.COMPLETE and not controller.failure
        return is_between and bool(controller.later_treatments)

    def act(self, controller: Controller, now_s: float) -> None:
        """Ask for the next step."""
        phase = controller.phase
        if phase is Phase.COMPLETE:
            self._go_on(controller, now_s)
        elif phase is Phase.IDLE and controller.wants_cartridge:
            if self._helper.has_new_cartridge():
                controller.request(Request.CARTRIDGE, now_s)
        elif phase is Phase.READY and not self._in_place:
            controller.request(Request.PLACE, now_s)
        elif phase is Phase.PLACEMENT:
            if self._helper.in_place(controller.placement):
                self._in_place = True
                controller.request(Request.PLACED, now_s)
        else:
            self._operator.act(controller, now_s)

    def _go_on(self, controller: Controller, now_s: float) -> None:
        if self.stays(controller):
            controller.request(Request.ACKNOWLEDGE, now_s)
            self._operator = self._make_operator()
            self._in_place = False


def simulated_session(
    hands: Hands, scenarios: Sequence[str | None], make_operator: Callable[[], Operator]
) -> SessionOperator:
    """Return the operator of a session on a simulated probe.

    Raises:
        AddressError: A scenario that is not there.
        FileError: Mistakes in one.
    """
    for scenario in scenarios:
        hands.place(scenario)  # Mistakes are told before the first freeze, not between two.
    return SessionOperator(make_operator, SimulatedHelper(hands, scenarios))
