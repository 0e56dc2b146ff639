"""``cryoctl export``: the tables of a recording as CSV or Parquet."""

from __future__ import annotations

from pathlib import Path

import click

from cryoctl.command_options import as_json
from cryoctl.export import ExportedFile, export_csv, export_parquet, export_plug_in
from cryoctl.recording import Recording, load_recording


@click.command()
@click.argument("recording", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--csv", "wants_csv", is_flag=True, help="Write CSV.")
@click.option("--parquet", "wants_parquet", is_flag=True, help="Write Parquet; needs pyarrow.")
@click.option("--format", "form", metavar="NAME", help="Write as an installed plug-in does.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="New folder; default: beside the recording, such as run-csv.",
)
@click.option("--json", "wants_json", is_flag=True, help="Print one JSON object: what was written.")
def export(
    recording: Path,
    wants_csv: bool,
    wants_parquet: bool,
    form: str | None,
    out: Path | None,
    wants_json: bool,
) -> None:
    """Write every table of a RECORDING (run.mcap) to a file, with its events and metadata."""
    if [wants_csv, wants_parquet, form is not None].count(True) != 1:
        raise click.UsageError("give one of --csv, --parquet and --format")
    loaded = load_recording(recording)
    if wants_csv:
        folder = out or recording.with_name(f"{recording.stem}-csv")
        files = export_csv(loaded, folder)
    elif form is not None:
        folder = out or recording.with_name(f"{recording.stem}-{form}")
        files = export_plug_in(loaded, folder, form)
    else:
        folder = out or recording.with_name(f"{recording.stem}-parquet")
        files = export_parquet(loaded, folder)
    if wants_json:
        click.echo(as_json(_told(loaded, folder, files)))
    else:
        for file in files:
            rows = "" if file.rows is None else f": {file.rows} rows"
            click.echo(f"wrote {file.path}{rows}")
    _warn_of_gaps(loaded)


def _told(recording: Recording, folder: Path, files: list[ExportedFile]) -> dict[str, object]:
    return {
        "folder": str(folder),
        "complete": recording.complete,
        "dropped": recording.dropped,
        "files": [{"path": str(file.path), "rows": file.rows} for file in files],
    }


def _warn_of_gaps(recording: Recording) -> None:
    reasons = []
    if not recording.complete:
        reasons.append("it was never closed, so its end is missing")
    if recording.dropped:
        reasons.append(f"{recording.dropped} records are known to be missing")
    if reasons:
        text = f"cryoctl: {recording.source}: incomplete: {'; '.join(reasons)}"
        click.echo(text, err=True)
