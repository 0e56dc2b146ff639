"""What a treatment needs of the battery, and what its voltage says it has (SR-22).

The wire tells a voltage and nothing else. At rest, with the electronics alone on, the voltage of a
lithium cell follows its charge; the curve here is read low, so that what is left is underestimated
and never promised. A cell that is old, cold or of another kind may have less than this says: the
battery's own limit under load (SR-36) is what stops a freeze then.
"""

from __future__ import annotations

from typing import Final

from cryoctl.treatment import Treatment
from cryoctl_protocol.profile import Battery, Limits

TESTS_S: Final = 15.0  # Self-test and leak test, rounded up.
_COULOMBS_PER_MAH: Final = 3.6
# Voltage at rest over charge: under the usual curves of lithium cobalt and NMC cells by 20 to 100
# mV where these are flat; assumed.
_CURVE: Final = ((3.30, 0.0), (3.50, 0.05), (3.70, 0.25), (3.80, 0.45), (4.00, 0.75), (4.15, 1.0))
LOADED_SAG_V: Final = 0.1
"""How far the voltage falls in a freeze, at most: what is above the limit by less is of no use."""


def battery_need_j(treatment: Treatment, limits: Limits, battery: Battery) -> float:
    """Return the energy that the whole treatment takes if every phase lasts its longest, in J."""
    plan = treatment.cycles
    freeze_s = limits.reach_s_max + plan.hold_s
    heat_j = limits.thaw_energy_j_max if treatment.thaw.mode == "active" else 0.0
    cycle_j = freeze_s * battery.freeze_w + treatment.thaw.timeout_s * battery.rest_w + heat_j
    pauses_s = (plan.count - 1) * plan.pause_s
    before_j = treatment.prewarm.duration_s * battery.freeze_w
    return plan.count * cycle_j + (TESTS_S + pauses_s) * battery.rest_w + before_j


def battery_left_j(voltage_v: float, limits: Limits, battery: Battery) -> float:
    """Return the energy that can be taken until the voltage is too low to freeze with, in J.

    Args:
        voltage_v: At rest.
        limits: Of the probe, for the voltage that ends a freeze.
        battery: Of the probe.
    """
    empty_v = limits.battery_min_mv / 1000.0 + LOADED_SAG_V
    share = max(0.0, _charge(voltage_v) - _charge(empty_v))
    # At the lowest voltage that it will have: charge is what a cell holds, not energy.
    return share * battery.capacity_mah * _COULOMBS_PER_MAH * empty_v


def _charge(voltage_v: float) -> float:
    """Return the share of a full charge at a voltage at rest."""
    low_v, low = _CURVE[0]
    for high_v, high in _CURVE[1:]:
        if voltage_v <= high_v:
            share = (voltage_v - low_v) / (high_v - low_v)
            return max(0.0, low + (high - low) * share)
        low_v, low = high_v, high
    return 1.0
