"""A board in the loop: the drop-in HAL, its channel, and a probe whose firmware is behind both.

The HAL is the C one; the board around it lives in virtual time (``board_rig``).
"""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from cryoctl_protocol.codes import DeviceState, Trip
from cryoctl_protocol.framing import Deframer, Reject, parse
from cryoctl_protocol.peer import AddressError, DeviceUrl
from cryoctl_simulator.board_channel import Actuated, Announced, Channel
from cryoctl_simulator.board_page import main as write_page
from cryoctl_simulator.board_statistics import BoardStatistics
from cryoctl_simulator.firmware_state import Outputs
from cryoctl_simulator.instruments import Readings
from cryoctl_simulator.link import open_link
from cryoctl_simulator.served.fault_port import FaultServer
from tests.simulator.driver import Driver
from tests.support.board_rig import HANG, INCLUDES, INJECTED, RESET, TICK, Hal, open_rig
from tests.support.c_device import C_LIBRARY, compiler

MS = 1000
READINGS = Readings(*range(-3, 8))
DRIVEN = Outputs(valve_permille=700, shutoff_open=True, led=True)
WHOLE = Outputs(1000, True, 999, True, 998, True, True, True, 7, 6, 5)
OFF = Outputs()


class Bench:
    """The HAL on a bench: somebody sends it frames and reads what it says."""

    def __init__(self, build: str = "bench") -> None:
        self.hal = Hal()
        self.channel = Channel()
        self.hal.init(build)
        self.number = 0

    def sense(self, readings: Readings = READINGS) -> None:
        self.number += 1
        self.hal.incoming += self.channel.sense(self.number, readings)

    def control(self, what: int, duration_ms: int = 0) -> None:
        self.hal.incoming += self.channel.control(what, duration_ms)

    def said(self) -> list[Actuated | Announced]:
        data, self.hal.outgoing = self.hal.outgoing, b""
        return self.channel.listen(data)

    def outputs(self, driven: Outputs = DRIVEN) -> Outputs:
        self.said()
        self.hal.end(driven)
        (actuated,) = self.said()
        assert isinstance(actuated, Actuated)
        return actuated.outputs


@pytest.fixture
def bench() -> Bench:
    """A HAL whose deframer has seen its first delimiter, as after a RESET that it did not need."""
    made = Bench()
    made.hal.incoming = b"\0"
    return made


# -- the drop-in HAL -----------------------------------------------------------------------------


def test_the_first_frame_says_which_build_it_is() -> None:
    assert Bench("my probe 2.1").said() == [Announced(1, "my probe 2.1")]
    assert Bench("x" * 40).said() == [Announced(1, "x" * 32)]


def test_readings_and_outputs_cross_the_channel_unchanged(bench: Bench) -> None:
    bench.said()
    bench.sense()

    assert bench.hal.begin(0) == TICK
    assert bench.hal.readings == READINGS
    bench.hal.end(WHOLE)
    (actuated,) = bench.said()

    assert actuated == Actuated(1, 1, 0, 0, 0, WHOLE)


def test_the_newest_readings_count_and_lost_ones_are_counted(bench: Bench) -> None:
    bench.said()
    bench.sense(Readings(tip_mdegc=1))
    bench.channel.sense(2, READINGS)
    bench.number = 3
    bench.sense(Readings(tip_mdegc=4))

    bench.hal.begin(0)
    bench.hal.end(OFF)
    (actuated,) = bench.said()

    assert bench.hal.readings.tip_mdegc == 4
    assert isinstance(actuated, Actuated)
    assert (actuated.number, actuated.lost) == (4, 2)


@pytest.mark.parametrize("began_us", [0, 2**32 - 50 * MS])
def test_without_readings_for_100_ms_sensors_are_open_and_outputs_off(
    bench: Bench, began_us: int
) -> None:
    bench.sense()
    bench.hal.begin(began_us)

    assert bench.hal.begin(began_us + 99 * MS) == TICK
    assert (bench.hal.readings, bench.outputs()) == (READINGS, DRIVEN)
    assert bench.hal.begin(began_us + 100 * MS) == TICK
    assert bench.hal.readings == Readings(open_circuit=0x3FF)
    assert bench.outputs() == OFF


def test_a_silence_longer_than_the_clock_is_still_one(bench: Bench) -> None:
    bench.sense()
    bench.hal.begin(0)
    bench.hal.begin(200 * MS)

    bench.hal.begin(2**32 + 10 * MS)

    assert bench.hal.readings.open_circuit == 0x3FF
    assert bench.outputs() == OFF


