"""Adds an instrument's readings to evidence, and seals it anew."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from cryoctl_hil.evidence.archive import EvidenceFiles
from cryoctl_hil.evidence.instruments import (
    ChannelError,
    Readings,
    best_offset,
    offset_of_mark,
    read_channel,
    with_channel,
)
from cryoctl_hil.evidence.measurement import Measurement, Origin, Verdict
from cryoctl_hil.evidence.record import (
    CHANNELS,
    FILE_NAME,
    Channel,
    Evidence,
    TestRecord,
    evidence_text,
)
from cryoctl_hil.evidence.seal import Seal
from cryoctl_hil.evidence.trace import Trace
from cryoctl_hil.evidence.written import load_test, write_pages
from cryoctl_hil.rigs.rig import InstrumentTable


class Alignment(NamedTuple):
    """How an instrument's times become the recording's; all None is by cross-correlation.

    Attributes:
        offset_s: To add.
        mark: A moment of the test.
        at_s: Its time in the instrument's file.
    """

    offset_s: float | None = None
    mark: str | None = None
    at_s: float | None = None

    def find(self, trace: Trace, signal: str, readings: Readings) -> tuple[float, str]:
        """Return what to add, and in words how that is known; raises ChannelError."""
        if self.offset_s is not None:
            return self.offset_s, "as given"
        if self.mark is not None and self.at_s is not None:
            return offset_of_mark(trace, self.mark, self.at_s), f"by the mark {self.mark}"
        return best_offset(trace, signal, readings), "by cross-correlation"


class Imported(NamedTuple):
    """What an import came to."""

    offset_s: float
    aligned: str
    measurements: tuple[Measurement, ...]
    verdict: Verdict


def import_channel(
    folder: Path,
    csv: Path,
    *,
    test_id: str,
    instrument: str,
    alignment: Alignment,
    key: bytes | None = None,
) -> Imported:
    """Add readings to a test in a folder of evidence, and write that with its pages and trail.

    Raises:
        ChannelError: There is no such test or instrument, or the readings say nothing of it.
        FileError: The folder holds no evidence.
        OSError: A file cannot be read or written.
    """
    files = EvidenceFiles(folder, None)
    evidence = files.evidence()
    table = _instrument(evidence, instrument)
    test = _test(evidence, test_id)
    data = csv.read_bytes()
    readings = read_channel(data, str(csv))
    loaded = load_test(files, test)
    if loaded is None:
        raise ChannelError(f"{test.id}: was not recorded")
    trace = loaded[1]
    offset_s, aligned = alignment.find(trace, table.signal, readings)
    trace.channels[table.signal] = readings.moved(offset_s).as_lists()
    name = f"{CHANNELS}/{_stem(test.id)}.{table.signal}.csv"
    channel = Channel(
        instrument=table.name,
        signal=table.signal,
        file=name,
        sha256=sha256(data).hexdigest(),
        offset_s=offset_s,
        aligned=aligned,
    )
    measured = _judged(with_channel(test, trace, channel, table, evidence.rig_file()))
    (folder / CHANNELS).mkdir(exist_ok=True)
    (folder / name).write_bytes(data)
    evidence = evidence.with_test(measured)
    evidence = evidence.with_end(ended_utc=evidence.ended_utc)
    seal = Seal(folder, key)
    seal.open(evidence, "import")
    seal.note("import", test.id, channel.model_dump())
    seal.test(measured)
    (folder / FILE_NAME).write_text(evidence_text(evidence), encoding="utf-8")
    write_pages(folder, evidence, seal=seal)
    seal.close(evidence)
    added = tuple(m for m in measured.measurements if m.origin is Origin.INDEPENDENT)
    return Imported(offset_s, aligned, added, evidence.verdict)


def _instrument(evidence: Evidence, name: str) -> InstrumentTable:
    known = {each.name: each for each in evidence.instruments()}
    if name not in known:
        told = ", ".join(known) or "it has none: add an [[instrument]] before the run"
        raise ChannelError(f"the rig has no instrument {name!r}; it has: {told}")
    return known[name]


def _test(evidence: Evidence, test_id: str) -> TestRecord:
    for test in evidence.tests:
        if test.id == test_id:
            return test
    raise ChannelError(f"the evidence has no test {test_id!r}")


def _judged(test: TestRecord) -> TestRecord:
    """Return a test that fails if one of its measurements does; what failed before still does."""
    failed = [f"{m.name}: {m.why}" for m in test.measurements if m.verdict is Verdict.FAIL]
    if test.verdict is not Verdict.PASS or not failed:
        return test
    return test.model_copy(update={"verdict": Verdict.FAIL, "why": "\n".join(failed)})


def _stem(test_id: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", test_id).strip("-")
