"""Controller and simulated probe in two processes, over every link there is, in real time."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from io import StringIO
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

import pytest

from cryoctl.cli import invoke
from cryoctl.recording import load_recording
from cryoctl_hil import cable
from cryoctl_hil.bench_probe import program
from cryoctl_hil.wire_logs import commands_sent_after
from tests.support.broker import DEVICE, plain_broker, require_mosquitto, tls_broker
from tests.support.builders import SHORT

# One worker tells the stories once; the first test waits for real seconds.
pytestmark = [
    pytest.mark.real_time(prompt=True),
    pytest.mark.timeout(120),
    pytest.mark.xdist_group("over the wire"),
]


class TooBusyError(Exception):
    """The machine stalled so long that a tick came late (SR-35): that run tells nothing."""


def start(
    processes: ExitStack, module: str, *arguments: str, folder: Path | None = None
) -> subprocess.Popen[str]:
    """Start a program of ours; whatever becomes of the story, it ends with it."""
    process, _ = processes.enter_context(program(module, *arguments, folder=str(folder or ".")))
    return process


class Served:
    """A program in a process of its own that says where it serves."""

    def __init__(self, processes: ExitStack, module: str, *arguments: str) -> None:
        self.process = start(processes, module, *arguments)
        assert self.process.stdout is not None
        lines = iter(self.process.stdout)
        self.address = next(line.split()[1] for line in lines if line.startswith("at "))

    def stop(self) -> str:
        """End it; return what it said last."""
        self.process.send_signal(signal.SIGINT)
        rest, _ = self.process.communicate(timeout=10.0)
        return rest


SERVED = {"pty": ("--pty",), "tcp": ("--tcp", "127.0.0.1:0")}
BROKERS = {"mqtt": plain_broker, "mqtts": tls_broker}


def serve_probe(processes: ExitStack, served: str) -> Served:
    return Served(processes, "cryoctl", "sim", *SERVED[served])


@pytest.fixture
def probe(request: pytest.FixtureRequest) -> Iterator[Served]:
    """Serve a probe as the test's parameter says, else as a serial port."""
    with ExitStack() as processes:
        yield serve_probe(processes, getattr(request, "param", "pty"))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in a folder of our own, with the treatment in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "short.toml").write_text(SHORT)


class Told(NamedTuple):
    """How a treatment over the wire ended."""

    exit_code: int
    summary: dict[str, Any]
    recording: Path
    probe: str


class Controller:
    """``cryoctl run`` in a process of its own, on a probe in another.

    Args:
        address: Of what stands between them; empty if nothing does.
    """

    def __init__(
        self, processes: ExitStack, folder: Path, probe: Served, address: str = ""
    ) -> None:
        self.folder = folder
        self.probe = probe
        (folder / "short.toml").write_text(SHORT)
        self.process = start(
            processes, "cryoctl", "run", "short.toml", "--arm-and-start", "--device",
            address or probe.address, "--out", "run", folder=folder,
        )  # fmt: skip

    def until(self, word: str) -> None:
        """Read what it says until a line has ``word`` in it."""
        assert self.process.stdout is not None
        if not any(word in line for line in self.process.stdout):
            told = self.ended_by(is_told=False)
            raise AssertionError(f"it ended without saying {word}: {told.summary}")

    def ended_by(self, *causes: str, is_told: bool = True) -> Told:
        """Wait for its end, and end the probe.

        Args:
            causes: One of them must have ended it; none if it was to come to its own end.
            is_told: False if it ended before what was to be told.

        Raises:
            TooBusyError: It ended otherwise, on a machine that had stood still meanwhile.
        """
        self.process.communicate(timeout=60.0)
        said = self.probe.stop() if self.probe.process.poll() is None else ""
        self.probe.process.communicate()
        run = self.folder / "run"
        summary = json.loads((run / "summary.json").read_text("utf-8"))
        told = Told(self.process.returncode, summary, run / "run.mcap", said)
        first = [trip["id"] for trip in summary["trips"][:1]]
        whole = not (causes or summary["failure"] or summary["frames_lost"])
        is_told &= first[0] in causes if first else whole
        if not is_told and self.stood_still(told):
            late_ms = summary["tick_late_ms_max"]
            raise TooBusyError(f"{first}, a tick {late_ms} ms late, {said.splitlines()[-1:]}")
        return told

    @staticmethod
    def stood_still(told: Told) -> bool:
        """Return True if the machine did for long, as the controller or the probe saw it."""
        lost = re.search(r"(\d+) ticks", told.probe)
        return told.summary["tick_late_ms_max"] > STILL_MS or (
            lost is not None and int(lost[1]) > 0
        )


