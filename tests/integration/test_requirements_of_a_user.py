"""A user's requirements tighten what the controller goes by; what is looser is told each time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import cryoctl
from cryoctl.cli import invoke
from cryoctl.limits_in_force import limits_in_force
from cryoctl.requirement_registry import read_requirements
from cryoctl_protocol.profile import load_profile
from cryoctl_protocol.toml_text import FileError

SHORT = {"cycles.count": 1, "cycles.hold_s": 5}
DEVIATION = """
[[deviation]]
requirement = "ACME-REQ-1"
value = {value}
reason = "gel alone, <b>nobody</b> near"
who = "R. Tester"
date = 2026-11-20
"""


def limiting(limit: str, bound: float, unit: str, name: str = "ACME-REQ-1") -> str:
    return (
        f'[[requirement]]\nid = "{name}"\ntext = "ours"\nhazard = "H-02"\nbound = {bound}\n'
        f'unit = "{unit}"\nmethod = "test"\nlimit = "{limit}"\n'
    )


def in_force(text: str) -> dict[str, float]:
    registry = read_requirements(text, "own.toml")
    found = limits_in_force(registry, load_profile("n2o-20g").limits)
    return {change.name: change.value for change in found.changed}


@pytest.mark.requirement("SR-28")
@pytest.mark.parametrize(
    ("limit", "tighter", "looser", "unit"),
    [
        ("tip_floor_c", -84.0, -86.0, "C"),
        ("freeze_s_max", 179.0, 181.0, "s"),
        ("heater_tip_max_c", 42.0, 44.0, "C"),
        ("heater_on_s_max", 19.0, 21.0, "s"),
        ("thaw_energy_j_max", 4.0, 6.0, "J"),
        ("skin_min_c", 6.0, 4.0, "C"),
        ("pressure_warn_bar", 61.0, 63.0, "bar"),
        ("pressure_trip_bar", 67.0, 69.0, "bar"),
        ("exhaust_trip_bar", 2.4, 2.6, "bar"),
        ("battery_min_mv", 19999, 1000, "mV"),
        ("stimulus_ma_max", 4.0, 6.0, "mA"),
    ],
)
def test_a_limit_can_be_tightened_and_not_loosened(
    limit: str, tighter: float, looser: float, unit: str
) -> None:
    assert in_force(limiting(limit, tighter, unit)) == {limit: tighter}
    with pytest.raises(FileError, match=f"is looser than the profile's {limit}"):
        in_force(limiting(limit, looser, unit))


@pytest.mark.requirement("SR-28")
def test_the_tightest_of_several_counts_in_any_order() -> None:
    rows = [limiting("skin_min_c", bound, "C", f"A-{bound:.0f}") for bound in (7.0, 9.0, 8.0)]

    assert in_force("".join(rows)) == {"skin_min_c": 9.0}
    assert in_force("".join(reversed(rows))) == {"skin_min_c": 9.0}


@pytest.mark.requirement("SR-28")
def test_no_word_of_anybody_lifts_what_no_profile_may_have() -> None:
    text = limiting("tip_floor_c", -93.0, "C") + DEVIATION.format(value=-93.0)

    with pytest.raises(FileError) as caught:
        in_force(text)
    assert "own.toml:5: requirement[0].bound: tip_floor_c cannot be -93 C in any profile" in str(
        caught.value
    )


@pytest.mark.requirement("SR-28")
def test_the_controller_trips_at_the_tightened_limit_and_the_probe_at_its_own(
    tmp_path: Path,
) -> None:
    file = tmp_path / "own.toml"
    file.write_text(limiting("skin_min_c", 30.0, "C"), encoding="utf-8")

    plain = cryoctl.run(set=SHORT, out=tmp_path / "plain")
    result = cryoctl.run(set=SHORT, requirements=file, out=tmp_path / "tighter")

    assert plain.exit_code == 0
    assert [(trip.id, trip.layer, trip.limit) for trip in result.trips] == [
        ("SKIN_COLD", "host", 30.0)
    ]
    assert result.metadata["profile_hash"] == plain.metadata["profile_hash"]
    assert result.summary is not None
    assert [row.model_dump() for row in result.summary.limits_changed] == [
        {
            "limit": "skin_min_c",
            "value": 30.0,
            "profile": 5.0,
            "unit": "C",
            "requirement": "ACME-REQ-1",
        }
    ]
    assert result.summary.deviations == []


@pytest.mark.requirement("SR-28")
def test_a_treatment_that_breaks_a_tightened_limit_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(limiting("tip_floor_c", -60.0, "C"), encoding="utf-8")

    with pytest.raises(FileError) as caught:
        cryoctl.run(set=SHORT, requirements=file, out=tmp_path / "run")

    assert f"{file}: cycles.setpoint_c: -60 C breaks SR-06" in str(caught.value)
    assert "by ACME-REQ-1 (tip_floor_c)" in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.requirement("SR-28")
def test_a_deviation_stands_first_in_the_report_and_last_in_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "own.toml"
    text = limiting("skin_min_c", 2.0, "C") + DEVIATION.format(value=2.0)
    file.write_text(text, encoding="utf-8")
    said = (
        "ACME-REQ-1: 2 °C is looser than the profile's skin_min_c, 5 °C: "
        "gel alone, <b>nobody</b> near (R. Tester, 2026-11-20)"
    )

    code = invoke(
        [
            *("run", "--cycles", "1", "--set", "cycles.hold_s=5"),
            *("--requirements", str(file), "--out", str(tmp_path / "run")),
        ]
    )

    assert code == 0
    assert f"\n!!! DEVIATION {said}\n" in capsys.readouterr().out
    summary = json.loads((tmp_path / "run" / "summary.json").read_text("utf-8"))
    assert [row["text"] for row in summary["deviations"]] == [said]
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    shown = page.index("DEVIATION")
    assert page.index("</header>") < shown < page.index("<h2>")
    assert "&lt;b&gt;nobody" in page
    assert "<b>nobody" not in page


def test_the_commands_list_check_export_and_import(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = limiting("skin_min_c", 2.0, "C") + DEVIATION.format(value=2.0)
    Path("own.toml").write_text(text, encoding="utf-8")

    assert invoke(["requirements", "check", "own.toml"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == ("skin_min_c: 2 °C instead of 5 (ACME-REQ-1)")
    assert invoke(["requirements", "export", "--csv", "o.csv", "--requirements", "own.toml"]) == 0
    assert invoke(["requirements", "import", "o.csv", "--out", "back.toml"]) == 0
    capsys.readouterr()
    assert invoke(["requirements", "--requirements", "back.toml", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["id"] for row in rows[-2:]] == ["SR-44", "ACME-REQ-1"]
    assert rows[-1]["source"] == "back.toml"
    assert rows[-1]["bound"] == 2.0
    assert read_requirements(Path("back.toml").read_text("utf-8"), "x").added == (
        read_requirements(text, "x").added
    )
    assert invoke(["requirements", "--hazards"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 23


def test_a_bad_row_ends_the_import_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.csv").write_text("id,text,bound\nA-1,fine,1\nA-2,bad,fast\n", encoding="utf-8")

    assert invoke(["requirements", "import", "bad.csv", "--out", "out.toml"]) == 2
    assert 'bad.csv:3: bound: expected a number, got "fast"' in capsys.readouterr().err
    assert not Path("out.toml").exists()
