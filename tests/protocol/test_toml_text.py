"""Messages about files: place, line, range, remedy; all mistakes of a file at once."""

from __future__ import annotations

import tomllib
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, field_validator

from cryoctl_protocol.toml_keys import KeyPath, scan
from cryoctl_protocol.toml_text import (
    Document,
    FileError,
    Finding,
    FindingsError,
    Problem,
    ValueOrigin,
    decode_utf8,
    load_toml,
    parse_toml,
    quantity,
    validate,
    value_origins,
)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Oven(_File):
    """One of two kinds of event."""

    kind: Literal["oven"]
    heat_c: float = quantity(unit="C", ge=0.0, lt=300.0, doc="Heat.")


class Bell(_File):
    """The other kind."""

    kind: Literal["bell"]
    rings: int = Field(ge=1)


class Baking(_File):
    """The main section."""

    bake_s: float = quantity(unit="s", ge=1.0, le=90.0, doc="Time.")
    loaves: int = Field(4, ge=1, le=8)
    fan: bool = False


class Recipe(_File):
    """Not about cryoprobes, so that nothing here leans on a treatment."""

    title: str = Field("", max_length=10)
    oven: Literal["gas", "wood"] = "wood"
    baking: Baking
    steps: tuple[Annotated[Oven | Bell, Field(discriminator="kind")], ...] = ()
    marks: tuple[int, ...] = ()

    @field_validator("title")
    @classmethod
    def _is_nice(cls, title: str) -> str:
        if title == "burnt":
            raise ValueError("burnt bread is not made here")
        if title == "stale":
            raise FindingsError([Finding((), "stale bread is not made here", "say fresh")])
        return title


GOOD = "[baking]\nbake_s = 60\n"


def message(text: str) -> str:
    with pytest.raises(FileError) as caught:
        load_toml(text, "r.toml", Recipe)
    return str(caught.value)


