"""A needle in tissue: the reference model against an older one, the fast model against it."""

from __future__ import annotations

from collections.abc import Mapping
from math import exp
from typing import Final, NamedTuple

import numpy as np

from cryoctl_hil.validation.rows import Curve, Findings, Isotherms, Plot, Row, within_percent
from cryoctl_hil.validation.sets import BLUE, GREEN, VIOLET, muscle
from cryoctl_simulator.axisymmetric import AxisymmetricTissue, NeedleShape
from cryoctl_simulator.tissue import Tissue
from cryoctl_simulator.tissue_properties import Array

BODY_C: Final = 37.0
FREEZING_C: Final = -1.0
LETHAL_C: Final = -20.0
COOLING_S: Final = 3.0  # time constant of the tip
FAST_STEPS_PER_S: Final = 10  # as the plant moves its tissue
END_S: Final = 120
TABLE_PERCENT: Final = 3.0
TABLE_EARLY_PERCENT: Final = 4.0
HEAT_PERCENT: Final = 5.0
FAST_HEAT_PERCENT: Final = 10.0  # judged from SETTLED_S on
FAST_PERCENT: Final = 5.0
FAST_EARLY_PERCENT: Final = 10.0
SETTLED_S: Final = 20  # from here on the smaller tolerances hold
FAST_TIMES_S: Final = (10, 20, 30, 60, 120)
PICTURE_TIP_C: Final = -70.0
PICTURE_S: Final = 60


class Reference(NamedTuple):
    """Radii at 10, 30, 60 and 120 s, heat into the needle at 10, 60 and 120 s."""

    ice_mm: tuple[float, float, float, float]
    cold_mm: tuple[float, float, float, float]
    heat_w: tuple[float, float, float]


THIN: Final = NeedleShape(0.41, 8.5)
THICK: Final = NeedleShape(0.91, 8.0)
LONGEST: Final = NeedleShape(1.47, 20.0)
THICKEST: Final = NeedleShape(2.0, 10.0)
SHORTEST: Final = NeedleShape(2.0, 3.0)  # the fast model is for no shorter one of this thickness
# Tip temperature -> what another solver of the same equations gave, on cells of 0.15 and 0.05 mm.
THIN_TABLE: Final = {
    -55.0: Reference((1.17, 2.06, 2.69, 3.37), (0.64, 0.96, 1.14, 1.31), (3.2, 2.5, 2.3)),
    -70.0: Reference((1.35, 2.35, 3.08, 3.87), (0.80, 1.25, 1.51, 1.76), (3.9, 3.05, 2.9)),
    -80.0: Reference((1.44, 2.51, 3.30, 4.16), (0.90, 1.42, 1.73, 2.03), (4.35, 3.4, 3.2)),
}
THICK_TABLE: Final = {
    -55.0: Reference((1.58, 2.60, 3.32, 4.10), (1.02, 1.46, 1.70, 1.93), (4.5, 3.2, 3.0)),
    -70.0: Reference((1.75, 2.90, 3.72, 4.62), (1.21, 1.78, 2.12, 2.44), (5.4, 4.0, 3.7)),
    -80.0: Reference((1.86, 3.08, 3.96, 4.92), (1.33, 1.98, 2.37, 2.74), (6.0, 4.5, 4.2)),
}
TABLE_TIMES_S: Final = (10, 30, 60, 120)
HEAT_TIMES_S: Final = (10, 60, 120)
_COLOURS: Final = {-55.0: GREEN, -70.0: BLUE, -80.0: VIOLET}


class Grown(NamedTuple):
    """Radii and heat once a second, from 0 s."""

    ice_mm: Array
    cold_mm: Array
    heat_w: Array


def tip_temp_c(end_c: float, time_s: float) -> float:
    """Return the tip's temperature on its way from the body's to ``end_c``."""
    return end_c + (BODY_C - end_c) * exp(-time_s / COOLING_S)


def grow_reference(model: AxisymmetricTissue, end_c: float) -> Grown:
    """Freeze with the reference model for 120 s."""
    rows = [(0.0, 0.0, 0.0)]
    for second in range(1, END_S + 1):
        model.run(float(second), lambda time_s: tip_temp_c(end_c, time_s))
        rows.append((model.radius_mm(FREEZING_C), model.radius_mm(LETHAL_C), model.heat_w))
    return Grown(*np.array(rows).T)


def grow_fast(needle: NeedleShape, end_c: float) -> Grown:
    """Freeze with the fast model for 120 s."""
    model = Tissue(muscle(), needle_od_mm=needle.od_mm, active_length_mm=needle.active_length_mm)
    rows = [(0.0, 0.0, 0.0)]
    step_s = 1.0 / FAST_STEPS_PER_S
    for step in range(1, END_S * FAST_STEPS_PER_S + 1):
        tip_c = tip_temp_c(end_c, (step - 0.5) * step_s)
        heat_w = model.conductance_w_k * (model.boundary_temp_c - tip_c)
        model.update(step_s, tip_temp_c=tip_c, heat_j=heat_w * step_s)
        if step % FAST_STEPS_PER_S == 0:
            rows.append((model.radius_mm, model.radius_minus20_mm, heat_w))
    return Grown(*np.array(rows).T)


