"""What the C device library takes of a microcontroller."""

from __future__ import annotations

import importlib.metadata
from importlib.util import find_spec

import pytest

from cryoctl_hil import firmware_size
from tests.support.tree import ROOT

HOW_TO = ROOT / "docs" / "how-to" / "write-your-own-firmware-protocol.md"

needs_extra = pytest.mark.skipif(
    find_spec("ziglang") is None or find_spec("elftools") is None,
    reason="ziglang and pyelftools are not installed: pip install 'cryoctl[firmware]'",
)


@needs_extra
def test_the_library_fits_a_small_processor_and_the_how_to_page_has_its_figures(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    for processor in ("cortex_m4", "cortex_m0plus"):
        found = firmware_size.measure(processor, tmp_path_factory.mktemp(processor))

        assert 4000 < sum(found.flash.values()) < 8192
        assert 5120 < found.ram["cryo_device"] < 8192
        assert found.ram_small["cryo_port"] < 4096
    if importlib.metadata.version("ziglang") == "0.16.0":  # Another one compiles otherwise.
        assert firmware_size.table() in HOW_TO.read_text("utf-8")


def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(firmware_size, "find_spec", lambda _name: None)

    assert firmware_size.main() == 3
    assert "pip install 'cryoctl[firmware]'" in capsys.readouterr().err
