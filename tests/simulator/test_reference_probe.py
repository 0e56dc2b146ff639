"""The lumped reference probe: another program's figures for one set of parameters.

Its line holds 40 mg behind an oversized valve, its orifice passes 35 mg/s against 0.45 bar; it has
no handle and no conduction along the shaft. The shipped probes have a smaller line and valve.
Where a figure is not met, ``docs/explanation/simulation.md`` says by how much, and why.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest

from cryoctl_simulator.plant import Actuators, Plant
from cryoctl_simulator.plant_parameters import shipped_plant_parameters
from cryoctl_simulator.scenario import CartridgeTable, Scenario, TissueTable

OPEN = Actuators(valve=1.0, shutoff_open=True)
SHUT = Actuators()
LINE: Final = {
    "line_capacity_mg": 40.0,
    "valve_flow_factor": 6.0,
    "exhaust_drop_bar": 0.45,
    "handle": None,
    "shaft_to_tip_w_k": 0.0,
}
ONE_20G: Final = {**LINE, "orifice_flow_mg_s": 35.0, "cartridge_volume_ml": 21.0}
THREE_27G: Final = {**LINE, "orifice_flow_mg_s": 75.0}
CARTRIDGE_8_G: Final = {
    "cartridge_fill_g": 8.0,
    "cartridge_volume_ml": 10.5,
    "cartridge_steel_g": 25.0,
}
CARTRIDGE_16_G: Final = {"cartridge_volume_ml": 21.0}


def one_20g(scenario: Scenario | None = None, **changed: Any) -> Plant:
    parameters = replace(shipped_plant_parameters("n2o-20g"), **{**ONE_20G, **changed})
    return Plant(parameters, scenario or Scenario())


def three_27g(**changed: Any) -> Plant:
    parameters = replace(shipped_plant_parameters("n2o-27gx3"), **{**THREE_27G, **changed})
    return Plant(parameters, Scenario())


def run(probe: Plant, actuators: Actuators, seconds: float) -> None:
    for _ in range(round(seconds * 100)):
        probe.step(actuators)


def freeze(probe: Plant, seconds: float = 60.0) -> float:
    """Freeze with the valve open; return the gas used in g."""
    before_g = probe.vented_g
    run(probe, OPEN, seconds)
    return probe.vented_g - before_g


def times_to_s(probe: Plant, temps_c: list[float]) -> list[float]:
    """Return after which times of open valve the tip got as cold as each of ``temps_c``."""
    times_s: list[float] = []
    tick = 0
    while len(times_s) < len(temps_c):
        probe.step(OPEN)
        tick += 1
        while len(times_s) < len(temps_c) and probe.tip_temp_c <= temps_c[len(times_s)]:
            times_s.append(0.01 * tick)
        assert tick < 12_000, f"never colder than {temps_c[len(times_s)]} C"
    return times_s


# -- one freeze --------------------------------------------------------------------------------


def test_the_tip_falls_as_in_the_reference() -> None:
    times_s = times_to_s(one_20g(), [-20.0, -40.0, -50.0, -60.0])

    # This very probe in two-dimensional tissue. The independent calculation, whose tissue keeps
    # no heat near the needle, has 2.6, 4.6, 6.6 and 13.8 s.
    assert times_s == pytest.approx([3.0, 5.35, 7.6, 16.1], rel=0.12)


def test_tip_and_heat_follow_the_reference_series() -> None:
    probe = one_20g()
    seen_c = []
    seen_w = []

    for seconds in (5.0, 2.0, 3.0, 5.0, 5.0, 10.0, 15.0, 15.0, 30.0, 30.0):
        run(probe, OPEN, seconds)
        seen_c.append(probe.tip_temp_c)
        seen_w.append(probe.heat_w)

    # In the first ten seconds the independent calculation is up to 7 K colder, for the same reason.
    assert seen_c[3:] == pytest.approx([-60.7, -62.5, -64.4, -66.0, -66.8, -67.9, -68.5], abs=1.5)
    assert seen_c[5:] == pytest.approx([-64.4, -66.0, -66.8, -67.9, -68.5], abs=0.7)
    assert seen_w == pytest.approx([5.2, 5.1, 4.8, 4.5, 4.4, 4.1, 4.0, 3.8, 3.7, 3.6], rel=0.13)


def test_a_minute_takes_the_reference_amount_of_gas() -> None:
    assert freeze(one_20g()) == pytest.approx(2.15, rel=0.03)
    assert freeze(one_20g(), 120.0) == pytest.approx(4.24, rel=0.03)
    assert freeze(three_27g(**CARTRIDGE_8_G)) == pytest.approx(4.45, rel=0.03)
    air = Scenario(tissue=TissueTable(preset="air"))
    assert freeze(one_20g(air), 20.0) == pytest.approx(0.74, rel=0.05)


def test_in_air_the_tip_goes_to_minus_82() -> None:
    probe = one_20g(Scenario(tissue=TissueTable(preset="air")))

    times_s = times_to_s(probe, [-60.0, -70.0])
    run(probe, OPEN, 18.0)

    assert times_s == pytest.approx([1.8, 1.9], rel=0.15)
    assert probe.tip_temp_c == pytest.approx(-81.7, abs=0.5)


def test_three_27g_needles_level_at_the_reference() -> None:
    probe = three_27g(**CARTRIDGE_8_G)

    times_s = times_to_s(probe, [-20.0, -40.0, -50.0, -60.0])
    run(probe, OPEN, 60.0 - times_s[-1])

    assert times_s == pytest.approx([2.0, 4.1, 7.3, 37.0], rel=0.28)
    assert probe.tip_temp_c == pytest.approx(-61.7, abs=0.7)


# -- one cartridge -----------------------------------------------------------------------------


def cycles(probe: Plant, count: int, thaw_s: float = 60.0) -> list[float]:
    """Freeze for 60 s and thaw, ``count`` times; return the tip at the end of each freeze."""
    ends_c = []
    for _ in range(count):
        freeze(probe)
        ends_c.append(probe.tip_temp_c)
        run(probe, SHUT, thaw_s)
    return ends_c


def test_one_cartridge_gives_six_good_cycles_and_no_seventh() -> None:
    ends_c = cycles(one_20g(), 7)

    assert max(ends_c[:6]) < -66.0
    assert ends_c[6] > -10.0


def test_sixteen_grams_give_three_needles_three_good_cycles_and_no_fourth() -> None:
    ends_c = cycles(three_27g(**CARTRIDGE_16_G), 4)

    assert max(ends_c[:3]) < -60.0
    assert ends_c[3] > -10.0


def test_eight_grams_give_three_needles_one_cycle_and_run_out_in_the_second() -> None:
    probe = three_27g(**CARTRIDGE_8_G)

    ends_c = cycles(probe, 2)

    assert ends_c[0] == pytest.approx(-61.7, abs=0.7)
    assert ends_c[1] == pytest.approx(-6.4, abs=1.5)


def test_three_long_cycles_get_ever_colder_and_fit_into_one_cartridge() -> None:
    probe = one_20g()
    ends_c = []

    for _ in range(3):
        freeze(probe, 120.0)
        ends_c.append(probe.tip_temp_c)
        run(probe, SHUT, 60.0)

    assert ends_c == pytest.approx([-68.5, -69.3, -69.7], abs=0.5)
    assert probe.vented_g == pytest.approx(12.4, rel=0.03)


def test_the_last_liquid_shows_at_the_tip_and_not_in_the_pressure() -> None:
    probe = one_20g()
    run(probe, OPEN, 25.0)
    probe.drain_to(0.0)

    run(probe, OPEN, 3.0)  # 2 s and a second of line.
    after_3_s_c = probe.tip_temp_c
    run(probe, OPEN, 2.0)
    after_5_s_c = probe.tip_temp_c
    run(probe, OPEN, 5.0)

    assert after_3_s_c == pytest.approx(-20.0, abs=4.0)
    assert after_5_s_c == pytest.approx(-10.0, abs=3.0)
    assert probe.tip_temp_c == pytest.approx(-9.0, abs=1.5)
    assert probe.supply_pressure_bar == pytest.approx(51.0, rel=0.05)


# -- sensitivities -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flow_mg_s", "end_c"),
    [(15.0, -39.0), (20.0, -54.0), (25.0, -63.0), (30.0, -66.0), (35.0, -66.8), (45.0, -66.0)],
)
def test_too_little_gas_starves_the_tip_and_too_much_warms_its_exhaust(
    flow_mg_s: float, end_c: float
) -> None:
    probe = one_20g(orifice_flow_mg_s=flow_mg_s, exhaust_drop_bar=0.45 * (flow_mg_s / 35.0) ** 2)

    freeze(probe)

    # 2 K are 2 to 3 % of what the tip was cooled.
    assert probe.tip_temp_c == pytest.approx(end_c, abs=2.0)


@pytest.mark.parametrize(
    ("cartridge_c", "end_c"),
    [
        (5.0, -68.1),
        (10.0, -68.0),
        (15.0, -67.6),
        (22.0, -66.8),
        (25.0, -66.4),
        (30.0, -65.6),
        (34.0, -64.7),
    ],
)
def test_a_warm_cartridge_is_slightly_weaker_although_its_pressure_is_higher(
    cartridge_c: float, end_c: float
) -> None:
    probe = one_20g(Scenario(cartridge=CartridgeTable(temp_c=cartridge_c)))

    freeze(probe)

    assert probe.tip_temp_c == pytest.approx(end_c, abs=0.4)


def test_the_slower_the_hub_is_wetted_the_later_it_freezes() -> None:
    times_s = [
        times_to_s(one_20g(wetting_s=wetting_s), [-20.0])[0] for wetting_s in (0.001, 1.0, 2.0, 4.0)
    ]

    # Half a second later than the independent calculation (1.0, 1.9, 2.6, 3.8 s) at either end.
    later_s = [
        time_s - other_s for time_s, other_s in zip(times_s, [1.0, 1.9, 2.6, 3.8], strict=True)
    ]
    assert later_s == pytest.approx([0.65] * 4, abs=0.3)


@pytest.mark.parametrize(
    # In two-dimensional tissue; the independent calculation has 0.7, 1.1, 1.6 and 3.2 s.
    ("line_mg", "coast_s"),
    [(5.0, 0.83), (20.0, 1.23), (40.0, 1.77), (100.0, 3.41)],
)
def test_the_tip_coasts_on_the_liquid_in_the_line(line_mg: float, coast_s: float) -> None:
    probe = one_20g(line_capacity_mg=line_mg)
    run(probe, OPEN, 60.0)

    tick = 0
    while probe.tip_temp_c < -40.0:
        probe.step(SHUT)
        tick += 1

    assert 0.01 * tick == pytest.approx(coast_s, rel=0.1)
