"""The plant leaves out the line while nothing can move in it; that may not change a single bit."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cryoctl_simulator.plant import Actuators, Plant
from cryoctl_simulator.plant_parameters import shipped_plant_parameters
from cryoctl_simulator.scenario import Scenario

FREEZE_TICKS = 500
REST_TICKS = 4000
# Not a multiple of ten: the plant's slow tick looks at the line again by itself.
MENDED_TICK = FREEZE_TICKS + 203


def warmed(plant: Plant, tick: int) -> None:
    plant.cartridge_temp_c = 12.0 + tick // 100


def exhaust_blocked_for_a_while(plant: Plant, tick: int) -> None:
    plant.exhaust_open_fraction = 0.0 if tick < MENDED_TICK else 1.0


def orifice_blocked_for_a_while(plant: Plant, tick: int) -> None:
    plant.orifice_open_fraction = 0.0 if FREEZE_TICKS <= tick < MENDED_TICK else 1.0


def valve_opened_again(plant: Plant, tick: int) -> None:
    plant.valve_held = 1.0 if MENDED_TICK <= tick < MENDED_TICK + 3 else None


def leaking_at_the_tip_behind_a_quick_valve(plant: Plant, __tick: int) -> None:
    """The last of the gas does not pass the exhaust, and leaves in two bursts."""
    plant.tip_leak_fraction = 1.0
    plant.set_valve_lag(0.001)


@pytest.mark.parametrize("profile", ["n2o-20g", "co2-20g"])
@pytest.mark.parametrize(
    "disturb",
    [
        warmed,
        exhaust_blocked_for_a_while,
        orifice_blocked_for_a_while,
        valve_opened_again,
        leaking_at_the_tip_behind_a_quick_valve,
    ],
)
def test_a_line_at_rest_need_not_be_looked_at(
    profile: str, disturb: Callable[[Plant, int], None]
) -> None:
    plant, watched = (Plant(shipped_plant_parameters(profile), Scenario()) for _ in range(2))
    valve = Actuators(valve=1.0, shutoff_open=True)
    rested = 0
    for tick in range(FREEZE_TICKS + REST_TICKS):
        if tick == FREEZE_TICKS:
            valve.valve = 0.0
        for each in (plant, watched):
            disturb(each, tick)
        watched._line_rests = False

        plant.step(valve)
        watched.step(valve)

        assert (plant.truth(), plant.line_g) == (watched.truth(), watched.line_g)
        rested += plant._line_rests
    assert rested > REST_TICKS // 4
