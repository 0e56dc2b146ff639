"""Ours beside the peers: our side, the page, and what a peer that is not there does to the rest."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import pytest

from cryoctl_hil.peers import codecs, side_by_side
from cryoctl_hil.peers.environments import SCRIPTS, Peer, PeerError, bare, install
from cryoctl_hil.peers.page import page
from cryoctl_hil.peers.round_trips import Trips, our_trips
from cryoctl_hil.peers.stage import Ramp, Stage, run
from cryoctl_protocol.messages import Telemetry

REFERENCE = Path(__file__).parents[2] / "docs/reference"
SHORT = Ramp(device_s=500, rate_c_per_min=5.0, limit_c=61.0, cpu_s_min=0.01)
SMALL = side_by_side.Size(ramp=SHORT, trips=20, idle_s=0.2, messages=50)


def at(stage: Stage, now_s: float, commands: bytes) -> bytes:
    return stage.advance_to(now_s, commands)


# -- the stage ---


def test_a_ramp_of_37_degrees_at_5_a_minute_takes_444_s_and_then_holds() -> None:
    stage = Stage()
    at(stage, 0.0, b"R1500\rL1610\rS\r")

    assert at(stage, 443.0, b"T\r")[0] == 0x10
    assert at(stage, 445.0, b"T\r") == b"\x30\x80\x80\x80\x80\x800262\r"


def test_it_cools_below_zero() -> None:
    stage = Stage()
    at(stage, 0.0, b"R16000\rL10\rS\r")

    assert at(stage, 1.0, b"T\r")[:1] == b"\x20"
    assert at(stage, 60.0, b"T\r")[6:] == b"0000\r"


def test_it_stands_still_until_it_is_started_and_after_its_end() -> None:
    stage = Stage()
    assert at(stage, 100.0, b"L1610\rT\r")[1:2] == b"\x01"

    at(stage, 100.0, b"S\r")
    at(stage, 112.0, b"E\r")

    assert at(stage, 900.0, b"T\r")[6:] == b"00fa\r"


def test_a_command_may_come_in_pieces() -> None:
    stage = Stage()

    assert at(stage, 0.0, b"L1") == b""
    assert at(stage, 0.1, b"610\rT") == b"\r"
    assert len(at(stage, 0.2, b"\r")) == 11
    assert stage.limit_c == 61.0


@pytest.mark.parametrize("how", ["stepped", "looped"])
def test_in_lock_step_and_in_virtual_time_it_is_the_same_stage(how: str) -> None:
    said = run(how, SHORT)

    assert said["held_s"] == 445.0
    assert said["device_s"] is not None
    assert said["device_s"] >= 500.0


@pytest.mark.real_time
def test_a_served_stage_answers_over_tcp() -> None:
    trips = our_trips(count=20, idle_s=0.2)

    assert 0.0 < trips.p50_ms <= trips.p99_ms


# -- the scripts ---


def test_a_script_imports_its_peer_and_nothing_of_ours() -> None:
    for script in SCRIPTS.glob("*_*.py"):
        if script.name == "__init__.py":
            continue
        peer = script.name.partition("_")[0]
        tree = ast.parse(script.read_text(encoding="utf-8"))
        names = {
            name.split(".")[0]
            for node in ast.walk(tree)
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        }
        assert names <= {peer, *sys.stdlib_module_names}, script.name


def test_the_stage_without_a_framework_does_what_ours_does() -> None:
    said = bare().run("asyncio_stage.py", "step", json.dumps(SHORT._asdict()))

    assert isinstance(said, dict)
    assert said["held_s"] == 445.0


def test_construct_builds_the_bytes_that_our_codec_does() -> None:
    here = Peer("construct", sys.executable, "")

    theirs = here.run("construct_codec.py", codecs.task(50))
    ours = codecs.ours(50)

    assert isinstance(theirs, dict)
    assert theirs["payload"]["wire_bytes"] == ours["payload"]["wire_bytes"]
    assert ours["signed"]["wire_bytes"] - ours["frame"]["wire_bytes"] == 8


# -- what does not run, and the page ---


def no_peer(requirement: str, _folder: Path) -> Peer:
    raise PeerError(f"no wheel of {requirement} for this Python")


@pytest.mark.real_time
def test_a_peer_that_cannot_be_installed_is_told_and_the_rest_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side_by_side, "_ours", lambda *_: ([], [], []))

    figures = side_by_side.side_by_side(tmp_path, SMALL, say=lambda _: None, installed=no_peer)

    assert set(figures["not_run"]) == {"lewis", "tickit", "caproto", "pymavlink", "construct"}
    assert [row["name"] for row in figures["stages"]] == ["a plain class, stepped by hand"]
    assert "**tickit did not run**: no wheel of tickit==" in page(figures, 29)


def test_a_program_that_fails_is_told_with_what_it_said() -> None:
    with pytest.raises(PeerError, match=r"exit code 1: .*(KeyError|IndexError)"):
        bare().run("asyncio_stage.py", "step", "{}")


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "lewis").write_text("a file where a folder should be")

    with pytest.raises(PeerError, match="exit code 1"):
        install("lewis==0", tmp_path)


def test_the_page_is_what_the_figures_say() -> None:
    figures = json.loads((REFERENCE / "peers.json").read_text(encoding="utf-8"))

    made = (REFERENCE / "peers.md").read_text(encoding="utf-8")

    assert made == page(figures, len(Telemetry._fields))


def test_the_page_tells_every_figure_with_its_date_and_versions() -> None:
    row = {"name": "a stage", **Trips(1.234, 56.789, None)._asdict()}
    figures = {
        "date": "2026-11-22", "python": "3.11.7", "machine": "Linux x86_64, 2 cores",
        "load_average": 3.21, "versions": {"cryoctl": "0.1.0", "lewis": "1.4.0"},
        "not_run": {"caproto": "exit code 1: no"},
        "stages": [{"name": "s", "device_s_per_cpu_s": 12345.6, "held_s": 445.04, "step_s": 0.1}],
        "round_trips": [row],
        "codecs": [
            {"name": "c", "what": "signed", "encode_per_s": 5e5, "decode_per_s": 4e5,
             "wire_bytes": 97}
        ],
    }  # fmt: skip

    text = page(figures, 29)

    assert "Measured 2026-11-22 on Linux x86_64, 2 cores, Python 3.11.7, load average 3.2" in text
    assert "cryoctl 0.1.0, lewis 1.4.0." in text
    assert "**caproto did not run**: exit code 1: no." in text
    assert "| s | 12,346 | 445.0 | 0.100 |" in text
    assert "| a stage | 1.23 | 56.79 | - |" in text
    assert "| c | whole frame, signed | 500,000 | 400,000 | 97 |" in text
