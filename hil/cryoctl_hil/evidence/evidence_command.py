"""``cryoctl evidence``: check, pack and complete what ``cryoctl hil`` has kept."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from cryoctl.command_options import as_json
from cryoctl.exit_codes import EXIT_ALTERED, EXIT_FAIL, EXIT_NOT_CLOSED, EXIT_PASS

_path_argument = click.argument("path", type=click.Path(path_type=Path, exists=True))
_key_option = click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The key of --sign-key: also check that every record is signed with it.",
)
_FOLDER: Final = click.Path(path_type=Path, exists=True, file_okay=False)


@click.group()
def evidence() -> None:
    """Check, pack and complete the evidence that 'cryoctl hil' has kept."""


@evidence.command()
@_path_argument
@_key_option
@click.option("--json", "wants_json", is_flag=True, help="Print a JSON object.")
def verify(path: Path, key: Path | None, wants_json: bool) -> int:
    """Compute every measurement and verdict of the evidence at PATH again, without a rig.

    PATH is a folder, or an archive that 'cryoctl evidence pack' has made. Exit codes: 0 it holds
    (whatever the verdict of the run), 5 the run was killed, 7 it does not hold, 2 no evidence.
    """
    from cryoctl.sign_key import read_sign_key
    from cryoctl_hil.evidence.archive import open_evidence
    from cryoctl_hil.evidence.verify import Answer, verified_text
    from cryoctl_hil.evidence.verify import verify as verify_files

    with open_evidence(path) as files:
        found = verify_files(files, None if key is None else read_sign_key(key))
    if wants_json:
        told = {
            "answer": found.answer.value,
            "verdict": found.evidence.verdict.value,
            "problems": found.problems,
            "computed": found.computed,
            "given": found.given,
            "unrecorded": found.unrecorded,
            "signatures": found.signatures,
        }
        click.echo(as_json(told))
    else:
        click.echo(verified_text(found))
    codes = {
        Answer.HOLDS: EXIT_PASS,
        Answer.NOT_ENDED: EXIT_NOT_CLOSED,
        Answer.DOES_NOT_HOLD: EXIT_ALTERED,
    }
    return codes[found.answer]


@evidence.command()
@click.argument("folder", type=_FOLDER)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Name of the archive; default FOLDER.zip.",
)
def pack(folder: Path, out: Path | None) -> int:
    """Pack the evidence in FOLDER into one archive; the same folder makes the same bytes."""
    from cryoctl_hil.evidence.archive import pack as pack_folder

    archive = out or Path(f"{folder.resolve()}.zip")
    count = pack_folder(folder, archive)
    click.echo(f"wrote {archive}: {count} files")
    return EXIT_PASS


@evidence.command("import")
@click.argument("folder", type=_FOLDER)
@click.argument("csv", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--test", required=True, metavar="ID", help="The test during which it was measured.")
@click.option("--instrument", required=True, metavar="NAME", help="As in the rig's file.")
@click.option("--offset", type=float, metavar="SECONDS", help="Add this to the file's times.")
@click.option("--mark", metavar="NAME", help="A moment of the test that the file shows, too.")
@click.option("--at", "at_s", type=float, metavar="SECONDS", help="With --mark: its time there.")
@click.option(
    "--align", is_flag=True, help="Move it to where it runs along the probe's own readings."
)
@click.option(
    "--sign-key",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Sign the audit trail.",
)
def import_command(
    folder: Path,
    csv: Path,
    test: str,
    instrument: str,
    offset: float | None,
    mark: str | None,
    at_s: float | None,
    align: bool,
    sign_key: Path | None,
) -> int:
    """Add what an instrument has written to a test, and measure by it what the test measured.

    CSV has a line of names, then seconds and value in two columns. Its times are moved onto the
    recording's clock in one of three ways: --offset, --mark with --at, or --align.
    """
    from cryoctl.sign_key import read_sign_key
    from cryoctl_hil.evidence.importing import Alignment, import_channel
    from cryoctl_hil.evidence.instruments import ChannelError
    from cryoctl_hil.evidence.measurement import Verdict

    if sum((offset is not None, mark is not None, align)) != 1 or (mark is None) != (at_s is None):
        raise click.UsageError("give one of --offset S, --mark NAME with --at S, or --align")
    alignment = Alignment(offset, mark, at_s)
    key = None if sign_key is None else read_sign_key(sign_key)
    try:
        found = import_channel(
            folder, csv, test_id=test, instrument=instrument, alignment=alignment, key=key
        )
    except ChannelError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"moved by {found.offset_s:+.3f} s ({found.aligned})")
    for row in found.measurements:
        click.echo(f"{row.verdict.value:<5} {row.name}: {row.value} {row.limit.unit}".rstrip())
        if row.why:
            click.echo(f"      {row.why}")
    click.echo(f"the run is {found.verdict.value}")
    return EXIT_PASS if found.verdict is Verdict.PASS else EXIT_FAIL
