"""``cryoctl requirements``: the registry of hazards and requirements, and its CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from cryoctl.command_options import as_json, requirements_option
from cryoctl.files import read_text
from cryoctl.limits_in_force import limits_in_force
from cryoctl.requirement_registry import Registry, load_registry
from cryoctl.requirements_csv import to_csv, to_toml
from cryoctl_protocol.profile import load_profile
from cryoctl_protocol.quantities import for_people

_FILE: Final = click.Path(path_type=Path, dir_okay=False)


@click.group(invoke_without_command=True)
@requirements_option
@click.option("--hazards", is_flag=True, help="List the hazards instead.")
@click.option("--json", "wants_json", is_flag=True, help="Print a list of objects.")
@click.pass_context
def requirements(
    context: click.Context, added: Path | None, hazards: bool, wants_json: bool
) -> None:
    """List all requirements; check, import and export those of your own."""
    if context.invoked_subcommand is not None:
        if added is not None or hazards or wants_json:
            raise click.UsageError(f"give these options after {context.invoked_subcommand!r}")
        return
    registry = load_registry(added)
    rows = _hazard_rows(registry) if hazards else _requirement_rows(registry)
    if wants_json:
        click.echo(as_json(rows))
        return
    for row in rows:
        click.echo(_line(row))


def _hazard_rows(registry: Registry) -> list[dict[str, Any]]:
    return [
        {
            **hazard.model_dump(mode="json"),
            "requirement": registry.requirements_of(hazard.id),
        }
        for hazard in registry.hazards.values()
    ]


def _requirement_rows(registry: Registry) -> list[dict[str, Any]]:
    return [
        {**row.requirement.model_dump(mode="json"), "source": row.source}
        for row in registry.requirements.values()
    ]


def _line(row: dict[str, Any]) -> str:
    mark = "  (PLANNED)" if row.get("status") == "PLANNED" else ""
    return f"{row['id']:<10}  {row['text']}{mark}"


@requirements.command()
@click.option("--csv", "path", type=_FILE, required=True, metavar="FILE", help="Written anew.")
@requirements_option
def export(path: Path, added: Path | None) -> None:
    """Write all requirements as a CSV FILE; with --requirements those of that file alone."""
    registry = load_registry(added)
    case = registry.own if registry.added is None else registry.added
    path.write_text(to_csv(case.requirement, case.deviation), encoding="utf-8")
    click.echo(f"wrote {path}: {len(case.requirement)} requirements")


@requirements.command("import")
@click.argument("file", type=_FILE)
@click.option("--out", type=_FILE, metavar="FILE", help="New file; default: standard output.")
def import_csv(file: Path, out: Path | None) -> None:
    """Write a CSV FILE as the text of a requirements file."""
    text = to_toml(read_text(file), str(file))
    if out is None:
        click.echo(text, nl=False)
        return
    with out.open("x", encoding="utf-8") as stream:
        stream.write(text)
    click.echo(f"wrote {out}")


@requirements.command()
@click.argument("file", type=_FILE)
@click.option("--profile", default="n2o-20g", show_default=True, help="Whose limits to compare.")
def check(file: Path, profile: str) -> None:
    """Check a requirements FILE against ours and against the limits of a profile."""
    registry = load_registry(file)
    in_force = limits_in_force(registry, load_profile(profile).limits)
    assert registry.added is not None
    for row in in_force.changed:
        value = for_people(row.value, row.unit)
        click.echo(f"{row.name}: {value} instead of {row.profile:g} ({row.id})")
    for loosened in in_force.loosened:
        click.echo(f"DEVIATION {loosened.text}")
    click.echo(f"{file}: a valid requirements file, {len(registry.added.requirement)} of them")
