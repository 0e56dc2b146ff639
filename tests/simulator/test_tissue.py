"""Ice around a needle held on a given temperature, against 2-D enthalpy runs."""

from __future__ import annotations

from dataclasses import replace
from math import exp

import pytest

from cryoctl_simulator.scenario import TISSUES
from cryoctl_simulator.tissue import Tissue
from cryoctl_simulator.tissue_properties import TissueProperties

STEP_S = 0.1
NEEDLE_J_K = 0.05
HEATER_W = 1.5
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
        assert radius_mm == pytest.approx(expected_mm, rel=0.05)
        assert cold_mm == pytest.approx(expected_cold_mm, rel=0.05)
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

    # The reference model gives 4.60, 4.59, 4.50 and 4.27 mm.
    assert radii == sorted(radii, reverse=True)
    assert radii == pytest.approx([4.60, 4.59, 4.50, 4.27], rel=0.03)


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

    for _ in range(150):
        ice.update(STEP_S, tip_temp_c=ice.boundary_temp_c, heat_j=0.0)

    assert -1.0 < just_melted_c < 4.0
    assert 12.0 < ice.boundary_temp_c < 30.0


@pytest.mark.parametrize("step_s", [0.01, 0.02, 0.1])
def test_a_heated_needle_warms_as_in_two_dimensions_whatever_the_step(step_s: float) -> None:
    ice = tissue(0.91, 8.0)
    freeze(ice, -67.0, from_s=0.0, to_s=60.0)
    tip_c = -67.0
    seen_c = []

    for step in range(1, round(6.0 / step_s) + 1):
        before_c = tip_c
        weight_w_k = ice.conductance_w_k
        settled_c = ice.boundary_temp_c + HEATER_W / weight_w_k
        tip_c = settled_c + (tip_c - settled_c) * exp(-weight_w_k * step_s / NEEDLE_J_K)
        heat_j = NEEDLE_J_K * (tip_c - before_c) - HEATER_W * step_s
        ice.update(step_s, tip_temp_c=tip_c, heat_j=heat_j)
        if step % round(1.0 / step_s) == 0:
            seen_c.append(tip_c)

    # Reference model with the same needle, in steps of 1 ms on a grid of 0.1 mm.
    assert seen_c == pytest.approx([-21.6, -5.3, 0.7, 6.5, 12.1, 16.9], abs=2.1)


def test_what_the_needle_drew_is_booked_to_the_last_joule() -> None:
    ice = tissue(0.91, 8.0, replace(MUSCLE, perfusion_w_m3_k=0.0))
    drawn_j = 0.0

    for step in range(6000):
        tip_c = -65.0 if step < 3000 else 15.0
        heat_j = heat_w(ice, tip_c) * STEP_S
        ice.update(STEP_S, tip_temp_c=tip_c, heat_j=heat_j)
        drawn_j += heat_j

    # Calm steps are taken together: the last few calls may be waiting.
    assert ice.stored_j == pytest.approx(-drawn_j, abs=abs(heat_w(ice, 15.0)))
    assert drawn_j > 50.0


@pytest.mark.parametrize("place", [(0.8, 0.0), (2.0, 0.0), (1.2, 4.0), (2.0, 5.0), (1.2, 6.0)])
def test_the_field_around_the_needle_is_that_of_the_reference_model(
    place: tuple[float, float],
) -> None:
    ice = tissue(0.91, 8.0)
    freeze(ice, -70.0, from_s=0.0, to_s=120.0)
    reference_c = {
        (0.8, 0.0): -53.0,
        (2.0, 0.0): -26.0,
        (1.2, 4.0): -29.0,
        (2.0, 5.0): -10.0,
        (1.2, 6.0): -6.0,
    }

    assert ice.temp_at_c(*place) == pytest.approx(reference_c[place], abs=4.5)


def test_far_away_the_tissue_is_undisturbed() -> None:
    ice = tissue(0.91, 8.0)
    freeze(ice, -70.0, from_s=0.0, to_s=60.0)

    assert ice.temp_at_c(30.0, 0.0) == 37.0
    assert ice.temp_at_c(0.2, 1.0) == pytest.approx(-70.0, abs=0.1)


def test_gel_freezes_with_a_front_as_in_the_reference_model() -> None:
    gel = tissue(0.91, 8.0, TISSUES["gel_22c"])

    for step in range(1200):
        tip_c = -65.0 + 87.0 * exp(-(step + 1) * STEP_S / 3.0)
        gel.update(STEP_S, tip_temp_c=tip_c, heat_j=heat_w(gel, tip_c) * STEP_S)

    assert gel.radius_mm == pytest.approx(5.06, rel=0.05)
    assert gel.radius_minus20_mm == pytest.approx(2.25, rel=0.05)
    assert gel.volume_mm3 == pytest.approx(803.0, rel=0.06)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"conductivity": -0.5}, "conductivity"),
        ({"latent_heat": float("nan")}, "latent_heat"),
        ({"temp_c": -3.0}, "temp_c"),
        ({"freezing_ends_c": 0.0}, "freezing_ends_c"),
        ({"perfusion_w_m3_k": float("inf")}, "perfusion_w_m3_k"),
    ],
)
def test_tissue_that_cannot_be_is_refused_by_the_name_of_its_field(
    changes: dict[str, float], field: str
) -> None:
    with pytest.raises(ValueError, match=field):
        replace(MUSCLE, **changes)


@pytest.mark.parametrize(
    ("od_mm", "length_mm", "field"),
    [
        (-0.9, 8.0, "od_mm"),
        (float("nan"), 8.0, "od_mm"),
        (0.9, 0.0, "active_length_mm"),
    ],
)
def test_a_needle_without_size_is_refused(od_mm: float, length_mm: float, field: str) -> None:
    with pytest.raises(ValueError, match=field):
        tissue(od_mm, length_mm)


def test_a_heated_needle_melts_a_film_long_before_the_ball_is_gone() -> None:
    ice = tissue(0.91, 8.0)
    freeze(ice, -67.0, from_s=0.0, to_s=60.0)
    volume_mm3 = ice.volume_mm3

    for _ in range(30):
        ice.update(STEP_S, tip_temp_c=10.0, heat_j=heat_w(ice, 10.0) * STEP_S)

    assert ice.film_mm > 0.1
    assert ice.volume_mm3 > 0.95 * volume_mm3
