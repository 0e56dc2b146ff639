"""``cryoctl config``: check files, print their schemas, show values and where they come from."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

import click

from cryoctl.command_options import (
    as_json,
    refuse_two_treatments,
    settings_option,
    treatment_argument,
)
from cryoctl.files import choose_treatment, read_text
from cryoctl.summary import summary_schema
from cryoctl_protocol.toml_text import FileError, FileKind

FILE_GROUP: Final = "cryoctl.files"
"""Entry points that name a kind of file: a ``FileKind`` each."""


def file_kinds() -> dict[str, FileKind]:
    """Return every installed kind of file by its name."""
    return {point.name: point.load() for point in entry_points(group=FILE_GROUP)}


@click.group()
def config() -> None:
    """Check, explain and show the files that cryoctl reads."""


@config.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--kind", default="treatment", show_default=True, help="What the files are.")
def check(files: tuple[Path, ...], kind: str) -> int:
    """Check FILES without using them; every mistake is shown with its line."""
    checker = _kind(kind)
    broken = 0
    for path in files:
        try:
            checker.check(read_text(path), str(path))
        except FileError as error:
            click.echo(str(error), err=True)
            broken += 1
        else:
            click.echo(f"{path}: a valid {kind} file")
    return 2 if broken else 0


@config.command()
@click.argument("kind", default="treatment")
def schema(kind: str) -> None:
    """Print the JSON Schema of a KIND of file, or of the summary object (KIND summary)."""
    click.echo(as_json(summary_schema() if kind == "summary" else _kind(kind).schema()))


@config.command()
@treatment_argument
@settings_option
@click.option("--profile", help="Show the built-in treatment of a profile: a name or a file.")
@click.option("--origin", is_flag=True, help="Say where each value comes from.")
def show(
    treatment: Path | None, settings: tuple[str, ...], profile: str | None, origin: bool
) -> None:
    """Show every value of a TREATMENT as it would be used, defaults included."""
    refuse_two_treatments(treatment, profile)
    rows = choose_treatment(treatment, settings, profile).origins()
    key_width = max(len(row.key) for row in rows)
    value_width = max(len(row.value) for row in rows)
    for row in rows:
        line = f"{row.key:<{key_width}}  {row.value}"
        click.echo(
            f"{row.key:<{key_width}}  {row.value:<{value_width}}  {row.origin}" if origin else line
        )


def _kind(name: str) -> FileKind:
    kinds = file_kinds()
    if name not in kinds:
        known = ", ".join(sorted(kinds))
        raise click.UsageError(f"unknown kind of file {name!r}; known: {known}")
    return kinds[name]
