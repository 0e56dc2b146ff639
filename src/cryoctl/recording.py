"""Reads recordings, those of a crashed or still running program included."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import numpy as np
import zstandard
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, McapRecord, Message, Metadata, Schema
from mcap.stream_reader import StreamReader, get_chunk_data_stream
from numpy.typing import NDArray

from cryoctl import __version__
from cryoctl.mcap_file import McapFile, metadata_bytes
from cryoctl.record_layout import Layout, LayoutError
from cryoctl.recorder import (
    CONTENTS,
    CONTROL,
    ESTIMATE,
    EVENTS,
    RUN_RECORD,
    SUMMARY_RECORD,
    TELEMETRY,
    TRUTH,
    VENDOR,
)

Table = dict[str, NDArray[Any]]
"""Columns by name, all of one length; ``now_s`` is the time of each row."""

RECORD_SIZE_MAX: Final = 64 << 20
"""Bytes; no record of ours comes near, and a damaged length must not eat the memory."""
RECOVERED: Final = "recovered"
"""In the metadata of a run whose recording was closed by ``recover_recording``."""
_NS_PER_S: Final = 1e9
_RECORD_HEAD: Final = struct.Struct("<BQ")
_MESSAGE_HEAD: Final = struct.Struct("<BQHIQQ")
_DECLARATIONS: Final[dict[int, Any]] = {Opcode.SCHEMA: Schema, Opcode.CHANNEL: Channel}
"""Records that other programs put into chunks; ours stand before them."""
_CUT_OFF: Final = (McapError, struct.error, ValueError, zstandard.ZstdError)
"""What the reader raises where a file ends in the middle of a record, or is damaged there."""


class RecordingError(Exception):
    """A file that is no recording of ours; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What a recording holds.

    Attributes:
        metadata: Of the run: versions, profile, seed, texts of all files.
        vendor: Tables of vendor messages by name.
        vendor_units: Of those of their columns that have one.
        events: In order, each with ``at_s`` and ``kind``.
        counts: Messages by topic.
        complete: True if the file was closed properly; else its last moments may be missing.
        dropped: Records that did not get into the file, as far as can be told.
        summary: The run's summary object, None if the run did not get that far.
    """

    source: str
    metadata: dict[str, str]
    telemetry: Table
    control: Table
    estimate: Table
    truth: Table
    vendor: dict[str, Table]
    vendor_units: dict[str, dict[str, str]]
    events: list[dict[str, Any]]
    counts: dict[str, int]
    complete: bool
    dropped: int
    summary: dict[str, Any] | None

    @property
    def phases(self) -> tuple[str, ...]:
        """Names of the numbers in ``control["phase"]``."""
        return tuple(self.metadata.get("phases", "").split())

    def phase_name(self, number: int) -> str:
        """Return the name of a number in ``control["phase"]``; one without a name is said so."""
        names = self.phases
        return names[number] if number < len(names) else f"phase {number}"


def load_recording(path: Path) -> Recording:
    """Read the recording at ``path``.

    Raises:
        RecordingError: It is not there, cannot be read, or is no recording.
    """
    with _opened(path) as stream:
        return read_recording(stream, str(path))


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as stream:
            yield stream
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read: {error.strerror or error}") from error


def read_recording(stream: BinaryIO, source: str) -> Recording:
    """Read a recording from ``stream``; ``source`` names it in errors.

    Raises:
        RecordingError: It is no recording.
    """
    reader, complete = _read(stream, source)
    try:
        return reader.finish(source, complete=complete)
    except (LayoutError, ValueError, KeyError) as error:
        raise RecordingError(f"{source}: damaged recording: {error}") from error


class RawMessage(NamedTuple):
    """One message as it stands in the file."""

    topic: str
    time_ns: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Messages:
    """Every message of a recording in the order in which it was written.

    Attributes:
        metadata: Of the run.
        complete: True if the file was closed properly.
        dropped: Records that did not get into the file, as far as can be told.
        altered: True if the contents are not those it was closed with.
        summary: The run's summary object; empty if it did not get that far.
    """

    metadata: dict[str, str]
    messages: list[RawMessage]
    complete: bool
    dropped: int
    altered: bool
    summary: dict[str, Any]


def load_messages(path: Path) -> Messages:
    """Read every message of the recording at ``path``.

    Raises:
        RecordingError: It is not there, cannot be read, or is no recording.
    """
    with _opened(path) as stream:
        return read_messages(stream, str(path))


def read_messages(stream: BinaryIO, source: str) -> Messages:
    """Read every message of a recording from ``stream``; ``source`` names it in errors.

    Raises:
        RecordingError: It is no recording.
    """
    reader, complete = _read(stream, source)
    return reader.raw(complete=complete)


def recover_recording(stream: BinaryIO, source: str, out: BinaryIO) -> int:
    """Write what can be read of a recording that was never closed as one that is.

    Args:
        stream: The recording.
        source: Names it in errors.
        out: Takes the new file; at its start.

    Returns:
        How many messages were saved.

    Raises:
        RecordingError: It is no recording, or it is whole.
    """
    reader, complete = _read(stream, source)
    if complete:
        raise RecordingError(f"{source}: was closed properly; there is nothing to recover")
    return reader.write(out)


def _event(line: bytes) -> dict[str, Any]:
    """Return an event; raises ValueError if it has no time or no kind."""
    event: dict[str, Any] = json.loads(line)
    match event:
        case {"at_s": int() | float(), "kind": str()}:
            return event
    raise ValueError(f"not an event: {line[:80]!r}")


def _object(text: str) -> dict[str, Any]:
    """Return a JSON object; an empty one for what is none, which the seal then tells."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _read(stream: BinaryIO, source: str) -> tuple[_Reader, bool]:
    """Return everything readable in ``stream``, and whether the file was closed."""
    reader = _Reader()
    complete = False
    try:
        records = StreamReader(stream, emit_chunks=True, record_size_limit=RECORD_SIZE_MAX).records
        for record in records:
            reader.take(record)
        complete = True
    except _CUT_OFF as error:
        if not reader.started:
            raise RecordingError(f"{source}: not a recording (no MCAP file)") from error
    if RUN_RECORD not in reader.metadata:
        raise RecordingError(f"{source}: not a recording of cryoctl, or cut off at its very start")
    return reader, complete


