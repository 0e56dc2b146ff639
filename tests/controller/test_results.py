"""The result of a run: what its recording holds, and what is written beside it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryoctl.cycles import Verdict
from cryoctl.outcome import render_outcome
from cryoctl.plots import cycle_svg
from cryoctl.recording import RecordingError, load_recording, recover_recording
from cryoctl.replay import Answer
from cryoctl.results import Result, ResultsError, load, write_results
from cryoctl.summary import Summary
from tests.support.recordings import record_treatment

CYCLE: dict[str, Any] = {
    "placement": 1,
    "index": 1,
    "verdict": "NOT_EFFECTIVE",
    "reason": "the set-point was not reached",
    "setpoint_c": -60.0,
    "time_to_setpoint_s": None,
    "tip_min_c": -41.25,
    "hold_s": 0.0,
    "hold_in_band_fraction": 0.0,
    "estimate": None,
    "truth": None,
    "thaw_s": 24.0,
    "gas_used_g": 1.514,
}
TRIP: dict[str, Any] = {
    "id": "TIP_FLOOR",
    "requirement": "SR-05",
    "layer": "host",
    "state": "HOLD",
    "at_s": 60.0,
    "value": -85.4,
    "limit": -85.0,
    "unit": "C",
    "first_out": True,
    "time_to_safe_ms": 40.0,
    "text": "tip at or below the profile's floor",
}
FAULT = {"fault": "tc_open@12s", "began_s": 12.0, "ended_s": None}
SUMMARY: dict[str, Any] = {
    "schema_version": 1,
    "cryoctl": "0.1.0",
    "verdict": "SAFETY_TRIP",
    "failure": "made up",
    "treatment": "three cycles",
    "device": "sim:n2o-20g?seed=7",
    "profile": "n2o-20g",
    "gas": "N2O",
    "seed": 7,
    "virtual_s": 323.46,
    "cpu_s": 1.0,
    "wall_s": 1.0,
    "cycles_planned": 3,
    "thaw_timeout_s": 300.0,
    "cycles": [CYCLE],
    "trips": [TRIP],
    "alarms": ["TIP_FLOOR"],
    "faults": [FAULT],
    "frames_lost": 0,
    "frames_rejected": 0,
    "not_provided": [],
    "recording": "run.mcap",
    "events_sha256": "ab" * 32,
    "exit_code": 4,
}


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Return a synthetic recording that holds the summary above."""
    return written(tmp_path / "run.mcap", record_treatment(cycles=1, summary=SUMMARY))


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_a_result_has_what_the_summary_has(recording: Path) -> None:
    result = load(recording)

    assert result.summary == Summary.model_validate(SUMMARY)
    assert result.verdict is Verdict.SAFETY_TRIP
    assert (result.exit_code, result.failure, result.alarms) == (4, "made up", ["TIP_FLOOR"])
    assert [cycle.model_dump(mode="json") for cycle in result.cycles] == [CYCLE]
    assert [trip.model_dump() for trip in result.trips] == [TRIP]
    assert [fault.model_dump() for fault in result.faults] == [FAULT]
    assert repr(result) == f"<cryoctl.Result SAFETY_TRIP: {recording}>"


def test_a_result_has_the_tables_events_and_metadata_of_its_recording(recording: Path) -> None:
    recorded = load_recording(recording)

    result = load(str(recording))

    for name in ("telemetry", "control", "estimate", "truth"):
        table, expected = getattr(result, name), getattr(recorded, name)
        assert list(table) == list(expected)
        assert all(np.array_equal(table[c], expected[c], equal_nan=True) for c in table)
        assert len(table["now_s"]) > 100
    assert result.events == recorded.events
    assert result.metadata == recorded.metadata
    assert result.complete
    assert (result.folder, result.recording) == (recording.parent, recording)


def test_a_probe_that_nobody_simulates_has_no_truth(tmp_path: Path) -> None:
    data = record_treatment(cycles=1, with_truth=False, summary=SUMMARY)

    truth = load(written(tmp_path / "run.mcap", data)).truth

    assert all(len(column) == 0 for column in truth.values())


