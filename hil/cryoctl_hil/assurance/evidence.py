"""What becomes of a treatment and its evidence when disk, clock or recorder fail.

Each trial is a whole short treatment on the simulated probe. SR-10, SR-33, SR-34.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any, Final

from numpy.random import Generator, Philox

from cryoctl import clock
from cryoctl.audit import CLOCK_JUMP
from cryoctl.audit_check import Anchor, judge
from cryoctl.core import Controller
from cryoctl.cycle_table import Phase
from cryoctl.recorder import AUDIT
from cryoctl.recording import RecordingError, read_messages, read_recording
from cryoctl.run_options import make_options
from cryoctl.runner import run_treatment
from cryoctl.stop_signals import StopSwitch
from cryoctl_hil.assurance.program import Measure, Outcome, Say
from cryoctl_hil.assurance.trail_mutations import anchors_of, heads_of, mutate, whole_trail
from cryoctl_hil.assurance.troubled_disks import Disk, Ended, WatchedSink, treat, wait_a_tick

SEED: Final = 20_261_121
FULL_DISKS: Final = 50
CLOCK_JUMPS: Final = 20
THREAD_DEATHS: Final = 20
MUTATIONS: Final = 1000
YEAR_S: Final = 31_536_000.0
STALL_S: Final = 1.0
SLOW_FOR_S: Final = 8.0
BLOCKED_S: Final = 10.0
"""SR-33: so long a disk may take nothing."""
CALL_MAX_MS: Final = 10.0
"""SR-33: the most that a control tick may be delayed."""
ALARM_MAX_S: Final = 1.0
"""H-21."""
TRIES: Final = 3
"""Of what is timed by the wall clock; a machine that is busy elsewhere shows in one of them."""
_DEATH_WRITES: Final = (400, 1200)
"""From armed to thawing, in flushes of 50 ms."""
_PACED: Final = 60.0
_MS_PER_S: Final = 1e3


def run(scale: float, say: Say) -> Outcome:
    """Carry out all trials; ``scale`` multiplies their numbers."""
    trials = _Trials(scale, say)
    trials.fill_disks()
    trials.slow_disks_down()
    trials.refuse_files()
    trials.set_clocks()
    trials.end_threads()
    trials.mutate_trails()
    return trials.outcome


class _Trials:
    def __init__(self, scale: float, say: Say) -> None:
        self.outcome = Outcome([])
        self._scale = scale
        self._say = say
        self._undisturbed = treat(recording_disk=Disk(), trail_disk=Disk())

    def _count(self, whole: int) -> int:
        return max(2, round(whole * self._scale))

    def _random(self, stream: int) -> Generator:
        return Generator(Philox(key=[SEED, stream]))

    def _measure(
        self,
        name: str,
        value: float,
        of: str,
        *requirements: str,
        bound: float = 0.0,
        unit: str = "",
    ) -> None:
        result = f"{value:.3g} {unit}".rstrip() + f" ({of})"
        target = f"<= {bound:g} {unit}" if bound else "0"
        self.outcome.measures.append(
            Measure(name, target, result, value <= bound, requirements, value, bound, unit)
        )
        self._say(f"{name}: {result}")

    def _fail(self, trial: str, found: str) -> None:
        self.outcome.failures.append(f"{trial}: {found}")

    def fill_disks(self) -> None:
        """Recording and trail share a disk that is full after so many bytes."""
        whole = len(self._undisturbed.recording) + len(self._undisturbed.trail)
        places = sorted(self._random(1).integers(1, whole, self._count(FULL_DISKS)).tolist())
        unsafe, lost, late_s = 0, 0, 0.0
        for place in places:
            disk = Disk(place)
            ended = treat(recording_disk=disk, trail_disk=disk)
            unsafe += not ended.is_safe
            wrong = _evidence_lost(ended)
            lost += bool(wrong)
            if wrong:
                self._fail(f"disk full after {place} bytes", wrong)
            late_s = max(late_s, _alarm_delay_s(ended))
        of = f"{len(places)} places of {whole} bytes"
        self._measure("full disks: unsafe ends", unsafe, of, "SR-33")
        self._measure("full disks: evidence lost that was written", lost, of, "SR-33", "SR-34")
        self._measure("full disks: alarm after", late_s, of, "SR-33", bound=ALARM_MAX_S, unit="s")
        self.outcome.details["full_disk_bytes"] = places

    def slow_disks_down(self) -> None:
        """Every write takes 1 s for a while; then, in another treatment, one takes 10 s."""
        longest_ms, lost = 0.0, 0
        for name, trial in (("slow", _slow), ("blocked", _blocked)):
            tries_ms = []
            for _ in range(TRIES):
                ended = trial(min(1.0, self._scale))
                tries_ms.append(ended.sink.longest_s * _MS_PER_S)
                wrong = _evidence_lost(ended) or _not_told(ended, "DISK_SLOW")
                lost += bool(wrong)
                if wrong:
                    self._fail(f"{name} disk", wrong)
                if tries_ms[-1] <= CALL_MAX_MS:
                    break
            longest_ms = max(longest_ms, min(tries_ms))
            self.outcome.details[f"{name}_disk_longest_call_ms"] = tries_ms
        of = "2 treatments"
        self._measure(
            "slow or blocked disk: longest call",
            longest_ms,
            of,
            "SR-33",
            bound=CALL_MAX_MS,
            unit="ms",
        )
        self._measure("slow or blocked disk: evidence lost", lost, of, "SR-33")

    def refuse_files(self) -> None:
        """A folder that takes no files: nothing may be greeted or moved."""
        ticks: list[float] = []
        with TemporaryDirectory() as folder:
            taken = Path(folder) / "taken"
            taken.touch()
            options = make_options(
                None, device="sim:", seed=1, speed=None, settings=(), scenario=None, faults=(),
                vendor=None, cartridge_g=None, bench_waiver="", out=taken / "run",
            )  # fmt: skip
            try:
                run_treatment(options, StopSwitch(), lambda _, now_s: ticks.append(now_s))
            except OSError as error:
                self.outcome.details["read_only_folder"] = str(error.strerror)
            else:
                self._fail("read-only folder", "the run was carried out")
        name = "read-only folder: ticks before it was refused"
        self._measure(name, len(ticks), "1 folder", "SR-33")

    def set_clocks(self) -> None:
        """The time of day is set by a year, ahead or back, at a moment of a treatment."""
        moments_s = self._random(2).uniform(1.0, self._undisturbed.ended_s - 2.0, CLOCK_JUMPS)
        moments_s = moments_s[: self._count(CLOCK_JUMPS)]
        moved, untold = 0, 0
        for number, moment_s in enumerate(moments_s.tolist()):
            by_s = -YEAR_S if number % 2 else YEAR_S
            ended = _with_clock_set(moment_s, by_s)
            moved += ended.phases != self._undisturbed.phases
            wrong = _jump_untold(ended, by_s) or _not_told(ended, "CLOCK_JUMP")
            untold += bool(wrong)
            if wrong:
                self._fail(f"clock set by {by_s:+g} s at {moment_s:.2f} s", wrong)
        of = f"{len(moments_s)} moments"
        self._measure("clock set by a year: phases moved", moved, of, "SR-10")
        self._measure("clock set by a year: untold by trail or alarm", untold, of, "SR-10", "SR-34")

    def end_threads(self) -> None:
        """The recorder's thread ends in the middle of a treatment, in a way nobody foresaw."""
        writes = self._random(3).integers(*_DEATH_WRITES, self._count(THREAD_DEATHS)).tolist()
        unsafe, untold = 0, 0
        for last in writes:
            ended = _with_thread_ended(last)
            unsafe += not ended.is_safe
            wrong = _evidence_lost(ended) or _not_told(ended, "RECORDING_FAILED")
            untold += bool(wrong)
            if wrong:
                self._fail(f"recorder thread ended at write {last}", wrong)
        of = f"{len(writes)} moments"
        self._measure("recorder thread ended: unsafe ends", unsafe, of, "SR-33")
        self._measure(
            "recorder thread ended: untold by trail or alarm", untold, of, "SR-33", "SR-34"
        )

    def mutate_trails(self) -> None:
        """Each change is judged beside a recording and alone."""
        random, lines = self._random(4), whole_trail()
        anchors, closing = anchors_of(lines), heads_of(lines)[-1]
        counts: dict[str, int] = {}
        wrong = 0
        for _ in range(self._count(MUTATIONS)):
            mutated = mutate(lines, random)
            counts[mutated.name] = counts.get(mutated.name, 0) + 1
            beside = judge(mutated.data, anchors=anchors, closing_head=closing)
            alone = judge(mutated.data)
            found = [(j.verdict.value, j.seq) for j in (beside, alone)]
            if found != [mutated.right, mutated.alone]:
                wrong += 1
                self._fail(mutated.name, f"judged {found}")
        of = f"{sum(counts.values())} mutations"
        self._measure("mutated trails judged wrong", wrong, of, "SR-34")
        self.outcome.details["mutations"] = counts


