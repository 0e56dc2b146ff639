"""``cryoctl report``: the HTML report and the picture of a recording."""

from __future__ import annotations

from pathlib import Path

import click

from cryoctl.pdf import print_pdf
from cryoctl.plots import cycle_svg
from cryoctl.recording import load_recording
from cryoctl.report import render_report


@click.command()
@click.argument("recording", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--out", type=click.Path(path_type=Path), help="HTML file; default: beside it.")
@click.option("--picture", type=click.Path(path_type=Path), help="Write only the plot, as SVG.")
@click.option(
    "--pdf", type=click.Path(path_type=Path), help="Print the report to PDF, too, with Chromium."
)
def report(recording: Path, out: Path | None, picture: Path | None, pdf: Path | None) -> None:
    """Make one self-contained HTML file from a RECORDING (run.mcap)."""
    if picture is not None and (out is not None or pdf is not None):
        raise click.UsageError(
            "give --out or --pdf for the report or --picture for the plot, not both"
        )
    for target in (out, picture, pdf):
        if target is not None and target.exists() and target.samefile(recording):
            raise click.UsageError(f"{target} is the recording itself; give another file")
    loaded = load_recording(recording)
    if picture is not None:
        picture.write_text(cycle_svg(loaded, title="Freeze/thaw cycles"), encoding="utf-8")
        click.echo(f"wrote {picture}")
        return
    page = out or recording.with_name("report.html")
    page.write_text(render_report(loaded, loaded.summary or {}), encoding="utf-8")
    click.echo(f"wrote {page}")
    if pdf is not None:
        print_pdf(page, pdf)
        click.echo(f"wrote {pdf}")
