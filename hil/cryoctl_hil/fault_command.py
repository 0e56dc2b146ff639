"""``cryoctl faults``: what can be simulated, and what is expected to find it."""

from __future__ import annotations

import difflib

import click

from cryoctl.command_options import as_json
from cryoctl_hil.fault_text import as_object, sheet, table
from cryoctl_hil.host_faults import ALL_FAULTS


@click.command()
@click.argument("fault_id", required=False, metavar="[ID]")
@click.option("--json", "wants_json", is_flag=True, help="Print a list of objects, or one.")
def faults(*, fault_id: str | None, wants_json: bool) -> None:
    """List the fault catalogue, or tell all of ID.

    Those that are not marked as planned are for --fault ID@WHEN of run and sim.
    """
    if fault_id is None:
        rows = [as_object(row) for row in ALL_FAULTS.values()]
        click.echo(as_json(rows) if wants_json else table())
        return
    row = ALL_FAULTS.get(fault_id)
    if row is None:
        close = difflib.get_close_matches(fault_id, ALL_FAULTS, n=1)
        meant = f"; did you mean {close[0]!r}?" if close else "; `cryoctl faults` lists them"
        raise click.UsageError(f"unknown fault {fault_id!r}{meant}")
    click.echo(as_json(as_object(row)) if wants_json else sheet(row))
