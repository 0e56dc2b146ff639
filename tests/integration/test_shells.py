"""Both shells drive the same controller to the same end, byte for byte."""

from __future__ import annotations

import pytest

from cryoctl.cycle_table import Phase
from tests.support.stack import build_stack, treatment


@pytest.mark.requirement("SR-37")
def test_lock_step_and_asyncio_shell_give_the_same_event_log() -> None:
    plan = treatment("n2o-20g", count=1, hold_s=5.0)
    synchronous, asynchronous = build_stack(plan=plan), build_stack(plan=plan)

    synchronous.run()
    asynchronous.run_in_loop()

    assert synchronous.controller.phase is Phase.COMPLETE
    assert [e.to_json() for e in synchronous.sink.events] == [
        e.to_json() for e in asynchronous.sink.events
    ]
    assert synchronous.controller.events_sha256 == asynchronous.controller.events_sha256


@pytest.mark.requirement("SR-37")
def test_the_same_seed_gives_the_same_log_and_another_seed_another() -> None:
    plan = treatment("n2o-20g", count=1, hold_s=5.0)
    hashes = []
    for seed in (1, 1, 2):
        stack = build_stack(plan=plan, seed=seed)
        stack.run()
        hashes.append(stack.controller.events_sha256)

    assert hashes[0] == hashes[1]
    assert hashes[0] != hashes[2]


def test_a_run_forked_in_mid_freeze_goes_on_as_the_original_does() -> None:
    plan = treatment("n2o-20g", count=1, hold_s=5.0)
    original = build_stack(plan=plan)
    shell = original.lockstep()
    shell.run(until_s=25.0)
    fork = build_stack(plan=plan)
    forked = fork.lockstep()
    forked.load(shell.save())

    shell.run(until_s=3600.0)
    forked.run(until_s=3600.0)

    assert original.controller.phase is Phase.COMPLETE
    assert fork.controller.events_sha256 == original.controller.events_sha256
    assert forked.now_s == shell.now_s
