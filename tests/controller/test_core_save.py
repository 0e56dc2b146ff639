"""Save, load, repeat: a controller taken up elsewhere goes on with the same bytes."""

from __future__ import annotations

import hashlib
import json
from typing import Final

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from cryoctl.core import Controller
from cryoctl.lockstep import LockStep
from cryoctl.operator_requests import Request
from cryoctl.operators import AutomaticOperator
from cryoctl_protocol.codes import Answer, Op, Trip
from tests.support.bench import Bench, NoOperator, automatic_bench, settings
from tests.support.builders import KeepingSink, a_treatment, n2o_profile
from tests.support.scripted_device import ScriptedDevice

TREATMENT: Final = a_treatment(count=2, prewarm_s=1.0)
WHOLE_RUN_S: Final = 38.0


def a_twin(bench: Bench) -> tuple[Controller, KeepingSink, ScriptedDevice]:
    """Return a fresh controller, sink and device that took over the saved state of the bench."""
    sink = KeepingSink()
    controller = Controller(TREATMENT, n2o_profile(), settings(), sink)
    controller.load(bench.controller.save())
    device = ScriptedDevice(profile_hash=0)
    device.load(bench.device.save())
    return controller, sink, device


def drive(
    controller: Controller, device: ScriptedDevice, wire: bytes, first_step: int, steps: int
) -> list[bytes]:
    """Move controller and device on by hand, as lock-step would; return all bodies sent."""
    shell = LockStep(controller, device, NoOperator())
    shell._steps = first_step
    shell._wire = wire
    shell._deframer.feed(b"\0")
    sent = []
    for _ in range(steps):
        shell.step()
        sent.append(shell._wire)
    return sent


@pytest.mark.requirement("SR-37")
@given(at_step=st.integers(min_value=1, max_value=round(WHOLE_RUN_S / 0.01)))
@hypothesis_settings(max_examples=20, deadline=None, derandomize=True)
def test_a_loaded_controller_goes_on_byte_for_byte(at_step: int) -> None:
    bench = automatic_bench(TREATMENT)
    for _ in range(at_step):
        bench.shell.step()
    controller, sink, device = a_twin(bench)
    wire = bench.shell._wire
    events, samples = len(bench.sink.events), len(bench.sink.samples)

    ours = drive(bench.controller, bench.device, wire, at_step, 300)
    theirs = drive(controller, device, wire, at_step, 300)

    assert theirs == ours
    assert sink.events == bench.sink.events[events:]
    assert sink.samples == bench.sink.samples[samples:]
    assert controller.events_sha256 == bench.controller.events_sha256
    assert (controller.cycles, controller.trips) == (
        bench.controller.cycles,
        bench.controller.trips,
    )
    assert controller.gas_used_g == bench.controller.gas_used_g


def test_a_loaded_controller_ends_as_the_first_would_have() -> None:
    whole = automatic_bench(TREATMENT)
    whole.run_to_the_end()
    bench = automatic_bench(TREATMENT)
    bench.run_for(10.0)  # In the first hold: nothing is left for an operator to do.
    controller, _, device = a_twin(bench)

    steps = round((whole.now_s - bench.now_s) / 0.01)
    drive(controller, device, bench.shell._wire, round(bench.now_s / 0.01), steps)

    assert controller.events_sha256 == whole.controller.events_sha256
    assert controller.verdict is whole.controller.verdict
    assert controller.cycles == whole.controller.cycles


def test_what_happens_to_a_twin_does_not_reach_the_first() -> None:
    bench = automatic_bench(TREATMENT)
    bench.run_for(10.0)
    twin, _, _ = a_twin(bench)
    before = bench.controller.save()

    twin.request(Request.STOP, bench.now_s)

    assert bench.controller.save() == before
    assert twin.trips != bench.controller.trips


def test_the_sink_stays_the_controllers_own() -> None:
    bench = automatic_bench(TREATMENT)
    bench.run_for(10.0)
    controller, sink, _ = a_twin(bench)
    events = len(bench.sink.events)

    controller.request(Request.STOP, bench.now_s)

    assert len(bench.sink.events) == events
    assert [event.kind for event in sink.events] == ["trip", "alarm", "phase", "operator"]


# -- the event log (SR-37) -----------------------------------------------------------------------


def run_with(disturbance: str) -> Bench:
    """Return a finished bench that was disturbed in one way."""
    bench = Bench(TREATMENT, None, AutomaticOperator())
    if disturbance == "trip":
        bench.device.at(8.0, "trip", Trip.SKIN_COLD)
    elif disturbance == "silence":
        bench.device.at(8.0, "silent", value=True)
    elif disturbance == "lost answers":
        bench.device.lose_acks = 5
    elif disturbance == "refused":
        bench.device.refuse = {Op.THAW: Answer.WRONG_STATE}
    bench.run_to_the_end()
    return bench


DISTURBANCES: Final = ["none", "trip", "silence", "lost answers", "refused"]


@pytest.mark.requirement("SR-37")
@pytest.mark.parametrize("disturbance", DISTURBANCES)
def test_the_same_run_leaves_the_same_event_log(disturbance: str) -> None:
    first, second = run_with(disturbance), run_with(disturbance)

    assert second.sink.events == first.sink.events
    assert second.controller.events_sha256 == first.controller.events_sha256


@pytest.mark.requirement("SR-37")
def test_different_runs_leave_different_hashes() -> None:
    hashes = {run_with(disturbance).controller.events_sha256 for disturbance in DISTURBANCES}

    assert len(hashes) == len(DISTURBANCES)


@pytest.mark.requirement("SR-37")
def test_the_hash_covers_every_line_of_the_log_in_order() -> None:
    bench = run_with("trip")

    digest = b""
    for event in bench.sink.events:
        line = json.dumps(
            {"at_s": round(event.at_s, 6), "kind": event.kind, **event.data},
            sort_keys=True,
            separators=(",", ":"),
        )
        digest = hashlib.sha256(digest + line.encode()).digest()

    assert bench.controller.events_sha256 == digest.hex()
