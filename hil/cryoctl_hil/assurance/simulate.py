"""``cryoctl assure simulate`` and ``seeds``: worlds made of a number, in which anything goes wrong.

A seed says which probe, tissue and treatment, how the operator behaves, and what happens when:
faults, weather on the line, a second controller, kills, stops and sleep of the controller, power
cuts. ``python -m cryoctl_hil.assurance.simulate SEED`` repeats one world and tells what happened.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Any, Final, NamedTuple

from cryoctl.clock import cpu_s
from cryoctl.core import Controller
from cryoctl.cycle_table import Phase
from cryoctl.treatment import Treatment, default_treatment
from cryoctl_hil.assurance.crew import share_out
from cryoctl_hil.assurance.hostile_world import HostileWorld, Rival
from cryoctl_hil.assurance.program import Measure, Outcome, Say
from cryoctl_hil.assurance.restless_operator import RestlessOperator
from cryoctl_hil.draws import Draws
from cryoctl_protocol.profile import profile_names
from cryoctl_simulator.faults import CATALOGUE
from cryoctl_simulator.link_weather import FAIR, Weather
from cryoctl_simulator.scenario import shipped_scenarios

HOURS: Final = 300.0
SEEDS: Final = 100
FIRST_SEED: Final = 1
LASTS_S: Final = (40.0, 200.0)
ALONE_S: Final = 1.0
"""At the end of each world its controller goes for good, and the probe must make itself safe."""
QUIET_SHARE: Final = 0.15
"""Worlds in which nothing happens but the operator."""
STEPS_PER_S: Final = 100
_S_PER_HOUR: Final = 3600.0
_FAULT_MOMENTS: Final = ("{:.2f}s", "freeze+{:.2f}s", "thaw+{:.2f}s")
_TOLD_EVERY: Final = 100


class Kind(StrEnum):
    """What can happen to a world beside faults of the probe."""

    WEATHER = "weather"
    CUT = "line cut"
    RIVAL = "second controller"
    KILL = "controller killed"
    STOP_PROCESS = "controller stopped"
    SLEEP = "computer asleep"
    POWER_CYCLE = "probe restarted"
    STOP_PRESSED = "STOP pressed"


KINDS: Final = tuple(Kind)


class Happening(NamedTuple):
    """Something that happens once.

    Attributes:
        at_s: When.
        lasts_s: For how long; a moment's work if 0.
    """

    at_s: float
    kind: Kind
    lasts_s: float
    down: Weather = FAIR
    up: Weather = FAIR


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that follows from a seed before the world begins."""

    seed: int
    lasts_s: float
    scenario: str
    treatment: Treatment
    oddity: float
    faults: tuple[str, ...]
    happenings: tuple[Happening, ...]


@dataclass(slots=True)
class Told:
    """What became of one world.

    Attributes:
        virtual_s: How long it was.
        wrong: What was not safe, or raised.
        events_sha256: Over the event logs of all its controllers.
        counts: What happened in it, for the tally of all.
    """

    seed: int
    virtual_s: float
    wrong: list[str]
    events_sha256: str
    counts: Counter[str] = field(default_factory=Counter)


# -- from a seed to a recipe ----------------------------------------------------------------------


def lasts_s(seed: int) -> float:
    """Return how long the world of ``seed`` lasts."""
    return Draws(seed, 0).between(*LASTS_S)


@cache
def _treatment(profile: str) -> Treatment:
    return default_treatment(profile)


def _draw_treatment(draws: Draws, profile: str) -> Treatment:
    """Vary a profile's own treatment: shorter, so that more of them fit into an hour."""
    base = _treatment(profile)
    limits = base.probe_profile.limits
    data = base.model_dump(by_alias=True)
    lowest_c = max(limits.setpoint_min_c, limits.setpoint_coldest_c)
    data["cycles"].update(
        count=1 + draws.below(3),
        hold_s=round(draws.between(3.0, 30.0), 1),
        pause_s=round(draws.between(0.0, 10.0), 1),
        setpoint_c=round(draws.between(lowest_c + 0.1, limits.setpoint_max_c - 0.1), 1),
        on_not_effective=draws.choose(("stop", "continue")),
    )
    data["thaw"].update(
        mode=draws.choose(("active", "passive")), timeout_s=round(draws.between(20.0, 300.0))
    )
    data["prewarm"].update(duration_s=draws.choose((0.0, 1.0, 5.0)))
    return Treatment.model_validate(data)


