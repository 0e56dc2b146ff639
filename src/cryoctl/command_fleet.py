"""``cryoctl fleet``: every probe of a broker in one table; not a byte is sent to any."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sys
from collections.abc import Callable, Iterator
from typing import Final

import click

from cryoctl.command_options import as_json
from cryoctl.fleet import HEADS, WATCHED, Fleet
from cryoctl.port_link import RealTimeLoop
from cryoctl.progress import live_on, show_while
from cryoctl_protocol.mqtt.address import MqttAddress
from cryoctl_protocol.mqtt.connection import BrokerConnection, Received
from cryoctl_protocol.mqtt.topics import Topics
from cryoctl_protocol.peer import DeviceUrl

_DRAW_S: Final = 0.5
_LINE_S: Final = 5.0
_SETTLES_S: Final = 2.0
"""Everything retained is there at once; a state of each probe comes within a second."""


@click.command()
@click.option("--mqtt", required=True, metavar="URL", help="mqtt://HOST/SITE or mqtts://...")
@click.option("--seconds", type=click.FloatRange(min=0.1), help="End by itself after so long.")
@click.option("--json", "wants_json", is_flag=True, help="Listen for 2 s, print one JSON list.")
def fleet(mqtt: str, seconds: float | None, wants_json: bool) -> int:
    """Show all probes of a site, live, without sending them anything; Ctrl-C ends."""
    address = MqttAddress.of(DeviceUrl.parse(mqtt), site_only=True)
    watched = Fleet()
    if wants_json:
        with asyncio.Runner(loop_factory=RealTimeLoop) as runner:
            runner.run(watch(address, watched, _show_nothing, _SETTLES_S, seconds or _SETTLES_S))
            rows = watched.rows(runner.get_loop().time())
        click.echo(as_json([row._asdict() for row in rows]))
        return 0
    with (
        contextlib.suppress(KeyboardInterrupt),
        _display(watched) as (show, period_s),
        asyncio.Runner(loop_factory=RealTimeLoop) as runner,
    ):
        runner.run(watch(address, watched, show, period_s, seconds))
    return 0


async def watch(
    address: MqttAddress,
    watched: Fleet,
    show: Callable[[float], None],
    period_s: float,
    seconds: float | None,
) -> None:
    """Fill ``watched`` from a broker and show it every ``period_s``; raises LinkError.

    Args:
        address: Broker and site.
        watched: Empty.
        show: Called with the time.
        period_s: Between two calls of ``show``.
        seconds: Ends after so long; None never does.
    """
    loop = asyncio.get_running_loop()
    topics = Topics(address.site, "+")

    def on_message(message: Received) -> None:
        watched.take(message.topic, message.payload, loop.time())

    connection = BrokerConnection(
        address,
        identifier=f"cryoctl-fleet-{secrets.token_hex(4)}",
        subscribe=[(topics.of(leaf), True) for leaf in WATCHED],
        on_message=on_message,
        on_connected=lambda: None,
    )
    await show_while(connection.run(), show, period_s, seconds)


def _show_nothing(_now_s: float) -> None:
    pass


@contextlib.contextmanager
def _display(watched: Fleet) -> Iterator[tuple[Callable[[float], None], float]]:
    """Yield what shows the present state, and how often: a table on a terminal, else lines."""
    if not sys.stdout.isatty():

        def tell(now_s: float) -> None:
            for row in watched.rows(now_s):
                click.echo(f"{now_s:8.1f} s  " + "  ".join(filter(None, row.cells())))

        yield tell, _LINE_S
        return
    from rich.table import Table
    from rich.text import Text

    with live_on(sys.stdout) as live:

        def draw(now_s: float) -> None:
            rows = watched.rows(now_s)
            online = sum(row.link == "online" for row in rows)
            table = Table(box=None, pad_edge=False, title_justify="left")
            table.title = f"{len(rows)} probes, {online} online"
            for head in HEADS:
                table.add_column(head, no_wrap=True)
            shown = max(1, live.console.height - 4)
            for row in rows[:shown]:
                table.add_row(
                    *map(Text, row.cells()), style="" if row.link == "online" else "yellow"
                )
            if len(rows) > shown:
                table.caption = f"and {len(rows) - shown} more: --json lists all"
            live.update(table, refresh=True)

        yield draw, _DRAW_S
