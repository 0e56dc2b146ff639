"""``cryoctl validate``: is the simulator right, and how is that known?"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import click

from cryoctl.command_options import as_json
from cryoctl.exit_codes import EXIT_FAIL, EXIT_PASS


@click.command()
@click.option(
    "--case",
    "texts",
    multiple=True,
    metavar="NAME",
    help="Run only cases whose name contains this; may be repeated.",
)
@click.option("--json", "wants_json", is_flag=True, help="Print a list of objects, one a figure.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Write validation.html with tables and plots there.",
)
def validate(texts: tuple[str, ...], wants_json: bool, out: Path | None) -> int:
    """Check the simulator against exact solutions and published measurements.

    Takes about a minute on two processors. Not a medical device.
    """
    if find_spec("scipy") is None:
        raise click.ClickException(
            "validate needs scipy: in a clone `make validate` installs it, or pip install"
            " -e '.[validate]'; elsewhere pip install 'cryoctl[validate]'"
        )
    from cryoctl_hil.validation.cases import CASES, chosen, run_cases
    from cryoctl_hil.validation.report import html_page, text_table

    cases = chosen(texts)
    if not cases:
        names = ", ".join(case.name for case in CASES)
        raise click.UsageError(f"no case has {' or '.join(texts)} in its name; there are {names}")
    found = run_cases(cases)
    rows = [row for findings in found for row in findings.rows]
    if wants_json:
        click.echo(as_json([row.as_object() for row in rows]))
    else:
        click.echo(text_table(cases, found))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        page = out / "validation.html"
        page.write_text(html_page(cases, found), encoding="utf-8")
        click.echo(f"wrote {page}", err=wants_json)
    return EXIT_FAIL if any(row.ok is False for row in rows) else EXIT_PASS
