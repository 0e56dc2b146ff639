"""`cryoctl validate`: what a row means, what is chosen, what is printed and written."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from cryoctl.cli import invoke
from cryoctl_hil.validation import cases
from cryoctl_hil.validation.cases import CASES, Case, chosen, run_cases
from cryoctl_hil.validation.pictures import contour, plot_svg, true_minus
from cryoctl_hil.validation.report import html_page, text_table, verdict
from cryoctl_hil.validation.rows import Curve, Findings, Plot, Row, within, within_percent

QUICK = ["--case", "V7"]


# -- rows --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "ok"),
    [
        (within_percent("front, mm", 2.0, 2.039, 2.0), True),
        (within_percent("front, mm", 2.0, 2.05, 2.0), False),
        (within_percent("tip, C", -80.0, -81.7, 2.0), False),
        (within("tip, C", -88.5, -88.0, 0.5), True),
        (within("tip, C", -88.5, -87.9, 0.5), False),
        (within_percent("never reached, s", 2.0, None, 15.0), False),
        (Row("shown, mm", 2.0, 9.0), None),
        (Row("not computed, mm", 2.0, None), None),
        (Row("control, mm", 6.2, 14.8, 3.1, must_differ=True), True),
        (Row("control, mm", 6.2, 9.2, 3.1, must_differ=True), False),
    ],
)
def test_a_row_is_judged_by_its_tolerance_or_not_at_all(row: Row, ok: bool | None) -> None:
    assert row.ok is ok


def test_a_row_as_an_object_has_the_error_in_the_unit_of_the_quantity() -> None:
    row = Row("front, mm", 2.0, 2.03, 0.04, in_percent=True, source="book", case="plane")

    assert row.as_object() == {
        "case": "plane",
        "quantity": "front, mm",
        "reference": 2.0,
        "ours": 2.03,
        "error": pytest.approx(0.03),
        "tolerance": 0.04,
        "ok": True,
        "source": "book",
    }


# -- cases -------------------------------------------------------------------------------------


def test_names_are_unique_and_every_case_names_its_source() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    assert [case.name for case in CASES if not case.source] == []


def test_cases_are_chosen_by_a_part_of_their_name_in_any_case() -> None:
    assert [case.name for case in chosen(["v"])] == ["V1", "V3", "V4", "V7"]
    assert [case.name for case in chosen(["needle", "V7"])] == ["needle-27g", "needle-20g", "V7"]
    assert chosen([]) == list(CASES)
    assert chosen(["V99"]) == []


def test_several_processes_find_what_one_finds() -> None:
    two = chosen(["gas", "V7"])

    together = run_cases(two)

    assert [found.rows for found in together] == [case.run().rows for case in two]


def test_the_negative_control_is_far_from_what_was_measured() -> None:
    (case,) = chosen(["V7"])

    ice, minus_2 = case.run().rows

    # An ideal slab: 14.8 mm by Neumann's solution; measured: 6.2 and 5 mm.
    assert ice.ours == pytest.approx(14.8, rel=0.01)
    assert (ice.reference, minus_2.reference) == (6.2, 5.0)
    assert (ice.ok, minus_2.ok) == (True, True)


@pytest.mark.parametrize("name", ["V4", "gas", "probe-20g", "probe-27gx3"])
def test_a_quick_case_is_within_its_tolerances(name: str) -> None:
    (case,) = chosen([name])

    found = case.run()

    assert [row.quantity for row in found.rows if row.ok is False] == []
    assert {row.case for row in found.rows} == {name}
    assert [row.quantity for row in found.rows if not row.source] == []


# -- the command -------------------------------------------------------------------------------


def test_the_table_fits_a_terminal_and_ends_in_a_verdict(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = invoke(["validate", *QUICK])

    printed = capsys.readouterr().out.splitlines()
    assert code == 0
    assert max(map(len, printed)) <= 100
    assert printed[-2] == (
        "2 figures judged, all within their tolerance; 0 shown without judgement"
    )
    assert printed[-1].startswith("Not a medical device")


def test_json_is_a_list_with_one_object_a_figure(capsys: pytest.CaptureFixture[str]) -> None:
    code = invoke(["validate", *QUICK, "--json"])

    rows = json.loads(capsys.readouterr().out)
    assert code == 0
    assert len(rows) == 2
    assert list(rows[0]) == [
        "case", "quantity", "reference", "ours", "error", "tolerance", "ok", "source",
    ]  # fmt: skip
    assert {row["case"] for row in rows} == {"V7"}


def test_a_figure_outside_its_tolerance_fails_the_command_and_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    off = Case("off", "Off", "book", lambda: Findings([within("front, mm", 2.0, 2.5, 0.1)]))
    monkeypatch.setattr(cases, "CASES", (off,))

    code = invoke(["validate"])

    printed = capsys.readouterr().out
    assert code == 1
    assert re.search(r"front, mm +2 +2\.5 +\+0\.5 +0\.1  NO", printed)
    assert "1 figures judged, 1 OUTSIDE their tolerance" in printed


def test_the_page_stands_alone_and_says_what_it_is_not(tmp_path: Path) -> None:
    code = invoke(["validate", *QUICK, "--out", str(tmp_path / "new")])

    page = (tmp_path / "new" / "validation.html").read_text("utf-8")
    assert code == 0
    assert "Not a medical device." in page
    assert "must not reproduce" in page
    assert page.count("<svg") == 1
    assert set(re.findall(r"https?://[^\"<> ]*", page)) == {"http://www.w3.org/2000/svg"}
    assert re.search(r"<(script|link|img|iframe)", page) is None


def test_a_case_that_does_not_exist_is_refused_with_the_names_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = invoke(["validate", "--case", "V99"])

    said = capsys.readouterr().err
    assert code == 2
    assert "no case has V99 in its name; there are plane-wall, line-sink" in said


def test_without_scipy_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)

    code = invoke(["validate"])

    assert code == 2
    assert "validate needs scipy: pip install 'cryoctl[validate]'" in capsys.readouterr().err


# -- page and pictures -------------------------------------------------------------------------


def test_text_in_a_page_is_escaped_and_a_failed_case_lies_open() -> None:
    rows = [within("a < b, mm", 1.0, 3.0, 0.5) for _ in range(20)]
    case = Case("off", "Off & on", "book", Findings)

    page = html_page([case], [Findings(rows)])

    assert "a &lt; b, mm" in page
    assert "Off &amp; on" in page
    assert "<details open>" in page
    assert "<strong>20 outside</strong>" in page


def test_a_reason_of_its_own_stands_below_its_row() -> None:
    row = Row("lethal, mm", 16.7, None, source="a paper; not judged")
    case = Case("others", "Shown", "see each row", Findings)

    lines = text_table([case], [Findings([row])]).splitlines()

    assert lines[4].split() == ["lethal,", "mm", "16.7", "-", "-", "-", "-"]
    assert lines[5].strip() == "a paper; not judged"


def test_the_verdict_counts_what_was_judged() -> None:
    found = [Findings([within("a", 1.0, 1.0, 0.1), Row("b", 1.0, 2.0)])]

    assert verdict(found) == (
        "1 figures judged, all within their tolerance; 1 shown without judgement"
    )


def test_a_contour_of_a_cone_is_a_circle() -> None:
    places = np.linspace(-2.0, 2.0, 41)
    distance = np.hypot(places[None, :], places[:, None])

    pieces = contour(places, places, distance, 1.0)

    ends = np.concatenate([np.column_stack(piece) for piece in pieces])
    assert len(pieces) > 50
    assert np.hypot(ends[:, 0], ends[:, 1]) == pytest.approx(1.0, abs=0.01)


def test_a_contour_stops_where_there_is_no_tissue() -> None:
    values = np.array([[0.0, 0.0], [1.0, np.nan]])
    places = np.array([0.0, 1.0])

    assert len(contour(places, places, values, 0.5)) == 0


def test_a_plot_shows_every_curve_by_name_and_draws_dots_as_points() -> None:
    x = np.array([1.0, 10.0, 100.0])
    curves = (
        Curve("model at -70", x, x, "#111111"),
        Curve("measured", x, 2.0 * x, "#222222", dots=True, bar=0.5),
    )

    svg = plot_svg(Plot("Growth", "time, s", "mm", curves, "A note."))
    logarithmic = plot_svg(Plot("Growth", "time, s", "mm", curves[:1], "", logarithmic=True))

    assert "model at \N{MINUS SIGN}70" in svg
    assert "measured" in svg
    assert svg.count("M") >= 4
    assert ">50<" in logarithmic


@pytest.mark.parametrize(
    ("text", "shown"),
    [("at -70 C", "at −70 C"), ("60-90 s", "60-90 s"), ("water -20/0", "water −20/0")],
)
def test_only_the_sign_of_a_number_becomes_a_minus(text: str, shown: str) -> None:
    assert true_minus(text) == shown
