"""What a campaign's rows say: pass rates, worst cases, times to safe, and what depends on what."""

from __future__ import annotations

import heapq
import math
import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cryoctl.requirement_registry import own_registry
from cryoctl_hil.campaign.sampling import FACTORS
from cryoctl_hil.campaign.spec import CampaignTable
from cryoctl_protocol.codes import TRIP_RULES, Trip

Floats = NDArray[np.float64]

CONFIDENCE: Final = 0.95
WORST_SHOWN: Final = 12
EXAMPLES_MAX: Final = 5
ROWS_MIN: Final = 10
"""Fewer say nothing about a correlation."""
OUTCOMES: Final = {
    "ice_radius_mm": "ice radius",
    "radius_minus20_mm": "-20 C radius",
    "nerve_covered_mm": "nerve covered",
    "coldest_tip_c": "coldest tip",
    "least_margin": "least margin",
}
"""What may depend on what is drawn: key of a row, and its name."""
_Z: Final = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2.0)
_NUMBERS: Final = re.compile(r"(?<![\w-])-?\d+(\.\d+)?")  # Not those of SR-05.
_MS_PER: Final = {"ms": 1.0, "s": 1000.0}


@dataclass(frozen=True, slots=True)
class Rate:
    """How many passed, with Wilson's interval of 95 %."""

    passed: int
    total: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """Passed of all; 0 of none."""
        return self.passed / self.total if self.total else 0.0


@dataclass(frozen=True, slots=True)
class TimesToSafe:
    """Times from a trip to the probe known to be safe, of one first cause.

    Attributes:
        bound_ms: Of the requirement; None where it is no time.
        over: How many took longer.
    """

    cause: str
    requirement: str
    count: int
    p50_ms: float
    p95_ms: float
    highest_ms: float
    bound_ms: float | None
    over: int
    unconfirmed: int
    sorted_ms: Floats = field(repr=False)


@dataclass(frozen=True, slots=True)
class Correlation:
    """Spearman's rank correlation with its interval of 95 % (Bonett and Wright 2000)."""

    parameter: str
    rho: float
    low: float
    high: float
    count: int

    @property
    def is_there(self) -> bool:
        """True if the interval leaves 0 out."""
        return self.low > 0.0 or self.high < 0.0


@dataclass(slots=True)
class Analysis:
    """What a campaign came to.

    Attributes:
        factors: Pass rates by factor and member; factors with more than one member alone.
        kinds: What was wrong, its numbers taken out: how often, and in which episodes first.
        worst: Rows, what failed first, then by the least margin.
        sensitivity: Correlations by outcome, the strongest first.
    """

    rate: Rate
    factors: dict[str, dict[str, Rate]]
    kinds: list[tuple[str, int, list[int]]]
    worst: list[dict[str, Any]]
    times: list[TimesToSafe]
    sensitivity: dict[str, list[Correlation]]
    verdicts: dict[str, int]
    causes: dict[str, int]


def kind_of(wrong: str) -> str:
    """Return what was wrong without its numbers, so that the same in two episodes is the same."""
    return _NUMBERS.sub("#", wrong)


def least_margin(row: Mapping[str, Any]) -> float | None:
    """Return how near a row came to any bound; None if it never ran."""
    margins = row["margins"] or {}
    return min(margins.values(), default=None)


def wilson(passed: int, total: int) -> Rate:
    """Return a pass rate with Wilson's interval (1927), which holds at 0 and at all as well."""
    if total == 0:
        return Rate(0, 0, 0.0, 1.0)
    share, z2 = passed / total, _Z * _Z
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = _Z / (1 + z2 / total) * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    # At none and at all the ends are exact; rounding must not put the rate outside.
    low = 0.0 if passed == 0 else max(0.0, middle - half)
    high = 1.0 if passed == total else min(1.0, middle + half)
    return Rate(passed, total, low, high)


def spearman(parameter: str, x: Floats, y: Floats) -> Correlation | None:
    """Return the rank correlation of two columns; None if one is constant or too short."""
    good = np.isfinite(x) & np.isfinite(y)
    x, y = x[good], y[good]
    if len(x) < ROWS_MIN or np.ptp(x) == 0.0 or np.ptp(y) == 0.0:
        return None
    rho = float(np.clip(np.corrcoef(_ranks(x), _ranks(y))[0, 1], -1.0, 1.0))
    if abs(rho) > 1.0 - 1e-12:
        return Correlation(parameter, rho, rho, rho, len(x))
    half = _Z * math.sqrt((1.0 + rho * rho / 2.0) / (len(x) - 3))
    z = math.atanh(rho)
    return Correlation(parameter, rho, math.tanh(z - half), math.tanh(z + half), len(x))


def _ranks(values: Floats) -> Floats:
    """Return the ranks, equal values sharing the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean: Floats = (last - (counts - 1) / 2.0)[inverse]
    return mean


def bounds_ms() -> dict[str, tuple[str, float | None]]:
    """Return requirement and bound in ms of every trip's name; None where it is no time."""
    rows = {row.id: row for row in own_registry().own.requirement}
    found: dict[str, tuple[str, float | None]] = {}
    for trip in Trip:
        rule = TRIP_RULES.get(trip)
        row = rows.get(rule.requirement) if rule is not None else None
        if row is not None:
            factor = _MS_PER.get(row.unit)
            is_time = factor is not None and row.bound is not None
            found[trip.name] = (row.id, factor * row.bound if is_time else None)  # type: ignore[operator]
    return found


