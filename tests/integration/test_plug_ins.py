"""Plug-ins as a package brings them: they take part in a run, are recorded, and only tighten."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import cryoctl
from cryoctl.cli import invoke
from cryoctl.export import ExportError, export_plug_in
from cryoctl.plug_ins import PlugInError
from cryoctl.recording import load_recording
from cryoctl.replay import Answer, replay
from cryoctl_protocol.profile import ProfileError, load_probe_file, load_profile, profile_names
from tests.support.plug_ins import installed

SKIN = '''
from cryoctl.interlocks import TripNotice
from cryoctl_protocol.codes import DeviceState, Trip


def tip_above_minus_20(sample, memory, limits, now_s):
    """Trip far above the floor of the profile."""
    if sample.state != DeviceState.FREEZE or sample.tip_temp_c > -20.0:
        return None
    return TripNotice(Trip.TIP_FLOOR, sample.tip_temp_c, -20.0, "°C")


def broken(sample, memory, limits, now_s):
    if sample.state == DeviceState.FREEZE:
        raise RuntimeError("oh")


def never(view):
    from cryoctl.arming import Blocker

    return [Blocker("ACME-REQ-1", "none", "signed", "nobody has signed")]


def write(table, units, path):
    path.write_text(";".join(table) + "\\n")


def write_nothing(table, units, path):
    raise OSError("no pen")


NO_FUNCTION = 3
'''
OPTIONS = ["--cycles", "1", "--set", "cycles.hold_s=5"]


def run_with(folder: Path, group: str, name: str) -> tuple[cryoctl.Result, str]:
    """Run a short treatment with one plug-in; return its result, and how its replay answers."""
    with installed(folder, "acme_probe", SKIN, {f"cryoctl.{group}": {"acme": name}}):
        result = cryoctl.run(
            set={"cycles.count": 1, "cycles.hold_s": 5}, out=folder / "run", device="sim:"
        )
        answer = replay(folder / "run" / "run.mcap")
    return result, answer.answer.value


@pytest.mark.requirement("SR-28")
def test_an_interlock_trips_is_named_and_replays(tmp_path: Path) -> None:
    result, answer = run_with(tmp_path, "interlocks", "tip_above_minus_20")

    assert result.summary is not None
    assert [trip.id for trip in result.trips][:1] == ["TIP_FLOOR"]
    assert result.trips[0].text.endswith("plug-in acme")
    assert result.trips[0].limit == -20.0
    assert result.exit_code == 4
    assert result.summary.plug_ins == ["acme of acme_probe 1.2 (cryoctl.interlocks)"]
    assert json.loads(result.metadata["plug_ins"]) == [
        ["cryoctl.interlocks", "acme", "acme_probe", "1.2"]
    ]
    assert "acme of acme_probe 1.2" in (result.folder / "report.html").read_text("utf-8")
    assert answer == "IDENTICAL"


@pytest.mark.requirement("SR-28")
def test_a_run_with_a_plug_in_that_has_gone_cannot_be_replayed(tmp_path: Path) -> None:
    run_with(tmp_path, "interlocks", "tip_above_minus_20")

    outcome = replay(tmp_path / "run" / "run.mcap")

    assert outcome.answer is Answer.INCOMPLETE
    assert "acme of acme_probe 1.2 (cryoctl.interlocks), which is not installed" in outcome.reason


@pytest.mark.requirement("SR-39")
def test_an_interlock_that_raises_makes_the_probe_safe(tmp_path: Path) -> None:
    result, _ = run_with(tmp_path, "interlocks", "broken")

    first = result.trips[0]
    assert (first.id, first.layer) == ("INTERNAL", "host")
    assert first.text == "internal error: plug-in acme: RuntimeError('oh')"
    assert first.time_to_safe_ms is not None
    assert first.time_to_safe_ms <= 100.0
    assert result.exit_code == 4


@pytest.mark.requirement("SR-28")
def test_a_check_refuses_arm(tmp_path: Path) -> None:
    result, _ = run_with(tmp_path, "checks", "never")

    assert "plug-in acme: nobody has signed" in result.failure
    assert result.cycles == []


@pytest.mark.requirement("SR-28")
@pytest.mark.parametrize(
    ("at", "why"),
    [("NO_FUNCTION", "acme_probe:NO_FUNCTION is no function"), ("gone", "AttributeError")],
)
def test_a_plug_in_that_cannot_be_used_refuses_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], at: str, why: str
) -> None:
    with installed(tmp_path, "acme_probe", SKIN, {"cryoctl.interlocks": {"acme": at}}):
        code = invoke(["run", *OPTIONS, "--out", str(tmp_path / "run")])

    said = capsys.readouterr().err
    assert code == 2
    assert said.startswith(
        "cryoctl: plug-in acme of acme_probe 1.2 (cryoctl.interlocks) cannot be loaded: "
    )
    assert why in said
    assert "pip uninstall acme_probe" in said
    assert not (tmp_path / "run").exists()


def profile_source(name: str, *, floor_c: str = "-85.0") -> str:
    text = load_probe_file("n2o-20g").document.text
    text = text.replace('id = "n2o-20g"', f'id = "{name}"', 1)
    assert "tip_floor_c = -85.0" in text
    return f"TEXT = {text.replace('tip_floor_c = -85.0', f'tip_floor_c = {floor_c}')!r}\n"


def test_a_profile_is_run_by_its_name(tmp_path: Path) -> None:
    source, groups = profile_source("acme-18g"), {"cryoctl.profiles": {"acme-18g": "TEXT"}}
    with installed(tmp_path, "acme_tips", source, groups):
        names = profile_names()
        result = cryoctl.run(set={"cycles.hold_s": 5}, device="sim:acme-18g", out=tmp_path / "run")

    assert "acme-18g" in names
    assert "acme-18g" not in profile_names()
    assert result.summary is not None
    assert (result.summary.profile, result.exit_code) == ("acme-18g", 0)
    assert result.summary.plug_ins == ["acme-18g of acme_tips 1.2 (cryoctl.profiles)"]


@pytest.mark.requirement("SR-28")
@pytest.mark.parametrize(
    ("name", "source", "why"),
    [
        ("acme-18g", profile_source("acme-18g", floor_c="-93.0"), "limits.tip_floor_c"),
        ("acme-18g", profile_source("other"), "its probe.id is 'other'"),
        ("acme-18g", "TEXT = 3\n", "cannot be loaded"),
        ("n2o-20g", profile_source("n2o-20g"), "there is one of this name already"),
    ],
    ids=["too cold", "another id", "no text", "ours"],
)
def test_a_profile_is_held_to_the_rules_of_a_file(
    tmp_path: Path, name: str, source: str, why: str
) -> None:
    groups = {"cryoctl.profiles": {name: "TEXT"}}
    with (
        installed(tmp_path, "acme_tips", source, groups),
        pytest.raises(ProfileError) as caught,
    ):
        load_profile(name)

    assert why in str(caught.value)


def test_an_exporter_writes_each_table(tmp_path: Path) -> None:
    cryoctl.run(set={"cycles.count": 1, "cycles.hold_s": 5}, out=tmp_path / "run")
    recording = load_recording(tmp_path / "run" / "run.mcap")
    groups = {"cryoctl.exporters": {"names": "write", "bad": "write_nothing"}}
    with installed(tmp_path, "acme_probe", SKIN, groups):
        files = export_plug_in(recording, tmp_path / "names", "names")
        with pytest.raises(ExportError, match="no pen"):
            export_plug_in(recording, tmp_path / "bad", "bad")
        with pytest.raises(PlugInError, match="no exporter 'xls'; known: bad, names"):
            export_plug_in(recording, tmp_path / "xls", "xls")

    assert {file.path.name for file in files} >= {"telemetry.names", "events.names"}
    assert (tmp_path / "names" / "events.names").read_text("utf-8") == "at_s;kind;data\n"
    assert not (tmp_path / "bad").exists()
