"""``cryoctl assure stateful``: Hypothesis drives controller and probe over hostile links.

The machine is in ``hostile_machine``; it is loaded here, because Hypothesis comes with the
development tools and not with the program.
"""

from __future__ import annotations

import importlib.util
import traceback
from typing import Final

from cryoctl_hil.assurance.program import Measure, Outcome, Say

EXAMPLES: Final = 400
STEPS: Final = 60
"""Rules in one example, at the most."""


def run(scale: float, say: Say) -> Outcome:
    """Try ``scale`` times 400 sequences of up to 60 rules.

    Raises:
        RuntimeError: Hypothesis is not installed.
    """
    if importlib.util.find_spec("hypothesis") is None:
        raise RuntimeError(
            "the program stateful needs Hypothesis: pip install hypothesis, or make assure"
        )
    from hypothesis import HealthCheck, settings
    from hypothesis.stateful import run_state_machine_as_test

    from cryoctl_hil.assurance.hostile_machine import TALLY, HostileMachine

    examples = max(1, round(EXAMPLES * scale))
    say(f"{examples} examples of up to {STEPS} rules")
    TALLY.clear()
    failures = []
    try:
        run_state_machine_as_test(
            HostileMachine,
            settings=settings(
                max_examples=examples, stateful_step_count=STEPS, deadline=None, derandomize=True,
                database=None, print_blob=True, suppress_health_check=list(HealthCheck),
            ),
        )  # fmt: skip
    except Exception as error:  # noqa: BLE001 (what it finds may be of any kind)
        notes = "\n".join(getattr(error, "__notes__", []))
        failures.append(f"{''.join(traceback.format_exception_only(error))}{notes}")
    ran, rules = TALLY["examples"], TALLY["rules"]
    return Outcome(
        [
            Measure("stateful examples", f">= {examples}", f"{ran} ({rules} rules)",
                    ran >= examples, ("SR-26",), float(ran), float(examples)),
            Measure("stateful: violations and exceptions", "0", str(len(failures)), not failures,
                    ("SR-25", "SR-26"), float(len(failures)), 0.0),
        ],
        {"counts": dict(sorted(TALLY.items()))},
        failures,
    )  # fmt: skip
