"""Requirements go through a spreadsheet and come back as they were; a bad row names its line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoctl.requirement_registry import own_registry
from cryoctl.requirements_csv import read_csv, to_csv, to_toml
from cryoctl.safety_case import Deviation, Requirement, read_case
from cryoctl_protocol.toml_text import FileError

TEXT = st.text(
    st.characters(blacklist_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=40
).filter(lambda text: text == text.strip())
NUMBER = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def requirements(draw: st.DrawFn) -> tuple[list[Requirement], list[Deviation]]:
    rows, deviations = [], []
    for number in range(draw(st.integers(0, 4))):
        bound = draw(st.none() | NUMBER)
        rows.append(
            Requirement(
                id=f"ACME-REQ-{number}",
                text=draw(TEXT),
                hazard=tuple(draw(st.lists(st.sampled_from(["H-01", "H-02", "X-3"]), unique=True))),
                bound=bound,
                unit=draw(st.sampled_from(["", "ms", "C", "mg/s"])),
                sense=draw(st.sampled_from(["at_most", "at_least", None])),
                method=draw(st.just("") | TEXT),
                allocation=draw(st.sampled_from(["H", "D", "B", None])),
                missing=draw(st.just("") | TEXT),
            )
        )
        if draw(st.booleans()):
            bound = draw(NUMBER)
            rows[-1] = Requirement(
                id=rows[-1].id, text="of a limit", bound=bound, unit="C", limit="skin_min_c"
            )
        if bound is not None and draw(st.booleans()):
            date = draw(st.dates())
            told = Deviation(
                requirement=rows[-1].id, value=bound, reason=draw(TEXT), who=draw(TEXT), date=date
            )
            deviations.append(told)
    return rows, deviations


@given(requirements())
def test_what_was_exported_comes_back_the_same(
    case: tuple[list[Requirement], list[Deviation]],
) -> None:
    rows, deviations = case

    back = read_csv(to_csv(rows, deviations), "own.csv")

    assert list(back.requirement) == rows
    assert list(back.deviation) == deviations


def test_ours_come_back_the_same_and_so_does_the_table() -> None:
    ours = own_registry().own.requirement
    table = to_csv(ours, ())

    back = read_csv(table, "ours.csv")

    assert back.requirement == ours
    assert to_csv(back.requirement, back.deviation) == table


def test_a_table_needs_few_columns_in_any_order() -> None:
    table = 'text,id,bound,unit,hazard\n"Stands, and holds",ACME-REQ-1,20,N,H-07; H-08\n'

    assert to_toml(table, "own.csv") == (
        'schema = 1\n\n[[requirement]]\nid = "ACME-REQ-1"\ntext = "Stands, and holds"\n'
        'hazard = ["H-07", "H-08"]\nbound = 20.0\nunit = "N"\n'
    )
    (row,) = read_case(to_toml(table, "own.csv"), "own.toml")[1].requirement
    assert (row.bound, row.hazard) == (20.0, ("H-07", "H-08"))


def test_a_table_without_rows_is_a_file_without_requirements() -> None:
    assert read_csv("id,text\n", "own.csv").requirement == ()


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("id;text\nA-1;x\n", ["own.csv:1: unknown column 'id;text'"]),
        ("id\nA-1\n", ["own.csv:1: there is no column 'text' (separate columns by commas)"]),
        ("id,text,id\nA-1,x,A-1\n", ["own.csv:1: column 'id' is there twice"]),
        ("", ["own.csv:1: there is no column 'id'", "own.csv:1: there is no column 'text'"]),
        (
            "id,text\nA-1,x\nA-2,x,y\n",
            [
                "own.csv:3: 3 cells, the first line has 2 (cells that hold a comma need quotes)",
            ],
        ),
        (
            "id,text,bound\nA-1,x,1\n\nA-2,x,fast\na3,x,\n",
            ['own.csv:4: bound: expected a number, got "fast"', "own.csv:5: id: 'a3' is no id"],
        ),
        ("id,text,bound\nA-1,x,nan\n", ["own.csv:2: bound: "]),
        ("id,text,status\nA-1,x,DONE\n", ["own.csv:2: status: "]),
        ("id,text\n,x\n", ["own.csv:2: id: missing key"]),
        ("id,text\nA-1,x\nA-1,y\n", ["own.csv:3: id: 'A-1' is taken by requirement 1"]),
        (
            "id,text,bound,deviation_who\nA-1,x,1,me\n",
            ["own.csv:2: deviation_date: missing key", "own.csv:2: deviation_reason: missing key"],
        ),
        ('id,text\nA-1,"x\n', ["own.csv:2: not valid CSV: unexpected end of data"]),
    ],
    ids=[
        "semicolons", "no text", "twice", "empty", "too long", "two rows", "no number", "status",
        "no id", "repeated", "half a deviation", "open quote",
    ],
)  # fmt: skip
def test_a_bad_row_is_told_with_its_line(table: str, said: list[str]) -> None:
    with pytest.raises(FileError) as caught:
        to_toml(table, "own.csv")

    told = [str(problem) for problem in caught.value.problems]
    for line in said:
        assert any(one.startswith(line) for one in told), told
