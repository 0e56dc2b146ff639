"""Verification: does the kernel solve its equations? Against exact solutions and heat books."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import log2, sqrt
from typing import Final

import numpy as np

from cryoctl_hil.validation.exact import LineSink, Neumann, steady_cylinder_mm, steady_sphere_mm
from cryoctl_hil.validation.rows import Curve, Findings, Plot, Row, within, within_percent
from cryoctl_hil.validation.sets import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    VIOLET,
    muscle,
    sharp_perfused,
    sharp_tissue,
    sharp_water,
)
from cryoctl_simulator.axisymmetric import AxisymmetricTissue, NeedleShape, RingGrid
from cryoctl_simulator.layered import LayeredTissue, Shape
from cryoctl_simulator.tissue_properties import Array

FRONT_TIMES_S: Final = (10.0, 60.0, 120.0)
FIRST_S: Final = 10
LAST_S: Final = 120
POINTS_S: Final = 60.0  # when temperatures are compared
CELLS_FROM_FRONT: Final = 2.0
FINEST_PERCENT: Final = 2.0
EXTRAPOLATED_PERCENT: Final = 1.0
POINTS_K: Final = 1.0
LOWEST_ORDER: Final = 1.0  # latent heat, released evenly within a cell, costs one of two orders
ORDER_TOLERANCE: Final = 0.1
PLANE_CELLS_MM: Final = (0.4, 0.2, 0.1)
PLANE_FINE_MM: Final = 11.0
PLANE_EXTENT_MM: Final = 60.0
LINE_CELLS_MM: Final = (0.3, 0.15, 0.075)
LINE_RADIUS_MM: Final = 0.05  # of the cylinder that stands for the line
LINE_FINE_MM: Final = 3.6
LINE_EXTENT_MM: Final = 40.0
COLD_C: Final = -70.0
_COLOURS: Final = (BLUE, ORANGE, GREEN, VIOLET, INK)


@dataclass(frozen=True, slots=True)
class FrontRun:
    """A front as the model moved it.

    Attributes:
        fronts_mm: Once a second, from 10 to 120 s.
        places_mm: Of the temperatures.
        temps_c: At 60 s.
    """

    cell_mm: float
    fronts_mm: Array
    places_mm: Array
    temps_c: Array


def _times_s() -> Array:
    return np.arange(FIRST_S, LAST_S + 1, dtype=np.float64)


def _follow(model: LayeredTissue, cell_mm: float, move_to: Callable[[float], None]) -> FrontRun:
    fronts = []
    temps_c = np.empty(0)
    for time_s in _times_s():
        move_to(float(time_s))
        fronts.append(model.front_mm)
        if time_s == POINTS_S:
            temps_c = model.temps_c()
    return FrontRun(cell_mm, np.array(fronts), model.places_mm, temps_c)


def run_plane(exact: Neumann, cell_mm: float) -> FrontRun:
    """Freeze from a plane wall."""
    grid = RingGrid(cell_mm, PLANE_EXTENT_MM, PLANE_FINE_MM)
    model = LayeredTissue(exact.tissue.properties, "plane", 0.0, grid)
    return _follow(model, cell_mm, lambda time_s: model.run(time_s, exact.wall_c))


def run_line(exact: LineSink, cell_mm: float) -> FrontRun:
    """Freeze around a thin cylinder that draws a fixed heat."""
    grid = RingGrid(cell_mm, LINE_EXTENT_MM, LINE_FINE_MM)
    model = LayeredTissue(exact.tissue.properties, "cylinder", LINE_RADIUS_MM, grid)
    return _follow(
        model, cell_mm, lambda time_s: model.draw(time_s - model.time_s, exact.sink_w_mm)
    )


def front_rows(
    name: str, exact: Neumann | LineSink, runs: list[FrontRun]
) -> tuple[list[Row], Array]:
    """Return the rows of one set on three grids, each half as coarse, and their mean errors.

    Within a cell the error of a front swings about its mean, so the mean over all times is what
    converges.
    """
    exact_mm = np.array([exact.front_mm(float(time_s)) for time_s in _times_s()])
    finest = runs[-1]
    rows = []
    for time_s in FRONT_TIMES_S:
        index = int(time_s) - FIRST_S
        rows.append(
            within_percent(
                f"{name}: front at {time_s:.0f} s, mm",
                float(exact_mm[index]),
                float(finest.fronts_mm[index]),
                FINEST_PERCENT,
            )
        )
    means = np.array([float(np.mean(run.fronts_mm / exact_mm - 1.0)) for run in runs])
    coarse, middle, fine = means
    order = log2(abs((coarse - middle) / (middle - fine)))
    limit = fine + (fine - middle) / (2.0**order - 1.0)
    at_end_mm = float(exact_mm[-1])
    title = f"{name}: front at {LAST_S} s, extrapolated, mm"
    rows.append(within_percent(title, at_end_mm, at_end_mm * (1.0 + limit), EXTRAPOLATED_PERCENT))
    title = f"{name}: observed order of convergence"
    rows.append(Row(title, LOWEST_ORDER, order, ORDER_TOLERANCE, rule="at least"))
    away = np.abs(finest.places_mm - exact.front_mm(POINTS_S)) > CELLS_FROM_FRONT * finest.cell_mm
    places_mm = finest.places_mm[away]
    errors_k = finest.temps_c[away] - exact.temps_c(places_mm, POINTS_S)
    rows.append(
        within(
            f"{name}: largest error off the front, K", 0.0, float(np.abs(errors_k).max()), POINTS_K
        )
    )
    return rows, np.abs(means)


def plane_wall() -> Findings:
    """Compare plane freezing with Neumann's solution: wall and start temperature name a set."""
    sets = {
        "water -20/0 C": Neumann.of(sharp_water(1e-6), -20.0),
        "water -20/20 C": Neumann.of(sharp_water(20.0), -20.0),
        "water -70/37 C": Neumann.of(sharp_water(37.0), -70.0),
        "tissue -70/20 C": Neumann.of(sharp_tissue(20.0), -70.0),
        "tissue -70/37 C": Neumann.of(sharp_tissue(37.0), -70.0),
    }
    runs = {
        name: [run_plane(exact, cell) for cell in PLANE_CELLS_MM] for name, exact in sets.items()
    }
    return _findings("Plane wall", "depth", sets, runs, PLANE_CELLS_MM)


