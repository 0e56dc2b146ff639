"""``cryoctl alarms``: every alarm there is, and a test of how alarms look and sound."""

from __future__ import annotations

import sys
from typing import Any

import click

from cryoctl.alarms import ALARMS, LOOKS, SIGNAL_DELAY_S, Alarm
from cryoctl.command_options import as_json


@click.command()
@click.option("--json", "wants_json", is_flag=True, help="Print a list of objects.")
@click.option("--test", is_flag=True, help="Show mark and colour of each priority, ring the bell.")
def alarms(wants_json: bool, test: bool) -> None:
    """List the alarms with priority, delays and what to do; most of them are trips."""
    if test:
        _test_signals()
    elif wants_json:
        click.echo(as_json([alarm_as_json(alarm) for alarm in ALARMS.values()]))
    else:
        for alarm in ALARMS.values():
            click.echo(_line(alarm))


def alarm_as_json(alarm: Alarm) -> dict[str, Any]:
    """Return a row of the table with what follows from it."""
    return {
        "id": alarm.id,
        "priority": alarm.priority.value,
        "severity": alarm.severity.value,
        "onset": alarm.onset.value,
        "latching": alarm.latching.value,
        "is_trip": alarm.is_trip,
        "requirement": alarm.requirement,
        "hazards": list(alarm.hazards),
        "follows": list(alarm.follows),
        "detection_s": alarm.detection_s,
        "signal_s": SIGNAL_DELAY_S,
        "text": alarm.text,
        "action": alarm.action,
    }


def _line(alarm: Alarm) -> str:
    return (
        f"{alarm.look.mark:<3} {alarm.id:<18} {alarm.priority:<6} severity {alarm.severity.value} "
        f"{alarm.onset:<9} latches {alarm.latching:<6} within {alarm.detection_s:g} s "
        f"+ {SIGNAL_DELAY_S:g} s\n    {alarm.text}. {alarm.action}"
    )


def _test_signals() -> None:
    """Show what an alarm of each priority looks like; on a terminal, ring its bell."""
    for priority, look in LOOKS.items():
        bell = "\a" if sys.stdout.isatty() else ""
        text = f"{look.mark:<3} {priority}: {look.colour}, {look.pulses} pulses"
        click.echo(click.style(text, fg=look.colour, bold=True) + bell)
