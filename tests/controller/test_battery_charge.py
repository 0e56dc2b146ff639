"""SR-22: the battery's charge for the whole treatment."""

from __future__ import annotations

import pytest

from cryoctl.battery_charge import battery_left_j, battery_need_j
from cryoctl.treatment import Treatment, default_treatment
from cryoctl_protocol.profile import Battery, load_profile
from cryoctl_simulator.battery import open_circuit_mv

CELL = Battery(capacity_mah=1000.0, freeze_w=2.0, rest_w=0.5)
LIMITS = load_profile("n2o-20g").limits


def treatment(mode: str) -> Treatment:
    base = default_treatment("n2o-20g").model_dump(by_alias=True)
    base["cycles"].update(count=2, hold_s=60.0, pause_s=10.0)
    base["thaw"].update(mode=mode, timeout_s=100.0)
    base["prewarm"].update(duration_s=5.0)
    return Treatment.model_validate(base)


@pytest.mark.requirement("SR-22")
def test_the_need_is_that_of_every_phase_at_its_longest() -> None:
    # Two freezes of 25 + 60 s at 2 W, two thaws of 100 s, 15 s of tests and a pause of 10 s at
    # 0.5 W, 5 s of warming at 2 W; the heater gives 5 J to each active thaw.
    assert battery_need_j(treatment("passive"), LIMITS, CELL) == pytest.approx(462.5)
    assert battery_need_j(treatment("active"), LIMITS, CELL) == pytest.approx(472.5)


@pytest.mark.requirement("SR-22")
@pytest.mark.parametrize(
    ("voltage_v", "left_j"),
    [
        (0.0, 0.0),
        (3.30, 0.0),
        (3.40, 0.0),  # 3.3 V and 0.1 V of sag under load: no freeze begins on that.
        (3.50, 306.0),  # (5 - 2.5) % of 3600 C at 3.4 V
        (3.70, 2754.0),
        (4.15, 11934.0),
        (5.00, 11934.0),
    ],
)
def test_what_is_left_is_read_from_the_voltage_at_rest(voltage_v: float, left_j: float) -> None:
    assert battery_left_j(voltage_v, LIMITS, CELL) == pytest.approx(left_j)


@pytest.mark.requirement("SR-22")
@pytest.mark.parametrize("charge", [0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0])
def test_no_more_is_promised_than_the_simulated_cell_has(charge: float) -> None:
    promised_j = battery_left_j(open_circuit_mv(charge) / 1000.0, LIMITS, CELL)

    assert promised_j <= charge * 3600.0 * 3.4
