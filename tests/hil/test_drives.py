"""Moving time: the thread of a real rig reads, leases and watches, whatever the test is doing."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cryoctl_hil.rigs.bench import Bench
from cryoctl_hil.rigs.drive import LinkGoneError, RealDrive
from cryoctl_hil.rigs.probe import Probe, UnsafeProbeError
from cryoctl_hil.rigs.rig import find_rig
from cryoctl_protocol.codes import Answer, DeviceState, Op
from cryoctl_protocol.peer import Frame, FrameLink

START_S = 30.0


class SilentLink(FrameLink):
    """A link on which nothing ever comes; keeps what was sent."""

    def __init__(self) -> None:
        self.line_errors = 0
        self.sent: list[bytes] = []
        self.closed = False

    async def send(self, data: bytes) -> None:
        self.sent.append(data)

    async def receive(self) -> Frame:
        await asyncio.Event().wait()
        raise AssertionError

    async def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True


class CountingHost:
    """Counts its ticks; raises at one of them if it is told to."""

    def __init__(self, *, fails_at: int = 0) -> None:
        self.ticks = 0
        self._fails_at = fails_at

    def connect(self, now_s: float) -> None:
        pass

    def on_body(self, body: bytes, now_s: float) -> None:
        pass

    def on_line_errors(self, count: int, now_s: float) -> None:
        pass

    def on_link_gone(self, reason: str, now_s: float) -> None:
        pass

    def on_link_back(self, now_s: float) -> None:
        pass

    def tick(self, now_s: float) -> None:
        self.ticks += 1
        if self.ticks == self._fails_at:
            raise ValueError("a mistake of the host")

    def outgoing(self, now_s: float) -> list[bytes]:
        return [b"tick"]

    def crash(self, now_s: float) -> list[bytes]:
        return [b"STOP"]


def test_ticks_go_on_while_the_test_thinks() -> None:
    link, host = SilentLink(), CountingHost()
    drive = RealDrive(link)
    drive.attach(host)
    assert drive.run(lambda: host.ticks >= 5, within_s=5.0)
    assert b"tick" in link.sent
    drive.close()
    assert link.closed


def test_a_wait_that_is_not_met_ends() -> None:
    drive = RealDrive(SilentLink())
    drive.attach(CountingHost())
    assert not drive.run(lambda: False, within_s=0.1)
    drive.close()


def test_a_mistake_in_what_is_waited_for_is_raised_in_the_test() -> None:
    drive = RealDrive(SilentLink())
    drive.attach(CountingHost())
    with pytest.raises(ZeroDivisionError):
        drive.run(lambda: 1 // 0 > 0, within_s=1.0)
    assert drive.run(lambda: True, within_s=1.0)
    drive.close()


def test_nothing_leaves_while_the_line_is_cut() -> None:
    link, host = SilentLink(), CountingHost()
    drive = RealDrive(link)
    drive.cuts.to_device = True
    drive.attach(host)
    assert drive.run(lambda: host.ticks >= 3, within_s=5.0)
    assert link.sent == []
    drive.close()


@pytest.mark.requirement("SR-39")
def test_a_host_that_fails_sends_stop_and_the_test_is_told() -> None:
    link, host = SilentLink(), CountingHost(fails_at=3)
    drive = RealDrive(link)
    drive.attach(host)
    with pytest.raises(LinkGoneError, match="a mistake of the host"):
        drive.run(lambda: False, within_s=5.0)
    drive.close()
    assert link.sent[-1] == b"STOP"


# -- a probe that is served in real time ---


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Bench]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "cryoctl", "sim", "--tcp", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    assert process.stdout is not None
    address = next(
        word for line in process.stdout for word in line.split() if word.startswith("tcp://")
    )
    bench = Bench(find_rig(address))
    yield process, bench
    bench.close()
    process.kill()
    process.wait()
    process.stdout.close()


def open_probe(bench: Bench, tmp_path: Path) -> Probe:
    return bench.begin(tmp_path / "test.mcap")


@pytest.mark.timeout(120)
def test_a_probe_is_driven_in_real_time_and_keeps_its_session(
    served: tuple[subprocess.Popen[str], Bench], tmp_path: Path
) -> None:
    _, bench = served
    probe = open_probe(bench, tmp_path)
    assert probe.ask(Op.FREEZE, setpoint_mdegc=-40_000, duration_ms=1) is Answer.WRONG_STATE
    probe.let_pass(0.5)
    assert probe.sample.lease_left_s > 0.0
    probe.stop()
    session = probe.host.session
    bench.finish({})

    again = bench.begin(tmp_path / "again.mcap")
    assert again.host.session is session
    assert again.state is DeviceState.IDLE
    bench.finish({})


@pytest.mark.timeout(120)
def test_a_simulator_that_is_killed_is_a_link_that_is_gone_and_a_probe_nobody_sees(
    served: tuple[subprocess.Popen[str], Bench], tmp_path: Path
) -> None:
    process, bench = served
    probe = open_probe(bench, tmp_path)
    process.kill()
    with pytest.raises(LinkGoneError, match="the link is gone"):
        probe.wait(lambda _: False, within_s=1.0, step="what never comes")
    assert probe.step == "what never comes"
    with pytest.raises(UnsafeProbeError):
        bench.finish({})
