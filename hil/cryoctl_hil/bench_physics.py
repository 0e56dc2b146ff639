"""Benchmarks of the simulator's physics: the reference model, and a batch of probes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from cryoctl.clock import cpu_s
from cryoctl_simulator.axisymmetric import AxisymmetricTissue, NeedleShape, RingGrid
from cryoctl_simulator.plant import TICK_S, Actuators, Plant
from cryoctl_simulator.plant_batch import BatchActuators, PlantBatch
from cryoctl_simulator.plant_parameters import shipped_plant_parameters
from cryoctl_simulator.scenario import TISSUES, NerveTable, Scenario, TissueTable

PROFILE: Final = "n2o-20g"
BATCH: Final = 1000
_MIB: Final = 2**20
_REFERENCE_S: Final = 20.0
_SINGLE_S: Final = 60.0
_OPEN_TICKS: Final = 1500
_HELD_TICKS: Final = 1500
_SHUT_TICKS: Final = 1500


@dataclass(frozen=True, slots=True)
class BatchFigures:
    """Speed of a batch of probes, in seconds of one probe per processor second, and its arrays."""

    probe_s_per_cpu_s: float
    memory_mib: float


def reference_speed() -> float:
    """Return how many times faster than real time the model in (r, z) is, on cells of 0.15 mm."""
    needle = NeedleShape(od_mm=0.91, active_length_mm=8.0)
    tissue = AxisymmetricTissue(TISSUES["muscle"], needle, RingGrid(cell_mm=0.15))
    started_s = cpu_s()
    tissue.run(_REFERENCE_S, -65.0)
    return _REFERENCE_S / (cpu_s() - started_s)


def plant_speed() -> float:
    """Return virtual seconds per processor second of one plant alone, valve open."""
    plant = Plant(shipped_plant_parameters(PROFILE), Scenario())
    actuators = Actuators(valve=0.6, shutoff_open=True)
    started_s = cpu_s()
    for _ in range(round(_SINGLE_S / TICK_S)):
        plant.step(actuators)
    return _SINGLE_S / (cpu_s() - started_s)


def batch_speed() -> BatchFigures:
    """Freeze, hold and thaw a thousand probes in as many tissues."""
    scenarios = [
        Scenario(
            tissue=TissueTable(conductivity_w_m_k=0.45 + 0.1 * number / BATCH),
            nerve=NerveTable(present=False),
        )
        for number in range(BATCH)
    ]
    batch = PlantBatch(shipped_plant_parameters(PROFILE), scenarios)
    actuators = BatchActuators.at_rest(BATCH)
    ticks = 0
    started_s = cpu_s()
    for valve, count in ((1.0, _OPEN_TICKS), (0.55, _HELD_TICKS), (0.0, _SHUT_TICKS)):
        actuators.valve[:] = valve
        actuators.shutoff_open[:] = valve > 0.0
        for _ in range(count):
            batch.step(actuators)
        ticks += count
    elapsed_s = cpu_s() - started_s
    memory_mib = (
        _array_bytes(batch) + _array_bytes(batch.tissue) + _array_bytes(batch.cartridge)
    ) / _MIB
    return BatchFigures(BATCH * ticks * TICK_S / elapsed_s, memory_mib)


def _array_bytes(owner: object) -> int:
    return sum(value.nbytes for value in vars(owner).values() if isinstance(value, np.ndarray))
