"""One episode: a whole treatment on a simulated probe, watched, in a few numbers."""

from __future__ import annotations

import json
import traceback
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from cryoctl.core import Controller, Settings
from cryoctl.files import read_text
from cryoctl.lockstep import LockStep
from cryoctl.operators import AutomaticOperator
from cryoctl.treatment import (
    Treatment,
    default_treatment_text,
    load_treatment,
)
from cryoctl_hil.assurance.oracles import SafetyWatch
from cryoctl_hil.campaign.margins import Margins
from cryoctl_hil.campaign.sampling import Draw, Point, draw
from cryoctl_hil.campaign.spec import (
    Campaign,
    Expectation,
    faults_of,
    scenario_values,
    settings_of,
)
from cryoctl_hil.sinks import NoSink
from cryoctl_protocol.auth import DEMO_KEY
from cryoctl_protocol.codes import DeviceState
from cryoctl_protocol.peer import DeviceUrl
from cryoctl_protocol.truth import NerveOutcome, TruthSample
from cryoctl_simulator.device import SimulatedDevice
from cryoctl_simulator.faults import parse_fault
from cryoctl_simulator.link import open_link
from cryoctl_simulator.plant import Plant
from cryoctl_simulator.scenario import Scenario, load_scenario, shipped_scenarios

_TREATMENT_FILE: Final = ".toml"


@dataclass(slots=True)
class Row:
    """What an episode came to; the same whoever ran it, wherever.

    Attributes:
        verdict: Of the treatment; FAIL while it has not ended.
        ended: The treatment came to an end within the episode.
        first_cause: Trip that came first; empty without one.
        layer: Who found it.
        time_to_safe_ms: Of that trip; None if it was not confirmed, or there was none.
        coldest_tip_c: True tip.
        radius_minus20_mm: Largest true radius of the -20 C isotherm.
        nerve: Outcome of the simulated nerve.
        margins: How near it came to each bound: 1 is far away, less than 0 beyond it.
        wrong: What was not safe, or raised, or not as expected; empty if all is well.
    """

    episode: int
    seed: int
    choice: dict[str, str]
    values: dict[str, float]
    faults: list[str]
    verdict: str = "FAIL"
    ended: bool = False
    first_cause: str = ""
    layer: str = ""
    trips: list[str] | None = None
    time_to_safe_ms: float | None = None
    cycles: int = 0
    coldest_tip_c: float | None = None
    ice_radius_mm: float = 0.0
    radius_minus20_mm: float = 0.0
    nerve: str = ""
    nerve_covered_mm: float = 0.0
    gas_used_g: float = 0.0
    virtual_s: float = 0.0
    events_sha256: str = ""
    margins: dict[str, float] | None = None
    wrong: list[str] | None = None

    @property
    def ok(self) -> bool:
        """True if nothing was wrong."""
        return not self.wrong

    def to_json(self) -> str:
        """Return the row as one canonical line: same episode, same bytes."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), allow_nan=False)


class _Truth:
    """The extremes of what is really so in the plant."""

    def __init__(self) -> None:
        self.coldest_tip_c: float | None = None
        self.ice_radius_mm = 0.0
        self.radius_minus20_mm = 0.0
        self.last: TruthSample | None = None

    def take(self, sample: TruthSample, _now_s: float) -> None:
        """Take one sample, at 10 Hz."""
        tip_c = sample.tip_temp_c
        if self.coldest_tip_c is None or tip_c < self.coldest_tip_c:
            self.coldest_tip_c = tip_c
        self.ice_radius_mm = max(self.ice_radius_mm, sample.ice_radius_mm)
        self.radius_minus20_mm = max(self.radius_minus20_mm, sample.radius_minus20_mm)
        self.last = sample


@dataclass(frozen=True, slots=True)
class Plan:
    """An episode as it can be run: treatment, scenario, faults."""

    drawn: Draw
    treatment: Treatment
    scenario: Scenario
    firmware: str
    faults: list[str]


def plan_of(campaign: Campaign, episode: int | Point) -> Plan:
    """Return the plan of an episode, or of a point that a search looks at.

    Raises:
        FileError: A treatment that cannot be, with the drawn numbers on top.
        ValueError: A scenario or a fault that cannot be.
        KeyError: A key that no scenario has.
    """
    return plan_of_draw(draw(campaign, episode))


def plan_of_draw(drawn: Draw) -> Plan:
    """Return the plan of what was drawn; raises as ``plan_of`` does."""
    choice, values = drawn.choice, drawn.values
    faults = faults_of(choice["faults"], values)
    for fault in faults:
        parse_fault(fault)
    text, source = _treatment_text(choice["treatment"])
    return Plan(
        drawn,
        load_treatment(text, source, settings_of(values)),
        _with_values(_scenario(choice["scenario"]), scenario_values(values)),
        choice["firmware"],
        faults,
    )


@cache
def _treatment_text(name: str) -> tuple[str, str]:
    if name.endswith(_TREATMENT_FILE):
        return read_text(Path(name)), name
    return default_treatment_text(name)


@cache
def _scenario(name: str) -> Scenario:
    if not name:
        return Scenario()
    shipped = shipped_scenarios()
    if name in shipped:
        return load_scenario(shipped[name], f"{name}.toml")
    return load_scenario(read_text(Path(name)), name)


def _with_values(scenario: Scenario, values: dict[str, float]) -> Scenario:
    if not values:
        return scenario
    data = scenario.model_dump()
    for path, value in values.items():
        *tables, key = path.split(".")
        table: dict[str, Any] = data
        for name in tables:
            table = table[name]
        if key not in table:
            raise KeyError(f"scenario.{path}: no such key")
        table[key] = value
    return Scenario.model_validate(data)


def open_device(plan: Plan) -> SimulatedDevice:
    """Return the simulated probe of a plan, without its faults."""

    def make(config: Any, plant: Plant, *others: Any, **named: Any) -> SimulatedDevice:
        return SimulatedDevice(config, Plant(plant.parameters, plan.scenario), *others, **named)

    profile = plan.treatment.profile
    query = f"seed={plan.drawn.seed}&firmware={plan.firmware}"
    device = open_link(DeviceUrl.parse(f"sim:{profile}?{query}"), make).peer
    assert isinstance(device, SimulatedDevice)
    return device


def run_episode(campaign: Campaign, episode: int | Point) -> Row:
    """Run an episode; whatever goes wrong, the program's own errors included, is in its row."""
    try:
        plan = plan_of(campaign, episode)
    except Exception as error:  # noqa: BLE001  # Told like anything else that is wrong.
        drawn = draw(campaign, episode)
        return Row(drawn.episode, drawn.seed, drawn.choice, drawn.values, [], wrong=[_told(error)])
    return run_plan(plan, campaign.table.lasts_s, campaign.table.expect)


