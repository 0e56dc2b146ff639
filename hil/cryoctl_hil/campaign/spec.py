"""A campaign file: what to vary, how to draw it, and what every episode must keep."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cryoctl.cycles import Verdict
from cryoctl_protocol.codes import Trip
from cryoctl_protocol.toml_text import FileKind, load_toml

EPISODES_MAX: Final = 1_000_000
LASTS_S_MAX: Final = 3600.0
_TEXT: Final = r"^[^\x00-\x1f\x7f]*$"
_NAMED: Final = re.compile(r"\{([^{}]*)\}")
_TREATMENT: Final = "treatment."
_SCENARIO: Final = "scenario."
_MODEL: Final = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

Method = Literal["random", "latin-hypercube", "sobol", "grid"]
MarginName = Literal[
    "true_tip_cold", "true_tip_hot", "tip_floor", "supply_pressure", "tip_heater", "freeze_time",
    "time_to_safe", "coldest_tip",
]  # fmt: skip
Shape = Literal["uniform", "log-uniform", "normal", "triangular"]
Texts = Annotated[tuple[str, ...], Field(min_length=1, max_length=1000)]


class Choices(BaseModel):
    """Table ``[choose]``: each list is a factor, of which an episode has one member."""

    model_config = _MODEL

    treatment: Texts = Field(
        ("n2o-20g",), description="Built-in treatments of profiles, by name, or treatment files."
    )
    scenario: Texts = Field(
        ("",), description="Shipped scenarios or files; empty is muscle at 37 C."
    )
    firmware: Texts = Field(("model",), description="model, native, emulated or elf:PATH.")
    faults: Texts = Field(
        ("",),
        description="Fault plans: faults as for --fault, separated by blanks; empty is none. "
        "{name} is the value of what [vary.name] draws.",
    )


class Variation(BaseModel):
    """Table ``[vary.NAME]``: a number that differs from episode to episode."""

    model_config = _MODEL

    low: float | None = Field(None, description="Smallest value.")
    high: float | None = Field(None, description="Largest value.")
    shape: Shape = Field("uniform", description="How values lie between low and high.")
    mean: float | None = Field(None, description="Of a normal shape, cut off at low and high.")
    sigma: float | None = Field(None, gt=0.0, description="Standard deviation of a normal shape.")
    mode: float | None = Field(None, description="Peak of a triangular shape.")
    levels: tuple[float, ...] = Field(
        (), max_length=1000, description="These values and no others."
    )

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.levels:
            if self.low is not None or self.high is not None:
                raise ValueError("give either levels or low and high")
            return self
        if self.low is None or self.high is None:
            raise ValueError("give low and high, or levels")
        if not self.low < self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        if self.shape == "log-uniform" and self.low <= 0.0:
            raise ValueError("a log-uniform value must be above 0")
        if self.shape == "normal" and (self.mean is None or self.sigma is None):
            raise ValueError("a normal shape needs mean and sigma")
        if self.shape == "triangular" and not self._has_mode(self.low, self.high):
            raise ValueError("a triangular shape needs a mode between low and high")
        return self

    def _has_mode(self, low: float, high: float) -> bool:
        return self.mode is not None and low <= self.mode <= high


class Expectation(BaseModel):
    """Table ``[expect]``: what every episode must come to; what is left out is not asked for."""

    model_config = _MODEL

    verdict: tuple[Verdict, ...] = Field((), description="One of these.")
    first_cause: tuple[str, ...] = Field((), description='One of these trips; "" is none.')
    time_to_safe_ms_max: float | None = Field(None, ge=0.0, description="Of its first trip.")
    coldest_tip_c_min: float | None = Field(None, description="True tip, at any time.")
    nerve: tuple[str, ...] = Field((), description="One of these outcomes, such as covered.")

    @model_validator(mode="after")
    def _names_trips(self) -> Self:
        known = [trip.name for trip in Trip]
        for name in self.first_cause:
            if name and name not in known:
                raise ValueError(f"no trip {name!r}; there are {', '.join(known)}")
        return self


class Fork(BaseModel):
    """Table ``[fork]``: branches off every episode instead of whole runs.

    Each episode is run without faults up to the moments; from each of them every fault is tried on
    a copy of the world.
    """

    model_config = _MODEL

    state: str = Field("freeze", description="Of the probe, in which branches begin.")
    moments: int = Field(10, ge=1, le=10_000, description="How many in that state.")
    every_s: float = Field(0.5, ge=0.01, le=60.0, description="Time between two of them.")
    faults: Texts = Field(description='Faults without a moment, such as "tc_open"; "*" is all.')
    then: tuple[str, ...] = Field(
        (), max_length=1000, description='Second faults, tried after each first one; "*" is all.'
    )
    then_after_s: float = Field(1.0, ge=0.0, le=60.0, description="From the first to the second.")
    follow_s: float = Field(8.0, gt=0.0, le=600.0, description="A branch is over then.")


class Search(BaseModel):
    """Table ``[search]``: episodes are chosen, generation by generation, to come near a bound."""

    model_config = _MODEL

    margins: tuple[MarginName, ...] = Field(
        (), description="Those to make small, such as supply_pressure; empty is the least of all."
    )
    population: int = Field(10, ge=5, le=1000, description="Episodes in a generation.")


class Stop(BaseModel):
    """Table ``[stop]``: when to give up early."""

    model_config = _MODEL

    failures: int | None = Field(None, ge=1, description="After so many failed episodes.")
    hours: float | None = Field(
        None, gt=0.0, description="After so many hours of the wall's clock."
    )


class CampaignTable(BaseModel):
    """A whole campaign file."""

    model_config = ConfigDict(**_MODEL, title="cryoctl campaign")

    schema_version: Literal[1] = Field(alias="schema", description="Version of this file format.")
    name: str = Field(min_length=1, max_length=80, pattern=_TEXT, description="For people.")
    episodes: int = Field(
        100, ge=1, le=EPISODES_MAX, description="How many; of a grid, how often each combination."
    )
    seed: int = Field(
        1, ge=0, le=2**32 - 1, description="Everything that is drawn follows from it."
    )
    noise_seed: int | None = Field(
        None,
        ge=0,
        le=2**32 - 1,
        description="Of every episode's noise; each has its own if absent.",
    )
    method: Method = Field("random", description="How values are drawn.")
    lasts_s: float = Field(
        600.0, gt=0.0, le=LASTS_S_MAX, description="An episode is over then at the latest."
    )
    choose: Choices = Choices()
    vary: dict[str, Variation] = Field({}, description="Numbers by name.")
    expect: Expectation = Expectation()
    fork: Fork | None = Field(None, description="Branch from snapshots.")
    search: Search | None = Field(None, description="Choose episodes that come near a bound.")
    stop: Stop = Stop()

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        for plan in self.choose.faults:
            for name in _NAMED.findall(plan):
                if name not in self.vary:
                    raise ValueError(f"faults {plan!r}: there is no [vary.{name}]")
        used = {name for plan in self.choose.faults for name in _NAMED.findall(plan)}
        for name in self.vary:
            if not is_of_plan(name) and name not in used:
                raise ValueError(
                    f"[vary.{name}] is used nowhere: name it {{{name}}} in a fault, or call it "
                    "after a key, such as treatment.cycles.hold_s or scenario.cartridge.fill_g"
                )
        if self.search is not None and (self.fork is not None or self.method != "random"):
            raise ValueError(
                "a search chooses by itself: leave out [fork], and method, or 'random'"
            )
        if self.method == "grid" and any(not each.levels for each in self.vary.values()):
            raise ValueError("a grid needs levels for each [vary] table")
        return self


@dataclass(frozen=True)
class Campaign:
    """A campaign as its file says it.

    Attributes:
        text: Of the file; everything follows from it and from the program's version.
    """

    table: CampaignTable
    text: str
    source: str

    @cached_property
    def sha256(self) -> str:
        """Hash of what the file says, whatever its layout and comments."""
        return sha256(self.table.model_dump_json(by_alias=True).encode()).hexdigest()


def read_campaign(text: str, source: str) -> Campaign:
    """Return the campaign in a file's text; raises FileError with every mistake and its place."""
    return Campaign(load_toml(text, source, CampaignTable), text, source)


def campaign_schema() -> dict[str, Any]:
    """Return the JSON Schema of a campaign file."""
    schema = CampaignTable.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


FILE_KIND: Final = FileKind(read_campaign, campaign_schema)


def faults_of(plan: str, values: Mapping[str, float]) -> list[str]:
    """Return the faults of a plan, with the drawn numbers in their places."""
    return [_NAMED.sub(lambda found: f"{values[found[1]]:.3f}", fault) for fault in plan.split()]


def is_of_plan(name: str) -> bool:
    """Return True for a number that is a key of treatment or scenario, False for one of a fault."""
    return name.startswith((_TREATMENT, _SCENARIO))


def settings_of(values: Mapping[str, float]) -> list[str]:
    """Return what is drawn for keys of the treatment, as ``--set`` takes it."""
    return [
        f"{name.removeprefix(_TREATMENT)}={value:.6g}"
        for name, value in values.items()
        if name.startswith(_TREATMENT)
    ]


def scenario_values(values: Mapping[str, float]) -> dict[str, float]:
    """Return what is drawn for keys of the scenario, by their dotted path."""
    return {
        name.removeprefix(_SCENARIO): value
        for name, value in values.items()
        if name.startswith(_SCENARIO)
    }
