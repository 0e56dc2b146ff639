"""Pictures: nothing hidden by thinning out, nothing known by colour alone, nothing from outside."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from cryoctl.panels import Label, spread
from cryoctl.plots import cycle_svg, phase_spans, vendor_svg
from cryoctl.recording import Recording, Table
from cryoctl.svg import decimate, number, segments, tick_digits, ticks
from cryoctl.vendor import load_vendor_table
from tests.support import recordings

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def run() -> Recording:
    return recordings.treatment()


def texts(svg: str) -> list[str]:
    return [node.text or "" for node in ET.fromstring(svg).iter(f"{SVG}text")]


def paths(svg: str) -> list[str]:
    return [node.attrib["d"] for node in ET.fromstring(svg).iter(f"{SVG}path")]


def test_thinning_out_keeps_the_ends_and_every_extreme() -> None:
    x = np.arange(100_000.0)
    y = np.sin(x / 9000.0)
    y[12_345], y[67_890] = 40.0, -40.0

    thin_x, thin_y = decimate(x, y, 1000)

    assert len(thin_x) <= 2000
    assert (np.diff(thin_x) > 0).all()
    assert thin_y[thin_x == 12_345.0].tolist() == [40.0]
    assert thin_y[thin_x == 67_890.0].tolist() == [-40.0]


def test_a_short_line_is_left_as_it_is() -> None:
    x = np.arange(2000.0)

    thin_x, thin_y = decimate(x, x, 1000)

    assert thin_x is x
    assert thin_y is x


def test_a_line_breaks_where_values_or_rows_are_missing() -> None:
    x = np.array([0.0, 0.1, 0.2, 0.3, 0.9, 1.0])
    y = np.array([1.0, np.nan, 2.0, 3.0, 4.0, 5.0])

    pieces = segments(x, y, 0.5)

    assert [(px.tolist(), py.tolist()) for px, py in pieces] == [
        ([0.0], [1.0]),
        ([0.2, 0.3], [2.0, 3.0]),
        ([0.9, 1.0], [4.0, 5.0]),
    ]


def test_a_line_without_any_value_has_no_pieces() -> None:
    assert segments(np.arange(3.0), np.full(3, np.nan), 0.5) == []


def test_ticks_are_round_numbers_within_the_range() -> None:
    assert ticks(-88.0, 37.0, 7) == [-80.0, -60.0, -40.0, -20.0, 0.0, 20.0]
    assert ticks(0.0, 100.0, 4) == [0.0, 25.0, 50.0, 75.0, 100.0]
    assert [round(t, 9) for t in ticks(49.8, 50.9, 3)] == [50.0, 50.5]
    assert ticks(3.0, 3.0, 4) == [3.0]


def test_numbers_are_written_for_people() -> None:
    assert number(-60.04, 1) == "−60.0"
    assert number(-0.01, 1) == "0.0"
    assert tick_digits([0.0, 0.5, 1.0]) == 1
    assert tick_digits([0.0, 20.0]) == 0


def test_labels_move_apart_and_stay_inside() -> None:
    labels = [Label("a", 100.0, ""), Label("b", 100.0, ""), Label("c", 20.0, "")]

    at_bottom = spread(labels, low=10.0, high=100.0)
    at_top = spread([Label("a", 0.0, ""), Label("b", 15.0, "")], low=10.0, high=100.0)

    assert [(label.text, label.y) for label in at_bottom] == [
        ("c", 20.0),
        ("a", 87.0),
        ("b", 100.0),
    ]
    assert [(label.text, label.y) for label in at_top] == [("a", 10.0), ("b", 23.0)]


def test_phases_come_with_their_cycles_and_times(run: Recording) -> None:
    spans = phase_spans(run)

    assert [s.phase for s in spans[-5:]] == ["COOLING", "HOLD", "THAWING", "RELEASE", "COMPLETE"]
    assert [s.phase for s in spans if s.cycle == 2] == [
        "COOLING",
        "HOLD",
        "THAWING",
        "RELEASE",
        "PAUSE",
    ]
    assert all(a.end_s == b.start_s for a, b in pairwise(spans))
    hold = next(s for s in spans if s.phase == "HOLD")
    assert hold.end_s - hold.start_s == pytest.approx(60.0, abs=0.06)


def test_the_picture_names_every_phase_line_unit_and_limit(run: Recording) -> None:
    shown = texts(cycle_svg(run, title="Three cycles"))

    phases = {span.phase.lower().replace("_", " ") for span in phase_spans(run)}
    written = " ".join(shown)
    assert [phase for phase in phases if phase not in written] == []
    for text in (
        "Three cycles",
        "cycle 1",
        "cycle 2",
        "cycle 3",
        "Tip temperature, °C",
        "Outputs, % duty",
        "Supply pressure, bar absolute",
        "Exhaust flow, mg/s",
        "time since the start, s",
        "tip",
        "second sensor",
        "valve",
        "tip heater",
        "set-point −60 °C ±2",
        "floor −85 °C (SR-05)",
    ):
        assert text in shown


def test_ice_is_drawn_from_truth_and_estimate_and_each_line_says_from_which(
    run: Recording,
) -> None:
    with_truth = texts(cycle_svg(run))
    without = texts(cycle_svg(recordings.treatment(cycles=1, with_truth=False)))
    before = texts(cycle_svg(recordings.treatment(cycles=0, with_truth=False)))

    about_ice = [text for text in with_truth if "radius" in text or "Ice" in text]
    assert len(about_ice) == 5
    assert all("truth" in text or "estimate" in text for text in about_ice)
    assert [text for text in without if "truth" in text] == []
    assert "Ice in the tissue, mm: the controller's estimate, never measured" in without
    assert [text for text in before if "radius" in text] == []


def test_the_cycles_of_each_placement_are_their_own() -> None:
    session = recordings.treatment(cycles=2, placements=2)

    shown = texts(cycle_svg(session))
    holds = [(s.placement, s.cycle) for s in phase_spans(session) if s.phase == "HOLD"]

    named = [text for text in shown if text.startswith("cycle ")]
    assert named == ["cycle 1.1", "cycle 1.2", "cycle 2.1", "cycle 2.2"]
    assert holds == [(1, 1), (1, 2), (2, 1), (2, 2)]


def test_a_session_that_ended_at_its_first_placement_is_labelled_as_its_table() -> None:
    summary = {"verdict": "SAFETY_TRIP", "placements": [{"index": 1}, {"index": 2}]}

    shown = texts(cycle_svg(recordings.treatment(cycles=1, summary=summary)))

    assert "cycle 1.1" in shown


def test_the_coldest_moment_is_where_it_belongs(run: Recording) -> None:
    """The line of the tip is the only one that reaches the pixel of its minimum."""
    svg = cycle_svg(run)
    table = run.telemetry
    start_s, end_s = table["now_s"][0], table["now_s"][-1]
    coldest_s = table["now_s"][np.argmin(table["tip_temp_c"])]
    x = 58.0 + (coldest_s - start_s) / (end_s - start_s) * (960.0 - 158.0 - 58.0)

    longest = max(paths(svg)[:2], key=len)
    points = [tuple(map(float, p.split())) for p in re.split("[ML]", longest)[1:]]

    lowest = max(y for _, y in points)
    assert min(abs(px - x) for px, y in points if y == lowest) < 1.0


def test_a_line_costs_at_most_two_points_a_bucket(run: Recording) -> None:
    assert max(path.count("L") for path in paths(cycle_svg(run))) <= 2002


def test_a_window_shows_that_part_alone(run: Recording) -> None:
    shown = texts(cycle_svg(run, window_s=(16.0, 60.0)))

    assert "cycle 1" in shown
    assert "cycle 2" not in shown
    assert "hold" in shown
    assert "thawing" not in " ".join(shown)


def test_a_trip_is_named_with_its_requirement() -> None:
    shown = texts(cycle_svg(recordings.treatment(cycles=1, trip_at_s=60.0)))

    assert "trip TIP_FLOOR (SR-05), 60.0 s" in shown
    assert "safe" in shown


def test_a_sensor_that_is_not_there_is_said_to_be_missing(run: Recording) -> None:
    missing = np.full_like(run.telemetry["tip_temp_c"], np.nan)
    telemetry = {**run.telemetry, "tip_2_temp_c": missing, "exhaust_flow_mg_s": missing}

    shown = texts(cycle_svg(replace(run, telemetry=telemetry)))

    assert "exhaust flow: not provided" in shown
    assert "second sensor" not in " ".join(shown)


def test_limits_are_left_out_when_the_profile_is_another_one(run: Recording) -> None:
    other = replace(run, metadata={**run.metadata, "profile_hash": "00000000"})

    shown = texts(cycle_svg(other))

    assert "set-point −60 °C" in shown
    assert "floor" not in " ".join(shown)


@pytest.mark.parametrize("telemetry", [{}, {"now_s": np.array([])}], ids=["no topic", "no rows"])
def test_a_recording_without_telemetry_says_so(run: Recording, telemetry: Table) -> None:
    svg = cycle_svg(replace(run, telemetry=telemetry))

    assert "no telemetry recorded" in texts(svg)


def test_a_single_sample_is_a_picture_too(run: Recording) -> None:
    telemetry = {name: column[:1] for name, column in run.telemetry.items()}

    svg = cycle_svg(replace(run, telemetry=telemetry, control={}, truth={}))

    assert "tip" in texts(svg)


def test_the_picture_describes_itself_and_needs_nothing_from_outside(run: Recording) -> None:
    svg = cycle_svg(run, title='<script>"x" & y')
    root = ET.fromstring(svg)

    assert root.attrib["role"] == "img"
    assert root.find(f"{SVG}title").text == '<script>"x" & y'  # type: ignore[union-attr]
    assert "coldest tip −60." in root.find(f"{SVG}desc").text  # type: ignore[operator, union-attr]
    assert svg.count("http") == 1  # the name space
    assert "<script" not in svg
    assert "url(" not in svg


def test_a_vendor_message_is_drawn_with_its_units() -> None:
    table = load_vendor_table(
        '[[message]]\nid = 0xC0\nname = "aux"\n'
        '[[message.field]]\nname = "count"\ntype = "u16"\n'
        '[[message.field]]\nname = "angle"\ntype = "f32"\nunit = "deg"\n',
        "v.toml",
    )

    shown = texts(vendor_svg(recordings.treatment(cycles=1, vendor=table), "aux"))

    assert shown[0] == "aux"
    assert "angle, deg" in shown
    assert shown.count("count") == 2  # title of the panel, label of the line


def test_a_vendor_message_that_never_came_says_so(run: Recording) -> None:
    empty = replace(run, vendor={"aux": {"now_s": np.array([])}}, vendor_units={"aux": {}})

    assert "none received" in texts(vendor_svg(empty, "aux"))
