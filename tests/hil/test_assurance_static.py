"""A small share of the programs that look at the safety core itself."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Hashable, Sequence
from pathlib import Path
from types import ModuleType

import pytest

from cryoctl import answers, core, measures, permits, phases
from cryoctl.alarm_board import AlarmBoard
from cryoctl.cycle_table import Phase
from cryoctl.safing import Safing
from cryoctl_hil.assurance.conditions import InstrumentingFinder, Recorder, pairs
from cryoctl_hil.assurance.mutants import load_argued
from cryoctl_hil.assurance.mutation import apply, mutants
from cryoctl_hil.assurance.reach import run
from cryoctl_hil.assurance.reach_device import TREATMENT, DeviceWorld
from cryoctl_hil.assurance.reach_host import HOST_TREATMENT, HostWorld
from cryoctl_hil.assurance.safety_core import ROOT, SAFETY_CORE
from cryoctl_hil.assurance.state_search import explore
from cryoctl_protocol.codes import Op
from cryoctl_protocol.messages import Ack
from cryoctl_simulator import firmware_commands, firmware_model


def quiet(text: str) -> None:
    assert text


# -- the search of states --------------------------------------------------------------------------


class Stairs:
    """Five steps up, back to the ground from each but the last."""

    def __init__(self, forbidden: int) -> None:
        self.inputs: Sequence[str] = ("up", "down")
        self._forbidden = forbidden

    def start(self) -> int:
        return 0

    def step(self, state: int, index: int) -> tuple[int, list[str]]:
        after = min(state + 1, 5) if index == 0 else (5 if state == 5 else 0)
        return after, ["too high"] if after == self._forbidden else []

    def key(self, state: int) -> Hashable:
        return state

    def is_home(self, state: int) -> bool:
        return state == 0


def test_a_search_finds_every_state_and_the_one_without_a_way_back() -> None:
    search = explore(Stairs(forbidden=99))

    assert (search.states, search.transitions, search.depth) == (6, 12, 5)
    assert search.complete
    assert search.dead_ends == 1
    assert search.violations == []


def test_a_violation_is_told_with_the_shortest_way_to_it() -> None:
    assert explore(Stairs(forbidden=3)).violations == ["too high: up, up, up"]


@pytest.mark.requirement("SR-03")
@pytest.mark.requirement("SR-15")
@pytest.mark.requirement("SR-26")
@pytest.mark.requirement("SR-27")
@pytest.mark.requirement("SR-29")
@pytest.mark.requirement("SR-41")
def test_no_state_along_a_treatment_has_a_step_that_breaks_a_claim() -> None:
    outcome = run(0.001, quiet)

    assert outcome.failures == []
    assert outcome.details["device"]["transitions"] > 2_500
    assert outcome.details["host"]["transitions"] > 2_500


def test_the_way_of_a_treatment_leads_through_every_state_of_the_probe() -> None:
    world = DeviceWorld()
    place = world.start()
    seen = set()
    for name in TREATMENT:
        place, _ = world.step(place, world.inputs.index(name))
        seen.add(world.state_of(place))

    assert seen == set(range(11)) - {9}  # All but FAULT, which is off every good way.


@pytest.mark.parametrize(
    ("name", "claim"),
    [
        ("find_trip", "SR-01: nothing is on without a lease"),
        ("stimulus_must_end", "SR-41: stimulation needs a shut valve and a warm tip"),
    ],
)
def test_the_search_finds_a_firmware_without_its_interlocks(
    monkeypatch: pytest.MonkeyPatch, name: str, claim: str
) -> None:
    monkeypatch.setattr(firmware_model, name, lambda *_: 0)

    search = explore(DeviceWorld(), states_max=60, way=TREATMENT)

    assert any(text.startswith(claim) for text in search.violations)


@pytest.mark.requirement("SR-26")
def test_the_search_finds_a_firmware_that_takes_start_in_the_tick_after_10_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(firmware_commands, "START_MS", 10_010)
    way = (*TREATMENT[: TREATMENT.index("START")], "wait")

    search = explore(DeviceWorld(), states_max=len(way) + 1, way=way)

    assert any(text.startswith("SR-26: START follows ARM") for text in search.violations)


def test_the_way_of_a_treatment_leads_through_every_phase_but_the_last() -> None:
    world = HostWorld()
    place = world.start()
    seen = {place.phase.value}
    for name in HOST_TREATMENT:
        place, broken = world.step(place, world.inputs.index(name))
        seen.add(place.phase.value)
        assert broken == []

    assert place.phase is Phase.IDLE
    assert seen == {phase.value for phase in Phase} - {"DISCONNECTED", "COMPLETE"}


def host_violations(*more: str, until: str) -> str:
    """Expand what lies along the treatment up to ``until``, and then along ``more``."""
    way = (*HOST_TREATMENT[: HOST_TREATMENT.index(until)], *more)
    return "\n".join(explore(HostWorld(), states_max=len(way) + 1, way=way).violations)


SABOTAGES: dict[str, tuple[object, str, object, tuple[str, ...]]] = {
    "SR-26: START is taken 10 s": (phases, "START_WITHIN_S", 1e9, ("ARM", "accepted", "wait")),
    "SR-03: no command": (permits, "check", lambda *_: None, ("PLACE", "silence", "ACKNOWLEDGE")),
    "SR-41: STIMULATE needs": (
        permits, "check_stimulus", lambda *_: None, ("PLACE", "idle, tip at 10 C"),
    ),
    "SR-29: a trip sends STOP": (Safing, "repeat_stop", lambda *_: None, ()),
    "SR-01: leases end": (core, "UNHEARD_STOP_S", 1e9, ("STOP", "wait")),
    "SR-27: RESET is done 1 s": (
        AlarmBoard, "may_reset", lambda *_: True,
        ("STOP", "safe at 10 C", "wait", "wait", "safe, supply at 68.1 bar", "RESET"),
    ),
}  # fmt: skip
"""By claim: what is replaced by what, and where the search then looks."""


@pytest.mark.parametrize("claim", SABOTAGES)
def test_the_search_finds_a_controller_that_was_sabotaged(
    monkeypatch: pytest.MonkeyPatch, claim: str
) -> None:
    where, name, sabotage, more = SABOTAGES[claim]
    assert claim not in host_violations(*more, until="PLACE")

    monkeypatch.setattr(where, name, sabotage)

    assert claim in host_violations(*more, until="PLACE")


@pytest.mark.requirement("SR-14")
def test_the_search_finds_a_controller_that_releases_too_early(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measures, "RELEASE_AFTER_S", 0.0)

    found = host_violations("thawing at -5 C", "thawing at 10 C", until="thawing at -5 C")

    assert "SR-14: RELEASE needs a tip above 5 C for 2 s" in found


@pytest.mark.requirement("SR-26")
def test_the_search_finds_a_controller_that_starts_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = answers.on_ack

    def starts_by_itself(c: core.Controller, ack: Ack, now_s: float) -> None:
        taken(c, ack, now_s)
        if ack.op == Op.ARM:
            c.plan_command(Op.START, now_s)

    monkeypatch.setattr(answers, "on_ack", starts_by_itself)

    found = host_violations("ARM", *["accepted"] * 3, until="PLACE")

    assert "SR-26: FREEZE is one of those that ARM and START allowed" in found


# -- conditions -----------------------------------------------------------------------------------


def pairs_of(tmp_path: Path, source: str, calls: str) -> list[tuple[str, bool]]:
    """Run ``calls`` on a module of ``source``; return its conditions, and which have a pair."""
    (tmp_path / "decided.py").write_text(source, encoding="utf-8")
    recorder = Recorder(test="t")
    sys.path.insert(0, str(tmp_path))
    finder = InstrumentingFinder(["decided"], recorder)
    sys.meta_path.insert(0, finder)
    try:
        exec(f"import decided as d\n{calls}", {})
    finally:
        sys.path.remove(str(tmp_path))
        sys.meta_path.remove(finder)
        del sys.modules["decided"]
    return [(pair.condition, pair.found) for pair in pairs(recorder)]


def test_a_condition_has_a_pair_only_if_it_decided_by_itself(tmp_path: Path) -> None:
    source = "def f(a, b):\n    if a and b:\n        return 1\n    return 0\n"

    both = pairs_of(tmp_path, source, "d.f(1, 1); d.f(0, 1); d.f(1, 0)")
    one = pairs_of(tmp_path, source, "d.f(1, 1); d.f(0, 0)")

    assert both == [("a", True), ("b", True)]
    assert one == [("a", True), ("b", False)]


def test_both_ends_of_a_range_and_both_cases_of_an_expression_are_conditions(
    tmp_path: Path,
) -> None:
    source = "def f(x):\n    return 'in' if 1 <= x <= 3 else 'out'\n"

    assert pairs_of(tmp_path, source, "d.f(2); d.f(0)") == [("1 <= x", True), ("x <= 3", False)]


# -- mutants --------------------------------------------------------------------------------------


def faults_of(source: str) -> list[str]:
    return [ast.unparse(apply(source, mutant.number)) for mutant in mutants(source)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = a < b", {"x = a <= b", "x = a >= b"}),
        ("x = a and b", {"x = a or b"}),
        ("x = a + 1", {"x = a - 1", "x = a + 2", "x = a + 0"}),
        (
            "if a:\n    stop()",
            {"if False:\n    stop()", "if not a:\n    stop()", "if a:\n    pass"},
        ),
        ("x = True", {"x = False"}),
        (
            "match a:\n    case b:\n        stop()",
            {"match a:\n    case b:\n        pass"},
        ),
        (
            "try:\n    pass\nexcept OSError:\n    stop()",
            {"try:\n    pass\nexcept OSError:\n    pass"},
        ),
    ],
)
def test_the_small_faults_of_a_statement(source: str, expected: set[str]) -> None:
    assert set(faults_of(source)) == expected


def test_faults_that_read_the_same_are_told_apart() -> None:
    found = mutants("def f(a):\n    x = a + (1 * 1)\n")

    assert [mutant.id for mutant in found if mutant.fault == "1 to 2"] == [
        "f: x = a + (1 * 1): 1 to 2",
        "f: x = a + (1 * 1): 1 to 2 (2)",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="mutants are judged in forks")
def test_a_mutant_is_put_into_functions_properties_and_constants_wherever_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from cryoctl_hil.assurance.mutant_session import put_into

    source = (
        "LIMIT = 300.5\nROWS = ((LIMIT, 'a'),)\n"
        "def f(x):\n    return x > LIMIT\n"
        "class C:\n    @property\n    def p(self):\n        return {}\n"
    )
    made, importer = ModuleType("made"), ModuleType("importer")
    monkeypatch.setitem(sys.modules, "made", made)
    monkeypatch.setitem(sys.modules, "importer", importer)
    exec(source.format(1), vars(made))
    f, c, importer.LIMIT = made.f, made.C(), made.LIMIT  # type: ignore[attr-defined]

    mutated = source.format(2).replace("300.5", "301.5").replace("x >", "x <")
    put_into(made, compile(mutated, "made", "exec"))

    assert (f(1.0), c.p, importer.LIMIT, made.ROWS) == (
        True, 2, 301.5, ((301.5, "a"),)
    )  # fmt: skip


def test_the_safety_core_has_more_than_600_mutants_and_each_is_another_program() -> None:
    count = 0
    for module in SAFETY_CORE:
        source = (ROOT / module.path).read_text("utf-8")
        whole = ast.dump(ast.parse(source))
        found = mutants(source)
        count += len(found)
        # Each is made anew from the source: a dozen of a module say enough.
        for mutant in found[:: max(1, len(found) // 12)]:
            assert ast.dump(apply(source, mutant.number)) != whole

    assert count >= 600


def test_each_argued_mutant_exists_and_says_why_it_may_live() -> None:
    ids = {
        (module.name, mutant.id)
        for module in SAFETY_CORE
        for mutant in mutants((ROOT / module.path).read_text("utf-8"))
    }

    argued = load_argued()

    assert set(argued) <= ids
    assert all(len(reason) > 20 for reason in argued.values())


@pytest.mark.skipif(sys.platform == "win32", reason="mutants are judged in forks")
@pytest.mark.parametrize(("fault", "verdict"), [("Gt to GtE", "killed"), ("", "survived")])
def test_a_worker_tells_a_mutant_that_a_test_notices(fault: str, verdict: str) -> None:
    module = SAFETY_CORE[0]
    path = ROOT / module.path
    numbers = {
        mutant.fault: mutant.number
        for mutant in mutants(path.read_text("utf-8"))
        if mutant.where == "tip_floor"
    }
    job = {
        "module": module.name,
        "path": str(path),
        "number": numbers.get(fault, -1),
        "oracle": "claims",
        "side": "host",
        "files": ["tests/controller/test_interlocks_tip.py"],
    }

    done = subprocess.run(
        [sys.executable, "-m", "cryoctl_hil.assurance.mutant_worker"],
        cwd=ROOT, input=json.dumps(job), capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert json.loads(done.stdout)["verdict"] == verdict
