"""The command line: names the commands, turns expected errors into one message and an exit code.

Commands are imported only when they run, so that ``cryoctl --help`` stays quick.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from importlib.metadata import EntryPoint, entry_points
from io import TextIOWrapper
from typing import Any, Final, NamedTuple

import click

from cryoctl import __version__
from cryoctl.assertions import AssertionsOffError, require_assertions
from cryoctl.exit_codes import EXIT_INTERRUPTED, EXIT_LINK, EXIT_SAFETY, EXIT_USAGE


class LazyCommand(NamedTuple):
    """Where a command's code is, and its line in the list of commands."""

    place: str
    summary: str


_COMMANDS: Final = {
    "run": LazyCommand("command_run:run", "Drive a freeze/thaw treatment on a probe."),
    "plan": LazyCommand("command_plan:plan", "Show a treatment's timeline; moves nothing."),
    "treatments": LazyCommand("command_treatments:treatments", "List the built-in treatments."),
    "profiles": LazyCommand("command_profiles:profiles", "List the built-in probe profiles."),
    "ui": LazyCommand("command_ui:ui", "Serve the dashboard: look, ask, STOP in a browser."),
    "monitor": LazyCommand("command_monitor:monitor", "Show what a probe says; sends nothing."),
    "fleet": LazyCommand("command_fleet:fleet", "Show all probes of a broker; sends nothing."),
    "gateway": LazyCommand("command_gateway:gateway", "Pass a probe's frames on to a broker."),
    "alarms": LazyCommand("command_alarms:alarms", "List the alarms, or try their signals."),
    "ports": LazyCommand("command_ports:ports", "List or remember serial ports; opens none."),
    "sniff": LazyCommand("command_sniff:sniff", "Show what an unknown device says; only listens."),
    "conform": LazyCommand("command_conform:conform", "Check a probe's port of the protocol."),
    "keys": LazyCommand("command_keys:keys", "Make, change and hand over the keys of probes."),
    "broker": LazyCommand("command_broker:broker", "Set up and run an MQTT broker."),
    "doctor": LazyCommand("command_doctor:doctor", "Find what is wrong here or at a broker."),
    "report": LazyCommand("command_report:report", "Make the HTML report of a recording."),
    "replay": LazyCommand("command_replay:replay_command", "Run a recording again and compare."),
    "recover": LazyCommand("command_recover:recover", "Save what a killed program recorded."),
    "audit": LazyCommand("command_audit:audit", "Check or show the audit trail of a run."),
    "export": LazyCommand("command_export:export", "Write a recording as CSV or Parquet."),
    "requirements": LazyCommand(
        "command_requirements:requirements", "List, check, import and export requirements."
    ),
    "config": LazyCommand("command_config:config", "Check, explain and show files."),
}


COMMAND_GROUP: Final = "cryoctl.commands"
"""Entry points of commands that other packages bring, such as the simulator's own."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which people meet them."""
        return [*_COMMANDS, *sorted(_brought())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command; None if there is none of this name."""
        found = _COMMANDS.get(cmd_name)
        if found is None:
            point = _brought().get(cmd_name)
            return None if point is None else point.load()
        module, _, attribute = found.place.partition(":")
        command: click.Command = getattr(importlib.import_module(f"cryoctl.{module}"), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any of ours."""
        rows = [(name, command.summary) for name, command in _COMMANDS.items()]
        rows += [
            (name, point.load().get_short_help_str()) for name, point in sorted(_brought().items())
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _brought() -> dict[str, EntryPoint]:
    """Return the commands of other packages by name; ours come first."""
    return {
        point.name: point
        for point in entry_points(group=COMMAND_GROUP)
        if point.name not in _COMMANDS
    }


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cryoctl")
def app() -> None:
    """Freeze/thaw cycles of a handheld cryoprobe: controller and simulator.

    Without a command, runs the built-in three-cycle treatment on the simulated probe. Development
    and research software; not a medical device.
    """


def main() -> None:
    """Run the command line and leave with the exit code of the outcome."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # Closed by whoever called us: there is nobody to tell.
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # A terminal without '°' must not end a run.
    arguments = sys.argv[1:] or ["run"]
    if arguments[0].startswith("-") and arguments[0] not in ("-h", "--help", "--version"):
        arguments.insert(0, "run")
    try:
        require_assertions()
    except AssertionsOffError as error:
        click.echo(f"cryoctl: {error}", err=True)
        sys.exit(EXIT_USAGE)
    sys.exit(invoke(arguments))


def invoke(arguments: list[str]) -> int:
    """Run the command line with ``arguments``; return the exit code."""
    try:
        outcome: Any = app.main(arguments, prog_name="cryoctl", standalone_mode=False)
    except click.Abort:
        return EXIT_INTERRUPTED
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # The reader has gone; there is nobody to tell.
        return EXIT_USAGE
    except Exception as error:  # noqa: BLE001  # The last door: nothing may leave without a code.
        return _explain(error)
    return outcome if isinstance(outcome, int) else 0


def _explain(error: Exception) -> int:
    """Print what a user can do about ``error``; return the exit code."""
    from cryoctl.export import ExportError
    from cryoctl.mosquitto import BrokerError
    from cryoctl.pdf import PdfError
    from cryoctl.plug_ins import PlugInError
    from cryoctl.recording import RecordingError
    from cryoctl_protocol.peer import AddressError, LinkError
    from cryoctl_protocol.profile import ProfileError
    from cryoctl_protocol.toml_text import FileError

    if isinstance(error, FileError):
        click.echo(str(error), err=True)
        return EXIT_USAGE
    if isinstance(
        error,
        AddressError
        | BrokerError
        | ExportError
        | PdfError
        | PlugInError
        | ProfileError
        | RecordingError,
    ):
        click.echo(f"cryoctl: {error}", err=True)
        return EXIT_USAGE
    if isinstance(error, LinkError):
        click.echo(f"cryoctl: {error}", err=True)
        return EXIT_LINK
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        click.echo(f"cryoctl: {where}{error.strerror or error}", err=True)
        return EXIT_USAGE
    traceback.print_exception(error)
    click.echo("cryoctl: internal error; the lines above help to find it", err=True)
    return EXIT_SAFETY
