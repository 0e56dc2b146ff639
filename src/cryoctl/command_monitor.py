"""``cryoctl monitor``: what a probe says, live; not a byte is sent to it."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Final

import click

from cryoctl.alarms import LOOKS
from cryoctl.monitor import Monitor
from cryoctl.port_link import RealTimeLoop
from cryoctl.progress import live_on, show_while, two_columns
from cryoctl_protocol.peer import AddressError, DeviceUrl, FrameLink, open_device

_DRAW_S: Final = 0.1
_LINE_S: Final = 1.0
_COLOURS: Final = {look.mark: look.colour for look in LOOKS.values()}


@click.command()
@click.option("--device", required=True, metavar="URL", help="Where the probe is.")
@click.option("--seconds", type=click.FloatRange(min=0.1), help="End by itself after so long.")
def monitor(device: str, seconds: float | None) -> int:
    """Show what a probe says, live, without sending it anything; Ctrl-C ends."""
    url = DeviceUrl.parse(device)
    link = open_device(url).link
    if link is None:
        raise AddressError(f"device {url}: nothing to listen to; give a serial: or tcp: address")
    watched = Monitor()
    try:
        with (
            _display(watched) as (show, period_s),
            asyncio.Runner(loop_factory=RealTimeLoop) as runner,
        ):
            runner.run(_watch(link, watched, show, period_s, seconds))
    except KeyboardInterrupt:
        return 0
    finally:
        link.abort()
    return 0


async def _watch(
    link: FrameLink,
    watched: Monitor,
    show: Callable[[float], None],
    period_s: float,
    seconds: float | None,
) -> None:
    async def listen() -> None:
        while True:
            frame = await link.receive()
            watched.take(frame.data, frame.received_s)

    await show_while(listen(), show, period_s, seconds)


@contextlib.contextmanager
def _display(watched: Monitor) -> Iterator[tuple[Callable[[float], None], float]]:
    """Yield what shows the present state, and how often: a table on a terminal, else lines."""
    if not sys.stdout.isatty():
        yield lambda now_s: click.echo(f"{now_s:8.1f} s  {watched.line(now_s)}"), _LINE_S
        return
    from rich.text import Text

    with live_on(sys.stdout) as live:
        told: set[str] = set()

        def draw(now_s: float) -> None:
            table = two_columns()
            for name, text in watched.rows(now_s):
                table.add_row(name, Text(text), style=_COLOURS.get(name))
            live.update(table, refresh=True)
            alarms = {alarm.id for alarm in watched.alarms(now_s)}
            if alarms - told:
                live.console.bell()
            told.clear()
            told.update(alarms)

        yield draw, _DRAW_S