class _Collector:
    """Goes over the rows once; keeps numbers alone, so that a million of them fit."""

    def __init__(self) -> None:
        self.passed = self.total = 0
        self.factors: dict[str, dict[str, list[int]]] = {name: {} for name in FACTORS}
        self.kinds: Counter[str] = Counter()
        self.examples: dict[str, list[int]] = defaultdict(list)
        self.worst: list[tuple[bool, float, int, dict[str, Any]]] = []
        self.times: dict[str, array[float]] = defaultdict(lambda: array("d"))
        self.unconfirmed: Counter[str] = Counter()
        self.outcomes: dict[str, array[float]] = {name: array("d") for name in OUTCOMES}
        self.values: dict[str, array[float]] = {}
        self.verdicts: Counter[str] = Counter()
        self.causes: Counter[str] = Counter()

    def take(self, row: dict[str, Any]) -> None:
        failed = bool(row["wrong"])
        self.passed += not failed
        self.total += 1
        for factor, member in row["choice"].items():
            seen = self.factors[factor].setdefault(member, [0, 0])
            seen[0] += not failed
            seen[1] += 1
        for kind in {kind_of(wrong) for wrong in row["wrong"] or ()}:
            self.kinds[kind] += 1
            if len(self.examples[kind]) < EXAMPLES_MAX:
                self.examples[kind].append(row["episode"])
        self._keep_worst(row, failed=failed)
        self.verdicts[row["verdict"] if row["ended"] else "not over"] += 1
        self.causes[row["first_cause"] or "none"] += 1
        if row["first_cause"]:
            if row["time_to_safe_ms"] is None:
                self.unconfirmed[row["first_cause"]] += 1
            else:
                self.times[row["first_cause"]].append(row["time_to_safe_ms"])
        self._keep_numbers(row)

    def _keep_worst(self, row: dict[str, Any], *, failed: bool) -> None:
        margin = least_margin(row)
        near = -math.inf if margin is None else -margin
        # The number decides between equals: the order of the rows must not.
        entry = (failed, math.inf if failed and margin is None else near, -row["episode"], row)
        if len(self.worst) < WORST_SHOWN:
            heapq.heappush(self.worst, entry)
        else:
            heapq.heappushpop(self.worst, entry)

    def _keep_numbers(self, row: dict[str, Any]) -> None:
        margin = least_margin(row)
        for name, column in self.outcomes.items():
            value = margin if name == "least_margin" else row[name]
            column.append(math.nan if value is None or margin is None else value)
        for name, value in row["values"].items():
            column = self.values.setdefault(name, array("d", [math.nan] * (self.total - 1)))
            column.append(value)
        for column in self.values.values():
            if len(column) < self.total:
                column.append(math.nan)


def analyse(rows: Iterable[dict[str, Any]], table: CampaignTable) -> Analysis:
    """Return what ``rows`` of a campaign say."""
    found = _Collector()
    for row in rows:
        found.take(row)
    return Analysis(
        rate=wilson(found.passed, found.total),
        factors={
            factor: {member: wilson(*seen[member]) for member in sorted(seen)}
            for factor, seen in found.factors.items()
            if len(getattr(table.choose, factor)) > 1
        },
        kinds=[(kind, n, sorted(found.examples[kind])) for kind, n in found.kinds.most_common()],
        worst=[entry[-1] for entry in sorted(found.worst, key=lambda e: e[:3], reverse=True)],
        times=_times(found),
        sensitivity=_sensitivity(found),
        verdicts=dict(sorted(found.verdicts.items())),
        causes=dict(found.causes.most_common()),
    )


def _times(found: _Collector) -> list[TimesToSafe]:
    bounds = bounds_ms()
    times = []
    for cause in sorted({*found.times, *found.unconfirmed}):
        sorted_ms = np.sort(np.frombuffer(found.times[cause], dtype=np.float64))
        requirement, bound_ms = bounds.get(cause, ("", None))
        is_empty = len(sorted_ms) == 0
        p50_ms, p95_ms, highest_ms = (
            (math.nan,) * 3 if is_empty else map(float, np.percentile(sorted_ms, (50, 95, 100)))
        )
        over = 0 if bound_ms is None else int(np.sum(sorted_ms > bound_ms))
        times.append(
            TimesToSafe(
                cause,
                requirement,
                len(sorted_ms),
                p50_ms,
                p95_ms,
                highest_ms,
                bound_ms,
                over,
                found.unconfirmed[cause],
                sorted_ms,
            )
        )
    return times


def _sensitivity(found: _Collector) -> dict[str, list[Correlation]]:
    columns = {name: np.frombuffer(column, np.float64) for name, column in found.values.items()}
    result: dict[str, list[Correlation]] = {}
    for outcome, column in found.outcomes.items():
        y = np.frombuffer(column, np.float64)
        all_found = [spearman(name, x, y) for name, x in columns.items()]
        there = [each for each in all_found if each is not None]
        if there:
            result[outcome] = sorted(there, key=lambda each: -abs(each.rho))
    return result
