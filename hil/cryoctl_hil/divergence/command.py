"""``cryoctl hil divergence``: how far the same scenarios differ from rig to rig."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from cryoctl.clock import monotonic_s, utc_now
from cryoctl.command_options import keys_option
from cryoctl.exit_codes import EXIT_FAIL, EXIT_PASS, EXIT_SAFETY

if TYPE_CHECKING:
    from cryoctl_hil.divergence.run import Compared
    from cryoctl_hil.rigs.rig import Rig

PAGE: Final = "divergence.html"
DATA: Final = "divergence.json"


@click.command("divergence")
@click.argument("first", metavar="RIG")
@click.argument("others", nargs=-1, required=True, metavar="RIG...")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Keep page, JSON and recordings there; default runs/divergence-DATE-TIME.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of the simulated noise.")
@click.option("--bench-waiver", default="", metavar="REASON", help="See cryoctl run.")
@keys_option
def divergence(
    first: str, others: tuple[str, ...], out: Path | None, keys: Path | None, **options: str | int
) -> int:
    """Drive several rigs through the same scenarios and compare every signal with the first's.

    A rig is sim, firmware:native, firmware:emulated, a device's address, or a rig file. Rigs in
    virtual time have to do the very same; one in real time has a tolerance band for each signal.

    Exit codes: 0 all within their bands, 1 not, 3 no link, 4 a probe that could not be seen safe.
    """
    from cryoctl_hil.divergence.page import render_page, verdict_of
    from cryoctl_hil.divergence.run import compare_recordings, record
    from cryoctl_hil.rigs.probe import UnsafeProbeError
    from cryoctl_hil.rigs.rig import find_rig

    rigs = [find_rig(name) for name in (first, *others)]
    folder = out or Path("runs", f"divergence-{utc_now():%Y%m%d-%H%M%S}")
    paths = []
    for number, rig in enumerate(rigs, start=1):
        paths.append(folder / f"rig-{number}.mcap")
        began_s = monotonic_s()
        try:
            record(
                rig, paths[-1], seed=int(options["seed"]), keys=keys,
                bench_waiver=str(options["bench_waiver"]),
            )  # fmt: skip
        except UnsafeProbeError as error:
            click.echo(f"rig {rig.table.name}: {error}", err=True)
            return EXIT_SAFETY
        except AssertionError as error:
            click.echo(f"rig {rig.table.name}: {error}", err=True)
            return EXIT_FAIL
        click.echo(f"recorded {rig.table.name} in {monotonic_s() - began_s:.0f} s", err=True)
    compared = compare_recordings(rigs, paths)
    (folder / PAGE).write_text(render_page(rigs[0], compared), encoding="utf-8")
    (folder / DATA).write_text(_json(rigs[0], compared), encoding="utf-8")
    for each in compared:
        for difference in each.comparison.differences:
            if not difference.ok:
                told = f"{difference.value:.4g}, allowed {difference.band.value:g}"
                name = f"{each.rig.table.name}: {difference.name}"
                click.echo(f"{name}: {told}, {difference.where}")
    click.echo(f"{verdict_of(compared)} {folder / PAGE}")
    return EXIT_PASS if all(each.comparison.ok for each in compared) else EXIT_FAIL


def _json(first: Rig, compared: list[Compared]) -> str:
    from cryoctl_hil.divergence.compare import plain

    found = {
        "schema_version": 1,
        "first": {"rig": first.table.name, "device": str(first.device)},
        "others": [
            {
                "rig": each.rig.table.name,
                "device": str(each.rig.device),
                "recording": each.recording.name,
                **plain(each.comparison),
            }
            for each in compared
        ],
    }
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"
