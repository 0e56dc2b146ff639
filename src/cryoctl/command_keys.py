"""``cryoctl keys``: makes, changes and hands over the keys of probes; never shows one."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any, Final

import click

from cryoctl.clock import utc_now
from cryoctl.command_options import as_json, keys_option
from cryoctl.key_store import KeyStore, StoreContents, key_folder, read_device_keys
from cryoctl.private_file import write_private
from cryoctl_protocol.device_keys import (
    KEY_ID_MAX,
    DeviceKeys,
    device_keys_c,
    device_keys_text,
)

_HEAD: Final = ("probe", "id", "age, days", "fingerprint", "")

_device_argument = click.argument("device")


@click.group(name="keys")
def keys() -> None:
    """Make, change and hand over the keys of probes.

    DEVICE is a probe's serial number, as cryoctl monitor shows it. No command shows a key: the
    fingerprint stands for it.
    """


@keys.command()
@_device_argument
@click.option(
    "--id", "key_id", type=click.IntRange(1, KEY_ID_MAX), default=1, show_default=True,
    help="Number that the probe announces it by.",
)  # fmt: skip
@keys_option
def new(device: str, key_id: int, keys: Path | None) -> None:
    """Make the first key of DEVICE."""
    store = _store(keys)
    made = store.new(device, key_id)
    _say("made", made, store)
    click.echo(f"next:\n  cryoctl keys export {device} --out FILE")


@keys.command()
@_device_argument
@keys_option
def rotate(device: str, keys: Path | None) -> None:
    """Make the next key of DEVICE, and keep the present one beside it."""
    store = _store(keys)
    made = store.rotate(device)
    _say("made", made, store)
    click.echo(
        "give the probe both: it then takes either, until every computer has the new one\n"
        f"next:\n  cryoctl keys export {device} --out FILE"
    )


@keys.command()
@_device_argument
@click.option("--yes", is_flag=True, help="Without asking.")
@keys_option
def retire(device: str, yes: bool, keys: Path | None) -> None:
    """Drop the older key of DEVICE, once the probe announces the newer one."""
    store = _store(keys)
    held = store.read(device)
    if held.former is not None and not yes:
        click.confirm(
            f"does {device} announce key {held.newest.key_id}? A probe that only has key "
            f"{held.former.key_id} cannot be commanded from here any more",
            abort=True,
        )
    _say("kept", store.retire(device), store)
    click.echo(
        "the probe takes the older one until it is provisioned again\n"
        f"next:\n  cryoctl keys export {device} --out FILE"
    )


@keys.command(name="list")
@click.option("--json", "wants_json", is_flag=True, help="Print one JSON list.")
@keys_option
def list_(wants_json: bool, keys: Path | None) -> None:
    """List the keys there are: ids, age and fingerprints."""
    store = _store(keys)
    found = store.contents()
    rows = _rows(found)
    if wants_json:
        click.echo(as_json(rows))
        return
    if not rows:
        click.echo(f"no keys in {store.folder}; make one with: cryoctl keys new DEVICE")
        return
    table = [_HEAD, *(tuple(map(_cell, row.values())) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        click.echo("  ".join(map(str.ljust, line, widths)).rstrip())


@keys.command()
@_device_argument
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="New file: C for a firmware if it ends in .h, else TOML.",
)  # fmt: skip
@keys_option
def export(device: str, out: Path, keys: Path | None) -> None:
    """Write what DEVICE is to be provisioned with, for its owner alone to read."""
    held = _store(keys).read(device)
    try:
        write_private(out, device_keys_c(held) if out.suffix == ".h" else device_keys_text(held))
    except FileExistsError:
        raise click.UsageError(f"{out} is there already; give another file") from None
    click.echo(f"{out}: keys of {device}; give them to the probe, then delete the file")


@keys.command(name="import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@keys_option
def import_(file: Path, keys: Path | None) -> None:
    """Take in the keys of a device from a FILE that export has written."""
    store = _store(keys)
    _say("imported", store.add(read_device_keys(file)), store)


def _store(folder: Path | None) -> KeyStore:
    return KeyStore(key_folder(folder))


def _say(what: str, keys: DeviceKeys, store: KeyStore) -> None:
    newest = keys.newest
    click.echo(
        f"{what} key {newest.key_id} of {keys.device} (fingerprint {newest.fingerprint}) "
        f"in {store.folder}"
    )


def _rows(found: StoreContents) -> list[dict[str, Any]]:
    today = utc_now().date()
    rows: list[dict[str, Any]] = [
        {
            "device": device,
            "id": key.key_id,
            "age_days": (today - date.fromisoformat(key.made)).days if key.made else None,
            "fingerprint": key.fingerprint,
            "problem": "",
        }
        for device, held in found.held.items()
        for key in held.keys
    ]
    return rows + [
        {"device": device, "id": None, "age_days": None, "fingerprint": "", "problem": problem}
        for device, problem in found.problems.items()
    ]


def _cell(value: object) -> str:
    return "" if value is None else str(value)
