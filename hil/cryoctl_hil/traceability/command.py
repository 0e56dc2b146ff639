"""``cryoctl trace``: what ties hazards, requirements, code, tests and figures together."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from cryoctl.command_options import as_json, requirements_option
from cryoctl.exit_codes import EXIT_FAIL, EXIT_PASS
from cryoctl.requirement_registry import load_registry
from cryoctl_hil.assurance.scoreboard import NOT_RUN
from cryoctl_hil.traceability.matrix import Trace, make_trace, orphans
from cryoctl_hil.traceability.page import render_page, trace_object

_FOLDER: Final = click.Path(path_type=Path, file_okay=False, exists=True)


@click.command()
@requirements_option
@click.option(
    "--tests",
    type=_FOLDER,
    multiple=True,
    metavar="FOLDER",
    help="With tests that carry markers; default: tests. May be repeated.",
)
@click.option(
    "--measured",
    type=_FOLDER,
    multiple=True,
    metavar="FOLDER",
    help="With the JSON files of programs; default: docs/assurance. May be repeated.",
)
@click.option("--check", is_flag=True, help="Print only what hangs loose; exit code 1 if any does.")
@click.option("--json", "wants_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--page",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the traceability page there.",
)
def trace(
    added: Path | None,
    tests: tuple[Path, ...],
    measured: tuple[Path, ...],
    check: bool,
    wants_json: bool,
    page: Path | None,
) -> int:
    """Trace hazards to code, tests and figures.

    Works on the folder that it is called in: in the sources of cryoctl its own requirements are
    judged, elsewhere those of --requirements.
    """
    found = make_trace(
        Path(), load_registry(added), tests or _there("tests"), measured or _there("docs/assurance")
    )
    loose = orphans(found)
    if page is not None:
        page.write_text(render_page(found), encoding="utf-8")
    if wants_json:
        click.echo(as_json(trace_object(found)))
    elif check:
        click.echo("\n".join(loose) or "nothing hangs loose")
    elif page is None:
        _tell(found, loose)
    return EXIT_FAIL if check and loose else EXIT_PASS


def _there(folder: str) -> tuple[Path, ...]:
    return (Path(folder),) if Path(folder).is_dir() else ()


def _tell(found: Trace, loose: list[str]) -> None:
    for name, (row, _) in found.judged().items():
        code, tests = len(found.code_of(name)), len(found.tests_of(name))
        figures = found.figures_of(name)
        last = figures[-1].result if figures else NOT_RUN
        click.echo(f"{name:<10} {row.status:<7} code {code:>3}  tests {tests:>3}  measured: {last}")
    for line in loose:
        click.echo(f"loose: {line}")
