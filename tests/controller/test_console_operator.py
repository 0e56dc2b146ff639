"""The operator at the terminal: two words, in order, or nothing happens."""

from __future__ import annotations

import io
import os
import threading

import pytest

from cryoctl.command_run import tell
from cryoctl.console_operator import ConsoleOperator, TypedLines
from cryoctl.cycle_table import Phase
from cryoctl.operator_requests import Request
from cryoctl.progress import live_on
from cryoctl_protocol.codes import Trip
from tests.support.bench import Bench
from tests.support.builders import a_treatment

READY = "ready. Type arm and Enter when the probe is in place, or place to look for the nerve"


class Script:
    """Lines that the test types."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def take(self) -> str:
        return self.lines.pop(0) if self.lines else ""


class Console:
    """A bench with a person at it."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.script = Script()
        self.bench = Bench(
            a_treatment(count=1), operator=ConsoleOperator(self.said.append, self.script)
        )

    @property
    def phase(self) -> Phase:
        return self.bench.phase

    def type(self, line: str) -> Phase:
        """Type a line; return where that leads."""
        self.script.lines.append(line)
        self.bench.run_for(0.2)
        return self.bench.phase


def test_every_line_that_is_typed_is_told_of_at_once() -> None:
    told: list[str] = []
    heard = threading.Semaphore(0)

    def hurry() -> None:
        told.append(lines.take())
        heard.release()

    source, keyboard = os.pipe()
    with os.fdopen(source) as stream:
        lines = TypedLines(stream, hurry)
        for line in (b"Arm\n", b" stop \n"):
            os.write(keyboard, line)
            assert heard.acquire(timeout=10.0)
        os.close(keyboard)

    assert told == ["arm", "stop"]


def test_the_tests_run_by_themselves_and_then_the_person_is_asked_once() -> None:
    console = Console()

    console.bench.run_until(lambda: console.bench.phase is Phase.READY)
    console.bench.run_for(3.0)

    assert console.bench.phase is Phase.READY
    assert console.said == [READY]


@pytest.mark.requirement("SR-26")
def test_arm_and_start_are_two_words_in_this_order() -> None:
    console = Console()
    console.bench.run_until(lambda: console.bench.phase is Phase.READY)

    phases = [console.type(word) for word in ("start", "arm", "arm")]
    assert phases == [Phase.READY, Phase.ARMED, Phase.ARMED]
    console.type("start")

    console.bench.run_until(lambda: console.bench.phase is Phase.COMPLETE)
    assert console.said == [
        READY,
        "'start' does nothing in READY",
        "armed. Type start and Enter within 10 s; Ctrl-C stops",
        "'arm' does nothing in ARMED",
    ]


@pytest.mark.requirement("SR-26")
def test_a_start_that_comes_too_late_has_to_be_armed_anew() -> None:
    console = Console()
    console.bench.run_until(lambda: console.bench.phase is Phase.READY)
    console.type("arm")
    console.bench.run_for(10.5)
    assert console.bench.phase is Phase.READY
    console.bench.device.state = type(console.bench.device.state)(0)  # Its own timer, SR-26.

    assert console.type("start") is Phase.READY
    console.type("arm")
    assert console.type("start") in (Phase.PREWARM, Phase.COOLING)


@pytest.mark.requirement("SR-26")
def test_a_word_that_comes_too_early_is_told_and_not_kept() -> None:
    console = Console()
    console.bench.run_until(lambda: console.phase is Phase.LEAK_TEST)
    console.type("arm")
    console.bench.run_until(lambda: console.phase is Phase.READY)
    console.bench.run_for(1.0)

    assert console.phase is Phase.READY
    assert console.said == ["'arm' does nothing in LEAK_TEST", READY]


@pytest.mark.requirement("SR-29")
@pytest.mark.parametrize("phase", [Phase.LEAK_TEST, Phase.READY, Phase.PLACEMENT, Phase.COOLING])
def test_the_word_stop_is_stop_in_every_phase(phase: Phase) -> None:
    console = Console()
    console.bench.run_until(lambda: console.phase in (phase, Phase.READY))
    if console.phase is not phase:
        for word in ("place",) if phase is Phase.PLACEMENT else ("arm", "start"):
            console.type(word)
    console.bench.run_until(lambda: console.phase is phase)

    assert console.type("stop") in (Phase.SAFE, Phase.FAULT)
    assert [record.notice.trip for record in console.bench.controller.trips] == [Trip.OPERATOR_STOP]


