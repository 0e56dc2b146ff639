"""A board in the loop under the real controller: the catalogue's faults, and in real time.

Faults run in virtual time, on a board in memory with the drop-in HAL. In real time the board is the
C firmware, a program of its own behind two pseudo-terminals.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest

from cryoctl.core import Controller as Core
from cryoctl.core import Settings
from cryoctl.lockstep import LockStep
from cryoctl.operators import AutomaticOperator
from cryoctl_hil import cable
from cryoctl_protocol.auth import DEMO_KEY
from cryoctl_protocol.codes import DeviceState
from cryoctl_protocol.peer import DeviceUrl, SyncPeer, open_device
from cryoctl_protocol.profile import load_profile
from cryoctl_simulator.faults import CATALOGUE
from tests.integration.test_over_the_wire import (
    STILL_MS,
    TELLINGS,
    Controller,
    Served,
    Story,
    Told,
    TooBusyError,
)
from tests.support.board_rig import FIRMWARE, INCLUDES, INJECTED, open_rig
from tests.support.builders import KeepingSink, a_treatment
from tests.support.c_device import C_LIBRARY, WARNINGS, compiler

# -- faults --------------------------------------------------------------------------------------


def first_trip(peer: SyncPeer) -> tuple[str, float]:
    """Return the first cause of a treatment with one short freeze, and when: s since its start."""
    sink = KeepingSink()
    settings = Settings(key=DEMO_KEY, nonce_seed=b"board")
    plan = a_treatment(count=1, setpoint_c=-40.0, hold_s=3.0)
    core = Core(plan, load_profile("n2o-20g"), settings, sink)
    LockStep(core, peer, AutomaticOperator()).run(until_s=40.0)
    trip = next(event for event in sink.events if event.kind == "trip")
    cooling = next(event for event in sink.events if event.data.get("target") == "COOLING")
    return str(trip.data["id"]), trip.at_s - cooling.at_s


def by_the_model(query: str) -> tuple[str, float]:
    peer = open_device(DeviceUrl.parse(f"sim:n2o-20g?seed=1&{query}")).peer
    assert peer is not None
    return first_trip(peer)


@pytest.mark.parametrize(
    "fault",
    [
        "tc_open", "pressure_frozen", "skin_open", "adc_reference",
        "valve_stuck_open", "valve_leak",
        "cartridge_hot", "exhaust_blocked",
        "vbat_low", "brownout", "power_cut", "reset_loop",
        "tick_late",
        "duplicate", "dual_master",
    ],
)  # fmt: skip
def test_a_fault_in_a_freeze_has_the_same_first_cause_on_a_board(fault: str) -> None:
    query = f"fault={fault}@freeze%2B2s"

    on_board, board_s = first_trip(open_rig(query)[1])
    with_model, model_s = by_the_model(query)

    assert on_board == with_model
    assert board_s == pytest.approx(model_s, abs=0.15)


@pytest.mark.parametrize("fault", ["hang", "drop", "truncate"])
def test_a_fault_that_two_checks_race_for_has_one_of_its_causes_on_a_board(fault: str) -> None:
    on_board, _ = first_trip(open_rig(f"fault={fault}@freeze%2B2s")[1])

    assert on_board in CATALOGUE[fault].expected_in(DeviceState.FREEZE).answers


# -- in real time --------------------------------------------------------------------------------


@cache
def board_program() -> Path:
    """Return the C firmware as a program of this computer, compiled without a warning."""
    program = Path(mkdtemp()) / "board"
    sources = [
        FIRMWARE / "host" / "main.c",
        INJECTED / "hal_injected.c",
        *FIRMWARE.glob("*.c"),
        *C_LIBRARY.glob("*.c"),
    ]
    flags = ["-std=c11", "-O2", *WARNINGS, *INCLUDES]
    done = subprocess.run(
        [*compiler(), *flags, *map(str, sources), "-o", str(program)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return program


class HostBoard:
    """The program, and the pseudo-terminals that it has made."""

    def __init__(self, processes: ExitStack, folder: Path) -> None:
        page = folder / "page.bin"
        subprocess.run(
            [sys.executable, "-m", "cryoctl_simulator.board_page", str(page)], check=True
        )
        self.process = processes.enter_context(
            subprocess.Popen([str(board_program()), str(page)], stdout=subprocess.PIPE, text=True)
        )
        processes.callback(self.process.kill)
        assert self.process.stdout is not None
        self.link, self.channel = (self.process.stdout.readline().split()[1] for _ in range(2))
        for port in (self.link, self.channel):
            # Held, its number is not given to another test's terminal once the board is killed:
            # who opens a lost port again would come to a stranger.
            processes.callback(os.close, os.open(port, os.O_RDWR | os.O_NOCTTY))

    def served(self, processes: ExitStack, channel: str = "") -> Served:
        """Serve a probe with this board in the loop."""
        ports = f"board:{self.link},{channel or self.channel}"
        return Served(processes, "cryoctl", "sim", "--pty", "--firmware", ports)


class BoardController(Controller):
    """``cryoctl run`` on a probe whose firmware is a board."""

    @staticmethod
    def stood_still(told: Told) -> bool:
        """Return True if the machine did for long, by the board's own clock."""
        return board_stood_still(told.probe)


