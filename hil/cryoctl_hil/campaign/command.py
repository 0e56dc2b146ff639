"""``cryoctl campaign``: thousands of simulated treatments from one file, and what they say."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from cryoctl.command_options import as_json
from cryoctl.exit_codes import EXIT_FAIL, EXIT_INTERRUPTED, EXIT_PASS

if TYPE_CHECKING:
    from cryoctl_hil.campaign.campaign_run import Tally
    from cryoctl_hil.campaign.executors import Executor
    from cryoctl_hil.campaign.spec import Campaign
    from cryoctl_hil.campaign.store import Store

KEPT_MAX: Final = 10
"""Failed episodes of a search that are kept as files."""


class _RunsByDefault(click.Group):
    """A group whose ``run`` may be left out."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take everything that names no command for what ``run`` is to do."""
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_RunsByDefault)
def campaign() -> None:
    """Run many simulated treatments from one file, and report on them.

    `cryoctl campaign SPEC.toml` is `cryoctl campaign run SPEC.toml`. Not a medical device.
    """


@campaign.command()
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
    "--episode",
    type=click.IntRange(0),
    metavar="N",
    help="Run this one alone, and tell it; with --out, record it there.",
)
@click.option(
    "--shrink",
    type=click.IntRange(0),
    metavar="N",
    help="Find the fewest faults with which this one still fails; write them to --out.",
)
@click.option("--json", "wants_json", is_flag=True, help="Print one JSON object.")
def run(
    spec: Path,
    workers: int | None,
    dask: str | None,
    out: Path | None,
    episode: int | None,
    shrink: int | None,
    wants_json: bool,
) -> int:
    """Run the simulated treatments that SPEC describes.

    Each depends on the file and its own number alone: whoever runs it, wherever, it is the same,
    and what was killed goes on where it was. Not a medical device.
    """
    from cryoctl.files import read_text
    from cryoctl_hil.campaign.campaign_run import run_campaign
    from cryoctl_hil.campaign.episode import plan_of
    from cryoctl_hil.campaign.executors import ExecutorError, episodes_of
    from cryoctl_hil.campaign.replay import ReplayError
    from cryoctl_hil.campaign.sampling import MissingScipyError
    from cryoctl_hil.campaign.search import search_campaign
    from cryoctl_hil.campaign.spec import read_campaign
    from cryoctl_hil.campaign.store import Store, StoreError

    found = read_campaign(read_text(spec), str(spec))
    if episode is not None and shrink is not None:
        raise click.UsageError("give --episode or --shrink, not both")
    try:
        count = episodes_of(found)
        _check_number("--episode", episode, count)
        _check_number("--shrink", shrink, count)
        plan_of(found, 0)  # What cannot be is said before anything runs.
        if episode is not None:
            return _run_one(found, episode, out)
        if shrink is not None:
            return _shrink(found, shrink, out, wants_json=wants_json)
        folder = out or Path("runs") / f"campaign-{found.sha256[:8]}"
        store = Store(folder, found)
        carry_out = run_campaign if found.table.search is None else search_campaign
        tally = carry_out(found, store, _executor(workers, dask, count), _Progress().show)
        kept = [] if found.table.search is None else _keep(found, store)
    except (StoreError, MissingScipyError, ReplayError, KeyError, ValueError) as error:
        raise click.UsageError(str(error)) from error
    except ExecutorError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        click.echo(f"\ninterrupted; the same command goes on: {_again(spec, out)}", err=True)
        return EXIT_INTERRUPTED
    if wants_json:
        click.echo(as_json({**_as_object(found, tally, folder), "kept": list(map(str, kept))}))
    else:
        _tell(found, tally, folder, kept)
    return EXIT_FAIL if tally.failures or _is_cut_short(found, tally) else EXIT_PASS


@campaign.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--json", "wants_json", is_flag=True, help="Print what report.json says.")
def report(folder: Path, wants_json: bool) -> None:
    """Write report.html and report.json into the FOLDER of a campaign, whole or not.

    Pass rates with intervals, the worst cases with the commands that run them again, times to safe
    beside their bounds, and what depends on what.
    """
    from cryoctl_hil.campaign.report import write_report
    from cryoctl_hil.campaign.store import StoreError

    try:
        page, data = write_report(folder)
    except StoreError as error:
        raise click.UsageError(str(error)) from error
    click.echo(as_json(data) if wants_json else f"wrote {page}")


