"""Probe profiles: what a needle is, and every limit that probe and controller must agree on."""

from __future__ import annotations

import difflib
import hashlib
import json
from functools import cache, cached_property
from importlib import resources
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from cryoctl_protocol.toml_text import FileError, load_toml, quantity

TRIP_LATENCY_S: Final = 0.2  # SR-06: detection on the host to valve shut, with margin
# SR-05: no profile may set its floor below this. Saturated N2O at 1 atm is at -88.5 C, so
# anything colder than -92 C is a false reading.
TIP_FLOOR_COLDEST_C: Final = -92.0
_FREEZE_CAP_S: Final = 180.0  # SR-09
_THAW_ENERGY_CAP_J: Final = 5.0  # SR-16
_HEATER_ON_CAP_S: Final = 20.0  # SR-16
_HEATER_TIP_CAP_C: Final = 43.0  # SR-16
_STIMULUS_CAP_MA: Final = 10.0  # SR-41: the range of stimulators for locating nerves

_FILE: Final = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ProfileError(Exception):
    """No such profile, or one that cannot be used."""


class ProbeIdentity(BaseModel):
    """Which needle it is."""

    model_config = _FILE

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$", description="Name of the profile.")
    title: str = Field(min_length=1, max_length=80, description="Name for people.")
    gas: Literal["N2O", "CO2"] = Field(description="Cryogen.")
    needles: int = Field(ge=1, le=8, description="Number of parallel needles.")
    needle_od_mm: float = quantity(unit="mm", gt=0.0, le=5.0, doc="Outer diameter of one needle.")
    active_length_mm: float = quantity(unit="mm", gt=0.0, le=50.0, doc="Length that freezes.")


class Limits(BaseModel):
    """The numbers a probe is run by; all of them are part of the profile's hash."""

    model_config = _FILE

    tip_floor_c: float = quantity(
        unit="C", ge=TIP_FLOOR_COLDEST_C, le=0.0, doc="Trip at or below this tip temperature."
    )
    setpoint_min_c: float = quantity(unit="C", ge=-92.0, le=0.0, doc="Coldest set-point.")
    setpoint_max_c: float = quantity(unit="C", ge=-92.0, le=0.0, doc="Warmest set-point.")
    setpoint_default_c: float = quantity(unit="C", ge=-92.0, le=0.0, doc="Usual set-point.")
    band_c: float = quantity(unit="C", gt=0.0, le=10.0, doc="Half width of the set-point band.")
    reach_s_max: float = quantity(unit="s", gt=0.0, le=60.0, doc="Valve open to band, at most.")
    coast_s: float = quantity(unit="s", ge=0.0, le=10.0, doc="Cooling on after the valve shut.")
    sensor_error_c: float = quantity(unit="C", ge=0.0, le=10.0, doc="Tip sensor, worst case.")
    cooling_rate_c_per_s: float = quantity(
        unit="C/s", gt=0.0, le=100.0, doc="Loaded rate at the set-point, for the trip margin."
    )
    freeze_s_max: float = quantity(unit="s", gt=0.0, le=_FREEZE_CAP_S, doc="Cap of one freeze.")
    hold_s_max: float = quantity(unit="s", gt=0.0, le=_FREEZE_CAP_S, doc="Longest hold.")
    pressure_low_bar: float = quantity(unit="bar", gt=0.0, le=100.0, doc="Below: finish as thaw.")
    pressure_warn_bar: float = quantity(unit="bar", gt=0.0, le=100.0, doc="Above: no ARM.")
    pressure_trip_bar: float = quantity(unit="bar", gt=0.0, le=100.0, doc="Above: supply shut.")
    exhaust_trip_bar: float = quantity(
        unit="bar", gt=1.0, le=10.0, doc="Absolute exhaust pressure that tells of a blockage."
    )
    nominal_flow_mg_s: float = quantity(unit="mg/s", gt=0.0, le=1000.0, doc="Flow at full cold.")
    cartridge_fill_g: float = quantity(unit="g", gt=0.0, le=100.0, doc="Gas in a new cartridge.")
    cartridge_usable_fraction: float = Field(
        gt=0.0, le=1.0, description="Liquid share of the fill; vapour does not cool."
    )
    gas_use_mg_s: float = quantity(unit="mg/s", gt=0.0, le=1000.0, doc="Planning figure of use.")
    tip_heater_w: float = quantity(unit="W", gt=0.0, le=10.0, doc="Power of the tip heater.")
    thaw_energy_j_max: float = quantity(
        unit="J", gt=0.0, le=_THAW_ENERGY_CAP_J, doc="Heat of one thaw, at most."
    )
    thaw_s_max: float = quantity(unit="s", gt=0.0, le=600.0, doc="Longest thaw.")
    heater_on_s_max: float = quantity(
        unit="s", gt=0.0, le=_HEATER_ON_CAP_S, doc="Heater on in one phase, at most."
    )
    heater_tip_max_c: float = quantity(
        unit="C", gt=0.0, le=_HEATER_TIP_CAP_C, doc="Above this tip temperature: heater off."
    )
    skin_min_c: float = quantity(unit="C", ge=0.0, le=40.0, doc="Below: end the freeze.")
    stimulus_ma_max: float = quantity(
        unit="mA", gt=0.0, le=_STIMULUS_CAP_MA, doc="Strongest stimulus of a nerve."
    )
    battery_min_mv: int = quantity(unit="mV", ge=0, le=20000, doc="Below: no freeze.")

    @property
    def setpoint_coldest_c(self) -> float:
        """Coldest set-point that leaves the trip margin of SR-06, in whole milli-degrees."""
        margin_c = self.sensor_error_c + TRIP_LATENCY_S * self.cooling_rate_c_per_s
        return round(self.tip_floor_c + margin_c, 3)

    @property
    def usable_gas_g(self) -> float:
        """Gas in a new cartridge that can cool."""
        return self.cartridge_fill_g * self.cartridge_usable_fraction


