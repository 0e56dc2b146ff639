"""The recorder: bytes that others can read, and no disk that can reach the controller."""

from __future__ import annotations

import errno
import json
import struct
from io import BytesIO
from typing import Any

import pytest
from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.reader import SeekingReader, make_reader
from mcap.records import Chunk, MessageIndex
from mcap.stream_reader import get_chunk_data_stream
from mcap.writer import CompressionType, Writer
from mcap_ros2.decoder import DecoderFactory

from cryoctl.cycle_table import Phase
from cryoctl.record_layout import Layout, LayoutError
from cryoctl.recorder import CONTROL, EVENTS, LINK_RX, LINK_TX, TELEMETRY, TRUTH, Recorder
from cryoctl.records import LogEvent
from cryoctl.storage import FINE
from cryoctl.vendor import load_vendor_table
from tests.support import recordings
from tests.support.recordings import METADATA, SAMPLE, KeptBytes

EVENT = LogEvent(1.25, "phase", {"source": "IDLE", "target": "SELF_TEST"})
VENDOR_TEXT = """
[[message]]
id = 0xC0
name = "impedance"

[[message.field]]
name = "magnitude_ohm"
type = "u16"
unit = "ohm"
scale = 0.5

[[message.field]]
name = "phase_deg"
type = "f32"
"""


class FullDisk(KeptBytes):
    """Takes so many bytes, then says what a full disk says."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def write(self, data: Any, /) -> int:
        if self.tell() + len(data) > self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


def recorder(stream: BytesIO, **options: Any) -> Recorder:
    return Recorder(stream, metadata=METADATA, **{"flush_period_s": 10.0, **options})


def one_of_each(to: Recorder) -> None:
    to.received(b"\x01\x02\x03", 0.5)
    to.sent(b"\xfe", 0.51)
    to.sample(SAMPLE, 0.52)
    to.control(recordings.CONTROL, 0.53)
    to.truth(recordings.TRUTH, 0.54)
    to.vendor(0xC0, b"\x10\x00\x00\x00\x80\x3f", 0.55)
    to.event(EVENT)


def decoded(data: bytes) -> dict[str, list[tuple[int, Any]]]:
    """Read with the mcap package's own seeking reader and ROS 2 decoder."""
    found: dict[str, list[tuple[int, Any]]] = {}
    reader = make_reader(BytesIO(data), decoder_factories=[DecoderFactory()], validate_crcs=True)
    assert isinstance(reader, SeekingReader)
    for _, channel, message in reader.iter_messages(topics=EVENTS):
        found.setdefault(channel.topic, []).append((message.log_time, json.loads(message.data)))
    numeric = [TELEMETRY, CONTROL, TRUTH, LINK_RX, LINK_TX, "/vendor/impedance"]
    for item in reader.iter_decoded_messages(topics=numeric):
        rows = found.setdefault(item.channel.topic, [])
        rows.append((item.message.log_time, item.decoded_message))
    return found


