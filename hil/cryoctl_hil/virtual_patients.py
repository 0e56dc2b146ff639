"""Virtual patients, and a simulated probe in one of them with the reference model as its tissue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from numpy.random import Generator, Philox

from cryoctl_simulator.axisymmetric import RingGrid
from cryoctl_simulator.device import SimulatedDevice
from cryoctl_simulator.firmware_config import FirmwareConfig
from cryoctl_simulator.instruments import Instruments
from cryoctl_simulator.plant import Plant
from cryoctl_simulator.plant_parameters import shipped_plant_parameters
from cryoctl_simulator.reference_tissue import ReferenceTissue
from cryoctl_simulator.scenario import Scenario

GRID: Final = RingGrid(cell_mm=0.2, extent_mm=20.0, fine_radius_mm=4.0)
"""Against 0.1 mm cells 25 mm far: the -20 C radius differs by at most 0.003 mm from 10 s on."""


@dataclass(frozen=True, slots=True)
class Patient:
    """One virtual patient, and the cartridge of the day; what is not said is that of muscle.

    Attributes:
        conductivity_w_m_k: Of unfrozen tissue.
        conductivity_frozen_w_m_k: Of frozen tissue.
        perfusion_kw_m3_k: Heat brought by blood.
        body_temp_c: Of the tissue.
        cartridge_temp_c: Of cartridge and room.
    """

    conductivity_w_m_k: float
    conductivity_frozen_w_m_k: float
    latent_heat_kj_kg: float
    perfusion_kw_m3_k: float
    body_temp_c: float
    cartridge_temp_c: float

    @classmethod
    def drawn(cls, population: int, number: int) -> Patient:
        """Return patient ``number`` of a population: each figure evenly within its range."""
        share = Generator(Philox(key=[population, number])).random(6).tolist()
        return cls(
            conductivity_w_m_k=0.45 + 0.10 * share[0],
            conductivity_frozen_w_m_k=1.8 + 0.4 * share[1],
            latent_heat_kj_kg=150.0 + 100.0 * share[2],
            perfusion_kw_m3_k=0.5 + 10.5 * share[3],
            body_temp_c=33.0 + 5.0 * share[4],
            cartridge_temp_c=10.0 + 20.0 * share[5],
        )

    def scenario(self, cartridge_g: float) -> Scenario:
        """Return the patient as a scenario."""
        return Scenario.model_validate(
            {
                "ambient_temp_c": self.cartridge_temp_c,
                "cartridge": {"fill_g": cartridge_g},
                "nerve": {"present": False},
                "tissue": {
                    "model": "reference",
                    "temp_c": self.body_temp_c,
                    "perfusion_kw_m3_k": self.perfusion_kw_m3_k,
                    "conductivity_w_m_k": self.conductivity_w_m_k,
                    "conductivity_frozen_w_m_k": self.conductivity_frozen_w_m_k,
                    "latent_heat_kj_kg": self.latent_heat_kj_kg,
                },
            }
        )


def probe_in(patient: Patient, profile: str, *, cartridge_g: float, seed: int) -> SimulatedDevice:
    """Return a probe whose needle is in ``patient``; one needle is what the model knows."""
    parameters = shipped_plant_parameters(profile)
    scenario = patient.scenario(cartridge_g)
    plant = Plant(parameters, scenario)
    plant.tissue = ReferenceTissue(
        scenario.tissue.properties(),
        needle_od_mm=parameters.needle_od_mm,
        active_length_mm=parameters.active_length_mm,
        grid=GRID,
    )
    return SimulatedDevice(
        FirmwareConfig.shipped(profile), plant, Instruments(seed=seed), seed=seed
    )
