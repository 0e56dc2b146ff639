"""Treatment files: what is accepted, what is refused, and in which words."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from cryoctl.treatment import (
    Cycles,
    Treatment,
    default_treatment,
    default_treatment_text,
    limit_findings,
    load_treatment,
    read_treatment,
    treatment_schema,
)
from cryoctl_protocol.profile import Limits, ProfileError, load_profile, profile_names
from cryoctl_protocol.toml_text import FileError, ValueOrigin

GOOD = """\
schema = 1
name = "Test"
profile = "n2o-20g"

[cycles]
count = 3
setpoint_c = -60.0
hold_s = 60.0
"""


def with_line(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


def message(text: str, *settings: str) -> str:
    with pytest.raises(FileError) as caught:
        load_treatment(text, "t.toml", settings)
    return str(caught.value)


def cycles(**values: float) -> dict[str, Any]:
    return {"cycles": {"count": 1, "setpoint_c": -60.0, "hold_s": 60.0, **values}}


def wide_limits(**changes: float) -> Limits:
    """Return limits whose window leaves the decision to SR-06."""
    limits = load_profile("n2o-20g").limits
    return limits.model_copy(update={"setpoint_min_c": -92.0, **changes})


def test_a_file_gives_what_it_says_and_defaults_for_the_rest() -> None:
    treatment = load_treatment(GOOD, "t.toml")

    assert treatment == Treatment(
        schema=1,
        name="Test",
        profile="n2o-20g",
        cycles=Cycles(
            count=3, setpoint_c=-60.0, hold_s=60.0, pause_s=10.0, on_not_effective="stop"
        ),
    )
    assert (treatment.thaw.mode, treatment.thaw.timeout_s) == ("passive", 400.0)
    assert treatment.prewarm.duration_s == 5.0


# The ten broken files, word for word.

SR_06_MESSAGE = (
    "-84 C breaks SR-06: tip floor -85 C + sensor error 2 C + 0.2 s x 6 C/s = -81.8 C"
    " is the coldest that leaves the trip margin (allowed: -63 to -20 C)"
)
BROKEN = {
    "wrong type": (
        with_line("count = 3", 'count = "three"'),
        (
            't.toml:6: cycles.count: expected a whole number, got "three" (allowed: 1 to 10)\n'
            '    count = "three"'
        ),
    ),
    "unknown key": (
        GOOD + "cuont = 2\n",
        "t.toml:9: cycles.cuont: unknown key (did you mean 'count'?)\n    cuont = 2",
    ),
    "out of range": (
        with_line("hold_s = 60.0", "hold_s = 600.0"),
        "t.toml:8: cycles.hold_s: 600 s is out of range (allowed: 1 to 150 s)\n    hold_s = 600.0",
    ),
    "set-point that breaks SR-06": (
        with_line("setpoint_c = -60.0", "setpoint_c = -84.0"),
        f"t.toml:7: cycles.setpoint_c: {SR_06_MESSAGE}\n    setpoint_c = -84.0",
    ),
    "missing section": (
        GOOD[: GOOD.index("[cycles]")],
        "t.toml:1: cycles: missing section [cycles] (with the keys count, setpoint_c, hold_s)",
    ),
    "not TOML": (
        with_line('profile = "n2o-20g"', "profile = n2o-20g"),
        "t.toml:3: not valid TOML: invalid value (text needs quotes)\n    profile = n2o-20g",
    ),
    "empty": ("", "t.toml:1: the file is empty (it needs schema, profile, [cycles])"),
    "huge": (
        GOOD + "#" * 300_000,
        "t.toml:1: 294 KiB is too big for such a file (limit: 256 KiB)",
    ),
    "duplicate key": (
        GOOD + "count = 2\n",
        "t.toml:9: cycles.count: given twice, first on line 6\n    count = 2",
    ),
    "wrong unit": (
        with_line("setpoint_c = -60.0", "setpoint_f = -76.0"),
        (
            "t.toml:7: cycles.setpoint_f: unknown key (use setpoint_c, in degrees Celsius)\n"
            "    setpoint_f = -76.0"
        ),
    ),
}


@pytest.mark.parametrize(("text", "expected"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_gives_one_clear_message(text: str, expected: str) -> None:
    assert message(text) == expected


def test_all_mistakes_are_reported_at_once_limits_included() -> None:
    text = GOOD.replace("schema = 1", "schema = 2").replace("= -60.0", "= -84.0")

    assert message(text + '[thaw]\nmode = "activ"\ntimeout_s = 9\n') == (
        "t.toml:1: schema: 2 is not known (allowed: 1)\n    schema = 2\n"
        f"t.toml:7: cycles.setpoint_c: {SR_06_MESSAGE}\n    setpoint_c = -84.0\n"
        't.toml:10: thaw.mode: "activ" is not known '
        '(allowed: "active" or "passive"; did you mean "active"?)\n    mode = "activ"\n'
        "t.toml:11: thaw.timeout_s: 9 s is out of range (allowed: 10 to 600 s)\n"
        "    timeout_s = 9"
    )


def test_an_unknown_profile_is_named_with_those_there_are() -> None:
    assert message(with_line("n2o-20g", "n2o-20")) == (
        "t.toml:3: profile: unknown profile 'n2o-20' "
        "(known: co2-20g, co2-double-18g, gel-bench-17g, n2o-20g, n2o-27gx3, n2o-console-2mm, "
        "template; did you mean 'n2o-20g'?)\n    profile = \"n2o-20\""
    )


# Limits. All numbers here are literals of the requirement.


@pytest.mark.requirement("SR-06")
@pytest.mark.parametrize(
    ("setpoint_c", "is_allowed"),
    [(-81.8, True), (-81.801, False), (-81.7, True), (-85.0, False), (-91.0, False)],
)
def test_a_set_point_needs_2_c_of_error_and_200_ms_of_cooling_above_the_floor(
    setpoint_c: float, *, is_allowed: bool
) -> None:
    limits = wide_limits(tip_floor_c=-85.0, sensor_error_c=2.0, cooling_rate_c_per_s=6.0)

    findings = limit_findings(cycles(setpoint_c=setpoint_c), limits)

    assert [finding.path for finding in findings] == (
        [] if is_allowed else [("cycles", "setpoint_c")]
    )
    assert all("breaks SR-06" in finding.message for finding in findings)


@pytest.mark.requirement("SR-06")
def test_sr_06_uses_the_floor_of_the_gas() -> None:
    limits = load_profile("co2-20g").limits.model_copy(update={"setpoint_min_c": -92.0})

    assert limit_findings(cycles(setpoint_c=-78.8), limits) == []
    assert len(limit_findings(cycles(setpoint_c=-78.801), limits)) == 1


@pytest.mark.requirement("SR-06")
def test_a_treatment_that_breaks_sr_06_cannot_be_made_by_any_road() -> None:
    data = {"schema": 1, "profile": "n2o-20g", **cycles(setpoint_c=-84.0)}

    with pytest.raises(ValidationError, match=r"breaks SR-06.*-81\.8 C"):
        Treatment.model_validate(data)
    assert message(GOOD, "cycles.setpoint_c=-84") == (
        f"--set cycles.setpoint_c=-84: {SR_06_MESSAGE}"
    )


@pytest.mark.parametrize(
    ("profile", "line", "is_allowed"),
    [
        ("n2o-20g", "setpoint_c = -63.0", True),
        ("n2o-20g", "setpoint_c = -63.001", False),
        ("n2o-20g", "setpoint_c = -20.0", True),
        ("n2o-20g", "setpoint_c = -19.999", False),
        ("n2o-20g", "setpoint_c = 60", False),
        ("co2-20g", "setpoint_c = -66.0", True),
        ("co2-20g", "setpoint_c = -66.001", False),
        ("n2o-27gx3", "setpoint_c = -60.001", False),
    ],
)
def test_the_set_point_stays_in_the_window_of_the_profile(
    profile: str, line: str, *, is_allowed: bool
) -> None:
    text = GOOD.replace("setpoint_c = -60.0", line).replace("n2o-20g", profile)

    if is_allowed:
        load_treatment(text, "t.toml")
    else:
        assert "C is outside the window of this profile (allowed: -" in message(text)


@pytest.mark.parametrize(
    ("hold_s", "is_allowed"), [(1.0, True), (0.999, False), (150.0, True), (150.001, False)]
)
def test_the_hold_stays_within_what_the_profile_allows(hold_s: float, *, is_allowed: bool) -> None:
    findings = limit_findings(cycles(hold_s=hold_s), wide_limits())

    assert [finding.hint for finding in findings] == ([] if is_allowed else ["allowed: 1 to 150 s"])


@pytest.mark.requirement("SR-09")
def test_reach_and_hold_together_stay_within_one_freeze() -> None:
    limits = wide_limits(freeze_s_max=100.0, reach_s_max=20.0)

    assert limit_findings(cycles(hold_s=80.0), limits) == []
    (finding,) = limit_findings(cycles(hold_s=80.001), limits)
    assert (finding.message, finding.hint) == (
        (
            "80.001 s breaks SR-09: with up to 20 s to reach the set-point,"
            " one freeze is longer than 100 s"
        ),
        "allowed: 1 to 80 s",
    )


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("[thaw]\ntimeout_s = 180\n", None),
        ("[thaw]\ntimeout_s = 600.1\n", "600.1 s is out of range (allowed: 10 to 600 s)"),
        ("[prewarm]\nduration_s = 120\n", None),
        ("[prewarm]\nduration_s = 120.1\n", "120.1 s is out of range (allowed: 0 to 120 s)"),
        ("[prewarm]\nduration_s = -1\n", "-1 s is out of range (allowed: 0 to 120 s)"),
        ("[thaw]\nrelease_above_c = 2\n", "unknown key (known here: mode, timeout_s)"),
    ],
)
def test_thaw_and_prewarm_stay_within_the_profile_and_release_is_no_setting(
    lines: str, expected: str | None
) -> None:
    if expected is None:
        load_treatment(GOOD + lines, "t.toml")
    else:
        assert expected in message(GOOD + lines)


# Settings and origins.


def test_settings_change_the_treatment_and_are_named_as_origin() -> None:
    file = read_treatment(GOOD, "t.toml", ["cycles.count=2", "thaw.mode=active"])

    assert (file.treatment.cycles.count, file.treatment.thaw.mode) == (2, "active")
    assert file.origins() == [
        ValueOrigin("schema", "1", "t.toml:1"),
        ValueOrigin("name", '"Test"', "t.toml:2"),
        ValueOrigin("profile", '"n2o-20g"', "t.toml:3"),
        ValueOrigin("cycles.count", "2", "--set cycles.count=2"),
        ValueOrigin("cycles.setpoint_c", "-60.0", "t.toml:7"),
        ValueOrigin("cycles.hold_s", "60.0", "t.toml:8"),
        ValueOrigin("cycles.pause_s", "10.0", "default"),
        ValueOrigin("cycles.on_not_effective", '"stop"', "default"),
        ValueOrigin("thaw.mode", '"active"', "--set thaw.mode=active"),
        ValueOrigin("thaw.timeout_s", "400.0", "default"),
        ValueOrigin("prewarm.duration_s", "5.0", "default"),
    ]


def test_a_misspelt_setting_is_answered_with_the_whole_key() -> None:
    assert message(GOOD, "cycles.cuont=2") == (
        "--set cycles.cuont=2: unknown key (did you mean 'cycles.count'?)"
    )


# What ships.


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_ships_a_treatment_of_its_own(name: str) -> None:
    treatment = default_treatment(name)

    assert treatment.profile == name
    assert treatment.cycles.setpoint_c == load_profile(name).limits.setpoint_default_c
    assert default_treatment_text(name)[1] == f"treatments/{name}.toml"


def test_the_default_probe_ships_three_cycles_of_60_s_at_minus_60_c() -> None:
    found = default_treatment("n2o-20g").cycles

    assert (found.count, found.setpoint_c, found.hold_s) == (3, -60.0, 60.0)


def test_there_is_no_treatment_without_a_profile() -> None:
    with pytest.raises(ProfileError, match="unknown profile 'x'"):
        default_treatment("x")


# Identity.


def test_the_hash_depends_on_what_is_done_not_on_how_it_is_written() -> None:
    treatment = load_treatment(GOOD, "t.toml")
    other_spelling = load_treatment(GOOD.replace("60.0", "60") + "pause_s = 10\n", "u.toml")

    assert treatment.hash32 == other_spelling.hash32
    assert 0 <= treatment.hash32 < 2**32


@pytest.mark.parametrize(
    "setting",
    [
        "cycles.count=2",
        "cycles.hold_s=61",
        "cycles.setpoint_c=-60.1",
        "thaw.mode=active",
        "prewarm.duration_s=0",
        "cycles.on_not_effective=continue",
        "profile=co2-20g",
    ],
)
def test_the_hash_changes_with_everything_that_is_done(setting: str) -> None:
    changed = load_treatment(GOOD, "t.toml", [setting])

    assert changed.hash32 != load_treatment(GOOD, "t.toml").hash32


def test_the_json_schema_names_keys_units_and_profiles() -> None:
    schema = treatment_schema()

    assert schema["required"] == ["schema", "profile", "cycles"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["profile"]["anyOf"] == [
        {"enum": list(profile_names())},
        {"pattern": r"\.toml$"},
    ]
    assert schema["$defs"]["Cycles"]["properties"]["setpoint_c"]["unit"] == "C"


# -- holds that end by dose ---


def dose_findings(dose_mm: float, setpoint_c: float = -60.0, profile: str = "n2o-20g") -> list[str]:
    text = (
        f'schema = 1\nprofile = "{profile}"\n[cycles]\ncount = 1\nhold_s = 60\n'
        f"setpoint_c = {setpoint_c}\ndose_radius_mm = {dose_mm}\n"
    )
    try:
        load_treatment(text, "dose.toml")
    except FileError as error:
        return str(error).splitlines()
    return []


@pytest.mark.parametrize(
    ("profile", "dose_mm", "is_allowed"),
    [
        ("n2o-20g", 0.755, True),  # Half of 0.91 mm, and 0.3 mm.
        ("n2o-20g", 0.754, False),
        ("n2o-20g", 5.0, True),
        ("n2o-20g", 5.001, False),
        ("n2o-27gx3", 0.505, True),
        ("n2o-27gx3", 0.504, False),
    ],
)
def test_a_dose_lies_outside_its_needle_and_within_what_ice_can_be(
    profile: str, dose_mm: float, is_allowed: bool
) -> None:
    found = dose_findings(dose_mm, -55.0, profile)

    assert (found == []) is is_allowed
    if not is_allowed:
        assert "out of range for this needle" in found[0]


@pytest.mark.parametrize(("setpoint_c", "is_allowed"), [(-30.0, True), (-29.9, False)])
def test_a_dose_wants_a_set_point_that_makes_a_radius(setpoint_c: float, is_allowed: bool) -> None:
    found = dose_findings(1.2, setpoint_c)

    assert (found == []) is is_allowed


def test_a_treatment_without_a_dose_keeps_the_hash_it_had() -> None:
    assert default_treatment("n2o-20g").cycles.dose_radius_mm is None
    assert default_treatment("n2o-20g").hash32 == 0x4D6F595D