def test_a_good_text_becomes_a_model() -> None:
    recipe = load_toml(GOOD, "r.toml", Recipe)

    assert recipe == Recipe(baking=Baking(bake_s=60.0))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            '[baking]\nbake_s = "long"\n',
            'r.toml:2: baking.bake_s: expected a number of seconds, got "long" '
            '(allowed: 1 to 90 s)\n    bake_s = "long"',
            id="text for a number",
        ),
        pytest.param(
            '[baking]\nbake_s = "60 s"\n',
            "r.toml:2: baking.bake_s: expected a number of seconds, without unit, "
            'got "60 s" (write bake_s = 60)\n    bake_s = "60 s"',
            id="number with its unit",
        ),
        pytest.param(
            '[baking]\nbake_s = "1 min"\n',
            "r.toml:2: baking.bake_s: expected a number of seconds, without unit, "
            'got "1 min" (allowed: 1 to 90 s)\n    bake_s = "1 min"',
            id="number with another unit is not converted",
        ),
        pytest.param(
            "[baking]\nbake_s = true\n",
            "r.toml:2: baking.bake_s: expected a number of seconds, got true "
            "(allowed: 1 to 90 s)\n    bake_s = true",
            id="true is no number",
        ),
        pytest.param(
            "[baking]\nbake_s = 60\nloaves = 2.5\n",
            "r.toml:3: baking.loaves: expected a whole number, got 2.5 (allowed: 1 to 8)\n"
            "    loaves = 2.5",
            id="fraction for a count",
        ),
        pytest.param(
            "[baking]\nbake_s = 60\nfan = 1\n",
            "r.toml:3: baking.fan: expected true or false, got 1\n    fan = 1",
            id="number for a choice of two",
        ),
        pytest.param(
            "[baking]\nbake_s = nan\n",
            "r.toml:2: baking.bake_s: nan is not a usable number "
            "(expected a number of seconds)\n    bake_s = nan",
            id="not a number",
        ),
        pytest.param(
            "[baking]\nbake_s = -inf\n",
            "r.toml:2: baking.bake_s: -inf is not a usable number "
            "(expected a number of seconds)\n    bake_s = -inf",
            id="infinite",
        ),
        pytest.param(
            "[baking]\nbake_s = 2020-01-01\n",
            "r.toml:2: baking.bake_s: expected a number of seconds, got 2020-01-01 "
            "(allowed: 1 to 90 s)\n    bake_s = 2020-01-01",
            id="date",
        ),
        pytest.param(
            "[baking]\nbake_seconds = 60\n",
            "r.toml:2: baking.bake_seconds: unknown key (use bake_s, in seconds)\n"
            "    bake_seconds = 60",
            id="other word for the unit",
        ),
        pytest.param(
            "[baking]\nbake_min = 1\n",
            "r.toml:2: baking.bake_min: unknown key (use bake_s, in seconds)\n    bake_min = 1",
            id="other unit",
        ),
        pytest.param(
            "[baking]\nbake = 60\n",
            "r.toml:2: baking.bake: unknown key (use bake_s, in seconds)\n    bake = 60",
            id="no unit",
        ),
        pytest.param(
            GOOD + "loavs = 3\n",
            "r.toml:3: baking.loavs: unknown key (did you mean 'loaves'?)\n    loavs = 3",
            id="misspelt key",
        ),
        pytest.param(
            "loaves = 3\n" + GOOD,
            "r.toml:1: loaves: unknown key (it belongs in [baking])\n    loaves = 3",
            id="key in the wrong section",
        ),
        pytest.param(
            GOOD + "zzz = 3\n",
            "r.toml:3: baking.zzz: unknown key (known here: bake_s, loaves, fan)\n    zzz = 3",
            id="key like no other",
        ),
        pytest.param(
            "[bakign]\nbake_s = 60\n",
            "r.toml:1: bakign: unknown section (did you mean 'baking'?)\n    [bakign]",
            id="misspelt section is one mistake, not two",
        ),
        pytest.param(
            'title = "x"\n',
            "r.toml:1: baking: missing section [baking] (with the keys bake_s)",
            id="missing section",
        ),
        pytest.param(
            'title = "x"\n\n[baking]\nloaves = 2\n',
            "r.toml:3: baking.bake_s: missing key (expected a number of seconds, 1 to 90 s)\n"
            "    [baking]",
            id="missing key points at its section",
        ),
        pytest.param(
            "baking = 3\n",
            "r.toml:1: baking: expected a section, got 3 (write [baking] on a line)\n"
            "    baking = 3",
            id="number for a section",
        ),
        pytest.param(
            'oven = "wod"\n' + GOOD,
            'r.toml:1: oven: "wod" is not known (allowed: "gas" or "wood"; did you mean "wood"?)\n'
            '    oven = "wod"',
            id="misspelt choice",
        ),
        pytest.param(
            'title = "far too long a title"\n' + GOOD,
            'r.toml:1: title: "far too long a title" is too long (allowed: at most 10)\n'
            '    title = "far too long a title"',
            id="long text",
        ),
        pytest.param(
            'title = "burnt"\n' + GOOD,
            'r.toml:1: title: burnt bread is not made here\n    title = "burnt"',
            id="a validator's own words",
        ),
        pytest.param(
            'title = "stale"\n' + GOOD,
            'r.toml:1: title: stale bread is not made here (say fresh)\n    title = "stale"',
            id="a validator's own finding",
        ),
        pytest.param(
            GOOD + '[[steps]]\nkind = "bell"\nrings = 1\n[[steps]]\nkind = "bell"\nrings = 0\n',
            "r.toml:8: steps[1].rings: 0 is out of range (allowed: at least 1)\n    rings = 0",
            id="second table of an array",
        ),
        pytest.param(
            GOOD + '[[steps]]\nkind = "oven"\nheat_f = 90\n',
            "r.toml:5: steps[0].heat_f: unknown key (use heat_c, in degrees Celsius)\n"
            "    heat_f = 90",
            id="unit in an array of tables",
        ),
        pytest.param(
            GOOD + '[[steps]]\nkind = "oven"\nheat_c = 300\n',
            "r.toml:5: steps[0].heat_c: 300 C is out of range (allowed: at least 0 C, below 300 C)"
            "\n    heat_c = 300",
            id="open end of a range",
        ),
        pytest.param(
            GOOD + '[[steps]]\nkind = "drum"\n',
            "r.toml:4: steps[0].kind: \"drum\" is not known (allowed: 'oven', 'bell')\n"
            '    kind = "drum"',
            id="unknown kind of table",
        ),
        pytest.param(
            "baking = { bake_s = 60, loaves = 0 }\n",
            "r.toml:1: baking.loaves: 0 is out of range (allowed: 1 to 8)\n"
            "    baking = { bake_s = 60, loaves = 0 }",
            id="inline table",
        ),
        pytest.param(
            "baking.bake_s = 60\nbaking.loaves = 0\n",
            "r.toml:2: baking.loaves: 0 is out of range (allowed: 1 to 8)\n    baking.loaves = 0",
            id="dotted key",
        ),
        pytest.param(
            'marks = [\n  1, # one\n  "x",\n]\n' + GOOD,
            'r.toml:3: marks[1]: expected a whole number, got "x"\n    "x",',
            id="element of a list over several lines",
        ),
        pytest.param(
            "[baking]\nbake_s = 60 s\n",
            "r.toml:2: not valid TOML: expected newline or end of document after a statement "
            "(numbers stand without unit)\n    bake_s = 60 s",
            id="bare unit",
        ),
        pytest.param(
            "[baking]\nbake_s = 60,5\n",
            "r.toml:2: not valid TOML: expected newline or end of document after a statement "
            "(use a decimal point)\n    bake_s = 60,5",
            id="decimal comma",
        ),
        pytest.param(
            "oven = wood\n",
            "r.toml:1: not valid TOML: invalid value (text needs quotes)\n    oven = wood",
            id="no quotes",
        ),
        pytest.param(
            "baking:\n  bake_s: 60\n",
            "r.toml:1: not valid TOML: expected '=' after a key in a key/value pair "
            "(write key = value)\n    baking:",
            id="another format",
        ),
        pytest.param(
            GOOD + "\n# again\nbake_s = 30\n",
            "r.toml:5: baking.bake_s: given twice, first on line 2\n    bake_s = 30",
            id="duplicate key",
        ),
        pytest.param(
            GOOD + "[baking]\n",
            "r.toml:3: baking: given twice, first on line 1\n    [baking]",
            id="duplicate section",
        ),
        pytest.param("", "r.toml:1: the file is empty (it needs [baking])", id="empty"),
        pytest.param("# later\n", "r.toml:1: the file is empty (it needs [baking])", id="comment"),
        pytest.param(
            "marks = " + "[" * 5000 + "]" * 5000,
            "r.toml:1: lists or sections are nested too deeply",
            id="deep",
        ),
        pytest.param(
            GOOD + "loaves = " + "[" * 250 + "]" * 250,
            "r.toml:1: lists or sections are nested too deeply",
            id="deep, yet not too deep for tomllib",
        ),
        pytest.param(
            "[[baking]]\nbake_s = 60\n",
            "r.toml:1: baking: expected a section, got a list (write [baking] on a line)\n"
            "    [[baking]]",
            id="array of tables for a section",
        ),
        pytest.param(
            "[baking.bake_s]\nx = 60\n",
            "r.toml:1: baking.bake_s: expected a number of seconds, got a section "
            "(allowed: 1 to 90 s)\n    [baking.bake_s]",
            id="section for a number",
        ),
        pytest.param(
            "baking = { bake_s = 60, bake_s = 61 }\n",
            "r.toml:1: baking.bake_s: given twice, first on line 1\n"
            "    baking = { bake_s = 60, bake_s = 61 }",
            id="duplicate in an inline table",
        ),
        pytest.param(
            GOOD + "loaves = " + "9" * 5000,
            "r.toml:3: a number has too many digits",
            id="endless number",
        ),
    ],
)
def test_each_mistake_is_named_with_its_line_and_remedy(text: str, expected: str) -> None:
    assert message(text) == expected


