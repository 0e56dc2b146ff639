"""Sessions, profiles of one's own and research profiles as a user meets them."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

import cryoctl
from cryoctl.cli import invoke
from cryoctl.cycles import Verdict
from cryoctl.replay import Answer
from cryoctl_protocol.peer import AddressError

SESSION = """\
schema = 1
name = "Left knee"
treatment = "co2-20g"

[[placement]]
name = "superior medial"

[[placement]]
name = "superior lateral"
scenario = "fat"

[[placement]]
name = "inferior medial"
"""
SHORT = {"cycles.count": 1, "cycles.setpoint_c": -55.0, "cycles.hold_s": 10.0}
SHORT_OPTIONS = [part for key, value in SHORT.items() for part in ("--set", f"{key}={value}")]


@pytest.fixture(autouse=True)
def in_a_folder_with_a_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("knee.toml").write_text(SESSION, encoding="utf-8")


def run_session(**changes: Any) -> cryoctl.Result:
    return cryoctl.run(**{"session": "knee.toml", "set": SHORT, "out": "knee"} | changes)


def test_a_session_of_three_placements_is_one_recording_and_one_summary() -> None:
    result = run_session()

    summary = result.summary
    assert summary is not None
    assert (summary.verdict, summary.exit_code, summary.treatment) == (Verdict.PASS, 0, "Left knee")
    assert [(row.index, row.name, row.verdict) for row in summary.placements] == [
        (1, "superior medial", Verdict.PASS),
        (2, "superior lateral", Verdict.PASS),
        (3, "inferior medial", Verdict.PASS),
    ]
    assert [(cycle.placement, cycle.index) for cycle in summary.cycles] == [(1, 1), (2, 1), (3, 1)]
    events = [event for event in result.events if event["kind"] == "operator"]
    armed = [event["request"] for event in events if event["request"] in ("placed", "arm", "start")]
    assert armed == ["placed", "arm", "start"] * 3
    assert result.metadata["file session"] == SESSION


def test_each_placement_lies_in_the_tissue_of_its_scenario() -> None:
    cycles = run_session().cycles

    ice_mm = [cycle.truth.ice_radius_mm for cycle in cycles if cycle.truth is not None]
    gas_g = [cycle.gas_used_g for cycle in cycles]
    assert ice_mm[0] == pytest.approx(ice_mm[2], rel=0.02)  # Fresh muscle both times.
    assert gas_g[1] < 0.75 * gas_g[0]  # Fat takes less cold.


def test_a_session_can_be_replayed_to_the_same_decisions() -> None:
    result = run_session(cartridge_g=2.5)

    assert result.summary is not None
    assert result.summary.cartridge_changes == 1
    assert result.replay().answer is Answer.IDENTICAL


def test_a_trip_at_the_second_placement_ends_the_session() -> None:
    result = run_session(faults=["tc_open@120s"])

    assert result.summary is not None
    assert [row.verdict for row in result.summary.placements] == [
        Verdict.PASS,
        Verdict.SAFETY_TRIP,
        None,
    ]
    assert (result.verdict, result.exit_code) == (Verdict.SAFETY_TRIP, 4)
    assert result.trips[0].first_out


def test_the_command_line_tells_of_each_placement(capsys: pytest.CaptureFixture[str]) -> None:
    code = invoke(["run", "--session", "knee.toml", *SHORT_OPTIONS, "--out", "knee"])

    out = capsys.readouterr().out
    assert code == 0
    assert "placement 2 of 3, superior lateral: PASS, " in out
    report = Path("knee/report.html").read_text("utf-8")
    assert "<td>superior lateral</td>" in report
    assert "<td>3.1</td>" in report


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["knee-genicular", "--session", "knee.toml"], "give no other beside it"),
        (["--session", "none.toml"], "none.toml: No such file"),
        (["--session", "knee.toml", "--device", "tcp://127.0.0.1:1"], "for simulated devices"),
        (
            ["--session", "knee.toml", "--device", "sim:n2o-20g"],
            "device sim:n2o-20g: its profile is n2o-20g",
        ),
    ],
)
def test_a_session_that_cannot_be_is_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["run", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("scenario", "messages"),
    [
        ("fatt", ["knee.toml:10: placement[1].scenario: scenario 'fatt': No such file"]),
        ("fatt.toml", ["knee.toml:10: placement[1].scenario: what it names", "fatt.toml: No such"]),
        ("bad.toml", ["knee.toml:10: placement[1].scenario: what it names", "bad.toml:1: tissu"]),
    ],
)
def test_a_scenario_of_a_later_placement_is_looked_at_before_anything_freezes(
    scenario: str, messages: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("bad.toml").write_text("tissu = 1\n", encoding="utf-8")
    Path("knee.toml").write_text(SESSION.replace('"fat"', f'"{scenario}"'), encoding="utf-8")

    assert invoke(["run", "--session", "knee.toml"]) == 2
    err = capsys.readouterr().err
    assert [message for message in messages if message not in err] == []
    assert not Path("runs").exists()


def test_the_first_tests_of_a_session_are_in_the_tissue_of_the_address() -> None:
    Path("knee.toml").write_text(
        SESSION.replace('"inferior medial"', '"tank"\nscenario = "gel-bench"')
    )

    telemetry = run_session().telemetry

    assert telemetry["tip_temp_c"][:400] == pytest.approx(37.0, abs=1.0)


# -- shipped treatments by name ------------------------------------------------------------------


def test_a_shipped_treatment_runs_by_its_name_on_its_own_probe() -> None:
    result = cryoctl.run("lumbar-facet", set=SHORT, out="facet")

    assert result.summary is not None
    assert (result.verdict, result.summary.profile) == (Verdict.PASS, "n2o-console-2mm")


def test_the_shipped_treatments_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["treatments", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}

    assert invoke(["treatments", "occipital"]) == 0
    text = capsys.readouterr().out

    assert rows["phantom-limb"]["count"] == 3
    assert rows["phantom-limb"]["profile"] == "n2o-console-2mm"
    assert "# Sources:" in text


# -- profiles ------------------------------------------------------------------------------------


def my_probe(folder: str = ".", **changes: str) -> Path:
    """Write a copy of the template with some texts replaced; return its path."""
    file = resources.files("cryoctl_protocol") / "profiles" / "template.toml"
    text = file.read_text("utf-8").replace('id = "template"', 'id = "my-probe"')
    for old, new in changes.items():
        text = text.replace(old, new)
    Path(folder).mkdir(exist_ok=True)
    path = Path(folder) / "my-probe.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_copied_template_runs_and_its_recording_needs_the_file_no_more() -> None:
    path = my_probe("probes")
    result = cryoctl.run(device=f"sim:{path}", set=SHORT, out="mine")

    path.unlink()

    assert result.summary is not None
    assert (result.verdict, result.summary.profile) == (Verdict.PASS, "my-probe")
    assert result.replay().answer is Answer.IDENTICAL
    assert 'id = "my-probe"' in result.metadata["file profiles/my-probe.toml"]


def test_what_to_try_next_is_for_the_same_probe(capsys: pytest.CaptureFixture[str]) -> None:
    my_probe()

    assert (
        invoke(["run", "--profile", "my-probe.toml", "--set", "cycles.hold_s=5", "--out", "mine"])
        == 0
    )

    lines = capsys.readouterr().out.split("next:\n")[1].splitlines()
    assert lines[0].endswith(" plan --profile my-probe.toml")
    assert lines[1].endswith(" run --profile my-probe.toml --fault valve_stuck_open@freeze+20s")


def test_a_profile_file_and_another_probe_in_the_address_are_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    my_probe()

    assert invoke(["run", "--profile", "my-probe.toml", "--device", "sim:n2o-20g"]) == 2
    assert "device sim:n2o-20g: its profile is n2o-20g (" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_a_treatment_finds_its_profile_file_from_where_it_is() -> None:
    my_probe("probes")
    treatment = Path("probes/short.toml")
    treatment.write_text(
        'schema = 1\nprofile = "my-probe.toml"\n'
        "[cycles]\ncount = 1\nsetpoint_c = -40.0\nhold_s = 5.0\n",
        encoding="utf-8",
    )

    result = cryoctl.run(treatment, out="mine")

    assert result.verdict is Verdict.PASS
    assert result.replay().answer is Answer.IDENTICAL


def test_a_limit_of_an_own_profile_holds_for_its_treatments(
    capsys: pytest.CaptureFixture[str],
) -> None:
    my_probe(**{"setpoint_min_c = -63.0": "setpoint_min_c = -50.0"})

    code = invoke(["plan", "--profile", "my-probe.toml", "--set", "cycles.setpoint_c=-51"])

    assert code == 2
    assert "allowed: -50 to -20 C" in capsys.readouterr().err


def test_a_mistake_in_a_profile_is_told_with_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    my_probe(**{"lead_ms = 600": "lead_ms = 6000"})

    code = invoke(["run", "--profile", "my-probe.toml"])
    checked = invoke(["config", "check", "--kind", "profile", "my-probe.toml"])

    err = capsys.readouterr().err
    assert (code, checked) == (2, 2)
    assert err.count("control.lead_ms: input should be less than or equal to 2000") == 2


@pytest.mark.requirement("SR-09")
@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "serial:/dev/null", "serial:auto"])
def test_a_research_profile_is_refused_wherever_there_may_be_a_real_device(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = invoke(["run", "gel-bench-17g", "--device", address, "--arm-and-start"])

    err = capsys.readouterr().err
    assert code == 2
    assert err == (
        f"cryoctl: device {address}: profile gel-bench-17g is for research, with limits beyond "
        "what a probe may do: it runs on the simulator in this process alone "
        "(--device sim:gel-bench-17g)\n"
    )
    assert not Path("runs").exists()


@pytest.mark.requirement("SR-09")
def test_a_live_session_refuses_a_research_profile_on_a_real_device_too() -> None:
    with pytest.raises(AddressError, match="is for research"):
        cryoctl.connect("tcp://127.0.0.1:1", "gel-bench-17g")
