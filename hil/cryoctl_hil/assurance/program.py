"""What an assurance program is: a function of a scale that returns measures, kept as JSON.

A program takes from seconds to an hour. ``scale`` 1.0 is what the safety case asks for; tests run
a small share of each. Its JSON file is all that the scoreboard and the traceability page read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Measure:
    """One line of the scoreboard.

    Attributes:
        name: What is measured, as people say it.
        target: What is asked for, such as ``0`` or ``<= 100 ms``.
        result: What was found, with unit.
        ok: Whether the target is met at the scale that was run.
        requirements: Safety requirements that this is evidence for.
        value: The figure behind ``result``, where there is one, in ``unit``.
        bound: The figure behind ``target``, in the same unit.
    """

    name: str
    target: str
    result: str
    ok: bool
    requirements: tuple[str, ...] = ()
    value: float | None = None
    bound: float | None = None
    unit: str = ""


@dataclass(slots=True)
class Outcome:
    """What one run of a program found.

    Attributes:
        measures: For the scoreboard.
        details: Everything else worth keeping, ready for JSON: pairs, cells, survivors.
        failures: What went wrong, one text each, with the command that repeats it where possible.
    """

    measures: list[Measure]
    details: dict[str, Any] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """True if every target is met and nothing failed."""
        return not self.failures and all(measure.ok for measure in self.measures)


Say = Callable[[str], None]
Run = Callable[[float, Say], Outcome]
"""Scale, and where to say how far it is."""


@dataclass(frozen=True, slots=True)
class Program:
    """One row of the list of programs.

    Attributes:
        name: As ``cryoctl assure NAME`` calls it.
        text: One line for people.
        where: ``module:function`` of a ``Run``, loaded when it is run.
        measures: Names of the measures it makes; those of a program that was not run say so.
    """

    name: str
    text: str
    where: str
    measures: tuple[str, ...]

    def load(self) -> Run:
        """Return the function that runs it."""
        module, _, function = self.where.partition(":")
        run: Run = getattr(import_module(module), function)
        return run


PROGRAMS: Final[tuple[Program, ...]] = (
    Program(
        "evidence",
        "disks that fill up, stall or break, clocks that are set, trails that are changed",
        "cryoctl_hil.assurance.evidence:run",
        (
            "full disks: unsafe ends",
            "full disks: evidence lost that was written",
            "full disks: alarm after",
            "slow or blocked disk: longest call",
            "slow or blocked disk: evidence lost",
            "read-only folder: ticks before it was refused",
            "clock set by a year: phases moved",
            "clock set by a year: untold by trail or alarm",
            "recorder thread ended: unsafe ends",
            "recorder thread ended: untold by trail or alarm",
            "mutated trails judged wrong",
        ),
    ),
    Program(
        "broken",
        "each layer of interlocks alone against its bounds; then each interlock broken in turn",
        "cryoctl_hil.assurance.broken:run",
        (
            "bounds kept by the host alone",
            "bounds kept by the device alone",
            "broken interlocks that a claim shows",
        ),
    ),
    Program(
        "awaits",
        "an exception at every await of the asyncio shell and in everything it calls back",
        "cryoctl_hil.assurance.awaits:run",
        (
            "exceptions in awaits that leave the probe off in time",
            "exceptions in callbacks that leave the probe off in time",
        ),
    ),
    Program(
        "frames", "ten million mutated frames, both ways, and the codec against its declaration",
        "cryoctl_hil.assurance.frames:run",
        (
            "mutated frames",
            "mutated frames: exceptions",
            "mutated frames: accepted but not byte-identical",
            "mutated frames: changes of state",
            "mutated frames: CRC fits by chance",
            "codec against declaration: payloads",
            "codec against declaration: differences",
        ),
    ),
    Program(
        "stateful", "any act in any order, by Hypothesis", "cryoctl_hil.assurance.stateful:run",
        ("stateful examples", "stateful: violations and exceptions"),
    ),
    Program(
        "simulate", "300 virtual hours of seeded faults, weather, kills and clock jumps",
        "cryoctl_hil.assurance.simulate:run",
        ("virtual hours of seeded faults", "seeded worlds: violations and exceptions"),
    ),
    Program(
        "seeds", "100 seeds twice: identical event logs",
        "cryoctl_hil.assurance.simulate:run_seeds",
        (
            "the same seeds twice: different event logs",
            "the same seeds in Python 3.11 and 3.13: different logs",
        ),
    ),
    Program(
        "falsetrips", "300 virtual hours of healthy treatments, which may not trip",
        "cryoctl_hil.assurance.falsetrips:run", ("nominal virtual hours", "false trips"),
    ),
    Program(
        "kills", "kill -9 and SIGSTOP of controller and probe in a freeze, over a pseudo-terminal",
        "cryoctl_hil.assurance.kills:run",
        (
            "controller killed: valve open for at most",
            "controller stopped: valve open for at most",
            "recordings unreadable after a kill",
            "telemetry lost by a kill, at most",
            "audit trails not judged NOT CLOSED",
            "recorded events that a trail lacks",
            "probe killed or stopped: runs that did not end with a trip",
        ),
    ),
    Program(
        "links", "whole treatments and faults in real time, on every kind of link and in memory",
        "cryoctl_hil.assurance.links:run",
        (
            "three cycles over a link that do not pass",
            "faults over a link with another end than in memory",
        ),
    ),
    Program(
        "losses", "a link that goes in a freeze and comes back, on every kind of link",
        "cryoctl_hil.assurance.losses:run",
        (
            "link lost, pty: valve open for at most",
            "link lost, tcp: valve open for at most",
            "link lost, mqtt: valve open for at most",
            "link lost, mqtts: valve open for at most",
            "link lost, gateway: valve open for at most",
            "links lost: commands carried over, or frozen again",
            "links lost: controllers that did not end as they should",
            "links lost: share of a core used afterwards, at most",
        ),
    ),
    Program(
        "stop",
        "STOP on the dashboard with stalled pages and a blocked recorder, beside an idle timer",
        "cryoctl_hil.assurance.stop:run",
        (
            "STOP to wire: presses, with 4 stalled pages and a blocked recorder",
            "STOP to wire: 99 of 100 within",
            "STOP to wire: at most",
            "STOP to wire: over 100 ms with no stall of the machine",
        ),
    ),
    Program(
        "dashboard",
        "an hour of the dashboard: memory of server and browser, processor, pictures a second",
        "cryoctl_hil.assurance.dashboard:run",
        (
            "dashboard: memory that the server gains",
            "dashboard: memory that the browser gains",
            "dashboard: memory that the page's script gains",
            "dashboard: share of a core that serving takes",
            "dashboard: pictures a second that the page gets",
        ),
    ),
    Program(
        "reach",
        "search of every state that the probe's firmware and the controller can come to",
        "cryoctl_hil.assurance.reach:run",
        (
            "reachable states of the device",
            "violations in the device",
            "dead ends in the device",
            "reachable states of the host",
            "violations in the host",
            "dead ends in the host",
        ),
    ),
    Program(
        "identity",
        "builds of the firmware against each other: the same bytes after every tick",
        "cryoctl_hil.back_to_back:run",
        (
            "model and native: scenarios that differ",
            "model and native: faults that differ",
            "model and native: hostile runs that differ",
        ),
    ),
    Program(
        "cmutants",
        "small faults in the C firmware's interlocks, and which requirement notices",
        "cryoctl_hil.assurance.c_mutants:run",
        ("mutants of the C safety core", "mutants of the C safety core that live"),
    ),
    Program(
        "preemption",
        "the C firmware's interrupt before any instruction of its main loop, and planted races",
        "cryoctl_hil.assurance.preemption:run",
        (
            "ticks cut by the next one's interrupt",
            "distinct instructions that it was taken before",
            "ticks cut: differences from whole ticks",
            "planted races that are found",
        ),
    ),
    Program(
        "upsets",
        "bits that turn over: every one of the C firmware's memory, some of processor and RAM",
        "cryoctl_hil.assurance.upsets:run",
        (
            "bits of the firmware's memory turned over",
            "bits of memory that keep the valve open for over 0.5 s",
            "upsets of RAM and registers",
            "upsets that keep the valve open for over 0.5 s",
        ),
    ),
    Program(
        "defects",
        "defective probes, each of which the suite for rigs has to catch, and healthy ones",
        "cryoctl_hil.assurance.defective_probes:run",
        ("defective probes that the suite catches", "healthy probes that the suite passes"),
    ),
    Program(
        "coverage",
        "branches and MC/DC pairs of the safety core; lines and branches of its machine code",
        "cryoctl_hil.assurance.decisions:run",
        (
            "branches of the safety core taken",
            "conditions with an MC/DC pair",
            "lines of safety.c executed in the machine code",
            "ways of branches of safety.c in the machine code",
        ),
    ),
    Program(
        "mutants",
        "small faults in the safety core, and who notices",
        "cryoctl_hil.assurance.mutants:run",
        (
            "mutants of the safety core",
            "mutants that live, not argued",
            "mutants that live, argued one by one",
        ),
    ),
    Program(
        "matrix", "every fault in every state at three moments: delivered, seen, found, safe",
        "cryoctl_hil.assurance.matrix:run",
        (
            "cells of fault x state x moment",
            "cells whose fault is found",
            "cells that are empty",
            "cells that are late",
            "cells that are not as declared",
            "coldest true tip in any cell",
        ),
    ),
)  # fmt: skip


def write_outcome(
    folder: Path, program: Program, outcome: Outcome, about: dict[str, str | float]
) -> Path:
    """Keep an outcome as ``NAME.json``; ``about`` says when, of which commit, at which scale."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{program.name}.json"
    kept = {
        "program": program.name,
        **about,
        "ok": outcome.ok,
        "measures": [asdict(measure) for measure in outcome.measures],
        "failures": outcome.failures,
        "details": outcome.details,
    }
    path.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def read_outcomes(folder: Path, programs: Sequence[Program] = PROGRAMS) -> dict[str, Any]:
    """Return the kept outcomes by program; those that were never run are not there."""
    found = {}
    for program in programs:
        path = folder / f"{program.name}.json"
        if path.exists():
            found[program.name] = json.loads(path.read_text("utf-8"))
    return found
