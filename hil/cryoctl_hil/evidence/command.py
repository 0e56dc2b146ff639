"""``cryoctl hil``: one suite for every rig, and evidence of it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import click

from cryoctl.command_options import as_json, keys_option, requirements_option
from cryoctl.exit_codes import EXIT_FAIL, EXIT_PASS
from cryoctl_hil.divergence.command import divergence
from cryoctl_hil.scaffold.command import init

DEFAULT_RIG: Final = "sim"
JOBS_MAX: Final = 64

_tests_argument = click.argument(
    "tests", required=False, type=click.Path(path_type=Path, exists=True), metavar="[TEST_FOLDER]"
)
_rig_option = click.option(
    "--rig",
    default=DEFAULT_RIG,
    show_default=True,
    metavar="RIG",
    help="sim, firmware:native, firmware:emulated, a device's address, or a rig file.",
)
_json_option = click.option("--json", "wants_json", is_flag=True, help="Print a JSON object.")


class _HilGroup(click.Group):
    """A group that runs the suite unless another of its commands is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``run`` before options and folders."""
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_HilGroup)
def hil() -> None:
    """Run the suite on a rig: cryoctl hil [--rig RIG] [TEST_FOLDER].

    Without one of the commands below it is 'cryoctl hil run'.
    """


hil.add_command(divergence)


hil.add_command(init)


@hil.command("run")
@_tests_argument
@_rig_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Keep the evidence there; default runs/hil-DATE-TIME.",
)
@click.option("-k", "keyword", metavar="EXPR", help="Only tests whose names match, as in pytest.")
@click.option(
    "--requirement", "ids", multiple=True, metavar="ID", help="Only tests of it; may be repeated."
)
@click.option("--list", "lists", is_flag=True, help="Show what each test takes; run none.")
@click.option("--dry", is_flag=True, help="Only tests that need no gas.")
@click.option(
    "--gas-budget",
    type=click.FloatRange(min=0.0, max=10_000.0),
    metavar="GRAMS",
    help="Begin no test that would use more gas than this in all.",
)
@click.option("--quick", is_flag=True, help="Heated thaws, and one leak test for the whole run.")
@click.option(
    "--resume",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="FOLDER",
    help="Go on with the evidence there: run what has not been run.",
)
@click.option("--retest", is_flag=True, help="With --resume: run again what has failed, too.")
@click.option("--unattended", is_flag=True, help="Ask nobody to do anything by hand.")
@click.option("--operator", default="", metavar="NAME", help="Who runs it; kept in the evidence.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the simulated noise.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1, max=JOBS_MAX),
    default=1,
    show_default=True,
    help="Run so many tests at once, each on a virtual rig of its own.",
)
@click.option("--bench-waiver", default="", metavar="REASON", help="See cryoctl run.")
@click.option(
    "--sign-key",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Sign the audit trail with a key of 32 bytes or more.",
)
@keys_option
@requirements_option
@_json_option
def run(tests: Path | None, wants_json: bool, lists: bool, jobs: int, **options: Any) -> int:
    """Run the suite, or the tests in TEST_FOLDER, and keep evidence.

    Exit codes: 0 PASS, 1 FAIL, 2 usage, 3 no link, 4 the probe could not be seen safe, 130
    interrupted.
    """
    from cryoctl_hil.evidence.suite import run_suite, shipped_suite

    if options["retest"] and options["resume"] is None:
        raise click.UsageError("--retest goes on with a run: give --resume FOLDER, too")
    if options["resume"] is not None and options["out"] is not None:
        raise click.UsageError("--resume goes on in its folder; leave out --out")
    folder = tests or shipped_suite()
    arguments = [*_arguments(options), *_jobs(jobs)]
    if lists:
        return _list(folder, arguments, options, wants_json)
    ended = run_suite(folder, arguments, _say)
    if ended.evidence is None or ended.folder is None:
        if ended.evidence is not None and ended.evidence.broken_off:
            _say(f"cryoctl: {ended.evidence.broken_off}")
        return ended.code
    if wants_json:
        click.echo(as_json(_told(ended.evidence, ended.folder, ended.code)))
    else:
        _say_end(ended.evidence, ended.folder)
    return ended.code


@hil.command("plan")
@_tests_argument
@click.option("--profile", default="n2o-20g", show_default=True, help="A name or a file.")
def plan(tests: Path | None, profile: str) -> int:
    """Measure on the simulated probe what each test takes, and write plan.json beside the tests."""
    from cryoctl_hil.evidence.plan import Plan, write_plan
    from cryoctl_hil.evidence.suite import run_suite, shipped_suite

    folder = tests or shipped_suite()
    found = []
    with tempfile.TemporaryDirectory(prefix="cryoctl-plan-") as kept:
        for name, more in (("full", []), ("quick", ["--rig-quick"])):
            options = ["--rig", f"sim:{profile}", "--rig-out", str(Path(kept) / name), *more]
            ended = run_suite(folder, options, _say)
            if ended.evidence is None or ended.evidence.broken_off:
                return ended.code
            found.append(ended.evidence)
    click.echo(f"wrote {write_plan(Plan.of(*found), folder)}")
    return EXIT_PASS


@hil.command("compare")
@click.argument("before", type=click.Path(path_type=Path, exists=True))
@click.argument("after", type=click.Path(path_type=Path, exists=True))
@_json_option
def compare_command(before: Path, after: Path, wants_json: bool) -> int:
    """Say what changed between two runs: folders or archives of evidence.

    Exit codes: 0 nothing got worse, 1 a test that passed does not pass now.
    """
    from cryoctl_hil.evidence.archive import open_evidence
    from cryoctl_hil.evidence.compare import compare, compare_text

    with open_evidence(before) as old, open_evidence(after) as new:
        found = compare(old.evidence(), new.evidence())
    click.echo(as_json(found.as_object()) if wants_json else compare_text(found))
    return EXIT_FAIL if found.is_worse else EXIT_PASS


def _arguments(options: dict[str, Any]) -> Iterator[str]:
    """Yield the options of pytest and of its plug-in."""
    yield f"--rig={options['rig']}"
    for name in ("seed", "out", "resume", "gas_budget", "keys", "operator", "sign_key"):
        if options[name] not in (None, ""):
            yield f"--rig-{name.replace('_', '-')}={options[name]}"
    for name in ("dry", "quick", "retest", "unattended"):
        if options[name]:
            yield f"--rig-{name}"
    for name in _ids(options):
        yield f"--requirement={name}"
    if options["keyword"]:
        yield f"-k={options['keyword']}"
    if options["bench_waiver"]:
        yield f"--bench-waiver={options['bench_waiver']}"
    if options["added"] is not None:
        yield f"--requirements={options['added']}"


def _ids(options: dict[str, Any]) -> tuple[str, ...]:
    """Return the requirements that were asked for, each of which there has to be."""
    from cryoctl.requirement_registry import load_registry

    known = load_registry(options["added"]).requirements
    for name in options["ids"]:
        if name not in known:
            raise click.UsageError(
                f"unknown requirement {name!r}: 'cryoctl requirements' lists ours; give "
                "--requirements FILE for yours"
            )
    chosen: tuple[str, ...] = options["ids"]
    return chosen


def _jobs(jobs: int) -> list[str]:
    if jobs == 1:
        return []
    if find_spec("xdist") is None:
        raise click.UsageError("--jobs needs pytest-xdist: pip install 'cryoctl[parallel]'")
    return ["-p", "xdist", "-n", str(jobs)]


def _list(tests: Path, arguments: list[str], options: dict[str, Any], wants_json: bool) -> int:
    from cryoctl_hil.evidence.plan import plan_rows, plan_text, read_plan
    from cryoctl_hil.evidence.suite import list_suite
    from cryoctl_hil.rigs.rig import find_rig
    from cryoctl_protocol.profile import load_profile

    rig = find_rig(options["rig"])
    code, listed = list_suite(tests, arguments, _say)
    if code != EXIT_PASS:
        return code
    quick = options["quick"] or rig.table.quick
    rows = plan_rows(listed, read_plan(tests).costs(quick=quick), load_profile(rig.table.profile))
    click.echo(as_json([row._asdict() for row in rows]) if wants_json else plan_text(rows))
    return EXIT_PASS


def _say(line: str) -> None:
    click.echo(line, err=True)


def _say_end(evidence: Any, folder: Path) -> None:
    from cryoctl_hil.evidence.record import REPORT
    from cryoctl_hil.evidence.report import count_text

    click.echo(f"\n{evidence.verdict.value}: {count_text(evidence)}")
    for line in evidence.against():
        click.echo(f"  {line}")
    for line in evidence.notes():
        click.echo(f"  ! {line}")
    click.echo(f"report    {folder / REPORT}")
    click.echo(f"evidence  {folder}")


def _told(evidence: Any, folder: Path, code: int) -> dict[str, Any]:
    return {
        "verdict": evidence.verdict.value,
        "exit_code": code,
        "folder": str(folder),
        "rig": evidence.rig,
        "probe": evidence.probe.model_dump(),
        "broken_off": evidence.broken_off,
        "unsafe": evidence.unsafe,
        "against": list(evidence.against()),
        "notes": list(evidence.notes()),
        "tests": [
            {"id": test.id, "verdict": test.verdict.value, "why": test.why, "step": test.step}
            for test in evidence.tests
        ],
    }
