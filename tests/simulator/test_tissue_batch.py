"""Many needles at once are the same needles, one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cryoctl_simulator.scenario import TISSUES, TissueName
from cryoctl_simulator.tissue import Tissue
from cryoctl_simulator.tissue_batch import TissueBatch
from cryoctl_simulator.tissue_properties import TissueProperties

STEP_S = 0.1
COUNT = 12


def many_tissues() -> list[TissueProperties]:
    random = np.random.Generator(np.random.Philox(key=[4, 2]))
    presets: tuple[TissueName, ...] = ("muscle", "gel_22c", "nerve_in_fat")
    return [
        replace(
            TISSUES[presets[number % 3]],
            conductivity=0.3 + 0.2 * random.random(),
            perfusion_w_m3_k=1e4 * random.random(),
        )
        for number in range(COUNT)
    ]


def test_a_batch_freezes_and_thaws_exactly_as_its_needles_do_alone() -> None:
    properties = many_tissues()
    batch = TissueBatch(properties, needle_od_mm=0.91, active_length_mm=8.0)
    singles = [Tissue(one, needle_od_mm=0.91, active_length_mm=8.0) for one in properties]
    coldest_c = np.linspace(-15.0, -80.0, COUNT)
    tip_c = batch.temp_c.copy()

    for step in range(900):
        goal_c = coldest_c if step < 400 else batch.boundary_temp_c if step < 650 else 20.0
        tip_c = tip_c + (goal_c - tip_c) * 0.04
        heat_j = batch.conductance_w_k * (batch.boundary_temp_c - tip_c) * STEP_S
        batch.update(STEP_S, tip_temp_c=tip_c, heat_j=heat_j)
        for number, one in enumerate(singles):
            one.update(STEP_S, tip_temp_c=float(tip_c[number]), heat_j=float(heat_j[number]))
        if step % 100 == 99:
            for name in ("conductance_w_k", "boundary_temp_c", "radius_mm", "radius_minus20_mm"):
                alone = [getattr(one, name) for one in singles]
                assert getattr(batch, name).tolist() == pytest.approx(alone, rel=1e-9, abs=1e-9)

    assert batch.radius_mm.max() > 0.5, "some ice must be left for the comparison to mean much"
