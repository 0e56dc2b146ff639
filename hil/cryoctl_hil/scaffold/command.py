"""``cryoctl hil init``: writes a suite of a user's own to begin with."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Final

import click

FILES: Final = (
    "README.md",
    "bench.toml",
    "pytest.ini",
    "requirements.toml",
    "sim.toml",
    "test_probe.py",
)
NEXT: Final = """\
next, there:
  cryoctl hil . --rig sim.toml --requirements requirements.toml
  python -m pytest                       # does the same\
"""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def init(folder: Path) -> int:
    """Write a suite of your own into FOLDER: three tests, two rigs, requirements.

    Nothing that is there already is touched.
    """
    there = [name for name in FILES if (folder / name).exists()]
    if there:
        raise click.UsageError(
            f"{folder} has {', '.join(there)} already; nothing was written: give another folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    source = files("cryoctl_hil.scaffold") / "files"
    for name in FILES:
        (folder / name).write_text((source / name).read_text("utf-8"), "utf-8")
        click.echo(f"wrote      {folder / name}")
    click.echo(NEXT)
    return 0