# -- trials ------------------------------------------------------------------------------------


def _slow(share: float) -> Ended:
    return _stalled(STALL_S, STALL_S + SLOW_FOR_S * share)


def _blocked(share: float) -> Ended:
    length_s = BLOCKED_S * share
    return _stalled(max(STALL_S, length_s), max(STALL_S, length_s))


def _stalled(stall_s: float, for_s: float) -> Ended:
    """Let every write begun in the first ``for_s`` of the freeze take ``stall_s``, in real time."""
    began: list[float] = []
    over = Event()

    def stall(_count: int) -> None:
        if began and not over.is_set():
            Event().wait(stall_s)

    def on_tick(sink: WatchedSink, controller: Controller, now_s: float) -> None:
        if controller.phase is Phase.COOLING and not began:
            began.append(now_s)
        sink.is_timed = bool(began) and not over.is_set()
        if sink.is_timed:
            wait_a_tick()
            if now_s - began[0] >= for_s:
                over.set()

    disk = Disk(before_write=stall)
    return treat(recording_disk=disk, trail_disk=disk, in_threads=True, on_tick=on_tick)


def _with_clock_set(moment_s: float, by_s: float) -> Ended:
    with _clock() as clock_set:

        def on_tick(_sink: WatchedSink, _controller: Controller, now_s: float) -> None:
            if now_s >= moment_s:
                clock_set(by_s)

        return treat(recording_disk=Disk(), trail_disk=Disk(), on_tick=on_tick)


