"""Every fault in every state of the probe at three moments: delivered, seen, answered, safe.

What is expected of each cell stands in the fault catalogue, before any run. A cell goes on from a
healthy walk with one fault more, and is compared with the walk: whatever differs is the fault's
doing. A fault that changes nothing, a cell that nobody ran, an answer that comes late or is
another one, or a broken invariant of ``oracles`` fails the program.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from math import inf
from multiprocessing import get_context
from typing import Final, NamedTuple

from cryoctl.cycle_table import Phase
from cryoctl.cycles import Verdict
from cryoctl.records import LogEvent
from cryoctl_hil.assurance.program import Measure, Outcome, Say
from cryoctl_hil.assurance.walks import MOMENTS, WALK_OF, WALKS, Moment, state_of, steps
from cryoctl_hil.world import World
from cryoctl_protocol.codes import TRIP_RULES, DeviceState, Trip
from cryoctl_simulator import fault_row
from cryoctl_simulator.fault_row import Expected, Fault, Observable
from cryoctl_simulator.fault_row import Outcome as Declared
from cryoctl_simulator.faults import CATALOGUE

CELLS_MIN: Final = 1_200
FAULTS_MIN: Final = 40
SAFE_MS_MAX: Final = 500.0  # Time-to-safe of H-01, H-14: a dead host, a stuck valve.
COLDEST_C: Final = -100.0
GOES_ON_S: Final = 1.0
"""After the answer and the safe state, for what else may come."""
NO_FINDINGS: Final = ("LINK_STALE", "OPERATOR_STOP")
"""The first says that STOP alone may go out; what is wrong comes after it, or nothing does."""
TOO_EARLY: Final = ("reset", "stimulate", "STIMULATE")
"""Refused while a trip is young or the tip still cold, whatever else is wrong."""
STEP_MS: Final = 10
_MS: Final = 1000.0
_S: Final = DeviceState
AT_MOMENT: Final[dict[tuple[str, DeviceState, str], Expected]] = {
    ("tc_drift", _S.FREEZE, "early"): fault_row.found(
        {_S.FREEZE}, "controller", 0, "NOT_EFFECTIVE"
    ),
    # The walk of STARTED begins a second treatment after these two, whose self-test never ends.
    ("stuck_scheduler", _S.STARTED, "early"): fault_row.found(
        {_S.STARTED}, "controller", 0, "COMMAND_FAILED"
    ),
    ("stuck_scheduler", _S.STARTED, "middle"): fault_row.found(
        {_S.STARTED}, "controller", 0, "COMMAND_FAILED"
    ),
    ("leak_tip", _S.FREEZE, "early"): fault_row.latent({_S.FREEZE}, "the band is reached in time"),
    ("probe_moved", _S.FREEZE, "early"): fault_row.latent(
        {_S.FREEZE}, "it is on its way to the band anyway"
    ),
    ("heater_stuck_on", _S.THAW, "early"): fault_row.latent(
        {_S.THAW}, "it is on anyway, and ends in time"
    ),
}
"""Where it is not the state alone that decides, declared beforehand as all others."""
_FREEZING: Final = (Phase.COOLING, Phase.HOLD)


_COLUMNS: Final = (
    "fault", "state", "moment", "declared", "changed_ms", "answered_ms", "by", "what", "first",
    "shut_ms", "residual_k", "coldest_c", "treated", "since_ms", "within_ms",
)  # fmt: skip


class Answer(NamedTuple):
    """Something that found a fault: who, what, when; what was refused or failed."""

    by: str
    what: str
    at_s: float
    of: str = ""


@dataclass(slots=True)
class Found:
    """What became of one cell; times in ms from the fault's beginning, None where it never came.

    Attributes:
        declared: Outcome that the catalogue expects.
        expected: Answers that it expects, any of them.
        coldest_c: True tip.
        changed_ms: The fault's observable differs from the walk.
        answered_ms: Of the first answer that is expected; of any, where none is.
        by: Who gave it; ``what`` it was.
        first: What was said first, expected or not.
        shut_ms: From the answer until valve and supply were commanded shut; 0 if they were by then,
            None if they never were open.
        residual_k: How much colder the true tip got after that.
        treated: The treatment ended with PASS all the same.
        since_ms: Of the answer, from the fault's beginning or from entering the state in which it
            came, whichever was later.
        within_ms: Until when ``since_ms`` is due. One that waits for what comes next is due as one
            of the state in which it came; 0 where that names no time either: an operation has to
            end (a test, a cycle), or something to build up.
        empty: Why the cell says nothing; empty if it says something.
        late: What came too late.
        wrong: Everything else that is not as it should be.
    """

    fault: str
    state: str
    moment: str
    declared: str
    expected: str
    coldest_c: float
    changed_ms: int | None = None
    answered_ms: int | None = None
    by: str = ""
    what: str = ""
    first: str = ""
    shut_ms: int | None = None
    residual_k: float | None = None
    treated: bool = False
    since_ms: int | None = None
    within_ms: int = 0
    empty: str = ""
    late: str = ""
    wrong: list[str] = field(default_factory=list)

    def as_line(self) -> str:
        """Return the cell in one line, as it is kept."""
        return " ".join(str(getattr(self, name)).replace(" ", "_") or "-" for name in _COLUMNS)

    @property
    def problems(self) -> list[str]:
        """Everything that is not as it should be."""
        return [text for text in (self.empty, self.late, *self.wrong) if text]

    @property
    def is_tripped(self) -> bool:
        """True if the answer was a trip; after others the supply may stay open for SR-07."""
        return self.what in Trip.__members__


# -- what can be looked at ---

Look = Callable[[World], object]


def _reading(name: str) -> Look:
    return lambda world: getattr(world.device.instruments.readings, name)


def _plant(*names: str) -> Look:
    return lambda world: [getattr(world.device.plant, name) for name in names]


def _actuator(name: str) -> Look:
    return lambda world: getattr(world.device.actuators, name)


def _firmware(*names: str) -> Look:
    def look(world: World) -> object:
        firmware = world.device.firmware
        return None if firmware is None else [getattr(firmware.state, name) for name in names]

    return look


def _memory(world: World) -> object:
    firmware = world.device.firmware
    return None if firmware is None else repr(firmware.state)


def _identity(world: World) -> object:
    firmware = world.device.firmware
    return None if firmware is None else firmware.profile_hash


def _shutoff(world: World) -> object:
    """Return where it is, not where the firmware wants it."""
    stuck = world.device.plant.shutoff_stuck
    return world.device.actuators.shutoff_open if stuck is None else stuck


def _cartridge(world: World) -> object:
    cartridge = world.device.plant.cartridge
    return [cartridge.temp_c, cartridge.mass_g]


def _frames_down(world: World) -> object:
    firmware = world.device.firmware
    if firmware is None:
        return None
    return [
        firmware.state.lease_left_ms,
        firmware.state.leases_seen,
        firmware.state.frames_rejected,
    ]


_O = Observable
LOOKS: Final[dict[Observable, Look]] = {
    _O.TIP_READING: _reading("tip_mdegc"),
    _O.SKIN_READING: _reading("skin_mdegc"),
    _O.SUPPLY_READING: _reading("supply_mbar"),
    _O.EXHAUST_READING: _reading("exhaust_mbar"),
    _O.FLOW_READING: _reading("exhaust_flow_ug_s"),
    _O.BATTERY_READING: _reading("battery_mv"),
    _O.BUTTON: _reading("button"),
    _O.OPEN_CIRCUIT: _reading("open_circuit"),
    _O.TIP: _plant("tip_temp_c"),
    _O.SKIN: _plant("skin_temp_c"),
    _O.FLOW: _plant("needle_flow_mg_s", "exhaust_flow_mg_s"),
    _O.SHUTOFF: _shutoff,
    _O.VENTED: _plant("vented_g"),
    _O.CARTRIDGE: _cartridge,
    _O.HEATER: _actuator("tip_heater"),
    _O.STIMULUS: _actuator("stimulus_ma"),
    _O.BOOTS: lambda world: world.device.boots,
    _O.TICKS: _firmware("tick_count"),
    _O.CLOCK: _firmware("now_ms"),
    _O.SEQUENCE: _firmware("state_since_ms"),
    _O.MEMORY: _memory,
    _O.IDENTITY: _identity,
    _O.FRAMES_UP: lambda world: world.line.said,
    _O.FRAMES_DOWN: _frames_down,
}
"""How to see each observable of the catalogue that a simulated probe has."""


# -- the walks, once -------------------------------------------------------------------------------


@dataclass(slots=True)
class Trace:
    """A walk as it goes without a fault.

    Attributes:
        moments: Where cells begin.
        saved: The world at each of those steps.
        looks: Every observable, after every step.
        answers: What is found on the walk itself, such as the operator's STOP.
    """

    moments: list[Moment]
    saved: dict[int, bytes]
    looks: dict[Observable, list[object]]
    answers: list[Answer]


@cache
def trace_of(name: str) -> Trace:
    """Walk a walk and keep what cells need of it; raises RuntimeError if it is not healthy."""
    walk = WALK_OF[name]
    moments = walk.moments()
    wanted = {moment.step for moment in moments}
    saved: dict[int, bytes] = {}
    looks: dict[Observable, list[object]] = {observable: [] for observable in LOOKS}
    world = walk.world()
    for step, _ in enumerate(steps(world), start=1):
        for observable, look in LOOKS.items():
            looks[observable].append(look(world))
        if step in wanted:
            saved[step] = world.save()
    if world.controller.verdict is not Verdict.PASS or world.watch.violations:
        raise RuntimeError(f"walk {name!r} is not healthy: {world.watch.violations}")
    return Trace(moments, saved, looks, list(answers_in(world.sink.events)))


# -- one cell ------------------------------------------------------------------------------------


def answers_in(events: Iterable[LogEvent]) -> Iterator[Answer]:
    """Yield everything that somebody found: trips, alarms, refusals, failed tests."""
    for event in events:
        data = event.data
        if event.kind == "trip":
            by = "probe" if data["layer"] == "device" else "controller"
            yield Answer(by, data["id"], event.at_s)
        elif event.kind == "alarm" and data["id"] not in Trip.__members__:
            yield Answer("controller", data["id"], event.at_s)
        elif event.kind == "operator" and data["refused"]:
            yield Answer("controller", "REFUSED", event.at_s, data["request"])
        elif event.kind == "answer" and data["answer"] != "ACCEPTED":
            yield Answer("probe", "REFUSED", event.at_s, data["op"])
        elif event.kind == "done" and data["result"] == "FAILED":
            yield Answer("probe", "FAILED", event.at_s)
        elif event.kind == "failed":
            yield Answer("controller", "FAILED", event.at_s)


class CellRun:
    """One fault from one moment on.

    Args:
        fault: Of the catalogue.
        moment: Of a walk.
    """

    def __init__(self, fault: Fault, moment: Moment) -> None:
        trace = trace_of(moment.walk)
        self.world = WALK_OF[moment.walk].world()
        self.world.load(trace.saved[moment.step])
        self.world.sink.events.clear()
        self._fault = fault
        self._step = moment.step
        at = (fault.fault_id, moment.state, moment.name)
        self._expected = AT_MOMENT.get(at) or fault.expected_in(moment.state)
        self._walked = trace.looks[fault.observable]
        self._on_walk = set(trace.answers)
        self._began_s = self.world.now_s
        self._answered_s = inf
        self._state = state_of(self.world)
        self._entered_s = self._began_s
        self._open_s: float | None = None
        self._shut_tip_c = self._after_c = 0.0
        self._heard = 0
        self.found = Found(
            fault.fault_id,
            moment.state.name,
            moment.name,
            self._expected.outcome,
            " ".join(self._expected.answers),
            coldest_c=self.world.device.plant.tip_temp_c,
        )

    def run(self) -> Found:
        """Go on to the end, or until there is an answer, the safe state and a second more."""
        found, world = self.found, self.world
        world.device.inject(f"{self._fault.fault_id}@{self._began_s:g}s")
        for step, _ in enumerate(steps(world), start=self._step):
            found.coldest_c = min(found.coldest_c, world.device.plant.tip_temp_c)
            if found.changed_ms is None and self._differs(step):
                found.changed_ms = self._age_ms(world.now_s)
            self._follow()
            self._note_state()
            if self._answered_s == inf:
                self._listen()
            elif self._is_over():
                break
        if self._open_s is not None and self._answered_s < inf:
            found.shut_ms = max(0, round((self._open_s - self._answered_s) * _MS) + STEP_MS)
            found.residual_k = round(self._shut_tip_c - self._after_c, 2)
        found.coldest_c = round(found.coldest_c, 1)
        controller = world.controller
        found.treated = controller.verdict is Verdict.PASS and not controller.trips
        self._judge()
        return found

    def _differs(self, step: int) -> bool:
        if step >= len(self._walked):
            return False
        return LOOKS[self._fault.observable](self.world) != self._walked[step]

    def _age_ms(self, at_s: float) -> int:
        return round((at_s - self._began_s) * _MS)

    def _listen(self) -> None:
        events = self.world.sink.events
        if len(events) == self._heard:
            return
        new = answers_in(events[self._heard :])
        self._heard = len(events)
        for answer in new:
            if answer.what in NO_FINDINGS or answer.of in TOO_EARLY or answer in self._on_walk:
                continue
            self.found.first = self.found.first or answer.what
            if self._is_expected(answer):
                self._answered_s = self.world.now_s
                self.found.by, self.found.what = answer.by, answer.what
                self.found.answered_ms = self._age_ms(answer.at_s)
                self._note_due(answer)
                return

    def _note_state(self) -> None:
        """Take note of the state that the probe has entered; being safe is what an answer does."""
        state = state_of(self.world)
        if state is not self._state and state not in fault_row.LATCHED:
            self._state, self._entered_s = state, self.world.now_s

    def _note_due(self, answer: Answer) -> None:
        found = self.found
        if self._expected.within_ms:
            found.since_ms, found.within_ms = found.answered_ms, self._expected.within_ms
            return
        found.since_ms = max(0, round((answer.at_s - self._entered_s) * _MS))
        then = self._fault.expected_in(self._state)
        if answer.what in then.answers:
            found.within_ms = then.within_ms

    def _is_expected(self, answer: Answer) -> bool:
        """Return True for what the catalogue names; for anything, where it names nothing."""
        expected = self._expected
        if expected.outcome is not Declared.DETECTED:
            return True
        return answer.what in expected.answers and expected.by in (answer.by, "either")

    def _follow(self) -> None:
        """Note when valve or supply were last commanded open."""
        tip_c = self.world.device.plant.tip_temp_c
        if not _is_shut(self.world):
            self._open_s = self.world.now_s
            self._shut_tip_c = self._after_c = tip_c
        self._after_c = min(self._after_c, tip_c)

    def _is_over(self) -> bool:
        """Return True a while after the answer, with all shut and no freeze under way."""
        now_s = self.world.now_s
        if self.world.controller.phase in _FREEZING:
            return False
        since_s = self._answered_s if self._open_s is None else max(self._answered_s, self._open_s)
        return now_s - since_s > GOES_ON_S

    def _judge(self) -> None:
        found, expected = self.found, self._expected
        found.wrong += self.world.watch.violations
        if self.world.device.history()[-1].began_s is None:
            found.empty = "was never delivered"
        elif expected.outcome is not Declared.NOT_APPLICABLE and found.changed_ms is None:
            found.empty = f"changed nothing: {self._fault.observable}"
        if found.coldest_c <= COLDEST_C:
            found.wrong.append(f"true tip at {found.coldest_c:.1f} C")
        if expected.outcome is Declared.LATENT and found.answered_ms is not None:
            found.wrong.append(f"declared latent, but {found.by} said {found.what}")
        if expected.outcome is Declared.DETECTED:
            self._judge_answer()

    def _judge_answer(self) -> None:
        found, expected = self.found, self._expected
        if found.answered_ms is None:
            instead = f"{found.first} was said, not " if found.first else "nobody said "
            found.wrong.append(f"{instead}{found.expected} by {expected.by}")
            return
        assert found.since_ms is not None
        if found.within_ms and found.since_ms > found.within_ms:
            found.late = f"answered after {found.since_ms} ms, allowed {found.within_ms} ms"
        if found.is_tripped and found.shut_ms is not None and found.shut_ms > SAFE_MS_MAX:
            found.late = f"shut {found.shut_ms} ms after the trip, allowed {SAFE_MS_MAX:g} ms"


def _is_shut(world: World) -> bool:
    firmware = world.device.firmware
    if firmware is None:
        return True
    outputs = firmware.outputs
    if outputs.valve_permille > 0:
        return False
    # In a thaw the supply stays open on purpose, until the valve has proved to shut (SR-07).
    return firmware.state.state == DeviceState.THAW or not outputs.shutoff_open


# -- the program ---------------------------------------------------------------------------------


def cells(scale: float) -> list[tuple[str, Moment]]:
    """Return every cell, or each so-manieth of them: fault id and moment."""
    every = [
        (fault_id, moment)
        for moment in (moment for walk in WALKS for moment in trace_of(walk.name).moments)
        for fault_id in CATALOGUE
    ]
    stride = max(1, round(1.0 / scale))
    return every[::stride]


def _run(cell: tuple[str, Moment]) -> Found:
    fault_id, moment = cell
    return CellRun(CATALOGUE[fault_id], moment).run()


def run(scale: float, say: Say) -> Outcome:
    """Run the matrix; a scale under 1 takes evenly spread cells."""
    chosen = cells(scale)  # Walks everything before the processes are made: they inherit it.
    say(f"{len(chosen)} cells of {len(CATALOGUE)} faults")
    found: list[Found] = []
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("fork")) as pool:
        for row in pool.map(_run, chosen, chunksize=8):
            found.append(row)
            if len(found) % 200 == 0:
                wrong = sum(bool(row.problems) for row in found)
                say(f"{len(found)} done, {wrong} not as declared")
    return outcome(found, scale)


def outcome(found: Sequence[Found], scale: float) -> Outcome:
    """Return the measures of the cells that were run."""
    by_outcome = Counter(row.declared for row in found)
    states = {row.state for row in found}
    late = [row for row in found if row.late]
    empty = [row for row in found if row.empty]
    wrong = [row for row in found if row.wrong]
    coldest_c = min(row.coldest_c for row in found)
    detected = by_outcome[Declared.DETECTED]
    asked = CELLS_MIN * min(1.0, scale)
    measures = [
        Measure(
            "cells of fault x state x moment", f">= {asked:g}",
            f"{len(found)}: {len(CATALOGUE)} faults, {len(states)} states, {len(MOMENTS)} moments",
            len(found) >= asked and len(CATALOGUE) >= FAULTS_MIN, ("SR-38",),
            float(len(found)), asked,
        ),
        Measure(
            "cells whose fault is found", f">= {asked:g}",
            f"{detected}; latent {by_outcome[Declared.LATENT]},"
            f" not applicable {by_outcome[Declared.NOT_APPLICABLE]}",
            detected >= asked, ("SR-38",), float(detected), asked,
        ),
        Measure("cells that are empty", "0", str(len(empty)), not empty),
        Measure(
            "cells that are late", "0",
            f"{len(late)} {_timed(found)}",
            not late,
        ),
        Measure("cells that are not as declared", "0", str(len(wrong)), not wrong),
        Measure(
            "coldest true tip in any cell", "> -100 C", f"{coldest_c:.1f} C",
            coldest_c > COLDEST_C, ("SR-05",), coldest_c, COLDEST_C, "C",
        ),
        *_by_requirement(found),
    ]  # fmt: skip
    failures = [
        f"{row.fault} in {row.state} ({row.moment}): {'; '.join(row.problems)}"
        for row in found
        if row.problems
    ]
    return Outcome(
        measures, {"columns": _COLUMNS, "cells": [row.as_line() for row in found]}, failures
    )


def _timed(found: Sequence[Found]) -> str:
    """Return how many answers had a time, and what is known of those that had none."""
    timed = sum(row.within_ms > 0 for row in found)
    others = [
        (row.since_ms, f"{row.what} of {row.fault} in {row.state}")
        for row in found
        if row.declared == Declared.DETECTED and row.since_ms is not None and not row.within_ms
    ]
    if not others:
        return f"of {timed}"
    longest_ms, which = max(others)
    return (
        f"of {timed} that have a time; {len(others)} are ends of operations or have to build up,"
        f" the longest for {longest_ms / _MS:.1f} s in its state ({which})"
    )


def _by_requirement(found: Sequence[Found]) -> list[Measure]:
    """Return the longest way from answer to shut outputs, for each requirement that trips."""
    longest: dict[str, tuple[float, Found]] = {}
    for row in found:
        if row.shut_ms is None or not row.is_tripped:
            continue
        requirement = TRIP_RULES[Trip[row.what]].requirement
        if requirement not in longest or row.shut_ms > longest[requirement][0]:
            longest[requirement] = row.shut_ms, row
    return [
        Measure(
            f"longest from trip to valve and supply shut, {requirement}",
            f"<= {SAFE_MS_MAX:g} ms",
            f"{shut_ms:g} ms ({row.fault} in {row.state}, {row.moment})",
            shut_ms <= SAFE_MS_MAX, (requirement,), shut_ms, SAFE_MS_MAX, "ms",
        )
        for requirement, (shut_ms, row) in sorted(longest.items())
    ]  # fmt: skip
