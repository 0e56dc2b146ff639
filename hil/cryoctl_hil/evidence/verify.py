"""Computes every measurement and verdict of evidence again, from its recordings and without a rig.

Whatever does not come out as it was told is a finding. Hashes find a changed byte, the trail a
changed hash, a signature a trail that was written anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from io import BytesIO
from typing import Any, Final

from cryoctl.audit_check import Judgement, TrailVerdict, judge
from cryoctl.recording import Recording, RecordingError, read_messages
from cryoctl_hil.evidence.archive import EvidenceFiles
from cryoctl_hil.evidence.instruments import ChannelError, independent
from cryoctl_hil.evidence.measurement import (
    Given,
    Interval,
    Measurement,
    Origin,
    Reading,
    Verdict,
)
from cryoctl_hil.evidence.operator_steps import BY_HAND
from cryoctl_hil.evidence.record import FILE_NAME, Evidence, TestRecord
from cryoctl_hil.evidence.seal import FILE, TEST, trail_names
from cryoctl_hil.evidence.trace import Trace
from cryoctl_hil.evidence.written import load_test
from cryoctl_protocol.toml_text import FileError

GAS_G: Final = 0.05
GAS_SHARE: Final = 0.02
"""On a real link telemetry goes on for a moment after the recording is closed."""
_TOLD_MAX: Final = 200


class Answer(StrEnum):
    """What became of the evidence."""

    HOLDS = "HOLDS"
    NOT_ENDED = "NOT ENDED"
    DOES_NOT_HOLD = "DOES NOT HOLD"


@dataclass(slots=True)
class Verified:
    """What was found.

    Attributes:
        problems: What is not as it was told, each with its place.
        is_cut_short: The trail was never closed: the run was killed.
        computed: Measurements that were computed again.
        given: Measurements of which only the limit could be looked at.
        unrecorded: Tests that ran without a recording.
        signatures: Whether the trail is signed, and by whom.
    """

    evidence: Evidence
    problems: list[str] = field(default_factory=list)
    is_cut_short: bool = False
    computed: int = 0
    given: int = 0
    unrecorded: int = 0
    signatures: str = ""

    @property
    def answer(self) -> Answer:
        """In one word."""
        if self.problems:
            return Answer.DOES_NOT_HOLD
        return Answer.NOT_ENDED if self.is_cut_short else Answer.HOLDS


def verify(files: EvidenceFiles, key: bytes | None = None) -> Verified:
    """Return what is found in evidence.

    Args:
        files: Of the evidence.
        key: Its trails were signed with; None looks at no signature.

    Raises:
        FileError: There is no evidence, or it is not as the schema says.
    """
    evidence = files.evidence()
    found = Verified(evidence)
    found.problems += _twice(files)
    trails = _trails(files, key)
    found.problems += _trail_problems(trails, evidence)
    found.is_cut_short = any(j.verdict is TrailVerdict.NOT_CLOSED for _, j in trails)
    found.problems += _file_problems(files, trails)
    found.problems += _told_problems(evidence, trails)
    found.signatures = _signatures(trails, is_checked=key is not None)
    for test in evidence.tests:
        found.problems += [f"{test.id}: {text}" for text in _test_problems(files, test, found)]
    found.problems += _run_problems(evidence)
    return found


# -- hashes ---

_Trails = Sequence[tuple[str, Judgement]]


def _twice(files: EvidenceFiles) -> Iterator[str]:
    for name, count in Counter(files.names()).items():
        if count > 1:
            yield f"{name}: stands in the archive {count} times"


def _trails(files: EvidenceFiles, key: bytes | None) -> _Trails:
    """Return every trail in its order, judged."""
    there = set(files.names())
    found: list[tuple[str, Judgement]] = []
    for name in trail_names():
        if name not in there:
            return found
        found.append((name, judge(_read(files, name), key=key)))
    raise AssertionError("names never end")


def _trail_problems(trails: _Trails, evidence: Evidence) -> Iterator[str]:
    if not trails:
        yield f"{next(trail_names())}: there is no audit trail"
    before = ""
    for name, judgement in trails:
        if judgement.verdict in (TrailVerdict.ALTERED, TrailVerdict.TRUNCATED):
            yield f"{name}: {judgement.text}"
        follows = _new(judgement, 0).get("follows")
        if judgement.records and follows != before:
            yield f"{name}: does not follow the trail before it"
        before = judgement.head
    if trails and _is_closed(trails[-1][1]):
        told = _new(trails[-1][1], -1).get("verdict")
        if told != evidence.verdict.value:
            yield f"{trails[-1][0]}: was closed with {told}, the evidence says {evidence.verdict}"


def _is_closed(judgement: Judgement) -> bool:
    return judgement.verdict is TrailVerdict.INTACT


def _new(judgement: Judgement, index: int) -> dict[str, Any]:
    """Return what a record holds; an empty object if there is none."""
    try:
        new = judgement.records[index]["new"]
    except IndexError:
        return {}
    return new if isinstance(new, dict) else {}


def _file_problems(files: EvidenceFiles, trails: _Trails) -> Iterator[str]:
    """Compare every file with what the last trail was closed over."""
    if not trails or not _is_closed(trails[-1][1]):
        return  # Of a run that was killed nothing was told.
    last, judgement = trails[-1]
    told = {
        str(record["target"]): record["new"].get("sha256")
        for record in judgement.records
        if record["action"] == FILE and isinstance(record["new"], dict)
    }
    there = [name for name in files.names() if name != last]
    for name in told.keys() - set(there):
        yield f"{name}: is missing"
    for name in there:
        if name not in told:
            yield f"{name}: was not there when the trail was closed"
        elif sha256(_read(files, name)).hexdigest() != told[name]:
            yield f"{name}: is not what it was when the trail was closed"


def _read(files: EvidenceFiles, name: str) -> bytes:
    """Return a file's bytes; none for one that cannot be read, which no hash is of."""
    try:
        return files.read(name)
    except OSError:
        return b""


