"""The handpiece's lithium cell: voltage over charge and load."""

from __future__ import annotations

from math import sqrt
from typing import Final

from cryoctl_simulator.plant_parameters import PlantParameters

# Open-circuit voltage over charge: (charge, mV) corners of a typical lithium cell's curve.
CURVE: Final = ((0.0, 3000.0), (0.05, 3450.0), (0.4, 3720.0), (1.0, 4150.0))
COULOMBS_PER_MAH: Final = 3.6


class Battery:
    """Charge and voltage; ``sag_mv`` is a fault that lowers the voltage, neutral at 0."""

    __slots__ = ("capacity_c", "charge", "resistance_ohm", "sag_mv", "voltage_mv")

    def __init__(self, parameters: PlantParameters, charge: float) -> None:
        self.capacity_c = parameters.battery_capacity_mah * COULOMBS_PER_MAH
        self.resistance_ohm = parameters.battery_resistance_ohm
        self.charge = charge
        self.sag_mv = 0.0
        self.voltage_mv = open_circuit_mv(charge)

    def update(self, duration_s: float, load_w: float) -> None:
        """Draw ``load_w`` for ``duration_s``."""
        rest_v = 1e-3 * open_circuit_mv(self.charge)
        resistance_ohm = self.resistance_ohm
        # The smaller root of load = (rest - current x resistance) x current; a load beyond what the
        # cell can give gets that.
        root_v = sqrt(max(0.0, rest_v * rest_v - 4.0 * load_w * resistance_ohm))
        current_a = (rest_v - root_v) / (2.0 * resistance_ohm)
        self.charge = max(0.0, self.charge - current_a * duration_s / self.capacity_c)
        self.voltage_mv = 1e3 * (rest_v - current_a * resistance_ohm) - self.sag_mv


def open_circuit_mv(charge: float) -> float:
    """Return the voltage without load at ``charge`` (0 to 1)."""
    low, low_mv = CURVE[0]
    for high, high_mv in CURVE[1:]:
        if charge <= high:
            return low_mv + (high_mv - low_mv) * (charge - low) / (high - low)
        low, low_mv = high, high_mv
    return low_mv
