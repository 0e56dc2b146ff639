"""What changed between two runs: verdicts, and measurements that drifted towards their limit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from cryoctl_hil.evidence.measurement import Measurement, Verdict
from cryoctl_hil.evidence.record import Evidence, TestRecord

DRIFT_SHARE: Final = 0.2
"""Of the margin that a value had: losing this much is told."""


class Change(NamedTuple):
    """A test whose verdict is another one now; None where it is not in that run."""

    test: str
    before: Verdict | None
    after: Verdict | None
    why: str


class Drift(NamedTuple):
    """A value that has lost a good part of its margin."""

    test: str
    measurement: str
    unit: str
    before: float
    after: float
    margin_before: float
    margin_after: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """What changed.

    Attributes:
        about: What the two runs do not have in common, as name, before and after.
        worse: Tests that passed and do not pass now.
        fixed: Tests that pass now and did not.
        other: All other changes of a verdict, tests that are new or gone.
        same: How many tests have the verdict that they had.
    """

    about: list[tuple[str, str, str]]
    worse: list[Change]
    fixed: list[Change]
    other: list[Change]
    drifted: list[Drift]
    same: int

    @property
    def is_worse(self) -> bool:
        """True if a test that passed fails now, or is gone."""
        return any(change.after is not Verdict.NOT_RUN for change in self.worse)

    def as_object(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        return {
            "about": [list(row) for row in self.about],
            "worse": [row._asdict() for row in self.worse],
            "fixed": [row._asdict() for row in self.fixed],
            "other": [row._asdict() for row in self.other],
            "drifted": [row._asdict() for row in self.drifted],
            "same": self.same,
        }


def compare(before: Evidence, after: Evidence) -> Comparison:
    """Return what changed from one run to another; of the same rig or of two."""
    old = {test.id: test for test in before.tests}
    new = {test.id: test for test in after.tests}
    changes = [_change(name, old.get(name), new.get(name)) for name in {**old, **new}]
    changed = [change for change in changes if change.before is not change.after]
    worse = [change for change in changed if change.before is Verdict.PASS]
    fixed = [change for change in changed if change.after is Verdict.PASS and change.before]
    return Comparison(
        about=list(_about(before, after)),
        worse=worse,
        fixed=fixed,
        other=[change for change in changed if change not in worse and change not in fixed],
        drifted=[d for name in old.keys() & new.keys() for d in _drifts(old[name], new[name])],
        same=len(changes) - len(changed),
    )


def _change(name: str, old: TestRecord | None, new: TestRecord | None) -> Change:
    return Change(
        name,
        None if old is None else old.verdict,
        None if new is None else new.verdict,
        "" if new is None else new.why,
    )


def _about(before: Evidence, after: Evidence) -> Iterator[tuple[str, str, str]]:
    for name in ("rig", "seed", "cryoctl", "commit", "suite_sha256"):
        yield name, str(getattr(before, name)), str(getattr(after, name))
    for name in ("device", "firmware", "profile", "profile_hash"):
        yield f"probe's {name}", getattr(before.probe, name), getattr(after.probe, name)


def _drifts(old: TestRecord, new: TestRecord) -> Iterator[Drift]:
    named = {measurement.name: measurement for measurement in new.measurements}
    for one in old.measurements:
        other = named.get(one.name)
        if other is None or one.limit.exactly is not None or one.limit.unit != other.limit.unit:
            continue
        had, has = _margin(one), _margin(other)
        if had is None or has is None:
            continue
        lost = had - has
        noise = max(one.limit.uncertainty, other.limit.uncertainty)
        if lost > max(DRIFT_SHARE * had, noise):
            yield Drift(
                old.id, one.name, one.limit.unit,
                float(one.value or 0.0), float(other.value or 0.0), had, has,
            )  # fmt: skip


def _margin(measurement: Measurement) -> float | None:
    value = measurement.value
    return measurement.limit.margin(float(value)) if isinstance(value, int | float) else None


def compare_text(found: Comparison) -> str:
    """Return what changed, for a terminal."""
    lines = [f"{name}: {old} -> {new}" for name, old, new in found.about if old != new]
    for title, changes in (
        ("passed before, and does not now", found.worse),
        ("passes now", found.fixed),
        ("other changes", found.other),
    ):
        lines += [f"\n{title}: {len(changes)}"] if changes else []
        for change in sorted(changes):
            told = f"{_word(change.before)} -> {_word(change.after)}"
            lines.append(f"  {change.test}  {told}")
            lines += [f"      {line}" for line in change.why.splitlines()]
    lines += [f"\nnearer to their limit: {len(found.drifted)}"] if found.drifted else []
    for drift in sorted(found.drifted):
        lines.append(
            f"  {drift.test}: {drift.measurement}  {drift.before:g} -> {drift.after:g} "
            f"{drift.unit}, margin {drift.margin_before:g} -> {drift.margin_after:g}"
        )
    lines.append(f"\n{found.same} tests have the verdict that they had")
    return "\n".join(lines).strip()


def _word(verdict: Verdict | None) -> str:
    return "not there" if verdict is None else verdict.value
