"""Adaptive search: it goes for a bound, comes to the same whoever runs it, and keeps its finds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cryoctl.cli import invoke
from cryoctl_hil.bench_campaign import (
    CORNER,
    SEARCHED,
    WHOLE,
    from_freeze,
    planted,
    searched_until_found,
    supply_trip_raised,
)
from cryoctl_hil.campaign.campaign_run import Tally
from cryoctl_hil.campaign.executors import here, pool
from cryoctl_hil.campaign.margins import BOUNDS, Held
from cryoctl_hil.campaign.sampling import Point
from cryoctl_hil.campaign.search import search_campaign
from cryoctl_hil.campaign.spec import read_campaign
from cryoctl_hil.campaign.store import ROWS_FILE, Store
from cryoctl_protocol.toml_text import FileError
from tests.support.programs import needed_modules

needed_modules("scipy", extra="campaign")

QUICK = """
schema = 1
name = "quick"
episodes = 20
lasts_s = 1
[choose]
scenario = ["", "fat"]
faults = ["tc_open@{delay_s}s"]
[vary.delay_s]
low = 0.1
high = 0.9
[search]
population = 5
"""


def quiet(_tally: Tally, _now_s: float) -> None: ...


def test_a_value_counts_once_it_has_lasted() -> None:
    held = Held(3)

    for value in (1.0, 9.0, 9.0, 2.0, 5.0, 4.0, 6.0, None, 8.0, 8.0):
        held.look(value)

    assert held.highest == 4.0


def test_every_margin_that_a_file_may_name_is_explained() -> None:
    annotation = read_campaign(QUICK, "x").table.search
    assert annotation is not None
    schema = json.dumps(type(annotation).model_json_schema())

    assert [name for name in BOUNDS if f'"{name}"' in schema] == list(BOUNDS)


@pytest.mark.timeout(180)  # Two processes are started, which takes its time on a busy machine.
def test_whoever_runs_a_search_it_comes_to_the_same(tmp_path: Path) -> None:
    campaign = read_campaign(QUICK, "quick.toml")

    alone = search_campaign(campaign, Store(tmp_path / "a", campaign), here, quiet)
    shared = search_campaign(campaign, Store(tmp_path / "b", campaign), pool(2), quiet)

    assert alone.done == 20
    assert alone.result_sha256 == shared.result_sha256 != ""


def test_a_search_that_was_broken_off_goes_on_and_comes_to_the_same(tmp_path: Path) -> None:
    campaign = read_campaign(QUICK, "quick.toml")
    whole = search_campaign(campaign, Store(tmp_path / "whole", campaign), here, quiet)
    lines = (tmp_path / "whole" / ROWS_FILE).read_text(encoding="utf-8").splitlines()
    store = Store(tmp_path / "broken", campaign)
    torn = "\n".join([*lines[:7], lines[8][:50]])
    (tmp_path / "broken" / ROWS_FILE).write_text(torn, encoding="utf-8")

    again = search_campaign(campaign, store, here, quiet)

    assert (again.before, again.done) == (7, 13)
    assert again.result_sha256 == whole.result_sha256


@pytest.mark.timeout(300)
def test_a_threshold_that_is_2_percent_off_is_found() -> None:
    """Chance needs some 2,500 episodes; `make bench` and the assurance programs measure both."""
    episodes = searched_until_found(seed=1, episodes_max=250)

    assert episodes is not None


@pytest.mark.parametrize("at", [(0.0, 0.0, 1.0, 1.0), (1.0, 0.0, 0.0, 1.0), (1.0, 0.0, 1.0, 0.0)])
def test_the_planted_defect_lies_in_the_corner_that_chance_is_counted_in(
    at: tuple[float, ...],
) -> None:
    text = planted(1, seed=1, low=CORNER)

    with supply_trip_raised():
        ((line,),) = from_freeze(text, [[Point(0, at)]])

    row = json.loads(line)
    assert row["wrong"] == []
    assert row["margins"]["supply_pressure"] > 0.0


def test_a_firmware_without_the_defect_is_not_found_guilty(tmp_path: Path) -> None:
    text = planted(30, seed=1, low=CORNER) + SEARCHED
    campaign = read_campaign(text, "planted")

    tally = search_campaign(campaign, Store(tmp_path / "s", campaign), from_freeze, quiet)

    assert (tally.done, tally.failures) == (30, 0)
    assert WHOLE.offset_bar < CORNER.offset_bar


def test_what_a_search_found_is_kept_as_a_campaign_that_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec, out = tmp_path / "quick.toml", tmp_path / "out"
    spec.write_text(
        QUICK + '[expect]\nfirst_cause = [""]\n[stop]\nfailures = 1\n', encoding="utf-8"
    )

    assert invoke(["campaign", str(spec), "--workers", "1", "--out", str(out), "--json"]) == 1

    (*_, kept) = json.loads(capsys.readouterr().out)["kept"]
    again = ["campaign", f"{kept}/campaign.toml", "--out", str(tmp_path / "again"), "--json"]
    assert invoke(again) == 1
    failed = json.loads(capsys.readouterr().out)["failed"]
    assert failed == [{"episode": 0, "wrong": ["first cause TIP_SENSOR, expected none"]}]
    assert invoke(["campaign", str(spec), "--episode", "0"]) == 2
    assert "episode-0" in capsys.readouterr().err


@pytest.mark.parametrize(
    "table", ['method = "sobol"\n[search]\n', '[search]\n[fork]\nfaults = ["*"]\n']
)
def test_a_search_draws_by_itself(table: str) -> None:
    with pytest.raises(FileError, match="a search chooses by itself"):
        read_campaign(f'schema = 1\nname = "x"\n{table}', "campaign.toml")