@dataclass(slots=True)
class _Topic:
    """The messages of one channel, in the order of the file."""

    name: str
    schema_id: int
    encoding: str
    sequences: list[int] = field(default_factory=list)
    times_ns: list[int] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)


class _Reader:
    """Collects records."""

    def __init__(self) -> None:
        self.started = False
        self.metadata: dict[str, dict[str, str]] = {}
        self._schemas: dict[int, Schema] = {}
        self._topics: dict[int, _Topic] = {}
        self._messages = 0
        self._sequence_end = 0
        self._contents = sha256()

    def take(self, record: McapRecord) -> None:
        """Take one record off the file, or all records of a chunk."""
        self.started = True
        if isinstance(record, Chunk):
            self._take_chunk(record)
        elif isinstance(record, Metadata):
            self.metadata[record.name] = record.metadata
            sealed = {key: text for key, text in record.metadata.items() if key != CONTENTS}
            self._contents.update(metadata_bytes(sealed))
        elif isinstance(record, Schema):
            self._schemas[record.id] = record
        elif isinstance(record, Channel):
            topic = _Topic(record.topic, record.schema_id, record.message_encoding)
            self._topics.setdefault(record.id, topic)
        elif isinstance(record, Message):
            self._take_message(record.channel_id, record.sequence, record.log_time, record.data)

    def finish(self, source: str, *, complete: bool) -> Recording:
        """Return everything taken so far as a recording."""
        tables: dict[str, Table] = {}
        vendor: dict[str, Table] = {}
        vendor_units: dict[str, dict[str, str]] = {}
        events: list[dict[str, Any]] = []
        for topic in self._topics.values():
            if topic.name == EVENTS:
                events += [_event(line) for line in topic.payloads]
            elif topic.name in (TELEMETRY, CONTROL, ESTIMATE, TRUTH):
                tables[topic.name], _ = self._table(topic)
            elif topic.name.startswith(VENDOR):
                name = topic.name.removeprefix(VENDOR)
                if not name.isidentifier():  # It will name a file.
                    raise ValueError(f"{topic.name!r} names no vendor message")
                vendor[name], vendor_units[name] = self._table(topic)
        ending = self.metadata.get(SUMMARY_RECORD, {})
        summary = json.loads(ending["json"]) if ending else None
        return Recording(
            source=source,
            metadata=self.metadata[RUN_RECORD],
            telemetry=tables.get(TELEMETRY, {}),
            control=tables.get(CONTROL, {}),
            estimate=tables.get(ESTIMATE, {}),
            truth=tables.get(TRUTH, {}),
            vendor=vendor,
            vendor_units=vendor_units,
            events=events,
            counts={topic.name: len(topic.times_ns) for topic in self._topics.values()},
            complete=complete,
            dropped=self._dropped,
            summary=summary if isinstance(summary, dict) else None,
        )

    def write(self, out: BinaryIO) -> int:
        """Write everything taken so far as a closed file; return the number of messages."""
        file = McapFile(out, library=f"cryoctl {__version__}")
        file.add_metadata(RUN_RECORD, {**self.metadata[RUN_RECORD], RECOVERED: "yes"})
        numbers = {}
        for topic in self._topics.values():
            schema = self._schemas[topic.schema_id]
            numbers[topic.name] = file.add_channel(
                topic.name,
                encoding=topic.encoding,
                schema_name=schema.name,
                schema_encoding=schema.encoding,
                schema=schema.data.decode(),
            )
        for sequence, message in self._in_order():
            file.add_message(numbers[message.topic], message.time_ns, message.payload, sequence)
        file.finish()
        return self._messages

    def raw(self, *, complete: bool) -> Messages:
        """Return everything taken so far, message by message."""
        ending = self.metadata.get(SUMMARY_RECORD, {})
        closed_with = ending.get(CONTENTS)
        return Messages(
            metadata=self.metadata[RUN_RECORD],
            messages=[message for _, message in self._in_order()],
            complete=complete and closed_with is not None,
            dropped=self._dropped,
            altered=closed_with != self._contents.hexdigest(),
            summary=_object(ending.get("json", "{}")),
        )

    def _in_order(self) -> list[tuple[int, RawMessage]]:
        return sorted(
            (sequence, RawMessage(topic.name, time_ns, payload))
            for topic in self._topics.values()
            for sequence, time_ns, payload in zip(
                topic.sequences, topic.times_ns, topic.payloads, strict=True
            )
        )

    @property
    def _dropped(self) -> int:
        gaps = self._sequence_end - self._messages
        return max(gaps, int(self.metadata.get(SUMMARY_RECORD, {}).get("dropped", "0")))

    def _take_chunk(self, chunk: Chunk) -> None:
        # By hand, because a tenth of a million messages go through here and the package's own
        # loop makes several objects of each.
        stream, size = get_chunk_data_stream(chunk, validate_crc=True)
        data = stream.read(size)
        self._contents.update(data)
        start = 0
        while start < size:
            opcode, length = _RECORD_HEAD.unpack_from(data, start)
            end = start + _RECORD_HEAD.size + length
            if opcode == Opcode.MESSAGE:
                _, _, channel, sequence, time_ns, _ = _MESSAGE_HEAD.unpack_from(data, start)
                self._take_message(
                    channel, sequence, time_ns, data[start + _MESSAGE_HEAD.size : end]
                )
            elif opcode in _DECLARATIONS:
                part = ReadDataStream(BytesIO(data[start + _RECORD_HEAD.size : end]))
                self.take(_DECLARATIONS[opcode].read(part))
            start = end

    def _take_message(self, channel: int, sequence: int, time_ns: int, data: bytes) -> None:
        topic = self._topics.get(channel)
        if topic is None:
            return
        topic.sequences.append(sequence)
        topic.times_ns.append(time_ns)
        topic.payloads.append(data)
        self._messages += 1
        self._sequence_end = max(self._sequence_end, sequence + 1)

    def _table(self, topic: _Topic) -> tuple[Table, dict[str, str]]:
        """Return the columns of ``topic`` and the units that its schema names."""
        layout = Layout.parse(self._schemas[topic.schema_id].data.decode())
        data = b"".join(topic.payloads)
        if len(data) != len(topic.payloads) * layout.dtype.itemsize:
            raise LayoutError(f"{topic.name}: messages are not as their schema says")
        rows = np.frombuffer(data, layout.dtype)
        now_s = np.array(topic.times_ns, dtype=np.int64) / _NS_PER_S
        names = [name for name, _ in layout.fields]
        units = {name: unit for name, unit in zip(names, layout.units, strict=False) if unit}
        columns = {name: np.ascontiguousarray(rows[name]) for name in names}
        return {"now_s": now_s, **columns}, units
