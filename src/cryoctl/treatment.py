"""A treatment file: what to do, in numbers that are checked against the limits of its probe."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib import resources
from pathlib import PurePath
from typing import Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    field_validator,
    model_validator,
)

from cryoctl_protocol.profile import (
    TRIP_LATENCY_S,
    Limits,
    Profile,
    ProfileError,
    is_profile_file,
    load_profile,
    profile_names,
    unknown_profile,
)
from cryoctl_protocol.quantities import number_text
from cryoctl_protocol.toml_keys import KeyPath
from cryoctl_protocol.toml_text import (
    Document,
    FileError,
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
DOSE_BEYOND_NEEDLE_MM: Final = 0.3  # what a dose may be off by; nearer it tells nothing
DOSE_MM_MAX: Final = 5.0  # beyond what any needle here does in 150 s
DOSE_SETPOINT_C_MAX: Final = -30.0  # warmer, 1 C at the sensor is over 5 % of the radius
THAW_TIMEOUT_S_MIN: Final = 10.0  # the heater alone takes 3 s, and SR-14 asks for 2 s more
PREWARM_S_MAX: Final = 120.0  # what the probe takes; skin is warm in a fraction of it
FIRST_HOLD_S: Final = 60.0  # of the treatment for a profile that has none of its own
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
    dose_radius_mm: float | None = quantity(
        None, unit="mm", doc="End the hold at this estimated -20 C radius; hold_s is the longest."
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
    profile: str = Field(
        description="Probe profile that the treatment is meant for: built in, or a TOML file."
    )
    cycles: Cycles
    thaw: Thaw = Thaw()
    prewarm: Prewarm = Prewarm()
    _probe_profile: Profile = PrivateAttr()

    @field_validator("profile")
    @classmethod
    def _is_known(cls, name: str) -> str:
        _find_profile(name)
        return name

    @model_validator(mode="after")
    def _keeps_limits(self) -> Self:
        # Kept, because a file may be another one the next time it is read.
        self._probe_profile = _find_profile(self.profile)
        findings = _findings(self.model_dump(), self._probe_profile)
        if findings:
            raise FindingsError(findings)
        return self

    @property
    def probe_profile(self) -> Profile:
        """The profile whose limits this treatment keeps."""
        return self._probe_profile

    @cached_property
    def hash32(self) -> int:
        """First four bytes, little-endian, of SHA-256 over the canonical JSON.

        A profile stands in it with its id, wherever its file is.
        """
        data = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        data["profile"] = self.probe_profile.probe.id
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
    document = _beside(parse_toml(text, source))
    for setting in settings:
        document = document.with_setting(setting)
    return TreatmentFile(document, validate(document, Treatment, check=_check_raw))


def load_treatment(text: str, source: str, settings: Sequence[str] = ()) -> Treatment:
    """Return the treatment alone; see ``read_treatment``."""
    return read_treatment(text, source, settings).treatment


def default_treatment_text(profile_name: str) -> tuple[str, str]:
    """Return text and name of the treatment file that ships with a profile.

    For one that has none, a file's or a plug-in's, it is made up: one cycle at the usual set-point.

    Raises:
        ProfileError: No such profile.
        FileError: Mistakes in a profile file.
    """
    profile = load_profile(profile_name)
    if is_profile_file(profile_name):
        path = PurePath(profile_name)
        text = _first_treatment(path.name, profile.limits)
        return text, str(path.with_name(f"built-in treatment of {path.name}"))
    if profile_name not in shipped_treatments():
        return _first_treatment(profile_name, profile.limits), f"treatment of {profile_name}"
    return shipped_treatment_text(profile_name), f"treatments/{profile_name}.toml"


def default_treatment(profile_name: str) -> Treatment:
    """Return the treatment that ships with a profile; raises ProfileError if there is none."""
    return load_treatment(*default_treatment_text(profile_name))


@cache
def shipped_treatments() -> tuple[str, ...]:
    """Return the names of all treatments that ship with this program, in order."""
    names = (file.name for file in (resources.files("cryoctl") / "treatments").iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


@cache
def shipped_treatment_text(name: str) -> str:
    """Return the text of one of ``shipped_treatments``."""
    return (resources.files("cryoctl") / "treatments" / f"{name}.toml").read_text("utf-8")


def _first_treatment(profile_name: str, limits: Limits) -> str:
    hold_s = min(FIRST_HOLD_S, limits.hold_s_max, limits.freeze_s_max - limits.reach_s_max)
    return (
        f'schema = 1\nname = "One cycle"\nprofile = {json.dumps(profile_name)}\n\n'
        f"[cycles]\ncount = 1\nsetpoint_c = {limits.setpoint_default_c}\nhold_s = {hold_s}\n"
    )


def _find_profile(name: str) -> Profile:
    """Return a profile; raises FindingsError, which tells of the key that names it."""
    if not is_profile_file(name) and name not in profile_names():
        raise FindingsError([Finding((), *unknown_profile(name))])
    try:
        return load_profile(name)
    except ProfileError as error:
        raise FindingsError([Finding((), str(error))]) from error
    except FileError as error:
        mistakes = "; ".join(str(problem).split("\n", 1)[0] for problem in error.problems)
        raise FindingsError([Finding((), f"its file has mistakes: {mistakes}")]) from error


def _beside(document: Document) -> Document:
    """Return a treatment file in which a profile file is found from where that file is."""
    name = document.data.get("profile")
    if not isinstance(name, str) or not is_profile_file(name):
        return document
    place = str(PurePath(document.source).parent / name)
    return replace(document, data={**document.data, "profile": place})


def treatment_schema() -> dict[str, Any]:
    """Return the JSON Schema of a treatment file."""
    schema = Treatment.model_json_schema(by_alias=True)
    known = {"enum": list(profile_names())}
    schema["properties"]["profile"]["anyOf"] = [known, {"pattern": r"\.toml$"}]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _check_raw(data: dict[str, Any]) -> list[Finding]:
    """Check the limits of a file that is not good enough to become a Treatment."""
    try:
        profile = _find_profile(str(data.get("profile")))
    except FindingsError:
        return []
    return _findings(data, profile)


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


def _findings(data: dict[str, Any], profile: Profile) -> list[Finding]:
    return limit_findings(data, profile.limits) + _dose_findings(data, profile)


def _dose_findings(data: dict[str, Any], profile: Profile) -> list[Finding]:
    """Check a dose against the needle, and against the cold that is to make it."""
    path, cold = ("cycles", "dose_radius_mm"), ("cycles", "setpoint_c")
    dose_mm, setpoint_c = _number(data, path), _number(data, cold)
    if dose_mm is None:
        return []
    found: list[Finding] = []
    if profile.cooling is None:
        message = "this profile says nothing of the heat its gas draws, which tells the tissue"
        found.append(Finding(path, message, "leave it out: time alone can end the hold"))
    low_mm = round(0.5 * profile.probe.needle_od_mm + DOSE_BEYOND_NEEDLE_MM, 3)
    if not low_mm <= dose_mm <= DOSE_MM_MAX:
        message = f"{number_text(dose_mm)} mm is out of range for this needle"
        found.append(Finding(path, message, f"allowed: {_span(low_mm, DOSE_MM_MAX)} mm"))
    if setpoint_c is not None and setpoint_c > DOSE_SETPOINT_C_MAX:
        message = f"a -20 C radius does not grow at a set-point of {number_text(setpoint_c)} C"
        hint = f"set-point for a dose: {number_text(DOSE_SETPOINT_C_MAX)} C or colder"
        found.append(Finding(path, message, hint))
    return found


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
