"""Small faults in ``safety.c``, each compiled and held against what the requirements say.

The claims are literals from the requirements, on the function that decides; a mutant that meets
all of them lives, and is told.
"""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

from cryoctl_hil.assurance.program import Measure, Outcome, Say
from cryoctl_simulator.firmware_compiler import find_compiler, source_folders
from cryoctl_simulator.firmware_layout import LimitsMemory, StateMemory

MUTANTS_MIN: Final = 60
LIMITS: Final = {
    "tip_floor_mdegc": -85_000, "coast_ms": 2_000, "freeze_ms_max": 180_000,
    "heater_on_ms_max": 20_000, "thaw_energy_uj_max": 5_000_000, "heater_tip_max_mdegc": 43_000,
}  # fmt: skip
"""Those of the profile n2o-20g."""
REST: Final = {"tip_mdegc": 36_000, "tip_plausible": 1, "lease_left_ms": 300}
_FREEZE: Final = {"state": 6, "driving": 1, "phase_limit_ms": 60_000}
_SHUT: Final = {"valve_shut_ms": 2_301}
_STIMULUS: Final = {"tip_mdegc": 20_001, **_SHUT}


class Claim(NamedTuple):
    """What a function has to return for a state, as its requirement says."""

    requirement: str
    function: str
    state: dict[str, int]
    expected: int
    more: tuple[int, ...] = ()


def _trips(requirement: str, trip: int, reached: dict[str, int], *last: dict[str, int]) -> Any:
    """Claim a cause at its limit, its absence just before, and that one seen is passed over."""
    yield Claim(requirement, "find_trip", reached, trip, (0,))
    yield Claim(requirement, "find_trip", reached, 0, (1 << trip,))
    yield Claim(requirement, "find_trip", reached, trip, (0x7FFFFFFF & ~(1 << trip),))
    for short in last:
        yield Claim(requirement, "find_trip", reached | short, 0, (0,))


def claims() -> Iterator[Claim]:
    """Return every claim: each boundary from both sides."""
    yield Claim("SR-05", "find_trip", {}, 0, (0,))
    yield from _trips("SR-11", 5, {"tip_bad_samples": 3}, {"tip_bad_samples": 2})
    yield from _trips(
        "SR-05", 1, {"tip_mdegc": -85_000}, {"tip_mdegc": -84_999}, {"tip_plausible": 0}
    )
    yield from _trips("SR-18", 10, {"overpressure_ticks": 3}, {"overpressure_ticks": 2})
    for ticks in ({"flow_stuck_ticks": 3}, {"falling_ticks": 5}):
        ((name, count),) = ticks.items()
        yield from _trips("SR-07", 2, ticks | _SHUT, {name: count - 1}, {"valve_shut_ms": 2_300})
    yield from _trips(
        "SR-16", 8, {"tip_mdegc": 43_001}, {"tip_mdegc": 43_000}, {"tip_plausible": 0}
    )
    for name, limit in (("heater_on_ms", 20_000), ("heater_energy_uj", 5_000_000)):
        yield from _trips(
            "SR-16", 8, {"heating": 1, name: limit + 1}, {name: limit}, {"heating": 0}
        )
    yield from _trips("SR-42", 26, {"skin_hot_ticks": 10}, {"skin_hot_ticks": 9})
    yield from _trips("SR-18", 11, {"exhaust_ticks": 3}, {"exhaust_ticks": 2})
    yield from _trips(
        "SR-01", 14, {"driving": 1, "lease_left_ms": 0}, {"lease_left_ms": 1}, {"driving": 0}
    )
    yield from _trips(
        "SR-23", 13, {"driving": 1, "frames_rejected": 6}, {"frames_rejected": 5}, {"driving": 0}
    )
    yield from _trips(
        "SR-18", 24, _FREEZE | {"guards_open_ticks": 10}, {"guards_open_ticks": 9}, {"state": 7}
    )
    yield from _trips(
        "SR-09", 4, _FREEZE | {"freeze_ms": 60_001}, {"freeze_ms": 60_000}, {"state": 7}
    )
    yield from _trips(
        "SR-09", 4, _FREEZE | {"freeze_ms": 180_001, "phase_limit_ms": 999_999},
        {"freeze_ms": 180_000},
    )  # fmt: skip
    yield from _trips("SR-08", 3, {"leak_ms": 1_000}, {"leak_ms": 999})
    yield from _trips(
        "SR-36", 15, {"battery_low_ms": 100, "driving": 1}, {"battery_low_ms": 99}, {"driving": 0}
    )
    yield from _trips("SR-36", 15, {"battery_low_ms": 100, "trip": 15}, {"trip": 14})
    yield from _trips("SR-01", 16, {"mode_mismatches": 3}, {"mode_mismatches": 2})
    yield from _others()


