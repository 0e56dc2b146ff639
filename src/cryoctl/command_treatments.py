"""``cryoctl treatments``: the treatments that ship with this program."""

from __future__ import annotations

from typing import Any, Final

import click

from cryoctl.command_options import as_json
from cryoctl.treatment import load_treatment, shipped_treatment_text, shipped_treatments
from cryoctl_protocol.quantities import number_text

_NOTE: Final = "Development and research; not medical advice. The sources are in each file."


@click.command()
@click.argument("name", required=False)
@click.option("--json", "wants_json", is_flag=True, help="Print a list of objects.")
def treatments(name: str | None, wants_json: bool) -> None:
    """List the built-in treatments, or print the file of the one called NAME.

    Each runs by its name: cryoctl run NAME.
    """
    if name is not None:
        if name not in shipped_treatments():
            known = ", ".join(shipped_treatments())
            raise click.UsageError(f"unknown treatment {name!r}; known: {known}")
        click.echo(shipped_treatment_text(name), nl=False)
        return
    rows = [_row(shipped) for shipped in shipped_treatments()]
    if wants_json:
        click.echo(as_json(rows))
        return
    width = max(len(row["name"]) for row in rows)
    profile_width = max(len(row["profile"]) for row in rows)
    for row in rows:
        doing = (
            f"{row['count']} x {number_text(row['hold_s'])} s at {number_text(row['setpoint_c'])} C"
        )
        click.echo(f"{row['name']:<{width}}  {row['profile']:<{profile_width}}  {doing}")
    click.echo(f"\n{_NOTE}")


def _row(name: str) -> dict[str, Any]:
    treatment = load_treatment(shipped_treatment_text(name), f"treatments/{name}.toml")
    cycles = treatment.cycles
    return {
        "name": name,
        "title": treatment.name,
        "profile": treatment.profile,
        "count": cycles.count,
        "setpoint_c": cycles.setpoint_c,
        "hold_s": cycles.hold_s,
    }
