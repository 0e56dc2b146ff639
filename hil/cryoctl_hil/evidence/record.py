"""What a run of a suite comes to, as data: the JSON file that everything else is made from."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict

from cryoctl_hil.evidence.measurement import Measurement, Verdict

FILE_NAME: Final = "evidence.json"
RECORDINGS: Final = "recordings"
"""Folder beside the file, with one recording a test."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TestRecord(_Part):
    """One test and what it measured.

    Attributes:
        id: Same on every rig.
        title: First line of the test's docstring.
        step: What was waited for when it failed; empty otherwise.
        why: Why it failed or was not run.
        recording: File, relative to the evidence; empty if there is none.
        recording_sha256: Of that file.
        rig_s: On the rig's clock.
        wall_s: On the wall's.
        tries: How often it was run.
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
    rig_s: float = 0.0
    wall_s: float = 0.0
    gas_used_g: float = 0.0
    freezes: int = 0
    tries: int = 1


class ProbeRecord(_Part):
    """Who the probe said it is."""

    device: str = ""
    firmware: str = ""
    profile: str = ""
    profile_hash: str = ""
    capabilities: int = 0
    sensors: int = 0


class Evidence(_Part):
    """A whole run of a suite.

    Attributes:
        verdict: FAIL if any test failed, or the run was broken off.
        broken_off: Why it did not come to its end; empty if it did.
    """

    schema_version: Literal[1] = 1
    cryoctl: str
    python: str
    platform: str
    commit: str = ""
    started_utc: str
    ended_utc: str = ""
    rig: str
    rig_text: str
    device: str
    seed: int
    operator: str = ""
    probe: ProbeRecord = ProbeRecord()
    verdict: Verdict = Verdict.NOT_RUN
    broken_off: str = ""
    unsafe: str = ""
    tests: tuple[TestRecord, ...] = ()

    def with_end(self, **told: Any) -> Evidence:
        """Return a copy that has ended, with the verdict that follows from its tests."""
        ended = self.model_copy(update=told)
        return ended.model_copy(update={"verdict": ended.verdict_of_tests()})

    def verdict_of_tests(self) -> Verdict:
        """Return FAIL if any test failed or the run was broken off, PASS if any passed."""
        verdicts = {test.verdict for test in self.tests}
        if Verdict.FAIL in verdicts or self.broken_off or self.unsafe:
            return Verdict.FAIL
        return Verdict.PASS if Verdict.PASS in verdicts else Verdict.NOT_RUN


def evidence_schema() -> dict[str, Any]:
    """Return the JSON Schema of the file."""
    schema = Evidence.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
