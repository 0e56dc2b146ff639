"""Ice around a needle held on a given temperature, against 2-D enthalpy runs."""

from __future__ import annotations

from dataclasses import replace
from math import exp

import pytest

from cryoctl_simulator.scenario import TISSUES
from cryoctl_simulator.tissue import Tissue
from cryoctl_simulator.tissue_properties import TissueProperties

STEP_S = 0.1
MUSCLE = TISSUES["muscle"]

# 2-D axisymmetric enthalpy solver, muscle at 37 C, probe at Tp + (37 - Tp) exp(-t / 3 s):
# (OD mm, length mm, Tp C) -> (ice radius mm, -20 C radius mm) at 30, 60, 120 s, and W at 60 s.
RUNS = {
    (0.41, 8.5, -55.0): ([(2.06, 0.96), (2.69, 1.14), (3.37, 1.31)], 2.5),
    (0.41, 8.5, -70.0): ([(2.35, 1.25), (3.08, 1.51), (3.87, 1.76)], 3.05),
    (0.91, 8.0, -55.0): ([(2.60, 1.46), (3.32, 1.70), (4.10, 1.93)], 3.2),
    (0.91, 8.0, -70.0): ([(2.90, 1.78), (3.72, 2.12), (4.62, 2.44)], 4.0),
}


def tissue(od_mm: float, length_mm: float, properties: TissueProperties = MUSCLE) -> Tissue:
    return Tissue(properties, needle_od_mm=od_mm, active_length_mm=length_mm)


def heat_w(ice: Tissue, tip_temp_c: float) -> float:
    return ice.conductance_w_k * (ice.boundary_temp_c - tip_temp_c)


def freeze(ice: Tissue, probe_c: float, *, from_s: float, to_s: float) -> float:
    tip_c = probe_c
    for step in range(round(from_s / STEP_S), round(to_s / STEP_S)):
        tip_c = probe_c + (37.0 - probe_c) * exp(-(step + 1) * STEP_S / 3.0)
        ice.update(STEP_S, tip_temp_c=tip_c, heat_j=heat_w(ice, tip_c) * STEP_S)
    return tip_c


@pytest.mark.parametrize("run", RUNS)
def test_ice_and_cold_core_grow_as_in_the_two_dimensional_runs(
    run: tuple[float, float, float],
) -> None:
    od_mm, length_mm, probe_c = run
    radii, heat_at_60_w = RUNS[run]
    ice = tissue(od_mm, length_mm)
    grown = []
    heats_w = []

    for from_s, to_s in ((0.0, 30.0), (30.0, 60.0), (60.0, 120.0)):
        tip_c = freeze(ice, probe_c, from_s=from_s, to_s=to_s)
        grown.append((ice.radius_mm, ice.radius_minus20_mm))
        heats_w.append(heat_w(ice, tip_c))

    for (radius_mm, cold_mm), (expected_mm, expected_cold_mm) in zip(grown, radii, strict=True):
        assert radius_mm == pytest.approx(expected_mm, rel=0.08)
        assert cold_mm == pytest.approx(expected_cold_mm, rel=0.12)
    assert heats_w[1] == pytest.approx(heat_at_60_w, rel=0.06)


def test_the_lethal_zone_is_about_half_of_the_visible_ice() -> None:
    ice = tissue(0.41, 8.5)

    freeze(ice, -70.0, from_s=0.0, to_s=60.0)

    assert 0.4 < ice.radius_minus20_mm / ice.radius_mm < 0.6


def test_a_tip_warmer_than_minus_20_has_no_lethal_zone() -> None:
    ice = tissue(0.91, 8.0)

    freeze(ice, -19.0, from_s=0.0, to_s=60.0)

    assert ice.radius_mm > 1.0
    assert ice.radius_minus20_mm == 0.0


def test_perfusion_hardly_matters_within_two_minutes() -> None:
    radii = []
    for perfusion in (0.0, 2500.0, 11_000.0, 40_000.0):
        ice = tissue(0.91, 8.0, replace(MUSCLE, perfusion_w_m3_k=perfusion))
        freeze(ice, -68.0, from_s=0.0, to_s=120.0)
        radii.append(ice.radius_mm)

    # The 2-D fit gave 4.40, 4.35, 4.23 and 3.94 mm.
    assert radii == sorted(radii, reverse=True)
    assert radii[3] / radii[0] == pytest.approx(3.94 / 4.40, rel=0.03)


def thaw(ice: Tissue) -> list[tuple[float, float]]:
    """Let a tip that follows the ice thaw; return time and tip temperature until all is melted."""
    times: list[tuple[float, float]] = []
    for step in range(1, 4000):
        tip_c = ice.boundary_temp_c
        ice.update(STEP_S, tip_temp_c=tip_c, heat_j=0.0)
        if ice.volume_mm3 == 0.0:
            return times
        times.append((step * STEP_S, tip_c))
    raise AssertionError("the ice never melted")


@pytest.mark.parametrize(
    ("od_mm", "length_mm", "freeze_s", "gone_s"),
    [(0.91, 8.0, 60.0, 90.0), (0.41, 8.5, 60.0, 69.0), (0.91, 8.0, 120.0, 131.0)],
)
def test_melting_holds_a_false_floor_and_takes_as_long_as_in_two_dimensions(
    od_mm: float, length_mm: float, freeze_s: float, gone_s: float
) -> None:
    ice = tissue(od_mm, length_mm)
    freeze(ice, -67.0, from_s=0.0, to_s=freeze_s)

    melting = thaw(ice)

    assert melting[-1][0] == pytest.approx(gone_s, rel=0.10)
    plateau = [tip_c for time_s, tip_c in melting if 10.0 < time_s < 0.8 * melting[-1][0]]
    assert min(plateau) > -8.1
    assert max(plateau) < -1.0


def test_melted_tissue_warms_up_slowly() -> None:
    ice = tissue(0.91, 8.0)
    freeze(ice, -60.0, from_s=0.0, to_s=30.0)
    thaw(ice)

    just_melted_c = ice.boundary_temp_c
    ice.update(15.0, tip_temp_c=20.0, heat_j=0.0)

    assert just_melted_c == pytest.approx(-1.0, abs=0.5)
    assert ice.boundary_temp_c == pytest.approx(37.0 - 38.0 * exp(-1.0), abs=0.5)


def test_a_heated_needle_melts_a_film_long_before_the_ball_is_gone() -> None:
    ice = tissue(0.91, 8.0)
    freeze(ice, -67.0, from_s=0.0, to_s=60.0)
    volume_mm3 = ice.volume_mm3

    for _ in range(20):
        ice.update(STEP_S, tip_temp_c=10.0, heat_j=heat_w(ice, 10.0) * STEP_S)

    assert ice.film_mm > 0.1
    assert ice.volume_mm3 > 0.95 * volume_mm3
