"""Built-in profiles: complete, consistent, hashed."""

from __future__ import annotations

import hashlib
import struct
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cryoctl_protocol.profile import (
    Limits,
    Profile,
    ProfileError,
    load_profile,
    parse_profile,
    plant_table,
    profile_names,
)
from cryoctl_protocol.toml_text import FileError

NAMES = (
    "co2-20g",
    "co2-double-18g",
    "gel-bench-17g",
    "n2o-20g",
    "n2o-27gx3",
    "n2o-console-2mm",
    "template",
)
CLINICAL = tuple(name for name in NAMES if name != "gel-bench-17g")


def raw(name: str) -> dict[str, Any]:
    file = resources.files("cryoctl_protocol") / "profiles" / f"{name}.toml"
    return tomllib.loads(file.read_text("utf-8"))


def limits(**changes: float) -> Limits:
    return Limits.model_validate({**raw("n2o-20g")["limits"], **changes})


def test_the_built_in_profiles_are_these() -> None:
    assert profile_names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_holds_exactly_what_its_file_says(name: str) -> None:
    profile, file = load_profile(name), raw(name)

    assert profile.probe.id == name
    probe = {"research": False, **file["probe"]}
    assert profile.model_dump() == {
        "probe": probe,
        "limits": file["limits"],
        "cooling": file.get("cooling"),
        "battery": file.get("battery"),
    }


@pytest.mark.parametrize("name", NAMES)
def test_the_limits_of_a_profile_do_not_contradict_each_other(name: str) -> None:
    found = load_profile(name).limits

    assert found.tip_floor_c < found.setpoint_coldest_c <= found.setpoint_min_c
    assert found.setpoint_min_c < found.setpoint_default_c < found.setpoint_max_c
    assert found.pressure_low_bar < found.pressure_warn_bar < found.pressure_trip_bar
    assert found.reach_s_max + found.hold_s_max <= found.freeze_s_max
    assert found.thaw_energy_j_max / found.tip_heater_w <= found.heater_on_s_max


@pytest.mark.parametrize("name", NAMES)
def test_every_number_with_a_unit_documents_it(name: str) -> None:
    fields = Limits.model_json_schema()["properties"]

    assert set(fields) == set(raw(name)["limits"])
    assert [key for key, field in fields.items() if not field.get("description")] == []
    assert [k for k, f in fields.items() if "unit" not in f] == ["cartridge_usable_fraction"]


def test_an_unknown_profile_is_refused_with_those_there_are() -> None:
    with pytest.raises(ProfileError) as caught:
        load_profile("n2o-20")

    assert str(caught.value) == (
        "unknown profile 'n2o-20' (known: co2-20g, co2-double-18g, gel-bench-17g, n2o-20g, "
        "n2o-27gx3, n2o-console-2mm, template; did you mean 'n2o-20g'?)"
    )


@pytest.mark.parametrize("name", ["", "../profiles/n2o-20g", "zzz"])
def test_a_name_never_leads_out_of_the_folder(name: str) -> None:
    with pytest.raises(ProfileError, match="unknown profile"):
        load_profile(name)


def test_the_plant_is_handed_over_as_written_and_is_no_part_of_the_profile() -> None:
    assert plant_table("n2o-20g") == raw("n2o-20g").get("plant", {})
    assert set(Profile.model_fields) == {"probe", "limits", "cooling", "battery"}


def test_how_gas_cools_is_no_part_of_what_probe_and_controller_must_agree_on() -> None:
    profile = load_profile("n2o-20g")

    unknown = profile.model_copy(update={"cooling": None, "battery": None})

    assert Profile(probe=unknown.probe, limits=unknown.limits).hash32 == profile.hash32


# SR-05, SR-06. All numbers here are literals of the requirement.


@pytest.mark.requirement("SR-05")
def test_no_profile_may_set_its_floor_below_minus_92_c() -> None:
    assert limits(tip_floor_c=-92.0).tip_floor_c == -92.0
    with pytest.raises(ValidationError):
        limits(tip_floor_c=-92.001)


