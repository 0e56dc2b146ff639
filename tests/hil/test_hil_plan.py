"""The plan that ships beside the suite knows every test that it can know."""

from __future__ import annotations

import pytest

from cryoctl_hil.evidence.plan import read_plan
from cryoctl_hil.evidence.suite import list_suite, shipped_suite

MADE_ANEW = "make it anew: cryoctl hil plan"


@pytest.mark.timeout(120)
def test_every_test_of_the_suite_has_been_measured() -> None:
    said: list[str] = []
    code, tests = list_suite(shipped_suite(), ["--rig=sim"], said.append)
    plan = read_plan(shipped_suite())
    on_sim = {test.test for test in tests if not test.why_not}

    assert (code, said) == (0, [])
    assert len(tests) >= 60
    assert set(plan.full) == on_sim, MADE_ANEW
    assert 0.9 * len(on_sim) <= len(plan.quick), MADE_ANEW  # A quick run leaves the longest out.
    assert set(plan.quick) <= on_sim, MADE_ANEW
    assert sum(cost.gas_g for cost in plan.full.values()) > 1.0