def a_whole_treatment(processes: ExitStack, folder: Path, served: str) -> Told:
    return Controller(processes, folder, serve_probe(processes, served)).ended_by()


def a_treatment_at_a_broker(processes: ExitStack, folder: Path, served: str) -> Told:
    broker = processes.enter_context(BROKERS[served](folder))
    name, desk = (DEVICE, "desk") if served == "mqtts" else ("", "")
    probe = Served(
        processes, "cryoctl", "sim", "--serial", DEVICE, "--mqtt", broker.url(name, device="")
    )
    return Controller(processes, folder, probe, broker.url(desk)).ended_by()


def a_probe_that_dies(processes: ExitStack, folder: Path, served: str) -> Told:
    controller = Controller(processes, folder, serve_probe(processes, served))
    controller.until("COOLING")
    controller.probe.process.kill()
    return controller.ended_by("LINK")


def a_ctrl_c(processes: ExitStack, folder: Path, served: str) -> Told:
    controller = Controller(processes, folder, serve_probe(processes, served))
    controller.until("HOLD")
    controller.process.send_signal(signal.SIGINT)
    return controller.ended_by("OPERATOR_STOP")


def a_replugged_cable(processes: ExitStack, folder: Path, served: str) -> Told:
    probe = serve_probe(processes, served)
    between = Served(processes, "cryoctl_hil.cable", probe.address, str(folder / "port"))
    controller = Controller(processes, folder, probe, between.address)
    controller.until("COOLING")
    between.process.send_signal(cable.PULL)
    time.sleep(1.0)
    between.process.send_signal(cable.PLUG)
    told = controller.ended_by("LINK")
    between.process.communicate()
    return told


Story = Callable[[ExitStack, Path, str], Told]
TELLINGS = 3
STILL_MS = 60.0
"""After 100 ms without readings a board finds its sensors broken, and it is right to."""
AT_ONCE = 3
STORIES: dict[str, tuple[Story, str]] = {
    "pty": (a_whole_treatment, "pty"),
    "tcp": (a_whole_treatment, "tcp"),
    "dies": (a_probe_that_dies, "tcp"),
    "ctrl-c": (a_ctrl_c, "tcp"),
    "replugged": (a_replugged_cable, "pty"),
    "mqtt": (a_treatment_at_a_broker, "mqtt"),
    "mqtts": (a_treatment_at_a_broker, "mqtts"),
}


def tell(story: Story, served: str, new_folder: Callable[[], Path]) -> Told:
    """Tell a story, and once more if the machine was too busy for it."""
    busy = []
    for _ in range(TELLINGS):
        try:
            with ExitStack() as processes:
                return story(processes, new_folder(), served)
        except TooBusyError as error:
            busy.append(str(error))
    raise AssertionError(f"the machine was too busy each time: {'; '.join(busy)}")


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Told]]]:
    """Tell all stories at the same time: they wait for real seconds, not for the processor."""
    folder = tmp_path_factory.mktemp("stories")  # Here, not by threads that would race for it.
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {
            name: pool.submit(tell, story, served, lambda: Path(mkdtemp(dir=folder)))
            for name, (story, served) in STORIES.items()
        }


