"""The whole plant: freezing, thawing, emptying, breaking, and books that close."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoctl_simulator.plant import Actuators, Plant
from cryoctl_simulator.plant_parameters import Regulator, shipped_plant_parameters
from cryoctl_simulator.scenario import CartridgeTable, HandTable, Scenario, TissueTable
from cryoctl_simulator.tissue import Tissue

PROFILES = ["n2o-20g", "n2o-27gx3", "co2-20g"]
OPEN = Actuators(valve=1.0, shutoff_open=True)
SHUT = Actuators()
AIR = Scenario(tissue=TissueTable(preset="air"))


def plant(
    profile: str = "n2o-20g",
    scenario: Scenario | None = None,
    tick_s: float = 0.01,
    **changed: Any,
) -> Plant:
    parameters = replace(shipped_plant_parameters(profile), **changed)
    return Plant(parameters, scenario or Scenario(), tick_s=tick_s)


def books_g(probe: Plant) -> float:
    """Return all the gas there is, wherever it is."""
    return probe.liquid_g + probe.vapour_g + probe.line_g + probe.stuck_g + probe.vented_g


def run(probe: Plant, actuators: Actuators, seconds: float, tick_s: float = 0.01) -> None:
    for _ in range(round(seconds / tick_s)):
        probe.step(actuators)


def time_until(
    probe: Plant, actuators: Actuators, reached: Callable[[Plant], bool], limit_s: float = 300.0
) -> float:
    for tick in range(1, round(limit_s * 100) + 1):
        probe.step(actuators)
        if reached(probe):
            return tick * 0.01
    raise AssertionError(f"not reached within {limit_s} s")


def hold(probe: Plant, setpoint_c: float, seconds: float) -> list[float]:
    """Regulate the true tip by a plain PI rule on the valve's duty; return the tip temperatures."""
    actuators = Actuators(shutoff_open=True)
    duty = 0.6
    tips_c = []
    for _ in range(round(100 * seconds)):
        error_c = probe.tip_temp_c - setpoint_c
        if abs(error_c) < 5.0:
            duty = min(max(duty + 0.0002 * error_c, 0.0), 1.0)
        actuators.valve = min(max(duty + 0.06 * error_c, 0.0), 1.0)
        probe.step(actuators)
        tips_c.append(probe.tip_temp_c)
    return tips_c


# -- freezing ----------------------------------------------------------------------------------


def test_a_20g_needle_in_muscle_freezes_as_in_the_reference() -> None:
    probe = plant()

    run(probe, OPEN, 60.0)

    assert probe.tip_temp_c == pytest.approx(-66.8, abs=1.0)
    assert 3.4 < probe.ice_radius_mm < 3.7
    assert probe.radius_minus20_mm == pytest.approx(2.0, rel=0.12)
    assert probe.ice_volume_mm3 == pytest.approx(340.0, rel=0.08)
    assert probe.heat_w == pytest.approx(3.84, rel=0.05)
    assert probe.vented_g == pytest.approx(2.15, rel=0.05)


@pytest.mark.parametrize(
    ("profile", "band_c", "latest_s"),
    [("n2o-20g", -58.0, 14.0), ("n2o-27gx3", -53.0, 14.0), ("co2-20g", -58.0, 14.0)],
)
def test_every_probe_reaches_its_band_with_time_to_spare(
    profile: str, band_c: float, latest_s: float
) -> None:
    reached_s = time_until(plant(profile), OPEN, lambda p: p.tip_temp_c <= band_c)

    assert 5.0 < reached_s < latest_s


def test_three_27g_needles_level_off_warmer_than_one_20g() -> None:
    probe = plant("n2o-27gx3")

    run(probe, OPEN, 60.0)

    assert probe.tip_temp_c == pytest.approx(-61.7, abs=1.0)
    assert probe.ice_radius_mm == pytest.approx(2.85, rel=0.05)
    assert probe.heat_w == pytest.approx(8.6, rel=0.05)
    assert probe.vented_g == pytest.approx(4.45, rel=0.05)


def test_in_air_the_tip_stops_just_above_the_boiling_gas() -> None:
    probe = plant(scenario=AIR)

    run(probe, OPEN, 20.0)

    assert probe.tip_temp_c == pytest.approx(-81.7, abs=1.0)
    assert probe.tip_temp_c > probe.saturation_temp_c
    assert probe.ice_radius_mm == 0.0