def run_plan(plan: Plan, lasts_s: float, expect: Expectation) -> Row:
    """Run a plan for so long at the most."""
    course = Course(plan)
    for fault in plan.faults:
        course.device.inject(fault)
    return course.go_on(lasts_s, expect)


class Course:
    """A plan under way: controller, link and probe, watched from outside.

    Attributes:
        row: What it comes to.
    """

    def __init__(self, plan: Plan) -> None:
        drawn = plan.drawn
        self.row = Row(drawn.episode, drawn.seed, drawn.choice, dict(drawn.values), plan.faults)
        self.device = open_device(plan)
        self._truth, self._watch, self._margins = _Truth(), SafetyWatch(), Margins()
        self.device.subscribe(self._truth.take)
        # As in `cryoctl run --seed`, so that a run of the same is the same, byte for byte.
        settings = Settings(key=DEMO_KEY, nonce_seed=f"host {drawn.seed}".encode())
        profile = plan.treatment.probe_profile
        self._controller = Controller(plan.treatment, profile, settings, NoSink())
        self._shell = LockStep(self._controller, self.device, AutomaticOperator())
        self._shell.run(until_s=0.0)  # Connects and moves nothing.

    @property
    def now_s(self) -> float:
        """Time since connecting."""
        return self._shell.now_s

    @property
    def ended(self) -> bool:
        """True once nothing more will happen."""
        return self._shell.ended

    @property
    def state(self) -> int:
        """What the probe does, a ``DeviceState``; IDLE without power."""
        firmware = self.device.firmware
        return int(DeviceState.IDLE) if firmware is None else firmware.state.state

    def step(self) -> None:
        """Move by one device tick of 10 ms, and look."""
        self._shell.step()
        self._watch.look(self._controller, self.device, self._shell.now_s)
        self._margins.look(self._controller, self.device)

    def go_on(self, until_s: float, expect: Expectation) -> Row:
        """Go on to the end, or to ``until_s``; return what it came to."""
        wrong: list[str] = []
        try:
            while not self._shell.ended and self._shell.now_s < until_s:
                self.step()
        except Exception as error:  # noqa: BLE001  # An exception is what campaigns are for.
            wrong.append(_told(error))
        row = self.row
        _fill(row, self._controller, self._truth, self._shell)
        row.margins = self._margins.found() | _margins_of(row, expect)
        row.wrong = wrong + self._watch.violations + not_as_expected(row, expect)
        return row

    def save(self) -> bytes:
        """Return the state of the whole world, to branch off from it."""
        return self._shell.save()

    def load(self, data: bytes) -> None:
        """Take over a world of the same plan; the watch begins anew."""
        self._shell.load(data)
        self._watch, self._margins = SafetyWatch(), Margins()


