"""Exporting a recording: every table exactly, all of it or nothing."""

from __future__ import annotations

import csv
import errno
import json
import os
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

from cryoctl.cli import invoke
from cryoctl.export import ExportError, export_csv, export_parquet, tables
from cryoctl.recorder import Recorder
from cryoctl.recording import Recording, load_recording, read_recording
from cryoctl.records import LogEvent
from cryoctl.vendor import load_vendor_table
from tests.support import recordings
from tests.support.recordings import METADATA, SAMPLE, KeptBytes

VENDOR = load_vendor_table(
    '[[message]]\nid = 0xC0\nname = "aux"\n'
    '[[message.field]]\nname = "level"\ntype = "f32"\nunit = "mm³"\n'
    '[[message.field]]\nname = "count"\ntype = "u8"\n',
    "v.toml",
)
FORMATS = pytest.mark.parametrize("suffix", ["csv", "parquet"])
WRITERS = {"csv": export_csv, "parquet": export_parquet}
READERS: dict[str, Callable[[str], Any]] = {
    "f": lambda text: float(text or "nan"),
    "u": int,
    "U": str,
}
Columns = dict[str, list[Any]]


@pytest.fixture(scope="module")
def run_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the recording of a short run on the simulated probe."""
    folder = tmp_path_factory.mktemp("run") / "one"
    assert invoke(["run", "--cycles", "1", "--set", "cycles.hold_s=5", "--out", str(folder)]) == 0
    return folder / "run.mcap"


@pytest.fixture
def run_copy(run_file: Path, tmp_path: Path) -> Path:
    """Return the same in a folder of its own."""
    copy = tmp_path / "run.mcap"
    copy.write_bytes(run_file.read_bytes())
    return copy


def few_records(*, closed: bool = True) -> bytes:
    """Two samples, the second behind a gap of seven records, and one vendor message."""
    stream = KeptBytes()
    recorder = Recorder(stream, metadata=METADATA, flush_period_s=0.0, vendor=VENDOR)
    recorder.sample(SAMPLE._replace(tip_2_temp_c=None), 0.06)
    recorder.skip(7)
    recorder.sample(SAMPLE._replace(tip_temp_c=0.1 + 0.2), 0.08)
    recorder.vendor(0xC0, b"\x00\x00\xc0\x3f\x07", 0.1)
    recorder.control(recordings.CONTROL, 0.1)
    recorder.event(LogEvent(0.125, "trip", {"id": "LEAK", "value": None, "text": 'a "b", c'}))
    recorder.flush()
    if closed:
        recorder.close('{"verdict":"FAIL"}')
    return stream.getvalue()


def few() -> Recording:
    return read_recording(BytesIO(few_records()), "run.mcap")


def read_csv(path: Path) -> Columns:
    """Return the texts of every column."""
    with path.open(encoding="utf-8", newline="") as stream:
        header, *rows = csv.reader(stream)
    return {name: [row[index] for row in rows] for index, name in enumerate(header)}


def everything_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# -- what the files say ----------------------------------------------------------------------------


def test_every_number_of_a_run_comes_back_from_csv_as_it_was(
    run_file: Path, tmp_path: Path
) -> None:
    recording = load_recording(run_file)

    export_csv(recording, tmp_path / "out")

    for name, table in tables(recording).items():
        columns = read_csv(tmp_path / "out" / f"{name}.csv")
        assert list(columns) == list(table)
        for column, texts in columns.items():
            kind = table[column].dtype.kind
            found = [READERS[kind](text) for text in texts]
            assert np.array_equal(found, table[column], equal_nan=kind == "f"), f"{name} {column}"


def test_every_number_of_a_run_comes_back_from_parquet_with_its_type(
    run_file: Path, tmp_path: Path
) -> None:
    recording = load_recording(run_file)

    export_parquet(recording, tmp_path / "out")

    for name, table in tables(recording).items():
        found = parquet.read_table(tmp_path / "out" / f"{name}.parquet")
        assert found.column_names == list(table)
        for column, expected in table.items():
            values = found[column].to_numpy()
            if expected.dtype.kind != "U":
                assert values.dtype == expected.dtype, f"{name} {column}"
            floats = expected.dtype.kind == "f"
            assert np.array_equal(values, expected, equal_nan=floats), f"{name} {column}"


def test_the_tables_of_a_run_are_all_there_with_the_time_first(run_file: Path) -> None:
    found = tables(load_recording(run_file))

    assert {name: next(iter(table)) for name, table in found.items()} == {
        "telemetry": "now_s",
        "control": "now_s",
        "estimate": "now_s",
        "truth": "now_s",
        "events": "at_s",
    }
    assert all(len(next(iter(table.values()))) for table in found.values())


def test_csv_writes_times_as_short_as_they_are_and_leaves_absent_values_empty(
    tmp_path: Path,
) -> None:
    export_csv(few(), tmp_path / "out")

    columns = read_csv(tmp_path / "out" / "telemetry.csv")
    assert columns["now_s"] == ["0.06", "0.08"]
    assert columns["tip_2_temp_c"] == ["", "24.25"]
    assert columns["tip_temp_c"] == ["24.5", "0.30000000000000004"]
    assert columns["device_ms"] == ["20", "20"]
    assert b"\r" not in (tmp_path / "out" / "telemetry.csv").read_bytes()


def test_parquet_leaves_absent_values_null(tmp_path: Path) -> None:
    export_parquet(few(), tmp_path / "out")

    found = parquet.read_table(tmp_path / "out" / "telemetry.parquet")
    assert found["tip_2_temp_c"].to_pylist() == [None, 24.25]


def test_phases_are_named_beside_their_numbers(tmp_path: Path) -> None:
    export_csv(few(), tmp_path / "out")

    columns = read_csv(tmp_path / "out" / "control.csv")
    assert (columns["phase"], columns["phase_name"]) == (["4"], ["LEAK_TEST"])


@FORMATS
def test_events_keep_their_data_as_json(tmp_path: Path, suffix: str) -> None:
    WRITERS[suffix](few(), tmp_path / "out")

    path = tmp_path / "out" / f"events.{suffix}"
    columns: Columns = read_csv(path) if suffix == "csv" else parquet.read_table(path).to_pydict()
    assert [float(text) for text in columns["at_s"]] == [0.125]
    assert columns["kind"] == ["trip"]
    assert [json.loads(text) for text in columns["data"]] == [
        {"id": "LEAK", "value": None, "text": 'a "b", c'}
    ]


@FORMATS
def test_a_table_without_rows_keeps_its_columns(tmp_path: Path, suffix: str) -> None:
    files = WRITERS[suffix](few(), tmp_path / "out")

    path = tmp_path / "out" / f"truth.{suffix}"
    names = list(read_csv(path)) if suffix == "csv" else parquet.read_schema(path).names
    assert names == ["now_s", *recordings.TRUTH._fields]
    assert (path, 0) in files


def test_parquet_columns_of_vendor_messages_carry_their_units(tmp_path: Path) -> None:
    export_parquet(few(), tmp_path / "out")

    found = parquet.read_table(tmp_path / "out" / "vendor_aux.parquet")
    assert found.to_pydict() == {"now_s": [0.1], "level": [1.5], "count": [7.0]}
    assert found.schema.field("level").metadata == {b"unit": "mm³".encode()}
    assert found.schema.field("count").metadata is None


@FORMATS
def test_the_metadata_say_what_was_run_how_it_ended_and_what_is_missing(
    tmp_path: Path, suffix: str
) -> None:
    recording = few()

    WRITERS[suffix](recording, tmp_path / "out")

    assert json.loads((tmp_path / "out" / "metadata.json").read_text("utf-8")) == {
        "complete": True,
        "dropped": 7,
        "units": {"vendor_aux": {"level": "mm³"}},
        "run": recording.metadata,
        "summary": {"verdict": "FAIL"},
    }


# -- the command -----------------------------------------------------------------------------------


@FORMATS
def test_the_folder_is_beside_the_recording_and_json_lists_what_is_in_it(
    run_copy: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = invoke(["export", str(run_copy), f"--{suffix}", "--json"])

    folder = run_copy.parent / f"run-{suffix}"
    out, err = capsys.readouterr()
    rows = {
        name: len(next(iter(table.values())))
        for name, table in tables(load_recording(run_copy)).items()
    }
    assert (code, err) == (0, "")
    assert json.loads(out) == {
        "folder": str(folder),
        "complete": True,
        "dropped": 0,
        "files": [
            *({"path": str(folder / f"{name}.{suffix}"), "rows": rows[name]} for name in rows),
            {"path": str(folder / "metadata.json"), "rows": None},
        ],
    }
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["metadata.json", *(f"{name}.{suffix}" for name in rows)]
    )


def test_the_folder_can_be_named_and_is_made(
    run_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run_copy.parent / "of" / "today"

    code = invoke(["export", str(run_copy), "--csv", "--out", str(folder)])

    assert code == 0
    assert f"wrote {folder / 'telemetry.csv'}: " in capsys.readouterr().out
    assert (folder / "metadata.json").exists()


@pytest.mark.parametrize("options", [[], ["--csv", "--parquet"]], ids=["neither", "both"])
def test_one_format_has_to_be_chosen(
    run_copy: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code = invoke(["export", str(run_copy), *options])

    assert code == 2
    assert "Error: give one of --csv, --parquet and --format\n" in capsys.readouterr().err
    assert everything_in(run_copy.parent) == ["run.mcap"]


def test_a_recording_that_was_not_closed_is_exported_and_said_to_be_incomplete(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(few_records(closed=False))

    code = invoke(["export", str(cut), "--csv"])

    about = json.loads((tmp_path / "cut-csv" / "metadata.json").read_text("utf-8"))
    assert code == 0
    assert capsys.readouterr().err == (
        f"cryoctl: {cut}: incomplete: it was never closed, so its end is missing; "
        "7 records are known to be missing\n"
    )
    assert (about["complete"], about["dropped"], about["summary"]) == (False, 7, None)
    assert read_csv(tmp_path / "cut-csv" / "telemetry.csv")["now_s"] == ["0.06", "0.08"]


def test_a_closed_recording_with_a_gap_is_said_to_be_incomplete(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.mcap"
    path.write_bytes(few_records())

    invoke(["export", str(path), "--csv"])

    assert capsys.readouterr().err == (
        f"cryoctl: {path}: incomplete: 7 records are known to be missing\n"
    )


# -- refusals --------------------------------------------------------------------------------------


def test_without_pyarrow_the_message_says_what_to_install_and_nothing_is_written(
    run_copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    out = run_copy.parent / "of" / "today"
    code = invoke(["export", str(run_copy), "--parquet", "--out", str(out)])

    assert code == 2
    assert capsys.readouterr().err == (
        "cryoctl: Parquet needs pyarrow: pip install 'cryoctl[parquet]'\n"
    )
    assert everything_in(run_copy.parent) == ["run.mcap"]


def test_csv_needs_no_pyarrow(run_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    assert invoke(["export", str(run_copy), "--csv"]) == 0


@pytest.mark.parametrize("taken_by", ["file", "folder"])
@FORMATS
def test_what_is_there_already_stays_as_it_is(
    run_copy: Path, suffix: str, taken_by: str, capsys: pytest.CaptureFixture[str]
) -> None:
    target = run_copy.parent / f"run-{suffix}"
    if taken_by == "file":
        target.write_text("mine")
    else:
        target.mkdir()
    before = everything_in(run_copy.parent)

    code = invoke(["export", str(run_copy), f"--{suffix}"])

    assert code == 2
    assert capsys.readouterr().err == (
        f"cryoctl: {target} is there already; choose another folder\n"
    )
    assert everything_in(run_copy.parent) == before
    assert target.is_dir() or target.read_text() == "mine"


def test_a_place_that_is_no_folder_gives_one_message(
    run_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = run_copy / "out"

    code = invoke(["export", str(run_copy), "--csv", "--out", str(target)])

    assert code == 2
    assert capsys.readouterr().err == f"cryoctl: {target}: cannot be written: Not a directory\n"


def test_a_read_only_place_gives_one_message(
    run_copy: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "mkdir", refuse)  # For root, nothing is read-only.

    code = invoke(["export", str(run_copy), "--csv"])

    target = run_copy.parent / "run-csv"
    assert code == 2
    assert capsys.readouterr().err == f"cryoctl: {target}: cannot be written: Permission denied\n"


@FORMATS
def test_a_disk_that_fills_up_leaves_nothing_behind(
    run_file: Path, tmp_path: Path, suffix: str
) -> None:
    recording = load_recording(run_file)

    with (
        files_no_larger_than(40_000),
        pytest.raises(ExportError, match=r"out: cannot be written: .*File too large"),
    ):
        WRITERS[suffix](recording, tmp_path / "out")

    assert everything_in(tmp_path) == []


@contextmanager
def files_no_larger_than(size_bytes: int) -> Iterator[None]:
    """Let writing fail as a full disk does; Python ignores the signal that goes with it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
