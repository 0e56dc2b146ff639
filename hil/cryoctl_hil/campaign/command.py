"""``cryoctl campaign``: thousands of simulated treatments from one file."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cryoctl.command_options import as_json
from cryoctl.exit_codes import EXIT_FAIL, EXIT_INTERRUPTED, EXIT_PASS

if TYPE_CHECKING:
    from cryoctl_hil.campaign.campaign_run import Tally
    from cryoctl_hil.campaign.executors import Executor
    from cryoctl_hil.campaign.spec import Campaign


@click.command()
@click.argument("spec", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--workers", type=click.IntRange(1, 512), help="Processes; one a core if not given.")
@click.option(
    "--dask", metavar="ADDRESS", help="Run on a Dask cluster; local:N starts one on this machine."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the results; one that was begun is gone on with.",
)
@click.option(
    "--episode", type=click.IntRange(0), metavar="N", help="Run this one alone, and tell it."
)
@click.option("--json", "wants_json", is_flag=True, help="Print one JSON object.")
def campaign(
    spec: Path,
    workers: int | None,
    dask: str | None,
    out: Path | None,
    episode: int | None,
    wants_json: bool,
) -> int:
    """Run the simulated treatments that SPEC describes.

    Each depends on the file and its own number alone: whoever runs it, wherever, it is the same,
    and what was killed goes on where it was. Not a medical device.
    """
    from cryoctl.files import read_text
    from cryoctl_hil.campaign.campaign_run import run_campaign
    from cryoctl_hil.campaign.episode import plan_of
    from cryoctl_hil.campaign.executors import ExecutorError, episodes_of, run_chunk
    from cryoctl_hil.campaign.sampling import MissingScipyError
    from cryoctl_hil.campaign.spec import read_campaign
    from cryoctl_hil.campaign.store import Store, StoreError

    found = read_campaign(read_text(spec), str(spec))
    try:
        count = episodes_of(found)
        if episode is not None and episode >= count:
            raise click.UsageError(f"--episode {episode}: there are {count}, from 0")
        plan_of(found, 0)  # What cannot be is said before anything runs.
        if episode is not None:
            click.echo(run_chunk(found.text, [episode])[0])
            return EXIT_PASS
        folder = out or Path("runs") / f"campaign-{found.sha256[:8]}"
        store = Store(folder, found)
        tally = run_campaign(found, store, _executor(workers, dask, count), _Progress().show)
    except (StoreError, MissingScipyError) as error:
        raise click.UsageError(str(error)) from error
    except ExecutorError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        click.echo(f"\ninterrupted; the same command goes on: {_again(spec, out)}", err=True)
        return EXIT_INTERRUPTED
    if wants_json:
        click.echo(as_json(_as_object(found, tally, folder)))
    else:
        _tell(found, tally, spec, folder)
    return EXIT_FAIL if tally.failures or tally.stopped else EXIT_PASS


def _executor(workers: int | None, address: str | None, count: int) -> Executor:
    import os

    from cryoctl_hil.campaign import executors

    if address is not None:
        if workers is not None:
            raise click.UsageError("--workers is for this machine; a Dask cluster has its own")
        return executors.dask(address)
    wanted = workers or os.cpu_count() or 1
    if min(wanted, -(-count // executors.CHUNK)) == 1:
        return executors.here
    return executors.pool(wanted)


class _Progress:
    """One line that is written over on a terminal, one a tenth elsewhere."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._told = 0

    def show(self, tally: Tally, now_s: float) -> None:
        """Show how it goes."""
        done = tally.before + tally.done
        tenth = 10 * done // tally.total
        if not self._is_terminal and tenth == self._told:
            return
        self._told = tenth
        left_s = tally.left_s(now_s)
        line = (
            f"{done} of {tally.total} episodes, {tally.failures} failed, "
            f"{tally.rate_per_s(now_s):.1f}/s, {_span(left_s)} left"
        )
        click.echo(
            f"\r{line:<78}" if self._is_terminal else line, err=True, nl=not self._is_terminal
        )


def _span(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _tell(found: Campaign, tally: Tally, spec: Path, folder: Path) -> None:
    if sys.stderr.isatty():
        click.echo("", err=True)
    click.echo(f"{found.table.name}: {tally.before + tally.done} of {tally.total} episodes")
    if tally.stopped:
        click.echo(f"stopped early: {tally.stopped}")
    click.echo(f"failed     {tally.failures}")
    for row in tally.failed[:10]:
        click.echo(f"  episode {row['episode']}: {'; '.join(row['wrong'])}")
        click.echo(f"    again: cryoctl campaign {spec} --episode {row['episode']}")
    if len(tally.failed) > 10:  # noqa: PLR2004 (as many as above)
        click.echo("  and more; see the results")
    click.echo(f"results    {folder}")
    if tally.result_sha256:
        click.echo(f"sha256     {tally.result_sha256}")
        if find_spec("pyarrow") is None:
            click.echo("no Parquet file: pip install 'cryoctl[campaign]' writes one")


def _again(spec: Path, out: Path | None) -> str:
    return f"cryoctl campaign {spec}" + (f" --out {out}" if out else "")


def _as_object(found: Campaign, tally: Tally, folder: Path) -> dict[str, object]:
    return {
        "name": found.table.name,
        "episodes": tally.total,
        "done": tally.before + tally.done,
        "failures": tally.failures,
        "failed": tally.failed,
        "stopped": tally.stopped,
        "results": str(folder),
        "result_sha256": tally.result_sha256,
    }
