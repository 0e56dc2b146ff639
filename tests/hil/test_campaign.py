"""Campaigns: the same rows whoever runs them, whatever is killed; forks and shrinking."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cryoctl.cli import invoke
from cryoctl_hil.campaign import executors
from cryoctl_hil.campaign.campaign_run import Tally, run_campaign
from cryoctl_hil.campaign.episode import run_episode
from cryoctl_hil.campaign.executors import ExecutorError, episodes_of, here, pool, run_chunk
from cryoctl_hil.campaign.fork import branch
from cryoctl_hil.campaign.sampling import draw, value_at
from cryoctl_hil.campaign.shrink import smallest
from cryoctl_hil.campaign.spec import Campaign, Variation, read_campaign
from cryoctl_hil.campaign.store import ROWS_FILE, Store, StoreError
from cryoctl_protocol.toml_text import FileError

SHORT = """
schema = 1
name = "short"
episodes = {episodes}
method = "random"
lasts_s = 1.5

[choose]
faults = ["", "tc_open@{{delay_s}}s"]

[vary.delay_s]
low = 0.1
high = 1
"""
FORK = """
schema = 1
name = "fork"
episodes = 1
lasts_s = 30

[fork]
moments = 3
every_s = 0.5
faults = ["tc_open", "exhaust_blocked"]
follow_s = 1.5
"""


def campaign_of(text: str) -> Campaign:
    return read_campaign(text, "campaign.toml")


def short(episodes: int = 40, more: str = "") -> Campaign:
    return campaign_of(SHORT.format(episodes=episodes) + more)


def quiet(_tally: Tally, _now_s: float) -> None: ...


def with_table(table: str) -> str:
    return f'schema = 1\nname = "x"\n{table}'


# -- what is drawn ---


def test_an_episode_depends_on_file_and_number_alone() -> None:
    campaign = short()

    again = [draw(short(), number) for number in (7, 3, 7)]

    assert draw(campaign, 7) == again[0] == again[2]
    assert draw(campaign, 3) == again[1] != again[0]


def test_another_seed_draws_other_values() -> None:
    assert draw(short(), 3).values != draw(short(more=""), 4).values
    changed = campaign_of(
        SHORT.format(episodes=40).replace('name = "short"', 'name="short"\nseed=2')
    )
    assert draw(changed, 3).seed != draw(short(), 3).seed


def test_layout_and_comments_of_the_file_change_nothing() -> None:
    spaced = campaign_of(SHORT.format(episodes=40).replace("low = 0.1", "# from\nlow   =  0.1"))

    assert spaced.sha256 == short().sha256


def test_a_grid_has_every_combination_once() -> None:
    campaign = campaign_of(
        with_table(
            'episodes = 1\nmethod = "grid"\n[choose]\nscenario = ["", "fat"]\n'
            '[vary."treatment.cycles.hold_s"]\nlevels = [5, 10, 20]\n'
        )
    )

    drawn = [draw(campaign, number) for number in range(episodes_of(campaign))]

    found = {(each.choice["scenario"], each.values["treatment.cycles.hold_s"]) for each in drawn}
    assert len(drawn) == 6
    assert found == {(scenario, hold_s) for scenario in ("", "fat") for hold_s in (5.0, 10.0, 20.0)}


@pytest.mark.parametrize("method", ["latin-hypercube", "sobol"])
def test_a_spread_method_has_one_value_in_every_stratum(method: str) -> None:
    campaign = campaign_of(
        SHORT.format(episodes=16)
        .replace('"random"', f'"{method}"')
        .replace("high = 1", "high = 1.7")
    )

    values = [draw(campaign, number).values["delay_s"] for number in range(16)]

    assert sorted(int((value - 0.1) / 0.1) for value in values) == list(range(16))


@pytest.mark.parametrize(
    ("variation", "median"),
    [
        (Variation(low=2.0, high=4.0), 3.0),
        (Variation(low=1.0, high=100.0, shape="log-uniform"), 10.0),
        (Variation(low=-10.0, high=30.0, shape="normal", mean=10.0, sigma=3.0), 10.0),
        (Variation(low=0.0, high=2.0, shape="triangular", mode=1.0), 1.0),
        (Variation(levels=(5.0, 6.0, 7.0)), 6.0),
    ],
)
def test_half_of_all_values_lie_below_the_median(variation: Variation, median: float) -> None:
    assert value_at(variation, 0.5) == pytest.approx(median)


@pytest.mark.parametrize(
    ("variation", "low", "high"),
    [
        (Variation(low=9.0, high=11.0, shape="normal", mean=10.0, sigma=30.0), 9.0, 11.0),
        (Variation(low=0.0, high=2.0, shape="triangular", mode=2.0), 0.0, 2.0),
    ],
)
def test_no_value_lies_beyond_its_range(variation: Variation, low: float, high: float) -> None:
    values = [value_at(variation, u) for u in (0.0, 1e-9, 0.3, 0.999999999)]

    assert all(low <= value <= high for value in values)


# -- the file ---


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("[vary.delay_s]\nlow = 1\nhigh = 2\n", "is used nowhere"),
        ('[choose]\nfaults = ["tc_open@{when}s"]\n', "there is no [vary.when]"),
        ('[vary."treatment.cycles.hold_s"]\nlow = 2\nhigh = 1\n', "not below"),
        ('[vary."treatment.cycles.hold_s"]\nlow = 2\n', "give low and high"),
        ('method = "grid"\n[vary."treatment.cycles.hold_s"]\nlow = 1\nhigh = 2\n', "levels"),
        ('[expect]\nfirst_cause = ["TOO_COLD"]\n', "no trip 'TOO_COLD'"),
        ("[choose]\ntreatment = []\n", "treatment"),
        ("episodes = 0\n", "episodes"),
        ("[stop]\nfailuers = 3\n", "failures"),
    ],
)
def test_a_mistake_in_the_file_is_told_with_its_place(table: str, told: str) -> None:
    with pytest.raises(FileError) as error:
        campaign_of(with_table(table))

    assert told in str(error.value)
    assert "campaign.toml" in str(error.value)


# -- one episode ---


def test_an_episode_is_told_in_numbers() -> None:
    campaign = campaign_of(
        with_table(
            'lasts_s = 40\n[choose]\nfaults = ["tc_open@freeze+3s"]\n'
            '[expect]\nfirst_cause = ["TIP_SENSOR"]\n'
        )
    )

    row = run_episode(campaign, 0)

    assert row.ok, row.wrong
    assert (row.verdict, row.first_cause, row.layer) == ("SAFETY_TRIP", "TIP_SENSOR", "device")
    assert row.time_to_safe_ms is not None
    assert row.time_to_safe_ms <= 100.0
    assert row.coldest_tip_c is not None
    assert -60.0 < row.coldest_tip_c < 0.0


def test_what_is_not_as_expected_is_wrong() -> None:
    campaign = campaign_of(
        with_table(
            'lasts_s = 16\n[expect]\nverdict = ["PASS"]\nfirst_cause = ["BATTERY"]\n'
            'nerve = ["covered"]\ncoldest_tip_c_min = 40\n'
        )
    )

    row = run_episode(campaign, 0)

    assert row.wrong == [
        "verdict FAIL, expected PASS",
        "first cause none, expected BATTERY",
        "nerve not_cold, expected covered",
        f"true tip at {row.coldest_tip_c} C, coldest allowed 40.0 C",
    ]


def test_drawn_values_reach_treatment_and_scenario() -> None:
    campaign = campaign_of(
        with_table(
            'lasts_s = 20\nmethod = "grid"\nepisodes = 1\n'
            '[vary."scenario.cartridge.fill_g"]\nlevels = [0.05, 14]\n'
        )
    )

    empty, full = (run_episode(campaign, number) for number in (0, 1))

    assert empty.events_sha256 != full.events_sha256
    assert full.gas_used_g > empty.gas_used_g


def test_a_value_that_cannot_be_is_a_row_and_no_end_of_the_campaign() -> None:
    campaign = campaign_of(
        with_table('[vary."treatment.cycles.setpoint_c"]\nlow = -95\nhigh = -90\n')
    )

    row = run_episode(campaign, 0)

    assert not row.ok
    assert "FileError" in str(row.wrong)


def test_a_run_of_the_same_is_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = 'lasts_s = 300\n[choose]\nfaults = ["exhaust_blocked@freeze+3s"]\n'
    row = run_episode(campaign_of(with_table(table)), 0)
    same = ["--seed", str(row.seed), "--fault", row.faults[0], "--out", str(tmp_path / "run")]

    invoke(["run", *same, "--json"])

    summary = json.loads(capsys.readouterr().out)
    assert summary["events_sha256"] == row.events_sha256
    assert summary["verdict"] == row.verdict


# -- who runs it ---


def test_one_process_and_three_give_the_same_result(tmp_path: Path) -> None:
    campaign = short()

    alone = run_campaign(campaign, Store(tmp_path / "alone", campaign), here, quiet)
    shared = run_campaign(campaign, Store(tmp_path / "shared", campaign), pool(3), quiet)

    assert alone.result_sha256 == shared.result_sha256 != ""
    assert alone.done == shared.done == 40


def test_a_worker_that_dies_is_replaced_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign, alone = short(), short()
    expected = run_campaign(alone, Store(tmp_path / "alone", alone), here, quiet).result_sha256
    monkeypatch.setenv("CRYOCTL_TEST_KILL", str(tmp_path / "killed"))
    monkeypatch.setattr(executors, "run_chunk", killing_run_chunk)

    tally = run_campaign(campaign, Store(tmp_path / "killed-store", campaign), pool(2), quiet)

    assert (tmp_path / "killed").exists()
    assert tally.result_sha256 == expected


def killing_run_chunk(text: str, numbers: Sequence[int]) -> list[str]:
    """Kill the process of the first chunk that comes, once."""
    path = Path(os.environ["CRYOCTL_TEST_KILL"])
    if not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return run_chunk(text, numbers)


def test_workers_that_always_die_end_it_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors, "run_chunk", dying_run_chunk)
    monkeypatch.setattr(executors, "BREAKS_MAX", 1)
    campaign = short()

    with pytest.raises(ExecutorError, match=r"workers died 2 times in a row.*--workers 1"):
        run_campaign(campaign, Store(tmp_path / "s", campaign), pool(2), quiet)


def dying_run_chunk(_text: str, _numbers: Sequence[int]) -> list[str]:
    os._exit(1)


def test_what_was_broken_off_goes_on_and_comes_to_the_same(tmp_path: Path) -> None:
    campaign = short()
    whole = run_campaign(campaign, Store(tmp_path / "whole", campaign), here, quiet)
    store = Store(tmp_path / "broken", campaign)
    lines = (tmp_path / "whole" / ROWS_FILE).read_text(encoding="utf-8").splitlines()
    torn = "\n".join([*lines[20:32], lines[5][:100]])  # As a kill leaves it.
    (tmp_path / "broken" / ROWS_FILE).write_text(torn, encoding="utf-8")

    tally = run_campaign(campaign, store, here, quiet)

    assert (tally.before, tally.done) == (12, 28)
    assert tally.result_sha256 == whole.result_sha256


def test_a_killed_campaign_goes_on_from_the_command_line(tmp_path: Path) -> None:
    spec = tmp_path / "short.toml"
    spec.write_text(SHORT.format(episodes=48), encoding="utf-8")
    rows = tmp_path / "out" / ROWS_FILE
    command = [sys.executable, "-m", "cryoctl", "campaign", str(spec), "--workers", "1"]
    with subprocess.Popen(
        [*command, "--out", str(tmp_path / "out")], stderr=subprocess.DEVNULL
    ) as p:
        while not (rows.exists() and rows.stat().st_size):
            assert p.poll() is None
            time.sleep(0.02)
        p.kill()

    again = subprocess.run([*command, "--out", str(tmp_path / "out"), "--json"], check=True,
                           capture_output=True, text=True)  # fmt: skip
    fresh = subprocess.run([*command, "--out", str(tmp_path / "new"), "--json"], check=True,
                           capture_output=True, text=True)  # fmt: skip

    assert json.loads(again.stdout)["result_sha256"] == json.loads(fresh.stdout)["result_sha256"]
    assert json.loads(again.stdout)["done"] == 48


def test_a_folder_of_another_campaign_is_refused(tmp_path: Path) -> None:
    Store(tmp_path / "one", short())

    with pytest.raises(StoreError, match="holds a campaign with spec_sha256"):
        Store(tmp_path / "one", short(41))


def test_a_folder_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()

    with pytest.raises(StoreError, match="not empty"):
        Store(tmp_path, short())


def test_it_stops_after_as_many_failures_as_asked(tmp_path: Path) -> None:
    campaign = short(64, '[expect]\nfirst_cause = ["BATTERY"]\n[stop]\nfailures = 5\n')

    tally = run_campaign(campaign, Store(tmp_path / "s", campaign), here, quiet)

    assert tally.done == executors.CHUNK
    assert "stop.failures = 5" in tally.stopped


# -- the command ---


def test_a_failed_episode_is_told_with_the_command_that_repeats_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "short.toml"
    spec.write_text(SHORT.format(episodes=16) + '[expect]\nfirst_cause = [""]\n', encoding="utf-8")

    assert invoke(["campaign", str(spec), "--out", str(tmp_path / "out")]) == 1

    told = [line for line in capsys.readouterr().out.splitlines() if "again:" in line]
    number = int(told[0].rsplit(" ", 1)[1])
    invoke(["campaign", str(spec), "--episode", str(number)])
    row = json.loads(capsys.readouterr().out)
    assert row["episode"] == number
    assert row["wrong"] == ["first cause TIP_SENSOR, expected none"]


def test_an_episode_beyond_the_last_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "short.toml"
    spec.write_text(SHORT.format(episodes=16), encoding="utf-8")

    assert invoke(["campaign", str(spec), "--episode", "16"]) == 2

    assert "there are 16, from 0" in capsys.readouterr().err


# -- forks ---


def test_a_branch_is_what_a_whole_run_with_its_fault_is() -> None:
    campaign = campaign_of(FORK)

    rows = [json.loads(line) for line in run_chunk(FORK, range(episodes_of(campaign)))]

    assert len(rows) == 6
    for row in rows:
        plain = campaign_of(
            FORK.partition("[fork]")[0].replace("lasts_s = 30", f"lasts_s = {row['virtual_s']}")
            + f'[choose]\nfaults = ["{row["faults"][0]}"]\n'
        )
        plan = run_with_seed(plain, row["seed"])
        assert plan.events_sha256 == row["events_sha256"]
        assert plan.first_cause == row["first_cause"]


def run_with_seed(campaign: Campaign, seed: int) -> Any:
    from dataclasses import replace

    from cryoctl_hil.campaign.episode import plan_of, run_plan

    plan = plan_of(campaign, 0)
    plan = replace(plan, drawn=replace(plan.drawn, seed=seed))
    return run_plan(plan, campaign.table.lasts_s, campaign.table.expect)


def test_second_faults_come_after_every_first_one() -> None:
    campaign = campaign_of(FORK + 'then = ["tc_open", "vbat_low"]\nthen_after_s = 0.5\n')

    found = [branch(campaign, number).faults for number in range(episodes_of(campaign))]

    assert len(found) == 3 * 3
    assert found[:3] == [
        (("tc_open", 0.0), ("vbat_low", 0.5)),
        (("exhaust_blocked", 0.0), ("tc_open", 0.5)),
        (("exhaust_blocked", 0.0), ("vbat_low", 0.5)),
    ]


def test_a_state_that_never_comes_is_told() -> None:
    text = FORK.replace("follow_s", 'state = "stimulate"\nfollow_s')

    row = json.loads(run_chunk(text, [0])[0])

    assert row["wrong"] == ["the probe was not in stimulate for so long"]


# -- shrinking ---


def test_one_guilty_of_twelve_is_found_with_few_tries() -> None:
    tried: list[Sequence[int]] = []

    def fails(part: Sequence[int]) -> bool:
        tried.append(part)
        return 7 in part

    assert smallest(range(12), fails) == [7]
    assert len(tried) < 20


def test_two_that_are_guilty_together_are_both_kept() -> None:
    assert smallest(range(12), lambda part: {3, 9} <= set(part)) == [3, 9]


def test_nothing_is_left_out_that_is_needed() -> None:
    assert smallest("abc", lambda part: len(part) == 3) == ["a", "b", "c"]
