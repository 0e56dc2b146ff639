"""Probe profiles: what a needle is, and every limit that probe and controller must agree on."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, cached_property
from importlib import resources
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cryoctl_protocol.toml_text import (
    FILE_SIZE_MAX_BYTES,
    Document,
    FileError,
    decode_utf8,
    parse_toml,
    quantity,
    validate,
)

TRIP_LATENCY_S: Final = 0.2  # SR-06: detection on the host to valve shut, with margin
# SR-05: no profile may set its floor below this. Saturated N2O at 1 atm is at -88.5 C, so
# anything colder than -92 C is a false reading.
TIP_FLOOR_COLDEST_C: Final = -92.0
_FREEZE_CAP_S: Final = 180.0  # SR-09
_THAW_ENERGY_CAP_J: Final = 5.0  # SR-16
_HEATER_ON_CAP_S: Final = 20.0  # SR-16
_HEATER_TIP_CAP_C: Final = 43.0  # SR-16
_STIMULUS_CAP_MA: Final = 10.0  # SR-41: the range of stimulators for locating nerves
_RESEARCH_FREEZE_CAP_S: Final = 1800.0
"""Published gel and meat experiments freeze for 5 to 10 minutes; the rest is room."""
_RESEARCH_THAW_CAP_S: Final = 3600.0

PROFILE_GROUP: Final = "cryoctl.profiles"
"""Entry points of profiles that other packages bring."""

_FILE: Final = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ProfileError(Exception):
    """No such profile, or one that cannot be used."""


class ProbeIdentity(BaseModel):
    """Which needle it is."""

    model_config = _FILE

    # HELLO has room for 16 characters.
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,15}$", description="Name of the profile.")
    title: str = Field(min_length=1, max_length=80, description="Name for people.")
    gas: Literal["N2O", "CO2"] = Field(description="Cryogen.")
    needles: int = Field(ge=1, le=8, description="Number of parallel needles.")
    needle_od_mm: float = quantity(unit="mm", ge=0.1, le=5.0, doc="Outer diameter of one needle.")
    active_length_mm: float = quantity(unit="mm", ge=1.0, le=50.0, doc="Length that freezes.")
    research: bool = Field(
        default=False, description="For gel and meat on the simulator alone; has longer limits."
    )


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
    cartridge_fill_g: float = quantity(
        unit="g", gt=0.0, le=10_000.0, doc="Gas in a new cartridge or cylinder."
    )
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


class ResearchLimits(Limits):
    """Limits of a research profile: longer freezes and thaws, all else as for any probe."""

    freeze_s_max: float = quantity(
        unit="s", gt=0.0, le=_RESEARCH_FREEZE_CAP_S, doc="Cap of one freeze."
    )
    hold_s_max: float = quantity(unit="s", gt=0.0, le=_RESEARCH_FREEZE_CAP_S, doc="Longest hold.")
    thaw_s_max: float = quantity(unit="s", gt=0.0, le=_RESEARCH_THAW_CAP_S, doc="Longest thaw.")


class Cooling(BaseModel):
    """How gas cools the tip, by the probe's maker: what an estimate of the heat drawn rests on."""

    model_config = _FILE

    boiling_w_k: float = quantity(
        unit="W/K", gt=0.0, le=10.0, doc="From the tips of all needles to boiling gas."
    )
    capacity_j_k: float = quantity(unit="J/K", gt=0.0, le=10.0, doc="Of the tips of all needles.")
    wetting_s: float = quantity(
        unit="s", gt=0.0, le=20.0, doc="Valve open until liquid arrives, as a time constant."
    )


class Battery(BaseModel):
    """What a handpiece draws from its battery; a probe without the table is fed by the mains."""

    model_config = _FILE

    capacity_mah: float = quantity(
        unit="mAh", gt=0.0, le=100_000.0, doc="Charge of a full battery."
    )
    freeze_w: float = quantity(
        unit="W", gt=0.0, le=100.0, doc="Drawn while freezing, with all that may be on."
    )
    rest_w: float = quantity(unit="W", gt=0.0, le=100.0, doc="Drawn by the electronics alone.")


class Profile(BaseModel):
    """A probe and its limits; the simulator's ``[plant]`` is no part of it."""

    model_config = _FILE

    probe: ProbeIdentity
    limits: Limits
    cooling: Cooling | None = None
    battery: Battery | None = None

    @model_validator(mode="after")
    def _lifts_nothing_unsaid(self) -> Self:
        if isinstance(self.limits, ResearchLimits) and not self.probe.research:
            raise ValueError("only a probe with research = true may have research limits")
        return self

    @cached_property
    def hash32(self) -> int:
        """First four bytes, little-endian, of SHA-256 over the canonical JSON of both tables.

        ``research`` is in it where it is true; ``[cooling]`` and ``[battery]`` are not: estimates
        are no limits.
        """
        data = self.model_dump(mode="json", exclude_defaults=True, exclude={"cooling", "battery"})
        text = json.dumps(data, sort_keys=True, separators=(",", ":"))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")

    @classmethod
    def from_json(cls, text: str) -> Profile:
        """Return the profile that ``model_dump_json`` wrote; raises ValueError or KeyError."""
        data = json.loads(text)
        kind = ResearchLimits if data["probe"].get("research") else Limits
        cooling, battery = data.get("cooling"), data.get("battery")
        return cls(
            probe=ProbeIdentity.model_validate(data["probe"]),
            limits=kind.model_validate(data["limits"]),
            cooling=None if cooling is None else Cooling.model_validate(cooling),
            battery=None if battery is None else Battery.model_validate(battery),
        )


