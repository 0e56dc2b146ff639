"""The generated files: up to date, and noticed when they are not."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from cryoctl_protocol import generated_spec
from cryoctl_protocol.codes import ENUMERATIONS
from cryoctl_protocol.framing import Reject
from cryoctl_protocol.generate import ROOT, GenerateError, fill_spec, main, outputs
from cryoctl_protocol.generated_c import snake
from cryoctl_protocol.generated_spec import REJECT_TEXT, spec_tables
from cryoctl_protocol.messages import MESSAGES
from cryoctl_protocol.profile import Limits

SPEC = (ROOT / "SPEC.md").read_text("utf-8")


@pytest.fixture
def copy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The generated files, up to date."""
    root = tmp_path / "protocol"
    for part in ("SPEC.md", "c", "vectors", "wireshark"):
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, root / part)
        else:
            root.mkdir()
            shutil.copy(source, root / part)
    main([], root=root)
    capsys.readouterr()
    return root


def test_everything_generated_is_up_to_date() -> None:
    assert main(["--check"]) == 0


def test_writing_twice_changes_nothing(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], root=copy) == 0
    assert capsys.readouterr().out == ""
    assert main(["--check"], root=copy) == 0


@pytest.mark.parametrize(
    "name",
    [
        "SPEC.md",
        "c/cryo_protocol.h",
        "wireshark/cryoctl.lua",
        "vectors/keys.json",
        "vectors/frames.json",
        "vectors/rejects.json",
        "vectors/sessions.json",
    ],
)
def test_a_stale_or_missing_file_is_named_and_mended(
    name: str, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = copy / name
    good = path.read_text("utf-8")
    place = good.index("1.0**, schema") if name == "SPEC.md" else len(good) // 2
    path.write_text(good[:place] + "x" + good[place:], "utf-8")

    assert main(["--check"], root=copy) == 1
    assert capsys.readouterr().err == f"{path}: out of date; run `make generated`\n"
    assert main([], root=copy) == 0
    assert path.read_text("utf-8") == good


def test_a_missing_vector_file_is_written_again(copy: Path) -> None:
    path = copy / "vectors" / "keys.json"
    good = path.read_text("utf-8")
    shutil.rmtree(copy / "vectors")

    assert main(["--check"], root=copy) == 1
    assert main([], root=copy) == 0
    assert path.read_text("utf-8") == good


def test_outside_a_source_tree_it_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--check"], root=tmp_path) == 1
    assert "no such file; run this from a source tree" in capsys.readouterr().err


def test_a_lost_marker_is_an_error_not_a_silent_gap() -> None:
    with pytest.raises(GenerateError, match="its markers are"):
        fill_spec(SPEC.replace("<!-- generated: trips -->", ""))


def test_the_text_around_the_tables_is_left_alone() -> None:
    good = fill_spec(SPEC)
    changed = good.replace("## Frames", "## Frames, by hand")

    assert fill_spec(changed) == changed != good


def test_only_what_is_listed_is_generated() -> None:
    found = {path.relative_to(ROOT).as_posix() for path in outputs(ROOT)}
    on_disk = {
        path.relative_to(ROOT).as_posix()
        for folder in ("vectors", "wireshark")
        for path in (ROOT / folder).iterdir()
    }

    assert found == on_disk | {"SPEC.md", "c/cryo_protocol.h"}


def test_every_name_in_the_text_is_defined_in_a_table() -> None:
    """The prose names constants instead of repeating numbers: no name may lead nowhere."""
    prose = re.sub(r"<!-- generated: .*?<!-- end -->", "", SPEC, flags=re.DOTALL)
    names = set(re.findall(r"`([A-Z][A-Z0-9_]{3,})`", prose))
    tables = "\n".join(spec_tables().values())

    assert {name for name in names if f"`{name}`" not in tables} == set()
    assert "`RETRY_PERIOD_S`" in prose


def test_every_reject_has_its_line() -> None:
    assert set(REJECT_TEXT) == set(Reject)


def test_specification_and_header_show_every_message_enumeration_and_limit() -> None:
    tables = spec_tables()
    header = (ROOT / "c" / "cryo_protocol.h").read_text("utf-8")
    for row in MESSAGES:
        assert f"#### {row.name}\n" in tables["messages"]
        assert f"struct cryo_{row.name.lower()} {{" in header
        for name, _ in row.fields:
            assert f"#define CRYO_{row.name}_{name.upper()}_OFFSET " in header
    for choices in ENUMERATIONS:
        assert f"#### {choices.__name__}\n" in tables["enumerations"]
        assert f"enum cryo_{snake(choices.__name__)} {{" in header
        for choice in choices:
            line = f"    CRYO_{snake(choices.__name__).upper()}_{choice.name} = {int(choice)},"
            assert line in header
    for name in Limits.model_fields:
        assert f"| `{name}` |" in tables["profiles"]


def test_profile_limits_in_the_header_are_in_the_units_of_the_wire() -> None:
    header = (ROOT / "c" / "cryo_protocol.h").read_text("utf-8")
    for line in (
        "#define CRYO_PROFILE_N2O_20G_TIP_FLOOR_MDEGC (-85000)",
        "#define CRYO_PROFILE_CO2_20G_TIP_FLOOR_MDEGC (-82000)",
        "#define CRYO_PROFILE_N2O_20G_FREEZE_MS_MAX 180000",
        "#define CRYO_PROFILE_N2O_20G_THAW_ENERGY_MJ_MAX 5000",
        "#define CRYO_TRIP_ACTION_LEASE CRYO_SAFE_ACTION_OFF",
        "#define CRYO_TRIP_ACTION_TIP_FLOOR CRYO_SAFE_ACTION_THAW",
    ):
        assert line in header.splitlines()


def test_offsets_add_up_to_the_size() -> None:
    for row in MESSAGES:
        *_, (offset, _, field) = generated_spec.offsets(row)
        assert offset + field.kind.sizeof() == row.struct.sizeof()


def test_vectors_are_valid_json_with_lower_case_hexadecimal() -> None:
    for path in (ROOT / "vectors").iterdir():
        for vector in json.loads(path.read_text("utf-8"))["vectors"]:
            wire = vector.get("wire", "")
            assert bytes.fromhex(wire).hex() == wire
