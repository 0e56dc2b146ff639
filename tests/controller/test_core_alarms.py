"""Alarms in the controller: raised with their cause, gone with it, quieted and reset apart."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import pairwise

import pytest

from cryoctl.alarm_board import AlarmBoard, AlarmLine
from cryoctl.alarm_text import is_lit, shown_lines
from cryoctl.alarms import ALARMS
from cryoctl.core import Controller
from cryoctl.cycle_table import Phase
from cryoctl.operator_requests import Request
from cryoctl.progress import LiveProgress, PlainProgress, live_on
from cryoctl.storage import FINE, with_room
from cryoctl_protocol.codes import Sensor, Trip
from tests.support.bench import Bench, automatic_bench, settings
from tests.support.builders import KeepingSink, a_treatment, n2o_profile
from tests.support.live_phases import bench_in


def lines(bench: Bench) -> dict[str, AlarmLine]:
    """Return every alarm that stands, consequences too."""
    view = bench.controller.board.view(bench.now_s)
    return {one.alarm.id: one for line in view.lines for one in (line, *line.consequences)}


def changes(bench: Bench, alarm: str) -> list[str]:
    """Return what the event log tells of one alarm."""
    events = bench.sink.of_kind("alarm")
    return [event.data["change"] for event in events if event.data["id"] == alarm]


def tripped() -> Bench:
    """Return a bench in FAULT after an overpressure that has just ended."""
    bench = bench_in(Phase.HOLD)
    bench.device.telemetry = {"supply_mbar": 68_001}
    bench.run_to(Phase.FAULT)
    bench.device.telemetry = {}
    return bench


# -- acknowledge and reset -------------------------------------------------------------------------


@pytest.mark.requirement("SR-27")
def test_an_acknowledgement_quiets_a_trip_and_resets_nothing() -> None:
    bench = tripped()
    bench.run_for(1.1)

    assert bench.ask(Request.ACKNOWLEDGE) is None
    bench.run_for(5.0)

    line = lines(bench)["OVERPRESSURE"]
    assert (line.signal, line.held, line.present) == ("acknowledged", True, False)
    assert bench.phase is Phase.FAULT
    assert bench.controller.board.view(bench.now_s).burst is None
    assert changes(bench, "OVERPRESSURE") == ["raised", "gone", "acknowledged"]


@pytest.mark.requirement("SR-27")
def test_an_acknowledged_alarm_leaves_with_the_reset_and_nothing_starts() -> None:
    bench = tripped()
    bench.run_for(1.1)
    bench.ask(Request.ACKNOWLEDGE)
    commands = len(bench.sink.sent_commands())

    assert bench.ask(Request.RESET) is None
    bench.run_for(5.0)

    assert bench.phase is Phase.IDLE
    assert lines(bench) == {}
    assert len(bench.sink.sent_commands()) == commands + 1  # CLEAR.
    assert changes(bench, "OVERPRESSURE")[-2:] == ["reset", "cleared"]


@pytest.mark.requirement("SR-27")
def test_a_reset_without_an_acknowledgement_leaves_the_alarm_on() -> None:
    bench = tripped()
    bench.run_for(1.1)

    assert bench.ask(Request.RESET) is None
    bench.run_for(5.0)

    line = lines(bench)["OVERPRESSURE"]
    assert (line.signal, line.held) == ("on", False)
    assert bench.ask(Request.ACKNOWLEDGE) is None
    assert lines(bench) == {}


@pytest.mark.requirement("SR-27")
def test_a_cause_that_is_still_there_keeps_its_alarm_present() -> None:
    bench = bench_in(Phase.HOLD)
    bench.device.telemetry = {"supply_mbar": 68_001}
    bench.run_to(Phase.FAULT)
    bench.ask(Request.ACKNOWLEDGE)

    bench.run_for(5.0)

    line = lines(bench)["OVERPRESSURE"]
    assert (line.present, line.signal) == (True, "acknowledged")


@pytest.mark.requirement("SR-27")
def test_a_lost_link_may_be_reset_a_second_after_it_is_back() -> None:
    bench = bench_in(Phase.HOLD)
    bench.device.silent = True
    bench.run_to(Phase.FAULT)
    bench.device.silent = False
    bench.run_for(0.9)
    too_soon = bench.ask(Request.RESET)
    bench.run_for(0.2)

    assert too_soon is not None
    assert too_soon.reason == "a limit is still broken, or was within 1 s (SR-27)"
    assert bench.ask(Request.RESET) is None


def test_there_is_nothing_to_acknowledge_or_to_pause_without_an_alarm() -> None:
    bench = bench_in(Phase.HOLD)

    refused = [bench.ask(request) for request in (Request.ACKNOWLEDGE, Request.PAUSE_AUDIO)]

    assert [r.reason for r in refused if r] == ["no alarm to acknowledge", "no alarm sounds"]


# -- the sound -------------------------------------------------------------------------------------


@pytest.mark.requirement("SR-32")
def test_a_pause_is_asked_for_counts_down_and_ends_with_another_alarm() -> None:
    bench = bench_in(Phase.HOLD)
    bench.device.ignores_stop = True
    bench.ask(Request.STOP)
    bench.ask(Request.PAUSE_AUDIO)
    bench.run_for(1.0)
    during = bench.controller.board.view(bench.now_s)

    bench.device.telemetry = {"exhaust_mbar": 2_600}
    bench.run_until(lambda: "EXHAUST_BLOCKED" in lines(bench), within_s=0.1)

    after = bench.controller.board.view(bench.now_s)
    assert during.burst is None
    assert during.pause_left_s == pytest.approx(119.0, abs=0.05)
    assert after.burst is not None
    assert after.pause_left_s == 0.0
    assert [e.data["request"] for e in bench.sink.of_kind("operator")][-1] == "pause_audio"


@pytest.mark.requirement("SR-32")
def test_a_lost_link_ends_a_pause_even_if_its_alarm_is_there_already() -> None:
    bench = bench_in(Phase.HOLD)
    bench.device.silent = True
    bench.run_for(0.3)
    assert bench.ask(Request.PAUSE_AUDIO) is None

    bench.controller.on_link_gone("unplugged", bench.now_s)

    assert bench.controller.board.view(bench.now_s).burst is not None


@pytest.mark.requirement("SR-32")
def test_a_controller_that_took_over_a_saved_state_has_its_sound_on() -> None:
    bench = tripped()
    bench.ask(Request.PAUSE_AUDIO)
    twin = Controller(a_treatment(), n2o_profile(), settings(), KeepingSink())

    twin.load(bench.controller.save())

    assert bench.controller.board.view(bench.now_s).burst is None
    assert twin.board.view(bench.now_s).burst is not None
    assert twin.events_sha256 == bench.controller.events_sha256


def test_a_controller_without_sound_shows_that_from_the_start() -> None:
    bench = Bench(audio_off=True)

    assert bench.controller.board.view(0.0).audio_off


# -- conditions that go away -----------------------------------------------------------------------


@pytest.mark.requirement("SR-03")
def test_late_telemetry_is_alarmed_while_it_is_late_each_time() -> None:
    bench = bench_in(Phase.READY)
    for _ in range(2):
        bench.device.silent = True
        bench.run_until(lambda: "LINK_STALE" in lines(bench), within_s=0.2)
        bench.device.silent = False
        bench.run_until(lambda: "LINK_STALE" not in lines(bench), within_s=0.05)

    assert changes(bench, "LINK_STALE") == ["raised", "gone", "cleared"] * 2
    assert bench.controller.alarms == ["LINK_STALE"]


@pytest.mark.requirement("SR-03")
def test_a_lost_link_is_one_line_with_what_follows_from_it() -> None:
    bench = bench_in(Phase.HOLD)
    bench.device.silent = True
    bench.run_until(lambda: bench.phase is Phase.SAFE)

    (line,) = bench.controller.board.view(bench.now_s).lines

    assert (line.alarm.id, line.first_out) == ("LINK", True)
    assert [one.alarm.id for one in line.consequences] == ["LINK_STALE"]


def test_room_on_the_disk_clears_its_alarm() -> None:
    bench = bench_in(Phase.READY)
    bench.sink.storage = with_room(200_000_000, FINE)
    bench.run_for(0.1)
    low = list(lines(bench))
    bench.sink.storage = with_room(600_000_000, bench.sink.storage)
    bench.run_for(0.1)

    assert (low, list(lines(bench))) == (["DISK_LOW"], [])


@pytest.mark.requirement("SR-22")
def test_low_gas_stands_as_text_when_the_pressure_is_back() -> None:
    bench = automatic_bench(a_treatment(count=1))
    bench.run_to(Phase.HOLD)
    bench.device.telemetry = {"supply_mbar": 39_000}
    bench.run_to(Phase.THAWING)
    low = lines(bench)["GAS_LOW"]
    bench.device.telemetry = {}
    bench.run_for(0.2)

    line = lines(bench)["GAS_LOW"]
    assert (low.present, low.signal) == (True, "on")
    assert (line.present, line.signal) == (False, "text")


@pytest.mark.requirement("SR-13")
def test_a_cycle_without_effect_is_alarmed_until_the_next_one_begins() -> None:
    bench = automatic_bench(a_treatment(count=2, on_not_effective="continue"))
    bench.device.coldest_c = -50.0
    bench.run_to(Phase.PAUSE)
    bench.device.coldest_c = -90.0
    before = list(lines(bench))

    bench.run_to(Phase.COOLING)

    assert (before, list(lines(bench))) == (["NOT_EFFECTIVE"], [])


def test_a_reset_leaves_a_cycle_without_effect_behind() -> None:
    bench = Bench(a_treatment(count=1))
    bench.device.coldest_c = -50.0
    bench.run_to(Phase.COMPLETE)
    before = list(lines(bench))

    assert bench.ask(Request.RESET) is None
    assert (before, list(lines(bench))) == (["NOT_EFFECTIVE"], [])


def test_a_safe_state_that_is_seen_at_last_takes_the_condition_away_and_not_the_alarm() -> None:
    bench = bench_in(Phase.HOLD)
    bench.device.silent = True
    bench.run_to(Phase.FAULT)
    present = lines(bench)["SAFE_NOT_CONFIRMED"].present
    bench.device.silent = False

    bench.run_until(lambda: not lines(bench)["SAFE_NOT_CONFIRMED"].present, within_s=1.0)

    assert present
    assert lines(bench)["SAFE_NOT_CONFIRMED"].signal == "on"


@pytest.mark.requirement("SR-14")
def test_a_needle_that_comes_free_late_takes_its_condition_away() -> None:
    bench = Bench(a_treatment(thaw={"timeout_s": 10.0}))
    bench.run_to(Phase.HOLD)
    bench.device.tip_follows = False
    bench.ask(Request.STOP)
    bench.run_to(Phase.FAULT)
    frozen_in = lines(bench)["NOT_RELEASED"].present
    bench.device.tip_follows = True

    bench.run_for(15.0)

    assert frozen_in
    line = lines(bench)["NOT_RELEASED"]
    assert (line.present, line.signal) == (False, "text")


# -- how soon (SR-31) ------------------------------------------------------------------------------


@pytest.mark.requirement("SR-31")
@pytest.mark.parametrize(
    ("alarm", "telemetry"),
    [
        ("TIP_FLOOR", {"tip_mdegc": -85_500}),
        ("TIP_SENSOR", {"open_circuit": int(Sensor.TIP)}),
        ("SKIN_COLD", {"skin_mdegc": 4_900}),
        ("OVERPRESSURE", {"supply_mbar": 68_001}),
        ("EXHAUST_BLOCKED", {"exhaust_mbar": 2_501}),
        ("FLOW_HIGH", {"exhaust_flow_ug_s": 60_000}),
        ("SENSOR_OPEN", {"open_circuit": int(Sensor.EXHAUST_FLOW)}),
        ("GAS_LOW", {"supply_mbar": 39_999}),
    ],
)
def test_an_alarm_is_raised_within_the_delay_that_is_disclosed(
    alarm: str, telemetry: dict[str, int]
) -> None:
    bench = bench_in(Phase.HOLD)
    bench.device.telemetry = telemetry
    broken_s = bench.now_s

    bench.run_until(lambda: alarm in lines(bench), within_s=2.0)

    assert bench.now_s - broken_s <= ALARMS[alarm].detection_s + 0.001


@pytest.mark.requirement("SR-31")
@pytest.mark.parametrize(
    ("alarm", "do"),
    [
        ("LINK_STALE", lambda bench: setattr(bench.device, "silent", True)),
        ("LINK", lambda bench: setattr(bench.device, "silent", True)),
        ("OPERATOR_STOP", lambda bench: bench.ask(Request.STOP)),
        ("BATTERY", lambda bench: bench.device.trip(Trip.BATTERY)),
    ],
)
def test_what_is_no_reading_is_alarmed_within_its_delay_too(
    alarm: str, do: Callable[[Bench], object]
) -> None:
    bench = bench_in(Phase.HOLD)
    broken_s = bench.now_s
    do(bench)

    bench.run_until(lambda: alarm in lines(bench), within_s=2.0)

    assert bench.now_s - broken_s <= ALARMS[alarm].detection_s + 0.001


class Terminal(io.StringIO):
    """A terminal that keeps what is drawn on it."""

    def isatty(self) -> bool:
        return True


def test_a_mark_flashes_half_of_the_time_until_its_alarm_is_acknowledged() -> None:
    board = AlarmBoard()
    board.raise_("TIP_FLOOR", 0.0)
    (high,) = shown_lines(board.view(0.0))
    board.acknowledge(1.0)
    (quiet,) = shown_lines(board.view(1.0))

    instants_s = [tenth / 100.0 for tenth in range(100)]
    lit = [is_lit(high, at_s) for at_s in instants_s]
    assert lit.count(True) == 50
    assert [before and not after for before, after in pairwise(lit)].count(True) == 2  # 2 Hz.
    assert all(is_lit(quiet, at_s) for at_s in instants_s)
    assert quiet.text.startswith("TIP_FLOOR (acknowledged): first cause, ")


def test_lines_tell_what_follows_from_an_alarm_and_how_the_sound_stands() -> None:
    board = AlarmBoard()
    board.raise_("LINK_STALE", 0.0)
    board.raise_("LINK", 0.1)
    board.gone("LINK_STALE", 0.2)
    board.raise_("LEASE", 0.3)
    board.pause_audio(1.0)
    lines = [(line.mark, line.text) for line in shown_lines(board.view(31.2))]

    assert [mark for mark, _ in lines] == ["!!!", "", ""]
    assert [text for _, text in lines[1:]] == [
        "    and so LEASE",
        "alarm sound paused, 90 s left",
    ]
    off = shown_lines(AlarmBoard(audio_off=True).view(0.0))
    assert [line.text for line in off] == ["ALARM SOUND OFF"]


@pytest.mark.requirement("SR-31")
@pytest.mark.parametrize("at_s", [0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09])
def test_a_high_alarm_is_drawn_within_200_ms_of_its_detection_and_rings_the_bell(
    at_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = bench_in(Phase.HOLD)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("cryoctl.progress.monotonic_s", lambda: bench.now_s)
    terminal = Terminal()
    with live_on(terminal) as live:
        progress = LiveProgress(live)
        bench.shell._on_tick = lambda now_s: progress(bench.controller, now_s)
        bench.run_for(0.5 + at_s)
        before = terminal.getvalue()
        bench.device.telemetry = {"exhaust_mbar": 2_501}
        bench.run_until(lambda: "EXHAUST_BLOCKED" in lines(bench))
        detected_s = bench.now_s

        bench.run_until(lambda: "EXHAUST_BLOCKED" in terminal.getvalue(), within_s=0.5)
        drawn_s = bench.now_s

    assert "\a" not in before
    assert "\a" in terminal.getvalue()
    assert drawn_s - detected_s <= 0.2


def test_on_a_pipe_each_alarm_is_one_line_without_a_bell() -> None:
    bench = bench_in(Phase.HOLD)
    pipe = io.StringIO()
    progress = PlainProgress(pipe)
    bench.shell._on_tick = lambda now_s: progress(bench.controller, now_s)
    bench.device.silent = True

    bench.run_for(2.0)

    told = [line.split(" s  ", 1)[1] for line in pipe.getvalue().splitlines() if "!" in line]
    assert [line.split(":")[0] for line in told] == ["!   LINK_STALE", "!!! LINK"]
    assert "\a" not in pipe.getvalue()
