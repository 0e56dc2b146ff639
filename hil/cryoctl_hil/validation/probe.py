"""Gas, tip and whole probe: saturation against tables, a freeze against a lumped calculation."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cryoctl_hil.validation.rows import Curve, Findings, Plot, Row, within, within_percent
from cryoctl_hil.validation.sets import BLUE, GREEN, ORANGE, RED
from cryoctl_simulator.axisymmetric import RingGrid
from cryoctl_simulator.gas import CO2, N2O
from cryoctl_simulator.plant import Actuators, Plant
from cryoctl_simulator.plant_parameters import shipped_plant_parameters
from cryoctl_simulator.reference_tissue import ReferenceTissue
from cryoctl_simulator.scenario import Scenario, TissueTable
from cryoctl_simulator.tissue_properties import Array

OPEN: Final = Actuators(valve=1.0, shutoff_open=True)
SHUT: Final = Actuators()
TICKS_PER_S: Final = 100

# -- gas ---------------------------------------------------------------------------------------

LIBRARY: Final = "CoolProp 8 (N2O: Lemmon and Span 2006, CO2: Span and Wagner 1996)"
SATURATION_PERCENT: Final = 1.0
FLOOR_K: Final = 0.5
SATURATION: Final = {
    N2O: {0: 31.22, 5: 35.42, 10: 40.01, 15: 45.04, 20: 50.53, 25: 56.52, 30: 63.08, 35: 70.31},
    CO2: {0: 34.85, 5: 39.69, 10: 45.02, 15: 50.87, 20: 57.29, 25: 64.34, 30: 72.14},
}
FLOORS: Final = (
    (N2O, 1.013, -88.5),
    (N2O, 1.5, -81.6),
    (N2O, 2.0, -76.2),
    (N2O, 3.0, -68.0),
    (CO2, 1.013, -78.5),
    (CO2, 1.98, -70.0),
)


COLDEST_TIPS: Final = {"n2o-20g": -88.5, "co2-20g": -78.5}
COLDEST: Final = "{}, wide exhaust, in air: tip after 10 s, C"
WIDE_EXHAUST_BAR: Final = 0.005  # exhaust drop: next to nothing, so the gas boils at 1 atm
SNOW_PERCENT: Final = 3.0


def coldest_c(profile: str, exhaust_drop_bar: float = WIDE_EXHAUST_BAR) -> float:
    """Return what the tip of a probe comes to in air, where hardly anything warms it."""
    parameters = replace(shipped_plant_parameters(profile), exhaust_drop_bar=exhaust_drop_bar)
    plant = Plant(parameters, Scenario(tissue=TissueTable(preset="air")))
    return float(_run(plant, OPEN, 10).tip_c[-1])


def gases() -> Findings:
    """Compare saturation, the coldest tip and dry ice with a property library."""
    findings = Findings()
    for gas, table in SATURATION.items():
        for temp_c, pressure_bar in table.items():
            title = f"{gas.name}: saturation pressure at {temp_c} C, bar"
            ours = gas.saturation_pressure_bar(float(temp_c))
            findings.rows.append(within_percent(title, pressure_bar, ours, SATURATION_PERCENT))
    for gas, pressure_bar, floor_c in FLOORS:
        title = f"{gas.name}: boiling point at an exhaust pressure of {pressure_bar:g} bar, C"
        findings.rows.append(within(title, floor_c, gas.saturation_temp_c(pressure_bar), FLOOR_K))
    for profile, floor_c in COLDEST_TIPS.items():
        findings.rows.append(within(COLDEST.format(profile), floor_c, coldest_c(profile), FLOOR_K))
    findings.rows += [
        within_percent(title, reference, ours, SNOW_PERCENT)
        for title, reference, ours in (
            ("CO2, 20 C to 1 bar: heat, J/g", 167.0, CO2.available_heat_j_g(20.0, 1.013)),
            ("CO2, 20 C to 1 bar: dry ice, share", 0.29, CO2.flash(20.0, 1.013).solid),
        )
    ]
    return findings


# -- the probe ---------------------------------------------------------------------------------

SERIES_PERCENT: Final = 15.0
TIP_K: Final = 2.0
GOOD_TIP_C: Final = -50.0
"""A freeze that ends warmer was no good one."""
LUMPED_ICE: Final = (
    "lumped calculation, whose ice takes up less heat early on than conduction does; not judged"
)
ON_THE_FLOOR: Final = (
    "lumped calculation with 40 mg of liquid behind the valve, not 8; a tip without gas stays near "
    "-8 C, so the moment says little; not judged"
)
BESIDE_REFERENCE: Final = "the same probe in (r, z) tissue"
# Cells of 0.15 mm are too coarse for a thin needle's first seconds: around 27G the tip is at -20 C
# after 1.55 s on them and after 2.32 s on cells of 0.05 mm (2.33 s on 0.1 mm).
FINE: Final = RingGrid(cell_mm=0.05, extent_mm=8.0, fine_radius_mm=2.0)
FINE_TIMES_S: Final = (1, 2, 3, 5, 10)
JUDGED_FROM_S: Final = 3
TOO_EARLY: Final = "the same probe in (r, z) tissue; the fast model is too warm here: not judged"
COARSE_TIMES_S: Final = (20,)
BESIDE_SHARE: Final = 0.05  # of what the tip was cooled by


class Series(NamedTuple):
    """What a lumped calculation of a probe gave for 60 s open and the thaw that follows.

    Attributes:
        cooling_s: Time to each tip temperature.
        thaw_s: Time to each tip temperature after closing.
        gone_s: Time to the end of the ice after closing: the tip is at 0 C at that moment.
    """

    cooling_s: dict[float, float]
    tip_c: float
    ice_mm: float
    heat_w: float
    gas_g: float
    thaw_s: dict[float, float]
    gone_s: float
    good_cycles: int


TWENTY: Final = Series(
    cooling_s={0.0: 1.2, -20.0: 2.6, -40.0: 4.6, -50.0: 6.6, -60.0: 13.8},
    tip_c=-66.8,
    ice_mm=3.52,
    heat_w=3.84,
    gas_g=2.15,
    thaw_s={-20.0: 2.8, -8.0: 7.1},
    gone_s=88.0,
    good_cycles=6,
)
THREE: Final = Series(
    cooling_s={0.0: 0.7, -20.0: 2.0, -40.0: 4.1, -50.0: 7.3, -60.0: 37.0},
    tip_c=-61.7,
    ice_mm=2.85,
    heat_w=8.6,
    gas_g=4.45,
    thaw_s={-20.0: 1.5, -8.0: 4.1},
    gone_s=65.0,
    good_cycles=3,
)
FREEZE_S: Final = 60
THAW_S: Final = 140
# Tip of the 20G probe over time, valve open for 60 s: the same lumped calculation.
TIP_OVER_TIME: Final = (
    (1.0, 6.9), (2.0, -11.8), (3.0, -24.7), (5.0, -42.6), (7.0, -51.4), (10.0, -57.0),
    (15.0, -60.7), (20.0, -62.5), (30.0, -64.4), (45.0, -66.0), (60.0, -66.8), (70.0, -7.9),
    (80.0, -7.8), (100.0, -6.6), (120.0, -4.4), (140.0, -1.9),
)  # fmt: skip


class Traced(NamedTuple):
    """A freeze and thaw, tick by tick."""

    plant: Plant
    time_s: Array
    tip_c: Array
    ice_mm3: Array


def _plant(profile: str, tissue: TissueTable | None = None) -> Plant:
    return Plant(shipped_plant_parameters(profile), Scenario(tissue=tissue or TissueTable()))


def _run(plant: Plant, actuators: Actuators, seconds: int) -> Traced:
    tips_c, volumes_mm3 = [], []
    for _ in range(seconds * TICKS_PER_S):
        plant.step(actuators)
        tips_c.append(plant.tip_temp_c)
        volumes_mm3.append(plant.ice_volume_mm3)
    times_s = np.arange(1, len(tips_c) + 1) / TICKS_PER_S
    return Traced(plant, times_s, np.array(tips_c), np.array(volumes_mm3))


def _first_s(traced: Traced, reached: NDArray[np.bool_]) -> float | None:
    """Return when something was first true; None if it never was."""
    return float(traced.time_s[np.argmax(reached)]) if bool(reached.any()) else None


def _good_cycles(profile: str) -> int:
    """Return how many cycles of 60 s freeze and 60 s pause a cartridge lasts for."""
    plant = _plant(profile)
    good = 0
    while True:
        _run(plant, OPEN, FREEZE_S)
        if plant.tip_temp_c > GOOD_TIP_C:
            return good
        good += 1
        _run(plant, SHUT, FREEZE_S)


def _in_reference(profile: str, grid: RingGrid, seconds: int) -> Traced:
    """Freeze in (r, z) tissue cut as finely as ``grid`` says."""
    plant = _plant(profile, TissueTable(model="reference"))
    parameters = plant.parameters
    plant.tissue = ReferenceTissue(
        plant.tissue.properties,
        needle_od_mm=parameters.needle_od_mm,
        active_length_mm=parameters.active_length_mm,
        grid=grid,
    )
    return _run(plant, OPEN, seconds)


def _cooling_rows(series: Series, frozen: Traced, fine: Traced) -> list[Row]:
    """Return when the tip was how cold beside the lumped calculation, and in (r, z) tissue."""
    rows = []
    for level_c, seconds in series.cooling_s.items():
        title = f"tip at {level_c:g} C after, s"
        ours = _first_s(frozen, frozen.tip_c <= level_c)
        rows.append(Row(f"valve open: {title}", seconds, ours, source=LUMPED_ICE))
        in_reference = _first_s(fine, fine.tip_c <= level_c)
        if in_reference is not None:  # Within the 10 s of that run.
            title = f"the same in (r, z) tissue: {title}"
            rows.append(Row(title, seconds, in_reference, source=LUMPED_ICE))
    return rows


def _beside_rows(frozen: Traced, beside: Traced, times_s: tuple[int, ...]) -> list[Row]:
    """Return how cold the tip was beside the same probe in (r, z) tissue."""
    rows = []
    for second in times_s:
        tick = second * TICKS_PER_S - 1
        tip_c = float(beside.tip_c[tick])
        title = f"valve open: tip after {second} s, C"
        if second < JUDGED_FROM_S:
            rows.append(Row(title, tip_c, float(frozen.tip_c[tick]), source=TOO_EARLY))
            continue
        tolerance_k = BESIDE_SHARE * (beside.plant.tissue.temp_c - tip_c)
        row = within(title, tip_c, float(frozen.tip_c[tick]), tolerance_k)
        rows.append(replace(row, source=BESIDE_REFERENCE))
    return rows


def _end_rows(series: Series, plant: Plant) -> list[Row]:
    """Return what a freeze of 60 s ends with."""
    rows = [within("tip after 60 s, C", series.tip_c, plant.tip_temp_c, TIP_K)]
    rows += [
        within_percent(title, reference, ours, SERIES_PERCENT)
        for title, reference, ours in (
            ("ice radius after 60 s, mm", series.ice_mm, plant.ice_radius_mm),
            ("heat into the needles after 60 s, W", series.heat_w, plant.heat_w),
            ("gas used in 60 s, g", series.gas_g, plant.vented_g),
        )
    ]
    return rows


def _thaw_rows(series: Series, thawed: Traced) -> list[Row]:
    rows = []
    for level_c, seconds in series.thaw_s.items():
        title = f"valve shut: tip at {level_c:g} C after, s"
        ours = _first_s(thawed, thawed.tip_c >= level_c)
        rows.append(Row(title, seconds, ours, source=ON_THE_FLOOR))
    gone_s = _first_s(thawed, thawed.ice_mm3 == 0.0)
    rows.append(
        within_percent("valve shut: ice gone after, s", series.gone_s, gone_s, SERIES_PERCENT)
    )
    return rows


def _freeze_and_thaw(profile: str, series: Series) -> tuple[list[Row], Traced, Traced]:
    plant = _plant(profile)
    frozen = _run(plant, OPEN, FREEZE_S)
    fine = _in_reference(profile, FINE, FINE_TIMES_S[-1])
    coarse = _in_reference(profile, RingGrid(), COARSE_TIMES_S[-1])
    rows = _cooling_rows(series, frozen, fine)
    rows += _beside_rows(frozen, fine, FINE_TIMES_S)
    rows += _beside_rows(frozen, coarse, COARSE_TIMES_S)
    rows += _end_rows(series, plant)
    thawed = _run(plant, SHUT, THAW_S)
    rows += _thaw_rows(series, thawed)
    cycles = _good_cycles(profile)
    rows.append(within("good cycles of 60 s from 16 g", series.good_cycles, cycles, 0.0))
    return rows, frozen, thawed


def _curve(label: str, frozen: Traced, thawed: Traced, colour: str) -> Curve:
    times_s = np.concatenate([frozen.time_s, FREEZE_S + thawed.time_s])[::20]
    return Curve(label, times_s, np.concatenate([frozen.tip_c, thawed.tip_c])[::20], colour)


def twenty_gauge() -> Findings:
    """Run the 20G probe in muscle, in gel and in air."""
    rows, frozen, thawed = _freeze_and_thaw("n2o-20g", TWENTY)
    gel = _plant("n2o-20g", TissueTable(preset="gel_22c"))
    in_gel = _run(gel, OPEN, FREEZE_S)
    air = _plant("n2o-20g", TissueTable(preset="air"))
    in_air = _run(air, OPEN, 20)
    rows += [
        within("22 C gel: tip after 60 s, C", -65.1, gel.tip_temp_c, TIP_K),
        within_percent("22 C gel: ice radius, mm", 3.72, gel.ice_radius_mm, SERIES_PERCENT),
        within("in air: tip after 20 s, C", -81.7, air.tip_temp_c, 1.0),
    ]
    dots = np.array(TIP_OVER_TIME)
    curves = (
        _curve("in muscle", frozen, thawed, BLUE),
        Curve("in gel, freeze", in_gel.time_s[::20], in_gel.tip_c[::20], GREEN, dashes="5 3"),
        Curve("in air", in_air.time_s[::20], in_air.tip_c[::20], ORANGE, dashes="2 3"),
        Curve("lumped calculation", dots[:, 0], dots[:, 1], RED, dots=True),
    )
    note = (
        "Valve open for 60 s, then shut. The dots are a lumped calculation. Our tip takes 20 to "
        "28 % longer to -20 °C and below. A quarter of a second of that is how the calculation "
        "wets its hub, of which too little is known; the rest is the tissue: put into (r, z) "
        "tissue, the same probe takes 17 to 20 % longer. So these times are shown, and the tip is "
        "judged beside (r, z) tissue, on cells of 0.05 mm for the first 10 s. The lumped line "
        "holds 40 mg of liquid instead of 8 and cools on for longer."
    )
    return Findings(rows, [Plot("20G probe: tip", "time, s", "°C", curves, note)])


def three_needles() -> Findings:
    """Run the probe of three 27G needles in muscle."""
    rows, frozen, thawed = _freeze_and_thaw("n2o-27gx3", THREE)
    points = np.array([(s, c) for c, s in THREE.cooling_s.items()] + [(60.0, THREE.tip_c)])
    curves = (
        _curve("in muscle", frozen, thawed, BLUE),
        Curve("lumped calculation", points[:, 0], points[:, 1], RED, dots=True),
    )
    note = (
        "Valve open for 60 s, then shut. The dots are a lumped calculation; as with the 20G probe "
        "its tip falls faster. In its first two seconds ours is up to 7 K warmer than the same "
        "probe in (r, z) tissue, and 3 K from 3 s on: shown before 3 s, judged from there on. This "
        "is why it reaches -50 °C later: there the tip is already slow. Cells of 0.15 mm are too "
        "coarse for this: on them the tip is at -20 °C after 1.6 s, on cells of 0.05 mm, as here, "
        "after 2.3 s. The time to -60 °C, 1 K above where it levels off, says little."
    )
    return Findings(rows, [Plot("Three 27G needles: tip", "time, s", "°C", curves, note)])
