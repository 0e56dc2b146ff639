"""``cryoctl report --pdf``: a report on paper, by whatever Chromium there is."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from cryoctl.cli import invoke
from tests.support import recordings
from tests.support.programs import needed_program


@pytest.fixture(autouse=True)
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave a recording where the command looks for it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.mcap").write_bytes(recordings.record_treatment())


@pytest.mark.timeout(150)
@pytest.mark.xdist_group("browser")
def test_a_report_is_printed_to_pdf(capsys: pytest.CaptureFixture[str]) -> None:
    needed_program("chromium")

    assert invoke(["report", "run.mcap", "--pdf", "paper.pdf"]) == 0
    printed = Path("paper.pdf").read_bytes()
    assert printed.startswith(b"%PDF-")
    assert b"/Type /Page" in printed
    assert capsys.readouterr().out == f"wrote {Path('report.html')}\nwrote paper.pdf\n"


def test_without_a_browser_it_says_what_to_install_and_leaves_the_page(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/no/such/folder")

    assert invoke(["report", "run.mcap", "--pdf", "paper.pdf"]) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert "--pdf needs an installed Chromium or Chrome" in told
    assert "apt install chromium" in told
    assert Path("report.html").read_text("utf-8").startswith("<!doctype html>")
    assert not Path("paper.pdf").exists()


def test_a_browser_that_prints_nothing_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake = tmp_path / "bin" / "chromium"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho no display >&2\nexit 1\n")
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(fake.parent))

    assert invoke(["report", "run.mcap", "--pdf", "paper.pdf"]) == 2
    assert "did not print: no display" in capsys.readouterr().err
    assert not Path("paper.pdf").exists()
