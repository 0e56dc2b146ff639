"""What the C device library takes of a microcontroller."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from cryoctl_hil import firmware_size
from tests.support.programs import needed_modules
from tests.support.tree import ROOT

HOW_TO = ROOT / "docs" / "how-to" / "write-your-own-firmware-protocol.md"


def test_the_library_fits_a_small_processor_and_the_how_to_page_has_its_figures(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    needed_modules("ziglang", "elftools")
    for processor in ("cortex_m4", "cortex_m0plus"):
        found = firmware_size.measure(processor, tmp_path_factory.mktemp(processor))

        assert 4000 < sum(found.flash.values()) < 8192
        assert 5120 < found.ram["cryo_device"] < 8192
        assert found.ram_small["cryo_port"] < 4096
    page = HOW_TO.read_text("utf-8")
    if importlib.metadata.version("ziglang") == "0.16.0":  # Another one compiles otherwise.
        assert firmware_size.fill(page) == page, "old: make generated"


def test_the_table_is_written_between_the_marks_of_a_page_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(firmware_size, "table", lambda: "| new |")
    monkeypatch.setattr(firmware_size, "find_spec", lambda _name: object())
    page = tmp_path / "page.md"
    page.write_text("above\n<!-- generated: sizes -->\n\n| old |\n\n<!-- end -->\nbelow\n")
    bare = tmp_path / "bare.md"
    bare.write_text("nothing")

    assert firmware_size.main(["--page", str(page)]) == 0
    assert page.read_text() == (
        "above\n<!-- generated: sizes -->\n\n| new |\n\n<!-- end -->\nbelow\n"
    )
    assert firmware_size.main(["--page", str(bare)]) == 2
    assert "bare.md: no <!-- generated: sizes -->" in capsys.readouterr().err
    assert bare.read_text() == "nothing"


def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(firmware_size, "find_spec", lambda _name: None)

    assert firmware_size.main([]) == 3
    assert "pip install 'cryoctl[firmware]'" in capsys.readouterr().err
