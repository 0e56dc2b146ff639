"""The recording of a run: everything that went in and out, as one MCAP file that survives a crash.

A plain synchronous sink without a clock. Whatever happens to the disk, nothing is raised into the
controller: the recorder says that it failed, why, and how many records it had to drop.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, BinaryIO, Final

from cryoctl import __version__
from cryoctl.cycle_table import Phase
from cryoctl.mcap_file import McapFile
from cryoctl.record_layout import ENCAPSULATION, Layout
from cryoctl.records import Control, IceEstimate, LogEvent
from cryoctl.sample import Sample
from cryoctl.storage import FINE, not_kept, with_room
from cryoctl.vendor import VendorTable
from cryoctl_protocol.messages import PROTOCOL_MAJOR, PROTOCOL_MINOR
from cryoctl_protocol.truth import TruthSample

TELEMETRY: Final = "/telemetry"
CONTROL: Final = "/control"
ESTIMATE: Final = "/estimate"
TRUTH: Final = "/truth"
LINK_RX: Final = "/link/rx"
LINK_TX: Final = "/link/tx"
EVENTS: Final = "/events"
AUDIT: Final = "/audit"
"""Hashes of the audit trail: a trail that was cut afterwards lacks what is told here."""
VENDOR: Final = "/vendor/"
"""Before the name of the vendor message."""
RUN_RECORD: Final = "run"
"""Metadata at the start of the file: what was run, with which versions, on what."""
PROFILE: Final = "profile_json"
"""Metadata: identity and limits of the probe's profile, all of which its hash covers."""
SUMMARY_RECORD: Final = "summary"
"""Metadata at the end: the summary object and what the recorder has to say of itself."""
CONTENTS: Final = "contents_sha256"
"""In the summary record: hash over all metadata and messages, as they stand in the file."""
FORMAT: Final = "1"
"""Version of what this module writes; topics and fields describe themselves."""

_NS_PER_S: Final = 1e9
_SEQUENCE_MASK: Final = 0xFFFF_FFFF
_NAN: Final = float("nan")
_EVENT_SCHEMA: Final = (
    '{"type":"object","properties":{"at_s":{"type":"number"},"kind":{"type":"string"}},'
    '"required":["at_s","kind"]}'
)
_ANCHOR_SCHEMA: Final = (
    '{"type":"object","properties":{"seq":{"type":"integer"},"head":{"type":"string"}},'
    '"required":["seq","head"]}'
)
_BODY_SCHEMA: Final = "uint8[] body\n"
_FRAME_HEAD: Final = struct.Struct("<4sI")
FRAME_HEAD_SIZE: Final = _FRAME_HEAD.size
"""Before the bytes of a frame: CDR's own header and their number."""
_pack_frame_head: Final = _FRAME_HEAD.pack
_FAILURES: Final = (OSError, ValueError, struct.error)
"""A full or broken disk, a stream closed by somebody else, a value that no file can hold."""

_Pack = Callable[..., bytes]
_pack_sample: Final[_Pack] = Layout.of(Sample).struct.pack
_pack_control: Final[_Pack] = Layout.of(Control).struct.pack
_pack_estimate: Final[_Pack] = Layout.of(IceEstimate).struct.pack
_pack_truth: Final[_Pack] = Layout.of(TruthSample).struct.pack


