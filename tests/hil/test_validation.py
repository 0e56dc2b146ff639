"""`cryoctl validate`: what a row means, what is chosen, what is printed and written."""

from __future__ import annotations

import json
import re
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from cryoctl.cli import invoke
from cryoctl_hil.validation import cases
from cryoctl_hil.validation.cases import CASES, Case, chosen, run_cases
from cryoctl_hil.validation.needles import Grown, fast_rows
from cryoctl_hil.validation.pictures import contour, plot_svg, true_minus
from cryoctl_hil.validation.probe import coldest_c
from cryoctl_hil.validation.report import html_page, text_table, verdict
from cryoctl_hil.validation.rows import Curve, Findings, Plot, Row, within, within_percent
from cryoctl_hil.validation.sets import gel, muscle
from cryoctl_simulator.scenario import TISSUES

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
        (Row("control, mm", 6.2, 14.8, 3.1, rule="far"), True),
        (Row("control, mm", 6.2, 9.2, 3.1, rule="far"), False),
        (Row("order", 1.0, 0.91, 0.1, rule="at least"), True),
        (Row("order", 1.0, 0.89, 0.1, rule="at least"), False),
        (Row("order", 1.0, 2.5, 0.1, rule="at least"), True),
        (within("numpy, mm", np.float64(2.0), np.float64(2.05), np.float64(0.1)), True),
        (within("numpy, mm", np.float64(2.0), np.float64(2.5), np.float64(0.1)), False),
        (within("not a number, mm", 2.0, np.float64(np.nan), 0.1), False),
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


def test_figures_of_numpy_are_plain_numbers_in_a_row() -> None:
    row = within("front, mm", np.float64(2.0), np.float64(2.5), np.float64(0.1))

    assert {type(value) for value in (row.reference, row.ours, row.error, row.tolerance)} == {float}
    assert json.loads(json.dumps(row.as_object()))["ok"] is False


def test_a_one_sided_row_says_how_far_below_its_reference_it_may_lie() -> None:
    row = Row("order", 1.0, 1.5, 0.1, rule="at least")

    text = text_table([Case("one", "One", "book", Findings)], [Findings([row])])

    assert re.search(r"order +1 +1\.5 +\+0\.5 +≥−0\.1  ok", text)


# -- cases -------------------------------------------------------------------------------------


@cache
def found_by(name: str) -> Findings:
    """Run a case once for all tests that look at it."""
    return {case.name: case for case in CASES}[name].run()


def row_of(name: str, quantity: str) -> Row:
    (row,) = (row for row in found_by(name).rows if row.quantity == quantity)
    return row


def test_names_are_unique_and_every_case_names_its_source() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    assert [case.name for case in CASES if not case.source] == []


def test_cases_are_chosen_by_a_part_of_their_name_in_any_case() -> None:
    assert [case.name for case in chosen(["v"])] == ["V1", "V3", "V4", "V7"]
    assert [case.name for case in chosen(["needle", "V7"])] == [
        "needle-27g", "needle-20g", "needle-17g", "needle-2mm", "needle-short", "V7",
    ]  # fmt: skip
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


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "name", ["V4", "gas", pytest.param("probe-27gx3", marks=pytest.mark.xdist_group("27gx3"))]
)
def test_a_quick_case_is_within_its_tolerances(name: str) -> None:
    found = found_by(name)

    assert [row.quantity for row in found.rows if row.ok is False] == []
    assert {row.case for row in found.rows} == {name}
    assert [row.quantity for row in found.rows if not row.source] == []


def test_the_coldest_tip_is_that_of_a_probe_and_back_pressure_would_show() -> None:
    row = row_of("gas", "n2o-20g, wide exhaust, in air: tip after 10 s, C")

    assert (row.reference, row.ok) == (-88.5, True)
    assert row_of("gas", "co2-20g, wide exhaust, in air: tip after 10 s, C").reference == -78.5
    # Through the exhaust that ships, the gas boils at 1.47 bar.
    assert coldest_c("n2o-20g", exhaust_drop_bar=0.51) == pytest.approx(-81.9, abs=0.3)


def test_ice_beyond_the_active_length_is_shown_and_not_judged() -> None:
    row = row_of("isotherms", "ice beyond the active length, mm (2 to 5 expected)")

    assert row.ours is not None
    assert row.ok is None


@pytest.mark.xdist_group("27gx3")
@pytest.mark.timeout(180)
def test_the_end_of_the_ice_is_judged_once() -> None:
    judged = [
        row.quantity
        for row in found_by("probe-27gx3").rows
        if row.quantity.startswith("valve shut") and row.ok is not None
    ]

    assert judged == ["valve shut: ice gone after, s"]
    assert row_of("probe-27gx3", "valve shut: ice gone after, s").reference == 65.0


@pytest.mark.xdist_group("27gx3")
@pytest.mark.timeout(180)
def test_the_first_seconds_of_a_thin_needle_are_compared_on_fine_cells() -> None:
    row = row_of("probe-27gx3", "the same in (r, z) tissue: tip at -20 C after, s")

    # 1.55 s on cells of 0.15 mm.
    assert row.ours == pytest.approx(2.32, abs=0.05)
    assert row.ok is None
    seconds = (1, 2, 3, 5, 10, 20)
    beside = [row_of("probe-27gx3", f"valve open: tip after {second} s, C") for second in seconds]
    assert [row.ok for row in beside] == [None, None, True, True, True, True]


def test_the_heat_of_the_fast_model_is_judged_from_20_s_on() -> None:
    ones = np.ones(121)
    reference = Grown(ones, ones, ones)

    rows = fast_rows(-70.0, reference, Grown(ones, ones, 1.09 * ones))
    off = fast_rows(-70.0, reference, Grown(ones, ones, 0.89 * ones))

    assert [row.quantity for row in rows if row.quantity.endswith("heat, W")] == [
        f"fast at -70 C, {second} s: heat, W" for second in (20, 30, 60, 120)
    ]
    assert [row.ok for row in rows] == [True] * 14
    assert [row.ok for row in off].count(False) == 4


def test_muscle_and_gel_are_those_that_ship() -> None:
    assert muscle() == TISSUES["muscle"]
    assert gel(22.0) == TISSUES["gel_22c"]
    assert gel(37.0).temp_c == 37.0


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


def test_json_of_figures_that_numpy_computed_can_be_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = invoke(["validate", "--case", "plane-wall", "--json"])

    rows = json.loads(capsys.readouterr().out)
    assert code == 0
    assert len(rows) == 30
    assert {row["ok"] for row in rows} == {True}
    assert sum("order" in row["quantity"] for row in rows) == 5


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


def test_a_figure_of_numpy_outside_its_tolerance_fails_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = np.float64(2.5)
    off = Case("off", "Off", "book", lambda: Findings([within("front, mm", 2.0, ours, 0.1)]))
    monkeypatch.setattr(cases, "CASES", (off,))

    assert invoke(["validate"]) == 1
    assert "1 OUTSIDE their tolerance" in capsys.readouterr().out


def test_the_page_says_next_to_its_verdict_what_was_chosen_after_the_answers(
    tmp_path: Path,
) -> None:
    invoke(["validate", *QUICK, "--out", str(tmp_path)])

    header = (tmp_path / "validation.html").read_text("utf-8").partition("</header>")[0]
    assert "Settings and tolerances of V1, V3 and V4 were chosen after their answers" in header


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
    said = capsys.readouterr().err
    assert "in a clone `make validate` installs it, or pip install -e '.[validate]'" in said
    assert "elsewhere pip install 'cryoctl[validate]'" in said


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
