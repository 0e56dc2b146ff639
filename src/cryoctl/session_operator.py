"""The operator of a session: leads from placement to placement; at each another one arms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from cryoctl.core import Controller
from cryoctl.cycle_table import Phase
from cryoctl.lockstep import Operator
from cryoctl.operator_requests import Request
from cryoctl.session_file import Placement
from cryoctl_protocol.peer import AddressError, Hands
from cryoctl_protocol.toml_text import FileError


class PlacementHelper(Protocol):
    """Whoever puts the probe in place and changes its cartridge."""

    def place(self, controller: Controller, now_s: float) -> None:
        """Do the next step in PLACEMENT; ask for PLACED once the probe is where it belongs."""
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

    def place(self, controller: Controller, now_s: float) -> None:
        """Put the needle into fresh tissue."""
        self._hands.place(self._scenarios[controller.placement - 1])
        controller.request(Request.PLACED, now_s)

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
        self._was_placed = False

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
        elif phase is Phase.READY and not self._was_placed:
            controller.request(Request.PLACE, now_s)
        elif phase is Phase.PLACEMENT:
            self._was_placed = True
            self._helper.place(controller, now_s)
        else:
            self._operator.act(controller, now_s)

    def _go_on(self, controller: Controller, now_s: float) -> None:
        if self.stays(controller):
            controller.request(Request.RESET, now_s)
            self._operator = self._make_operator()
            self._was_placed = False


def simulated_session(
    hands: Hands, placements: Sequence[Placement], make_operator: Callable[[], Operator]
) -> SessionOperator:
    """Return the operator of a session on a simulated probe.

    Raises:
        FileError: A scenario that is not there, or mistakes in one.
    """
    for placement in placements:
        _check_scenario(hands, placement)  # Told before the first freeze, not between two.
    scenarios = [placement.scenario for placement in placements]
    return SessionOperator(make_operator, SimulatedHelper(hands, scenarios))


def _check_scenario(hands: Hands, placement: Placement) -> None:
    named = placement.scenario_named
    if placement.scenario is None or named is None:
        return
    try:
        hands.check(placement.scenario)
    except AddressError as error:
        raise FileError([named._replace(message=str(error))]) from error
    except FileError as error:
        raise FileError([named, *error.problems]) from error
