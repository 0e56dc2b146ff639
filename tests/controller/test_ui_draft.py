"""A treatment while it is typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryoctl.treatment import shipped_treatment_text, shipped_treatments
from cryoctl.ui.draft import check_draft, read_draft
from cryoctl_protocol.toml_text import FileError

TEXT = shipped_treatment_text("n2o-20g")


def test_a_good_treatment_has_a_plan() -> None:
    found = check_draft(TEXT)

    assert found["problems"] == []
    assert (found["plan"]["cycles"], found["plan"]["setpoint_c"]) == (3, -60.0)
    assert found["plan"]["phases"][0]["phase"] == "PREWARM"
    assert found["plan"]["blockers"] == []


@pytest.mark.parametrize("name", shipped_treatments())
def test_every_built_in_treatment_can_be_planned(name: str) -> None:
    assert check_draft(shipped_treatment_text(name))["problems"] == []


def test_every_mistake_has_its_line_its_key_and_what_is_allowed() -> None:
    wrong = TEXT.replace("count = 3", "count = 30").replace("hold_s = 60.0", "hold_s = 500.0")

    problems = check_draft(wrong)["problems"]

    assert [(one["line"], one["key"]) for one in problems] == [
        (7, "cycles.count"),
        (9, "cycles.hold_s"),
    ]
    assert "allowed: 1 to 150 s" in problems[1]["hint"]


@pytest.mark.parametrize(
    "line",
    ['profile = "secret.toml"', '"pro\\u0066ile" = "secret.toml"', "'profile' = 'secret.toml'"],
)
def test_no_file_of_this_computer_is_read(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.toml").write_text("password = 12345\n")

    with pytest.raises(FileError, match="cannot be named here") as refused:
        read_draft(TEXT.replace('profile = "n2o-20g"', line))

    assert "12345" not in str(refused.value)


def test_a_text_that_is_too_long_is_not_read() -> None:
    problems = check_draft("# \n" * 7000)["problems"]

    assert [one["message"] for one in problems] == ["too long for a treatment"]
