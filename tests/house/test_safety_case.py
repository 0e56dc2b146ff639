"""Nothing of the safety case hangs loose, and its pages are those that the generators make."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cryoctl.requirement_registry import own_registry
from cryoctl_hil.assurance.program import PROGRAMS
from cryoctl_hil.assurance.scoreboard import scoreboard, scoreboard_page
from cryoctl_hil.traceability.matrix import Trace, make_trace, orphans
from cryoctl_hil.traceability.page import render_page
from tests.support.tree import ROOT

ASSURANCE = ROOT / "docs" / "assurance"


def own_trace() -> Trace:
    return make_trace(ROOT, own_registry(), [ROOT / "tests"], [ASSURANCE])


@pytest.mark.requirement("SR-38")
def test_no_hazard_requirement_code_test_or_fault_hangs_loose() -> None:
    assert orphans(own_trace()) == []


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("traceability", lambda: render_page(own_trace())),
        ("scoreboard", lambda: scoreboard_page(ASSURANCE)),
    ],
)
def test_the_page_is_the_one_that_make_generated_writes(name: str, make: Callable[[], str]) -> None:
    written = (ROOT / "docs" / "reference" / f"{name}.md").read_text("utf-8")

    assert written == make(), f"docs/reference/{name}.md is old: make generated"


def test_a_table_of_one_program_has_no_line_of_another(tmp_path: Path) -> None:
    chosen = [program for program in PROGRAMS if program.name == "awaits"]

    rows = scoreboard(tmp_path, chosen).splitlines()[2:]

    assert [row.split("|")[1].strip() for row in rows] == ["`awaits`", "`awaits`"]
