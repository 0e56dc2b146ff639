"""``cryoctl assure falsetrips``: hours of treatments with nothing wrong, in which nothing may trip.

Every shipped profile in every shipped scenario that a treatment is meant for, with the noise of the
sensors and the treatment varied from seed to seed. ``python -m cryoctl_hil.assurance.falsetrips
SEED`` repeats one.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from typing import Final

from cryoctl.clock import cpu_s
from cryoctl.core import Controller, Settings
from cryoctl.cycle_table import Phase
from cryoctl.lockstep import LockStep
from cryoctl.operators import AutomaticOperator
from cryoctl.plan import make_plan
from cryoctl.treatment import Treatment, default_treatment
from cryoctl_hil.assurance.crew import share_out
from cryoctl_hil.assurance.program import Measure, Outcome, Say
from cryoctl_hil.draws import Draws
from cryoctl_hil.sinks import NoSink
from cryoctl_protocol.auth import DEMO_KEY
from cryoctl_protocol.peer import DeviceUrl, open_device
from cryoctl_protocol.profile import profile_names
from cryoctl_simulator.scenario import shipped_scenarios

HOURS: Final = 300.0  # SR-12
NOT_NOMINAL: Final = {
    "air-check": "a needle in air takes too little heat to hold: cycles end NOT EFFECTIVE",
    "low-gas": "the cartridge runs out in the second freeze: START is refused, or GAS_LOW raised",
}
"""Shipped scenarios that are no healthy treatment, and why."""
TOO_SLOW: Final = {
    ("n2o-console-2mm", "gel-bench"): "after holds of over 80 s the gel, which nothing perfuses, "
    "thaws for longer than the 600 s that a probe for people may have: 734 s at most",
}
"""Probes that are too big for a scenario, and why."""
SHORTEST_S: Final = 20.0
"""Self-test, leak test and one freeze take longer than this."""
LONGEST_S: Final = 7200.0
_S_PER_HOUR: Final = 3600.0
_HOLD_S: Final = (5.0, 110.0)
_ACTIVE_SHARE: Final = 0.3
_TOLD_EVERY: Final = 50


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one treatment."""

    seed: int
    cell: str
    virtual_s: float
    trips: tuple[str, ...]
    verdict: str
    spent_s: float


def cells() -> list[tuple[str, str]]:
    """Return every profile with every nominal scenario; an empty one is the probe's own tissue."""
    scenarios = ["", *(name for name in shipped_scenarios() if name not in NOT_NOMINAL)]
    pairs = [(profile, scenario) for profile in profile_names() for scenario in scenarios]
    return [pair for pair in pairs if pair not in TOO_SLOW]


def left_out() -> dict[str, str]:
    """Return what is not played, and why."""
    return NOT_NOMINAL | {" in ".join(pair): why for pair, why in TOO_SLOW.items()}


def _treatment(draws: Draws, profile: str) -> Treatment:
    """The profile's own treatment with another hold and number of cycles."""
    base = default_treatment(profile)
    limits = base.probe_profile.limits
    data = base.model_dump(by_alias=True)
    # A set-point that warm tissue does not let a probe reach is missed: that is no trip.
    data["cycles"].update(
        count=1 + draws.below(3),
        hold_s=round(draws.between(*_HOLD_S), 1),
        setpoint_c=round(draws.between(limits.setpoint_default_c, limits.setpoint_max_c), 1),
    )
    # How long a thaw takes is up to the tissue: 403 s in gel, where most treatments allow 400 s.
    data["thaw"]["timeout_s"] = limits.thaw_s_max
    if draws.chance(_ACTIVE_SHARE):
        data["thaw"]["mode"] = "active"
    treatment = Treatment.model_validate(data)
    if make_plan(treatment, limits).blockers:
        data["cycles"]["count"] = 1  # The gas of a full cartridge is enough for one of them.
    return Treatment.model_validate(data)


def play(seed: int) -> Told:
    """Run the treatment of ``seed`` to its end."""
    began_s = cpu_s()
    draws = Draws(seed, 10)
    all_cells = cells()
    profile, scenario = all_cells[seed % len(all_cells)]
    treatment = _treatment(draws, profile)
    query = f"&scenario={scenario}" if scenario else ""
    peer = open_device(DeviceUrl.parse(f"sim:{profile}?seed={seed}{query}")).peer
    assert peer is not None
    controller = Controller(
        treatment,
        treatment.probe_profile,
        Settings(DEMO_KEY, f"nominal {seed}".encode()),
        NoSink(),
    )
    shell = LockStep(controller, peer, AutomaticOperator())
    shell.run(until_s=LONGEST_S)
    wrong = [
        f"{trip.notice} in {trip.phase} at {trip.at_s:.2f} s ({trip.layer})"
        for trip in controller.trips
    ]
    if controller.failure:
        wrong.append(f"failed: {controller.failure}")
    if not wrong and controller.phase is not Phase.COMPLETE:
        wrong.append(f"ended in {controller.phase}")  # Hours of waiting are no treatment.
    return Told(
        seed, f"{profile} in {scenario or 'its own tissue'}", shell.now_s, tuple(wrong),
        controller.verdict.value, cpu_s() - began_s,
    )  # fmt: skip


def run(scale: float, say: Say) -> Outcome:
    """Run ``scale`` times 300 virtual hours of healthy treatments."""
    hours = HOURS * scale
    virtual_s, spent_s, tripped = 0.0, 0.0, 0
    seen: dict[str, Counter[str]] = {}
    failures = []
    seeds = range(1, 2 + int(hours * _S_PER_HOUR / SHORTEST_S))
    for number, told in enumerate(share_out(play, seeds), 1):
        virtual_s += told.virtual_s
        spent_s += told.spent_s
        seen.setdefault(told.cell, Counter())[told.verdict] += 1
        if told.trips:
            tripped += 1
            failures.append(
                f"seed {told.seed}, {told.cell}: {'; '.join(told.trips)}; "
                f"again: python -m cryoctl_hil.assurance.falsetrips {told.seed}"
            )
        if number % _TOLD_EVERY == 0:
            say(f"{virtual_s / _S_PER_HOUR:.1f} of {hours:g} virtual hours")
        if virtual_s >= hours * _S_PER_HOUR:
            break
    ran_hours = virtual_s / _S_PER_HOUR
    say(f"covered: {', '.join(sorted(seen))}")
    for name, why in left_out().items():
        say(f"left out: {name} ({why})")
    return Outcome(
        [
            Measure(
                "nominal virtual hours", f">= {hours:g} h", f"{ran_hours:.1f} h",
                ran_hours >= hours, ("SR-12",), ran_hours, hours, "h",
            ),
            Measure(
                "false trips", "0", str(tripped), tripped == 0, ("SR-12",), float(tripped), 0.0
            ),
        ],
        {
            "cells": {cell: dict(verdicts) for cell, verdicts in sorted(seen.items())},
            "cells_not_come_to": len(cells()) - len(seen),
            "left_out": left_out(),
            "virtual_hours_per_cpu_hour": round(virtual_s / spent_s, 1),
        },
        failures,
    )  # fmt: skip


def main(seeds: list[str]) -> int:
    """Run single treatments again; return 1 if one trips."""
    told = [play(int(seed)) for seed in seeds]
    for one in told:
        sys.stdout.write(f"{one}\n")
    return int(any(one.trips for one in told))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
