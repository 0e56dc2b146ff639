"""What a rig is: where the probe is, and what can be done to it there; a file or a short name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from cryoctl.files import read_text
from cryoctl.sample import Sample
from cryoctl_protocol.peer import AddressError, DeviceUrl
from cryoctl_protocol.toml_text import FileError, FileKind, Problem, load_toml

SIMULATED: Final = "sim"
"""Scheme of the probe in this process, in virtual time."""
BOARD: Final = "board"
"""Scheme of a microcontroller at two ports, whose needle, tissue and gas are simulated here."""
TELEMETRY_PERIOD_S: Final = 0.02
"""A change is seen with the next sample: so long is every measured time uncertain, at least."""
_FIRMWARE: Final = "firmware:"
_TEXT: Final = r"^[^\x00-\x1f\x7f]*$"
_HOST_PORT: Final = r"^[^\s:]+:\d{1,5}$"
_SIGNALS: Final = frozenset(Sample._fields)


class Means(StrEnum):
    """What a rig can do to a probe, beside talking to it."""

    FAULTS = "faults"
    POWER = "power"
    INSTRUMENT = "instrument"
    OPERATOR = "operator"


MEANS_TEXT: Final[dict[Means, str]] = {
    Means.FAULTS: "inject faults",
    Means.POWER: "take the probe's power away and give it back",
    Means.INSTRUMENT: "measure by an instrument of its own",
    Means.OPERATOR: "ask somebody to do something by hand",
}


class InstrumentTable(BaseModel):
    """Table ``[[instrument]]``: something that measures beside the probe."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = Field(min_length=1, max_length=60, pattern=_TEXT, description="What it is.")
    serial: str = Field("", max_length=60, pattern=_TEXT, description="Its serial number.")
    signal: str = Field(description="What it measures, by the name of a telemetry field.")
    uncertainty: float = Field(ge=0.0, description="Expanded (k = 2), in the signal's unit.")
    calibrated: date | None = Field(None, description="Day of its last calibration.")
    due: date | None = Field(None, description="Day on which the next one is due.")


class PowerTable(BaseModel):
    """Table ``[power]``: a switch in the probe's supply."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    switch: str = Field(description="Who switches: an installed class, such as usb-relay.")
    port: str = Field("", description="Where it is, such as /dev/ttyUSB1.")
    channel: int = Field(1, ge=1, le=255, description="Which of its contacts.")
    normally_closed: bool = Field(
        default=False, description="The probe is at a contact that is closed while it rests."
    )
    off_s: float = Field(1.0, ge=0.05, le=60.0, description="How long a power cycle is off.")


class RigTable(BaseModel):
    """A whole rig file."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, title="cryoctl rig")

    schema_version: Literal[1] = Field(alias="schema", description="Version of this file format.")
    name: str = Field(min_length=1, max_length=60, pattern=_TEXT, description="For people.")
    device: str = Field(description="Where the probe is, as for cryoctl run --device.")
    profile: str = Field("n2o-20g", description="Of the probe: a name or a file.")
    serial: str = Field(
        "", max_length=16, description="Of the probe that belongs here; any, if empty."
    )
    firmware: str = Field(
        "", max_length=16, description="It must say that it runs this; any, if empty."
    )
    fault_port: str = Field(
        "", pattern=rf"{_HOST_PORT}|^$", description="Takes faults by JSON lines."
    )
    operator: bool = Field(default=False, description="Somebody stands by and can be asked.")
    quick: bool = Field(
        default=False, description="Heated thaws, and one leak test for the whole run."
    )
    timing_uncertainty_s: float = Field(
        TELEMETRY_PERIOD_S, ge=TELEMETRY_PERIOD_S, le=1.0, description="Of every measured time."
    )
    uncertainty: dict[str, float] = Field(
        {}, description="Of the probe's own readings, by the name of a telemetry field."
    )
    power: PowerTable | None = Field(None, description="Switches the probe's supply.")
    instrument: tuple[InstrumentTable, ...] = Field((), max_length=16)


