"""``cryoctl profiles``: the probe profiles that ship with this program."""

from __future__ import annotations

from typing import Any

import click

from cryoctl.command_options import as_json
from cryoctl_protocol.profile import load_probe_file, load_profile, profile_names


@click.command()
@click.argument("name", required=False)
@click.option("--json", "wants_json", is_flag=True, help="Print a list of objects.")
def profiles(name: str | None, wants_json: bool) -> None:
    """List the built-in probe profiles, or print the file of the one called NAME.

    A copy of one, such as of template, is a profile of your own: cryoctl run --profile FILE.
    """
    if name is not None:
        if name not in profile_names():
            known = ", ".join(profile_names())
            raise click.UsageError(f"unknown profile {name!r}; known: {known}")
        click.echo(load_probe_file(name).document.text, nl=False)
        return
    rows = [_row(shipped) for shipped in profile_names()]
    if wants_json:
        click.echo(as_json(rows))
        return
    width = max(len(row["id"]) for row in rows)
    for row in rows:
        remark = "  (research: simulator only)" if row["research"] else ""
        click.echo(f"{row['id']:<{width}}  {row['title']}{remark}")


def _row(name: str) -> dict[str, Any]:
    profile = load_profile(name)
    return {**profile.probe.model_dump(mode="json"), "hash": f"{profile.hash32:08x}"}
