"""Finished runs of a hardware-in-the-loop suite: what their evidence says, and their reports.

Reads the files of ``cryoctl hil`` as any other program would; it judges nothing.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

LISTED_MAX: Final = 100
EVIDENCE_BYTES_MAX: Final = 20_000_000
"""Ten times the whole suite's; more is no evidence file."""
_EVIDENCE: Final = "evidence.json"
_REPORT: Final = "report.html"


class _Probe(BaseModel):
    device: str = ""
    firmware: str = ""


class _Test(BaseModel):
    id: str
    verdict: str
    why: str = ""


class _Evidence(BaseModel):
    """As much of an evidence file as a list needs; the rest is passed over."""

    verdict: str
    rig: str
    started_utc: str
    ended_utc: str = ""
    broken_off: str = ""
    unsafe: str = ""
    probe: _Probe = _Probe()
    tests: tuple[_Test, ...] = ()


def list_suite_runs(folder: Path) -> list[dict[str, Any]]:
    """Return the runs of suites in ``folder``, newest first; one that cannot be read says so."""
    found = [_about(path.parent) for path in folder.glob(f"*/{_EVIDENCE}")]
    found.sort(key=lambda run: (run["started_utc"], run["name"]), reverse=True)
    return found[:LISTED_MAX]


def _about(run: Path) -> dict[str, Any]:
    evidence = _read(run / _EVIDENCE)
    about = {"name": run.name, "report": (run / _REPORT).is_file(), "started_utc": ""}
    if evidence is None:
        return about | {"problem": "its evidence cannot be read"}
    counts = Counter(test.verdict for test in evidence.tests)
    failed = [test for test in evidence.tests if test.verdict == "FAIL"]
    return about | {
        "problem": evidence.unsafe or evidence.broken_off,
        "started_utc": evidence.started_utc,
        "ended": bool(evidence.ended_utc),
        "verdict": evidence.verdict,
        "rig": evidence.rig,
        "probe": " ".join(filter(None, (evidence.probe.device, evidence.probe.firmware))),
        "tests": len(evidence.tests),
        "passed": counts["PASS"],
        "failed": [f"{test.id}: {test.why}" for test in failed],
    }


def _read(path: Path) -> _Evidence | None:
    try:
        if path.stat().st_size > EVIDENCE_BYTES_MAX:
            return None
        return _Evidence.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def find_suite_report(name: str, folder: Path) -> Path | None:
    """Return the report of a run that ``list_suite_runs`` would name; nothing else is reached."""
    known = {path.parent.name: path.with_name(_REPORT) for path in folder.glob(f"*/{_EVIDENCE}")}
    report = known.get(name)
    return report if report is not None and report.is_file() else None