@contextmanager
def _clock() -> Iterator[Callable[[float], None]]:
    """Stand between the program and the time of day; the clock that times phases stays as it is."""
    real, by_s = clock.utc_now, 0.0

    def utc_now() -> datetime:
        return real() + timedelta(seconds=by_s)

    def set_by(seconds: float) -> None:
        nonlocal by_s
        by_s = seconds

    clock.utc_now = utc_now
    try:
        yield set_by
    finally:
        clock.utc_now = real


def _with_thread_ended(last: int) -> Ended:
    def break_down(count: int) -> None:
        if count == last:
            raise MemoryError

    pacer = clock.Pacer(_PACED, may_slip=True)  # So that the thread is where the treatment is.
    return treat(
        recording_disk=Disk(before_write=break_down),
        trail_disk=Disk(),
        in_threads=True,
        on_tick=lambda _sink, _controller, now_s: pacer.wait_until(now_s),
    )


# -- what they came to -------------------------------------------------------------------------


def _evidence_lost(ended: Ended) -> str:
    """Return what is missing of what was recorded until something failed; empty for nothing."""
    logged = [json.loads(event.to_json()) for event in ended.sink.events]
    kept, anchors = _read(ended.recording)
    if kept != logged[: len(kept)]:
        return "the events in the recording are not those of the treatment, from the first on"
    found = judge(ended.trail, anchors=anchors, closing_head=ended.head)
    if found.verdict.value != ("NOT CLOSED" if ended.head is None else "INTACT"):
        return found.text
    told = [r["at_s"] for r in found.records if r["at_s"] is not None and r["action"] != CLOCK_JUMP]
    times = [round(event.at_s, 6) for event in ended.sink.events]
    if told != times[: len(told)]:
        return "the records of the trail are not the treatment's events, from the first on"
    if not ended.sink.failure and (len(kept), len(told)) != (len(logged), len(times)):
        return f"{len(logged)} events, {len(kept)} recorded, {len(told)} in the trail; no failure"
    return ""


def _read(data: bytes) -> tuple[list[dict[str, Any]], list[Anchor]]:
    """Return the events and the anchors in a recording, however it ends."""
    try:
        events = read_recording(BytesIO(data), "trial").events
        messages = read_messages(BytesIO(data), "trial").messages
    except RecordingError:
        return [], []  # Full before its first metadata: there is nothing to read yet.
    told = [json.loads(message.payload) for message in messages if message.topic == AUDIT]
    return events, [Anchor(anchor["seq"], anchor["head"]) for anchor in told]


def _alarm_delay_s(ended: Ended) -> float:
    """Return how long after the failure the alarm came; 0 if the treatment was over by then."""
    if ended.failed_s is None:
        return 0.0
    alarms = [e.at_s for e in ended.sink.events if e.data.get("id") == "RECORDING_FAILED"]
    return max(0.0, (alarms[0] if alarms else ended.ended_s) - ended.failed_s)


def _not_told(ended: Ended, alarm: str) -> str:
    return "" if alarm in ended.controller.alarms else f"no alarm {alarm}"


def _jump_untold(ended: Ended, by_s: float) -> str:
    jumps = [r["new"]["by_s"] for r in judge(ended.trail).records if r["action"] == CLOCK_JUMP]
    right = len(jumps) == 1 and abs(jumps[0] - by_s) < 1.0
    return "" if right else f"the trail tells of jumps by {jumps} s"
