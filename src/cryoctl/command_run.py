"""``cryoctl run``: a treatment file goes in; a verdict, a recording and a report come out."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO

import click
from click.core import ParameterSource

from cryoctl.command_options import (
    GRAMS,
    SPEED,
    UI_PORT,
    keys_option,
    need_ui_packages,
    refuse_two_treatments,
    requirements_option,
    settings_option,
    treatment_argument,
)
from cryoctl.console_operator import ConsoleHelper, ConsoleOperator, TypedLines
from cryoctl.exit_codes import EXIT_FAIL, EXIT_PASS
from cryoctl.lockstep import Operator
from cryoctl.operators import AutomaticOperator
from cryoctl.outcome import render_outcome
from cryoctl.progress import make_progress
from cryoctl.results import Result, ResultsError, write_results
from cryoctl.run_options import SPEED_MAX, RunOptions, make_options
from cryoctl.run_thread import Outcome
from cryoctl.runner import automatic_operator, run_treatment
from cryoctl.session_operator import SessionOperator, simulated_session
from cryoctl.stop_signals import StopSignals, StopSwitch
from cryoctl.watch import Watch
from cryoctl_protocol.peer import Opened


@click.command()
@treatment_argument
@click.option("--profile", help="Run the built-in treatment of a profile: a name or a file.")
@click.option(
    "--session",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File with several placements, each armed by itself; instead of a TREATMENT.",
)
@click.option(
    "--device",
    default="sim:",
    show_default=True,
    metavar="URL",
    help="Where the probe is: sim:PROFILE?..., or another installed scheme.",
)
@click.option("--speed", type=SPEED, default="max", show_default=True, help="Times real time.")
@click.option("--cycles", type=click.IntRange(1, 10), help="Same as --set cycles.count=N.")
@settings_option
@click.option(
    "--scenario",
    metavar="FILE",
    help="Tissue, room and cartridge to simulate: a file or a shipped name.",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), help="Of the simulated noise; 1 if not given."
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="ID@WHEN",
    help="Fault to simulate, such as tc_open@12s or gas_low@freeze+5s.",
)
@click.option(
    "--gdb",
    type=click.IntRange(0, 0xFFFF),
    help="Take GDB at this port of this machine: it halts emulated firmware; 0 takes a free one.",
)
@click.option("--vendor", type=click.Path(path_type=Path), help="Table of the maker's messages.")
@requirements_option
@click.option(
    "--cartridge-g",
    type=GRAMS,
    help="What the controller is to believe is in the cartridge, g; a full one if not given.",
)
@click.option(
    "--bench-waiver",
    default="",
    metavar="REASON",
    help="Command a device without lease and timer of its own; recorded: no patient data.",
)
@click.option(
    "--scavenging",
    is_flag=True,
    help="The room's gas is drawn off: no alarm above 16 g vented within an hour.",
)
@click.option(
    "--arm-and-start",
    is_flag=True,
    help="On a real device: arm and start without being asked. A simulated one always does.",
)
@click.option("--audio-off", is_flag=True, help="Alarms make no sound; shown for the whole run.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of this run.")
@click.option(
    "--sign-key",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Sign the audit trail with the key in a file that only its owner may read.",
)
@keys_option
@click.option(
    "--ui", "wants_ui", is_flag=True, help="Show the run in a browser; STOP is there, too."
)
@click.option(
    "--ui-port",
    type=click.IntRange(0, 65535),
    default=UI_PORT,
    show_default=True,
    help="Of --ui, on 127.0.0.1; 0 is one that is free.",
)
@click.option("--json", "wants_json", is_flag=True, help="Print one JSON object, the summary.")
def run(
    treatment: Path | None,
    profile: str | None,
    session: Path | None,
    device: str,
    speed: float | None,
    cycles: int | None,
    settings: tuple[str, ...],
    scenario: str | None,
    seed: int | None,
    faults: tuple[str, ...],
    gdb: int | None,
    vendor: Path | None,
    added: Path | None,
    cartridge_g: float | None,
    bench_waiver: str,
    scavenging: bool,
    arm_and_start: bool,
    audio_off: bool,
    out: Path | None,
    sign_key: Path | None,
    keys: Path | None,
    wants_ui: bool,
    ui_port: int,
    wants_json: bool,
) -> int:
    """Drive the freeze/thaw cycles of a TREATMENT on a probe: a file, or a built-in one's name.

    Without one, the built-in treatment of the device's profile runs. Exit codes: 0 pass, 1 not
    effective or failed, 2 usage or file, 3 device or link, 4 safety trip, 130 interrupted.
    """
    refuse_two_treatments(treatment, profile)
    if wants_ui:
        need_ui_packages()
        speed = _pace(speed)
    if session is not None and (treatment is not None or profile is not None):
        raise click.UsageError("a session names its treatments itself: give no other beside it")
    if cycles is not None:
        if any(setting.partition("=")[0].strip() == "cycles.count" for setting in settings):
            raise click.UsageError("--cycles and --set cycles.count say the same; give one of them")
        settings = (*settings, f"cycles.count={cycles}")
    options = make_options(
        treatment,
        device=device,
        seed=seed,
        speed=speed,
        settings=settings,
        scenario=scenario,
        faults=faults,
        gdb=gdb,
        vendor=vendor,
        requirements=added,
        cartridge_g=cartridge_g,
        bench_waiver=bench_waiver,
        out=out,
        profile=profile,
        session=session,
        sign_key=sign_key,
        keys=keys,
        scavenging=scavenging,
    )
    # Who looks on must not be what ends a run: a machine that serves a page, too, may slip.
    options = replace(options, audio_off=audio_off, may_slip=options.may_slip or wants_ui)
    with StopSignals() as switch:
        make_operator = (
            automatic_operator if arm_and_start else partial(_console_operator, switch.hurry)
        )
        if options.placements:
            make_operator = partial(
                _session_operator, options, switch.hurry, arm_and_start=arm_and_start
            )
        stream: IO[str] = sys.stderr if wants_json else sys.stdout
        if not wants_ui:
            return _carry_out(options, switch, make_operator, stream, wants_json=wants_json)[0]
        from cryoctl.ui.run_page import beside

        with beside(options, switch, ui_port) as page:
            click.echo(f"dashboard: {page.url}", file=stream)
            code, outcome = _carry_out(
                options,
                switch,
                page.shared(make_operator),
                stream,
                wants_json=wants_json,
                watch=page.watch,
            )
            click.echo("the dashboard shows the end until Ctrl-C", file=stream)
            page.show_end(outcome, switch)
            return code


def _pace(speed: float | None) -> float:
    """Return the speed of a run that somebody looks on at: real time if none was asked for."""
    source = click.get_current_context().get_parameter_source("speed")
    if source is ParameterSource.DEFAULT:
        return 1.0
    if speed is None:
        raise click.UsageError(
            f"--speed max is over before anybody has looked: with --ui give a factor, 1 to "
            f"{SPEED_MAX:g}"
        )
    return speed


def _console_operator(hurry: Callable[[], None], opened: Opened) -> Operator:
    """Return the person at the terminal; a probe that is real is armed by nobody else."""
    if opened.link is None:
        return automatic_operator(opened)
    if not sys.stdin.isatty():
        raise click.UsageError(
            "a real device is armed and started by hand: run this in a terminal, or say "
            "--arm-and-start"
        )
    return ConsoleOperator(tell, TypedLines(sys.stdin, hurry))


def _session_operator(
    options: RunOptions, hurry: Callable[[], None], opened: Opened, *, arm_and_start: bool
) -> Operator:
    """Return who leads through a session; a real probe is put in place by a person."""
    placements = options.placements
    if opened.hands is not None:
        return simulated_session(opened.hands, placements, AutomaticOperator)
    if not sys.stdin.isatty():
        raise click.UsageError("a real device is put in place by hand: run this in a terminal")
    lines = TypedLines(sys.stdin, hurry)
    helper = ConsoleHelper(tell, lines, [placement.name for placement in placements])
    if arm_and_start:
        return SessionOperator(AutomaticOperator, helper)
    return SessionOperator(partial(ConsoleOperator, tell, lines), helper)


def tell(text: str) -> None:
    """Say something to the operator, above the live picture if there is one."""
    # click would write past the picture, which then covers the line.
    sys.stderr.write(f"{text}\n")


def _carry_out(
    options: RunOptions,
    switch: StopSwitch,
    make_operator: Callable[[Opened], Operator],
    stream: IO[str],
    *,
    wants_json: bool,
    watch: Watch | None = None,
) -> tuple[int, Outcome]:
    """Run, write summary and report, print how it went; return the exit code and the outcome."""
    with make_progress(stream) as progress:
        summary = run_treatment(options, switch, progress, make_operator, watch)
    result, report, problem = Result.of(summary), None, ""
    try:
        report = write_results(result)
    except ResultsError as error:
        # The verdict is known and is told; only its papers are missing.
        problem = str(error)
        click.echo(f"cryoctl: {error}", err=True)
    _say(stream, render_outcome(summary, report, program_name(), colour=stream.isatty()))
    told = _say(sys.stdout, summary.model_dump_json(indent=2) + "\n") if wants_json else True
    code = summary.exit_code or (EXIT_PASS if report and told else EXIT_FAIL)
    return code, Outcome(result, problem)


def _say(stream: IO[str], text: str) -> bool:
    """Write to a stream whose reader may have gone; return False if what it asked for is lost."""
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        # Python flushes once more at its end, and would fail once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if not isinstance(error, BrokenPipeError):
            click.echo(f"cryoctl: output not written: {error.strerror}", err=True)
            return False
    return True


def program_name() -> str:
    """Return what a user types in this shell to call this program."""
    if shutil.which("cryoctl"):
        return "cryoctl"
    called = Path(sys.argv[0])
    if called.name != "cryoctl":
        return f"{Path(sys.executable).name} -m cryoctl"
    try:
        return str(called.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(called)
