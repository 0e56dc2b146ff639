"""What a suite takes on the bench: minutes, freezes, gas; measured on the simulated probe."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from cryoctl_hil.evidence.measurement import Verdict
from cryoctl_hil.evidence.record import Cost, Evidence
from cryoctl_protocol.profile import Profile
from cryoctl_protocol.toml_text import FileError, Problem

PLAN_FILE: Final = "plan.json"
"""Beside the tests; ``cryoctl hil plan`` writes it."""
_S_PER_MIN: Final = 60.0
GRAMS_MAX: Final = 10_000.0


class Plan(BaseModel):
    """What each test took when it was measured, by its id."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    profile: str
    full: dict[str, Cost]
    quick: dict[str, Cost]

    @classmethod
    def of(cls, full: Evidence, quick: Evidence) -> Plan:
        """Return the plan that two runs on the simulated probe make; what did not run lacks."""

        def costs(evidence: Evidence) -> dict[str, Cost]:
            rows = [test for test in evidence.tests if test.verdict is not Verdict.NOT_RUN]
            return {test.id: _rounded(test.cost) for test in sorted(rows, key=lambda t: t.id)}

        return cls(profile=full.probe.profile, full=costs(full), quick=costs(quick))

    def costs(self, *, quick: bool) -> dict[str, Cost]:
        """Return what each test takes."""
        return self.quick if quick else self.full


def _rounded(cost: Cost) -> Cost:
    """Return what a plan needs to say; more would change with every change of the suite."""
    return cost.model_copy(
        update={"rig_s": float(math.ceil(cost.rig_s)), "gas_g": math.ceil(cost.gas_g * 10.0) / 10.0}
    )


def read_plan(tests: Path) -> Plan:
    """Return the plan beside the tests in a folder; an empty one if there is none.

    Raises:
        FileError: It is there, but is no plan.
    """
    path = (tests if tests.is_dir() else tests.parent) / PLAN_FILE
    if not path.exists():
        return Plan(profile="", full={}, quick={})
    try:
        return Plan.model_validate_json(path.read_text("utf-8"))
    except (ValidationError, ValueError) as error:
        hint = "make it anew: cryoctl hil plan"
        raise FileError([Problem(str(path), None, "", "is no plan", hint)]) from error


