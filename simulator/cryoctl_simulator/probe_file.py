"""A probe profile as the simulator needs it: limits, hardware and inner loop, checked together."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from pydantic import TypeAdapter, ValidationError

from cryoctl_protocol.profile import (
    ProbeFile,
    Profile,
    ResearchLimits,
    load_probe_file,
    parse_profile,
)
from cryoctl_protocol.toml_keys import KeyPath
from cryoctl_protocol.toml_text import FileError, FileKind, Finding
from cryoctl_simulator.firmware_config import ControlTable, FirmwareConfig
from cryoctl_simulator.plant_parameters import PlantParameters

_GEOMETRY: Final = ("gas", "needles", "needle_od_mm", "active_length_mm")
"""Keys of ``[probe]`` that are hardware too."""
_PLANT: Final = TypeAdapter(PlantParameters)
_MISSING: Final = frozenset({"missing", "missing_argument"})
_UNKNOWN: Final = frozenset({"extra_forbidden", "unexpected_keyword_argument"})


class SimulatedProbe(NamedTuple):
    """What a profile file says of a probe that is to be simulated."""

    text: str
    profile: Profile
    plant: PlantParameters
    control: ControlTable

    @property
    def firmware(self) -> FirmwareConfig:
        """What the probe's firmware is built with."""
        return FirmwareConfig.from_profile(self.profile, self.control)


def load_simulated_probe(name: str) -> SimulatedProbe:
    """Return the built-in profile ``name``, or the one in the file of that name.

    Raises:
        ProfileError: There is none.
        FileError: Mistakes in a file, each with its line.
    """
    return _simulated(load_probe_file(name))


def check_profile(text: str, source: str) -> SimulatedProbe:
    """Return the profile in ``text``; raises FileError with its mistakes."""
    return _simulated(parse_profile(text, source))


def profile_schema() -> dict[str, Any]:
    """Return the JSON Schema of a profile file."""
    limits = ResearchLimits.model_json_schema()
    plant = _PLANT.json_schema()
    plant["properties"] = {k: v for k, v in plant["properties"].items() if k not in _GEOMETRY}
    plant["required"] = [key for key in plant["required"] if key not in _GEOMETRY]
    schema = Profile.model_json_schema()
    definitions = schema.setdefault("$defs", {})
    definitions |= {"Limits": limits, "Plant": plant, "Control": ControlTable.model_json_schema()}
    schema["properties"] |= {
        "plant": {"$ref": "#/$defs/Plant"},
        "control": {"$ref": "#/$defs/Control"},
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


FILE_KIND: Final = FileKind(check_profile, profile_schema)


def _simulated(file: ProbeFile) -> SimulatedProbe:
    geometry = {key: getattr(file.profile.probe, key) for key in _GEOMETRY}
    findings: list[Finding] = []
    plant: PlantParameters | None = None
    control: ControlTable | None = None
    try:
        plant = _PLANT.validate_python({**file.plant, **geometry})
    except ValidationError as error:
        findings += _findings(error, "plant")
    try:
        control = ControlTable.model_validate(file.control)
    except ValidationError as error:
        findings += _findings(error, "control")
    if plant is None or control is None:
        raise FileError([file.document.problem(finding) for finding in findings])
    return SimulatedProbe(file.document.text, file.profile, plant, control)


def _findings(error: ValidationError, table: str) -> list[Finding]:
    """Return what pydantic says of a table that is not part of a model of its own."""
    return [_finding(e["type"], e["loc"], e["msg"], table) for e in error.errors()]


def _finding(kind: str, loc: tuple[int | str, ...], message: str, table: str) -> Finding:
    path: KeyPath = (table, *loc)
    if kind in _MISSING:
        return Finding(path, "missing key", "the simulator needs it")
    if kind in _UNKNOWN:
        return Finding(path, "unknown key")
    return Finding(path, message[:1].lower() + message[1:])
