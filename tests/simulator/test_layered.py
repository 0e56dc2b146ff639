"""The kernel on one-dimensional grids: geometry, books, readings."""

from __future__ import annotations

from math import nan, pi

import pytest

from cryoctl_simulator.axisymmetric import RingGrid
from cryoctl_simulator.layered import LayeredTissue, Shape
from cryoctl_simulator.tissue_properties import TissueProperties

TISSUE = TissueProperties(
    conductivity=0.5,
    conductivity_frozen=2.0,
    density=1050.0,
    heat_capacity=3600.0,
    heat_capacity_frozen=1800.0,
    latent_heat=250e3,
    freezing_starts_c=-1.0,
    freezing_ends_c=-1.0,
    perfusion_w_m3_k=0.0,
    temp_c=37.0,
)
GRID = RingGrid(cell_mm=0.2, extent_mm=40.0, fine_radius_mm=8.0)
SHAPES: tuple[Shape, ...] = ("plane", "cylinder", "sphere")


def layered(shape: Shape, radius_mm: float = 1.0) -> LayeredTissue:
    return LayeredTissue(TISSUE, shape, radius_mm, GRID)


@pytest.mark.parametrize("shape", SHAPES)
def test_heat_is_conserved_in_every_shape(shape: Shape) -> None:
    model = layered(shape)

    model.run(30.0, -70.0)
    drawn_j = model.heat_j
    model.draw(20.0, 0.0)
    model.run(60.0, 20.0)

    assert drawn_j > 0.1
    assert abs(model.stored_j + model.heat_j) < 1e-11 * drawn_j


@pytest.mark.parametrize(
    ("shape", "volume"), [("plane", 2.0), ("cylinder", 8.0 * pi), ("sphere", 4.0 / 3.0 * pi * 26.0)]
)
def test_the_front_is_the_edge_of_the_frozen_volume(shape: Shape, volume: float) -> None:
    model = layered(shape)
    # From radius 1 mm, or from the wall, two millimetres on.
    end_mm = 2.0 if shape == "plane" else 3.0

    while model.front_mm < end_mm:
        model.run(model.time_s + 0.02, -70.0)

    assert model.frozen_volume_mm3 == pytest.approx(volume, rel=0.02)


def test_a_plane_freezes_faster_than_a_cylinder_and_that_than_a_sphere() -> None:
    grown_mm = []
    for shape in SHAPES:
        model = layered(shape)
        model.run(60.0, -70.0)
        grown_mm.append(model.front_mm - model.body_mm)

    # Neumann's plane: 5.80 mm.
    assert grown_mm[0] == pytest.approx(5.80, rel=0.01)
    assert grown_mm == sorted(grown_mm, reverse=True)


def test_a_thin_shell_hardly_knows_that_it_is_round() -> None:
    plane, cylinder = layered("plane"), layered("cylinder", 30.0)

    plane.run(5.0, -70.0)
    cylinder.run(5.0, -70.0)

    assert cylinder.front_mm - 30.0 == pytest.approx(plane.front_mm, rel=0.03)


def test_the_steady_reading_agrees_with_the_frozen_volume_within_a_cell() -> None:
    model = layered("cylinder")

    model.run(60.0, -70.0)

    assert model.steady_front_mm() == pytest.approx(model.front_mm, abs=0.2)


@pytest.mark.parametrize("radius_mm", [0.0, -1.0, 40.0, nan])
@pytest.mark.parametrize("shape", ["cylinder", "sphere"])
def test_a_body_without_room_is_refused_by_name(shape: Shape, radius_mm: float) -> None:
    with pytest.raises(ValueError, match=r"radius_mm .* out of range \(above 0, below the 40 mm"):
        layered(shape, radius_mm)
