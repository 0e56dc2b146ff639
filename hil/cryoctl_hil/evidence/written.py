"""Reads and writes the files beside the evidence: recordings, channels, report, JUnit XML."""

from __future__ import annotations

from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Protocol
from xml.etree import ElementTree as ET

from cryoctl.recording import Recording, RecordingError, read_recording
from cryoctl_hil.evidence.instruments import ChannelError, read_channel
from cryoctl_hil.evidence.measurement import Verdict
from cryoctl_hil.evidence.record import FILE_NAME, JUNIT, REPORT, Evidence, TestRecord
from cryoctl_hil.evidence.report import SealTold, render
from cryoctl_hil.evidence.seal import Seal
from cryoctl_hil.evidence.trace import Trace


class Files(Protocol):
    """Where the files of evidence are: a folder or an archive."""

    def read(self, name: str) -> bytes:
        """Return a file's bytes; raises OSError or KeyError if it is not there."""
        ...


class Folder:
    """Files in a folder."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        return (self._path / name).read_bytes()


def load_test(files: Files, test: TestRecord) -> tuple[Recording, Trace] | None:
    """Return a test's recording, and its trace with what instruments measured; None without one.

    Raises:
        RecordingError: The recording is none.
        ChannelError: Readings of an instrument are none.
        OSError: A file is not there; KeyError where it is not in an archive.
    """
    if not test.recording:
        return None
    recording = read_recording(BytesIO(files.read(test.recording)), test.recording)
    trace = Trace.of(recording)
    for channel in test.channels:
        series = read_channel(files.read(channel.file), channel.file)
        trace.channels[channel.signal] = series.moved(channel.offset_s).as_lists()
    return recording, trace


def write_pages(folder: Path, evidence: Evidence, *, seal: Seal) -> None:
    """Write report and JUnit XML beside the evidence, which has been written."""
    files = Folder(folder)

    def load(test: TestRecord) -> tuple[Recording, Trace] | None:
        try:
            return load_test(files, test)
        except (RecordingError, ChannelError, OSError):
            return None  # A run that was cut off must have its report all the same.

    told = SealTold(
        file=seal.file_name,
        head=seal.head,
        is_signed=seal.is_signed,
        evidence_sha256=sha256(files.read(FILE_NAME)).hexdigest(),
    )
    (folder / REPORT).write_text(render(evidence, load, told), encoding="utf-8")
    (folder / JUNIT).write_bytes(junit(evidence))


def junit(evidence: Evidence) -> bytes:
    """Return the run as JUnit XML, as continuous integration reads it."""
    counts = evidence.counts()
    suite = ET.Element(
        "testsuite",
        name=f"cryoctl hil {evidence.rig}",
        tests=str(len(evidence.tests)),
        failures=str(counts[Verdict.FAIL]),
        errors="0",
        skipped=str(counts[Verdict.NOT_RUN]),
        time=f"{sum(test.wall_s for test in evidence.tests):.3f}",
        timestamp=evidence.started_utc,
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in (
        ("device", evidence.probe.device),
        ("firmware", evidence.probe.firmware),
        ("verdict", evidence.verdict.value),
    ):
        ET.SubElement(properties, "property", name=name, value=_printable(value))
    for test in evidence.tests:
        _add_case(suite, test)
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'.encode()


def _add_case(suite: ET.Element, test: TestRecord) -> None:
    file, _, name = test.id.partition("::")
    case = ET.SubElement(
        suite, "testcase", classname=_printable(file), name=_printable(name),
        time=f"{test.wall_s:.3f}",
    )  # fmt: skip
    for measurement in test.measurements:
        properties = case.find("properties")
        if properties is None:
            properties = ET.SubElement(case, "properties")
        told = f"{measurement.value} {measurement.limit.unit}".rstrip()
        ET.SubElement(
            properties, "property", name=_printable(measurement.name), value=_printable(told)
        )
    if test.verdict is Verdict.FAIL:
        told = f"{test.why}\nstopped at: {test.step}" if test.step else test.why
        ET.SubElement(case, "failure", message=_printable(test.why)).text = _printable(told)
    elif test.verdict is Verdict.NOT_RUN:
        ET.SubElement(case, "skipped", message=_printable(test.why))


def _printable(text: str) -> str:
    """Return a text that XML can hold."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text
    )
