"""A program that is missing is no reason to fail, except in CI."""

from __future__ import annotations

import pytest

from tests.support.programs import needed_program


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
