"""``cryoctl plan``: what a treatment would do, before anything moves."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from cryoctl.command_options import (
    GRAMS,
    as_json,
    refuse_two_treatments,
    settings_option,
    treatment_argument,
)
from cryoctl.files import choose_treatment
from cryoctl.plan import make_plan, render_text


@click.command()
@treatment_argument
@settings_option
@click.option("--profile", help="Plan the built-in treatment of a profile: a name or a file.")
@click.option("--cartridge-g", type=GRAMS, help="Gas in the cartridge, g.")
@click.option("--json", "wants_json", is_flag=True, help="Print one JSON object.")
def plan(
    treatment: Path | None,
    settings: tuple[str, ...],
    profile: str | None,
    cartridge_g: float | None,
    wants_json: bool,
) -> int:
    """Show timeline, limits, gas need and planned tip curve of a TREATMENT file.

    Exits with 1 if the plan would not be armed.
    """
    refuse_two_treatments(treatment, profile)
    chosen = choose_treatment(treatment, settings, profile)
    made = make_plan(chosen.treatment, chosen.treatment.probe_profile.limits, cartridge_g)
    if wants_json:
        data = {
            "treatment": chosen.treatment.model_dump(mode="json", by_alias=True),
            "expected_s": made.expected_s,
            "maximum_s": made.maximum_s,
            "phases": [asdict(phase) for phase in made.phases],
            "gas_all_g": made.gas_all_g,
            "gas_with_reserve_g": made.gas_with_reserve_g,
            "gas_usable_g": made.gas_usable_g,
            "setpoint_margin_c": made.setpoint_margin_c,
            "curve": [asdict(point) for point in made.curve],
            "blockers": [blocker._asdict() for blocker in made.blockers],
        }
        click.echo(as_json(data))
    else:
        click.echo(render_text(made), nl=False)
    return 1 if made.blockers else 0