def _draw_weather(draws: Draws) -> Weather:
    """One or two kinds of trouble, from hardly any to hopeless."""
    values = {}
    for _ in range(1 + draws.below(2)):
        kind = draws.choose(("drop", "duplicate", "reorder", "bitflip", "truncate"))
        values[kind] = 0.01 * 100.0 ** draws.between(0.0, 1.0)
    if draws.chance(0.3):
        values["delay_ms"] = draws.choose((10.0, 40.0, 120.0, 400.0, 2000.0))
        values["jitter_ms"] = draws.choose((0.0, 30.0, 200.0))
    if draws.chance(0.1):
        values["noise_per_s"] = draws.choose((1.0, 5.0, 50.0))
    return Weather(**values)


def _draw_happening(draws: Draws, world_s: float) -> Happening:
    kind = draws.choose(KINDS)
    at_s = draws.between(0.0, world_s)
    short_s = 0.05 * 200.0 ** draws.between(0.0, 1.0)  # 50 ms to 10 s, short ones as often.
    if kind in (Kind.POWER_CYCLE, Kind.STOP_PRESSED):
        return Happening(at_s, kind, 0.0)
    if kind is Kind.WEATHER:
        down = _draw_weather(draws) if draws.chance(0.7) else FAIR
        up = _draw_weather(draws) if draws.chance(0.7) else FAIR
        return Happening(at_s, kind, short_s, down, up)
    return Happening(at_s, kind, short_s)


def _draw_fault(draws: Draws, world_s: float) -> str:
    moment = draws.choose(_FAULT_MOMENTS)
    latest_s = world_s if moment == _FAULT_MOMENTS[0] else 15.0
    when = moment.format(draws.between(0.0, latest_s))
    if draws.chance(0.1):
        when = f"tip_c<{-draws.below(80)}"
    lasting = "" if draws.chance(0.4) else f":{0.02 + draws.between(0.0, 10.0):.2f}s"
    return f"{draws.choose(tuple(CATALOGUE))}@{when}{lasting}"


def make_recipe(seed: int) -> Recipe:
    """Return what follows from ``seed``."""
    world_s = lasts_s(seed)
    draws = Draws(seed, 1)
    profile = draws.choose(profile_names())
    scenario = draws.choose(("", *shipped_scenarios()))
    treatment = _draw_treatment(draws, profile)
    oddity = draws.choose((0.0, 0.02, 0.2))
    if draws.chance(QUIET_SHARE):
        return Recipe(seed, world_s, scenario, treatment, oddity, (), ())
    happenings = [_draw_happening(draws, world_s) for _ in range(draws.below(7))]
    faults = tuple(_draw_fault(draws, world_s) for _ in range(draws.below(3)))
    return Recipe(seed, world_s, scenario, treatment, oddity, faults, tuple(sorted(happenings)))


# -- one world ------------------------------------------------------------------------------------