def _told_problems(evidence: Evidence, trails: _Trails) -> Iterator[str]:
    """Compare each test with what the trail says of it."""
    told: dict[str, dict[str, Any]] = {}
    for _, judgement in trails:
        for index, record in enumerate(judgement.records):
            if record["action"] == TEST:
                told[str(record["target"])] = _new(judgement, index)
    for test in evidence.tests:
        of_trail = told.pop(_cut(test.id), None)
        if of_trail is None:
            yield f"{test.id}: the audit trail does not know it"
        elif of_trail.get("record_sha256") != test.digest():
            yield f"{test.id}: is not what the audit trail says of it"
    for name in told:
        yield f"{name}: is in the audit trail and not in {FILE_NAME}"


def _cut(text: str) -> str:
    """Return a text as the trail holds it."""
    return text if len(text) <= _TOLD_MAX else f"{text[: _TOLD_MAX - 1]}…"


def _signatures(trails: _Trails, *, is_checked: bool) -> str:
    if is_checked:
        return "checked"
    if any("signature" in record for _, judgement in trails for record in judgement.records):
        return "not checked: give --key"
    return "none: whoever can write the files can write all of them anew"


# -- one test ---


def _test_problems(files: EvidenceFiles, test: TestRecord, found: Verified) -> Iterator[str]:
    for name, digest in _files_of(test):
        if sha256(_read(files, name)).hexdigest() != digest:
            yield f"{name}: is not the file that was kept"
    yield from _verdict_problems(test)
    try:
        loaded = load_test(files, test)
    except (RecordingError, ChannelError, OSError) as error:
        yield str(error)
        return
    if loaded is None:
        if test.verdict is Verdict.PASS:
            found.unrecorded += 1
        if test.measurements:
            yield "has measurements and no recording"
        return
    recording, trace = loaded
    yield from _recording_problems(files, test, recording)
    if recording.complete:
        yield from _cost_problems(test, trace)
    for measurement in test.measurements:
        yield from _measurement_problems(measurement, trace, found)
    yield from _independent_problems(test, found.evidence)


def _files_of(test: TestRecord) -> Iterator[tuple[str, str]]:
    if test.recording:
        yield test.recording, test.recording_sha256
    for channel in test.channels:
        yield channel.file, channel.sha256
    for one in test.earlier:
        if one.recording:
            yield one.recording, one.recording_sha256


def _verdict_problems(test: TestRecord) -> Iterator[str]:
    """Find a verdict that the test's own measurements speak against."""
    failed = [m.name for m in test.measurements if m.verdict is Verdict.FAIL]
    if test.verdict is not Verdict.FAIL and failed:
        yield f"is {test.verdict.value}, but failed: {', '.join(failed)}"
    if test.verdict is Verdict.PASS and test.why:
        yield f"is PASS, and yet says: {test.why}"
    if test.verdict is not Verdict.PASS and not test.why:
        yield f"is {test.verdict.value}, and does not say why"


