"""Profile files as the simulator reads them: all tables at once, every mistake with its line."""

from __future__ import annotations

from importlib import resources

import pytest

from cryoctl_protocol.profile import ProfileError, plant_table, profile_names
from cryoctl_protocol.toml_text import FileError
from cryoctl_simulator.probe_file import check_profile, load_simulated_probe, profile_schema


def shipped(name: str = "template") -> str:
    file = resources.files("cryoctl_protocol") / "profiles" / f"{name}.toml"
    return file.read_text("utf-8")


@pytest.mark.parametrize("name", profile_names())
def test_every_shipped_profile_can_be_simulated(name: str) -> None:
    probe = load_simulated_probe(name)

    assert probe.text == shipped(name)
    assert probe.firmware.profile_hash == probe.profile.hash32
    assert probe.plant.cartridge_fill_g == probe.profile.limits.cartridge_fill_g
    assert probe.plant.tip_heater_w == probe.profile.limits.tip_heater_w


def test_mistakes_in_the_hardware_and_the_inner_loop_are_told_together() -> None:
    text = (
        shipped()
        .replace("orifice_flow_mg_s = 37.5", "orifice_flow = 37.5")
        .replace("valve_lag_s = 0.020", "valve_lag_s = -1")
        .replace("lead_ms = 600", "lead_ms = 6000")
    )

    with pytest.raises(FileError) as caught:
        check_profile(text, "mine.toml")

    told = {problem.key: problem.message for problem in caught.value.problems}
    assert told == {
        "plant.orifice_flow_mg_s": "missing key",
        "plant.orifice_flow": "unknown key",
        "plant.valve_lag_s": "input should be greater than 0",
        "control.lead_ms": "input should be less than or equal to 2000",
    }
    lines = text.split("\n")
    assert all(
        problem.key.rpartition(".")[2] in lines[(problem.line or 0) - 1]
        for problem in caught.value.problems
        if problem.message != "missing key"
    )


def test_a_profile_without_hardware_cannot_be_simulated() -> None:
    text = shipped().split("[plant]")[0]

    with pytest.raises(FileError, match=r"plant\.cartridge_fill_g: missing key"):
        check_profile(text, "mine.toml")


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(ProfileError, match="did you mean 'n2o-20g'"):
        load_simulated_probe("n2o-20")


def test_the_schema_has_every_key_of_the_hardware_once() -> None:
    schema = profile_schema()

    assert set(schema["$defs"]["Plant"]["required"]) <= set(plant_table("n2o-20g"))
    assert "needles" not in schema["$defs"]["Plant"]["properties"]
    assert "research" in schema["$defs"]["ProbeIdentity"]["properties"]