def test_at_power_up_the_first_tick_waits_100_ms_for_readings(bench: Bench) -> None:
    assert [bench.hal.begin(now_ms * MS) for now_ms in (5, 50, 104)] == [HANG] * 3
    assert bench.hal.begin(105 * MS) == TICK
    assert bench.hal.readings.open_circuit == 0x3FF


def test_a_hang_lasts_as_long_as_it_is_told_to(bench: Bench) -> None:
    bench.sense()
    bench.hal.begin(0)
    bench.control(2, duration_ms=30)

    assert [bench.hal.begin(now_ms * MS) for now_ms in (10, 39)] == [HANG] * 2
    assert bench.hal.begin(40 * MS) == TICK


def test_the_next_readings_end_a_hang(bench: Bench) -> None:
    bench.control(2, duration_ms=1000)
    assert bench.hal.begin(0) == HANG
    bench.sense()

    assert bench.hal.begin(10 * MS) == TICK


def test_a_reset_gets_through_whatever_came_before(bench: Bench) -> None:
    bench.hal.incoming = b"half a frame"
    bench.control(1)

    assert bench.hal.begin(0) == RESET


def test_garbage_to_the_board_is_counted_and_changes_nothing(bench: Bench) -> None:
    bench.said()
    noise = random.Random(7).randbytes(900)
    bench.sense()
    bench.hal.begin(0)
    bench.hal.incoming = noise + b"\0"

    for now_ms in range(10, 60, 10):
        assert bench.hal.begin(now_ms * MS) == TICK

    assert bench.hal.readings == READINGS
    bench.hal.end(DRIVEN)
    (actuated,) = bench.said()
    assert isinstance(actuated, Actuated)
    assert (actuated.outputs, actuated.damaged > 0) == (DRIVEN, True)


@pytest.mark.parametrize("standard", ["-std=c99", "-std=c11"])
def test_a_release_build_refuses_the_channel(tmp_path: Path, standard: str) -> None:
    command = [
        *compiler(), standard, f"-I{C_LIBRARY}", *INCLUDES, "-c", str(INJECTED / "hal_injected.c"),
        "-o", str(tmp_path / "hal.o"),
    ]  # fmt: skip

    bench_build = subprocess.run(command, capture_output=True, text=True, check=False)
    release = subprocess.run(
        [*command, "-DCRYO_RELEASE"], capture_output=True, text=True, check=False
    )

    assert bench_build.returncode == 0, bench_build.stderr
    assert release.returncode != 0
    assert "never in a release build" in release.stderr


# -- the simulator's end of the channel ----------------------------------------------------------


def test_a_protocol_port_refuses_every_frame_of_the_channel() -> None:
    hal, channel = Hal(), Channel()
    hal.init()
    hal.end(OFF)
    said = b"\0" + channel.sense(1, READINGS) + channel.control(1) + hal.outgoing

    bodies = Deframer().feed(said)

    assert len(bodies) == 4
    assert {parse(body) for body in bodies} == {Reject.UNKNOWN_ID}


def test_a_driver_saturates_whatever_it_is_told(bench: Bench) -> None:
    bench.sense()
    bench.hal.begin(0)

    wild = Outputs(valve_permille=2**31 - 1, tip_heater_permille=-5, skin_warmer_permille=1001)
    assert bench.outputs(wild) == Outputs(valve_permille=1000, skin_warmer_permille=1000)
    endless = Outputs(stimulus_ua=2**31 - 1, stimulus_hz=2, stimulus_pulse_us=100)
    assert bench.outputs(endless).stimulus_ua == 20_000
    assert bench.outputs(Outputs(stimulus_ua=500)).stimulus_ua == 0  # No pulses, no current.


def test_garbage_from_a_board_is_counted_and_what_follows_is_heard() -> None:
    hal, channel = Hal(), Channel()
    hal.init("after")
    noise = random.Random(3).randbytes(5000)

    assert channel.listen(b"\0" + noise + hal.outgoing) == [Announced(1, "after")]
    assert channel.damaged > 0


def actuated(seq: int, number: int, tick_us: int) -> Actuated:
    return Actuated(seq, number, tick_us, 0, 0, OFF)


def test_jitter_is_by_the_boards_own_clock_which_wraps() -> None:
    statistics = BoardStatistics()
    tick_us = 2**32 - 5000
    for seq, late_us in enumerate([0, 0, 40, 0, 3000]):
        tick_us += 10_000
        statistics.on_actuate(actuated(seq, seq, (tick_us + late_us) % 2**32))

    assert str(statistics.board) == "p50 0.05 ms, p99 3.00 ms, max 3.00 ms over 4 ticks"