class Play:
    """Carries a recipe out, step by step.

    Attributes:
        world: Where it happens.
        notes: Each phase that a controller came to, with its time, for people.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._operator = RestlessOperator(Draws(recipe.seed, 2), recipe.oddity)
        self.world = HostileWorld(
            recipe.treatment, self._operator, seed=recipe.seed, scenario=recipe.scenario
        )
        for fault in recipe.faults:
            self.world.device.inject(fault)
        self.notes: list[str] = []
        self.counts: Counter[str] = Counter()
        self._recipe = recipe
        self._draws = Draws(recipe.seed, 3)
        self._waiting = list(recipe.happenings)
        self._present: list[tuple[float, Happening]] = []
        self._restart_s: float | None = None
        self._phase = Phase.DISCONNECTED

    def run(self) -> None:
        """Go to the end, and see the probe safe without anybody."""
        world = self.world
        while world.now_s < self._recipe.lasts_s:
            self._begin_and_end()
            world.step()
            self._follow()
        self._kill()
        last_s = world.now_s + ALONE_S
        while world.now_s < last_s:
            world.step()
        if _drives(world):
            world.violations.append(f"SR-01 at {world.now_s:.2f} s: an output is on, unattended")
        self.counts.update(self._operator.asked)
        for note in world.device.history():
            if note.began_s is not None:
                self.counts[f"fault {note.fault.partition('@')[0]}"] += 1

    def _begin_and_end(self) -> None:
        world, now_s = self.world, self.world.now_s
        while self._waiting and self._waiting[0].at_s <= now_s:
            self._begin(self._waiting.pop(0))
        for until_s, happening in self._present:
            if until_s <= now_s:
                self._end(happening)
        self._present = [(until_s, it) for until_s, it in self._present if until_s > now_s]
        if self._restart_s is not None and self._restart_s <= now_s:
            self._restart_s = None
            world.start()

    def _begin(self, happening: Happening) -> None:
        world, line, kind = self.world, self.world.line, happening.kind
        self.counts[kind.value] += 1
        self.counts[f"{kind.value} in {world.controller.phase}"] += 1
        self.notes.append(f"{world.now_s:8.2f} s  {kind} for {happening.lasts_s:.2f} s")
        self._present.append((world.now_s + happening.lasts_s, happening))
        steps = round(happening.lasts_s * STEPS_PER_S)
        match kind:
            case Kind.WEATHER:
                line.down, line.up = happening.down, happening.up
            case Kind.CUT:
                line.cut = True
            case Kind.RIVAL:
                line.rival = Rival(len(self._waiting))
            case Kind.KILL:
                self._kill()
                self._restart_s = world.now_s + happening.lasts_s
            case Kind.STOP_PROCESS:
                world.stop_process(steps)
            case Kind.SLEEP:
                world.sleep(steps)
            case Kind.POWER_CYCLE:
                world.device.power_cycle()
            case Kind.STOP_PRESSED:
                self._press_stop()

    def _end(self, happening: Happening) -> None:
        line = self.world.line
        match happening.kind:
            case Kind.WEATHER:
                line.down = line.up = FAIR
            case Kind.CUT:
                line.cut = False
            case Kind.RIVAL:
                line.rival = None
            case _:
                pass  # It was a moment's work, or ends by itself.

    def _press_stop(self) -> None:
        if self.world.line.rival is not None:
            self.world.line.rival.stop()
        if self.world.running:
            self.world.press_stop()

    def _kill(self) -> None:
        if self.world.running:
            self._count_controller(self.world.controller)
            self.world.kill()

    def _follow(self) -> None:
        controller = self.world.controller
        if controller.phase is not self._phase:
            self._phase = controller.phase
            self.counts[f"phase {self._phase}"] += 1
            self.notes.append(f"{self.world.now_s:8.2f} s  {self._phase}")
        if self.world.running and _is_over(controller):
            # The program has ended; somebody starts it again.
            self._kill()
            self._restart_s = self.world.now_s + self._draws.between(0.3, 3.0)

    def _count_controller(self, controller: Controller) -> None:
        for placement in controller.begun_placements():
            for trip in placement.trips:
                self.counts[f"trip {trip.notice.trip.name} ({trip.layer})"] += 1
                self.notes.append(f"{trip.at_s:8.2f} s  trip {trip.notice} ({trip.layer})")
            for cycle in placement.cycles:
                verdict = "open" if cycle.verdict is None else cycle.verdict.value
                self.counts[f"cycle {verdict}"] += 1
        if controller.failure:
            self.notes.append(f"{self.world.now_s:8.2f} s  failed: {controller.failure}")


def _is_over(controller: Controller) -> bool:
    return bool(controller.failure) or controller.phase is Phase.DISCONNECTED


def _drives(world: HostileWorld) -> bool:
    firmware = world.device.firmware
    if firmware is None:
        return False
    out = firmware.outputs
    return out.valve_permille > 0 or out.tip_heater_permille > 0 or out.stimulus_ua > 0


def play(seed: int) -> Told:
    """Play the world of ``seed``; an exception is told like anything else that is wrong."""
    recipe = make_recipe(seed)
    played = Play(recipe)
    wrong: list[str] = []
    try:
        played.run()
    except Exception:  # noqa: BLE001 (an exception is what it looks for)
        wrong.append(traceback.format_exc(limit=-4).replace("\n", " | "))
    world = played.world
    wrong += world.violations
    return Told(seed, world.now_s, wrong, world.events_sha256, played.counts)


# -- the programs ---------------------------------------------------------------------------------


def seeds_for(hours: float) -> Iterator[int]:
    """Yield seeds until their worlds are ``hours`` long together."""
    left_s, seed = hours * _S_PER_HOUR, FIRST_SEED
    while left_s > 0.0:
        yield seed
        left_s -= lasts_s(seed)
        seed += 1


def run(scale: float, say: Say) -> Outcome:
    """Play ``scale`` times 300 virtual hours."""
    hours = HOURS * scale
    counts: Counter[str] = Counter()
    failures: list[str] = []
    virtual_s, spent_s, worlds = 0.0, 0.0, 0
    for told, world_cpu_s in share_out(_play_and_time, seeds_for(hours)):
        worlds += 1
        virtual_s += told.virtual_s
        spent_s += world_cpu_s
        counts += told.counts
        if told.wrong:
            failures.append(
                f"seed {told.seed}: {'; '.join(told.wrong)}; "
                f"again: python -m cryoctl_hil.assurance.simulate {told.seed}"
            )
        if worlds % _TOLD_EVERY == 0:
            say(f"{virtual_s / _S_PER_HOUR:.1f} of {hours:g} virtual hours")
    ran_hours = virtual_s / _S_PER_HOUR
    return Outcome(
        [
            Measure(
                "virtual hours of seeded faults", f">= {hours:g} h", f"{ran_hours:.1f} h",
                ran_hours >= hours, ("SR-26",), ran_hours, hours, "h",
            ),
            Measure(
                "seeded worlds: violations and exceptions", "0", str(len(failures)),
                not failures, ("SR-01", "SR-05", "SR-15", "SR-26"), float(len(failures)), 0.0,
            ),
        ],
        {
            "worlds": worlds,
            "virtual_hours_per_cpu_hour": round(virtual_s / spent_s, 1),
            "cpu_s": round(spent_s, 1),
            "counts": dict(sorted(counts.items())),
        },
        failures,
    )  # fmt: skip


def _play_and_time(seed: int) -> tuple[Told, float]:
    began_s = cpu_s()
    return play(seed), cpu_s() - began_s


def run_seeds(scale: float, say: Say) -> Outcome:
    """Play ``scale`` times 100 seeds in two processes whose hashes of text differ."""
    count = max(1, round(SEEDS * scale))
    say(f"{count} seeds twice")
    first, second = _hashes_twice(sys.executable, sys.executable, count)
    outcome = Outcome([_same("the same seeds twice: different event logs", first, second, count)])
    other = shutil.which("python3.13")
    if other is not None and sys.version_info < (3, 13) and _has_us(other):
        say("and once in Python 3.13")
        elsewhere, _ = _hashes_twice(other, other, count)
        outcome.measures.append(
            _same("the same seeds in Python 3.11 and 3.13: different logs", first, elsewhere, count)
        )
    outcome.details = {"seeds": count, "events_sha256": first}
    outcome.failures = [
        f"seed {seed} gave {first[seed]} and {second.get(seed)}; "
        f"again: python -m cryoctl_hil.assurance.simulate --hashes {seed} 1"
        for seed in first
        if first[seed] != second.get(seed)
    ]
    return outcome


def _same(name: str, first: dict[str, str], second: dict[str, str], count: int) -> Measure:
    differing = sum(first[seed] != second.get(seed) for seed in first)
    differing += count - len(first)
    return Measure(name, "0", f"{differing} of {count}", differing == 0, ("SR-37",),
                   float(differing), 0.0)  # fmt: skip


def _hashes_twice(one: str, other: str, count: int) -> tuple[dict[str, str], dict[str, str]]:
    """Return the hash of each seed by two processes that run side by side."""
    running = [
        subprocess.Popen(  # noqa: S603 (our own module)
            [python, "-m", "cryoctl_hil.assurance.simulate", "--hashes", str(FIRST_SEED),
             str(count)],
            stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONHASHSEED": salt},
        )
        for python, salt in ((one, "1"), (other, "2"))
    ]  # fmt: skip
    said = [process.communicate()[0] for process in running]
    first, second = (dict(line.split() for line in text.splitlines()) for text in said)
    return first, second


def _has_us(python: str) -> bool:
    done = subprocess.run(  # noqa: S603 (a Python of this machine)
        [python, "-c", "import cryoctl_hil"], check=False, capture_output=True
    )
    return done.returncode == 0


def tell(seed: int) -> int:
    """Play one world and print all of it; return 1 if something was wrong."""
    recipe = make_recipe(seed)
    played = Play(recipe)
    lines: list[Any] = [recipe.treatment, f"scenario {recipe.scenario or 'none'}", *recipe.faults]
    try:
        played.run()
    finally:
        lines += sorted(played.notes)
        lines += [f"WRONG: {text}" for text in played.world.violations]
        lines.append(f"events {played.world.events_sha256}")
        sys.stdout.write("\n".join(map(str, lines)) + "\n")
    return 1 if played.world.violations else 0


def main(arguments: list[str]) -> int:
    """Tell of one seed, or print ``--hashes FIRST COUNT``."""
    if arguments[0] != "--hashes":
        return tell(int(arguments[0]))
    first, count = int(arguments[1]), int(arguments[2])
    for seed in range(first, first + count):
        sys.stdout.write(f"{seed} {play(seed).events_sha256}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