def board_stood_still(said: str) -> bool:
    """Return True if the machine did for long, by what a board said when it ended."""
    return max(map(float, re.findall(r"max (\d+\.\d+) ms", said)), default=0.0) > STILL_MS


def a_treatment_on_a_board(processes: ExitStack, folder: Path, _served: str) -> Told:
    board = HostBoard(processes, folder)
    return BoardController(processes, folder, board.served(processes)).ended_by()


def a_board_that_dies(processes: ExitStack, folder: Path, _served: str) -> Told:
    board = HostBoard(processes, folder)
    controller = BoardController(processes, folder, board.served(processes))
    controller.until("COOLING")
    board.process.kill()
    return controller.ended_by("LINK")


def a_channel_pulled_out(processes: ExitStack, folder: Path, _served: str) -> Told:
    board = HostBoard(processes, folder)
    port = folder / "channel"
    between = Served(processes, "cryoctl_hil.cable", f"serial:{board.channel}", str(port))
    controller = BoardController(processes, folder, board.served(processes, str(port)))
    controller.until("COOLING")
    between.process.send_signal(cable.PULL)
    time.sleep(1.0)
    between.process.send_signal(cable.PLUG)
    return controller.ended_by("TIP_SENSOR", "SENSOR_OPEN")


STORIES: dict[str, Story] = {
    "whole": a_treatment_on_a_board,
    "dies": a_board_that_dies,
    "unplugged": a_channel_pulled_out,
}


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Told | None]]]:
    """Tell all stories at the same time: they wait for real seconds, not for the processor."""
    folder = tmp_path_factory.mktemp("boards")
    board_program()
    with ThreadPoolExecutor(2) as pool:
        yield {
            name: pool.submit(told_or_busy, story, lambda: Path(mkdtemp(dir=folder)))
            for name, story in STORIES.items()
        }


def told_or_busy(story: Story, new_folder: Callable[[], Path]) -> Told | None:
    """Tell a story; None if this machine stood still each time."""
    for _ in range(TELLINGS):
        with ExitStack() as processes, suppress(TooBusyError):
            return story(processes, new_folder(), "")
    return None


def result_of(story: Future[Told | None]) -> Told:
    """Return what was told; where no machine is busy by chance, that is a must."""
    told = story.result()
    if told is None:
        reason = f"this machine stood still for more than {STILL_MS:g} ms, {TELLINGS} times"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return told


real_time = [
    pytest.mark.real_time(prompt=True),
    pytest.mark.timeout(240),
    pytest.mark.xdist_group("board in the loop"),
    pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo-terminals"),
]


class TestInRealTime:
    pytestmark = real_time

    def test_a_whole_treatment_passes_on_a_board(
        self, stories: dict[str, Future[Told | None]]
    ) -> None:
        told = result_of(stories["whole"])

        assert (told.exit_code, told.summary["verdict"]) == (0, "PASS")
        assert told.summary["frames_rejected"] == 0
        assert "damaged: 0 and 0" in told.probe
        assert re.search(r"deadlines +\d+ of \d{4,} missed", told.probe)

    @pytest.mark.requirement("SR-03")
    def test_a_board_that_is_killed_in_a_freeze_is_a_lost_link(
        self, stories: dict[str, Future[Told | None]]
    ) -> None:
        told = result_of(stories["dies"])

        assert (told.exit_code, told.summary["trips"][0]["id"]) == (3, "LINK")
        assert "vanished: link 1, channel 1 times" in told.probe

    def test_a_channel_that_is_pulled_out_in_a_freeze_is_a_broken_sensor(
        self, stories: dict[str, Future[Told | None]]
    ) -> None:
        told = result_of(stories["unplugged"])

        assert told.summary["trips"][0]["id"] in {"TIP_SENSOR", "SENSOR_OPEN"}
        assert told.exit_code != 0


def test_ports_without_a_board_are_told_apart(tmp_path: Path) -> None:
    with ExitStack() as processes:
        board = HostBoard(processes, tmp_path)
        swapped = f"board:{board.channel},{board.link}"
        done = subprocess.run(
            [sys.executable, "-m", "cryoctl", "sim", "--pty", "--firmware", swapped],
            capture_output=True,
            text=True,
            check=False,
            timeout=30.0,
        )

    assert done.returncode == 3
    assert "no build has announced itself in 3 s" in done.stderr
    assert json.dumps(done.stderr).count("\\n") <= 2


def test_a_port_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    from cryoctl.cli import invoke

    code = invoke(["sim", "--pty", "--firmware", "board:/dev/no-such-port,/dev/neither"])

    assert code == 3
    assert "board: /dev/no-such-port" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["board:", "board:/dev/a", "board:/dev/a,/dev/a"])
def test_a_board_needs_two_ports(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    from cryoctl.cli import invoke

    assert invoke(["sim", "--pty", "--firmware", name]) in {2, 3}
    assert "give two ports" in capsys.readouterr().err
