"""A file of requirements is read whole or refused with its lines; ours keeps its own rules."""

from __future__ import annotations

import datetime as dt

import pytest

from cryoctl.requirement_registry import own_registry, read_requirements
from cryoctl_protocol.toml_text import FileError

TIGHTER = """\
[[requirement]]
id = "SR-01"
text = "our ventilator group wants it sooner"
bound = 400
unit = "ms"
"""
LOOSER = TIGHTER.replace("400", "600")
DEVIATION = """
[[deviation]]
requirement = "SR-01"
value = 600
reason = "gel alone, nobody near"
who = "R. Tester"
date = 2026-11-20
"""
OWN = """\
[[hazard]]
id = "ACME-HAZ-1"
text = "The stand tips over"
severity = 2

[[requirement]]
id = "ACME-REQ-7"
text = "The tip stays above -75 °C"
hazard = "H-02"
bound = -75.0
unit = "C"
method = "test"
limit = "tip_floor_c"

[[requirement]]
id = "ACME-REQ-8"
text = "The stand holds 20 N"
hazard = ["ACME-HAZ-1", "H-07"]
bound = 20.0
unit = "N"
sense = "at_least"
method = "inspection"
"""


def mistakes(text: str) -> list[str]:
    with pytest.raises(FileError) as caught:
        read_requirements(text, "own.toml")
    return [str(problem).split("\n", 1)[0] for problem in caught.value.problems]


def test_ours_has_every_hazard_and_every_requirement_in_order() -> None:
    registry = own_registry()

    assert list(registry.hazards) == [f"H-{number:02}" for number in range(1, 24)]
    assert list(registry.requirements) == [f"SR-{number:02}" for number in range(1, 45)]


def test_every_hazard_of_ours_has_cause_control_reason_and_requirement() -> None:
    registry = own_registry()

    for hazard in registry.hazards.values():
        assert hazard.causes, hazard.id
        assert hazard.control, hazard.id
        assert hazard.why, hazard.id
        assert registry.requirements_of(hazard.id), hazard.id


@pytest.mark.parametrize(
    ("name", "bound", "unit", "text"),
    [
        ("SR-01", 500.0, "ms", "<= 500 ms"),
        ("SR-05", 100.0, "ms", "<= 100 ms"),
        ("SR-14", 2.0, "s", ">= 2 s"),
        ("SR-18", 50.0, "ms", "<= 50 ms"),
        ("SR-32", 120.0, "s", "<= 120 s"),
        ("SR-38", 0.0, "orphans", "<= 0 orphans"),
    ],
)
def test_a_requirement_has_its_number(name: str, bound: float, unit: str, text: str) -> None:
    row = own_registry().requirements[name].requirement

    assert (row.bound, row.unit, row.bound_text) == (bound, unit, text)


@pytest.mark.parametrize(("name", "kept", "broken"), [("SR-01", 500.0, 500.1), ("SR-14", 2.0, 1.9)])
def test_a_measured_value_is_judged_on_the_right_side(
    name: str, kept: float, broken: float
) -> None:
    row = own_registry().requirements[name].requirement

    assert row.keeps(kept)
    assert not row.keeps(broken)


def test_requirements_and_hazards_of_a_user_stand_beside_ours() -> None:
    registry = read_requirements(OWN, "own.toml")

    assert registry.requirements["ACME-REQ-7"].source == "own.toml"
    assert registry.requirements_of("ACME-HAZ-1") == ["ACME-REQ-8"]
    assert registry.requirements_of("H-02")[-1] == "ACME-REQ-7"
    assert registry.requirements["ACME-REQ-7"].requirement.bound_text == ">= -75 C"


@pytest.mark.requirement("SR-28")
def test_a_tighter_bound_of_ours_is_taken_and_all_else_of_the_row_stays_ours() -> None:
    before = own_registry().requirements["SR-01"].requirement
    row = read_requirements(TIGHTER, "own.toml").requirements["SR-01"].requirement

    assert row.bound == 400.0
    assert row.model_copy(update={"bound": 500.0}) == before


@pytest.mark.requirement("SR-28")
def test_a_looser_bound_of_ours_is_refused_with_its_line_and_what_to_do() -> None:
    assert mistakes(LOOSER) == [
        (
            "own.toml:4: requirement[0].bound: 600 ms is looser than the bound of SR-01, 500 ms "
            "(tighten it, or add a [[deviation]] with requirement, value, reason, who and date: it "
            "will stand on the first page of every report)"
        )
    ]


@pytest.mark.requirement("SR-28")
def test_a_looser_bound_is_taken_by_somebodys_dated_word() -> None:
    registry = read_requirements(LOOSER + DEVIATION, "own.toml")

    (loosened,) = registry.loosened_bounds()
    assert registry.requirements["SR-01"].requirement.bound == 600.0
    assert loosened.deviation.date == dt.date(2026, 11, 20)
    assert loosened.text == (
        "SR-01: 600 ms is looser than the bound of SR-01, 500 ms: gel alone, nobody near "
        "(R. Tester, 2026-11-20)"
    )


