"""Many freezes in a row: nothing drifts, and no frame is lost."""

from __future__ import annotations

import pytest

from cryoctl_hil.evidence.measure import Measure
from cryoctl_hil.rigs.probe import Probe
from cryoctl_hil.rigs.rig import Rig

FREEZES = 8
QUICK_FREEZES = 2


@pytest.mark.requirement("SR-03")
@pytest.mark.requirement("SR-13")
@pytest.mark.time_limit(900)
def test_many_freezes_are_all_alike(probe: Probe, rig: Rig, measure: Measure) -> None:
    """Eight freezes to -40 °C, thawed by the heater: each as cold, and no telemetry missing."""
    band_c = probe.profile.limits.band_c
    count = QUICK_FREEZES if rig.table.quick else FREEZES
    begin = probe.mark("begin")
    session = probe.host.session
    lost, rejected = session.lost_frames, session.rejects.total()
    for number in range(1, count + 1):
        probe.freeze(-40.0)
        probe.cool_to(-40.0 + band_c)
        probe.let_pass(3.0)
        settled = probe.mark(f"settled {number}")
        probe.let_pass(2.0)
        held = probe.mark(f"held {number}")
        measure.reading(
            f"freeze {number}: mean", "tip_temp_c", "mean", settled, held,
            at_least=-40.0 - band_c, at_most=-40.0 + band_c, unit="°C", requirement="SR-13",
        )  # fmt: skip
        probe.thaw()
        probe.end()
    end = probe.mark("end")

    lost, rejected = session.lost_frames - lost, session.rejects.total() - rejected
    measure.value("frames lost", lost, at_most=0, requirement="SR-03")
    measure.value("frames rejected", rejected, at_most=0, requirement="SR-03")
    measure.count("trips", "device", begin, event="TRIP", at_most=0.0, requirement="SR-13")
    for name, low, high in (("supply_pressure_bar", 40.0, None), ("battery_v", 3.3, None)):
        measure.reading(
            name, name, "min", begin, end, at_least=low, at_most=high, requirement="SR-13"
        )
