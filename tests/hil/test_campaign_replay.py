"""One episode by itself: recorded, as files, shrunk to the fewest faults that still fail."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from cryoctl.cli import invoke
from cryoctl_hil.campaign.episode import run_episode
from cryoctl_hil.campaign.replay import ReplayError, alone, run_alone, shrink, write_files
from cryoctl_hil.campaign.spec import Campaign, read_campaign

HARMLESS = (
    "warmer_dead@0.5s", "stimulator_dead@0.6s", "high_perfusion@0.7s", "duplicate@0.8s",
    "line_blocked@0.9s", "button_stuck@1s", "skin_drift@1.1s:0.2s", "pressure_frozen@1.2s:0.05s",
    "heater_dead@1.3s", "flow_stuck@1.4s:0.05s", "orifice_blocked@1.5s",
)  # fmt: skip
"""Nothing that trips a probe at rest."""
GUILTY = "tc_open@1.25s"
TWELVE = " ".join([*HARMLESS[:7], GUILTY, *HARMLESS[7:]])
SPEC = """
schema = 1
name = "twelve"
lasts_s = {lasts_s}
[choose]
scenario = ["fat"]
faults = ["{faults}"]
[vary."treatment.cycles.hold_s"]
low = 5
high = 6
[vary."scenario.tissue.perfusion_kw_m3_k"]
low = 1
high = 4
[expect]
first_cause = ["", "BATTERY"]
"""


def campaign_of(faults: str, lasts_s: float = 2.0) -> Campaign:
    return read_campaign(SPEC.format(faults=faults, lasts_s=lasts_s), "twelve.toml")


def test_of_twelve_faults_the_guilty_one_is_left() -> None:
    campaign = campaign_of(TWELVE)
    whole = alone(campaign, 3)
    assert len(whole.plan.faults) == 12

    small, tries = shrink(campaign, whole)

    assert small.plan.faults == [GUILTY]
    assert tries < 30
    assert run_alone(campaign, small).wrong == ["first cause TIP_SENSOR, expected none or BATTERY"]


def test_what_fails_without_any_fault_is_left_without_any() -> None:
    campaign = read_campaign(
        SPEC.format(faults=GUILTY, lasts_s=1.0).replace("first_cause", 'nerve = ["covered"]#'),
        "x.toml",
    )

    small, _ = shrink(campaign, alone(campaign, 0))

    assert small.plan.faults == []


def test_what_did_not_fail_cannot_be_shrunk() -> None:
    campaign = campaign_of(HARMLESS[0])

    with pytest.raises(ReplayError, match="did not fail"):
        shrink(campaign, alone(campaign, 0))


def test_a_shrunk_episode_is_one_command_and_gives_the_same_event_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec, out = tmp_path / "x.toml", tmp_path / "shrunk"
    faults = f"{HARMLESS[0]} exhaust_blocked@freeze+3s {HARMLESS[1]}"
    spec.write_text(SPEC.format(faults=faults, lasts_s=300.0), encoding="utf-8")

    assert invoke(["campaign", str(spec), "--shrink", "1", "--out", str(out), "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert told["faults"] == ["exhaust_blocked@freeze+3s"]
    assert told["ended"]
    invoke([*shlex.split(told["command"])[1:], "--json"])
    summary = json.loads(capsys.readouterr().out)
    assert summary["events_sha256"] == told["events_sha256"]
    again = read_campaign((out / "campaign.toml").read_text(encoding="utf-8"), "campaign.toml")
    assert run_episode(again, 0).events_sha256 == told["events_sha256"]


def test_an_episode_is_recorded_where_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec, out = tmp_path / "x.toml", tmp_path / "one"
    spec.write_text(SPEC.format(faults="brownout@12s", lasts_s=300.0), encoding="utf-8")

    assert invoke(["campaign", str(spec), "--episode", "2", "--out", str(out)]) == 0

    row = json.loads(capsys.readouterr().out)
    summary = json.loads((out / "run" / "summary.json").read_text(encoding="utf-8"))
    assert (out / "run" / "run.mcap").exists()
    assert summary["events_sha256"] == row["events_sha256"]


def test_a_branch_of_a_fork_is_written_as_a_whole_run(tmp_path: Path) -> None:
    campaign = read_campaign(
        'schema = 1\nname = "x"\nepisodes = 1\nlasts_s = 30\n[fork]\nmoments = 1\n'
        'state = "idle"\nfaults = ["tc_open"]\nfollow_s = 0.5\n[expect]\nfirst_cause = [""]\n',
        "x.toml",
    )
    branch = alone(campaign, 0)

    write_files(campaign, branch, tmp_path / "branch")

    text = (tmp_path / "branch" / "campaign.toml").read_text(encoding="utf-8")
    row = run_episode(read_campaign(text, "campaign.toml"), 0)
    assert row.faults == branch.plan.faults
    assert row.wrong == ["first cause TIP_SENSOR, expected none"]


def test_files_are_written_over_no_others(tmp_path: Path) -> None:
    campaign = campaign_of(GUILTY)
    (tmp_path / "there").mkdir()

    with pytest.raises(FileExistsError):
        write_files(campaign, alone(campaign, 0), tmp_path / "there")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--shrink", "0"], "give --out"),
        (["--shrink", "0", "--episode", "1"], "not both"),
        (["--shrink", "500", "--out", "x"], "there are 100, from 0"),
    ],
)
def test_what_cannot_be_asked_for_is_told(
    arguments: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "x.toml"
    spec.write_text(SPEC.format(faults=GUILTY, lasts_s=2.0), encoding="utf-8")

    assert invoke(["campaign", str(spec), *arguments]) == 2

    assert told in capsys.readouterr().err
