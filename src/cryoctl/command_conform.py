"""``cryoctl conform``: whether somebody's port of the protocol does what SPEC.md asks for."""

from __future__ import annotations

import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import click

from cryoctl.command_options import as_json, keys_option
from cryoctl.conform import Examination
from cryoctl.exit_codes import EXIT_FAIL, EXIT_LINK, EXIT_PASS
from cryoctl.key_store import keys_on
from cryoctl_protocol.conformance.conformance import Outcome, Verdict
from cryoctl_protocol.messages import Hello, printable, unpadded
from cryoctl_protocol.peer import AddressError, DeviceUrl, open_device

TITLES: Final = (
    "HELLO and telemetry",
    "commands",
    "lease and freeze timer",
    "tags",
)
SAFE_LEVELS: Final = (0, 1)
FREEZE_LEVEL: Final = 2
_SPEC: Final = "protocol/SPEC.md"
_WORD: Final = "freeze"


class Levels(click.ParamType[tuple[int, ...]]):
    """``N``, or ``N-M``."""

    name = "levels"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Return the levels, in order."""
        found = re.fullmatch(r"([0-3])(?:-([0-3]))?", str(value))
        if found is None or int(found[1]) > int(found[2] or found[1]):
            self.fail(f"{value!r} is no level and no range of levels (0 to 3)", param, ctx)
        return tuple(range(int(found[1]), int(found[2] or found[1]) + 1))


@click.command()
@click.option("--device", required=True, metavar="URL", help="Where the probe is.")
@click.option(
    "--levels",
    type=Levels(),
    metavar="N-M",
    help="0 HELLO and telemetry, 1 commands, 2 lease and freeze timer, 3 tags. A real device: "
    "0-1 if not given, the simulator in this process: 0-3.",
)
@click.option(
    "--may-freeze",
    is_flag=True,
    help="Level 2 may let gas flow, 2 s at a time. The simulator needs no leave.",
)
@click.option("--arm-and-start", is_flag=True, help="With --may-freeze: do not ask once more.")
@click.option(
    "--bench-waiver",
    default="",
    metavar="REASON",
    help="Command a device with the public key on a serial line.",
)
@keys_option
@click.option("--json", "wants_json", is_flag=True, help="Print one JSON object.")
def conform(
    device: str,
    levels: tuple[int, ...] | None,
    may_freeze: bool,
    arm_and_start: bool,
    bench_waiver: str,
    keys: Path | None,
    wants_json: bool,
) -> int:
    """Check in levels whether a probe speaks the protocol, and name the first thing wrong.

    Levels 0 and 1 open no valve. Nothing else may command the probe meanwhile. Exit codes: 0 all
    checks passed that could be made, 1 one failed or a level could not be examined, 2 usage or
    file, 3 device or link.
    """
    url = DeviceUrl.parse(device)
    if url.get("dialect") not in (None, "own"):
        raise AddressError(f"device {url}: another dialect is not the protocol; give none")
    opened = open_device(url)
    try:
        is_real = opened.link is not None
        asked = levels or (SAFE_LEVELS if is_real else tuple(range(len(TITLES))))
        if is_real and may_freeze:
            _confirm(asked, str(url), arm_and_start=arm_and_start)
        examination = Examination(
            opened,
            keys_on(opened, keys, bench_waiver),
            levels=asked,
            may_freeze=may_freeze or not is_real,
            tell=_nothing if wants_json else _Teller(),
        )
        examination.carry_out()
    finally:
        if opened.link is not None:
            opened.link.abort()
    code = _exit_code(examination, asked)
    if wants_json:
        click.echo(as_json(_report(str(url), examination, asked, code)))
    else:
        _say_result(examination, asked)
    return code


def _confirm(asked: tuple[int, ...], url: str, *, arm_and_start: bool) -> None:
    """Have a person agree to gas that flows; nobody else lets it out of a real probe."""
    if FREEZE_LEVEL not in asked:
        raise click.UsageError("--may-freeze is for level 2: say --levels 0-2 or 0-3")
    if arm_and_start:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(
            "gas is let out of a real device by hand: run this in a terminal, or say "
            "--arm-and-start"
        )
    click.echo(f"gas will flow from {url}, up to 2 s at a time, five times", err=True)
    if click.prompt(f"type {_WORD} to go on", err=True) != _WORD:
        raise click.Abort


def _nothing(_outcome: Outcome) -> None:
    """Say nothing: all of it is one object at the end."""


class _Teller:
    """Prints each outcome as it comes, under the title of its level."""

    def __init__(self) -> None:
        self._level: int | None = None

    def __call__(self, outcome: Outcome) -> None:
        if outcome.level != self._level:
            self._level = outcome.level
            click.echo(f"level {outcome.level}: {TITLES[outcome.level]}")
        click.echo(f"  {outcome.verdict:<8} {outcome.id:<18} {outcome.claim}")
        if outcome.verdict is Verdict.FAIL:
            click.echo(f"           {printable(outcome.field)}")
            click.echo(f"           expected {printable(outcome.expected)}")
            click.echo(f"           observed {printable(outcome.observed)}")
            click.echo(f"           {_SPEC}#{outcome.section}")
        elif outcome.verdict is Verdict.NOT_RUN:
            click.echo(f"           {printable(outcome.reason)}")


def _level_verdict(outcomes: list[Outcome], level: int) -> tuple[Verdict, int, int, int]:
    """Return the verdict of a level, and how many of its checks passed, failed, were not run."""
    of = [outcome.verdict for outcome in outcomes if outcome.level == level]
    passed, failed = of.count(Verdict.PASS), of.count(Verdict.FAIL)
    verdict = Verdict.FAIL if failed else Verdict.PASS if passed else Verdict.NOT_RUN
    return verdict, passed, failed, of.count(Verdict.NOT_RUN)


def _say_result(examination: Examination, asked: tuple[int, ...]) -> None:
    for level in asked:
        verdict, passed, failed, left = _level_verdict(examination.outcomes, level)
        click.echo(f"level {level} {verdict}: {passed} passed, {failed} failed, {left} not run")
    if examination.lost:
        click.echo(f"cryoctl: {printable(examination.lost)}", err=True)


def _exit_code(examination: Examination, asked: tuple[int, ...]) -> int:
    verdicts = [_level_verdict(examination.outcomes, level)[0] for level in asked]
    if Verdict.FAIL in verdicts:
        return EXIT_FAIL
    if examination.lost:
        return EXIT_LINK
    return EXIT_FAIL if Verdict.NOT_RUN in verdicts else EXIT_PASS


def _report(
    url: str, examination: Examination, asked: tuple[int, ...], code: int
) -> dict[str, Any]:
    levels = []
    for level in asked:
        verdict, passed, failed, left = _level_verdict(examination.outcomes, level)
        levels.append(
            {
                "level": level,
                "title": TITLES[level],
                "verdict": verdict,
                "passed": passed,
                "failed": failed,
                "not_run": left,
            }
        )
    return {
        "device": url,
        "hello": _identity(examination.bench.hello),
        "levels": levels,
        "checks": [asdict(outcome) for outcome in examination.outcomes],
        "lost": examination.lost,
        "exit_code": code,
    }


def _identity(hello: Hello | None) -> dict[str, str] | None:
    if hello is None:
        return None
    names = ("device_id", "firmware_id", "profile_id")
    return {name: unpadded(getattr(hello, name)) for name in names}