def line_sink() -> Findings:
    """Compare freezing around a line of fixed heat with its exact solution."""
    sets = {
        "water 100 W/m, 20 C": LineSink.of(sharp_water(20.0), 0.1),
        "water 200 W/m, 37 C": LineSink.of(sharp_water(37.0), 0.2),
        "tissue 100 W/m, 20 C": LineSink.of(sharp_tissue(20.0), 0.1),
        "tissue 200 W/m, 37 C": LineSink.of(sharp_tissue(37.0), 0.2),
    }
    runs = {name: [run_line(exact, cell) for cell in LINE_CELLS_MM] for name, exact in sets.items()}
    return _findings("Line sink", "radius", sets, runs, LINE_CELLS_MM)


def _findings(
    title: str,
    place: str,
    sets: Mapping[str, Neumann | LineSink],
    runs: dict[str, list[FrontRun]],
    cells_mm: tuple[float, ...],
) -> Findings:
    findings = Findings()
    fronts, errors = [], []
    for (name, exact), colour in zip(sets.items(), _COLOURS, strict=False):
        rows, means = front_rows(name, exact, runs[name])
        findings.rows += rows
        # Coarsest last: labels stand at the end of a line.
        errors.append(Curve(name, np.array(cells_mm)[::-1], 100.0 * means[::-1], colour))
        times_s = _times_s()
        exact_mm = np.array([exact.front_mm(float(time_s)) for time_s in times_s])
        fronts.append(Curve(name, times_s, runs[name][-1].fronts_mm, colour))
        fronts.append(Curve("", times_s[::10], exact_mm[::10], colour, dots=True))
    findings.plots = [
        Plot(
            f"{title}: {place} of the front over time",
            "time, s",
            "mm",
            tuple(fronts),
            "Lines: the model on its finest grid. Dots: the exact solution.",
        ),
        Plot(
            f"{title}: convergence",
            "cell, mm",
            "mean error of the front, %",
            tuple(errors),
            "Mean over 10 to 120 s. A grid half as coarse has between a half and a quarter of the "
            "error, between first and second order: latent heat is released evenly within a cell.",
            logarithmic=True,
        ),
    ]
    return findings


