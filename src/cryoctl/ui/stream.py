"""Twenty pictures a second for every page; each page's loop waits for its own socket alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from cryoctl.cycle_table import Phase
from cryoctl.ui.seat import Seat
from cryoctl.ui.station import Station
from cryoctl.ui.trace import Row

FRAME_S: Final = 0.05
"""Between two pictures: an alarm is seen well within the 0.2 s of SR-31."""
PHASES: Final = [phase.value for phase in Phase]


def as_text(data: Any) -> str:
    """Return ``data`` as compact JSON; NaN is a bug."""
    return json.dumps(data, separators=(",", ":"), allow_nan=False, default=str)


class Page:
    """What one page has been sent.

    Attributes:
        name: By which it asks.
        dropped: Pictures that it was too slow for.
        lost: Rows that had gone when it was ready for them.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.dropped = 0
        self.lost = 0
        self._picture = 0
        self._trace: object = None
        self._rows = 0
        self._event = 0
        self._sent: dict[str, str] = {}

    def text(self, stream: Stream) -> str:
        """Return what is new for this page since its last call."""
        station = stream.station
        if self._picture:
            self.dropped += stream.picture - self._picture - 1
        self._picture = stream.picture
        parts = [f'"picture":{stream.picture}', f'"dropped":{self.dropped}', f'"lost":{self.lost}']
        if self._trace is not station.trace:
            self._trace, self._rows, self._event = station.trace, station.trace.count, 0
            parts.append('"history":' + as_text(station.trace.history()))
        else:
            rows, lost = station.trace.since(self._rows)
            self._rows = station.trace.count
            self.lost += lost
            if rows:
                parts.append('"rows":' + as_text(rows))
        events = [event for event in station.events if event.number > self._event]
        if events:
            self._event = events[-1].number
            parts.append('"events":' + as_text(events))
        sections = stream.texts | {"seat": as_text(stream.seat_of(self.name))}
        changed = {name: text for name, text in sections.items() if self._sent.get(name) != text}
        self._sent = sections
        parts += [f'"{name}":{text}' for name, text in changed.items()]
        return "{" + ",".join(parts) + "}"


class Stream:
    """Makes a picture of the station twenty times a second, once for all pages.

    Attributes:
        picture: Number of the present one.
        texts: Its sections as JSON.
    """

    def __init__(self, station: Station, seat: Seat) -> None:
        self.station = station
        self.picture = 0
        self.texts: dict[str, str] = {}
        self._seat = seat
        self._next: asyncio.Future[None] | None = None

    def seat_of(self, name: str) -> dict[str, Any]:
        """Return what a page may do, and how many look."""
        holder = self._seat.holder
        return {"yours": holder == name, "free": not holder, "pages": self._seat.pages}

    async def run(self) -> None:
        """Make pictures until cancelled."""
        loop = asyncio.get_running_loop()
        self._next = loop.create_future()
        due_s = loop.time()
        while True:
            self.texts = {name: as_text(data) for name, data in self.station.look().items()}
            self.picture += 1
            self._next.set_result(None)
            self._next = loop.create_future()
            due_s = max(due_s + FRAME_S, loop.time())
            await asyncio.sleep(due_s - loop.time())

    async def serve(self, socket: WebSocket, name: str) -> None:
        """Send pictures to a page until it has gone; one that is slow gets fewer."""
        page = Page(name)
        listening = asyncio.create_task(_until_gone(socket))
        try:
            await socket.send_text(as_text({"hello": {"phases": PHASES, "columns": Row._fields}}))
            while not listening.done():
                await self._wait([listening])
                await socket.send_text(page.text(self))
        except (WebSocketDisconnect, RuntimeError):
            return  # Starlette says either, by when it finds out.
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def _wait(self, also: Sequence[asyncio.Future[Any]]) -> None:
        assert self._next is not None  # The server makes pictures before it lets anybody in.
        await asyncio.wait([self._next, *also], return_when=asyncio.FIRST_COMPLETED)


async def _until_gone(socket: WebSocket) -> None:
    """Read what a page says, which is nothing, until it leaves."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
