"""The synchronous shell: who moves when, how time counts, and how a run is stopped."""

from __future__ import annotations

import pytest

from cryoctl.core import Controller
from cryoctl.cycle_table import Phase
from cryoctl.cycles import Verdict
from cryoctl.lockstep import LockStep
from cryoctl.operators import AutomaticOperator
from cryoctl_protocol.codes import Op, Result, SafeAction, Trip
from cryoctl_protocol.framing import DELIMITER
from tests.support.bench import NoOperator, a_device, automatic_bench, settings
from tests.support.builders import KeepingSink, a_treatment, n2o_profile


class DeadPeer:
    """A peer that says nothing and keeps what it was told when."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, bytes]] = []

    def advance_to(self, now_s: float, incoming: bytes) -> bytes:
        self.calls.append((now_s, incoming))
        return b""

    def save(self) -> bytes:
        return b""

    def load(self, data: bytes) -> None:
        pass


class TickCounter:
    """An operator that asks for nothing and keeps the times at which it could have."""

    def __init__(self) -> None:
        self.asked_s: list[float] = []

    def stays(self, controller: Controller) -> bool:
        """Return False: the test ends when the controller does."""
        return False

    def act(self, controller: Controller, now_s: float) -> None:
        self.asked_s.append(now_s)


def a_controller(sink: KeepingSink | None = None) -> Controller:
    """Return a controller that nobody has connected yet."""
    return Controller(a_treatment(), n2o_profile(), settings(), sink or KeepingSink())


def test_the_peer_moves_in_steps_of_10_ms_that_are_counted_and_not_summed() -> None:
    peer = DeadPeer()
    shell = LockStep(a_controller(), peer, NoOperator())

    shell.run(until_s=3.0)

    assert [now_s for now_s, _ in peer.calls] == [step / 100 for step in range(1, 301)]
    assert shell.now_s == 300 * 0.01


def test_the_controller_and_its_operator_tick_20_times_a_second_after_the_samples() -> None:
    operator = TickCounter()
    ticks_s: list[float] = []
    shell = LockStep(a_controller(), DeadPeer(), operator, ticks_s.append)

    shell.run(until_s=1.0)

    expected = [step * 0.05 + 0.0005 for step in range(1, 21)]
    assert ticks_s == operator.asked_s == pytest.approx(expected)


def test_the_wire_begins_with_a_delimiter_and_what_is_sent_arrives_at_the_next_step() -> None:
    peer = DeadPeer()
    sink = KeepingSink()

    LockStep(a_controller(sink), peer, NoOperator()).run(until_s=0.5)

    assert peer.calls[0][1].startswith(DELIMITER)
    heard_s = [round(now_s, 6) for now_s, incoming in peer.calls if incoming]
    sent_s = [round(at_s, 6) for at_s, _ in sink.frames_out]
    assert heard_s == [round(at_s + 0.01, 6) for at_s in sent_s]


def test_noise_on_the_line_is_counted_with_the_next_frame() -> None:
    bench = automatic_bench()
    bench.run_for(1.0)
    before = bench.controller.session.rejects.total()
    bench.device.noise = b"no frame\0" * 3

    bench.run_for(0.05)

    assert bench.controller.session.rejects.total() - before == 3


def test_a_run_can_be_interrupted_and_taken_up_where_it_was() -> None:
    whole = automatic_bench(a_treatment(count=1))
    whole.run_to_the_end()
    device, sink = a_device(), KeepingSink()
    controller = Controller(a_treatment(count=1), n2o_profile(), settings(), sink)
    shell = LockStep(controller, device, AutomaticOperator())

    for until_s in range(1, 60):
        shell.run(until_s=float(until_s))

    assert controller.events_sha256 == whole.controller.events_sha256
    assert shell.now_s == whole.now_s


def test_a_run_ends_with_the_treatment() -> None:
    bench = automatic_bench(a_treatment(count=1))

    bench.shell.run(until_s=3600.0)

    assert bench.phase is Phase.COMPLETE
    assert bench.controller.verdict is Verdict.PASS
    assert bench.now_s < 30.0


def test_a_stop_that_ends_a_run_still_reaches_the_probe() -> None:
    bench = automatic_bench(a_treatment(count=1))
    bench.device.results = {Op.LEAK_TEST: (Result.FAILED, 1_250)}

    bench.shell.run(until_s=3600.0)

    assert "LEAK_TEST failed" in bench.controller.failure
    assert [stop.action for stop in bench.device.stops] == [SafeAction.THAW]


@pytest.mark.requirement("SR-39")
def test_an_exception_in_the_shell_lets_the_probe_hear_stop_before_it_leaves() -> None:
    bench = automatic_bench(a_treatment(count=1))
    bench.run_to(Phase.HOLD)

    def explode(*_arguments: object) -> None:
        raise RuntimeError("made up")

    bench.shell._on_tick = explode
    with pytest.raises(RuntimeError, match="made up"):
        bench.shell.run(until_s=3600.0)

    assert bench.trip_ids() == ["INTERNAL"]
    assert bench.device.stops[-1].trip == Trip.INTERNAL


@pytest.mark.requirement("SR-29")
@pytest.mark.parametrize("at_s", [0.0, 0.3, 5.003, 8.027, 17.5])
def test_a_stop_from_a_signal_is_on_the_wire_with_the_next_step(at_s: float) -> None:
    bench = automatic_bench(a_treatment(count=1))
    bench.shell.run(until_s=at_s)
    before_s = bench.now_s

    bench.shell.request_stop(leave=True)
    bench.shell.run(until_s=3600.0)

    assert bench.controller.verdict is Verdict.ABORTED
    if at_s > 0.0:
        assert bench.sink.sent_stops()[0][0] - before_s <= 0.0101
        assert bench.controller.made_safe
        # The valve has to prove that it is shut; somebody who leaves waits for no thaw.
        assert bench.now_s - before_s < 2.4


def test_a_stopped_run_goes_on_until_the_needle_is_free() -> None:
    bench = automatic_bench(a_treatment(count=1))
    bench.run_to(Phase.HOLD)

    bench.shell.request_stop()
    bench.shell.run(until_s=3600.0)

    assert bench.phase is Phase.FAULT
    assert bench.sink.samples[-1][1].tip_temp_c > 5.0  # type: ignore[operator]
    assert "NOT_RELEASED" not in bench.controller.alarms


def test_whoever_leaves_a_frozen_needle_is_told() -> None:
    bench = automatic_bench(a_treatment(count=1))
    bench.device.at(7.9, "tip_follows", value=False)
    bench.run_to(Phase.HOLD)
    bench.device.tip_follows = False

    bench.shell.request_stop()
    bench.shell.run(until_s=bench.now_s + 30.0)
    assert bench.phase is Phase.SAFE
    bench.shell.request_stop(leave=True)
    bench.shell.run(until_s=3600.0)

    assert "NOT_RELEASED" in bench.controller.alarms


@pytest.mark.requirement("SR-37")
@pytest.mark.parametrize("at_step", [1, 6, 11, 66, 67, 70, 500, 1233, 1466, 1900])
def test_a_saved_world_goes_on_elsewhere_as_it_would_have_here(at_step: int) -> None:
    whole = automatic_bench(a_treatment(count=2))
    whole.run_to_the_end()
    here, there = automatic_bench(a_treatment(count=2)), automatic_bench(a_treatment(count=2))
    there.run_for(3.21)  # Whatever it did before is forgotten.
    for _ in range(at_step):
        here.shell.step()

    there.shell.load(here.shell.save())
    there.shell.run(until_s=3600.0)

    assert here.now_s == pytest.approx(at_step * 0.01)
    assert there.now_s == whole.now_s
    assert there.controller.events_sha256 == whole.controller.events_sha256
    assert there.controller.cycles == whole.controller.cycles


def test_a_world_saved_before_it_was_connected_connects_once() -> None:
    saved = LockStep(a_controller(), a_device(), AutomaticOperator()).save()
    bench = automatic_bench(a_treatment())
    bench.shell.load(saved)

    bench.shell.run(until_s=3600.0)

    assert bench.controller.verdict is Verdict.PASS