def _check_number(option: str, number: int | None, count: int) -> None:
    if number is not None and number >= count:
        raise click.UsageError(f"{option} {number}: there are {count}, from 0")


def _run_one(found: Campaign, episode: int, out: Path | None) -> int:
    from cryoctl_hil.campaign.executors import run_chunk
    from cryoctl_hil.campaign.replay import alone, run_arguments, write_files

    if found.table.search is not None:
        alone(found, episode)  # Says where else to look.
    click.echo(run_chunk(found.text, [episode])[0])
    if out is None:
        return EXIT_PASS
    chosen = alone(found, episode)
    command = write_files(found, chosen, out)
    click.echo(f"recording it: {command}", err=True)
    _record(run_arguments(chosen.plan, out))
    return EXIT_PASS


def _record(arguments: list[str]) -> None:
    """Run it as anybody would, its words to the error output: ours are one line of JSON."""
    import contextlib

    from cryoctl.cli import invoke

    with contextlib.redirect_stdout(sys.stderr):
        invoke(arguments)


def _shrink(found: Campaign, episode: int, out: Path | None, *, wants_json: bool) -> int:
    from cryoctl_hil.campaign.replay import alone, run_alone, shrink, write_files

    if out is None:
        raise click.UsageError(
            "--shrink writes files: give --out, such as RESULTS/shrunk/"
            f"episode-{episode}, where the report finds them"
        )
    whole = alone(found, episode)
    small, tries = shrink(found, whole)
    row = run_alone(found, small)
    command = write_files(found, small, out)
    told = {
        "episode": episode,
        "faults_before": len(whole.plan.faults),
        "faults": small.plan.faults,
        "tries": tries,
        "wrong": row.wrong,
        "ended": row.ended,
        "events_sha256": row.events_sha256,
        "command": command,
    }
    if wants_json:
        click.echo(as_json(told))
        return EXIT_PASS
    click.echo(f"{len(whole.plan.faults)} faults became {len(small.plan.faults)} in {tries} tries")
    for line in (*small.plan.faults, *(f"still wrong: {wrong}" for wrong in row.wrong or ())):
        click.echo(f"  {line}")
    click.echo(f"again: {command}")
    return EXIT_PASS


def _keep(found: Campaign, store: Store) -> list[Path]:
    """Write the first episodes that failed as files, to be run ever after; return the folders."""
    from cryoctl_hil.campaign.replay import FOUND_FOLDER, of_row, write_files

    kept: list[Path] = []
    for row in store.rows():
        if row["wrong"] and len(kept) < KEPT_MAX:
            folder = store.folder / FOUND_FOLDER / f"episode-{row['episode']}"
            if not folder.exists():
                write_files(found, of_row(found, row), folder)
            kept.append(folder)
    return kept


def _is_cut_short(found: Campaign, tally: Tally) -> bool:
    return bool(tally.stopped) and found.table.search is None


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


def _tell(found: Campaign, tally: Tally, folder: Path, kept: list[Path]) -> None:
    if sys.stderr.isatty():
        click.echo("", err=True)
    click.echo(f"{found.table.name}: {tally.before + tally.done} of {tally.total} episodes")
    if tally.stopped:
        click.echo(f"stopped early: {tally.stopped}")
    click.echo(f"failed     {tally.failures}")
    again = _how_again(found, kept)
    for row in tally.failed[:10]:
        click.echo(f"  episode {row['episode']}: {'; '.join(row['wrong'])}")
        click.echo(f"    again: {again(row['episode'])}")
    if len(tally.failed) > 10:  # noqa: PLR2004 (as many as above)
        click.echo("  and more; see the results")
    click.echo(f"results    {folder}")
    if tally.result_sha256:
        click.echo(f"sha256     {tally.result_sha256}")
        if find_spec("pyarrow") is None:
            click.echo("no Parquet file: pip install 'cryoctl[campaign]' writes one")
    click.echo(f"next:\n  cryoctl campaign report {folder}")


def _how_again(found: Campaign, kept: list[Path]) -> Callable[[int], str]:
    """Return what tells how an episode is run again."""
    if found.table.search is None:
        return lambda number: f"cryoctl campaign {found.source} --episode {number}"
    folders = {folder.name: folder for folder in kept}

    def kept_command(number: int) -> str:
        folder = folders.get(f"episode-{number}")
        return "not kept" if folder is None else f"cryoctl campaign {folder}/campaign.toml"

    return kept_command


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