@pytest.mark.parametrize(("profile", "floor_c"), [("n2o-20g", -88.5), ("co2-20g", -78.5)])
def test_without_back_pressure_the_floor_is_the_boiling_point_at_one_atmosphere(
    profile: str, floor_c: float
) -> None:
    probe = plant(profile, AIR, exhaust_drop_bar=0.005)

    run(probe, OPEN, 10.0)

    assert probe.tip_temp_c == pytest.approx(floor_c, abs=0.5)


def test_gel_at_22_c_levels_near_the_reference() -> None:
    probe = plant(scenario=Scenario(tissue=TissueTable(preset="gel_22c")))

    run(probe, OPEN, 60.0)

    assert probe.tip_temp_c == pytest.approx(-65.1, abs=1.0)
    # The same probe on the reference model of tissue: 3.86 mm.
    assert probe.ice_radius_mm == pytest.approx(3.86, rel=0.05)


@pytest.mark.parametrize(
    ("profile", "setpoint_c"), [("n2o-20g", -60.0), ("n2o-27gx3", -55.0), ("co2-20g", -60.0)]
)
def test_the_line_is_small_enough_to_hold_a_set_point_within_two_kelvin(
    profile: str, setpoint_c: float
) -> None:
    probe = plant(profile)

    tips_c = hold(probe, setpoint_c, 80.0)

    held_c = tips_c[2000:]
    assert max(held_c) < setpoint_c + 2.0
    assert min(held_c) > setpoint_c - 2.0


@pytest.mark.parametrize("profile", PROFILES)
def test_three_default_cycles_fit_into_one_cartridge(profile: str) -> None:
    setpoint_c, low_bar = {
        "n2o-20g": (-60.0, 40.0),
        "n2o-27gx3": (-55.0, 40.0),
        "co2-20g": (-60.0, 44.0),
    }[profile]
    probe = plant(profile)

    for _ in range(3):
        hold(probe, setpoint_c, 75.0)
        assert probe.tip_temp_c == pytest.approx(setpoint_c, abs=2.0)
        assert probe.supply_pressure_bar > low_bar
        assert probe.liquid_g > 0.0
        time_until(probe, SHUT, lambda p: p.tip_temp_c > 5.0)


# -- stopping and thawing ----------------------------------------------------------------------


@pytest.mark.parametrize("profile", PROFILES)
def test_cooling_is_over_well_before_the_profile_expects_it(profile: str) -> None:
    probe = plant(profile)
    run(probe, OPEN, 60.0)
    stopped_c = probe.tip_temp_c

    run(probe, SHUT, 1.0)

    assert probe.exhaust_flow_mg_s < 0.05 * 35.0
    assert probe.tip_temp_c > stopped_c + 20.0


def test_the_thaw_sits_on_a_false_floor_and_then_rises() -> None:
    probe = plant()
    run(probe, OPEN, 60.0)

    time_until(probe, SHUT, lambda p: p.tip_temp_c > -20.0, limit_s=3.0)
    run(probe, SHUT, 8.0)
    floor_c = []
    for _ in range(55):
        run(probe, SHUT, 1.0)
        floor_c.append(probe.tip_temp_c)
    gone_s = time_until(probe, SHUT, lambda p: p.ice_volume_mm3 == 0.0)
    warm_s = time_until(probe, SHUT, lambda p: p.tip_temp_c > 5.0)

    assert min(floor_c) > -8.2
    assert max(floor_c) < -1.0
    assert floor_c[20:] == sorted(floor_c[20:])
    assert 9.0 + 55.0 + gone_s == pytest.approx(90.0, rel=0.1)
    assert warm_s < 10.0


def test_the_thaw_follows_the_reference_series() -> None:
    probe = plant()
    run(probe, OPEN, 60.0)
    seen_c = []

    for _ in range(4):
        run(probe, SHUT, 20.0)
        seen_c.append(probe.tip_temp_c)

    # The same probe on the reference model of tissue: -7.3, -5.5, -3.4 and +3.1 C.
    assert seen_c[:3] == pytest.approx([-7.3, -5.5, -3.4], abs=1.3)
    assert -3.0 < seen_c[3] < 4.0