@pytest.mark.requirement("SR-05")
@pytest.mark.parametrize(
    ("name", "floor_c"),
    [
        ("n2o-20g", -85),
        ("n2o-27gx3", -85),
        ("n2o-console-2mm", -85),
        ("template", -85),
        ("co2-20g", -82),
        ("co2-double-18g", -82),
        ("gel-bench-17g", -82),
    ],
)
def test_floors_are_those_of_the_gas(name: str, floor_c: float) -> None:
    assert load_profile(name).limits.tip_floor_c == floor_c


@pytest.mark.requirement("SR-06")
@pytest.mark.parametrize(
    ("floor_c", "error_c", "rate_c_per_s", "coldest_c"),
    [(-85.0, 2.0, 6.0, -81.8), (-82.0, 2.0, 6.0, -78.8), (-85.0, 0.0, 10.0, -83.0)],
)
def test_the_coldest_set_point_is_floor_plus_error_plus_a_fifth_of_a_second_of_cooling(
    floor_c: float, error_c: float, rate_c_per_s: float, coldest_c: float
) -> None:
    found = limits(tip_floor_c=floor_c, sensor_error_c=error_c, cooling_rate_c_per_s=rate_c_per_s)

    assert found.setpoint_coldest_c == coldest_c


@pytest.mark.requirement("SR-09")
def test_no_profile_may_freeze_longer_than_180_s() -> None:
    assert limits(freeze_s_max=180.0).freeze_s_max == 180.0
    with pytest.raises(ValidationError):
        limits(freeze_s_max=180.001)


# What a research profile lifts, and what it does not.

LIFTED = {"freeze_s_max": 180.0, "hold_s_max": 180.0, "thaw_s_max": 600.0}
KEPT = {"thaw_energy_j_max": 5.0, "heater_on_s_max": 20.0, "heater_tip_max_c": 43.0}


def profile_text(*, research: bool, **changes: float) -> str:
    """Return a profile file with some limits changed."""
    file = raw("n2o-20g")
    rows = [f"{key} = {value}" for key, value in {**file["limits"], **changes}.items()]
    probe = [f"{key} = {value!r}".replace("'", '"') for key, value in file["probe"].items()]
    flag = ["research = true"] if research else []
    cooling = [f"{key} = {value}" for key, value in file["cooling"].items()]
    battery = [f"{key} = {value}" for key, value in file["battery"].items()]
    tables = ["[limits]", *rows, "[cooling]", *cooling, "[battery]", *battery]
    return "\n".join(["[probe]", *probe, *flag, *tables])


@pytest.mark.requirement("SR-09")
@pytest.mark.parametrize("name", CLINICAL)
def test_no_clinical_profile_freezes_longer_than_180_s(name: str) -> None:
    profile = load_profile(name)

    assert profile.probe.research is False
    assert profile.limits.freeze_s_max <= 180.0
    assert profile.limits.thaw_energy_j_max <= 5.0


@pytest.mark.requirement("SR-09")
@pytest.mark.parametrize("key", LIFTED)
def test_only_a_research_profile_may_go_beyond_the_clinical_times(key: str) -> None:
    beyond = {key: LIFTED[key] + 1.0}

    lifted = parse_profile(profile_text(research=True, **beyond), "mine.toml").profile

    assert getattr(lifted.limits, key) == LIFTED[key] + 1.0
    with pytest.raises(FileError, match=rf"limits\.{key}: .* is out of range"):
        parse_profile(profile_text(research=False, **beyond), "mine.toml")
    with pytest.raises(ValidationError, match="only a probe with research = true"):
        Profile(probe=load_profile("n2o-20g").probe, limits=lifted.limits)


@pytest.mark.requirement("SR-16")
@pytest.mark.parametrize("key", KEPT)
def test_a_research_profile_keeps_the_limits_of_the_heater(key: str) -> None:
    with pytest.raises(FileError, match=rf"limits\.{key}: .* is out of range"):
        parse_profile(profile_text(research=True, **{key: KEPT[key] + 0.001}), "mine.toml")


@pytest.mark.requirement("SR-05")
def test_a_research_profile_keeps_the_coldest_floor() -> None:
    with pytest.raises(FileError, match=r"limits\.tip_floor_c: .* is out of range"):
        parse_profile(profile_text(research=True, tip_floor_c=-92.001), "mine.toml")