@dataclass(frozen=True, slots=True)
class Rig:
    """A rig as it was asked for.

    Attributes:
        text: Of its file, for the evidence; of a short name what such a file would say.
        source: The file or the short name.
    """

    table: RigTable
    device: DeviceUrl
    source: str
    text: str

    @property
    def is_virtual(self) -> bool:
        """True for a probe in virtual time, of which there are as many as wanted."""
        return self.device.scheme == SIMULATED

    @property
    def is_board(self) -> bool:
        """True for a board in the loop, whose plant is served here for as long as the run."""
        return self.device.scheme == BOARD

    @property
    def means(self) -> frozenset[Means]:
        """What it can do to a probe."""
        table = self.table
        is_simulated = self.is_virtual or self.is_board
        has = {
            Means.FAULTS: is_simulated or bool(table.fault_port),
            Means.POWER: is_simulated or table.power is not None,
            Means.INSTRUMENT: bool(table.instrument),
            Means.OPERATOR: table.operator,
        }
        return frozenset(means for means, there in has.items() if there)

    def uncertainty_of(self, signal: str) -> float:
        """Return how uncertain the probe's own readings of ``signal`` are; 0 if nobody says."""
        return self.table.uncertainty.get(signal, 0.0)


def read_rig(text: str, source: str) -> Rig:
    """Return the rig in a file's text.

    Raises:
        FileError: Mistakes in it, each with its place.
    """
    table = load_toml(text, source, RigTable)
    for signal in (*table.uncertainty, *(each.signal for each in table.instrument)):
        if signal not in _SIGNALS:
            known = ", ".join(sorted(_SIGNALS))
            raise FileError(
                [Problem(source, None, signal, "no telemetry field", f"known: {known}")]
            )
    try:
        device = DeviceUrl.parse(table.device)
    except AddressError as error:
        raise FileError([Problem(source, None, "device", str(error))]) from error
    rig = Rig(table, device, source, text)
    _refuse_doubled_means(rig)
    return rig


def _refuse_doubled_means(rig: Rig) -> None:
    table = rig.table
    if rig.is_virtual or rig.is_board:
        for name, given in (("fault_port", table.fault_port), ("power", table.power)):
            if given and not (rig.is_board and name == "power"):
                text = f"a rig at {rig.device.scheme}: has its own; leave it out"
                raise FileError([Problem(rig.source, None, name, text)])
    if table.power is not None and table.power.port == rig.device.path:
        text = "this is the port of the probe itself"
        raise FileError([Problem(rig.source, None, "power.port", text)])


def rig_schema() -> dict[str, Any]:
    """Return the JSON Schema of a rig file."""
    schema = RigTable.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


FILE_KIND: Final = FileKind(read_rig, rig_schema)


def find_rig(name: str) -> Rig:
    """Return the rig called ``name``: a file, a device's address, ``sim``, ``firmware:BUILD``.

    Raises:
        AddressError: It is none of these.
        FileError: Mistakes in the file.
    """
    if name.endswith(".toml"):
        return read_rig(read_text(Path(name)), name)
    address = _address(name)
    device = DeviceUrl.parse(address)
    profile = device.path or "n2o-20g" if device.scheme == SIMULATED else "n2o-20g"
    text = f'schema = 1\nname = "{name}"\ndevice = "{address}"\nprofile = "{profile}"\n'
    return read_rig(text, name)


def _address(name: str) -> str:
    if name == SIMULATED:
        return "sim:"
    if name.startswith(_FIRMWARE):
        return f"sim:?firmware={name.removeprefix(_FIRMWARE)}"
    if ":" not in name:
        raise AddressError(
            f"rig '{name}': expected sim, firmware:native, firmware:emulated, firmware:elf:PATH, "
            "board:LINK,CHANNEL, a device's address such as serial:/dev/ttyACM0, or a file such as "
            "bench.toml"
        )
    return name
