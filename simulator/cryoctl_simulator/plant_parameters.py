"""Hardware figures of the simulated probe: the tables [probe] and [plant] of a probe profile."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Annotated, Final, Self

from pydantic import ConfigDict, Field, TypeAdapter, model_validator
from pydantic.dataclasses import dataclass

from cryoctl_simulator.gas import GasName

LENGTH_MIN_ODS: Final = 1.5
"""Shorter, the shells of the fast model are over 5 % off the reference in radius."""
Positive = Annotated[float, Field(gt=0.0)]
BodyTemp = Annotated[float, Field(ge=0.0, le=45.0)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


@dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Handle:
    """Table ``[plant.handle]``: a handle that holds cartridge and electronics."""

    capacity_j_k: Annotated[float, Field(ge=10.0)]
    to_room_w_k: Annotated[float, Field(gt=0.0, le=10.0)]


@dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Regulator:
    """Table ``[plant.regulator]``: between a cylinder and the hose, which is the feed."""

    pressure_bar: Positive
    """Delivered without flow."""
    droop_bar: Positive
    """Lost at ``orifice_flow_mg_s``."""
    lag_s: Positive
    fill_mg_s: Positive
    """How fast it fills an empty hose."""


# With slots, because the plant reads a dozen of these a tick: a model's attributes take five times
# as long to get.
@dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class PlantParameters:
    """One probe's hardware; where a figure comes from is written beside it in the profile file."""

    gas: GasName
    needles: Annotated[int, Field(ge=1, le=9)]
    needle_od_mm: Positive
    active_length_mm: Positive

    cartridge_fill_g: Positive
    cartridge_volume_ml: Annotated[float, Field(ge=1.0)]
    cartridge_steel_g: Annotated[float, Field(ge=5.0)]
    cartridge_heat_transfer_w_k: Annotated[float, Field(gt=0.0, le=10.0)]
    feed_capacity_mg: Annotated[float, Field(ge=2.0)]
    line_capacity_mg: Annotated[float, Field(ge=1.0)]
    valve_flow_factor: Positive
    valve_lag_s: Positive
    orifice_flow_mg_s: Positive
    exhaust_drop_bar: Positive
    exhaust_lag_s: Positive
    relief_pressure_bar: Annotated[float, Field(ge=1.5, le=12.0)]
    tip_capacity_j_k: Positive
    tip_boiling_w_k: Positive
    wetting_s: Positive
    hub_warming_s: Positive
    tip_heater_w: Positive
    tip_2_shaft_fraction: Fraction
    tip_2_lag_s: Positive
    skin_temp_c: BodyTemp
    skin_capacity_j_k: Positive
    skin_to_body_w_k: Positive
    skin_to_shaft_w_k: Positive
    skin_warmer_w: Positive
    battery_capacity_mah: Positive
    battery_resistance_ohm: Positive
    electronics_w: Positive
    valve_w: Positive

    # What a probe may lack.
    valve_duty_min: Fraction = 0.0
    """A shorter pulse does not lift the valve's armature."""
    shaft_to_tip_w_k: Annotated[float, Field(ge=0.0)] = 0.0
    """Along the metal, from the skin to the tip."""
    handle: Handle | None = None
    """Without one the cartridge stands in the room."""
    regulator: Regulator | None = None

    @model_validator(mode="after")
    def _is_a_needle(self) -> Self:
        if self.active_length_mm < LENGTH_MIN_ODS * self.needle_od_mm:
            raise ValueError(
                f"active_length_mm {self.active_length_mm:g} mm is less than {LENGTH_MIN_ODS:g} x"
                f" needle_od_mm {self.needle_od_mm:g} mm: the fast model of tissue is for needles"
            )
        return self


def plant_parameters(profile_text: str) -> PlantParameters:
    """Read the plant of a profile from its TOML text."""
    profile = tomllib.loads(profile_text)
    probe = profile["probe"]
    geometry = {key: probe[key] for key in ("gas", "needles", "needle_od_mm", "active_length_mm")}
    return TypeAdapter(PlantParameters).validate_python({**geometry, **profile["plant"]})


def shipped_plant_parameters(profile_id: str) -> PlantParameters:
    """Return the plant of a profile that comes with cryoctl, such as ``n2o-20g``."""
    folder = files("cryoctl_protocol").joinpath("profiles")
    return plant_parameters(folder.joinpath(f"{profile_id}.toml").read_text(encoding="utf-8"))
