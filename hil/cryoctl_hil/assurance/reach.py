"""Every state that the probe's firmware can come to, searched on the production's own steps.

``reach_device`` says what is searched, what is abstracted and what that costs.
"""

from __future__ import annotations

from typing import Final

from cryoctl_hil.assurance.program import Measure, Outcome, Say
from cryoctl_hil.assurance.reach_device import TREATMENT, DeviceWorld
from cryoctl_hil.assurance.reach_device_claims import CLAIMS
from cryoctl_hil.assurance.state_search import Search, explore

_SHARE_STATES: Final = 40
_DEVICE_STATES: Final = 100_000
"""What a scale below 1 is a share of; scale 1 goes on to the end."""
_SIDES: Final = {"device": DeviceWorld}


def run(scale: float, say: Say) -> Outcome:
    """Search each side; below scale 1 no farther than a share of the states."""
    states_max = None if scale >= 1.0 else max(_SHARE_STATES, round(scale * _DEVICE_STATES))
    outcome = Outcome(measures=[])
    for side, world in _SIDES.items():
        search = explore(world(), states_max=states_max, way=TREATMENT if states_max else ())
        say(f"{side}: {search.states} states, {search.transitions} transitions")
        outcome.measures += _measures(side, search, scale)
        outcome.failures += search.violations
        outcome.details[side] = {
            "states": search.states,
            "transitions": search.transitions,
            "depth": search.depth,
            "complete": search.complete,
            "dead_ends": search.dead_ends,
            "claims": [f"{requirement}: {text}" for requirement, text, _ in CLAIMS],
        }
    return outcome


def _measures(side: str, search: Search, scale: float) -> list[Measure]:
    how = "exhaustive" if search.complete else "a share"
    complete = search.complete or scale < 1.0
    return [
        Measure(
            f"reachable states of the {side}",
            "exhaustive",
            f"{search.states} states, {search.transitions} transitions, {how}",
            complete,
            requirements=tuple(sorted({requirement for requirement, _, _ in CLAIMS})),
            value=search.states,
        ),
        Measure(
            f"violations in the {side}",
            "0",
            str(len(search.violations)),
            not search.violations,
            value=len(search.violations),
            bound=0,
        ),
        Measure(
            f"dead ends in the {side}",
            "0",
            str(search.dead_ends) if search.complete else "not known in a share",
            search.dead_ends <= 0,
            value=search.dead_ends if search.complete else None,
            bound=0,
        ),
    ]


def is_safe(side: str) -> bool:
    """Search a little of one side, all along a treatment; return True if no claim is broken."""
    search = explore(_SIDES[side](), states_max=_SHARE_STATES, way=TREATMENT)
    return not search.violations
