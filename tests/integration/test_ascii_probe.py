"""A probe of another maker, behind its dialect: what it lacks is said, and not made up for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from cryoctl.ascii_dialect import AsciiDialect
from cryoctl.core import Controller, Settings
from cryoctl.cycle_table import Phase
from cryoctl.cycles import Verdict
from cryoctl.operator_requests import Request
from cryoctl.operators import AutomaticOperator
from cryoctl.port_link import Port, PortLink
from cryoctl.provision import not_provided
from cryoctl.supervisor import Supervisor
from cryoctl.treatment import Treatment
from cryoctl.virtual_time import VirtualTimeLoop
from cryoctl_protocol.auth import DEMO_KEY
from cryoctl_protocol.codes import DeviceState, HostMode, Op, SafeAction, Trip
from cryoctl_protocol.host_session import HostSession
from cryoctl_protocol.peer import DeviceUrl, LinkError, open_device
from cryoctl_protocol.profile import load_profile
from cryoctl_simulator.ascii_probe import AsciiProbe
from cryoctl_simulator.device import SimulatedDevice
from tests.support.protocol_builders import command
from tests.support.stack import ListSink, treatment

STEP_S = 0.01


class Line:
    """A line in virtual time with a probe at its other end, as port and as pump."""

    def __init__(self, probe: AsciiProbe) -> None:
        self.probe = probe
        self.written = b""
        self.first_written_s: float | None = None
        self.stalled = False
        self.loses: Callable[[float], bool] = lambda _now_s: False
        self.hears: Callable[[bytes], bytes] = lambda said: said
        self._waiting = b""
        self._open = False
        self._steps = 0

    def fileno(self) -> int:
        return -1

    def read(self) -> bytes:
        return b""

    def write(self, data: bytes) -> int:
        if self.stalled:
            return 0
        if self.first_written_s is None:
            self.first_written_s = asyncio.get_running_loop().time()
        self.written += data
        self._waiting += data
        return len(data)

    def close(self) -> None:
        self._open = False

    def start(self, link: PortLink, port: Port) -> None:
        self._open = True
        self._move(link)

    def want_room(self, wanted: bool) -> None: ...

    def stop(self) -> None:
        self._open = False

    def _move(self, link: PortLink) -> None:
        if not self._open:
            return
        self._steps += 1
        now_s = self._steps * STEP_S
        asyncio.get_running_loop().call_at(now_s, self._deliver, link, now_s)

    def _deliver(self, link: PortLink, now_s: float) -> None:
        waiting, self._waiting = self._waiting, b""
        said = self.hears(self.probe.advance_to(now_s, waiting))
        if said and self._open and not self.loses(now_s):
            link.take(said)
        self._move(link)


class Bench:
    """A controller, the dialect, and a simulated FP-20 in gel."""

    def __init__(self, *, waiver: str = "", speaks_first: bool = True) -> None:
        device = open_device(DeviceUrl.parse("sim:n2o-20g")).peer
        assert isinstance(device, SimulatedDevice)
        self.line = Line(AsciiProbe.on_hardware_of(device))
        self.dialect = AsciiDialect()
        self.link = PortLink(self.line, "line", self.line, self.dialect, speaks_first=speaks_first)
        self.sink = ListSink()
        base = treatment("n2o-20g", count=1, setpoint_c=-40.0, hold_s=2.0).model_dump(by_alias=True)
        base["prewarm"]["duration_s"] = 0.0
        base["thaw"]["mode"] = "active"
        self.controller = Controller(
            Treatment.model_validate(base),
            load_profile("n2o-20g"),
            Settings(key=DEMO_KEY, nonce_seed=b"test", bench_waiver=waiver),
            self.sink,
        )

    def run(self, on_tick: Callable[[float], None] | None = None) -> None:
        shell = Supervisor(self.controller, self.link, AutomaticOperator(), on_tick)
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(shell.run(until_s=120.0))

    @property
    def probe(self) -> AsciiProbe:
        return self.line.probe


def test_a_short_freeze_runs_with_a_waiver_and_ends_thawed() -> None:
    bench = Bench(waiver="gel on a bench")

    bench.run()

    (cycle,) = bench.controller.cycles
    assert (bench.controller.verdict, bench.controller.failure) == (Verdict.PASS, "")
    assert bench.controller.trips == []
    assert cycle.verdict is Verdict.PASS
    coldest_c = min(s.tip_temp_c for _, s in bench.sink.samples if s.tip_temp_c is not None)
    assert -44.0 < coldest_c < -38.0
    assert bench.probe.plant.tip_temp_c > 5.0
    assert b"FREEZE -40.000*" in bench.line.written
    assert bench.dialect.errors == 0


def test_without_a_waiver_it_can_only_be_watched() -> None:
    bench = Bench()

    bench.run()

    assert "the device has no lease and freeze timer of its own" in bench.controller.failure
    assert "monitor only" in bench.controller.failure
    lines = {line.split(b"*")[0] for line in bench.line.written.split(b"\r\n") if line}
    assert lines == {b"ID?", b"READ?"}


def test_what_it_lacks_is_declared_with_the_requirements_that_rest_on_it() -> None:
    bench = Bench()
    bench.run()
    hello = bench.controller.session.hello
    assert hello is not None

    lacking = dict(not_provided(hello.capabilities, hello.sensors))

    assert lacking["LEASE"] == ("SR-01",)
    assert lacking["FREEZE_TIMER"] == ("SR-09",)
    assert lacking["AUTHENTICATION"] == ("SR-24", "SR-25")
    assert "SR-05" in lacking["INNER_LOOP"]
    assert lacking["sensor SKIN"] == ("SR-17",)
    assert hello.key_id == 0
    assert {sample.lease_left_s for _, sample in bench.sink.samples} == {0.0}


@pytest.mark.requirement("SR-29")
def test_a_stop_shuts_its_valve_and_is_believed_only_when_it_says_so() -> None:
    bench = Bench(waiver="gel on a bench")
    asked_s: list[float] = []

    def stop_in_hold(now_s: float) -> None:
        if bench.controller.phase is Phase.HOLD and not asked_s:
            asked_s.append(now_s)
            bench.controller.request(Request.STOP, now_s)

    bench.run(stop_in_hold)

    record = bench.controller.trips[0]
    assert record.notice.trip is Trip.OPERATOR_STOP
    assert record.time_to_safe_ms is not None
    assert record.time_to_safe_ms <= 100.0
    shown = [s for at_s, s in bench.sink.samples if at_s > asked_s[0]]
    safe = next(s for s in shown if s.state == DeviceState.SAFE)
    assert (safe.valve, safe.shutoff_open) == (0.0, 0)
    before = shown[: shown.index(safe)]
    assert all(s.state == DeviceState.FREEZE for s in before)


@pytest.mark.requirement("SR-29")
def test_a_freeze_that_waits_for_a_stalled_port_is_void_with_the_stop_after_it() -> None:
    """It has no counters and holds no trip: told to freeze after OFF, it would freeze."""
    bench = Bench()
    line, link = bench.line, bench.link
    host = HostSession(DEMO_KEY, nonce_seed=b"test")

    async def listen() -> None:
        while True:
            frame = await link.receive()
            host.on_body(frame.data, frame.received_s)

    async def go_on(seconds: float) -> None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + seconds
        while loop.time() < until_s:
            await asyncio.sleep(STEP_S)
            host.poll(loop.time())
            host.lease(HostMode.IDLE, loop.time())
            for body in host.outgoing():
                await link.send(body)

    async def story() -> None:
        loop = asyncio.get_running_loop()
        listening = loop.create_task(listen())
        host.open(loop.time())
        await go_on(1.0)
        for op in (Op.ARM, Op.START):
            host.command(command(op), loop.time())
            await go_on(0.1)
        line.stalled = True
        host.command(command(Op.FREEZE, setpoint_mdegc=-40_000), loop.time())
        await go_on(0.1)
        assert any(unsent.wire.startswith(b"FREEZE -40.000*") for unsent in link._unsent)
        host.stop(SafeAction.OFF, Trip.OPERATOR_STOP)
        await go_on(0.05)
        line.stalled = False
        link.flush()
        await go_on(0.5)
        listening.cancel()
        link.abort()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(story())

    assert b"OFF*" in line.written
    assert b"FREEZE" not in line.written


def test_nothing_stops_it_when_the_controller_is_gone() -> None:
    """What the waiver is about: this probe freezes on."""
    bench = Bench(waiver="gel on a bench")

    def kill(_now_s: float) -> None:
        if bench.controller.phase is Phase.HOLD:
            bench.line.stop()
            raise SystemError("killed")

    with pytest.raises(ExceptionGroup):
        bench.run(kill)
    began_s = bench.line._steps * STEP_S
    bench.probe.advance_to(began_s + 10.0, b"")

    assert bench.probe.plant.tip_temp_c < -38.0


@pytest.mark.requirement("SR-26")
def test_a_probe_that_lost_its_power_is_told_as_a_restart() -> None:
    bench = Bench(waiver="gel on a bench")
    cut: list[bool] = []

    def cut_power(_now_s: float) -> None:
        if bench.controller.phase is Phase.HOLD and not cut:
            cut.append(True)
            bench.probe.power_cycle()

    bench.run(cut_power)

    assert bench.controller.trips[0].notice.trip is Trip.DEVICE_RESTART
    assert bench.controller.verdict is Verdict.SAFETY_TRIP


@pytest.mark.requirement("SR-03")
def test_a_probe_that_answers_no_more_is_a_lost_link() -> None:
    bench = Bench(waiver="gel on a bench")
    cut_s: list[float] = []

    def cut(now_s: float) -> None:
        if bench.controller.phase is Phase.HOLD and not cut_s:
            cut_s.append(now_s)
            bench.line.loses = lambda _now_s: True

    bench.run(cut)

    record = bench.controller.trips[0]
    assert record.notice.trip is Trip.LINK
    assert record.at_s - cut_s[0] <= 0.25


def test_one_answer_that_gets_lost_is_asked_for_again() -> None:
    bench = Bench(waiver="gel on a bench")
    bench.line.loses = lambda now_s: 14.0 <= now_s % 20.0 < 14.015

    bench.run()

    assert bench.controller.verdict is Verdict.PASS
    assert 1 <= bench.dialect.errors <= 2


def test_a_probe_that_only_answers_is_not_asked_without_the_users_word() -> None:
    bench = Bench(speaks_first=False)

    async def listen() -> None:
        with pytest.raises(LinkError, match=r"nothing was heard.*speaks_first=host"):
            await bench.link.receive()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(listen())

    assert bench.line.written == b""


def test_a_device_that_gives_no_sense_is_given_up_after_being_asked_who_it_is() -> None:
    bench = Bench()
    bench.line.hears = lambda _said: b"login: \r\n"

    async def listen() -> None:
        with pytest.raises(LinkError, match=r"text: 'login: .*It was asked"):
            await bench.link.receive()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(listen())

    assert set(bench.line.written.split(b"\r\n")) == {b"", b"ID?*32"}
