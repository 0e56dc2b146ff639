"""Session files: what they name, from where, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryoctl.session_file import load_session, read_session, session_schema
from cryoctl_protocol.toml_text import FileError

KNEE = """\
schema = 1
name = "Left knee"
treatment = "knee-genicular"

[[placement]]
name = "superior medial"

[[placement]]
name = "superior lateral"
treatment = "occipital"
scenario = "fat"
"""
MINE = """\
schema = 1
profile = "n2o-20g"
[cycles]
count = 1
setpoint_c = -40.0
hold_s = 5.0
"""


def test_each_placement_has_its_own_treatment_or_the_one_for_all() -> None:
    session = read_session(KNEE, "knee.toml")

    assert session.name == "Left knee"
    assert [
        (place.name, place.treatment.cycles.count, place.treatment.cycles.hold_s, place.scenario)
        for place in session.placements
    ] == [("superior medial", 1, 150.0, None), ("superior lateral", 2, 90.0, "fat")]


def test_settings_change_every_treatment() -> None:
    session = read_session(KNEE, "knee.toml", ["cycles.hold_s=7"])

    assert [place.treatment.cycles.hold_s for place in session.placements] == [7.0, 7.0]


def test_files_are_looked_for_from_where_the_session_file_is(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(MINE, encoding="utf-8")
    text = KNEE.replace('"occipital"', '"mine.toml"').replace('"fat"', '"my-fat.toml"')
    (tmp_path / "knee.toml").write_text(text, encoding="utf-8")

    second = load_session(tmp_path / "knee.toml").placements[1]

    assert second.treatment.cycles.setpoint_c == -40.0
    assert second.treatment_text == MINE
    assert second.scenario == str(tmp_path / "my-fat.toml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'treatment = "knee-genicular"\n',
            "",
            "placement[0].treatment: missing key (or give one for all at the top)",
        ),
        (
            '"occipital"',
            '"lumbar-facet"',
            "placement[1].treatment: it is for profile n2o-console-2mm, the first placement's for",
        ),
        ('"occipital"', '"ocipital"', "did you mean 'occipital'?"),
        ('name = "superior medial"', "", "placement[0].name: missing key"),
        ("scenario", "scenarios", "knee.toml:11: placement[1].scenarios: unknown key"),
        ("[[placement]]", "[[place]]", "placement"),
    ],
)
def test_a_mistake_is_told_with_its_place(old: str, new: str, message: str) -> None:
    with pytest.raises(FileError) as caught:
        read_session(KNEE.replace(old, new), "knee.toml")

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "messages"),
    [
        (
            '"knee-genicular"',
            '"knee-genicula"',
            [
                "knee.toml:3: treatment: what it names cannot be used",
                "did you mean 'knee-genicular'?",
            ],
        ),
        (
            '"occipital"',
            '"mine.toml"',
            [
                "knee.toml:10: placement[1].treatment: what it names cannot be used",
                "mine.toml:4: cycles.count: 11 is out of range",
            ],
        ),
    ],
)
def test_a_mistake_in_what_a_session_names_is_told_with_the_line_that_names_it(
    old: str, new: str, messages: list[str], tmp_path: Path
) -> None:
    (tmp_path / "mine.toml").write_text(MINE.replace("count = 1", "count = 11"), encoding="utf-8")
    (tmp_path / "knee.toml").write_text(KNEE.replace(old, new), encoding="utf-8")

    with pytest.raises(FileError) as caught:
        load_session(tmp_path / "knee.toml")

    text = str(caught.value)
    assert [message for message in messages if message not in text] == []


def test_a_mistake_inside_a_placement_is_the_only_one_told() -> None:
    with pytest.raises(FileError) as caught:
        read_session(KNEE.replace("scenario", "scenarios"), "knee.toml")

    assert [problem.key for problem in caught.value.problems] == ["placement[1].scenarios"]


def test_a_list_without_an_element_is_too_short() -> None:
    with pytest.raises(FileError, match=r"placement: a list is too short \(allowed: at least 1\)"):
        read_session('schema = 1\ntreatment = "occipital"\nplacement = []\n', "knee.toml")


def test_the_schema_names_the_keys_of_a_placement() -> None:
    assert set(session_schema()["$defs"]["PlacementTable"]["properties"]) == {
        "name",
        "treatment",
        "scenario",
    }
