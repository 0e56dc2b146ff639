"""Reading recordings: whole ones, cut ones, and things that are none."""

from __future__ import annotations

import json
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from mcap.reader import make_reader
from mcap.writer import CompressionType, Writer

from cryoctl.recorder import Recorder
from cryoctl.recording import (
    Recording,
    RecordingError,
    load_recording,
    read_recording,
    recover_recording,
)
from cryoctl.records import LogEvent
from cryoctl.vendor import load_vendor_table
from tests.support import recordings
from tests.support.recordings import METADATA, SAMPLE, KeptBytes

VENDOR = load_vendor_table(
    '[[message]]\nid = 0xC0\nname = "aux"\n'
    '[[message.field]]\nname = "level"\ntype = "f32"\nunit = "mm"\n'
    '[[message.field]]\nname = "count"\ntype = "u8"\n',
    "v.toml",
)


def short_run(*, closed: bool = True) -> bytes:
    """Twenty samples and events, flushed in pairs."""
    stream = KeptBytes()
    recorder = Recorder(stream, metadata=METADATA, flush_period_s=0.04, vendor=VENDOR)
    for index in range(20):
        now_s = index * 0.02
        recorder.sample(SAMPLE._replace(device_ms=index), now_s)
        recorder.event(LogEvent(now_s, "phase", {"index": index}))
    if closed:
        recorder.close('{"verdict":"PASS","cycles":[]}')
    return stream.getvalue()


def read(data: bytes) -> Recording:
    return read_recording(BytesIO(data), "run.mcap")


def test_what_was_recorded_comes_back() -> None:
    stream = KeptBytes()
    recorder = Recorder(stream, metadata=METADATA, flush_period_s=1.0, vendor=VENDOR)
    recorder.sample(SAMPLE._replace(tip_2_temp_c=None), 0.02)
    recorder.sample(SAMPLE._replace(tip_temp_c=-61.5), 0.04)
    recorder.control(recordings.CONTROL, 0.05)
    recorder.truth(recordings.TRUTH, 0.1)
    recorder.vendor(0xC0, b"\x00\x00\xc0\x7f\x07", 0.1)
    recorder.event(LogEvent(0.125, "trip", {"id": "LEAK"}))
    recorder.close('{"verdict":"FAIL"}')

    found = read(stream.getvalue())

    assert found.telemetry["now_s"].tolist() == [0.02, 0.04]
    assert found.telemetry["tip_temp_c"].tolist() == [24.5, -61.5]
    assert np.isnan(found.telemetry["tip_2_temp_c"]).tolist() == [True, False]
    assert set(found.telemetry) == {"now_s", *SAMPLE._fields}
    assert {name: column.tolist() for name, column in found.control.items()} == {
        "now_s": [0.05],
        **{name: [value] for name, value in recordings.CONTROL._asdict().items()},
    }
    assert {name: column.tolist() for name, column in found.truth.items()} == {
        "now_s": [0.1],
        **{name: [value] for name, value in recordings.TRUTH._asdict().items()},
    }
    assert np.isnan(found.vendor["aux"]["level"]).tolist() == [True]
    assert found.vendor["aux"]["count"].tolist() == [7.0]
    assert found.vendor_units == {"aux": {"level": "mm"}}
    assert found.events == [{"at_s": 0.125, "kind": "trip", "id": "LEAK"}]
    assert METADATA.items() <= found.metadata.items()
    assert found.phases[recordings.CONTROL.phase] == "LEAK_TEST"
    assert (found.complete, found.dropped, found.summary) == (True, 0, {"verdict": "FAIL"})


@pytest.mark.requirement("SR-34")
def test_a_file_cut_at_any_byte_gives_every_whole_chunk_and_never_a_wrong_value() -> None:
    whole = short_run()
    first_chunk = short_run(closed=False)
    counts: list[int] = []

    for size in range(len(whole)):
        try:
            found = read(whole[:size])
        except RecordingError:
            counts.append(-1)
            continue
        rows = found.telemetry["device_ms"].tolist() if found.telemetry else []
        assert rows == list(range(len(rows)))
        assert [e["index"] for e in found.events] in (rows, rows[:-1])
        assert not found.complete
        counts.append(len(rows))

    assert counts == sorted(counts)
    assert {-1, 0, 20} < set(counts)
    # Nothing but the very start, before the metadata is whole, cannot be read at all.
    assert counts.index(0) < len(first_chunk) // 2
    assert max(b - a for a, b in pairwise(counts)) <= 3


def test_a_recording_that_was_not_closed_says_so() -> None:
    found = read(short_run(closed=False))

    assert not found.complete
    assert found.summary is None
    assert found.dropped == 0
    assert len(found.telemetry["now_s"]) >= 18


def test_a_flipped_bit_in_a_chunk_ends_the_recording_there() -> None:
    data = bytearray(short_run())
    data[data.index(b"zstd") + 40] ^= 0x10

    found = read(bytes(data))

    assert not found.complete
    assert len(found.telemetry["now_s"]) == 0


def test_skipped_records_show_as_dropped_without_the_ending() -> None:
    stream = KeptBytes()
    recorder = Recorder(stream, metadata=METADATA, flush_period_s=0.0)
    recorder.sample(SAMPLE, 0.02)
    recorder.skip(7)
    recorder.sample(SAMPLE, 0.04)

    assert read(stream.getvalue()).dropped == 7


