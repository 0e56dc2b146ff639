"""What one trial of `kills` came to: every way in which it is not as required is told."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("there are no such signals", allow_module_level=True)

from cryoctl_hil.assurance import kills
from cryoctl_hil.assurance.kills import Bereft, Blow, Struck
from cryoctl_protocol.codes import DeviceState
from cryoctl_protocol.messages import Telemetry

GOOD = Struck(
    Blow.KILLED, struck_ms=20_000, open_ms=20_300, recorded_ms=19_980,
    ended_shut=True, trail="NOT CLOSED", unaudited=0,
)  # fmt: skip


@pytest.mark.requirement("SR-01")
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, []),
        ({"open_ms": 20_490}, ["the valve was open for 510 ms"]),
        ({"ended_shut": False}, ["the valve was open at the end"]),
        ({"recorded_ms": None}, ["the recording cannot be read"]),
        ({"recorded_ms": 19_880}, ["120 ms of telemetry were lost"]),
        ({"trail": "ALTERED"}, ["the audit trail was judged ALTERED"]),
        ({"unaudited": 2}, ["the trail lacks 2 events"]),
    ],
)
def test_a_controller_that_is_struck(changes: dict[str, object], told: list[str]) -> None:
    assert kills._faults(GOOD._replace(**changes)) == told  # type: ignore[arg-type]


@pytest.mark.requirement("SR-03")
@pytest.mark.parametrize(
    ("exit_code", "is_whole", "told"),
    [
        (3, True, ""),
        (0, True, "the controller ended with 0, not 3"),
        (None, False, "the controller ended with None, not 3"),
        (3, False, "the recording is not whole"),
    ],
)
def test_a_controller_whose_probe_is_struck(
    exit_code: int | None, is_whole: bool, told: str
) -> None:
    assert Bereft(Blow.STOPPED, exit_code, is_whole).fault == told


@pytest.mark.requirement("SR-34")
def test_a_recording_that_is_none_is_counted_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.mcap").write_bytes(b"torn")
    (tmp_path / "run" / "audit.jsonl").touch()
    nothing = Telemetry(*[0] * len(Telemetry._fields))
    freezing = nothing._replace(state=DeviceState.FREEZE, valve_permille=500)
    told = [(1.0, freezing._replace(device_ms=100)), (3.0, freezing._replace(device_ms=120))]
    monkeypatch.setattr(kills, "telemetry_in", lambda _log: told)

    struck = kills._judge(tmp_path, Blow.KILLED, 100)

    assert struck == (Blow.KILLED, 100, 120, None, False, "NOT CLOSED", 0)
