"""``cryoctl audit``: check an audit trail, or show it as people read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import click

from cryoctl.audit_check import TrailVerdict
from cryoctl.audit_folder import AuditError, Checked, check
from cryoctl.command_options import as_json
from cryoctl.exit_codes import EXIT_ALTERED, EXIT_NOT_CLOSED, EXIT_PASS, EXIT_TRUNCATED
from cryoctl.sign_key import read_sign_key

EXIT_CODES: Final = {
    TrailVerdict.INTACT: EXIT_PASS,
    TrailVerdict.NOT_CLOSED: EXIT_NOT_CLOSED,
    TrailVerdict.TRUNCATED: EXIT_TRUNCATED,
    TrailVerdict.ALTERED: EXIT_ALTERED,
}

_path_argument = click.argument("path", type=click.Path(path_type=Path))


@click.group()
def audit() -> None:
    """Check or show the audit trail of a run: who did what and when, in a chain of hashes."""


@audit.command()
@_path_argument
@click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The key of --sign-key: also check that every record is signed with it.",
)
@click.option("--json", "wants_json", is_flag=True, help="Print the answer as a JSON object.")
def verify(path: Path, key: Path | None, wants_json: bool) -> int:
    """Say what became of the trail at PATH: a run's folder, or a file in it.

    Exit codes: 0 INTACT, 5 NOT CLOSED (the program was killed), 6 TRUNCATED, 7 ALTERED, 2 no trail.
    """
    checked = _check(path, None if key is None else read_sign_key(key))
    found = checked.judgement
    signed = _signatures(found.records, checked=key is not None)
    if wants_json:
        told = {
            "audit": str(checked.path),
            "verdict": found.verdict.value,
            "seq": found.seq,
            "text": found.text,
            "records": len(found.records),
            "head": found.head,
            "anchors": found.anchors,
            "compared": checked.compared,
            "signatures": signed,
        }
        click.echo(as_json(told))
    else:
        click.echo(found.text)
        click.echo(f"head        {found.head}")
        click.echo(f"compared    {checked.compared}")
        click.echo(f"signatures  {signed}")
    return EXIT_CODES[found.verdict]


@audit.command()
@_path_argument
def show(path: Path) -> int:
    """Print the sound records of the trail at PATH, and then what became of it."""
    found = _check(path, None).judgement
    for record in found.records:
        click.echo(_line(record))
    click.echo(found.text)
    return EXIT_CODES[found.verdict]


def _check(path: Path, key: bytes | None) -> Checked:
    try:
        return check(path, key)
    except AuditError as error:
        raise click.UsageError(str(error)) from error


def _signatures(records: list[dict[str, Any]], *, checked: bool) -> str:
    if checked:
        return "checked"
    if any("signature" in record for record in records):
        return "not checked: give --key"
    return "none"


def _line(record: dict[str, Any]) -> str:
    """Return a record as one line; whatever a text holds, no terminal obeys it."""
    moment = "" if record["at_s"] is None else f"{record['at_s']:.2f} s"
    line = f"{record['seq']:>5}  {record['utc']}  {moment:>10}  {_word(record['actor'])}"
    line += f"  {_word(record['action'])} {_word(record['target'])}"
    if record["old"] is not None:
        line += f"  {_value(record['old'])} ->"
    if record["new"] is not None:
        line += f" {_value(record['new'])}"
    return f"{line}  ({_word(record['reason'])})" if record["reason"] else line


def _word(value: Any) -> str:
    return json.dumps(value)[1:-1] if isinstance(value, str) else json.dumps(value)


def _value(value: Any) -> str:
    return _word(value) if isinstance(value, str) else json.dumps(value)
