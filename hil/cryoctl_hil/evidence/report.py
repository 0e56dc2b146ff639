"""The report of a run: one HTML file that opens offline, worst news first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from markupsafe import Markup

from cryoctl.recording import Recording
from cryoctl.report import page_environment
from cryoctl.svg import number
from cryoctl_hil.evidence.measurement import Given, Limit, Measurement, Plain, Verdict
from cryoctl_hil.evidence.pictures import picture_of, seconds
from cryoctl_hil.evidence.record import Evidence, RequirementRecord, TestRecord
from cryoctl_hil.evidence.trace import Trace

PICTURES_BYTES_MAX: Final = 1_300_000
"""A report stays below 2 MB; the recordings have everything."""
AGAINST_MAX: Final = 12
_DASH: Final = "\N{EN DASH}"
_MARKS: Final = {Verdict.PASS: "✓", Verdict.FAIL: "✗", Verdict.NOT_RUN: "○"}
_CLASSES: Final = {Verdict.PASS: "pass", Verdict.FAIL: "fail", Verdict.NOT_RUN: "notrun"}
_ORDER: Final = (Verdict.FAIL, Verdict.NOT_RUN, Verdict.PASS)
_ALLOCATION: Final = {
    "H": "the host's: 'cryoctl trace' shows its tests",
    "D": "no test here",
    "B": "no test here",
    "": "of neither host nor device",
}
_S_PER_MIN: Final = 60.0

Loaded = Callable[[TestRecord], tuple[Recording, Trace] | None]
"""Returns the recording of a test and its trace with the instruments' channels; None without."""


class SealTold(NamedTuple):
    """What the report says of the audit trail; its last records are written after the report."""

    file: str
    head: str
    is_signed: bool
    evidence_sha256: str


def render(evidence: Evidence, load: Loaded, seal: SealTold) -> str:
    """Return the report as one HTML file."""
    against = list(evidence.against())
    pictures, left_out = _pictures(evidence, load)
    template = page_environment("cryoctl_hil.evidence").get_template("evidence.html")
    tests = sorted(evidence.tests, key=lambda test: _ORDER.index(test.verdict))
    return template.render(
        verdict=evidence.verdict.value,
        css=_CLASSES[evidence.verdict],
        mark=_MARKS[evidence.verdict],
        count=count_text(evidence),
        against=against[:AGAINST_MAX],
        against_left=max(0, len(against) - AGAINST_MAX),
        not_run=_reasons(evidence),
        notes=list(evidence.notes()),
        identity=list(_identity(evidence)),
        instruments=[_instrument(evidence, each.name) for each in evidence.instruments()],
        tests=[_test_row(test) for test in tests],
        measured=[
            (t.id, t.title, [_row(m) for m in t.measurements]) for t in tests if t.measurements
        ],
        pictures=pictures,
        pictures_left_out=left_out,
        requirements=[_requirement_row(row, evidence) for row in evidence.requirements],
        covered=_coverage_text(evidence),
        rig_text=evidence.rig_text,
        recordings=[(t.recording, t.recording_sha256) for t in tests if t.recording],
        channels=[c for t in tests for c in t.channels],
        seal=seal,
        version=evidence.cryoctl,
        dash=_DASH,
    )


def count_text(evidence: Evidence) -> str:
    """Return in words how many tests have each verdict."""
    counts = evidence.counts()
    return (
        f"{counts[Verdict.PASS]} of {len(evidence.tests)} tests PASS, {counts[Verdict.FAIL]} FAIL, "
        f"{counts[Verdict.NOT_RUN]} not run"
    )