@pytest.mark.requirement("SR-36")
def test_every_reason_against_arm_is_shown_and_goes_when_it_goes() -> None:
    console = Console()
    console.bench.device.telemetry = {"battery_mv": 3_000}
    console.bench.run_until(lambda: console.bench.phase is Phase.READY)
    console.bench.run_for(0.2)
    assert console.type("arm") is Phase.READY
    console.bench.device.telemetry = {}
    console.bench.run_for(0.2)

    assert console.type("arm") is Phase.ARMED
    why = "cannot be armed:\n  SR-36: battery too low: charge the handpiece"
    assert console.said[:3] == [why, why, READY]  # Once more for the word.


PLACING = "placing. Type stimulate HZ MS MA, such as stimulate 2 0.1 1, and placed at the end"


@pytest.mark.requirement("SR-41")
def test_the_nerve_is_looked_for_before_arm_and_each_response_is_told() -> None:
    console = Console()
    console.bench.run_until(lambda: console.bench.phase is Phase.READY)

    assert console.type("place") is Phase.PLACEMENT
    console.type("stimulate 2 0.1 1")
    console.bench.run_for(2.5)
    console.type("stimulate 2 0.1 0.4")
    console.bench.run_for(2.5)
    assert console.type("arm") is Phase.PLACEMENT
    assert console.type("placed") is Phase.READY

    assert console.said == [
        READY,
        PLACING,
        "response: MOTOR",
        "response: NONE",
        f"'arm' is not possible while {PLACING}",
        READY,
    ]
    assert console.type("arm") is Phase.ARMED


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("stimulate", "stimulate takes three numbers: pulses a second, ms, mA"),
        ("stimulate 2 0.1 much", "stimulate takes three numbers: pulses a second, ms, mA"),
        ("stimulate 2 0.1 nan", "stimulate takes three numbers: pulses a second, ms, mA"),
        ("stimulate 2 0.1 9", "stimulate refused: amplitude_ma 9 is out of range (0.001 to 5 mA"),
    ],
)
def test_a_mistyped_stimulus_is_explained_and_nothing_goes_out(line: str, answer: str) -> None:
    console = Console()
    console.bench.run_until(lambda: console.bench.phase is Phase.READY)
    console.type("place")
    console.type(line)

    assert console.said[-1].startswith(answer)
    assert [op for _, op in console.bench.device.commands if op.name == "STIMULATE"] == []


@pytest.mark.requirement("SR-27")
def test_alarms_are_quieted_by_words_of_their_own_in_every_phase() -> None:
    console = Console()
    console.bench.run_until(lambda: console.bench.phase is Phase.READY)
    none = console.type("acknowledge")
    console.type("arm")
    console.type("start")
    console.bench.run_until(lambda: console.bench.phase is Phase.COOLING)
    console.bench.ask(Request.STOP)
    console.type("pause")
    paused = console.bench.controller.board.view(console.bench.now_s)
    console.type("acknowledge")

    (line,) = console.bench.controller.board.view(console.bench.now_s).lines
    assert none is Phase.READY
    assert console.said.count("acknowledge refused: no alarm to acknowledge") == 1
    assert paused.pause_left_s > 119.0
    assert (line.alarm.id, line.signal) == ("OPERATOR_STOP", "acknowledged")


@pytest.mark.requirement("SR-27")
def test_a_probe_that_holds_a_trip_of_before_waits_for_the_word_reset() -> None:
    console = Console()
    console.bench.device.trip(Trip.SKIN_COLD)
    console.bench.run_until(lambda: console.phase is Phase.IDLE)

    console.bench.run_for(2.0)
    assert console.phase is Phase.IDLE
    why = "the probe holds a trip (SKIN_COLD): find out why, then reset it (SR-27)"
    assert console.said == [f"{why}. Type reset and Enter for that"]
    assert console.bench.device.commands == []
    console.type("reset")

    console.bench.run_until(lambda: console.phase is Phase.READY)
    assert [op.name for _, op in console.bench.device.commands][:2] == ["CLEAR", "SELF_TEST"]
    console.bench.run_for(0.1)
    assert console.said[1:] == [READY]


class Terminal(io.StringIO):
    """Keeps what is drawn on it."""

    def isatty(self) -> bool:
        return True


@pytest.mark.requirement("SR-26")
def test_what_a_person_is_asked_for_is_not_covered_by_the_live_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()

    with live_on(terminal) as live:
        live.update("the picture", refresh=True)
        tell(READY)
        drawn = terminal.getvalue()

    assert "ready. Type arm and Enter" in drawn
    assert drawn.index("ready. Type") < drawn.rindex("the picture")
