"""A treatment file: what to do, in numbers that are checked against the limits of its probe."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from cryoctl_protocol.profile import (
    TRIP_LATENCY_S,
    Limits,
    load_profile,
    profile_names,
    unknown_profile,
)
from cryoctl_protocol.quantities import number_text
from cryoctl_protocol.toml_keys import KeyPath
from cryoctl_protocol.toml_text import (
    Document,
    FileKind,
    Finding,
    FindingsError,
    ValueOrigin,
    parse_toml,
    quantity,
    validate,
    value_origins,
)

CYCLES_MAX: Final = 10  # published trials use 1 to 3; a 16 g cartridge cannot serve more than 7
HOLD_S_MIN: Final = 1.0  # below, 90 % in the band is a matter of single samples
THAW_TIMEOUT_S_MIN: Final = 10.0  # the heater alone takes 3 s, and SR-14 asks for 2 s more
PREWARM_S_MAX: Final = 120.0  # what the probe takes; skin is warm in a fraction of it
PAUSE_S_MAX: Final = 600.0  # longer than that is another placement
_FILE: Final = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Cycles(BaseModel):
    """The freezes: how many, how cold, how long."""

    model_config = _FILE

    count: int = Field(ge=1, le=CYCLES_MAX, description="Number of freeze/thaw cycles.")
    setpoint_c: float = quantity(
        unit="C", doc="Tip temperature to hold; the probe's profile has the allowed window."
    )
    hold_s: float = quantity(
        unit="s", doc="Time in the set-point band; the probe's profile has the longest."
    )
    pause_s: float = quantity(10.0, unit="s", ge=0.0, le=PAUSE_S_MAX, doc="Rest between cycles.")
    on_not_effective: Literal["stop", "continue"] = Field(
        "stop", description="What to do after a cycle that missed its set-point or its hold."
    )


class Thaw(BaseModel):
    """How each freeze ends. When the needle is free is no matter of choice (SR-14)."""

    model_config = _FILE

    mode: Literal["active", "passive"] = Field(
        "passive", description="With the tip heater, or by the warmth of the tissue alone."
    )
    timeout_s: float = quantity(400.0, unit="s", doc="A thaw that takes longer is a trip.")


class Prewarm(BaseModel):
    """Warming the skin at the needle's base before the first freeze."""

    model_config = _FILE

    duration_s: float = quantity(5.0, unit="s", doc="Zero leaves it out.")


class Treatment(BaseModel):
    """A whole treatment; one that breaks a limit of its profile cannot be made."""

    model_config = ConfigDict(**_FILE, title="cryoctl treatment")

    schema_version: Literal[1] = Field(alias="schema", description="Version of this file format.")
    name: str = Field(
        "", max_length=80, pattern=r"^[^\x00-\x1f\x7f]*$", description="Name for people, in print."
    )
    profile: str = Field(description="Probe profile that the treatment is meant for.")
    cycles: Cycles
    thaw: Thaw = Thaw()
    prewarm: Prewarm = Prewarm()

    @field_validator("profile")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in profile_names():
            raise FindingsError([Finding((), *unknown_profile(name))])
        return name

    @model_validator(mode="after")
    def _keeps_limits(self) -> Self:
        findings = limit_findings(self.model_dump(), load_profile(self.profile).limits)
        if findings:
            raise FindingsError(findings)
        return self

    @cached_property
    def hash32(self) -> int:
        """First four bytes, little-endian, of SHA-256 over the canonical JSON."""
        data = self.model_dump(mode="json", by_alias=True)
        text = json.dumps(data, sort_keys=True, separators=(",", ":"))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")


@dataclass(frozen=True, slots=True)
class TreatmentFile:
    """A treatment and the text it came from.

    Attributes:
        document: Text, lines and ``--set`` arguments.
        treatment: What they say.
    """

    document: Document
    treatment: Treatment

    def origins(self) -> list[ValueOrigin]:
        """Return every value with where it came from, for ``config show --origin``."""
        return value_origins(self.document, self.treatment)


def limit_findings(data: dict[str, Any], limits: Limits) -> list[Finding]:
    """Return every way in which the numbers of a treatment file break ``limits``.

    Args:
        data: The tables of the file; what is missing or no number is passed over.
        limits: Of the probe's profile.
    """
    found: list[Finding | None] = []
    for path, check in _CHECKS.items():
        value = _number(data, path)
        if value is not None:
            found.append(check(path, value, limits))
    return [finding for finding in found if finding is not None]


def read_treatment(text: str, source: str, settings: Sequence[str] = ()) -> TreatmentFile:
    """Return the treatment in ``text``, with ``settings`` (``cycles.count=2``) on top.

    Raises:
        FileError: With every problem of the text and the settings.
    """
    document = parse_toml(text, source)
    for setting in settings:
        document = document.with_setting(setting)
    return TreatmentFile(document, validate(document, Treatment, check=_check_raw))


