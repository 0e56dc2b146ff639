"""The report: says the verdict first, labels every ice radius, and never trusts a text."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from cryoctl.recording import Recording
from cryoctl.report import EVENTS_SHOWN_MAX, render_report
from cryoctl.vendor import load_vendor_table
from tests.support import recordings

EVIL = "<img src=x onerror=alert(1)>\"'&"
CYCLE: dict[str, Any] = {
    "index": 1,
    "verdict": "PASS",
    "reason": "",
    "setpoint_c": -60.0,
    "time_to_setpoint_s": 25.0,
    "tip_min_c": -61.25,
    "hold_s": 60.0,
    "hold_in_band_fraction": 0.9,
    "estimate": None,
    "truth": {"ice_radius_mm": 3.31, "radius_minus20_mm": 1.9},
    "thaw_s": 24.0,
    "gas_used_g": 1.514,
}
TRIP: dict[str, Any] = {
    "id": "TIP_FLOOR",
    "requirement": "SR-05",
    "layer": "host",
    "state": "HOLD",
    "at_s": 60.0,
    "value": -85.4,
    "limit": -85.0,
    "unit": "°C",
    "first_out": True,
    "time_to_safe_ms": 40.0,
    "text": "tip at or below the profile's floor",
}
SUMMARY: dict[str, Any] = {
    "verdict": "PASS",
    "failure": "",
    "treatment": "three cycles",
    "device": "sim:n2o-20g?seed=7",
    "profile": "n2o-20g",
    "gas": "N2O",
    "seed": 7,
    "virtual_s": 323.46,
    "cycles_planned": 1,
    "thaw_timeout_s": 300.0,
    "cycles": [CYCLE],
    "trips": [],
    "alarms": [],
    "recording": "runs/1/run.mcap",
    "events_sha256": "ab" * 32,
    "exit_code": 0,
}


class _Text(HTMLParser):
    """Collects what a reader sees, tags, and attributes that could fetch something."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.links: list[tuple[str, str]] = []
        self._hidden = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._hidden = tag == "style"
        self.links += [(k, v or "") for k, v in attrs if k in ("src", "href", "data", "action")]

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words += data.split()


def read(html: str) -> _Text:
    parser = _Text()
    parser.feed(html)
    parser.close()
    return parser


def words(html: str) -> str:
    return " ".join(read(html).words)


@pytest.fixture(scope="module")
def run() -> Recording:
    return recordings.treatment(cycles=1)


def test_the_verdict_comes_first(run: Recording) -> None:
    body = render_report(run, SUMMARY).split("<body>")[1]

    assert words(body).startswith(
        "✓ PASS 1 of 1 cycles PASS Every cycle reached its set-point and held it. "
        "Not a medical device."
    )


def test_cycles_are_counted_against_the_plan(run: Recording) -> None:
    html = render_report(run, {**SUMMARY, "verdict": "ABORTED", "cycles_planned": 3})

    assert "1 of 3 cycles PASS" in words(html)


def test_a_trip_without_figures_shows_none(run: Recording) -> None:
    trip = {**TRIP, "unit": "", "value": 0.0, "limit": 0.0, "text": "stopped by the operator"}

    shown = words(render_report(run, {**SUMMARY, "trips": [trip]}))

    assert "stopped by the operator SR-05 host HOLD 60.00 s – – " in shown


@pytest.mark.parametrize("verdict", ["NOT_EFFECTIVE", "FAIL", "SAFETY_TRIP", "ABORTED"])
def test_no_other_verdict_looks_like_a_pass(run: Recording, verdict: str) -> None:
    html = render_report(run, {**SUMMARY, "verdict": verdict, "failure": "because of this"})
    heading = re.search(r"<h1>.*?</header>", html, re.DOTALL)

    assert heading is not None
    assert words(heading[0]).split()[1] == verdict
    assert "✓" not in heading[0]
    assert "because of this" in heading[0]


