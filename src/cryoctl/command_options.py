"""Options and arguments that several commands share."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import click

treatment_argument = click.argument(
    "treatment", required=False, type=click.Path(path_type=Path, dir_okay=False)
)


class Grams(click.FloatRange):
    """A mass of gas; click's own range lets NaN through."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the mass; fails on everything that is no number in the range."""
        grams: float = super().convert(value, param, ctx)
        if math.isnan(grams):
            self.fail(f"{value!r} is not a mass", param, ctx)
        return grams


GRAMS = Grams(0.1, 100.0)
settings_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change one value of the treatment, such as cycles.count=2; may be repeated.",
)


def refuse_two_treatments(treatment: Path | None, profile: str | None) -> None:
    """Refuse a file and a profile together: each names a treatment."""
    if treatment is not None and profile is not None:
        raise click.UsageError("--profile is for what is built in; a TREATMENT names its own")


def as_json(data: Any) -> str:
    """Return ``data`` as JSON for people and programs."""
    return json.dumps(data, indent=2, allow_nan=False)
