"""Reports of campaigns: rates with intervals, worst cases first, correlations, one offline page."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryoctl.cli import invoke
from cryoctl_hil.campaign.analysis import analyse, bounds_ms, kind_of, spearman, wilson
from cryoctl_hil.campaign.spec import CampaignTable, read_campaign
from tests.hil.test_campaign import SHORT
from tests.support.programs import needed_modules

TABLE = """
schema = 1
name = "told"
[choose]
faults = ["", "tc_open@1s"]
"""


def table() -> CampaignTable:
    return read_campaign(TABLE, "told.toml").table


def row(episode: int, **changed: Any) -> dict[str, Any]:
    return {
        "episode": episode,
        "choice": {"treatment": "n2o-20g", "scenario": "", "firmware": "model", "faults": ""},
        "values": {"x": float(episode)},
        "faults": [],
        "verdict": "PASS",
        "ended": True,
        "first_cause": "",
        "time_to_safe_ms": None,
        "ice_radius_mm": 1.0,
        "radius_minus20_mm": 1.0,
        "nerve_covered_mm": 0.0,
        "coldest_tip_c": -60.0,
        "margins": {"tip_floor": 0.3},
        "wrong": [],
        **changed,
    }


# Wilson 1927, as tabulated by Newcombe 1998 (Statistics in Medicine 17, 857) for 81 of 263,
# 15 of 148, 0 of 20 and 1 of 29.
@pytest.mark.parametrize(
    ("passed", "total", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_a_rate_has_the_published_interval(
    passed: int, total: int, low: float, high: float
) -> None:
    rate = wilson(passed, total)

    assert [rate.low, rate.high] == pytest.approx([low, high], abs=1e-4)


def test_all_that_passed_leave_room_for_one_that_would_not() -> None:
    assert wilson(50, 50).high == 1.0
    assert 0.9 < wilson(50, 50).low < 0.95


def test_a_rank_correlation_is_that_of_scipy() -> None:
    needed_modules("scipy", extra="campaign")
    from scipy import stats

    x = np.array([3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0, 5.0, 3.0, 5.0])
    y = np.array([2.0, 7.0, 1.0, 8.0, 2.0, 8.0, 1.0, 8.0, 2.0, 8.0, 4.0])

    found = spearman("x", x, y)

    assert found is not None
    assert found.rho == pytest.approx(stats.spearmanr(x, y).statistic)
    assert found.low < found.rho < found.high


def test_what_rises_with_its_cause_in_every_case_is_told_as_1() -> None:
    x = np.arange(20.0)

    found = spearman("x", x, np.exp(x))

    assert found is not None
    assert found.rho == pytest.approx(1.0)
    assert found.is_there


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.arange(5.0), np.arange(5.0)),
        (np.ones(20), np.arange(20.0)),
        (np.arange(20.0), np.full(20, math.nan)),
    ],
)
def test_too_few_or_what_never_differs_has_no_correlation(x: Any, y: Any) -> None:
    assert spearman("x", x, y) is None


def test_what_failed_comes_first_and_then_what_came_nearest() -> None:
    rows = [
        row(0),
        row(1, margins={"tip_floor": 0.1}),
        row(2, wrong=["verdict FAIL, expected PASS"], margins={"tip_floor": 0.9}),
        row(3, wrong=["SR-05 at 3.2 s: true tip"], margins={"tip_floor": -0.1}),
        row(4, wrong=["ValueError: no"], margins=None),
    ]

    found = analyse(rows, table())

    assert [case["episode"] for case in found.worst] == [4, 3, 2, 1, 0]
    assert (found.rate.passed, found.rate.total) == (2, 5)


def test_the_same_mistake_with_other_numbers_is_one_kind() -> None:
    rows = [row(n, wrong=[f"SR-05 at {n}.25 s: true tip at -{n}01.5 C"]) for n in range(3)]

    ((kind, count, examples),) = analyse(rows, table()).kinds

    assert kind == kind_of("SR-05 at 9.5 s: true tip at -123.4 C") != kind_of("SR-09 at 9.5 s: x")
    assert kind.startswith("SR-05 at ")
    assert (count, examples) == (3, [0, 1, 2])


def test_times_stand_beside_the_bound_of_their_requirement() -> None:
    slow = [row(n, first_cause="OVERPRESSURE", time_to_safe_ms=20.0 + n) for n in range(40)]
    never = row(99, first_cause="OVERPRESSURE")

    (times,) = analyse([*slow, never], table()).times

    assert (times.requirement, times.bound_ms) == ("SR-18", 50.0)
    assert (times.count, times.highest_ms, times.over, times.unconfirmed) == (40, 59.0, 9, 1)


def test_a_bound_in_seconds_is_told_in_ms_and_a_count_is_no_time() -> None:
    bounds = bounds_ms()

    assert bounds["LEAK"] == ("SR-08", 2000.0)
    assert bounds["INTEGRITY"] == ("SR-23", None)


def test_a_factor_is_told_member_by_member() -> None:
    rows = [
        row(n, choice={**row(0)["choice"], "faults": fault}, wrong=["no"] if fault else [])
        for n, fault in enumerate(["", "tc_open@1s", "", "tc_open@1s"])
    ]

    factors = analyse(rows, table()).factors

    assert list(factors) == ["faults"]
    assert {name: rate.passed for name, rate in factors["faults"].items()} == {
        "": 2, "tc_open@1s": 0,
    }  # fmt: skip


def test_a_campaign_is_reported_on_one_page_that_asks_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec, out = tmp_path / "short.toml", tmp_path / "out"
    text = SHORT.format(episodes=16).replace('"short"', '"<script>alert(1)</script>"')
    spec.write_text(text + '[expect]\nfirst_cause = [""]\n', encoding="utf-8")
    assert invoke(["campaign", "run", str(spec), "--workers", "1", "--out", str(out)]) == 1
    capsys.readouterr()

    assert invoke(["campaign", "report", str(out), "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    page = (out / "report.html").read_text(encoding="utf-8")
    worst = told["worst"][0]
    assert told == json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert worst["wrong"] == ["first cause TIP_SENSOR, expected none"]
    assert worst["command"] == f"cryoctl campaign {out}/campaign.toml --episode {worst['episode']}"
    assert f"--episode {worst['episode']}" in page
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    for outside in ("http://", "https://", "src=", "@import"):
        assert outside not in page.replace("http://www.w3.org/2000/svg", "")


def test_a_folder_without_a_campaign_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["campaign", "report", str(tmp_path)]) == 2

    assert "is no folder of a campaign" in capsys.readouterr().err