def load_treatment(text: str, source: str, settings: Sequence[str] = ()) -> Treatment:
    """Return the treatment alone; see ``read_treatment``."""
    return read_treatment(text, source, settings).treatment


@cache
def default_treatment_text(profile_name: str) -> tuple[str, str]:
    """Return text and name of the treatment file that ships with a profile.

    Raises:
        ProfileError: No such profile.
    """
    load_profile(profile_name)
    file = resources.files("cryoctl") / "treatments" / f"{profile_name}.toml"
    return file.read_text("utf-8"), f"treatments/{profile_name}.toml"


def default_treatment(profile_name: str) -> Treatment:
    """Return the treatment that ships with a profile; raises ProfileError if there is none."""
    return load_treatment(*default_treatment_text(profile_name))


def treatment_schema() -> dict[str, Any]:
    """Return the JSON Schema of a treatment file."""
    schema = Treatment.model_json_schema(by_alias=True)
    schema["properties"]["profile"]["enum"] = list(profile_names())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _check_raw(data: dict[str, Any]) -> list[Finding]:
    """Check the limits of a file that is not good enough to become a Treatment."""
    name = data.get("profile")
    if name not in profile_names():
        return []
    return limit_findings(data, load_profile(str(name)).limits)


def _number(data: dict[str, Any], path: KeyPath) -> float | None:
    value: Any = data
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None


FILE_KIND: Final = FileKind(load_treatment, treatment_schema)


def _setpoint_finding(path: KeyPath, setpoint_c: float, limits: Limits) -> Finding | None:
    """Check SR-06 first: it holds whatever window a profile states."""
    coldest_c, rounded_c = limits.setpoint_coldest_c, round(setpoint_c, 3)
    low_c = max(coldest_c, limits.setpoint_min_c)
    allowed = f"allowed: {_span(low_c, limits.setpoint_max_c)} C"
    if rounded_c < coldest_c:
        sum_text = (
            f"tip floor {number_text(limits.tip_floor_c)} C"
            f" + sensor error {number_text(limits.sensor_error_c)} C"
            f" + {number_text(TRIP_LATENCY_S)} s x {number_text(limits.cooling_rate_c_per_s)} C/s"
            f" = {number_text(coldest_c)} C is the coldest that leaves the trip margin"
        )
        return Finding(path, f"{number_text(setpoint_c)} C breaks SR-06: {sum_text}", allowed)
    if low_c <= rounded_c <= limits.setpoint_max_c:
        return None
    message = f"{number_text(setpoint_c)} C is outside the window of this profile"
    return Finding(path, message, allowed)


def _hold_finding(path: KeyPath, hold_s: float, limits: Limits) -> Finding | None:
    """Keep hold, and reach plus hold (SR-09), within what the profile allows."""
    longest_s = min(limits.hold_s_max, limits.freeze_s_max - limits.reach_s_max)
    allowed = f"allowed: {_span(HOLD_S_MIN, longest_s)} s"
    if HOLD_S_MIN <= hold_s <= longest_s:
        return None
    if hold_s < HOLD_S_MIN or hold_s > limits.hold_s_max:
        return Finding(path, f"{number_text(hold_s)} s is out of range", allowed)
    message = (
        f"{number_text(hold_s)} s breaks SR-09: with up to {number_text(limits.reach_s_max)} s to"
        f" reach the set-point, one freeze is longer than {number_text(limits.freeze_s_max)} s"
    )
    return Finding(path, message, allowed)


def _thaw_finding(path: KeyPath, timeout_s: float, limits: Limits) -> Finding | None:
    return _out_of_range(path, timeout_s, THAW_TIMEOUT_S_MIN, limits.thaw_s_max)


def _prewarm_finding(path: KeyPath, duration_s: float, _limits: Limits) -> Finding | None:
    return _out_of_range(path, duration_s, 0.0, PREWARM_S_MAX)


def _out_of_range(path: KeyPath, value_s: float, low_s: float, high_s: float) -> Finding | None:
    if low_s <= value_s <= high_s:
        return None
    allowed = f"allowed: {_span(low_s, high_s)} s"
    return Finding(path, f"{number_text(value_s)} s is out of range", allowed)


def _span(low: float, high: float) -> str:
    return f"{number_text(low)} to {number_text(high)}"


_CHECKS: Final[dict[KeyPath, Callable[[KeyPath, float, Limits], Finding | None]]] = {
    ("cycles", "setpoint_c"): _setpoint_finding,
    ("cycles", "hold_s"): _hold_finding,
    ("thaw", "timeout_s"): _thaw_finding,
    ("prewarm", "duration_s"): _prewarm_finding,
}
