"""What no linter looks at: documents, shipped files, words that do not belong here."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from tests.support.tree import ROOT, SOURCE_ROOTS, project_files

# Written in pieces, so that this file does not hold what it looks for.
MACHINE_PATHS = re.compile("|".join(["/" + "work/", "/" + "farm/", "shared" + "/design"]))
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X"]) + r")\b")
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)")
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def text_of(file: Path) -> str:
    return file.read_bytes().decode("utf-8", errors="replace")


def named(file: Path) -> str:
    return str(file.relative_to(ROOT))


def package_modules() -> list[Path]:
    return sorted(file for name in SOURCE_ROOTS for file in (ROOT / name).rglob("*.py"))


def shipped_toml() -> list[Path]:
    return sorted(file for name in SOURCE_ROOTS for file in (ROOT / name).rglob("*.toml"))


@pytest.mark.parametrize(
    "pattern", [MACHINE_PATHS, UNFINISHED], ids=["machine paths", "unfinished"]
)
def test_no_file_of_the_project_holds(pattern: re.Pattern[str]) -> None:
    assert [named(file) for file in project_files() if pattern.search(text_of(file))] == []


def test_every_module_says_what_it_is_for() -> None:
    mute = [
        named(file)
        for file in package_modules()
        if ast.get_docstring(ast.parse(text_of(file))) is None
    ]

    assert mute == []


def test_the_project_ships_profiles_and_scenarios() -> None:
    folders = {file.parent.name for file in shipped_toml()}

    assert folders >= {"profiles", "scenarios", "treatments"}


@pytest.mark.parametrize("file", shipped_toml(), ids=named)
def test_every_shipped_file_is_toml(file: Path) -> None:
    assert tomllib.loads(file.read_text("utf-8")) != {}


def test_every_link_between_documents_leads_to_something_of_the_project() -> None:
    files = project_files()
    known = {*files, *(folder for file in files for folder in file.parents)}
    broken = [
        f"{named(file)}: {target}"
        for file in files
        if file.suffix == ".md"
        for target in LINK.findall(FENCED.sub("", text_of(file)))
        if "://" not in target and (file.parent / target).resolve() not in known
    ]

    assert broken == []


def test_the_readme_says_what_this_is_not() -> None:
    assert "not a medical device" in text_of(ROOT / "README.md").lower()


def test_the_changelog_has_a_place_for_what_comes_next() -> None:
    assert "\n## [Unreleased]\n" in text_of(ROOT / "CHANGELOG.md")
