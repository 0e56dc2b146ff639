"""Builds of one firmware against each other: after every tick the same bytes and outputs.

The firmware is specified in integers, so there is no tolerance. Two builds run side by side as one:
whole treatments under the real controller, every fault of the catalogue in every state, and hostile
bytes and readings. The memory of both is compared as well, now and then. The first difference ends
a run and is told with its tick and its frames.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, fields
from functools import cache
from hashlib import sha256
from multiprocessing import get_context
from operator import attrgetter
from typing import Any, Final, cast

from cryoctl.treatment import Treatment, default_treatment
from cryoctl_hil.assurance.program import Measure, Outcome, Say
from cryoctl_hil.assurance.walks import (
    WALK_OF,
    WALKS,
    Moment,
    PatientOperator,
    Walk,
    steps,
)
from cryoctl_hil.strange_host import StrangeHost
from cryoctl_hil.world import World
from cryoctl_protocol.framing import DELIMITER, Deframer, message_in
from cryoctl_simulator.faults import CATALOGUE
from cryoctl_simulator.firmware import Build, Firmware, FirmwareError
from cryoctl_simulator.firmware_builds import BUILDS, build_of
from cryoctl_simulator.firmware_config import FirmwareConfig
from cryoctl_simulator.firmware_state import FirmwareState, Outputs
from cryoctl_simulator.instruments import Readings

SCENARIOS_MIN: Final = 50
HOSTILE_MIN: Final = 100
"""Runs of hostile bytes and readings."""
MEMORY_TICKS: Final = 10
"""Every so-manieth tick the memory is compared, too: it takes as long as the tick."""
HOSTILE_TICKS: Final = 3_000
FAULT_S: Final = 8.0
"""How long a fault is followed; the longest time to an answer is that of a clock that drifts."""
_PROFILES: Final = ("n2o-20g", "co2-20g", "n2o-27gx3", "n2o-console-2mm", "co2-double-18g")
_TISSUES: Final = (
    "", "fat", "muscle", "high-perfusion", "low-gas", "misplaced", "warm-room", "oblique-nerve",
    "gel-bench", "air-check",
)  # fmt: skip
_STOPPED: Final = 5
"""Every so-manieth scenario is stopped by its operator."""
_OUTPUTS: Final = tuple(each.name for each in fields(Outputs))
_MEMORY: Final = tuple(each.name for each in fields(FirmwareState) if each.name != "outputs")
_outputs_of: Final = attrgetter(*_OUTPUTS)
_memory_of: Final = attrgetter(*_MEMORY)


class BuildsDifferError(Exception):
    """Two builds did not do the same; the text says when and what."""


class BothMemories:
    """Reads the memory of the first of two firmwares and writes that of both."""

    def __init__(self, first: FirmwareState, second: FirmwareState) -> None:
        object.__setattr__(self, "_both", (first, second))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._both[0], name)

    def __setattr__(self, name: str, value: Any) -> None:
        for each in self._both:
            setattr(each, name, value)

    def __repr__(self) -> str:
        return repr(self._both[0])


class PairedFirmware:
    """Two builds as one firmware (``Firmware``), compared after every tick.

    Args:
        first: Its bytes are sent and its outputs driven.
        second: Has to do the same.
    """

    is_reset: Final = False

    def __init__(self, first: Firmware, second: Firmware) -> None:
        self._first = first
        self._second = second
        self._ticks = 0

    @property
    def config(self) -> FirmwareConfig:
        """What both were built with."""
        return self._first.config

    @property
    def profile_hash(self) -> int:
        """Hash of the profile's limits, as both say it."""
        return self._first.profile_hash

    @profile_hash.setter
    def profile_hash(self, value: int) -> None:
        self._first.profile_hash = value
        self._second.profile_hash = value

    @property
    def outputs(self) -> Outputs:
        """What the first one drives."""
        return self._first.outputs

    @property
    def state(self) -> FirmwareState:
        """Memory of both: what is written is written to both."""
        return cast("FirmwareState", BothMemories(self._first.state, self._second.state))

    def tick(self, now_ms: int, readings: Readings, incoming: bytes) -> bytes | None:
        """Run both; raises BuildsDifferError where they differ."""
        first, second = self._first, self._second
        sent = first.tick(now_ms, readings, incoming)
        also = second.tick(now_ms, readings, incoming)
        if sent != also:
            raise BuildsDifferError(f"{_at(now_ms)}: sent {_frames(sent)} and {_frames(also)}")
        _compare(now_ms, _OUTPUTS, _outputs_of(first.outputs), _outputs_of(second.outputs))
        self._ticks += 1
        if self._ticks % MEMORY_TICKS == 0:
            _compare(now_ms, _MEMORY, _memory_of(first.state), _memory_of(second.state))
        return sent

    def save(self) -> bytes:
        """Return the whole state of both."""
        return pickle.dumps((self._first.save(), self._second.save()))

    def load(self, data: bytes) -> None:
        """Take over a state that ``save`` returned."""
        first, second = pickle.loads(data)
        self._first.load(first)
        self._second.load(second)


