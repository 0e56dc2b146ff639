"""The controller's model of the ice against conduction in (r, z), and against itself."""

from __future__ import annotations

from math import exp

import pytest

from cryoctl.ice_model import IceModel, WetTissue

STEP_S = 0.5
# Conduction in (r, z), k 0.5/2.0 W/(m K), c 3600/1800 J/(kg K), 200 kJ/kg, 5.75 kW/(m3 K), 36 C,
# freezing from -1 to -8 C; the needle at T + (36 - T) exp(-t / 3 s). Cells of 0.2 mm (0.1 mm for
# the thin needle): needle, T, seconds, -20 C radius in mm, heat in W.
REFERENCE = [
    ((0.91, 8.0), -60.0, 30.0, 1.621, 3.80),
    ((0.91, 8.0), -60.0, 60.0, 1.895, 3.44),
    ((0.91, 8.0), -60.0, 120.0, 2.143, 3.20),
    ((0.91, 8.0), -45.0, 60.0, 1.417, 2.68),
    ((0.91, 8.0), -72.0, 60.0, 2.230, 4.04),
    ((0.41, 8.5), -60.0, 60.0, 1.316, 2.65),
    ((1.3, 7.0), -60.0, 60.0, 2.219, 3.68),
    ((2.0, 10.0), -60.0, 60.0, 2.894, 6.03),
]


def frozen(
    needle: tuple[float, float], tip_c: float, until_s: float, tissue: WetTissue | None = None
) -> IceModel:
    """Return a model that has followed an approach to ``tip_c``."""
    model = IceModel(*needle, 36.0, tissue)
    for step in range(round(until_s / STEP_S)):
        at_s = (step + 0.75) * STEP_S
        model.step(STEP_S, tip_c + (36.0 - tip_c) * exp(-at_s / 3.0))
    return model


@pytest.mark.parametrize(("needle", "tip_c", "at_s", "radius_mm", "heat_w"), REFERENCE)
def test_the_minus_20_radius_is_within_2_percent_of_the_reference_and_heat_within_5(
    needle: tuple[float, float], tip_c: float, at_s: float, radius_mm: float, heat_w: float
) -> None:
    model = frozen(needle, tip_c, at_s)

    assert model.radius_mm(-20.0) == pytest.approx(radius_mm, rel=0.02)
    assert model.heat_w == pytest.approx(heat_w, rel=0.05)


def test_ice_that_conducts_better_is_larger_and_gives_more_heat() -> None:
    usual = frozen((0.91, 8.0), -60.0, 40.0)
    better = frozen((0.91, 8.0), -60.0, 40.0, WetTissue(conductivity_frozen=2.2e-3))

    assert better.radius_mm(-20.0) > usual.radius_mm(-20.0)
    assert better.heat_w > usual.heat_w


def test_tissue_with_less_to_freeze_grows_a_larger_radius_with_less_heat() -> None:
    usual = frozen((0.91, 8.0), -60.0, 40.0)
    drier = frozen((0.91, 8.0), -60.0, 40.0, WetTissue(latent_heat=0.16))

    assert drier.radius_mm(-20.0) > usual.radius_mm(-20.0)
    assert drier.heat_w < usual.heat_w


def test_isotherms_lie_inside_one_another_and_a_warm_needle_has_none() -> None:
    model = frozen((0.91, 8.0), -60.0, 40.0)

    radii_mm = [model.radius_mm(at_c) for at_c in (-50.0, -40.0, -20.0, -3.0)]

    assert radii_mm == sorted(radii_mm)
    assert radii_mm[0] > 0.455
    assert model.radius_mm(-60.1) == 0.0
    assert IceModel(0.91, 8.0, 36.0).radius_mm(-3.0) == 0.0


def test_nothing_moves_while_the_needle_is_as_warm_as_the_body() -> None:
    model = IceModel(0.91, 8.0, 36.0)

    for _ in range(100):
        model.step(1.0, 36.0)

    assert model.heat_w == pytest.approx(0.0, abs=1e-9)


def test_the_ice_goes_when_the_needle_is_warm_again() -> None:
    model = frozen((0.91, 8.0), -60.0, 60.0)

    for _ in range(120):
        model.step(1.0, 40.0)

    assert model.radius_mm(-3.0) == 0.0
    model.step(1.0, -4.0)
    assert model.radius_mm(-3.0) < 0.6


def test_one_long_step_is_as_stable_as_many_short_ones() -> None:
    model = frozen((0.91, 8.0), -60.0, 40.0)

    model.step(30.0, -60.0)

    assert 1.7 < model.radius_mm(-20.0) < 2.3