def _identity(evidence: Evidence) -> Iterator[tuple[str, str]]:
    probe = evidence.probe
    yield "Rig", evidence.rig
    yield "Address", evidence.device
    yield "Probe", probe.device or _DASH
    yield "Firmware", probe.firmware or _DASH
    yield "Profile", f"{probe.profile or _DASH}, {probe.profile_hash or _DASH}"
    yield "Capabilities", f"{probe.capabilities:#06x}, sensors {probe.sensors:#06x}"
    yield "Suite", f"{evidence.suite}, {evidence.suite_sha256[:16]}"
    yield "Asked for", ", ".join(evidence.options) or "all of it"
    yield "Tests left out", str(evidence.deselected)
    yield "Seed", str(evidence.seed)
    yield "Operator", evidence.operator or _DASH
    yield "Started (UTC)", evidence.started_utc
    for at_utc in evidence.resumed_utc:
        yield "Taken up again (UTC)", at_utc
    yield "Ended (UTC)", evidence.ended_utc or "it did not"
    yield "Time on the rig", f"{sum(t.cost.rig_s for t in evidence.tests) / _S_PER_MIN:.1f} min"
    yield "Freezes", str(sum(t.cost.freezes for t in evidence.tests))
    yield "Gas, by the probe's flow", f"{sum(t.cost.gas_g for t in evidence.tests):.1f} g"
    yield "cryoctl", f"{evidence.cryoctl} {evidence.commit}".rstrip()
    yield "Python", f"{evidence.python}, {evidence.platform}"


def _instrument(evidence: Evidence, name: str) -> dict[str, str]:
    found = next(each for each in evidence.instruments() if each.name == name)
    overdue = found in evidence.overdue()
    return {
        "name": f"{found.name} {found.serial}".rstrip(),
        "signal": found.signal,
        "uncertainty": f"± {found.uncertainty:g} (k = 2)",
        "calibrated": str(found.calibrated or "nobody says"),
        "due": f"{found.due or 'nobody says'}{': OVERDUE' if overdue else ''}",
    }


def _reasons(evidence: Evidence) -> list[tuple[str, int]]:
    """Return why tests were not run, with how many each reason has kept."""
    reasons: dict[str, int] = {}
    for test in evidence.tests:
        if test.verdict is Verdict.NOT_RUN:
            reasons[test.why] = reasons.get(test.why, 0) + 1
    return sorted(reasons.items(), key=lambda row: -row[1])


def _test_row(test: TestRecord) -> dict[str, Any]:
    margins = [m for m in map(_share_left, test.measurements) if m is not None]
    return {
        "id": test.id,
        "title": test.title,
        "requirements": " ".join(test.requirements),
        "verdict": test.verdict.value,
        "mark": _MARKS[test.verdict],
        "css": _CLASSES[test.verdict],
        "why": test.why,
        "step": test.step,
        "tries": f"run {test.tries} times" if test.earlier else "",
        "margin": _DASH if not margins else f"{min(margins):.0%}",
        "rig_s": f"{test.cost.rig_s:.1f} s" if test.cost.rig_s else _DASH,
        "gas": f"{test.cost.gas_g:.1f} g" if test.cost.gas_g else _DASH,
        "steps": test.operator_steps,
    }


def _share_left(measurement: Measurement) -> float | None:
    """Return how much of its bound a value leaves, as a share of the bound."""
    limit, value = measurement.limit, measurement.value
    if not isinstance(value, int | float) or not limit.unit:
        return None  # Of a count there is no share.
    margin = limit.margin(float(value))
    bound = max((abs(b) for b in (limit.at_most, limit.at_least) if b is not None), default=0.0)
    return None if margin is None or bound <= 0.0 else margin / bound


def _row(measurement: Measurement) -> dict[str, Any]:
    limit, value = measurement.limit, measurement.value
    margin = _DASH
    if isinstance(value, int | float) and limit.exactly is None:
        gap = limit.margin(float(value))
        margin = _DASH if gap is None else figure(gap, limit.unit)
    return {
        "name": measurement.name,
        "requirement": measurement.requirement or _DASH,
        "limit": limit_text(limit),
        "value": figure(value, limit.unit),
        "margin": margin,
        "uncertainty": f"± {limit.uncertainty:g}" if limit.uncertainty else _DASH,
        "origin": measurement.origin.value,
        "given": isinstance(measurement.what, Given),
        "verdict": measurement.verdict.value,
        "mark": _MARKS[measurement.verdict],
        "css": _CLASSES[measurement.verdict],
        "why": measurement.why,
    }