def _fill(row: Row, controller: Controller, truth: _Truth, shell: LockStep) -> None:
    row.verdict = controller.verdict.value
    row.ended = controller.finished
    row.trips = [trip.notice.trip.name for trip in controller.trips]
    if controller.trips:
        first = controller.trips[0]
        row.first_cause, row.layer = first.notice.trip.name, first.layer
        row.time_to_safe_ms = first.time_to_safe_ms
    row.cycles = len(controller.cycles)
    row.gas_used_g = round(controller.gas_used_g, 6)
    row.virtual_s = round(shell.now_s, 3)
    row.events_sha256 = controller.events_sha256
    if truth.last is not None:
        assert truth.coldest_tip_c is not None
        row.coldest_tip_c = round(truth.coldest_tip_c, 3)
        row.ice_radius_mm = round(truth.ice_radius_mm, 4)
        row.radius_minus20_mm = round(truth.radius_minus20_mm, 4)
        row.nerve = NerveOutcome(truth.last.nerve_outcome).name.lower()
        row.nerve_covered_mm = round(truth.last.nerve_covered_mm, 3)


def _margins_of(row: Row, expect: Expectation) -> dict[str, float]:
    """Return how near a row came to the bounds of its campaign."""
    margins = {}
    late_ms, cold_c = expect.time_to_safe_ms_max, expect.coldest_tip_c_min
    if late_ms and row.time_to_safe_ms is not None:
        margins["time_to_safe"] = round(1.0 - row.time_to_safe_ms / late_ms, 6)
    if cold_c is not None and row.coldest_tip_c is not None:
        margins["coldest_tip"] = round((row.coldest_tip_c - cold_c) / 100.0, 6)
    return margins


def not_as_expected(row: Row, expect: Expectation) -> list[str]:
    """Return how a row differs from what every episode must come to."""
    checks: tuple[tuple[bool, str], ...] = (
        (
            bool(expect.verdict) and row.verdict not in expect.verdict,
            f"verdict {row.verdict}, expected {' or '.join(expect.verdict)}",
        ),
        (
            bool(expect.first_cause) and row.first_cause not in expect.first_cause,
            f"first cause {row.first_cause or 'none'}, expected {_names(expect.first_cause)}",
        ),
        (
            bool(expect.nerve) and row.nerve not in expect.nerve,
            f"nerve {row.nerve}, expected {' or '.join(expect.nerve)}",
        ),
        (_is_beyond(row.time_to_safe_ms, expect.time_to_safe_ms_max), _late(row, expect)),
        (_is_beyond(expect.coldest_tip_c_min, row.coldest_tip_c), _cold(row, expect)),
    )
    return [text for is_so, text in checks if is_so]


def _is_beyond(value: float | None, limit: float | None) -> bool:
    return value is not None and limit is not None and value > limit


def _late(row: Row, expect: Expectation) -> str:
    return f"safe after {row.time_to_safe_ms} ms, allowed {expect.time_to_safe_ms_max} ms"


def _cold(row: Row, expect: Expectation) -> str:
    return f"true tip at {row.coldest_tip_c} C, coldest allowed {expect.coldest_tip_c_min} C"


def _names(causes: tuple[str, ...]) -> str:
    return " or ".join(cause or "none" for cause in causes)


def _told(error: Exception) -> str:
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
