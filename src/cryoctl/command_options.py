"""Options and arguments that several commands share."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Final

import click

from cryoctl.run_options import CARTRIDGE_G_MAX, CARTRIDGE_G_MIN, SPEED_MAX, SPEED_MIN

treatment_argument = click.argument(
    "treatment", required=False, type=click.Path(path_type=Path, dir_okay=False)
)


UI_PORT: Final = 8790


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


class Speed(click.ParamType[float | None]):
    """``max``, or a factor such as ``1``, ``10x``."""

    name = "speed"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | None:
        """Return the factor, or None for ``max``."""
        if value == "max":
            return None
        try:
            speed = float(str(value).removesuffix("x"))
        except ValueError:
            speed = 0.0
        if not SPEED_MIN <= speed <= SPEED_MAX:
            self.fail(
                f"{value!r} is neither max nor a factor from {SPEED_MIN:g} to {SPEED_MAX:g}",
                param,
                ctx,
            )
        return speed


GRAMS = Grams(CARTRIDGE_G_MIN, CARTRIDGE_G_MAX)
SPEED = Speed()
settings_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change one value of the treatment, such as cycles.count=2; may be repeated.",
)


requirements_option = click.option(
    "--requirements",
    "added",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Requirements of your own, in TOML; looser than ours only by a named deviation.",
)


keys_option = click.option(
    "--keys",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Where the keys of devices are; CRYOCTL_KEYS, else a folder of the user's.",
)


def need_ui_packages() -> None:
    """Refuse a dashboard without the packages that serve it."""
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
        import websockets  # noqa: F401
    except ImportError as error:
        raise click.UsageError(
            f"the dashboard needs the package {error.name}: pip install 'cryoctl[ui]'"
        ) from error


def refuse_two_treatments(treatment: Path | None, profile: str | None) -> None:
    """Refuse a file and a profile together: each names a treatment."""
    if treatment is not None and profile is not None:
        raise click.UsageError("--profile is for what is built in; a TREATMENT names its own")


def as_json(data: Any) -> str:
    """Return ``data`` as JSON for people and programs."""
    return json.dumps(data, indent=2, allow_nan=False)