def test_a_recording_that_another_program_packed_anew_reads_the_same() -> None:
    source = short_run()
    expected = read(source)
    stream = KeptBytes()
    writer = Writer(stream, compression=CompressionType.LZ4)
    _copy(source, writer)

    found = read(stream.getvalue())

    assert found.telemetry["device_ms"].tolist() == expected.telemetry["device_ms"].tolist()
    assert (found.events, found.summary) == (expected.events, expected.summary)
    assert found.complete


def _copy(source: bytes, writer: Writer) -> None:
    """Copy a recording with the mcap package: its schemas and channels stand within chunks."""
    reader = make_reader(BytesIO(source))
    writer.start()
    for metadata in reader.iter_metadata():
        writer.add_metadata(metadata.name, metadata.metadata)
    channels: dict[int, int] = {}
    for schema, channel, message in reader.iter_messages():
        assert schema is not None
        if channel.id not in channels:
            schema_id = writer.register_schema(schema.name, schema.encoding, schema.data)
            channels[channel.id] = writer.register_channel(
                channel.topic, channel.message_encoding, schema_id
            )
        writer.add_message(
            channels[channel.id], message.log_time, message.data, message.log_time, message.sequence
        )
    writer.finish()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04 something else", b"\x89MCAP0\r\n"], ids=["empty", "zip", "magic"]
)
def test_what_is_no_recording_is_said_to_be_none(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "run.mcap"
    path.write_bytes(data)

    with pytest.raises(RecordingError, match=r"run\.mcap: not a recording"):
        load_recording(path)


def test_an_mcap_file_of_another_program_is_refused() -> None:
    stream = KeptBytes()
    writer = Writer(stream)
    writer.start()
    writer.add_metadata("robot", {"name": "x"})
    writer.finish()  # type: ignore[no-untyped-call]

    with pytest.raises(RecordingError, match=r"run\.mcap: not a recording of cryoctl"):
        read(stream.getvalue())


def test_a_recording_whose_messages_do_not_fit_their_schema_is_damaged() -> None:
    data = _one_message("/telemetry", b"float64 tip_temp_c\n", b"\0\1\0\0too short")

    with pytest.raises(RecordingError, match="damaged recording: /telemetry: messages are not"):
        read(data)


@pytest.mark.parametrize(
    "line", [b"[1]", b'{"kind":"trip"}', b'{"at_s":"x","kind":"trip"}', b'{"at_s":1.0}']
)
def test_an_event_without_time_or_kind_is_damage(line: bytes) -> None:
    data = _one_message("/events", b"", line)

    with pytest.raises(RecordingError, match="damaged recording: not an event"):
        read(data)


def test_a_vendor_message_whose_name_could_be_a_path_is_damage() -> None:
    data = _one_message("/vendor/../aux", b"float64 level\n", bytes(12))

    with pytest.raises(RecordingError, match=r"'/vendor/\.\./aux' names no vendor message"):
        read(data)


def _one_message(topic: str, schema: bytes, message: bytes) -> bytes:
    """Return a closed recording that holds one message."""
    stream = KeptBytes()
    writer = Writer(stream)
    writer.start()
    writer.add_metadata("run", METADATA)
    schema_id = writer.register_schema("any", "ros2msg", schema)
    writer.add_message(writer.register_channel(topic, "any", schema_id), 0, message, 0)
    writer.finish()  # type: ignore[no-untyped-call]
    return stream.getvalue()


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"none\.mcap: cannot be read: No such file"):
        load_recording(tmp_path / "none.mcap")


def test_a_summary_that_is_no_object_is_left_out() -> None:
    stream = KeptBytes()
    Recorder(stream, metadata=METADATA, flush_period_s=1.0).close(json.dumps([1]))

    assert read(stream.getvalue()).summary is None


def test_a_phase_without_a_name_is_told_by_its_number() -> None:
    found = read(short_run())

    assert (found.phase_name(16), found.phase_name(17)) == ("FAULT", "phase 17")


# -- recovering ------------------------------------------------------------------------------------


@pytest.mark.requirement("SR-34")
def test_a_recovered_recording_has_every_message_of_the_cut_one_and_other_programs_read_it() -> (
    None
):
    cut = short_run(closed=False)[:-7]  # In the middle of the last chunk.
    saved = KeptBytes()

    count = recover_recording(BytesIO(cut), "cut.mcap", saved)

    before, after = read(cut), read(saved.getvalue())
    assert (before.complete, after.complete) == (False, True)
    assert after.telemetry["device_ms"].tolist() == before.telemetry["device_ms"].tolist()
    assert after.events == before.events
    assert (after.dropped, after.counts) == (before.dropped, before.counts)
    assert after.metadata == {**before.metadata, "recovered": "yes"}
    messages = list(make_reader(BytesIO(saved.getvalue())).iter_messages())
    assert len(messages) == count == sum(before.counts.values())


@pytest.mark.requirement("SR-34")
def test_records_that_were_dropped_are_missing_from_the_recovered_file_too() -> None:
    stream = KeptBytes()
    recorder = Recorder(stream, metadata=METADATA, flush_period_s=0.01)
    recorder.event(LogEvent(0.0, "phase", {"index": 0}))
    recorder.skip(5)
    recorder.event(LogEvent(0.1, "phase", {"index": 1}))
    saved = KeptBytes()

    recover_recording(BytesIO(stream.getvalue()), "cut.mcap", saved)

    assert read(saved.getvalue()).dropped == 5


def test_a_whole_recording_is_not_recovered() -> None:
    with pytest.raises(RecordingError, match="was closed properly"):
        recover_recording(BytesIO(short_run()), "run.mcap", KeptBytes())
