"""``cryoctl recover``: closes the recording of a program that was killed, as a new file."""

from __future__ import annotations

from pathlib import Path

import click

from cryoctl.recording import load_recording, recover_recording


@click.command()
@click.argument("recording", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--out", type=click.Path(path_type=Path), help="New file; default: -recovered beside it."
)
def recover(recording: Path, out: Path | None) -> None:
    """Save what a killed program left of a RECORDING; the file itself stays as it is."""
    target = out or recording.with_name(f"{recording.stem}-recovered{recording.suffix}")
    try:
        with recording.open("rb") as stream, target.open("xb") as saved:
            count = recover_recording(stream, str(recording), saved)
    except FileExistsError as error:
        raise click.UsageError(f"{target} is there already; give another --out") from error
    except BaseException:
        target.unlink(missing_ok=True)  # Better no file than half a one.
        raise
    times_s = load_recording(target).telemetry.get("now_s")
    last = "none" if times_s is None or times_s.size == 0 else f"{times_s[-1]:.2f} s"
    click.echo(f"wrote {target}: {count} messages, last telemetry at {last}")
    click.echo(f"next:\n  cryoctl report {target}")