CYLINDER_TIMES_S: Final = (10.0, 30.0, 60.0, 120.0, 180.0)
CYLINDER_FRONTS_MM: Final = {
    0.205: (1.64, 2.48, 3.25, 4.27, 5.02),
    0.45: (2.08, 3.05, 3.93, 5.10, 5.96),
    0.70: (2.45, 3.50, 4.45, 5.71, 6.64),
}


def cold_cylinder() -> Findings:
    """Compare freezing around a long cylinder of fixed temperature with a finer, older run."""
    findings = Findings()
    for radius_mm, fronts_mm in CYLINDER_FRONTS_MM.items():
        model = LayeredTissue(sharp_tissue(37.0), "cylinder", radius_mm, RingGrid(0.1, 50.0, 7.0))
        for time_s, front_mm in zip(CYLINDER_TIMES_S, fronts_mm, strict=True):
            model.run(time_s, COLD_C)
            title = f"radius {radius_mm:g} mm: front at {time_s:.0f} s, mm"
            findings.rows.append(within_percent(title, front_mm, model.front_mm, FINEST_PERCENT))
    return findings


STEADY: Final[tuple[tuple[Shape, float, float, float], ...]] = (
    # Shape, W/(m3 K), radius in mm, and by when it stands still, s.
    ("cylinder", 10_900.0, 0.45, 800.0),
    ("cylinder", 10_900.0, 0.205, 800.0),
    ("sphere", 10_900.0, 1.0, 300.0),
    ("sphere", 2_400.0, 1.0, 900.0),
)
STEADY_CELL_MM: Final = 0.2


def perfused() -> Findings:
    """Compare ice that blood flow has brought to rest with the steady solutions."""
    findings = Findings()
    for shape, perfusion, radius_mm, settled_s in STEADY:
        tissue = sharp_perfused(perfusion)
        solve = steady_cylinder_mm if shape == "cylinder" else steady_sphere_mm
        exact_mm = solve(tissue, COLD_C, radius_mm)
        # Blood reaches 1 / sqrt(perfusion / conductivity) far; eight times that is everything.
        reach_mm = 1e3 * sqrt(tissue.conductivity / perfusion)
        grid = RingGrid(STEADY_CELL_MM, exact_mm + 8.0 * reach_mm, 1.1 * exact_mm)
        model = LayeredTissue(tissue, shape, radius_mm, grid)
        model.run(settled_s, COLD_C)
        title = f"{shape}, radius {radius_mm:g} mm, {perfusion / 1e3:g} kW/(m3 K): last front, mm"
        findings.rows.append(
            within_percent(title, exact_mm, model.steady_front_mm(), FINEST_PERCENT)
        )
    return findings


def heat_books() -> Findings:
    """Check that heat is neither lost nor made in a freeze and thaw around a needle."""
    model = AxisymmetricTissue(muscle(), NeedleShape(0.91, 8.0), RingGrid(0.25))
    model.run(60.0, COLD_C)
    drawn_j = model.heat_j
    model.draw(60.0, 0.0)
    model.run(90.0 + 60.0, 20.0)
    moved_j = drawn_j + model.blood_heat_j
    error = (model.stored_j - (model.blood_heat_j - model.heat_j)) / moved_j
    title = "freeze, thaw, 30 s at 20 C: heat missing / heat moved"
    return Findings([within(title, 0.0, error, 1e-12)])
