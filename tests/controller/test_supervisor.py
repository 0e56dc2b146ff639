"""The asyncio shell: the same run as lock-step, stop, links that go, and a link that lags."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

from cryoctl.core import Controller
from cryoctl.cycle_table import Phase
from cryoctl.cycles import Verdict
from cryoctl.lockstep import Operator
from cryoctl.operator_requests import Request
from cryoctl.operators import AutomaticOperator
from cryoctl.supervisor import PeerLink, Supervisor
from cryoctl.treatment import Treatment
from cryoctl.virtual_time import VirtualTimeLoop
from cryoctl_protocol.codes import Answer, Op, Result, SafeAction, Trip
from cryoctl_protocol.framing import Deframer
from cryoctl_protocol.messages import Stop
from cryoctl_protocol.peer import Frame, LinkError
from cryoctl_protocol.toml_text import FileError, Problem
from tests.support.bench import a_device, automatic_bench, settings
from tests.support.builders import KeepingSink, a_treatment, as_message, n2o_profile
from tests.support.scripted_device import ScriptedDevice


class Supervised:
    """A controller under the supervisor, with a scripted device on a link in virtual time."""

    def __init__(
        self,
        treatment: Treatment,
        device: ScriptedDevice,
        link: PeerLink | None = None,
        call_in_loop: Callable[[Callable[[], None]], object] | None = None,
        operator: Operator | None = None,
    ) -> None:
        self.device = device
        self.sink = KeepingSink()
        self.controller = Controller(treatment, n2o_profile(), settings(), self.sink)
        self.link = PeerLink(device) if link is None else link
        self.ticks_s: list[float] = []
        self.supervisor = Supervisor(
            self.controller,
            self.link,
            operator or AutomaticOperator(),
            self.ticks_s.append,
            call_in_loop=call_in_loop,
        )
        self.ended_s = 0.0

    def run(
        self,
        *,
        until_s: float = 3600.0,
        stop_at_s: float | None = None,
        leave: bool = False,
        give_up_at_s: float | None = None,
        at: tuple[float, Callable[[], None]] | None = None,
    ) -> None:
        """Run to the end in a loop of virtual time, stopped like a signal would at a time."""

        async def main() -> None:
            loop = asyncio.get_running_loop()
            if stop_at_s is not None:
                stop = partial(self.supervisor.request_stop, leave=leave)
                loop.call_at(stop_at_s, stop)
            if at is not None:
                loop.call_at(*at)
            if give_up_at_s is not None:
                loop.call_at(give_up_at_s, self.supervisor.give_up, "too slow")
            await self.supervisor.run(until_s=until_s)
            self.ended_s = loop.time()

        loop = VirtualTimeLoop()
        try:
            loop.run_until_complete(main())
        finally:
            loop.close()


def silence(device: ScriptedDevice, from_s: float, to_s: float) -> None:
    """Have nothing arrive from the device for a while."""
    device.at(from_s, "silent", value=True)
    device.at(to_s, "silent", value=False)


SCRIPTS: dict[str, Callable[[ScriptedDevice], None]] = {
    "nothing special": lambda _: None,
    "a device trip": lambda device: device.at(8.03, "trip", Trip.SKIN_COLD),
    "a host trip": lambda device: device.at(8.03, "telemetry", {"supply_mbar": 69_000}),
    "silence": lambda device: device.at(8.01, "silent", value=True),
    "a short silence": lambda device: silence(device, 8.01, 8.13),
    "lost answers": lambda device: setattr(device, "lose_acks", 7),
    "a refused freeze": lambda device: device.refuse.update({Op.FREEZE: Answer.PRESSURE}),
    "a refused arm": lambda device: device.refuse.update({Op.ARM: Answer.SENSOR}),
    "a restart": lambda device: device.at(8.05, "restart"),
    "noise on the line": lambda device: device.at(8.03, "noise", b"no frame\0" * 7),
    "a little noise": lambda device: device.at(8.03, "noise", b"no frame\0" * 3),
    "never cold enough": lambda device: setattr(device, "coldest_c", -50.0),
}


@pytest.mark.requirement("SR-37")
@pytest.mark.parametrize("script", list(SCRIPTS))
def test_both_shells_leave_the_same_event_log(script: str) -> None:
    treatment = a_treatment(count=2, prewarm_s=1.0)
    bench = automatic_bench(treatment)
    SCRIPTS[script](bench.device)
    supervised = Supervised(treatment, a_device())
    SCRIPTS[script](supervised.device)

    bench.shell.run(until_s=3600.0)
    supervised.run()

    assert supervised.sink.events == pytest.approx(bench.sink.events)
    assert supervised.controller.events_sha256 == bench.controller.events_sha256
    assert supervised.sink.samples == bench.sink.samples
    assert [body for _, body in supervised.sink.frames_out] == [
        body for _, body in bench.sink.frames_out
    ]
    assert supervised.controller.alarms == bench.controller.alarms


@pytest.mark.requirement("SR-37")
@pytest.mark.parametrize("hold_s", [1.0 + 0.01 * n for n in range(10)])
def test_both_shells_agree_wherever_in_a_tick_the_last_answer_falls(hold_s: float) -> None:
    treatment = a_treatment(count=1, hold_s=hold_s)
    bench = automatic_bench(treatment)
    supervised = Supervised(treatment, a_device())

    bench.shell.run(until_s=3600.0)
    supervised.run()

    assert supervised.controller.events_sha256 == bench.controller.events_sha256
    assert supervised.controller.alarms == bench.controller.alarms == []
    assert supervised.sink.controls == bench.sink.controls
    assert [body for _, body in supervised.sink.frames_out] == [
        body for _, body in bench.sink.frames_out
    ]


def test_ticks_stand_at_multiples_of_50_ms_however_long_the_run() -> None:
    supervised = Supervised(a_treatment(count=1), a_device())

    supervised.run()

    expected = [(n * 100 + 1) / 2000 for n in range(1, len(supervised.ticks_s) + 1)]
    assert supervised.ticks_s == expected


def test_a_run_ends_at_its_time_limit() -> None:
    supervised = Supervised(a_treatment(), a_device())

    supervised.run(until_s=3.0)

    assert supervised.ended_s == pytest.approx(3.0, abs=0.051)
    assert not supervised.controller.finished


@pytest.mark.requirement("SR-29")
@pytest.mark.parametrize("stop_at_s", [0.001, 0.02, 0.35, 5.013, 8.0499, 17.2])
def test_a_stop_from_a_signal_is_on_the_wire_within_50_ms(stop_at_s: float) -> None:
    supervised = Supervised(a_treatment(count=1), a_device())

    supervised.run(stop_at_s=stop_at_s, leave=True)

    assert supervised.controller.verdict is Verdict.ABORTED
    assert supervised.controller.made_safe
    if stop_at_s > 0.1:
        assert supervised.sink.sent_stops()[0][0] - stop_at_s <= 0.0501
        assert supervised.device.stops != []
        assert supervised.ended_s - stop_at_s < 2.4  # No longer than the valve's proof takes.


def call_soon(callback: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_soon(callback)


@pytest.mark.requirement("SR-29")
@pytest.mark.parametrize("stop_at_s", [5.013, 8.0499, 8.0501, 17.2])
def test_a_stop_does_not_wait_for_a_tick_where_the_loop_can_be_woken(stop_at_s: float) -> None:
    supervised = Supervised(a_treatment(count=1), a_device(), call_in_loop=call_soon)

    supervised.run(stop_at_s=stop_at_s)

    sent_s, stop = supervised.sink.sent_stops()[0]
    assert (sent_s, stop.trip) == (stop_at_s, Trip.OPERATOR_STOP)
    assert supervised.controller.trips[0].at_s == stop_at_s


class StoppingOperator(AutomaticOperator):
    """Stops once somebody has said so, as a person who types it or a program does."""

    def __init__(self) -> None:
        super().__init__()
        self.wants_stop = False

    def act(self, controller: Controller, now_s: float) -> None:
        if self.wants_stop:
            self.wants_stop = False
            controller.request(Request.STOP, now_s)
        super().act(controller, now_s)


@pytest.mark.requirement("SR-29")
@pytest.mark.parametrize("stop_at_s", [5.013, 8.0499, 8.0501, 17.2])
def test_a_stop_of_an_operator_in_a_hurry_waits_for_no_tick(stop_at_s: float) -> None:
    operator = StoppingOperator()
    supervised = Supervised(
        a_treatment(count=1), a_device(), call_in_loop=call_soon, operator=operator
    )

    def say_stop() -> None:
        operator.wants_stop = True
        supervised.supervisor.hurry()

    supervised.run(at=(stop_at_s, say_stop))

    sent_s, stop = supervised.sink.sent_stops()[0]
    assert (sent_s, stop.trip) == (stop_at_s, Trip.OPERATOR_STOP)
    assert not supervised.supervisor.stopping, "the run is not to end for that"


@pytest.mark.requirement("SR-35")
def test_a_stop_between_two_ticks_moves_none_of_them() -> None:
    supervised = Supervised(a_treatment(count=1), a_device(), call_in_loop=call_soon)

    supervised.run(stop_at_s=8.013)

    assert supervised.ticks_s == pytest.approx(
        [0.05 * n + 0.0005 for n in range(1, len(supervised.ticks_s) + 1)]
    )
    assert supervised.ticks_s[-1] > 8.1


def test_a_stop_that_comes_when_the_loop_has_ended_is_no_error() -> None:
    loop = VirtualTimeLoop()
    loop.close()
    supervised = Supervised(a_treatment(count=1), a_device(), call_in_loop=loop.call_soon)

    supervised.supervisor.request_stop()

    assert not supervised.supervisor.stopping


class BreakingLink(PeerLink):
    """A link that is pulled out at a time, or lets a send fail from then on."""

    def __init__(self, device: ScriptedDevice, *, breaks_s: float, on_receive: bool) -> None:
        super().__init__(device)
        self.breaks_s = breaks_s
        self.on_receive = on_receive
        self.closed = False

    def check(self, *, receiving: bool) -> None:
        """Raise if it is broken."""
        broken = asyncio.get_running_loop().time() >= self.breaks_s
        if broken and (self.on_receive or not receiving):
            raise LinkError("unplugged")

    async def send(self, data: bytes) -> None:
        self.check(receiving=False)
        await super().send(data)

    async def receive(self) -> Frame:
        frame = await super().receive()
        self.check(receiving=True)
        return frame

    async def close(self) -> None:
        self.closed = True


@pytest.mark.requirement("SR-03")
@pytest.mark.parametrize("on_receive", [True, False])
def test_a_link_that_is_pulled_out_in_a_hold_trips_and_the_run_ends(on_receive: bool) -> None:
    device = a_device()
    link = BreakingLink(device, breaks_s=8.0, on_receive=on_receive)
    supervised = Supervised(a_treatment(count=1), device, link)

    supervised.run()

    assert supervised.controller.phase is Phase.FAULT
    assert supervised.controller.trips[0].notice.trip is Trip.LINK
    assert supervised.controller.trips[0].at_s == pytest.approx(8.0, abs=0.11)
    # Sending broke alone: the probe's own lease answers, and is heard.
    later = [] if on_receive else [Trip.LEASE]
    assert [trip.notice.trip for trip in supervised.controller.trips[1:]] == later
    assert link.closed


def test_a_link_that_is_pulled_out_while_connecting_ends_the_run() -> None:
    device = a_device()
    device.silent = True
    link = BreakingLink(device, breaks_s=1.0, on_receive=False)
    supervised = Supervised(a_treatment(count=1), device, link)

    supervised.run()

    assert supervised.controller.failure == "the link is gone: unplugged"
    assert supervised.ended_s == pytest.approx(1.2, abs=0.21)
    assert link.closed


class FailingController(Controller):
    """A controller with a bug that shows at a time."""

    def tick(self, now_s: float) -> None:
        if now_s > 8.0:
            raise ZeroDivisionError("a bug")
        super().tick(now_s)


def test_a_bug_in_the_controller_closes_the_link_and_is_not_hidden() -> None:
    device = a_device()
    link = BreakingLink(device, breaks_s=1e9, on_receive=True)
    supervised = Supervised(a_treatment(count=1), device, link)
    supervised.controller.__class__ = FailingController

    with pytest.raises(ExceptionGroup) as caught:
        supervised.run()

    assert caught.group_contains(ZeroDivisionError)
    assert link.closed


def test_a_stop_that_ends_a_run_still_reaches_the_probe() -> None:
    device = a_device()
    device.results = {Op.LEAK_TEST: (Result.FAILED, 1_250)}
    supervised = Supervised(a_treatment(count=1), device)

    supervised.run()

    assert "LEAK_TEST failed" in supervised.controller.failure
    assert [stop.action for stop in device.stops] == [SafeAction.THAW]


def test_a_run_that_is_given_up_leaves_the_probe_with_a_stop() -> None:
    device = a_device()
    supervised = Supervised(a_treatment(count=1), device)

    supervised.run(give_up_at_s=8.0)

    assert supervised.controller.failure == "too slow"
    assert supervised.controller.link_failure
    assert [stop.action for stop in device.stops] == [SafeAction.THAW]
    assert device.state.name == "SAFE"


def test_line_errors_reach_the_controller() -> None:
    class NoisyDevice(ScriptedDevice):
        """Sends a broken frame with every step."""

        def advance_to(self, now_s: float, incoming: bytes) -> bytes:
            return super().advance_to(now_s, incoming) + b"noise\0"

    device = NoisyDevice(profile_hash=n2o_profile().hash32)
    supervised = Supervised(a_treatment(count=1), device)

    supervised.run()

    assert supervised.controller.trips[0].notice.trip is Trip.INTEGRITY


def test_a_peer_link_delivers_frames_at_the_step_they_were_sent() -> None:
    device = a_device()
    link = PeerLink(device)

    async def main() -> list[float]:
        return [(await link.receive()).received_s for _ in range(4)]

    loop = VirtualTimeLoop()
    received_s = loop.run_until_complete(main())
    loop.close()

    assert received_s == [0.01, 0.02, 0.04, 0.06]  # HELLO on power-up, then telemetry.


class Listener(ScriptedDevice):
    """Keeps the bytes that came over the wire."""

    def __init__(self) -> None:
        super().__init__(profile_hash=n2o_profile().hash32)
        self.heard: list[bytes] = []

    def advance_to(self, now_s: float, incoming: bytes) -> bytes:
        self.heard.append(incoming)
        return super().advance_to(now_s, incoming)


def test_what_is_sent_on_a_peer_link_arrives_framed_and_complete() -> None:
    device = Listener()
    supervised = Supervised(a_treatment(count=1), device)

    supervised.run(stop_at_s=8.0)

    bodies = Deframer().feed(b"".join(device.heard))
    sent = [body for _, body in supervised.sink.frames_out]
    assert device.heard[0].startswith(b"\0")
    assert bodies == sent[: len(bodies)]
    assert len(sent) - len(bodies) <= 1
    assert any(isinstance(as_message(body), Stop) for body in bodies)


@pytest.mark.requirement("SR-39")
def test_an_exception_in_the_shell_sends_stop_before_it_leaves() -> None:
    controller = Controller(a_treatment(), n2o_profile(), settings(), KeepingSink())
    sent: list[bytes] = []

    class Watching(PeerLink):
        async def send(self, data: bytes) -> None:
            sent.append(data)
            await super().send(data)

    def explode(_now_s: float) -> None:
        if controller.phase is Phase.HOLD:
            raise RuntimeError("made up")

    shell = Supervisor(controller, Watching(a_device()), AutomaticOperator(), explode)

    with (
        asyncio.Runner(loop_factory=VirtualTimeLoop) as runner,
        pytest.raises(ExceptionGroup),
    ):
        runner.run(shell.run(until_s=3600.0))

    assert isinstance(as_message(sent[-1]), Stop)


class LinkThatGoes(PeerLink):
    """A link to a device that is unplugged at a moment."""

    async def receive(self) -> Frame:
        if asyncio.get_running_loop().time() >= 8.0:
            raise LinkError("unplugged")
        return await super().receive()


class LoopWithThreads(VirtualTimeLoop):
    """Virtual time in which whatever a thread would do takes none."""

    def run_in_executor(  # type: ignore[override]
        self, _executor: object, work: Callable[[], object]
    ) -> asyncio.Future[object]:
        done: asyncio.Future[object] = self.create_future()
        try:
            done.set_result(work())
        except (LinkError, FileError, UnicodeError) as error:
            done.set_exception(error)
        return done


def test_whatever_keeps_a_lost_link_shut_is_told_once_and_it_is_tried_again() -> None:
    device = a_device()
    told: list[str] = []
    reasons: list[Exception] = [
        LinkError("no such port"),
        LinkError("no such port"),
        FileError([Problem("ports.toml", 3, "", "cannot be read")]),
        UnicodeError("label empty or too long"),
    ]

    def open_again() -> PeerLink:
        if reasons:
            raise reasons.pop(0)
        return PeerLink(device)

    sink = KeepingSink()
    controller = Controller(a_treatment(count=1), n2o_profile(), settings(), sink)
    supervisor = Supervisor(
        controller,
        LinkThatGoes(device),
        AutomaticOperator(),
        open_again=open_again,
        tell=told.append,
    )
    with asyncio.Runner(loop_factory=LoopWithThreads) as runner:
        runner.run(supervisor.run(until_s=12.0))

    assert told[0] == "the link cannot be opened again: no such port"
    assert "ports.toml" in told[1]
    assert "label empty or too long" in told[2]
    assert len(told) == 3
    assert reasons == []
    assert controller.trips[0].notice.trip is Trip.LINK
