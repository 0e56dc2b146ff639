"""The runs in a folder, and one of them as a page can play it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cryoctl.recording import Recording, RecordingError, Table, load_recording
from cryoctl.records import LogEvent
from cryoctl.ui.feed import event_text
from cryoctl.ui.trace import Row
from cryoctl.ui.view import needle_section
from cryoctl_protocol.profile import Profile

RUNS: Final = Path("runs")
LISTED_MAX: Final = 200
ROWS_MAX: Final = 3000
EVENTS_MAX: Final = 1000
_AIMING: Final = ("COOLING", "HOLD")


def list_runs(folder: Path = RUNS) -> list[dict[str, Any]]:
    """Return the runs in ``folder``, newest first, with what their summaries say."""
    found = sorted((path.parent for path in folder.glob("*/run.mcap")), reverse=True)
    return [_about(run) for run in found[:LISTED_MAX]]


def _about(run: Path) -> dict[str, Any]:
    summary: dict[str, Any] = {}
    try:
        summary = json.loads((run / "summary.json").read_text("utf-8"))
    except (OSError, ValueError):
        summary = {}  # It runs still, or was killed: there is a recording, and no more to tell.
    return {
        "name": run.name,
        "path": str(run / "run.mcap"),
        "bytes": (run / "run.mcap").stat().st_size,
        "verdict": summary.get("verdict"),
        "treatment": summary.get("treatment", ""),
        "device": summary.get("device", ""),
        "seconds": summary.get("virtual_s"),
        "alarms": summary.get("alarms", []),
        "report": (run / "report.html").is_file(),
    }


def find_run(name: str, folder: Path = RUNS) -> Path | None:
    """Return the folder of a run that ``list_runs`` would name; nothing else can be reached."""
    known = {path.parent.name: path.parent for path in folder.glob("*/run.mcap")}
    return known.get(name)


def load_run(run: Path) -> dict[str, Any]:
    """Return a recording as columns of at most ``ROWS_MAX`` rows.

    Raises:
        RecordingError: It cannot be read.
    """
    recording = load_recording(run / "run.mcap")
    if not recording.telemetry or not len(recording.telemetry["now_s"]):
        raise RecordingError(f"{run.name}: there is no telemetry in it")
    return {
        "name": run.name,
        "phases": list(recording.phases),
        "columns": list(Row._fields),
        "rows": _rows(recording),
        "events": _events(recording),
        "job": _job(recording),
        "complete": recording.complete,
    }


def _rows(recording: Recording) -> list[list[float | None]]:
    telemetry = recording.telemetry
    time_s = telemetry["now_s"]
    phase = _latest(recording.control, "phase", time_s)
    aims = np.isin(phase, [i for i, name in enumerate(recording.phases) if name in _AIMING])
    setpoint = np.where(aims, _latest(recording.control, "setpoint_c", time_s), np.nan)
    columns = [
        time_s,
        telemetry["tip_temp_c"],
        setpoint,
        *(
            telemetry[name]
            for name in (
                "supply_pressure_bar",
                "exhaust_pressure_bar",
                "exhaust_flow_mg_s",
                "valve",
                "tip_heater",
                "skin_warmer",
                "skin_temp_c",
            )
        ),
        phase,
        _latest(recording.estimate, "radius_minus20_mm", time_s),
        _latest(recording.estimate, "ice_radius_mm", time_s),
        _latest(recording.truth, "tip_temp_c", time_s),
        _latest(recording.truth, "radius_minus20_mm", time_s),
        _latest(recording.truth, "ice_radius_mm", time_s),
    ]
    assert len(columns) == len(Row._fields)
    every = 2 * (len(time_s) // ROWS_MAX + 1)
    kept = [
        _ends(column, every) if name in ("t", "phase") else _extremes(column, every)
        for name, column in zip(Row._fields, columns, strict=True)
    ]
    return [[_plain(value) for value in row] for row in zip(*kept, strict=True)]


def _ends(column: NDArray[Any], every: int) -> NDArray[Any]:
    """Return first and last value of each ``every`` rows, one after the other."""
    steps = _steps(column, every)
    return np.column_stack((steps[:, 0], steps[:, -1])).ravel()


def _extremes(column: NDArray[Any], every: int) -> NDArray[Any]:
    """Return lowest and highest value of each ``every`` rows, in the order in which they came."""
    steps = _steps(column, every)
    low = np.argmin(np.where(np.isnan(steps), np.inf, steps), axis=1)
    high = np.argmax(np.where(np.isnan(steps), -np.inf, steps), axis=1)
    order = np.sort(np.column_stack((low, high)), axis=1)
    return np.take_along_axis(steps, order, axis=1).ravel()


def _steps(column: NDArray[Any], every: int) -> NDArray[Any]:
    """Return a row for each ``every`` values; the last one is filled up with the last value."""
    short = -len(column) % every
    return np.pad(column.astype(float), (0, short), mode="edge").reshape(-1, every)


def _latest(table: Table, name: str, time_s: NDArray[Any]) -> NDArray[Any]:
    """Return the newest value at each time; NaN before the first and where there is no table."""
    if name not in table or not len(table[name]):
        return np.full(len(time_s), np.nan)
    index = np.searchsorted(table["now_s"], time_s, side="right") - 1
    return np.where(index < 0, np.nan, table[name][np.maximum(index, 0)])


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 3)


def _events(recording: Recording) -> list[tuple[float, str, str]]:
    shown = recording.events[-EVENTS_MAX:]
    return [
        (
            round(float(event["at_s"]), 3),
            str(event["kind"]),
            event_text(
                LogEvent(
                    event["at_s"],
                    event["kind"],
                    {key: value for key, value in event.items() if key not in ("at_s", "kind")},
                )
            ),
        )
        for event in shown
    ]


def _job(recording: Recording) -> dict[str, Any]:
    job: dict[str, Any] = {"device": recording.metadata.get("device", "")}
    text = recording.metadata.get("profile_json")
    if text is not None:
        job |= needle_section(Profile.from_json(text))
    return job
