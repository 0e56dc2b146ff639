"""The exact solutions give the figures that were computed from the same equations elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from cryoctl_hil.validation.exact import LineSink, Neumann, steady_cylinder_mm, steady_sphere_mm
from cryoctl_simulator.tissue_properties import TissueProperties


def water(temp_c: float) -> TissueProperties:
    return TissueProperties(
        conductivity=0.556,
        conductivity_frozen=2.22,
        density=1000.0,
        heat_capacity=4200.0,
        heat_capacity_frozen=2050.0,
        latent_heat=334e3,
        freezing_starts_c=0.0,
        freezing_ends_c=0.0,
        perfusion_w_m3_k=0.0,
        temp_c=temp_c,
    )


def tissue(temp_c: float, perfusion_w_m3_k: float = 0.0) -> TissueProperties:
    return TissueProperties(
        conductivity=0.5,
        conductivity_frozen=2.0,
        density=1050.0,
        heat_capacity=3600.0,
        heat_capacity_frozen=1800.0,
        latent_heat=250e3,
        freezing_starts_c=-1.0,
        freezing_ends_c=-1.0,
        perfusion_w_m3_k=perfusion_w_m3_k,
        temp_c=temp_c,
    )


@pytest.mark.parametrize(
    ("properties", "wall_c", "coefficient", "fronts_mm"),
    [
        (water(1e-6), -20.0, 0.242901, (1.5987, 3.9159, 5.5380, 12.3832)),
        (tissue(-1.0 + 1e-6), -20.0, 0.255864, (1.6647, 4.0776, 5.7665, 12.8943)),
        (water(20.0), -20.0, 0.204879, (1.3484, 3.3030, 4.6711, 10.4449)),
        (water(37.0), -70.0, 0.350146, (2.3045, 5.6449, 7.9830, 17.8506)),
        (tissue(20.0), -70.0, 0.401531, (2.6124, 6.3990, 9.0495, 20.2353)),
        (tissue(37.0), -70.0, 0.364040, (2.3684, 5.8015, 8.2045, 18.3459)),
    ],
)
def test_neumanns_front(
    properties: TissueProperties, wall_c: float, coefficient: float, fronts_mm: tuple[float, ...]
) -> None:
    exact = Neumann.of(properties, wall_c)

    assert exact.coefficient == pytest.approx(coefficient, abs=1e-6)
    fronts = tuple(exact.front_mm(time_s) for time_s in (10.0, 60.0, 120.0, 600.0))
    assert fronts == pytest.approx(fronts_mm, abs=1e-4)


def test_neumanns_temperatures() -> None:
    depths_mm = np.array([1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 15.0])

    temps_c = Neumann.of(tissue(37.0), -70.0).temps_c(depths_mm, 60.0)

    assert temps_c.tolist() == pytest.approx(
        [-57.595, -45.288, -21.340, 2.472, 25.328, 33.843, 36.956], abs=1e-3
    )


@pytest.mark.parametrize(
    ("properties", "sink_w_mm", "coefficient", "fronts_mm"),
    [
        (water(20.0), 0.1, 0.092263, (0.6072, 1.4874, 2.1035, 4.7036)),
        (water(37.0), 0.2, 0.117377, (0.7725, 1.8923, 2.6761, 5.9840)),
        (tissue(20.0), 0.1, 0.103387, (0.6726, 1.6476, 2.3301, 5.2102)),
        (tissue(37.0), 0.2, 0.131888, (0.8581, 2.1018, 2.9724, 6.6465)),
    ],
)
def test_the_front_around_a_line_sink(
    properties: TissueProperties, sink_w_mm: float, coefficient: float, fronts_mm: tuple[float, ...]
) -> None:
    exact = LineSink.of(properties, sink_w_mm)

    assert exact.coefficient == pytest.approx(coefficient, abs=1e-6)
    fronts = tuple(exact.front_mm(time_s) for time_s in (10.0, 60.0, 120.0, 600.0))
    assert fronts == pytest.approx(fronts_mm, abs=1e-4)


def test_the_temperatures_around_a_line_sink() -> None:
    radii_mm = np.array([0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 10.0])

    temps_c = LineSink.of(tissue(37.0), 0.2).temps_c(radii_mm, 60.0)

    assert temps_c.tolist() == pytest.approx(
        [-34.750, -23.724, -12.716, -1.777, 13.447, 23.212, 32.626, 36.732], abs=1e-3
    )


@pytest.mark.parametrize(
    ("perfusion_w_m3_k", "radius_mm", "cylinder_mm", "sphere_mm"),
    [
        (500.0, 0.205, 31.9, 1.62),
        (500.0, 1.0, 45.9, 6.95),
        (2400.0, 0.45, 20.9, 3.14),
        (2400.0, 0.7, 23.4, 4.56),
        (10900.0, 0.205, 9.74, 1.43),
        (10900.0, 1.0, 15.0, 5.13),
    ],
)
def test_the_last_radius_in_perfused_tissue(
    perfusion_w_m3_k: float, radius_mm: float, cylinder_mm: float, sphere_mm: float
) -> None:
    perfused = tissue(37.0, perfusion_w_m3_k)

    assert steady_cylinder_mm(perfused, -70.0, radius_mm) == pytest.approx(cylinder_mm, rel=3e-3)
    assert steady_sphere_mm(perfused, -70.0, radius_mm) == pytest.approx(sphere_mm, rel=4e-3)


def test_a_freezing_range_is_refused_by_name() -> None:
    ranged = TissueProperties(0.5, 2.0, 1050.0, 3600.0, 1800.0, 250e3, -1.0, -8.0, 0.0, 37.0)

    with pytest.raises(ValueError, match="freezing_ends_c -8 C differs from freezing_starts_c -1"):
        Neumann.of(ranged, -70.0)