def test_all_problems_of_a_file_are_reported_in_the_order_of_their_lines() -> None:
    text = 'loaves = 1\noven = "coal"\n[baking]\nbake_s = 0.5\nloaves = 9\nfann = true\n'

    with pytest.raises(FileError) as caught:
        load_toml(text, "r.toml", Recipe)

    assert [(problem.line, problem.key) for problem in caught.value.problems] == [
        (1, "loaves"),
        (2, "oven"),
        (4, "baking.bake_s"),
        (5, "baking.loaves"),
        (6, "baking.fann"),
    ]


def test_the_check_of_raw_data_adds_what_validators_had_no_chance_to_say() -> None:
    def check(data: dict[str, Any]) -> list[Finding]:
        return [
            Finding(("baking", "bake_s"), f"{data['baking']['bake_s']} is an odd time"),
            Finding(("baking", "loaves"), "said already"),
        ]

    document = parse_toml("[baking]\nbake_s = 61\nloaves = 9\n", "r.toml")

    with pytest.raises(FileError) as caught:
        validate(document, Recipe, check=check)

    assert [problem.message for problem in caught.value.problems] == [
        "61 is an odd time",
        "9 is out of range",
    ]


@pytest.mark.parametrize(
    ("text", "range_text"),
    [
        ("[baking]\nbake_s = 1\n", None),
        ("[baking]\nbake_s = 0.999\n", "1 to 90 s"),
        ("[baking]\nbake_s = 90\n", None),
        ("[baking]\nbake_s = 90.001\n", "1 to 90 s"),
    ],
)
def test_the_ends_of_a_range_are_allowed_and_nothing_beyond(
    text: str, range_text: str | None
) -> None:
    if range_text is None:
        load_toml(text, "r.toml", Recipe)
    else:
        assert f"(allowed: {range_text})" in message(text)


