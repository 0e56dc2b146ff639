"""What a run of a suite comes to, as data: the JSON file that everything else is made from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date
from hashlib import sha256
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from cryoctl_hil.evidence.measurement import Measurement, Origin, Verdict
from cryoctl_hil.rigs.rig import InstrumentTable, Rig, read_rig
from cryoctl_protocol.toml_text import FileError, FileKind, Problem

FILE_NAME: Final = "evidence.json"
REPORT: Final = "report.html"
JUNIT: Final = "junit.xml"
RECORDINGS: Final = "recordings"
"""Folder beside the file, with one recording a test."""
CHANNELS: Final = "channels"
"""Folder beside the file, with what instruments have written."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Cost(_Part):
    """What a test takes, by the telemetry of one run of it.

    Attributes:
        rig_s: On the rig's clock.
        gas_g: Out of the exhaust, by the probe's own flow sensor.
        freezes: How often it froze.
        opens_gas: Whether a gas valve was open at all.
    """

    rig_s: float = 0.0
    gas_g: float = 0.0
    freezes: int = 0
    opens_gas: bool = False


class Channel(_Part):
    """Readings of an instrument during one test.

    Attributes:
        instrument: Name in the rig's file.
        file: Relative to the evidence: a CSV with ``time_s`` and ``value``.
        offset_s: Added to its times, gives the recording's.
        aligned: How that is known.
    """

    instrument: str
    signal: str
    file: str
    sha256: str
    offset_s: float
    aligned: str


class Try(_Part):
    """How a test ended that was run again later."""

    verdict: Verdict
    why: str
    recording: str
    recording_sha256: str


class TestRecord(_Part):
    """One test and what it measured.

    Attributes:
        id: Same on every rig.
        title: First line of the test's docstring.
        step: What was waited for when it failed; empty otherwise.
        why: Why it failed or was not run.
        recording: File, relative to the evidence; empty if there is none.
        recording_sha256: Of that file.
        wall_s: On the wall's clock.
        operator_steps: What somebody has done by hand, as it was asked for.
        earlier: Tries before this one.
    """

    __test__ = False

    id: str
    title: str
    requirements: tuple[str, ...]
    verdict: Verdict
    why: str = ""
    step: str = ""
    measurements: tuple[Measurement, ...] = ()
    recording: str = ""
    recording_sha256: str = ""
    cost: Cost = Cost()
    wall_s: float = 0.0
    operator_steps: tuple[str, ...] = ()
    channels: tuple[Channel, ...] = ()
    earlier: tuple[Try, ...] = ()

    @property
    def tries(self) -> int:
        """How often it was run."""
        return len(self.earlier) + 1

    def again(self, before: TestRecord) -> TestRecord:
        """Return this record with the test's earlier one in its history."""
        if before.verdict is Verdict.NOT_RUN:
            return self.model_copy(update={"earlier": before.earlier})
        one = Try(
            verdict=before.verdict,
            why=before.why,
            recording=before.recording,
            recording_sha256=before.recording_sha256,
        )
        return self.model_copy(update={"earlier": (*before.earlier, one)})

    def digest(self) -> str:
        """Return a hash over all of it, for the audit trail."""
        return sha256(self.model_dump_json().encode()).hexdigest()


class ProbeRecord(_Part):
    """Who the probe said it is."""

    device: str = ""
    firmware: str = ""
    profile: str = ""
    profile_hash: str = ""
    capabilities: int = 0
    sensors: int = 0


class RequirementRecord(_Part):
    """A requirement in force when the suite was run.

    Attributes:
        allocation: H for the host, D for the device, B for both; empty where neither.
    """

    id: str
    text: str
    bound: str = ""
    allocation: str = ""


class Told(_Part):
    """What a test tells whoever keeps the evidence, in this process or another one's."""

    test: TestRecord
    probe: ProbeRecord | None = None
    unsafe: str = ""


