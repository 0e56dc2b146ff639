"""The C firmware's only interrupt, SysTick, taken before any instruction of the main loop.

A moment is a tick of a treatment. It is run again and again, cut a little later each time, and goes
on from there: the module ``cryoctl_simulator.emulated.preemption`` says what is compared. Firmware
with races planted into it shows that races are found.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from cryoctl_hil.assurance.crew import share_out
from cryoctl_hil.assurance.program import Measure, Outcome, Say
from cryoctl_hil.assurance.walks import WALK_OF, WALKS, state_of, steps
from cryoctl_hil.back_to_back import middles
from cryoctl_hil.draws import Draws
from cryoctl_hil.world import World
from cryoctl_protocol.codes import DeviceState
from cryoctl_simulator.emulated.build import (
    SHIPPED,
    board_folder,
    build,
    probe_sources,
)
from cryoctl_simulator.emulated.elf_file import ElfFile
from cryoctl_simulator.emulated.preemption import WitnessedFirmware, WitnessedProbe
from cryoctl_simulator.firmware_builds import build_of

BOUNDARIES_MIN: Final = 50_000
PLACES_MIN: Final = 1_500
TICKS: Final = 6
"""One after the other: with and without telemetry, and one in which a lease arrives."""
TICKS_AFTER: Final = 3
SAMPLES: Final = 40
SAMPLE_STRIDE: Final = 997
"""Of a tick in a state other than FREEZE every so-manieth boundary, from one of ``SAMPLES`` on."""
CHUNK: Final = 2_000
TREATMENTS: Final = 4
CUT_MAX: Final = 40_000
"""No tick has as many instructions, but for the first one of a session."""
PLANTED_CUTS_MAX: Final = 3_000
"""A tick without telemetry has a thousand."""
_WITNESS: Final = "native"
_HANDLER: Final = "void hal_tick(void)\n{"
_FLAG: Final = "static volatile uint32_t tick_is_due;"

PLANTED: Final[dict[str, tuple[tuple[str, str, str], ...]]] = {
    "interrupts not held off between the question and the sleep": (
        ("hal_board.c", '__asm volatile("cpsid i" ::: "memory");', ""),
    ),
    "readings taken by the interrupt": (
        ("main.c", "    struct firmware_readings readings;\n", ""),
        ("main.c", "int main(void)", "struct firmware_readings readings;\n\nint main(void)"),
        ("main.c", "        hal_read_sensors(&readings);\n", ""),
        ("hal_board.c", _HANDLER, _HANDLER + " hal_read_sensors(&readings);"),
        ("hal_board.c", _FLAG, "extern struct firmware_readings readings;\n" + _FLAG),
    ),
    "clock kept by the interrupt": (
        ("hal_board.c", _HANDLER, _HANDLER + " firmware.state.now_ms = hal_now_ms();"),
        ("hal_board.c", _FLAG, "extern struct firmware firmware;\n" + _FLAG),
    ),
}
"""Races by name: file of the board, text in it, and what takes its place."""


class Task(NamedTuple):
    """Some boundaries of one tick.

    Attributes:
        step: Of the walk, in steps of 10 ms.
        counts: Instructions after which to cut, from the beginning of the tick's work.
    """

    walk: str
    step: int
    counts: range


class Found(NamedTuple):
    """What some boundaries came to."""

    cuts: int
    places: frozenset[int]
    mixed: int
    problems: list[str]


def new_probe(elf: ElfFile | None = None) -> WitnessedProbe:
    """Return our firmware, or another, beside its witness."""
    return WitnessedProbe(ElfFile.read(SHIPPED) if elf is None else elf, build_of(_WITNESS))


def firmware_of(world: World) -> WitnessedFirmware:
    """Return the firmware that is cut."""
    firmware = world.device.firmware
    assert isinstance(firmware, WitnessedFirmware)
    return firmware


@cache
def moment(walk: str, step: int) -> tuple[World, bytes]:
    """Return a world, and its state before a step."""
    world = WALK_OF[walk].world(build=new_probe())
    for number, _ in enumerate(steps(world), start=1):
        if number == step:
            break
    return world, world.save()


def cut(world: World, saved: bytes, count: int) -> WitnessedFirmware:
    """Cut the tick after a moment after so many instructions; return the firmware afterwards."""
    world.load(saved)
    firmware = firmware_of(world)
    firmware.cut_after = count
    world.step()
    place = firmware.cut_at
    for _ in range(TICKS_AFTER):
        world.step()
    firmware.cut_at = place
    return firmware


def run_task(task: Task) -> Found:
    """Cut at some boundaries."""
    world, saved = moment(task.walk, task.step)
    cuts, mixed = 0, 0
    places: set[int] = set()
    problems = []
    for count in task.counts:
        firmware = cut(world, saved, count)
        if firmware.cut_at is None:
            break  # The tick has ended before.
        cuts += 1
        places.add(firmware.cut_at)
        mixed += firmware.mixed_readings > 0
        if firmware.problem:
            problems.append(
                f"{task.walk} step {task.step}, cut after {count} instructions at "
                f"0x{firmware.cut_at:08x}: {firmware.problem}"
            )
    return Found(cuts, frozenset(places), mixed, problems)


def tasks(scale: float) -> Iterator[Task]:
    """Return every boundary of some ticks in a freeze, and some of ticks in every other state."""
    stride = max(1, round(1.0 / scale))
    for walk in WALKS:
        for middle in middles(walk.name):
            is_freeze = middle.state is DeviceState.FREEZE
            for step in range(middle.step, middle.step + TICKS):
                if is_freeze:
                    for first in range(1, CUT_MAX, CHUNK):
                        yield Task(walk.name, step, range(first, first + CHUNK, stride))
                elif step % stride == 0:
                    yield Task(walk.name, step, range(1 + step % SAMPLES, CUT_MAX, SAMPLE_STRIDE))


def treat(number: int) -> tuple[int, list[str]]:
    """Treat with every second tick cut at random; return the cuts and what was wrong."""
    draws = Draws(number)
    world = WALK_OF["treated"].world(build=new_probe())
    cuts, problems = 0, []
    for step, _ in enumerate(steps(world)):
        firmware = firmware_of(world)
        cuts += firmware.cut_at is not None
        if firmware.problem:
            problems.append(f"treatment {number}: {firmware.problem}")
            break
        if step % 2:
            firmware.cut_after = 1 + draws.below(CUT_MAX // 2 if step % 4 == 1 else SAMPLE_STRIDE)
    if not problems and state_of(world) is not DeviceState.IDLE:
        problems.append(f"treatment {number}: ended in {state_of(world).name}")
    return cuts, problems


def planted(name: str) -> ElfFile:
    """Build our firmware with a race in it."""
    with TemporaryDirectory() as folder:
        sources = probe_sources()
        for file, old, new in PLANTED[name]:
            row = next(row for row, path in enumerate(sources) if path.name == file)
            text = sources[row].read_text("utf-8")
            assert text.count(old) == 1, f"{file} has changed: {old!r}"
            sources[row] = Path(folder, file)
            sources[row].write_text(text.replace(old, new), "utf-8")
        out = Path(folder, "planted.elf")
        build(out, sources, linker_script=board_folder() / "link.ld", debug=True)
        return ElfFile.read(out)


def shows(name: str) -> str:
    """Return the first problem that a planted race makes in two ticks of a freeze, or none."""
    world = WALK_OF["treated"].world(build=new_probe(planted(name)))
    for _ in steps(world):
        if state_of(world) is DeviceState.FREEZE:
            break
    for _ in range(2):
        saved = world.save()
        for count in range(1, PLANTED_CUTS_MAX):
            firmware = cut(world, saved, count)
            if firmware.problem:
                return firmware.problem
            if firmware.cut_at is None:
                break
        world.load(saved)
        world.step()
    return ""


def run(scale: float, say: Say) -> Outcome:
    """Cut ticks; a scale under 1 cuts at evenly spread boundaries."""
    cuts, mixed = 0, 0
    places: set[int] = set()
    problems: list[str] = []
    for found in share_out(run_task, tasks(scale)):
        cuts += found.cuts
        mixed += found.mixed
        places |= found.places
        problems += found.problems
    say(f"{cuts} cuts at {len(places)} places; {mixed} had readings of two ticks")
    treatments = max(1, round(TREATMENTS * scale))
    for cuts_there, wrong in share_out(treat, range(treatments)):
        cuts += cuts_there
        problems += wrong
    say(f"{treatments} treatments with every second tick cut")
    told = zip(PLANTED, share_out(shows, PLANTED), strict=True)
    unseen = [name for name, problem in told if not problem]
    say(f"planted races that nothing shows: {', '.join(unseen) or 'none'}")
    outcome = judged(cuts, len(places), problems, unseen, scale=min(1.0, scale))
    outcome.details["readings of two ticks"] = mixed
    return outcome


def judged(
    cuts: int, places: int, problems: list[str], unseen: list[str], *, scale: float
) -> Outcome:
    """Return the measures."""
    cuts_asked, places_asked = BOUNDARIES_MIN * scale, PLACES_MIN * scale
    seen = len(PLANTED) - len(unseen)
    return Outcome(
        [
            Measure(
                "ticks cut by the next one's interrupt", f">= {cuts_asked:g}", str(cuts),
                cuts >= cuts_asked, (), float(cuts), cuts_asked,
            ),
            Measure(
                "distinct instructions that it was taken before", f">= {places_asked:g}",
                str(places), places >= places_asked, (), float(places), places_asked,
            ),
            Measure(
                "ticks cut: differences from whole ticks", "0", str(len(problems)), not problems,
                ("SR-01", "SR-15"), float(len(problems)), 0.0,
            ),
            Measure(
                "planted races that are found", str(len(PLANTED)), str(seen), not unseen, (),
                float(seen), float(len(PLANTED)),
            ),
        ],
        {"planted": list(PLANTED)},
        [*problems[:20], *(f"planted, and not found: {name}" for name in unseen)],
    )  # fmt: skip