def test_the_heater_frees_the_needle_in_seconds() -> None:
    probe = plant()
    run(probe, OPEN, 60.0)

    tissue = probe.tissue
    assert isinstance(tissue, Tissue)

    free_s = time_until(probe, Actuators(tip_heater=1.0), lambda _: tissue.film_mm > 0.1)

    # Reference model with a needle of 0.05 J/K, on a grid of 0.1 mm: between 4.0 and 4.5 s.
    assert free_s == pytest.approx(4.25, rel=0.15)
    assert probe.ice_volume_mm3 > 300.0


def test_the_heater_alone_burns_within_seconds() -> None:
    probe = plant()

    burnt_s = time_until(probe, Actuators(tip_heater=1.0), lambda p: p.tip_temp_c > 60.0)

    assert burnt_s < 3.0


def test_a_second_freeze_in_chilled_tissue_is_faster() -> None:
    probe = plant()
    first_s = time_until(probe, OPEN, lambda p: p.tip_temp_c < -50.0)
    run(probe, OPEN, 50.0)
    time_until(probe, SHUT, lambda p: p.tip_temp_c > 10.0)

    second_s = time_until(probe, OPEN, lambda p: p.tip_temp_c < -50.0)

    assert second_s < first_s


# -- gas ---------------------------------------------------------------------------------------


def test_an_empty_cartridge_warms_the_tip_while_the_pressure_still_looks_well() -> None:
    probe = plant()
    run(probe, OPEN, 60.0)
    probe.drain_to(0.0)

    to_minus_20_s = time_until(probe, OPEN, lambda p: p.tip_temp_c > -20.0, limit_s=5.0)
    run(probe, OPEN, 6.0)

    assert 0.5 < to_minus_20_s < 3.0
    assert probe.tip_temp_c == pytest.approx(-9.0, abs=2.0)
    assert probe.supply_pressure_bar > 48.0
    assert probe.exhaust_flow_mg_s > 15.0


def test_draining_leaves_the_liquid_asked_for_and_the_pressure_alone() -> None:
    probe = plant()
    start_bar = probe.supply_pressure_bar

    probe.drain_to(0.5)

    assert probe.liquid_g == pytest.approx(0.5)
    assert probe.cartridge.pressure_bar == start_bar
    probe.drain_to(3.0)
    assert probe.liquid_g == pytest.approx(0.5)


def test_vapour_draw_hardly_cools_and_lets_the_pressure_fall() -> None:
    scenario = Scenario(cartridge=CartridgeTable(orientation="vapour"))
    probe = plant(scenario=scenario)
    start_bar = probe.supply_pressure_bar

    run(probe, OPEN, 60.0)

    assert probe.tip_temp_c > -5.0
    assert probe.supply_pressure_bar < start_bar - 4.0


def test_a_warm_full_cartridge_reads_high() -> None:
    probe = plant()

    probe.cartridge_temp_c = 40.0
    run(probe, SHUT, 0.1)

    assert probe.supply_pressure_bar > 68.0


FAULTS = st.one_of(
    st.tuples(st.just("valve_held"), st.sampled_from([None, 0.0, 0.3, 1.0])),
    st.tuples(st.just("shutoff_stuck"), st.sampled_from([None, True, False])),
    st.tuples(st.just("orifice_open_fraction"), st.floats(0.0, 1.0)),
    st.tuples(st.just("exhaust_open_fraction"), st.floats(0.0, 1.0)),
    st.tuples(st.just("supply_leak_mg_s"), st.floats(0.0, 50.0)),
    st.tuples(st.just("tip_leak_fraction"), st.floats(0.0, 1.0)),
    st.tuples(st.just("vapour_draw"), st.booleans()),
    st.tuples(st.just("contact"), st.floats(0.0, 1.0)),
    st.tuples(st.just("heater_held"), st.sampled_from([None, 0.0, 0.2])),
    st.tuples(st.just("cartridge_temp_c"), st.floats(-10.0, 45.0)),
    st.tuples(st.just("moisture_ppm"), st.floats(0.0, 5000.0)),
)
REGULATOR = Regulator(pressure_bar=42.0, droop_bar=4.0, lag_s=0.3, fill_mg_s=400.0)


