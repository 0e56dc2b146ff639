"""What surrounds the probe in a simulation: tissue, nerve, room, cartridge, hand; TOML files."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cryoctl_protocol.toml_text import FileKind, load_toml
from cryoctl_simulator.tissue_properties import TissueProperties

TissueName = Literal["muscle", "nerve_in_fat", "gel_22c", "water", "meat", "air"]

# Conductivity, density, heat capacity and perfusion of muscle and fat: IT'IS tissue database v4,
# rounded, from memory; frozen values, 250 kJ/kg (75 % water; pure fat about 60) and freezing from
# -1 to -8 C: usual modelling choices; gel freezes like water. All are starting values, none is
# calibrated to a patient.
TISSUES: Final[dict[TissueName, TissueProperties]] = {
    "muscle": TissueProperties(
        conductivity=0.5,
        conductivity_frozen=2.0,
        density=1050.0,
        heat_capacity=3600.0,
        heat_capacity_frozen=1800.0,
        latent_heat=250e3,
        freezing_starts_c=-1.0,
        freezing_ends_c=-8.0,
        perfusion_w_m3_k=2500.0,
        temp_c=37.0,
    ),
    # A nerve in fat: the needle sees mostly fat, with some nerve and fascia.
    "nerve_in_fat": TissueProperties(
        conductivity=0.27,
        conductivity_frozen=0.6,
        density=940.0,
        heat_capacity=2600.0,
        heat_capacity_frozen=1800.0,
        latent_heat=100e3,
        freezing_starts_c=-1.0,
        freezing_ends_c=-8.0,
        perfusion_w_m3_k=2500.0,
        temp_c=36.0,
    ),
    "gel_22c": TissueProperties(
        conductivity=0.56,
        conductivity_frozen=2.2,
        density=1000.0,
        heat_capacity=4100.0,
        heat_capacity_frozen=2050.0,
        latent_heat=320e3,
        freezing_starts_c=0.0,
        freezing_ends_c=-0.3,
        perfusion_w_m3_k=0.0,
        temp_c=22.0,
    ),
    # Free convection around the ice is expressed as a perfusion: about 300 W/m2K (assumed).
    "water": TissueProperties(
        conductivity=0.56,
        conductivity_frozen=2.2,
        density=1000.0,
        heat_capacity=4200.0,
        heat_capacity_frozen=2050.0,
        latent_heat=334e3,
        freezing_starts_c=0.0,
        freezing_ends_c=-0.3,
        perfusion_w_m3_k=160e3,
        temp_c=22.0,
    ),
    # Muscle without blood flow, from the refrigerator and warmed to the room's temperature.
    "meat": TissueProperties(
        conductivity=0.5,
        conductivity_frozen=1.6,
        density=1050.0,
        heat_capacity=3500.0,
        heat_capacity_frozen=1800.0,
        latent_heat=240e3,
        freezing_starts_c=-1.0,
        freezing_ends_c=-8.0,
        perfusion_w_m3_k=0.0,
        temp_c=22.0,
    ),
    # The needle touches nothing (contact 0); the values serve once a fault lowers it into tissue.
    "air": TissueProperties(
        conductivity=0.5,
        conductivity_frozen=2.0,
        density=1050.0,
        heat_capacity=3600.0,
        heat_capacity_frozen=1800.0,
        latent_heat=250e3,
        freezing_starts_c=-1.0,
        freezing_ends_c=-8.0,
        perfusion_w_m3_k=0.0,
        temp_c=22.0,
    ),
}


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TissueTable(_Table):
    """Table ``[tissue]``."""

    preset: TissueName = "muscle"
    temp_c: Annotated[float, Field(ge=0.0, le=45.0)] | None = None
    """Undisturbed temperature; the preset's own when absent."""
    perfusion_kw_m3_k: Annotated[float, Field(ge=0.0, le=200.0)] | None = None
    """Heat brought by blood: flow x density x heat capacity."""
    conductivity_w_m_k: Annotated[float, Field(ge=0.05, le=5.0)] | None = None
    """Of unfrozen tissue; the preset's own when absent, as with all that follow."""
    conductivity_frozen_w_m_k: Annotated[float, Field(ge=0.05, le=5.0)] | None = None
    latent_heat_kj_kg: Annotated[float, Field(ge=10.0, le=400.0)] | None = None
    model: Literal["fast", "reference"] = "fast"
    """``reference`` is conduction in two dimensions, some 20 times as slow."""

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        preset = TISSUES[self.preset]
        if self.temp_c is not None and self.temp_c <= preset.freezing_starts_c:
            raise ValueError(
                f"temp_c {self.temp_c:g} C is not above {preset.freezing_starts_c:g} C, where"
                f" {self.preset} freezes: the tissue would be frozen from the start"
            )
        return self

    def properties(self) -> TissueProperties:
        """Return the preset with this table's own figures."""
        own = {
            "temp_c": self.temp_c,
            "perfusion_w_m3_k": _thousand(self.perfusion_kw_m3_k),
            "conductivity": self.conductivity_w_m_k,
            "conductivity_frozen": self.conductivity_frozen_w_m_k,
            "latent_heat": _thousand(self.latent_heat_kj_kg),
        }
        given = {key: value for key, value in own.items() if value is not None}
        return replace(TISSUES[self.preset], **given)


