"""The search for orphans finds every kind of them, and nothing in what is whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cryoctl.requirement_registry import Registry, own_registry, read_requirements
from cryoctl.safety_case import read_case
from cryoctl_hil.traceability.matrix import Cause, Figure, Trace, make_trace, orphans, read_figures
from cryoctl_hil.traceability.page import render_page
from cryoctl_hil.traceability.places import Place, code_places, marked_tests

CASE = """\
[[hazard]]
id = "H-01"
text = "it burns"
causes = ["now", "later"]
severity = 2

[[requirement]]
id = "SR-01"
text = "it does not"
hazard = "H-01"
bound = 200.0
unit = "ms"

[[requirement]]
id = "SR-02"
text = "it will not"
status = "PLANNED"
missing = "all of it"
"""
FIGURE = Figure(("SR-01",), "program", "time", "<= 200 ms", "90 ms", True, "2026-11-21", "abc")
CODE = (Place("SR-01", "src/a.py", 3), Place("H-01", "src/a.py", 4))
TESTS = (Place("SR-01", "tests/test_a.py", 5, "test_it"),)
CAUSES = (
    Cause("now", ("H-01",), "SR-01"),
    Cause("later", ("H-01",), "SR-01", is_planned=True),
)


def trace(
    case: str = CASE,
    *,
    causes: tuple[Cause, ...] = CAUSES,
    code: tuple[Place, ...] = CODE,
    tests: tuple[Place, ...] = TESTS,
    figures: tuple[Figure, ...] = (FIGURE,),
) -> Trace:
    registry = Registry(read_case(case, "case.toml")[1])
    return Trace(registry, causes, code, tests, figures, with_own=True)


def test_nothing_hangs_loose_in_what_is_whole() -> None:
    assert orphans(trace()) == []


@pytest.mark.requirement("SR-38")
@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (
            trace(CASE.replace('hazard = "H-01"\n', "")),
            "H-01: no requirement stands against this hazard",
        ),
        (trace(tests=()), "SR-01: no test carries @pytest.mark.requirement('SR-01')"),
        (trace(code=()), "SR-01: no code names it"),
        (
            trace(code=(Place("SR-01", "hil/cryoctl_hil/assurance/fuzz.py", 1),)),
            "SR-01: no code names it",
        ),
        (
            trace(code=(*CODE, Place("SR-99", "src/b.py", 7))),
            "src/b.py:7: names unknown SR-99",
        ),
        (trace(code=(*CODE, Place("H-99", "src/b.py", 7))), "src/b.py:7: names unknown H-99"),
        (
            trace(tests=(*TESTS, Place("SR-99", "tests/test_b.py", 7, "test_b"))),
            "tests/test_b.py:7: names unknown SR-99",
        ),
        (
            trace(tests=(*TESTS, Place("", "tests/test_b.py", 7, "test_b"))),
            "tests/test_b.py:7: a marker names its requirement in plain text",
        ),
        (
            trace(tests=(*TESTS, Place("SR-02", "tests/test_b.py", 7, "test_b"))),
            "SR-02: PLANNED, but tests/test_b.py:7 tests it: make it ACTIVE",
        ),
        (trace(causes=CAUSES[1:]), "H-01: its cause 'now' is in no catalogue of faults"),
        (trace(causes=(*CAUSES, Cause("x", ("H-99",), ""))), "fault x: unknown hazard H-99"),
        (
            trace(causes=(*CAUSES, Cause("x", (), "SR-99"))),
            "fault x: unknown requirement SR-99",
        ),
        (
            trace(figures=(FIGURE._replace(requirements=("SR-99",)),)),
            "program.json: 'time' names unknown SR-99",
        ),
    ],
    ids=[
        "hazard", "no test", "no code", "a program is no code", "code", "code of a hazard", "test",
        "no literal", "planned", "cause", "hazard of a fault",
        "requirement of a fault", "figure",
    ],
)  # fmt: skip
def test_an_orphan_is_found(broken: Trace, said: str) -> None:
    assert orphans(broken) == [said]


def test_lines_and_markers_are_found_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text('"""SR-05 and H-02."""\n\n# SR-055 is none of ours.\n')
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_a.py").write_text(
        "import pytest as p\n\npytestmark = p.mark.requirement('SR-01')\nNAME = 'SR-02'\n\n\n"
        "class TestIt:\n    @p.mark.requirement('SR-02')\n    async def test_b(self): ...\n\n\n"
        "@p.mark.requirement(NAME)\ndef test_c(): ...\n"
    )

    assert code_places(tmp_path) == [
        Place("SR-05", "src/a.py", 1),
        Place("H-02", "src/a.py", 1),
        Place("SR-055", "src/a.py", 3),
    ]
    assert marked_tests(tmp_path / "tests", tmp_path) == [
        Place("SR-01", "tests/test_a.py", 3, "(module)"),
        Place("SR-02", "tests/test_a.py", 8, "TestIt.test_b"),
        Place("", "tests/test_a.py", 12, "test_c"),
    ]


def test_figures_are_read_as_programs_keep_them(tmp_path: Path) -> None:
    row = {"name": "time", "target": "<= 200 ms", "result": "90 ms", "ok": True}
    kept = {
        "program": "program",
        "date": "2026-11-21",
        "commit": "abc",
        "measures": [{**row, "requirements": ["SR-01"]}],
    }
    (tmp_path / "program.json").write_text(json.dumps(kept), encoding="utf-8")

    assert read_figures(tmp_path) == [FIGURE]


def test_elsewhere_a_users_requirements_are_judged_and_not_ours(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    test = "import pytest\n\n\n@pytest.mark.requirement('{}')\ndef test_it(): ...\n"
    (tmp_path / "tests" / "test_it.py").write_text(test.format("ACME-REQ-1"))
    registry = read_requirements(
        '[[requirement]]\nid = "ACME-REQ-1"\ntext = "x"\n'
        '[[requirement]]\nid = "ACME-REQ-2"\ntext = "y"\n'
        '[[requirement]]\nid = "SR-01"\ntext = "sooner"\nbound = 400\nunit = "ms"\n',
        "own.toml",
    )

    found = make_trace(tmp_path, registry, [tmp_path / "tests"], [])

    assert orphans(found) == ["ACME-REQ-2: no test carries @pytest.mark.requirement('ACME-REQ-2')"]


def test_the_page_says_what_was_measured_what_was_not_and_what_is_missing() -> None:
    page = render_page(trace())

    assert "| SR-01 | it does not |  | <= 200 ms | [a.py](../../src/a.py) |" in page
    assert "time: 90 ms (target <= 200 ms), 2026-11-21 |" in page
    assert "| SR-02 | it will not **(PLANNED)** |  |  |  |  | not run |" in page
    assert "| SR-02 | PLANNED | all of it |" in page
    assert "`now`, *later*" in page


def test_a_figure_that_missed_its_target_is_marked() -> None:
    missed = FIGURE._replace(result="300 ms", ok=False)

    assert "time: 300 ms (target <= 200 ms) **NO**, 2026-11-21" in render_page(
        trace(figures=(missed,))
    )


def test_every_requirement_of_ours_has_its_row() -> None:
    page = render_page(Trace(own_registry(), (), (), (), (), with_own=True))

    assert [name for name in own_registry().requirements if f"\n| {name} | " not in page] == []