@settings(max_examples=60, deadline=None)
@given(
    profile=st.sampled_from(PROFILES),
    in_air=st.booleans(),
    regulator=st.sampled_from([None, REGULATOR]),
    other_gas=st.sampled_from([None, "CO2", "N2O"]),
    drained_g=st.sampled_from([None, 0.0, 3.0]),
    moves=st.lists(
        st.tuples(st.floats(0.0, 1.0), st.booleans(), FAULTS, st.floats(0.03, 4.0)),
        min_size=3,
        max_size=25,
    ),
)
def test_the_books_close_whatever_happens(
    *,
    profile: str,
    in_air: bool,
    regulator: Regulator | None,
    other_gas: Any,
    drained_g: float | None,
    moves: list[tuple[float, bool, tuple[str, Any], float]],
) -> None:
    probe = plant(profile, AIR if in_air else None, regulator=regulator)

    for step, (valve, shutoff_open, (fault, value), seconds) in enumerate(moves):
        setattr(probe, fault, value)
        if step == 2 and drained_g is not None:
            probe.drain_to(drained_g)
        if step == 1 and other_gas is not None:
            probe.change_gas(other_gas)
        run(probe, Actuators(valve=valve, shutoff_open=shutoff_open), seconds)
        assert books_g(probe) == pytest.approx(16.0, rel=1e-9)
        assert probe.stuck_g >= 0.0


def test_the_books_hold_snow_ice_leaks_and_a_dump_at_once() -> None:
    probe = plant("co2-20g", AIR)
    probe.moisture_ppm = 500.0

    run(probe, OPEN, 40.0)
    stuck_g = probe.stuck_g
    probe.supply_leak_mg_s = 5.0
    probe.tip_leak_fraction = 0.3
    probe.exhaust_open_fraction = 0.0
    run(probe, OPEN, 20.0)
    probe.drain_to(2.0)
    run(probe, SHUT, 20.0)

    assert stuck_g > 5e-4
    assert probe.vented_g > 5.0
    assert books_g(probe) == pytest.approx(16.0, rel=1e-12)


def test_a_cartridge_can_be_emptied_to_the_last_without_going_negative() -> None:
    probe = plant(scenario=Scenario(cartridge=CartridgeTable(fill_g=0.3)))
    probe.supply_leak_mg_s = 20.0

    run(probe, OPEN, 120.0)

    assert 0.0 <= probe.cartridge.mass_g < 0.1
    assert probe.supply_pressure_bar < 5.0


def test_nothing_happens_without_gas() -> None:
    probe = plant(scenario=Scenario(cartridge=CartridgeTable(fill_g=0.0)))

    run(probe, OPEN, 5.0)

    assert probe.tip_temp_c == pytest.approx(37.0, abs=0.1)  # The skin is at 33 C.
    assert probe.vented_g == 0.0
    assert probe.supply_pressure_bar == 0.0


@settings(max_examples=25, deadline=None)
@given(
    profile=st.sampled_from(PROFILES),
    in_air=st.booleans(),
    moves=st.lists(
        st.tuples(
            st.floats(0.0, 1.0),
            st.booleans(),
            st.floats(0.0, 1.0),
            st.floats(0.0, 1.0),
            st.floats(0.05, 2.0),
        ),
        min_size=5,
        max_size=30,
    ),
)
def test_the_tip_is_never_colder_than_its_boiling_gas(
    profile: str, in_air: bool, moves: list[tuple[float, bool, float, float, float]]
) -> None:
    probe = plant(profile, AIR if in_air else None)
    floor_c = -78.5 if profile == "co2-20g" else -88.6

    for valve, shutoff_open, heater, exhaust, seconds in moves:
        probe.exhaust_open_fraction = exhaust
        actuators = Actuators(valve=valve, shutoff_open=shutoff_open, tip_heater=0.1 * heater)
        for _ in range(round(100 * seconds)):
            probe.step(actuators)
            assert probe.tip_temp_c >= probe.saturation_temp_c
            assert probe.tip_temp_c > floor_c


# -- faults ------------------------------------------------------------------------------------