class Evidence(_Part):
    """A whole run of a suite.

    Attributes:
        suite_sha256: Over the tests' files.
        options: Which tests were asked for, and how, in words: ``dry``, ``-k leak``.
        deselected: How many tests were not asked for.
        deviations: What whoever reads the verdict has to know first, and no record shows.
        resumed_utc: When the run was taken up again.
        verdict: FAIL if any test failed, the run was broken off or an instrument was overdue.
        broken_off: Why it did not come to its end; empty if it did.
        unsafe: Why the probe could not be seen safe; empty if it was.
    """

    schema_version: Literal[1] = 1
    cryoctl: str
    python: str
    platform: str
    commit: str = ""
    started_utc: str
    ended_utc: str = ""
    resumed_utc: tuple[str, ...] = ()
    rig: str
    rig_text: str
    device: str
    seed: int
    operator: str = ""
    suite: str = ""
    suite_sha256: str = ""
    options: tuple[str, ...] = ()
    deselected: int = 0
    deviations: tuple[str, ...] = ()
    requirements: tuple[RequirementRecord, ...] = ()
    probe: ProbeRecord = ProbeRecord()
    verdict: Verdict = Verdict.NOT_RUN
    broken_off: str = ""
    unsafe: str = ""
    tests: tuple[TestRecord, ...] = ()

    def with_end(self, **told: Any) -> Evidence:
        """Return a copy that has ended, with the verdict that follows from it."""
        ended = self.model_copy(update=told)
        return ended.model_copy(update={"verdict": ended.verdict_of_run()})

    def with_test(self, test: TestRecord) -> Evidence:
        """Return a copy with a test in its place, or at the end if it is new."""
        rows = {row.id: row for row in self.tests}
        rows[test.id] = test
        return self.model_copy(update={"tests": tuple(rows.values())})

    def verdict_of_run(self) -> Verdict:
        """Return FAIL if anything speaks against it, PASS if any test passed."""
        if any(self.against()):
            return Verdict.FAIL
        return Verdict.PASS if self.counts()[Verdict.PASS] else Verdict.NOT_RUN

    def counts(self) -> Counter[Verdict]:
        """Return how many tests have each verdict."""
        return Counter(test.verdict for test in self.tests)

    def against(self) -> Iterator[str]:
        """Yield what keeps the verdict from being PASS, the worst first."""
        if self.unsafe:
            yield f"the probe could not be seen safe: {self.unsafe}"
        if self.broken_off:
            yield f"the run was broken off: {self.broken_off}"
        for test in self.tests:
            if test.verdict is Verdict.FAIL:
                yield f"{test.id}: {test.why}"
        for instrument in self.overdue():
            yield f"calibration of {instrument.name} was due on {instrument.due}"

    def overdue(self) -> list[InstrumentTable]:
        """Return the instruments of the rig whose calibration had run out when it was begun."""
        began = date.fromisoformat(self.started_utc[:10])
        return [each for each in self.instruments() if each.due is not None and each.due < began]

    def instruments(self) -> tuple[InstrumentTable, ...]:
        """Return what the rig measures with beside the probe."""
        return self.rig_file().table.instrument

    def rig_file(self) -> Rig:
        """Return the rig that the evidence tells of; raises FileError if that text is none."""
        return read_rig(self.rig_text, f"{FILE_NAME}: rig_text")

    def notes(self) -> Iterator[str]:
        """Yield what a reader has to know before the tables: deviations first."""
        yield from self.deviations
        for test in self.tests:
            if test.earlier:
                told = ", ".join(one.verdict.value for one in test.earlier)
                yield f"{test.id} was run {test.tries} times; before: {told}"
        for instrument in self.instruments():
            if instrument.due is None:
                yield f"{instrument.name}: nobody says when its calibration is due"
        if any(m.origin is Origin.OPERATOR for test in self.tests for m in test.measurements):
            yield "some values are an operator's word"


def read_evidence(text: str, source: str) -> Evidence:
    """Return the evidence in a file's text; raises FileError with the first mistakes in it."""
    try:
        return Evidence.model_validate_json(text)
    except ValidationError as error:
        problems = [
            Problem(source, None, ".".join(map(str, row["loc"])), row["msg"])
            for row in error.errors(include_url=False, include_input=False)[:5]
        ]
        raise FileError(problems) from error


def evidence_text(evidence: Evidence) -> str:
    """Return the file's text."""
    return evidence.model_dump_json(indent=1) + "\n"


def evidence_schema() -> dict[str, Any]:
    """Return the JSON Schema of the file."""
    schema = Evidence.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


FILE_KIND: Final = FileKind(read_evidence, evidence_schema)