def paired(names: tuple[str, str]) -> Build:
    """Return both builds as one; raises FirmwareError if one of them cannot be made."""
    first, second = map(build_of, names)
    return lambda config, boot: PairedFirmware(first(config, boot), second(config, boot))


def _compare(
    now_ms: int, names: Sequence[str], first: tuple[Any, ...], second: tuple[Any, ...]
) -> None:
    if first != second:
        told = [
            f"{name} {one!r} and {other!r}"
            for name, one, other in zip(names, first, second, strict=True)
            if one != other
        ]
        raise BuildsDifferError(f"{_at(now_ms)}: {', '.join(told)}")


def _at(now_ms: int) -> str:
    return f"device clock {now_ms} ms"


def _frames(sent: bytes | None) -> str:
    if sent is None:
        return "nothing: the tick did not complete"
    deframer = Deframer()
    deframer.feed(DELIMITER)
    return "; ".join(f"{message_in(body)} ({body.hex()})" for body in deframer.feed(sent)) or "-"


# -- the runs ------------------------------------------------------------------------------------


@dataclass(slots=True)
class Tally:
    """What some runs came to; sums of runs add up.

    Attributes:
        runs: How many.
        ticks: Of all of them.
        sent: Bytes of all of them.
        digest: Of what was sent, run by run.
        differences: First one of each run that had one.
    """

    runs: int = 0
    ticks: int = 0
    sent: int = 0
    digest: bytes = b""
    differences: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Add what other runs came to."""
        self.runs += other.runs
        self.ticks += other.ticks
        self.sent += other.sent
        self.digest = sha256(self.digest + other.digest).digest()
        self.differences += other.differences


def follow(name: str, world: World, said: Iterable[World]) -> Tally:
    """Let a world go on to the end of ``said``; return what it came to."""
    digest = sha256()
    tally = Tally(runs=1)
    try:
        for _ in said:
            tally.ticks += 1
            tally.sent += len(world.line.said)
            digest.update(world.line.said)
    except BuildsDifferError as difference:
        tally.differences.append(f"{name}: {difference}")
    tally.digest = digest.digest()
    return tally


def scenario_world(number: int, build: Build) -> tuple[str, World]:
    """Return the name of a scenario and its world: profile, tissue, seed and operator vary."""
    profile = _PROFILES[number % len(_PROFILES)]
    tissue = _TISSUES[number // len(_PROFILES) % len(_TISSUES)]
    world = World(
        profile,
        plan=_plan(profile, number),
        seed=number + 1,
        query=f"scenario={tissue}" if tissue else "",
        operator=PatientOperator(3.0 if number % _STOPPED == _STOPPED - 1 else None),
        build=build,
    )
    return f"scenario {number} ({profile}, {tissue or 'liver'})", world


def _plan(profile: str, number: int) -> Treatment:
    """Return two short cycles; every other one thaws with the heater."""
    plan = default_treatment(profile).model_dump(by_alias=True)
    plan["cycles"].update(count=2, hold_s=12.0, pause_s=2.0)
    plan["prewarm"].update(duration_s=2.0)
    plan["thaw"].update(mode="active" if number % 2 else "passive", timeout_s=150.0)
    return Treatment.model_validate(plan)


def run_scenario(names: tuple[str, str], number: int) -> Tally:
    """Run one whole treatment."""
    name, world = scenario_world(number, paired(names))
    return follow(name, world, steps(world))


def run_faults(names: tuple[str, str], moment: Moment, fault_ids: Sequence[str]) -> Tally:
    """Run faults from one moment of a walk on."""
    total = Tally()
    saved = _saved(names, moment.walk)[moment.step]
    for fault_id in fault_ids:
        world = _walk_world(WALK_OF[moment.walk], names)
        world.load(saved)
        began_s = world.now_s
        world.device.inject(f"{fault_id}@{began_s:g}s")
        total.add(
            follow(
                f"{fault_id} in {moment.state.name} ({moment.walk})",
                world,
                _for(world, began_s + FAULT_S),
            )
        )
    return total


def _for(world: World, until_s: float) -> Iterator[World]:
    for _ in steps(world):
        yield world
        if world.now_s >= until_s:
            return


def _walk_world(walk: Walk, names: tuple[str, str]) -> World:
    return walk.world(build=paired(names))


@cache
def middles(walk_name: str) -> list[Moment]:
    """Return the middle of every state that a walk is taken for."""
    return [moment for moment in WALK_OF[walk_name].moments() if moment.name == "middle"]


@cache
def _saved(names: tuple[str, str], walk_name: str) -> dict[int, bytes]:
    wanted = {moment.step for moment in middles(walk_name)}
    world = _walk_world(WALK_OF[walk_name], names)
    saved = {}
    for step, _ in enumerate(steps(world), start=1):
        if step in wanted:
            saved[step] = world.save()
        if len(saved) == len(wanted):
            break
    return saved


def run_hostile(names: tuple[str, str], number: int) -> Tally:
    """Run one conversation with somebody who knows the key and means no good."""
    build = paired(names)
    host = StrangeHost(number)
    tally = Tally(runs=1)
    digest = sha256()
    try:
        firmware = build(host.config, host.boot)
        for _ in range(HOSTILE_TICKS):
            incoming = host.speak(firmware.state)
            sent = firmware.tick(host.now_ms, host.readings, incoming) or b""
            host.hear(sent)
            tally.ticks += 1
            tally.sent += len(sent)
            digest.update(sent)
    except BuildsDifferError as difference:
        tally.differences.append(f"hostile run {number}: {difference}")
    tally.digest = digest.digest()
    return tally


# -- the program ---------------------------------------------------------------------------------


def available() -> tuple[list[str], list[str]]:
    """Return the builds that can be made here, and why the others cannot."""
    found, missing = [], []
    for name in BUILDS:
        if ":" in name:
            continue  # Somebody else's firmware, which has its own idea of everything.
        try:
            build_of(name)
        except FirmwareError as error:
            missing.append(str(error))
        else:
            found.append(name)
    return found, missing


@dataclass(frozen=True, slots=True)
class _Job:
    names: tuple[str, str]
    kind: str
    number: int = 0
    moment: Moment | None = None


def _run(job: _Job) -> Tally:
    if job.moment is not None:
        return run_faults(job.names, job.moment, list(CATALOGUE))
    if job.kind == "scenarios":
        return run_scenario(job.names, job.number)
    return run_hostile(job.names, job.number)


def jobs(names: tuple[str, str], scale: float) -> list[_Job]:
    """Return what is to be run for one pair of builds."""
    moments = [moment for walk in WALKS for moment in middles(walk.name)]
    moments = moments[:: max(1, round(1.0 / scale))]
    return [
        *(_Job(names, "scenarios", number) for number in range(_share(SCENARIOS_MIN, scale))),
        *(_Job(names, "faults", moment=moment) for moment in moments),
        *(_Job(names, "hostile runs", number) for number in range(_share(HOSTILE_MIN, scale))),
    ]


def _share(count: int, scale: float) -> int:
    return max(1, round(count * scale))


def run(scale: float, say: Say) -> Outcome:
    """Run every build that can be made here against the first, the model."""
    found, missing = available()
    for text in missing:
        say(text)
    outcome = Outcome([], {"builds": found, "missing": missing})
    pairs = [(found[0], name) for name in found[1:]]  # All that equal the first are equal.
    for names in pairs:
        _run_pair(names, scale, say, outcome)
    if not pairs:
        outcome.failures.append(f"only {found} can be made here: {'; '.join(missing)}")
    return outcome


def _run_pair(names: tuple[str, str], scale: float, say: Say, outcome: Outcome) -> None:
    chosen = jobs(names, scale)
    totals = {job.kind: Tally() for job in chosen}
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("fork")) as pool:
        for job, tally in zip(chosen, pool.map(_run, chosen), strict=True):
            totals[job.kind].add(tally)
    pair = " and ".join(names)
    for kind, total in totals.items():
        say(f"{pair}: {told(kind, total)}")
        asked = {"scenarios": SCENARIOS_MIN, "faults": len(CATALOGUE), "hostile runs": HOSTILE_MIN}
        least = asked[kind] * min(1.0, scale)
        outcome.measures.append(
            Measure(
                f"{pair}: {kind} that differ", "0",
                f"{len(total.differences)} of {total.runs} in {total.ticks} ticks",
                not total.differences and total.runs >= least, (),
                float(len(total.differences)), 0.0,
            )
        )  # fmt: skip
        outcome.details[f"{pair}: {kind}"] = {
            "runs": total.runs,
            "ticks": total.ticks,
            "bytes": total.sent,
            "sha256": total.digest.hex(),
        }
        outcome.failures += [f"{pair}: {text}" for text in total.differences]


def told(kind: str, total: Tally) -> str:
    """Return one line on some runs."""
    return (
        f"{total.runs} {kind}, {total.ticks} ticks, {total.sent} bytes, "
        f"sha256 {total.digest.hex()[:16]}, {len(total.differences)} differences"
    )