def test_a_valve_stuck_open_ignores_its_command_and_the_shutoff_stops_it() -> None:
    probe = plant()
    run(probe, OPEN, 30.0)
    probe.valve_held = 1.0

    run(probe, Actuators(shutoff_open=True), 5.0)
    still_c = probe.tip_temp_c
    run(probe, Actuators(), 4.0)

    assert still_c < -60.0
    assert probe.tip_temp_c > -20.0
    assert probe.exhaust_flow_mg_s < 0.1 * 35.0


def test_a_stuck_shutoff_lets_gas_through_or_stops_it() -> None:
    stuck_open = plant()
    stuck_open.shutoff_stuck = True
    stuck_shut = plant()
    stuck_shut.shutoff_stuck = False

    run(stuck_open, Actuators(valve=1.0, shutoff_open=False), 10.0)
    run(stuck_shut, OPEN, 10.0)

    assert stuck_open.tip_temp_c < -50.0
    assert stuck_shut.tip_temp_c > 20.0


def test_a_tight_feed_keeps_its_pressure_and_a_leaking_one_does_not() -> None:
    tight = plant()
    leaking = plant()
    leaking.supply_leak_mg_s = 0.1
    start_bar = tight.supply_pressure_bar

    run(tight, SHUT, 10.0)
    run(leaking, SHUT, 10.0)

    assert tight.supply_pressure_bar == pytest.approx(start_bar, abs=0.1)
    assert leaking.supply_pressure_bar < start_bar - 1.0


def test_an_opened_shutoff_fills_an_emptied_feed_from_the_cartridge() -> None:
    probe = plant()
    run(probe, Actuators(valve=1.0, shutoff_open=False), 10.0)
    emptied_bar = probe.supply_pressure_bar

    run(probe, Actuators(shutoff_open=True), 0.1)
    run(probe, SHUT, 0.1)

    assert emptied_bar < 10.0
    assert probe.supply_pressure_bar == pytest.approx(52.8, abs=0.3)


@pytest.mark.parametrize("frozen_s", [20.0, 60.0])
def test_a_blocked_exhaust_ends_at_the_relief_pressure_with_the_needle_starved(
    frozen_s: float,
) -> None:
    probe = plant()
    run(probe, OPEN, frozen_s)
    cold_c = probe.tip_temp_c
    probe.exhaust_open_fraction = 0.0

    reached_s = time_until(probe, OPEN, lambda p: p.exhaust_pressure_bar > 2.5)
    run(probe, OPEN, 2.0 - reached_s)
    after_2_s_c = probe.tip_temp_c
    run(probe, OPEN, 10.0)

    assert cold_c < -61.0
    assert reached_s < 0.2
    # In two-dimensional tissue: -28.8 C after a minute of freezing; a small ball gives way sooner.
    assert -33.0 < after_2_s_c < -20.0
    assert probe.tip_temp_c == pytest.approx(-19.0, abs=4.0)
    assert probe.exhaust_pressure_bar == 6.0
    assert probe.saturation_temp_c == pytest.approx(-52.0, abs=0.5)
    assert probe.exhaust_flow_mg_s < 5.0


def test_a_freed_exhaust_lets_the_needle_work_again() -> None:
    probe = plant()
    probe.exhaust_open_fraction = 0.0
    run(probe, OPEN, 20.0)

    probe.exhaust_open_fraction = 1.0
    run(probe, OPEN, 20.0)

    assert probe.tip_temp_c < -60.0


def test_a_narrowed_exhaust_below_the_relief_pressure_starves_nobody() -> None:
    probe = plant()
    run(probe, OPEN, 30.0)
    probe.exhaust_open_fraction = 0.4

    run(probe, OPEN, 10.0)

    assert 2.5 < probe.exhaust_pressure_bar < 5.0
    assert probe.tip_temp_c < -46.0
    assert probe.exhaust_flow_mg_s > 30.0


def test_a_plugged_orifice_stops_flow_and_cooling_at_normal_pressure() -> None:
    probe = plant()
    run(probe, OPEN, 60.0)
    probe.orifice_open_fraction = 0.0

    run(probe, OPEN, 3.0)

    assert probe.exhaust_flow_mg_s < 0.1
    assert probe.exhaust_pressure_bar == pytest.approx(1.013, abs=0.001)
    assert probe.tip_temp_c > -19.0
    assert probe.supply_pressure_bar > 50.0