def test_a_frame_that_is_missing_is_lost_and_no_late_tick() -> None:
    statistics = BoardStatistics()
    for seq in (65535, 0, 3):
        statistics.on_actuate(actuated(seq, seq, seq * 10_000 % 2**32))

    assert statistics.lost_up == 2
    assert statistics.board.count == 1


@pytest.mark.parametrize(("answered", "missed"), [(0, 3), (1, 2), (2, 1), (3, 1)])
def test_an_answer_is_due_at_the_next_tick_but_one(answered: int, missed: int) -> None:
    statistics = BoardStatistics()
    for number in range(1, 5):
        statistics.on_sense(number, number * 10_000)
        if number == answered:
            statistics.on_actuate(actuated(0, answered, 0))

    statistics.on_sense(5, 50_000)

    assert (statistics.missed, statistics.senses) == (missed, 5)


def test_ticks_that_are_made_up_for_at_once_miss_no_deadline() -> None:
    statistics = BoardStatistics()

    for number in range(1, 6):
        statistics.on_sense(number, number * 100)

    assert statistics.missed == 0


# -- a probe whose firmware is on a board --------------------------------------------------------


class BoardDriver(Driver):
    """A plain controller of a probe whose firmware is on a board in memory."""

    def __init__(self, query: str = "") -> None:
        super().__init__("sim:n2o-20g")
        _, probe, self.board = open_rig(query)
        self.device = probe
        self.loop = probe.board

    @property
    def valve(self) -> float:
        return self.device.actuators.valve

    def tick(self, count: int = 1) -> None:
        """Move by whole device ticks without a word."""
        for _ in range(count):
            self.device.advance_to((self.device._ticks + 1) / 100.0, b"")

    def inject_now(self, fault: str, lasting: str = "") -> None:
        """Have a fault begin with the next tick."""
        self.device.inject(f"{fault}@{(self.device._ticks + 1) / 100.0:.2f}s{lasting}")

    def ticks_until(self, count: int, state: str) -> int:
        """Return after how many ticks the valve is ``shut`` or ``open``."""
        for tick in range(1, count + 1):
            self.tick()
            if (self.valve > 0.0) == (state == "open"):
                return tick
        raise AssertionError(f"the valve is not {state}")


def freezing(query: str = "") -> BoardDriver:
    """Return a probe two seconds into a freeze."""
    driver = BoardDriver(query)
    driver.start()
    driver.freeze()
    driver.run_s(2.0)
    assert (driver.state, driver.valve > 0.0) == (DeviceState.FREEZE, True)
    return driver


def test_a_board_in_the_loop_freezes_and_keeps_time() -> None:
    driver = freezing()

    assert driver.device.plant.tip_temp_c < 0.0
    assert driver.device.device_id == "RIG"
    assert driver.loop.build == "rig"
    report = "\n".join(driver.loop.report())
    assert "deadlines  0 of" in report
    assert "frames lost: 0 to the board, 0 from it; damaged: 0 and 0" in report


@pytest.mark.requirement("SR-03")
def test_the_valve_springs_shut_when_the_board_dies() -> None:
    driver = freezing()

    driver.board.is_dead = True

    assert driver.ticks_until(20, "shut") <= 17
    driver.tick(300)
    assert driver.valve == 0.0


@pytest.mark.requirement("SR-06")
def test_without_the_channel_hardware_and_board_both_end_the_freeze() -> None:
    driver = freezing()

    driver.board.is_plugged = False

    assert driver.ticks_until(20, "shut") <= 17
    driver.run_s(0.5)
    assert driver.board.firmware.outputs.valve_permille == 0
    assert driver.telemetry()[-1].trip in {Trip.TIP_SENSOR, Trip.SENSOR_OPEN}


def test_a_channel_that_comes_back_finds_the_trip_latched() -> None:
    driver = freezing()
    driver.board.is_plugged = False
    driver.run_s(0.5)

    driver.board.is_plugged = True
    driver.run_s(0.5)

    assert driver.valve == 0.0
    assert driver.board.firmware.state.trip in {Trip.TIP_SENSOR, Trip.SENSOR_OPEN}


def test_garbage_among_the_frames_of_the_channel_disturbs_no_freeze() -> None:
    driver = freezing()

    driver.board.noise = b"\0" + random.Random(5).randbytes(30) + b"\0"
    driver.run_s(2.0)

    statistics = driver.loop.statistics
    assert (driver.state, driver.valve > 0.0) == (DeviceState.FREEZE, True)
    assert (statistics.damaged_down > 0, statistics.lost_down) == (True, 0)