@pytest.mark.requirement("SR-28")
def test_the_research_flag_is_part_of_the_hash_and_others_have_the_hash_they_had() -> None:
    plain = parse_profile(profile_text(research=False), "mine.toml").profile
    research = parse_profile(profile_text(research=True), "mine.toml").profile

    assert plain.hash32 != research.hash32
    assert plain.hash32 == load_profile("n2o-20g").hash32 == 0x771997A0


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_profile_is_the_same_with_the_same_hash(name: str) -> None:
    profile = load_profile(name)

    again = Profile.from_json(profile.model_dump_json())

    assert (again, again.hash32) == (profile, profile.hash32)


def test_the_template_has_the_numbers_of_the_default_probe() -> None:
    template, default = raw("template"), raw("n2o-20g")

    assert {k: template[k] for k in ("limits", "plant", "control")} == {
        k: default[k] for k in ("limits", "plant", "control")
    }


# Profiles of one's own, in files.


def test_a_profile_file_is_read_wherever_it_is(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(profile_text(research=False), encoding="utf-8")

    assert load_profile(str(path)) == load_profile("n2o-20g")
    assert plant_table(str(path)) == {}


def test_a_profile_file_that_is_not_there_is_told_with_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"No such file .*; give a TOML file or one of: co2-20g"):
        load_profile(str(tmp_path / "none.toml"))


def test_a_mistake_in_a_profile_file_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    text = profile_text(research=False).replace("band_c = 2.0", "bnad_c = 2.0")
    path.write_text(text, encoding="utf-8")
    line = text.split("\n").index("bnad_c = 2.0") + 1

    with pytest.raises(FileError, match=rf"mine\.toml:{line}: .*did you mean 'band_c'"):
        load_profile(str(path))


def test_an_id_fits_into_hello() -> None:
    text = profile_text(research=False)

    parse_profile(text.replace('"n2o-20g"', '"abcdefghijklmnop"'), "mine.toml")
    with pytest.raises(FileError, match=r"probe\.id"):
        parse_profile(text.replace('"n2o-20g"', '"abcdefghijklmnopq"'), "mine.toml")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "60"])
def test_limits_are_finite_numbers(value: object) -> None:
    with pytest.raises(ValidationError):
        Limits.model_validate({**raw("n2o-20g")["limits"], "tip_floor_c": value}, strict=True)


# The hash that SR-28 compares.


@pytest.mark.requirement("SR-28")
def test_the_hash_is_the_one_that_the_documented_recipe_gives() -> None:
    profile = Profile(probe=load_profile("n2o-20g").probe, limits=load_profile("n2o-20g").limits)
    pairs = [
        ("limits", {k: float(v) for k, v in raw("n2o-20g")["limits"].items()}),
        ("probe", raw("n2o-20g")["probe"]),
    ]

    def canonical(value: object) -> str:
        if isinstance(value, dict):
            return "{" + ",".join(f'"{k}":{canonical(value[k])}' for k in sorted(value)) + "}"
        return f'"{value}"' if isinstance(value, str) else repr(value)

    text = canonical(dict(pairs)).replace('"battery_min_mv":3300.0', '"battery_min_mv":3300')
    (expected,) = struct.unpack("<I", hashlib.sha256(text.encode()).digest()[:4])
    assert profile.hash32 == expected


@pytest.mark.requirement("SR-28")
@pytest.mark.parametrize("key", sorted(Limits.model_fields))
def test_a_change_of_any_limit_changes_the_hash(key: str) -> None:
    profile = load_profile("n2o-20g")
    changed = profile.limits.model_copy(update={key: getattr(profile.limits, key) + 1})

    assert Profile(probe=profile.probe, limits=changed).hash32 != profile.hash32


def test_profiles_have_different_hashes() -> None:
    assert len({load_profile(name).hash32 for name in NAMES}) == 7


def test_a_profile_comes_back_from_a_recording_with_its_cooling() -> None:
    profile = load_profile("n2o-20g")

    assert Profile.from_json(profile.model_dump_json()) == profile
    assert Profile.from_json(profile.model_copy(update={"cooling": None}).model_dump_json()) == (
        profile.model_copy(update={"cooling": None})
    )