def test_a_leaking_needle_cools_less_and_shows_less_at_the_exhaust() -> None:
    sound = plant()
    leaking = plant()
    leaking.tip_leak_fraction = 0.5

    run(sound, OPEN, 30.0)
    run(leaking, OPEN, 30.0)

    assert leaking.tip_temp_c > sound.tip_temp_c + 5.0
    assert leaking.exhaust_flow_mg_s == pytest.approx(0.5 * sound.exhaust_flow_mg_s, rel=0.05)
    assert leaking.vented_g == pytest.approx(sound.vented_g, rel=0.02)


def test_a_held_heater_heats_without_being_asked() -> None:
    probe = plant()
    probe.heater_held = 0.1

    run(probe, SHUT, 60.0)

    assert probe.tip_temp_c > 43.0


def test_a_needle_lifted_into_air_gets_colder_than_in_tissue() -> None:
    probe = plant()
    run(probe, OPEN, 20.0)
    loaded_c = probe.tip_temp_c
    probe.contact = 0.0

    run(probe, OPEN, 5.0)

    assert probe.tip_temp_c < loaded_c - 10.0
    assert probe.heat_w == 0.0


def test_a_slow_valve_opens_later() -> None:
    slow = plant()
    slow.set_valve_lag(1.0)

    fast_s = time_until(plant(), OPEN, lambda p: p.exhaust_flow_mg_s > 10.0)
    slow_s = time_until(slow, OPEN, lambda p: p.exhaust_flow_mg_s > 10.0)

    assert slow_s > fast_s + 0.1


def test_the_wrong_gas_has_its_own_floor_and_pressure() -> None:
    probe = plant(scenario=AIR)
    probe.change_gas("CO2")

    run(probe, OPEN, 20.0)

    assert probe.supply_pressure_bar > 56.0
    assert -78.5 < probe.tip_temp_c < -65.0


# -- regulator and valve -----------------------------------------------------------------------


def test_a_regulator_droops_with_the_flow_and_locks_up_without() -> None:
    probe = plant(regulator=REGULATOR)
    at_rest_bar = probe.supply_pressure_bar

    run(probe, OPEN, 0.1)
    at_once_bar = probe.supply_pressure_bar
    run(probe, OPEN, 5.0)
    flowing_bar = probe.supply_pressure_bar
    run(probe, Actuators(shutoff_open=True), 3.0)

    assert at_rest_bar == 42.0
    assert at_once_bar > 41.0
    # Some 31 mg/s of 37.5 at a droop of 4 bar.
    assert flowing_bar == pytest.approx(42.0 - 4.0 * 31.0 / 37.5, abs=0.3)
    assert probe.supply_pressure_bar == pytest.approx(42.0, abs=0.1)


def test_a_regulator_cannot_give_more_than_its_cylinder_has() -> None:
    cold = Scenario(cartridge=CartridgeTable(temp_c=0.0))
    probe = plant(scenario=cold, regulator=REGULATOR)

    run(probe, OPEN, 1.0)

    assert probe.supply_pressure_bar == pytest.approx(31.2, abs=0.5)


def test_a_regulator_too_small_for_its_flow_gives_little_and_nothing_below_zero() -> None:
    tiny = Regulator(pressure_bar=42.0, droop_bar=100.0, lag_s=0.01, fill_mg_s=400.0)
    probe = plant(regulator=tiny)
    lowest_bar = 42.0

    for _ in range(1000):
        probe.step(OPEN)
        lowest_bar = min(lowest_bar, probe.supply_pressure_bar)

    assert 0.0 <= lowest_bar < 0.1
    assert books_g(probe) == pytest.approx(16.0, rel=1e-12)


def test_less_pressure_is_less_flow() -> None:
    full = plant()
    regulated = plant(regulator=REGULATOR)

    run(full, OPEN, 20.0)
    run(regulated, OPEN, 20.0)

    assert regulated.exhaust_flow_mg_s == pytest.approx(0.86 * full.exhaust_flow_mg_s, rel=0.03)


def test_an_emptied_hose_fills_at_the_pace_of_its_regulator() -> None:
    probe = plant(regulator=REGULATOR, feed_capacity_mg=400.0)
    run(probe, Actuators(valve=1.0), 60.0)
    emptied_bar = probe.supply_pressure_bar

    run(probe, Actuators(shutoff_open=True), 0.5)
    half_bar = probe.supply_pressure_bar
    run(probe, Actuators(shutoff_open=True), 2.0)

    assert emptied_bar < 5.0
    assert half_bar == pytest.approx(21.0, abs=4.0)
    assert probe.supply_pressure_bar == pytest.approx(42.0, abs=0.2)


