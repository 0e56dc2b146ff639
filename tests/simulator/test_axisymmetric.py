"""The reference model around a needle: sound input, closed books, symmetry, readings."""

from __future__ import annotations

import pickle
from dataclasses import replace
from math import inf, nan

import numpy as np
import pytest
from pydantic import ValidationError

from cryoctl_simulator.axisymmetric import AxisymmetricTissue, NeedleShape, RingGrid
from cryoctl_simulator.tissue_properties import TissueProperties

MUSCLE = TissueProperties(
    conductivity=0.5,
    conductivity_frozen=2.0,
    density=1050.0,
    heat_capacity=3600.0,
    heat_capacity_frozen=1800.0,
    latent_heat=250e3,
    freezing_starts_c=-1.0,
    freezing_ends_c=-8.0,
    perfusion_w_m3_k=2500.0,
    temp_c=37.0,
)
NEEDLE = NeedleShape(0.91, 8.0)
COARSE = RingGrid(cell_mm=0.3, extent_mm=25.0)


def tissue(properties: TissueProperties = MUSCLE) -> AxisymmetricTissue:
    return AxisymmetricTissue(properties, NEEDLE, COARSE)


# -- input that cannot be ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("od_mm", "length_mm", "field"),
    [
        (-0.91, 8.0, "od_mm"),
        (0.0, 8.0, "od_mm"),
        (nan, 8.0, "od_mm"),
        (0.91, -1.0, "active_length_mm"),
        (0.91, inf, "active_length_mm"),
    ],
)
def test_a_needle_that_cannot_be_is_refused_by_field(
    od_mm: float, length_mm: float, field: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        NeedleShape(od_mm=od_mm, active_length_mm=length_mm)

    (error,) = caught.value.errors()
    assert error["loc"] == (field,)


@pytest.mark.parametrize(
    "field",
    ["conductivity", "conductivity_frozen", "density", "heat_capacity", "latent_heat"],
)
@pytest.mark.parametrize("value", [0.0, -1.0, nan])
def test_empty_tissue_is_refused_by_field(field: str, value: float) -> None:
    with pytest.raises(ValidationError) as caught:
        replace(MUSCLE, **{field: value})

    (error,) = caught.value.errors()
    assert error["loc"] == (field,)


@pytest.mark.parametrize(("field", "value"), [("cell_mm", 0.0), ("extent_mm", -30.0)])
def test_a_grid_without_tissue_is_refused_by_field(field: str, value: float) -> None:
    with pytest.raises(ValidationError) as caught:
        RingGrid(**{field: value})

    (error,) = caught.value.errors()
    assert error["loc"] == (field,)


@pytest.mark.parametrize("tip_c", [100.0, -200.1, nan, inf])
def test_a_tip_outside_its_range_is_refused_and_nothing_has_moved(tip_c: float) -> None:
    model = tissue()

    with pytest.raises(ValueError, match=r"tip_temp_c .* out of range \(-200 to 100 C"):
        model.run(1.0, tip_c)

    assert (model.time_s, model.heat_j, model.stored_j) == (0.0, 0.0, 0.0)


def test_the_hottest_and_the_coldest_tip_are_taken() -> None:
    model = tissue()

    model.run(0.01, 99.9)
    model.run(0.02, -200.0)

    assert model.tip_temp_c == -200.0


@pytest.mark.parametrize("until_s", [0.5, nan, inf, -1.0])
def test_time_runs_forward_only(until_s: float) -> None:
    model = tissue()
    model.run(1.0, 20.0)

    with pytest.raises(ValueError, match=r"until_s .* lies before 1 s, or is no time"):
        model.run(until_s, 20.0)


@pytest.mark.parametrize("duration_s", [-1.0, nan, inf])
def test_heat_is_drawn_over_a_duration(duration_s: float) -> None:
    with pytest.raises(ValueError, match=r"duration_s .* is no duration"):
        tissue().draw(duration_s, 1.0)


@pytest.mark.parametrize("heat_w", [1e3, -1e3, nan])
def test_heat_that_no_needle_can_draw_is_refused_by_name(heat_w: float) -> None:
    with pytest.raises(ValueError, match=r"heat_w .* W would take the needle to"):
        tissue().draw(1.0, heat_w)


# -- books -------------------------------------------------------------------------------------


def test_the_heat_books_close_over_freeze_thaw_and_heating() -> None:
    model = tissue()

    model.run(40.0, -70.0)
    drawn_j = model.heat_j
    model.draw(40.0, 0.0)
    model.run(100.0, 30.0)

    missing_j = model.stored_j - (model.blood_heat_j - model.heat_j)
    assert drawn_j > 150.0
    assert model.blood_heat_j > 1.0
    assert abs(missing_j) < 1e-12 * drawn_j


def test_a_needle_that_draws_no_heat_takes_the_temperature_of_what_is_around_it() -> None:
    model = tissue()

    model.draw(1.0, 0.0)

    assert model.tip_temp_c == pytest.approx(37.0, abs=1e-9)
    assert model.heat_j == pytest.approx(0.0, abs=1e-12)


def test_drawing_heat_books_exactly_what_was_asked_for() -> None:
    model = tissue()

    model.draw(2.0, 3.0)
    model.draw(1.0, 1.5)

    assert model.time_s == 3.0
    assert model.heat_j == pytest.approx(7.5, rel=1e-12)
    assert model.tip_temp_c < 30.0


# -- the field ---------------------------------------------------------------------------------


def test_far_from_its_ends_a_long_needle_cools_both_halves_alike() -> None:
    model = AxisymmetricTissue(MUSCLE, NeedleShape(0.91, 24.0), COARSE)
    model.run(10.0, -70.0)

    for axial_mm in (0.5, 1.5, 3.0):
        beside_c = model.temp_at_c(1.0, axial_mm)
        assert beside_c == pytest.approx(model.temp_at_c(1.0, -axial_mm), abs=1e-3)


def test_the_shaft_takes_up_no_heat_and_the_tip_does() -> None:
    model = tissue()
    model.run(20.0, -70.0)

    assert model.temp_at_c(0.0, 4.3) < -40.0
    assert model.temp_at_c(0.6, -6.5) > model.temp_at_c(0.6, 6.5) - 25.0
    assert np.isnan(model.temps_c()[2][0, 0])


def test_temperatures_rise_outward_from_the_needle_to_the_body() -> None:
    model = tissue()
    model.run(20.0, -70.0)

    temps_c = [model.temp_at_c(0.1 * step, 0.1) for step in range(5, 200)]

    assert temps_c == sorted(temps_c)
    assert model.temp_at_c(0.2, 0.0) == -70.0
    assert temps_c[-1] == pytest.approx(37.0, abs=0.01)


def test_an_isotherm_lies_where_its_temperature_is_read() -> None:
    model = tissue()
    model.run(30.0, -70.0)

    for isotherm_c in (-60.0, -40.0, -20.0, -1.0, 20.0):
        radius_mm = model.radius_mm(isotherm_c)
        assert model.temp_at_c(radius_mm, 0.0) == pytest.approx(isotherm_c, abs=0.5)


def test_isotherms_that_are_not_there_have_no_radius() -> None:
    model = tissue()
    before_mm = model.radius_mm(-1.0), model.ice_volume_mm3, model.frozen_volume_mm3

    model.run(0.002, -30.0)

    assert before_mm == (0.0, 0.0, 0.0)
    assert model.radius_mm(-20.0) == 0.455  # The needle alone is that cold.
    assert model.radius_mm(-40.0) == 0.0


def test_a_finer_grid_changes_the_radii_by_little() -> None:
    coarse, fine = (
        AxisymmetricTissue(MUSCLE, NEEDLE, RingGrid(cell_mm=cell_mm, extent_mm=20.0))
        for cell_mm in (0.3, 0.2)
    )

    for model in (coarse, fine):
        model.run(30.0, -70.0)

    assert coarse.radius_mm(-1.0) == pytest.approx(fine.radius_mm(-1.0), rel=0.015)
    assert coarse.radius_mm(-20.0) == pytest.approx(fine.radius_mm(-20.0), rel=0.015)
    assert coarse.heat_w == pytest.approx(fine.heat_w, rel=0.01)


def test_where_tissue_freezes_at_one_temperature_the_front_is_known_within_a_cell() -> None:
    sharp = replace(MUSCLE, freezing_ends_c=-1.0, perfusion_w_m3_k=0.0)
    needle = NeedleShape(2.0, 20.0)
    fronts_mm = []
    for cell_mm in (0.4, 0.2):
        model = AxisymmetricTissue(sharp, needle, RingGrid(cell_mm=cell_mm, extent_mm=20.0))
        model.run(30.0, -70.0)
        fronts_mm.append(model.front_mm)

    # A long cylinder of the same radius: 3.985 mm on layers of 0.05 mm.
    assert fronts_mm == pytest.approx([3.985, 3.985], rel=0.015)


def test_blood_is_kept_out_by_ice_and_makes_it_smaller() -> None:
    bare = tissue(replace(MUSCLE, perfusion_w_m3_k=0.0))
    flooded = tissue(replace(MUSCLE, perfusion_w_m3_k=40e3))

    for model in (bare, flooded):
        model.run(60.0, -70.0)

    assert bare.blood_heat_j == 0.0
    assert 0.9 < flooded.radius_mm(-1.0) / bare.radius_mm(-1.0) < 0.98


# -- state -------------------------------------------------------------------------------------


def test_a_loaded_copy_continues_identically() -> None:
    model = tissue()
    model.run(5.0, -60.0)

    twin = pickle.loads(pickle.dumps(model))  # As a plant saves it.
    for either in (model, twin):
        either.draw(3.0, 1.0)
        either.run(10.0, -50.0)

    assert twin.heat_j == model.heat_j
    assert twin.blood_heat_j == model.blood_heat_j
    assert np.array_equal(twin.temps_c()[2], model.temps_c()[2], equal_nan=True)