def fields(message: Any, names: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(getattr(message, name) for name in names)


def test_an_independent_decoder_reads_every_topic_value_for_value() -> None:
    stream = KeptBytes()
    written = recorder(stream, vendor=load_vendor_table(VENDOR_TEXT, "v.toml"))

    one_of_each(written)
    written.close("{}")

    found = decoded(stream.getvalue())
    assert {topic: [time for time, _ in rows] for topic, rows in found.items()} == {
        LINK_RX: [500_000_000],
        LINK_TX: [510_000_000],
        TELEMETRY: [520_000_000],
        CONTROL: [530_000_000],
        TRUTH: [540_000_000],
        "/vendor/impedance": [550_000_000],
        EVENTS: [1_250_000_000],
    }
    message = {topic: rows[0][1] for topic, rows in found.items()}
    assert bytes(message[LINK_RX].body) == b"\x01\x02\x03"
    assert bytes(message[LINK_TX].body) == b"\xfe"
    assert fields(message[TELEMETRY], SAMPLE._fields) == tuple(SAMPLE)
    assert fields(message[CONTROL], recordings.CONTROL._fields) == tuple(recordings.CONTROL)
    assert fields(message[TRUTH], recordings.TRUTH._fields) == tuple(recordings.TRUTH)
    assert message["/vendor/impedance"].magnitude_ohm == 8.0
    assert message["/vendor/impedance"].phase_deg == 1.0
    assert message[EVENTS] == json.loads(EVENT.to_json())


def test_a_sensor_that_is_not_there_is_nan_and_its_neighbours_stay() -> None:
    stream = KeptBytes()
    written = recorder(stream)

    written.sample(SAMPLE._replace(tip_2_temp_c=None, battery_v=None), 1.0)
    written.close("{}")

    [(_, message)] = decoded(stream.getvalue())[TELEMETRY]
    assert message.tip_2_temp_c != message.tip_2_temp_c
    assert message.battery_v != message.battery_v
    present = tuple(name for name in SAMPLE._fields if name not in ("tip_2_temp_c", "battery_v"))
    assert fields(message, present) == fields(SAMPLE, present)


def test_metadata_stands_first_and_explains_the_numbers() -> None:
    stream = KeptBytes()
    recorder(stream).close('{"verdict":"PASS"}')

    reader = make_reader(BytesIO(stream.getvalue()))
    first, last = list(reader.iter_metadata())
    assert first.name == "run"
    assert METADATA.items() <= first.metadata.items()
    assert first.metadata["phases"].split() == [phase.value for phase in Phase]
    assert stream.getvalue().index(b"three <cycles>") < stream.getvalue().index(b"/telemetry")
    assert last.name == "summary"
    assert last.metadata == {
        "json": '{"verdict":"PASS"}',
        "dropped": "0",
        "vendor_rejected": "0",
        "contents_sha256": last.metadata["contents_sha256"],
    }


def test_the_same_records_make_the_same_bytes() -> None:
    assert recordings.record_treatment(cycles=1) == recordings.record_treatment(cycles=1)


def test_records_are_on_the_disk_after_one_flush_period_and_not_before() -> None:
    stream = KeptBytes()
    written = recorder(stream, flush_period_s=0.05)
    start = len(stream.getvalue())

    written.sample(SAMPLE, 0.02)
    written.sample(SAMPLE, 0.04)
    before = len(stream.getvalue())
    written.sample(SAMPLE, 0.05)
    after = len(stream.getvalue())
    written.sample(SAMPLE, 0.08)

    assert before == start
    assert after > start
    assert len(stream.getvalue()) == after


def test_a_flush_that_is_asked_for_leaves_nothing_behind() -> None:
    stream = KeptBytes()
    written = recorder(stream)
    start = len(stream.getvalue())
    written.sample(SAMPLE, 0.02)

    written.flush()

    assert len(stream.getvalue()) > start


@pytest.mark.requirement("SR-33")
def test_a_full_disk_is_said_and_counted_and_never_raised() -> None:
    stream = FullDisk(room=6000)
    written = recorder(stream, flush_period_s=0.05)
    assert not written.storage.refuses_arming

    for index in range(1000):
        written.received(bytes([index % 256]) * 100, index * 0.01)
        written.event(LogEvent(index * 0.01, "phase", {"index": index}))

    assert written.storage.refuses_arming
    assert written.failure == "recording failed: No space left on device"
    kept = recordings.read_recording(BytesIO(stream.getvalue()), "full").counts
    assert 0 < kept[EVENTS] < 1000
    assert written.dropped + kept[EVENTS] + kept[LINK_RX] == 2000
    written.close("{}")
    assert written.dropped + kept[EVENTS] + kept[LINK_RX] == 2000


def test_a_disk_that_is_full_from_the_start_fails_without_raising() -> None:
    written = recorder(FullDisk(room=4))

    one_of_each(written)
    written.close("{}")

    assert written.failure == "recording failed: No space left on device"
    assert written.dropped == 6  # The vendor message is in no table.
    assert written.vendor_rejected == 1


def test_a_disk_that_fills_up_with_the_index_is_said_too() -> None:
    good = KeptBytes()
    whole = recorder(good)
    whole.sample(SAMPLE, 0.0)
    whole.close("{}")
    written = recorder(FullDisk(room=len(good.getvalue()) - 1))
    written.sample(SAMPLE, 0.0)

    written.close("{}")

    assert written.failure == "recording failed: No space left on device"


def test_closing_a_recorder_closes_its_stream() -> None:
    stream = BytesIO()

    recorder(stream).close("{}")

    assert stream.closed


def test_a_record_after_the_end_is_counted_and_not_raised() -> None:
    written = recorder(BytesIO())
    written.close("{}")

    written.sample(SAMPLE, 1.0)

    assert written.storage.refuses_arming
    assert written.dropped == 1


def test_a_value_that_no_field_can_hold_fails_the_recording_not_the_controller() -> None:
    written = recorder(KeptBytes())

    written.sample(SAMPLE._replace(device_ms=-1), 1.0)

    assert written.failure.startswith("recording failed: ")
    assert written.dropped == 1


def test_an_event_that_is_no_json_fails_the_recording_not_the_controller() -> None:
    written = recorder(KeptBytes())

    written.event(LogEvent(1.0, "phase", {"value": float("nan")}))

    assert written.storage.refuses_arming
    assert written.dropped == 1


def test_vendor_messages_of_unknown_id_or_wrong_size_are_counted() -> None:
    stream = KeptBytes()
    written = recorder(stream, vendor=load_vendor_table(VENDOR_TEXT, "v.toml"))

    written.vendor(0xC1, b"\x00" * 6, 1.0)
    written.vendor(0xC0, b"\x00" * 5, 1.0)
    written.vendor(0xC0, b"\x00" * 6, 1.0)
    written.close("{}")

    assert written.vendor_rejected == 2
    assert len(decoded(stream.getvalue())["/vendor/impedance"]) == 1


def test_a_flood_makes_more_chunks_instead_of_a_huge_one() -> None:
    stream = KeptBytes()
    written = recorder(stream, flush_period_s=1e9)
    for index in range(12_000):
        written.received(index.to_bytes(4, "big") * 50, index * 0.001)
    written.close("{}")

    summary = make_reader(BytesIO(stream.getvalue())).get_summary()
    assert summary is not None
    sizes = [index.uncompressed_size for index in summary.chunk_indexes]
    assert len(sizes) == 3
    assert max(sizes) < (1 << 20) + 300
    assert summary.statistics is not None
    assert summary.statistics.message_count == 12_000


def test_the_index_agrees_with_the_one_of_the_mcap_package() -> None:
    ours, theirs = KeptBytes(), KeptBytes()
    written = recorder(ours, flush_period_s=1e9)
    reference = Writer(theirs, compression=CompressionType.ZSTD)
    reference.start()
    schema = reference.register_schema("cryoctl/msg/Frame", "ros2msg", b"uint8[] body\n")
    channel = reference.register_channel(LINK_RX, "cdr", schema)
    for index, now_s in enumerate((0.5, 0.25, 0.75)):  # Ticks and frames may pass each other.
        written.received(b"abc", now_s)
        time_ns = round(now_s * 1e9)
        reference.add_message(channel, time_ns, b"\0\1\0\0\3\0\0\0abc", time_ns, index)
    written.close("{}")
    reference.finish()  # type: ignore[no-untyped-call]

    def facts(data: bytes) -> Any:
        reader = make_reader(BytesIO(data), validate_crcs=True)
        summary = reader.get_summary()
        assert summary is not None
        assert summary.statistics is not None
        messages = [
            (m.log_time, m.publish_time, m.sequence, m.data) for _, _, m in reader.iter_messages()
        ]
        spans = [(i.message_start_time, i.message_end_time) for i in summary.chunk_indexes]
        statistics = summary.statistics
        return messages, spans, statistics.message_start_time, statistics.message_end_time

    assert facts(ours.getvalue()) == facts(theirs.getvalue())


def test_every_entry_of_the_index_points_at_its_message() -> None:
    """The Python reader of the mcap package does not look there; those of viewers do."""
    stream = KeptBytes()
    written = recorder(stream, flush_period_s=0.1, vendor=load_vendor_table(VENDOR_TEXT, "v.toml"))
    for _ in range(3):
        one_of_each(written)
    written.close("{}")
    data = stream.getvalue()
    summary = make_reader(BytesIO(data)).get_summary()
    assert summary is not None

    seen = 0
    for chunk_index in summary.chunk_indexes:
        chunk = _record_at(data, chunk_index.chunk_start_offset, Opcode.CHUNK, Chunk)
        messages, _ = get_chunk_data_stream(chunk)
        raw = messages.read(chunk.uncompressed_size)
        span = (chunk.message_start_time, chunk.message_end_time)
        assert span == (chunk_index.message_start_time, chunk_index.message_end_time)
        for channel, offset in chunk_index.message_index_offsets.items():
            index = _record_at(data, offset, Opcode.MESSAGE_INDEX, MessageIndex)
            assert index.channel_id == channel
            for log_time, at in index.records:
                opcode, _, found, _, found_time = struct.unpack_from("<BQHIQ", raw, at)
                assert (opcode, found, found_time) == (Opcode.MESSAGE, channel, log_time)
                seen += 1

    assert len(summary.chunk_indexes) > 1
    assert seen == 3 * 7


def _record_at(data: bytes, offset: int, opcode: Opcode, kind: Any) -> Any:
    assert data[offset] == opcode
    return kind.read(ReadDataStream(BytesIO(data[offset + 9 :])))


def test_a_layout_survives_its_own_text() -> None:
    layout = Layout.of(type(SAMPLE))

    assert Layout.parse(layout.text) == layout
    assert layout.dtype.itemsize == layout.struct.size


@pytest.mark.parametrize(
    "text", ["string name", "float64[3] vector", "float64 two words", "nonsense"]
)
def test_a_layout_that_is_no_list_of_numbers_is_refused(text: str) -> None:
    with pytest.raises(LayoutError, match=r"not a flat list of numbers"):
        Layout.parse(text)


@pytest.mark.requirement("SR-33")
def test_a_disk_whose_room_cannot_be_told_is_recorded_to_all_the_same() -> None:
    def moved() -> int:
        raise FileNotFoundError

    written = Recorder(BytesIO(), metadata=METADATA, flush_period_s=0.0, free_bytes=moved)
    written.sample(SAMPLE, 1.0)

    assert written.storage == FINE
    assert written.failure == ""


@pytest.mark.requirement("SR-33")
def test_a_disk_that_fills_up_in_a_run_is_told_and_recorded_to_as_long_as_it_takes() -> None:
    room = [600_000_000]
    written = Recorder(BytesIO(), metadata=METADATA, flush_period_s=0.0, free_bytes=lambda: room[0])
    seen = []
    for free_bytes in (600_000_000, 300_000_000, 200_000_000, 50_000_000, 700_000_000):
        room[0] = free_bytes
        written.sample(SAMPLE, 1.0)
        seen.append((written.storage.alarm, written.storage.refuses_arming))

    assert seen == [
        ("", False), ("DISK_LOW", False), ("DISK_LOW", False), ("DISK_LOW", True), ("", False)
    ]  # fmt: skip
    assert written.dropped == 0
