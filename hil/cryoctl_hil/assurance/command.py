"""``cryoctl assure``: runs assurance programs and keeps what they found."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from cryoctl.clock import monotonic_s, utc_now
from cryoctl.exit_codes import EXIT_FAIL, EXIT_PASS
from cryoctl_hil.assurance.program import PROGRAMS, Program, write_outcome
from cryoctl_hil.assurance.scoreboard import scoreboard, scoreboard_page
from cryoctl_hil.tree_commit import tree_commit

SCALE_MAX: Final = 1000.0


@click.command()
@click.argument("names", nargs=-1, metavar="[PROGRAM]...")
@click.option(
    "--scale",
    type=click.FloatRange(min=0.0, max=SCALE_MAX, min_open=True),
    default=1.0,
    show_default=True,
    help="How much of it: 1 is what the safety case asks for.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs/assurance"),
    show_default=True,
    metavar="FOLDER",
    help="Keep one JSON file a program there.",
)
@click.option(
    "--scoreboard",
    "page",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the scoreboard page of what is in --out, and run nothing.",
)
@click.option("--list", "lists", is_flag=True, help="List the programs and run none.")
def assure(names: tuple[str, ...], scale: float, out: Path, page: Path | None, lists: bool) -> int:
    """Run assurance programs: all, or those named. At scale 1 the whole takes some hours."""
    if lists:
        for program in PROGRAMS:
            click.echo(f"{program.name:<14} {program.text}")
        return EXIT_PASS
    if page is not None:
        page.write_text(scoreboard_page(out), encoding="utf-8")
        return EXIT_PASS
    fine, chosen = True, _chosen(names)
    for program in chosen:
        fine = _run(program, scale, out) and fine
    click.echo(scoreboard(out, chosen))
    return EXIT_PASS if fine else EXIT_FAIL


def _chosen(names: tuple[str, ...]) -> list[Program]:
    known = [program.name for program in PROGRAMS]
    for name in names:
        if name not in known:
            raise click.UsageError(f"no program {name!r}; there are {', '.join(known)}")
    return [program for program in PROGRAMS if not names or program.name in names]


def _run(program: Program, scale: float, out: Path) -> bool:
    click.echo(f"{program.name}: {program.text}", err=True)
    began_s = monotonic_s()
    outcome = program.load()(scale, lambda text: click.echo(f"  {text}", err=True))
    about: dict[str, str | float] = {
        "date": utc_now().date().isoformat(),
        "commit": tree_commit(),
        "scale": scale,
        "seconds": round(monotonic_s() - began_s, 1),
    }
    for failure in outcome.failures:
        click.echo(f"  FAILED: {failure}", err=True)
    click.echo(f"  wrote {write_outcome(out, program, outcome, about)}", err=True)
    return outcome.ok