def limit_text(limit: Limit) -> str:
    """Return a limit as people read it."""
    if limit.exactly is not None:
        return str(limit.exactly)
    if limit.at_least is not None and limit.at_least == limit.at_most:
        return figure(limit.at_most, limit.unit)
    parts = []
    if limit.at_least is not None:
        parts.append(f"≥ {figure(limit.at_least, limit.unit)}")
    if limit.at_most is not None:
        parts.append(f"≤ {figure(limit.at_most, limit.unit)}")
    return ", ".join(parts) or "none"


def figure(value: Plain | None, unit: str = "") -> str:
    """Return a value as people read it."""
    if value is None:
        return "none came"
    if isinstance(value, str):
        return value
    text = f"{value:.4g}".replace("-", "\N{MINUS SIGN}", 1) if value else number(0.0)
    return f"{text} {unit}".rstrip()


def _requirement_row(row: RequirementRecord, evidence: Evidence) -> dict[str, str]:
    tests = [test for test in evidence.tests if row.id in _named(test)]
    verdict, told = coverage_of(row, tests)
    return {
        "id": row.id,
        "text": row.text,
        "bound": row.bound or _DASH,
        "told": told,
        "mark": "" if verdict is None else _MARKS[verdict],
        "css": "none" if verdict is None else _CLASSES[verdict],
        "verdict": "not covered" if verdict is None else verdict.value,
    }


def _named(test: TestRecord) -> set[str]:
    return {*test.requirements, *(m.requirement for m in test.measurements)}


def coverage_of(row: RequirementRecord, tests: list[TestRecord]) -> tuple[Verdict | None, str]:
    """Return what the tests of a requirement come to, and in words which those are.

    None stands for a requirement that no test names. One that was not run in part is not covered
    by the rest, but shows which they are.
    """
    if not tests:
        return None, _ALLOCATION[row.allocation]
    by = {verdict: [t.id for t in tests if t.verdict is verdict] for verdict in Verdict}
    parts = [f"{v.value}: {', '.join(by[v])}" for v in _ORDER if by[v]]
    reasons = dict.fromkeys(t.why for t in tests if t.verdict is Verdict.NOT_RUN)
    told = "; ".join([*parts, *reasons])
    for verdict in (Verdict.FAIL, Verdict.PASS):
        if by[verdict]:
            return verdict, told
    return Verdict.NOT_RUN, told


def _coverage_text(evidence: Evidence) -> str:
    counts: dict[Verdict | None, int] = {}
    for row in evidence.requirements:
        tests = [test for test in evidence.tests if row.id in _named(test)]
        verdict, _ = coverage_of(row, tests)
        counts[verdict] = counts.get(verdict, 0) + 1
    return (
        f"{len(evidence.requirements)} requirements in force: {counts.get(Verdict.PASS, 0)} with a "
        f"test that passed, {counts.get(Verdict.FAIL, 0)} failed, "
        f"{counts.get(Verdict.NOT_RUN, 0)} with tests that were not run, {counts.get(None, 0)} "
        "that no test of this run names"
    )


def _pictures(evidence: Evidence, load: Loaded) -> tuple[list[dict[str, Any]], int]:
    """Return the plots, those of failed tests first, and how many found no room."""
    found: list[dict[str, Any]] = []
    size = left_out = 0
    for test in sorted(evidence.tests, key=lambda test: _ORDER.index(test.verdict)):
        loaded = load(test)
        picture = None if loaded is None else picture_of(test, *loaded)
        if picture is None:
            continue
        size += len(picture.svg)
        if size > PICTURES_BYTES_MAX:
            left_out += 1
            continue
        found.append(
            {
                "id": test.id,
                "title": test.title,
                "css": _CLASSES[test.verdict],
                "svg": Markup(picture.svg),  # noqa: S704 - made here, every text in it escaped
                "instants": [(i.number, i.text, seconds(i.at_s)) for i in picture.instants],
            }
        )
    return found, left_out
