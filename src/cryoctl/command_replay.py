"""``cryoctl replay``: shows a recorded run again, and whether it comes out as it was recorded."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from cryoctl.clock import Pacer, SpeedMissedError
from cryoctl.command_options import SPEED, as_json, keys_option
from cryoctl.core import Controller
from cryoctl.exit_codes import EXIT_FAIL, EXIT_PASS
from cryoctl.progress import make_progress
from cryoctl.replay import Answer, Replayed, replay


@click.command("replay")
@click.argument("recording", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--verify", is_flag=True, help="Only the answer, without showing the run.")
@click.option("--speed", type=SPEED, default="max", show_default=True, help="Times real time.")
@keys_option
@click.option("--json", "wants_json", is_flag=True, help="Print the answer as a JSON object.")
def replay_command(
    recording: Path, verify: bool, speed: float | None, keys: Path | None, wants_json: bool
) -> int:
    """Run the controller of a RECORDING again on its inputs and compare what comes out.

    IDENTICAL: every decision came out as recorded, bit for bit. DIFFERENT: the first that did not.
    INCOMPLETE: the file does not hold all inputs, or the probe's key is not on this computer, so
    nobody can tell. Exit codes: 0 identical, 1 not, 2 no recording.
    """
    if verify or wants_json:
        outcome = replay(recording, keys=keys)
    else:
        outcome = _show(recording, speed, keys)
    if wants_json:
        click.echo(
            as_json(
                {
                    "recording": str(recording),
                    "answer": outcome.answer.value,
                    "reason": outcome.reason,
                    "inputs": outcome.inputs,
                    "records": outcome.records,
                }
            )
        )
    else:
        click.echo(_text(outcome))
    return EXIT_PASS if outcome.answer is Answer.IDENTICAL else EXIT_FAIL


def _show(recording: Path, speed: float | None, keys: Path | None) -> Replayed:
    pacer = None if speed is None else Pacer(speed)
    with make_progress(sys.stdout) as progress:

        def on_tick(controller: Controller, now_s: float) -> None:
            if pacer is not None:
                pacer.wait_until(now_s)
            progress(controller, now_s)

        try:
            return replay(recording, on_tick, keys)
        except SpeedMissedError as error:
            raise click.ClickException(str(error)) from error


def _text(outcome: Replayed) -> str:
    if outcome.answer is Answer.IDENTICAL:
        return f"IDENTICAL: {outcome.inputs} inputs gave the same {outcome.records} records"
    if outcome.answer is Answer.DIFFERENT:
        return f"DIFFERENT after {outcome.records} records that are the same: {outcome.reason}"
    return f"INCOMPLETE: {outcome.reason}"