def test_identity_says_what_was_run(run: Recording) -> None:
    shown = words(render_report(run, SUMMARY))

    for text in (
        "Device SIM-0007",
        "Firmware model 0.1.0",
        "Address sim:n2o-20g?seed=7",
        "Profile n2o-20g",
        f"Profile hash {run.metadata['profile_hash']}",
        "Seed 7",
        "Run time 323.5 s",
        "cryoctl 0.1.0",
        "Python 3.11.7",
        "Protocol 1.0, table 1c4f22ab",
        "Recording runs/1/run.mcap",
        "SHA-256 of the event log: " + "ab" * 32,
    ):
        assert text in shown


def test_a_cycle_at_its_limits_is_within_and_one_beyond_is_outside(run: Recording) -> None:
    beyond = {
        "time_to_setpoint_s": 25.1,
        "tip_min_c": -85.0,
        "hold_in_band_fraction": 0.899,
        "thaw_s": 300.1,
    }

    at_limit = words(render_report(run, SUMMARY))
    past = words(render_report(run, {**SUMMARY, "cycles": [{**CYCLE, **beyond}]}))

    assert "Limit ≤ 25 s ≥ 90% > −85 °C ≤ 300 s" in at_limit
    assert "1 PASS −60.0 °C 25.0 s ✓ 60.0 s 90.0% ✓ −61.2 °C ✓ 24.0 s ✓ 1.51 g" in at_limit
    assert (
        "1 PASS −60.0 °C 25.1 s ✗ outside 60.0 s 89.9% ✗ outside −85.0 °C ✗ outside "
        "300.1 s ✗ outside 1.51 g" in past
    )


def test_truth_and_estimate_stand_in_columns_of_their_own(run: Recording) -> None:
    estimate = {"ice_radius_mm": 3.2, "radius_minus20_mm": 1.8, "sigma_mm": 0.25}
    cycles = [CYCLE, {**CYCLE, "index": 2, "truth": None, "estimate": estimate}]

    shown = words(render_report(run, {**SUMMARY, "cycles": cycles}))

    assert (
        "ice radius, truth −20 °C radius, truth "
        "ice radius, estimate −20 °C radius, estimate sigma "
        "1 3.31 mm 1.90 mm no estimate "
        "2 no truth 3.20 mm 1.80 mm 0.25 mm" in shown
    )


def test_the_nerve_is_shown_as_an_estimate_with_its_source(run: Recording) -> None:
    nerve = {
        "injury": "axonotmesis",
        "outcome": "zone_too_small",
        "min_temp_c": -27.34,
        "below_minus20_s": 131.0,
        "touched_mm": 3.0,
        "covered_mm": 2.5,
        "regrowth_days_low": 50.0,
        "regrowth_days_high": 100.0,
        "source": "estimate of the simulator <rats>",
    }

    shown = words(render_report(run, {**SUMMARY, "placements": [{"index": 1, "nerve": nerve}]}))

    assert (
        "Nerve at the end (truth, simulator only; an estimate) Placement 1 Outcome zone too small "
        "Injury axonotmesis Coldest −27.3 °C At −20 °C or colder 131 s "
        "Stretch at −20 °C or colder 3.0 mm Stretch of axonotmesis 2.5 mm "
        "Regrowth to the end organ 50 to 100 days Source estimate of the simulator <rats>" in shown
    )


@pytest.mark.parametrize("placement", [None, {"nerve": None}, {}, "broken"])
def test_without_a_nerve_nothing_is_said_of_it(run: Recording, placement: Any) -> None:
    assert "Nerve at the end" not in render_report(run, {**SUMMARY, "placements": [placement]})


def test_a_trip_shows_value_limit_and_time_to_safe(run: Recording) -> None:
    shown = words(render_report(run, {**SUMMARY, "trips": [TRIP], "alarms": ["TIP_FLOOR", "X"]}))

    assert (
        "TIP_FLOOR (first cause) tip at or below the profile's floor SR-05 host HOLD "
        "60.00 s −85.40 °C −85.00 °C 40 ms" in shown
    )
    assert "Alarms: TIP_FLOOR, X" in shown


def test_without_trips_and_alarms_the_report_says_so(run: Recording) -> None:
    assert "No trips. No alarms." in words(render_report(run, SUMMARY))