@pytest.mark.requirement("SR-28")
@pytest.mark.parametrize(
    ("left_out", "said"),
    [
        ("reason", "own.toml:7: deviation[0].reason: missing key"),
        ("who", "own.toml:7: deviation[0].who: missing key"),
        ("date", "own.toml:7: deviation[0].date: missing key"),
    ],
)
def test_a_deviation_without_reason_name_or_date_is_none(left_out: str, said: str) -> None:
    lines = [line for line in DEVIATION.split("\n") if not line.startswith(left_out)]

    assert mistakes(LOOSER + "\n".join(lines))[0].startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            DEVIATION,
            "own.toml:3: deviation[0].requirement: there is no requirement 'SR-01' in this file",
        ),
        (
            LOOSER + DEVIATION.replace("value = 600", "value = 700"),
            "own.toml:9: deviation[0].value: 700 is not the bound of SR-01 (give the same number)",
        ),
        (
            LOOSER + DEVIATION.replace("2026-11-20", '"yesterday"'),
            ("own.toml:12: deviation[0].date: 'yesterday' is no date "
            "(year-month-day: 2026-11-21)"),
        ),
        (
            TIGHTER.replace("SR-01", "SR-99"),
            ("own.toml:2: requirement[0].id: ids that begin with SR- are cryoctl's own "
            "(use a prefix of your own)"),
        ),
        (
            TIGHTER.replace("SR-01", "req7"),
            ("own.toml:2: requirement[0].id: 'req7' is no id "
            "(capitals, digits and hyphens, a number last, 40 at most: ACME-REQ-7)"),
        ),
        (
            TIGHTER.replace('"ms"', '"s"'),
            ("own.toml:5: requirement[0].unit: SR-01 is kept at_most a number of ms "
            '(write unit = "ms")'),
        ),
        (
            TIGHTER + TIGHTER,
            "own.toml:7: requirement[1].id: 'SR-01' is taken by requirement 1",
        ),
        (
            OWN.replace('"H-02"', '"H-99"'),
            ("own.toml:9: requirement[0].hazard: no hazard 'H-99' "
            "(ours: 'cryoctl requirements --hazards'; yours: a [[hazard]])"),
        ),
        (
            OWN.replace("ACME-HAZ-1", "H-01"),
            "own.toml:2: hazard[0].id: H-01 is one of cryoctl's own (use an id of your own)",
        ),
        (
            OWN.replace('unit = "C"', 'unit = "K"'),
            'own.toml:11: requirement[0].unit: tip_floor_c is in C (write "C")',
        ),
        (
            OWN.replace('method = "test"', 'sense = "at_most"'),
            ("own.toml:12: requirement[0].sense: tip_floor_c is kept at_least "
            '(leave it out, or "at_least")'),
        ),
        (
            OWN.replace('limit = "tip_floor_c"', 'limits = ["tip_floor_c"]'),
            ("own.toml:13: requirement[0].limits: is cryoctl's own to say "
            "(to tighten one, name it in limit)"),
        ),
        (
            TIGHTER + 'status = "PLANNED"\n',
            "own.toml:1: requirement[0].missing: missing key (say why it is not there yet)",
        ),
        (
            TIGHTER + 'limit = "skin_min_c"\n',
            'own.toml:5: requirement[0].unit: skin_min_c is in C (write "C")',
        ),
        (
            TIGHTER.replace("SR-01", "SR-30"),
            ("own.toml:4: requirement[0].bound: a row of SR-30 is there to tighten its bound "
            "(it has none)"),
        ),
        (
            ('schema = 1\n[[requirement]]\nid = "SR-17"\ntext = "x"\nunit = "C"\nbound = 9.0\n'
            'limit = "skin_min_c"\n'),
            ("own.toml:7: requirement[0].limit: SR-17 is cryoctl's own "
            "(give the row an id of its own)"),
        ),
    ],
    ids=[
        "deviation of nothing", "deviation of another value", "no date", "prefix", "id", "unit",
        "twice", "hazard", "hazard of ours", "unit of a limit", "side of a limit", "limits",
        "planned without a word", "limit of another unit", "no bound", "limit",
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line(text: str, said: str) -> None:
    assert mistakes(text) == [said]


def test_a_limit_that_is_none_is_told_with_all_there_are() -> None:
    (said,) = mistakes(OWN.replace("tip_floor_c", "tip_flor_c"))

    assert said.startswith(
        "own.toml:13: requirement[0].limit: 'tip_flor_c' is no limit to tighten (known: "
    )
    assert "tip_floor_c" in said