def table_rows(end_c: float, table: Reference, grown: Grown) -> list[Row]:
    """Return the reference model beside the table."""
    rows = []
    for index, second in enumerate(TABLE_TIMES_S):
        percent = TABLE_EARLY_PERCENT if second < SETTLED_S else TABLE_PERCENT
        for name, reference, ours in (
            ("ice", table.ice_mm, grown.ice_mm),
            ("-20 C", table.cold_mm, grown.cold_mm),
        ):
            title = f"(r, z) at {end_c:g} C, {second} s: {name} radius, mm"
            rows.append(within_percent(title, reference[index], float(ours[second]), percent))
    for heat_w, second in zip(table.heat_w, HEAT_TIMES_S, strict=True):
        title = f"(r, z) at {end_c:g} C, {second} s: heat, W"
        rows.append(within_percent(title, heat_w, float(grown.heat_w[second]), HEAT_PERCENT))
    return rows


def fast_rows(end_c: float, reference: Grown, fast: Grown) -> list[Row]:
    """Return the fast model beside the reference model."""
    rows = []
    for second in FAST_TIMES_S:
        percent = FAST_EARLY_PERCENT if second < SETTLED_S else FAST_PERCENT
        for name, true_mm, fast_mm in (
            ("ice", reference.ice_mm, fast.ice_mm),
            ("-20 C", reference.cold_mm, fast.cold_mm),
        ):
            title = f"fast at {end_c:g} C, {second} s: {name} radius, mm"
            row = within_percent(title, float(true_mm[second]), float(fast_mm[second]), percent)
            rows.append(row)
        if second >= SETTLED_S:
            true_w, fast_w = float(reference.heat_w[second]), float(fast.heat_w[second])
            title = f"fast at {end_c:g} C, {second} s: heat, W"
            rows.append(within_percent(title, true_w, fast_w, FAST_HEAT_PERCENT))
    return rows


def _needle(needle: NeedleShape, tables: Mapping[float, Reference | None]) -> Findings:
    """Freeze with both models at the tips of ``tables``; None where there is no older solution."""
    findings = Findings()
    curves: dict[str, list[Curve]] = {"ice": [], "-20 C": []}
    seconds = np.arange(END_S + 1.0)
    for end_c, table in tables.items():
        model = AxisymmetricTissue(muscle(), needle)
        grown, fast = grow_reference(model, end_c), grow_fast(needle, end_c)
        if table is not None:
            findings.rows += table_rows(end_c, table, grown)
        findings.rows += fast_rows(end_c, grown, fast)
        colour = _COLOURS[end_c]
        for name, ours, quick, points in (
            ("ice", grown.ice_mm, fast.ice_mm, table and table.ice_mm),
            ("-20 C", grown.cold_mm, fast.cold_mm, table and table.cold_mm),
        ):
            curves[name] += [
                Curve(f"tip at {end_c:g} °C", seconds, ours, colour),
                Curve("", seconds, quick, colour, dashes="5 3"),
            ]
            if points is not None:
                times_s = np.array(TABLE_TIMES_S, dtype=np.float64)
                curves[name].append(Curve("", times_s, np.array(points), colour, dots=True))
    shape = f"{needle.od_mm:g} x {needle.active_length_mm:g} mm"
    note = (
        "Lines: the reference model in (r, z). Dashes: the fast model that runs in the probe, made "
        "for needles at least 1.5 times as long as thick."
    )
    if any(tables.values()):
        note += (
            " Dots: an older, independent solver of the same equations: they check the code, not "
            "the equations."
        )
    findings.plots = [
        Plot(f"Needle {shape}: {name} radius", "time, s", "mm", tuple(lines), note)
        for name, lines in curves.items()
    ]
    return findings


def thin_needle() -> Findings:
    """Freeze around a needle of 27G."""
    return _needle(THIN, THIN_TABLE)


def thick_needle() -> Findings:
    """Freeze around a needle of 20G."""
    return _needle(THICK, THICK_TABLE)


def longest_needle() -> Findings:
    """Freeze around a long needle of 17G."""
    return _needle(LONGEST, dict.fromkeys(THICK_TABLE))


def thickest_needle() -> Findings:
    """Freeze around a needle of 2 mm."""
    return _needle(THICKEST, dict.fromkeys(THICK_TABLE))


def shortest_needle() -> Findings:
    """Freeze around a needle 1.5 times as long as thick."""
    return _needle(SHORTEST, {PICTURE_TIP_C: None})


def isotherms() -> Findings:
    """Show the field around a 20G needle, and how far the fast model's field is from it."""
    model = AxisymmetricTissue(muscle(), THICK)
    model.run(float(PICTURE_S), lambda time_s: tip_temp_c(PICTURE_TIP_C, time_s))
    radial_mm, axial_mm, temps_c = model.temps_c()
    picture = Isotherms(
        title="Isotherms around a needle of 0.91 x 8 mm at -70 °C after 60 s",
        radial_mm=radial_mm,
        axial_mm=axial_mm,
        temps_c=temps_c,
        levels_c=(-40.0, LETHAL_C, FREEZING_C, 20.0),
        needle_od_mm=THICK.od_mm,
        active_length_mm=THICK.active_length_mm,
        note=(
            "The visible edge of the ice is the line of -1 °C. The zone below -20 °C is little "
            "more than half as wide. The shaft is on the left; it takes up no heat in this model."
        ),
    )
    row = Row(
        "ice beyond the active length, mm (2 to 5 expected)",
        3.5,
        _ice_length_mm(model) - THICK.active_length_mm,
        source="expected, not measured; not judged",
    )
    return Findings([row], [picture])


def _ice_length_mm(model: AxisymmetricTissue) -> float:
    """Return how long the ice is just outside the needle."""
    places_mm = np.arange(-12.0, 12.0, 0.05)
    beside_mm = 0.5 * THICK.od_mm + 0.2
    frozen = [model.temp_at_c(beside_mm, float(place)) < FREEZING_C for place in places_mm]
    return 0.05 * sum(frozen)
