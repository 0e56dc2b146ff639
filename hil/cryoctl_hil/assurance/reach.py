"""Every state that the probe's firmware and the controller can come to, on production's own steps.

``reach_device`` and ``reach_host`` say what is searched, what is abstracted and what that costs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cryoctl_hil.assurance import reach_device_claims, reach_host_claims
from cryoctl_hil.assurance.program import Measure, Outcome, Say
from cryoctl_hil.assurance.reach_device import TREATMENT, DeviceWorld
from cryoctl_hil.assurance.reach_host import HOST_TREATMENT, HostWorld
from cryoctl_hil.assurance.state_search import Search, World, explore

_SHARE_STATES: Final = 60


@dataclass(frozen=True, slots=True)
class Side:
    """What is searched.

    Attributes:
        world: Makes it.
        way: All along a treatment, for a share of the search.
        states: About how many there are, which a scale below 1 is a share of.
        bound: Expand no more than so many at any scale; None goes on to the end.
        claims: Requirement and text of each.
    """

    world: Callable[[], World[Any]]
    way: Sequence[str]
    states: int
    bound: int | None
    claims: tuple[tuple[str, str], ...]


SIDES: Final[dict[str, Side]] = {
    "device": Side(
        DeviceWorld, TREATMENT, 13_000, None,
        tuple((requirement, text) for requirement, text, _ in reach_device_claims.CLAIMS),
    ),
    "host": Side(
        HostWorld, HOST_TREATMENT, 2_000, 2_000,
        tuple((requirement, text) for requirement, text, _ in reach_host_claims.CLAIMS),
    ),
}  # fmt: skip


def run(scale: float, say: Say) -> Outcome:
    """Search each side; below scale 1 no farther than a share of the states."""
    outcome = Outcome(measures=[])
    for name, side in SIDES.items():
        states_max = side.bound
        if scale < 1.0:
            states_max = max(_SHARE_STATES, round(scale * side.states))
        search = explore(side.world(), states_max=states_max, way=side.way if states_max else ())
        say(
            f"{name}: {search.states} states, {search.transitions} transitions, depth "
            f"{search.depth}, {len(search.violations)} violations, {search.dead_ends} dead ends"
        )
        outcome.measures += _measures(name, side, search, scale)
        outcome.failures += search.violations
        outcome.details[name] = {
            "states": search.states,
            "transitions": search.transitions,
            "depth": search.depth,
            "complete": search.complete,
            "dead_ends": search.dead_ends,
            "claims": [f"{requirement}: {text}" for requirement, text in side.claims],
        }
    return outcome


def _measures(name: str, side: Side, search: Search, scale: float) -> list[Measure]:
    how = "exhaustive" if search.complete else "a share" if scale < 1.0 else "bounded"
    enough = search.complete or scale < 1.0 or side.bound is not None
    target = "exhaustive" if side.bound is None else f"{side.bound} states expanded, bounded"
    return [
        Measure(
            f"reachable states of the {name}",
            target,
            f"{search.states} states, {search.transitions} transitions, {how}",
            enough,
            requirements=tuple(sorted({requirement for requirement, _ in side.claims})),
            value=search.states,
        ),
        Measure(
            f"violations in the {name}",
            "0",
            str(len(search.violations)),
            not search.violations,
            value=len(search.violations),
            bound=0,
        ),
        Measure(
            f"dead ends in the {name}",
            "0",
            str(search.dead_ends) if search.complete else f"not known: {how}",
            search.dead_ends <= 0,
            value=search.dead_ends if search.complete else None,
            bound=0,
        ),
    ]


def is_safe(side: str) -> bool:
    """Search a little of one side, all along a treatment; return True if no claim is broken."""
    searched = SIDES[side]
    search = explore(searched.world(), states_max=_SHARE_STATES, way=searched.way)
    return not search.violations