def _thousand(value: float | None) -> float | None:
    return None if value is None else 1e3 * value


class NerveTable(_Table):
    """Table ``[nerve]``: where the nerve runs past the nearest needle, and how it answers.

    The thresholds are those of two needles beside a pig's nerve: 0.2 mA in contact, 1.0 mA 2 mm
    away, pulses of 0.1 ms (Anesthesiology Research and Practice 2011, 591851, figure 2).
    """

    present: bool = True
    distance_mm: Annotated[float, Field(ge=0.0, le=20.0)] = 1.0
    """From the needle's axis to the nerve's, where they are nearest."""
    angle_deg: Annotated[float, Field(ge=0.0, le=90.0)] = 0.0
    """Between the two; 0 is side by side, 90 straight across."""
    axial_offset_mm: Annotated[float, Field(ge=-50.0, le=50.0)] = 0.0
    """Where they are nearest, along the needle from the middle of its active length; positive if
    the needle is not deep enough, by so much."""
    length_mm: Annotated[float, Field(gt=0.0, le=100.0)] = 20.0
    """Stretch of nerve that is looked at, its middle where the needle is nearest."""
    end_organ_mm: Annotated[float, Field(ge=0.0, le=1500.0)] = 100.0
    """Along the nerve, from there to what it serves."""
    fibres: Literal["mixed", "sensory"] = "mixed"
    """A sensory nerve never moves a muscle."""
    threshold_ma: Annotated[float, Field(gt=0.0, le=10.0)] = 0.2
    """Current that gets a response from the nerve itself, pulses of 0.1 ms."""
    threshold_ma_mm2: Annotated[float, Field(ge=0.0, le=10.0)] = 0.2
    """What comes on top, times the square of the distance."""


class CartridgeTable(_Table):
    """Table ``[cartridge]``."""

    fill_g: Annotated[float, Field(ge=0.0, le=16.5)] | None = None
    """Gas in the cartridge; a full one of the probe when absent."""
    temp_c: Annotated[float, Field(ge=-10.0, le=50.0)] | None = None
    """The room's when absent."""
    orientation: Literal["liquid", "vapour"] = "liquid"
    """What is at the outlet; held the wrong way up it draws vapour, which hardly cools."""
    moisture_ppm: Annotated[float, Field(ge=0.0, le=5000.0)] = 0.0
    """Water in the gas, by mass; it freezes at the orifice."""


class HandTable(_Table):
    """Table ``[hand]``: the hand that holds the handle."""

    temp_c: Annotated[float, Field(ge=10.0, le=40.0)] = 33.0
    conductance_w_k: Annotated[float, Field(ge=0.0, le=2.0)] = 0.0
    """Into the handle; 0 is a probe in a clamp, a closed hand about 0.3 (assumed)."""


class Scenario(_Table):
    """One scenario file."""

    title: str = "muscle at 37 C, full cartridge, room at 22 C"
    ambient_temp_c: Annotated[float, Field(ge=5.0, le=40.0)] = 22.0
    battery_charge: Annotated[float, Field(ge=0.0, le=1.0)] = 0.95
    tissue: TissueTable = TissueTable()
    nerve: NerveTable = NerveTable()
    cartridge: CartridgeTable = CartridgeTable()
    hand: HandTable = HandTable()


def load_scenario(text: str, source: str) -> Scenario:
    """Read a scenario from TOML ``text``; raises ``FileError`` with file and line."""
    return load_toml(text, source, Scenario)


def scenario_schema() -> dict[str, Any]:
    """Return the JSON Schema of a scenario file."""
    return Scenario.model_json_schema()


FILE_KIND: Final = FileKind(load_scenario, scenario_schema)


def shipped_scenarios() -> dict[str, str]:
    """Return the text of every scenario that comes with the simulator, by name."""
    folder = files("cryoctl_simulator").joinpath("scenarios")
    found = {
        entry.name.removesuffix(".toml"): entry.read_text(encoding="utf-8")
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    }
    return dict(sorted(found.items()))
