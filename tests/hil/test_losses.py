"""What one trial of `losses` came to: every way in which it is not as required is told."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("there are no pseudo-terminals", allow_module_level=True)

from cryoctl_hil.assurance import losses
from cryoctl_hil.assurance.losses import Lost
from cryoctl_protocol.codes import DeviceState
from cryoctl_protocol.messages import Telemetry

GOOD = Lost(
    "pty", late_ms=320, frozen_again=False, commands=0, exit_code=3, busy=0.1, is_whole=True
)
NOTHING = Telemetry(*[0] * len(Telemetry._fields))
FREEZING = NOTHING._replace(state=DeviceState.FREEZE, valve_permille=500)
SAFE = NOTHING._replace(state=DeviceState.SAFE)


@pytest.mark.requirement("SR-01")
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, []),
        ({"late_ms": 520}, ["the valve was open for 520 ms"]),
        ({"frozen_again": True}, ["the probe froze again"]),
        ({"commands": 1}, ["1 commands were sent after the loss"]),
        ({"exit_code": None}, ["the controller ended with None"]),
        ({"exit_code": 0}, ["the controller ended with 0"]),
        ({"busy": 0.8}, ["the controller used 80% of a core"]),
        ({"is_whole": False}, ["the recording is not whole"]),
    ],
)
def test_what_is_not_as_required(changes: dict[str, object], told: list[str]) -> None:
    assert GOOD._replace(**changes).faults == told  # type: ignore[arg-type]


@pytest.mark.requirement("SR-01")
@pytest.mark.parametrize(
    ("after", "late_ms", "frozen_again"),
    [
        ([FREEZING, SAFE, SAFE], 40, False),
        ([FREEZING, SAFE, FREEZING], 80, True),
        ([FREEZING, FREEZING, FREEZING], 80, True),
    ],
)
def test_a_probe_is_judged_by_its_own_log_and_a_missing_recording_is_not_whole(
    after: list[Telemetry],
    late_ms: int,
    frozen_again: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = [
        (10.0 + number * 0.02, sample._replace(device_ms=100 + 20 * number))
        for number, sample in enumerate([FREEZING, *after])
    ]
    monkeypatch.setattr(losses, "telemetry_in", lambda _log: said)

    lost = losses._judge(tmp_path, "pty", 10.01, (4, 0.1))

    assert lost == ("pty", late_ms, frozen_again, 0, 4, 0.1, False)