def write_plan(plan: Plan, tests: Path) -> Path:
    """Write the plan beside the tests; return its path."""
    path = (tests if tests.is_dir() else tests.parent) / PLAN_FILE
    text = json.dumps(plan.model_dump(mode="json"), indent=1, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8")
    return path


# -- what is not begun ---


@dataclass(slots=True)
class Budget:
    """Says which tests are not begun, for the gas that they need.

    Attributes:
        costs: By test; one that is not there is not known.
        dry: Nothing that opens a gas valve.
        gas_g_max: Not more than this in the whole run; None is as much as it takes.
        gas_g: Used so far, by the probe's own flow sensor.
    """

    costs: dict[str, Cost]
    dry: bool = False
    gas_g_max: float | None = None
    gas_g: float = 0.0

    @classmethod
    def of(cls, config: pytest.Config) -> Budget:
        """Return what the options of a run ask for.

        Raises:
            FileError: The plan beside the tests is none.
            UsageError: A budget that is no mass, or one that several probes would share.
        """
        option = config.getoption
        gas_g_max = option("--rig-gas-budget")
        if gas_g_max is not None and not 0.0 <= gas_g_max <= GRAMS_MAX:
            raise pytest.UsageError(f"--gas-budget: expected 0 to {GRAMS_MAX:g} g, not {gas_g_max}")
        if gas_g_max is not None and option("numprocesses", None):
            raise pytest.UsageError("--gas-budget is one probe's; leave out --jobs")
        costs: dict[str, Cost] = {}
        for arg in config.args:
            folder = Path(arg.partition("::")[0])
            for found in _plans(folder):
                costs.update(found.costs(quick=option("--rig-quick")))
        return cls(costs, option("--rig-dry"), gas_g_max)

    def why_not(self, test: str) -> str:
        """Return why a test is not begun; empty if it may be."""
        cost = self.costs.get(test)
        if not self.dry and self.gas_g_max is None:
            return ""
        if cost is None:
            return "its need of gas is not known: 'cryoctl hil plan' measures it"
        if self.dry and cost.opens_gas:
            return "needs gas, and the run is dry"
        if self.gas_g_max is not None and self.gas_g + cost.gas_g > self.gas_g_max:
            return (
                f"gas budget: {self.gas_g:.1f} g of {self.gas_g_max:g} g are used, "
                f"and it needs about {cost.gas_g:.1f} g"
            )
        return ""

    def used(self, cost: Cost) -> None:
        """Count what a test has used."""
        self.gas_g += cost.gas_g


def _plans(folder: Path) -> Iterator[Plan]:
    """Yield the plans beside the tests in a folder and below it."""
    yield read_plan(folder)
    if folder.is_dir():
        for path in sorted(folder.glob(f"*/{PLAN_FILE}")):
            yield read_plan(path.parent)


# -- for people ---


class PlanRow(NamedTuple):
    """What one test takes; None where nobody has measured it.

    Attributes:
        swaps: New cartridges that have to be fitted before it, in a run in this order.
        why_not: Why it would not be begun; empty if it would.
    """

    test: str
    title: str
    requirements: tuple[str, ...]
    minutes: float | None
    freezes: int | None
    gas_g: float | None
    swaps: int
    operator_steps: tuple[str, ...]
    why_not: str


class Planned(NamedTuple):
    """A test as it was collected."""

    test: str
    title: str
    requirements: tuple[str, ...]
    operator_steps: tuple[str, ...]
    why_not: str


def plan_rows(tests: Sequence[Planned], costs: dict[str, Cost], profile: Profile) -> list[PlanRow]:
    """Return what each test takes when they are run in this order, beginning with a new cartridge.

    Args:
        tests: In the order of the run.
        costs: By test.
        profile: Tells what a cartridge holds.
    """
    limits = profile.limits
    usable_g = limits.cartridge_fill_g * limits.cartridge_usable_fraction
    left_g, rows = usable_g, []
    for test in tests:
        cost = None if test.why_not else costs.get(test.test)
        swaps = 0
        if cost is not None:
            if cost.gas_g > left_g:
                swaps, left_g = 1, usable_g
            left_g -= cost.gas_g
        known = costs.get(test.test)
        rows.append(
            PlanRow(
                test.test,
                test.title,
                test.requirements,
                None if known is None else known.rig_s / _S_PER_MIN,
                None if known is None else known.freezes,
                None if known is None else known.gas_g,
                swaps,
                test.operator_steps,
                test.why_not,
            )
        )
    return rows


def plan_text(rows: Sequence[PlanRow]) -> str:
    """Return the plan as a table for a terminal, with its sum."""
    width = max((len(row.test) for row in rows), default=4)
    lines = [f"{'test':<{width}}  minutes  freezes  gas, g  swaps  operator steps"]
    for row in rows:
        known = "      ?        ?       ?"
        if row.minutes is not None:
            known = f"{row.minutes:>7.1f}  {row.freezes:>7}  {row.gas_g:>6.1f}"
        tail = "; ".join(row.operator_steps)
        if row.why_not:
            tail = f"not run: {row.why_not}"
        lines.append(f"{row.test:<{width}}  {known}  {row.swaps:>5}  {tail}".rstrip())
    run = [row for row in rows if not row.why_not]
    minutes = sum(row.minutes or 0.0 for row in run)
    gas_g = sum(row.gas_g or 0.0 for row in run)
    freezes, swaps = sum(row.freezes or 0 for row in run), sum(row.swaps for row in run)
    steps = sum(len(row.operator_steps) for row in run)
    unknown = sum(row.minutes is None for row in run)
    lines.append(
        f"\n{len(run)} of {len(rows)} tests: {minutes:.0f} min, {freezes} freezes, {gas_g:.1f} g "
        f"of gas, {swaps} cartridge swaps, {steps} operator steps"
    )
    if unknown:
        lines.append(f"{unknown} of them never measured: 'cryoctl hil plan' does that")
    return "\n".join(lines)