@pytest.mark.parametrize("served", [*SERVED, *BROKERS])
def test_a_treatment_in_another_process_ends_as_in_memory(
    stories: dict[str, Future[Told]], served: str
) -> None:
    if served in BROKERS:
        require_mosquitto()
    told = stories[served].result()

    assert invoke(["run", "short.toml", "--out", "memory"]) == 0
    in_memory = json.loads(Path("memory/summary.json").read_text("utf-8"))
    assert (told.exit_code, told.summary["verdict"]) == (0, "PASS")
    assert told.summary["verdict"] == in_memory["verdict"]
    assert told.summary["cycles"][0]["truth"] is None
    assert told.summary["frames_lost"] == told.summary["frames_rejected"] == 0
    assert load_recording(told.recording).complete
    # What a probe says before it is at its broker is nobody's.
    dropped = "" if served in BROKERS else ", 0 bytes dropped"
    assert f"opened 1 times, 0 refused{dropped}" in told.probe


@pytest.mark.requirement("SR-03")
def test_a_probe_that_dies_in_a_freeze_is_a_lost_link_and_exit_3(
    stories: dict[str, Future[Told]],
) -> None:
    told = stories["dies"].result()

    assert (told.exit_code, told.summary["trips"][0]["id"]) == (3, "LINK")
    assert "SAFE_NOT_CONFIRMED" in told.summary["alarms"]


@pytest.mark.requirement("SR-03")
def test_a_cable_that_is_put_back_shows_the_probe_safe_and_carries_no_command_over(
    stories: dict[str, Future[Told]],
) -> None:
    told = stories["replugged"].result()

    first = told.summary["trips"][0]
    assert (told.exit_code, first["id"]) == (3, "LINK")
    assert 1000.0 < first["time_to_safe_ms"] < 5000.0
    assert "SAFE_NOT_CONFIRMED" not in told.summary["alarms"]
    assert commands_sent_after(told.recording, first["at_s"]) == 0


@pytest.mark.requirement("SR-29")
def test_ctrl_c_makes_the_probe_safe_over_the_wire(stories: dict[str, Future[Told]]) -> None:
    told = stories["ctrl-c"].result()

    assert (told.exit_code, told.summary["verdict"]) == (130, "ABORTED")
    assert told.summary["trips"][0]["time_to_safe_ms"] <= 100.0


def test_a_port_without_a_probe_is_refused_and_nothing_sent(
    capsys: pytest.CaptureFixture[str],
) -> None:
    import pty
    import tty

    master, slave = pty.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    threading.Timer(0.5, os.write, (master, b"\r\nBusyBox login: ")).start()
    began_s = time.monotonic()

    code = invoke(
        ["run", "short.toml", "--arm-and-start", "--device", f"serial:{os.ttyname(slave)}",
         "--out", "run"]
    )  # fmt: skip

    assert code == 3
    assert time.monotonic() - began_s < 5.0
    assert "no probe: 17 bytes in 3 s and no frame among them" in capsys.readouterr().out
    with pytest.raises(BlockingIOError):
        os.read(master, 1)
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize("probe", SERVED, indirect=True)
def test_a_real_device_is_not_armed_without_a_person(
    probe: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", StringIO())

    assert invoke(["run", "short.toml", "--device", probe.address]) == 2
    assert "armed and started by hand" in capsys.readouterr().err


def test_a_real_device_runs_at_its_own_speed(
    probe: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    code = invoke(
        ["run", "short.toml", "--device", probe.address, "--speed", "10", "--arm-and-start"]
    )

    assert code == 2
    assert "a real device runs at 1" in capsys.readouterr().err


@pytest.mark.parametrize("probe", SERVED, indirect=True)
def test_a_monitor_shows_the_probe_and_sends_nothing(
    probe: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["monitor", "--device", probe.address, "--seconds", "2.5"]) == 0

    last = capsys.readouterr().out.splitlines()[-1]
    assert "connected  state IDLE  tip 3" in last


def test_a_monitor_of_a_probe_that_goes_says_so(
    probe: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    threading.Timer(1.5, probe.process.kill).start()

    assert invoke(["monitor", "--device", probe.address]) == 3
    assert probe.address.removeprefix("serial:") in capsys.readouterr().err


def test_a_simulated_device_is_nothing_to_listen_to(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["monitor", "--device", "sim:"]) == 2
    assert "give a serial: or tcp: address" in capsys.readouterr().err