class Recorder:
    """Writes records to ``stream`` in the order in which they come.

    Args:
        stream: At its start; ``close`` closes it.
        metadata: Of the run, texts of all its files included; written first.
        flush_period_s: In the time of the records: at most this much is lost in a crash.
        free_bytes: Tells how much room is left where the stream goes.
        vendor: How to read vendor messages; others are kept as raw frames alone.

    Attributes:
        storage: How the recording stands; ARM waits for it (SR-33).
        failure: Why records are no longer kept; empty while they are.
        dropped: Records that are not in the file.
        holds_flush: True while whoever feeds it is behind, and a flush would only make that worse.
        vendor_rejected: Vendor messages of an unknown id or the wrong size.
    """

    def __init__(
        self,
        stream: BinaryIO,
        *,
        metadata: Mapping[str, str],
        flush_period_s: float,
        free_bytes: Callable[[], int] | None = None,
        vendor: VendorTable | None = None,
    ) -> None:
        self.storage = FINE
        self.failure = ""
        self.dropped = 0
        self.holds_flush = False
        self.vendor_rejected = 0
        self._stream = stream
        self._flush_period_s = flush_period_s
        self._flush_due_s = flush_period_s
        self._free_bytes = free_bytes
        self._sequence = 0
        self._vendor = vendor or VendorTable()
        self._channels: dict[str, int] = {}
        self._file: McapFile | None = None
        try:
            self._file = McapFile(stream, library=f"cryoctl {__version__}")
            self._begin(self._file, metadata)
            self._look_for_room()
        except _FAILURES as error:
            self._fail(error)
        channel = self._channels.get
        self._telemetry = channel(TELEMETRY, 0)
        self._control = channel(CONTROL, 0)
        self._estimate = channel(ESTIMATE, 0)
        self._truth = channel(TRUTH, 0)
        self._rx = channel(LINK_RX, 0)
        self._tx = channel(LINK_TX, 0)
        self._events = channel(EVENTS, 0)
        self._anchors = channel(AUDIT, 0)

    def received(self, body: bytes, now_s: float) -> None:
        """Record a frame that came in; an empty body stands for a line error."""
        self._add(self._rx, _pack_frame_head(ENCAPSULATION, len(body)) + body, now_s)

    def sent(self, body: bytes, now_s: float) -> None:
        """Record a frame that went out."""
        self._add(self._tx, _pack_frame_head(ENCAPSULATION, len(body)) + body, now_s)

    def sample(self, sample: Sample, now_s: float) -> None:
        """Record a valid sample; a sensor that the probe does not have reads NaN."""
        self._add_numbers(self._telemetry, _pack_sample, sample, now_s)

    def control(self, control: Control, now_s: float) -> None:
        """Record a control tick."""
        self._add_numbers(self._control, _pack_control, control, now_s)

    def estimate(self, estimate: IceEstimate, now_s: float) -> None:
        """Record what the observer makes of the ice."""
        self._add_numbers(self._estimate, _pack_estimate, estimate, now_s)

    def truth(self, sample: TruthSample, now_s: float) -> None:
        """Record plant truth; a ``TruthSource`` calls this, never the controller."""
        self._add_numbers(self._truth, _pack_truth, sample, now_s)

    def vendor(self, message_id: int, payload: bytes, now_s: float) -> None:
        """Record a vendor message by the table; its frame is in ``/link/rx`` in any case."""
        found = self._vendor.decode(message_id, payload)
        if found is None:
            self.vendor_rejected += 1
            return
        message, values = found
        channel = self._channels.get(VENDOR + message.name, 0)
        self._add_numbers(channel, message.layout.struct.pack, values, now_s)

    def event(self, event: LogEvent) -> None:
        """Record an event."""
        try:
            line = event.to_json()
        except ValueError as error:
            self._fail(error)
            line = ""
        self._add(self._events, line.encode(), event.at_s)

    def anchor(self, seq: int, head: str, now_s: float) -> None:
        """Record the hash of a record of the audit trail."""
        self._add(self._anchors, json.dumps({"seq": seq, "head": head}).encode(), now_s)

    def skip(self, count: int) -> None:
        """Note that ``count`` records never got here; the gap can be seen in the file."""
        self.dropped += count
        self._sequence = (self._sequence + count) & _SEQUENCE_MASK

    def flush(self) -> None:
        """Hand everything so far to the system; a killed program loses none of it (SR-34)."""
        if self._file is not None:
            try:
                self._file.flush()
            except _FAILURES as error:
                self._fail(error)

    def close(self, summary_json: str) -> None:
        """Write the summary and the index, and close the stream; safe after a failure."""
        if self._file is not None:
            values = {
                "json": summary_json,
                "dropped": str(self.dropped),
                "vendor_rejected": str(self.vendor_rejected),
            }
            try:
                values[CONTENTS] = self._file.seal(values)
                self._file.add_metadata(SUMMARY_RECORD, values)
                self._file.finish()
            except _FAILURES as error:
                self._fail(error)
        self._file = None
        if not self.failure:
            self.storage = not_kept("the recording is closed")
        try:
            self._stream.close()
        except OSError as error:
            self._fail(error)

    def _begin(self, file: McapFile, metadata: Mapping[str, str]) -> None:
        own = {
            "recording_format": FORMAT,
            "protocol": f"{PROTOCOL_MAJOR}.{PROTOCOL_MINOR}",
            "phases": " ".join(Phase),
        }
        file.add_metadata(RUN_RECORD, {**own, **metadata})
        layouts = {
            TELEMETRY: ("Telemetry", Layout.of(Sample).text),
            CONTROL: ("Control", Layout.of(Control).text),
            ESTIMATE: ("Estimate", Layout.of(IceEstimate).text),
            TRUTH: ("Truth", Layout.of(TruthSample).text),
            LINK_RX: ("Frame", _BODY_SCHEMA),
            LINK_TX: ("Frame", _BODY_SCHEMA),
            **{
                VENDOR + message.name: (f"Vendor{message.id:02X}", message.layout.text)
                for message in self._vendor.message
            },
        }
        for topic, (name, text) in layouts.items():
            self._channels[topic] = file.add_channel(
                topic,
                encoding="cdr",
                schema_name=f"cryoctl/msg/{name}",
                schema_encoding="ros2msg",
                schema=text,
            )
        for topic, name, text in (
            (EVENTS, "cryoctl.Event", _EVENT_SCHEMA),
            (AUDIT, "cryoctl.Anchor", _ANCHOR_SCHEMA),
        ):
            self._channels[topic] = file.add_channel(
                topic,
                encoding="json",
                schema_name=name,
                schema_encoding="jsonschema",
                schema=text,
            )
        file.flush()

    def _add_numbers(self, channel: int, pack: _Pack, values: Sequence[Any], now_s: float) -> None:
        try:
            # The slice is a plain tuple, which is spread in half the time of a NamedTuple.
            data = pack(ENCAPSULATION, *values[:])
        except struct.error:
            try:
                data = pack(ENCAPSULATION, *(_NAN if v is None else v for v in values))
            except struct.error as error:
                self._fail(error)
                data = b""
        self._add(channel, data, now_s)

    def _add(self, channel: int, data: bytes, now_s: float) -> None:
        file = self._file
        if file is None:
            self.dropped += 1
            return
        try:
            sequence = self._sequence
            file.add_message(channel, round(now_s * _NS_PER_S), data, sequence)
            self._sequence = (sequence + 1) & _SEQUENCE_MASK
            if now_s >= self._flush_due_s and not self.holds_flush:
                self._flush_due_s = now_s + self._flush_period_s
                file.flush()
                self._look_for_room()
        except _FAILURES as error:
            self._fail(error)

    def _look_for_room(self) -> None:
        if self._free_bytes is None:
            return
        with suppress(OSError):  # A folder that was moved: what is written still gets there.
            self.storage = with_room(self._free_bytes(), self.storage)

    def _fail(self, error: Exception) -> None:
        """Give up the file: behind a hole nobody could tell what is missing."""
        if self.failure:
            return
        reason = error.strerror if isinstance(error, OSError) else None
        self.failure = f"recording failed: {reason or str(error)}"
        self.storage = not_kept(self.failure)
        if self._file is not None:
            self.dropped += self._file.pending
            self._file = None
