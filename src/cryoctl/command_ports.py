"""``cryoctl ports``: the serial ports of this machine; opens none and writes to none."""

from __future__ import annotations

import click

from cryoctl.command_options import as_json
from cryoctl.serial_port import PortRow, list_serial_ports

_HEAD = PortRow("port", "product", "usb id", "serial number", "")


@click.command()
@click.option("--json", "wants_json", is_flag=True, help="Print one JSON list.")
def ports(wants_json: bool) -> None:
    """List serial ports; opens none of them and writes to none.

    A port that cannot be opened says why. Which of them is a probe only the probe can tell: a run
    listens before it sends anything.
    """
    rows = list(list_serial_ports())
    if wants_json:
        click.echo(as_json([row._asdict() for row in rows]))
        return
    if not rows:
        click.echo("no serial ports; cryoctl sim --pty serves a simulated probe as one")
        return
    widths = [max(map(len, column)) for column in zip(_HEAD, *rows, strict=True)]
    for row in (_HEAD, *rows):
        click.echo("  ".join(map(str.ljust, row, widths)).rstrip())
    first = next((row.device for row in rows if not row.problem), rows[0].device)
    click.echo(f"\nnext:\n  cryoctl run --device serial:{first}")