def test_a_reset_button_lets_go_of_every_output() -> None:
    driver = freezing()

    driver.board._boot()

    assert driver.ticks_until(3, "shut") <= 3
    driver.run_s(1.0)
    assert driver.valve == 0.0
    assert driver.loop.statistics.begun == 3  # Power-up, the first reset, the button.


def test_a_hang_keeps_outputs_until_the_watchdog_resets_the_board() -> None:
    driver = freezing()
    driver.inject_now("hang")
    driver.tick()
    began = driver.board.ticks

    driver.tick(13)
    assert (driver.board.ticks - began <= 1, driver.valve > 0.0) == (True, True)
    driver.tick(5)

    assert (driver.valve, driver.board.boots) == (0.0, 3)  # Power-up, first reset, watchdog.


def test_late_ticks_are_made_by_the_board_as_seldom_as_they_should_be() -> None:
    driver = BoardDriver("fault=tick_late(period_ms=50)@2s")
    driver.run_s(2.1)
    before = driver.board.ticks

    driver.tick(200)

    assert 38 <= driver.board.ticks - before <= 42


@pytest.mark.parametrize("fault", ["brownout(off_ms=1000)", "power_cut"])
def test_without_power_nothing_is_driven_and_a_new_boot_follows(fault: str) -> None:
    driver = freezing()
    driver.inject_now(fault, ":1s")

    driver.tick()
    assert (driver.device.firmware, driver.valve) == (None, 0.0)
    driver.tick(200)

    assert driver.board.boots == 3
    assert (driver.state, driver.valve) == (DeviceState.IDLE, 0.0)


def test_a_reset_that_got_lost_is_said_again_after_a_second() -> None:
    driver = BoardDriver()
    driver.board.is_plugged = False
    driver.tick(50)
    driver.board.is_plugged = True

    driver.tick(40)
    assert driver.board.boots == 1
    driver.tick(20)

    assert driver.board.boots == 2


def test_a_state_that_a_fault_waits_for_is_taken_from_telemetry() -> None:
    driver = BoardDriver("fault=button_stuck@freeze%2B1s")
    driver.start()
    driver.freeze()
    entered_s = driver.now_s
    driver.run_s(2.0)

    (note,) = driver.device.history()
    assert note.began_s == pytest.approx(entered_s + 1.0, abs=0.3)


@pytest.mark.parametrize("fault", ["memory_bitflip", "stuck_scheduler", "wrong_probe"])
def test_memory_of_a_board_cannot_be_broken_by_name(fault: str) -> None:
    with pytest.raises(AddressError, match=f"{fault} changes the firmware's memory by name"):
        open_rig(f"fault={fault}@2s")


def test_the_clock_of_a_board_cannot_be_bent() -> None:
    with pytest.raises(AddressError, match="clock_drift changes the device's clock"):
        open_rig("fault=clock_drift@2s")


def test_a_missed_tick_of_the_board_is_a_missed_deadline_and_shows_as_jitter() -> None:
    driver = BoardDriver()
    driver.run_s(1.0)
    late = driver.board._tick_number + 10
    driver.board.skips = {late, late + 1, late + 2}

    driver.run_s(1.0)

    statistics = driver.loop.statistics
    assert statistics.missed == 2
    assert statistics.board.percentile_us(50) <= 10
    assert "max 30.00 ms" in str(statistics.board)


def test_the_report_is_told_at_the_fault_port() -> None:
    driver = BoardDriver()
    server = FaultServer(driver.device, 0, driver.loop.report)

    answer = server.answer(b'{"report": true}')
    server.close()

    assert [line.split()[0] for line in answer["ok"]] == ["board", "here", "deadlines", "channel"]


def test_a_board_has_no_place_in_virtual_time() -> None:
    with pytest.raises(AddressError, match=r"runs in real time: serve it with `cryoctl sim --pty"):
        open_link(DeviceUrl.parse("sim:?firmware=board:/dev/ttyACM0,/dev/ttyACM1"))


# -- its provisioning page -----------------------------------------------------------------------


def test_a_page_is_what_the_firmware_reads(tmp_path: Path) -> None:
    page = tmp_path / "page.bin"

    done = CliRunner().invoke(write_page, [str(page), "--serial", "DESK-7"])

    assert (done.exit_code, page.stat().st_size) == (0, 356)
    assert b"DESK-7" in page.read_bytes()


def test_a_page_for_a_research_profile_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(write_page, [str(tmp_path / "p"), "--profile", "gel-bench-17g"])

    assert done.exit_code == 2
    assert "research profile" in done.output
