"""``cryoctl qualify``: whether the suite can be trusted on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from cryoctl.clock import utc_now
from cryoctl.exit_codes import EXIT_FAIL, EXIT_PASS


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Write page and JSON there; default runs/qualification-DATE-TIME.",
)
@click.option(
    "--only", multiple=True, metavar="PROBE", help="Only this defective probe; may be repeated."
)
def qualify(out: Path | None, only: tuple[str, ...]) -> int:
    """Run the suite on healthy and on defective simulated probes, and write a qualification page.

    Exit codes: 0 every defective probe was caught and every healthy one passed, 1 not.
    """
    from cryoctl_hil.defects import qualification
    from cryoctl_hil.defects.catalogue import DEFECTS

    for name in only:
        if name not in DEFECTS:
            raise click.UsageError(
                f"no defective probe {name!r}: docs/reference/defective-probes.md lists them, such "
                f"as {', '.join(list(DEFECTS)[:3])}"
            )
    found = qualification.qualify(only, lambda text: click.echo(f"  {text}", err=True))
    folder = out or Path("runs", f"qualification-{utc_now():%Y%m%d-%H%M%S}")
    page, _ = qualification.write(found, folder)
    for text in found.left_out:
        click.echo(f"left out: {text}")
    click.echo(f"{found.verdict}\npage      {page}")
    return EXIT_PASS if found.passed else EXIT_FAIL
