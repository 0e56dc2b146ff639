"""A controller that is killed or stopped: the probe is safe in time, and the recording can be had.

``make assure KILLS=50`` says how many of each; ``cryoctl assure kills`` is the same with 100.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cryoctl_hil.assurance.kills import Blow, strike, strike_many

pytestmark = [pytest.mark.assure, pytest.mark.real_time, pytest.mark.timeout(3600)]

KILLS = int(os.environ.get("KILLS", "50"))


@pytest.mark.requirement("SR-01")
@pytest.mark.requirement("SR-34")
def test_a_struck_controller_leaves_a_safe_probe_and_a_readable_recording(tmp_path: Path) -> None:
    struck = strike_many(strike, tmp_path, KILLS, print)

    killed = [one for one in struck if one.blow is Blow.KILLED]
    print(f"\nvalve open for at most {max(one.late_ms for one in struck)} ms (limit 500)")
    print(f"telemetry lost: at most {max(one.lost_ms for one in killed)} ms (limit 100)")
    assert len(struck) == 2 * KILLS
    assert all(one.ended_shut for one in struck)
    assert max(one.late_ms for one in struck) <= 500
    assert all(one.recorded_ms is not None for one in struck)
    assert max(one.lost_ms for one in killed) <= 100
    assert {one.trail for one in struck} == {"NOT CLOSED"}
    assert sum(one.unaudited for one in struck) == 0