def _others() -> Iterator[Claim]:
    for outputs in range(8):
        on = [outputs & 1, outputs >> 1 & 1, outputs >> 2]
        yield Claim("SR-15", "outputs_overlap", {}, int(sum(on) > 1), tuple(on))
    for shut_ms, proved in ((2_300, 0), (2_301, 1)):
        yield Claim("SR-41", "valve_is_proved_shut", {"valve_shut_ms": shut_ms}, proved)
    yield Claim("SR-41", "valve_is_proved_shut", _SHUT | {"shutoff_open": 1}, 0)
    for tip_mdegc, cold in ((20_000, 1), (20_001, 0)):
        yield Claim("SR-41", "tip_is_too_cold_to_stimulate", {"tip_mdegc": tip_mdegc}, cold)
    for elapsed_ms, counted_ms, over in ((99, 99, 0), (100, 0, 1), (0, 100, 1)):
        state = {"phase_limit_ms": 100, "prewarm_ms": counted_ms}
        yield Claim("SR-42", "prewarm_is_over", state, over, (elapsed_ms,))
    for asked_ms, limit_ms in ((5_000, 5_000), (99_000, 30_000)):
        for now_ms, counted_ms, over in (
            (limit_ms - 1, limit_ms - 1, 0), (limit_ms, 0, 1), (0, limit_ms, 1),
        ):  # fmt: skip
            state = {"phase_limit_ms": asked_ms, "now_ms": now_ms, "stimulus_ms": counted_ms}
            yield Claim("SR-41", "stimulus_is_over", state, over)
    yield Claim("SR-41", "stimulus_must_end", _STIMULUS, 0)
    for spoiled in (
        {"shutoff_open": 1}, {"valve_shut_ms": 2_300}, {"tip_bad_samples": 3},
        {"tip_mdegc": 20_000},
    ):  # fmt: skip
        yield Claim("SR-41", "stimulus_must_end", _STIMULUS | spoiled, 1)
    yield Claim("SR-41", "stimulus_must_end", _STIMULUS | {"tip_bad_samples": 2}, 0)


WITHOUT_LIMITS: Final = (
    "outputs_overlap", "tip_is_too_cold_to_stimulate", "prewarm_is_over", "stimulus_is_over",
)  # fmt: skip
WITHOUT_STATE: Final = ("outputs_overlap",)


def broken_claim(library: Any) -> Claim | None:
    """Return the first claim that a compiled ``safety.c`` does not meet."""
    limits = LimitsMemory(**LIMITS)
    for claim in claims():
        state = StateMemory()
        for name, value in (REST | claim.state).items():
            setattr(state.outputs if name == "shutoff_open" else state, name, value)
        given: list[Any] = [] if claim.function in WITHOUT_LIMITS else [ctypes.byref(limits)]
        if claim.function not in WITHOUT_STATE:
            given.append(ctypes.byref(state))
        if getattr(library, claim.function)(*given, *claim.more) != claim.expected:
            return claim
    return None


# -- mutants -------------------------------------------------------------------------------------

