"""Every phase from which a trip leads to SAFE, and a bench that stands in it."""

from __future__ import annotations

from typing import Final

from cryoctl.cycle_table import Phase
from cryoctl.operator_requests import Request
from tests.support.bench import Bench
from tests.support.builders import a_treatment

LIVE: Final = [
    Phase.IDLE,
    Phase.SELF_TEST,
    Phase.LEAK_TEST,
    Phase.READY,
    Phase.PLACEMENT,
    Phase.ARMED,
    Phase.PREWARM,
    Phase.COOLING,
    Phase.HOLD,
    Phase.THAWING,
    Phase.RELEASE,
    Phase.PAUSE,
]


def bench_in(phase: Phase) -> Bench:
    """Return a bench that stands in ``phase``, a moment after entering it."""
    bench = Bench(a_treatment(prewarm_s=2.0))
    if phase is Phase.PLACEMENT:
        bench.run_to(Phase.READY)
        assert bench.ask(Request.PLACE) is None
    else:
        bench.run_to(phase)
    bench.run_for(0.1)
    assert bench.phase is phase
    return bench
