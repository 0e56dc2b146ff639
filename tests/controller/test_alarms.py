"""Alarms: the table, one alarm in every state, and what holds whatever happens."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from itertools import pairwise
from typing import Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cryoctl.alarm_board import AlarmBoard, AlarmLine, AlarmView, Burst, Signal
from cryoctl.alarms import ALARMS, LOOKS, PRIORITIES, Latching, Onset, Priority, Severity
from cryoctl_protocol.codes import TRIP_RULES

RANK: Final = {"HIGH": 0, "MEDIUM": 1, "LOW": 2}

# -- the table -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("severity", "onset", "priority"),
    [
        (3, "immediate", "HIGH"),
        (3, "prompt", "HIGH"),
        (3, "delayed", "MEDIUM"),
        (2, "immediate", "HIGH"),
        (2, "prompt", "MEDIUM"),
        (2, "delayed", "LOW"),
        (1, "immediate", "MEDIUM"),
        (1, "prompt", "LOW"),
        (1, "delayed", "LOW"),
    ],
)
def test_the_priority_is_that_of_the_standard(severity: int, onset: str, priority: str) -> None:
    assert PRIORITIES[Severity(severity), Onset(onset)] == priority


def test_every_trip_has_its_row_and_so_has_every_other_alarm() -> None:
    trips = {alarm.id for alarm in ALARMS.values() if alarm.is_trip}

    assert trips == {trip.name for trip in TRIP_RULES}
    assert set(ALARMS) - trips == {
        "LINK_STALE", "GAS_LOW", "NOT_EFFECTIVE", "SAFE_NOT_CONFIRMED", "NOT_RELEASED",
        "DISK_LOW", "DISK_SLOW", "RECORDING_FAILED", "CLOCK_JUMP", "CLOCK_DRIFT",
        "GAS_IN_ROOM", "SESSION_DROPPED",
    }  # fmt: skip


def test_no_alarm_is_more_severe_than_the_worst_of_its_hazards() -> None:
    severities = {
        "H-01": 3, "H-02": 3, "H-03": 2, "H-04": 1, "H-05": 3, "H-06": 3, "H-07": 2, "H-08": 2,
        "H-09": 2, "H-10": 3, "H-11": 3, "H-12": 2, "H-13": 1, "H-14": 3, "H-15": 3, "H-16": 3,
        "H-17": 3, "H-18": 3, "H-21": 1, "H-22": 3, "H-23": 2,
    }  # fmt: skip

    worst = {id_: max(severities[h] for h in alarm.hazards) for id_, alarm in ALARMS.items()}

    assert [id_ for id_, alarm in ALARMS.items() if alarm.severity > worst[id_]] == []


def test_what_explains_an_alarm_is_an_alarm_no_less_urgent_and_not_explained_by_it() -> None:
    def reaches(start: str, goal: str) -> bool:
        return any(cause == goal or reaches(cause, goal) for cause in ALARMS[start].follows)

    for alarm in ALARMS.values():
        ranks = [RANK[ALARMS[cause].priority] for cause in alarm.follows]
        assert all(rank <= RANK[alarm.priority] for rank in ranks), alarm.id
        assert not reaches(alarm.id, alarm.id), alarm.id


@pytest.mark.parametrize(
    ("alarm", "priority", "latching"),
    [
        ("TIP_FLOOR", "HIGH", "signal"),
        ("BATTERY", "MEDIUM", "signal"),  # Less urgent, and a trip all the same.
        ("OPERATOR_STOP", "LOW", "signal"),
        ("SAFE_NOT_CONFIRMED", "HIGH", "signal"),
        ("NOT_RELEASED", "MEDIUM", "text"),
        ("GAS_LOW", "MEDIUM", "text"),
        ("LINK_STALE", "LOW", "none"),
        ("DISK_LOW", "LOW", "none"),
        ("GAS_IN_ROOM", "MEDIUM", "text"),  # SR-21 asks for MEDIUM.
    ],
)
def test_latching_follows_from_priority_and_every_trip_latches(
    alarm: str, priority: str, latching: str
) -> None:
    assert (ALARMS[alarm].priority, ALARMS[alarm].latching) == (priority, latching)


def test_each_priority_looks_and_sounds_as_the_standard_says() -> None:
    high, medium, low = (LOOKS[Priority(name)] for name in ("HIGH", "MEDIUM", "LOW"))

    assert (high.colour, high.mark, high.pulses) == ("red", "!!!", 10)
    assert (medium.colour, medium.mark, medium.pulses) == ("yellow", "!!", 3)
    assert (low.colour, low.mark, low.pulses, low.flash_hz) == ("cyan", "!", 2, 0.0)
    assert 1.4 <= high.flash_hz <= 2.8
    assert 0.4 <= medium.flash_hz <= 0.8
    assert 0.2 <= high.flash_duty <= 0.6
    assert 0.2 <= medium.flash_duty <= 0.6


# -- one alarm, every state and input --------------------------------------------------------------

KINDS: Final = {
    "high": "SAFE_NOT_CONFIRMED",
    "medium": "NOT_RELEASED",
    "low": "LINK_STALE",
    "trip": "TIP_FLOOR",
    "low trip": "OPERATOR_STOP",
}
INPUTS: Final = ("raise", "gone", "acknowledge", "reset", "pause")

# What each input leads to, in the order of INPUTS. Condition there or over; a trip is held or not.
_HIGH: Final = {
    "off":          ("on",      "off",      "off",          "off",      "off"),
    "on":           ("on",      "over on",  "acknowledged", "on",       "on"),
    "acknowledged": ("acknowledged", "off", "acknowledged", "acknowledged", "acknowledged"),
    "over on":      ("on",      "over on",  "off",          "over on",  "over on"),
}  # fmt: skip
_MEDIUM: Final = {
    "off":          ("on",      "off",       "off",          "off",       "off"),
    "on":           ("on",      "over text", "acknowledged", "on",        "on"),
    "acknowledged": ("acknowledged", "off",  "acknowledged", "acknowledged", "acknowledged"),
    "over text":    ("on",      "over text", "off",          "over text", "over text"),
}  # fmt: skip
_LOW: Final = {
    "off":          ("on",      "off",       "off",          "off",       "off"),
    "on":           ("on",      "off",       "acknowledged", "on",        "on"),
    "acknowledged": ("acknowledged", "off",  "acknowledged", "acknowledged", "acknowledged"),
}  # fmt: skip
_TRIP: Final = {
    "off":                    ("on held", "off", "off", "off", "off"),
    "on held":                ("on held", "over on held", "acknowledged held", "on", "on held"),
    "acknowledged held":      ("acknowledged held", "over acknowledged held", "acknowledged held",
                               "acknowledged", "acknowledged held"),
    "over on held":           ("on held", "over on held", "over acknowledged held", "over on",
                               "over on held"),
    "over acknowledged held": ("on held", "over acknowledged held", "over acknowledged held",
                               "off", "over acknowledged held"),
    "on":                     ("on held", "over on", "acknowledged", "on", "on"),
    "acknowledged":           ("on held", "off", "acknowledged", "acknowledged",
                               "acknowledged"),
    "over on":                ("on held", "over on", "off", "over on", "over on"),
}  # fmt: skip
TABLES: Final = {"high": _HIGH, "medium": _MEDIUM, "low": _LOW, "trip": _TRIP, "low trip": _TRIP}
CASES: Final = [
    (kind, state, given, target)
    for kind, table in TABLES.items()
    for state, row in table.items()
    for given, target in zip(INPUTS, row, strict=True)
]


def standing(view: AlarmView) -> dict[str, AlarmLine]:
    """Return every line of a view by its alarm, consequences too."""
    return {one.alarm.id: one for line in view.lines for one in (line, *line.consequences)}


def state_of(board: AlarmBoard, alarm: str) -> str:
    line = standing(board.view(0.0)).get(alarm)
    if line is None:
        return "off"
    words = ["" if line.present else "over", line.signal.value, "held" if line.held else ""]
    return " ".join(word for word in words if word)


def give(board: AlarmBoard, alarm: str, given: str, now_s: float = 0.0) -> None:
    actions: dict[str, Callable[[], object]] = {
        "raise": lambda: board.raise_(alarm, now_s),
        "gone": lambda: board.gone(alarm, now_s),
        "acknowledge": lambda: board.acknowledge(now_s),
        "reset": lambda: board.reset(now_s),
        "pause": lambda: board.pause_audio(now_s),
    }
    actions[given]()


def board_in(kind: str, state: str) -> AlarmBoard:
    """Return a board whose one alarm stands in ``state``, by the shortest way there."""
    ways: list[list[str]] = [[]]
    while True:
        way = ways.pop(0)
        board = AlarmBoard()
        for given in way:
            give(board, KINDS[kind], given)
        if state_of(board, KINDS[kind]) == state:
            return board
        ways += [[*way, given] for given in INPUTS[:4]]


@pytest.mark.requirement("SR-27")
@pytest.mark.parametrize(("kind", "state", "given", "target"), CASES)
def test_one_alarm_goes_from_each_state_with_each_input_where_it_should(
    kind: str, state: str, given: str, target: str
) -> None:
    board = board_in(kind, state)

    give(board, KINDS[kind], given)

    assert state_of(board, KINDS[kind]) == target


def test_the_states_of_the_table_are_all_there_are() -> None:
    for kind, table in TABLES.items():
        reached = {"off"} | {target for row in table.values() for target in row}

        assert reached == set(table), kind


# -- trips -----------------------------------------------------------------------------------------


@pytest.mark.requirement("SR-27")
def test_the_condition_of_a_trip_has_gone_when_its_cause_was_not_seen_for_a_second() -> None:
    board = AlarmBoard()
    board.raise_("OVERPRESSURE", 10.0)
    board.see_cause("OVERPRESSURE", 12.0)

    board.settle(12.99)
    before = board.is_present("OVERPRESSURE")
    may_before = board.may_reset(12.99)
    board.settle(13.0)

    assert (before, may_before) == (True, False)
    assert (board.is_present("OVERPRESSURE"), board.may_reset(13.0)) == (False, True)


@pytest.mark.requirement("SR-27")
def test_a_reset_that_comes_with_the_cause_still_there_leaves_the_alarm_standing() -> None:
    board = AlarmBoard()
    board.raise_("OVERPRESSURE", 0.0)
    board.acknowledge(0.0)
    board.see_cause("OVERPRESSURE", 5.0)

    board.reset(5.1)
    board.settle(5.9)

    assert state_of(board, "OVERPRESSURE") == "acknowledged"
    board.settle(6.0)
    assert board.is_empty


@pytest.mark.requirement("SR-27")
def test_a_trip_that_was_reset_and_comes_again_at_once_is_a_new_one() -> None:
    board = AlarmBoard()
    board.raise_("OPERATOR_STOP", 0.0)
    board.acknowledge(0.1)
    board.reset(0.2)

    board.raise_("OPERATOR_STOP", 0.3)

    (line,) = board.view(0.3).lines
    assert (line.held, line.signal, line.since_s, line.first_out) == (True, "on", 0.3, True)


def test_a_cause_of_a_trip_that_was_not_taken_raises_nothing() -> None:
    board = AlarmBoard()

    assert board.see_cause("LINK", 1.0) == []
    assert board.is_empty


def test_the_first_trip_since_the_last_reset_is_marked() -> None:
    board = AlarmBoard()
    for at_s, alarm in enumerate(["OPERATOR_STOP", "VALVE_STUCK", "LEAK"]):
        board.raise_(alarm, float(at_s))
    first = {id_ for id_, line in standing(board.view(3.0)).items() if line.first_out}
    board.settle(10.0)
    board.acknowledge(10.0)
    board.reset(10.0)

    board.raise_("LEAK", 11.0)

    assert first == {"OPERATOR_STOP"}
    assert [line.first_out for line in board.view(11.0).lines] == [True]


# -- order and consequences ------------------------------------------------------------------------


def shown(board: AlarmBoard, now_s: float = 100.0) -> list[tuple[str, list[str]]]:
    return [
        (line.alarm.id, [one.alarm.id for one in line.consequences])
        for line in board.view(now_s).lines
    ]


def test_a_lost_link_is_one_line_and_not_three() -> None:
    board = AlarmBoard()
    board.raise_("LINK_STALE", 0.05)
    board.raise_("LINK", 0.15)
    board.raise_("LEASE", 2.0)

    assert shown(board) == [("LINK", ["LEASE", "LINK_STALE"])]


def test_a_cause_that_came_later_does_not_take_the_place_of_the_first() -> None:
    board = AlarmBoard()
    board.raise_("LINK", 1.0)
    board.raise_("DEVICE_RESTART", 2.0)

    assert shown(board) == [("LINK", []), ("DEVICE_RESTART", [])]


def test_what_follows_from_a_consequence_stands_below_the_first_cause() -> None:
    board = AlarmBoard()
    for at_s, alarm in enumerate(["DEVICE_RESTART", "LINK", "LINK_STALE"]):
        board.raise_(alarm, float(at_s))

    assert shown(board) == [("DEVICE_RESTART", ["LINK", "LINK_STALE"])]


def test_the_most_urgent_alarm_is_on_top_and_among_equals_the_first() -> None:
    board = AlarmBoard()
    for at_s, alarm in enumerate(["DISK_LOW", "OPERATOR_STOP", "GAS_LOW", "SKIN_COLD", "LEAK"]):
        board.raise_(alarm, float(at_s))

    assert [line for line, _ in shown(board)] == [
        "SKIN_COLD",
        "LEAK",
        "GAS_LOW",
        "DISK_LOW",
        "OPERATOR_STOP",
    ]


# -- sound -----------------------------------------------------------------------------------------


@pytest.mark.requirement("SR-31")
@pytest.mark.parametrize(
    ("alarm", "pulses", "heard_s"),
    [
        ("TIP_FLOOR", 10, [10.0, 15.0, 20.0]),
        ("GAS_LOW", 3, [10.0, 20.0]),
        ("DISK_LOW", 2, [10.0]),
    ],
)
def test_bursts_are_due_at_once_and_then_at_fixed_intervals(
    alarm: str, pulses: int, heard_s: list[float]
) -> None:
    board = AlarmBoard()
    board.raise_(alarm, 10.0)

    bursts = [board.view(10.0 + tenth / 10.0).burst for tenth in range(149)]

    assert {burst.pulses for burst in bursts if burst} == {pulses}
    assert sorted({burst.at_s for burst in bursts if burst}) == heard_s


def test_the_most_urgent_alarm_sounds_and_a_new_one_of_its_kind_anew() -> None:
    board = AlarmBoard()
    board.raise_("DISK_LOW", 1.0)
    board.raise_("LEAK", 2.0)
    board.raise_("GAS_LOW", 3.0)
    high = board.view(3.0).burst
    board.raise_("TIP_FLOOR", 4.0)

    assert high == Burst(Priority.HIGH, 10, 2.0)
    assert board.view(4.5).burst == Burst(Priority.HIGH, 10, 4.0)


def test_acknowledged_alarms_are_quiet_and_a_later_one_is_not() -> None:
    board = AlarmBoard()
    board.raise_("LEAK", 1.0)
    board.acknowledge(2.0)
    quiet = board.view(2.0).burst
    board.raise_("GAS_LOW", 3.0)

    signals = {id_: line.signal for id_, line in standing(board.view(3.0)).items()}
    assert quiet is None
    assert signals == {"LEAK": Signal.ACKNOWLEDGED, "GAS_LOW": Signal.ON}
    assert board.view(3.0).burst == Burst(Priority.MEDIUM, 3, 3.0)


def test_a_medium_alarm_whose_condition_has_gone_is_text_without_sound() -> None:
    board = AlarmBoard()
    board.raise_("GAS_LOW", 1.0)
    board.gone("GAS_LOW", 2.0)

    assert [line.alarm.id for line in board.view(2.0).lines] == ["GAS_LOW"]
    assert board.view(2.0).burst is None


@pytest.mark.requirement("SR-32")
def test_a_pause_silences_for_two_minutes_counts_down_and_ends_by_itself() -> None:
    board = AlarmBoard()
    board.raise_("LEAK", 0.0)

    assert board.pause_audio(10.0)
    during, at_the_end, after = (board.view(at_s) for at_s in (40.0, 129.99, 130.0))

    assert (during.burst, during.pause_left_s) == (None, 90.0)
    assert at_the_end.burst is None
    assert (after.burst, after.pause_left_s) == (Burst(Priority.HIGH, 10, 130.0), 0.0)


@pytest.mark.requirement("SR-32")
def test_a_pause_cannot_be_prolonged_and_none_is_kept_for_later() -> None:
    board = AlarmBoard()
    nothing_sounds = board.pause_audio(0.0)
    board.raise_("LEAK", 0.0)
    board.pause_audio(0.0)

    assert not nothing_sounds
    assert not board.pause_audio(60.0)
    assert board.view(60.0).pause_left_s == 60.0


@pytest.mark.requirement("SR-32")
@pytest.mark.parametrize("alarm", ["TIP_FLOOR", "GAS_LOW", "DISK_LOW"])
def test_any_new_alarm_ends_a_pause(alarm: str) -> None:
    board = AlarmBoard()
    board.raise_("LEAK", 0.0)
    board.pause_audio(1.0)

    board.raise_(alarm, 2.0)

    assert board.view(2.0).burst is not None
    assert board.view(2.0).pause_left_s == 0.0


@pytest.mark.requirement("SR-32")
def test_an_alarm_that_was_there_does_not_end_a_pause_and_one_that_comes_again_does() -> None:
    board = AlarmBoard()
    board.raise_("LEAK", 0.0)
    board.pause_audio(1.0)
    board.raise_("LEAK", 2.0)
    still = board.view(2.0).pause_left_s
    board.gone("LEAK", 3.0)

    board.raise_("LEAK", 4.0)

    assert still == 119.0
    assert board.view(4.0).pause_left_s == 0.0


@pytest.mark.requirement("SR-32")
def test_a_lost_link_ends_a_pause_and_a_saved_board_holds_none() -> None:
    board = AlarmBoard()
    board.raise_("LINK", 0.0)
    board.pause_audio(1.0)
    loaded: AlarmBoard = pickle.loads(pickle.dumps(board))

    board.end_pause(2.0)

    assert board.view(2.0).burst == Burst(Priority.HIGH, 10, 2.0)
    assert loaded.view(2.0).burst == Burst(Priority.HIGH, 10, 0.0)
    assert loaded.view(2.0).pause_left_s == 0.0


def test_a_board_without_sound_says_so_as_long_as_it_lives() -> None:
    board = AlarmBoard(audio_off=True)
    before = board.view(0.0)
    board.raise_("LEAK", 1.0)
    loaded: AlarmBoard = pickle.loads(pickle.dumps(board))

    assert [before.audio_off, board.view(1.0).audio_off, loaded.view(9.0).audio_off] == [True] * 3
    assert board.view(1.0).burst is None
    assert not board.pause_audio(1.0)


# -- the log ---------------------------------------------------------------------------------------


def test_the_log_tells_each_change_once() -> None:
    board = AlarmBoard()
    board.raise_("LEAK", 1.0)
    board.raise_("LEAK", 1.5)
    board.gone("LEAK", 2.0)
    board.acknowledge(3.0)
    board.reset(4.0)

    assert list(board.log) == [
        (1.0, "LEAK", "raised"),
        (2.0, "LEAK", "gone"),
        (3.0, "LEAK", "acknowledged"),
        (4.0, "LEAK", "reset"),
        (4.0, "LEAK", "cleared"),
    ]


def test_the_log_keeps_the_last_thousand_changes() -> None:
    board = AlarmBoard()
    for number in range(600):
        board.raise_("LINK_STALE", float(number))
        board.gone("LINK_STALE", float(number))

    assert len(board.log) == 1000
    assert board.log[-1] == (599.0, "LINK_STALE", "cleared")


# -- whatever happens ------------------------------------------------------------------------------

IDS: Final = st.sampled_from(sorted(ALARMS))


class BoardMachine(RuleBasedStateMachine):
    """Any inputs in any order, against a few sentences about what must never be."""

    @initialize()
    def begin(self) -> None:
        self.board = AlarmBoard()
        self.now_s = 0.0
        self.unanswered: set[str] = set()
        self.held: set[str] = set()
        self.paused_s = float("-inf")

    @rule(alarm=IDS)
    def come(self, alarm: str) -> None:
        is_new_trip = ALARMS[alarm].is_trip and alarm not in self.held
        if is_new_trip or not self.board.is_present(alarm):
            self.paused_s = float("-inf")
            if ALARMS[alarm].is_trip:
                self.held.add(alarm)
            if ALARMS[alarm].latching is Latching.SIGNAL:
                self.unanswered.add(alarm)
        self.board.raise_(alarm, self.now_s)

    @rule(alarm=IDS)
    def go(self, alarm: str) -> None:
        self.board.gone(alarm, self.now_s)

    @rule()
    def acknowledge(self) -> None:
        self.board.acknowledge(self.now_s)
        self.unanswered.clear()

    @rule()
    def reset(self) -> None:
        self.board.reset(self.now_s)
        self.held.clear()

    @rule()
    def pause(self) -> None:
        if self.board.pause_audio(self.now_s):
            assert not self.now_s - self.paused_s < 120.0
            self.paused_s = self.now_s

    @rule()
    def lose_link(self) -> None:
        self.board.end_pause(self.now_s)
        self.paused_s = float("-inf")

    @rule()
    def restart(self) -> None:
        self.board = pickle.loads(pickle.dumps(self.board))
        self.paused_s = float("-inf")

    @rule(seconds=st.sampled_from([0.0625, 0.9375, 1.0, 30.0, 119.875]))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self.board.settle(self.now_s)

    @invariant()
    def what_latches_is_shown_until_it_is_acknowledged(self) -> None:
        lines = standing(self.board.view(self.now_s))
        assert {id_ for id_ in self.unanswered if lines[id_].signal is not Signal.ON} == set()

    @invariant()
    def a_trip_is_held_until_it_is_reset(self) -> None:
        lines = standing(self.board.view(self.now_s))
        assert {id_ for id_, line in lines.items() if line.held} == self.held

    @invariant()
    def an_alarm_sounds_unless_a_pause_younger_than_two_minutes_was_asked_for_since(self) -> None:
        view = self.board.view(self.now_s)
        sounds = any(line.signal is Signal.ON for line in standing(view).values())
        paused = self.now_s - self.paused_s < 120.0
        assert (view.burst is not None) is (sounds and not paused)
        assert 0.0 <= view.pause_left_s <= 120.0

    @invariant()
    def the_most_urgent_line_comes_first_and_nothing_more_urgent_is_below_it(self) -> None:
        view = self.board.view(self.now_s)
        ranks = [RANK[line.alarm.priority] for line in view.lines]
        assert all(above <= below for above, below in pairwise(ranks))
        for line in view.lines:
            below = [RANK[one.alarm.priority] for one in line.consequences]
            assert all(RANK[line.alarm.priority] <= rank for rank in below)

    @invariant()
    def every_alarm_that_stands_is_shown_once(self) -> None:
        view = self.board.view(self.now_s)
        told = [one.alarm.id for line in view.lines for one in (line, *line.consequences)]
        assert len(told) == len(set(told))
        assert {id_ for id_ in ALARMS if self.board.is_present(id_)} <= set(told)


BoardMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, derandomize=True
)


@pytest.mark.requirement("SR-27")
@pytest.mark.requirement("SR-32")
class TestWhateverHappens(BoardMachine.TestCase):  # type: ignore[valid-type,misc]
    """Hypothesis drives the machine above."""
