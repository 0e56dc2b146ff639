"""Options and arguments that several commands share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

treatment_argument = click.argument(
    "treatment", required=False, type=click.Path(path_type=Path, dir_okay=False)
)
settings_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change one value of the treatment, such as cycles.count=2; may be repeated.",
)


def as_json(data: Any) -> str:
    """Return ``data`` as JSON for people and programs."""
    return json.dumps(data, indent=2, allow_nan=False)
