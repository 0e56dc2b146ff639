"""Rigs on real links: a served probe's own suite, its power, its keys, and links that are lost."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cryoctl.recording import load_recording
from cryoctl_hil import cable
from cryoctl_hil.rigs.bench import Bench
from cryoctl_hil.rigs.faults import RemoteFaults
from cryoctl_hil.rigs.power import FaultSwitch
from cryoctl_hil.rigs.probe import StalledError, UnsafeProbeError
from cryoctl_hil.rigs.rig import read_rig
from cryoctl_protocol.codes import DeviceState, Result
from cryoctl_protocol.peer import LinkError
from tests.integration.test_board_in_loop import HostBoard, board_stood_still
from tests.integration.test_over_the_wire import Served
from tests.support.broker import DEVICE, plain_broker, require_mosquitto
from tests.support.power_switches import SimulatedRelay

pytestmark = [
    pytest.mark.real_time(prompt=True),
    pytest.mark.timeout(180),
    pytest.mark.xdist_group("rigs in real time"),
    pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo-terminals"),
]
SERVED = {"pty": ("--pty",), "tcp": ("--tcp", "127.0.0.1:0")}


class ServedRig(Served):
    """A served probe, and the rig file for it."""

    def __init__(self, processes: ExitStack, *options: str) -> None:
        super().__init__(processes, "cryoctl", "sim", *options, "--fault-port", "0")
        assert self.process.stdout is not None
        self.fault_port = next(
            line.split()[-1] for line in self.process.stdout if line.startswith("faults at")
        )

    def text(self, power: str = "", *, device: str = "", **more: str) -> str:
        """Return a rig file; without a switch of its own power comes by the fault port."""
        power = power or f'switch = "fault-port"\nport = "{self.fault_port}"\n'
        lines = "".join(f'{name} = "{value}"\n' for name, value in more.items())
        return (
            f'schema = 1\nname = "served"\ndevice = "{device or self.address}"\nquick = true\n'
            f'fault_port = "{self.fault_port}"\n{lines}[power]\n{power}'
        )


@pytest.fixture
def processes() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def opened(processes: ExitStack) -> Callable[..., Bench]:
    def open_rig(text: str, keys: Path | None = None) -> Bench:
        bench = Bench(read_rig(text, "rig.toml"), keys=keys)
        processes.callback(bench.close)
        return bench

    return open_rig


# -- a suite of a user's own ---------------------------------------------------------------------


def own_suite(folder: Path, rig: str, *options: str) -> tuple[int, dict[str, str]]:
    """Run what ``cryoctl hil init`` writes, out of the tree; return the verdicts of its tests."""
    environment = {**os.environ, "PYTHONPATH": ""}
    program = [sys.executable, "-m", "cryoctl", "hil"]
    subprocess.run([*program, "init", str(folder)], check=True, env=environment)
    done = subprocess.run(
        [*program, ".", f"--rig={rig}", "--requirements=requirements.toml", "--out=out", *options],
        cwd=folder,
        env=environment,
        check=False,
    )
    evidence = json.loads((folder / "out" / "evidence.json").read_text("utf-8"))
    return done.returncode, {test["title"]: test["verdict"] for test in evidence["tests"]}


WHOLE = {
    "The tip is at -40 °C within a minute.": "PASS",
    "With an open thermocouple the valve is shut within 0.1 s, and the probe says why.": "PASS",
    "After a power failure in a freeze the probe is idle, and the valve stays shut.": "PASS",
}


def test_the_suite_of_a_user_passes_on_the_simulated_probe(tmp_path: Path) -> None:
    assert own_suite(tmp_path / "ours", "sim.toml") == (0, WHOLE)


@pytest.mark.parametrize("link", ["pty", "tcp"])
def test_the_suite_of_a_user_passes_on_a_link(
    processes: ExitStack, tmp_path: Path, link: str
) -> None:
    rig = tmp_path / "served.toml"
    rig.write_text(ServedRig(processes, *SERVED[link]).text())

    assert own_suite(tmp_path / "ours", str(rig)) == (0, WHOLE)


def test_the_suite_of_a_user_passes_on_a_board(processes: ExitStack, tmp_path: Path) -> None:
    board = HostBoard(processes, tmp_path)

    code, verdicts = own_suite(tmp_path / "ours", f"board:{board.link},{board.channel}", "--quick")

    summaries = [
        load_recording(path).summary or {} for path in (tmp_path / "ours" / "out").rglob("*.mcap")
    ]
    assert any(re.search(r"here +ticks: jitter", str(each.get("board"))) for each in summaries)
    if code != 0 and not os.environ.get("CI"):
        said = "\n".join(line for each in summaries for line in each.get("board", []))
        if board_stood_still(said):
            pytest.skip("this machine stood still for too long")
    assert (code, verdicts) == (0, WHOLE)


def test_a_test_passes_at_a_broker(processes: ExitStack, tmp_path: Path) -> None:
    require_mosquitto()
    broker = processes.enter_context(plain_broker(tmp_path))
    served = ServedRig(processes, "--serial", DEVICE, "--mqtt", broker.url(device=""))
    rig = tmp_path / "served.toml"
    rig.write_text(served.text(device=broker.url()))

    code, verdicts = own_suite(tmp_path / "ours", str(rig), "-k", "thermocouple")

    assert (code, list(verdicts.values())) == (0, ["PASS"])


# -- power ---------------------------------------------------------------------------------------


class Supply:
    """What a relay switches: the power of a served probe."""

    def __init__(self, processes: ExitStack, served: ServedRig) -> None:
        self.states: list[bool] = []
        faults = RemoteFaults(served.fault_port)
        processes.callback(faults.close)
        self._power = FaultSwitch(faults)

    def switched(self, _channel: int, pulled_in: bool) -> None:
        if pulled_in:
            self._power.on()
        else:
            self._power.off()
        self.states.append(pulled_in)


@pytest.mark.requirement("SR-36")
def test_a_relay_takes_a_probes_power_away_and_gives_it_back(
    processes: ExitStack, opened: Callable[..., Bench], tmp_path: Path
) -> None:
    served = ServedRig(processes, "--pty")
    supply = Supply(processes, served)
    relay = SimulatedRelay(switched=supply.switched)
    processes.callback(relay.close)
    bench = opened(served.text(f'switch = "usb-relay"\nport = "{relay.port}"\n'))
    probe = bench.begin(tmp_path / "relay.mcap")
    probe.freeze()
    boots = probe.host.boots
    assert bench.power is not None

    bench.power.cycle()
    probe.wait(lambda _: probe.host.boots > boots, within_s=5.0, step="the probe boots")
    probe.wait_for_state(DeviceState.IDLE, within_s=5.0)

    assert probe.sample.valve == 0.0
    assert supply.states == [True, False, True]
    bench.finish({})


def test_a_probe_that_has_no_power_gets_it_when_a_run_begins(
    processes: ExitStack, opened: Callable[..., Bench], tmp_path: Path
) -> None:
    served = ServedRig(processes, "--pty")
    supply = Supply(processes, served)
    supply.switched(1, False)
    relay = SimulatedRelay(switched=supply.switched)
    processes.callback(relay.close)
    bench = opened(served.text(f'switch = "usb-relay"\nport = "{relay.port}"\n'))

    probe = bench.begin(tmp_path / "relay.mcap")

    assert probe.state is DeviceState.IDLE
    bench.finish({})


# -- who is there --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"serial": "CP-0007"}, "the probe's serial number is SIM-.*, the rig's CP-0007"),
        ({"profile": "co2-20g"}, "profile"),
    ],
)
def test_nothing_is_tried_on_another_probe(
    processes: ExitStack,
    opened: Callable[..., Bench],
    tmp_path: Path,
    more: dict[str, str],
    why: str,
) -> None:
    bench = opened(ServedRig(processes, "--pty").text(**more))

    with pytest.raises(LinkError, match=why):
        bench.begin(tmp_path / "other.mcap")


@pytest.mark.requirement("SR-24")
def test_a_probe_with_keys_of_its_own_needs_them(
    processes: ExitStack, opened: Callable[..., Bench], tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    program = [sys.executable, "-m", "cryoctl", "keys"]
    for words in (["new", "CP-1"], ["export", "CP-1", "--out", str(tmp_path / "key.toml")]):
        subprocess.run([*program, *words, "--keys", str(keys)], check=True)
    text = ServedRig(processes, "--tcp", "127.0.0.1:0", "--key", str(tmp_path / "key.toml")).text()

    without = opened(text, tmp_path / "none")
    with pytest.raises(LinkError, match=r"no session with the probe: .*CP-1"):
        without.begin(tmp_path / "without.mcap")
    without.close()
    bench = opened(text, keys)
    probe = bench.begin(tmp_path / "with.mcap")
    assert probe.self_test() is Result.OK
    bench.finish({})


# -- links that are lost -------------------------------------------------------------------------


@pytest.mark.requirement("SR-03")
def test_a_cable_that_is_pulled_out_and_put_back_ends_one_test_alone(
    processes: ExitStack, opened: Callable[..., Bench], tmp_path: Path
) -> None:
    served = ServedRig(processes, "--pty")
    between = Served(processes, "cryoctl_hil.cable", served.address, str(tmp_path / "port"))
    bench = opened(served.text(device=between.address))
    probe = bench.begin(tmp_path / "pulled.mcap")
    probe.freeze()

    between.process.send_signal(cable.PULL)
    with pytest.raises((LinkError, StalledError)):
        probe.cool_to(-50.0, within_s=3.0)
    between.process.send_signal(cable.PLUG)
    bench.finish({})

    assert probe.sample.valve == 0.0
    after = bench.begin(tmp_path / "after.mcap")
    assert after.state is DeviceState.IDLE
    after.make_ready()
    bench.finish({})


@pytest.mark.requirement("SR-03")
def test_a_probe_that_is_gone_for_good_ends_everything(
    processes: ExitStack, opened: Callable[..., Bench], tmp_path: Path
) -> None:
    served = ServedRig(processes, "--pty")
    bench = opened(served.text())
    probe = bench.begin(tmp_path / "gone.mcap")
    probe.freeze()
    served.process.send_signal(signal.SIGKILL)

    with pytest.raises(UnsafeProbeError):
        bench.finish({})
    with pytest.raises(UnsafeProbeError):
        bench.begin(tmp_path / "never.mcap")
    assert not (tmp_path / "never.mcap").exists()