def test_a_pulse_too_short_to_lift_the_armature_lets_nothing_through() -> None:
    short = plant()
    long = plant()

    run(short, Actuators(valve=0.019, shutoff_open=True), 30.0)
    run(long, Actuators(valve=0.021, shutoff_open=True), 30.0)

    assert short.vented_g == 0.0
    assert long.vented_g > 0.005


# -- skin, shaft, handle, battery --------------------------------------------------------------


def test_what_the_skin_loses_to_the_metal_the_tip_gains() -> None:
    probe = plant(
        scenario=Scenario(tissue=TissueTable(preset="air"), cartridge=CartridgeTable(fill_g=0.0)),
        shaft_to_tip_w_k=0.005,
        skin_to_body_w_k=1e-12,
    )
    probe._air_w_k = 0.0
    probe.skin_temp_c = 40.0
    run(probe, SHUT, 0.1)  # From here on the tip sees the skin.
    start_j = 2.0 * probe.skin_temp_c + 0.050 * probe.tip_temp_c

    run(probe, SHUT, 20.0)

    assert probe.tip_temp_c > 35.0
    assert probe.skin_temp_c < 39.7
    assert 2.0 * probe.skin_temp_c + 0.050 * probe.tip_temp_c == pytest.approx(start_j, abs=1e-3)


def test_the_shaft_burdens_a_freezing_tip() -> None:
    bare = plant(shaft_to_tip_w_k=0.0)
    short = plant(shaft_to_tip_w_k=0.001)

    run(bare, OPEN, 60.0)
    run(short, OPEN, 60.0)

    # 1 mW/K over 75 K are 2 % of the 3.8 W of the tissue.
    assert short.tip_temp_c - bare.tip_temp_c == pytest.approx(0.35, abs=0.15)
    assert short.skin_temp_c < bare.skin_temp_c - 0.5


def test_gas_that_does_not_flow_does_not_cool_the_skin() -> None:
    probe = plant()
    run(probe, OPEN, 60.0)
    cooled_c = probe.skin_temp_c

    run(probe, SHUT, 60.0)

    assert cooled_c < 10.0
    assert probe.skin_temp_c > 25.0


def test_a_warm_hand_warms_handle_and_cartridge() -> None:
    held = plant(scenario=Scenario(hand=HandTable(conductance_w_k=0.3)))
    clamped = plant()

    run(held, SHUT, 900.0)
    run(clamped, SHUT, 900.0)

    # The handle settles between hand and room, and a little above for the electronics.
    assert held.handle_temp_c == pytest.approx((0.3 * 33.0 + 0.2 * 22.0 + 0.3) / 0.5, abs=1.0)
    assert held.cartridge_temp_c > clamped.cartridge_temp_c + 4.0
    assert held.supply_pressure_bar > clamped.supply_pressure_bar + 5.0
    assert clamped.handle_temp_c == pytest.approx(22.0 + 0.3 / 0.2, abs=0.6)


def test_the_handle_cools_while_the_cartridge_empties() -> None:
    probe = plant(electronics_w=1e-6, valve_w=1e-6)

    run(probe, OPEN, 180.0)

    assert probe.cartridge_temp_c < 19.0
    assert probe.cartridge_temp_c < probe.handle_temp_c < 22.0


def test_without_a_handle_the_cartridge_stands_in_the_room() -> None:
    probe = plant(handle=None, scenario=Scenario(hand=HandTable(conductance_w_k=1.0)))

    run(probe, SHUT, 300.0)

    assert probe.cartridge_temp_c == pytest.approx(22.0, abs=1e-9)


def test_the_battery_gives_exactly_what_the_loads_take() -> None:
    probe = plant()
    given_j = 0.0
    heated_j = 0.0
    for tick in range(6000):
        # A heater that changes every tick, as the firmware's does.
        heater = 0.1 * (tick % 7)
        heated_j += 1.5 * heater * 0.01
        charge = probe.battery.charge
        probe.step(Actuators(valve=0.5, tip_heater=heater, skin_warmer=0.25))
        coulombs = (charge - probe.battery.charge) * 1100.0 * 3.6
        given_j += 1e-3 * probe.battery.voltage_mv * coulombs

    others_j = 60.0 * (0.30 + 0.5 * 0.80 + 0.25 * 1.0)
    assert given_j == pytest.approx(others_j + heated_j, rel=1e-9)


