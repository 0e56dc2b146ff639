"""Writes the tables of a recording as files: CSV for any program, Parquet with types and units."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from contextlib import suppress
from math import isnan
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cryoctl.plug_ins import PlugInError, about, exporters, load_function
from cryoctl.recording import Recording, Table

METADATA_FILE: Final = "metadata.json"
"""Beside the tables: their units, what the run was, how it ended, what is missing."""

_VENDOR: Final = "vendor_"
"""Before the name of a vendor message, which may be ``events``."""

_Write = Callable[[Table, dict[str, str], Path], None]
"""Writes a table with the units of its columns, by name, to a new file."""


class ExportError(Exception):
    """Files that could not be written; the text says where and why."""


class ExportedFile(NamedTuple):
    """A file that was written.

    Attributes:
        rows: Of its table; None for the metadata.
    """

    path: Path
    rows: int | None


def tables(recording: Recording) -> dict[str, Table]:
    """Return the tables of ``recording`` by name, those of vendor messages as ``vendor_NAME``.

    ``control`` has the names of its phases too. The time of a row comes first: ``now_s``, and
    ``at_s`` in ``events``, by the same clock.
    """
    found = {
        "telemetry": recording.telemetry,
        "control": _with_phase_names(recording),
        "estimate": recording.estimate,
        "truth": recording.truth,
        **{_VENDOR + name: table for name, table in recording.vendor.items()},
        "events": _event_table(recording.events),
    }
    return {name: table for name, table in found.items() if table}


def export_csv(recording: Recording, folder: Path) -> list[ExportedFile]:
    """Write every table into the new ``folder``, as CSV.

    Raises:
        ExportError: It is there already, or cannot be written; nothing is left behind.
    """
    return _export(recording, folder, "csv", _write_csv)


def export_parquet(recording: Recording, folder: Path) -> list[ExportedFile]:
    """Write every table into the new ``folder``, as Parquet.

    Raises:
        ExportError: As for CSV, or pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise ExportError("Parquet needs pyarrow: pip install 'cryoctl[parquet]'") from error

    def write(table: Table, units: dict[str, str], path: Path) -> None:
        columns = {name: pa.array(column, from_pandas=True) for name, column in table.items()}
        fields = [
            pa.field(name, column.type, metadata={"unit": units[name]} if name in units else None)
            for name, column in columns.items()
        ]
        parquet.write_table(pa.table(list(columns.values()), schema=pa.schema(fields)), path)

    return _export(recording, folder, "parquet", write)


def export_plug_in(recording: Recording, folder: Path, form: str) -> list[ExportedFile]:
    """Write every table into the new ``folder``, as a plug-in does; files end in ``.form``.

    Raises:
        ExportError: As for CSV, or the plug-in failed.
        PlugInError: There is no such plug-in, or it cannot be loaded.
    """
    point = exporters().get(form)
    if point is None:
        known = ", ".join(sorted(exporters())) or "none installed"
        raise PlugInError(f"no exporter {form!r}; known: {known}")
    write = load_function(point)

    def guarded(table: Table, units: dict[str, str], path: Path) -> None:
        try:
            write(table, units, path)
        except Exception as error:
            raise ExportError(f"plug-in {about(point)}: {error!r}") from error
        if not path.is_file():
            raise ExportError(f"plug-in {about(point)}: wrote no {path.name}")

    return _export(recording, folder, form, guarded)


def _export(recording: Recording, folder: Path, suffix: str, write: _Write) -> list[ExportedFile]:
    try:
        if folder.exists():
            raise ExportError(f"{folder} is there already; choose another folder")
        with suppress(FileExistsError):
            folder.parent.mkdir(parents=True)
        # In a folder of its own until everything is written: a failure leaves nothing behind.
        with TemporaryDirectory(prefix=".cryoctl-export-", dir=folder.parent) as temporary:
            written = Path(temporary) / "export"
            written.mkdir()
            files = _write_files(recording, written, suffix, write)
            written.rename(folder)
    except OSError as error:
        raise ExportError(f"{folder}: cannot be written: {error.strerror or error}") from error
    return [file._replace(path=folder / file.path.name) for file in files]


def _write_files(
    recording: Recording, folder: Path, suffix: str, write: _Write
) -> list[ExportedFile]:
    units = {_VENDOR + name: of_table for name, of_table in recording.vendor_units.items()}
    files = []
    for name, table in tables(recording).items():
        path = folder / f"{name}.{suffix}"
        write(table, units.get(name, {}), path)
        files.append(ExportedFile(path, len(next(iter(table.values())))))
    about = {
        "complete": recording.complete,
        "dropped": recording.dropped,
        "units": units,
        "run": recording.metadata,
        "summary": recording.summary,
    }
    path = folder / METADATA_FILE
    path.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return [*files, ExportedFile(path, None)]


def _with_phase_names(recording: Recording) -> Table:
    control = recording.control
    if "phase" not in control:
        return control
    names = [recording.phase_name(number) for number in control["phase"].tolist()]
    return {**control, "phase_name": np.array(names, dtype=np.str_)}


def _event_table(events: list[dict[str, Any]]) -> Table:
    """Return time, kind, and everything else as JSON."""
    data = [
        {key: value for key, value in event.items() if key not in ("at_s", "kind")}
        for event in events
    ]
    return {
        "at_s": np.array([event["at_s"] for event in events], dtype=np.float64),
        "kind": np.array([event["kind"] for event in events], dtype=np.str_),
        "data": np.array([json.dumps(values) for values in data], dtype=np.str_),
    }


def _write_csv(table: Table, _units: dict[str, str], path: Path) -> None:
    with path.open("x", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(table)
        writer.writerows(zip(*(_fields(column) for column in table.values()), strict=True))


def _fields(column: NDArray[Any]) -> list[Any]:
    """Return what ``csv`` writes exactly, and None, which it leaves empty, for NaN."""
    values: list[Any] = column.tolist()
    if column.dtype.kind != "f":
        return values
    return [None if isnan(value) else value for value in values]