_TO: Final = {"<=": "<", ">=": ">", "<": "<=", ">": ">=", "==": "!="}
_COMPARISON: Final = re.compile(r" (<=|>=|==|<|>) ")
_CONSTANT: Final = re.compile(r"^#define (\w+) (\d+)", re.MULTILINE)
_SHARED: Final = re.compile(
    r"\b(TIP_BAD_SAMPLES_MAX|VALVE_PROOF_MS|LEAK_MS|REJECTS_MAX|MISMATCHES_MAX|STIMULUS_MS_MAX)\b"
)
_CHECK: Final = re.compile(r"if \((.*)\) \{")
_VERDICT: Final = re.compile(r"return ([01]);")
_NOT: Final = re.compile(r"\(!")

_OPERATORS: Final[tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], list[str]]], ...]] = (
    (_COMPARISON, lambda m: [f" {_TO[m[1]]} "]),
    (_CONSTANT, lambda m: [f"#define {m[1]} {int(m[2]) + step}" for step in (-1, 1)]),
    (_SHARED, lambda m: [f"({m[1]} {step})" for step in ("- 1", "+ 1")]),
    (_CHECK, lambda _: ["if (0) {", "if (1) {"]),
    (_VERDICT, lambda m: [f"return {1 - int(m[1])};"]),
    (_NOT, lambda _: ["("]),
)
"""Boundaries, constants, checks left out or always taken, verdicts turned round, negations lost."""


def mutants(text: str) -> Iterator[tuple[str, str]]:
    """Yield a name and the changed text of each mutant of ``safety.c``."""
    body = text.index("int32_t find_trip")

    def changed(match: re.Match[str], new: str) -> tuple[str, str]:
        line = text.count("\n", 0, match.start()) + 1
        what = f"safety.c:{line}: {match.group(0).strip()} -> {new.strip()}"
        return what, text[: match.start()] + new + text[match.end() :]

    for pattern, replacements in _OPERATORS:
        for match in pattern.finditer(text, 0 if pattern is _CONSTANT else body):
            for new in replacements(match):
                yield changed(match, new)


def compiled(text: str, folder: Path, name: str) -> Any:
    """Return ``safety.c`` with this text, compiled by itself."""
    source = folder / f"{name}.c"
    source.write_text(text, "utf-8")
    made = source.with_suffix(".so")
    includes = [f"-I{each}" for each in source_folders()]
    command = [*find_compiler(), "-std=c11", "-O0", "-w", "-fPIC", "-shared", *includes]
    subprocess.run([*command, "-o", str(made), str(source)], check=True)  # noqa: S603 (our own)
    return ctypes.CDLL(str(made))


def survivors(chosen: list[tuple[str, str]]) -> list[str]:
    """Return the mutants that meet every claim."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:

        def lives(item: tuple[int, tuple[str, str]]) -> bool:
            number, (_, text) = item
            return broken_claim(compiled(text, Path(folder), f"mutant{number}")) is None

        return [
            name
            for (name, _), alive in zip(chosen, pool.map(lives, enumerate(chosen)), strict=True)
            if alive
        ]


def safety_text() -> str:
    """Return the text of ``safety.c``."""
    return (source_folders()[0] / "safety.c").read_text("utf-8")


def run(scale: float, say: Say) -> Outcome:
    """Run the mutants; a scale under 1 takes evenly spread ones."""
    text = safety_text()
    chosen = list(mutants(text))[:: max(1, round(1.0 / scale))]
    with tempfile.TemporaryDirectory() as folder:
        broken = broken_claim(compiled(text, Path(folder), "safety"))
    alive = survivors(chosen)
    for name in alive:
        say(f"lives: {name}")
    asked = MUTANTS_MIN * min(1.0, scale)
    return Outcome(
        [
            Measure(
                "mutants of the C safety core", f">= {asked:g}", str(len(chosen)),
                len(chosen) >= asked, (), float(len(chosen)), asked,
            ),
            Measure(
                "mutants of the C safety core that live", "0", str(len(alive)), not alive, (),
                float(len(alive)), 0.0,
            ),
        ],
        {"claims": len(list(claims())), "survivors": alive},
        [] if broken is None else [f"safety.c as it is breaks {broken}"],
    )  # fmt: skip