def test_a_killed_run_has_tables_and_no_verdict(tmp_path: Path) -> None:
    whole = record_treatment(cycles=1, summary=SUMMARY, flush_period_s=0.5)

    result = load(written(tmp_path / "cut.mcap", whole[: len(whole) // 2]))

    assert (result.summary, result.verdict, result.exit_code) == (None, None, None)
    assert (result.cycles, result.trips, result.alarms, result.faults) == ([], [], [], [])
    assert not result.complete
    assert len(result.telemetry["tip_temp_c"]) > 100
    assert result.plot().svg.startswith("<svg")
    assert result.replay().answer is Answer.INCOMPLETE
    assert "without a verdict" in repr(result)


def test_a_recovered_recording_is_still_not_complete(tmp_path: Path) -> None:
    whole = record_treatment(cycles=1, summary=SUMMARY, flush_period_s=0.5)
    cut = written(tmp_path / "cut.mcap", whole[: len(whole) // 2])
    recovered = tmp_path / "recovered.mcap"
    with cut.open("rb") as stream, recovered.open("wb") as out:
        recover_recording(stream, str(cut), out)

    assert not load(recovered).complete


def test_what_is_no_recording_of_a_run_is_refused(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.mcap"
    text = written(tmp_path / "text.mcap", b"hello")
    foreign = written(tmp_path / "foreign.mcap", record_treatment(cycles=1))

    with pytest.raises(RecordingError, match=r"nothing\.mcap: cannot be read"):
        load(nothing)
    with pytest.raises(RecordingError, match=r"text\.mcap: not a recording"):
        load(text)
    with pytest.raises(RecordingError, match=r"its summary .* cryoctl 0\.1\.0 wrote it"):
        load(foreign)


def test_a_table_becomes_a_data_frame_by_its_time(recording: Path) -> None:
    result = load(recording)

    telemetry = result.to_pandas("telemetry")
    events = result.to_pandas("events")

    assert telemetry.index.name == "now_s"
    assert list(telemetry.index) == list(result.telemetry["now_s"])
    assert list(telemetry["tip_temp_c"]) == list(result.telemetry["tip_temp_c"])
    assert set(result.to_pandas("control")["phase_name"]) >= {"COOLING", "HOLD"}
    assert events.index.name == "at_s"
    assert list(events["kind"]) == [event["kind"] for event in result.events]


def test_a_table_that_nobody_fills_is_an_empty_data_frame(tmp_path: Path) -> None:
    path = tmp_path / "run.mcap"
    path.write_bytes(record_treatment(cycles=0, summary=SUMMARY))

    estimate = load(path).to_pandas("estimate")

    assert estimate.empty
    assert estimate.index.name == "now_s"


def test_an_unknown_table_is_answered_with_those_that_are_there(recording: Path) -> None:
    with pytest.raises(ValueError, match=r"no table 'speed' in .*; known: telemetry, control"):
        load(recording).to_pandas("speed")


def test_without_pandas_the_error_says_how_to_get_it(
    recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)

    with pytest.raises(ImportError, match=r"pip install 'cryoctl\[pandas\]'"):
        load(recording).to_pandas("telemetry")


def test_a_plot_is_the_picture_of_the_report_and_can_be_saved(
    recording: Path, tmp_path: Path
) -> None:
    result = load(recording)

    picture = result.plot()
    saved = picture.save(tmp_path / "cycle.svg")

    assert picture.svg == cycle_svg(load_recording(recording))
    assert picture._repr_svg_() == picture.svg == saved.read_text("utf-8")
    assert result.plot(window_s=(20.0, 30.0)).svg != picture.svg


def test_a_picture_is_saved_as_nothing_but_svg(recording: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cycle\.png: the picture is SVG"):
        load(recording).plot().save(tmp_path / "cycle.png")

    assert not (tmp_path / "cycle.png").exists()


def test_summary_and_report_are_written_beside_the_recording(recording: Path) -> None:
    result = load(recording)

    report = write_results(result)

    assert report == recording.parent / "report.html"
    assert "SAFETY_TRIP" in report.read_text("utf-8")
    text = (recording.parent / "summary.json").read_text("utf-8")
    assert Summary.model_validate_json(text) == result.summary


def test_results_that_cannot_be_written_are_one_error_that_says_where(recording: Path) -> None:
    (recording.parent / "report.html").mkdir()

    with pytest.raises(ResultsError) as raised:
        write_results(load(recording))

    assert str(raised.value) == f"{recording.parent}: results not written: Is a directory"


def test_results_of_a_recording_that_has_gone_are_the_same_error(tmp_path: Path) -> None:
    summary = {**SUMMARY, "recording": str(tmp_path / "run.mcap")}

    with pytest.raises(ResultsError, match=r"results not written: .*run\.mcap: cannot be read"):
        write_results(Result.of(Summary.model_validate(summary)))


@pytest.mark.parametrize(
    ("time_to_safe_ms", "told"),
    [(2224.0, "; confirmed safe after 2224 ms\n"), (None, "; safe state not confirmed\n")],
)
def test_a_trip_is_told_with_when_its_end_was_confirmed_which_is_not_when_it_came(
    time_to_safe_ms: float | None, told: str
) -> None:
    trip = TRIP | {"time_to_safe_ms": time_to_safe_ms}
    summary = Summary.model_validate(SUMMARY | {"trips": [trip]})

    assert told in render_outcome(summary, None, "cryoctl", colour=False)