class Profile(BaseModel):
    """A probe and its limits; the simulator's ``[plant]`` is no part of it."""

    model_config = _FILE

    probe: ProbeIdentity
    limits: Limits

    @cached_property
    def hash32(self) -> int:
        """First four bytes, little-endian, of SHA-256 over the canonical JSON of both tables."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")


class _ProfileFile(Profile):
    """A whole profile file."""

    plant: dict[str, Any] = Field(default_factory=dict)
    control: dict[str, Any] = Field(default_factory=dict)


@cache
def profile_names() -> tuple[str, ...]:
    """Return the names of the built-in profiles in order."""
    folder = resources.files("cryoctl_protocol") / "profiles"
    names = (file.name for file in folder.iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


def unknown_profile(name: str) -> tuple[str, str]:
    """Return message and hint for somebody who asked for a profile that does not exist."""
    close = difflib.get_close_matches(name, profile_names(), n=1)
    meant = f"; did you mean '{close[0]}'?" if close else ""
    return f"unknown profile '{name}'", f"known: {', '.join(profile_names())}{meant}"


@cache
def load_profile(name: str) -> Profile:
    """Return the built-in profile called ``name``.

    Raises:
        ProfileError: There is none; the text lists those there are.
    """
    file = _load_file(name)
    return Profile(probe=file.probe, limits=file.limits)


def plant_table(name: str) -> dict[str, Any]:
    """Return the ``[plant]`` table of a profile, for the simulator; empty if it has none."""
    return dict(_load_file(name).plant)


def control_table(name: str) -> dict[str, Any]:
    """Return the ``[control]`` table of a profile, for the firmware's inner loop."""
    return dict(_load_file(name).control)


def _load_file(name: str) -> _ProfileFile:
    if name not in profile_names():
        message, hint = unknown_profile(name)
        raise ProfileError(f"{message} ({hint})")
    file = resources.files("cryoctl_protocol") / "profiles" / f"{name}.toml"
    try:
        return load_toml(file.read_text("utf-8"), f"{name}.toml", _ProfileFile)
    except FileError as error:
        raise ProfileError(str(error)) from error
