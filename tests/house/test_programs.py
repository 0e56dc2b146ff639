"""A program that is missing is no reason to fail, except in CI."""

from __future__ import annotations

import pytest

from tests.support.programs import needed_modules, needed_program
from tests.support.tree import ROOT


def test_a_missing_program_skips_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)

    with pytest.raises(
        pytest.skip.Exception, match=r"no-such-program.*apt install no-such-package"
    ):
        needed_program("no-such-program", package="no-such-package")


def test_in_ci_a_missing_program_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")

    with pytest.raises(pytest.fail.Exception, match="apt install no-such-program"):
        needed_program("no-such-program")


def test_a_missing_module_skips_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)

    with pytest.raises(pytest.skip.Exception, match=r"no_such_module.*cryoctl\[firmware\]"):
        needed_modules("json", "no_such_module")


def test_in_ci_a_missing_module_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "1")

    with pytest.raises(pytest.fail.Exception, match=r"^no_such_module not installed"):
        needed_modules("json", "no_such_module")


def test_no_test_is_skipped_by_a_way_that_ci_cannot_see() -> None:
    """``importorskip`` would skip in CI too, and nobody would know."""
    named = [
        path.name
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if path.name != "test_programs.py" and "importorskip" in path.read_text("utf-8")
    ]
    assert named == []