def test_a_file_of_256_kib_is_read_and_one_byte_more_is_refused_unparsed() -> None:
    full = GOOD + "#" * (262_144 - len(GOOD))

    assert load_toml(full, "r.toml", Recipe).baking.bake_s == 60.0
    for refused in (full + "#", full[:-1] + "é"):
        assert message(refused) == "r.toml:1: 257 KiB is too big for such a file (limit: 256 KiB)"
    with pytest.raises(FileError, match="257 KiB is too big"):
        decode_utf8(full.encode() + b"#", "r.toml")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a = 1\nb = '\xe9'\n", "r.toml:2: not UTF-8 text (byte 0xe9; save the file as UTF-8)"),
        (
            "a = 1".encode("utf-16"),
            "r.toml:1: not UTF-8 text (this looks like UTF-16; save the file as UTF-8)",
        ),
    ],
)
def test_bytes_that_are_no_utf8_are_named_by_line(data: bytes, expected: str) -> None:
    with pytest.raises(FileError) as caught:
        decode_utf8(data, "r.toml")

    assert str(caught.value) == expected


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm() -> None:
    text = decode_utf8(b"\xef\xbb\xbf[baking]\r\nbake_s = 60\r\nloaves = 0\r\n", "r.toml")

    assert message(text) == (
        "r.toml:3: baking.loaves: 0 is out of range (allowed: 1 to 8)\n    loaves = 0"
    )


def test_what_a_file_holds_cannot_move_the_cursor_of_a_terminal() -> None:
    texts = ('oven = "\\u001b[2J"\n' + GOOD, "oven = \x1b[2J\n", '"\\u001b[2J" = 1\n' + GOOD)

    assert [text for text in map(message, texts) if "\x1b" in text] == []


def test_long_lines_are_cut() -> None:
    assert max(map(len, message(GOOD + f'fan = "{"x" * 5000}"\n').split("\n"))) < 150


def test_a_problem_without_a_line_names_its_source_only() -> None:
    assert str(Problem("--set a=1", None, "", "unknown key")) == "--set a=1: unknown key"


# Settings from the command line.


def set_on(text: str, *settings: str) -> Document:
    document = parse_toml(text, "r.toml")
    for setting in settings:
        document = document.with_setting(setting)
    return document


def test_settings_stand_above_the_file_and_the_last_one_wins() -> None:
    document = set_on(GOOD, "baking.bake_s=30", "baking.bake_s = 45", "oven=gas")

    assert validate(document, Recipe) == Recipe(oven="gas", baking=Baking(bake_s=45.0))


def test_a_setting_leaves_the_document_it_was_made_from_alone() -> None:
    document = parse_toml(GOOD, "r.toml")

    document.with_setting("baking.bake_s=30")

    assert document.data == {"baking": {"bake_s": 60}}


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("baking.loavs=2", "unknown key (did you mean 'baking.loaves'?)"),
        ("loaves=2", "unknown key (did you mean 'baking.loaves'?)"),
        ("bakign.loaves=2", "unknown section (did you mean 'baking'?)"),
        ("baking.loaves=9", "9 is out of range (allowed: 1 to 8)"),
        ("baking.bake_min=1", "unknown key (use bake_s, in seconds)"),
        (
            "baking.bake_s=60 s",
            'expected a number of seconds, without unit, got "60 s" (write bake_s = 60)',
        ),
        ("baking.loaves", "expected key=value (such as cycles.count=2)"),
        ("baking..loaves=2", "expected key=value (such as cycles.count=2)"),
        ("title.x=2", "'title' is not a section"),
        ("title='a", '"\'a" is no TOML value (text needs quotes)'),
        ("baking.loaves=1\nfan=true", "expected one value"),
    ],
)
def test_a_bad_setting_is_named_as_it_was_typed(setting: str, expected: str) -> None:
    with pytest.raises(FileError) as caught:
        validate(set_on('title = "x"\n' + GOOD, setting), Recipe)

    typed = setting.replace("\n", "\N{REPLACEMENT CHARACTER}")
    assert str(caught.value) == f"--set {typed}: {expected}"