def test_the_skin_gets_cold_while_freezing_and_the_warmer_prevents_it() -> None:
    bare = plant()
    warmed = plant()

    run(bare, OPEN, 120.0)
    run(warmed, Actuators(valve=1.0, shutoff_open=True, skin_warmer=1.0), 120.0)

    assert bare.skin_temp_c < 8.0
    assert warmed.skin_temp_c > 15.0


def test_the_second_thermocouple_stays_near_the_tip() -> None:
    probe = plant()

    run(probe, OPEN, 60.0)

    assert 1.0 < probe.tip_2_temp_c - probe.tip_temp_c < 4.0


def test_the_battery_sags_under_load_and_drains() -> None:
    probe = plant()
    run(probe, SHUT, 1.0)
    rest_mv = probe.battery_mv

    run(probe, Actuators(valve=1.0, tip_heater=0.0, skin_warmer=1.0), 1.0)
    loaded_mv = probe.battery_mv
    run(probe, Actuators(valve=1.0, skin_warmer=1.0), 300.0)

    assert loaded_mv < rest_mv - 30.0
    assert probe.battery_mv < loaded_mv - 5.0
    probe.battery.sag_mv = 1500.0
    run(probe, SHUT, 0.1)
    assert probe.battery_mv < 3300.0


# -- step and state ----------------------------------------------------------------------------


@pytest.mark.parametrize("profile", PROFILES)
def test_ten_millisecond_steps_are_as_good_as_one_millisecond_steps(profile: str) -> None:
    coarse = plant(profile)
    fine = plant(profile, tick_s=0.001)
    differences_c = []

    for actuators, seconds in (
        (OPEN, 25),
        (Actuators(valve=0.4, shutoff_open=True), 5),
        (SHUT, 20),
    ):
        for _ in range(seconds):
            run(coarse, actuators, 1.0)
            run(fine, actuators, 1.0, tick_s=0.001)
            differences_c.append(abs(coarse.tip_temp_c - fine.tip_temp_c))

    assert max(differences_c) < 2.5  # at 40 K/s this is 60 ms
    assert sorted(differences_c)[len(differences_c) // 2] < 0.3
    assert coarse.ice_radius_mm == pytest.approx(fine.ice_radius_mm, rel=0.01)
    assert coarse.vented_g == pytest.approx(fine.vented_g, rel=0.005)


def test_a_loaded_copy_continues_identically() -> None:
    probe = plant()
    run(probe, OPEN, 12.34)
    twin = plant()

    twin.load(probe.save())
    run(probe, SHUT, 5.0)
    run(twin, SHUT, 5.0)

    assert twin.truth() == probe.truth()
    assert twin.battery_mv == probe.battery_mv
    assert twin.tip_2_temp_c == probe.tip_2_temp_c
    assert twin.line_g == probe.line_g


def test_truth_is_what_the_plant_says() -> None:
    probe = plant()
    run(probe, OPEN, 10.0)

    truth = probe.truth()

    assert truth.tip_temp_c == probe.tip_temp_c
    assert truth.ice_radius_mm == probe.ice_radius_mm
    assert truth.radius_minus20_mm == probe.radius_minus20_mm
    assert truth.liquid_g == probe.liquid_g
    assert truth.heat_w == probe.heat_w


@pytest.mark.parametrize("profile", PROFILES)
def test_a_tip_that_is_cooled_steadily_does_not_warm_up_again_on_its_way(profile: str) -> None:
    probe = plant(profile)
    coldest_c = probe.tip_temp_c
    rebound_k = 0.0

    for _ in range(1000):
        probe.step(OPEN)
        coldest_c = min(coldest_c, probe.tip_temp_c)
        rebound_k = max(rebound_k, probe.tip_temp_c - coldest_c)

    assert coldest_c < -50.0
    # Tissue that freezes at the needle holds it up; a step too long would let it dive first.
    assert rebound_k < 0.5