class _ProfileFile(Profile):
    """A whole profile file."""

    plant: dict[str, Any] = Field(default_factory=dict)
    control: dict[str, Any] = Field(default_factory=dict)


class _ResearchFile(_ProfileFile):
    """The same of a research probe."""

    limits: ResearchLimits


class ProbeFile(NamedTuple):
    """A profile file.

    Attributes:
        document: Its text, with the line of each key.
        plant: Table ``[plant]`` as it stands there, for the simulator; empty if there is none.
        control: Table ``[control]``, for the firmware's inner loop; empty if there is none.
    """

    document: Document
    profile: Profile
    plant: dict[str, Any]
    control: dict[str, Any]


def profile_names() -> tuple[str, ...]:
    """Return the names of the profiles that are there, in order: ours and those of plug-ins."""
    return tuple(sorted((*shipped_profile_names(), *brought_profiles())))


@cache
def brought_profiles() -> dict[str, EntryPoint]:
    """Return the profiles that plug-ins bring: entry points, each the text of a profile file.

    Raises:
        ProfileError: One has the name of a profile of ours.
    """
    found = {point.name: point for point in entry_points(group=PROFILE_GROUP)}
    for name in found:
        if name in shipped_profile_names():
            raise ProfileError(f"plug-in profile '{name}': there is one of this name already")
    return found


@cache
def shipped_profile_names() -> tuple[str, ...]:
    """Return the names of the profiles that ship with us, in order."""
    folder = resources.files("cryoctl_protocol") / "profiles"
    names = (file.name for file in folder.iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


def unknown_profile(name: str) -> tuple[str, str]:
    """Return message and hint for somebody who asked for a profile that does not exist."""
    close = difflib.get_close_matches(name, profile_names(), n=1)
    meant = f"; did you mean '{close[0]}'?" if close else ""
    return f"unknown profile '{name}'", f"known: {', '.join(profile_names())}{meant}"


def load_profile(name: str) -> Profile:
    """Return the profile called ``name``, or in the file of that name if it ends in ``.toml``.

    Raises:
        ProfileError: There is none; the text lists those that are built in.
        FileError: Mistakes in a file, each with its line.
    """
    given = _given.get()
    return load_probe_file(name).profile if given is None else given


def load_probe_file(name: str) -> ProbeFile:
    """Return the whole profile file that ``load_profile`` reads, with its errors."""
    return _read_file(name) if is_profile_file(name) else _built_in(name)


def is_profile_file(name: str) -> bool:
    """Return True for the name of a file, False for that of a built-in profile."""
    return name.endswith(".toml")


@contextmanager
def given_profile(profile: Profile | None) -> Iterator[None]:
    """Have ``load_profile`` return ``profile`` for every name, as where a recording holds it."""
    token = _given.set(profile)
    try:
        yield
    finally:
        _given.reset(token)


_given: ContextVar[Profile | None] = ContextVar("given_profile", default=None)


def plant_table(name: str) -> dict[str, Any]:
    """Return the ``[plant]`` table of a profile, for the simulator; empty if it has none."""
    return dict(load_probe_file(name).plant)


def control_table(name: str) -> dict[str, Any]:
    """Return the ``[control]`` table of a profile, for the firmware's inner loop."""
    return dict(load_probe_file(name).control)


@cache
def _built_in(name: str) -> ProbeFile:
    if name in brought_profiles():
        return _brought(name, brought_profiles()[name])
    if name not in shipped_profile_names():
        message, hint = unknown_profile(name)
        raise ProfileError(f"{message} ({hint})")
    file = resources.files("cryoctl_protocol") / "profiles" / f"{name}.toml"
    try:
        return parse_profile(file.read_text("utf-8"), f"{name}.toml")
    except FileError as error:
        raise ProfileError(str(error)) from error


def _brought(name: str, point: EntryPoint) -> ProbeFile:
    """Return the profile of a plug-in, held to the same limits as a file."""
    try:
        text = point.load()
        file = parse_profile(text, f"plug-in profile {name}")
    except FileError as error:
        raise ProfileError(str(error)) from error
    except Exception as error:
        raise ProfileError(f"plug-in profile '{name}' cannot be loaded: {error!r}") from error
    if file.profile.probe.id != name:
        raise ProfileError(f"plug-in profile '{name}': its probe.id is '{file.profile.probe.id}'")
    return file


def _read_file(name: str) -> ProbeFile:
    try:
        with Path(name).open("rb") as stream:
            data = stream.read(FILE_SIZE_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "cannot be read"
        raise ProfileError(
            f"profile '{name}': {reason}; give a TOML file or one of: {', '.join(profile_names())}"
        ) from error
    return parse_profile(decode_utf8(data, name), name)


def parse_profile(text: str, source: str) -> ProbeFile:
    """Return the profile file in ``text``; raises FileError with all its mistakes."""
    document = parse_toml(text, source)
    probe = document.data.get("probe")
    is_research = isinstance(probe, dict) and probe.get("research") is True
    file = validate(document, _ResearchFile if is_research else _ProfileFile)
    profile = Profile(
        probe=file.probe, limits=file.limits, cooling=file.cooling, battery=file.battery
    )
    return ProbeFile(document, profile, file.plant, file.control)