def test_every_value_can_say_where_it_came_from() -> None:
    document = set_on(GOOD + '[[steps]]\nkind = "bell"\nrings = 2\n', "oven=gas")

    rows = value_origins(document, validate(document, Recipe))

    assert rows == [
        ValueOrigin("title", '""', "default"),
        ValueOrigin("oven", '"gas"', "--set oven=gas"),
        ValueOrigin("baking.bake_s", "60.0", "r.toml:2"),
        ValueOrigin("baking.loaves", "4", "default"),
        ValueOrigin("baking.fan", "false", "default"),
        ValueOrigin("steps[0].kind", '"bell"', "r.toml:4"),
        ValueOrigin("steps[0].rings", "2", "r.toml:5"),
        ValueOrigin("marks", "[]", "default"),
    ]


# The scanner of lines.

TRICKY = '''\
"a.b" = 1
text = """
[not.a.table]
key = "inside" \\"""
""""
literal = \'\'\'
x = 1\'\'\'
list = [ # comment ]
  { p = 1, q = "]" }, [1,
  2],
]
[s . 'quoted key']
n.m = { deep = { er = 1 } } # = 3
[[t]]
u = 1
[t.v]
w = 1
[[t]]
u = 2
[[t.x]]
y = 1
[[t.x]]
y = 2
'''


def paths(value: object, above: KeyPath = ()) -> list[KeyPath]:
    if isinstance(value, dict):
        return [p for k, v in value.items() for p in [(*above, k), *paths(v, (*above, k))]]
    if isinstance(value, list):
        return [p for i, v in enumerate(value) for p in [(*above, i), *paths(v, (*above, i))]]
    return []


def test_every_key_of_a_tricky_text_has_its_line_and_nothing_else_has_one() -> None:
    found = scan(TRICKY).lines

    assert set(found) == set(paths(tomllib.loads(TRICKY)))
    assert {path: found[path] for path in paths(tomllib.loads(TRICKY)) if len(path) > 2} == {
        ("list", 0, "p"): 9,
        ("list", 0, "q"): 9,
        ("list", 1, 0): 9,
        ("list", 1, 1): 10,
        ("s", "quoted key", "n"): 13,
        ("s", "quoted key", "n", "m"): 13,
        ("s", "quoted key", "n", "m", "deep"): 13,
        ("s", "quoted key", "n", "m", "deep", "er"): 13,
        ("t", 0, "u"): 15,
        ("t", 0, "v"): 16,
        ("t", 0, "v", "w"): 17,
        ("t", 1, "u"): 19,
        ("t", 1, "x"): 20,
        ("t", 1, "x", 0): 20,
        ("t", 1, "x", 0, "y"): 21,
        ("t", 1, "x", 1): 22,
        ("t", 1, "x", 1, "y"): 23,
    }


@given(st.text(alphabet="ab.=[]{},#\"'\\\n 1", max_size=60))
def test_no_text_makes_the_scanner_raise_and_valid_ones_are_found_whole(text: str) -> None:
    found = scan(text).lines

    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert set(paths(data)) <= set(found)


@given(st.binary(max_size=40), st.integers(0, len(TRICKY)), st.integers(0, 5))
def test_a_damaged_file_raises_nothing_but_file_error(junk: bytes, at: int, gone: int) -> None:
    data = TRICKY.encode()[:at] + junk + TRICKY.encode()[at + gone :]

    with pytest.raises(FileError) as caught:
        load_toml(decode_utf8(data, "r.toml"), "r.toml", Recipe)

    assert all(problem.line for problem in caught.value.problems)
