"""A trip that the probe holds from before: what a reset waits for, and what may follow it."""

from __future__ import annotations

import pytest

from cryoctl import answers
from cryoctl.cycle_table import Phase
from cryoctl.live_session import ProbeError, cleared
from cryoctl.operator_requests import Request
from cryoctl_protocol.codes import Answer, DeviceState, Op, Trip
from cryoctl_protocol.messages import Ack
from tests.support.bench import Bench


def latched() -> Bench:
    """Return a bench in IDLE whose probe holds a trip."""
    bench = Bench()
    bench.device.trip(Trip.SKIN_COLD)
    bench.run_until(lambda: bench.phase is Phase.IDLE)
    bench.run_for(0.2)
    return bench


@pytest.mark.requirement("SR-27")
def test_a_reset_is_done_when_the_probe_has_answered_and_not_before() -> None:
    bench = latched()

    assert bench.ask(Request.RESET) is None
    at_once = cleared(bench.controller)
    bench.run_for(0.2)

    assert (at_once, cleared(bench.controller)) == (False, True)
    assert bench.device.state is DeviceState.IDLE


@pytest.mark.requirement("SR-27")
def test_a_reset_that_the_probe_refuses_is_told() -> None:
    bench = latched()

    with pytest.raises(ProbeError, match="did not clear its trip"):
        cleared(bench.controller)


@pytest.mark.requirement("SR-27")
def test_what_the_probe_showed_before_it_cleared_its_trip_refuses_nothing_after() -> None:
    bench = latched()
    ack = Ack(counter=1, op=Op.CLEAR, answer=Answer.ACCEPTED)

    answers.on_ack(bench.controller, ack, bench.now_s)

    assert bench.ask(Request.BEGIN) is None
