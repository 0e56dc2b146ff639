"""How the built-in treatments go on healthy simulated probes: ranges around one run each.

Made with seed 1 by ``nominal_run``. A range is what a change of noise, or of a gain within its
reason, leaves: +-20 % of each time, +-10 % of the radius. A change of the plant's physics may move
one; it is then made anew, and the reason told where the physics is.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from cryoctl.core import Controller
from cryoctl_hil.assurance.oracles import GoldenCycle, does_not_treat
from cryoctl_hil.world import World

NOMINAL_S_MAX: Final = 6000.0
_HELD_FRACTION: Final = 0.95
_TIME: Final = 0.20
_RADIUS: Final = 0.10


def _golden(reach_s: float, radius_minus20_mm: float, thaw_s: float) -> GoldenCycle:
    return GoldenCycle(
        verdict="PASS",
        reach_s=_around(reach_s, _TIME),
        held_fraction=_HELD_FRACTION,
        radius_minus20_mm=_around(radius_minus20_mm, _RADIUS),
        thaw_s=_around(thaw_s, _TIME),
    )


def _around(value: float, share: float) -> tuple[float, float]:
    return (1.0 - share) * value, (1.0 + share) * value


# fmt: off
GOLDEN: Final[dict[str, tuple[GoldenCycle, ...]]] = {
    "co2-20g": (
        _golden(11.44, 1.882, 97.3), _golden(8.94, 1.966, 116.8), _golden(8.94, 1.992, 123.8),
    ),
    "co2-double-18g": (_golden(12.84, 2.169, 103.2), _golden(10.22, 2.262, 122.8)),
    "gel-bench-17g": (_golden(12.26, 2.591, 294.6),),
    "n2o-20g": (
        _golden(15.02, 1.895, 99.3), _golden(11.64, 1.984, 119.2), _golden(11.28, 2.002, 125.6),
    ),
    "n2o-27gx3": (_golden(14.36, 1.143, 61.8), _golden(10.32, 1.202, 74.8)),
    "n2o-console-2mm": (_golden(12.84, 2.886, 146.1), _golden(10.42, 3.013, 178.1)),
    "template": (_golden(15.02, 1.618, 64.2),),
}
# fmt: on
"""By profile, a row a cycle of its built-in treatment."""


class NominalRun(NamedTuple):
    """A finished run.

    Attributes:
        radius_minus20_mm: True radius at the end of each freeze.
        violations: By the oracle of safety.
    """

    controller: Controller
    radius_minus20_mm: tuple[float, ...]
    violations: tuple[str, ...]

    def does_not_treat(self, profile: str) -> list[str]:
        """Return how it falls short of the golden trace of ``profile``; else nothing."""
        return does_not_treat(self.controller, self.radius_minus20_mm, GOLDEN[profile])


def nominal_run(profile: str, *, seed: int = 1, query: str = "") -> NominalRun:
    """Run the built-in treatment of ``profile`` to its end; ``query`` may name faults."""
    world = World(profile, seed=seed, query=query)
    radii_mm: list[float] = []

    def note_end_of_freeze(world: World) -> bool:
        ended = sum(cycle.freeze_ended_s is not None for cycle in world.controller.cycles)
        if ended > len(radii_mm):
            radii_mm.append(world.device.plant.truth().radius_minus20_mm)
        return False

    world.run(within_s=NOMINAL_S_MAX, until=note_end_of_freeze)
    return NominalRun(world.controller, tuple(radii_mm), tuple(world.watch.violations))
