"""Writes MCAP files (https://mcap.dev/spec) for a recorder that is in every tick's way.

The records are those of the ``mcap`` package. Its ``Writer`` builds several objects for every
message and keeps a dictionary for every chunk; this one appends bytes, which takes a fifth of the
time and hardly any memory in a day of chunks of 50 ms. Its readers are the judges in the tests.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from hashlib import sha256
from typing import BinaryIO, Final

import zstandard
from mcap.data_stream import RecordBuilder
from mcap.opcode import Opcode
from mcap.records import (
    Channel,
    Chunk,
    ChunkIndex,
    DataEnd,
    Footer,
    Header,
    McapRecord,
    Metadata,
    MetadataIndex,
    Schema,
    Statistics,
)
from mcap.writer import MCAP0_MAGIC

CHUNK_SIZE_MAX: Final = 1 << 20
"""Bytes before compression: a flood of frames makes more chunks, not a bigger one."""

_MESSAGE: Final = struct.Struct("<BQHIQQ")
"""Opcode, length, channel, sequence, log time, publish time."""
_MESSAGE_FIXED_SIZE: Final = _MESSAGE.size - 9  # what the length counts besides the data
_MESSAGE_INDEX: Final = struct.Struct("<BQHI")
"""Opcode, length, channel, size of the entries."""
_INDEX_ENTRY_SIZE: Final = 16
"""Log time, offset in the chunk; 64 bits each."""
_MESSAGE_OPCODE: Final = int(Opcode.MESSAGE)
_pack_message: Final = _MESSAGE.pack


class McapFile:
    """One MCAP file being written.

    Schemas and channels stand before the first chunk, so each chunk can be read without any other.

    Args:
        stream: Takes the bytes; must be at its start. Its errors are the caller's.
        library: Names the program in the header.
    """

    def __init__(self, stream: BinaryIO, *, library: str) -> None:
        self._stream = stream
        self._offset = 0
        self._chunk = bytearray()
        self._index: dict[int, list[int]] = {}
        """Log time, offset, log time, offset ... of each channel's messages in the chunk."""
        self._contents = sha256()
        self._compressor = zstandard.ZstdCompressor()
        self._schemas: list[bytes] = []
        self._channels: list[bytes] = []
        self._chunk_count = 0
        # One for each 50 ms of a run, all alike: packed, an hour of them is 2 MiB.
        self._index_packer = zlib.compressobj()
        self._chunk_indexes = bytearray()
        self._metadata_indexes: list[bytes] = []
        self._counts: dict[int, int] = {}
        self._start_ns: int | None = None
        self._end_ns = 0
        self._write(MCAP0_MAGIC)
        self._write(_record(Header(profile="", library=library)))

    def add_metadata(self, name: str, values: Mapping[str, str]) -> None:
        """Write a metadata record, behind all messages so far."""
        self._end_chunk()
        self._contents.update(metadata_bytes(values))
        data = _record(Metadata(name=name, metadata=dict(values)))
        index = MetadataIndex(offset=self._offset, length=len(data), name=name)
        self._metadata_indexes.append(_record(index))
        self._write(data)

    def add_channel(
        self, topic: str, *, encoding: str, schema_name: str, schema_encoding: str, schema: str
    ) -> int:
        """Declare a topic and the schema of its messages; return the channel's number."""
        number = len(self._channels) + 1
        data = schema.encode()
        record = Schema(id=number, name=schema_name, encoding=schema_encoding, data=data)
        self._schemas.append(_record(record))
        channel = Channel(
            id=number, topic=topic, message_encoding=encoding, metadata={}, schema_id=number
        )
        self._channels.append(_record(channel))
        self._index[number] = []
        self._counts[number] = 0
        self._write(self._schemas[-1] + self._channels[-1])
        return number

    def add_message(self, channel: int, time_ns: int, data: bytes, sequence: int) -> None:
        """Append a message to the present chunk."""
        chunk = self._chunk
        offset = len(chunk)
        size = len(data) + _MESSAGE_FIXED_SIZE
        chunk += _pack_message(_MESSAGE_OPCODE, size, channel, sequence, time_ns, time_ns)
        chunk += data
        self._index[channel] += (time_ns, offset)
        if len(chunk) >= CHUNK_SIZE_MAX:
            self._end_chunk()

    @property
    def pending(self) -> int:
        """Messages that are not in the stream yet."""
        return sum(map(len, self._index.values())) // 2

    def flush(self) -> None:
        """Hand everything so far to the operating system."""
        self._end_chunk()
        self._stream.flush()

    def seal(self, ending: Mapping[str, str]) -> str:
        """Return the SHA-256 over all metadata and messages so far, and ``ending`` after them."""
        self._end_chunk()
        contents = self._contents.copy()
        contents.update(metadata_bytes(ending))
        return contents.hexdigest()

    def finish(self) -> None:
        """Write the index with which other programs find their way; the stream stays open."""
        self._end_chunk()
        self._write(_record(DataEnd(data_section_crc=0)))
        statistics = Statistics(
            attachment_count=0,
            channel_count=len(self._channels),
            channel_message_counts={k: n for k, n in self._counts.items() if n},
            chunk_count=self._chunk_count,
            message_count=sum(self._counts.values()),
            message_end_time=self._end_ns,
            message_start_time=self._start_ns or 0,
            metadata_count=len(self._metadata_indexes),
            schema_count=len(self._schemas),
        )
        start = self._offset
        self._write(b"".join([*self._schemas, *self._channels, _record(statistics)]))
        unpacker = zlib.decompressobj()
        packed = bytes(self._chunk_indexes + self._index_packer.flush())
        while part := unpacker.decompress(packed, CHUNK_SIZE_MAX):
            self._write(part)
            packed = unpacker.unconsumed_tail
        self._write(b"".join(self._metadata_indexes))
        self._write(_record(Footer(summary_start=start, summary_offset_start=0, summary_crc=0)))
        self._write(MCAP0_MAGIC)
        self._stream.flush()

    def _end_chunk(self) -> None:
        if not self._chunk:
            return
        used = {channel: entries for channel, entries in self._index.items() if entries}
        times = [time for entries in used.values() for time in entries[::2]]
        start_ns, end_ns = min(times), max(times)
        raw = bytes(self._chunk)
        self._contents.update(raw)
        packed = self._compressor.compress(raw)
        data = _record(
            Chunk(
                compression="zstd",
                data=packed,
                message_start_time=start_ns,
                message_end_time=end_ns,
                uncompressed_crc=zlib.crc32(raw),
                uncompressed_size=len(raw),
            )
        )
        start, offsets, indexes = self._offset, {}, bytearray()
        for channel, entries in used.items():
            offsets[channel] = start + len(data) + len(indexes)
            count = len(entries) // 2
            size = count * _INDEX_ENTRY_SIZE
            indexes += _MESSAGE_INDEX.pack(Opcode.MESSAGE_INDEX, size + 6, channel, size)
            indexes += struct.pack(f"<{len(entries)}Q", *entries)
            self._counts[channel] += count
        index = ChunkIndex(
            chunk_start_offset=start,
            chunk_length=len(data),
            compression="zstd",
            compressed_size=len(packed),
            uncompressed_size=len(raw),
            message_start_time=start_ns,
            message_end_time=end_ns,
            message_index_length=len(indexes),
            message_index_offsets=offsets,
        )
        self._chunk_indexes += self._index_packer.compress(_record(index))
        self._chunk_count += 1
        self._start_ns = start_ns if self._start_ns is None else min(self._start_ns, start_ns)
        self._end_ns = max(self._end_ns, end_ns)
        self._write(data + indexes)
        self._chunk.clear()
        for entries in used.values():
            entries.clear()

    def _write(self, data: bytes) -> None:
        self._stream.write(data)
        self._offset += len(data)


def metadata_bytes(values: Mapping[str, str]) -> bytes:
    """Return what of a metadata record goes into the seal."""
    return json.dumps(values, sort_keys=True).encode()


def _record(record: McapRecord) -> bytes:
    builder = RecordBuilder()
    record.write(builder)
    return bytes(builder.end())  # type: ignore[no-untyped-call]