@pytest.mark.parametrize(
    "summary",
    [{}, {"cycles": [{}], "trips": [{}]}, {"cycles": None, "seed": None}, {"cycles": [3]}],
)
def test_whatever_the_summary_lacks_is_a_dash(run: Recording, summary: dict[str, Any]) -> None:
    shown = words(render_report(run, summary))

    assert shown.count("–") >= 2
    assert "? NO VERDICT" in shown
    assert "None" not in shown


def test_a_recording_cut_short_warns(run: Recording) -> None:
    shown = words(render_report(replace(run, complete=False, dropped=12), {}))

    assert "The recording was not closed." in shown
    assert "12 records were dropped." in shown
    assert "was not closed" not in words(render_report(run, SUMMARY))


def test_an_unknown_profile_judges_nothing(run: Recording) -> None:
    other = replace(run, metadata={**run.metadata, "profile": "prototype-3"})

    shown = words(render_report(other, SUMMARY))

    assert "Limit – ≥ 90% – ≤ 300 s" in shown
    assert "25.0 s 60.0 s 90.0% ✓ −61.2 °C 24.0 s" in shown


def test_every_text_from_outside_is_escaped(run: Recording) -> None:
    hostile = replace(
        run,
        events=[
            {"at_s": 1.0, "kind": EVIL, "text": EVIL},
            {"at_s": 2.0, "kind": "trip", "id": EVIL},
        ],
        metadata={**run.metadata, "treatment": EVIL, "seed": EVIL, f"file {EVIL}": EVIL},
    )
    cycle = {**CYCLE, "verdict": EVIL, "reason": EVIL, "index": EVIL}
    trip = dict.fromkeys(TRIP, EVIL)
    summary = dict.fromkeys(SUMMARY, EVIL) | {"cycles": [cycle], "trips": [trip], "alarms": [EVIL]}

    html = render_report(hostile, summary)

    assert "<img" not in html
    assert "img" not in read(html).tags
    assert "&lt;img src=x onerror=alert(1)&gt;" in html


def test_the_report_fetches_nothing(run: Recording) -> None:
    html = render_report(run, SUMMARY)
    page = read(html)

    assert page.links == []
    assert not {"script", "link", "iframe", "object", "img", "form"} & set(page.tags)
    assert "content=\"default-src 'none'; style-src 'unsafe-inline';" in html
    assert "@import" not in html
    assert "url(" not in html
    assert set(re.findall(r"https?://[^\s\"'<]+", html)) == {"http://www.w3.org/2000/svg"}


def test_configuration_and_events_are_inside(run: Recording) -> None:
    shown = words(render_report(run, SUMMARY))

    assert 'schema = 1 name = "three <cycles>" profile = "n2o-20g"' in shown
    assert "bench.toml [ambient] temp_c = 22.0" in shown
    assert "15.500 phase cycle=1 source=PREWARM target=COOLING trigger=x" in shown


def test_vendor_messages_are_plotted() -> None:
    table = load_vendor_table(
        '[[message]]\nid = 0xC0\nname = "aux"\n'
        '[[message.field]]\nname = "count"\ntype = "u16"\n'
        '[[message.field]]\nname = "angle"\ntype = "f32"\nunit = "deg"\n',
        "v.toml",
    )

    shown = words(render_report(recordings.treatment(cycles=1, vendor=table), SUMMARY))

    assert "vendor message: recorded, never used by interlocks" in shown
    assert "angle, deg" in shown


def test_ten_minutes_with_too_many_events_stay_below_a_megabyte() -> None:
    run = recordings.treatment(cycles=6)
    event = {"at_s": 1.0, "kind": "answer", "op": "FREEZE", "counter": 12, "answer": "ACCEPTED"}

    html = render_report(replace(run, events=[event] * (EVENTS_SHOWN_MAX + 5)), SUMMARY)

    assert run.telemetry["now_s"][-1] > 600.0
    assert len(html.encode()) < 1_000_000
    assert html.count("answer=ACCEPTED") == EVENTS_SHOWN_MAX
    assert "5 more are in the recording." in words(html)