def _recording_problems(
    files: EvidenceFiles, test: TestRecord, recording: Recording
) -> Iterator[str]:
    if recording.metadata.get("test") != test.id:
        yield f"{test.recording}: is of another test: {recording.metadata.get('test')}"
    if test.verdict is not Verdict.PASS:
        return  # A run that was cut off may leave its last recording open.
    messages = read_messages(BytesIO(files.read(test.recording)), test.recording)
    if not messages.complete or messages.altered:
        yield f"{test.recording}: is not as it was closed"
    if messages.dropped:
        yield f"{test.recording}: {messages.dropped} records are missing"
    if messages.summary.get("verdict") != Verdict.PASS.value:
        yield f"is PASS, but its recording was closed with {messages.summary.get('verdict')}"
    if any(event["kind"] == "guard" for event in recording.events):
        yield "is PASS, but the bench's guard had to send STOP"
    asked = [str(event.get("step")) for event in recording.events if event["kind"] == BY_HAND]
    if asked != list(test.operator_steps):
        yield "what was done by hand is not what the recording says"


def _cost_problems(test: TestRecord, trace: Trace) -> Iterator[str]:
    told = test.cost
    gas_g = trace.gas_g()
    if abs(told.gas_g - gas_g) > GAS_G + GAS_SHARE * gas_g:
        yield f"used {gas_g:g} g of gas by its recording, not {told.gas_g:g} g"
    if (told.freezes, told.opens_gas) != (trace.freezes(), trace.opens_gas()):
        yield f"froze {trace.freezes()} times by its recording, not {told.freezes} times"


def _measurement_problems(measurement: Measurement, trace: Trace, found: Verified) -> Iterator[str]:
    if isinstance(measurement.what, Given):
        found.given += 1
    else:
        found.computed += 1
    again = measurement.judged_again(trace)
    if again == measurement:
        return
    told = f"{measurement.value!r} {measurement.verdict.value}"
    yield f"{measurement.name}: comes to {again.value!r} {again.verdict.value}, not to {told}"


def _independent_problems(test: TestRecord, evidence: Evidence) -> Iterator[str]:
    """Find values of instruments that the rig's file does not vouch for."""
    if not any(m.origin is Origin.INDEPENDENT for m in test.measurements):
        return
    try:
        rig = evidence.rig_file()
    except FileError:
        return  # Told already, as a mistake of the whole run.
    by_signal = {each.signal: each for each in rig.table.instrument}
    allowed = [
        independent(m, c.signal, by_signal[c.signal], rig).model_copy(update=_UNJUDGED)
        for c in test.channels
        if c.signal in by_signal
        for m in test.measurements
        if m.origin is Origin.DEVICE and isinstance(m.what, Reading | Interval)
    ]
    for m in test.measurements:
        told = m.model_copy(update=_UNJUDGED)
        if m.origin is Origin.INDEPENDENT and not isinstance(m.what, Given) and told not in allowed:
            yield f"{m.name}: is no value of an instrument of this rig"


_UNJUDGED: Final = {"value": None, "verdict": Verdict.NOT_RUN, "why": ""}


# -- the run ---


def _run_problems(evidence: Evidence) -> Iterator[str]:
    try:
        verdict = evidence.verdict_of_run()
    except (FileError, ValueError) as error:
        yield f"{FILE_NAME}: {error}"
        return
    if evidence.ended_utc and verdict is not evidence.verdict:
        yield f"the run is {verdict.value} by its tests, not {evidence.verdict.value}"
    twice = [name for name, count in Counter(t.id for t in evidence.tests).items() if count > 1]
    for name in twice:
        yield f"{name}: stands in the evidence more than once"


def verified_text(found: Verified) -> str:
    """Return what was found, for a terminal."""
    evidence = found.evidence
    counted = (
        f"{found.computed} measurements computed again, {found.given} given by tests, "
        f"{found.unrecorded} passed tests unrecorded"
    )
    lines = [
        f"{found.answer.value}: the run is {evidence.verdict.value}; {counted}",
        *(f"  {problem}" for problem in found.problems),
        f"signatures  {found.signatures}",
    ]
    if found.is_cut_short:
        lines.insert(1, "  the audit trail was never closed: the run was killed")
    return "\n".join(lines)
